//! Rows in the order of their scores, so that a metric can be taken again and again under other
//! weights: the bootstrap sorts once.

use super::{MetricError, check, weight};

/// Rows of one score together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreGroup {
    /// The score.
    pub score: f64,
    /// Weight of churners.
    pub churned: f64,
    /// Weight of those who stayed.
    pub stayed: f64,
}

impl ScoreGroup {
    /// Weight of all.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.churned + self.stayed
    }
}

/// Rows sorted by score, highest first, equal scores together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Rows in order.
    order: Vec<usize>,
    /// Score of each group.
    scores: Vec<f64>,
    /// End of each group in `order`.
    ends: Vec<usize>,
    churned: Vec<bool>,
}

impl Ranked {
    /// Sorts rows.
    ///
    /// # Errors
    /// [`MetricError`]: ragged input or a NaN score.
    pub fn new(churned: &[bool], scores: &[f64]) -> Result<Ranked, MetricError> {
        check(churned, scores, None, false)?;
        let mut order: Vec<usize> = (0..churned.len()).collect();
        // `+ 0.0` makes the two zeros one score. A stable sort keeps the order of sums fixed.
        order.sort_by(|a, b| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)));
        let mut ends: Vec<usize> = Vec::new();
        let mut own: Vec<f64> = Vec::new();
        for (place, row) in order.iter().enumerate() {
            if own.last() != Some(&scores[*row]) {
                own.push(scores[*row]);
                ends.push(place);
            }
            if let Some(end) = ends.last_mut() {
                *end = place + 1;
            }
        }
        Ok(Ranked {
            order,
            scores: own,
            ends,
            churned: churned.to_vec(),
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Rows in order with the number of their group.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut start = 0;
        self.ends.iter().enumerate().flat_map(move |(group, end)| {
            let own = start..*end;
            start = *end;
            self.order[own].iter().map(move |row| (group, *row))
        })
    }

    /// Whether a row churned.
    pub(crate) fn churned(&self, row: usize) -> bool {
        self.churned[row]
    }

    /// Score of a group.
    pub(crate) fn score(&self, group: usize) -> f64 {
        self.scores[group]
    }

    /// Groups of equal score with weight, highest first.
    #[must_use]
    pub fn groups(&self, weights: Option<&[f64]>) -> Vec<ScoreGroup> {
        let empty = |score: &f64| ScoreGroup {
            score: *score,
            churned: 0.0,
            stayed: 0.0,
        };
        let mut groups: Vec<ScoreGroup> = self.scores.iter().map(empty).collect();
        for (group, row) in self.rows() {
            let side = if self.churned[row] {
                &mut groups[group].churned
            } else {
                &mut groups[group].stayed
            };
            *side += weight(weights, row);
        }
        groups.retain(|group| group.weight() > 0.0);
        groups
    }
}

/// Weight of churners and of those who stayed; an error if either is absent.
pub(crate) fn totals(groups: &[ScoreGroup]) -> Result<(f64, f64), MetricError> {
    let churned = groups.iter().fold(0.0, |sum, group| sum + group.churned);
    let stayed = groups.iter().fold(0.0, |sum, group| sum + group.stayed);
    if churned > 0.0 && stayed > 0.0 && (churned + stayed).is_finite() {
        Ok((churned, stayed))
    } else {
        Err(MetricError::SingleClass)
    }
}

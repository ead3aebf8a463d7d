//! The rows a calibrator is learnt on: log-odds, outcomes and weights, checked.

use crate::ChurnError;
use cvm_core::InputError;
use cvm_math::{ln, log1p};

/// Log-odds stand for probabilities of exactly 0 and 1: as far out as double precision tells
/// probabilities apart on either side.
const LOWEST: f64 = -745.0;
const HIGHEST: f64 = 40.0;

/// Rows to calibrate on. Rows without a score or without weight are left out and counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub(crate) eta: Vec<f64>,
    pub(crate) churned: Vec<bool>,
    /// Mean 1.
    pub(crate) weight: Vec<f64>,
    /// Rows left out.
    pub excluded: usize,
}

impl Sample {
    /// A sample of rows with log-odds `eta` (NaN where a row has no score).
    ///
    /// # Errors
    /// Ragged input, a weight that is not a finite number >= 0, fewer than two rows, one class only.
    pub fn new(
        eta: &[f64],
        churned: &[bool],
        weights: Option<&[f64]>,
    ) -> Result<Sample, ChurnError> {
        let rows = eta.len();
        let lengths = [
            ("y", churned.len()),
            ("weight", weights.map_or(rows, <[f64]>::len)),
        ];
        for (name, got) in lengths {
            if got != rows {
                let why = format!("has {got} rows, the scores have {rows}");
                return Err(InputError::new(name, why).into());
            }
        }
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let bad = (0..rows).find(|row| !(weight(*row).is_finite() && weight(*row) >= 0.0));
        if let Some(row) = bad {
            return Err(ChurnError::cell(
                "weight",
                row,
                weight(row),
                "a finite number >= 0",
            ));
        }
        let used: Vec<usize> = (0..rows)
            .filter(|row| weight(*row) > 0.0 && !eta[*row].is_nan())
            .collect();
        let total = used.iter().fold(0.0, |sum, row| sum + weight(*row));
        let mean = total / used.len() as f64;
        let sample = Sample {
            eta: used
                .iter()
                .map(|row| eta[*row].clamp(LOWEST, -LOWEST))
                .collect(),
            churned: used.iter().map(|row| churned[*row]).collect(),
            weight: used.iter().map(|row| weight(*row) / mean).collect(),
            excluded: rows - used.len(),
        };
        let churners = sample.churners();
        if churners == 0 || churners == sample.len() {
            let why = format!(
                "has {churners} churners among {} rows with a score and weight: both outcomes are \
                 needed",
                sample.len()
            );
            return Err(InputError::new("y", why).into());
        }
        Ok(sample)
    }

    /// Number of rows used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.eta.len()
    }

    /// Whether no row is used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eta.is_empty()
    }

    /// Rows that churned.
    #[must_use]
    pub fn churners(&self) -> usize {
        self.churned.iter().filter(|churned| **churned).count()
    }

    /// Rows of the rarer outcome.
    #[must_use]
    pub fn rarer(&self) -> usize {
        self.churners().min(self.len() - self.churners())
    }

    /// The rows that `keep` says.
    pub(crate) fn filter(&self, keep: impl Fn(usize) -> bool) -> Sample {
        let rows: Vec<usize> = (0..self.len()).filter(|row| keep(*row)).collect();
        Sample {
            eta: rows.iter().map(|row| self.eta[*row]).collect(),
            churned: rows.iter().map(|row| self.churned[*row]).collect(),
            weight: rows.iter().map(|row| self.weight[*row]).collect(),
            excluded: 0,
        }
    }
}

/// Log-odds of a probability.
pub(crate) fn log_odds(probability: f64) -> f64 {
    if probability <= 0.0 {
        LOWEST
    } else if probability >= 1.0 {
        HIGHEST
    } else {
        ln(probability) - log1p(-probability)
    }
}

/// Rows of nearly equal log-odds taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bin {
    /// Mean log-odds.
    pub(crate) x: f64,
    pub(crate) weight: f64,
    /// Weight of churners.
    pub(crate) churned: f64,
}

/// At most `most` bins of at least `least` rows each, in order; equal scores share a bin. So the
/// numbers of a calibrator are of groups of customers, never of one.
pub(crate) fn bins(sample: &Sample, least: usize, most: usize) -> Vec<Bin> {
    let mut order: Vec<usize> = (0..sample.len()).collect();
    order.sort_by(|a, b| sample.eta[*a].total_cmp(&sample.eta[*b]));
    let goal = least.max(sample.len().div_ceil(most));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in order {
        let eta = sample.eta[row];
        match groups.last_mut() {
            Some(group) if group.len() < goal || sample.eta[group[group.len() - 1]] == eta => {
                group.push(row);
            }
            _ => groups.push(vec![row]),
        }
    }
    // What is left over at the top joins the bin below it.
    if groups.len() > 1 && groups.last().is_some_and(|group| group.len() < least) {
        let rest = groups.pop().unwrap_or_default();
        if let Some(last) = groups.last_mut() {
            last.extend(rest);
        }
    }
    groups.iter().map(|group| bin(sample, group)).collect()
}

fn bin(sample: &Sample, rows: &[usize]) -> Bin {
    let sum = |of: &dyn Fn(usize) -> f64| rows.iter().fold(0.0, |sum, row| sum + of(*row));
    let weight = sum(&|row| sample.weight[row]);
    // Rounding must not move the mean of equal scores out of its place between the neighbours.
    let (first, last) = (sample.eta[rows[0]], sample.eta[rows[rows.len() - 1]]);
    let mean = sum(&|row| sample.weight[row] * sample.eta[row]) / weight;
    Bin {
        x: mean.clamp(first, last),
        weight,
        churned: sum(&|row| sample.weight[row] * f64::from(u8::from(sample.churned[row]))),
    }
}

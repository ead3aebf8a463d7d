//! How well scores order customers: AUC with its standard error, average precision, KS, lift,
//! H-measure.

use super::MetricError;
use super::envelope::{BetaWeights, Line, envelope};
use super::ranked::{Ranked, ScoreGroup, totals};
use super::{check, weight};

/// AUC and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AucEstimate {
    /// The AUC.
    pub auc: f64,
    /// Standard error.
    pub standard_error: f64,
}

/// AUC with the standard error of DeLong, DeLong & Clarke-Pearson (1988), *Biometrics* 44(3), from
/// each row's share of the other class it beats (ties half), in one sort: Sun & Xu (2014), *IEEE
/// Signal Processing Letters* 21(11).
///
/// ```text
/// Var = Σ w² (v − A)² / (Σ w)² · m/(m − 1)   per class, summed;   m = (Σ w)² / Σ w²
/// ```
///
/// # Errors
/// [`MetricError`]: ragged input, a NaN score, a bad weight, one class only.
pub fn auc_estimate(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
) -> Result<AucEstimate, MetricError> {
    check(churned, scores, weights, false)?;
    let ranked = Ranked::new(churned, scores)?;
    let full = ranked_all(&ranked, weights);
    let (churners, stayers) = totals(&full)?;
    // Share of the other class that a row of each group beats.
    let (mut churned_above, mut stayed_above) = (0.0, 0.0);
    let mut beats = Vec::with_capacity(full.len());
    for group in &full {
        let stayed_below = stayers - stayed_above - 0.5 * group.stayed;
        beats.push((
            stayed_below / stayers,
            (churned_above + 0.5 * group.churned) / churners,
        ));
        churned_above += group.churned;
        stayed_above += group.stayed;
    }
    let auc = full
        .iter()
        .zip(&beats)
        .fold(0.0, |sum, (group, (beat, _))| sum + group.churned * beat)
        / churners;
    let mut spread = [Spread::default(); 2];
    for (group, row) in ranked.rows() {
        let own = weight(weights, row);
        let (of_churner, of_stayer) = beats[group];
        let (side, value) = match ranked.churned(row) {
            true => (0, of_churner),
            false => (1, of_stayer),
        };
        spread[side].add(own, value - auc);
    }
    let variance = spread[0].variance() + spread[1].variance();
    Ok(AucEstimate {
        auc,
        standard_error: variance.sqrt(),
    })
}

/// All groups in order, those without weight included: places are those of [`Ranked`].
fn ranked_all(ranked: &Ranked, weights: Option<&[f64]>) -> Vec<ScoreGroup> {
    let mut groups: Vec<ScoreGroup> = Vec::new();
    for (group, row) in ranked.rows() {
        if group == groups.len() {
            groups.push(ScoreGroup {
                score: ranked.score(group),
                churned: 0.0,
                stayed: 0.0,
            });
        }
        let side = match ranked.churned(row) {
            true => &mut groups[group].churned,
            false => &mut groups[group].stayed,
        };
        *side += weight(weights, row);
    }
    groups
}

/// Weighted variance of a mean.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    weight: f64,
    squares: f64,
    weight_squares: f64,
}

impl Spread {
    fn add(&mut self, weight: f64, gap: f64) {
        self.weight += weight;
        self.weight_squares += weight * weight;
        self.squares += (weight * gap) * (weight * gap);
    }

    fn variance(&self) -> f64 {
        let rows = self.weight * self.weight / self.weight_squares;
        if rows <= 1.0 {
            return f64::NAN;
        }
        self.squares / (self.weight * self.weight) * (rows / (rows - 1.0))
    }
}

/// AUC of groups.
pub(crate) fn auc_of(groups: &[ScoreGroup]) -> Result<f64, MetricError> {
    let (churners, stayers) = totals(groups)?;
    let (mut above, mut wins) = (0.0, 0.0);
    for group in groups {
        wins += group.stayed * (above + 0.5 * group.churned);
        above += group.churned;
    }
    Ok(wins / (churners * stayers))
}

/// Average precision: `Σ (R_k − R_{k−1}) P_k` over distinct scores, highest first, with precision
/// `P` and recall `R` of the customers at or above a score.
///
/// # Errors
/// As [`auc_estimate`].
pub fn average_precision(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
) -> Result<f64, MetricError> {
    check(churned, scores, weights, false)?;
    average_precision_of(&Ranked::new(churned, scores)?.groups(weights))
}

pub(crate) fn average_precision_of(groups: &[ScoreGroup]) -> Result<f64, MetricError> {
    let (churners, _) = totals(groups)?;
    let (mut captured, mut contacted, mut sum) = (0.0, 0.0, 0.0);
    for group in groups {
        captured += group.churned;
        contacted += group.weight();
        sum += group.churned * (captured / contacted);
    }
    Ok(sum / churners)
}

/// Kolmogorov–Smirnov distance with the score where it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KsPoint {
    /// Largest difference of the shares of churners and of stayers at or above a score.
    pub distance: f64,
    /// That score.
    pub threshold: f64,
}

/// Kolmogorov–Smirnov distance of the scores of churners from those of stayers.
///
/// # Errors
/// As [`auc_estimate`].
pub fn ks(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
) -> Result<KsPoint, MetricError> {
    check(churned, scores, weights, false)?;
    ks_of(&Ranked::new(churned, scores)?.groups(weights))
}

pub(crate) fn ks_of(groups: &[ScoreGroup]) -> Result<KsPoint, MetricError> {
    let (churners, stayers) = totals(groups)?;
    let (mut captured, mut disturbed) = (0.0, 0.0);
    let mut best = KsPoint {
        distance: 0.0,
        threshold: f64::INFINITY,
    };
    for group in groups {
        captured += group.churned;
        disturbed += group.stayed;
        let distance = captured / churners - disturbed / stayers;
        if distance > best.distance {
            best = KsPoint {
                distance,
                threshold: group.score,
            };
        }
    }
    Ok(best)
}

/// Lift of the highest-scoring share of customers: share of churners captured over share contacted.
/// Where the cut falls among equal scores, they are taken in proportion.
///
/// # Errors
/// As [`auc_estimate`], and a share outside `(0, 1]`.
pub fn lift_at(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    share: f64,
) -> Result<f64, MetricError> {
    check(churned, scores, weights, false)?;
    lift_of(&Ranked::new(churned, scores)?.groups(weights), share)
}

pub(crate) fn lift_of(groups: &[ScoreGroup], share: f64) -> Result<f64, MetricError> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(MetricError::Argument {
            name: "share",
            value: share,
            allowed: "a number above 0, at most 1",
        });
    }
    let (churners, stayers) = totals(groups)?;
    let mut left = share * (churners + stayers);
    let mut captured = 0.0;
    for group in groups {
        let taken = (left / group.weight()).min(1.0);
        captured += taken * group.churned;
        left -= taken * group.weight();
        if left <= 0.0 {
            break;
        }
    }
    Ok(captured / churners / share)
}

/// H-measure: one minus the expected least misclassification loss over that of the best constant
/// answer, where the cost share `c` of a stayer called a churner (against `1 − c` of a churner
/// missed) is `Beta(α, β)`.
///
/// Source: Hand (2009), *Machine Learning* 77, eq. 14–16; `α = β = 2` there.
///
/// # Errors
/// As [`auc_estimate`], and a shape that is not a finite number > 0.
pub fn h_measure(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    alpha: f64,
    beta: f64,
) -> Result<f64, MetricError> {
    check(churned, scores, weights, false)?;
    let costs = BetaWeights::new(alpha, beta)?;
    h_measure_of(&Ranked::new(churned, scores)?.groups(weights), &costs)
}

pub(crate) fn h_measure_of(groups: &[ScoreGroup], costs: &BetaWeights) -> Result<f64, MetricError> {
    let (churners, stayers) = totals(groups)?;
    let all = churners + stayers;
    // Loss when the groups so far are called churners: c · FP + (1 − c) · FN, least is wanted.
    let line = |captured: f64, disturbed: f64| {
        let (missed, wrong) = ((churners - captured) / all, disturbed / all);
        Line {
            slope: missed - wrong,
            intercept: -missed,
        }
    };
    let mut lines = vec![line(0.0, 0.0)];
    let (mut captured, mut disturbed) = (0.0, 0.0);
    for group in groups {
        captured += group.churned;
        disturbed += group.stayed;
        lines.push(line(captured, disturbed));
    }
    let expected = |lines: &[Line]| {
        let parts = envelope(lines, costs);
        -parts.iter().fold(0.0, |sum, part| sum + part.value(lines))
    };
    let constant = [lines[0], line(churners, stayers)];
    Ok(1.0 - expected(&lines) / expected(&constant))
}

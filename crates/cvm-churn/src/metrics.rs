//! How good churn probabilities are: ranking, error, calibration, profit, drift.
//!
//! All take `churned[i]`, a score per row and optional row weights (finite, >= 0). Rows of equal
//! score count as one group, so results do not depend on the order of rows.

mod calibration;
mod drift;
mod envelope;
mod measure;
mod profit;
mod ranked;
mod ranking;

pub use calibration::{
    Binning, BrierParts, CalibrationBin, brier_parts, calibration_bins, calibration_error,
};
pub use drift::{psi, psi_noise};
pub use envelope::BetaWeights;
pub use measure::Measure;
pub use profit::{Profit, ProfitPoint, ProfitSettings, empc, mpc, profit_curve};
pub use ranked::{Ranked, ScoreGroup};
pub use ranking::{AucEstimate, KsPoint, auc_estimate, average_precision, h_measure, ks, lift_at};

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Slices of different lengths.
    #[error("{name} has {got} rows, expected {expected}")]
    Length {
        /// Argument.
        name: &'static str,
        /// Its length.
        got: usize,
        /// Length of `churned`.
        expected: usize,
    },
    /// A value outside its range.
    #[error("{name}: row {row} is {value}: must be {allowed}")]
    Value {
        /// Argument.
        name: &'static str,
        /// Row.
        row: usize,
        /// The value found.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An argument that cannot be used.
    #[error("{name} is {value}: must be {allowed}")]
    Argument {
        /// Argument.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Both classes are needed, with weight.
    #[error("needs rows of both classes with weight above 0")]
    SingleClass,
    /// A count of bins or points that cannot be used.
    #[error("{name} is {got}: must be from 1 to {limit}")]
    Count {
        /// Argument.
        name: &'static str,
        /// The value given.
        got: usize,
        /// Largest allowed.
        limit: usize,
    },
}

/// Most bins or points.
const MAX_COUNT: usize = 100_000;
const PROBABILITY: &str = "a number from 0 to 1";

/// Probability that a churned customer scores above one who stayed, ties counting half: the
/// Mann–Whitney statistic.
///
/// # Errors
/// [`MetricError`]: ragged input, a NaN score, a bad weight, one class only.
pub fn auc(churned: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<f64, MetricError> {
    check(churned, scores, weights, false)?;
    let groups = tied_groups(churned, scores, weights);
    let (mut churned_above, mut stayed_above, mut wins) = (0.0, 0.0, 0.0);
    for group in &groups {
        wins += group.stayed * (churned_above + 0.5 * group.churned);
        churned_above += group.churned;
        stayed_above += group.stayed;
    }
    let value = wins / (churned_above * stayed_above);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MetricError::SingleClass)
    }
}

/// Weighted mean of `(p − y)²`.
///
/// # Errors
/// [`MetricError`]: ragged or empty input, a probability outside 0 to 1, a bad weight.
pub fn brier(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
) -> Result<f64, MetricError> {
    check(churned, probabilities, weights, true)?;
    mean(churned, probabilities, weights, |y, p| {
        let error = p - f64::from(u8::from(y));
        error * error
    })
}

/// Weighted mean of minus the log-likelihood of one row. Infinite when a row had probability 0; no
/// clipping.
///
/// # Errors
/// As [`brier`].
pub fn log_loss(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
) -> Result<f64, MetricError> {
    check(churned, probabilities, weights, true)?;
    mean(churned, probabilities, weights, |y, p| {
        if y {
            -cvm_math::ln(p)
        } else {
            -cvm_math::log1p(-p)
        }
    })
}

/// Expected calibration error: the weighted mean over `bins` equally wide bins of probability of
/// |observed churn rate − mean probability|. A probability of exactly 1 belongs to the last bin.
///
/// # Errors
/// As [`brier`], and a number of bins outside 1 to 100 000.
pub fn ece(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    bins: usize,
) -> Result<f64, MetricError> {
    check(churned, probabilities, weights, true)?;
    check_count("bins", bins)?;
    let mut gaps = vec![0.0; bins];
    let mut total = 0.0;
    for (row, (y, p)) in churned.iter().zip(probabilities).enumerate() {
        let weight = weight(weights, row);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let bin = ((p * bins as f64) as usize).min(bins - 1);
        gaps[bin] += weight * (f64::from(u8::from(*y)) - p);
        total += weight;
    }
    finite(gaps.iter().fold(0.0, |sum: f64, gap| sum + gap.abs()) / total)
}

/// One point of a lift curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiftPoint {
    /// Share of all weight contacted, highest scores first.
    pub contacted_share: f64,
    /// Share of all churners among them.
    pub captured_share: f64,
    /// `captured_share / contacted_share`.
    pub lift: f64,
}

/// Churners captured when the highest-scoring share of customers is contacted, at `points` equal
/// steps up to everyone. Inside a group of equal scores the order is taken as random: the curve is
/// a line there.
///
/// # Errors
/// As [`auc`], and a number of points outside 1 to 100 000.
pub fn lift_curve(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    points: usize,
) -> Result<Vec<LiftPoint>, MetricError> {
    check(churned, scores, weights, false)?;
    check_count("points", points)?;
    let groups = tied_groups(churned, scores, weights);
    let all = groups
        .iter()
        .fold(0.0, |sum, g| sum + (g.churned + g.stayed));
    let churners = groups.iter().fold(0.0, |sum, g| sum + g.churned);
    if churners <= 0.0 || churners >= all {
        return Err(MetricError::SingleClass);
    }
    let mut curve = Vec::with_capacity(points);
    let (mut next, mut contacted, mut captured) = (0, 0.0, 0.0);
    for point in 1..=points {
        #[allow(clippy::cast_precision_loss)]
        let share = point as f64 / points as f64;
        let goal = share * all;
        while let Some(group) = groups.get(next) {
            let size = group.churned + group.stayed;
            if contacted + size > goal && point < points {
                break;
            }
            contacted += size;
            captured += group.churned;
            next += 1;
        }
        let part = groups.get(next).map_or(0.0, |group| {
            group.churned * ((goal - contacted) / (group.churned + group.stayed))
        });
        let captured_share = if point == points {
            1.0
        } else {
            (captured + part) / churners
        };
        curve.push(LiftPoint {
            contacted_share: share,
            captured_share,
            lift: captured_share / share,
        });
    }
    Ok(curve)
}

/// Weight of both classes at one score.
struct Group {
    churned: f64,
    stayed: f64,
}

/// Groups of equal score, highest first; rows without weight are left out.
fn tied_groups(churned: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Vec<Group> {
    let mut order: Vec<usize> = (0..churned.len())
        .filter(|r| weight(weights, *r) > 0.0)
        .collect();
    // `+ 0.0` makes the two zeros one score. A stable sort keeps the order of sums fixed.
    order.sort_by(|a, b| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)));
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    for row in order {
        if last != Some(scores[row]) {
            groups.push(Group {
                churned: 0.0,
                stayed: 0.0,
            });
            last = Some(scores[row]);
        }
        if let Some(group) = groups.last_mut() {
            let side = if churned[row] {
                &mut group.churned
            } else {
                &mut group.stayed
            };
            *side += weight(weights, row);
        }
    }
    groups
}

fn weight(weights: Option<&[f64]>, row: usize) -> f64 {
    weights.map_or(1.0, |weights| weights[row])
}

fn mean(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    loss: impl Fn(bool, f64) -> f64,
) -> Result<f64, MetricError> {
    let (mut sum, mut total) = (0.0, 0.0);
    for (row, (y, p)) in churned.iter().zip(probabilities).enumerate() {
        let weight = weight(weights, row);
        if weight > 0.0 {
            sum += weight * loss(*y, *p);
            total += weight;
        }
    }
    let value: f64 = sum / total;
    if value.is_nan() {
        Err(MetricError::SingleClass)
    } else {
        Ok(value)
    }
}

fn finite(value: f64) -> Result<f64, MetricError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MetricError::SingleClass)
    }
}

fn check_count(name: &'static str, got: usize) -> Result<(), MetricError> {
    if (1..=MAX_COUNT).contains(&got) {
        return Ok(());
    }
    Err(MetricError::Count {
        name,
        got,
        limit: MAX_COUNT,
    })
}

fn check(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    probability: bool,
) -> Result<(), MetricError> {
    let expected = churned.len();
    let slices = [("scores", Some(scores)), ("weights", weights)];
    for (name, values) in slices {
        let got = values.map_or(expected, <[f64]>::len);
        if got != expected {
            return Err(MetricError::Length {
                name,
                got,
                expected,
            });
        }
    }
    let fine = |s: &f64| {
        if probability {
            (0.0..=1.0).contains(s)
        } else {
            !s.is_nan()
        }
    };
    let allowed = if probability { PROBABILITY } else { "a number" };
    first_bad("scores", scores, allowed, fine)?;
    let fine = |w: &f64| w.is_finite() && *w >= 0.0;
    first_bad(
        "weights",
        weights.unwrap_or_default(),
        "a finite number >= 0",
        fine,
    )
}

fn first_bad(
    name: &'static str,
    values: &[f64],
    allowed: &'static str,
    fine: impl Fn(&f64) -> bool,
) -> Result<(), MetricError> {
    match values.iter().position(|value| !fine(value)) {
        None => Ok(()),
        Some(row) => Err(MetricError::Value {
            name,
            row,
            value: values[row],
            allowed,
        }),
    }
}

//! How good churn probabilities are: ranking (AUC, lift), error (Brier, log loss), calibration (ECE).
//!
//! All take `churned[i]`, a score per row and optional row weights (finite, >= 0). Rows of equal
//! score count as one group, so results do not depend on the order of rows.

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

#[cfg(test)]
mod tests {
    use super::{LiftPoint, MetricError, auc, brier, ece, lift_curve, log_loss};

    const CHURNED: [bool; 6] = [true, false, true, false, false, true];
    const SCORES: [f64; 6] = [0.9, 0.9, 0.6, 0.4, 0.1, 0.4];

    #[test]
    fn auc_counts_ties_half() {
        // 9 pairs: .9 against .9 ½, .4, .1 → 2.5; .6 against .9 0, .4, .1 → 2; .4: 0, ½, 1 → 1.5.
        assert_eq!(auc(&CHURNED, &SCORES, None), Ok(6.0 / 9.0));
        assert_eq!(auc(&CHURNED, &[0.5; 6], None), Ok(0.5));
        assert_eq!(auc(&[true, false], &[-0.0, 0.0], None), Ok(0.5));
        assert_eq!(auc(&[true, false], &[f64::INFINITY, -1e300], None), Ok(1.0));
    }

    #[test]
    fn a_weight_is_a_number_of_rows() {
        let weights = [1.0, 2.0, 0.0, 1.0, 3.0, 2.0];
        let expand = |row: usize| std::iter::repeat_n(row, [1, 2, 0, 1, 3, 2][row]);
        let rows: Vec<usize> = (0..6).flat_map(expand).collect();
        let churned: Vec<bool> = rows.iter().map(|r| CHURNED[*r]).collect();
        let scores: Vec<f64> = rows.iter().map(|r| SCORES[*r]).collect();
        let weights = Some(weights.as_slice());
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        near(
            auc(&CHURNED, &SCORES, weights).unwrap(),
            auc(&churned, &scores, None).unwrap(),
        );
        near(
            brier(&CHURNED, &SCORES, weights).unwrap(),
            brier(&churned, &scores, None).unwrap(),
        );
        let (a, b) = (
            log_loss(&CHURNED, &SCORES, weights),
            log_loss(&churned, &scores, None),
        );
        near(a.unwrap(), b.unwrap());
        let (a, b) = (
            ece(&CHURNED, &SCORES, weights, 5),
            ece(&churned, &scores, None, 5),
        );
        near(a.unwrap(), b.unwrap());
        let curve = lift_curve(&CHURNED, &SCORES, weights, 7).unwrap();
        for (a, b) in curve
            .iter()
            .zip(lift_curve(&churned, &scores, None, 7).unwrap())
        {
            near(a.captured_share, b.captured_share);
        }
    }

    #[test]
    fn errors_of_probability_are_the_hand_worked_ones() {
        // (.01 + .81 + .16 + .16 + .01 + .36) / 6
        let value = brier(&CHURNED, &SCORES, None).unwrap();
        assert!((value - 1.51 / 6.0).abs() < 1e-15, "{value}");
        // −ln of .9 · .1 · .6 · .6 · .9 · .4 = .0116640, over 6
        let value = log_loss(&CHURNED, &SCORES, None).unwrap();
        assert!(
            (value - -cvm_math::ln(0.011_664) / 6.0).abs() < 1e-15,
            "{value}"
        );
        assert_eq!(log_loss(&[true], &[0.0], None), Ok(f64::INFINITY));
        assert_eq!(log_loss(&[true, false], &[1.0, 0.0], None), Ok(0.0));
        // Bins of .2: [.1] gap .1; [.4 .4] 1 − .8 = .2; [.6] .4 (0.6*5 = 3.0); [.9 .9] 1 − 1.8 = .8.
        let value = ece(&CHURNED, &SCORES, None, 5).unwrap();
        assert!((value - 1.5 / 6.0).abs() < 1e-15, "{value}");
        assert_eq!(ece(&[true], &[1.0], None, 10), Ok(0.0));
    }

    #[test]
    fn lift_is_straight_within_ties_and_ends_at_everyone() {
        let curve = lift_curve(&CHURNED, &SCORES, None, 6).unwrap();
        // Contacted 1..6: half of the tied pair, the pair, .6, then the pair at .4, then the rest.
        let captured: Vec<f64> = curve.iter().map(|p| p.captured_share * 3.0).collect();
        for (got, want) in captured.iter().zip([0.5, 1.0, 2.0, 2.5, 3.0, 3.0]) {
            assert!((got - want).abs() < 1e-14, "{captured:?}");
        }
        let last = LiftPoint {
            contacted_share: 1.0,
            captured_share: 1.0,
            lift: 1.0,
        };
        assert_eq!(curve.last(), Some(&last));
    }

    #[test]
    fn bad_input_is_named() {
        let short = auc(&CHURNED, &[0.5], None).unwrap_err();
        assert_eq!(short.to_string(), "scores has 1 rows, expected 6");
        let above = brier(&[true], &[1.5], None).unwrap_err();
        assert_eq!(
            above.to_string(),
            "scores: row 0 is 1.5: must be a number from 0 to 1"
        );
        assert!(auc(&[true, false], &[f64::NAN, 0.0], None).is_err());
        assert!(brier(&[true], &[0.5], Some(&[-1.0])).is_err());
        assert_eq!(
            auc(&[true, true], &[0.1, 0.2], None),
            Err(MetricError::SingleClass)
        );
        assert_eq!(brier(&[], &[], None), Err(MetricError::SingleClass));
        assert!(ece(&[true], &[0.5], None, 0).is_err());
        assert!(lift_curve(&[true], &[0.5], None, 3).is_err());
    }
}

//! Population stability index: how far shares of bins moved.
//!
//! ```text
//! PSI = Σ (q − p) ln(q / p)
//! ```
//!
//! with the shares `p` of training and `q` of now. An empty bin would make it infinite: half a row is
//! added to every bin of either side first.
//!
//! Sources: Siddiqi (2006), *Credit Risk Scorecards*, ch. 9, for the index and its usual levels (0.1
//! and 0.25); Yurdakul & Naranjo (2020), *Journal of Risk Model Validation* 14(4), for its sampling
//! distribution, `(1/n + 1/m) χ²(bins − 1)`.

use super::MetricError;
use cvm_math::{ln, pow};

/// The index of counts `before` and `now` of the same bins.
///
/// # Errors
/// [`MetricError`]: other numbers of bins, a count that is not a finite number >= 0, no rows.
pub fn psi(before: &[f64], now: &[f64]) -> Result<f64, MetricError> {
    if before.len() != now.len() {
        return Err(MetricError::Length {
            name: "now",
            got: now.len(),
            expected: before.len(),
        });
    }
    for (name, counts) in [("before", before), ("now", now)] {
        let fine = |count: &f64| count.is_finite() && *count >= 0.0;
        super::first_bad(name, counts, "a finite number >= 0", fine)?;
    }
    let total = |counts: &[f64]| counts.iter().fold(0.0, |sum, count| sum + (count + 0.5));
    let (all_before, all_now) = (total(before), total(now));
    Ok(before.iter().zip(now).fold(0.0, |sum, (p, q)| {
        let (p, q) = ((p + 0.5) / all_before, (q + 0.5) / all_now);
        sum + (q - p) * (ln(q) - ln(p))
    }))
}

/// What the index does not exceed in `probability` of the cases when nothing changed, by the
/// distribution above with the Wilson–Hilferty quantile of χ²; `z` is the normal quantile of that
/// probability.
#[must_use]
pub fn psi_noise(bins: usize, rows_before: f64, rows_now: f64, z: f64) -> f64 {
    if bins < 2 || rows_before <= 0.0 || rows_now <= 0.0 {
        return 0.0;
    }
    let freedom = (bins - 1) as f64;
    let part = 2.0 / (9.0 * freedom);
    let root = (1.0 - part + z * part.sqrt()).max(0.0);
    freedom * pow(root, 3.0) * (1.0 / rows_before + 1.0 / rows_now)
}

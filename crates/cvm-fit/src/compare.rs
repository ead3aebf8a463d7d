//! Comparing fitted models: likelihood ratios with their tail, AIC, BIC; intervals from standard errors.

use crate::coordinate::{natural, slope, working};
use crate::result::{FitError, invalid};
use cvm_core::Transform;
use cvm_math::{exp, expm1, gamma_q, ln, ln_gamma_q};

/// Distribution of the likelihood-ratio statistic under the nested model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reference {
    /// χ² with as many degrees of freedom as parameters are lost (Wilks 1938).
    #[default]
    ChiSquare,
    /// One of the lost parameters is lost at the boundary of its range (a variance or a mixing weight
    /// of zero): half χ² with `df` and half with `df − 1` degrees of freedom (Self & Liang 1987,
    /// *JASA* 82, case 5–6).
    OneOnBoundary,
}

/// A likelihood-ratio test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelihoodRatio {
    /// Twice the difference of log-likelihoods.
    pub statistic: f64,
    /// Parameters lost.
    pub df: usize,
    /// Probability of at least this statistic under the nested model.
    pub p_value: f64,
    /// Its logarithm, also where the probability is below the doubles.
    pub ln_p_value: f64,
}

/// Tests a nested model against a full one by χ²; dimensions count free parameters.
///
/// # Errors
/// As [`likelihood_ratio_against`].
pub fn likelihood_ratio(
    nested_ll: f64,
    nested_dim: usize,
    full_ll: f64,
    full_dim: usize,
) -> Result<LikelihoodRatio, FitError> {
    likelihood_ratio_against(
        Reference::ChiSquare,
        nested_ll,
        nested_dim,
        full_ll,
        full_dim,
    )
}

/// [`likelihood_ratio`] with a choice of reference distribution.
///
/// # Errors
/// [`FitError::Invalid`] if a log-likelihood is not finite, the full model has no more parameters,
/// or the nested log-likelihood is above the full one by more than rounding: then the full fit is
/// not its maximum (see [`crate::maximize_at_least`]).
pub fn likelihood_ratio_against(
    reference: Reference,
    nested_ll: f64,
    nested_dim: usize,
    full_ll: f64,
    full_dim: usize,
) -> Result<LikelihoodRatio, FitError> {
    /// Difference of two log-likelihoods, relative, that is rounding.
    const ROUNDING: f64 = 1e-9;
    for (name, value) in [("nested_ll", nested_ll), ("full_ll", full_ll)] {
        if !value.is_finite() {
            return Err(invalid(name, value, "finite"));
        }
    }
    if full_dim <= nested_dim {
        let allowed = format!("above that of the nested model, {nested_dim}");
        return Err(invalid("full_dim", full_dim, allowed));
    }
    if full_ll < nested_ll - ROUNDING * (1.0 + nested_ll.abs()) {
        let allowed = format!("at least that of the nested model, {nested_ll}");
        return Err(invalid("full_ll", full_ll, allowed));
    }
    let statistic = (2.0 * (full_ll - nested_ll)).max(0.0);
    let df = full_dim - nested_dim;
    let ln_p_value = match reference {
        Reference::ChiSquare => ln_tail(statistic, df),
        Reference::OneOnBoundary => {
            let both = cvm_math::log_add_exp(ln_tail(statistic, df), ln_tail(statistic, df - 1));
            both - std::f64::consts::LN_2
        }
    };
    let p_value = match reference {
        Reference::ChiSquare => chi_square_tail(statistic, df),
        Reference::OneOnBoundary => {
            0.5 * (chi_square_tail(statistic, df) + chi_square_tail(statistic, df - 1))
        }
    };
    Ok(LikelihoodRatio {
        statistic,
        df,
        p_value,
        ln_p_value,
    })
}

/// Probability that χ² with `df` degrees of freedom is `statistic` or more (with 0 degrees: it is
/// surely 0); accurate to about 1e-13 down to 1e-300.
#[must_use]
pub fn chi_square_tail(statistic: f64, df: usize) -> f64 {
    match (df, statistic <= 0.0) {
        (_, true) => 1.0,
        (0, false) if statistic > 0.0 => 0.0,
        _ => gamma_q(half(df), 0.5 * statistic),
    }
}

fn ln_tail(statistic: f64, df: usize) -> f64 {
    match (df, statistic <= 0.0) {
        (_, true) => 0.0,
        (0, false) => f64::NEG_INFINITY,
        _ => ln_gamma_q(half(df), 0.5 * statistic),
    }
}

#[allow(clippy::cast_precision_loss)]
fn half(df: usize) -> f64 {
    0.5 * df as f64
}

/// Akaike's information criterion, `−2 ℓ + 2 k` for `k` free parameters; less is better.
#[must_use]
pub fn aic(log_likelihood: f64, free_count: usize) -> f64 {
    -2.0 * log_likelihood + 4.0 * half(free_count)
}

/// Schwarz's information criterion, `−2 ℓ + k ln n` for `k` free parameters and a total weight (number
/// of customers) of `n`; less is better.
#[must_use]
pub fn bic(log_likelihood: f64, free_count: usize, weight: f64) -> f64 {
    -2.0 * log_likelihood + 2.0 * half(free_count) * ln(weight)
}

/// The standard normal's quantile at `p`: infinite at 0 and 1, NaN outside.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -lower_quantile(1.0 - p);
    }
    lower_quantile(p)
}

/// Half-width, in standard errors, of a two-sided interval of confidence `level`.
pub(crate) fn two_sided(level: f64) -> f64 {
    // From the tail 1 − level: exact where level is near 1.
    -lower_quantile(0.5 * (1.0 - level))
}

/// Quantile of `p <= 1/2` by Newton's method on the logarithm of the tail, which is concave.
fn lower_quantile(p: f64) -> f64 {
    if p == 0.5 {
        return 0.0;
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    if p.is_nan() || p < 0.0 {
        return f64::NAN;
    }
    let target = ln(2.0 * p);
    // ln of the two-sided tail is −z²/2 − z √(2/π) at most, so this start is beyond the root.
    let mut z = (-2.0 * target).sqrt();
    for _ in 0..100 {
        let tail = ln_gamma_q(0.5, 0.5 * z * z);
        // Density over tail: the slope of −ln tail.
        let slope = exp(-0.5 * z * z - tail) * (2.0 / std::f64::consts::PI).sqrt();
        let step = (tail - target) / slope;
        z += step;
        if step.abs() <= 1e-15 * z.abs() {
            break;
        }
        z = z.max(0.0);
    }
    -z
}

/// Interval of confidence `level` (0.95) from an estimate and its standard error, symmetric in the
/// working coordinate, hence inside the parameter's range; `None` without a standard error.
#[must_use]
pub fn wald_interval(
    transform: Transform,
    estimate: f64,
    standard_error: f64,
    level: f64,
) -> Option<(f64, f64)> {
    let half_width = two_sided(level) * standard_error;
    let w = working(transform, estimate);
    let spread = half_width / slope(transform, estimate, w);
    if !spread.is_finite() || !w.is_finite() {
        return None;
    }
    if transform == Transform::Log {
        // Keeps the digits of an estimate whose logarithm is large.
        let grow = expm1(spread);
        return Some((estimate / (1.0 + grow), estimate + estimate * grow));
    }
    Some((
        natural(transform, w - spread),
        natural(transform, w + spread),
    ))
}

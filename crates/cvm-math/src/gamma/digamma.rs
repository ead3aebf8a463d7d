//! ψ(x), the derivative of ln Γ.
//!
//! ```text
//! x >= 8     ln x - 1/(2x) - F(1/x²)/x²
//! [1, 8)     (y - x₀) R(y - 3/2) + Σ 1/(x-k),  k = 1…n,  y = x - n in [1, 2)
//! (0, 1)     the same at y = x + 1, less 1/x
//! x < 0      ψ(-x) - 1/x - π cot πx
//! ```
//! where x₀ = 1.4616… is the zero of ψ, taken to 106 bits.
//!
//! Source: Abramowitz & Stegun (1964), 6.3.5, 6.3.7, 6.3.18.

use super::FAR;
use super::reflection::{cos_pi, is_pole, sin_pi};
use crate::coefficients::{DIGAMMA_FAR, DIGAMMA_NEAR, DIGAMMA_ROOT, DIGAMMA_SLOPE, PI};
use crate::dd::{two_prod, two_sum};
use crate::elementary::{ln_parts, nan_if};
use crate::poly::{poly8, poly21};

/// ψ(x) for `x >= 8`.
#[inline(always)]
fn far(x: f64) -> f64 {
    let (ln, ln_lo) = ln_parts(x);
    let inverse = 1.0 / x;
    let z = inverse * inverse;
    ln + (ln_lo - (0.5 * inverse + z * poly8(z, &DIGAMMA_FAR)))
}

/// ψ(y + y_lo) + sum for `y` in [1, 2].
///
/// The product with the leading part of R is exact, because the sum often cancels half of it.
#[inline(always)]
fn near_root(y: f64, y_lo: f64, sum: f64) -> f64 {
    let distance = y - DIGAMMA_ROOT.0;
    let t = y - 1.5;
    let rest = DIGAMMA_SLOPE.1 + t * poly21(t, &DIGAMMA_NEAR);
    let (p, p_lo) = two_prod(distance, DIGAMMA_SLOPE.0);
    let distance_lo = (y_lo - DIGAMMA_ROOT.1) * (DIGAMMA_SLOPE.0 + rest);
    let (hi, lo) = two_sum(sum, p);
    // Where -1/x overflows, its rounding error is no number.
    let lo = if sum == f64::NEG_INFINITY { 0.0 } else { lo };
    hi + (lo + ((p_lo + distance_lo) + distance * rest))
}

/// ψ(x) for `x` in (0, 8).
#[inline(always)]
fn near(x: f64) -> f64 {
    let mut sum = 0.0;
    let mut y = x;
    for k in 0..6 {
        let k = f64::from(k) + 1.0;
        y = if x >= k + 1.0 { x - k } else { y };
    }
    for k in (0..6).rev() {
        let k = f64::from(k) + 1.0;
        let term = 1.0 / (x - k);
        sum += if x >= k + 1.0 { term } else { 0.0 };
    }
    let below = x < 1.0;
    let (next, next_lo) = two_sum(1.0, x);
    let y = if below { next } else { y };
    let y_lo = if below { next_lo } else { 0.0 };
    let sum = if below { -1.0 / x } else { sum };
    near_root(y, y_lo, sum)
}

/// ψ(x) for `x > 0` and NaN; other arguments are left to [`digamma`].
#[inline(always)]
pub(crate) fn digamma_kernel(x: f64) -> f64 {
    let is_far = x >= FAR;
    let at_far = far(if is_far { x } else { FAR });
    let at_near = near(if is_far { 1.0 } else { x });
    let value = if is_far { at_far } else { at_near };
    let value = if x == f64::INFINITY { x } else { value };
    nan_if(x.is_nan(), value)
}

/// ψ(x) for every `x`.
pub(crate) fn digamma(x: f64) -> f64 {
    if x > 0.0 || x.is_nan() {
        return digamma_kernel(x);
    }
    if x == 0.0 {
        return if x.is_sign_negative() {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        };
    }
    if is_pole(x) {
        return f64::NAN;
    }
    if x > -1.0e-300 {
        return -1.0 / x;
    }
    let cotangent = cos_pi(x) / sin_pi(x);
    (digamma_kernel(-x) - 1.0 / x) - PI.0 * cotangent
}

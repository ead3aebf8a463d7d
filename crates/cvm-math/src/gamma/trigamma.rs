//! ψ′(x), the second derivative of ln Γ.
//!
//! ```text
//! x >= 8     1/x + 1/(2x²) + T(1/x²)/x³
//! (0, 8)     Σ 1/(x+k)², k = 0…n-1, and the above at x + n >= 8
//! x < 0      π²/sin² πx - 1/x² … by ψ′(x) = π²/sin² πx - ψ′(1 - x)
//! ```
//! Source: Abramowitz & Stegun (1964), 6.4.6, 6.4.7, 6.4.12.

use super::FAR;
use super::reflection::{is_pole, sin_pi};
use crate::coefficients::{PI, TRIGAMMA_FAR};
use crate::elementary::nan_if;
use crate::poly::poly8;

/// ψ′(x) for `x >= 8`.
#[inline(always)]
fn far(x: f64) -> f64 {
    let inverse = 1.0 / x;
    let z = inverse * inverse;
    inverse + z * (0.5 + inverse * poly8(z, &TRIGAMMA_FAR))
}

/// ψ′(x) for `x > 0` and NaN; other arguments are left to [`trigamma`].
#[inline(always)]
pub(crate) fn trigamma_kernel(x: f64) -> f64 {
    let mut y = x;
    for k in 0..8 {
        let k = f64::from(k);
        y = if x + k < FAR { x + (k + 1.0) } else { y };
    }
    let mut sum = far(y);
    for k in (0..8).rev() {
        let shifted = x + f64::from(k);
        let inverse = 1.0 / shifted;
        sum += if shifted < FAR {
            inverse * inverse
        } else {
            0.0
        };
    }
    let value = if x == f64::INFINITY { 0.0 } else { sum };
    nan_if(x.is_nan(), value)
}

/// ψ′(x) for every `x`.
pub(crate) fn trigamma(x: f64) -> f64 {
    if x > 0.0 || x.is_nan() {
        return trigamma_kernel(x);
    }
    if x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if is_pole(x) {
        return f64::INFINITY;
    }
    let ratio = PI.0 / sin_pi(x);
    ratio * ratio - trigamma_kernel(1.0 - x)
}

//! e^x and e^x - 1: reduction by multiples of ln 2 and a polynomial on [-ln 2 / 2, ln 2 / 2].

use super::{ROUND_MAGIC, nan_if, pow2};
use crate::coefficients::{EXPM1_TAIL, INV_LN2, LN2_HI, LN2_LO};
use crate::dd::{fast_two_sum, two_sum};
use crate::poly::poly10;

/// `x = k ln 2 + r + tail`, and `q = e^(r + tail) - 1 - r`.
struct Reduced {
    k: f64,
    r: f64,
    q: f64,
}

/// Reduces `x + x_lo`, `|x| <= 800`, `|x_lo|` far below `|x|`.
#[inline(always)]
fn reduce(x: f64, x_lo: f64) -> Reduced {
    let k = (x * INV_LN2 + ROUND_MAGIC) - ROUND_MAGIC;
    let (r, tail) = fast_two_sum(x - k * LN2_HI, x_lo - k * LN2_LO);
    let q = (r * r) * (0.5 + r * poly10(r, &EXPM1_TAIL)) + (tail + tail * r);
    Reduced { k, r, q }
}

/// `(k, h, l)` with `e^(x + x_lo) = 2^k (h + l)`, `h` in [0.7, 1.42], `|l|` below 0.07.
///
/// Relative error below 2^-55; `|x| <= 800`.
#[inline(always)]
pub(crate) fn exp_parts(x: f64, x_lo: f64) -> (f64, f64, f64) {
    let Reduced { k, r, q } = reduce(x, x_lo);
    let (h, l) = fast_two_sum(1.0, r);
    (k, h, l + q)
}

/// `v * 2^k` with one rounding, for `|k| <= 2044`.
#[inline(always)]
pub(crate) fn scale(v: f64, k: f64) -> f64 {
    let half = (k * 0.5 + ROUND_MAGIC) - ROUND_MAGIC;
    v * pow2(half) * pow2(k - half)
}

/// `x` held to [lo, hi]; NaN stays NaN.
#[inline(always)]
pub(super) fn clamp(x: f64, lo: f64, hi: f64) -> f64 {
    let x = if x > hi { hi } else { x };
    if x < lo { lo } else { x }
}

/// e^x.
#[inline(always)]
pub(crate) fn exp_kernel(x: f64) -> f64 {
    let (k, h, l) = exp_parts(clamp(x, -750.0, 711.0), 0.0);
    nan_if(x.is_nan(), scale(h + l, k))
}

/// e^x - 1.
///
/// Works on half the result, `2^(k-1) e^r - 1/2`, because 2^1024 is no double.
#[inline(always)]
pub(crate) fn expm1_kernel(x: f64) -> f64 {
    let Reduced { k, r, q } = reduce(clamp(x, -50.0, 709.9), 0.0);
    let t = pow2(k - 1.0);
    let (base, base_lo) = two_sum(t, -0.5);
    let (hi, lo) = two_sum(base, t * r);
    let half = hi + (lo + (t * q + base_lo));
    let tiny = x.abs() < 5.0e-17;
    nan_if(x.is_nan(), if tiny { x } else { half * 2.0 })
}

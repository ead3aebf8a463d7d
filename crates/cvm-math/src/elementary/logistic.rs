//! ln(e^x + e^y), 1/(1 + e^-x) and ln(1 + e^x): the exponential is carried as a pair of doubles throughout.

use super::exp::clamp;
use super::{exp_parts, log1p_parts, nan_if, scale};
use crate::dd::{fast_two_sum, two_prod, two_sum};

/// e^(d + d_lo) as a pair, for `d <= 0`; zero below -800.
#[inline(always)]
fn exp_pair(d: f64, d_lo: f64) -> (f64, f64) {
    let clamped = clamp(d, -800.0, 0.0);
    let (k, h, l) = exp_parts(clamped, if d > -800.0 { d_lo } else { 0.0 });
    let (hi, lo) = fast_two_sum(h, l);
    (scale(hi, k), scale(lo, k))
}

/// ln(e^x + e^y).
#[inline(always)]
pub(crate) fn log_add_exp_kernel(x: f64, y: f64) -> f64 {
    let (top, low) = if x > y { (x, y) } else { (y, x) };
    let (d, d_lo) = two_sum(low, -top);
    let d = if x == y { 0.0 } else { d };
    let d_lo = if x == y { 0.0 } else { d_lo };
    let (e, e_lo) = exp_pair(d, d_lo);
    let (l, l_lo) = log1p_parts(e, e_lo);
    let (sum, sum_lo) = two_sum(top, l);
    let value = if top.abs() == f64::INFINITY {
        top
    } else {
        sum + (sum_lo + l_lo)
    };
    nan_if(x.is_nan() || y.is_nan(), value)
}

/// ln(1 + e^x).
#[inline(always)]
pub(crate) fn softplus_kernel(x: f64) -> f64 {
    log_add_exp_kernel(x, 0.0)
}

/// 1 / (1 + e^-x).
///
/// With `e = e^-|x|` it is `1 / (1 + e)` or `e / (1 + e)`; one correction step makes the
/// quotient of the two pairs right to about half an ulp.
#[inline(always)]
pub(crate) fn sigmoid_kernel(x: f64) -> f64 {
    let (e, e_lo) = exp_pair(-x.abs(), 0.0);
    let (top, top_lo) = if x >= 0.0 { (1.0, 0.0) } else { (e, e_lo) };
    let (bottom, rounding) = fast_two_sum(1.0, e);
    let q = top / bottom;
    let (p, p_lo) = two_prod(q, bottom);
    let rest = ((top - p) - p_lo) + (top_lo - q * (rounding + e_lo));
    nan_if(x.is_nan(), q + rest / bottom)
}

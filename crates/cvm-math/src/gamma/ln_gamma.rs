//! ln Γ(x).
//!
//! ```text
//! x >= 8         (x - 1/2) (ln x - 1) + (ln 2π - 1)/2 + S(1/x²)/x
//! [3/2, 8)       t G(t) + ln((x-1)(x-2)…(x-n)),  t = x - 2 - n in [-1/2, 1/2)
//! [1/2, 3/2)     t G(t) - ln(1 + t),             t = x - 1
//! (0, 1/2)       t G(t) - ln x - ln(1 + x),      t = x
//! x < 0          ln π - ln|x sin πx| - ln Γ(-x)
//! ```
//! with `t G(t) = ln Γ(2 + t)`, so that nothing cancels at the zeros 1 and 2.
//!
//! Source: Abramowitz & Stegun (1964), 6.1.15, 6.1.17, 6.1.40.

use super::FAR;
use super::reflection::{is_pole, sin_pi};
use crate::coefficients::{
    HALF_LN_TWO_PI, LN_GAMMA_STIRLING, LN_GAMMA_TWO, LN_PI, ONE_MINUS_EULER,
};
use crate::dd::{fast_two_sum, two_prod, two_sum};
use crate::elementary::{ln_kernel, ln_parts_of, nan_if};
use crate::poly::{poly8, poly18};

/// From about here on the value is not a double, and its parts would make a NaN.
const HUGE: f64 = 2.5e305;

/// ln Γ(x) less Stirling's leading terms, `x >= 8`: about 1/(12 x).
#[inline(always)]
pub(crate) fn stirling_correction(x: f64) -> f64 {
    let inverse = 1.0 / x;
    inverse * poly8(inverse * inverse, &LN_GAMMA_STIRLING)
}

/// ln Γ(x) for `x >= 8`, given ln x as a pair.
#[inline(always)]
fn far(x: f64, ln_x: (f64, f64)) -> (f64, f64) {
    let (l, l_lo) = two_sum(ln_x.0, -1.0);
    let (p, p_lo) = two_prod(x - 0.5, l);
    // Beyond 1e290 the splitting of the product would overflow.
    let p_lo = if x < 1.0e290 { p_lo } else { 0.0 };
    let constant = (HALF_LN_TWO_PI.0 - 0.5) + HALF_LN_TWO_PI.1;
    let (hi, lo) = fast_two_sum(p, constant);
    (
        hi,
        lo + (p_lo + ((x - 0.5) * (l_lo + ln_x.1) + stirling_correction(x))),
    )
}

/// ln Γ(2 + t), `|t| <= 1/2`, as a pair.
#[inline(always)]
pub(super) fn near_two(t: f64) -> (f64, f64) {
    let (p, p_lo) = two_prod(t, ONE_MINUS_EULER.0);
    (
        p,
        p_lo + t * (ONE_MINUS_EULER.1 + t * poly18(t, &LN_GAMMA_TWO)),
    )
}

/// How `x` below 8 is brought near 2: `ln Γ(x) = ln Γ(2 + t) ± ln q`.
struct Shift {
    t: f64,
    q: f64,
    q_lo: f64,
    sign: f64,
}

/// `(x-1)(x-2)…(x-n)` for `x` in [5/2, 8), else 1, and `x - 2 - n`.
///
/// The factors are exact. `EXACT` also follows the rounding errors of the product.
#[inline(always)]
fn falling<const EXACT: bool>(x: f64) -> (f64, f64, f64) {
    let (mut q, mut q_lo, mut t) = (1.0, 0.0, x - 2.0);
    for k in 0..6 {
        let k = f64::from(k) + 1.0;
        let above = x >= k + 1.5;
        let factor = if above { x - k } else { 1.0 };
        let (product, rounding) = if EXACT {
            two_prod(q, factor)
        } else {
            (q * factor, 0.0)
        };
        q_lo = q_lo * factor + rounding;
        q = product;
        t = if above { x - (k + 2.0) } else { t };
    }
    (t, q, q_lo)
}

/// The shift for `x` in (0, 8).
#[inline(always)]
fn shift<const EXACT: bool>(x: f64) -> Shift {
    let (t, q, q_lo) = falling::<EXACT>(x);
    let low = x < 0.5;
    let middle = x < 1.5;
    let (next, next_lo) = two_sum(x, 1.0);
    let (product, product_lo) = two_prod(x, next);
    let product_lo = product_lo + x * next_lo;
    Shift {
        t: if low {
            x
        } else if middle {
            x - 1.0
        } else {
            t
        },
        q: if low {
            product
        } else if middle {
            x
        } else {
            q
        },
        q_lo: if low {
            product_lo
        } else if middle {
            0.0
        } else {
            q_lo
        },
        sign: if middle { -1.0 } else { 1.0 },
    }
}

/// ln Γ(x) for `x` in (0, 8), given ln q as a pair.
#[inline(always)]
fn near(shift: &Shift, ln_q: (f64, f64)) -> (f64, f64) {
    let (g, g_lo) = near_two(shift.t);
    let (hi, lo) = two_sum(g, shift.sign * ln_q.0);
    (hi, lo + (g_lo + shift.sign * ln_q.1))
}

/// ln Γ(x) as `hi + lo` for positive finite `x`; `EXACT` takes the error from about 2 ulp to
/// about 1/10.
#[inline(always)]
pub(crate) fn ln_gamma_parts<const EXACT: bool>(x: f64) -> (f64, f64) {
    let is_far = x >= FAR;
    let shift = shift::<EXACT>(if is_far { 2.0 } else { x });
    let argument = if is_far { x } else { shift.q };
    let ln = ln_parts_of(argument, if is_far { 0.0 } else { shift.q_lo });
    let at_far = far(if is_far { x } else { FAR }, ln);
    let at_near = near(&shift, ln);
    (
        if is_far { at_far.0 } else { at_near.0 },
        if is_far { at_far.1 } else { at_near.1 },
    )
}

/// ln Γ(x) for `x > 0` and NaN; other arguments are left to [`ln_gamma`].
#[inline(always)]
pub(crate) fn ln_gamma_kernel(x: f64) -> f64 {
    let (hi, lo) = ln_gamma_parts::<false>(x);
    let value = if x >= HUGE {
        (x - 0.5) * (ln_kernel(x) - 1.0)
    } else {
        hi + lo
    };
    nan_if(x.is_nan(), value)
}

/// [`ln_gamma_parts`] by the same operations, less those of the region where `x` is not.
fn one_region(x: f64) -> (f64, f64) {
    if x >= FAR {
        return far(x, ln_parts_of(x, 0.0));
    }
    let shift = shift::<false>(x);
    near(&shift, ln_parts_of(shift.q, shift.q_lo))
}

/// ln|Γ(x)| for every `x`.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    if x > 0.0 && x < HUGE {
        let (hi, lo) = one_region(x);
        return hi + lo;
    }
    if x > 0.0 || x.is_nan() {
        return ln_gamma_kernel(x);
    }
    if is_pole(x) {
        return f64::INFINITY;
    }
    if x > -1.0e-300 {
        return -ln_kernel(-x);
    }
    let size = -x;
    let sine = ln_kernel((size * sin_pi(size)).abs());
    (LN_PI.0 - sine) - ln_gamma_kernel(size)
}

/// `(ln|Γ(x)|, sign of Γ(x))`; at a pole `(+inf, 1)`.
pub(crate) fn ln_gamma_sign(x: f64) -> (f64, f64) {
    let odd = (0.5 * x.floor()).floor() != 0.5 * x.floor();
    let negative = x < 0.0 && !is_pole(x) && odd;
    (ln_gamma(x), if negative { -1.0 } else { 1.0 })
}

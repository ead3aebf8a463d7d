//! x^y as e^(y ln x), with the logarithm to 67 bits and the product in a pair of doubles.

use super::exp::clamp;
use super::log::mantissa;
use super::{exp_parts, nan_if, scale};
use crate::coefficients::{ATANH_DEEP_TAIL, LN2_HI, LN2_LO, ONE_FIFTH, ONE_THIRD};
use crate::dd::{Dd, fast_two_sum, two_prod, two_sum};
use crate::poly::poly9;

/// ln x to about 67 bits, for positive finite `x`.
///
/// `ln m = 2 s (1 + z/3 + z^2/5 + z^3 Q(z))` with `s = (m - 1)/(m + 1)`, `z = s^2`; the first
/// three terms in double-double arithmetic.
#[inline(always)]
fn ln_dd(x: f64) -> Dd {
    let (k, m) = mantissa(x);
    let f = m - 1.0;
    let s = Dd { hi: f, lo: 0.0 }.div(Dd::new(fast_two_sum(2.0, f)));
    let z = s.mul(s);
    let tail = Dd::new(ONE_FIFTH).add_f64(z.hi * poly9(z.hi, &ATANH_DEEP_TAIL));
    let series = z.mul(Dd::new(ONE_THIRD).add(z.mul(tail)));
    let two_s = Dd {
        hi: 2.0 * s.hi,
        lo: 2.0 * s.lo,
    };
    let mantissa_part = two_s.add(two_s.mul(series));
    Dd::new(two_sum(k * LN2_HI, k * LN2_LO)).add(mantissa_part)
}

/// Whether `y` is an integer; infinities are.
#[inline(always)]
fn is_integer(y: f64) -> bool {
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let size = y.abs();
    size >= TWO_52 || (size + TWO_52) - TWO_52 == size
}

/// x^y for the size of `x`.
#[inline(always)]
fn pow_of_size(size: f64, y: f64) -> f64 {
    // Beyond 2^70 the answer is 0, 1 or infinity whatever the exponent's size.
    let y_held = clamp(y, -1.2e21, 1.2e21);
    let ln_x = ln_dd(size);
    let (p, p_lo) = two_prod(y_held, ln_x.hi);
    let p_lo = p_lo + y_held * ln_x.lo;
    let inside = p.abs() < 800.0;
    let (k, h, l) = exp_parts(clamp(p, -800.0, 800.0), if inside { p_lo } else { 0.0 });
    let value = scale(h + l, k);
    let (at_zero, at_infinity) = if y > 0.0 {
        (0.0, f64::INFINITY)
    } else {
        (f64::INFINITY, 0.0)
    };
    let value = if size == 0.0 { at_zero } else { value };
    if size == f64::INFINITY {
        at_infinity
    } else {
        value
    }
}

/// x^y with the special values of IEEE 754 `pow`.
#[inline(always)]
pub(crate) fn pow_kernel(x: f64, y: f64) -> f64 {
    let value = pow_of_size(x.abs(), y);
    let integer = is_integer(y);
    let odd = integer && !is_integer(0.5 * y);
    let negative = x.to_bits() >> 63 == 1;
    let value = if negative && odd { -value } else { value };
    let undefined = (x < 0.0 && x > f64::NEG_INFINITY && !integer) || x.is_nan() || y.is_nan();
    let value = nan_if(undefined, value);
    if y == 0.0 || x == 1.0 { 1.0 } else { value }
}

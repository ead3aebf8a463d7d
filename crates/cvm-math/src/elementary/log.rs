//! ln x and ln(1 + x): exponent and mantissa apart, then the series of atanh on the mantissa.

use super::{nan_if, pow2};
use crate::coefficients::{ATANH_TAIL, LN2_HI, LN2_LO};
use crate::dd::{fast_two_sum, two_sum};
use crate::poly::poly8;

/// Bits of sqrt(1/2), the lower end of the mantissa's interval, cut to 32 bits.
const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_0000_0000;
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
const MANTISSA_MASK: u64 = 0x000f_ffff_ffff_ffff;

/// `(k, m)` with `x = 2^k m`, `m` in [sqrt(1/2), sqrt 2), for positive finite `x`, subnormal included.
#[inline(always)]
pub(crate) fn mantissa(x: f64) -> (f64, f64) {
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    let subnormal = x < f64::MIN_POSITIVE;
    let scaled = if subnormal { x * TWO_54 } else { x };
    let bias = if subnormal { 1077.0 } else { 1023.0 };
    let shifted = scaled.to_bits().wrapping_add(ONE_BITS - SQRT_HALF_BITS);
    let m = f64::from_bits((shifted & MANTISSA_MASK) + SQRT_HALF_BITS);
    (integer(shifted >> 52) - bias, m)
}

/// An integer below 2^52 as a double, by bit operations that every SIMD width has.
#[inline(always)]
fn integer(n: u64) -> f64 {
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    f64::from_bits(n | TWO_52.to_bits()) - TWO_52
}

/// `k ln 2 + ln(1 + f + f_lo)` as `hi + lo`; relative error below 2^-55.
///
/// `1 + f` in [sqrt(1/2), sqrt 2], `|f_lo|` at most about an ulp. With `s = f / (2 + f)`:
/// `ln(1 + f) = f - f^2/2 + s (f^2/2 + s^2 T(s^2))`, where f^2/2 is taken in two pieces.
#[inline(always)]
pub(crate) fn ln_core(k: f64, f: f64, f_lo: f64) -> (f64, f64) {
    let s = f / (2.0 + f);
    let z = s * s;
    let f_head = f64::from_bits(f.to_bits() & 0xffff_ffff_f800_0000);
    let square_hi = 0.5 * f_head * f_head;
    let square_lo = 0.5 * (f + f_head) * (f - f_head);
    let series = s * ((square_hi + square_lo) + z * poly8(z, &ATANH_TAIL));
    let (sum, sum_lo) = fast_two_sum(k * LN2_HI, f);
    let (hi, hi_lo) = fast_two_sum(sum, -square_hi);
    let small = (k * LN2_LO + f_lo * (1.0 - f * (1.0 - f))) + (series - square_lo);
    (hi, small + (sum_lo + hi_lo))
}

/// ln x as `hi + lo` for positive finite `x`.
#[inline(always)]
pub(crate) fn ln_parts(x: f64) -> (f64, f64) {
    let (k, m) = mantissa(x);
    ln_core(k, m - 1.0, 0.0)
}

/// ln(x + x_lo) as `hi + lo` for positive finite `x`, `|x_lo|` at most about an ulp of `x`.
#[inline(always)]
pub(crate) fn ln_parts_of(x: f64, x_lo: f64) -> (f64, f64) {
    let (k, m) = mantissa(x);
    ln_core(k, m - 1.0, (x_lo / x) * m)
}

/// ln(1 + x + x_lo) as `hi + lo` for finite `x > -1`, `|x_lo|` at most about an ulp of `x`.
///
/// While 1 + x stays within [sqrt(1/2), sqrt 2] the argument of the series is `x` itself.
#[inline(always)]
pub(crate) fn log1p_parts(x: f64, x_lo: f64) -> (f64, f64) {
    let (u, u_lo) = two_sum(1.0, x);
    let (k, m) = mantissa(u);
    let back = pow2(if k < 64.0 { -k } else { -64.0 });
    let (f, f_lo) = fast_two_sum(m - 1.0, u_lo * back);
    ln_core(k, f, f_lo + x_lo * back)
}

/// ln x.
#[inline(always)]
pub(crate) fn ln_kernel(x: f64) -> f64 {
    let (hi, lo) = ln_parts(x);
    let value = if x == f64::INFINITY { x } else { hi + lo };
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    nan_if(x < 0.0 || x.is_nan(), value)
}

/// ln(1 + x).
#[inline(always)]
pub(crate) fn log1p_kernel(x: f64) -> f64 {
    let (hi, lo) = log1p_parts(x, 0.0);
    let value = if x == f64::INFINITY || x == 0.0 {
        x
    } else {
        hi + lo
    };
    let value = if x == -1.0 { f64::NEG_INFINITY } else { value };
    nan_if(x < -1.0 || x.is_nan(), value)
}

//! Exponentials with the bits of other libraries', for models whose answers have to be theirs.
//!
//! A model of another library ends in a probability, and that library's `exp` rounds in its own
//! way. These repeat the algorithms: reductions, tables, polynomials and the order of operations,
//! so that not only raw scores but answers too are equal in every bit.
//!
//! glibc's sums are of fused multiply-adds on every x86-64 processor of the last decade and on
//! aarch64; a library on an older processor has other bits than these. IEEE 754 leaves a fused
//! multiply-add one right answer, so here too the bits do not depend on the processor.
#![allow(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "the algorithms are defined by it, see above"
)]

mod powers;

use crate::dd::Dd;
use crate::elementary::{ROUND_MAGIC, nan_if, pow2};
use powers::{FINE_POWERS, POWERS};

/// Whether the processor multiplies and adds at once.
#[cfg(target_arch = "x86_64")]
fn is_fused() -> bool {
    std::is_x86_feature_detected!("fma")
}

/// A function and the same compiled for processors with fused multiply-adds.
macro_rules! fused {
    ($name:ident, $body:ident, $ty:ty) => {
        fn $name(x: $ty) -> $ty {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "fma")]
                fn quick(x: $ty) -> $ty {
                    $body(x)
                }
                if is_fused() {
                    // SAFETY: the processor has the feature.
                    return unsafe { quick(x) };
                }
            }
            $body(x)
        }
    };
}

fused!(exp_f64, exp_f64_body, f64);
fused!(exp_f32, exp_f32_body, f32);

/// e^x with the bits of glibc 2.28 and later (`exp` of Python's `math`, of LightGBM, of CatBoost for
/// two classes, of scipy's `expit`), up to 0.511 ulp.
///
/// Reduces by multiples of ln 2/128 and takes a polynomial of degree 5: the algorithm of Arm's
/// optimized routines, `exp.c`.
///
/// ```
/// assert_eq!(cvm_math::libraries::glibc_exp(0.0), 1.0);
/// assert_eq!(cvm_math::libraries::glibc_exp(f64::NEG_INFINITY), 0.0);
/// ```
#[must_use]
pub fn glibc_exp(x: f64) -> f64 {
    match x {
        x if x.is_nan() => f64::NAN,
        x if x >= 1024.0 => f64::INFINITY,
        x if x <= -1024.0 => 0.0,
        x => exp_f64(x),
    }
}

#[inline(always)]
fn exp_f64_body(x: f64) -> f64 {
    const INVERSE: f64 = 128.0 * f64::from_bits(0x3ff7_1547_652b_82fe);
    const MINUS_LN2_HI: f64 = f64::from_bits(0xbf76_2e42_fefa_0000);
    const MINUS_LN2_LO: f64 = f64::from_bits(0xbd0c_f79a_bc9e_3b39);
    const C2: f64 = f64::from_bits(0x3fdf_ffff_ffff_fdbd);
    const C3: f64 = f64::from_bits(0x3fc5_5555_5555_543c);
    const C4: f64 = f64::from_bits(0x3fa5_5555_cf17_2b91);
    const C5: f64 = f64::from_bits(0x3f81_1111_67a4_d017);
    let shifted = INVERSE * x + ROUND_MAGIC;
    let k = shifted - ROUND_MAGIC;
    let r = k.mul_add(MINUS_LN2_LO, k.mul_add(MINUS_LN2_HI, x));
    let count = shifted.to_bits();
    let (power, tail) = POWERS[(count % 128) as usize];
    let low = r.mul_add(C3, C2);
    let high = r.mul_add(C5, C4);
    let squared = r * r;
    let sum = squared.mul_add(low, f64::from_bits(tail) + r);
    let sum = (squared * squared).mul_add(high, sum);
    let bits = power.wrapping_add((count >> 7) << 52);
    if x.abs() < 512.0 {
        let scale = f64::from_bits(bits);
        return sum.mul_add(scale, scale);
    }
    if x > 0.0 {
        let scale = f64::from_bits(bits.wrapping_sub(1009 << 52));
        return sum.mul_add(scale, scale) * pow2(1009.0);
    }
    let scale = f64::from_bits(bits.wrapping_add(1022 << 52));
    subnormal(scale, sum) * pow2(-1022.0)
}

/// `scale + scale · sum`, rounded to the digits that are left of it below the normal doubles.
#[inline(always)]
fn subnormal(scale: f64, sum: f64) -> f64 {
    let y = sum.mul_add(scale, scale);
    if y >= 1.0 {
        return y;
    }
    let low = sum.mul_add(scale, scale - y);
    let high = 1.0 + y;
    let low = 1.0 - high + y + low;
    (high + low) - 1.0
}

/// e^x with the bits of glibc's `expf` (XGBoost's `exp`), up to 0.502 ulp of 32 bits.
///
/// Reduces by multiples of ln 2/32 and takes a polynomial of degree 3 in doubles: Arm's optimized
/// routines, `expf.c`.
///
/// ```
/// assert_eq!(cvm_math::libraries::glibc_expf(1.0), std::f32::consts::E);
/// ```
#[must_use]
pub fn glibc_expf(x: f32) -> f32 {
    match x {
        x if x.is_nan() => f32::NAN,
        x if x > 88.75 => f32::INFINITY,
        x if x < -104.0 => 0.0,
        x => exp_f32(x),
    }
}

#[inline(always)]
fn exp_f32_body(x: f32) -> f32 {
    const INVERSE: f64 = 32.0 * f64::from_bits(0x3ff7_1547_652b_82fe);
    const C0: f64 = f64::from_bits(0x3fac_6af8_4b91_2394) / 32_768.0;
    const C1: f64 = f64::from_bits(0x3fce_bfce_50fa_c4f3) / 1024.0;
    const C2: f64 = f64::from_bits(0x3fe6_2e42_ff0c_52d6) / 32.0;
    let z = INVERSE * f64::from(x);
    let shifted = z + ROUND_MAGIC;
    let r = z - (shifted - ROUND_MAGIC);
    let count = shifted.to_bits();
    let power = POWERS[4 * (count % 32) as usize].0;
    let scale = f64::from_bits(power.wrapping_add((count >> 5) << 52));
    let high = r.mul_add(C0, C1);
    let sum = high.mul_add(r * r, r.mul_add(C2, 1.0));
    (sum * scale) as f32
}

/// 2^(k/2048) rounded right, for `k` below 2048.
fn fine_power(k: usize) -> f64 {
    let exactly = |(power, tail): (u64, u64)| {
        let power = f64::from_bits(power);
        Dd::sum(power, power * f64::from_bits(tail))
    };
    let power = exactly(POWERS[k / 16]).mul(exactly(FINE_POWERS[k % 16]));
    power.value()
}

/// e^x with the bits of CatBoost's shares of three classes and more: relative error up to
/// 9e-16 + 2e-16 |x|.
///
/// Reduces by multiples of ln 2/2048 and takes a polynomial of degree 3: the algorithm of `expd` of
/// the library fmath.
///
/// ```
/// assert_eq!(cvm_math::libraries::fmath_exp(0.0), 1.0);
/// assert!((cvm_math::libraries::fmath_exp(1.0) - cvm_math::exp(1.0)).abs() < 1e-15);
/// ```
#[must_use]
pub fn fmath_exp(x: f64) -> f64 {
    const STEPS: f64 = 2048.0;
    const SCALE: f64 = STEPS / std::f64::consts::LN_2;
    const SIXTH: f64 = 0.166_666_666_852_278_35;
    const THREE: f64 = 3.000_000_002_795_539_4;
    const LEAST: f64 = -708.396_418_532_264_1;
    const MOST: f64 = 709.782_712_893_384;
    if x.is_nan() {
        return f64::NAN;
    }
    if x <= LEAST {
        return 0.0;
    }
    if x >= MOST {
        return f64::INFINITY;
    }
    let shifted = x * SCALE + ROUND_MAGIC;
    let t = (shifted - ROUND_MAGIC) * (1.0 / SCALE) - x;
    let count = shifted.to_bits();
    let fraction = fine_power((count % 2048) as usize).to_bits();
    let power = f64::from_bits(fraction.wrapping_add((count >> 11) << 52));
    ((THREE - t) * (t * t) * SIXTH - t + 1.0) * power
}

/// e^x with the bits of InterpretML's, up to 1 ulp; 0 below -708.25 and infinite above 708.25.
///
/// Reduces by multiples of ln 2 in two parts and sums the Taylor series to the 13th power in the
/// order of Agner Fog's vector class library, `exp_d`.
///
/// ```
/// assert_eq!(cvm_math::libraries::interpret_exp(0.0), 1.0);
/// assert_eq!(cvm_math::libraries::interpret_exp(709.0), f64::INFINITY);
/// ```
#[must_use]
pub fn interpret_exp(x: f64) -> f64 {
    const LIMIT: f64 = 708.25;
    const LN2_HI: f64 = 0.693_145_751_953_125;
    const LN2_LO: f64 = 1.428_606_820_309_417_2e-6;
    if x > LIMIT {
        return f64::INFINITY;
    }
    if x < -LIMIT {
        return 0.0;
    }
    let k = (x * std::f64::consts::LOG2_E + ROUND_MAGIC) - ROUND_MAGIC;
    let r = x - k * LN2_HI - k * LN2_LO;
    nan_if(x.is_nan(), (taylor(r) + 1.0) * pow2(k))
}

/// e^r - 1 for small r.
#[inline(always)]
fn taylor(r: f64) -> f64 {
    let (r2, over) = (r * r, |factorial: f64| 1.0 / factorial);
    let (r4, pair) = (r2 * r2, |high: f64, low: f64| over(high) * r + over(low));
    let r8 = r4 * r4;
    let first = (over(6.0) * r + 0.5) * r2 + r;
    let second = pair(5_040.0, 720.0) * r2 + pair(120.0, 24.0);
    let third = pair(39_916_800.0, 3_628_800.0) * r2 + pair(362_880.0, 40_320.0);
    let fourth = pair(6_227_020_800.0, 479_001_600.0) * r4 + third;
    fourth * r8 + (second * r4 + first)
}

//! Elementary functions as branch-free kernels of IEEE operations, the same in scalar and SIMD code.

mod exp;
mod log;
mod logistic;
mod pow;

pub(crate) use exp::{exp_kernel, exp_parts, expm1_kernel, scale};
pub(crate) use log::{ln_kernel, ln_parts, ln_parts_of, log1p_kernel, log1p_parts};
pub(crate) use logistic::{log_add_exp_kernel, sigmoid_kernel, softplus_kernel};
pub(crate) use pow::pow_kernel;

/// Adding and subtracting it rounds a double below 2^51 in size to an integer.
pub(crate) const ROUND_MAGIC: f64 = 6_755_399_441_055_744.0;

/// 2^k for an integral `k` in [-1022, 1023].
#[inline(always)]
pub(crate) fn pow2(k: f64) -> f64 {
    const MANTISSA_BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;
    f64::from_bits((k + MANTISSA_BIAS).to_bits() << 52)
}

/// Every NaN the crate returns has these bits, so that SIMD and scalar code agree in them too.
#[inline(always)]
pub(crate) fn nan_if(condition: bool, value: f64) -> f64 {
    if condition { f64::NAN } else { value }
}

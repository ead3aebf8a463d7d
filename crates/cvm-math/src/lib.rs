//! Deterministic numerics without a domain: elementary, gamma and hypergeometric functions, sums, quadrature.
//!
//! The same argument gives the same bits on every machine, in every build, in the scalar call and
//! in the slice functions at every SIMD width. Nothing is used but IEEE addition, subtraction,
//! multiplication, division, comparison and bit operations; no libm, and no fused multiply-add but
//! in [`libraries`], whose functions are those of others.
//! Every NaN returned is the one NaN [`f64::NAN`].
//!
//! # Accuracy
//!
//! Largest errors against references of 60 digits (`tests/data`, 39 463 points in all; the first
//! column of numbers is what the tests assert, the second what they measure):
//!
//! | function                      | promised                      | measured |
//! |-------------------------------|-------------------------------|----------|
//! | [`ln`], [`exp`], [`log1p`]    | 1 ulp                         | 0.56     |
//! | [`expm1`]                     | 1 ulp                         | 0.63     |
//! | [`pow`], also at overflow     | 1 ulp                         | 0.76     |
//! | [`sigmoid`], [`softplus`]     | 1 ulp                         | 0.56     |
//! | [`log_add_exp`]               | 1 ulp; absolute 1e-16 where the result is below 2 % of an argument | 0.50 |
//! | [`ln_gamma`], `x > 0`         | 4 ulp, also at the zeros      | 1.5      |
//! | [`digamma`], `x > 0`          | 4 ulp; absolute 1e-16 where its size is below 0.1 | 2.7 |
//! | [`trigamma`], `x > 0`         | 4 ulp                         | 2.1      |
//! | [`ln_beta`]                   | 4 ulp; absolute 1e-16 where its size is below 0.1; 8 ulp beyond 1e290 | 0.8 |
//! | [`hyp2f1`], [`ln_hyp2f1`]     | relative 1e-12                | 1.2e-13  |
//! | [`gamma_p`], [`gamma_q`] (where above 1e-300) | relative 2e-13 | 1.1e-13 |
//! | [`ln_gamma_q`]                | 2e-14, relative where its size is above 1 | 7.8e-15 |
//! | [`ln_gamma_median`]           | 2e-14, relative where its size is above 1 | 3.1e-15  |
//!
//! On the negative axis the gamma family is right to 2e-15 of the larger of its values at `x` and
//! `-x`.
//!
//! # Speed
//!
//! `cargo bench -p cvm-math` prints nanoseconds per call beside `std` and the `libm` crate.
//! The slice functions choose their width once per process: see [`dispatch`].

mod beta;
mod coefficients;
mod dd;
pub mod dispatch;
mod elementary;
mod gamma;
mod gamma_median;
pub mod gauss_jacobi;
mod hyp2f1;
pub mod libraries;
mod poly;
pub mod polynomial;
pub mod quadrature;
pub mod slice;
pub mod sums;
pub mod tanh_sinh;

/// Number of the arithmetic of this build: of this crate's functions and of every model on them.
///
/// Raised by one whenever a change to any of them changes any bit of any result, on purpose or not;
/// a model file says under which number its probe scores were computed, and files of a lower number
/// are held to closeness instead of to every bit. `tests/arithmetic.rs` pins the bits of this
/// crate's functions for each number, `tests/golden` of the repository those of the models.
pub const ARITHMETIC: u32 = 4;

/// Natural logarithm of `x`.
///
/// `ln(±0) = -inf`, `ln(inf) = inf`; NaN for `x < 0`.
///
/// ```
/// assert_eq!(cvm_math::ln(1.0), 0.0);
/// assert!(cvm_math::ln(-1.0).is_nan());
/// ```
pub fn ln(x: f64) -> f64 {
    elementary::ln_kernel(x)
}

/// e^x.
///
/// `exp(-inf) = 0`, `exp(inf) = inf`; overflows above 709.78…, subnormal below -708.39….
///
/// ```
/// assert_eq!(cvm_math::exp(0.0), 1.0);
/// ```
pub fn exp(x: f64) -> f64 {
    elementary::exp_kernel(x)
}

/// ln(1 + x), exact to the last digits for small `x`.
///
/// `log1p(-1) = -inf`, `log1p(±0) = ±0`; NaN for `x < -1`.
pub fn log1p(x: f64) -> f64 {
    elementary::log1p_kernel(x)
}

/// e^x - 1, exact to the last digits for small `x`.
///
/// `expm1(-inf) = -1`, `expm1(±0) = ±0`.
pub fn expm1(x: f64) -> f64 {
    elementary::expm1_kernel(x)
}

/// x^y, with the special values of IEEE 754: `pow(x, 0) = pow(1, y) = 1` even for NaN.
///
/// Negative `x` to an integral `y` has its sign, to any other finite `y` is NaN.
///
/// ```
/// assert_eq!(cvm_math::pow(-2.0, 3.0), -8.0);
/// ```
pub fn pow(x: f64, y: f64) -> f64 {
    elementary::pow_kernel(x, y)
}

/// ln(e^x + e^y), without overflow and without loss where the two nearly cancel to 0.
///
/// -inf stands for a term that is absent. NaN if either is NaN.
///
/// ```
/// assert_eq!(cvm_math::log_add_exp(-3.5, f64::NEG_INFINITY), -3.5);
/// ```
pub fn log_add_exp(x: f64, y: f64) -> f64 {
    elementary::log_add_exp_kernel(x, y)
}

/// 1 / (1 + e^-x), the logistic function; keeps its relative accuracy down to the subnormals.
///
/// ```
/// assert_eq!(cvm_math::sigmoid(0.0), 0.5);
/// ```
pub fn sigmoid(x: f64) -> f64 {
    elementary::sigmoid_kernel(x)
}

/// ln(1 + e^x), the integral of [`sigmoid`].
pub fn softplus(x: f64) -> f64 {
    elementary::softplus_kernel(x)
}

/// ln|Γ(x)|.
///
/// `+inf` at the poles 0, -1, -2, … and at ±inf. Between the poles the logarithm of the
/// absolute value; its sign is in [`ln_gamma_sign`].
///
/// ```
/// assert_eq!(cvm_math::ln_gamma(2.0), 0.0);
/// assert_eq!(cvm_math::ln_gamma(-3.0), f64::INFINITY);
/// ```
pub fn ln_gamma(x: f64) -> f64 {
    gamma::ln_gamma(x)
}

/// ln|Γ(x)| and the sign of Γ(x), 1 or -1; at a pole `(inf, 1)`.
///
/// ```
/// assert_eq!(cvm_math::ln_gamma_sign(-0.5).1, -1.0);
/// ```
pub fn ln_gamma_sign(x: f64) -> (f64, f64) {
    gamma::ln_gamma_sign(x)
}

/// ψ(x) = d/dx ln Γ(x).
///
/// -inf at +0, +inf at -0, NaN at the negative integers and at -inf.
pub fn digamma(x: f64) -> f64 {
    gamma::digamma(x)
}

/// ψ′(x) = d²/dx² ln Γ(x).
///
/// +inf at 0 and the negative integers; NaN at -inf.
pub fn trigamma(x: f64) -> f64 {
    gamma::trigamma(x)
}

/// Q(a, x) = Γ(a, x)/Γ(a), the regularised upper incomplete gamma function: the upper tail of a
/// gamma distribution of shape `a`. NaN unless `0 < a <= 1e9` and `x >= 0`.
///
/// ```
/// assert_eq!(cvm_math::gamma_q(1.0, 0.0), 1.0);
/// assert!((cvm_math::gamma_q(1.0, 2.0) - cvm_math::exp(-2.0)).abs() < 1e-16);
/// ```
pub fn gamma_q(a: f64, x: f64) -> f64 {
    gamma::gamma_q(a, x)
}

/// P(a, x) = 1 - Q(a, x), the regularised lower incomplete gamma function. Domain as [`gamma_q`].
pub fn gamma_p(a: f64, x: f64) -> f64 {
    gamma::gamma_p(a, x)
}

/// ln Q(a, x), also where Q is below the doubles. Domain as [`gamma_q`].
///
/// ```
/// assert!((cvm_math::ln_gamma_q(1.0, 5000.0) + 5000.0).abs() < 1e-9);
/// ```
pub fn ln_gamma_q(a: f64, x: f64) -> f64 {
    gamma::ln_gamma_q(a, x)
}

/// ln B(a, b) = ln Γ(a) + ln Γ(b) - ln Γ(a + b), without the cancellation of that form.
///
/// For `a, b >= 0`: +inf when one is 0, -inf when one is infinite, NaN for `(0, inf)`.
/// NaN for a negative argument.
///
/// ```
/// assert_eq!(cvm_math::ln_beta(1.0, 1.0), 0.0);
/// ```
pub fn ln_beta(a: f64, b: f64) -> f64 {
    beta::ln_beta(a, b)
}

/// ln Γ(a + d) - ln Γ(a), the logarithm of the rising factorial, for `a > 0`, `d >= 0`.
///
/// Loses nothing where `a` is large and `d` small. NaN outside, and for infinite `a`.
///
/// ```
/// assert!((cvm_math::ln_rising(3.0, 2.0) - cvm_math::ln(12.0)).abs() < 1e-15);
/// ```
pub fn ln_rising(a: f64, d: f64) -> f64 {
    beta::ln_rising(a, d)
}

/// Gauss' hypergeometric function 2F1(a, b; c; z) for real parameters and `z <= 1`.
///
/// At `z = 1` the limit: by Gauss' theorem where `c > a + b`, else an infinity with its sign.
/// Beyond the doubles ±inf or 0: [`ln_hyp2f1`] has no such limit.
///
/// NaN, never a wrong number, for
/// - `z > 1`, or anything not finite;
/// - `c` equal to 0, -1, -2, … (whatever `a` and `b` are);
/// - arguments at which neither the work (300 000 terms, some milliseconds) nor
///   double-double arithmetic suffices for ten digits: parameters beyond about 1e5, or both `a`
///   and `b` far above `c` at negative `z`, where F is tens of orders below its terms.
///
/// ```
/// let f = cvm_math::hyp2f1(1.0, 1.0, 2.0, 0.5); // -ln(1 - z)/z
/// assert!((f - 2.0 * cvm_math::ln(2.0)).abs() < 1e-15);
/// ```
pub fn hyp2f1(a: f64, b: f64, c: f64, z: f64) -> f64 {
    hyp2f1::hyp2f1(a, b, c, z)
}

/// `(ln|F|, sign of F)` for F = 2F1(a, b; c; z); where F is 0, `(-inf, 1)`.
///
/// `one_minus_z` is `1 - z` as the caller knows it best: where `z > 1/2` it alone is the
/// argument, so nothing is lost near `z = 1`; up to `z = 1/2` it is `z`. It must agree with `z`.
/// `(NaN, NaN)` where [`hyp2f1`] is NaN.
///
/// ```
/// // 2F1(1, 1; 1; z) = 1/(1 - z), here at 1 - z = 1e-20
/// let (ln, sign) = cvm_math::ln_hyp2f1(1.0, 1.0, 1.0, 1.0, 1e-20);
/// assert!((ln + cvm_math::ln(1e-20)).abs() < 1e-13);
/// assert_eq!(sign, 1.0);
/// ```
pub fn ln_hyp2f1(a: f64, b: f64, c: f64, z: f64, one_minus_z: f64) -> (f64, f64) {
    hyp2f1::ln_hyp2f1(a, b, c, z, one_minus_z)
}

/// ln of the median of Gamma(shape, 1), for `shape > 0`: its logarithm is a double where the median
/// of a small shape, about `2^(-1/shape)`, is not.
///
/// NaN unless `shape` is positive and finite.
///
/// ```
/// let median = cvm_math::exp(cvm_math::ln_gamma_median(1.0));
/// assert!((median - cvm_math::ln(2.0)).abs() < 1e-15);
/// ```
pub fn ln_gamma_median(shape: f64) -> f64 {
    gamma_median::ln_gamma_median(shape)
}

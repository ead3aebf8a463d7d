//! Deterministic numerics without a domain: elementary, gamma and hypergeometric functions, sums, quadrature.

mod beta;
mod coefficients;
mod dd;
pub mod dispatch;
mod elementary;
mod gamma;
mod hyp2f1;
mod poly;
pub mod slice;

/// ln x; NaN below zero, -inf at zero.
pub fn ln(x: f64) -> f64 {
    elementary::ln_kernel(x)
}

/// e^x.
pub fn exp(x: f64) -> f64 {
    elementary::exp_kernel(x)
}

/// ln(1 + x).
pub fn log1p(x: f64) -> f64 {
    elementary::log1p_kernel(x)
}

/// e^x - 1.
pub fn expm1(x: f64) -> f64 {
    elementary::expm1_kernel(x)
}

/// x^y.
pub fn pow(x: f64, y: f64) -> f64 {
    elementary::pow_kernel(x, y)
}

/// ln(e^x + e^y).
pub fn log_add_exp(x: f64, y: f64) -> f64 {
    elementary::log_add_exp_kernel(x, y)
}

/// 1/(1 + e^-x).
pub fn sigmoid(x: f64) -> f64 {
    elementary::sigmoid_kernel(x)
}

/// ln(1 + e^x).
pub fn softplus(x: f64) -> f64 {
    elementary::softplus_kernel(x)
}

/// ln|Γ(x)|.
pub fn ln_gamma(x: f64) -> f64 {
    gamma::ln_gamma(x)
}

/// ln|Γ(x)| and the sign of Γ(x).
pub fn ln_gamma_sign(x: f64) -> (f64, f64) {
    gamma::ln_gamma_sign(x)
}

/// ψ(x).
pub fn digamma(x: f64) -> f64 {
    gamma::digamma(x)
}

/// ψ′(x).
pub fn trigamma(x: f64) -> f64 {
    gamma::trigamma(x)
}

/// ln B(a, b).
pub fn ln_beta(a: f64, b: f64) -> f64 {
    beta::ln_beta(a, b)
}

/// ln Γ(a + d) - ln Γ(a).
pub fn ln_rising(a: f64, d: f64) -> f64 {
    beta::ln_rising(a, d)
}

/// Gauss 2F1(a, b; c; z).
pub fn hyp2f1(a: f64, b: f64, c: f64, z: f64) -> f64 {
    hyp2f1::hyp2f1(a, b, c, z)
}

/// (ln|2F1|, sign).
pub fn ln_hyp2f1(a: f64, b: f64, c: f64, z: f64, one_minus_z: f64) -> (f64, f64) {
    hyp2f1::ln_hyp2f1(a, b, c, z, one_minus_z)
}

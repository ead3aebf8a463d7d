//! ln Γ and its first two derivatives: polynomials near the zeros, recurrences between, asymptotic series from 8 on; the incomplete gamma functions.

mod digamma;
mod incomplete;
mod ln_gamma;
mod reflection;
mod trigamma;

pub(crate) use digamma::{digamma, digamma_kernel};
pub(crate) use incomplete::{gamma_p, gamma_q, ln_gamma_q};
pub(crate) use ln_gamma::{
    ln_gamma, ln_gamma_kernel, ln_gamma_parts, ln_gamma_sign, stirling_correction,
};
pub(crate) use trigamma::{trigamma, trigamma_kernel};

/// From here on the asymptotic series are used.
pub(crate) const FAR: f64 = 8.0;

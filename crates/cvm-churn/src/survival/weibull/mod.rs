//! Weibull regression: lifetimes whose hazard is a power of time, scaled by a customer's inputs.
//!
//! | symbol | meaning                                                   | unit    |
//! |--------|-----------------------------------------------------------|---------|
//! | `λ`    | scale: time by which `1 − 1/e` of mean customers have left | periods |
//! | `k`    | shape: above 1 the hazard rises with tenure, below it falls | 1       |
//! | `η`    | linear predictor: log hazard ratio to the mean customer   | 1       |
//!
//! ```text
//! H(t) = e^η (t/λ)^k         h(t) = (k/t) H(t)
//! ℓ    = Σ w [ δ ln h(stop) − H(stop) + H(start) ]
//! ```
//! Proportional hazards with coefficients `β` are accelerated lifetimes with `γ = −β/k`:
//! `ln t = ln λ + γz + (1/k) ln E`, `E` exponential. Source: Kalbfleisch & Prentice (2002), *The
//! Statistical Analysis of Failure Time Data*, sections 2.2.2, 2.3 and 3.6.

mod law;
mod likelihood;
mod prepare;

pub use law::Weibull;
pub use likelihood::WeibullLikelihood;
pub use prepare::{PreparedWeibull, WeibullDesign, WeibullSpec};

//! Discrete-time hazard: the chance to leave in each period of life, given still here at its start.
//!
//! | symbol | meaning                                                        | unit        |
//! |--------|----------------------------------------------------------------|-------------|
//! | `k`    | period of life, 1, 2, …                                        | periods     |
//! | `α_k`  | baseline at the mean customer                                  | logit or ln |
//! | `η`    | linear predictor of the customer                               | 1           |
//! | `h_k`  | hazard: `1/(1 + e^−(α_k+η))`, or `1 − e^−e^(α_k+η)` (cloglog)  | probability |
//! | `S(t)` | `Π_{k≤t} (1 − h_k)`                                            | probability |
//!
//! ```text
//! ℓ = Σ_rows w [ Σ_{k at risk} ln(1 − h_k)  +  left · ln( h_last / (1 − h_last) ) ]
//! ```
//! Source: Singer & Willett (1993), *Journal of Educational Statistics* 18(2), equations 4, 8 and
//! 13 (logit); Prentice & Gloeckler (1978), *Biometrics* 34(1) (cloglog: the proportional-hazards
//! model seen at whole periods).

mod baseline;
mod law;
mod likelihood;
mod prepare;

pub(crate) use law::exponential_area;
pub use law::{Hazard, Link};
pub use likelihood::HazardLikelihood;
pub use prepare::{HazardDesign, HazardSpec, PreparedHazard};

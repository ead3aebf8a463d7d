//! Cox's proportional hazards: who leaves first, without a word on when.
//!
//! | symbol   | meaning                                                        | unit   |
//! |----------|----------------------------------------------------------------|--------|
//! | `η_i`    | linear predictor of row `i`, `Σ β_k z_ik`                      | 1      |
//! | `w_i`    | weight of the row                                              | 1      |
//! | `R_j`    | rows at risk at the `j`-th distinct event time: `start < t_j ≤ stop` | rows |
//! | `D_j`    | rows that left at `t_j`; `d` their number, `w̄` their mean weight | rows |
//! | `φ_jl`   | `Σ_{R_j} w e^η − (l/d) Σ_{D_j} w e^η`, `l = 0 … d−1`            | 1      |
//!
//! ```text
//! Efron    ℓ = Σ_j [ Σ_{D_j} w η − w̄ Σ_l ln φ_jl ]        Breslow: every φ_jl is φ_j0
//! H_0(t)   = Σ_{t_j ≤ t} w̄ Σ_l 1/φ_jl
//! ```
//! Source: Cox (1972), *JRSS B* 34(2); Efron (1977), *JASA* 72, section 3 (ties); Therneau &
//! Grambsch (2000), *Modeling Survival Data*, sections 3.1 to 3.3 (weights, derivatives, intervals
//! of time).

mod checks;
mod errors;
mod law;
mod likelihood;
mod linear;
mod prepare;
mod risk;
mod strata;

pub use checks::{PhTest, PhTestLine, TimeScale};
pub use law::Cox;
pub use likelihood::CoxLikelihood;
pub use prepare::{CoxDesign, CoxFit, CoxSpec, PreparedCox};
pub use risk::Ties;

//! Duration models of churn: who leaves when, as a curve of retention by customer.
//!
//! A fit is split as for the logistic model: `prepare` turns a batch into a likelihood with starts
//! and penalties, any maximiser of a [`cvm_core::Likelihood`] finds the parameters, `finish` turns
//! them into a model. See `docs/models/hazard.md`.

mod cox;
mod design;
mod episodes;
mod hazard;
mod model;
mod probe;
mod scorer;
mod spec;
mod state;
mod weibull;

pub use cox::{
    Cox, CoxDesign, CoxFit, CoxLikelihood, CoxSpec, PhTest, PhTestLine, PreparedCox, Ties,
    TimeScale,
};
pub use hazard::{Hazard, HazardDesign, HazardLikelihood, HazardSpec, Link, PreparedHazard};
pub use model::{Law, Survival, SurvivalFit};
pub use spec::{Tail, TimeSpec};
pub use weibull::{PreparedWeibull, Weibull, WeibullDesign, WeibullLikelihood, WeibullSpec};

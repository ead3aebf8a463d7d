//! Purchase and spend models, one file each, and the lifetime value made of the two.
//!
//! A purchase model ([`BgNbd`]) says how often a customer will still buy, a spend model
//! ([`GammaGamma`]) how much per purchase; [`LifetimeValue`] multiplies them over a discounted
//! horizon. Fitting is elsewhere: a model offers its `Likelihood` and start vectors.

mod attrition;
mod bg_nbd;
mod covariates;
mod dense;
mod discount;
mod dropout;
mod formulas;
mod gamma_gamma;
mod ggompertz_nbd;
mod incomplete_beta;
mod lifetime_value;
mod merge;
mod merged;
mod pareto_nbd;
mod purchase;
mod random;
mod rfm;
mod rising;
mod state;

pub use attrition::AttritionLikelihood;
pub use bg_nbd::{BgNbd, BgNbdLikelihood};
pub use formulas::Formulas;
pub use gamma_gamma::{GammaGamma, GammaGammaLikelihood, Spend};
pub use ggompertz_nbd::GGompertzNbd;
pub use lifetime_value::LifetimeValue;
pub use merged::MergedRows;
pub use pareto_nbd::ParetoNbd;
pub use purchase::{
    Clock, Customers, Forecast, Purchase, PurchaseFormulas, PurchaseModel, purchase_from_state,
};
pub use random::Random;
pub use rfm::{Rfm, rfm_schema};
pub use state::parametric_from_state;

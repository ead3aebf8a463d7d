//! Purchase and spend models, one file each, and the lifetime value made of the two.
//!
//! A purchase model ([`BgNbd`]) says how often a customer will still buy, a spend model
//! ([`GammaGamma`], [`LogNormalSpend`]) how much per purchase; [`LifetimeValue`] multiplies them over
//! a discounted horizon. Fitting is elsewhere: a model offers its `Likelihood` and start vectors.

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
mod independence;
mod lifetime_value;
mod log_normal_spend;
mod merge;
mod merged;
mod pareto_nbd;
mod purchase;
mod random;
mod rfm;
mod rising;
mod spend;
mod state;

pub use attrition::AttritionLikelihood;
pub use bg_nbd::{BgNbd, BgNbdLikelihood};
pub use formulas::Formulas;
pub use gamma_gamma::{GammaGamma, GammaGammaLikelihood};
pub use ggompertz_nbd::GGompertzNbd;
pub use independence::{Correlation, Independence, IndependenceSettings, SpendBin, independence};
pub use lifetime_value::{Flow, LifetimeValue, Orders, StreamChunk, ValueStream};
pub use log_normal_spend::{LogNormalSpend, LogNormalSpendLikelihood};
pub use merged::MergedRows;
pub use pareto_nbd::ParetoNbd;
pub use purchase::{
    Clock, Customers, Forecast, Purchase, PurchaseFormulas, PurchaseModel, purchase_from_state,
};
pub use random::Random;
pub use rfm::{Rfm, rfm_schema};
pub use spend::{
    Spend, SpendColumn, SpendForecast, SpendFormulas, SpendModel, SpendPolicy, SpendRows, Spenders,
    Spending, ZeroAmounts, spend_from_state,
};
pub use state::parametric_from_state;

//! Purchase, contract and spend models, one file each, and the lifetime value made of them.
//!
//! A purchase model ([`BgNbd`]) says how often a customer will still buy, a spend model
//! ([`GammaGamma`], [`LogNormalSpend`]) how much per purchase; [`LifetimeValue`] multiplies them over a discounted
//! horizon. Under contract a model ([`Sbg`]) says how long a customer will keep renewing, and
//! [`ContractValue`] what that is worth. Fitting is elsewhere: a model offers its `Likelihood` and
//! start vectors.

mod attrition;
mod bdw;
mod bdw_tv;
mod beta_mixture;
mod beta_ratio;
mod bg_bb;
mod bg_nbd;
mod cnbd;
mod contract;
mod contract_value;
mod covariate_path;
mod covariates;
mod dense;
mod discount;
mod discrete_weibull;
mod dropout;
mod formulas;
mod gamma_gamma;
mod geometric;
mod ggompertz_nbd;
mod incomplete_beta;
mod independence;
mod jet;
mod lifetime_value;
mod log_normal_spend;
mod mbg_nbd;
mod merge;
mod merged;
mod nbd;
mod pareto_ggg;
mod pareto_nbd;
mod pareto_nbd_correlated;
mod pareto_nbd_tv;
mod peak;
mod purchase;
mod random;
mod regularity;
mod rfm;
mod rising;
mod sbg;
mod smooth_sum;
mod spend;
mod state;

pub use attrition::AttritionLikelihood;
pub use bdw::Bdw;
pub use bdw_tv::{BdwTv, TimedContracts, TimedTenure, TimedTenureLikelihood};
pub use bg_bb::BgBb;
pub use bg_nbd::{BetaGeometricNbd, BgNbd, BgNbdLikelihood};
pub use cnbd::{BgCnbdK, CnbdK, CnbdLikelihood, MbgCnbdK, choose_k};
pub use contract::{
    Contract, ContractForecast, ContractFormulas, ContractModel, Hazard, MOST_PARAMS, Subscribers,
    Tenure, cohort_tenures, contract_from_state,
};
pub use contract_value::ContractValue;
pub use covariate_path::{CovariatePath, paths_of_long_table};
pub use discrete_weibull::DiscreteWeibull;
pub use formulas::Formulas;
pub use gamma_gamma::{GammaGamma, GammaGammaLikelihood};
pub use geometric::Geometric;
pub use ggompertz_nbd::GGompertzNbd;
pub use independence::{
    Correlation, Independence, IndependenceSettings, SpendBin, independence, midranks,
};
pub use lifetime_value::{Flow, LifetimeValue, Orders, StreamChunk, Subscription, ValueStream};
pub use log_normal_spend::{LogNormalSpend, LogNormalSpendLikelihood};
pub use mbg_nbd::MbgNbd;
pub use merged::MergedRows;
pub use nbd::Nbd;
pub use pareto_ggg::ParetoGgg;
pub use pareto_nbd::ParetoNbd;
pub use pareto_nbd_correlated::ParetoNbdCorrelated;
pub use pareto_nbd_tv::{ParetoNbdTv, TimedLikelihood, TimedPurchases, TimedRow};
pub use purchase::{
    Clock, Customers, Forecast, Purchase, PurchaseFormulas, PurchaseModel, purchase_from_state,
};
pub use random::Random;
pub use regularity::k_wheat;
pub use rfm::{Rfm, rfm_schema};
pub use sbg::Sbg;
pub use spend::{
    Spend, SpendColumn, SpendForecast, SpendFormulas, SpendModel, SpendPolicy, SpendRows, Spenders,
    Spending, ZeroAmounts, spend_from_state,
};
pub use state::parametric_from_state;

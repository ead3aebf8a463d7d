//! Churn propensity: logistic regression with its encoding inside the model, and the metrics that
//! judge it.
//!
//! Fitting is split so that this crate knows no estimator: [`LogisticDesign::prepare`] turns a batch
//! into a [`Prepared`] likelihood with a start and a penalty; any maximiser of a
//! [`cvm_core::Likelihood`] finds the parameters; [`Prepared::finish`] turns those into a
//! [`Logistic`] model and a coefficient table. See `docs/models/logistic.md`.

mod basis;
pub mod boosted;
mod coefficients;
mod columns;
mod design;
mod encoding;
mod error;
mod likelihood;
mod logistic;
pub mod metrics;
mod probe;
mod score;
mod spec;
mod state;
mod sums;
pub mod survival;
mod target;
pub mod trees;

pub use coefficients::{Coefficient, LogisticFit};
pub use design::{LogisticDesign, Prepared};
pub use error::ChurnError;
pub use likelihood::LogisticLikelihood;
pub use logistic::Logistic;
pub use spec::{Label, LogisticSpec, MissingCategorical, MissingNumeric, NumericBasis};

//! Churn propensity: logistic regression with its encoding inside the model, tree ensembles,
//! calibration of either, and the metrics that judge them.
//!
//! Fitting is split so that this crate knows no estimator: [`LogisticDesign::prepare`] turns a batch
//! into a [`Prepared`] likelihood with a start and a penalty; any maximiser of a
//! [`cvm_core::Likelihood`] finds the parameters; [`Prepared::finish`] turns those into a
//! [`Logistic`] model and a coefficient table. See `docs/models/logistic.md`.

mod attribution;
mod basis;
pub mod boosted;
pub mod calibrate;
mod coefficients;
mod columns;
mod design;
mod draws;
mod encoding;
mod error;
mod likelihood;
mod logistic;
pub mod metrics;
mod probe;
mod profile;
mod score;
mod spec;
mod state;
mod sums;
pub mod survival;
mod target;
pub mod trees;

pub use coefficients::{Coefficient, LogisticFit};
pub use design::{LogisticDesign, Prepared, penalties};
pub use error::ChurnError;
pub use likelihood::LogisticLikelihood;
pub use logistic::Logistic;
pub use profile::{FieldProfile, MIN_COUNT, Profile};
pub use spec::{
    Label, LogisticSpec, MissingCategorical, MissingNumeric, NumericBasis, PathRule, PathSpec,
};
pub use target::read_target;

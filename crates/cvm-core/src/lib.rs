//! Vocabulary and contracts shared by every crate: units, batches, schemas, statuses, parameters,
//! the `Likelihood` and `Scorer` traits, and the state a model is stored as.
//!
//! A leaf: no IO, no clock, no environment, no thread pool.

mod batch;
mod domain;
mod error;
mod explain;
mod frame;
mod likelihood;
mod model;
mod nested;
mod params;
mod process;
mod reasons;
mod schema;
mod scorer;
mod state;
mod status;
mod units;

pub use batch::{Batch, BoundBatch, Column, TextColumn, number_to_level};
pub use domain::Domain;
pub use error::{ErrorKind, InputError, ParamError, StateError, Violation};
pub use explain::{Attributions, ExplainMethod, Question};
pub use frame::{Frame, FrameColumn};
pub use likelihood::{Derivatives, Likelihood, Order};
pub use model::{ParametricModel, Reading, RowReader};
pub use nested::{FarMaximum, Nested, NestedLikelihood, NestedPlace};
pub use params::{ParamSpec, Transform};
pub use process::{CovariateTerm, Covariates, Effect, Process};
pub use reasons::{Reason, ReasonDirection, ReasonOptions, Reasons};
pub use schema::{FieldKind, InputField, InputSchema, MissingRule, UnseenRule};
pub use scorer::{OutputSpec, ScoreBlock, ScoreOptions, Scorer, Scores};
pub use state::{Array, ModelState};
pub use status::{RowCode, RowIssue, RowStatus};
pub use units::TimeUnit;

//! Conversions between the wire and the domain: one file per proto file.

mod frame;
mod inference;
mod model_service;
mod reasons;
mod schema;
mod scoring;
mod scoring_service;
mod tensor;

pub use frame::{MAX_COLUMNS, bulk_frame};
pub use inference::{InferJob, model_config, model_metadata, model_name};
pub use model_service::{ModelCard, ModelName, ModelOutput, ModelParam};
pub use scoring::{Encoding, MAX_OUTPUTS, ModelStamp, ScoredColumn};
pub use scoring_service::{MAX_REQUEST_ID_BYTES, RowModels, ScoreAnswer, ScoreJob, StreamAnswer};

use cvm::Violation;
use std::fmt::Display;

/// A message that is not a value of the domain: the path of the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {description}")]
pub struct ConvertError {
    /// Path in the message, such as `frame.columns[3].doubles`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub description: String,
}

impl ConvertError {
    /// An error of one field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        ConvertError {
            field: field.into(),
            description: description.into(),
        }
    }

    /// The same error seen from the message that holds this one in `parent`.
    #[must_use]
    pub fn under(self, parent: impl Display) -> Self {
        ConvertError {
            field: format!("{parent}.{}", self.field),
            description: self.description,
        }
    }
}

impl From<ConvertError> for Violation {
    fn from(error: ConvertError) -> Violation {
        let ConvertError { field, description } = error;
        Violation { field, description }
    }
}

/// The value of a field that must be set.
fn required<T>(value: Option<T>, field: impl Into<String>) -> Result<T, ConvertError> {
    value.ok_or_else(|| ConvertError::new(field, "is required"))
}

/// An enum number that this build does not know.
fn unknown_number(field: impl Into<String>, number: i32, name: &str) -> ConvertError {
    ConvertError::new(field, format!("is {number}: not a number of {name}"))
}

/// A caller's text in a message: quoted, control characters escaped, cut at 64 characters.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(64).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

/// A row count on the wire. A frame beyond 2^31 rows is far beyond every server's cap, which refuses
/// the saturated count.
fn row_count_out(rows: usize) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

/// A row count or index from the wire.
fn row_count_in(rows: i32, field: &str) -> Result<usize, ConvertError> {
    usize::try_from(rows)
        .map_err(|_| ConvertError::new(field, format!("is {rows}: must be 0 or more")))
}

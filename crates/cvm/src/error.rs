//! The one error of the door: whose fault, which fields, what to do.

use cvm_artifact::ArtifactError;
use cvm_core::{ErrorKind, InputError, ParamError, StateError, Violation};
use cvm_record::RecordError;

/// An error of any operation of this crate.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Whose fault it is; surfaces map it to their own codes.
    pub kind: ErrorKind,
    /// One sentence with the field, the value and what is allowed.
    pub message: String,
    /// Wrong fields with their paths; empty when the error is not about fields.
    pub violations: Vec<Violation>,
}

impl Error {
    /// An error of `kind` without field violations.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            violations: Vec::new(),
        }
    }

    /// An `InvalidInput` error of one field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        InputError::new(field, description).into()
    }

    /// A `NotFound` error.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::NotFound, message)
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Error {
            kind: ErrorKind::InvalidInput,
            message: error.to_string(),
            violations: error.violations,
        }
    }
}

impl From<ParamError> for Error {
    fn from(error: ParamError) -> Self {
        let field = format!("params.{}", error.name);
        Error::invalid(
            field,
            format!("is {}: must be {}", error.value, error.domain),
        )
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        Error::new(
            ErrorKind::Corrupt,
            format!("the stored model cannot be rebuilt: {error}"),
        )
    }
}

impl From<ArtifactError> for Error {
    fn from(error: ArtifactError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Options(input) => input.into(),
            other => Error::new(other.kind(), other.to_string()),
        }
    }
}

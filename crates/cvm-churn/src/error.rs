//! What can be wrong with a churn table or the settings of a fit.

use cvm_core::{ErrorKind, InputError};

/// Why a churn model cannot be prepared or finished.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChurnError {
    /// A setting that cannot be used.
    #[error("settings.{field} is {value}: must be {allowed}")]
    Setting {
        /// Name of the setting.
        field: String,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A column is absent or of the wrong type.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A value that a fit cannot use.
    #[error("columns.{column}: row {row} is {value}: must be {allowed}")]
    Cell {
        /// Column name.
        column: String,
        /// Row in the batch.
        row: usize,
        /// The value found.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The target does not say who churned.
    #[error("target column `{column}` {problem}")]
    Target {
        /// Column name.
        column: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A category with too many levels, most likely an identifier.
    #[error(
        "columns.{column}: has {levels} levels, at most {limit} allowed; if it identifies customers \
         name it in `ignore`, else set `min_level_count` or raise `max_levels`"
    )]
    TooManyLevels {
        /// Column name.
        column: String,
        /// Distinct levels found.
        levels: usize,
        /// Setting `max_levels`.
        limit: usize,
    },
    /// No column carries information.
    #[error("no usable input column: {reason}")]
    NoColumns {
        /// Why.
        reason: String,
    },
    /// Parameters handed back after a fit do not belong to this design.
    #[error("parameters: got {got}, expected {expected}")]
    Parameters {
        /// What was given.
        got: String,
        /// What is needed.
        expected: String,
    },
}

impl ChurnError {
    /// Whose fault it is: always the caller's data or arguments.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    pub(crate) fn setting(
        field: &str,
        value: impl ToString,
        allowed: impl Into<String>,
    ) -> ChurnError {
        ChurnError::Setting {
            field: field.to_owned(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    pub(crate) fn cell(column: &str, row: usize, value: impl ToString, allowed: &str) -> Self {
        ChurnError::Cell {
            column: column.to_owned(),
            row,
            value: value.to_string(),
            allowed: allowed.to_owned(),
        }
    }
}

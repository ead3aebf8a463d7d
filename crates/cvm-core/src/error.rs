//! Errors of the leaf crates, and the kinds every surface maps to its own codes.

use crate::Domain;

/// Whose fault an error is and what can be done; each surface maps it in one exhaustive match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller's data or arguments are wrong.
    InvalidInput,
    /// A named thing does not exist.
    NotFound,
    /// A format or schema this build cannot use.
    Incompatible,
    /// Bytes that fail a checksum or a score that fails its probe.
    Corrupt,
    /// Estimation stopped before reaching an optimum.
    NotConverged,
    /// Too much work at once; try again later.
    Overloaded,
    /// A defect of this software.
    Internal,
}

/// A model parameter outside its domain.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("parameter `{name}` is {value}: must be {domain}")]
pub struct ParamError {
    /// Symbol of the parameter, as in the model's paper.
    pub name: String,
    /// The value given.
    pub value: f64,
    /// What is allowed.
    pub domain: Domain,
}

/// One field of a request or call that is wrong, with its path, value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `columns.frequency` or `options.horizon_periods`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub description: String,
}

/// A call whose shape or arguments are wrong; at least one violation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", render(.violations))]
pub struct InputError {
    /// Everything found wrong.
    pub violations: Vec<Violation>,
}

impl InputError {
    /// An error of a single field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        InputError {
            violations: vec![Violation {
                field: field.into(),
                description: description.into(),
            }],
        }
    }
}

fn render(violations: &[Violation]) -> String {
    let lines: Vec<String> = violations
        .iter()
        .map(|v| format!("{}: {}", v.field, v.description))
        .collect();
    lines.join("; ")
}

/// A stored model state that a kind cannot be rebuilt from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StateError {
    /// A parameter is outside its domain.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A part of the state is absent or has the wrong type or shape.
    #[error("model state of kind `{kind}`: {problem}")]
    Malformed {
        /// Kind of the model.
        kind: String,
        /// What is wrong and what was expected.
        problem: String,
    },
}

impl StateError {
    /// A malformed state of `kind`.
    pub fn malformed(kind: impl Into<String>, problem: impl Into<String>) -> Self {
        StateError::Malformed {
            kind: kind.into(),
            problem: problem.into(),
        }
    }
}

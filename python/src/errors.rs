//! Errors of the engine as exceptions of the package: one exhaustive match.

use cvm::ErrorKind;
use pyo3::PyErr;

pyo3::import_exception!(cvm.errors, AccessDeniedError);
pyo3::import_exception!(cvm.errors, ArtifactError);
pyo3::import_exception!(cvm.errors, DeadlineError);
pyo3::import_exception!(cvm.errors, InternalError);
pyo3::import_exception!(cvm.errors, InvalidInputError);
pyo3::import_exception!(cvm.errors, NotConvergedError);
pyo3::import_exception!(cvm.errors, NotFoundError);
pyo3::import_exception!(cvm.errors, ServerUnavailableError);

/// The exception of an engine error; `violations` become pairs of field path and description.
pub(crate) fn to_py(error: cvm::Error) -> PyErr {
    let cvm::Error {
        kind,
        message,
        violations,
    } = error;
    let fields: Vec<(String, String)> = violations
        .into_iter()
        .map(|violation| (violation.field, violation.description))
        .collect();
    let args = (message, fields);
    match kind {
        ErrorKind::InvalidInput => InvalidInputError::new_err(args),
        ErrorKind::NotFound => NotFoundError::new_err(args),
        ErrorKind::Incompatible | ErrorKind::Corrupt => ArtifactError::new_err(args),
        ErrorKind::NotConverged => NotConvergedError::new_err(args),
        ErrorKind::Overloaded => ServerUnavailableError::new_err(args),
        ErrorKind::Internal => InternalError::new_err(args),
    }
}

/// An `InvalidInputError` of one field.
pub(crate) fn invalid(field: &str, description: &str) -> PyErr {
    to_py(cvm::Error::invalid(field, description))
}

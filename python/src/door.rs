//! The one door from Python into the engine: the interpreter is released, panics are caught,
//! errors become exceptions.

use crate::errors;
use cvm::{Error, ErrorKind};
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` without the interpreter lock.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> PyResult<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)))
        .unwrap_or_else(|panic| Err(defect(panic.as_ref())))
        .map_err(errors::to_py)
}

/// A panic is a defect of this software, never of the caller's data.
fn defect(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::new(
        ErrorKind::Internal,
        format!("a defect of cvm, please report it: {text}"),
    )
}

//! A look into a model file, sound or not.

use crate::Error;
use cvm_artifact::{Inspection, inspect, read_file};
use std::path::Path;

/// What can be told of a model file, damaged or not: sections, checksums, header, problems. It says
/// nothing about scores; [`crate::Model::open_file`] does.
///
/// # Errors
/// `NotFound` if there is no such file; `InvalidInput` or `Internal` if it cannot be read.
pub fn inspect_file(path: &Path) -> Result<Inspection, Error> {
    Ok(inspect(&read_file(path)?))
}

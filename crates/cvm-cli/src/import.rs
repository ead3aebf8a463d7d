//! `cvm import`: a model file of another library to a model of this one.

use crate::args::ImportArgs;
use crate::failure::{Failure, say};
use crate::models;
use crate::options;
use cvm::{ErrorKind, ImportOptions};
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind as Io, Read};
use std::path::Path;

/// Runs `cvm import`.
pub fn run(args: &ImportArgs) -> Result<(), Failure> {
    let settings = Value::Object(options::settings("--set", &args.settings)?);
    let options: ImportOptions = serde_json::from_value(settings)
        .map_err(|error| Failure::argument("--set", error.to_string()))?;
    let bytes = read(&args.file)?;
    let model = cvm::import(&args.format, &bytes, &options)
        .map_err(|error| models::at(&args.file, error))?;
    if let Some(facts) = model.training().get("imported") {
        say(&format!("imported {facts}"));
    }
    models::save(model, &args.save)
}

/// The bytes of a file, one more than the limit at most.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error: std::io::Error| {
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        cvm::Error::new(kind, format!("{}: {error}", path.display()))
    };
    let limit = u64::try_from(cvm::MAX_IMPORT_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(wrong)?;
    let mut start = file.take(limit.saturating_add(1));
    start.read_to_end(&mut bytes).map_err(wrong)?;
    Ok(bytes)
}

//! `cvm verify`: every checksum, the model's own probe rows scored again, and its signature.

use crate::args::VerifyArgs;
use crate::failure::{Failure, exit_code, say};
use crate::models::at;
use crate::render::print;
use crate::sign::{keys, signed};
use cvm::Model;
use cvm::signature::PublicKey;
use std::path::Path;

/// Runs `cvm verify`; looks at every file, then fails with the gravest error.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let mut gravest: Option<cvm::Error> = None;
    let keys = args.key.as_deref().map(keys).transpose()?;
    for path in &args.models {
        match check(path, keys.as_deref(), args.model.as_deref()) {
            Ok(told) => print(&told)?,
            Err(error) => {
                let error = at(path, error);
                let graver = |worst: &cvm::Error| exit_code(error.kind) > exit_code(worst.kind);
                if args.models.len() > 1 {
                    say(&format!("error: {}", error.message));
                }
                if gravest.as_ref().is_none_or(graver) {
                    gravest = Some(error);
                }
            }
        }
    }
    match gravest {
        None => Ok(()),
        Some(error) if args.models.len() == 1 => Err(error.into()),
        Some(error) => {
            let message = format!("not every model of {} is sound", args.models.len());
            Err(cvm::Error::new(error.kind, message).into())
        }
    }
}

/// Opens one file, and holds its signature against the keys if there are any.
fn check(
    path: &Path,
    keys: Option<&[PublicKey]>,
    model: Option<&str>,
) -> Result<String, cvm::Error> {
    let name = path.display().to_string();
    let told = sound(&name, &Model::open_file(path)?.model);
    match keys {
        None => Ok(told),
        Some(keys) => Ok(told + &signed(path, &name, keys, model)?),
    }
}

fn sound(name: &str, model: &Model) -> String {
    let rows = model.probe().rows.row_count;
    let (kind, fingerprint) = (model.kind(), model.fingerprint());
    let notes = model
        .notes()
        .iter()
        .map(|note| format!("{name}: note: {note}\n"));
    let notes: String = notes.collect();
    format!("{name}: ok: {kind}, {rows} probe rows reproduced, fingerprint {fingerprint}\n{notes}")
}

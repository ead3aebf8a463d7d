//! `cvm verify`: every checksum, and the model's own probe rows scored again.

use crate::args::VerifyArgs;
use crate::failure::{Failure, exit_code, say};
use crate::models::at;
use crate::render::print;
use cvm::Model;

/// Runs `cvm verify`; looks at every file, then fails with the gravest error.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let mut gravest: Option<cvm::Error> = None;
    for path in &args.models {
        match Model::open_file(path) {
            Ok(opened) => print(&sound(&path.display().to_string(), &opened.model))?,
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

//! `cvm new` and `cvm compose`: models that need no data; opening and saving of all.

use crate::args::{ComposeArgs, NewArgs, SaveArgs};
use crate::failure::{Failure, say};
use crate::{dictionary, options};
use cvm::Model;
use serde_json::{Map, Value};
use std::path::Path;

/// Runs `cvm new`.
pub fn run_new(args: &NewArgs) -> Result<(), Failure> {
    let unit = args
        .time_unit
        .as_deref()
        .map(|text| options::time_unit("--time-unit", text))
        .transpose()?;
    let mut params = Vec::with_capacity(args.params.len());
    for pair in &args.params {
        params.push(options::number("NAME=VALUE", pair)?);
    }
    save(cvm::from_params(&args.kind, &params, unit)?, &args.save)
}

/// Runs `cvm compose`.
pub fn run_compose(args: &ComposeArgs) -> Result<(), Failure> {
    let currency = args.currency.as_deref();
    let composed = match (&args.purchase, &args.spend, &args.contract) {
        (Some(purchase), Some(spend), None) => {
            cvm::lifetime_value(&open(purchase)?, &open(spend)?, currency)?
        }
        (None, None, Some(contract)) => cvm::contract_value(&open(contract)?, currency)?,
        _ => {
            let why = "give --purchase and --spend, or --contract";
            return Err(Failure::argument("compose", why));
        }
    };
    save(composed, &args.save)
}

/// Opens and verifies a model file.
pub fn open(path: &Path) -> Result<Model, Failure> {
    let opened = Model::open_file(path).map_err(|error| at(path, error))?;
    Ok(opened.model)
}

/// The error with the file it is about.
pub fn at(path: &Path, error: cvm::Error) -> cvm::Error {
    let name = path.display().to_string();
    if error.message.contains(&name) {
        return error;
    }
    cvm::Error {
        message: format!("{name}: {}", error.message),
        ..error
    }
}

/// Saves a model with the author's facts and says where.
pub fn save(model: Model, args: &SaveArgs) -> Result<(), Failure> {
    let mut model = model.with_metadata(metadata(args)?)?;
    if let Some(path) = &args.dictionary {
        let words = dictionary::read(path)?;
        model = model.with_dictionary(&words).map_err(|e| at(path, e))?;
    }
    model.save(&args.output)?;
    let (path, kind) = (args.output.display(), model.kind());
    say(&format!(
        "saved {path} ({kind}, fingerprint {})",
        model.fingerprint()
    ));
    Ok(())
}

fn metadata(args: &SaveArgs) -> Result<Map<String, Value>, Failure> {
    let mut facts = Map::new();
    for (name, value) in [("name", &args.name), ("version", &args.model_version)] {
        if let Some(value) = value {
            facts.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    for note in &args.notes {
        let (name, value) = options::split("--note", note)?;
        if facts
            .insert(name.to_owned(), Value::String(value.to_owned()))
            .is_some()
        {
            return Err(Failure::argument("--note", format!("gives `{name}` twice")));
        }
    }
    Ok(facts)
}

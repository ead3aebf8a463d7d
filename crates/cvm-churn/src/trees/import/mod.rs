//! Importers: a model file of another library to an [`Ensemble`], exact or refused.
//!
//! Every reader is strict: a key, version, objective or split it does not know is an
//! [`ImportError`] that names it and says what to do. A model that is read scores as its library
//! scores it; `docs/models/trees.md` says how that is tested.

mod arrays;
mod catboost;
mod catboost_categories;
mod city;
mod document;
mod lightgbm;
mod lightgbm_tree;
mod ubj;
mod xgboost;
mod xgboost_fields;

use super::model::Ensemble;
use cvm_core::ErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Formats there are readers for.
pub const FORMATS: [&str; 4] = ["lightgbm", "xgboost", "catboost", "arrays"];

/// Why a file was not imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is not what it should be: cut off, not a number, an index out of range, a loop.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where: a key or a path of keys.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// The file is sound, but holds what this build cannot score exactly.
    #[error("{at} is {found}: {advice}")]
    Refused {
        /// Where: a key or a path of keys.
        at: String,
        /// What is there.
        found: String,
        /// What to do.
        advice: String,
    },
    /// An option of the import cannot be used.
    #[error("options.{name} {problem}")]
    Option {
        /// Name of the option.
        name: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

impl ImportError {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ImportError::Malformed { .. } | ImportError::Option { .. } => ErrorKind::InvalidInput,
            ImportError::Refused { .. } => ErrorKind::Incompatible,
        }
    }

    pub(crate) fn malformed(at: impl Into<String>, problem: impl Into<String>) -> ImportError {
        ImportError::Malformed {
            at: at.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn refused(
        at: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> ImportError {
        ImportError::Refused {
            at: at.into(),
            found: found.into(),
            advice: advice.into(),
        }
    }

    pub(crate) fn option(name: &str, problem: impl Into<String>) -> ImportError {
        ImportError::Option {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// What a file does not say and its author must.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportOptions {
    /// Names of the inputs in the model's order, in place of the file's.
    pub feature_names: Option<Vec<String>>,
    /// XGBoost: the value besides NaN that means missing; the `missing` of training.
    pub missing: Option<f64>,
    /// Boosting rounds to use; unset is all the file has.
    pub iterations: Option<usize>,
    /// LightGBM: columns that were pandas categoricals, in order, if the file does not tell.
    pub categorical: Option<Vec<String>>,
    /// CatBoost: every level of training of each categorical column, of which its file holds hashes.
    pub levels: Option<BTreeMap<String, Vec<String>>>,
    /// What a level that training did not see means: `reject` or `missing`; unset is what the
    /// library does.
    pub unseen: Option<super::UnseenPolicy>,
}

/// A model as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The model.
    pub ensemble: Ensemble,
    /// Facts for the file: format, version, objective, rounds.
    pub facts: Map<String, Value>,
}

/// Reads a model file of `format`.
///
/// # Errors
/// [`ImportError`], naming the key.
pub fn read(format: &str, bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    if bytes.len() > super::limits::MAX_IMPORT_BYTES {
        let limit = super::limits::MAX_IMPORT_BYTES;
        let problem = format!("has {} bytes, at most {limit} allowed", bytes.len());
        return Err(ImportError::malformed("the file", problem));
    }
    let mut imported = match format {
        "lightgbm" => lightgbm::read(bytes, options)?,
        "xgboost" => xgboost::read(bytes, options)?,
        "catboost" => catboost::read(bytes, options)?,
        "arrays" => arrays::read(bytes, options)?,
        other => {
            let why = format!("is `{other}`: must be one of {}", FORMATS.join(", "));
            return Err(ImportError::option("format", why));
        }
    };
    rename(&mut imported.ensemble, options)?;
    imported.ensemble = imported
        .ensemble
        .check()
        .map_err(|problem| ImportError::malformed("the model", problem))?;
    let facts = &mut imported.facts;
    facts.insert("format".to_owned(), Value::from(format));
    let trees = imported.ensemble.tree_count();
    facts.insert("trees".to_owned(), Value::from(trees));
    Ok(imported)
}

fn rename(ensemble: &mut Ensemble, options: &ImportOptions) -> Result<(), ImportError> {
    let Some(names) = &options.feature_names else {
        return Ok(());
    };
    if names.len() != ensemble.fields.len() {
        let (got, want) = (names.len(), ensemble.fields.len());
        let why = format!("has {got} names, the model has {want} inputs");
        return Err(ImportError::option("feature_names", why));
    }
    for (field, name) in ensemble.fields.iter_mut().zip(names) {
        field.name.clone_from(name);
    }
    Ok(())
}

//! Calibrated classifiers of scikit-learn: a document of members, each a model with its map.
//!
//! ```text
//! {"document": "cvm calibrated 1", "library": "...", "members": [
//!   {"format": "arrays" | "logistic", "model": {...}, "source": "raw_score", "sigmoid": [a, b]},
//!   {..., "segments": {"x": [...], "y": [...]}}]}
//! ```

use crate::import::{IMPORTED, ImportOptions, LINEAR_KIND, MAX_IMPORT_BYTES};
use crate::{Error, Model, catalog};
use cvm_churn::calibrate::{Averaged, Map as Curve, Member};
use cvm_churn::trees::Exponential;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Name of the format.
pub(crate) const FORMAT: &str = "calibrated";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    document: String,
    library: String,
    members: Vec<MemberDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberDocument {
    format: String,
    model: Value,
    source: String,
    #[serde(default)]
    sigmoid: Option<[f64; 2]>,
    #[serde(default)]
    segments: Option<Segments>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Segments {
    x: Vec<f64>,
    y: Vec<f64>,
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::invalid("model", format!("is no calibrated document: {why}"))
}

/// Reads a document; `options` are those of every member.
pub(crate) fn import(bytes: &[u8], options: &ImportOptions) -> Result<Model, Error> {
    if bytes.len() > MAX_IMPORT_BYTES {
        return Err(wrong(format!("it has {} bytes", bytes.len())));
    }
    let read: Document = serde_json::from_slice(bytes).map_err(wrong)?;
    if read.document != "cvm calibrated 1" {
        return Err(wrong(format!("it says it is `{}`", read.document)));
    }
    let mut members = Vec::with_capacity(read.members.len());
    let mut maps = Vec::new();
    for own in read.members {
        if !["arrays", "logistic"].contains(&own.format.as_str()) {
            let format = own.format;
            return Err(wrong(format!("a member has format `{format}`")));
        }
        let (map, name) = match (own.sigmoid, own.segments) {
            (Some([a, b]), None) => {
                let exponential = Exponential::Glibc;
                (Curve::Sigmoid { a, b, exponential }, "sigmoid")
            }
            (None, Some(Segments { x, y })) => (Curve::Segments { x, y }, "isotonic"),
            _ => return Err(wrong("a member needs one of sigmoid and segments")),
        };
        let bytes = serde_json::to_vec(&own.model).map_err(wrong)?;
        let model = crate::import::import(&own.format, &bytes, options)?;
        let state = model.scorer().state();
        let scorer = (catalog::entry(&state.kind)?.open)(&state)?;
        members.push(Member::new(scorer, &own.source, map).map_err(wrong)?);
        maps.push(name);
    }
    maps.dedup();
    let facts = json!({
        "format": FORMAT,
        "library": read.library,
        "members": members.len(),
        "maps": maps,
    });
    let averaged = Averaged::new(members).map_err(wrong)?;
    let mut training = Map::new();
    training.insert(IMPORTED.to_owned(), facts);
    Model::new(Box::new(averaged), training, Vec::new())
}

/// Whether a member is linear: its library adds terms in the order its BLAS likes.
pub(crate) fn has_linear(model: &Model) -> bool {
    model.kind() == Averaged::KIND
        && model.settings().values().any(|part| {
            let kind = part.get("kind").and_then(Value::as_str);
            kind == Some(LINEAR_KIND)
        })
}

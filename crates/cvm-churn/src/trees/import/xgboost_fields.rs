//! Inputs of an XGBoost model: names, and since 3.1 the categories of training.

use super::document::{Node, Object};
use super::{ImportError, ImportOptions};
use crate::trees::fields::{Field, Role, UnseenPolicy};
use cvm_core::number_to_level;

/// Reads the inputs.
pub(super) fn read(
    learner: &Object<'_>,
    model: &Object<'_>,
    count: usize,
    options: &ImportOptions,
) -> Result<Vec<Field>, ImportError> {
    let names = texts(learner.optional("feature_names"), count)?;
    let types = texts(learner.optional("feature_types"), count)?;
    let levels = levels(model, count)?;
    let sentinel = options.missing.map(|missing| f64::from(missing as f32));
    let mut fields = Vec::with_capacity(count);
    for index in 0..count {
        let name = names.get(index).cloned();
        let name = name.unwrap_or_else(|| format!("f{index}"));
        let mut field = Field::number(name);
        field.role = match levels.get(index) {
            Some(levels) if !levels.is_empty() => Role::Category {
                levels: levels.clone(),
                unseen: options.unseen.unwrap_or(UnseenPolicy::Reject),
            },
            _ => Role::Number {
                missing: sentinel.filter(|sentinel| !sentinel.is_nan()),
            },
        };
        if let Some(kind) = types.get(index).filter(|kind| !is_known_type(kind)) {
            let at = format!("learner.feature_types[{index}]");
            let advice = "known types: float, int, q, i, c";
            return Err(ImportError::refused(at, format!("`{kind}`"), advice));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn is_known_type(kind: &str) -> bool {
    matches!(kind, "float" | "int" | "q" | "i" | "c")
}

/// A list of texts, absent or empty if the model was trained on a bare array.
fn texts(node: Option<Node<'_>>, count: usize) -> Result<Vec<String>, ImportError> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let items = node.list()?;
    if !items.is_empty() && items.len() != count {
        return Err(node.wrong(format!("has {} entries for {count} features", items.len())));
    }
    items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect()
}

/// Levels of every feature, empty for numbers.
fn levels(model: &Object<'_>, count: usize) -> Result<Vec<Vec<String>>, ImportError> {
    let Some(cats) = model.optional("cats") else {
        return Ok(Vec::new());
    };
    let cats = cats.object(&["enc", "feature_segments", "sorted_idx"])?;
    let encodings = cats.get("enc")?;
    let items = encodings.list()?;
    if !items.is_empty() && items.len() != count {
        let problem = format!("has {} entries for {count} features", items.len());
        return Err(encodings.wrong(problem));
    }
    items.iter().map(encoding).collect()
}

/// Text levels are bytes cut at offsets; numeric levels are numbers.
fn encoding(node: &Node<'_>) -> Result<Vec<String>, ImportError> {
    let object = node.object(&["offsets", "values", "type"])?;
    let values = object.get("values")?;
    let Some(offsets) = object.optional("offsets") else {
        let level = |value: f64| number_to_level(value).ok_or_else(|| values.wrong("hold NaN"));
        return values.numbers()?.into_iter().map(level).collect();
    };
    let bytes = values.whole(-128, 255)?;
    let bytes: Vec<u8> = bytes.iter().map(|byte| *byte as u8).collect();
    let offsets = offsets.whole(0, i64::from(u32::MAX))?;
    let cut = |pair: &[i64]| {
        let own = bytes.get(pair[0] as usize..pair[1] as usize);
        let text = own.and_then(|own| std::str::from_utf8(own).ok());
        let text = text.ok_or_else(|| values.wrong("is not text cut at its offsets"))?;
        Ok(text.to_owned())
    };
    offsets.windows(2).map(cut).collect()
}

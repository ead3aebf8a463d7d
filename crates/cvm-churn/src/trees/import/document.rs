//! JSON documents read strictly: by path, with every key accounted for.

use super::ImportError;
use crate::trees::limits::MAX_DOCUMENT_VALUES;
use serde_json::{Map, Value};

/// Reads JSON, of at most [`MAX_DOCUMENT_VALUES`] values: each but the first of a list follows a
/// comma, so that commas and brackets bound them before memory is asked for.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ImportError> {
    let marks = bytes
        .iter()
        .filter(|byte| matches!(byte, b',' | b'[' | b'{'));
    if marks.count() > MAX_DOCUMENT_VALUES {
        let problem = format!("has more than {MAX_DOCUMENT_VALUES} values");
        return Err(ImportError::malformed("the file", problem));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ImportError::malformed("the file", error.to_string()))
}

/// An object whose keys must all be known.
pub(super) struct Object<'d> {
    path: String,
    map: &'d Map<String, Value>,
}

/// A value with its path.
#[derive(Clone)]
pub(super) struct Node<'d> {
    pub(super) path: String,
    pub(super) value: &'d Value,
}

impl<'d> Node<'d> {
    pub(super) fn root(value: &'d Value) -> Node<'d> {
        Node {
            path: String::new(),
            value,
        }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> ImportError {
        let at = if self.path.is_empty() {
            "the document"
        } else {
            &self.path
        };
        ImportError::malformed(at, problem)
    }

    pub(super) fn refused(&self, advice: &str) -> ImportError {
        let text: String = self.value.to_string().chars().take(80).collect();
        ImportError::refused(self.path.clone(), format!("`{text}`"), advice)
    }

    /// An object that has no keys but `known`.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'d>, ImportError> {
        let Value::Object(map) = self.value else {
            return Err(self.wrong("is not an object"));
        };
        let object = Object {
            path: self.path.clone(),
            map,
        };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(object),
            Some(key) => Err(object
                .optional(key)
                .unwrap_or_else(|| self.clone())
                .refused("this key is unknown: the file is of a version this build does not read")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'d>>, ImportError> {
        let Value::Array(items) = self.value else {
            return Err(self.wrong("is not a list"));
        };
        let node = |(index, value): (usize, &'d Value)| Node {
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(items.iter().enumerate().map(node).collect())
    }

    /// A list of numbers, without the cost of a path per item.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, ImportError> {
        let Value::Array(items) = self.value else {
            return Err(self.wrong("is not a list"));
        };
        let number = |(index, item): (usize, &Value)| {
            let value = match item {
                Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
                Value::String(text) => named_number(text),
                other => other.as_f64(),
            };
            value.ok_or_else(|| self.wrong(format!("item {index} is {item}, not a number")))
        };
        items.iter().enumerate().map(number).collect()
    }

    /// A list of whole numbers from `low` to `high`.
    pub(super) fn whole(&self, low: i64, high: i64) -> Result<Vec<i64>, ImportError> {
        let check = |value: f64| {
            let fits = value.fract() == 0.0 && value >= low as f64 && value <= high as f64;
            fits.then_some(value as i64)
                .ok_or_else(|| self.wrong(format!("holds {value}: must be {low} to {high}")))
        };
        self.numbers()?.into_iter().map(check).collect()
    }

    pub(super) fn text(&self) -> Result<&'d str, ImportError> {
        self.value.as_str().ok_or_else(|| self.wrong("is not text"))
    }

    /// A number, or text that is one.
    pub(super) fn number(&self) -> Result<f64, ImportError> {
        let number = match self.value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        number.ok_or_else(|| self.wrong(format!("is {}, not a number", self.value)))
    }

    /// A count, or text that is one.
    pub(super) fn count(&self) -> Result<usize, ImportError> {
        let value = self.number()?;
        crate::trees::forest::as_index(value, 1 << 32)
            .ok_or_else(|| self.wrong(format!("is {value}: must be a whole number >= 0")))
    }
}

/// Infinities and NaN, which JSON has no numbers for.
fn named_number(text: &str) -> Option<f64> {
    match text {
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        "NaN" | "nan" => Some(f64::NAN),
        _ => None,
    }
}

impl<'d> Object<'d> {
    pub(super) fn optional(&self, key: &str) -> Option<Node<'d>> {
        let value = self.map.get(key)?;
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Some(Node { path, value })
    }

    pub(super) fn get(&self, key: &str) -> Result<Node<'d>, ImportError> {
        self.optional(key).ok_or_else(|| {
            let at = if self.path.is_empty() {
                "the document".to_owned()
            } else {
                self.path.clone()
            };
            ImportError::malformed(at, format!("has no `{key}`"))
        })
    }
}

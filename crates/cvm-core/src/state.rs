//! A model as plain data: what an artifact stores and a kind is rebuilt from.

use crate::StateError;
use serde_json::{Map, Value};

/// A named array of numbers with a shape, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Name, unique in the state; dots group (`spend.params`).
    pub name: String,
    /// Length of each axis; the product is `values.len()`.
    pub shape: Vec<usize>,
    /// Values in row-major order, bits kept exactly.
    pub values: Vec<f64>,
}

impl Array {
    /// A one-dimensional array.
    pub fn vector(name: impl Into<String>, values: Vec<f64>) -> Self {
        Array {
            name: name.into(),
            shape: vec![values.len()],
            values,
        }
    }

    /// A two-dimensional array; `values.len()` must be `rows * columns`.
    ///
    /// # Panics
    /// Never; a wrong length is stored as given and refused when the artifact is written.
    pub fn matrix(name: impl Into<String>, rows: usize, columns: usize, values: Vec<f64>) -> Self {
        Array {
            name: name.into(),
            shape: vec![rows, columns],
            values,
        }
    }
}

/// A fitted model as data: its kind, settings as JSON, and arrays.
///
/// JSON holds names, levels and choices; every number that enters a score is in an array.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelState {
    /// Kind of the catalog, such as `clv.bg_nbd`.
    pub kind: String,
    /// Settings: names, orders, rules.
    pub settings: Map<String, Value>,
    /// Numbers.
    pub arrays: Vec<Array>,
}

impl ModelState {
    /// A state without settings or arrays.
    pub fn new(kind: impl Into<String>) -> Self {
        ModelState {
            kind: kind.into(),
            settings: Map::new(),
            arrays: Vec::new(),
        }
    }

    /// The array of that name.
    ///
    /// # Errors
    /// `StateError::Malformed` if it is absent.
    pub fn array(&self, name: &str) -> Result<&Array, StateError> {
        self.arrays
            .iter()
            .find(|array| array.name == name)
            .ok_or_else(|| StateError::malformed(&self.kind, format!("array `{name}` is missing")))
    }

    /// The one-dimensional array of that name and length.
    ///
    /// # Errors
    /// `StateError::Malformed` if it is absent or has another shape.
    pub fn vector(&self, name: &str, len: usize) -> Result<&[f64], StateError> {
        let array = self.array(name)?;
        if array.shape != [len] || array.values.len() != len {
            let problem = format!(
                "array `{name}` has shape {:?}, expected [{len}]",
                array.shape
            );
            return Err(StateError::malformed(&self.kind, problem));
        }
        Ok(&array.values)
    }

    /// The state nested under `prefix`: arrays `prefix.*` and the object `settings[prefix]`, which
    /// names its kind under `kind`.
    ///
    /// # Errors
    /// `StateError::Malformed` if the nested settings or kind are absent.
    pub fn nested(&self, prefix: &str) -> Result<ModelState, StateError> {
        let absent = || StateError::malformed(&self.kind, format!("no nested model `{prefix}`"));
        let mut settings = self
            .settings
            .get(prefix)
            .and_then(Value::as_object)
            .cloned()
            .ok_or_else(absent)?;
        let kind = settings.remove("kind").ok_or_else(absent)?;
        let kind = kind.as_str().ok_or_else(absent)?.to_owned();
        let dotted = format!("{prefix}.");
        let arrays = self.arrays.iter().filter_map(|array| {
            let name = array.name.strip_prefix(&dotted)?.to_owned();
            Some(Array {
                name,
                shape: array.shape.clone(),
                values: array.values.clone(),
            })
        });
        Ok(ModelState {
            kind,
            arrays: arrays.collect(),
            settings,
        })
    }

    /// Adds `inner` under `prefix`; the inverse of [`ModelState::nested`].
    pub fn nest(&mut self, prefix: &str, inner: ModelState) {
        let ModelState {
            kind,
            mut settings,
            arrays,
        } = inner;
        settings.insert("kind".to_owned(), Value::String(kind));
        self.settings
            .insert(prefix.to_owned(), Value::Object(settings));
        self.arrays.extend(arrays.into_iter().map(|array| Array {
            name: format!("{prefix}.{}", array.name),
            shape: array.shape,
            values: array.values,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::{Array, ModelState};

    #[test]
    fn nested_models_come_back() {
        let mut inner = ModelState::new("clv.bg_nbd");
        inner.arrays.push(Array::vector("params", vec![0.25, 4.5]));
        let mut outer = ModelState::new("clv.lifetime_value");
        outer.nest("purchase", inner.clone());
        assert_eq!(outer.nested("purchase"), Ok(inner));
        assert!(outer.nested("spend").is_err());
    }
}

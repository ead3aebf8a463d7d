//! The feature dictionary of a model: what its fields are called, and how reasons are worded.
//!
//! It is the author's and travels in the model's file, among the metadata under
//! [`FeatureDictionary::KEY`].

use crate::Error;
use cvm_core::{ErrorKind, InputError, InputSchema, Violation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Longest label or wording, in bytes.
const MAX_TEXT_BYTES: usize = 500;
/// What a wording may hold in braces.
const PLACES: [&str; 3] = ["label", "value", "field"];

/// Words for the fields of a model, and groups of fields that are told as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureDictionary {
    /// By name of the field; a field without an entry goes by its name.
    pub fields: BTreeMap<String, FieldWords>,
    /// By name of the group: fields whose contributions are summed, such as one-hot columns of one
    /// category, or lags of one measure.
    pub groups: BTreeMap<String, GroupWords>,
}

/// Words for one field.
///
/// A wording may hold `{label}`, `{value}` (the row's, or `missing`) and `{field}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct FieldWords {
    /// What the field is called; unset is its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Wording where it raises the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raises: Option<String>,
    /// Wording where it lowers the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowers: Option<String>,
    /// Group it is told with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether somebody can act on it; unset is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actionable: Option<bool>,
}

/// Words for a group; `{value}` and `{field}` are those of the member that adds most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct GroupWords {
    /// What the group is called; unset is its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Wording where it raises the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raises: Option<String>,
    /// Wording where it lowers the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowers: Option<String>,
    /// Whether somebody can act on it; unset is yes if it is of any member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actionable: Option<bool>,
}

/// What reasons are told of: a field alone or a group of fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) raises: Option<String>,
    pub(crate) lowers: Option<String>,
    pub(crate) actionable: bool,
    /// Places of its fields in the schema.
    pub(crate) fields: Vec<usize>,
}

impl FeatureDictionary {
    /// Key among a model's metadata.
    pub const KEY: &'static str = "feature_dictionary";

    /// The dictionary of a JSON object.
    ///
    /// # Errors
    /// A key that is unknown or of the wrong type.
    pub fn from_json(value: Value) -> Result<FeatureDictionary, Error> {
        serde_json::from_value(value).map_err(|error| {
            let why = format!(
                "is none: {error}; it has `fields` and `groups`, of label, raises, lowers, group \
                 and actionable"
            );
            Error::invalid(Self::KEY, why)
        })
    }

    /// The dictionary among a model's metadata, checked against its fields.
    pub(crate) fn of(
        metadata: &Map<String, Value>,
        schema: &InputSchema,
    ) -> Result<FeatureDictionary, Error> {
        let Some(value) = metadata.get(Self::KEY) else {
            return Ok(FeatureDictionary::default());
        };
        let dictionary = FeatureDictionary::from_json(value.clone())?;
        dictionary.check(schema)?;
        Ok(dictionary)
    }

    /// As [`FeatureDictionary::of`], of a file: what is wrong there is not the caller's fault.
    pub(crate) fn of_file(
        metadata: &Map<String, Value>,
        schema: &InputSchema,
    ) -> Result<FeatureDictionary, Error> {
        FeatureDictionary::of(metadata, schema).map_err(|error| {
            let message = format!(
                "the file's feature dictionary cannot be used: {}",
                error.message
            );
            Error::new(ErrorKind::Incompatible, message)
        })
    }

    /// Checks names against the model's fields, and wordings.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(&self, schema: &InputSchema) -> Result<(), Error> {
        let mut violations = Vec::new();
        let mut refuse = |place: String, why: String| {
            violations.push(Violation {
                field: format!("{}.{place}", Self::KEY),
                description: why,
            });
        };
        let used: BTreeSet<&str> = self
            .fields
            .values()
            .filter_map(|f| f.group.as_deref())
            .collect();
        for (name, words) in &self.fields {
            if schema.position(name).is_none() {
                let known: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
                let why = format!("is no field of the model; it has [{}]", known.join(", "));
                refuse(format!("fields.{name}"), why);
            }
            for (key, text) in words.texts() {
                if let Some(why) = wrong(text) {
                    refuse(format!("fields.{name}.{key}"), why);
                }
            }
        }
        for (name, words) in &self.groups {
            if !used.contains(name.as_str()) {
                refuse(
                    format!("groups.{name}"),
                    "is the group of no field".to_owned(),
                );
            }
            for (key, text) in words.texts() {
                if let Some(why) = wrong(text) {
                    refuse(format!("groups.{name}.{key}"), why);
                }
            }
        }
        for name in used {
            let grouped = self
                .fields
                .get(name)
                .is_some_and(|words| words.group.is_some());
            if schema.position(name).is_some() && !grouped {
                let why = "is also the name of a field that is not in it".to_owned();
                refuse(format!("groups.{name}"), why);
            }
        }
        if violations.is_empty() {
            return Ok(());
        }
        Err(InputError { violations }.into())
    }

    /// What reasons are told of, in the order of the fields.
    pub(crate) fn units(&self, schema: &InputSchema) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::new();
        let none = FieldWords::default();
        for (place, field) in schema.fields.iter().enumerate() {
            let words = self.fields.get(&field.name).unwrap_or(&none);
            let actionable = words.actionable.unwrap_or(true);
            let Some(group) = &words.group else {
                units.push(Unit {
                    name: field.name.clone(),
                    label: words.label.clone().unwrap_or_else(|| field.name.clone()),
                    raises: words.raises.clone(),
                    lowers: words.lowers.clone(),
                    actionable,
                    fields: vec![place],
                });
                continue;
            };
            if let Some(own) = units.iter_mut().find(|unit| unit.name == *group) {
                own.fields.push(place);
                own.actionable |= actionable;
                continue;
            }
            let own = self.groups.get(group).cloned().unwrap_or_default();
            units.push(Unit {
                name: group.clone(),
                label: own.label.unwrap_or_else(|| group.clone()),
                raises: own.raises,
                lowers: own.lowers,
                actionable,
                fields: vec![place],
            });
        }
        for unit in &mut units {
            let own = self
                .groups
                .get(&unit.name)
                .and_then(|words| words.actionable);
            unit.actionable = own.unwrap_or(unit.actionable);
        }
        units
    }
}

impl FieldWords {
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        texts(&self.label, &self.raises, &self.lowers)
    }
}

impl GroupWords {
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        texts(&self.label, &self.raises, &self.lowers)
    }
}

fn texts<'t>(
    label: &'t Option<String>,
    raises: &'t Option<String>,
    lowers: &'t Option<String>,
) -> impl Iterator<Item = (&'static str, &'t str)> {
    let all = [("label", label), ("raises", raises), ("lowers", lowers)];
    all.into_iter()
        .filter_map(|(key, text)| Some((key, text.as_deref()?)))
}

/// What is wrong with a text, if anything.
fn wrong(text: &str) -> Option<String> {
    if text.trim().is_empty() || text.len() > MAX_TEXT_BYTES {
        return Some(format!(
            "has {} bytes, must have 1 to {MAX_TEXT_BYTES}",
            text.len()
        ));
    }
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let inside = rest[open..]
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'));
        match inside {
            Some((place, after)) if PLACES.contains(&place) => rest = after,
            _ => {
                let known = PLACES.map(|place| format!("{{{place}}}")).join(", ");
                return Some(format!("has a brace that is not one of {known}"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{FeatureDictionary, wrong};
    use cvm_core::{Domain, InputField, InputSchema};
    use serde_json::json;

    fn schema() -> InputSchema {
        let field = |name: &str| InputField::number(name, "1", Domain::Any);
        InputSchema {
            fields: ["tenure", "calls_1", "calls_2", "age"].map(field).to_vec(),
            time_unit: None,
        }
    }

    fn dictionary(value: serde_json::Value) -> FeatureDictionary {
        FeatureDictionary::from_json(value).unwrap()
    }

    #[test]
    fn groups_take_the_place_of_their_first_field() {
        let words = dictionary(json!({
            "fields": {
                "calls_1": {"group": "calls", "actionable": false},
                "calls_2": {"group": "calls"},
                "age": {"label": "age in years", "actionable": false},
            },
            "groups": {"calls": {"label": "calls to support"}},
        }));
        words.check(&schema()).unwrap();
        let units = words.units(&schema());
        let told: Vec<(&str, &str, bool, &[usize])> = units
            .iter()
            .map(|u| (&*u.name, &*u.label, u.actionable, &*u.fields))
            .collect();
        let want: [(&str, &str, bool, &[usize]); 3] = [
            ("tenure", "tenure", true, &[0]),
            ("calls", "calls to support", true, &[1, 2]),
            ("age", "age in years", false, &[3]),
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let words = dictionary(json!({
            "fields": {
                "tenur": {"label": "x"},
                "age": {"raises": "{age} is high", "group": "tenure"},
                "calls_1": {"label": " "},
            },
            "groups": {"nobody": {}},
        }));
        let error = words.check(&schema()).unwrap_err();
        let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
        let want = [
            "feature_dictionary.fields.age.raises",
            "feature_dictionary.fields.calls_1.label",
            "feature_dictionary.fields.tenur",
            "feature_dictionary.groups.nobody",
            "feature_dictionary.groups.tenure",
        ];
        assert_eq!(fields, want);
        assert!(error.message.contains("it has [tenure, calls_1"), "{error}");
        let unknown = FeatureDictionary::from_json(json!({"fields": {"age": {"lable": "x"}}}));
        assert!(unknown.unwrap_err().message.contains("lable"));
    }

    #[test]
    fn braces_are_places() {
        assert_eq!(wrong("{label} of {value} in {field}"), None);
        for text in ["{", "}", "{values}", "{label", "a } b", "{{label}}"] {
            assert!(wrong(text).is_some(), "{text}");
        }
    }
}

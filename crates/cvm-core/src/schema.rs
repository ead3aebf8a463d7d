//! What a model needs to see: names, order, types, units and the rules for gaps.

use crate::{Domain, TimeUnit};
use serde::{Deserialize, Serialize};

/// Type of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A number inside a domain.
    Number {
        /// What is allowed.
        domain: Domain,
    },
    /// A category; level order is the model's, kept for ever.
    Category {
        /// Levels in the model's order.
        levels: Vec<String>,
        /// What happens to a level outside the list.
        unseen: UnseenRule,
    },
}

/// What happens to a missing value (NaN, null).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingRule {
    /// The row is refused with status `missing`.
    Reject,
    /// The model fills it with a value it learnt (a mean, a most frequent level).
    Impute,
    /// Missing is a level of its own.
    OwnLevel,
}

/// What happens to a category the model has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnseenRule {
    /// The row is refused with status `unseen_level`.
    Reject,
    /// Treated as missing, under the field's missing rule.
    AsMissing,
    /// Scored as the reference level (all indicator columns zero).
    Reference,
}

/// One input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputField {
    /// Column name.
    pub name: String,
    /// Type.
    pub kind: FieldKind,
    /// Unit: `periods`, `purchases`, `currency`, or `1`.
    pub unit: String,
    /// Rule for missing values.
    pub missing: MissingRule,
}

impl InputField {
    /// A number that must be present.
    pub fn number(name: impl Into<String>, unit: impl Into<String>, domain: Domain) -> Self {
        InputField {
            name: name.into(),
            kind: FieldKind::Number { domain },
            unit: unit.into(),
            missing: MissingRule::Reject,
        }
    }
}

/// The inputs of a model, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSchema {
    /// Columns in the model's order; callers match by name.
    pub fields: Vec<InputField>,
    /// Length of one period, when any input is in periods and the unit is known.
    pub time_unit: Option<TimeUnit>,
}

impl InputSchema {
    /// Index of a field by name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

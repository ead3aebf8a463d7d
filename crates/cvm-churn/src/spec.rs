//! Settings of a logistic churn fit: which columns, how encoded, how penalised.

use crate::ChurnError;
use cvm_core::UnseenRule;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// How a numeric column enters the logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumericBasis {
    /// One coefficient per unit.
    Linear,
    /// A natural cubic spline with knots at training quantiles, linear beyond the outer knots; a
    /// column with fewer than three distinct knots stays linear.
    Spline,
}

/// What a missing number does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingNumeric {
    /// Takes the training mean; if values were missing in training, an indicator column lets missing
    /// have its own effect.
    Impute,
    /// Refuses: an error in training, a row status in scoring.
    Reject,
}

/// What a missing category does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingCategorical {
    /// A level of its own if values were missing in training, else the most frequent level.
    Auto,
    /// The most frequent level.
    Impute,
    /// A level of its own; the most frequent level if none was missing in training.
    OwnLevel,
    /// Refuses: an error in training, a row status in scoring.
    Reject,
}

/// A label of the target column, as text, number or truth value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// `true` or `false`.
    Truth(bool),
    /// A number, such as 1.
    Number(f64),
    /// A text, such as `Yes`.
    Text(String),
}

/// Settings of a logistic churn fit. Unknown names are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticSpec {
    /// Column that says who churned; two distinct values, none missing.
    pub target: String,
    /// The value of `target` that means churn. Unset: 1 for a column of 0 and 1; for text the one
    /// of the two that reads `yes`, `true` or `1`.
    pub positive: Option<Label>,
    /// Column of row weights, finite and >= 0.
    pub weight: Option<String>,
    /// Column added to the logit as it is, with the coefficient 1: finite, never missing.
    pub offset: Option<String>,
    /// Columns that are no inputs, such as a customer id.
    pub ignore: Vec<String>,
    /// Numeric inputs. Unset: every column of numbers not named elsewhere.
    pub numeric: Option<Vec<String>>,
    /// Categorical inputs, of text or numbers. Unset: every column of text not named elsewhere.
    pub categorical: Option<Vec<String>>,
    /// L2 penalty on the standardised coefficients (not the intercept), taken from the total
    /// log-likelihood: `1 / C` of scikit-learn. Finite and >= 0.
    pub penalty: f64,
    /// Share of the penalty that is L1, 0 to 1: coefficients that do not earn it are exactly 0.
    pub l1_ratio: f64,
    /// Chooses the penalty by cross-validation, in place of `penalty`.
    pub path: Option<PathSpec>,
    /// How numbers enter.
    pub numeric_basis: NumericBasis,
    /// Knots of a spline, 3 to 7.
    pub knots: usize,
    /// Rule for missing numbers.
    pub missing_numeric: MissingNumeric,
    /// Rule for missing categories.
    pub missing_categorical: MissingCategorical,
    /// Rule for levels not seen in training.
    pub unseen: UnseenRule,
    /// Levels with less than this total weight share one coefficient, `__other__`; 0 for none.
    pub min_level_count: f64,
    /// Most levels of one category, 2 to 10 000.
    pub max_levels: usize,
}

/// How the penalty is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PathRule {
    /// Least mean log-loss of the held-out folds.
    #[default]
    Best,
    /// Largest penalty whose mean log-loss is within one standard error of the least.
    OneStandardError,
}

/// A path of penalties and the choice among them by folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathSpec {
    /// Penalties tried, largest first, equal steps of the logarithm; 2 to 200.
    pub count: usize,
    /// Smallest penalty relative to the largest, which is the least that leaves every coefficient
    /// at 0; above 0, below 1.
    pub smallest_ratio: f64,
    /// Folds, 2 to 50; within each, encodings are learnt anew.
    pub folds: usize,
    /// Seed of the folds, which have equal shares of churners.
    pub seed: u64,
    /// Which penalty is chosen.
    pub rule: PathRule,
}

impl Default for PathSpec {
    fn default() -> Self {
        PathSpec {
            count: 40,
            smallest_ratio: 1e-4,
            folds: 5,
            seed: 0,
            rule: PathRule::Best,
        }
    }
}

impl PathSpec {
    fn check(&self) -> Result<(), ChurnError> {
        let refuse = |field: &str, value: String, allowed: &str| {
            Err(ChurnError::setting(field, value, allowed))
        };
        if !(2..=200).contains(&self.count) {
            return refuse("path.count", self.count.to_string(), "from 2 to 200");
        }
        if !(2..=50).contains(&self.folds) {
            return refuse("path.folds", self.folds.to_string(), "from 2 to 50");
        }
        if !(self.smallest_ratio > 0.0 && self.smallest_ratio < 1.0) {
            let value = self.smallest_ratio.to_string();
            return refuse("path.smallest_ratio", value, "above 0 and below 1");
        }
        Ok(())
    }
}

impl Default for LogisticSpec {
    fn default() -> Self {
        LogisticSpec {
            target: String::new(),
            positive: None,
            weight: None,
            offset: None,
            ignore: Vec::new(),
            numeric: None,
            categorical: None,
            penalty: 1.0,
            l1_ratio: 0.0,
            path: None,
            numeric_basis: NumericBasis::Spline,
            knots: 5,
            missing_numeric: MissingNumeric::Impute,
            missing_categorical: MissingCategorical::Auto,
            unseen: UnseenRule::Reference,
            min_level_count: 0.0,
            max_levels: 255,
        }
    }
}

impl LogisticSpec {
    /// Defaults for a target column.
    #[must_use]
    pub fn new(target: impl Into<String>) -> Self {
        LogisticSpec {
            target: target.into(),
            ..LogisticSpec::default()
        }
    }

    /// Settings from a JSON object; names not listed here are refused.
    ///
    /// # Errors
    /// [`ChurnError::Setting`] with the parser's message, or the first value out of range.
    pub fn from_json(settings: Value) -> Result<Self, ChurnError> {
        let spec: LogisticSpec = serde_json::from_value(settings)
            .map_err(|e| ChurnError::setting("*", e, "the settings of a logistic churn fit"))?;
        spec.check()?;
        Ok(spec)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first setting out of range, or a column given two roles.
    pub fn check(&self) -> Result<(), ChurnError> {
        let refuse = |field: &str, value: String, allowed: &str| {
            Err(ChurnError::setting(field, value, allowed))
        };
        if self.target.is_empty() {
            return refuse("target", "empty".to_owned(), "the name of a column");
        }
        if !self.penalty.is_finite() || self.penalty < 0.0 {
            return refuse("penalty", self.penalty.to_string(), "a finite number >= 0");
        }
        if !(0.0..=1.0).contains(&self.l1_ratio) {
            return refuse("l1_ratio", self.l1_ratio.to_string(), "from 0 to 1");
        }
        if let Some(path) = &self.path {
            path.check()?;
        }
        if !(3..=7).contains(&self.knots) {
            return refuse("knots", self.knots.to_string(), "from 3 to 7");
        }
        if !self.min_level_count.is_finite() || self.min_level_count < 0.0 {
            let value = self.min_level_count.to_string();
            return refuse("min_level_count", value, "a finite number >= 0");
        }
        if !(2..=10_000).contains(&self.max_levels) {
            return refuse("max_levels", self.max_levels.to_string(), "from 2 to 10000");
        }
        self.check_roles()
    }

    fn check_roles(&self) -> Result<(), ChurnError> {
        let mut seen: HashSet<&str> = HashSet::from([self.target.as_str()]);
        let inputs = self.numeric.iter().chain(&self.categorical).flatten();
        for name in self.weight.iter().chain(&self.offset).chain(inputs) {
            if !seen.insert(name) {
                let allowed = "one of target, weight, offset, numeric, categorical, once";
                return Err(ChurnError::setting("columns", name, allowed));
            }
        }
        Ok(())
    }

    /// Whether a column plays no input by name.
    pub(crate) fn is_excluded(&self, name: &str) -> bool {
        name == self.target
            || self.weight.as_deref() == Some(name)
            || self.ignore.iter().any(|ignored| ignored == name)
    }
}

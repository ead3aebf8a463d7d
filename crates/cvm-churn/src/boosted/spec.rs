//! Settings of a boosted fit: which columns, how trees grow, when to stop.

use crate::trees::UnseenPolicy;
use crate::{ChurnError, Label, LogisticSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Up to this many rows learning is slowest and splits cost most.
const FEW_ROWS: f64 = 10_000.0;
/// Up to this many rows splits are chosen as if all rows curved alike.
const EVEN_ROWS: f64 = 5_000.0;

/// How a tree grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grow {
    /// One question per level: scored about ten times faster.
    Oblivious,
    /// The leaf with the largest gain is split next.
    Leafwise,
}

/// What a churner weighs in training, next to a customer who stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeight {
    /// A ratio.
    Ratio(f64),
    /// `balanced`: both classes weigh the same in total.
    Named(Balanced),
}

/// The named class weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balanced {
    /// Both classes weigh the same in total.
    Balanced,
}

/// Settings of a boosted fit. Unknown names are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostedSpec {
    /// Column that says who churned; two distinct values, none missing.
    pub target: String,
    /// The value of `target` that means churn; see [`LogisticSpec::positive`].
    pub positive: Option<Label>,
    /// Column of row weights, finite and >= 0.
    pub weight: Option<String>,
    /// Columns that are no inputs, such as a customer id.
    pub ignore: Vec<String>,
    /// Numeric inputs. Unset: every column of numbers not named elsewhere.
    pub numeric: Option<Vec<String>>,
    /// Categorical inputs, of text or numbers. Unset: every column of text not named elsewhere.
    pub categorical: Option<Vec<String>>,
    /// Most levels of one category, 2 to 10 000; beyond 254 the rarest share a bin.
    pub max_levels: usize,
    /// What a level not seen in training means.
    pub unseen: UnseenPolicy,
    /// Most trees, 1 to 100 000.
    pub rounds: usize,
    /// Share of each Newton step that is taken, in (0, 1]; unset is 0.1 up to 10 000 rows, then
    /// grows with the root of their number to 0.2.
    pub learning_rate: Option<f64>,
    /// How trees grow.
    pub grow: Grow,
    /// Deepest leaf, 1 to 10 of oblivious trees, to 64 of leaf-wise ones.
    pub depth: usize,
    /// Most leaves of a leaf-wise tree, 2 to 4096.
    pub max_leaves: usize,
    /// Most distinct fields a tree may ask about: 1 makes the model additive, 2 adds pairs; unset is
    /// no limit.
    pub interaction_order: Option<usize>,
    /// L2 penalty on leaf values, added to the summed curvature, where customers' curvature is at its
    /// most, 1/4; finite and >= 0.
    pub l2: f64,
    /// How fast the penalty falls as trees learn: it is `l2 (4 m)^l2_fall` at a mean curvature of `m`,
    /// so that it stays in proportion. 0 keeps it as it is; finite and >= 0.
    pub l2_fall: f64,
    /// Share of the mean curvature in place of a row's own where splits are chosen, 0 to 1: of few
    /// rows, those thought certain may just be learnt by heart. Unset is 1 for oblivious trees on up
    /// to 5 000 rows, then falls with the fourth power of their number; 0 for leaf-wise ones.
    pub even_curvature: Option<f64>,
    /// Least summed curvature `Σ w p (1 − p)` of a side that counts as a split; finite and >= 0.
    pub min_child_weight: f64,
    /// Least gain of a split per leaf it is asked of, in units of twice the log-likelihood: 2 is
    /// Akaike's price of a parameter. A fit ends when no split is worth it. Finite and >= 0; unset
    /// is 0.7 up to 10 000 rows, then falls with the fourth root of their number to 0.4.
    pub min_gain: Option<f64>,
    /// Most bins of a number, 2 to 254, beside the one of missing values.
    pub max_bins: usize,
    /// Added to the curvature of a level when levels are ordered, and to `l2` when a category of
    /// more than four levels is split; finite and >= 0.
    pub category_smoothing: f64,
    /// Gain taken off a category's split for each level beyond the twelfth, in units of `min_gain`:
    /// `2/π` is what levels of noise gain from being put in order. Finite and >= 0.
    pub level_gain: f64,
    /// Share of rows each tree is grown on, in (0, 1].
    pub row_sample: f64,
    /// Share of fields each tree may use, in (0, 1].
    pub field_sample: f64,
    /// Seed of all draws.
    pub seed: u64,
    /// Direction of a numeric field's effect: 1 up, -1 down.
    pub monotone: BTreeMap<String, i8>,
    /// What a churner weighs in training; corrected for in the scores.
    pub class_weight: Option<ClassWeight>,
    /// Rounds without a better held-out loss after which to stop; 0 never stops early.
    pub early_stopping_rounds: usize,
    /// Share of rows held out for early stopping, in (0, 1), unless `validation` names them.
    pub validation_fraction: f64,
    /// Column of 0 and 1 that marks the rows to hold out.
    pub validation: Option<String>,
    /// Column whose equal values are held out together.
    pub group: Option<String>,
    /// Column of numbers by which the last rows are held out.
    pub time: Option<String>,
    /// After early stopping, fit again on all rows with the number of trees found.
    pub refit: bool,
}

impl Default for BoostedSpec {
    fn default() -> Self {
        BoostedSpec {
            target: String::new(),
            positive: None,
            weight: None,
            ignore: Vec::new(),
            numeric: None,
            categorical: None,
            max_levels: 255,
            unseen: UnseenPolicy::Missing,
            rounds: 500,
            learning_rate: None,
            grow: Grow::Oblivious,
            depth: 6,
            max_leaves: 31,
            interaction_order: None,
            l2: 4.0,
            l2_fall: 1.5,
            even_curvature: None,
            min_child_weight: 0.05,
            min_gain: None,
            max_bins: 127,
            category_smoothing: 10.0,
            level_gain: 0.64,
            row_sample: 1.0,
            field_sample: 1.0,
            seed: 0,
            monotone: BTreeMap::new(),
            class_weight: None,
            early_stopping_rounds: 0,
            validation_fraction: 0.1,
            validation: None,
            group: None,
            time: None,
            refit: false,
        }
    }
}

/// A setting out of range.
fn refuse(field: &str, value: impl ToString, allowed: &str) -> Result<(), ChurnError> {
    Err(ChurnError::setting(field, value, allowed))
}

fn within(field: &str, value: usize, low: usize, high: usize) -> Result<(), ChurnError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    refuse(field, value, &format!("from {low} to {high}"))
}

fn non_negative(field: &str, value: f64) -> Result<(), ChurnError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    refuse(field, value, "a finite number >= 0")
}

fn share(field: &str, value: f64) -> Result<(), ChurnError> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    refuse(field, value, "above 0 and at most 1")
}

impl BoostedSpec {
    /// Defaults for a target column.
    #[must_use]
    pub fn new(target: impl Into<String>) -> Self {
        BoostedSpec {
            target: target.into(),
            ..BoostedSpec::default()
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first setting out of range, or a column given two roles.
    pub fn check(&self) -> Result<(), ChurnError> {
        self.roles().check()?;
        within("rounds", self.rounds, 1, 100_000)?;
        share("learning_rate", self.learning_rate.unwrap_or(1.0))?;
        let deepest = match self.grow {
            Grow::Oblivious => 10,
            Grow::Leafwise => 64,
        };
        within("depth", self.depth, 1, deepest)?;
        within("max_leaves", self.max_leaves, 2, 4096)?;
        if let Some(order) = self.interaction_order {
            within("interaction_order", order, 1, 64)?;
        }
        non_negative("l2", self.l2)?;
        non_negative("l2_fall", self.l2_fall)?;
        if let Some(even) = self
            .even_curvature
            .filter(|even| !(0.0..=1.0).contains(even))
        {
            return refuse("even_curvature", even, "from 0 to 1");
        }
        non_negative("min_child_weight", self.min_child_weight)?;
        non_negative("min_gain", self.min_gain.unwrap_or(0.0))?;
        within("max_bins", self.max_bins, 2, 254)?;
        non_negative("category_smoothing", self.category_smoothing)?;
        non_negative("level_gain", self.level_gain)?;
        share("row_sample", self.row_sample)?;
        share("field_sample", self.field_sample)?;
        if let Some((name, sign)) = self.monotone.iter().find(|(_, sign)| sign.abs() > 1) {
            return refuse(&format!("monotone.{name}"), sign, "1, 0 or -1");
        }
        if let Some(ClassWeight::Ratio(ratio)) = self.class_weight
            && !(1e-6..=1e6).contains(&ratio)
        {
            return refuse("class_weight", ratio, "\"balanced\" or from 1e-6 to 1e6");
        }
        self.check_holdout()
    }

    fn check_holdout(&self) -> Result<(), ChurnError> {
        if !(self.validation_fraction > 0.0 && self.validation_fraction < 1.0) {
            let value = self.validation_fraction;
            return refuse("validation_fraction", value, "above 0 and below 1");
        }
        let named = [&self.validation, &self.group, &self.time];
        if named.iter().filter(|name| name.is_some()).count() > 1 {
            let value = "more than one of validation, group, time";
            return refuse("validation", value, "one of them");
        }
        if self.validation.is_some() && self.early_stopping_rounds == 0 {
            let value = "0 beside held-out rows";
            return refuse("early_stopping_rounds", value, "1 or more");
        }
        Ok(())
    }

    /// The learning rate of a fit on so many rows.
    pub(crate) fn learning_rate(&self, rows: usize) -> f64 {
        let grown = 0.1 * (rows as f64 / FEW_ROWS).sqrt();
        self.learning_rate.unwrap_or(grown.clamp(0.1, 0.2))
    }

    /// The least gain of a split of a fit on so many rows.
    pub(crate) fn min_gain(&self, rows: usize) -> f64 {
        let fallen = 0.7 * (FEW_ROWS / rows as f64).sqrt().sqrt();
        self.min_gain.unwrap_or(fallen.clamp(0.4, 0.7))
    }

    /// The share of the mean curvature of a fit on so many rows.
    pub(crate) fn even_curvature(&self, rows: usize) -> f64 {
        let share = (EVEN_ROWS / rows as f64).min(1.0);
        let fallen = match self.grow {
            Grow::Oblivious => (share * share) * (share * share),
            Grow::Leafwise => 0.0,
        };
        self.even_curvature.unwrap_or(fallen)
    }

    /// The columns and their roles.
    pub(crate) fn roles(&self) -> LogisticSpec {
        let mut ignore = self.ignore.clone();
        // Columns that say which rows to hold out are inputs only if listed.
        let holdout = [&self.validation, &self.group, &self.time];
        ignore.extend(holdout.into_iter().flatten().cloned());
        LogisticSpec {
            target: self.target.clone(),
            positive: self.positive.clone(),
            weight: self.weight.clone(),
            ignore,
            numeric: self.numeric.clone(),
            categorical: self.categorical.clone(),
            max_levels: self.max_levels,
            ..LogisticSpec::default()
        }
    }
}

//! The contract of everything that scores rows.

use crate::{
    Attributions, BoundBatch, Frame, InputError, InputSchema, ModelState, Question, ReasonOptions,
    Reasons, RowIssue, RowStatus,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One output column of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputSpec {
    /// Column name, such as `expected_purchases`.
    pub name: &'static str,
    /// Unit: `purchases`, `currency`, `probability`, `1`.
    pub unit: &'static str,
    /// Whether it is only defined for a horizon.
    pub needs_horizon: bool,
    /// Whether it is only computed when asked for by name.
    pub on_request: bool,
    /// One clause that says what it is.
    pub meaning: &'static str,
}

/// What to compute. Unset values take the model's defaults; a value that the model cannot use is
/// ignored only if it cannot change the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreOptions {
    /// Forecast horizon in the model's time unit; positive, `inf` for all the future.
    pub horizon_periods: Option<f64>,
    /// Effective discount rate per year, such as 0.1; finite and zero or greater. Unset is 0.
    pub discount_rate_per_year: Option<f64>,
    /// Share of spend kept as value; finite. Unset is 1.
    pub margin: Option<f64>,
    /// Output columns wanted, in this order; empty for all that the other options allow.
    pub outputs: Vec<String>,
    /// Number of purchases whose probability is asked for (`p_purchases`, `p_at_least`); a whole
    /// number. Unset is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchases: Option<f64>,
    /// Probability at which `next_purchase_periods` is the quantile; strictly between 0 and 1.
    /// Unset is 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
    /// Cost of serving a living customer, in currency per period; finite. Unset is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_period: Option<f64>,
    /// Cost of serving one order, in currency; finite. Unset is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_order: Option<f64>,
    /// Level of the interval asked for beside every output, strictly between 0 and 1; unset is
    /// none. Intervals tell how well the parameters are known, not what one customer may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_level: Option<f64>,
    /// As of when to score: so many periods after the rows were observed, in which nothing was seen
    /// of the customers; each row's age (`T`, `n_periods`, `tenure`) is that much greater. Zero or
    /// greater; unset is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_periods: Option<f64>,
    /// Reasons asked for beside every row's scores; unset is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<ReasonOptions>,
}

impl ScoreOptions {
    /// Names of the options that are numbers.
    pub const NUMBERS: [&'static str; 9] = [
        "horizon_periods",
        "discount_rate_per_year",
        "margin",
        "purchases",
        "quantile",
        "cost_per_period",
        "cost_per_order",
        "interval_level",
        "elapsed_periods",
    ];

    /// The option of that name, for surfaces whose requests name options; `None` for a name not in
    /// [`ScoreOptions::NUMBERS`].
    pub fn number_mut(&mut self, name: &str) -> Option<&mut Option<f64>> {
        Some(match name {
            "horizon_periods" => &mut self.horizon_periods,
            "discount_rate_per_year" => &mut self.discount_rate_per_year,
            "margin" => &mut self.margin,
            "purchases" => &mut self.purchases,
            "quantile" => &mut self.quantile,
            "cost_per_period" => &mut self.cost_per_period,
            "cost_per_order" => &mut self.cost_per_order,
            "interval_level" => &mut self.interval_level,
            "elapsed_periods" => &mut self.elapsed_periods,
            _ => return None,
        })
    }
}

/// Scores of a batch, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// One named column per output; the value of a bad row is NaN.
    pub outputs: Vec<(&'static str, Vec<f64>)>,
    /// One status per row.
    pub status: Vec<RowStatus>,
    /// The first bad rows in words, at most [`Scores::MAX_ISSUES`].
    pub issues: Vec<RowIssue>,
    /// Reasons, if they were asked for.
    pub reasons: Option<Reasons>,
}

impl Scores {
    /// Bad rows told in words per batch; the status column covers every row.
    pub const MAX_ISSUES: usize = 100;

    /// The output column of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.outputs
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, values)| values.as_slice())
    }
}

/// Room for the scores of a range of rows.
#[derive(Debug)]
pub struct ScoreBlock<'a> {
    /// One slice per requested output, each as long as the range.
    pub outputs: Vec<&'a mut [f64]>,
    /// One status per row of the range.
    pub status: &'a mut [RowStatus],
}

/// A model that scores rows, each alone: `score(a ++ b) == score(a) ++ score(b)` in every bit.
pub trait Scorer: Send + Sync + std::fmt::Debug {
    /// Kind in the catalog.
    fn kind(&self) -> &'static str;

    /// Inputs.
    fn schema(&self) -> &InputSchema;

    /// The inputs read from a batch that has the columns which `has` tells, where these are more than
    /// those of [`Scorer::schema`]: a path of numbered columns is as long as the batch makes it.
    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        let _ = has;
        None
    }

    /// The input that grows as time goes by in which nothing is seen of a customer, where the model
    /// has one: the end of the observation.
    fn age(&self) -> Option<&'static str> {
        None
    }

    /// Every output the model has, in its order.
    fn outputs(&self) -> &'static [OutputSpec];

    /// The model as plain data.
    fn state(&self) -> ModelState;

    /// Rows that exercise the model's formulas, edges and refusals, made from its own parameters and
    /// never from training data: stored with their scores and re-scored by whoever opens the file.
    fn probe_rows(&self) -> Frame;

    /// Options for scoring [`Scorer::probe_rows`]; every output must be computable with them.
    fn probe_options(&self) -> ScoreOptions;

    /// Checks options beyond the generic checks (finite, known output names, horizon present).
    ///
    /// # Errors
    /// Fields that this model cannot use.
    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        let _ = options;
        Ok(())
    }

    /// Additive attributions of the raw scores of `rows` of `batch` to the fields; each row's do not
    /// depend on the others.
    ///
    /// # Errors
    /// The model has none of the kind asked for, and why.
    fn explain(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
        question: &Question<'_, '_, '_>,
    ) -> Result<Attributions, InputError> {
        let _ = (batch, rows, question);
        let why = format!("of kind {} has no attributions", self.kind());
        Err(InputError::new("model", why))
    }

    /// Scores rows `start..start + block.status.len()` of `batch` into `block`; `wanted[i]` is the
    /// index in [`Scorer::outputs`] of `block.outputs[i]`. A bad row gets its status and NaN.
    /// Options have been checked.
    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    );
}

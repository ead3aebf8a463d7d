//! Logistic churn model: the probability that a customer leaves, from numbers and categories.
//!
//! A customer's fields become columns by rules learnt in training and kept here: knots, levels and
//! their order, what stands in for a gap, what an unseen level means. The logit is linear in them.
//!
//! | symbol | meaning                                                    | unit        |
//! |--------|------------------------------------------------------------|-------------|
//! | `v_j`  | design column `j`                                          | the field's |
//! | `m_j`  | its training mean                                          | the field's |
//! | `c_j`  | coefficient                                                | logit per unit |
//! | `η`    | logit, `c_0 + Σ c_j (v_j − m_j)`                           | 1           |
//! | `p`    | churn probability, `1/(1 + e^−η)`                          | probability |
//!
//! Source: Cox (1958), *JRSS B* 20(2); estimation in `docs/models/logistic.md`.

use crate::encoding::{FieldEncoding, column_names, schema};
use crate::score::Plan;
use cvm_core::{
    Attributions, BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, Question,
    ScoreBlock, ScoreOptions, Scorer, StateError,
};
use std::ops::Range;

/// Kind in the catalog.
pub(crate) const KIND: &str = "churn.logistic";

const OUTPUTS: &[OutputSpec] = &[
    OutputSpec {
        name: "churn_probability",
        unit: "probability",
        needs_horizon: false,
        on_request: false,
        meaning: "probability that the customer carries the label that means churn",
    },
    OutputSpec {
        name: "logit",
        unit: "1",
        needs_horizon: false,
        on_request: false,
        meaning: "log of the odds of churn",
    },
];

/// The numbers of a model; vectors have one entry per design column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers {
    /// Logit where every column is at its mean.
    pub(crate) intercept: f64,
    /// Per unit of the column.
    pub(crate) coefficients: Vec<f64>,
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
}

/// A fitted logistic churn model.
#[derive(Debug, Clone)]
pub struct Logistic {
    pub(crate) target: String,
    pub(crate) positive: String,
    pub(crate) encoding: Vec<FieldEncoding>,
    pub(crate) numbers: Numbers,
    schema: InputSchema,
    plan: Plan,
}

impl Logistic {
    /// Kind in the catalog.
    pub const KIND: &'static str = KIND;

    /// Name for people.
    pub const TITLE: &'static str = "Logistic regression";

    pub(crate) fn assemble(
        target: String,
        positive: String,
        encoding: Vec<FieldEncoding>,
        numbers: Numbers,
    ) -> Result<Logistic, StateError> {
        check(&encoding, &numbers)?;
        Ok(Logistic {
            schema: schema(&encoding),
            plan: Plan::new(&encoding, &numbers),
            target,
            positive,
            encoding,
            numbers,
        })
    }

    /// Rebuilds a model from its state.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    pub fn from_state(state: &ModelState) -> Result<Logistic, StateError> {
        crate::state::read(state)
    }

    /// Names of the design columns, without the intercept.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        column_names(&self.encoding)
    }

    /// Coefficients per unit of each design column.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.numbers.coefficients
    }

    /// Logit where every design column is at its training mean.
    #[must_use]
    pub fn intercept_at_means(&self) -> f64 {
        self.numbers.intercept
    }

    /// Column that said who churned.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Its label that means churn.
    #[must_use]
    pub fn positive_label(&self) -> &str {
        &self.positive
    }
}

fn check(encoding: &[FieldEncoding], numbers: &Numbers) -> Result<(), StateError> {
    let columns: usize = encoding.iter().map(FieldEncoding::column_count).sum();
    let malformed = |problem: String| Err(StateError::malformed(KIND, problem));
    if encoding.is_empty() || encoding.len() > usize::from(u16::MAX) {
        return malformed(format!(
            "{} fields, expected 1 to {}",
            encoding.len(),
            u16::MAX
        ));
    }
    let vectors = [
        ("coefficients", &numbers.coefficients),
        ("means", &numbers.means),
        ("scales", &numbers.scales),
    ];
    for (name, values) in vectors {
        if values.len() != columns {
            return malformed(format!("{} {name} for {columns} columns", values.len()));
        }
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            return malformed(format!("{name} hold {bad}, expected finite numbers"));
        }
    }
    if let Some(bad) = numbers.scales.iter().find(|scale| **scale <= 0.0) {
        return malformed(format!("scales hold {bad}, expected numbers > 0"));
    }
    if !numbers.intercept.is_finite() {
        return malformed(format!("intercept is {}", numbers.intercept));
    }
    Ok(())
}

impl Scorer for Logistic {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        crate::state::write(self)
    }

    fn probe_rows(&self) -> Frame {
        crate::probe::rows(self)
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions::default()
    }

    fn explain(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
        question: &Question<'_, '_, '_>,
    ) -> Result<Attributions, InputError> {
        crate::attribution::explain(&self.plan, batch, rows, question)
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        _options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        self.plan.score(batch, start, wanted, block);
    }
}

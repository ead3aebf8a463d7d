//! A boosted churn model: trees of our own, scored by the tree kernels.
//!
//! The state is that of a tree ensemble with two settings more: the target column and its label that
//! means churn.

use crate::trees::{Ensemble, TreeEnsemble};
use cvm_core::{
    Attributions, BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, Question,
    ScoreBlock, ScoreOptions, Scorer, StateError,
};
use serde_json::Value;

/// Kind in the catalog.
const KIND: &str = "churn.boosted";

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

/// A fitted boosted churn model.
#[derive(Debug, Clone)]
pub struct Boosted {
    target: String,
    positive: String,
    trees: TreeEnsemble,
}

impl Boosted {
    /// Kind in the catalog.
    pub const KIND: &'static str = KIND;

    /// Name for people.
    pub const TITLE: &'static str = "Boosted trees";

    pub(crate) fn new(
        target: String,
        positive: String,
        ensemble: Ensemble,
    ) -> Result<Boosted, StateError> {
        let trees = TreeEnsemble::new(ensemble)?;
        // Positions of outputs are the ensemble's: probability, then raw score.
        if trees.outputs().len() != OUTPUTS.len() || trees.outputs()[0].name != OUTPUTS[0].name {
            return Err(malformed("the trees do not give a probability of churn"));
        }
        Ok(Boosted {
            target,
            positive,
            trees,
        })
    }

    /// Rebuilds a model from its state.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    pub fn from_state(state: &ModelState) -> Result<Boosted, StateError> {
        if state.kind != KIND {
            return Err(malformed(format!("the state is of kind `{}`", state.kind)));
        }
        let mut inner = state.clone();
        TreeEnsemble::KIND.clone_into(&mut inner.kind);
        let mut text = |name: &str| match inner.settings.remove(name) {
            Some(Value::String(text)) => Ok(text),
            other => Err(malformed(format!(
                "setting `{name}` is {other:?}, expected text"
            ))),
        };
        let (target, positive) = (text("target")?, text("positive")?);
        Boosted::new(
            target,
            positive,
            TreeEnsemble::from_state(&inner)?.ensemble().clone(),
        )
    }

    /// The trees as a model of their own.
    #[must_use]
    pub fn trees(&self) -> &TreeEnsemble {
        &self.trees
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

fn malformed(problem: impl Into<String>) -> StateError {
    StateError::malformed(KIND, problem)
}

impl Scorer for Boosted {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self) -> &InputSchema {
        self.trees.schema()
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = self.trees.state();
        KIND.clone_into(&mut state.kind);
        let own = [("target", &self.target), ("positive", &self.positive)];
        for (name, text) in own {
            state
                .settings
                .insert(name.to_owned(), Value::String(text.clone()));
        }
        state
    }

    fn probe_rows(&self) -> Frame {
        self.trees.probe_rows()
    }

    fn probe_options(&self) -> ScoreOptions {
        self.trees.probe_options()
    }

    fn explain(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: std::ops::Range<usize>,
        question: &Question<'_, '_, '_>,
    ) -> Result<Attributions, InputError> {
        let found = self.trees.explain(batch, rows, question)?;
        Ok(Attributions {
            outputs: vec![OUTPUTS[1].name],
            ..found
        })
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        self.trees.score_rows(batch, start, wanted, options, block);
    }
}

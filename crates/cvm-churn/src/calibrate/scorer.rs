//! A churn model with its calibrator: the same kind, the same inputs, calibrated probabilities.

use super::calibrator::{Calibrator, Method};
use super::sample::log_odds;
use cvm_core::{
    Attributions, BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, Question,
    RowStatus, ScoreBlock, ScoreOptions, Scorer, StateError,
};
use serde_json::Value;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Prefix of the calibrator in a model's state.
const PREFIX: &str = "calibration";
/// The output that is calibrated.
const PROBABILITY: &str = "churn_probability";
/// The output that is its log-odds, where a kind has one.
const LOGIT: &str = "logit";

const CALIBRATED: OutputSpec = OutputSpec {
    name: PROBABILITY,
    unit: "probability",
    needs_horizon: false,
    on_request: false,
    meaning: "calibrated probability that the customer leaves",
};
const UNCALIBRATED: OutputSpec = OutputSpec {
    name: "uncalibrated_probability",
    unit: "probability",
    needs_horizon: false,
    on_request: true,
    meaning: "probability of churn before calibration",
};
const LOW: OutputSpec = OutputSpec {
    name: "venn_abers_p0",
    unit: "probability",
    needs_horizon: false,
    on_request: false,
    meaning: "probability of churn if the customer counts as one who stayed: the lower of the two",
};
const HIGH: OutputSpec = OutputSpec {
    name: "venn_abers_p1",
    unit: "probability",
    needs_horizon: false,
    on_request: false,
    meaning: "probability of churn if the customer counts as one who left: the higher of the two",
};

/// Where the log-odds come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The model's own output `logit`.
    Logit,
    /// The log-odds of its output `churn_probability`.
    Probability,
}

impl Source {
    /// The source a model of these outputs has.
    ///
    /// # Errors
    /// The model has no probability of churn, or one that needs a horizon.
    pub fn of(scorer: &dyn Scorer) -> Result<Source, InputError> {
        let outputs = scorer.outputs();
        let found = outputs.iter().find(|output| output.name == PROBABILITY);
        match found {
            Some(output) if !output.needs_horizon => {}
            _ => {
                let why = format!(
                    "of kind {} has no `{PROBABILITY}` of its own horizon: it cannot be calibrated",
                    scorer.kind()
                );
                return Err(InputError::new("model", why));
            }
        }
        let has_logit = outputs.iter().any(|output| output.name == LOGIT);
        Ok(if has_logit {
            Source::Logit
        } else {
            Source::Probability
        })
    }

    /// Name of the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Source::Logit => LOGIT,
            Source::Probability => PROBABILITY,
        }
    }

    /// Log-odds of a value of the output.
    #[must_use]
    pub fn log_odds(self, value: f64) -> f64 {
        match self {
            Source::Logit => value,
            Source::Probability if value.is_nan() => value,
            Source::Probability => log_odds(value),
        }
    }
}

/// What an output of a calibrated model is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// An output of the model within, as it is.
    Inner(usize),
    Calibrated,
    Low,
    High,
}

/// A churn model with its calibrator.
#[derive(Debug)]
pub struct Calibrated {
    inner: Box<dyn Scorer>,
    calibrator: Calibrator,
    source: Source,
    outputs: &'static [OutputSpec],
    parts: Vec<Part>,
    /// Place of the source among the outputs within.
    place: usize,
}

impl Calibrated {
    /// `inner` with `calibrator`.
    ///
    /// # Errors
    /// The model has no probability that can be calibrated.
    pub fn new(inner: Box<dyn Scorer>, calibrator: Calibrator) -> Result<Calibrated, InputError> {
        let source = Source::of(inner.as_ref())?;
        let mut outputs = Vec::new();
        let mut parts = Vec::new();
        let mut uncalibrated = None;
        for (place, output) in inner.outputs().iter().enumerate() {
            if output.name == PROBABILITY {
                uncalibrated = Some(place);
                outputs.push(CALIBRATED);
                parts.push(Part::Calibrated);
                if calibrator.method() == Method::VennAbers {
                    outputs.extend([LOW, HIGH]);
                    parts.extend([Part::Low, Part::High]);
                }
            } else {
                outputs.push(*output);
                parts.push(Part::Inner(place));
            }
        }
        if let Some(place) = uncalibrated {
            outputs.push(UNCALIBRATED);
            parts.push(Part::Inner(place));
        }
        let mut names = inner.outputs().iter().map(|output| output.name);
        let place = names.position(|name| name == source.name()).unwrap_or(0);
        Ok(Calibrated {
            outputs: interned(outputs),
            inner,
            calibrator,
            source,
            parts,
            place,
        })
    }

    /// `inner`, and the calibrator of a nested state.
    ///
    /// # Errors
    /// A calibrator that is malformed, or of a model that has no probability.
    pub fn from_state(
        inner: Box<dyn Scorer>,
        state: &ModelState,
    ) -> Result<Calibrated, StateError> {
        let calibrator = Calibrator::from_state(state)?;
        let malformed = |problem: String| StateError::malformed(PREFIX, problem);
        let calibrated =
            Calibrated::new(inner, calibrator).map_err(|error| malformed(error.to_string()))?;
        let source = state.settings.get("source").and_then(Value::as_str);
        if source != Some(calibrated.source.name()) {
            let expected = calibrated.source.name();
            return Err(malformed(format!(
                "source is {source:?}, expected `{expected}`"
            )));
        }
        Ok(calibrated)
    }

    /// The calibrator.
    #[must_use]
    pub fn calibrator(&self) -> &Calibrator {
        &self.calibrator
    }
}

/// The state of the model within, and that of its calibrator if it has one.
///
/// # Errors
/// A calibrator without a method.
pub fn take(mut state: ModelState) -> Result<(ModelState, Option<ModelState>), StateError> {
    if !state.settings.contains_key(PREFIX) {
        return Ok((state, None));
    }
    let calibrator = state.nested(PREFIX)?;
    state.settings.remove(PREFIX);
    let dotted = format!("{PREFIX}.");
    state
        .arrays
        .retain(|array| !array.name.starts_with(&dotted));
    Ok((state, Some(calibrator)))
}

/// One list of outputs for every set of names: the lists of a process are as many as the kinds that
/// can be calibrated, so what is kept for ever is bounded.
fn interned(outputs: Vec<OutputSpec>) -> &'static [OutputSpec] {
    static LISTS: Mutex<Vec<&'static [OutputSpec]>> = Mutex::new(Vec::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.iter().find(|known| **known == outputs.as_slice()) {
        return known;
    }
    let list: &'static [OutputSpec] = Box::leak(outputs.into_boxed_slice());
    lists.push(list);
    list
}

impl Scorer for Calibrated {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn schema(&self) -> &InputSchema {
        self.inner.schema()
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        self.outputs
    }

    fn state(&self) -> ModelState {
        let mut state = self.inner.state();
        let mut own = ModelState::new(self.calibrator.method().name());
        let source = Value::String(self.source.name().to_owned());
        own.settings.insert("source".to_owned(), source);
        own.arrays = self.calibrator.arrays();
        state.nest(PREFIX, own);
        state
    }

    fn probe_rows(&self) -> Frame {
        self.inner.probe_rows()
    }

    /// Every output by name: those on request are held to their bits, too.
    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            outputs: self
                .outputs
                .iter()
                .map(|output| output.name.to_owned())
                .collect(),
            ..self.inner.probe_options()
        }
    }

    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        self.inner.check_options(options)
    }

    /// Attributions are of the raw score, which a calibrator does not touch.
    fn explain(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
        question: &Question<'_, '_, '_>,
    ) -> Result<Attributions, InputError> {
        self.inner.explain(batch, rows, question)
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let parts: Vec<Part> = wanted.iter().map(|place| self.parts[*place]).collect();
        let rows = block.status.len();
        // The model within writes its own outputs in their places, and the source aside.
        let mut source = vec![f64::NAN; rows];
        let mut within = vec![self.place];
        let mut inner = ScoreBlock {
            outputs: vec![&mut source],
            status: &mut *block.status,
        };
        for (output, part) in block.outputs.iter_mut().zip(&parts) {
            if let Part::Inner(place) = part {
                within.push(*place);
                inner.outputs.push(output);
            }
        }
        self.inner
            .score_rows(batch, start, &within, options, &mut inner);
        for (output, part) in block.outputs.iter_mut().zip(&parts) {
            let value: fn(&Calibrator, f64) -> f64 = match part {
                Part::Inner(_) => continue,
                Part::Calibrated => Calibrator::probability,
                Part::Low => |calibrator, eta| calibrator.bracket(eta)[0],
                Part::High => |calibrator, eta| calibrator.bracket(eta)[1],
            };
            let rows = output.iter_mut().zip(&source).zip(&*block.status);
            for ((cell, source), status) in rows {
                let eta = self.source.log_odds(*source);
                *cell = value(&self.calibrator, eta);
                debug_assert!(*status == RowStatus::OK || cell.is_nan());
            }
        }
    }
}

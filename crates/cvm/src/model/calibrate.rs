//! Calibration of a model: rows in, the same model with a calibrator out.

use super::{FIT_PREFIX, Model};
use crate::{Error, catalog, score};
use cvm_churn::calibrate::{
    Calibrated, Calibrator, Candidate, Choice, FOLDS, Method, Sample, Source, choose, fit, take,
};
use cvm_core::{Batch, InputError, ScoreOptions, Scorer};
use serde::Serialize;
use serde_json::{Value, json};

/// Key of the training facts that tell how a model was calibrated.
const FACT: &str = "calibration";

/// Outcomes of the rows a model is calibrated on: rows it was not fitted on.
#[derive(Debug, Clone, Copy)]
pub struct CalibrationRows<'a> {
    /// Who churned.
    pub churned: &'a [bool],
    /// Weights of rows; unset means one each.
    pub weights: Option<&'a [f64]>,
}

/// What a calibration found; kept in the model's training facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrationReport {
    /// The method taken.
    pub method: Method,
    /// Methods tried on held-out folds, simplest first; empty if the method was given.
    pub candidates: Vec<Candidate>,
    /// Folds of the choice.
    pub folds: usize,
    /// Rows used.
    pub row_count: usize,
    /// Rows without a score or without weight.
    pub excluded_row_count: usize,
    /// Rows used that churned.
    pub churner_count: usize,
}

impl Model {
    /// The model with a calibrator learnt on `batch`, rows it was not fitted on, in place of any it
    /// has. `method` unset chooses by log-loss on held-out folds.
    ///
    /// # Errors
    /// As [`Model::score`]; `InvalidInput` for a kind without a probability of churn, too few rows,
    /// one outcome only, or scores that do not rise with churn.
    pub fn calibrated(
        &self,
        batch: &Batch<'_>,
        rows: CalibrationRows<'_>,
        method: Option<Method>,
    ) -> Result<Model, Error> {
        let inner = self.uncalibrated_scorer()?;
        let source = Source::of(inner.as_ref())?;
        let options = ScoreOptions {
            outputs: vec![source.name().to_owned()],
            ..ScoreOptions::default()
        };
        let scores = score::score(inner.as_ref(), batch, &options, 1)?;
        let values = scores.get(source.name()).unwrap_or_default();
        let eta: Vec<f64> = values.iter().map(|value| source.log_odds(*value)).collect();
        self.with_calibrator(inner, &eta, rows, method)
    }

    /// [`Model::calibrated`] on uncalibrated probabilities that are there already, such as those
    /// of the folds of a cross-validation; NaN for a row without.
    ///
    /// # Errors
    /// As [`Model::calibrated`], and for a number that is no probability.
    pub fn calibrated_on(
        &self,
        probabilities: &[f64],
        rows: CalibrationRows<'_>,
        method: Option<Method>,
    ) -> Result<Model, Error> {
        let bad = |p: &f64| !p.is_nan() && !(0.0..=1.0).contains(p);
        if let Some(row) = probabilities.iter().position(bad) {
            let why = format!("is {}: must be a number from 0 to 1", probabilities[row]);
            return Err(Error::invalid(format!("probabilities[{row}]"), why));
        }
        let inner = self.uncalibrated_scorer()?;
        Source::of(inner.as_ref())?;
        let odds = |p: &f64| Source::Probability.log_odds(*p);
        let eta: Vec<f64> = probabilities.iter().map(odds).collect();
        self.with_calibrator(inner, &eta, rows, method)
    }

    /// The model without its calibrator.
    ///
    /// # Errors
    /// None but defects.
    pub fn uncalibrated(&self) -> Result<Model, Error> {
        self.rebuilt(self.uncalibrated_scorer()?, None)
    }

    /// How the model was calibrated, if it was.
    #[must_use]
    pub fn calibration(&self) -> Option<&Value> {
        self.training().get(FACT)
    }

    fn uncalibrated_scorer(&self) -> Result<Box<dyn Scorer>, Error> {
        let mut state = self.file.facts().state.clone();
        state
            .arrays
            .retain(|array| !array.name.starts_with(FIT_PREFIX));
        catalog::scorer(take(state)?.0)
    }

    fn with_calibrator(
        &self,
        inner: Box<dyn Scorer>,
        eta: &[f64],
        rows: CalibrationRows<'_>,
        method: Option<Method>,
    ) -> Result<Model, Error> {
        let sample = Sample::new(eta, rows.churned, rows.weights)?;
        let Choice {
            calibrator,
            candidates,
        } = match method {
            Some(method) => Choice {
                calibrator: fit(method, &sample)?,
                candidates: Vec::new(),
            },
            None => choose(&sample)?,
        };
        let report = report(&calibrator, candidates, &sample);
        let scorer = Calibrated::new(inner, calibrator)?;
        self.rebuilt(Box::new(scorer), Some(json!(report)))
    }

    /// This model's facts around another scorer.
    fn rebuilt(&self, scorer: Box<dyn Scorer>, fact: Option<Value>) -> Result<Model, Error> {
        let mut training = self.training().clone();
        match fact {
            Some(fact) => training.insert(FACT.to_owned(), fact),
            None => training.remove(FACT),
        };
        let arrays = self.arrays().iter();
        let of_fit = arrays.filter(|array| array.name.starts_with(FIT_PREFIX));
        let model = Model::new(scorer, training, of_fit.cloned().collect())?;
        model.with_metadata(self.metadata().clone())
    }
}

fn report(
    calibrator: &Calibrator,
    candidates: Vec<Candidate>,
    sample: &Sample,
) -> CalibrationReport {
    CalibrationReport {
        method: calibrator.method(),
        candidates,
        folds: FOLDS,
        row_count: sample.len(),
        excluded_row_count: sample.excluded,
        churner_count: sample.churners(),
    }
}

/// A wrong argument of the calibration is a wrong field of the call.
impl CalibrationRows<'_> {
    /// Checks that there is one outcome per row.
    ///
    /// # Errors
    /// The two counts.
    pub fn check(&self, row_count: usize) -> Result<(), Error> {
        let got = self.churned.len();
        if got == row_count {
            return Ok(());
        }
        Err(InputError::new("y", format!("has {got} rows, X has {row_count}")).into())
    }
}

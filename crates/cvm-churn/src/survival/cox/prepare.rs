//! Prepares and finishes the fit of a Cox model.

use super::super::design::{Design, design};
use super::super::episodes::{self, Episodes};
use super::super::model::{Parts, Survival, SurvivalFit};
use super::super::spec::{Tail, TimeSpec, inputs_only, split};
use super::checks::{PhTest, TimeScale, concordance, ph_test, robust};
use super::errors::Errors;
use super::law::Cox;
use super::likelihood::{CoxLikelihood, Evaluated};
use super::risk::{RiskSets, Ties};
use super::strata::Strata;
use crate::design::penalties;
use crate::target::column;
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, Column, StateError, TimeUnit, Transform};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Settings of a Cox fit.
#[derive(Debug, Clone, PartialEq)]
pub struct CoxSpec {
    /// Columns of time; `period` counts as `stop`.
    pub times: TimeSpec,
    /// Target (the event), weight, inputs and their encoding.
    pub inputs: LogisticSpec,
    /// Ties, tail, standard errors.
    pub own: OwnSpec,
}

/// What is peculiar to a Cox model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnSpec {
    /// How events at the same time are told apart.
    pub ties: Ties,
    /// What happens after the end of follow-up.
    pub tail: Tail,
    /// Events that the constant tail is measured on.
    pub min_tail_events: f64,
    /// Standard errors that stay right when the model is not (Lin & Wei).
    pub robust: bool,
    /// Column of groups that have a baseline each.
    pub strata: Option<String>,
    /// Column that names the customer of each row: rows of one customer are one unit of the robust
    /// standard errors.
    pub id: Option<String>,
    /// Scale of time of the test of proportional hazards.
    pub time_scale: TimeScale,
}

impl Default for OwnSpec {
    fn default() -> Self {
        OwnSpec {
            ties: Ties::Efron,
            tail: Tail::Constant,
            min_tail_events: 20.0,
            robust: false,
            strata: None,
            id: None,
            time_scale: TimeScale::Km,
        }
    }
}

const KEYS: [&str; 7] = [
    "ties",
    "tail",
    "min_tail_events",
    "robust",
    "strata",
    "id",
    "time_scale",
];

impl CoxSpec {
    /// Settings from JSON; names not listed here are refused.
    ///
    /// # Errors
    /// [`ChurnError::Setting`] with the first setting that cannot be used.
    pub fn from_settings(settings: Map<String, Value>) -> Result<Self, ChurnError> {
        let (times, own, inputs) = split::<OwnSpec>(settings, &KEYS, 0.0)?;
        let spec = CoxSpec { times, inputs, own };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), ChurnError> {
        let need = self.own.min_tail_events;
        if !(need.is_finite() && need > 0.0) {
            let allowed = "a finite number > 0";
            return Err(ChurnError::setting("min_tail_events", need, allowed));
        }
        if self.own.id.is_some() && !self.own.robust {
            let allowed = "absent unless `robust` is set: it groups rows for those errors only";
            return Err(ChurnError::setting("id", "set", allowed));
        }
        Ok(())
    }
}

/// The way from a batch to something an estimator can fit.
#[derive(Debug, Clone, Copy)]
pub struct CoxDesign;

/// A fit made ready; its parameters are one coefficient per standardised column.
#[derive(Debug, Clone)]
pub struct PreparedCox {
    /// Partial log-likelihood.
    pub likelihood: CoxLikelihood,
    /// Coordinates: the parameters themselves.
    pub transforms: Vec<Transform>,
    /// One start: no effect.
    pub starts: Vec<Vec<f64>>,
    /// L2 penalty per parameter.
    pub penalty: Vec<f64>,
    /// L1 penalty per parameter; empty for none.
    pub l1: Vec<f64>,
    /// Names of the parameters.
    pub names: Vec<String>,
    /// Rows used.
    pub row_count: usize,
    /// Weight of the rows that ended in the event.
    pub event_weight: f64,
    spec: CoxSpec,
    episodes: Episodes,
    clusters: Vec<usize>,
    strata: Strata,
    design: Design,
}

/// What a Cox fit leaves.
#[derive(Debug, Clone)]
pub struct CoxFit {
    /// Model, estimates per unit, their covariance (robust if asked for).
    pub fit: SurvivalFit<Cox>,
    /// Tests of proportional hazards; `None` where the information is singular.
    pub ph_test: Option<PhTest>,
    /// Harrell's concordance of the training rows.
    pub concordance: Option<f64>,
}

impl CoxDesign {
    /// Reads `batch` under `spec`.
    ///
    /// # Errors
    /// A setting out of range, a column that is absent, of the wrong type or has a value a fit
    /// cannot use, no event, no informative input, or two columns that mean one thing.
    pub fn prepare(batch: &Batch<'_>, spec: &CoxSpec) -> Result<PreparedCox, ChurnError> {
        spec.check()?;
        let inputs = inputs_only(&spec.times, &spec.inputs, &[&spec.own.id, &spec.own.strata])?;
        let episodes = episodes::read(batch, &spec.times, &inputs)?;
        let design = design(batch, &inputs, &episodes.rows, &episodes.weight)?;
        if design.columns.is_empty() {
            let reason = "a Cox model compares customers by their inputs and has none; \
                          churn.hazard fits a curve without inputs";
            return Err(ChurnError::NoColumns {
                reason: reason.to_owned(),
            });
        }
        let strata = Strata::read(batch, &spec.own.strata, &inputs, &episodes)?;
        let dim = design.columns.len();
        let (penalty, l1) = penalties(spec.inputs.penalty, spec.inputs.l1_ratio, 0, dim);
        Ok(PreparedCox {
            likelihood: CoxLikelihood::new(spec.own.ties, strata.split(&episodes, &design)),
            transforms: vec![Transform::Identity; dim],
            starts: vec![vec![0.0; dim]],
            penalty,
            l1,
            names: design.names.clone(),
            row_count: episodes.len(),
            event_weight: episodes.event_weight(),
            clusters: clusters(batch, &spec.own.id, &episodes.rows)?,
            spec: spec.clone(),
            strata,
            episodes,
            design,
        })
    }
}

/// Number of the customer of every row; without an `id`, rows are customers.
fn clusters(
    batch: &Batch<'_>,
    id: &Option<String>,
    rows: &[usize],
) -> Result<Vec<usize>, ChurnError> {
    let Some(id) = id else {
        return Ok((0..rows.len()).collect());
    };
    let column = column(batch, id)?;
    let key = |row: &usize| match column {
        Column::Numbers(view) => {
            let value = view.get(*row).copied().unwrap_or(f64::NAN) + 0.0;
            (!value.is_nan()).then(|| value.to_bits().to_string())
        }
        Column::Text(text) => text.get(*row).map(str::to_owned),
    };
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut numbers = Vec::with_capacity(rows.len());
    for row in rows {
        let allowed = "present: it names the customer";
        let key = key(row).ok_or_else(|| ChurnError::cell(id, *row, "missing", allowed))?;
        let next = known.len();
        numbers.push(*known.entry(key).or_insert(next));
    }
    Ok(numbers)
}

impl PreparedCox {
    /// The model at `params` (order of [`PreparedCox::names`]) with the covariance of those.
    ///
    /// # Errors
    /// [`ChurnError::Parameters`] if a shape is wrong or a parameter is not finite.
    pub fn finish(
        &self,
        params: &[f64],
        covariance: ArrayView2<'_, f64>,
        time_unit: Option<TimeUnit>,
    ) -> Result<CoxFit, ChurnError> {
        let dim = self.names.len();
        if params.len() != dim || covariance.dim() != (dim, dim) {
            let got = format!("{} values, covariance {:?}", params.len(), covariance.dim());
            let expected = format!("{dim} values and their covariance");
            return Err(ChurnError::Parameters { got, expected });
        }
        let mut covariance = covariance.to_owned();
        if self.spec.own.robust {
            let count = self.clusters.iter().max().map_or(0, |last| last + 1);
            let clusters = self.strata.of(&self.clusters);
            covariance = robust(&self.likelihood, params, &covariance, &clusters, count);
        }
        let scale = |i: usize| self.design.scales[self.design.active[i]];
        let per_unit: Vec<f64> = (0..dim).map(|i| params[i] / scale(i)).collect();
        let model = self.model(params, &covariance, time_unit);
        let model = model.map_err(|error| ChurnError::Parameters {
            got: error.to_string(),
            expected: "numbers a model can be built from".to_owned(),
        })?;
        let spread = |(i, j): (usize, usize)| covariance[[i, j]] / (scale(i) * scale(j));
        let test = ph_test(
            &self.likelihood,
            params,
            &self.names,
            self.spec.own.time_scale,
        );
        Ok(CoxFit {
            fit: SurvivalFit {
                model,
                covariance: Array2::from_shape_fn((dim, dim), spread),
                params: per_unit,
                warnings: self.design.warnings.clone(),
            },
            // With a penalty the score is not zero, and the test is not one.
            ph_test: test.filter(|_| self.spec.inputs.penalty == 0.0),
            concordance: concordance(&self.likelihood, params),
        })
    }

    fn model(
        &self,
        params: &[f64],
        covariance: &Array2<f64>,
        time_unit: Option<TimeUnit>,
    ) -> Result<Survival<Cox>, StateError> {
        let scale = |i: usize| self.design.scales[self.design.active[i]];
        let per_unit = (0..params.len()).map(|i| params[i] / scale(i)).collect();
        let stops = self.strata.of(&self.episodes.stop);
        let mut laws = Vec::with_capacity(stops.len());
        for (stratum, stops) in self.likelihood.strata.iter().zip(&stops) {
            let at = stratum.at(params, self.likelihood.ties);
            let law = self.law(&at, stops)?;
            laws.push(law.with_errors(Errors::of(&at, covariance, &scale)));
        }
        let mut encoding = self.design.encoding.clone();
        let (mut means, mut scales) = (self.design.means.clone(), self.design.scales.clone());
        if let Some(field) = &self.strata.field {
            // Columns without coefficients: nothing to centre or scale.
            means.resize(means.len() + field.column_count(), 0.0);
            scales.resize(means.len(), 1.0);
            encoding.push(field.clone());
        }
        let name = self.spec.own.strata.as_deref();
        Survival::assemble(Parts {
            law: Cox::join(laws, name)?,
            event: self.spec.inputs.target.clone(),
            positive: self.episodes.positive.clone(),
            encoding,
            active: self.design.active.clone(),
            coefficients: per_unit,
            means,
            scales,
            time_unit,
        })
    }

    /// The law of one stratum, whose rows end at `stops`.
    fn law(&self, at: &Evaluated<'_>, stops: &[f64]) -> Result<Cox, StateError> {
        let risk = &at.stratum.risk;
        let mut sum = 0.0;
        let steps = at.hazard();
        let rising = steps.iter().map(|step| {
            sum += step;
            sum
        });
        Cox::new(
            risk.times.clone(),
            rising.collect(),
            stops.iter().fold(0.0_f64, |end, stop| end.max(*stop)),
            self.spec.own.tail,
            tail_start(risk, self.spec.own.min_tail_events),
        )
    }

    /// Names of the strata; empty where all rows are one.
    #[must_use]
    pub fn strata(&self) -> Vec<String> {
        self.strata.names()
    }
}

/// First event time of the shortest tail with at least `need` events.
fn tail_start(risk: &RiskSets, need: f64) -> usize {
    let mut sum = 0.0;
    for (j, weight) in risk.event_weight.iter().enumerate().rev() {
        sum += weight;
        if sum >= need {
            return j;
        }
    }
    0
}

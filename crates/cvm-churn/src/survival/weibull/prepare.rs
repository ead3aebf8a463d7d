//! Prepares and finishes the fit of a Weibull regression.

use super::super::design::{Design, design};
use super::super::episodes::{self, Episodes};
use super::super::model::{Parts, Survival, SurvivalFit};
use super::super::spec::{TimeSpec, inputs_only, split};
use super::law::{NAMES, Weibull};
use super::likelihood::{BLOCK_ROWS, Block, OWN, WeibullLikelihood};
use crate::design::penalties;
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, StateError, TimeUnit, Transform};
use cvm_math::{exp, ln};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings of a Weibull fit.
#[derive(Debug, Clone, PartialEq)]
pub struct WeibullSpec {
    /// Columns of time; `period` is the stretch from its start to its end.
    pub times: TimeSpec,
    /// Target (the event), weight, inputs and their encoding.
    pub inputs: LogisticSpec,
}

/// The law has no settings of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl WeibullSpec {
    /// Settings from JSON; names not listed here are refused.
    ///
    /// # Errors
    /// [`ChurnError::Setting`] with the first setting that cannot be used.
    pub fn from_settings(settings: Map<String, Value>) -> Result<Self, ChurnError> {
        let (times, Nothing {}, inputs) = split::<Nothing>(settings, &[], 0.0)?;
        Ok(WeibullSpec { times, inputs })
    }
}

/// The way from a batch to something an estimator can fit.
#[derive(Debug, Clone, Copy)]
pub struct WeibullDesign;

/// A fit made ready; its parameters are `a`, `k` and one coefficient per standardised column.
#[derive(Debug, Clone)]
pub struct PreparedWeibull {
    /// Log-likelihood.
    pub likelihood: WeibullLikelihood,
    /// Coordinates: `k` is positive.
    pub transforms: Vec<Transform>,
    /// One start: exponential lifetimes, no effect.
    pub starts: Vec<Vec<f64>>,
    /// L2 penalty per parameter.
    pub penalty: Vec<f64>,
    /// L1 penalty per parameter; empty for none.
    pub l1: Vec<f64>,
    /// Names of the parameters of the finished model.
    pub names: Vec<String>,
    /// Rows used.
    pub row_count: usize,
    /// Weight of the rows that ended in the event.
    pub event_weight: f64,
    /// Time at risk summed over rows, by weight.
    pub time_at_risk: f64,
    spec: WeibullSpec,
    positive: String,
    design: Design,
}

impl WeibullDesign {
    /// Reads `batch` under `spec`.
    ///
    /// # Errors
    /// A setting out of range, a column that is absent, of the wrong type or has a value a fit
    /// cannot use, no event, events at one time only, or two columns that mean one thing.
    pub fn prepare(batch: &Batch<'_>, spec: &WeibullSpec) -> Result<PreparedWeibull, ChurnError> {
        let inputs = inputs_only(&spec.times, &spec.inputs, &[])?;
        let episodes = episodes::read(batch, &spec.times, &inputs)?;
        let design = design(batch, &inputs, &episodes.rows, &episodes.weight)?;
        let event_weight = episodes.event_weight();
        let center = center(&episodes, event_weight);
        let dim = OWN + design.columns.len();
        let mut start = vec![0.0; dim];
        start[0] = ln(event_weight) - ln(scaled_exposure(&episodes, center));
        start[1] = 1.0;
        let (penalty, l1) = penalties(spec.inputs.penalty, spec.inputs.l1_ratio, OWN, dim);
        let mut transforms = vec![Transform::Identity; dim];
        transforms[1] = Transform::Log;
        let names = NAMES.iter().map(|name| (*name).to_owned());
        let blocks = blocks(&episodes, &design.columns, center);
        Ok(PreparedWeibull {
            likelihood: WeibullLikelihood::new(center, design.columns.len(), blocks),
            transforms,
            starts: vec![start],
            penalty,
            l1,
            names: names.chain(design.names.iter().cloned()).collect(),
            row_count: episodes.len(),
            event_weight,
            time_at_risk: exp(center) * scaled_exposure(&episodes, center),
            spec: spec.clone(),
            positive: episodes.positive,
            design,
        })
    }
}

/// Mean logarithm of the times at which customers left.
fn center(episodes: &Episodes, event_weight: f64) -> f64 {
    let rows = episodes.left.iter().zip(&episodes.stop);
    let sum = rows
        .zip(&episodes.weight)
        .filter(|((left, _), _)| **left)
        .fold(0.0, |sum, ((_, stop), w)| sum + w * ln(*stop));
    sum / event_weight
}

/// Time at risk in units of `e^center`.
fn scaled_exposure(episodes: &Episodes, center: f64) -> f64 {
    let unit = exp(center);
    let rows = episodes.start.iter().zip(&episodes.stop);
    rows.zip(&episodes.weight)
        .fold(0.0, |sum, ((start, stop), w)| {
            sum + w * ((stop - start) / unit)
        })
}

fn blocks(episodes: &Episodes, columns: &[Vec<f64>], center: f64) -> Vec<Block> {
    let rows: Vec<usize> = (0..episodes.len()).collect();
    let block = |rows: &[usize]| {
        let centred = |times: &[f64]| rows.iter().map(|i| ln(times[*i]) - center).collect();
        let pick = |values: &[f64]| rows.iter().map(|i| values[*i]).collect();
        Block {
            stop: centred(&episodes.stop),
            start: centred(&episodes.start),
            left: rows
                .iter()
                .map(|i| f64::from(u8::from(episodes.left[*i])))
                .collect(),
            weight: pick(&episodes.weight),
            inputs: columns.iter().map(|column| pick(column)).collect(),
        }
    };
    rows.chunks(BLOCK_ROWS).map(block).collect()
}

impl PreparedWeibull {
    /// The model at `params` (`a`, `k`, coefficients) with the covariance of those; what comes back
    /// is in the coordinates of [`PreparedWeibull::names`].
    ///
    /// # Errors
    /// [`ChurnError::Parameters`] if a shape is wrong or a parameter is not finite.
    pub fn finish(
        &self,
        params: &[f64],
        covariance: ArrayView2<'_, f64>,
        time_unit: Option<TimeUnit>,
    ) -> Result<SurvivalFit<Weibull>, ChurnError> {
        let dim = self.names.len();
        if params.len() != dim || covariance.dim() != (dim, dim) {
            let got = format!("{} values, covariance {:?}", params.len(), covariance.dim());
            let expected = format!("{dim} values and their covariance");
            return Err(ChurnError::Parameters { got, expected });
        }
        let (a, k) = (params[0], params[1]);
        let mut jacobian = Array2::<f64>::zeros((dim, dim));
        jacobian[[0, 0]] = -1.0 / k;
        jacobian[[0, 1]] = a / (k * k);
        jacobian[[1, 1]] = 1.0 / k;
        let mut own = vec![self.likelihood.center() - a / k, ln(k)];
        for i in OWN..dim {
            let scale = self.design.scales[self.design.active[i - OWN]];
            jacobian[[i, i]] = 1.0 / scale;
            own.push(params[i] / scale);
        }
        let covariance = jacobian.dot(&covariance).dot(&jacobian.t());
        let model = self
            .model(&own, time_unit)
            .map_err(|error| ChurnError::Parameters {
                got: error.to_string(),
                expected: "numbers a model can be built from".to_owned(),
            })?;
        Ok(SurvivalFit {
            model,
            params: own,
            covariance,
            warnings: self.design.warnings.clone(),
        })
    }

    fn model(
        &self,
        own: &[f64],
        time_unit: Option<TimeUnit>,
    ) -> Result<Survival<Weibull>, StateError> {
        Survival::assemble(Parts {
            law: Weibull::new(own[0], own[1])?,
            event: self.spec.inputs.target.clone(),
            positive: self.positive.clone(),
            encoding: self.design.encoding.clone(),
            active: self.design.active.clone(),
            coefficients: own[OWN..].to_vec(),
            means: self.design.means.clone(),
            scales: self.design.scales.clone(),
            time_unit,
        })
    }
}

//! Prepares and finishes the fit of a discrete-time hazard.

use super::super::design::{Design, design};
use super::super::episodes::{self, Episodes};
use super::super::model::{Parts, Survival, SurvivalFit};
use super::super::spec::{Tail, TimeSpec, inputs_only, split};
use super::baseline::{Baseline, Exposure, MOST_PERIODS, Shape};
use super::law::{Hazard, Link};
use super::likelihood::{BLOCK_ROWS, Block, HazardLikelihood, Span};
use crate::design::penalties;
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, TimeUnit, Transform};
use cvm_math::{ln, log1p};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings of a hazard fit.
#[derive(Debug, Clone, PartialEq)]
pub struct HazardSpec {
    /// Columns of time.
    pub times: TimeSpec,
    /// Target (the event), weight, inputs and their encoding.
    pub inputs: LogisticSpec,
    /// Shape of the hazard over time.
    pub curve: CurveSpec,
}

/// The hazard over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurveSpec {
    /// Odds or proportional hazards.
    pub link: Link,
    /// Shape of the baseline.
    pub baseline: Shape,
    /// Knots of its spline, 3 to 7.
    pub baseline_knots: usize,
    /// Events that a period needs for a number of its own, and that the tail is measured on.
    pub min_period_events: f64,
    /// Length of a period in the unit of the time columns.
    pub period_length: f64,
    /// What happens after the last period.
    pub tail: Tail,
}

impl Default for CurveSpec {
    fn default() -> Self {
        CurveSpec {
            link: Link::Logit,
            baseline: Shape::Auto,
            baseline_knots: 5,
            min_period_events: 20.0,
            period_length: 1.0,
            tail: Tail::Constant,
        }
    }
}

const KEYS: [&str; 6] = [
    "link",
    "baseline",
    "baseline_knots",
    "min_period_events",
    "period_length",
    "tail",
];

impl HazardSpec {
    /// Settings from JSON; names not listed here are refused.
    ///
    /// # Errors
    /// [`ChurnError::Setting`] with the first setting that cannot be used.
    pub fn from_settings(settings: Map<String, Value>) -> Result<Self, ChurnError> {
        let (times, curve, inputs) = split::<CurveSpec>(settings, &KEYS, 1.0)?;
        let spec = HazardSpec {
            times,
            inputs,
            curve,
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), ChurnError> {
        let CurveSpec {
            baseline_knots,
            min_period_events,
            period_length,
            ..
        } = &self.curve;
        if !(3..=7).contains(baseline_knots) {
            return Err(ChurnError::setting(
                "baseline_knots",
                baseline_knots,
                "from 3 to 7",
            ));
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(*min_period_events) {
            let allowed = "a finite number > 0";
            return Err(ChurnError::setting(
                "min_period_events",
                min_period_events,
                allowed,
            ));
        }
        if !positive(*period_length) {
            let allowed = "a finite number > 0";
            return Err(ChurnError::setting("period_length", period_length, allowed));
        }
        Ok(())
    }
}

/// The way from a batch to something an estimator can fit.
#[derive(Debug, Clone, Copy)]
pub struct HazardDesign;

/// A fit made ready; its parameters are the baseline's numbers and one coefficient per standardised
/// column.
#[derive(Debug, Clone)]
pub struct PreparedHazard {
    /// Log-likelihood.
    pub likelihood: HazardLikelihood,
    /// Coordinates: the parameters themselves.
    pub transforms: Vec<Transform>,
    /// One start: the observed rates.
    pub starts: Vec<Vec<f64>>,
    /// L2 penalty per parameter; 0 for the baseline.
    pub penalty: Vec<f64>,
    /// L1 penalty per parameter, likewise; empty for none.
    pub l1: Vec<f64>,
    /// Names of the parameters.
    pub names: Vec<String>,
    /// Rows used.
    pub row_count: usize,
    /// Weight of the rows that ended in the event.
    pub event_weight: f64,
    /// Periods at risk summed over rows.
    pub cell_count: usize,
    spec: HazardSpec,
    positive: String,
    design: Design,
    baseline: Baseline,
    exposure: Exposure,
}

impl HazardDesign {
    /// Reads `batch` under `spec`.
    ///
    /// # Errors
    /// A setting out of range, a column that is absent, of the wrong type or has a value a fit
    /// cannot use, no event, or two columns that mean one thing.
    pub fn prepare(batch: &Batch<'_>, spec: &HazardSpec) -> Result<PreparedHazard, ChurnError> {
        spec.check()?;
        let inputs = inputs_only(&spec.times, &spec.inputs, &[])?;
        let mut episodes = episodes::read(batch, &spec.times, &inputs)?;
        let spans = spans(&mut episodes, spec)?;
        let design = design(batch, &inputs, &episodes.rows, &episodes.weight)?;
        let exposure = exposure(&spans);
        let curve = &spec.curve;
        let (need, knots) = (curve.min_period_events, curve.baseline_knots);
        let baseline = Baseline::learn(&exposure, curve.baseline, need, knots);
        let blocks = blocks(&spans, &design.columns);
        let likelihood = HazardLikelihood::new(curve.link, &baseline, design.columns.len(), blocks);
        let own = baseline.column_count();
        let dim = own + design.columns.len();
        let mut start = start(&baseline, &exposure, curve.link);
        start.resize(dim, 0.0);
        let (penalty, l1) = penalties(spec.inputs.penalty, spec.inputs.l1_ratio, own, dim);
        let mut names = baseline.names();
        names.extend(design.names.iter().cloned());
        Ok(PreparedHazard {
            cell_count: likelihood.cell_count(),
            likelihood,
            transforms: vec![Transform::Identity; dim],
            starts: vec![start],
            penalty,
            l1,
            names,
            row_count: episodes.len(),
            event_weight: episodes.event_weight(),
            spec: spec.clone(),
            positive: episodes.positive,
            design,
            baseline,
            exposure,
        })
    }
}

/// Whole periods at risk: an event counts in the period that holds it, a look in the midst of a
/// period tells nothing of that period. Rows at risk in no whole period are left out.
fn spans(episodes: &mut Episodes, spec: &HazardSpec) -> Result<Vec<Span>, ChurnError> {
    let length = spec.curve.period_length;
    let columns = &spec.times;
    let name = |column: [&Option<String>; 3]| {
        let named = column.into_iter().flatten().next();
        named.map_or(String::new(), Clone::clone)
    };
    let start_name = name([&columns.entry, &columns.start, &columns.period]);
    let stop_name = name([&columns.duration, &columns.stop, &columns.period]);
    let mut spans = Vec::with_capacity(episodes.len());
    for i in 0..episodes.len() {
        let (start, stop) = (episodes.start[i] / length, episodes.stop[i] / length);
        if start.floor() != start {
            let allowed = "a whole number of periods: hazards are by period";
            let value = episodes.start[i];
            return Err(ChurnError::cell(
                &start_name,
                episodes.rows[i],
                value,
                allowed,
            ));
        }
        let last = if episodes.left[i] {
            stop.ceil()
        } else {
            stop.floor()
        };
        #[allow(clippy::cast_precision_loss)]
        if last > MOST_PERIODS as f64 {
            let allowed = "at most 10000 periods: choose a longer period_length";
            let value = episodes.stop[i];
            return Err(ChurnError::cell(
                &stop_name,
                episodes.rows[i],
                value,
                allowed,
            ));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        spans.push(Span {
            from: start as usize,
            to: last as usize,
            left: episodes.left[i],
            weight: episodes.weight[i],
        });
    }
    let at_risk: Vec<bool> = spans.iter().map(|span| span.to > span.from).collect();
    episodes.retain(|i| at_risk[i]);
    spans.retain(|span| span.to > span.from);
    Ok(spans)
}

fn exposure(spans: &[Span]) -> Exposure {
    let last = spans.iter().map(|span| span.to).max().unwrap_or(0);
    let mut exposure = Exposure {
        events: vec![0.0; last],
        at_risk: vec![0.0; last],
    };
    for span in spans {
        for at_risk in &mut exposure.at_risk[span.from..span.to] {
            *at_risk += span.weight;
        }
        if span.left {
            exposure.events[span.to - 1] += span.weight;
        }
    }
    exposure
}

fn blocks(spans: &[Span], columns: &[Vec<f64>]) -> Vec<Block> {
    let block = |(number, spans): (usize, &[Span])| {
        let first = number * BLOCK_ROWS;
        let run = |column: &Vec<f64>| column[first..first + spans.len()].to_vec();
        Block {
            spans: spans.to_vec(),
            inputs: columns.iter().map(run).collect(),
        }
    };
    spans.chunks(BLOCK_ROWS).enumerate().map(block).collect()
}

/// The observed rate of every piece, and that of all periods of the spline, on the link's scale.
fn start(baseline: &Baseline, exposure: &Exposure, link: Link) -> Vec<f64> {
    let level = |from: usize, to: usize| {
        let rate = exposure.rate(from, to).clamp(1e-9, 1.0 - 1e-9);
        match link {
            Link::Logit => ln(rate) - log1p(-rate),
            Link::Cloglog => ln(-log1p(-rate)),
        }
    };
    let spans = baseline.spans().into_iter();
    let mut start: Vec<f64> = spans.map(|(from, to)| level(from, to)).collect();
    if let Some(smooth) = &baseline.smooth {
        start.push(level(smooth.from, baseline.last));
    }
    start.resize(baseline.column_count(), 0.0);
    start
}

/// A linear predictor this large makes hazards of 0 or 1 to ten digits.
const CERTAIN: f64 = 23.0;

impl PreparedHazard {
    /// The model at `params` (order of [`PreparedHazard::names`]) with the covariance of those.
    ///
    /// # Errors
    /// [`ChurnError::Parameters`] if a shape is wrong or a parameter is not finite.
    pub fn finish(
        &self,
        params: &[f64],
        covariance: ArrayView2<'_, f64>,
        time_unit: Option<TimeUnit>,
    ) -> Result<SurvivalFit<Hazard>, ChurnError> {
        let dim = self.names.len();
        if params.len() != dim || covariance.dim() != (dim, dim) {
            let got = format!("{} values, covariance {:?}", params.len(), covariance.dim());
            let expected = format!("{dim} values and their covariance");
            return Err(ChurnError::Parameters { got, expected });
        }
        let own = self.baseline.column_count();
        let scale = |i: usize| match i.checked_sub(own) {
            Some(j) => self.design.scales[self.design.active[j]],
            None => 1.0,
        };
        let per_unit: Vec<f64> = (0..dim).map(|i| params[i] / scale(i)).collect();
        let spread = |(i, j): (usize, usize)| covariance[[i, j]] / (scale(i) * scale(j));
        let mut warnings = self.design.warnings.clone();
        let largest = self.likelihood.largest_predictor(&params[own..]);
        if largest > CERTAIN {
            warnings.push(format!(
                "some fitted hazards are 0 or 1 (largest |linear predictor| {largest:.0}): columns \
                 separate those who left; use a penalty above 0"
            ));
        }
        Ok(SurvivalFit {
            model: self.model(&per_unit, time_unit)?,
            covariance: Array2::from_shape_fn((dim, dim), spread),
            params: per_unit,
            warnings,
        })
    }

    fn model(
        &self,
        per_unit: &[f64],
        time_unit: Option<TimeUnit>,
    ) -> Result<Survival<Hazard>, ChurnError> {
        let (alpha, beta) = per_unit.split_at(self.baseline.column_count());
        let curve = &self.spec.curve;
        let tail_start = self.exposure.tail_start(curve.min_period_events);
        let wrong = |error: cvm_core::StateError| ChurnError::Parameters {
            got: error.to_string(),
            expected: "numbers a model can be built from".to_owned(),
        };
        let law = Hazard::new(
            (curve.link, curve.tail, tail_start),
            curve.period_length,
            self.baseline.clone(),
            alpha.to_vec(),
            self.exposure.at_risk.clone(),
        )
        .map_err(wrong)?;
        Survival::assemble(Parts {
            law,
            event: self.spec.inputs.target.clone(),
            positive: self.positive.clone(),
            encoding: self.design.encoding.clone(),
            active: self.design.active.clone(),
            coefficients: beta.to_vec(),
            means: self.design.means.clone(),
            scales: self.design.scales.clone(),
            time_unit,
        })
        .map_err(wrong)
    }

    /// Events and weight at risk by period: what the baseline was learnt from.
    #[must_use]
    pub fn life_table(&self) -> (&[f64], &[f64]) {
        (&self.exposure.events, &self.exposure.at_risk)
    }
}

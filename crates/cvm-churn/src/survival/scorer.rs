//! Scoring of batches by a duration model of any kind: the same outputs for all.

use super::model::{Law, Survival};
use cvm_core::{
    BoundBatch, Domain, Frame, InputError, InputSchema, ModelState, OutputSpec, RowCode, RowStatus,
    ScoreBlock, ScoreOptions, Scorer,
};
use cvm_math::{exp, expm1, log1p};

/// Rows per buffer.
const CHUNK: usize = 1024;

const fn output(
    name: &'static str,
    unit: &'static str,
    needs_horizon: bool,
    on_request: bool,
    meaning: &'static str,
) -> OutputSpec {
    OutputSpec {
        name,
        unit,
        needs_horizon,
        on_request,
        meaning,
    }
}

/// Outputs of every duration model, in their order.
pub(crate) const OUTPUTS: &[OutputSpec] = &[
    output(
        "survival_probability",
        "probability",
        true,
        false,
        "probability that the customer, here at the tenure, stays for the whole horizon",
    ),
    output(
        "churn_probability",
        "probability",
        true,
        false,
        "probability that the customer, here at the tenure, leaves within the horizon",
    ),
    output(
        "linear_predictor",
        "1",
        false,
        false,
        "log of the hazard (or its odds) relative to the mean training row",
    ),
    output(
        "expected_remaining_periods",
        "periods",
        true,
        false,
        "time the customer is expected to stay within the horizon, each moment discounted to now",
    ),
    output(
        "hazard",
        "probability",
        true,
        true,
        "probability of leaving in the last period of the horizon, given still here at its start",
    ),
    output(
        "remaining_quantile_periods",
        "periods",
        false,
        true,
        "time from now by which the customer has left with the probability of the option \
         `quantile` (the median when unset); inf if never",
    ),
    output(
        "log_survival",
        "log probability",
        true,
        true,
        "logarithm of survival_probability",
    ),
];

/// Place of the error of the curve in [`COX_OUTPUTS`].
const LOG_ERROR: usize = OUTPUTS.len();

/// Outputs of a model whose curve has errors of its own.
pub(crate) const COX_OUTPUTS: &[OutputSpec] = &[
    OUTPUTS[0],
    OUTPUTS[1],
    OUTPUTS[2],
    OUTPUTS[3],
    OUTPUTS[4],
    OUTPUTS[5],
    OUTPUTS[6],
    output(
        "log_cumulative_hazard_error",
        "1",
        true,
        true,
        "standard error of the logarithm of the hazard summed over the horizon, baseline and \
         coefficients counted: intervals of the curve are made from it",
    ),
];

/// The options of a call in the model's terms.
struct Ask {
    horizon: f64,
    /// Continuous discount rate per period.
    rho: f64,
    /// `−ln(1 − quantile)`.
    target: f64,
}

impl<L: Law> Survival<L> {
    fn ask(&self, options: &ScoreOptions) -> Ask {
        let rate = options.discount_rate_per_year.unwrap_or(0.0);
        let unit = self.schema.time_unit;
        let years = unit.map_or(0.0, |unit| 1.0 / unit.periods_per_year());
        Ask {
            horizon: options.horizon_periods.unwrap_or(f64::NAN),
            rho: log1p(rate) * years,
            target: -log1p(-options.quantile.unwrap_or(0.5)),
        }
    }

    fn value(law: &L, output: usize, ask: &Ask, eta: f64, tenure: f64) -> f64 {
        let h = ask.horizon;
        match output {
            0 => exp(-law.cumulative(eta, tenure, h)),
            1 => -expm1(-law.cumulative(eta, tenure, h)),
            2 => eta,
            3 => law.lifetime(eta, tenure, h, ask.rho),
            // No period is the last one of all the future.
            4 if h == f64::INFINITY => f64::NAN,
            4 => {
                let last = law.unit().min(h);
                -expm1(-law.cumulative(eta, tenure + (h - last), last))
            }
            5 => law.quantile(eta, tenure, ask.target),
            _ => -law.cumulative(eta, tenure, h),
        }
    }

    /// Outputs there are numbers for.
    fn own_outputs(&self) -> impl Iterator<Item = &'static OutputSpec> {
        let known = !self.along.is_empty();
        let outputs = L::OUTPUTS.iter().enumerate();
        outputs.filter_map(move |(place, own)| (known || place != LOG_ERROR).then_some(own))
    }

    /// Inputs of the rows along each direction of the law, if `wanted` has their error.
    fn along(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        rows: usize,
    ) -> Vec<Vec<f64>> {
        if !wanted.contains(&LOG_ERROR) {
            return Vec::new();
        }
        let column = |plan: &crate::score::Plan| {
            // Statuses are those of the predictors: the plans read the same fields.
            let (mut values, mut status) = (vec![0.0; rows], vec![RowStatus::OK; rows]);
            plan.predictors(batch, start, &mut values, &mut status);
            values
        };
        self.along.iter().map(column).collect()
    }

    /// Number of the stratum of every row; empty where there is one.
    fn strata_of(&self, batch: &BoundBatch<'_, '_>, start: usize, rows: usize) -> Vec<usize> {
        let Some(plan) = &self.strata else {
            return Vec::new();
        };
        // Statuses are those of the predictors: the plans read the same fields.
        let (mut values, mut status) = (vec![0.0; rows], vec![RowStatus::OK; rows]);
        plan.predictors(batch, start, &mut values, &mut status);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        values.iter().map(|value| *value as usize).collect()
    }

    /// Reads the tenures; marks those that cannot be used.
    fn tenures(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        out: &mut [f64],
        status: &mut [RowStatus],
    ) {
        let place = self.encoding.len();
        let field = u16::try_from(place).unwrap_or(u16::MAX);
        batch.read_numbers(place, start, out);
        for (tenure, status) in out.iter().zip(status) {
            let checked = RowStatus::check(*tenure, Domain::NonNegative, field);
            if let (Err(bad), true) = (checked, status.is_ok()) {
                *status = bad;
            }
        }
    }
}

impl<L: Law> Scorer for Survival<L> {
    fn kind(&self) -> &'static str {
        L::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn age(&self) -> Option<&'static str> {
        Some(super::spec::TENURE)
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        L::OUTPUTS
    }

    fn state(&self) -> ModelState {
        super::state::write(self)
    }

    fn probe_rows(&self) -> Frame {
        super::probe::rows(self)
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            horizon_periods: Some(5.5 * self.law.unit()),
            discount_rate_per_year: self.schema.time_unit.map(|_| 0.1),
            quantile: Some(0.4),
            outputs: self.own_outputs().map(|o| o.name.to_owned()).collect(),
            ..ScoreOptions::default()
        }
    }

    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        let error = L::OUTPUTS.get(LOG_ERROR).filter(|_| self.along.is_empty());
        if let Some(error) = error.filter(|own| options.outputs.iter().any(|o| o == own.name)) {
            let why = format!("has `{}`, which this file holds no numbers for", error.name);
            return Err(InputError::new("options.outputs", why));
        }
        match options.discount_rate_per_year {
            Some(rate) if rate != 0.0 && self.schema.time_unit.is_none() => {
                let why = format!(
                    "is {rate}, but the model does not know its time unit: must be 0 or unset"
                );
                Err(InputError::new("options.discount_rate_per_year", why))
            }
            _ => Ok(()),
        }
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let ask = self.ask(options);
        let total = block.status.len();
        let mut etas = vec![0.0; total];
        self.plan.predictors(batch, start, &mut etas, block.status);
        let along = self.along(batch, start, wanted, total);
        let strata = self.strata_of(batch, start, total);
        let mut own = vec![0.0; along.len()];
        let mut tenures = [0.0; CHUNK];
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let tenures = &mut tenures[..range.len()];
            let status = &mut block.status[range.clone()];
            self.tenures(batch, start + offset, tenures, status);
            for (output, column) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut column[range.clone()];
                let rows = etas[range.clone()].iter().zip(&*tenures);
                let cells = out.iter_mut().zip(rows).zip(&mut *status);
                for (row, ((slot, (eta, tenure)), status)) in cells.enumerate() {
                    if !status.is_ok() && status.code != RowCode::Infinite {
                        continue;
                    }
                    let stratum = strata.get(offset + row).copied().unwrap_or(0);
                    let law = self.law.of_stratum(stratum);
                    *slot = if *output == LOG_ERROR {
                        let here = along.iter().map(|column| column[offset + row]);
                        own.iter_mut()
                            .zip(here)
                            .for_each(|(own, value)| *own = value);
                        law.log_error(*tenure, ask.horizon, &own)
                    } else {
                        Self::value(law, *output, &ask, *eta, *tenure)
                    };
                    mark(*slot, *output, status);
                }
            }
            for column in &mut block.outputs {
                blank(&mut column[range.clone()], status);
            }
        }
    }
}

/// Marks a row whose score is not a number, or an expectation that is truly infinite.
fn mark(value: f64, output: usize, status: &mut RowStatus) {
    if value.is_nan() {
        *status = RowStatus::bad(RowCode::Undefined, 0);
    } else if value == f64::INFINITY && matches!(output, 3 | 5) {
        *status = RowStatus::bad(RowCode::Infinite, 0);
    }
}

/// NaN for every row that has no score.
fn blank(values: &mut [f64], status: &[RowStatus]) {
    for (value, status) in values.iter_mut().zip(status) {
        if !matches!(status.code, RowCode::Ok | RowCode::Infinite) {
            *value = f64::NAN;
        }
    }
}

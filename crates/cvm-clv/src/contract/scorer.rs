//! Scoring of batches by a contract model of any kind: the same outputs for all.

use super::model::Known;
use super::tenure::TENURE;
use super::{Contract, ContractForecast, ContractFormulas, ContractModel, Subscribers, Tenure};
use crate::purchase::{blank_bad_rows, check_rate, delta_per_period};
use crate::rfm::CHUNK;
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, RowCode, RowStatus,
    ScoreBlock, ScoreOptions, Scorer,
};

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

pub(crate) const P_RETAINED_OUTPUT: OutputSpec = output(
    "p_retained",
    "probability",
    true,
    false,
    "probability that the customer makes every renewal to the horizon",
);

pub(crate) const EXPECTED_LIFETIME_OUTPUT: OutputSpec = output(
    "expected_lifetime_periods",
    "periods",
    true,
    false,
    "periods expected to be paid for out of as many as the horizon has, the first payment being \
     made now, each discounted from its payment to now; at tenure 0 and an infinite horizon \
     the DEL",
);

pub(crate) const RESIDUAL_LIFETIME_OUTPUT: OutputSpec = output(
    "residual_lifetime_periods",
    "periods",
    true,
    true,
    "renewals expected out of as many as the horizon has, the first decision being now, each \
     discounted from its payment to now; the DERL when the horizon is infinite",
);

/// Outputs of every contract model, in their order.
pub(crate) const OUTPUTS: &[OutputSpec] = &[
    output(
        "retention_rate",
        "probability",
        false,
        false,
        "probability that the customer makes the next renewal",
    ),
    P_RETAINED_OUTPUT,
    output(
        "churn_probability",
        "probability",
        true,
        false,
        "probability that the customer leaves at a renewal to the horizon",
    ),
    EXPECTED_LIFETIME_OUTPUT,
    RESIDUAL_LIFETIME_OUTPUT,
    output(
        "p_churn_at_horizon",
        "probability",
        true,
        true,
        "probability that the customer leaves at exactly the last renewal of the horizon",
    ),
    output(
        "lifetime_quantile_periods",
        "periods",
        false,
        true,
        "number of renewals to come by which the customer has left with the probability of the \
         option `quantile`; inf beyond 2^53",
    ),
    output(
        "log_p_retained",
        "log probability",
        true,
        true,
        "logarithm of p_retained",
    ),
];

/// Outputs that are expectations: an infinite one is told as such.
pub(crate) const EXPECTATIONS: [usize; 2] = [3, 4];

/// The forecast that an output is.
pub(crate) fn forecast(output: usize, options: &ScoreOptions, delta: f64) -> ContractForecast {
    let t = options.horizon_periods.unwrap_or(f64::NAN).floor();
    match output {
        0 => ContractForecast::Retained { t: 1.0 },
        1 => ContractForecast::Retained { t },
        2 => ContractForecast::Churned { t },
        3 => ContractForecast::Lifetime { t, delta },
        4 => ContractForecast::Residual { t, delta },
        5 => ContractForecast::ChurnedAt { t },
        6 => ContractForecast::Quantile {
            p: options.quantile.unwrap_or(0.5),
        },
        _ => ContractForecast::LnRetained { t },
    }
}

impl<F: ContractFormulas> Scorer for Contract<F> {
    fn kind(&self) -> &'static str {
        F::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn age(&self) -> Option<&'static str> {
        Some("tenure")
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = parametric_state(self, self.time_unit);
        if !self.covariates.is_empty() {
            crate::covariates::store(&mut state, &self.covariates, F::PROCESSES);
        }
        state
    }

    fn probe_rows(&self) -> Frame {
        const NAN: f64 = f64::NAN;
        const INF: f64 = f64::INFINITY;
        let tenures = [
            0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 24.0, 63.0, 64.0, 65.0, 500.0, 1e6, NAN, -1.0, 0.5,
            INF, -0.0,
        ];
        let mut frame = Frame::new(tenures.len()).with_numbers("tenure", tenures.to_vec());
        // A cycle of values on both sides of zero, and one that is missing.
        let cycle = [0.0, 1.0, -0.5, 2.0, NAN, 0.25, -1.5];
        for (offset, name) in self.covariates.columns.iter().enumerate() {
            let values = (0..frame.row_count).map(|row| cycle[(row * 3 + offset) % cycle.len()]);
            let values: Vec<f64> = values.collect();
            frame = frame.with_numbers(name.clone(), values);
        }
        frame
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            horizon_periods: Some(100.0),
            discount_rate_per_year: self.time_unit.map(|_| 0.1),
            quantile: Some(0.4),
            outputs: OUTPUTS
                .iter()
                .map(|output| output.name.to_owned())
                .collect(),
            ..ScoreOptions::default()
        }
    }

    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        check_rate(options, self.time_unit)
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let total = block.status.len();
        let width = self.covariate_count();
        let delta = delta_per_period(options, self.time_unit);
        let mut rows = [Tenure::NEW; CHUNK];
        let mut values = vec![0.0; width * CHUNK.min(total)];
        let mut known = vec![Known::default(); wanted.len()];
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            let status = &mut block.status[range.clone()];
            let covariates = &mut values[..count * width];
            self.read(
                batch,
                start + offset,
                &mut rows[..count],
                covariates,
                status,
            );
            let customers = Subscribers {
                rows: &rows[..count],
                covariates,
            };
            let each = wanted.iter().zip(&mut known);
            for ((output, known), column) in each.zip(&mut block.outputs) {
                let out = &mut column[range.clone()];
                let what = forecast(*output, options, delta);
                self.forecast_knowing(what, customers, known, out);
                refuse(out, status, EXPECTATIONS.contains(output));
            }
            for column in &mut block.outputs {
                blank_bad_rows(&mut column[range.clone()], status);
            }
        }
    }
}

/// Marks good rows whose score is not a number or, of an expectation, infinite.
pub(crate) fn refuse(values: &[f64], status: &mut [RowStatus], expectation: bool) {
    for (value, status) in values.iter().zip(status) {
        let code = match *value {
            value if value.is_nan() => RowCode::Undefined,
            f64::INFINITY if expectation => RowCode::Infinite,
            _ => continue,
        };
        if status.is_ok() {
            *status = RowStatus::bad(code, TENURE);
        }
    }
}

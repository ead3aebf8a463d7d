//! Scoring of batches by a purchase model of any kind: the same outputs for all.

use super::{Clock, Customers, Forecast, Purchase, PurchaseFormulas, PurchaseModel, probe};
use crate::rfm::{CHUNK, FREQUENCY, Rfm};
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, RowCode, RowStatus,
    ScoreBlock, ScoreOptions, Scorer, TimeUnit,
};
use cvm_math::dispatch::widest;
use cvm_math::{log1p, slice};

pub(crate) const P_ALIVE_OUTPUT: OutputSpec = OutputSpec {
    name: "p_alive",
    unit: "probability",
    needs_horizon: false,
    on_request: false,
    meaning: "probability that the customer has not left by the end of observation",
};

pub(crate) const EXPECTED_PURCHASES_OUTPUT: OutputSpec = OutputSpec {
    name: "expected_purchases",
    unit: "purchases",
    needs_horizon: true,
    on_request: false,
    meaning: "purchases expected from the end of observation to the horizon",
};

pub(crate) const DISCOUNTED_PURCHASES_OUTPUT: OutputSpec = OutputSpec {
    name: "discounted_purchases",
    unit: "purchases",
    needs_horizon: true,
    on_request: true,
    meaning: "expected purchases, each discounted to the end of observation; the DERT when the \
              horizon is infinite",
};

const fn on_request(
    name: &'static str,
    unit: &'static str,
    needs_horizon: bool,
    meaning: &'static str,
) -> OutputSpec {
    OutputSpec {
        name,
        unit,
        needs_horizon,
        on_request: true,
        meaning,
    }
}

/// Outputs of every purchase model, in their order.
pub(crate) const OUTPUTS: &[OutputSpec] = &[
    P_ALIVE_OUTPUT,
    EXPECTED_PURCHASES_OUTPUT,
    DISCOUNTED_PURCHASES_OUTPUT,
    on_request(
        "p_alive_at_horizon",
        "probability",
        true,
        "probability that the customer has not left by the horizon",
    ),
    on_request(
        "expected_lifetime_periods",
        "periods",
        true,
        "periods until the customer leaves, counted to the horizon and discounted",
    ),
    on_request(
        "p_purchases",
        "probability",
        true,
        "probability of exactly as many purchases to the horizon as the option says",
    ),
    on_request(
        "p_at_least",
        "probability",
        true,
        "probability of at least as many purchases to the horizon as the option says",
    ),
    on_request(
        "next_purchase_periods",
        "periods",
        false,
        "time by which the next purchase is made with the probability of the option `quantile`; \
         inf where that probability is never reached",
    ),
    on_request(
        "log_p_alive",
        "log probability",
        false,
        "logarithm of p_alive",
    ),
    on_request(
        "log_p_purchases",
        "log probability",
        true,
        "logarithm of p_purchases",
    ),
    on_request(
        "log_p_at_least",
        "log probability",
        true,
        "logarithm of p_at_least",
    ),
];

/// Outputs that are expectations: an infinite one is told as such.
pub(crate) const EXPECTATIONS: [usize; 3] = [1, 2, 4];

/// Continuous discount rate per period; NaN where a rate is asked for without a time unit, which
/// the check of options refuses.
pub(crate) fn delta_per_period(options: &ScoreOptions, unit: Option<TimeUnit>) -> f64 {
    let rate = options.discount_rate_per_year.unwrap_or(0.0);
    match unit {
        _ if rate == 0.0 => 0.0,
        Some(unit) => log1p(rate) / unit.periods_per_year(),
        None => f64::NAN,
    }
}

/// Refuses a discount rate where a year has no length.
pub(crate) fn check_rate(options: &ScoreOptions, unit: Option<TimeUnit>) -> Result<(), InputError> {
    match options.discount_rate_per_year {
        Some(rate) if rate != 0.0 && unit.is_none() => {
            let why =
                format!("is {rate}, but the model does not know its time unit: must be 0 or unset");
            Err(InputError::new("options.discount_rate_per_year", why))
        }
        _ => Ok(()),
    }
}

/// The horizon as a model's clock counts it.
pub(crate) fn horizon_periods(options: &ScoreOptions, clock: Clock) -> f64 {
    let horizon = options.horizon_periods.unwrap_or(f64::NAN);
    match clock {
        Clock::Continuous => horizon,
        Clock::Discrete => horizon.floor(),
    }
}

/// What makes an output of a forecast, given P(alive).
type Finish = fn(&mut [f64], &[f64]);

/// Buffers of one chunk of rows.
struct Chunk {
    rows: [Rfm; CHUNK],
    covariates: Vec<f64>,
    p_alive: [f64; CHUNK],
    /// Logarithms of P(X = n) and of P(X ≥ n), once they are computed: each is two outputs.
    logs: [Vec<f64>; 2],
}

impl<F: PurchaseFormulas> Purchase<F> {
    /// Fills `out` with one output of a chunk.
    fn fill(&self, output: usize, chunk: &mut Chunk, options: &ScoreOptions, out: &mut [f64]) {
        let count = out.len();
        let log = match output {
            5 | 9 => Some(0),
            6 | 10 => Some(1),
            _ => None,
        };
        let known = log.and_then(|log| chunk.logs.get(log));
        if let Some(logs) = known.filter(|logs| !logs.is_empty()) {
            out.copy_from_slice(logs);
            if output < 9 {
                exponentiate(out, &[]);
            }
            return;
        }
        let customers = Customers {
            rows: &chunk.rows[..count],
            covariates: &chunk.covariates[..count * self.covariate_count()],
        };
        let t = horizon_periods(options, F::CLOCK);
        let delta = delta_per_period(options, self.time_unit);
        let n = options.purchases.unwrap_or(1.0);
        let (forecast, finish): (Forecast, Finish) = match output {
            0 => return out.copy_from_slice(&chunk.p_alive[..count]),
            1 => (Forecast::Purchases { t }, multiply),
            2 => (Forecast::Discounted { t, delta }, multiply),
            3 => (Forecast::PAliveAhead { t }, multiply),
            4 => (Forecast::Lifetime { t, delta }, multiply),
            5 => (Forecast::LnPmf { t, n }, exponentiate),
            6 => (Forecast::LnTail { t, n }, exponentiate),
            7 => {
                let p = options.quantile.unwrap_or(0.5);
                (Forecast::NextPurchase { p }, keep)
            }
            8 => (Forecast::LnPAlive, keep),
            9 => (Forecast::LnPmf { t, n }, keep),
            _ => (Forecast::LnTail { t, n }, keep),
        };
        self.forecast(forecast, customers, out);
        if let Some(logs) = log.and_then(|log| chunk.logs.get_mut(log)) {
            logs.extend_from_slice(out);
        }
        finish(out, &chunk.p_alive[..count]);
    }
}

impl<F: PurchaseFormulas> Scorer for Purchase<F> {
    fn kind(&self) -> &'static str {
        F::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn age(&self) -> Option<&'static str> {
        Some(match F::CLOCK {
            Clock::Continuous => "T",
            Clock::Discrete => "n_periods",
        })
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
        let scale = self.formulas.scale_periods();
        let mut frame = match F::CLOCK {
            Clock::Continuous => probe::continuous(scale, F::PROBED_ONE_IN),
            Clock::Discrete => probe::discrete(),
        };
        if F::RHYTHMIC {
            frame = probe::with_log_gap_sums(frame);
        }
        // A cycle of values on both sides of zero, and one that is missing.
        let cycle = [0.0, 1.0, -0.5, 2.0, f64::NAN, 0.25, -1.5];
        for (offset, name) in self.covariates.columns.iter().enumerate() {
            let values = (0..frame.row_count).map(|row| cycle[(row * 3 + offset) % cycle.len()]);
            let values: Vec<f64> = values.collect();
            frame = frame.with_numbers(name.clone(), values);
        }
        frame
    }

    fn probe_options(&self) -> ScoreOptions {
        let scale = match F::CLOCK {
            Clock::Continuous => self.formulas.scale_periods(),
            Clock::Discrete => 1.0,
        };
        ScoreOptions {
            horizon_periods: Some(8.0 * scale),
            discount_rate_per_year: self.time_unit.map(|_| 0.1),
            purchases: Some(2.0),
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
        let mut chunk = Chunk {
            rows: [Rfm::PLACEHOLDER; CHUNK],
            covariates: vec![0.0; width * CHUNK.min(total)],
            p_alive: [0.0; CHUNK],
            logs: Default::default(),
        };
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            chunk.logs.iter_mut().for_each(Vec::clear);
            let status = &mut block.status[range.clone()];
            let covariates = &mut chunk.covariates[..count * width];
            self.read(
                batch,
                start + offset,
                &mut chunk.rows[..count],
                covariates,
                status,
            );
            let customers = Customers {
                rows: &chunk.rows[..count],
                covariates: &chunk.covariates[..count * width],
            };
            self.forecast(Forecast::PAlive, customers, &mut chunk.p_alive[..count]);
            for (output, values) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut values[range.clone()];
                self.fill(*output, &mut chunk, options, out);
                if EXPECTATIONS.contains(output) {
                    refuse_not_finite(out, status);
                } else {
                    refuse_nan(out, status);
                }
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

/// `out *= factor`, element by element; a customer who has surely left expects nothing, however
/// much a living one would.
pub(crate) fn multiply(out: &mut [f64], factor: &[f64]) {
    widest(|| {
        for (value, factor) in out.iter_mut().zip(factor) {
            *value = if *factor == 0.0 { 0.0 } else { *value * factor };
        }
    });
}

fn exponentiate(out: &mut [f64], _p_alive: &[f64]) {
    slice::exp_in_place(out);
}

fn keep(_out: &mut [f64], _p_alive: &[f64]) {}

/// Marks good rows whose score is infinite or, which no legal row should have, not a number.
pub(crate) fn refuse_not_finite(values: &[f64], status: &mut [RowStatus]) {
    if any(values, |value| !value.is_finite()) {
        mark_not_finite(values, status);
    }
}

/// Whether any value is so, looked at without a branch.
fn any(values: &[f64], is_so: impl Fn(f64) -> bool) -> bool {
    widest(|| values.iter().fold(false, |any, value| any | is_so(*value)))
}

#[cold]
fn mark_not_finite(values: &[f64], status: &mut [RowStatus]) {
    for (value, status) in values.iter().zip(status) {
        if !value.is_finite() && status.is_ok() {
            let code = if value.is_infinite() {
                RowCode::Infinite
            } else {
                RowCode::Undefined
            };
            *status = RowStatus::bad(code, FREQUENCY);
        }
    }
}

/// Marks good rows whose score is not a number; minus infinity is a logarithm of zero.
pub(crate) fn refuse_nan(values: &[f64], status: &mut [RowStatus]) {
    if !any(values, f64::is_nan) {
        return;
    }
    for (value, status) in values.iter().zip(status) {
        if value.is_nan() && status.is_ok() {
            *status = RowStatus::bad(RowCode::Undefined, FREQUENCY);
        }
    }
}

/// A bad row's score is NaN, and always the same NaN; a row with an infinite expectation keeps its
/// scores.
pub(crate) fn blank_bad_rows(values: &mut [f64], status: &[RowStatus]) {
    if status.iter().all(|status| status.is_ok()) {
        return;
    }
    for (value, status) in values.iter_mut().zip(status) {
        if !status.is_ok() && status.code != RowCode::Infinite {
            *value = f64::NAN;
        }
    }
}

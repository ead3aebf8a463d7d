//! Scoring of batches whose rows carry paths of covariates: the outputs of every purchase model.

use super::TimedRow;
use super::model::{OWN_FIELDS, TimedPurchases};
use crate::covariate_path::read_paths;
use crate::purchase::{
    Clock, Customers, EXPECTATIONS, Forecast, OUTPUTS, PurchaseModel, blank_bad_rows, check_rate,
    continuous_probes, delta_per_period, ln_one_minus_exp, multiply, refuse_nan, refuse_not_finite,
};
use crate::rfm::{CHUNK, Rfm, read_rows};
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, FrameColumn, InputError, InputSchema, ModelState, OutputSpec,
    ParametricModel, RowCode, RowStatus, ScoreBlock, ScoreOptions, Scorer, TimeUnit,
};
use cvm_math::{exp, ln, log_add_exp};

/// What is asked of every row.
struct Question {
    t: f64,
    delta: f64,
    n: f64,
    p: f64,
}

impl TimedPurchases {
    /// One output of one customer whose covariates are known for `known` periods.
    fn answer(&self, output: usize, asked: &Question, row: &TimedRow, known: f64) -> f64 {
        let Question { t, delta, n, p } = *asked;
        let of = |what: Forecast| self.forecast_one(what, row, known);
        let alive = |what: Forecast| {
            let mut value = [of(what)];
            multiply(&mut value, &[self.core.p_alive(row)]);
            value[0]
        };
        match output {
            0 => of(Forecast::PAlive),
            1 => alive(Forecast::Purchases { t }),
            2 => alive(Forecast::Discounted { t, delta }),
            3 => alive(Forecast::PAliveAhead { t }),
            4 => alive(Forecast::Lifetime { t, delta }),
            5 => exp(of(Forecast::LnPmf { t, n })),
            6 => exp(of(Forecast::LnTail { t, n })),
            7 => of(Forecast::NextPurchase { p }),
            8 => of(Forecast::LnPAlive),
            9 => of(Forecast::LnPmf { t, n }),
            _ => of(Forecast::LnTail { t, n }),
        }
    }

    fn forecast_one(&self, what: Forecast, row: &TimedRow, known: f64) -> f64 {
        let core = &self.core;
        match what {
            Forecast::PAlive => core.p_alive(row),
            Forecast::LnPAlive => core.ln_p_alive(row),
            Forecast::PAliveAhead { t } => core.p_alive_ahead(row, t),
            Forecast::Purchases { t } => core.purchases(row, t),
            Forecast::Discounted { t, delta } => core.discounted(row, t, delta),
            Forecast::Lifetime { t, delta } => core.lifetime(row, t, delta),
            Forecast::LnPmf { t, n } => self.ln_pmf(row, t, n),
            Forecast::LnTail { t, n } => self.ln_tail(row, t, n),
            Forecast::NextPurchase { p } => {
                // A customer who may have lapsed buys with probability `p` when a living one does
                // with `p/P`.
                let needed = exp(ln(p) - core.ln_p_alive(row));
                if needed < 1.0 {
                    core.next_purchase(row, needed, known)
                } else {
                    f64::INFINITY
                }
            }
        }
    }

    fn ln_pmf(&self, row: &TimedRow, t: f64, n: f64) -> f64 {
        let ln_alive = self.core.ln_p_alive(row);
        let alive = ln_alive + self.core.ln_pmf(row, t, n);
        if n > 0.0 {
            return alive;
        }
        log_add_exp(alive, ln_one_minus_exp(ln_alive))
    }

    fn ln_tail(&self, row: &TimedRow, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            return 0.0;
        }
        self.core.ln_p_alive(row) + self.core.ln_tail(row, t, n)
    }

    /// Periods after the end of observation that the covariates are known for.
    fn known(&self, row: &Rfm, values: &[f64]) -> f64 {
        let until = values.first().copied();
        until.map_or(f64::INFINITY, |until| until - row.age)
    }

    fn score_row(
        &self,
        row: &Rfm,
        values: &[f64],
        wanted: &[usize],
        asked: &Question,
        out: &mut [f64],
    ) -> RowStatus {
        let needs_horizon = |output: &usize| OUTPUTS.get(*output).is_some_and(|o| o.needs_horizon);
        let ahead = if wanted.iter().any(needs_horizon) {
            asked.t
        } else {
            0.0
        };
        let timed = match self.timed(row, values, ahead) {
            Ok(timed) => timed,
            Err(bad) => return bad,
        };
        let known = self.known(row, values);
        let mut status = RowStatus::OK;
        for (output, slot) in wanted.iter().zip(out) {
            *slot = self.answer(*output, asked, &timed, known);
            let one = std::slice::from_mut(&mut status);
            if *output == NEXT_PURCHASE && slot.is_nan() && known.is_finite() {
                let short = RowStatus::bad(RowCode::NotCovered, OWN_FIELDS as u16);
                one[0] = if one[0].is_ok() { short } else { one[0] };
            } else if EXPECTATIONS.contains(output) {
                refuse_not_finite(std::slice::from_ref(slot), one);
            } else {
                refuse_nan(std::slice::from_ref(slot), one);
            }
        }
        status
    }
}

impl PurchaseModel for TimedPurchases {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn clock(&self) -> Clock {
        Clock::Continuous
    }

    fn covariate_count(&self) -> usize {
        self.schema.fields.len() - OWN_FIELDS
    }

    fn covariate_width(&self, schema: &InputSchema) -> usize {
        let own = self.schema_of(&|name| schema.position(name).is_some());
        own.fields.len() - OWN_FIELDS
    }

    fn cover(&self, customers: Customers<'_>, t: f64, status: &mut [RowStatus]) {
        let width = customers.covariates.len() / customers.rows.len().max(1);
        for (index, (row, status)) in customers.rows.iter().zip(status).enumerate() {
            let values = &customers.covariates[index * width..(index + 1) * width];
            if status.is_ok() && self.known(row, values) < t {
                *status = RowStatus::bad(RowCode::NotCovered, OWN_FIELDS as u16);
            }
        }
    }

    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Rfm],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    ) {
        read_rows(batch, start, rows, status);
        let width = covariates.len() / rows.len().max(1);
        read_paths(batch, OWN_FIELDS, start, width, covariates);
        for (index, (row, status)) in rows.iter().zip(status).enumerate() {
            let values = &covariates[index * width..(index + 1) * width];
            if let (true, Err(bad)) = (status.is_ok(), self.timed(row, values, 0.0)) {
                *status = bad;
            }
        }
    }

    fn forecast(&self, what: Forecast, customers: Customers<'_>, out: &mut [f64]) {
        let width = customers.covariates.len() / customers.rows.len().max(1);
        for (index, (row, slot)) in customers.rows.iter().zip(out).enumerate() {
            let values = &customers.covariates[index * width..(index + 1) * width];
            let known = self.known(row, values);
            *slot = match self.timed(row, values, 0.0) {
                Ok(timed) => self.forecast_one(what, &timed, known),
                Err(_) => f64::NAN,
            };
        }
    }

    fn ln_tails<'a>(&'a self, customer: Customers<'a>, t: f64) -> Box<dyn Fn(f64) -> f64 + 'a> {
        let timed = match customer.rows.first() {
            Some(row) => self.timed(row, customer.covariates, 0.0).ok(),
            None => None,
        };
        let Some(timed) = timed else {
            return Box::new(|_| f64::NAN);
        };
        let alive = self.core.ln_p_alive(&timed);
        let tails = self.core.ln_tails(&timed, t);
        Box::new(move |n| if n == 0.0 { 0.0 } else { alive + tails(n) })
    }

    fn ln_tail_ns(&self) -> f64 {
        30_000.0
    }

    fn clone_box(&self) -> Box<dyn PurchaseModel> {
        Box::new(self.clone())
    }
}

/// Index of the output `next_purchase_periods`.
const NEXT_PURCHASE: usize = 7;

impl Scorer for TimedPurchases {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        (!self.covariates.is_empty()).then(|| self.schema_of(has))
    }

    fn age(&self) -> Option<&'static str> {
        Some("T")
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = parametric_state(self, self.time_unit);
        if !self.covariates.is_empty() {
            crate::covariates::store(&mut state, &self.covariates, Self::PROCESSES);
        }
        state
    }

    /// The rows of every purchase model, with paths of one to four steps, some of them faulty.
    fn probe_rows(&self) -> Frame {
        let scale = self.core.scale_periods();
        let mut frame = continuous_probes(scale, 1);
        if self.covariates.is_empty() {
            return frame;
        }
        let ages = match frame.get("T") {
            Some(FrameColumn::Numbers(ages)) => ages.clone(),
            _ => Vec::new(),
        };
        let fields = self.schema_of(&|name| STEPS.contains(&name)).fields;
        for field in fields.iter().skip(OWN_FIELDS) {
            let cell = |(row, age): (usize, &f64)| probe_cell(&field.name, row, *age, scale);
            let values = ages.iter().enumerate().map(cell).collect();
            frame = frame.with_numbers(field.name.clone(), values);
        }
        frame
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            horizon_periods: Some(8.0 * self.core.scale_periods()),
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
        let width = batch.schema.fields.len().saturating_sub(OWN_FIELDS);
        let asked = Question {
            t: options.horizon_periods.unwrap_or(f64::NAN),
            delta: delta_per_period(options, self.time_unit),
            n: options.purchases.unwrap_or(1.0),
            p: options.quantile.unwrap_or(0.5),
        };
        let mut rows = [Rfm::PLACEHOLDER; CHUNK];
        let mut values = vec![0.0; width * CHUNK.min(total)];
        let mut out = vec![0.0; wanted.len()];
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            let status = &mut block.status[range.clone()];
            read_rows(batch, start + offset, &mut rows[..count], status);
            let cells = &mut values[..count * width];
            read_paths(batch, OWN_FIELDS, start + offset, width, cells);
            for (index, (row, status)) in rows.iter().zip(status.iter_mut()).enumerate() {
                if status.is_ok() {
                    let values = &values[index * width..(index + 1) * width];
                    *status = self.score_row(row, values, wanted, &asked, &mut out);
                }
                for (values, value) in block.outputs.iter_mut().zip(&out) {
                    values[offset + index] = *value;
                }
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

/// Starts of the steps of probe rows after the first.
const STEPS: [&str; 3] = [
    "covariates_from_1",
    "covariates_from_2",
    "covariates_from_3",
];

/// A cell of a path's column in a probe row: values on both sides of zero, starts and ends around the
/// moments that matter, and faults of the first step, whose fields every schema has.
fn probe_cell(name: &str, row: usize, age: f64, scale: f64) -> f64 {
    if name == "covariates_until" {
        return match row % 7 {
            3 => f64::INFINITY,
            5 if row > 20 => age,
            6 if row > 20 => f64::NAN,
            _ => age + 9.0 * scale,
        };
    }
    let step: usize = name
        .rsplit('_')
        .next()
        .map_or(0, |n| n.parse().unwrap_or(0));
    let begun = step == 0 || step <= row % 4;
    if !name.starts_with("covariates_from_") {
        let cycle = [0.0, 1.0, -0.5, 0.25, 2.0, -1.5, 0.5];
        let value = cycle[(row * 3 + step * 2 + name.len()) % cycle.len()];
        let gap = row == 17 || !begun;
        return if gap { f64::NAN } else { value };
    }
    match step {
        _ if !begun => f64::NAN,
        0 => -0.25 * scale,
        1 => 0.6 * age,
        2 => age + 0.5 * scale,
        _ => age + 3.0 * scale,
    }
}

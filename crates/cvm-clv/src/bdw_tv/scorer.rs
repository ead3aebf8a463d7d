//! Scoring of contract customers whose rows carry paths of covariates: the outputs of every contract
//! model.

use super::model::{OWN_FIELDS, TimedContracts};
use crate::contract::{
    ContractForecast, ContractModel, EXPECTATIONS, OUTPUTS, Subscribers, Tenure, contract_forecast,
    read_tenures, refuse,
};
use crate::covariate_path::{CovariatePath, read_paths};
use crate::purchase::{blank_bad_rows, check_rate, delta_per_period};
use crate::rfm::CHUNK;
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, ParametricModel, RowCode,
    RowStatus, ScoreBlock, ScoreOptions, Scorer, TimeUnit,
};
use cvm_math::{exp, expm1};

/// What is asked of every row.
struct Question<'a> {
    wanted: &'a [usize],
    options: &'a ScoreOptions,
    delta: f64,
}

impl Question<'_> {
    /// Periods ahead that covariates are needed for.
    fn ahead(&self) -> f64 {
        let needs = |output: &usize| match contract_forecast(*output, self.options, self.delta) {
            ContractForecast::Retained { t }
            | ContractForecast::LnRetained { t }
            | ContractForecast::Churned { t }
            | ContractForecast::ChurnedAt { t }
            | ContractForecast::Lifetime { t, .. }
            | ContractForecast::Residual { t, .. } => t,
            ContractForecast::Quantile { .. } => 0.0,
        };
        self.wanted.iter().map(needs).fold(0.0, f64::max)
    }
}

impl TimedContracts {
    fn answer(&self, what: ContractForecast, path: &CovariatePath, tenure: f64) -> f64 {
        let core = &self.core;
        match what {
            ContractForecast::Retained { t } => exp(-core.hazard(path, tenure, t)),
            ContractForecast::LnRetained { t } => -core.hazard(path, tenure, t),
            ContractForecast::Churned { t } => -expm1(-core.hazard(path, tenure, t)),
            ContractForecast::ChurnedAt { t } => core.churned_at(path, tenure, t),
            ContractForecast::Lifetime { t, delta } => core.lifetime(path, tenure, t, delta),
            ContractForecast::Residual { t, delta } => core.residual(path, tenure, t, delta),
            ContractForecast::Quantile { p } => core.quantile(path, tenure, p),
        }
    }

    fn score_row(
        &self,
        row: &Tenure,
        values: &[f64],
        asked: &Question<'_>,
        out: &mut [f64],
    ) -> RowStatus {
        let path = match self.path(values, row.tenure + asked.ahead()) {
            Ok(path) => path,
            Err(bad) => return bad,
        };
        let until = values.first().copied().unwrap_or(f64::INFINITY);
        let mut status = RowStatus::OK;
        for (output, slot) in asked.wanted.iter().zip(out) {
            let what = contract_forecast(*output, asked.options, asked.delta);
            *slot = self.answer(what, &path, row.tenure);
            let quantile = matches!(what, ContractForecast::Quantile { .. });
            if quantile && row.tenure + *slot > until {
                *slot = f64::NAN;
                if status.is_ok() {
                    status = RowStatus::bad(RowCode::NotCovered, OWN_FIELDS as u16);
                }
            }
            let one = std::slice::from_mut(&mut status);
            refuse(
                std::slice::from_ref(slot),
                one,
                EXPECTATIONS.contains(output),
            );
        }
        status
    }
}

impl ContractModel for TimedContracts {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn covariate_count(&self) -> usize {
        self.schema.fields.len() - OWN_FIELDS
    }

    fn covariate_width(&self, schema: &InputSchema) -> usize {
        let own = self.schema_of(&|name| schema.position(name).is_some());
        own.fields.len() - OWN_FIELDS
    }

    fn cover(&self, customers: Subscribers<'_>, t: f64, status: &mut [RowStatus]) {
        let width = customers.covariates.len() / customers.rows.len().max(1);
        for (index, (row, status)) in customers.rows.iter().zip(status).enumerate() {
            let until = customers.covariates.get(index * width).copied();
            let known = until.filter(|_| width > 0).unwrap_or(f64::INFINITY);
            if status.is_ok() && known < row.tenure + t {
                *status = RowStatus::bad(RowCode::NotCovered, OWN_FIELDS as u16);
            }
        }
    }

    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Tenure],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    ) {
        read_tenures(batch, start, rows, status);
        let width = covariates.len() / rows.len().max(1);
        read_paths(batch, OWN_FIELDS, start, width, covariates);
        for (index, (row, status)) in rows.iter().zip(status).enumerate() {
            let values = &covariates[index * width..(index + 1) * width];
            if let (true, Err(bad)) = (status.is_ok(), self.path(values, row.tenure)) {
                *status = bad;
            }
        }
    }

    fn forecast(&self, what: ContractForecast, customers: Subscribers<'_>, out: &mut [f64]) {
        let width = customers.covariates.len() / customers.rows.len().max(1);
        for (index, (row, slot)) in customers.rows.iter().zip(out).enumerate() {
            let values = &customers.covariates[index * width..(index + 1) * width];
            *slot = match self.path(values, row.tenure) {
                Ok(path) => self.answer(what, &path, row.tenure),
                Err(_) => f64::NAN,
            };
        }
    }

    fn clone_box(&self) -> Box<dyn ContractModel> {
        Box::new(self.clone())
    }
}

impl Scorer for TimedContracts {
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
        Some("tenure")
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

    fn probe_rows(&self) -> Frame {
        const NAN: f64 = f64::NAN;
        const INF: f64 = f64::INFINITY;
        let tenures = [
            0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 24.0, 63.0, 64.0, 65.0, 500.0, 1e6, NAN, -1.0, 0.5,
            INF, -0.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0,
        ];
        let mut frame = Frame::new(tenures.len()).with_numbers("tenure", tenures.to_vec());
        if self.covariates.is_empty() {
            return frame;
        }
        for field in self
            .schema_of(&|name| STEPS.contains(&name))
            .fields
            .iter()
            .skip(OWN_FIELDS)
        {
            let cell = |(row, tenure): (usize, &f64)| probe_cell(&field.name, row, *tenure);
            let values = tenures.iter().enumerate().map(cell).collect();
            frame = frame.with_numbers(field.name.clone(), values);
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
        let width = batch.schema.fields.len().saturating_sub(OWN_FIELDS);
        let asked = Question {
            wanted,
            options,
            delta: delta_per_period(options, self.time_unit),
        };
        let mut rows = [Tenure::NEW; CHUNK];
        let mut values = vec![0.0; width * CHUNK.min(total)];
        let mut out = vec![0.0; wanted.len()];
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            let status = &mut block.status[range.clone()];
            read_tenures(batch, start + offset, &mut rows[..count], status);
            let cells = &mut values[..count * width];
            read_paths(batch, OWN_FIELDS, start + offset, width, cells);
            for (index, (row, status)) in rows.iter().zip(status.iter_mut()).enumerate() {
                if status.is_ok() {
                    let values = &values[index * width..(index + 1) * width];
                    *status = self.score_row(row, values, &asked, &mut out);
                }
                for (column, value) in block.outputs.iter_mut().zip(&out) {
                    column[offset + index] = *value;
                }
            }
            for column in &mut block.outputs {
                blank_bad_rows(&mut column[range.clone()], status);
            }
        }
    }
}

/// Starts of the steps of probe rows after the first.
const STEPS: [&str; 2] = ["covariates_from_1", "covariates_from_2"];

/// A cell of a path's column in a probe row: values on both sides of zero, steps before and after the
/// moment of scoring, and faults of the first step, whose fields every schema has.
fn probe_cell(name: &str, row: usize, tenure: f64) -> f64 {
    if name == "covariates_until" {
        return match row {
            5 | 19 => f64::INFINITY,
            20 => tenure + 50.0,
            21 => f64::NAN,
            _ => tenure + 102.0,
        };
    }
    let step: usize = name
        .rsplit('_')
        .next()
        .map_or(0, |n| n.parse().unwrap_or(0));
    let begun = step == 0 || step <= row % 3;
    if !name.starts_with("covariates_from_") {
        let cycle = [0.0, 1.0, -0.5, 0.25, 2.0, -1.5, 0.5];
        let value = cycle[(row * 3 + step * 2 + name.len()) % cycle.len()];
        let gap = row == 22 || !begun;
        return if gap { f64::NAN } else { value };
    }
    match step {
        _ if !begun => f64::NAN,
        0 if row == 23 => 1.0,
        0 => -1.0,
        1 => 0.5 * tenure,
        _ => tenure + 7.5,
    }
}

//! Scoring of batches by a spend model of any kind: the same outputs for all.

use super::{
    Spend, SpendForecast, SpendFormulas, SpendModel, SpendRows, Spenders, Spending, probe,
};
use crate::purchase::{blank_bad_rows, refuse_not_finite};
use crate::rfm::CHUNK;
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, InputSchema, ModelState, OutputSpec, RowStatus, ScoreBlock, ScoreOptions,
    Scorer,
};

pub(crate) const EXPECTED_SPEND_OUTPUT: OutputSpec = OutputSpec {
    name: "expected_spend",
    unit: "currency",
    needs_horizon: false,
    on_request: false,
    meaning: "expected value of one future purchase",
};

const fn on_request(name: &'static str, meaning: &'static str) -> OutputSpec {
    OutputSpec {
        name,
        unit: "currency",
        needs_horizon: false,
        on_request: true,
        meaning,
    }
}

/// Outputs of every spend model, in their order.
const OUTPUTS: &[OutputSpec] = &[
    EXPECTED_SPEND_OUTPUT,
    on_request(
        "spend_sd",
        "standard deviation of the value of one future purchase",
    ),
    on_request(
        "mean_spend_sd",
        "standard deviation of the customer's mean spend, given the purchases seen",
    ),
    on_request(
        "median_spend",
        "median of the customer's mean spend, given the purchases seen: it exists where \
         expected_spend is infinite",
    ),
];

/// What each output asks.
const FORECASTS: [SpendForecast; 4] = [
    SpendForecast::Expected,
    SpendForecast::Sd,
    SpendForecast::MeanSd,
    SpendForecast::Median,
];

impl<F: SpendFormulas> Scorer for Spending<F> {
    fn kind(&self) -> &'static str {
        F::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = parametric_state(self, self.time_unit);
        self.policy.store(&mut state);
        if !self.covariates.is_empty() {
            crate::covariates::store(&mut state, &self.covariates, F::PROCESSES);
        }
        state
    }

    fn probe_rows(&self) -> Frame {
        probe::rows(self)
    }

    fn probe_options(&self) -> ScoreOptions {
        let names = OUTPUTS.iter().map(|output| output.name.to_owned());
        ScoreOptions {
            outputs: names.collect(),
            ..ScoreOptions::default()
        }
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        _options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let total = block.status.len();
        let width = self.covariate_count();
        let fields: Vec<usize> = (1..self.schema.fields.len()).collect();
        let mut rows = [Spend::NONE; CHUNK];
        let mut frequency = [0.0; CHUNK];
        let mut covariates = vec![0.0; width * CHUNK.min(total)];
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let count = range.len();
            let status = &mut block.status[range.clone()];
            status.fill(RowStatus::OK);
            batch.read_numbers(0, start + offset, &mut frequency[..count]);
            let into = SpendRows {
                rows: &mut rows[..count],
                covariates: &mut covariates[..count * width],
                status,
            };
            self.read(batch, &fields, start + offset, &frequency[..count], into);
            let customers = Spenders {
                rows: &rows[..count],
                covariates: &covariates[..count * width],
            };
            let status = &mut block.status[range.clone()];
            for (output, values) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut values[range.clone()];
                self.forecast(FORECASTS[*output], customers, out);
                refuse_not_finite(out, status);
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

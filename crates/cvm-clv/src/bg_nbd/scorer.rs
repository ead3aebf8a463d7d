//! Scoring of batches by the BG/NBD.

use super::BgNbd;
use crate::purchase::{PurchaseModel, probe_frame};
use crate::rfm::{CHUNK, FREQUENCY, Rfm, read_rows};
use crate::state::parametric_state;
use cvm_core::{
    BoundBatch, Frame, InputSchema, ModelState, OutputSpec, ParametricModel, RowCode, RowStatus,
    ScoreBlock, ScoreOptions, Scorer,
};

/// Index of `p_alive` among the outputs.
const P_ALIVE: usize = 0;

/// Probability of being alive, the same output in every purchase model.
pub(crate) const P_ALIVE_OUTPUT: OutputSpec = OutputSpec {
    name: "p_alive",
    unit: "probability",
    needs_horizon: false,
    meaning: "probability that the customer has not left by the end of observation",
};

/// Expected purchases, the same output in every purchase model.
pub(crate) const EXPECTED_PURCHASES_OUTPUT: OutputSpec = OutputSpec {
    name: "expected_purchases",
    unit: "purchases",
    needs_horizon: true,
    meaning: "purchases expected from the end of observation to the horizon",
};

impl Scorer for BgNbd {
    fn kind(&self) -> &'static str {
        BgNbd::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        const OUTPUTS: &[OutputSpec] = &[P_ALIVE_OUTPUT, EXPECTED_PURCHASES_OUTPUT];
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        parametric_state(self, self.time_unit)
    }

    fn probe_rows(&self) -> Frame {
        probe_frame(self.alpha)
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            horizon_periods: Some(8.0 * self.alpha),
            ..ScoreOptions::default()
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
        let mut rows = [Rfm::PLACEHOLDER; CHUNK];
        let mut p_alive = [0.0; CHUNK];
        let total = block.status.len();
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let rows = &mut rows[..range.len()];
            let p_alive = &mut p_alive[..range.len()];
            let status = &mut block.status[range.clone()];
            read_rows(batch, start + offset, rows, status);
            self.p_alive_rows(rows, p_alive);
            for (output, values) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut values[range.clone()];
                if *output == P_ALIVE {
                    out.copy_from_slice(p_alive);
                } else {
                    let horizon_periods = options.horizon_periods.unwrap_or(f64::NAN);
                    self.purchases_if_alive_rows(rows, horizon_periods, out);
                    multiply(out, p_alive);
                }
                refuse_not_finite(out, status);
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

/// `out *= factor`, element by element.
pub(crate) fn multiply(out: &mut [f64], factor: &[f64]) {
    for (value, factor) in out.iter_mut().zip(factor) {
        *value *= factor;
    }
}

/// Marks good rows whose score has no finite value.
pub(crate) fn refuse_not_finite(values: &[f64], status: &mut [RowStatus]) {
    for (value, status) in values.iter().zip(status) {
        if !value.is_finite() && status.is_ok() {
            *status = RowStatus::bad(RowCode::Undefined, FREQUENCY);
        }
    }
}

/// A bad row's score is NaN, and always the same NaN.
pub(crate) fn blank_bad_rows(values: &mut [f64], status: &[RowStatus]) {
    for (value, status) in values.iter_mut().zip(status) {
        if !status.is_ok() {
            *value = f64::NAN;
        }
    }
}

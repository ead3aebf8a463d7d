//! Lifetime value: expected discounted purchases over a horizon, times expected spend, times margin.
//!
//! | symbol | option                   | unit          | meaning                                   |
//! |--------|--------------------------|---------------|-------------------------------------------|
//! | `H`    | `horizon_periods`        | periods       | how far ahead value is counted            |
//! | `i`    | `discount_rate_per_year` | 1 per year    | effective rate; 0 when unset              |
//! | `δ`    |                          | 1 per period  | `ln(1+i)` / periods per year              |
//! | `m`    | `margin`                 | 1             | share of spend kept as value; 1 when unset |
//! | `c_o`  | `cost_per_order`         | currency      | cost of serving an order; 0 when unset     |
//! | `c_p`  | `cost_per_period`        | currency      | cost of serving a living customer; 0 when unset |
//!
//! ```text
//! value = P(alive) · [ (m · E[M | x, m̄] − c_o) · ∫_0^H e^{−δs} · (purchase rate at T+s, if alive at T) ds
//!                      − c_p · ∫_0^H e^{−δs} · P(alive at T+s, if alive at T) ds ]
//! ```
//!
//! Every purchase is discounted from its own moment, not from the end of its month. At `δ = 0` the
//! value is exactly `m · expected_spend · expected_purchases`. Spend and buying are taken as
//! independent, as the Gamma-Gamma model assumes. Derivation: docs/models/lifetime_value.md.
//!
//! Source: Fader, Hardie & Lee (2005), RFM and CLV, *J. Marketing Research* 42(4), 415–430.

use crate::gamma_gamma::{EXPECTED_SPEND_OUTPUT, GammaGamma, Spend, monetary_value_field};
use crate::purchase::{
    Customers, DISCOUNTED_PURCHASES_OUTPUT, EXPECTED_PURCHASES_OUTPUT, Forecast, P_ALIVE_OUTPUT,
    PurchaseModel, blank_bad_rows, check_rate, delta_per_period, horizon_periods, multiply,
    purchase_from_state, refuse_not_finite,
};
use crate::rfm::{CHUNK, FREQUENCY, Rfm};
use cvm_core::{
    BoundBatch, Frame, FrameColumn, InputError, InputSchema, ModelState, OutputSpec, RowStatus,
    ScoreBlock, ScoreOptions, Scorer, StateError,
};

const P_ALIVE: usize = 0;
const EXPECTED_PURCHASES: usize = 1;
const EXPECTED_SPEND: usize = 2;
const VALUE: usize = 3;

/// A purchase model and a spend model as one.
#[derive(Debug, Clone)]
pub struct LifetimeValue {
    purchase: Box<dyn PurchaseModel>,
    spend: GammaGamma,
    schema: InputSchema,
}

/// Buffers of one chunk of rows.
struct Chunk {
    rows: [Rfm; CHUNK],
    covariates: Vec<f64>,
    spends: [Spend; CHUNK],
    p_alive: [f64; CHUNK],
    expected_spend: [f64; CHUNK],
}

impl LifetimeValue {
    /// Kind in the catalog.
    pub const KIND: &'static str = "clv.lifetime_value";

    /// The two models together.
    #[must_use]
    pub fn new(purchase: Box<dyn PurchaseModel>, spend: GammaGamma) -> Self {
        let mut schema = purchase.schema().clone();
        schema.fields.push(monetary_value_field());
        LifetimeValue {
            purchase,
            spend,
            schema,
        }
    }

    /// The model stored as `state`.
    ///
    /// # Errors
    /// A state of another kind, or either nested model absent or not rebuildable.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        if state.kind != Self::KIND {
            let problem = format!("expected kind `{}`", Self::KIND);
            return Err(StateError::malformed(&state.kind, problem));
        }
        let purchase = purchase_from_state(&state.nested("purchase")?)?;
        let spend = GammaGamma::from_state(&state.nested("spend")?)?;
        Ok(LifetimeValue::new(purchase, spend))
    }

    /// The model of when customers buy.
    #[must_use]
    pub fn purchase(&self) -> &dyn PurchaseModel {
        self.purchase.as_ref()
    }

    /// The model of what a purchase is worth.
    #[must_use]
    pub fn spend(&self) -> &GammaGamma {
        &self.spend
    }

    /// Index of `monetary_value` in the schema.
    fn value_field(&self) -> usize {
        self.purchase.schema().fields.len()
    }

    /// Reads a chunk and fills what every output needs.
    fn read_chunk(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        chunk: &mut Chunk,
        status: &mut [RowStatus],
    ) {
        let count = status.len();
        let covariates = &mut chunk.covariates[..count * self.purchase.covariate_count()];
        self.purchase
            .read(batch, start, &mut chunk.rows[..count], covariates, status);
        let mut values = [0.0; CHUNK];
        batch.read_numbers(self.value_field(), start, &mut values[..count]);
        let value_field = u16::try_from(self.value_field()).unwrap_or(u16::MAX);
        for (index, status) in status.iter_mut().enumerate() {
            let frequency = chunk.rows[index].frequency;
            let fields = [FREQUENCY, value_field];
            chunk.spends[index] = match Spend::new(frequency, values[index], fields) {
                Ok(spend) => spend,
                Err(bad) => {
                    *status = bad;
                    Spend::NONE
                }
            };
        }
    }

    /// Fills `out` with one output of a chunk.
    fn fill(&self, output: usize, chunk: &Chunk, options: &ScoreOptions, out: &mut [f64]) {
        let count = out.len();
        let t = horizon_periods(options, self.purchase.clock());
        let delta = delta_per_period(options, self.purchase.time_unit());
        match output {
            P_ALIVE => out.copy_from_slice(&chunk.p_alive[..count]),
            EXPECTED_SPEND => out.copy_from_slice(&chunk.expected_spend[..count]),
            EXPECTED_PURCHASES => self.forecast(Forecast::Purchases { t }, chunk, out),
            VALUE => self.fill_value(t, delta, chunk, options, out),
            _ => self.forecast(Forecast::Discounted { t, delta }, chunk, out),
        }
    }

    /// A forecast for a living customer, times P(alive).
    fn forecast(&self, forecast: Forecast, chunk: &Chunk, out: &mut [f64]) {
        let count = out.len();
        let customers = Customers {
            rows: &chunk.rows[..count],
            covariates: &chunk.covariates[..count * self.purchase.covariate_count()],
        };
        self.purchase.forecast(forecast, customers, out);
        multiply(out, &chunk.p_alive);
    }

    fn fill_value(
        &self,
        t: f64,
        delta: f64,
        chunk: &Chunk,
        options: &ScoreOptions,
        out: &mut [f64],
    ) {
        self.forecast(Forecast::Discounted { t, delta }, chunk, out);
        let margin = options.margin.unwrap_or(1.0);
        let per_order = options.cost_per_order.unwrap_or(0.0);
        for (value, spend) in out.iter_mut().zip(&chunk.expected_spend) {
            *value *= margin * spend - per_order;
        }
        let per_period = options.cost_per_period.unwrap_or(0.0);
        if per_period != 0.0 {
            let mut periods = [0.0; CHUNK];
            let periods = &mut periods[..out.len()];
            self.forecast(Forecast::Lifetime { t, delta }, chunk, periods);
            for (value, periods) in out.iter_mut().zip(periods) {
                *value -= per_period * *periods;
            }
        }
    }
}

impl Scorer for LifetimeValue {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        const OUTPUTS: &[OutputSpec] = &[
            P_ALIVE_OUTPUT,
            EXPECTED_PURCHASES_OUTPUT,
            EXPECTED_SPEND_OUTPUT,
            OutputSpec {
                name: "lifetime_value",
                unit: "currency",
                needs_horizon: true,
                on_request: false,
                meaning: "margin on expected purchases to the horizon less the costs of serving, \
                          discounted to the end of observation",
            },
            DISCOUNTED_PURCHASES_OUTPUT,
        ];
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = ModelState::new(Self::KIND);
        state.nest("purchase", self.purchase.state());
        state.nest("spend", self.spend.state());
        state
    }

    fn probe_rows(&self) -> Frame {
        let mut frame = self.purchase.probe_rows();
        let frequency = match frame.get("frequency") {
            Some(FrameColumn::Numbers(values)) => values.clone(),
            _ => Vec::new(),
        };
        let scale = self.spend.scale_currency();
        // A cycle that puts a missing, a zero and a negative value on both kinds of customer.
        let cycle = [1.0, 0.2, f64::NAN, 4.0, 1.7, 0.0, 30.0, 1.1, -1.0, 0.8, 2.2];
        let values = (0..frequency.len()).map(|row| scale * cycle[row % cycle.len()]);
        frame = frame.with_numbers("monetary_value", values.collect());
        frame
    }

    fn probe_options(&self) -> ScoreOptions {
        let rate = self.purchase.time_unit().map(|_| 0.1);
        ScoreOptions {
            discount_rate_per_year: rate,
            margin: Some(0.3),
            outputs: self
                .outputs()
                .iter()
                .map(|output| output.name.to_owned())
                .collect(),
            ..self.purchase.probe_options()
        }
    }

    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        check_rate(options, self.purchase.time_unit())
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let mut chunk = Chunk {
            rows: [Rfm::PLACEHOLDER; CHUNK],
            covariates: vec![0.0; CHUNK * self.purchase.covariate_count()],
            spends: [Spend::NONE; CHUNK],
            p_alive: [0.0; CHUNK],
            expected_spend: [0.0; CHUNK],
        };
        let total = block.status.len();
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let status = &mut block.status[range.clone()];
            self.read_chunk(batch, start + offset, &mut chunk, status);
            let count = range.len();
            let customers = Customers {
                rows: &chunk.rows[..count],
                covariates: &chunk.covariates[..count * self.purchase.covariate_count()],
            };
            let p_alive = &mut chunk.p_alive[..count];
            self.purchase.forecast(Forecast::PAlive, customers, p_alive);
            for (slot, spend) in chunk.expected_spend.iter_mut().zip(&chunk.spends[..count]) {
                *slot = self.spend.expected_spend(spend);
            }
            for (output, values) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut values[range.clone()];
                self.fill(*output, &chunk, options, out);
                refuse_not_finite(out, status);
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

//! Lifetime value: expected discounted purchases over a horizon, times expected spend, times margin.
//!
//! | symbol | option                   | unit          | meaning                                   |
//! |--------|--------------------------|---------------|-------------------------------------------|
//! | `H`    | `horizon_periods`        | periods       | how far ahead value is counted; may be infinite |
//! | `i`    | `discount_rate_per_year` | 1 per year    | effective rate; 0 when unset              |
//! | `δ`    |                          | 1 per period  | `ln(1+i)` / periods per year              |
//! | `m`    | `margin`                 | 1             | share of spend kept as value; 1 when unset |
//! | `c_o`  | `cost_per_order`         | currency      | cost of serving an order; 0 when unset     |
//! | `c_p`  | `cost_per_period`        | currency      | cost of serving a living customer; 0 when unset |
//!
//! ```text
//! value = P(alive) · [ (m · E[M | row] − c_o) · ∫_0^H e^{−δs} · (purchase rate at T+s, if alive at T) ds
//!                      − c_p · ∫_0^H e^{−δs} · P(alive at T+s, if alive at T) ds ]
//! ```
//!
//! Every purchase is discounted from its own moment, not from the end of its month; a model that
//! counts whole periods discounts from the end of the period. At `δ = 0` the value is exactly
//! `m · expected_spend · expected_purchases`. Spend and buying are taken as independent. Where either
//! expectation is infinite so is the value; where infinite gains meet infinite costs it is undefined.
//! Derivation: docs/models/lifetime_value.md.
//!
//! Source: Fader, Hardie & Lee (2005), RFM and CLV, *J. Marketing Research* 42(4), 415–430.

mod currency;
mod orders;
mod probe;
mod spread;
mod stream;
mod subscription;

pub(crate) use currency::{currency, load_currency, store_currency};
pub use orders::Orders;
pub use stream::{Flow, StreamChunk, ValueStream};
pub use subscription::Subscription;
pub(crate) use subscription::SubscriptionChunk;

use crate::purchase::{
    DISCOUNTED_PURCHASES_OUTPUT, EXPECTED_PURCHASES_OUTPUT, P_ALIVE_OUTPUT, PurchaseModel,
    blank_bad_rows, check_rate, delta_per_period, horizon_periods, refuse_not_finite,
};
use crate::rfm::CHUNK;
use crate::spend::{EXPECTED_SPEND_OUTPUT, SpendModel};
use cvm_core::{
    BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, ScoreBlock, ScoreOptions,
    Scorer, StateError,
};

/// Outputs, in their order.
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
    OutputSpec {
        name: "undiscounted_value_sd",
        unit: "currency",
        needs_horizon: true,
        on_request: true,
        meaning: "standard deviation of the margin on purchases to the horizon less the cost of \
                  each, without discounting and without cost_per_period",
    },
];
const P_ALIVE: usize = 0;
const EXPECTED_PURCHASES: usize = 1;
const EXPECTED_SPEND: usize = 2;
const VALUE: usize = 3;
const DISCOUNTED_PURCHASES: usize = 4;

/// A stream of payments as lifetime value.
#[derive(Debug, Clone)]
pub struct LifetimeValue {
    stream: Box<dyn ValueStream>,
    currency: Option<String>,
}

impl LifetimeValue {
    /// Kind in the catalog.
    pub const KIND: &'static str = "clv.lifetime_value";

    /// A purchase model and a spend model together.
    #[must_use]
    pub fn new(purchase: Box<dyn PurchaseModel>, spend: Box<dyn SpendModel>) -> Self {
        LifetimeValue::of_stream(Box::new(Orders::new(purchase, spend)))
    }

    /// Any stream of payments. Only that of orders comes back from this kind's state;
    /// [`crate::ContractValue`] is the kind of a [`Subscription`].
    #[must_use]
    pub fn of_stream(stream: Box<dyn ValueStream>) -> Self {
        LifetimeValue {
            stream,
            currency: None,
        }
    }

    /// The same model with its currency: three letters, as in ISO 4217.
    ///
    /// # Errors
    /// Anything else.
    pub fn with_currency(mut self, code: &str) -> Result<Self, InputError> {
        self.currency = Some(currency(code)?);
        Ok(self)
    }

    /// The model stored as `state`.
    ///
    /// # Errors
    /// A state of another kind, or a nested model absent or not rebuildable.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        if state.kind != Self::KIND {
            let problem = format!("expected kind `{}`", Self::KIND);
            return Err(StateError::malformed(&state.kind, problem));
        }
        Ok(LifetimeValue {
            stream: Box::new(Orders::from_state(state)?),
            currency: load_currency(state)?,
        })
    }

    /// Where the value comes from.
    #[must_use]
    pub fn stream(&self) -> &dyn ValueStream {
        self.stream.as_ref()
    }

    /// The currency, if it was said.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.currency.as_deref()
    }

    /// Fills `out` with one output of a chunk.
    fn fill(
        &self,
        output: usize,
        chunk: &dyn StreamChunk,
        options: &ScoreOptions,
        out: &mut [f64],
    ) {
        let t = horizon_periods(options, self.stream.clock());
        let delta = delta_per_period(options, self.stream.time_unit());
        match output {
            P_ALIVE => chunk.flow(Flow::PAlive, out),
            EXPECTED_SPEND => chunk.flow(Flow::PaymentValue, out),
            EXPECTED_PURCHASES => chunk.flow(Flow::Payments { t, delta: 0.0 }, out),
            DISCOUNTED_PURCHASES => chunk.flow(Flow::Payments { t, delta }, out),
            VALUE => fill_value(chunk, [t, delta], options, out),
            _ => {
                let what = Flow::Variance {
                    t,
                    margin: options.margin.unwrap_or(1.0),
                    per_payment: options.cost_per_order.unwrap_or(0.0),
                };
                chunk.flow(what, out);
                out.iter_mut().for_each(|value| *value = value.sqrt());
            }
        }
    }
}

fn fill_value(
    chunk: &dyn StreamChunk,
    [t, delta]: [f64; 2],
    options: &ScoreOptions,
    out: &mut [f64],
) {
    chunk.flow(Flow::Payments { t, delta }, out);
    let margin = options.margin.unwrap_or(1.0);
    multiply_gain(chunk, margin, options.cost_per_order.unwrap_or(0.0), out);
    let per_period = options.cost_per_period.unwrap_or(0.0);
    if per_period != 0.0 {
        let mut buffer = [0.0; CHUNK];
        let buffer = &mut buffer[..out.len()];
        chunk.flow(Flow::Periods { t, delta }, buffer);
        for (value, periods) in out.iter_mut().zip(buffer.iter()) {
            *value -= product(per_period, *periods);
        }
    }
}

/// Multiplies numbers of payments by what each brings: the margin on its value less its cost.
pub(crate) fn multiply_gain(
    chunk: &dyn StreamChunk,
    margin: f64,
    per_payment: f64,
    payments: &mut [f64],
) {
    let mut values = [0.0; CHUNK];
    let values = &mut values[..payments.len()];
    chunk.flow(Flow::PaymentValue, values);
    for (payments, value) in payments.iter_mut().zip(values) {
        *payments = product(*payments, product(margin, *value) - per_payment);
    }
}

/// Whether an output wanted looks ahead.
pub(crate) fn needs_horizon(outputs: &[OutputSpec], wanted: &[usize]) -> bool {
    let ahead = |output: &usize| outputs.get(*output).is_some_and(|o| o.needs_horizon);
    wanted.iter().any(ahead)
}

/// `a·b`; nothing of something infinite is nothing.
fn product(a: f64, b: f64) -> f64 {
    if (a == 0.0 && b.is_infinite()) || (b == 0.0 && a.is_infinite()) {
        0.0
    } else {
        a * b
    }
}

impl Scorer for LifetimeValue {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn schema(&self) -> &InputSchema {
        self.stream.schema()
    }

    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        self.stream.schema_for(has)
    }

    fn age(&self) -> Option<&'static str> {
        self.stream.age()
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = ModelState::new(Self::KIND);
        self.stream.store(&mut state);
        store_currency(&mut state, self.currency.as_ref());
        state
    }

    fn probe_rows(&self) -> Frame {
        self.stream.probe_rows()
    }

    fn probe_options(&self) -> ScoreOptions {
        let names = OUTPUTS.iter().map(|output| output.name.to_owned());
        ScoreOptions {
            discount_rate_per_year: self.stream.time_unit().map(|_| 0.1),
            margin: Some(0.3),
            outputs: names.collect(),
            ..self.stream.probe_options()
        }
    }

    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        check_rate(options, self.stream.time_unit())
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let mut chunk = self.stream.chunk();
        let total = block.status.len();
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let status = &mut block.status[range.clone()];
            chunk.read(batch, start + offset, status);
            if needs_horizon(OUTPUTS, wanted) {
                chunk.cover(horizon_periods(options, self.stream.clock()), status);
            }
            for (output, values) in wanted.iter().zip(&mut block.outputs) {
                let out = &mut values[range.clone()];
                self.fill(*output, chunk.as_ref(), options, out);
                refuse_not_finite(out, status);
            }
            for values in &mut block.outputs {
                blank_bad_rows(&mut values[range.clone()], status);
            }
        }
    }
}

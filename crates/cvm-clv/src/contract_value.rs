//! Lifetime value under contract: what a period is worth, times discounted expected payments.
//!
//! | symbol | option or column         | unit         | meaning                                    |
//! |--------|--------------------------|--------------|--------------------------------------------|
//! | `v`    | `value_per_period`       | currency     | what the customer pays each period         |
//! | `h`    | `horizon_periods`        | periods      | payments counted; may be infinite          |
//! | `i`    | `discount_rate_per_year` | 1 per year   | effective rate; 0 when unset               |
//! | `δ`    |                          | 1 per period | `ln(1+i)` / periods per year               |
//! | `m`    | `margin`                 | 1            | share of a payment kept; 1 when unset      |
//! | `c`    | `cost_per_period`        | currency     | cost of serving a period; 0 when unset     |
//!
//! ```text
//! lifetime_value = (m·v − c) · Σ_{k=0}^{h−1} e^{−δk} · S(T+k)/S(T)       the first payment being made now
//! residual_value = (m·v − c) · Σ_{k=1}^{h} e^{−δ(k−1)} · S(T+k)/S(T)     the first renewal being decided now
//! ```
//!
//! Payments are made, and their costs arise, at the start of a period: the clock of every contract
//! model (`contract.rs`). With an infinite horizon the sums are the DEL (at tenure 0) and the DERL.
//! Derivation: docs/models/contract_value.md.
//!
//! Source: Fader & Hardie (2010), Customer-Base Valuation in a Contractual Setting, *Marketing
//! Science* 29(1), 85–93, eqs. 1–7.

use crate::contract::{
    ContractForecast, ContractModel, EXPECTED_LIFETIME_OUTPUT, P_RETAINED_OUTPUT,
    RESIDUAL_LIFETIME_OUTPUT,
};
use crate::lifetime_value::{
    Flow, StreamChunk, Subscription, SubscriptionChunk, ValueStream, currency, load_currency,
    multiply_gain, needs_horizon, store_currency,
};
use crate::purchase::{
    blank_bad_rows, check_rate, delta_per_period, horizon_periods, refuse_not_finite,
};
use crate::rfm::CHUNK;
use cvm_core::{
    BoundBatch, Frame, InputError, InputSchema, ModelState, OutputSpec, ScoreBlock, ScoreOptions,
    Scorer, StateError,
};

/// Outputs, in their order.
const OUTPUTS: &[OutputSpec] = &[
    P_RETAINED_OUTPUT,
    EXPECTED_LIFETIME_OUTPUT,
    OutputSpec {
        name: "expected_spend",
        unit: "currency",
        needs_horizon: false,
        on_request: false,
        meaning: "value of the payment for one period: value_per_period",
    },
    OutputSpec {
        name: "lifetime_value",
        unit: "currency",
        needs_horizon: true,
        on_request: false,
        meaning: "margin on the payments expected out of as many as the horizon has periods, the \
                  first being made now, less the cost of serving each period, discounted to now",
    },
    RESIDUAL_LIFETIME_OUTPUT,
    OutputSpec {
        name: "residual_value",
        unit: "currency",
        needs_horizon: true,
        on_request: true,
        meaning: "the same of the renewals to the horizon, the first decision being now: without \
                  the payment already made",
    },
    OutputSpec {
        name: "undiscounted_value_sd",
        unit: "currency",
        needs_horizon: true,
        on_request: true,
        meaning: "standard deviation of the margin on payments to the horizon less the cost of \
                  serving each period, without discounting",
    },
];
const P_RETAINED: usize = 0;
const EXPECTED_LIFETIME: usize = 1;
const EXPECTED_SPEND: usize = 2;
const VALUE: usize = 3;
const RESIDUAL_LIFETIME: usize = 4;
const RESIDUAL_VALUE: usize = 5;

/// The lifetime value of a contract customer.
#[derive(Debug, Clone)]
pub struct ContractValue {
    subscription: Subscription,
    currency: Option<String>,
}

impl ContractValue {
    /// Kind in the catalog.
    pub const KIND: &'static str = "clv.contract_value";

    /// The value of a contract model's customers.
    #[must_use]
    pub fn new(contract: Box<dyn ContractModel>) -> Self {
        ContractValue {
            subscription: Subscription::new(contract),
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
    /// A state of another kind, or the nested contract model absent or not rebuildable.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        if state.kind != Self::KIND {
            let problem = format!("expected kind `{}`", Self::KIND);
            return Err(StateError::malformed(&state.kind, problem));
        }
        Ok(ContractValue {
            subscription: Subscription::from_state(state)?,
            currency: load_currency(state)?,
        })
    }

    /// The payments valued.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
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
        chunk: &SubscriptionChunk<'_>,
        options: &ScoreOptions,
        out: &mut [f64],
    ) {
        let t = horizon_periods(options, self.subscription.clock());
        let delta = delta_per_period(options, self.subscription.time_unit());
        let margin = options.margin.unwrap_or(1.0);
        let per_payment = options.cost_per_period.unwrap_or(0.0);
        match output {
            P_RETAINED => chunk.forecast(ContractForecast::Retained { t }, out),
            EXPECTED_SPEND => chunk.flow(Flow::PaymentValue, out),
            EXPECTED_LIFETIME | VALUE => chunk.flow(Flow::Payments { t, delta }, out),
            RESIDUAL_LIFETIME | RESIDUAL_VALUE => {
                chunk.forecast(ContractForecast::Residual { t, delta }, out);
            }
            _ => {
                let what = Flow::Variance {
                    t,
                    margin,
                    per_payment,
                };
                chunk.flow(what, out);
                out.iter_mut().for_each(|value| *value = value.sqrt());
            }
        }
        if matches!(output, VALUE | RESIDUAL_VALUE) {
            multiply_gain(chunk, margin, per_payment, out);
        }
    }
}

impl Scorer for ContractValue {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn schema(&self) -> &InputSchema {
        self.subscription.schema()
    }

    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        self.subscription.schema_for(has)
    }

    fn age(&self) -> Option<&'static str> {
        self.subscription.age()
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = ModelState::new(Self::KIND);
        self.subscription.store(&mut state);
        store_currency(&mut state, self.currency.as_ref());
        state
    }

    fn probe_rows(&self) -> Frame {
        self.subscription.probe_rows()
    }

    fn probe_options(&self) -> ScoreOptions {
        let names = OUTPUTS.iter().map(|output| output.name.to_owned());
        ScoreOptions {
            margin: Some(0.3),
            cost_per_period: Some(0.25),
            outputs: names.collect(),
            ..self.subscription.probe_options()
        }
    }

    /// There are no orders; a cost of them left aside without a word would be a wrong value.
    fn check_options(&self, options: &ScoreOptions) -> Result<(), InputError> {
        check_rate(options, self.subscription.time_unit())?;
        match options.cost_per_order {
            Some(cost) if cost != 0.0 => {
                let why = format!(
                    "is {cost}, but a contract has no orders: must be 0 or unset; the cost of \
                     serving a period is cost_per_period"
                );
                Err(InputError::new("options.cost_per_order", why))
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
        let mut chunk = self.subscription.subscribers();
        let total = block.status.len();
        for offset in (0..total).step_by(CHUNK) {
            let range = offset..total.min(offset + CHUNK);
            let status = &mut block.status[range.clone()];
            chunk.read(batch, start + offset, status);
            if needs_horizon(OUTPUTS, wanted) {
                chunk.cover(horizon_periods(options, self.subscription.clock()), status);
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

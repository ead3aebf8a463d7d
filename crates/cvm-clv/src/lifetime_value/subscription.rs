//! The stream of a contract: one payment at the start of every period until the customer leaves.
//!
//! Inputs are those of the contract model, then what each customer pays per period; that is known,
//! not forecast. The payment for the period that begins now counts, in full: at tenure `T` the
//! customer has made renewal `T` and pays for period `T + 1`. Periods are served as they are paid
//! for, so that payments and periods are the same number.
//!
//! With `R(n) = S(T+n)/S(T) = P(N > n)`, the number `N` of the next `t` payments has the variance
//!
//! ```text
//! Var(N) = Σ_n Σ_m Cov(1[N > n], 1[N > m]) = Σ_{n<t} R(n) · [ 1 − R(n) + 2 Σ_{m<n} (1 − R(m)) ]
//! ```
//!
//! since `Cov = R(n)·(1 − R(m))` for `m ≤ n`: every term is positive.

use super::product;
use super::stream::{Flow, StreamChunk, ValueStream};
use crate::contract::{ContractForecast, ContractModel, Subscribers, Tenure, contract_from_state};
use crate::purchase::Clock;
use crate::rfm::CHUNK;
use cvm_core::{
    BoundBatch, Domain, Frame, InputField, InputSchema, ModelState, RowStatus, ScoreOptions,
    StateError, TimeUnit,
};
use cvm_math::{exp, expm1};

/// Column with the payment.
const VALUE_COLUMN: &str = "value_per_period";
/// Terms of the sum of a variance.
const MOST_TERMS: u32 = 5_000;

/// Payments under contract, each worth what the customer's row says.
#[derive(Debug, Clone)]
pub struct Subscription {
    contract: Box<dyn ContractModel>,
    schema: InputSchema,
    /// Place of the payment in the schema.
    value_field: usize,
}

impl Subscription {
    /// The payments of a contract model's customers.
    #[must_use]
    pub fn new(contract: Box<dyn ContractModel>) -> Self {
        let schema = joined(contract.schema().clone());
        let value_field = schema.position(VALUE_COLUMN).unwrap_or_default();
        Subscription {
            contract,
            schema,
            value_field,
        }
    }

    /// The stream stored in `state`.
    ///
    /// # Errors
    /// The nested contract model absent or not rebuildable.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        let contract = contract_from_state(&state.nested("contract")?)?;
        Ok(Subscription::new(contract))
    }

    /// The model of how long customers keep renewing.
    #[must_use]
    pub fn contract(&self) -> &dyn ContractModel {
        self.contract.as_ref()
    }

    /// Buffers for one chunk of rows, which answer what only a contract can as well.
    pub(crate) fn subscribers(&self) -> SubscriptionChunk<'_> {
        SubscriptionChunk {
            subscription: self,
            count: 0,
            rows: [Tenure::NEW; CHUNK],
            width: None,
            covariates: Vec::new(),
            value_field: self.value_field,
            values: [0.0; CHUNK],
        }
    }
}

/// The contract model's fields and the payment; a covariate of that name is the same column.
fn joined(mut schema: InputSchema) -> InputSchema {
    if schema.position(VALUE_COLUMN).is_none() {
        let field = InputField::number(VALUE_COLUMN, "currency", Domain::Finite);
        schema.fields.push(field);
    }
    schema
}

impl ValueStream for Subscription {
    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        Some(joined(self.contract.schema_for(has)?))
    }

    fn age(&self) -> Option<&'static str> {
        self.contract.age()
    }

    fn time_unit(&self) -> Option<TimeUnit> {
        self.contract.time_unit()
    }

    fn clock(&self) -> Clock {
        Clock::Discrete
    }

    fn store(&self, state: &mut ModelState) {
        state.nest("contract", self.contract.state());
    }

    fn probe_rows(&self) -> Frame {
        let frame = self.contract.probe_rows();
        if frame.get(VALUE_COLUMN).is_some() {
            return frame;
        }
        // As long as no cycle of the tenures, with every sign, and two that are refused.
        let cycle = [
            29.99,
            1.0,
            -3.5,
            f64::NAN,
            0.0,
            250.0,
            1e9,
            f64::INFINITY,
            7.25,
            1e-3,
            12.0,
        ];
        let values = (0..frame.row_count).map(|row| cycle[row % cycle.len()]);
        let values: Vec<f64> = values.collect();
        frame.with_numbers(VALUE_COLUMN, values)
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions {
            quantile: None,
            ..self.contract.probe_options()
        }
    }

    fn chunk(&self) -> Box<dyn StreamChunk + '_> {
        Box::new(self.subscribers())
    }

    fn clone_box(&self) -> Box<dyn ValueStream> {
        Box::new(self.clone())
    }
}

/// Buffers of one chunk of rows.
pub(crate) struct SubscriptionChunk<'a> {
    subscription: &'a Subscription,
    count: usize,
    rows: [Tenure; CHUNK],
    /// Covariate values of a row, once a batch has been seen.
    width: Option<usize>,
    covariates: Vec<f64>,
    value_field: usize,
    values: [f64; CHUNK],
}

impl SubscriptionChunk<'_> {
    /// A forecast of the contract model for every row read.
    pub(crate) fn forecast(&self, what: ContractForecast, out: &mut [f64]) {
        let customers = self.customers();
        self.subscription.contract.forecast(what, customers, out);
    }

    fn customers(&self) -> Subscribers<'_> {
        let width = self.width.unwrap_or_default();
        Subscribers {
            rows: &self.rows[..self.count],
            covariates: &self.covariates[..self.count * width],
        }
    }

    /// Learns from the batch's schema where values are; all chunks of a batch have the same.
    fn settle(&mut self, schema: &InputSchema) {
        if self.width.is_some() {
            return;
        }
        let subscription = self.subscription;
        let width = subscription.contract.covariate_width(schema);
        self.width = Some(width);
        self.covariates = vec![0.0; CHUNK * width];
        let place = schema.position(VALUE_COLUMN);
        self.value_field = place.unwrap_or(subscription.value_field);
    }

    /// Variances of value, from those of the number of payments.
    fn variance(&self, t: f64, margin: f64, per_payment: f64, out: &mut [f64]) {
        self.forecast(ContractForecast::Lifetime { t, delta: 0.0 }, out);
        for (index, slot) in out.iter_mut().enumerate() {
            let gain = product(margin, self.values[index]) - per_payment;
            *slot = match *slot {
                _ if gain == 0.0 => 0.0,
                mean if mean.is_infinite() => f64::INFINITY,
                _ => product(gain * gain, count_variance(self.ln_retained(index), t)),
            };
        }
    }

    /// `n ↦ ln R(n)` of one customer.
    fn ln_retained(&self, index: usize) -> impl Fn(f64) -> f64 {
        let width = self.width.unwrap_or_default();
        let customer = Subscribers {
            rows: &self.rows[index..=index],
            covariates: &self.covariates[index * width..(index + 1) * width],
        };
        move |t| {
            let mut value = [0.0];
            let what = ContractForecast::LnRetained { t };
            let contract = &self.subscription.contract;
            contract.forecast(what, customer, &mut value);
            value[0]
        }
    }
}

/// `Var(N)` from `ln R`; NaN beyond the bound on work.
fn count_variance(ln_retained: impl Fn(f64) -> f64, t: f64) -> f64 {
    const CLOSE: f64 = 1e-15;
    let (mut sum, mut left_before, mut before) = (0.0, 0.0, 1.0);
    for n in 0..MOST_TERMS {
        let n = f64::from(n);
        if n >= t {
            return sum;
        }
        let ln_kept = ln_retained(n);
        let (kept, left) = (exp(ln_kept), -expm1(ln_kept));
        sum += kept * (left + 2.0 * left_before);
        left_before += left;
        let rest = 1.0 - kept / before;
        before = kept;
        // Σ_{k≥1} (2(n+k)+1) ρ^k ≤ (2n+3)/(1−ρ)² for a ratio ρ of one term of R to the last.
        if kept == 0.0 || (2.0 * n + 3.0) * kept < CLOSE * sum * rest * rest {
            return sum;
        }
    }
    if f64::from(MOST_TERMS) >= t {
        sum
    } else {
        f64::NAN
    }
}

impl StreamChunk for SubscriptionChunk<'_> {
    fn read(&mut self, batch: &BoundBatch<'_, '_>, start: usize, status: &mut [RowStatus]) {
        let (subscription, count) = (self.subscription, status.len());
        self.count = count;
        self.settle(batch.schema);
        let contract = &subscription.contract;
        let covariates = &mut self.covariates[..count * self.width.unwrap_or_default()];
        let rows = &mut self.rows[..count];
        contract.read(batch, start, rows, covariates, status);
        let values = &mut self.values[..count];
        batch.read_numbers(self.value_field, start, values);
        let field = u16::try_from(self.value_field).unwrap_or(u16::MAX);
        for (value, status) in values.iter_mut().zip(status) {
            match RowStatus::check(*value, Domain::Finite, field) {
                Ok(good) => *value = good,
                Err(bad) => {
                    *value = 0.0;
                    if status.is_ok() {
                        *status = bad;
                    }
                }
            }
        }
    }

    fn cover(&mut self, t: f64, status: &mut [RowStatus]) {
        let contract = &self.subscription.contract;
        contract.cover(self.customers(), t, status);
    }

    fn flow(&self, what: Flow, out: &mut [f64]) {
        match what {
            // Who is scored has just renewed.
            Flow::PAlive => out.fill(1.0),
            Flow::PaymentValue => out.copy_from_slice(&self.values[..self.count]),
            Flow::Payments { t, delta } | Flow::Periods { t, delta } => {
                self.forecast(ContractForecast::Lifetime { t, delta }, out);
            }
            Flow::Variance {
                t,
                margin,
                per_payment,
            } => self.variance(t, margin, per_payment, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::count_variance;
    use cvm_math::{ln, log1p};

    /// `R(n) = ρ^n`: without a horizon `N` is geometric, `Var(N) = ρ/(1−ρ)²`; with one of three,
    /// `E[N] = 1 + ρ + ρ²` and `E[N²] = 1 + 3ρ + 5ρ²`.
    #[test]
    fn a_geometric_lifetime() {
        for ratio in [1e-9, 0.3, 0.9, 0.99] {
            let ln_kept = |n: f64| n * ln(ratio);
            let got = count_variance(ln_kept, f64::INFINITY);
            let want = ratio / ((1.0 - ratio) * (1.0 - ratio));
            assert!((got / want - 1.0).abs() < 1e-12, "{ratio}: {got} {want}");
            let mean = 1.0 + ratio + ratio * ratio;
            let want = 1.0 + 3.0 * ratio + 5.0 * ratio * ratio - mean * mean;
            let got = count_variance(ln_kept, 3.0);
            assert!((got - want).abs() < 4e-15, "{ratio}: {got} {want}");
        }
        // Where E[N²] and E[N]² agree in ten digits: 5ε + O(ε²).
        let rare = 1e-10;
        let got = count_variance(|n| n * log1p(-rare), 3.0);
        assert!((got / (5.0 * rare) - 1.0).abs() < 1e-9, "{got}");
    }

    #[test]
    fn ends() {
        assert_eq!(count_variance(|_| 0.0, 1.0), 0.0);
        assert_eq!(count_variance(|_| 0.0, 5_000.0), 0.0);
        assert!(count_variance(|_| 0.0, 5_001.0).is_nan());
        assert_eq!(count_variance(|_| 0.5, 0.0), 0.0);
        let one = |n: f64| if n > 0.0 { f64::NEG_INFINITY } else { 0.0 };
        assert_eq!(count_variance(one, f64::INFINITY), 0.0);
    }
}

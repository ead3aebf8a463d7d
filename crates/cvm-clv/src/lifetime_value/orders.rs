//! The stream of a purchase model and a spend model of any kinds.
//!
//! Inputs are those of the purchase model, then the spend model's own; a column that both read
//! (`frequency`, a shared covariate) is there once. Buying and spend are independent given a
//! customer's row, so the expectation of the product is the product.

use super::probe::affordable;
use super::spread::value_variance;
use super::stream::{Flow, StreamChunk, ValueStream};
use crate::purchase::{Clock, Customers, Forecast, PurchaseModel, multiply, purchase_from_state};
use crate::rfm::{CHUNK, Rfm};
use crate::spend::{Spend, SpendForecast, SpendModel, SpendRows, Spenders, spend_from_state};
use cvm_core::{
    BoundBatch, Frame, InputSchema, ModelState, RowStatus, ScoreOptions, StateError, TimeUnit,
};

/// Orders of a purchase model, each worth what a spend model expects.
#[derive(Debug, Clone)]
pub struct Orders {
    purchase: Box<dyn PurchaseModel>,
    spend: Box<dyn SpendModel>,
    schema: InputSchema,
    /// Place in the schema of each of the spend model's own fields.
    spend_fields: Vec<usize>,
}

impl Orders {
    /// The two models together.
    #[must_use]
    pub fn new(purchase: Box<dyn PurchaseModel>, spend: Box<dyn SpendModel>) -> Self {
        let schema = joined(purchase.schema().clone(), spend.as_ref());
        let spend_fields = places(&schema, spend.as_ref());
        Orders {
            purchase,
            spend,
            schema,
            spend_fields,
        }
    }

    /// The stream stored in `state`.
    ///
    /// # Errors
    /// Either nested model absent or not rebuildable.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        let purchase = purchase_from_state(&state.nested("purchase")?)?;
        let spend = spend_from_state(&state.nested("spend")?)?;
        Ok(Orders::new(purchase, spend))
    }

    /// The model of when customers buy.
    #[must_use]
    pub fn purchase(&self) -> &dyn PurchaseModel {
        self.purchase.as_ref()
    }

    /// The model of what a purchase is worth.
    #[must_use]
    pub fn spend(&self) -> &dyn SpendModel {
        self.spend.as_ref()
    }
}

/// The purchase model's fields, then those of the spend model's own that are not among them.
fn joined(mut schema: InputSchema, spend: &dyn SpendModel) -> InputSchema {
    for field in spend.schema().fields.iter().skip(1) {
        if schema.position(&field.name).is_none() {
            schema.fields.push(field.clone());
        }
    }
    schema
}

/// Places of the spend model's own fields in a joined schema.
fn places(schema: &InputSchema, spend: &dyn SpendModel) -> Vec<usize> {
    let own = spend.schema().fields.iter().skip(1);
    own.filter_map(|field| schema.position(&field.name))
        .collect()
}

impl ValueStream for Orders {
    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        let wider = self.purchase.schema_for(has)?;
        Some(joined(wider, self.spend.as_ref()))
    }

    fn age(&self) -> Option<&'static str> {
        self.purchase.age()
    }

    fn time_unit(&self) -> Option<TimeUnit> {
        self.purchase.time_unit()
    }

    fn clock(&self) -> Clock {
        self.purchase.clock()
    }

    fn store(&self, state: &mut ModelState) {
        state.nest("purchase", self.purchase.state());
        state.nest("spend", self.spend.state());
    }

    fn probe_rows(&self) -> Frame {
        let t = self.probe_options().horizon_periods.unwrap_or_default();
        let purchase = self.purchase.as_ref();
        let mut frame = affordable(purchase, purchase.probe_rows(), t);
        for (name, values) in self.spend.probe_columns(frame.row_count) {
            if frame.get(&name).is_none() {
                frame = frame.with_numbers(name, values);
            }
        }
        frame
    }

    fn probe_options(&self) -> ScoreOptions {
        self.purchase.probe_options()
    }

    fn chunk(&self) -> Box<dyn StreamChunk + '_> {
        Box::new(OrdersChunk {
            orders: self,
            count: 0,
            refused: [false; CHUNK],
            rows: [Rfm::PLACEHOLDER; CHUNK],
            width: None,
            covariates: Vec::new(),
            spend_fields: Vec::new(),
            spends: [Spend::NONE; CHUNK],
            spend_covariates: vec![0.0; CHUNK * self.spend.covariate_count()],
            p_alive: [0.0; CHUNK],
            expected_spend: [0.0; CHUNK],
        })
    }

    fn clone_box(&self) -> Box<dyn ValueStream> {
        Box::new(self.clone())
    }
}

/// Buffers of one chunk of rows.
struct OrdersChunk<'a> {
    orders: &'a Orders,
    count: usize,
    /// Rows that have no answer, and need no work.
    refused: [bool; CHUNK],
    rows: [Rfm; CHUNK],
    /// Covariate values of a row, once a batch has been seen.
    width: Option<usize>,
    covariates: Vec<f64>,
    spend_fields: Vec<usize>,
    spends: [Spend; CHUNK],
    spend_covariates: Vec<f64>,
    p_alive: [f64; CHUNK],
    expected_spend: [f64; CHUNK],
}

impl OrdersChunk<'_> {
    /// Learns from the batch's schema where values are; all chunks of a batch have the same.
    fn settle(&mut self, schema: &InputSchema) {
        if self.width.is_some() {
            return;
        }
        let orders = self.orders;
        let width = orders.purchase.covariate_width(schema);
        self.width = Some(width);
        self.covariates = vec![0.0; CHUNK * width];
        self.spend_fields = if schema.fields.len() == orders.schema.fields.len() {
            orders.spend_fields.clone()
        } else {
            places(schema, orders.spend.as_ref())
        };
    }

    fn width(&self) -> usize {
        self.width.unwrap_or_default()
    }

    fn customers(&self) -> Customers<'_> {
        let width = self.width();
        Customers {
            rows: &self.rows[..self.count],
            covariates: &self.covariates[..self.count * width],
        }
    }

    fn spenders(&self) -> Spenders<'_> {
        let width = self.orders.spend.covariate_count();
        Spenders {
            rows: &self.spends[..self.count],
            covariates: &self.spend_covariates[..self.count * width],
        }
    }

    fn refuse(&mut self, status: &[RowStatus]) {
        for (slot, status) in self.refused.iter_mut().zip(status) {
            *slot = !status.is_ok();
        }
    }

    /// A forecast for a living customer, times P(alive).
    fn forecast(&self, forecast: Forecast, out: &mut [f64]) {
        self.orders
            .purchase
            .forecast(forecast, self.customers(), out);
        multiply(out, &self.p_alive);
    }

    fn variance(&self, t: f64, margin: f64, per_payment: f64, out: &mut [f64]) {
        let (mut within, mut of_mean) = (vec![0.0; self.count], vec![0.0; self.count]);
        let spend = &self.orders.spend;
        spend.forecast(SpendForecast::VarianceWithin, self.spenders(), &mut within);
        spend.forecast(SpendForecast::VarianceOfMean, self.spenders(), &mut of_mean);
        self.forecast(Forecast::Purchases { t }, out);
        let width = self.width();
        for (index, slot) in out.iter_mut().enumerate() {
            if self.refused[index] {
                *slot = f64::NAN;
                continue;
            }
            let customer = Customers {
                rows: &self.rows[index..=index],
                covariates: &self.covariates[index * width..(index + 1) * width],
            };
            let ln_tail = self.orders.purchase.ln_tails(customer, t);
            let gain = super::product(margin, self.expected_spend[index]) - per_payment;
            let spends = [margin, within[index], of_mean[index], gain];
            *slot = value_variance(*slot, ln_tail, spends);
        }
    }
}

impl StreamChunk for OrdersChunk<'_> {
    fn read(&mut self, batch: &BoundBatch<'_, '_>, start: usize, status: &mut [RowStatus]) {
        let (orders, count) = (self.orders, status.len());
        self.count = count;
        self.settle(batch.schema);
        let width = self.width();
        let covariates = &mut self.covariates[..count * width];
        let rows = &mut self.rows[..count];
        orders.purchase.read(batch, start, rows, covariates, status);
        let mut frequency = [0.0; CHUNK];
        for (slot, row) in frequency.iter_mut().zip(&self.rows[..count]) {
            *slot = row.frequency;
        }
        let into = SpendRows {
            rows: &mut self.spends[..count],
            covariates: &mut self.spend_covariates[..count * orders.spend.covariate_count()],
            status,
        };
        let fields = &self.spend_fields;
        orders
            .spend
            .read(batch, fields, start, &frequency[..count], into);
        let mut out = [0.0; CHUNK];
        let purchase = &orders.purchase;
        purchase.forecast(Forecast::PAlive, self.customers(), &mut out[..count]);
        self.p_alive = out;
        let expected = SpendForecast::Expected;
        orders
            .spend
            .forecast(expected, self.spenders(), &mut out[..count]);
        self.expected_spend = out;
        self.refuse(status);
    }

    fn cover(&mut self, t: f64, status: &mut [RowStatus]) {
        self.orders.purchase.cover(self.customers(), t, status);
        self.refuse(status);
    }

    fn flow(&self, what: Flow, out: &mut [f64]) {
        match what {
            Flow::PAlive => out.copy_from_slice(&self.p_alive[..self.count]),
            Flow::PaymentValue => out.copy_from_slice(&self.expected_spend[..self.count]),
            Flow::Payments { t, delta: 0.0 } => self.forecast(Forecast::Purchases { t }, out),
            Flow::Payments { t, delta } => self.forecast(Forecast::Discounted { t, delta }, out),
            Flow::Periods { t, delta } => self.forecast(Forecast::Lifetime { t, delta }, out),
            Flow::Variance {
                t,
                margin,
                per_payment,
            } => self.variance(t, margin, per_payment, out),
        }
    }
}

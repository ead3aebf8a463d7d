//! Where value comes from: what lifetime value asks of orders, or of a contract.
//!
//! A stream pays at moments that a model of customers forecasts; each payment is worth what another
//! model, or a price, says. [`super::Orders`] is the stream of a purchase and a spend model,
//! [`super::Subscription`] that of a contract with its fee.

use crate::purchase::Clock;
use cvm_core::{BoundBatch, Frame, InputSchema, ModelState, RowStatus, ScoreOptions, TimeUnit};
use std::fmt;

/// What is asked of a stream for each customer; all of them from the end of observation on, of a
/// customer who may have left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// Probability that the customer has not left.
    PAlive,
    /// Payments expected to the horizon, each discounted at the rate `delta` per period.
    Payments {
        /// Horizon in periods, possibly infinite.
        t: f64,
        /// Continuous rate per period, 0 for none.
        delta: f64,
    },
    /// Expected value of one payment, in currency; independent of the number of payments.
    PaymentValue,
    /// Periods until the customer leaves, counted to the horizon and discounted.
    Periods {
        /// Horizon in periods, possibly infinite.
        t: f64,
        /// Continuous rate per period, 0 for none.
        delta: f64,
    },
    /// Variance of `margin` times the sum of payments to the horizon, less `per_payment` for each,
    /// without discounting; NaN where it would be too much work.
    Variance {
        /// Horizon in periods.
        t: f64,
        /// Share of a payment kept as value.
        margin: f64,
        /// Cost of a payment, in currency.
        per_payment: f64,
    },
}

/// A stream of payments, as the core of a lifetime value.
pub trait ValueStream: fmt::Debug + Send + Sync {
    /// Inputs.
    fn schema(&self) -> &InputSchema;

    /// Inputs read from a batch that has the columns which `has` tells, where these are more.
    fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> Option<InputSchema> {
        let _ = has;
        None
    }

    /// The input that grows as time goes by, as [`cvm_core::Scorer::age`].
    fn age(&self) -> Option<&'static str>;

    /// Length of one period, if known.
    fn time_unit(&self) -> Option<TimeUnit>;

    /// How time runs; a horizon of a discrete stream is cut to whole periods before it is asked.
    fn clock(&self) -> Clock;

    /// Adds the models of the stream to the state of the composed model.
    fn store(&self, state: &mut ModelState);

    /// Rows that exercise both models.
    fn probe_rows(&self) -> Frame;

    /// Options for them, but for the list of outputs.
    fn probe_options(&self) -> ScoreOptions;

    /// Buffers for one chunk of rows at a time.
    fn chunk(&self) -> Box<dyn StreamChunk + '_>;

    /// A boxed copy.
    fn clone_box(&self) -> Box<dyn ValueStream>;
}

/// One chunk of rows of a stream.
pub trait StreamChunk {
    /// Reads rows `start..` of the batch, as many as there are statuses, at most 256.
    fn read(&mut self, batch: &BoundBatch<'_, '_>, start: usize, status: &mut [RowStatus]);

    /// Marks good rows whose covariates are not known `t` periods ahead.
    fn cover(&mut self, t: f64, status: &mut [RowStatus]) {
        let _ = (t, status);
    }

    /// Answers for every row read.
    fn flow(&self, what: Flow, out: &mut [f64]);
}

impl Clone for Box<dyn ValueStream> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

//! Predictions of the BG/NBD: P(alive), expected and discounted purchases, counts of a new customer.

use super::BgNbd;
use crate::discount::discounted_purchases;
use crate::incomplete_beta::ln_incomplete_beta;
use crate::purchase::PurchaseModel;
use crate::rfm::{CHUNK, Rfm};
use crate::rising::Rising;
use cvm_core::TimeUnit;
use cvm_math::{ln, ln_gamma, log_add_exp, log1p, slice};

impl BgNbd {
    /// Probability that the customer has not left by the end of observation; 1 without repeat
    /// purchases, since one can leave only after one.
    #[must_use]
    pub fn p_alive(&self, row: &Rfm) -> f64 {
        let mut out = [0.0];
        self.p_alive_rows(std::slice::from_ref(row), &mut out);
        out[0]
    }

    /// Purchases expected in `(T, T + t]`, with `t` in periods, finite and zero or greater.
    #[must_use]
    pub fn expected_purchases(&self, row: &Rfm, t: f64) -> f64 {
        let mut out = [0.0];
        self.purchases_if_alive_rows(std::slice::from_ref(row), t, &mut out);
        self.p_alive(row) * out[0]
    }

    /// As [`BgNbd::expected_purchases`], each purchase discounted to `T` at the continuous rate
    /// `delta` per period, zero or greater.
    #[must_use]
    pub fn discounted_purchases(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        let mut out = [0.0];
        self.discounted_if_alive_rows(std::slice::from_ref(row), t, delta, &mut out);
        self.p_alive(row) * out[0]
    }

    /// Repeat purchases expected of a new customer in the `t` periods after the first purchase.
    #[must_use]
    pub fn expected_purchases_new(&self, t: f64) -> f64 {
        let new = Rfm {
            frequency: 0.0,
            recency: 0.0,
            age: 0.0,
        };
        self.expected_purchases(&new, t)
    }

    /// Logarithm of the probability that a new customer makes exactly `n` (a whole number) repeat
    /// purchases in `t > 0` periods: eq. 8, with the bracket as a regularized incomplete beta
    /// function instead of one minus a sum.
    #[must_use]
    pub fn ln_pmf_new(&self, n: f64, t: f64) -> f64 {
        let tau = t / self.alpha;
        let (log_tau1, log_z) = (log1p(tau), -log1p(1.0 / tau));
        let either = Rising::new(self.a + self.b, n).log;
        let counts = Rising::new(self.r, n).log - ln_gamma(n + 1.0);
        let stayed = Rising::new(self.b, n).log - either;
        let still = stayed + counts - self.r * log_tau1 + n * log_z;
        if n == 0.0 {
            return still;
        }
        // B(a+1, b+n−1)/B(a, b) = a·(b)_{n−1}/(a+b)_n.
        let left = ln(self.a) + Rising::new(self.b, n - 1.0).log - either;
        let at_least_n = ln_incomplete_beta(n, self.r, tau / (1.0 + tau), 1.0 / (1.0 + tau));
        log_add_exp(still, left + at_least_n)
    }

    /// P(alive) of at most [`CHUNK`] rows.
    fn p_alive_chunk(&self, rows: &[Rfm], out: &mut [f64]) {
        let (mut argument, mut log_ratio) = ([0.0; CHUNK], [0.0; CHUNK]);
        let (mut stay, mut log_stay) = ([1.0; CHUNK], [0.0; CHUNK]);
        let count = rows.len();
        for (index, row) in rows.iter().enumerate() {
            argument[index] = (row.age - row.recency) / (self.alpha + row.recency);
            if row.frequency > 0.0 {
                stay[index] = self.b + (row.frequency - 1.0);
            }
        }
        slice::log1p(&argument[..count], &mut log_ratio[..count]);
        slice::ln(&stay[..count], &mut log_stay[..count]);
        let log_a = ln(self.a);
        for (index, row) in rows.iter().enumerate() {
            let log_odds = log_a - log_stay[index] + (self.r + row.frequency) * log_ratio[index];
            argument[index] = -log_odds;
        }
        slice::sigmoid(&argument[..count], out);
        for (row, slot) in rows.iter().zip(out) {
            if row.frequency == 0.0 {
                *slot = 1.0;
            }
        }
    }

    /// Expected purchases of at most [`CHUNK`] living customers.
    fn purchases_chunk(&self, rows: &[Rfm], horizon_periods: f64, out: &mut [f64]) {
        let (mut tau, mut log_tau1) = ([0.0; CHUNK], [0.0; CHUNK]);
        let mut power = [0.0; CHUNK];
        let count = rows.len();
        for (tau, row) in tau.iter_mut().zip(rows) {
            *tau = horizon_periods / (self.alpha + row.age);
        }
        slice::log1p(&tau[..count], &mut log_tau1[..count]);
        for (index, row) in rows.iter().enumerate() {
            out[index] = -(self.r + row.frequency) * log_tau1[index];
        }
        slice::exp(out, &mut power[..count]);
        for (index, row) in rows.iter().enumerate() {
            let x = row.frequency;
            out[index] = match self.dropout.series_sum(x, tau[index]) {
                Some(sum) => power[index] * sum,
                None => self.dropout.purchases(x, tau[index], log_tau1[index]),
            };
        }
    }
}

impl PurchaseModel for BgNbd {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn p_alive_rows(&self, rows: &[Rfm], out: &mut [f64]) {
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.p_alive_chunk(rows, out);
        }
    }

    fn purchases_if_alive_rows(&self, rows: &[Rfm], horizon_periods: f64, out: &mut [f64]) {
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.purchases_chunk(rows, horizon_periods, out);
        }
    }

    fn discounted_if_alive_rows(
        &self,
        rows: &[Rfm],
        horizon_periods: f64,
        delta_per_period: f64,
        out: &mut [f64],
    ) {
        if delta_per_period == 0.0 {
            return self.purchases_if_alive_rows(rows, horizon_periods, out);
        }
        for (row, slot) in rows.iter().zip(out) {
            *slot = discounted_purchases(
                &self.dropout,
                row.frequency,
                self.alpha + row.age,
                horizon_periods,
                delta_per_period,
            );
        }
    }

    fn clone_box(&self) -> Box<dyn PurchaseModel> {
        Box::new(self.clone())
    }
}

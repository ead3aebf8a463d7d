//! Forecasts of the Pareto/NBD: those of a living customer are [`crate::attrition`]'s with
//! `R = r + x`, `A = α + T` and the Pareto law of scale `β + T`.

use super::ParetoNbd;
use crate::attrition::Buyer;
use crate::purchase::PurchaseFormulas;
use crate::rfm::{CHUNK, Rfm};
use cvm_math::slice;

impl ParetoNbd {
    /// Purchases expected in `(T, T + t]` of a customer who may have lapsed.
    #[must_use]
    pub fn expected_purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.p_alive(row) * self.purchases(row, t)
    }

    /// Repeat purchases expected of a new customer in the `t` periods after the first purchase.
    #[must_use]
    pub fn expected_purchases_new(&self, t: f64) -> f64 {
        self.purchases(&Rfm::NEW, t)
    }

    fn at_end(&self, row: &Rfm) -> Buyer {
        self.model.at_end(row)
    }

    /// P(alive) of at most [`CHUNK`] rows.
    fn p_alive_chunk(&self, rows: &[Rfm], out: &mut [f64]) {
        let (mut buying, mut leaving) = ([0.0; CHUNK], [0.0; CHUNK]);
        let count = rows.len();
        for (index, row) in rows.iter().enumerate() {
            let silence = row.age - row.recency;
            buying[index] = silence / (self.model.alpha + row.recency);
            leaving[index] = silence / (self.model.beta + row.recency);
        }
        slice::log1p_in_place(&mut buying[..count]);
        slice::log1p_in_place(&mut leaving[..count]);
        for (index, row) in rows.iter().enumerate() {
            let shape = self.model.r + row.frequency;
            buying[index] = -shape * buying[index] - self.model.law.shape * leaving[index];
        }
        slice::exp(&buying[..count], out);
        for (row, slot) in rows.iter().zip(out) {
            let stayed = *slot;
            let [x, recency, age] = [row.frequency, row.recency, row.age];
            *slot = match self.tables.ever_leaving(x, recency, age) {
                Some([at_last, at_end]) if stayed > 0.0 => {
                    (stayed / (at_last + stayed * (1.0 - at_end))).min(1.0)
                }
                _ => self.model.at_last(row).alive_after_silence(age - recency),
            };
        }
    }

    /// Purchases of at most [`CHUNK`] living customers within finite `t`: with `c = β + T`,
    /// `R/A · c · ((1 + t/c)^{1−s} − 1)/(1−s)`.
    fn purchases_chunk(&self, rows: &[Rfm], t: f64, out: &mut [f64]) {
        let mut logs = [0.0; CHUNK];
        let count = rows.len();
        for (log, row) in logs.iter_mut().zip(rows) {
            *log = t / (self.model.beta + row.age);
        }
        slice::log1p_in_place(&mut logs[..count]);
        let rest = 1.0 - self.model.law.shape;
        if rest == 0.0 {
            out.copy_from_slice(&logs[..count]);
        } else {
            for log in &mut logs[..count] {
                *log *= rest;
            }
            slice::expm1(&logs[..count], out);
            for slot in &mut *out {
                *slot /= rest;
            }
        }
        for (row, slot) in rows.iter().zip(out) {
            let rate = (self.model.r + row.frequency) / (self.model.alpha + row.age);
            *slot = *slot * (self.model.beta + row.age) * rate;
        }
    }
}

impl PurchaseFormulas for ParetoNbd {
    fn scale_periods(&self) -> f64 {
        self.model.alpha
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        let mut out = [0.0];
        self.p_alive_rows(std::slice::from_ref(row), &mut out);
        out[0]
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        let silence = row.age - row.recency;
        self.model.at_last(row).ln_alive_after_silence(silence)
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        self.at_end(row).law.survival(t)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        let mut out = [0.0];
        self.purchases_rows(std::slice::from_ref(row), t, &mut out);
        out[0]
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.at_end(row).ln_pmf(t, n)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.at_end(row).ln_tail(t, n)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.at_end(row).purchases(t, delta)
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.at_end(row).time_alive(t, delta)
    }

    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        self.at_end(row).next_purchase(p)
    }

    fn p_alive_rows(&self, rows: &[Rfm], out: &mut [f64]) {
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.p_alive_chunk(rows, out);
        }
    }

    fn purchases_rows(&self, rows: &[Rfm], t: f64, out: &mut [f64]) {
        if t == f64::INFINITY {
            for (row, slot) in rows.iter().zip(out) {
                *slot = self.at_end(row).purchases(t, 0.0);
            }
            return;
        }
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.purchases_chunk(rows, t, out);
        }
    }
}

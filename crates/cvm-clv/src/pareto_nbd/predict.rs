//! Forecasts of the Pareto/NBD: those of a living customer are [`crate::attrition`]'s with
//! `R = r + x`, `A = α + T` and the Pareto law of scale `β + T`.

use super::ParetoNbd;
use crate::attrition::Buyer;
use crate::purchase::PurchaseFormulas;
use crate::rfm::{CHUNK, Rfm};
use cvm_math::dispatch::widest;
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
        widest(|| {
            let slots = buying.iter_mut().zip(&mut leaving);
            for (row, (buying, leaving)) in rows.iter().zip(slots) {
                let silence = row.age - row.recency;
                *buying = silence / (self.model.alpha + row.recency);
                *leaving = silence / (self.model.beta + row.recency);
            }
        });
        slice::log1p_in_place(&mut buying[..count]);
        slice::log1p_in_place(&mut leaving[..count]);
        let mut stayed = [0.0; CHUNK];
        widest(|| {
            for (row, (buying, leaving)) in rows.iter().zip(buying.iter_mut().zip(&leaving)) {
                let shape = self.model.r + row.frequency;
                *buying = -shape * *buying - self.model.law.shape * leaving;
            }
        });
        slice::exp(&buying[..count], &mut stayed[..count]);
        let (at_last, at_end) = (&mut buying[..count], &mut leaving[..count]);
        self.tables.ever_leaving(rows, |row| row.recency, at_last);
        self.tables.ever_leaving(rows, |row| row.age, at_end);
        widest(|| {
            let parts = stayed.iter().zip(at_last.iter().zip(&*at_end));
            for (slot, (stayed, (at_last, at_end))) in out.iter_mut().zip(parts) {
                *slot = stayed / (at_last + stayed * (1.0 - at_end));
            }
        });
        for (index, (row, slot)) in rows.iter().zip(out).enumerate() {
            *slot = if slot.is_nan() || stayed[index] == 0.0 {
                let silence = row.age - row.recency;
                self.model.at_last(row).alive_after_silence(silence)
            } else {
                slot.min(1.0)
            };
        }
    }

    /// Purchases of at most [`CHUNK`] living customers within finite `t`: with `c = β + T`,
    /// `R/A · c · ((1 + t/c)^{1−s} − 1)/(1−s)`.
    fn purchases_chunk(&self, rows: &[Rfm], t: f64, out: &mut [f64]) {
        let mut logs = [0.0; CHUNK];
        let logs = &mut logs[..rows.len()];
        widest(|| {
            for (log, row) in logs.iter_mut().zip(rows) {
                *log = t / (self.model.beta + row.age);
            }
        });
        slice::log1p_in_place(logs);
        let rest = 1.0 - self.model.law.shape;
        if rest == 0.0 {
            out.copy_from_slice(logs);
        } else {
            widest(|| logs.iter_mut().for_each(|log| *log *= rest));
            slice::expm1(logs, out);
            widest(|| out.iter_mut().for_each(|slot| *slot /= rest));
        }
        widest(|| {
            for (row, slot) in rows.iter().zip(out) {
                let rate = (self.model.r + row.frequency) / (self.model.alpha + row.age);
                *slot = *slot * (self.model.beta + row.age) * rate;
            }
        });
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

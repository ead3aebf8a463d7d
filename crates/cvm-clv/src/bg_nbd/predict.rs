//! Forecasts of the BG/NBD and the MBG/NBD.
//!
//! Given alive at `T`, `λ ~ Gamma(R, A)` with `R = r + x`, `A = α + T`, and `p ~ Beta(a, B)` with
//! `B = b + x` (MBG/NBD: `b + x + 1`); with `τ = t/A`:
//!
//! ```text
//! S(t)        = E_p[(1 + pτ)^−R]                       p_alive_ahead
//! P(X(t) ≥ n) = I_{τ/(1+τ)}(n, R) · (B)_{n−1}/(a+B)_{n−1}
//! P(X(t) = n) = (B)_n/(a+B)_n · NB(n) + a (B)_{n−1}/(a+B)_n · I_{τ/(1+τ)}(n, R)
//! ```
//!
//! `n` purchases are made if a customer who never leaves would make them and the first `n − 1` did
//! not end it.

use super::BetaGeometricNbd;
use crate::discount::discounted_purchases;
use crate::dropout::{purchases_forever, survival, survival_integral};
use crate::incomplete_beta::ln_at_least;
use crate::purchase::PurchaseFormulas;
use crate::rfm::{CHUNK, Rfm};
use crate::rising::Rising;
use cvm_math::dispatch::widest;
use cvm_math::{expm1, ln, ln_gamma, log_add_exp, log1p, sigmoid, slice, softplus};

impl<const AT_FIRST: bool> BetaGeometricNbd<AT_FIRST> {
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

    fn lapse_log_odds(&self, row: &Rfm) -> f64 {
        let argument = (row.age - row.recency) / (self.alpha + row.recency);
        let stay = self.b + (Self::chances(row.frequency) - 1.0);
        ln(self.a) - ln(stay) + (self.r + row.frequency) * log1p(argument)
    }

    /// P(alive) of at most [`CHUNK`] rows.
    fn p_alive_chunk(&self, rows: &[Rfm], out: &mut [f64]) {
        let (mut argument, mut log_ratio) = ([0.0; CHUNK], [0.0; CHUNK]);
        let (mut stay, mut log_stay) = ([1.0; CHUNK], [0.0; CHUNK]);
        let count = rows.len();
        let (argument, log_ratio) = (&mut argument[..count], &mut log_ratio[..count]);
        let (stay, log_stay) = (&mut stay[..count], &mut log_stay[..count]);
        widest(|| {
            // Selections, not branches: whether a customer came back is as hard to guess as it gets.
            for ((row, argument), stay) in rows.iter().zip(&mut *argument).zip(&mut *stay) {
                *argument = (row.age - row.recency) / (self.alpha + row.recency);
                let chances = Self::chances(row.frequency);
                let shape = self.b + (chances - 1.0);
                *stay = if chances > 0.0 { shape } else { 1.0 };
            }
        });
        slice::log1p(argument, log_ratio);
        slice::ln(stay, log_stay);
        let log_a = ln(self.a);
        widest(|| {
            let logs = log_ratio.iter().zip(&*log_stay);
            for ((row, argument), (log_ratio, log_stay)) in
                rows.iter().zip(&mut *argument).zip(logs)
            {
                *argument = -(log_a - log_stay + (self.r + row.frequency) * log_ratio);
            }
        });
        slice::sigmoid(argument, out);
        widest(|| {
            for (row, slot) in rows.iter().zip(out) {
                let never_could = Self::chances(row.frequency) == 0.0;
                *slot = if never_could { 1.0 } else { *slot };
            }
        });
    }

    /// Expected purchases of at most [`CHUNK`] living customers.
    fn purchases_chunk(&self, rows: &[Rfm], horizon_periods: f64, out: &mut [f64]) {
        let (mut tau, mut log_tau1) = ([0.0; CHUNK], [0.0; CHUNK]);
        let mut power = [0.0; CHUNK];
        let count = rows.len();
        widest(|| {
            for (tau, row) in tau.iter_mut().zip(rows) {
                *tau = horizon_periods / (self.alpha + row.age);
            }
        });
        slice::log1p(&tau[..count], &mut log_tau1[..count]);
        widest(|| {
            for ((row, log_tau1), slot) in rows.iter().zip(&log_tau1).zip(&mut *out) {
                *slot = -(self.r + row.frequency) * log_tau1;
            }
        });
        slice::exp(out, &mut power[..count]);
        let frequencies = rows.iter().map(|row| row.frequency);
        self.dropout.series_sums(frequencies, &tau[..count], out);
        for (index, row) in rows.iter().enumerate() {
            out[index] *= power[index];
            if out[index].is_nan() {
                let x = row.frequency;
                out[index] = self.dropout.purchases(x, tau[index], log_tau1[index]);
            }
        }
    }
}

impl<const AT_FIRST: bool> PurchaseFormulas for BetaGeometricNbd<AT_FIRST> {
    fn scale_periods(&self) -> f64 {
        self.alpha
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        if Self::chances(row.frequency) == 0.0 {
            return 1.0;
        }
        sigmoid(-self.lapse_log_odds(row))
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        if Self::chances(row.frequency) == 0.0 {
            return 0.0;
        }
        -softplus(self.lapse_log_odds(row))
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        let (shape, end) = (self.r + row.frequency, self.alpha + row.age);
        survival(self.a, self.stay_shape(row), shape, t / end)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        if t == f64::INFINITY {
            return purchases_forever(self.a, self.stay_shape(row));
        }
        let tau = t / (self.alpha + row.age);
        self.dropout.purchases(row.frequency, tau, log1p(tau))
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        let x = row.frequency;
        let shape = self.r + x;
        let tau = t / (self.alpha + row.age);
        if tau == 0.0 || tau == f64::INFINITY {
            return ln_pmf_at_the_ends(tau, self.a, self.stay_shape(row), n);
        }
        let (log_tau1, log_z) = (log1p(tau), -log1p(1.0 / tau));
        let stay = self.stay_shape(row);
        let either = Rising::new(self.a + stay, n).log;
        let counts = Rising::new(shape, n).log - ln_gamma(n + 1.0);
        let stayed = Rising::new(stay, n).log - either;
        let still = stayed + counts - shape * log_tau1 + n * log_z;
        if n == 0.0 {
            return still;
        }
        // B(a+1, B+n−1)/B(a, B) = a·(B)_{n−1}/(a+B)_n.
        let left = ln(self.a) + Rising::new(stay, n - 1.0).log - either;
        let at_least_n = ln_at_least(n, shape, tau / (1.0 + tau), 1.0 / (1.0 + tau));
        log_add_exp(still, left + at_least_n)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            return 0.0;
        }
        let stay = self.stay_shape(row);
        let kept = Rising::new(stay, n - 1.0).log - Rising::new(self.a + stay, n - 1.0).log;
        let tau = t / (self.alpha + row.age);
        if tau == f64::INFINITY {
            return kept;
        }
        let (z, rest) = (tau / (1.0 + tau), 1.0 / (1.0 + tau));
        kept + ln_at_least(n, self.r + row.frequency, z, rest)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        let end = self.alpha + row.age;
        discounted_purchases(&self.dropout, row.frequency, end, t, delta)
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        let (shape, end) = (self.r + row.frequency, self.alpha + row.age);
        survival_integral(self.a, self.stay_shape(row), shape, end, t, delta)
    }

    /// `P(X(t) ≥ 1) = 1 − (1 + τ)^−R` in closed form.
    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        let (shape, end) = (self.r + row.frequency, self.alpha + row.age);
        end * expm1(-log1p(-p) / shape)
    }

    /// One alone needs no buffers.
    fn p_alive_rows(&self, rows: &[Rfm], out: &mut [f64]) {
        if let ([row], [slot]) = (rows, &mut *out) {
            *slot = self.p_alive(row);
            return;
        }
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.p_alive_chunk(rows, out);
        }
    }

    fn purchases_rows(&self, rows: &[Rfm], t: f64, out: &mut [f64]) {
        if t == f64::INFINITY || rows.len() == 1 {
            for (row, slot) in rows.iter().zip(out) {
                *slot = self.purchases(row, t);
            }
            return;
        }
        for (rows, out) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
            self.purchases_chunk(rows, t, out);
        }
    }
}

/// At `t = 0` nothing is bought; given for ever, a living customer buys until they leave: `n`
/// purchases with probability `a (B)_{n−1}/(a+B)_n`, and at least one.
fn ln_pmf_at_the_ends(tau: f64, a: f64, stay: f64, n: f64) -> f64 {
    if tau == 0.0 {
        return if n == 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    if n == 0.0 {
        return f64::NEG_INFINITY;
    }
    ln(a) + Rising::new(stay, n - 1.0).log - Rising::new(a + stay, n).log
}

//! Forecasts of the correlated Pareto/NBD: means of those of its four parts, with weights that may be
//! negative and sum to 1.

use super::{PARTS, ParetoNbdCorrelated};
use crate::attrition::Buyer;
use crate::purchase::PurchaseFormulas;
use crate::rfm::Rfm;
use cvm_math::{exp, expm1, ln, log1p};

impl ParetoNbdCorrelated {
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

    /// Weights of the parts given the row and alive at `T`. Their likelihoods differ by their scales
    /// alone: what they share, which is large, would take digits with it.
    fn alive_weights(&self, row: &Rfm) -> [f64; 4] {
        let [base, ..] = &self.parts;
        let (x, age, alpha, beta) = (row.frequency, row.age, base.alpha, base.law.scale);
        let gain = |shift: f64, scale: f64| log1p(shift / scale) - log1p(shift / (scale + age));
        let ratios = PARTS.map(|(i, j)| {
            let bought = base.r * gain(i, alpha) - x * log1p(i / (alpha + age));
            exp(bought + base.law.shape * gain(j, beta))
        });
        let total = super::weighted(&self.weights, &ratios);
        std::array::from_fn(|i| self.weights[i] * ratios[i] / total)
    }

    /// The mean of a forecast over the parts.
    fn mean(&self, row: &Rfm, forecast: impl Fn(&Buyer) -> f64) -> f64 {
        let weights = self.alive_weights(row);
        let values = self.parts.map(|part| forecast(&part.at_end(row)));
        if values.contains(&f64::INFINITY) {
            return f64::INFINITY;
        }
        super::weighted(&weights, &values).max(0.0)
    }

    /// The same of a probability given by its logarithm.
    fn ln_mean(&self, row: &Rfm, forecast: impl Fn(&Buyer) -> f64) -> f64 {
        let weights = self.alive_weights(row);
        let logs = self.parts.map(|part| forecast(&part.at_end(row)));
        let [first, ..] = logs;
        if first == f64::NEG_INFINITY {
            return first;
        }
        let ratios = logs.map(|log| exp(log - first));
        (first + ln(super::weighted(&weights, &ratios))).min(0.0)
    }
}

impl PurchaseFormulas for ParetoNbdCorrelated {
    fn scale_periods(&self) -> f64 {
        self.parts[0].alpha
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        exp(self.ln_p_alive(row))
    }

    /// The mean of the parts' inverse chances, over the parts given alive.
    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        /// Above it chances are told by their odds of having left.
        const LIKELY: f64 = 1.0;
        if row.age == row.recency {
            return 0.0;
        }
        let weights = self.alive_weights(row);
        let silence = row.age - row.recency;
        let logs = self
            .parts
            .map(|part| -part.at_last(row).ln_alive_after_silence(silence));
        let [first, ..] = logs;
        if first < LIKELY {
            return -log1p(super::weighted(&weights, &logs.map(expm1)).max(0.0));
        }
        let ratios = logs.map(|log| exp(log - first));
        -(first + ln(super::weighted(&weights, &ratios))).max(0.0)
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        self.mean(row, |buyer| buyer.law.survival(t)).min(1.0)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.mean(row, |buyer| buyer.purchases(t, 0.0))
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.ln_mean(row, |buyer| buyer.ln_pmf(t, n))
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.ln_mean(row, |buyer| buyer.ln_tail(t, n))
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.mean(row, |buyer| buyer.purchases(t, delta))
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.mean(row, |buyer| buyer.time_alive(t, delta))
    }
}

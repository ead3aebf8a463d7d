//! Forecasts of the correlated Pareto/NBD: means of those of its four parts, with weights that may be
//! negative and sum to 1.

use super::ParetoNbdCorrelated;
use crate::attrition::Buyer;
use crate::purchase::PurchaseFormulas;
use crate::rfm::Rfm;
use cvm_math::{exp, ln};

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

    /// Weights of the parts given the row and alive at `T`.
    fn alive_weights(&self, row: &Rfm) -> [f64; 4] {
        let logs = self.parts.map(|part| part.ln_alive(row));
        let terms: [f64; 4] = std::array::from_fn(|i| self.weights[i] * exp(logs[i] - logs[0]));
        let total: f64 = terms.iter().sum();
        terms.map(|term| term / total)
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

    /// The likelihoods of being alive over those of the row, part by part.
    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        let logs = self.parts.map(|part| part.ln_alive(row));
        let ratios = logs.map(|log| exp(log - logs[0]));
        let alive = logs[0] + ln(super::weighted(&self.weights, &ratios));
        if row.age == row.recency {
            return 0.0;
        }
        (alive - crate::Formulas::log_lik(self, row)).min(0.0)
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

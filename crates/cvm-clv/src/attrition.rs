//! A living customer who buys at a random rate and leaves at a random moment: every forecast.
//!
//! The rate is `λ ~ Gamma(R, A)`, the remaining lifetime has a [`Law`]; both are independent. All
//! quantities are integrals of positive functions
//!
//! ```text
//! I(H) = ∫_0^H (1 + u/A)^−p · M(u)^−k · e^{gu} du,    S(u) = M(u)^−s
//! ```
//!
//! | quantity                                 | front     | p   | k   | g    |
//! |------------------------------------------|-----------|-----|-----|------|
//! | left within `H`, silent before           | `f(0)`    | R   | s+1 | b    |
//! | at least one purchase within `H`         | `R/A`     | R+1 | s   | 0    |
//! | discounted time alive within `H`         | 1         | 0   | s   | −δ   |
//!
//! and nothing is subtracted, so nothing cancels: no 2F1, no pole at `s = 1`.

mod counts;
mod law;
mod moments;
mod nodes;
mod panels;
mod starts;
mod tables;

pub(crate) use law::Law;
pub(crate) use moments::{Attrited, draw_row};
pub(crate) use nodes::Nodes;
pub(crate) use starts::{Start, starts, totals};
pub use tables::AttritionLikelihood;

use cvm_math::{exp, ln, log1p, softplus};
use panels::Integrand;

/// Silence more probable than this is taken from its complement.
const LIKELY: f64 = 0.7;

/// What is known of a customer alive at a moment: the law of the rate and of the remaining lifetime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buyer {
    /// Shape `R` of the purchase rate.
    pub(crate) shape: f64,
    /// Its scale `A`, in periods.
    pub(crate) scale: f64,
    /// Remaining lifetime.
    pub(crate) law: Law,
}

impl Buyer {
    /// Logarithm of the probability of no purchase in `H` periods *and* being alive after them.
    pub(crate) fn ln_silent_and_alive(&self, periods: f64) -> f64 {
        -self.shape * log1p(periods / self.scale) - self.law.shape * self.law.ln_growth(periods)
    }

    /// The density of leaving at once, per unit of the integrand.
    pub(crate) fn leaving_front(&self, integrand: &Integrand) -> f64 {
        self.law.shape * (integrand.unit() / self.law.scale)
    }

    /// Probability of leaving within `periods` without a purchase before.
    pub(crate) fn left_silently(&self, periods: f64) -> f64 {
        let integrand = self.leaving();
        self.leaving_front(&integrand) * integrand.total(periods)
    }

    /// Probability of a purchase within `periods`.
    pub(crate) fn at_least_once(&self, periods: f64) -> f64 {
        let integrand = Integrand {
            scale: self.scale,
            power: self.shape + 1.0,
            law: self.law,
            law_power: self.law.shape,
            rate: 0.0,
        };
        let front = self.shape * (integrand.unit() / self.scale);
        (front * integrand.total(periods)).min(1.0)
    }

    /// Logarithm of the probability of no purchase within `periods`.
    pub(crate) fn ln_silent(&self, periods: f64) -> f64 {
        if periods == 0.0 {
            return 0.0;
        }
        let silent = exp(self.ln_silent_and_alive(periods)) + self.left_silently(periods);
        if silent > LIKELY {
            log1p(-self.at_least_once(periods))
        } else {
            ln(silent)
        }
    }

    /// Logarithm of the probability of still being alive after `periods` of silence.
    pub(crate) fn ln_alive_after_silence(&self, periods: f64) -> f64 {
        let left = self.left_silently(periods);
        if left == 0.0 {
            return 0.0;
        }
        -softplus(ln(left) - self.ln_silent_and_alive(periods))
    }

    /// Probability of still being alive after `periods` of silence.
    pub(crate) fn alive_after_silence(&self, periods: f64) -> f64 {
        let left = self.left_silently(periods);
        let stayed = exp(self.ln_silent_and_alive(periods));
        if stayed == 0.0 {
            return exp(self.ln_alive_after_silence(periods));
        }
        1.0 / (1.0 + left / stayed)
    }

    /// Time alive within `periods`, discounted at `delta`.
    pub(crate) fn time_alive(&self, periods: f64, delta: f64) -> f64 {
        if delta == 0.0
            && let Some(closed) = self.law.time_alive(periods)
        {
            return closed;
        }
        let integrand = Integrand {
            scale: f64::INFINITY,
            power: 0.0,
            law: self.law,
            law_power: self.law.shape,
            rate: -delta,
        };
        integrand.unit() * integrand.total(periods)
    }

    /// Purchases expected within `periods`, discounted at `delta`: a living customer buys at the
    /// rate `R/A` in the mean, whatever the time, as nothing is learned from the future.
    pub(crate) fn purchases(&self, periods: f64, delta: f64) -> f64 {
        self.shape / self.scale * self.time_alive(periods, delta)
    }
}

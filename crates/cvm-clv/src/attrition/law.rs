//! How long a customer stays: exponential or Gompertz lifetimes whose hazard varies as a gamma.
//!
//! ```text
//! Pareto (growth b = 0)    S(u) = (1 + u/c)^−s
//! gamma/Gompertz (b > 0)   S(u) = (1 + (e^{bu} − 1)/(bc))^−s,      bc = β of the paper
//! ```
//!
//! Alive at `t`, the remaining lifetime has the same law with another scale, `c + t` or
//! `c·e^{−bt} + (1 − e^{−bt})/b`. As `b → 0` the second law becomes the first.
//!
//! Source: Schmittlein, Morrison & Colombo (1987); Bemmaor & Glady (2012), *Management Science*
//! 58(5), eq. 5.

use cvm_math::{exp, expm1, ln, log1p, slice, softplus};

/// Law of a lifetime.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Law {
    /// `s`.
    pub(crate) shape: f64,
    /// `c`, in periods.
    pub(crate) scale: f64,
    /// `b`, per period; 0 for the Pareto law.
    pub(crate) growth: f64,
}

impl Law {
    /// The law of what remains, given alive at `t`.
    pub(crate) fn aged(&self, t: f64) -> Self {
        let scale = if self.growth == 0.0 {
            self.scale + t
        } else {
            let kept = exp(-self.growth * t);
            self.scale * kept - expm1(-self.growth * t) / self.growth
        };
        Law { scale, ..*self }
    }

    /// `ln M(u)`, so that `S(u) = M(u)^−s`; zero or greater.
    pub(crate) fn ln_growth(&self, u: f64) -> f64 {
        if self.growth == 0.0 {
            return log1p(u / self.scale);
        }
        let grown = expm1(self.growth * u) / (self.growth * self.scale);
        if grown.is_finite() {
            log1p(grown)
        } else {
            self.ln_growth_far(u)
        }
    }

    /// [`Law::ln_growth`] of many.
    pub(crate) fn ln_growths(&self, u: &mut [f64]) {
        if self.growth == 0.0 {
            for slot in &mut *u {
                *slot /= self.scale;
            }
            slice::log1p_in_place(u);
            return;
        }
        for slot in u {
            *slot = self.ln_growth(*slot);
        }
    }

    /// The same where `e^{bu}` overflows: `M = e^{bu}·(e^{−bu} + (1 − e^{−bu})/β)`.
    pub(crate) fn ln_growth_far(&self, u: f64) -> f64 {
        let faded = -expm1(-self.growth * u);
        let beta = self.growth * self.scale;
        self.growth * u + ln((1.0 - faded) * beta + faded) - ln(beta)
    }

    /// Probability of staying longer than `u`.
    pub(crate) fn survival(&self, u: f64) -> f64 {
        exp(-self.shape * self.ln_growth(u))
    }

    /// The `u` at which the density is largest; 0 where it falls from the start.
    pub(crate) fn mode(&self) -> f64 {
        let odds = (self.growth * self.scale - 1.0) / self.shape;
        if odds > 1.0 {
            ln(odds) / self.growth
        } else {
            0.0
        }
    }

    /// Beyond this the law is exponential with rate `s·b` to the last bit; infinite for the Pareto.
    pub(crate) fn exponential_from(&self) -> f64 {
        /// `e^{−45}` is 3e-20.
        const FORGOTTEN: f64 = 45.0;
        if self.growth == 0.0 {
            return f64::INFINITY;
        }
        let beta = self.growth * self.scale;
        (FORGOTTEN + ln(beta.max(1.0 / beta))) / self.growth
    }

    /// `∫_0^t S(u) du` where it has a closed form: the Pareto law, and a lifetime without a mean.
    pub(crate) fn time_alive(&self, t: f64) -> Option<f64> {
        if self.growth > 0.0 {
            return None;
        }
        let rest = 1.0 - self.shape;
        if t == f64::INFINITY {
            return Some(if rest < 0.0 {
                self.scale / -rest
            } else {
                f64::INFINITY
            });
        }
        let log = log1p(t / self.scale);
        Some(if rest == 0.0 {
            self.scale * log
        } else {
            self.scale * expm1(rest * log) / rest
        })
    }
}

impl Law {
    /// The lifetime at which `M − 1` is `e^log_odds`.
    pub(crate) fn at_log_odds(&self, log_odds: f64) -> f64 {
        if self.growth == 0.0 {
            return self.scale * exp(log_odds);
        }
        // e^{bu} = 1 + β·odds.
        softplus(log_odds + ln(self.growth * self.scale)) / self.growth
    }
}

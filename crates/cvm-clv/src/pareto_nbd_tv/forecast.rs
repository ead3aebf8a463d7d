//! Forecasts along the rest of a path, given alive at `T`: sums over stretches of constant covariates.
//!
//! With `P_T`, `D_T` the clocks at `T`, and stretch `k` starting at `τ_k` after `T` where they have moved on
//! by `ΔP_k`, `ΔD_k`, a living customer's mean rate is `R·A_k/(α+P_T)`, as nothing is learned from the future,
//! and the rest of the lifetime is Pareto with scale `(β+D_T+ΔD_k)/C_k`:
//!
//! ```text
//! E[X(t)] = Σ_k ((β+D_T)/(β+D_T+ΔD_k))^s · R A_k/(α+P_T) · ∫_0^{l_k} S_k(u) du
//! ```

use super::{ParetoNbdTv, TimedRow};
use crate::attrition::{Buyer, Law};
use cvm_math::{exp, ln, log1p};

/// A stretch of the future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Time from `T` to its start.
    pub(super) start: f64,
    pub(super) length: f64,
    /// Purchases per period expected of a living customer.
    rate: f64,
    /// Speed `A` of the purchase clock.
    pub(super) speed: f64,
    /// What the purchase clock has moved on by at its start.
    pub(super) passed: f64,
    /// Logarithm of the probability of being alive at its start.
    pub(super) ln_alive: f64,
    /// A customer who has been silent up to its start, and is alive.
    pub(super) buyer: Buyer,
}

/// The future of one customer.
#[derive(Debug, Clone)]
pub(super) struct Ahead {
    pub(super) stretches: Vec<Stretch>,
    /// `R`.
    pub(super) shape: f64,
    /// `α + P_T`.
    pub(super) scale: f64,
}

impl ParetoNbdTv {
    /// The `t` periods after `T`; `t` may be infinite.
    pub(super) fn ahead(&self, row: &TimedRow, t: f64) -> Option<Ahead> {
        if !self.fits(row.path_widths()) {
            return None;
        }
        let [r, alpha, s, beta] = self.params;
        let mut clocks = self.clocks_at_last(row);
        for piece in row.pieces_after() {
            self.advance(&mut clocks, &piece);
        }
        let mut ahead = Ahead {
            stretches: Vec::new(),
            shape: r + row.frequency,
            scale: alpha + clocks.purchase,
        };
        let left = beta + clocks.dropout;
        let (mut passed, mut aged) = (0.0, 0.0);
        for piece in row.pieces_ahead(t) {
            let speeds = self.speeds(&piece);
            let law = Law {
                shape: s,
                scale: (left + aged) / speeds.dropout,
                growth: 0.0,
            };
            ahead.stretches.push(Stretch {
                start: piece.start,
                length: piece.length,
                rate: ahead.shape * speeds.purchase / ahead.scale,
                speed: speeds.purchase,
                passed,
                ln_alive: -s * log1p(aged / left),
                buyer: Buyer {
                    shape: ahead.shape,
                    scale: (ahead.scale + passed) / speeds.purchase,
                    law,
                },
            });
            passed += speeds.purchase * piece.length;
            aged += speeds.dropout * piece.length;
        }
        Some(ahead)
    }

    /// Purchases expected in `(T, T + t]`, given alive at `T`.
    #[must_use]
    pub fn purchases(&self, row: &TimedRow, t: f64) -> f64 {
        self.discounted(row, t, 0.0)
    }

    /// Purchases expected of a customer who may have lapsed.
    #[must_use]
    pub fn expected_purchases(&self, row: &TimedRow, t: f64) -> f64 {
        self.p_alive(row) * self.purchases(row, t)
    }

    /// Purchases expected in `(T, T + t]`, each discounted to `T` at the continuous rate `delta ≥ 0`,
    /// given alive at `T`.
    #[must_use]
    pub fn discounted(&self, row: &TimedRow, t: f64, delta: f64) -> f64 {
        self.ahead(row, t)
            .map_or(f64::NAN, |ahead| ahead.time_alive(delta, |one| one.rate))
    }

    /// Periods alive in `(T, T + t]`, discounted at `delta ≥ 0`, given alive at `T`.
    #[must_use]
    pub fn lifetime(&self, row: &TimedRow, t: f64, delta: f64) -> f64 {
        self.ahead(row, t)
            .map_or(f64::NAN, |ahead| ahead.time_alive(delta, |_| 1.0))
    }

    /// Probability of being alive at `T + t`, given alive at `T`.
    #[must_use]
    pub fn p_alive_ahead(&self, row: &TimedRow, t: f64) -> f64 {
        let Some(ahead) = self.ahead(row, t) else {
            return f64::NAN;
        };
        ahead.stretches.last().map_or(1.0, |last| {
            exp(last.ln_alive) * last.buyer.law.survival(last.length)
        })
    }

    /// The `t` with `P(X(t) ≥ 1) = p` given alive at `T`, for `0 < p < 1`, if that is reached within
    /// `known` periods; NaN where it is not, `inf` where it never is.
    #[must_use]
    pub fn next_purchase(&self, row: &TimedRow, p: f64, known: f64) -> f64 {
        let Some(ahead) = self.ahead(row, known) else {
            return f64::NAN;
        };
        let mut bought = 0.0;
        for stretch in &ahead.stretches {
            let silent = ahead.silent_and_alive(stretch);
            let more = silent * stretch.buyer.at_least_once(stretch.length);
            if bought + more >= p {
                let within = stretch.buyer.next_purchase((p - bought) / silent);
                return stretch.start + within.min(stretch.length);
            }
            bought += more;
        }
        if known == f64::INFINITY {
            f64::INFINITY
        } else {
            f64::NAN
        }
    }
}

impl Ahead {
    /// Time alive, discounted and weighted.
    fn time_alive(&self, delta: f64, weight: impl Fn(&Stretch) -> f64) -> f64 {
        let of = |one: &Stretch| {
            let reached = exp(one.ln_alive - delta * one.start);
            if reached == 0.0 {
                return 0.0;
            }
            reached * weight(one) * one.buyer.time_alive(one.length, delta)
        };
        self.stretches.iter().map(of).sum()
    }

    /// Probability of no purchase before a stretch and being alive at its start.
    fn silent_and_alive(&self, stretch: &Stretch) -> f64 {
        exp(stretch.ln_alive - self.shape * log1p(stretch.passed / self.scale))
    }

    /// Probability of a purchase.
    pub(super) fn at_least_once(&self) -> f64 {
        let of = |one: &Stretch| self.silent_and_alive(one) * one.buyer.at_least_once(one.length);
        self.stretches.iter().map(of).sum::<f64>().min(1.0)
    }

    /// Logarithm of the probability of no purchase.
    pub(super) fn ln_silent(&self) -> f64 {
        /// Silence more probable than this is taken from its complement.
        const LIKELY: f64 = 0.7;
        let left = |one: &Stretch| self.silent_and_alive(one) * one.buyer.left_silently(one.length);
        let stayed = self.stretches.last().map_or(1.0, |last| {
            self.silent_and_alive(last) * exp(last.buyer.ln_silent_and_alive(last.length))
        });
        let silent = stayed + self.stretches.iter().map(left).sum::<f64>();
        if silent > LIKELY {
            log1p(-self.at_least_once())
        } else {
            ln(silent)
        }
    }
}

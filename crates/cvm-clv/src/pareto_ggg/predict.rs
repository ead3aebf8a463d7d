//! Forecasts of the Pareto/GGG: means over the regularity `k` of a living customer, whose remaining
//! lifetime has the Pareto law of shape `s` and scale `β + T` whatever their purchases.
//!
//! As `k → 0` purchases come in ever larger clumps, `E[X | k] ~ 1/k`: for a new customer the mean is
//! infinite unless `t > 1`. P(X = n) is a difference of tails, or where that would cancel a mean over
//! the time of the `n`-th purchase of the chance that no other follows.

use super::gap::{Fate, Gap};
use super::rhythm::Rhythm;
use super::{ParetoGgg, ln_sum};
use crate::attrition::{Buyer, Law};
use crate::cnbd::Steady;
use crate::purchase::{PurchaseFormulas, first_reaching, ln_one_minus_exp};
use crate::rfm::Rfm;
use cvm_core::{RowCode, RowStatus};
use cvm_math::{exp, ln, log1p, sigmoid, softplus};

/// Nearer than this in their logarithms, the difference of two tails would cancel.
const APART: f64 = -0.05;
/// Discounting by more than `e^{−40}` forgets the horizon.
const FORGOTTEN: f64 = 40.0;

impl ParetoGgg {
    /// Purchases expected in `(T, T + t]` of a customer who may have lapsed.
    #[must_use]
    pub fn expected_purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.p_alive(row) * self.purchases(row, t)
    }

    /// `ln` of the odds of being alive at `T`.
    fn ln_alive_odds(&self, row: &Rfm) -> f64 {
        let silence = row.age - row.recency;
        if silence == 0.0 {
            return f64::INFINITY;
        }
        let [silent, left] = self.ln_parts(row);
        // Silent customers stay, or leave in silence.
        let stays = -self.s * log1p(silence / (self.beta + row.recency));
        let alive = silent + stays;
        alive - cvm_math::log_add_exp(left, silent + ln_one_minus_exp(stays))
    }

    /// The law of the remaining lifetime.
    fn law(&self, row: &Rfm) -> Law {
        Law {
            shape: self.s,
            scale: self.beta + row.age,
            growth: 0.0,
        }
    }

    /// The customer at one regularity.
    fn steady(&self, row: &Rfm, k: f64, gap: &Gap<'_>) -> Steady {
        Steady::new(
            k,
            (self.r + k * row.frequency, self.alpha / k + row.recency),
            (row.age - row.recency, gap.ln_silent()),
            (self.s, self.beta + row.age),
        )
    }

    /// A horizon as good as infinite for counts.
    fn for_ever(&self, row: &Rfm) -> f64 {
        const FARTHEST: f64 = 1e280;
        let fades = 60.0 / (self.r + self.s);
        ((self.alpha + self.beta + row.age) * exp(fades.min(600.0))).min(FARTHEST)
    }

    /// Whether clumps make the mean number of purchases infinite.
    fn is_clumped(&self, row: &Rfm) -> bool {
        row.age == 0.0 && self.t <= 1.0
    }

    /// `ln` of the chance that a customer of regularity `k` who makes the `n`-th purchase from now at `s`
    /// makes none in the `left` periods after it.
    fn ln_none_after(&self, row: &Rfm, (k, n): (f64, f64), s: f64, left: f64) -> f64 {
        let then = ParetoGgg {
            r: self.r + k * (row.frequency + n),
            alpha: self.alpha + k * (row.age + s),
            beta: self.beta + row.age + s,
            ..self.clone()
        };
        let silent = Rfm {
            age: left,
            ..Rfm::PLACEHOLDER
        };
        Gap::new(&then, &silent, k).ln_quiet()
    }

    /// The living customer's regularities, with `ln` of their weights.
    pub(super) fn living(&self, row: &Rfm) -> Vec<(f64, Steady)> {
        let rhythm = Rhythm::new(self, row);
        let beats = rhythm.beats(Fate::Silent).into_iter();
        beats
            .map(|beat| {
                let gap = rhythm.gap(beat.k);
                (beat.log + gap.ln_silent(), self.steady(row, beat.k, &gap))
            })
            .collect()
    }

    /// Mean over `k` of purchases up to `t`, discounted at `delta`.
    fn mean_purchases(
        &self,
        row: &Rfm,
        (t, delta): (f64, f64),
        forecast: impl Fn(&Steady) -> f64,
    ) -> f64 {
        /// From here on the smallest `k` are nothing.
        const MODERATE: f64 = 2.0;
        if row.age == 0.0 && self.t < MODERATE {
            return self.of_new(t, delta, forecast);
        }
        self.mean(row, forecast)
    }

    /// Mean over `k` of a forecast, wherever that comes from: within a short time only who is far less
    /// regular than usual buys.
    fn mean(&self, row: &Rfm, forecast: impl Fn(&Steady) -> f64) -> f64 {
        exp(self.ln_mean(row, f64::INFINITY, |steady| ln(forecast(steady))))
    }

    /// `ln` of the mean over `k` of what is given by its logarithm and has `ln_most` at the most,
    /// however far from the usual `k` it comes from.
    fn ln_mean(&self, row: &Rfm, ln_most: f64, ln_forecast: impl Fn(&Steady) -> f64) -> f64 {
        let rhythm = Rhythm::new(self, row);
        let factor = |k: f64| {
            let gap = rhythm.gap(k);
            gap.ln_silent() + ln_forecast(&self.steady(row, k, &gap))
        };
        let beats = rhythm.beats_of(ln_most, factor);
        let logs: Vec<f64> = beats.iter().map(|beat| beat.log + factor(beat.k)).collect();
        ln_sum(&logs) - ln_weight(&self.living(row))
    }

    /// The same of a probability.
    fn ln_chance(&self, row: &Rfm, ln_probability: impl Fn(&Steady) -> f64) -> f64 {
        self.ln_mean(row, 0.0, ln_probability).min(0.0)
    }
}

/// `ln` of the weight of all regularities together.
pub(super) fn ln_weight(living: &[(f64, Steady)]) -> f64 {
    ln_sum(&living.iter().map(|(log, _)| *log).collect::<Vec<f64>>())
}

impl PurchaseFormulas for ParetoGgg {
    const REGULAR: bool = true;
    const RHYTHMIC: bool = true;
    const PROBED_ONE_IN: usize = 10;

    /// The gaps' logarithms can sum to no more than those of equal gaps.
    fn check(row: &Rfm) -> Result<(), RowStatus> {
        /// Rounding of a sum of logarithms.
        const ROUNDING: f64 = 1e-6;
        if row.frequency == 0.0 {
            return Ok(());
        }
        let most = row.frequency * ln(row.recency / row.frequency);
        if row.log_gap_sum > most + ROUNDING * (most.abs() + row.frequency) {
            return Err(RowStatus::bad(
                RowCode::Inconsistent,
                crate::rfm::LOG_GAP_SUM,
            ));
        }
        Ok(())
    }

    fn scale_periods(&self) -> f64 {
        self.alpha
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        sigmoid(self.ln_alive_odds(row))
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        -softplus(-self.ln_alive_odds(row))
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        self.law(row).survival(t)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.discounted(row, t, 0.0)
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            if t == 0.0 {
                return 0.0;
            }
            let t = t.min(self.for_ever(row));
            return self.ln_chance(row, |steady| steady.ln_none(t));
        }
        let (reached, beyond) = (self.ln_tail(row, t, n), self.ln_tail(row, t, n + 1.0));
        if reached == f64::NEG_INFINITY {
            return reached;
        }
        let gap = (beyond - reached).min(0.0);
        if gap < APART {
            return reached + ln_one_minus_exp(gap);
        }
        let t = t.min(self.for_ever(row));
        self.ln_chance(row, |steady| {
            let none_after = |s: f64, left: f64| self.ln_none_after(row, (steady.k(), n), s, left);
            steady.ln_exactly(t, n, none_after)
        })
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            return 0.0;
        }
        if t == 0.0 {
            return f64::NEG_INFINITY;
        }
        let t = t.min(self.for_ever(row));
        self.ln_chance(row, |steady| steady.ln_at_least(t, n))
    }

    /// As the default, with the customer's regularities found once.
    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        let living = self.living(row);
        let total = ln_weight(&living);
        let ln_once = |t: f64| {
            let logs = living
                .iter()
                .map(|(log, steady)| log + steady.ln_at_least(t, 1.0));
            (ln_sum(&logs.collect::<Vec<f64>>()) - total).min(0.0)
        };
        first_reaching(ln_once, ln(p), self.scale_periods() + row.age)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        if t == 0.0 {
            return 0.0;
        }
        if self.is_clumped(row) {
            return f64::INFINITY;
        }
        if t == f64::INFINITY || delta * t > FORGOTTEN {
            if delta == 0.0 && self.s <= 1.0 {
                return f64::INFINITY;
            }
            return self
                .mean_purchases(row, (f64::INFINITY, delta), |steady| steady.forever(delta));
        }
        self.mean_purchases(row, (t, delta), |steady| steady.purchases(t, delta))
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        let buyer = Buyer {
            shape: 1.0,
            scale: 1.0,
            law: self.law(row),
        };
        buyer.time_alive(t, delta)
    }
}

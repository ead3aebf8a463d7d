//! Forecasts of the CNBD-k models, exact for any regularity.
//!
//! Given alive at `T`, `p ~ Beta(a, B)` with `B = b + c`, and the next purchase comes after `Y` (see
//! `renewal`); the customer stays after it with probability `B/(a+B)`. With `F(y) = P(Y ≤ y)`,
//! `z = t/(A+t)`, by parts,
//!
//! ```text
//! E[X(t)] = F(t) + B/(a+B) · ∫_0^z F(t − v(A+t)) g(v) dv
//! 1 − S(t) = a/(a+B) F(t) + B/(a+B) · ∫_0^z F(t − v(A+t)) g_leave(v) dv
//! P(X ≥ n) = E[(1−p)^{n−1}] · ∫_0^z F(t − v(A+t)) β_{k(n−1), R+k}(v) dv
//! ```
//!
//! For small whole `k` they are sums over stages instead (see `stages`). What is discounted has, with
//! `W(s)` the worth of a moment, `∫_0^y f(q) W((q + vA)/(1−v)) dq` in the place of `F(y)`; with no
//! horizon it is a mean over `λ` of `φ_1 Σ q_n φ^{n−1}`, `φ = (λ/(λ+δ))^k`, `φ_1` that of the waiting
//! gap, where the sum is a mean over `p` of `1/(1 − (1−p)φ)`.

use super::forever::{Leaving, ln_quiet};
use super::renewal::{FADED, Later, MOST_NODES, Next, Weigh, Worth, Worthy, density};
use super::{CnbdK, softplus};
use crate::dropout::purchases_forever;
use crate::incomplete_beta::{ln_incomplete_beta, ln_incomplete_beta_with};
use crate::purchase::{PurchaseFormulas, ln_one_minus_exp};
use crate::rfm::Rfm;
use crate::rising::Rising;
use cvm_math::tanh_sinh::{Extent, Point, integrals_of_one_sign, ln_integral};
use cvm_math::{exp, expm1, ln, ln_beta, log1p, sigmoid};

/// Discounting by more than `e^{−40}` forgets the horizon.
const FORGOTTEN: f64 = 40.0;

/// `S` below this is summed from what is left.
const UNLIKELY: f64 = 0.1;

impl<const AT_FIRST: bool> CnbdK<AT_FIRST> {
    /// Purchases expected in `(T, T + t]` of a customer who may have lapsed.
    #[must_use]
    pub fn expected_purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.p_alive(row) * self.purchases(row, t)
    }

    /// `B`.
    fn stay_shape(&self, row: &Rfm) -> f64 {
        self.b + Self::chances(row.frequency)
    }

    fn next(&self, row: &Rfm) -> Next {
        Next {
            k: self.k,
            shape: self.rate_shape(row),
            last: self.alpha + row.recency,
            end: self.alpha + row.age,
            silent: row.age - row.recency,
            log_silence: self.log_silence(row),
            log_beta: ln_beta(self.k, self.rate_shape(row)),
        }
    }

    /// Purchases after the next one up to `t` periods from now.
    fn later(&self, weigh: Weigh, row: &Rfm, next: &Next, t: f64) -> Later {
        let total = next.end + t;
        let stay = self.stay_shape(row) + 1.0;
        Later::new(
            weigh,
            (self.a, stay),
            (self.k, next.shape + self.k),
            (t / total, next.end / total),
        )
    }

    /// Chance that the next purchase counts: for leaving, that the customer leaves after it.
    fn first_weight(&self, weigh: Weigh, row: &Rfm) -> f64 {
        match weigh {
            Weigh::Purchases => 1.0,
            Weigh::Leaving => self.a / (self.a + self.stay_shape(row)),
        }
    }

    fn stay_chance(&self, row: &Rfm) -> f64 {
        let stay = self.stay_shape(row);
        stay / (self.a + stay)
    }

    /// Where an integral of `F` and `g` over `v = zu` lives.
    fn extent(&self, next: &Next, later: &Later, t: f64) -> Extent {
        let (z, rest) = (t / (next.end + t), next.end / (next.end + t));
        let shift = ln(z * (1.0 + later.shape / self.k)).max(next.bend(t));
        Extent {
            left: FADED / self.k + shift + 3.0,
            right: FADED + log1p(self.k),
            density: density(later.width(z, rest), shift),
            most_nodes: MOST_NODES,
        }
    }

    /// `Σ_n P(N = n) Σ_{i<n} E[(1−p)^i]`, for whole `k`.
    fn purchases_by_stages(&self, row: &Rfm, t: f64) -> Option<f64> {
        let (stay, either) = (self.stay_shape(row), self.a + self.stay_shape(row));
        let (mut kept, mut made, mut last) = (1.0, 0.0, 0.0);
        self.next(row).stages(t)?.mean(0.0, |n| {
            if n > 0.0 {
                made += kept;
                kept *= (stay + last) / (either + last);
                last = n;
            }
            made
        })
    }

    /// `Σ_n P(N = n) E[(1−p)^n]`, for whole `k`.
    fn alive_by_stages(&self, row: &Rfm, t: f64) -> Option<f64> {
        let (stay, either) = (self.stay_shape(row), self.a + self.stay_shape(row));
        let mut kept = 1.0;
        let alive = self.next(row).stages(t)?.mean(0.0, |n| {
            let own = kept;
            kept *= (stay + n) / (either + n);
            own
        })?;
        Some(alive.min(1.0))
    }

    /// Whether the integrals would take too long: at parameters that mean nothing.
    fn is_absurd(&self, row: &Rfm) -> bool {
        const MOST_STAGES: f64 = 1.5e5;
        const MOST_CHANCES: f64 = 1e7;
        let stages = self.rate_shape(row) + self.k;
        let chances = self.a + self.stay_shape(row);
        stages > MOST_STAGES || chances > MOST_CHANCES
    }

    /// Expected purchases, or the chance of leaving, by a finite `t > 0`; NaN where
    /// [`CnbdK::is_absurd`].
    fn count(&self, weigh: Weigh, row: &Rfm, t: f64) -> f64 {
        self.over_time(weigh, row, t, Worth::Discount(0.0))
    }

    /// `S(t)` where it is small, by terms that are all positive; `None` if they are too many:
    ///
    /// ```text
    /// S = P(Y>t) + B/(a+B) · [ F(t) S'(z) + ∫_0^z g_leave(v) P(y(v) < Y ≤ t) dv ]
    /// ```
    ///
    /// with `S'(z)` that of a customer who bought and stayed at `T`.
    fn small_survival(&self, row: &Rfm, t: f64) -> Option<f64> {
        let next = self.next(row);
        let later = self.later(Weigh::Leaving, row, &next, t);
        let total = next.end + t;
        let (z, rest) = (t / total, next.end / total);
        let after = self.survival_after(row, later.shape, z, rest)?;
        let (ln_z, last) = (ln(z), next.ln_later(t));
        let between = ln_integral(self.extent(&next, &later, t), |at| {
            let (ln_v, ln_rest) = (ln_z + at.ln_u, ln(rest + z * at.rest));
            let first = next.ln_later(t * at.rest);
            let gap = first + ln_one_minus_exp((last - first).min(0.0));
            gap + later.ln_density(ln_v, ln_rest) + ln_z
        });
        let stayed = exp(next.ln_by(t)) * after + exp(between);
        Some(exp(last) + self.stay_chance(row) * stayed)
    }

    /// `S'(z) = Σ_m E[p(1−p)^{m−1}] I_{1−z}(R', km)`: the `m`-th purchase, after which the customer
    /// leaves, has not come.
    fn survival_after(&self, row: &Rfm, shape: f64, z: f64, rest: f64) -> Option<f64> {
        const MOST_TERMS: u32 = 20_000;
        const CERTAIN: f64 = 1e-17;
        let stay = self.stay_shape(row) + 1.0;
        let (mut kept, mut sum) = (1.0, 0.0);
        for m in 1..=MOST_TERMS {
            let before = f64::from(m) - 1.0;
            let chances = self.a + stay + before;
            let stages = self.k * f64::from(m);
            let log_beta = ln_beta(shape, stages);
            let come = ln_incomplete_beta_with(log_beta, (stages, shape), z, rest);
            let waiting = -expm1(come);
            let reached = if waiting > 0.5 {
                waiting
            } else {
                exp(ln_incomplete_beta_with(log_beta, (shape, stages), rest, z))
            };
            sum += kept * (self.a / chances) * reached;
            kept *= (stay + before) / chances;
            if exp(come) < CERTAIN {
                return Some(sum + kept);
            }
        }
        None
    }

    /// `∫_0^t W(s) rate(s) ds` of the rate of purchases, or of leaving, `s` from now: over the time of
    /// the next purchase within, over `v` without.
    fn over_time(&self, weigh: Weigh, row: &Rfm, t: f64, worth: Worth) -> f64 {
        if self.is_absurd(row) {
            return f64::NAN;
        }
        let next = self.next(row);
        let later = self.later(weigh, row, &next, t);
        let worthy = Worthy::new(&next, worth, t);
        let (z, rest) = (t / (next.end + t), next.end / (next.end + t));
        let ln_z = ln(z);
        let rest_of = ln_integral(self.extent(&next, &later, t), |at| {
            let (v, one_minus_v) = (z * at.u, rest + z * at.rest);
            let (ln_v, ln_rest) = (ln_z + at.ln_u, ln(one_minus_v));
            let first = worthy.ln_up_to(t * at.rest, (v, one_minus_v));
            first + later.ln_density(ln_v, ln_rest) + ln_z
        });
        let first = worthy.ln_up_to(t, (0.0, 1.0));
        self.first_weight(weigh, row) * exp(first) + self.stay_chance(row) * exp(rest_of)
    }

    /// `ln ∫_0^1` over the time of the next purchase and the `m`-th after it, see the module.
    fn ln_reached(&self, next: &Next, t: f64, m: f64) -> f64 {
        let (stages, shape) = (self.k * m, next.shape + self.k);
        let total = next.end + t;
        let (z, rest) = (t / total, next.end / total);
        let ln_z = ln(z);
        let constant = stages * ln_z - ln_beta(stages, shape);
        let worthy = Worthy::new(next, Worth::Discount(0.0), t);
        ln_integral(self.reach(next, t, stages, 1.0), |at| {
            let ln_rest = ln(rest + z * at.rest);
            worthy.ln_up_to(t * at.rest, (0.0, 1.0))
                + (stages - 1.0) * at.ln_u
                + (shape - 1.0) * ln_rest
                + constant
        })
    }

    /// `ln P(N ≥ n)` of one who never leaves, `n ≥ 1`.
    fn ln_at_least(&self, row: &Rfm, next: &Next, t: f64, n: f64) -> f64 {
        if n == 1.0 {
            return next.ln_by(t);
        }
        if let Some((_, above)) = next.stages(t).and_then(|stages| stages.at_and_above(n)) {
            return ln(above).min(0.0);
        }
        if self.is_absurd(row) {
            return f64::NAN;
        }
        self.ln_reached(next, t, n - 1.0).min(0.0)
    }

    /// `ln P(N = n)` and `ln P(N ≥ n)` of one who never leaves, `n ≥ 1`.
    fn ln_counts(&self, row: &Rfm, next: &Next, t: f64, n: f64) -> (f64, f64) {
        /// Nearer than this, the difference would cancel.
        const APART: f64 = -0.05;
        if let Some((at, above)) = next.stages(t).and_then(|stages| stages.at_and_above(n)) {
            return (ln(at), ln(above).min(0.0));
        }
        let reached = self.ln_at_least(row, next, t, n);
        let gap = self.ln_at_least(row, next, t, n + 1.0) - reached;
        let exactly = if gap > APART {
            self.ln_exactly(next, t, n)
        } else {
            reached + ln_one_minus_exp(gap)
        };
        (exactly, reached)
    }

    /// Where an integral over `v = zu` of a beta density of `stages` and the next purchase lives.
    fn reach(&self, next: &Next, t: f64, stages: f64, right: f64) -> Extent {
        let shape = next.shape + self.k;
        let z = t / (next.end + t);
        let shift = ln(z * (1.0 + shape / stages)).max(0.0);
        let near = ln(t * next.shape / next.end).max(0.0);
        let width = (1.0 / stages + 1.0 / shape).sqrt().min(next.width());
        Extent {
            left: FADED / stages + shift + 12.0 * width + 3.0,
            right: FADED / right + near + log1p(stages) + 3.0,
            density: density(width, shift.max(near).max(next.bend(t))),
            most_nodes: MOST_NODES,
        }
    }

    /// `ln P(n purchases in (T, T+t] by one who never leaves)`, `n ≥ 1`.
    fn ln_exactly(&self, next: &Next, t: f64, n: f64) -> f64 {
        let shape = next.shape + self.k;
        let total = next.end + t;
        let (z, rest) = (t / total, next.end / total);
        let (few, many) = (self.k * (n - 1.0), self.k * n);
        let ln_t = ln(t);
        let log_many = ln_beta(many, shape);
        let log_few = if few > 0.0 { ln_beta(few, shape) } else { 0.0 };
        let extent = Extent {
            left: FADED + self.reach(next, t, few.max(self.k), 1.0).left,
            ..self.reach(next, t, few.max(self.k), self.k.min(1.0))
        };
        ln_integral(extent, |at: &Point| {
            let (v, stay) = (z * at.u, rest + z * at.rest);
            let count = ln_between((few, log_few), (many, log_many), shape, v, stay);
            next.ln_density_of(t * at.rest, ln_t + at.ln_rest) + count + ln_t
        })
    }

    /// Means over `λ` of a living customer, for ever at rate `δ`: discounted purchases and periods.
    fn forever(&self, row: &Rfm, delta: f64) -> (f64, f64) {
        /// Steps so dense that the first two sums agree, and not by chance: per width of the rate's law
        /// with `k` stages more, and in all.
        const PER_WIDTH: f64 = 3.0;
        const LEAST: f64 = 8.0;
        if self.is_absurd(row) {
            return (f64::NAN, f64::NAN);
        }
        let next = self.next(row);
        let (stay, shape) = (self.stay_shape(row), next.shape);
        let centre = (shape + 1.0) / next.end;
        // Heavy discounting asks for the rates at which `k` stages come soon.
        let stages = shape + self.k;
        let most = (stages + 12.0 * stages.sqrt() + 60.0) / (next.end * centre);
        let extent = Extent {
            left: FADED / shape + 4.0 / shape.sqrt().min(1.0),
            right: ln(most) + 1.0,
            density: (PER_WIDTH * stages.sqrt()).max(LEAST),
            most_nodes: MOST_NODES,
        };
        let silent = next.silent;
        let gap_of = |rate: f64| -self.k * log1p(delta / rate);
        let leaving = Leaving::new(self.a, stay, -expm1(gap_of(centre * most)));
        let is_slow = next.is_slow(delta);
        let moments = integrals_of_one_sign(extent, |at| {
            let rate = centre * at.u / at.rest;
            let ln_rate = ln(centre) + at.ln_u - at.ln_rest;
            let quiet = ln_quiet(self.k, rate * silent);
            let mass = shape * ln_rate - next.last * rate + quiet - at.ln_u - at.ln_rest;
            let log_gap = gap_of(rate);
            let wait = ln_quiet(self.k, (rate + delta) * silent) - quiet;
            let log_first = log_gap + (delta * silent + wait);
            let (first, gap, lost) = (exp(log_first), exp(log_gap), -expm1(log_gap));
            let [series, stayed] = leaving.means(gap, lost);
            let purchases = first * series;
            let waited = is_slow.then(|| next.waited(rate, delta, quiet)).flatten();
            let waited = waited.unwrap_or_else(|| -expm1(log_first));
            let periods = (waited + first * lost * stayed) / delta;
            (mass, [1.0, purchases, periods])
        });
        let [total, purchases, periods] = moments.sums;
        (purchases / total, periods / total)
    }

    /// Mean time to leaving, without discount: that of the next purchase, and `k/λ` for each of the
    /// `E[1/p] − 1` after it.
    fn mean_lifetime(&self, row: &Rfm) -> f64 {
        let next = self.next(row);
        if self.a <= 1.0 || next.shape <= 1.0 {
            return f64::INFINITY;
        }
        let (w, rest) = (next.last / next.end, next.silent / next.end);
        let silence = |shape: f64, k: f64| {
            if rest == 0.0 {
                return 1.0;
            }
            exp(ln_incomplete_beta(shape, k, w, rest) - next.log_silence)
        };
        let gap = self.k * next.last / (next.shape - 1.0);
        let wait = gap * silence(next.shape - 1.0, self.k + 1.0) - next.silent;
        let more = self.stay_shape(row) / (self.a - 1.0);
        wait + more * gap * silence(next.shape - 1.0, self.k)
    }
}

/// `ln(I_v(few, shape) − I_v(many, shape))`, each with its `ln B`; `few` may be 0.
fn ln_between(
    (few, log_few): (f64, f64),
    (many, log_many): (f64, f64),
    shape: f64,
    v: f64,
    rest: f64,
) -> f64 {
    if v == 0.0 {
        return if few == 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    let above =
        |stages: f64, log_beta: f64| ln_incomplete_beta_with(log_beta, (shape, stages), rest, v);
    let below =
        |stages: f64, log_beta: f64| ln_incomplete_beta_with(log_beta, (stages, shape), v, rest);
    if few == 0.0 {
        return above(many, log_many);
    }
    let low = below(few, log_few);
    if low < -0.7 {
        return low + ln_one_minus_exp((below(many, log_many) - low).min(0.0));
    }
    let high = above(many, log_many);
    high + ln_one_minus_exp((above(few, log_few) - high).min(0.0))
}

impl<const AT_FIRST: bool> PurchaseFormulas for CnbdK<AT_FIRST> {
    const REGULAR: bool = true;
    const PROBED_ONE_IN: usize = 4;

    fn scale_periods(&self) -> f64 {
        self.alpha * self.k
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        if Self::chances(row.frequency) == 0.0 {
            return 1.0;
        }
        sigmoid(self.log_silence(row) - self.log_leave_odds(row))
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        if Self::chances(row.frequency) == 0.0 {
            return 0.0;
        }
        -softplus(self.log_leave_odds(row) - self.log_silence(row))
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        if t == 0.0 {
            return 1.0;
        }
        if self.alpha + row.age + t == f64::INFINITY {
            return 0.0;
        }
        if let Some(alive) = self.alive_by_stages(row, t) {
            return alive;
        }
        let direct = 1.0 - self.count(Weigh::Leaving, row, t);
        if direct > UNLIKELY || direct.is_nan() {
            return direct.min(1.0);
        }
        self.small_survival(row, t)
            .unwrap_or(direct)
            .clamp(0.0, 1.0)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        if t == 0.0 {
            return 0.0;
        }
        if self.alpha + row.age + t == f64::INFINITY {
            return purchases_forever(self.a, self.stay_shape(row));
        }
        self.purchases_by_stages(row, t)
            .unwrap_or_else(|| self.count(Weigh::Purchases, row, t))
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        let next = self.next(row);
        let stay = self.stay_shape(row);
        let forever = next.end + t == f64::INFINITY;
        if n == 0.0 {
            return if forever {
                f64::NEG_INFINITY
            } else {
                next.ln_later(t)
            };
        }
        if t == 0.0 {
            return f64::NEG_INFINITY;
        }
        let kept = Rising::new(stay, n - 1.0).log - Rising::new(self.a + stay, n - 1.0).log;
        let chances = self.a + stay + (n - 1.0);
        let left = kept + ln(self.a / chances);
        if forever {
            return left;
        }
        if self.is_absurd(row) {
            return f64::NAN;
        }
        let still = kept + ln((stay + (n - 1.0)) / chances);
        let (exactly, reached) = self.ln_counts(row, &next, t, n);
        cvm_math::log_add_exp(left + reached, still + exactly)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            return 0.0;
        }
        let next = self.next(row);
        let stay = self.stay_shape(row);
        let kept = Rising::new(stay, n - 1.0).log - Rising::new(self.a + stay, n - 1.0).log;
        if next.end + t == f64::INFINITY {
            return kept;
        }
        if t == 0.0 {
            return f64::NEG_INFINITY;
        }
        kept + self.ln_at_least(row, &next, t, n)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        if t == 0.0 {
            return 0.0;
        }
        if delta * t > FORGOTTEN {
            return self.forever(row, delta).0;
        }
        self.over_time(Weigh::Purchases, row, t, Worth::Discount(delta))
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        if t == 0.0 {
            return 0.0;
        }
        if delta == 0.0 && self.alpha + row.age + t == f64::INFINITY {
            return self.mean_lifetime(row);
        }
        if delta * t > FORGOTTEN {
            return self.forever(row, delta).1;
        }
        let worth = Worth::Periods(delta);
        let whole = worth.at(t) * self.p_alive_ahead(row, t);
        whole + self.over_time(Weigh::Leaving, row, t, worth)
    }
}

//! Purchases at a rhythm by a customer whose leaving does not depend on them, worth what they are
//! worth at their time: the forecasts of a Pareto/GGG of known regularity.
//!
//! With `W` the [`Worth`] of a moment, `f` the density of the next purchase and the notation of
//! [`super::renewal`],
//!
//! ```text
//! Σ_n E[W(S_n) 1{S_n ≤ t}] = ∫_0^t f W dy + ∫_0^z g(v) ∫_0^{t−v(A+t)} f(y) W((y+vA)/(1−v)) dy dv
//! ```
//!
//! One purchase of these, the `n`-th, has a density in closed form: see [`Steady::ln_exactly`].

use super::forever::ln_quiet;
use super::rates::{Place, Window, shares};
use super::renewal::{FADED, Later, MOST_NODES, Next, Weigh, Worth, Worthy, density};
use crate::incomplete_beta::{ln_incomplete_beta_above, ln_incomplete_beta_with};
use cvm_math::tanh_sinh::{Extent, Point, ln_integral};
use cvm_math::{exp, expm1, ln, ln_beta, log1p};
use std::cell::Cell;

/// A living customer of regularity `k`.
pub(crate) struct Steady {
    next: Next,
    /// Shape and scale of the remaining lifetime, a Pareto law.
    stay: (f64, f64),
}

impl Steady {
    /// `λ ~ Gamma(shape, last)` at the last purchase, `silent` periods ago, `log_silence` the
    /// logarithm of the chance of that silence; `stay` is the law of the remaining lifetime.
    pub(crate) fn new(
        k: f64,
        (shape, last): (f64, f64),
        (silent, log_silence): (f64, f64),
        stay: (f64, f64),
    ) -> Self {
        Steady {
            next: Next {
                k,
                shape,
                last,
                end: last + silent,
                silent,
                log_silence,
                log_beta: ln_beta(k, shape),
            },
            stay,
        }
    }

    pub(crate) fn k(&self) -> f64 {
        self.next.k
    }

    fn worth(&self, delta: f64) -> Worth {
        let (shape, scale) = self.stay;
        Worth::Alive {
            shape,
            scale,
            delta,
        }
    }

    /// Purchases expected within a finite `t > 0`, each discounted at `delta`.
    pub(crate) fn purchases(&self, t: f64, delta: f64) -> f64 {
        /// Below, the places of purchases leave the doubles.
        const CLUMPED: f64 = 1e-12;
        if self.next.k >= CLUMPED {
            return self.purchases_of_rhythm(t, delta);
        }
        // As `k → 0` the mean is `c/(k ln(A/t))`, with `A` of the order of `α/k`.
        let next = &self.next;
        let times = next.k / CLUMPED;
        // The chance of a silence is as `k`.
        let more_silent = if next.silent > 0.0 { ln(times) } else { 0.0 };
        let least = Steady::new(
            CLUMPED,
            (next.shape, next.last * times),
            (next.silent, next.log_silence - more_silent),
            self.stay,
        );
        let clumps = ln(least.next.end / t) / ln(next.end / t);
        least.purchases_of_rhythm(t, delta) * clumps / times
    }

    fn purchases_of_rhythm(&self, t: f64, delta: f64) -> f64 {
        let next = &self.next;
        let (z, rest) = (t / (next.end + t), next.end / (next.end + t));
        let shape = next.shape + next.k;
        let later = Later::new(Weigh::Purchases, (0.0, 1.0), (next.k, shape), (z, rest));
        let worth = self.worth(delta);
        let worthy = Worthy::new(next, worth, t);
        let falls = log1p(t * worth.delta());
        let shift = ln(z * (1.0 + shape / next.k)).max(next.bend(t)).max(falls);
        let extent = Extent {
            left: FADED / next.k + shift + 3.0,
            right: FADED + log1p(next.k),
            density: density(later.width(z, rest), shift),
            most_nodes: MOST_NODES,
        };
        let ln_z = ln(z);
        let after = ln_integral(extent, |at| {
            let (v, one_minus_v) = (z * at.u, rest + z * at.rest);
            let first = worthy.ln_up_to(t * at.rest, (v, one_minus_v));
            first + later.ln_density(ln_z + at.ln_u, ln(one_minus_v)) + ln_z
        });
        exp(worthy.ln_up_to(t, (0.0, 1.0))) + exp(after)
    }

    /// `ln P(X(t) ≥ n)`, `n ≥ 1` and `t > 0` finite.
    pub(crate) fn ln_at_least(&self, t: f64, n: f64) -> f64 {
        if n == 1.0 {
            let worthy = Worthy::new(&self.next, self.worth(0.0), t);
            return worthy.ln_up_to(t, (0.0, 1.0)).min(0.0);
        }
        self.ln_arriving(t, n, 0.0, |_, _| 0.0)
    }

    /// `ln P(X(t) = n)`, `n ≥ 1` and `t > 0` finite, given `ln` of the chance that after the `n`-th
    /// purchase, `s` from now, none is made in what is left of the horizon.
    pub(crate) fn ln_exactly(&self, t: f64, n: f64, ln_none_in: impl Fn(f64, f64) -> f64) -> f64 {
        let next = &self.next;
        let gap = next.k * (next.end + t) / (next.shape + next.k * n);
        self.ln_arriving(t, n, log1p(t / gap), ln_none_in)
    }

    /// `ln ∫_0^t f_n(s) W(s) g(s, t−s) ds` over the time of the `n`-th purchase from now, of `ln g`.
    /// With `S` the time since the last purchase, of which the first gap took the share `Y ~ Beta(k,
    /// k(n−1))` and at least the silence,
    ///
    /// ```text
    /// f_n(s) = A_0^R S^{kn−1} (A+s)^{−(R+kn)} / B(kn, R) · I_{s/S}(k(n−1), k) / P(silence)
    /// ```
    fn ln_arriving(&self, t: f64, n: f64, near_end: f64, ln_then: impl Fn(f64, f64) -> f64) -> f64 {
        /// Beside the largest, `e^−x` is nothing.
        const NOTHING: f64 = 45.0;
        let arrival = Arrival::new(self, t, n);
        let largest = Cell::new(f64::NEG_INFINITY);
        let log = |at: &Point, is_all: bool| {
            let (log, s) = (arrival.ln_bound(at), t * at.u);
            let area = at.ln_u + at.ln_rest;
            if !is_all && log + area < largest.get() - NOTHING {
                return f64::NEG_INFINITY;
            }
            let log = log + arrival.ln_share(s) + ln_then(s, t * at.rest);
            largest.set(largest.get().max(log + area));
            log
        };
        for place in arrival.usual() {
            log(&place, true);
        }
        ln_integral(self.arrivals(t, n, near_end), |at| log(at, false)).min(0.0)
    }

    /// Where that integral lives, with a feature `e^−near_end` before the horizon.
    fn arrivals(&self, t: f64, n: f64, near_end: f64) -> Extent {
        let next = &self.next;
        let stages = next.k * n;
        let (stay, scale) = self.stay;
        // The usual place is k·n/rate; of a late one soon.
        let fall = log1p(t * (next.shape / next.end + stay / scale));
        let shift = log1p(t * next.shape / (stages * next.last)).max(fall);
        let near = fall.max(near_end);
        let mut width = (1.0 / stages + 1.0 / next.shape).sqrt().min(1.0);
        if next.silent > 0.0 && n > 1.0 {
            // The step of the share.
            width = width.min((1.0 / (stages - next.k) + 1.0 / next.k).sqrt());
        }
        let power = if next.silent == 0.0 {
            stages
        } else {
            1.0 + next.k * (n - 1.0)
        };
        Extent {
            left: FADED / power + shift + 12.0 * width + 3.0,
            right: FADED + near + log1p(stages) + 3.0,
            density: density(width, shift.max(near).max(next.bend(t))),
            most_nodes: MOST_NODES,
        }
    }

    /// `ln P(X(t) = 0)`: no purchase came, or the customer left before it.
    pub(crate) fn ln_none(&self, t: f64) -> f64 {
        let next = &self.next;
        let (shape, scale) = self.stay;
        let stayed = -shape * log1p(t / scale) + next.ln_later(t);
        let law = log1p(t / scale) * (shape + 1.0);
        let near = log1p(t * next.shape / next.end).max(next.bend(t)).max(law);
        let extent = Extent {
            left: FADED + near + 3.0,
            right: FADED + near + 3.0,
            density: density(next.width(), near),
            most_nodes: MOST_NODES,
        };
        let left = ln_integral(extent, |at| {
            let u = t * at.u;
            ln(shape * t / scale) - (shape + 1.0) * log1p(u / scale) + next.ln_later(u)
        });
        cvm_math::log_add_exp(stayed, left).min(0.0)
    }

    /// Purchases expected for ever, each discounted at `delta ≥ 0`: given the rate `ρ` of a stage and
    /// that of leaving, `μ`, they are `φ_1/(1 − φ)` with `φ = (ρ/(ρ+μ+δ))^k` and `φ_1` that of the
    /// waiting gap. Infinite where nothing is discounted and the lifetime has no mean.
    pub(crate) fn forever(&self, delta: f64) -> f64 {
        /// Steps to begin with, and at most; two sums that agree to this leave the square of an error.
        const FEW: u32 = 24;
        const MOST: u32 = 300;
        const AGREE: f64 = 1e-10;
        let (shape, scale) = self.stay;
        if delta == 0.0 && shape <= 1.0 {
            return f64::INFINITY;
        }
        let leaving = |x: f64| shape * x - scale * exp(x);
        // What is earned is at most as 1/(μ + δ), and as ρ.
        let hazards = Window::new(ln(shape / scale), leaving, |x| -ln(exp(x) + delta));
        let next = &self.next;
        let centre = ln(next.shape / next.end);
        let rates = Window::new(centre, |x| self.ln_rate(x).1, |x| x);
        let (mut count, mut before) = (FEW, f64::NAN);
        loop {
            let hazards: Vec<Place> = hazards.places(count).collect();
            let mut weights: Vec<f64> = hazards
                .iter()
                .map(|at| leaving(at.x) + at.ln_slope)
                .collect();
            shares(&mut weights);
            let falls = hazards.iter().map(|at| exp(at.x) + delta);
            let hazards: Vec<(f64, f64)> = falls.zip(weights).collect();
            let made = self.made(&rates, &hazards, count);
            if (made - before).abs() <= AGREE * made || count > MOST {
                return made;
            }
            before = made;
            count += count / 2;
        }
    }

    /// `ln` of the chance that a stage of rate `e^x` left the silence, and of the density of `x`.
    fn ln_rate(&self, x: f64) -> (f64, f64) {
        let (next, rate) = (&self.next, exp(x));
        let quiet = ln_quiet(next.k, rate * next.silent);
        (quiet, next.shape * x - next.last * rate + quiet)
    }

    /// The mean over the rates of a stage.
    fn made(&self, rates: &Window, hazards: &[(f64, f64)], count: u32) -> f64 {
        /// Shares below this, were the mean `e^38`, are nothing.
        const NOTHING: f64 = 1e-33;
        let mut laws = Vec::new();
        let mut weights = Vec::new();
        for at in rates.places(count) {
            let (quiet, log) = self.ln_rate(at.x);
            laws.push((exp(at.x), quiet));
            weights.push(log + at.ln_slope);
        }
        shares(&mut weights);
        let each = laws
            .iter()
            .zip(&weights)
            .filter(|(_, share)| **share > NOTHING);
        each.map(|((rate, quiet), share)| share * self.made_at(*rate, *quiet, hazards))
            .sum()
    }

    /// The mean over the rates of leaving, given with the discount, at one rate of a stage.
    fn made_at(&self, rate: f64, quiet: f64, hazards: &[(f64, f64)]) -> f64 {
        let next = &self.next;
        let mut sum = 0.0;
        for (falls, share) in hazards {
            let log_gap = -next.k * log1p(falls / rate);
            let first = if next.silent == 0.0 {
                exp(log_gap)
            } else {
                let wait = ln_quiet(next.k, (rate + falls) * next.silent) - quiet;
                exp(log_gap + (falls * next.silent + wait))
            };
            sum += share * first / -expm1(log_gap);
        }
        sum
    }
}

/// The `n`-th purchase from now within `t`.
struct Arrival<'a> {
    next: &'a Next,
    stay: (f64, f64),
    t: f64,
    ln_t: f64,
    /// `kn` and `k(n−1)`.
    stages: f64,
    after: f64,
    /// `ln B(k(n−1), k)`, where a part of the first gap is over and others follow.
    log_beta: Option<f64>,
    constant: f64,
}

impl<'a> Arrival<'a> {
    fn new(steady: &'a Steady, t: f64, n: f64) -> Self {
        let next = &steady.next;
        let (stages, after) = (next.k * n, next.k * (n - 1.0));
        Arrival {
            next,
            stay: steady.stay,
            t,
            ln_t: ln(t),
            stages,
            after,
            log_beta: (next.silent > 0.0 && n > 1.0).then(|| ln_beta(after, next.k)),
            constant: ln(t) - ln_beta(stages, next.shape) - next.log_silence,
        }
    }

    /// `ln (t f_n(s) W(s))` at `s = tu`, without the factor that is at most 1.
    fn ln_bound(&self, at: &Point) -> f64 {
        let (next, (shape, scale)) = (self.next, self.stay);
        let s = self.t * at.u;
        let since = next.silent + s;
        let ln_since = if next.silent == 0.0 {
            self.ln_t + at.ln_u
        } else {
            ln(since)
        };
        self.constant - ln_since + self.stages * (ln_since - ln(next.end + s))
            - next.shape * log1p(since / next.last)
            - shape * log1p(s / scale)
    }

    /// `ln I_{s/S}(k(n−1), k)`.
    fn ln_share(&self, s: f64) -> f64 {
        let Some(log_beta) = self.log_beta else {
            return 0.0;
        };
        let (silent, shapes) = (self.next.silent, (self.after, self.next.k));
        let (z, rest) = (s / (silent + s), silent / (silent + s));
        // With both small there is nothing to be lost: I is near k/(after + k).
        if self.after < 1.0 {
            return ln_incomplete_beta_with(log_beta, shapes, z, rest);
        }
        ln_incomplete_beta_above(log_beta, shapes, z, rest)
    }

    /// Where the purchase usually comes, and near the end.
    fn usual(&self) -> [Point; 2] {
        let next = self.next;
        let soon = next.end / (next.shape + 1.0);
        let mode = (self.stages * next.last / (next.shape + 1.0) - next.silent).max(soon) / self.t;
        [mode.min(0.999), 0.999].map(|u| Point {
            u,
            rest: 1.0 - u,
            ln_u: ln(u),
            ln_rest: log1p(-u),
        })
    }
}

//! Purchases at a rhythm by a customer whose leaving does not depend on them, worth what they are
//! worth at their time: the forecasts of a Pareto/GGG of known regularity.
//!
//! With `W` the [`Worth`] of a moment, `f` the density of the next purchase and the notation of
//! [`super::renewal`],
//!
//! ```text
//! Σ_n E[W(S_n) 1{S_n ≤ t}] = ∫_0^t f W dy + ∫_0^z g(v) ∫_0^{t−v(A+t)} f(y) W((y+vA)/(1−v)) dy dv
//! E[W(S_n) 1{S_n ≤ t}]     = the same with the density of `v ~ Beta(k(n−1), R+k)` in the place of g
//! ```

use super::forever::ln_quiet;
use super::renewal::{FADED, Later, MOST_NODES, Next, Weigh, Worth, Worthy, density};
use cvm_math::tanh_sinh::{Extent, Point, ln_integral, rule};
use cvm_math::{exp, expm1, ln, ln_beta, log1p};

/// Steps over the width of a law of rates.
const HAZARDS: f64 = 14.0;

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
        let least = Steady::new(
            CLUMPED,
            (next.shape, next.last * times),
            (next.silent, next.log_silence),
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
        let next = &self.next;
        let worth = self.worth(0.0);
        let worthy = Worthy::new(next, worth, t);
        if n == 1.0 {
            return worthy.ln_up_to(t, (0.0, 1.0)).min(0.0);
        }
        let (stages, shape) = (next.k * (n - 1.0), next.shape + next.k);
        let (z, rest) = (t / (next.end + t), next.end / (next.end + t));
        let shift = ln(z * (1.0 + shape / stages)).max(0.0);
        let near = log1p(t * (next.shape / next.end + worth.delta()));
        let width = (1.0 / stages + 1.0 / shape).sqrt().min(next.width());
        let extent = Extent {
            left: FADED / stages + shift + 12.0 * width + 3.0,
            right: FADED + near + log1p(stages) + 3.0,
            density: density(width, shift.max(near).max(next.bend(t))),
            most_nodes: MOST_NODES,
        };
        let ln_z = ln(z);
        let constant = stages * ln_z - ln_beta(stages, shape);
        let log = ln_integral(extent, |at: &Point| {
            let (v, one_minus_v) = (z * at.u, rest + z * at.rest);
            worthy.ln_up_to(t * at.rest, (v, one_minus_v))
                + (stages - 1.0) * at.ln_u
                + (shape - 1.0) * ln(one_minus_v)
                + constant
        });
        log.min(0.0)
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
        let next = &self.next;
        if delta == 0.0 && self.stay.0 <= 1.0 {
            return f64::INFINITY;
        }
        let shape = next.shape;
        let centre = (shape + 1.0) / next.end;
        let most = (shape + 12.0 * shape.sqrt() + 60.0) / (next.end * centre);
        let rates = Extent {
            left: FADED / shape + 4.0 / shape.sqrt().min(1.0),
            right: ln(most) + 1.0,
            density: HAZARDS / (1.0 / shape.sqrt()).min(1.0),
            most_nodes: MOST_NODES,
        };
        let hazards = self.hazards(delta, centre);
        let (mut total, mut made) = (0.0, 0.0);
        let masses: Vec<(f64, f64, f64)> = rule(rates)
            .iter()
            .map(|(at, weight)| {
                let rate = centre * at.u / at.rest;
                let quiet = ln_quiet(next.k, rate * next.silent);
                let log = shape * (at.ln_u - at.ln_rest) - next.last * rate + quiet;
                (rate, quiet, log - at.ln_u - at.ln_rest + weight)
            })
            .collect();
        let most = masses
            .iter()
            .map(|mass| mass.2)
            .fold(f64::NEG_INFINITY, f64::max);
        for (rate, quiet, log) in masses {
            let weight = exp(log - most);
            total += weight;
            if weight > 1e-17 {
                made += weight * self.made_at(rate, quiet, delta, &hazards);
            }
        }
        made / total
    }

    /// The rate of leaving, and its weights: those of a gamma law of mean `a/c`.
    fn hazards(&self, delta: f64, rate: f64) -> Vec<(f64, f64)> {
        let (shape, scale) = self.stay;
        let centre = shape / scale;
        let most = 1.0 + 16.0 / shape.sqrt() + 60.0 / shape;
        // What is earned is as 1/(μ+δ) up to the rate of purchases.
        let power = if delta == 0.0 { shape - 1.0 } else { shape };
        let far = |place: f64| ln(centre / place).abs();
        let turn = far(rate).max(if delta > 0.0 { far(delta) } else { 0.0 });
        let points = rule(Extent {
            left: FADED / power + 4.0 / power.sqrt().min(1.0) + turn,
            right: ln(most) + 1.0,
            density: HAZARDS * (1.0 + 0.1 * turn) / (1.0 / shape.sqrt()).min(1.0),
            most_nodes: MOST_NODES,
        });
        let log = |(at, weight): &(Point, f64)| {
            let odds = at.u / at.rest;
            let log = shape * (at.ln_u - at.ln_rest) - shape * odds + weight;
            (centre * odds, log - at.ln_u - at.ln_rest)
        };
        let logs: Vec<(f64, f64)> = points.iter().map(log).collect();
        let most = logs
            .iter()
            .map(|(_, log)| *log)
            .fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logs.iter().map(|(_, log)| exp(log - most)).sum();
        let shares = logs
            .into_iter()
            .map(|(at, log)| (at, exp(log - most) / total));
        shares.filter(|(_, share)| *share > 0.0).collect()
    }

    /// The mean over the rates of leaving at one rate of a stage.
    fn made_at(&self, rate: f64, quiet: f64, delta: f64, hazards: &[(f64, f64)]) -> f64 {
        let next = &self.next;
        let mut sum = 0.0;
        for (hazard, share) in hazards {
            let falls = hazard + delta;
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

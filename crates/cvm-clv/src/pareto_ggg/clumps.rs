//! Purchases expected of a new customer, exact however close `t` is to 1, where the mean becomes infinite.
//!
//! As `k → 0` the stages `w = kn` of the `n`-th purchase run through all numbers: with
//! `G(w) = Γ(w+r)/(Γ(w+1) Γ(r))` and the worth `W` of a moment, `Σ_n → ∫ dn` gives
//!
//! ```text
//! k E[X | k] → C(k) = ∫_0^1 H(w) k^w dw + O(k),     H(w) = G(w) ∫_0^h W(τ) d(τ/α)^w
//! E[C(k)/k]  = ∫_0^1 H(w) γ^{1−w} Γ(t−1+w)/Γ(t) dw
//! ```
//!
//! over `k ~ Gamma(t, γ)`: the pole of that integrand at `w = 1 − t` is what grows as `t → 1`. What is
//! left is bounded, and its mean over `k` has no digits to lose in small ones: by Euler and Maclaurin,
//! and as `I_z(w, r) = G(w) (kτ/α)^w (1 − w(r+w)/(w+1) kτ/α + …)`,
//!
//! ```text
//! E[X | k] − C(k)/k = −1/2 + ∫_0^1 (1−w) (w+r)/(w+1) G(w) M(w+1) k^w dw + O(k),    M(w) = H(w)/G(w)
//! ```

use super::ParetoGgg;
use super::predict::ln_weight;
use crate::cnbd::Steady;
use crate::rfm::Rfm;
use cvm_math::tanh_sinh::{Extent, Point, rule};
use cvm_math::{exp, ln, ln_gamma, ln_rising, log1p, softplus};
use std::f64::consts::PI;

/// Steps that leave an error of `e^{−50}` in the strip of analyticity `|Im θ| < 1`.
const DENSITY: f64 = 8.0;
/// `e^{−x}` beyond this is nothing.
const FADED: f64 = 38.0;
/// Nodes of one integral at most.
const MOST_NODES: u32 = 4096;

/// `C(k)`: the clumps of purchases at small `k`.
struct Clumps {
    /// `w`; `ln H(w)` with the logarithm of the node's weight; the integrand of what is left.
    nodes: Vec<(Point, f64, f64)>,
    /// Below, what is left is its first terms.
    small: f64,
}

impl ParetoGgg {
    /// Purchases of a new customer up to `t`, each discounted at `delta`, where they have a mean.
    pub(super) fn of_new(&self, t: f64, delta: f64, at: impl Fn(&Steady) -> f64) -> f64 {
        let clumps = Clumps::new(self, t, delta);
        let living = self.living(&Rfm::NEW);
        let total = ln_weight(&living);
        let rest = |(log, steady): &(f64, Steady)| {
            let k = steady.k();
            let rest = if k < clumps.small {
                clumps.rest_at(k)
            } else {
                at(steady) - clumps.at(k)
            };
            exp(log - total) * rest
        };
        clumps.mean(self) + living.iter().map(rest).sum::<f64>()
    }
}

impl Clumps {
    fn new(model: &ParetoGgg, t: f64, delta: f64) -> Self {
        /// Square root of the error of the first terms.
        const SMALL: f64 = 1e-6;
        /// Without a horizon purchases have their digits at any `k`; of smaller ones nothing is left.
        const NOTHING: f64 = 1e-14;
        let times = times(model, t, delta);
        let pole = model.t - 1.0;
        let near = log1p(1.0 / pole);
        let far = near.max(ln(model.r.max(1.0))) / PI;
        let nodes = rule(Extent {
            left: FADED + near + 3.0,
            right: FADED,
            density: DENSITY * (1.0 + far * far).sqrt(),
            most_nodes: MOST_NODES,
        });
        let heights = nodes.into_iter().map(|(at, weight)| {
            let (w, r) = (at.u, model.r);
            let moment = |w: f64| -> f64 {
                let shares = times
                    .iter()
                    .map(|(ln_time, share)| share * exp(w * ln_time));
                shares.sum()
            };
            let front = weight + ln_rising(r, w) - ln_rising(1.0, w);
            let next = if t.is_finite() {
                at.rest * (w + r) / (w + 1.0) * moment(w + 1.0)
            } else {
                0.0
            };
            (at, front + ln(moment(w)), exp(front) * next)
        });
        let reach = t * (1.0 + model.r) / model.alpha;
        Clumps {
            nodes: heights.collect(),
            small: if t.is_finite() {
                SMALL / reach.max(1.0)
            } else {
                NOTHING
            },
        }
    }

    /// `C(k)/k`.
    fn at(&self, k: f64) -> f64 {
        let ln_k = ln(k);
        let terms = self.nodes.iter();
        terms
            .map(|(w, height, _)| exp(height - w.rest * ln_k))
            .sum()
    }

    /// What is left of `E[X | k]` at small `k`.
    fn rest_at(&self, k: f64) -> f64 {
        let ln_k = ln(k);
        let terms = self.nodes.iter();
        terms
            .map(|(w, _, next)| next * exp(w.u * ln_k))
            .sum::<f64>()
            - 0.5
    }

    /// The mean of `C(k)/k` over `k`.
    fn mean(&self, model: &ParetoGgg) -> f64 {
        let (pole, ln_pace) = (model.t - 1.0, ln(model.gamma));
        let all = ln_gamma(model.t);
        let terms = self.nodes.iter().map(|(w, height, _)| {
            // Γ(t−1+w) = Γ(t+w)/(t−1+w)
            let law = ln_gamma(model.t + w.u) - all + w.rest * ln_pace;
            exp(height + law) / (pole + w.u)
        });
        terms.sum()
    }
}

/// Logarithms of times over `α` with the share of the worth that is lost there, and what remains at
/// a finite horizon: `∫ W dτ^w = W(h) h^w + ∫ τ^w (−W′) dτ`.
fn times(model: &ParetoGgg, t: f64, delta: f64) -> Vec<(f64, f64)> {
    let (shape, scale) = (model.s, model.beta);
    let lost = |ln_tau: f64| {
        let (tau, grown) = (exp(ln_tau), softplus(ln_tau - ln(scale)));
        let pace = shape * exp(-grown) / scale + delta;
        (-shape * grown - delta * tau, pace)
    };
    let unit = if t.is_finite() {
        t
    } else {
        1.0 / (shape / scale + delta)
    };
    let falls = log1p(unit * (shape / scale + delta));
    let far = falls / PI;
    let (power, turn) = if t.is_finite() {
        (1.0, falls)
    } else if delta == 0.0 {
        (shape - 1.0, ln(shape.max(1.0 / shape)))
    } else {
        // The law of lifetimes, and the discount after it.
        (
            1.0f64.min(shape),
            log1p(delta * scale / shape) + log1p(shape),
        )
    };
    let far = far.max(turn / PI);
    let points = rule(Extent {
        left: FADED + turn + 3.0,
        right: FADED / power.min(1.0) + turn + 3.0,
        density: DENSITY * (1.0 + far * far).sqrt() * (1.0 + shape.sqrt() / 4.0),
        most_nodes: MOST_NODES,
    });
    let mut found: Vec<(f64, f64)> = points
        .iter()
        .map(|(at, weight)| {
            // τ = hu, or over all times h·u/(1−u), dτ = h du/(1−u)²
            let (ln_tau, slope) = if t.is_finite() {
                (ln(t) + at.ln_u, 0.0)
            } else {
                (ln(unit) + at.ln_u - at.ln_rest, -2.0 * at.ln_rest)
            };
            let (log, pace) = lost(ln_tau);
            (
                ln_tau - ln(model.alpha),
                exp(log + weight + slope + ln(unit)) * pace,
            )
        })
        .collect();
    if t.is_finite() {
        found.push((ln(t / model.alpha), exp(lost(ln(t)).0)));
    }
    found
}

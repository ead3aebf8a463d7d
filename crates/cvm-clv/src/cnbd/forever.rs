//! Means over `p` and the chance of silence, for forecasts without a horizon.
//!
//! With `p ~ Beta(a, B)` and the discount `φ` of a gap,
//!
//! ```text
//! Σ_{n≥0} E[(1−p)^n] φ^n     = E[1/(1 − (1−p)φ)]     = 2F1(B, 1; a+B; φ)
//! Σ_{n≥0} E[(1−p)^{n+1}] φ^n = E[(1−p)/(1 − (1−p)φ)] = B/(a+B) · 2F1(B+1, 1; a+B+1; φ)
//! ```
//!
//! both over the same tanh-sinh nodes `p` for every `φ`. Source: Abramowitz & Stegun (1964), 15.3.1.

use cvm_math::tanh_sinh::{Extent, rule};
use cvm_math::{exp, ln, ln_gamma_q, ln_hyp2f1, log1p, slice};

/// Sums running side by side, in an order that no vector width changes.
const LANES: usize = 8;

/// Nodes and weights of `p`.
pub(super) struct Leaving {
    a: f64,
    stay: f64,
    /// `p`, and its weight; empty where the law is too narrow.
    nodes: Vec<f64>,
    weights: Vec<f64>,
    /// Weights times `1 − p`.
    stayed: Vec<f64>,
}

impl Leaving {
    /// For `φ` up to one with `1 − φ = lost`.
    pub(super) fn new(a: f64, stay: f64, lost: f64) -> Self {
        /// Steps that leave an error of `e^{−50}` in the strip of analyticity `|Im θ| < 1`; where the
        /// integrand falls like `e^{−e^ξ}`, which tames only half of it, `e^{−25}`.
        const DENSITY: f64 = 8.0;
        const FADED: f64 = 38.0;
        let (low, high) = (log1p(stay / a), log1p(a / stay));
        // The pole at p = −lost/φ, or the law's own place.
        let far = low.max(high).max(-ln(lost)) / std::f64::consts::PI;
        let width = (1.0 / a + 1.0 / stay).sqrt().min(1.0);
        let points = rule(Extent {
            left: FADED / a.min(1.0) + low + 3.0,
            right: FADED / stay.min(1.0) + high + 3.0,
            density: DENSITY * (1.0 + far * far).sqrt() / width,
            most_nodes: 4096,
        });
        let log = |(at, weight): &(cvm_math::tanh_sinh::Point, f64)| {
            weight + (a - 1.0) * at.ln_u + (stay - 1.0) * at.ln_rest
        };
        let logs: Vec<f64> = points.iter().map(log).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut weights: Vec<f64> = logs.iter().map(|log| log - largest).collect();
        slice::exp_in_place(&mut weights);
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        let stayed = weights.iter().zip(&points).map(|(w, (at, _))| w * at.rest);
        Leaving {
            a,
            stay,
            stayed: stayed.collect(),
            nodes: points.iter().map(|(at, _)| at.u).collect(),
            weights,
        }
    }

    /// `E[1/(1 − (1−p)φ)]` and `E[(1−p)/(1 − (1−p)φ)]`, given `φ` and `1 − φ`.
    pub(super) fn means(&self, gap: f64, lost: f64) -> [f64; 2] {
        if self.nodes.is_empty() {
            let series = |stay: f64| exp(ln_hyp2f1(stay, 1.0, self.a + stay, gap, lost).0);
            let share = self.stay / (self.a + self.stay);
            return [series(self.stay), share * series(self.stay + 1.0)];
        }
        let mut sums = [[0.0; LANES]; 2];
        let nodes = self.nodes.chunks(LANES);
        let weights = self.weights.chunks(LANES).zip(self.stayed.chunks(LANES));
        for (nodes, (weights, stayed)) in nodes.zip(weights) {
            for (lane, p) in nodes.iter().enumerate() {
                let inverse = 1.0 / (lost + p * gap);
                sums[0][lane] += weights[lane] * inverse;
                sums[1][lane] += stayed[lane] * inverse;
            }
        }
        sums.map(|lanes| lanes.iter().sum())
    }
}

/// `ln Q(k, x)`, the chance that no purchase has come; for few whole stages the finite sum
/// `e^{−x} Σ_{i<k} x^i/i!`.
pub(super) fn ln_quiet(k: f64, x: f64) -> f64 {
    const FEW_STAGES: f64 = 16.0;
    /// Beyond, powers may overflow.
    const FAR: f64 = 1e15;
    if k > FEW_STAGES || k.fract() != 0.0 || x > FAR {
        return ln_gamma_q(k, x);
    }
    let (mut term, mut sum) = (1.0, 0.0);
    for stage in 0..k as u32 {
        sum += term;
        term *= x / (f64::from(stage) + 1.0);
    }
    (ln(sum) - x).min(0.0)
}

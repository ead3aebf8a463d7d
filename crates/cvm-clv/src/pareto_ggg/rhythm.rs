//! The regularity `k` of one customer: its law given what is known of them, and means over it.
//!
//! With `ξ = ln k`, `R = r + kx` and `A = α + k t_x` the joint density of `k` and the purchases is
//!
//! ```text
//! γ^t k^t e^{−γk}/Γ(t) · Γ(R)/Γ(r) · α^r k^{kx} A^−R · Γ(k)^−x e^{(k−1)G}        per unit of ξ
//! ```
//!
//! times whatever else is asked. It has one peak, which a search by halves finds; from there both ways
//! to where nothing is left, tanh-sinh with steps as fine as the peak is narrow.

use super::ParetoGgg;
use super::gap::{Fate, Gap};
use crate::peak::Peak;
use crate::rfm::Rfm;
use cvm_math::tanh_sinh::{Extent, rule};
use cvm_math::{exp, ln, ln_gamma, ln_rising, log1p};

/// `e^{−x}` beyond this is nothing beside the rest.
const NOTHING: f64 = 42.0;
/// Steps over the width of a peak, and at least for one that falls like `e^{−γk}` to the right: what
/// they leave out is below 1e-13.
const FINE: f64 = 10.0;
const LEAST: f64 = 24.0;
/// Nodes at most.
const MOST_NODES: u32 = 8192;
/// No `k` beyond `e^{±700}` is a number.
const FARTHEST: f64 = 700.0;

/// One regularity, with the weight of its law.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    pub(super) k: f64,
    /// Logarithm of the law's density times the node's weight.
    pub(super) log: f64,
}

/// The law of `k` of one customer, before the silence since the last purchase is looked at.
pub(super) struct Rhythm<'a> {
    model: &'a ParetoGgg,
    row: &'a Rfm,
}

impl<'a> Rhythm<'a> {
    pub(super) fn new(model: &'a ParetoGgg, row: &'a Rfm) -> Self {
        Rhythm { model, row }
    }

    pub(super) fn gap(&self, k: f64) -> Gap<'a> {
        Gap::new(self.model, self.row, k)
    }

    /// Nodes for integrals over the law of those whose silence has this meaning.
    pub(super) fn beats(&self, fate: Fate) -> Vec<Beat> {
        self.beats_of(0.0, |k| self.gap(k).ln_roughly(fate))
    }

    /// The same for a density that is the law's times a factor, given by its rough logarithm, which is
    /// `ln_most` at the most.
    pub(super) fn beats_of(&self, ln_most: f64, ln_factor: impl Fn(f64) -> f64) -> Vec<Beat> {
        let height = |xi: f64| {
            let k = exp(xi);
            self.ln_front(k, xi) + ln_factor(k)
        };
        let peak = Peak::find(ln(self.model.t / self.model.gamma), &height);
        let points = rule(extent(&peak, &height));
        let bound = peak.top - ln_most - NOTHING - 4.0;
        let mut beats = Vec::with_capacity(points.len());
        for (at, weight) in points {
            let xi = peak.centre + at.ln_u - at.ln_rest;
            let k = exp(xi);
            let front = self.ln_front(k, xi);
            if front >= bound {
                // The rule is over `u`, with `k/centre = u/(1−u)`; the density is per unit of `ξ`.
                let log = front + weight - at.ln_u - at.ln_rest;
                beats.push(Beat { k, log });
            }
        }
        beats
    }

    /// `ln` of the density per unit of `ξ`.
    pub(super) fn ln_front_at(&self, xi: f64) -> f64 {
        self.ln_front(exp(xi), xi)
    }

    /// The same, with `k = e^ξ` at hand.
    fn ln_front(&self, k: f64, xi: f64) -> f64 {
        let (model, row) = (self.model, self.row);
        let prior = model.ln_law_of_k(xi);
        if row.frequency == 0.0 {
            return prior;
        }
        let stages = k * row.frequency;
        let times = ln_rising(model.r, stages)
            - model.r * log1p(k * row.recency / model.alpha)
            - stages * ln(model.alpha / k + row.recency)
            - row.frequency * ln_gamma(k);
        prior + times + (k - 1.0) * row.log_gap_sum
    }
}

/// From the peak both ways to where nothing is left.
fn extent(peak: &Peak, height: &impl Fn(f64) -> f64) -> Extent {
    // NaN is far out too.
    let is_left = |xi: f64| height(xi) - peak.top >= -NOTHING;
    let reach = |side: f64| peak.reach(side, FARTHEST, is_left);
    Extent {
        left: reach(-1.0),
        right: reach(1.0),
        density: (FINE / peak.width).max(LEAST),
        most_nodes: MOST_NODES,
    }
}

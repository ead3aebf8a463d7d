//! The trapezoid rule for `E_p[(1 − (1 + pτ)^−R)/p]`, `p ~ Beta(a, B)`, in `y = ln(p/(1−p))`.
//!
//! See the parent module for what it is and why it converges. Nodes are taken from the mode
//! outwards, in groups, until they no longer matter or a tail is reached that can be summed to
//! infinity.

use super::NEGLIGIBLE;
use cvm_math::{exp, expm1, ln, log1p, slice, softplus};
use std::array::from_fn;

/// Nodes evaluated together.
const LANES: usize = 16;

/// One side of the sum gives up here and the answer is NaN. Between its ends, some 40 wide, a step
/// of 1/4 has few hundred nodes, and a narrow peak dies out within a dozen widths.
const MOST_NODES: u32 = 100_000;

/// The expectation, as a ratio of two sums over the same nodes: the numerator over
/// `p^a (1−p)^B φ(p)` with `φ(p) = (1 − (1+pτ)^−R)/p`, the denominator without `φ`. No gamma
/// function is needed and errors common to both cancel.
pub(super) fn trapezoid(a: f64, stay: f64, shape: f64, tau: f64) -> f64 {
    let lattice = Lattice::new(a, stay, shape, tau);
    let [mut sums, ..] = lattice.nodes([lattice.centre; LANES]);
    lattice.walk(-1.0, &mut sums);
    lattice.walk(1.0, &mut sums);
    sums.numerator / sums.denominator
}

#[derive(Debug, Clone, Copy)]
struct Sums {
    numerator: f64,
    denominator: f64,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
    }

    /// Whether adding `term` would change neither sum.
    fn outweighs(&self, term: Sums) -> bool {
        term.numerator <= NEGLIGIBLE * 1e-2 * self.numerator
            && term.denominator <= NEGLIGIBLE * 1e-2 * self.denominator
    }
}

/// A slice function on one group of nodes.
fn apply(function: fn(&[f64], &mut [f64]), arguments: [f64; LANES]) -> [f64; LANES] {
    let mut values = [0.0; LANES];
    function(&arguments, &mut values);
    values
}

/// The integrand of (1) in `y = ln(p/(1−p))`, its step and the ends where its tails take over.
struct Lattice {
    a: f64,
    stay: f64,
    shape: f64,
    tau: f64,
    /// Mode of `p^a (1−p)^B`, moved between the ends.
    centre: f64,
    /// `ln` of a common factor of every term, taken out so that nothing underflows or overflows.
    log_peak: f64,
    step: f64,
    /// Below it the integrand is `e^{ay}` to first order, above it `e^{−By}`.
    ends: [f64; 2],
}

impl Lattice {
    fn new(a: f64, stay: f64, shape: f64, tau: f64) -> Self {
        // Where the first-order corrections of the tails have fallen to 1e-9, so that the second,
        // dropped, order is 1e-18.
        const CORRECTION: f64 = 1e-9;
        let spread = a + stay;
        let left = ln(CORRECTION / (spread + 1.0 + (shape + 1.0) * tau));
        let right = -ln(CORRECTION / (spread + 2.0 + shape));
        let centre = (ln(a) - ln(stay)).clamp(left, right);
        let log_peak = -(a * softplus(-centre) + stay * softplus(centre));
        // The tails are as large as `1/min(a, B)`: taken out, so that they do not overflow.
        let log_peak = log_peak - ln(a.min(stay).min(1.0));
        // A normal peak of this width needs a step of at most 0.7 of it for 1e-17.
        let width = (1.0 / a + 1.0 / stay).sqrt();
        Lattice {
            a,
            stay,
            shape,
            tau,
            centre,
            log_peak,
            // A peak too narrow to resolve is a point: `φ` is constant across it.
            step: (0.7 * width).clamp(1e-6, 0.25),
            ends: [left, right],
        }
    }

    fn phi(&self, p: f64) -> f64 {
        -expm1(-self.shape * log1p(p * self.tau)) / p
    }

    /// Both integrands at `LANES` nodes.
    fn nodes(&self, y: [f64; LANES]) -> [Sums; LANES] {
        // e^{−|y|} never overflows, and gives `p` and both logarithms to full precision.
        let small = apply(slice::exp, y.map(|y| -y.abs()));
        let log1p_small = apply(slice::log1p, small);
        let p: [f64; LANES] = from_fn(|i| {
            let above = if y[i] < 0.0 { small[i] } else { 1.0 };
            above / (1.0 + small[i])
        });
        let exponents = from_fn(|i| {
            let log_leave = y[i].min(0.0) - log1p_small[i];
            let log_stay = -y[i].max(0.0) - log1p_small[i];
            self.a * log_leave + self.stay * log_stay - self.log_peak
        });
        let weights = apply(slice::exp, exponents);
        let powers = apply(slice::log1p, p.map(|p| p * self.tau)).map(|log| -self.shape * log);
        let gone = apply(slice::expm1, powers);
        from_fn(|i| Sums {
            numerator: weights[i] * (-gone[i] / p[i]),
            denominator: weights[i],
        })
    }

    /// Adds the nodes on one side of the centre until they no longer matter or the tail begins.
    /// Both integrands rise to one peak and fall, so a negligible term means negligible successors.
    fn walk(&self, side: f64, sums: &mut Sums) {
        for first in (1..=MOST_NODES).step_by(LANES) {
            let place = |lane| self.centre + side * self.step * (f64::from(first) + lane as f64);
            let y: [f64; LANES] = from_fn(place);
            let terms = self.nodes(y);
            for (y, term) in y.into_iter().zip(terms) {
                if y < self.ends[0] {
                    return sums.add(self.left_tail(y));
                }
                if y > self.ends[1] {
                    return sums.add(self.right_tail(y));
                }
                sums.add(term);
                if sums.outweighs(term) {
                    return;
                }
            }
        }
        sums.numerator = f64::NAN;
    }

    /// All nodes from `y` down: `p ≈ e^y`, so each power of `e^y` is a geometric series.
    fn left_tail(&self, y: f64) -> Sums {
        let small = exp(y);
        let geometric = |power: f64| 1.0 / -expm1(-power * self.step);
        let height = exp(self.a * y - self.log_peak);
        let first = geometric(self.a);
        let second = small * geometric(self.a + 1.0);
        let spread = self.a + self.stay;
        let slope = spread + 0.5 * (self.shape + 1.0) * self.tau;
        Sums {
            numerator: height * self.shape * self.tau * (first - slope * second),
            denominator: height * (first - spread * second),
        }
    }

    /// All nodes from `y` up: `1 − p ≈ e^{−y}`.
    fn right_tail(&self, y: f64) -> Sums {
        let small = exp(-y);
        let geometric = |power: f64| 1.0 / -expm1(-power * self.step);
        let height = exp(-self.stay * y - self.log_peak);
        let first = geometric(self.stay);
        let second = small * geometric(self.stay + 1.0);
        let spread = self.a + self.stay;
        let value = self.phi(1.0);
        let steep = exp(-(self.shape + 1.0) * log1p(self.tau));
        let slope = self.shape * self.tau * steep - value;
        Sums {
            numerator: height * (value * first - (spread * value + slope) * second),
            denominator: height * (first - spread * second),
        }
    }
}

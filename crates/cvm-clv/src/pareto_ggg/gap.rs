//! The gap after the last purchase of a customer whose regularity is known: how it came to be silent.
//!
//! With `R = r + kx`, `A = α + k t_x`, `s = T − t_x` silent and `b = β + t_x`, the gap `u` that was to
//! follow has, mixed over `λ`, the share `y = ku/(A + ku) ~ Beta(k, R)`. Without a purchase in
//! `(t_x, T]` either the gap is longer than the silence, or the customer left before its end:
//!
//! ```text
//! silent  = P(u > s) = I_w(R, k),                       w = A/(A + ks)
//! left    = E[1{u ≤ s} · D(u)],                         D(u) = 1 − (1 + u/b)^−s
//! ```
//!
//! Both are integrals of positive functions of `y`, by tanh-sinh over `(0, 1−w)` and `(1−w, 1)`;
//! derivatives are means over the same nodes of the derivatives of the complete log-likelihood.

use super::ParetoGgg;
use crate::incomplete_beta::ln_incomplete_beta_above;
use crate::rfm::Rfm;
use cvm_math::tanh_sinh::{Extent, Point, rule};
use cvm_math::{digamma, expm1, ln, ln_beta, log1p, slice, trigamma};
use std::f64::consts::PI;

/// Steps that leave an error of `e^{−32}` in the strip of analyticity.
const DENSITY: f64 = 8.0;
/// An end of the range falls like `e^{−|ξ|}` times its exponent: beyond this it is nothing.
const FADED: f64 = 38.0;
/// Shares below this leave no trace in a mean.
const NEGLIGIBLE: f64 = 1e-18;
/// Nodes of one integral at most.
const MOST_NODES: u32 = 4096;

/// What the silence since the last purchase means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The gap is longer than the silence, whether or not the customer stays.
    Silent,
    /// The customer left before a purchase that was due.
    Left,
}

/// Derivatives in `(r, α, s, β)`: the mean gradient, and the mean of Hessian plus squared gradient.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slopes {
    pub(super) first: [f64; 4],
    pub(super) second: [[f64; 4]; 4],
}

/// The gap of one customer of regularity `k`.
pub(super) struct Gap<'a> {
    pub(super) model: &'a ParetoGgg,
    pub(super) row: &'a Rfm,
    pub(super) k: f64,
    /// `R`.
    pub(super) shape: f64,
    /// `A`.
    pub(super) scale: f64,
    /// `w` and `1 − w`.
    w: f64,
    pub(super) rest: f64,
    pub(super) log_beta: f64,
}

impl<'a> Gap<'a> {
    pub(super) fn new(model: &'a ParetoGgg, row: &'a Rfm, k: f64) -> Self {
        let shape = model.r + k * row.frequency;
        let scale = model.alpha + k * row.recency;
        let due = k * (row.age - row.recency);
        Gap {
            model,
            row,
            k,
            shape,
            scale,
            w: scale / (scale + due),
            rest: due / (scale + due),
            log_beta: ln_beta(k, shape),
        }
    }

    /// `ln P(u > s)`.
    pub(super) fn ln_silent(&self) -> f64 {
        if self.rest == 0.0 {
            return 0.0;
        }
        ln_incomplete_beta_above(self.log_beta, (self.shape, self.k), self.w, self.rest)
    }

    /// A rough `ln` of either fate, for finding the place of a peak.
    pub(super) fn ln_roughly(&self, fate: Fate) -> f64 {
        let silent = self.ln_silent();
        match fate {
            Fate::Silent => silent,
            Fate::Left => {
                let silence = self.row.age - self.row.recency;
                let usual = silence.min(self.scale / self.shape);
                let due = ln((-expm1(silent)).max(f64::MIN_POSITIVE));
                due + ln(self.leaves_within(usual).max(f64::MIN_POSITIVE))
            }
        }
    }

    /// `ln` of the fate's probability.
    pub(super) fn ln_of(&self, fate: Fate) -> f64 {
        match fate {
            Fate::Silent => self.ln_silent(),
            Fate::Left => self
                .nodes(Fate::Left)
                .map_or(f64::NEG_INFINITY, |nodes| nodes.log_sum),
        }
    }

    /// `D(u)`.
    fn leaves_within(&self, u: f64) -> f64 {
        -expm1(-self.model.s * log1p(u / (self.model.beta + self.row.recency)))
    }

    /// Nodes `y` of the fate with their shares; `None` where it cannot be.
    fn nodes(&self, fate: Fate) -> Option<Nodes> {
        if fate == Fate::Left && self.rest == 0.0 {
            return None;
        }
        let points = rule(self.extent(fate));
        let (w, rest) = (self.w, self.rest);
        let place = |at: &Point| match fate {
            Fate::Left => (rest * at.u, w + rest * at.rest),
            Fate::Silent => (rest + w * at.u, w * at.rest),
        };
        let mut y = Vec::with_capacity(points.len());
        let mut kept = Vec::with_capacity(points.len());
        for (at, _) in &points {
            let (share, left) = place(at);
            y.push(share);
            kept.push(left);
        }
        // Where one of the two may underflow, its logarithm comes from the point.
        let (ln_rest, ln_w) = (ln(rest), ln(w));
        let (mut ln_y, mut ln_kept) = (vec![0.0; y.len()], vec![0.0; y.len()]);
        match fate {
            Fate::Left => {
                slice::ln(&kept, &mut ln_kept);
                fill(&mut ln_y, &points, |at| ln_rest + at.ln_u);
            }
            Fate::Silent => {
                slice::ln(&y, &mut ln_y);
                fill(&mut ln_kept, &points, |at| ln_w + at.ln_rest);
            }
        }
        let width = if fate == Fate::Left { ln_rest } else { ln_w };
        let mut logs: Vec<f64> = points
            .iter()
            .zip(ln_y.iter().zip(&ln_kept))
            .map(|((_, weight), (ln_y, ln_kept))| {
                weight + width + (self.k - 1.0) * ln_y + (self.shape - 1.0) * ln_kept
            })
            .collect();
        let mut growth = Vec::new();
        if fate == Fate::Left {
            growth = self.ln_growth(&y, &kept);
            let mut leaving: Vec<f64> = growth.iter().map(|log| -self.model.s * log).collect();
            slice::expm1_in_place(&mut leaving);
            for slot in &mut leaving {
                *slot = -*slot;
            }
            let mut ln_leaving = vec![0.0; leaving.len()];
            slice::ln(&leaving, &mut ln_leaving);
            for (log, leaving) in logs.iter_mut().zip(&ln_leaving) {
                *log += leaving;
            }
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for log in &mut logs {
            *log -= largest;
        }
        slice::exp_in_place(&mut logs);
        let sum: f64 = logs.iter().sum();
        Some(Nodes {
            shares: logs,
            sum,
            log_sum: largest + ln(sum) - self.log_beta,
            y,
            kept,
            ln_kept,
            growth,
        })
    }

    /// `ln(1 + u/b)` with `u = A/k · y/(1−y)`.
    fn ln_growth(&self, y: &[f64], kept: &[f64]) -> Vec<f64> {
        let unit = self.scale / (self.k * (self.model.beta + self.row.recency));
        let mut growth: Vec<f64> = y
            .iter()
            .zip(kept)
            .map(|(y, kept)| unit * (y / kept))
            .collect();
        slice::log1p_in_place(&mut growth);
        growth
    }

    /// Where the integrand of a fate lives.
    fn extent(&self, fate: Fate) -> Extent {
        let width = (1.0 / self.k + 1.0 / self.shape).sqrt().min(1.0);
        let silence = self.row.age - self.row.recency;
        let (left, right, near) = match fate {
            Fate::Left => {
                let law = (self.model.s + 1.0) * silence / (self.model.beta + self.row.recency);
                let near = log1p(self.rest * self.shape).max(log1p(law));
                (
                    FADED / (self.k + 1.0),
                    FADED,
                    near.max(log1p(self.rest / self.w)),
                )
            }
            Fate::Silent => {
                let bend = if self.k == 1.0 || self.rest == 0.0 {
                    0.0
                } else {
                    log1p(self.w / self.rest)
                };
                let power = if self.rest == 0.0 {
                    self.k.min(1.0)
                } else {
                    1.0
                };
                let near = log1p(self.shape).max(bend);
                (FADED / power, FADED / self.shape.min(1.0), near)
            }
        };
        let far = near / PI;
        Extent {
            left: left + near + 3.0,
            right: right + near + 3.0,
            density: DENSITY * (1.0 + far * far).sqrt() / width,
            most_nodes: MOST_NODES,
        }
    }

    /// `ln` of the fate's probability and the slopes of its complete log-likelihood, without the terms
    /// that hold for every `u`: see [`ParetoGgg::derivatives`](crate::Formulas::derivatives).
    pub(super) fn slopes(&self, fate: Fate) -> Option<(f64, Slopes)> {
        if fate == Fate::Silent && self.rest == 0.0 {
            return Some((0.0, self.without_silence()));
        }
        let nodes = self.nodes(fate)?;
        let model = self.model;
        let total = self.shape + self.k;
        let front = digamma(total) - digamma(model.r) + ln(model.alpha) - ln(self.scale);
        let curve = trigamma(total) - trigamma(model.r);
        let stay = ln(model.beta) - ln(model.beta + self.row.recency);
        let mut slopes = Slopes::default();
        for (index, share) in nodes.shares.iter().enumerate() {
            if *share < NEGLIGIBLE * nodes.sum {
                continue;
            }
            let inverse = nodes.kept[index] / self.scale;
            let law = match nodes.growth.get(index) {
                Some(growth) => self.law_slopes(*growth, nodes.y[index], nodes.kept[index]),
                None => LawSlopes::default(),
            };
            let [by_s, by_beta] = law.first;
            let first = [
                front + nodes.ln_kept[index],
                model.r / model.alpha - total * inverse,
                stay + by_s,
                self.scale_slope() + by_beta,
            ];
            let [ss, sb, bb] = law.second;
            let mixed = 1.0 / model.alpha - inverse;
            let curvature = [
                [curve, mixed, 0.0, 0.0],
                [
                    mixed,
                    total * inverse * inverse - model.r / (model.alpha * model.alpha),
                    0.0,
                    0.0,
                ],
                [0.0, 0.0, ss, self.stay_curve() + sb],
                [0.0, 0.0, self.stay_curve() + sb, self.scale_curve() + bb],
            ];
            slopes.add(*share / nodes.sum, first, curvature);
        }
        Some((nodes.log_sum, slopes))
    }

    /// `∂/∂β` of `s ln(β/b)`.
    pub(super) fn scale_slope(&self) -> f64 {
        let model = self.model;
        model.s * self.row.recency / (model.beta * (model.beta + self.row.recency))
    }

    pub(super) fn stay_curve(&self) -> f64 {
        self.scale_slope() / self.model.s
    }

    pub(super) fn scale_curve(&self) -> f64 {
        let (beta, later) = (self.model.beta, self.model.beta + self.row.recency);
        self.model.s * (1.0 / (later * later) - 1.0 / (beta * beta))
    }

    /// Slopes where the purchase has only just been made: nothing is known of the gap.
    pub(super) fn without_silence(&self) -> Slopes {
        let model = self.model;
        let first = [
            digamma(self.shape) - digamma(model.r) + ln(model.alpha) - ln(self.scale),
            model.r / model.alpha - self.shape / self.scale,
            ln(model.beta) - ln(model.beta + self.row.recency),
            self.scale_slope(),
        ];
        let mixed = 1.0 / model.alpha - 1.0 / self.scale;
        let square = self.shape / (self.scale * self.scale) - model.r / (model.alpha * model.alpha);
        let curve = trigamma(self.shape) - trigamma(model.r);
        let curvature = [
            [curve, mixed, 0.0, 0.0],
            [mixed, square, 0.0, 0.0],
            [0.0, 0.0, 0.0, self.stay_curve()],
            [0.0, 0.0, self.stay_curve(), self.scale_curve()],
        ];
        let mut slopes = Slopes::default();
        slopes.add(1.0, first, curvature);
        slopes
    }

    /// Derivatives of `ln D(u)` in `s` and `β`, with `L = ln(1 + u/b)` and `h = 1/(e^{sL} − 1)`.
    fn law_slopes(&self, growth: f64, y: f64, kept: f64) -> LawSlopes {
        let later = self.model.beta + self.row.recency;
        let u = self.scale / self.k * (y / kept);
        let s = self.model.s;
        let h = 1.0 / expm1(s * growth);
        let bend = h * (1.0 + h);
        let inverse = 1.0 / (later + u);
        let move_by = u / later * inverse;
        LawSlopes {
            first: [growth * h, -s * move_by * h],
            second: [
                -growth * growth * bend,
                -move_by * h + s * growth * move_by * bend,
                s * move_by * (1.0 / later + inverse) * h - s * s * move_by * move_by * bend,
            ],
        }
    }
}

/// Derivatives of `ln D` in `s` and `β`: the gradient, and `ss, sβ, ββ`.
#[derive(Debug, Clone, Copy, Default)]
struct LawSlopes {
    first: [f64; 2],
    second: [f64; 3],
}

/// Nodes of one fate.
struct Nodes {
    /// Weights over the largest.
    shares: Vec<f64>,
    sum: f64,
    log_sum: f64,
    y: Vec<f64>,
    /// `1 − y`.
    kept: Vec<f64>,
    ln_kept: Vec<f64>,
    /// `ln(1 + u/b)`; empty where leaving does not matter.
    growth: Vec<f64>,
}

impl Slopes {
    /// Adds a share of other slopes.
    pub(super) fn add_share(&mut self, share: f64, other: &Slopes) {
        for i in 0..4 {
            self.first[i] += share * other.first[i];
            for j in 0..4 {
                self.second[i][j] += share * other.second[i][j];
            }
        }
    }

    pub(super) fn add(&mut self, share: f64, first: [f64; 4], curvature: [[f64; 4]; 4]) {
        for i in 0..4 {
            self.first[i] += share * first[i];
            for j in 0..4 {
                self.second[i][j] += share * (curvature[i][j] + first[i] * first[j]);
            }
        }
    }
}

fn fill(slots: &mut [f64], points: &[(Point, f64)], value: impl Fn(&Point) -> f64) {
    for (slot, (at, _)) in slots.iter_mut().zip(points) {
        *slot = value(at);
    }
}

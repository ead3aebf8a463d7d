//! The quadratic model with bounds and an L1 penalty, minimised exactly.
//!
//! ```text
//! minimise  gᵀp + ½ pᵀBp + Σ λ_i |w_i + p_i|,   lower ≤ w + p ≤ upper,   |D_i p_i| ≤ radius
//! ```
//! Sweeps of coordinate descent find the face (which coordinates are at zero or at an end); a Newton
//! step on the free coordinates, cut where one reaches an end, then lands on that face's minimum.
//! The two alternate until a sweep leaves the face of a full step alone: the minimum of a convex
//! model. A model that is not convex is made so by adding a multiple of `D²`.
//!
//! Sources: Friedman, Hastie & Tibshirani (2010), *J. Stat. Software* 33(1) (coordinate descent);
//! Moré & Toraldo (1991), *SIAM J. Optim.* 1(1) (faces and subspace steps).

use crate::coordinate::longest_step;
use crate::linear::{Cholesky, dot, max_abs, norm};
use crate::objective::{Objective, Point};
use crate::result::ParamState;
use crate::trust::scales;
use ndarray::Array2;

/// A step with what the model says of it.
#[derive(Debug, Clone)]
pub(crate) struct FaceStep {
    /// Where it leads; zeros and bounds are exact.
    pub(crate) target: Vec<f64>,
    /// Decrease of the objective by the model.
    pub(crate) predicted: f64,
    /// Largest `|D_i p_i|`.
    pub(crate) scaled_length: f64,
    /// Whether the model is convex and the trust region did not cut the step.
    pub(crate) is_newton: bool,
}

/// The model over the coordinates that may move.
struct Model<'a> {
    point: &'a Point,
    /// Coordinates that may move.
    open: Vec<usize>,
    /// Curvature of all coordinates, made convex.
    curvature: Array2<f64>,
    /// Ends of each coordinate: bounds and trust region.
    low: Vec<f64>,
    high: Vec<f64>,
    l1: Vec<f64>,
}

/// The step from `point`.
pub(crate) fn step(objective: &Objective<'_>, point: &Point, radius: f64) -> FaceStep {
    let scale = scales(&point.curvature);
    let (open, shift) = convexity(objective, point, &scale);
    let radius = match (shift > 0.0, radius.is_finite()) {
        (true, false) => norm(&scale),
        _ => radius,
    };
    let model = Model::new(objective, point, open, &scale, shift, radius);
    let target = model.minimum();
    let cut = |i: &usize| {
        let (low, high) = objective.faces.bounds_of(*i);
        let v = target[*i];
        (v == model.low[*i] && v != low) || (v == model.high[*i] && v != high)
    };
    let is_newton = shift == 0.0 && !model.open.iter().any(cut);
    let change = model.change(&target);
    let scaled: Vec<f64> = change.iter().zip(&scale).map(|(p, d)| p * d).collect();
    FaceStep {
        predicted: model.decrease(&target, &change),
        scaled_length: max_abs(&scaled),
        target,
        is_newton,
    }
}

/// The coordinates that may move and the shift that makes the model convex over them: all of them
/// if that needs no shift, else those not pressed onto their face.
fn convexity(objective: &Objective<'_>, point: &Point, scale: &[f64]) -> (Vec<usize>, f64) {
    let states = objective.faces.states(&point.working);
    let violation = objective.faces.violation(point);
    let movable = |i: &usize| states[*i] != ParamState::Held;
    let all: Vec<usize> = (0..scale.len()).filter(movable).collect();
    let convex = |set: &[usize], shift| {
        let scaled = |(i, j): (usize, usize)| {
            point.curvature[[set[i], set[j]]] / (scale[set[i]] * scale[set[j]])
        };
        let matrix = Array2::from_shape_fn((set.len(), set.len()), scaled);
        Cholesky::new(&matrix, shift).is_some()
    };
    if convex(&all, 0.0) {
        return (all, 0.0);
    }
    let free = |i: &usize| states[*i] == ParamState::Free || violation[*i] != 0.0;
    let open: Vec<usize> = all.iter().copied().filter(free).collect();
    if !open.is_empty() && convex(&open, 0.0) {
        return (open, 0.0);
    }
    let mut shift = 1e-3;
    while !convex(&all, shift) && shift < 1e9 {
        shift *= 4.0;
    }
    (all, shift)
}

impl<'a> Model<'a> {
    fn new(
        objective: &Objective<'_>,
        point: &'a Point,
        open: Vec<usize>,
        scale: &[f64],
        shift: f64,
        radius: f64,
    ) -> Self {
        let dim = scale.len();
        let mut curvature = point.curvature.clone();
        let (mut low, mut high) = (point.working.clone(), point.working.clone());
        for i in 0..dim {
            curvature[[i, i]] += shift * scale[i] * scale[i];
            let reach = (radius / scale[i]).min(longest_step(objective.transforms[i]));
            let (least, greatest) = objective.faces.bounds_of(i);
            low[i] = (point.working[i] - reach).max(least);
            high[i] = (point.working[i] + reach).min(greatest);
        }
        let l1 = (0..dim).map(|i| objective.faces.l1_of(i)).collect();
        Model {
            point,
            open,
            curvature,
            low,
            high,
            l1,
        }
    }

    fn change(&self, target: &[f64]) -> Vec<f64> {
        let pairs = target.iter().zip(&self.point.working);
        pairs.map(|(v, w)| v - w).collect()
    }

    /// Gradient of the quadratic part at `target`.
    fn slope(&self, target: &[f64]) -> Vec<f64> {
        let change = self.change(target);
        let row = |i: usize| {
            (0..change.len()).fold(0.0, |sum, j| sum + self.curvature[[i, j]] * change[j])
        };
        let each = |(i, g): (usize, &f64)| g + row(i);
        self.point.gradient.iter().enumerate().map(each).collect()
    }

    fn decrease(&self, target: &[f64], change: &[f64]) -> f64 {
        let bent = self.slope(target);
        let middle: Vec<f64> = bent
            .iter()
            .zip(&self.point.gradient)
            .map(|(b, g)| 0.5 * (b + g))
            .collect();
        let kink = |i: usize| self.l1[i] * (target[i].abs() - self.point.working[i].abs());
        let kinks: f64 = (0..target.len()).fold(0.0, |sum, i| sum + kink(i));
        -(dot(&middle, change) + kinks)
    }

    /// Alternates sweeps and face steps; see the module's note.
    fn minimum(&self) -> Vec<f64> {
        let rounds = 100 + 4 * self.open.len();
        let mut target = self.point.working.clone();
        let mut solved: Option<(Vec<usize>, Vec<f64>)> = None;
        for _ in 0..rounds {
            self.sweep(&mut target);
            let face = self.face(&target);
            if let Some((known, minimum)) = &solved
                && *known == face
            {
                return minimum.clone();
            }
            let full = self.face_step(&mut target, &face);
            solved = full.then(|| (self.face(&target), target.clone()));
        }
        target
    }

    /// One sweep of coordinate descent: the exact minimum in each coordinate in turn.
    fn sweep(&self, target: &mut [f64]) {
        let mut slope = self.slope(target);
        for &i in &self.open {
            let bend = self.curvature[[i, i]];
            let smooth = target[i] - slope[i] / bend;
            let best = soft(smooth, self.l1[i] / bend);
            let next = best.max(self.low[i]).min(self.high[i]);
            let moved = next - target[i];
            if moved != 0.0 && next.is_finite() {
                target[i] = next;
                for (j, entry) in slope.iter_mut().enumerate() {
                    *entry += self.curvature[[j, i]] * moved;
                }
            }
        }
    }

    /// Coordinates strictly between their ends and off the kink.
    fn face(&self, target: &[f64]) -> Vec<usize> {
        let free = |i: &usize| {
            let v = target[*i];
            self.low[*i] < v && v < self.high[*i] && (self.l1[*i] == 0.0 || v != 0.0)
        };
        self.open.iter().copied().filter(free).collect()
    }

    /// Newton step over the coordinates of `face`, cut where the first reaches an end or its kink,
    /// which it then meets exactly. Whether it was taken in full.
    fn face_step(&self, target: &mut [f64], face: &[usize]) -> bool {
        let slope = self.slope(target);
        let sub = |(i, j): (usize, usize)| self.curvature[[face[i], face[j]]];
        let matrix = Array2::from_shape_fn((face.len(), face.len()), sub);
        let downhill = |i: &usize| -(slope[*i] + self.l1[*i] * sign(target[*i]));
        let rest: Vec<f64> = face.iter().map(downhill).collect();
        let Some(factor) = Cholesky::new(&matrix, 0.0) else {
            return false;
        };
        let direction = factor.solve(&rest);
        let ends: Vec<f64> = (face.iter().zip(&direction))
            .map(|(i, d)| self.end(target[*i], *i, *d))
            .collect();
        let mut length = 1.0;
        for (k, i) in face.iter().enumerate() {
            if direction[k] != 0.0 {
                length = (1.0_f64)
                    .min((ends[k] - target[*i]) / direction[k])
                    .min(length);
            }
        }
        for (k, i) in face.iter().enumerate() {
            let next = target[*i] + length * direction[k];
            let past = (next - ends[k]) * direction[k] >= 0.0 && direction[k] != 0.0;
            target[*i] = if past { ends[k] } else { next };
        }
        length == 1.0
    }

    /// Where coordinate `i` at `v` must stop when it moves in the direction of `d`.
    fn end(&self, v: f64, i: usize, d: f64) -> f64 {
        let kink = self.l1[i] > 0.0 && v * d < 0.0;
        match (d > 0.0, kink) {
            (true, true) => self.high[i].min(0.0),
            (true, false) => self.high[i],
            (false, true) => self.low[i].max(0.0),
            (false, false) => self.low[i],
        }
    }
}

/// Minimum of `½ (x − t)² + threshold |x|`.
fn soft(t: f64, threshold: f64) -> f64 {
    if t > threshold {
        t - threshold
    } else if t < -threshold {
        t + threshold
    } else if t.is_nan() {
        t
    } else {
        0.0
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

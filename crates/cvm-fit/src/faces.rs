//! What is not smooth in the objective: bounds, and the kinks of the L1 penalty at zero.
//!
//! ```text
//! minimise F(w) = f(w) + Σ λ_i |w_i|   subject to   lower ≤ w ≤ upper
//! ```
//! `w` is optimal to first order where the *violation* is zero: the smallest subgradient of `F` in
//! the directions that stay inside the bounds (Karush, Kuhn & Tucker).

use crate::coordinate::working;
use crate::objective::Point;
use crate::result::ParamState;
use crate::settings::Settings;
use cvm_core::Transform;

/// Bounds and L1 weights in working coordinates; all lists empty where there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faces {
    /// Working bounds; infinite for none.
    bounds: Vec<(f64, f64)>,
    /// The same in natural parameters, as given.
    natural: Vec<(f64, f64)>,
    /// L1 weights per unit of weight.
    l1: Vec<f64>,
    weight: f64,
}

impl Faces {
    pub(crate) fn new(transforms: &[Transform], settings: &Settings, weight: f64) -> Self {
        if !settings.has_faces() {
            return Faces::default();
        }
        let dim = transforms.len();
        let natural: Vec<(f64, f64)> = (0..dim).map(|i| settings.bounds_of(i)).collect();
        let ends = |(transform, (low, high)): (&Transform, &(f64, f64))| {
            (reach(*transform, *low), reach(*transform, *high))
        };
        let l1_of = |i: usize| settings.l1.get(i).copied().unwrap_or(0.0) / weight;
        Faces {
            bounds: transforms.iter().zip(&natural).map(ends).collect(),
            natural,
            l1: (0..dim).map(l1_of).collect(),
            weight,
        }
    }

    /// Whether everything is smooth and unbounded.
    pub(crate) fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    pub(crate) fn bounds_of(&self, i: usize) -> (f64, f64) {
        let none = (f64::NEG_INFINITY, f64::INFINITY);
        self.bounds.get(i).copied().unwrap_or(none)
    }

    pub(crate) fn l1_of(&self, i: usize) -> f64 {
        self.l1.get(i).copied().unwrap_or(0.0)
    }

    pub(crate) fn clamp_one(&self, i: usize, w: f64) -> f64 {
        let (low, high) = self.bounds_of(i);
        w.max(low).min(high)
    }

    pub(crate) fn clamp(&self, mut working: Vec<f64>) -> Vec<f64> {
        if !self.is_empty() {
            for (i, w) in working.iter_mut().enumerate() {
                *w = self.clamp_one(i, *w);
            }
        }
        working
    }

    /// The natural bound, as the caller gave it, where `w` is at that bound.
    pub(crate) fn exact_bound(&self, i: usize, w: f64) -> Option<f64> {
        let (low, high) = *self.bounds.get(i)?;
        let (natural_low, natural_high) = *self.natural.get(i)?;
        if w == low {
            return Some(natural_low);
        }
        (w == high).then_some(natural_high)
    }

    /// `Σ l1_i |w_i|`, of the total.
    pub(crate) fn l1_total(&self, w: &[f64]) -> f64 {
        self.weight * self.l1_term(w)
    }

    /// `Σ λ_i |w_i|`.
    pub(crate) fn l1_term(&self, w: &[f64]) -> f64 {
        let pairs = self.l1.iter().zip(w);
        pairs.fold(0.0, |sum, (weight, w)| sum + weight * w.abs())
    }

    /// Smooth part plus L1 penalty.
    pub(crate) fn merit(&self, point: &Point) -> f64 {
        point.value + self.l1_term(&point.working)
    }

    /// Where coordinate `i` is when it has value `w`.
    pub(crate) fn state(&self, i: usize, w: f64) -> ParamState {
        let (low, high) = self.bounds_of(i);
        if low == high {
            ParamState::Held
        } else if w == low {
            ParamState::AtLower
        } else if w == high {
            ParamState::AtUpper
        } else if w == 0.0 && self.l1_of(i) > 0.0 {
            ParamState::Zero
        } else {
            ParamState::Free
        }
    }

    pub(crate) fn states(&self, working: &[f64]) -> Vec<ParamState> {
        let each = |(i, w): (usize, &f64)| self.state(i, *w);
        working.iter().enumerate().map(each).collect()
    }

    /// Smallest subgradient of `F` along feasible directions, coordinate by coordinate.
    pub(crate) fn violation(&self, point: &Point) -> Vec<f64> {
        if self.is_empty() {
            return point.gradient.clone();
        }
        let each = |(i, w): (usize, &f64)| self.violation_of(i, *w, point.gradient[i]);
        point.working.iter().enumerate().map(each).collect()
    }

    fn violation_of(&self, i: usize, w: f64, gradient: f64) -> f64 {
        let l1 = self.l1_of(i);
        let (low, high) = self.bounds_of(i);
        // Slopes of F to the left and to the right.
        let left = gradient + if w > 0.0 { l1 } else { -l1 };
        let right = gradient + if w < 0.0 { -l1 } else { l1 };
        if gradient.is_nan() {
            f64::NAN
        } else if right < 0.0 && w < high {
            right
        } else if left > 0.0 && w > low {
            left
        } else {
            0.0
        }
    }
}

fn reach(transform: Transform, bound: f64) -> f64 {
    let ended = match transform {
        Transform::Identity => false,
        Transform::Log => bound <= 0.0,
        Transform::Logit => bound <= 0.0 || bound >= 1.0,
        Transform::FisherZ => bound <= -1.0 || bound >= 1.0,
    };
    match (ended, bound > 0.0) {
        (false, _) => working(transform, bound),
        (true, true) => f64::INFINITY,
        (true, false) => f64::NEG_INFINITY,
    }
}

//! The function an optimizer sees: minus the penalised log-likelihood per unit of weight, in
//! working coordinates.
//!
//! | symbol | meaning                                                           |
//! |--------|-------------------------------------------------------------------|
//! | `θ`    | natural parameters                                                |
//! | `w`    | working coordinates: `ln θ` (`Transform::Log`) or `θ`             |
//! | `J`    | `dθ/dw`, diagonal: `θ` or `1`                                     |
//!
//! ```text
//! f(w) = −[ ℓ(θ(w)) − ½ Σ penalty_i w_i² ] / weight
//! ∂ℓ/∂w = J ∂ℓ/∂θ        ∂²ℓ/∂w² = J ∂²ℓ/∂θ² J + diag(θ ∂ℓ/∂θ) on log coordinates
//! ```

use crate::evaluate::evaluate;
use crate::linear::max_abs;
use cvm_core::{Derivatives, Likelihood, Order, Transform};
use ndarray::Array2;
use std::cell::Cell;

/// Log coordinates beyond this are treated as an escape to the boundary.
pub(crate) const LOG_BOUND: f64 = 30.0;

/// The objective with its evaluation count.
pub(crate) struct Objective<'a> {
    pub(crate) likelihood: &'a dyn Likelihood,
    pub(crate) transforms: &'a [Transform],
    pub(crate) penalty: &'a [f64],
    pub(crate) threads: usize,
    pub(crate) weight: f64,
    pub(crate) evaluations: Cell<u32>,
}

/// The objective at one place.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// Working coordinates.
    pub(crate) working: Vec<f64>,
    /// Natural parameters.
    pub(crate) theta: Vec<f64>,
    /// Log-likelihood without penalty, not divided by weight.
    pub(crate) log_likelihood: f64,
    /// Objective, to be minimised.
    pub(crate) value: f64,
    /// Gradient of the objective.
    pub(crate) gradient: Vec<f64>,
    /// Hessian of the objective; empty unless asked for.
    pub(crate) curvature: Array2<f64>,
}

impl Point {
    /// Whether value and gradient can be used.
    pub(crate) fn is_finite(&self) -> bool {
        self.value.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }

    /// Whether the Hessian was asked for and can be used.
    pub(crate) fn has_curvature(&self) -> bool {
        self.curvature.nrows() == self.working.len() && self.curvature.iter().all(|h| h.is_finite())
    }

    /// Largest absolute gradient per unit of weight.
    pub(crate) fn gradient_norm(&self) -> f64 {
        max_abs(&self.gradient)
    }
}

impl Objective<'_> {
    /// Number of parameters.
    pub(crate) fn dim(&self) -> usize {
        self.transforms.len()
    }

    /// Whether some log coordinate has left the region in which a model means anything.
    pub(crate) fn escaped(&self, working: &[f64]) -> Option<usize> {
        let mut pairs = working.iter().zip(self.transforms);
        pairs.position(|(w, transform)| *transform == Transform::Log && w.abs() > LOG_BOUND)
    }

    /// Working coordinates of natural parameters.
    pub(crate) fn working(&self, theta: &[f64]) -> Vec<f64> {
        let pairs = theta.iter().zip(self.transforms);
        let coordinate = |(value, transform): (&f64, &Transform)| match transform {
            Transform::Identity => *value,
            Transform::Log => cvm_math::ln(*value),
        };
        pairs.map(coordinate).collect()
    }

    /// Evaluates at working coordinates.
    pub(crate) fn at(&self, working: Vec<f64>, order: Order) -> Point {
        self.evaluations.set(self.evaluations.get() + 1);
        let pairs = working.iter().zip(self.transforms);
        let natural = |(w, transform): (&f64, &Transform)| match transform {
            Transform::Identity => *w,
            Transform::Log => cvm_math::exp(*w),
        };
        let theta: Vec<f64> = pairs.map(natural).collect();
        let sum = evaluate(self.likelihood, &theta, order, self.threads);
        let gradient = self.gradient(&working, &theta, &sum);
        let curvature = match order {
            Order::Hessian => self.curvature(&theta, &sum),
            Order::Value | Order::Gradient => Array2::zeros((0, 0)),
        };
        Point {
            log_likelihood: sum.value,
            value: (self.penalty_term(&working) - sum.value) / self.weight,
            theta,
            working,
            gradient,
            curvature,
        }
    }

    fn penalty_of(&self, i: usize) -> f64 {
        self.penalty.get(i).copied().unwrap_or(0.0)
    }

    /// `½ Σ penalty_i w_i²`.
    pub(crate) fn penalty_term(&self, working: &[f64]) -> f64 {
        let pairs = self.penalty.iter().zip(working);
        pairs.fold(0.0, |sum, (penalty, w)| sum + 0.5 * penalty * w * w)
    }

    /// `dθ_i/dw_i`.
    pub(crate) fn jacobian(&self, theta: &[f64], i: usize) -> f64 {
        match self.transforms[i] {
            Transform::Identity => 1.0,
            Transform::Log => theta[i],
        }
    }

    fn gradient(&self, working: &[f64], theta: &[f64], sum: &Derivatives) -> Vec<f64> {
        let term = |i: usize| {
            let slope = sum.gradient[i] * self.jacobian(theta, i);
            (self.penalty_of(i) * working[i] - slope) / self.weight
        };
        (0..self.dim()).map(term).collect()
    }

    fn curvature(&self, theta: &[f64], sum: &Derivatives) -> Array2<f64> {
        let dim = self.dim();
        let mut curvature = Array2::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..=i {
                let factor = self.jacobian(theta, i) * self.jacobian(theta, j);
                let mut second = sum.hessian[i * dim + j] * factor;
                if i == j {
                    if self.transforms[i] == Transform::Log {
                        second += sum.gradient[i] * theta[i];
                    }
                    second -= self.penalty_of(i);
                }
                curvature[[i, j]] = -second / self.weight;
                curvature[[j, i]] = curvature[[i, j]];
            }
        }
        curvature
    }

    /// Hessian by central differences of the gradient, for likelihoods whose own is not finite.
    pub(crate) fn difference_curvature(&self, point: &Point) -> Array2<f64> {
        let dim = self.dim();
        let mut rows = Array2::zeros((dim, dim));
        for i in 0..dim {
            // Cube root of the rounding unit balances truncation and cancellation.
            let step = 6e-6 * (1.0 + point.working[i].abs());
            let side = |sign: f64| {
                let mut moved = point.working.clone();
                moved[i] += sign * step;
                (moved[i], self.at(moved, Order::Gradient).gradient)
            };
            let ((upper, above), (lower, below)) = (side(1.0), side(-1.0));
            for j in 0..dim {
                rows[[i, j]] = (above[j] - below[j]) / (upper - lower);
            }
        }
        Array2::from_shape_fn((dim, dim), |(i, j)| 0.5 * (rows[[i, j]] + rows[[j, i]]))
    }
}

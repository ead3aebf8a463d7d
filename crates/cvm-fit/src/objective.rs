//! The function an optimizer sees: minus the penalised log-likelihood per unit of weight, in
//! working coordinates.
//!
//! | symbol | meaning                                                           |
//! |--------|-------------------------------------------------------------------|
//! | `θ`    | natural parameters                                                |
//! | `w`    | working coordinates, see [`crate::coordinate`]                    |
//! | `J`    | `dθ/dw`, diagonal                                                 |
//! | `π`    | product of the prior densities of `θ`                             |
//!
//! ```text
//! f(w) = −[ ℓ(θ(w)) + ln π(θ(w)) − ½ Σ penalty_i w_i² ] / weight
//! ∂ℓ/∂w = J ∂ℓ/∂θ        ∂²ℓ/∂w² = J ∂²ℓ/∂θ² J + diag(d²θ/dw² ∂ℓ/∂θ)
//! ```
//! The L1 penalty and the bounds, which are not smooth, are in [`crate::faces`].

use crate::coordinate::{bend, escape, natural, slope, working};
use crate::evaluate::evaluate;
use crate::faces::Faces;
use crate::linear::max_abs;
use crate::result::{ParamState, Progress};
use crate::settings::Settings;
use cvm_core::{Derivatives, Likelihood, Order, Transform};
use ndarray::Array2;
use std::cell::Cell;
use std::ops::ControlFlow;

/// What a caller may watch a fit with; `Break` cancels it.
pub(crate) type Watch<'a> = &'a dyn Fn(&Progress<'_>) -> ControlFlow<()>;

/// The objective with its evaluation count.
pub(crate) struct Objective<'a> {
    pub(crate) likelihood: &'a dyn Likelihood,
    pub(crate) transforms: &'a [Transform],
    pub(crate) settings: &'a Settings,
    pub(crate) faces: Faces,
    pub(crate) weight: f64,
    pub(crate) evaluations: Cell<u32>,
    /// Index of the start in use.
    pub(crate) start: Cell<usize>,
    pub(crate) watch: Watch<'a>,
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
    /// The same plus the log density of the priors.
    pub(crate) log_posterior: f64,
    /// Smooth part of the objective, to be minimised.
    pub(crate) value: f64,
    /// Gradient of the smooth part.
    pub(crate) gradient: Vec<f64>,
    /// Hessian of the smooth part; empty unless asked for.
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

impl<'a> Objective<'a> {
    /// The objective of a checked problem.
    pub(crate) fn new(
        likelihood: &'a dyn Likelihood,
        transforms: &'a [Transform],
        settings: &'a Settings,
        watch: Watch<'a>,
    ) -> Self {
        let weight = likelihood.weight();
        Objective {
            likelihood,
            transforms,
            settings,
            faces: Faces::new(transforms, settings, weight),
            weight,
            evaluations: Cell::new(0),
            start: Cell::new(0),
            watch,
        }
    }

    /// Number of parameters.
    pub(crate) fn dim(&self) -> usize {
        self.transforms.len()
    }

    /// Whether the caller wants to go on.
    pub(crate) fn is_cancelled(&self, point: &Point, iteration: u32) -> bool {
        let progress = Progress {
            start: self.start.get(),
            iteration,
            evaluations: self.evaluations.get(),
            params: &point.theta,
            log_likelihood: point.log_likelihood,
            gradient_norm: max_abs(&self.faces.violation(point)),
        };
        (self.watch)(&progress).is_break()
    }

    /// The first free coordinate that ran to the end of its range.
    pub(crate) fn escaped(&self, working: &[f64]) -> Option<usize> {
        let away = |(i, w): (usize, &f64)| {
            w.abs() > escape(self.transforms[i]) && self.faces.state(i, *w) == ParamState::Free
        };
        working.iter().enumerate().map(away).position(|out| out)
    }

    /// Working coordinates of natural parameters, moved into the bounds.
    pub(crate) fn working(&self, theta: &[f64]) -> Vec<f64> {
        let pairs = theta.iter().zip(self.transforms);
        let coordinates = pairs.map(|(value, transform)| working(*transform, *value));
        self.faces.clamp(coordinates.collect())
    }

    fn natural(&self, working: &[f64]) -> Vec<f64> {
        let each = |(i, w): (usize, &f64)| match self.faces.exact_bound(i, *w) {
            Some(bound) => bound,
            None => natural(self.transforms[i], *w),
        };
        working.iter().enumerate().map(each).collect()
    }

    /// Evaluates at working coordinates.
    pub(crate) fn at(&self, working: Vec<f64>, order: Order) -> Point {
        self.evaluations.set(self.evaluations.get() + 1);
        let theta = self.natural(&working);
        let mut sum = evaluate(self.likelihood, &theta, order, self.settings.threads);
        let log_likelihood = sum.value;
        self.add_priors(&theta, &mut sum);
        let slopes = self.slopes(&working, &theta);
        let gradient = self.gradient(&working, &slopes, &sum);
        let curvature = match order {
            Order::Hessian => self.curvature(&theta, &slopes, &sum),
            Order::Value | Order::Gradient => Array2::zeros((0, 0)),
        };
        Point {
            log_likelihood,
            log_posterior: sum.value,
            value: (self.penalty_term(&working) - sum.value) / self.weight,
            theta,
            working,
            gradient,
            curvature,
        }
    }

    fn add_priors(&self, theta: &[f64], sum: &mut Derivatives) {
        for (i, prior) in self.settings.priors.iter().enumerate() {
            let [value, first, second] = prior.log_density(theta[i]);
            sum.value += value;
            sum.gradient[i] += first;
            sum.hessian[i * theta.len() + i] += second;
        }
    }

    fn penalty_of(&self, i: usize) -> f64 {
        self.settings.penalty.get(i).copied().unwrap_or(0.0)
    }

    /// `½ Σ penalty_i w_i²`.
    pub(crate) fn penalty_term(&self, working: &[f64]) -> f64 {
        let pairs = self.settings.penalty.iter().zip(working);
        pairs.fold(0.0, |sum, (penalty, w)| sum + 0.5 * penalty * w * w)
    }

    /// `dθ_i/dw_i` of every parameter.
    pub(crate) fn slopes(&self, working: &[f64], theta: &[f64]) -> Vec<f64> {
        let each = |i: usize| slope(self.transforms[i], theta[i], working[i]);
        (0..self.dim()).map(each).collect()
    }

    fn gradient(&self, working: &[f64], slopes: &[f64], sum: &Derivatives) -> Vec<f64> {
        let term = |i: usize| {
            let slope = sum.gradient[i] * slopes[i];
            (self.penalty_of(i) * working[i] - slope) / self.weight
        };
        (0..self.dim()).map(term).collect()
    }

    fn curvature(&self, theta: &[f64], slopes: &[f64], sum: &Derivatives) -> Array2<f64> {
        let dim = self.dim();
        let mut curvature = Array2::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..=i {
                let factor = slopes[i] * slopes[j];
                let mut second = sum.hessian[i * dim + j] * factor;
                if i == j {
                    if self.transforms[i] != Transform::Identity {
                        second += sum.gradient[i] * bend(self.transforms[i], theta[i], slopes[i]);
                    }
                    second -= self.penalty_of(i);
                }
                curvature[[i, j]] = -second / self.weight;
                curvature[[j, i]] = curvature[[i, j]];
            }
        }
        curvature
    }

    /// Hessian by central differences of the gradient, for likelihoods whose own is not finite;
    /// one-sided at a bound, and zero for a parameter that is held.
    pub(crate) fn difference_curvature(&self, point: &Point) -> Array2<f64> {
        let dim = self.dim();
        let mut rows = Array2::zeros((dim, dim));
        for i in 0..dim {
            // Cube root of the rounding unit balances truncation and cancellation.
            let step = 6e-6 * (1.0 + point.working[i].abs());
            let side = |sign: f64| {
                let mut moved = point.working.clone();
                moved[i] = self.faces.clamp_one(i, moved[i] + sign * step);
                (moved[i], self.at(moved, Order::Gradient).gradient)
            };
            let ((upper, above), (lower, below)) = (side(1.0), side(-1.0));
            for j in 0..dim {
                if upper > lower {
                    rows[[i, j]] = (above[j] - below[j]) / (upper - lower);
                }
            }
        }
        Array2::from_shape_fn((dim, dim), |(i, j)| 0.5 * (rows[[i, j]] + rows[[j, i]]))
    }
}

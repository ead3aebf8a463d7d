//! Trust-region Newton with the exact Hessian, down to the rounding of the objective.

use crate::coordinate::longest_step;
use crate::linear::max_abs;
use crate::objective::{Objective, Point};
use crate::trust::{Step, shorten, step};
use cvm_core::Order;

/// A convergent Newton step must be this small, relative to `1 + |w|`.
pub(crate) const SETTLED_STEP: f64 = 1e-4;
/// Predicted decrease, relative to `1 + |f|`, at which there is nothing more to win.
pub(crate) const SETTLED_DECREASE: f64 = 1e-10;
/// Rounding of the objective, relative to `1 + |f|`: smaller differences decide nothing.
pub(crate) const ROUNDING: f64 = 1e-14;

/// Why an optimizer stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Gradient, predicted decrease and step are all small.
    Converged,
    /// No step improves the objective any more.
    Stalled,
    /// The step limit was reached.
    Limit,
    /// A transformed coordinate left the region in which a model means anything.
    Escaped(usize),
    /// The caller asked to stop.
    Cancelled,
    /// The Hessian is not finite.
    NoCurvature,
}

/// Where an optimizer stopped.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) point: Point,
    pub(crate) iterations: u32,
    pub(crate) stop: Stop,
    pub(crate) method: &'static str,
}

/// Minimises from `point`, which must have been evaluated with its Hessian.
pub(crate) fn newton(objective: &Objective<'_>, point: Point, tolerance: f64, limit: u32) -> Run {
    const REJECTIONS: u32 = 40;
    /// On a ridge without noise a coordinate leaves its range in fewer steps.
    const FLAT_STEPS: u32 = 20;
    let mut point = point;
    let mut radius = f64::INFINITY;
    let mut rejected = 0;
    let mut flat = 0;
    let mut iterations = 0;
    let stop = loop {
        if objective.is_cancelled(&point, iterations) {
            break Stop::Cancelled;
        }
        if !point.has_curvature() {
            break Stop::NoCurvature;
        }
        let step = capped(objective, &point, radius);
        if settled(&point, &step, tolerance) {
            point = polish(objective, point, step);
            break Stop::Converged;
        }
        if iterations == limit {
            break Stop::Limit;
        }
        iterations += 1;
        let trial = objective.at(moved(&point, &step), Order::Hessian);
        let verdict = judge(&point, &step, &trial);
        radius = next_radius(radius, &step, verdict);
        if verdict.accept {
            point = trial;
            rejected = 0;
        } else {
            rejected += 1;
        }
        if let Some(which) = objective.escaped(&point.working) {
            break Stop::Escaped(which);
        }
        flat = if is_flat(&point) { flat + 1 } else { 0 };
        if verdict.at_rounding && !verdict.accept || rejected == REJECTIONS || flat == FLAT_STEPS {
            break Stop::Stalled;
        }
    };
    Run {
        point,
        iterations,
        stop,
        method: "trust-region newton",
    }
}

/// Size of the full Newton step relative to `1 + |w|`; infinite if the curvature is not convex.
pub(crate) fn newton_size(point: &Point) -> f64 {
    if !point.has_curvature() {
        return f64::INFINITY;
    }
    let full = step(&point.curvature, &point.gradient, f64::INFINITY);
    if full.is_newton {
        relative_size(point, &full)
    } else {
        f64::INFINITY
    }
}

/// Hardly a slope, and yet Newton would go far: a ridge, or a maximum at infinity. Where rounding
/// decides there, no method climbs on.
pub(crate) fn is_flat(point: &Point) -> bool {
    const HARDLY: f64 = 1e-6;
    const FAR: f64 = 1e-2;
    point.gradient_norm() <= HARDLY && newton_size(point) > FAR
}

fn relative_size(point: &Point, step: &Step) -> f64 {
    let pairs = step.change.iter().zip(&point.working);
    let relative: Vec<f64> = pairs.map(|(p, w)| p / (1.0 + w.abs())).collect();
    max_abs(&relative)
}

fn moved(point: &Point, step: &Step) -> Vec<f64> {
    let pairs = point.working.iter().zip(&step.change);
    pairs.map(|(w, p)| w + p).collect()
}

/// The trust-region step, shortened so that no coordinate jumps by more than [`longest_step`].
fn capped(objective: &Objective<'_>, point: &Point, radius: f64) -> Step {
    let full = step(&point.curvature, &point.gradient, radius);
    let pairs = full.change.iter().zip(objective.transforms);
    let excess = pairs.fold(0.0, |top: f64, (p, transform)| {
        top.max(p.abs() / longest_step(*transform))
    });
    if excess <= 1.0 {
        return full;
    }
    shorten(&point.curvature, &point.gradient, &full, 1.0 / excess)
}

fn settled(point: &Point, step: &Step, tolerance: f64) -> bool {
    step.is_newton
        && point.gradient_norm() <= tolerance
        && step.predicted <= SETTLED_DECREASE * (1.0 + point.value.abs())
        && relative_size(point, step) <= SETTLED_STEP
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    accept: bool,
    at_rounding: bool,
    /// Actual over predicted decrease; minus infinity where the trial is not finite.
    ratio: f64,
}

fn judge(point: &Point, step: &Step, trial: &Point) -> Verdict {
    let at_rounding = step.predicted <= ROUNDING * (1.0 + point.value.abs());
    if !trial.is_finite() {
        return Verdict {
            accept: false,
            at_rounding,
            ratio: f64::NEG_INFINITY,
        };
    }
    let ratio = (point.value - trial.value) / step.predicted;
    let accept = if at_rounding {
        trial.gradient_norm() <= 0.5 * point.gradient_norm() && point.gradient_norm() > 0.0
    } else {
        ratio > 1e-4
    };
    Verdict {
        accept,
        at_rounding,
        ratio,
    }
}

fn next_radius(radius: f64, step: &Step, verdict: Verdict) -> f64 {
    if verdict.at_rounding {
        return radius;
    }
    if verdict.ratio < 0.1 {
        return 0.25 * step.scaled_length;
    }
    if verdict.ratio > 0.75 && !step.is_newton && radius.is_finite() {
        return radius.max(2.0 * step.scaled_length);
    }
    radius
}

/// Newton converges quadratically: one or two more steps reach the rounding of the gradient.
fn polish(objective: &Objective<'_>, point: Point, step: Step) -> Point {
    const ROUNDS: u32 = 3;
    const ENOUGH: f64 = 1e-13;
    let (mut point, mut next) = (point, step);
    for _ in 0..ROUNDS {
        if relative_size(&point, &next) <= ENOUGH {
            break;
        }
        let trial = objective.at(moved(&point, &next), Order::Hessian);
        let better = trial.is_finite()
            && trial.has_curvature()
            && trial.gradient_norm() < point.gradient_norm();
        if !better {
            break;
        }
        next = step_of(&trial);
        point = trial;
        if !next.is_newton {
            break;
        }
    }
    point
}

fn step_of(point: &Point) -> Step {
    step(&point.curvature, &point.gradient, f64::INFINITY)
}

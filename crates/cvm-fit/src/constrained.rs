//! Active-set Newton: trust-region Newton with bounds and an exact L1 penalty.
//!
//! Each step minimises the quadratic model of the smooth part plus the L1 penalty inside bounds and
//! trust region ([`crate::subproblem`]), so that zeros and bounds are hit exactly; the outer rules
//! (acceptance, radius, convergence, polish) are those of [`crate::newton`], with the violation of
//! the optimality conditions in place of the gradient.
//!
//! Source of the scheme: Lee, Sun & Saunders (2014), *SIAM J. Optim.* 24(3) (proximal Newton).

use crate::linear::max_abs;
use crate::newton::{ROUNDING, Run, SETTLED_DECREASE, SETTLED_STEP, Stop};
use crate::objective::{Objective, Point};
use crate::subproblem::{FaceStep, step};
use cvm_core::Order;

/// Minimises from `point`, which must have been evaluated with its Hessian.
pub(crate) fn active_set(
    objective: &Objective<'_>,
    point: Point,
    tolerance: f64,
    limit: u32,
) -> Run {
    const REJECTIONS: u32 = 40;
    let mut point = with_curvature(objective, point);
    let mut radius = f64::INFINITY;
    let (mut rejected, mut iterations) = (0, 0);
    let stop = loop {
        if objective.is_cancelled(&point, iterations) {
            break Stop::Cancelled;
        }
        if !point.has_curvature() {
            break Stop::NoCurvature;
        }
        let step = step(objective, &point, radius);
        if settled(objective, &point, &step, tolerance) {
            point = polish(objective, point, step);
            break Stop::Converged;
        }
        if iterations == limit {
            break Stop::Limit;
        }
        iterations += 1;
        let trial = objective.at(step.target.clone(), Order::Hessian);
        let (accept, at_rounding, ratio) = judge(objective, &point, &step, &trial);
        radius = next_radius(radius, &step, at_rounding, ratio);
        rejected = if accept { 0 } else { rejected + 1 };
        if accept {
            point = with_curvature(objective, trial);
        }
        if let Some(which) = objective.escaped(&point.working) {
            break Stop::Escaped(which);
        }
        if at_rounding && !accept || rejected == REJECTIONS {
            break Stop::Stalled;
        }
    };
    Run {
        point,
        iterations,
        stop,
        method: "active-set newton",
    }
}

/// The point with a Hessian by differences, where its own is not finite.
fn with_curvature(objective: &Objective<'_>, mut point: Point) -> Point {
    if !point.has_curvature() {
        point.curvature = objective.difference_curvature(&point);
    }
    point
}

fn violation(objective: &Objective<'_>, point: &Point) -> f64 {
    max_abs(&objective.faces.violation(point))
}

fn relative_size(point: &Point, step: &FaceStep) -> f64 {
    let pairs = step.target.iter().zip(&point.working);
    let relative: Vec<f64> = pairs.map(|(v, w)| (v - w) / (1.0 + w.abs())).collect();
    max_abs(&relative)
}

fn settled(objective: &Objective<'_>, point: &Point, step: &FaceStep, tolerance: f64) -> bool {
    step.is_newton
        && violation(objective, point) <= tolerance
        && step.predicted <= SETTLED_DECREASE * (1.0 + point.value.abs())
        && relative_size(point, step) <= SETTLED_STEP
}

/// Whether to accept, whether rounding decides, and actual over predicted decrease.
fn judge(
    objective: &Objective<'_>,
    point: &Point,
    step: &FaceStep,
    trial: &Point,
) -> (bool, bool, f64) {
    let at_rounding = step.predicted <= ROUNDING * (1.0 + point.value.abs());
    if !trial.is_finite() {
        return (false, at_rounding, f64::NEG_INFINITY);
    }
    let decrease = objective.faces.merit(point) - objective.faces.merit(trial);
    let ratio = decrease / step.predicted;
    let accept = if at_rounding {
        let now = violation(objective, point);
        violation(objective, trial) <= 0.5 * now && now > 0.0
    } else {
        ratio > 1e-4
    };
    (accept, at_rounding, ratio)
}

fn next_radius(radius: f64, step: &FaceStep, at_rounding: bool, ratio: f64) -> f64 {
    if at_rounding {
        return radius;
    }
    if ratio < 0.1 {
        return 0.25 * step.scaled_length;
    }
    if ratio > 0.75 && !step.is_newton && radius.is_finite() {
        return radius.max(2.0 * step.scaled_length);
    }
    radius
}

/// Last steps to the rounding of the optimality conditions.
fn polish(objective: &Objective<'_>, point: Point, first: FaceStep) -> Point {
    const ROUNDS: u32 = 3;
    const ENOUGH: f64 = 1e-13;
    let (mut point, mut next) = (point, first);
    for _ in 0..ROUNDS {
        if relative_size(&point, &next) <= ENOUGH {
            break;
        }
        let trial = objective.at(next.target.clone(), Order::Hessian);
        let better = trial.is_finite()
            && trial.has_curvature()
            && violation(objective, &trial) < violation(objective, &point);
        if !better {
            break;
        }
        next = step(objective, &trial, f64::INFINITY);
        point = trial;
        if !next.is_newton {
            break;
        }
    }
    point
}

//! Limited-memory BFGS with a weak-Wolfe bisection search: the fallback without a Hessian.
//!
//! Two-loop recursion: Nocedal (1980), *Mathematics of Computation* 35(151). Line search by
//! bracketing and bisection: Lewis & Overton (2013), *Mathematical Programming* 141, algorithm 2.6.

use crate::linear::{dot, max_abs, norm};
use crate::newton::{Run, Stop};
use crate::objective::{Objective, Point};
use cvm_core::Order;
use std::collections::VecDeque;

/// Pairs remembered.
const MEMORY: usize = 10;
/// Largest change of any coordinate tried first in a line search.
const LONGEST_CHANGE: f64 = 4.0;

struct Pair {
    change: Vec<f64>,
    bend: Vec<f64>,
    inverse_product: f64,
}

/// Minimises from `point` using values and gradients only.
pub(crate) fn lbfgs(objective: &Objective<'_>, point: Point, tolerance: f64, limit: u32) -> Run {
    let mut point = point;
    let mut memory: VecDeque<Pair> = VecDeque::new();
    let mut iterations = 0;
    let stop = loop {
        if objective.is_cancelled(&point, iterations) {
            break Stop::Cancelled;
        }
        if point.gradient_norm() <= tolerance {
            break Stop::Converged;
        }
        if iterations == limit {
            break Stop::Limit;
        }
        iterations += 1;
        let direction = direction(&point.gradient, &memory);
        let Some(next) = search(objective, &point, &direction) else {
            if memory.is_empty() {
                break Stop::Stalled;
            }
            // A stale memory can point uphill: forget it and try steepest descent once.
            memory.clear();
            continue;
        };
        remember(&mut memory, &point, &next);
        point = next;
        if let Some(which) = objective.escaped(&point.working) {
            break Stop::Escaped(which);
        }
    };
    Run {
        point,
        iterations,
        stop,
        method: "l-bfgs",
    }
}

fn direction(gradient: &[f64], memory: &VecDeque<Pair>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let factor = dot(&pair.change, &q) * pair.inverse_product;
        add_scaled(&mut q, -factor, &pair.bend);
        factors.push(factor);
    }
    let scale = match memory.back() {
        Some(pair) => 1.0 / (pair.inverse_product * dot(&pair.bend, &pair.bend)),
        None => 1.0 / norm(gradient).max(1.0),
    };
    q.iter_mut().for_each(|entry| *entry *= scale);
    for (pair, factor) in memory.iter().zip(factors.iter().rev()) {
        let back = dot(&pair.bend, &q) * pair.inverse_product;
        add_scaled(&mut q, factor - back, &pair.change);
    }
    q
}

fn add_scaled(target: &mut [f64], factor: f64, other: &[f64]) {
    for (slot, term) in target.iter_mut().zip(other) {
        *slot += factor * term;
    }
}

/// A point that decreases the objective enough and flattens its slope; or merely decreases it,
/// when no better one is found.
fn search(objective: &Objective<'_>, point: &Point, direction: &[f64]) -> Option<Point> {
    const TRIALS: u32 = 50;
    const DECREASE: f64 = 1e-4;
    const FLATTEN: f64 = 0.9;
    let slope = dot(&point.gradient, direction);
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let (mut low, mut high) = (0.0, f64::INFINITY);
    let mut length = (LONGEST_CHANGE / max_abs(direction)).min(1.0);
    let mut decreased = None;
    for _ in 0..TRIALS {
        let pairs = point.working.iter().zip(direction);
        let working = pairs.map(|(w, d)| w + length * d).collect();
        let trial = objective.at(working, Order::Gradient);
        let enough = point.value + DECREASE * length * slope;
        if !trial.is_finite() || trial.value > enough || trial.value >= point.value {
            high = length;
        } else if dot(&trial.gradient, direction) < FLATTEN * slope {
            low = length;
            decreased = Some(trial);
        } else {
            return Some(trial);
        }
        length = if high.is_finite() {
            0.5 * (low + high)
        } else {
            2.0 * low
        };
    }
    decreased
}

fn remember(memory: &mut VecDeque<Pair>, from: &Point, to: &Point) {
    let change = difference(&to.working, &from.working);
    let bend = difference(&to.gradient, &from.gradient);
    let product = dot(&change, &bend);
    // Only positive curvature keeps the implied inverse Hessian positive definite.
    if product > 1e-12 * norm(&change) * norm(&bend) {
        if memory.len() == MEMORY {
            memory.pop_front();
        }
        memory.push_back(Pair {
            change,
            bend,
            inverse_product: 1.0 / product,
        });
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

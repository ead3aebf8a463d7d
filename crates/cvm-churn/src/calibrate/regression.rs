//! Logistic regression of an outcome on one to three columns: Newton's method with step halving.
//!
//! Maximises `Σ w (t η − ln(1 + e^η))`, `η = Σ c_j v_j`, whose targets `t` are drawn in a little from
//! 0 and 1 so that the maximum is finite even where the classes separate:
//! `t₊ = (N₊ + 1)/(N₊ + 2)`, `t₋ = 1/(N₋ + 2)`.
//!
//! Source: Platt (1999), §2.2; Lin, Lin & Weng (2007), *Machine Learning* 68, for the method.

use super::sample::Sample;
use cvm_math::{sigmoid, softplus};

/// Columns at most.
const COLUMNS: usize = 3;
const MOST_STEPS: usize = 100;
const MOST_HALVINGS: usize = 40;
/// A gradient this small per unit of weight is none.
const TOLERANCE: f64 = 1e-12;

type Vector = [f64; COLUMNS];

/// Columns of every row with their targets and weights.
#[derive(Debug)]
pub(crate) struct Regression<'a> {
    columns: Vec<Vector>,
    targets: Vec<f64>,
    weights: &'a [f64],
    count: usize,
}

impl<'a> Regression<'a> {
    /// `columns` gives the values of a row from its log-odds; unused places are 0.
    pub(crate) fn new(sample: &'a Sample, count: usize, columns: impl Fn(f64) -> Vector) -> Self {
        let total = |churned: bool| {
            let rows = sample.churned.iter().zip(&sample.weight);
            rows.filter(|(own, _)| **own == churned)
                .fold(0.0, |sum, (_, weight)| sum + weight)
        };
        let high = (total(true) + 1.0) / (total(true) + 2.0);
        let low = 1.0 / (total(false) + 2.0);
        let target = |churned: &bool| if *churned { high } else { low };
        Regression {
            columns: sample.eta.iter().map(|eta| columns(*eta)).collect(),
            targets: sample.churned.iter().map(target).collect(),
            weights: &sample.weight,
            count,
        }
    }

    /// The coefficients; `fixed[j]` keeps column `j` at 0.
    pub(crate) fn solve(&self, start: Vector, fixed: [bool; COLUMNS]) -> Vector {
        let mut at = start;
        for (place, fixed) in fixed.iter().enumerate() {
            if *fixed || place >= self.count {
                at[place] = 0.0;
            }
        }
        let mut value = self.value(&at);
        for _ in 0..MOST_STEPS {
            let (gradient, hessian) = self.derivatives(&at, fixed);
            if gradient
                .iter()
                .all(|g| g.abs() <= TOLERANCE * self.weights.len() as f64)
            {
                break;
            }
            let step = newton_step(&gradient, hessian);
            let Some((next, better)) = self.halve(&at, &step, value) else {
                break;
            };
            (at, value) = (next, better);
        }
        at
    }

    /// The first of `at + step`, `at + step/2`, … that is better.
    fn halve(&self, at: &Vector, step: &Vector, value: f64) -> Option<(Vector, f64)> {
        let mut size = 1.0;
        for _ in 0..MOST_HALVINGS {
            let mut next = *at;
            for (own, step) in next.iter_mut().zip(step) {
                *own += size * step;
            }
            let own = self.value(&next);
            if own > value {
                return Some((next, own));
            }
            size *= 0.5;
        }
        None
    }

    fn value(&self, at: &Vector) -> f64 {
        let rows = self.columns.iter().zip(&self.targets).zip(self.weights);
        rows.fold(0.0, |sum, ((columns, target), weight)| {
            let eta = dot(at, columns);
            sum + weight * (target * eta - softplus(eta))
        })
    }

    /// Gradient, and the negative of the matrix of second derivatives.
    fn derivatives(&self, at: &Vector, fixed: [bool; COLUMNS]) -> (Vector, [Vector; COLUMNS]) {
        let mut gradient = [0.0; COLUMNS];
        let mut hessian = [[0.0; COLUMNS]; COLUMNS];
        let rows = self.columns.iter().zip(&self.targets).zip(self.weights);
        for ((columns, target), weight) in rows {
            let p = sigmoid(dot(at, columns));
            let spread = weight * p * (1.0 - p);
            for i in 0..self.count {
                gradient[i] += weight * (target - p) * columns[i];
                for j in 0..self.count {
                    hessian[i][j] += spread * columns[i] * columns[j];
                }
            }
        }
        for i in 0..COLUMNS {
            if fixed[i] || i >= self.count {
                gradient[i] = 0.0;
                hessian.iter_mut().for_each(|row| row[i] = 0.0);
                hessian[i] = [0.0; COLUMNS];
                hessian[i][i] = 1.0;
            }
        }
        (gradient, hessian)
    }
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `H⁻¹ g` by Gauss–Jordan; a little is added to the diagonal, so that columns which tell the same
/// share a step.
fn newton_step(gradient: &Vector, mut hessian: [Vector; COLUMNS]) -> Vector {
    const RIDGE: f64 = 1e-12;
    let mut step = *gradient;
    for (i, row) in hessian.iter_mut().enumerate() {
        row[i] += RIDGE * row[i] + f64::MIN_POSITIVE;
    }
    for i in 0..COLUMNS {
        let pivot = hessian[i][i];
        hessian[i].iter_mut().for_each(|cell| *cell /= pivot);
        step[i] /= pivot;
        let own = hessian[i];
        for other in (0..COLUMNS).filter(|other| *other != i) {
            let factor = hessian[other][i];
            for (cell, own) in hessian[other].iter_mut().zip(own) {
                *cell -= factor * own;
            }
            step[other] -= factor * step[i];
        }
    }
    step
}

//! The log-likelihood over customers under contract with covariates that change with time.
//!
//! Both hazards of a row, `H(0, T−1)` and `H(T−1, 1)`, are functions of the base `b = β + D(T_0)`, `α` and the
//! step `d = D(T_0+t) − D(T_0)` of the clock; their derivatives go through those of the clock in `(c, γ)`:
//!
//! ```text
//! ∂D/∂c = Σ e^{γᵀz} ∂(step)/∂c,   ∂D/∂γ_j = Σ z_j e^{γᵀz} step,   and so on
//! ```

use super::{BdwTv, TimedTenure};
use crate::beta_ratio::BetaDrop;
use crate::contract::{PowerStep, Tenure, ln_churn};
use crate::covariate_path::CovariatePath;
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::expm1;

/// Customers of one block.
const BLOCK: usize = 256;
/// Parameters before the coefficients.
const OWN: usize = 3;
/// Index of `c`.
const C: usize = 2;

/// Customers of a fit, whose parameters are `(α, β, c)` and the coefficients.
#[derive(Debug)]
pub struct TimedTenureLikelihood {
    rows: Vec<TimedTenure>,
    weights: Vec<f64>,
    width: usize,
}

impl TimedTenureLikelihood {
    /// The likelihood of `rows` (weight 1 each without `weights`); `None` where rows differ in their
    /// numbers of covariates, or weights in number.
    #[must_use]
    pub fn new(rows: Vec<TimedTenure>, weights: Option<&[f64]>) -> Option<Self> {
        let widths = rows.first().map_or([0, 0], |row| row.path.widths());
        let alike = rows.iter().all(|row| row.path.widths() == widths);
        let weights = weights.map_or_else(|| vec![1.0; rows.len()], <[f64]>::to_vec);
        let fine = alike && widths[0] == 0 && weights.len() == rows.len();
        fine.then_some(TimedTenureLikelihood {
            rows,
            weights,
            width: widths[1],
        })
    }

    fn model(&self, theta: &[f64]) -> Option<BdwTv> {
        let (own, gamma) = theta.split_at_checked(OWN)?;
        let own: [f64; OWN] = own.try_into().ok()?;
        let fits = gamma.len() == self.width;
        BdwTv::new(own, gamma).ok().filter(|_| fits)
    }
}

/// A function of the parameters with its derivatives.
#[derive(Debug, Clone)]
struct Jet {
    value: f64,
    gradient: Vec<f64>,
    /// Row-major; symmetric.
    hessian: Vec<f64>,
}

impl Jet {
    fn zero(dim: usize) -> Self {
        Jet {
            value: 0.0,
            gradient: vec![0.0; dim],
            hessian: vec![0.0; dim * dim],
        }
    }

    /// The parameter of that index.
    fn param(dim: usize, index: usize, value: f64) -> Self {
        let mut jet = Jet::zero(dim);
        jet.value = value;
        jet.gradient[index] = 1.0;
        jet
    }
}

impl BdwTv {
    /// `D(from + span) − D(from)` with derivatives in `(α, β, c, γ)`.
    fn clock_jet(&self, path: &CovariatePath, from: f64, span: f64) -> Jet {
        let dim = OWN + self.gamma.len();
        let mut jet = Jet::zero(dim);
        for piece in path.pieces(from, span) {
            let speed = self.speed(&piece);
            let step = PowerStep::new(from + piece.start, piece.length, self.c).step;
            let [value, by_c, by_cc] = step.map(|part| speed * part);
            jet.value += value;
            jet.gradient[C] += by_c;
            jet.hessian[C * dim + C] += by_cc;
            for (i, z) in piece.dropout.iter().enumerate() {
                let row = OWN + i;
                jet.gradient[row] += z * value;
                jet.hessian[C * dim + row] += z * by_c;
                jet.hessian[row * dim + C] += z * by_c;
                for (j, other) in piece.dropout.iter().enumerate() {
                    jet.hessian[row * dim + OWN + j] += z * other * value;
                }
            }
        }
        jet
    }

    /// `H(T, t)` with derivatives, given the clock at `T`.
    fn hazard_jet(&self, start: &Jet, step: &Jet) -> Jet {
        let dim = start.gradient.len();
        let mut base = start.clone();
        base.value += self.beta;
        base.gradient[1] += 1.0;
        let alpha = Jet::param(dim, 0, self.alpha);
        let drop = BetaDrop::new(base.value, self.alpha, step.value);
        compose(&drop, [&base, &alpha, step])
    }
}

/// A function of three by the chain rule.
fn compose(outer: &BetaDrop, inner: [&Jet; 3]) -> Jet {
    let dim = inner[0].gradient.len();
    let mut jet = Jet::zero(dim);
    jet.value = outer.value;
    for (p, first) in inner.iter().enumerate() {
        for i in 0..dim {
            jet.gradient[i] += outer.gradient[p] * first.gradient[i];
        }
        for index in 0..dim * dim {
            jet.hessian[index] += outer.gradient[p] * first.hessian[index];
        }
        for (q, second) in inner.iter().enumerate() {
            let bend = outer.hessian[p][q];
            for i in 0..dim {
                for j in 0..dim {
                    jet.hessian[i * dim + j] += bend * first.gradient[i] * second.gradient[j];
                }
            }
        }
    }
    jet
}

/// Adds `weight` times the derivatives of `f(H)` with `f' = first` and `f'' = second`.
fn add(hazard: &Jet, weight: f64, first: f64, second: f64, order: Order, sum: &mut Derivatives) {
    let dim = hazard.gradient.len();
    for i in 0..dim {
        sum.gradient[i] += weight * first * hazard.gradient[i];
        if order < Order::Hessian {
            continue;
        }
        for j in 0..dim {
            let outer = second * hazard.gradient[i] * hazard.gradient[j];
            sum.hessian[i * dim + j] += weight * (first * hazard.hessian[i * dim + j] + outer);
        }
    }
}

fn add_row(model: &BdwTv, row: &TimedTenure, weight: f64, order: Order, sum: &mut Derivatives) {
    let Tenure { tenure, churned } = row.tenure;
    let stayed = tenure - churned;
    let start = model.clock_jet(&row.path, 0.0, stayed);
    if stayed > 0.0 {
        let none = Jet::zero(start.gradient.len());
        let hazard = model.hazard_jet(&none, &start);
        sum.value -= weight * hazard.value;
        add(&hazard, weight, -1.0, 0.0, order, sum);
    }
    if churned == 1.0 {
        let step = model.clock_jet(&row.path, stayed, 1.0);
        let hazard = model.hazard_jet(&start, &step);
        let first = 1.0 / expm1(hazard.value);
        sum.value += weight * ln_churn(hazard.value);
        add(&hazard, weight, first, -first * (1.0 + first), order, sum);
    }
}

impl Likelihood for TimedTenureLikelihood {
    fn dim(&self) -> usize {
        OWN + self.width
    }

    fn block_count(&self) -> usize {
        self.rows.len().div_ceil(BLOCK)
    }

    fn cost_hint_ns(&self) -> f64 {
        const ROW_NS: f64 = 10_000.0;
        ROW_NS * self.rows.len() as f64
    }

    fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(model) = self.model(theta) else {
            sum.value = f64::NAN;
            return;
        };
        let end = ((block + 1) * BLOCK).min(self.rows.len());
        let range = (block * BLOCK).min(end)..end;
        for (row, weight) in self.rows[range.clone()].iter().zip(&self.weights[range]) {
            if order == Order::Value {
                sum.value += weight * model.log_lik(row);
            } else {
                add_row(&model, row, *weight, order, sum);
            }
        }
    }
}

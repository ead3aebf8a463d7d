//! The log-likelihood over customers with covariates that change with time.

use super::{ParetoNbdTv, TimedRow};
use cvm_core::{Derivatives, Likelihood, Order};

/// Customers of one block.
const BLOCK: usize = 128;
/// Step of a difference, relative to a parameter or to a coefficient's unit.
const STEP: f64 = 6e-6;

/// Customers of a fit, whose parameters are `(r, α, s, β)`, the coefficients of the purchase rate and
/// those of the dropout rate.
#[derive(Debug)]
pub struct TimedLikelihood {
    rows: Vec<TimedRow>,
    weights: Vec<f64>,
    widths: [usize; 2],
}

impl TimedLikelihood {
    /// The likelihood of `rows` (weight 1 each without `weights`); `None` where rows differ in their
    /// numbers of covariates, or weights in number.
    #[must_use]
    pub fn new(rows: Vec<TimedRow>, weights: Option<&[f64]>) -> Option<Self> {
        let widths = rows.first().map_or([0, 0], TimedRow::path_widths);
        let alike = rows.iter().all(|row| row.path_widths() == widths);
        let weights = weights.map_or_else(|| vec![1.0; rows.len()], <[f64]>::to_vec);
        (alike && weights.len() == rows.len()).then_some(TimedLikelihood {
            rows,
            weights,
            widths,
        })
    }

    fn model(&self, theta: &[f64]) -> Option<ParetoNbdTv> {
        let params: [f64; 4] = theta.get(..4)?.try_into().ok()?;
        let (gamma, kappa) = theta.get(4..)?.split_at_checked(self.widths[0])?;
        ParetoNbdTv::new(params, gamma, kappa).ok()
    }

    /// Adds value and gradient of a block.
    fn add_gradient(&self, theta: &[f64], block: usize, value: &mut f64, gradient: &mut [f64]) {
        let Some(model) = self.model(theta) else {
            *value = f64::NAN;
            return;
        };
        let mut own = vec![0.0; self.dim()];
        for (row, weight) in self.block(block) {
            *value += weight * model.log_lik_grad(row, &mut own);
            for (slot, slope) in gradient.iter_mut().zip(&own) {
                *slot += weight * slope;
            }
        }
    }

    fn block(&self, block: usize) -> impl Iterator<Item = (&TimedRow, &f64)> {
        let end = ((block + 1) * BLOCK).min(self.rows.len());
        let range = (block * BLOCK).min(end)..end;
        self.rows[range.clone()].iter().zip(&self.weights[range])
    }

    /// Central differences of the gradient, made symmetric.
    fn add_hessian(&self, theta: &[f64], block: usize, hessian: &mut [f64]) {
        let dim = self.dim();
        let mut moved = theta.to_vec();
        for j in 0..dim {
            let step = if j < 4 { STEP * theta[j] } else { STEP };
            let mut slopes = vec![0.0; dim];
            let mut down = vec![0.0; dim];
            moved[j] = theta[j] + step;
            self.add_gradient(&moved, block, &mut 0.0, &mut slopes);
            moved[j] = theta[j] - step;
            self.add_gradient(&moved, block, &mut 0.0, &mut down);
            moved[j] = theta[j];
            for i in 0..dim {
                let second = (slopes[i] - down[i]) / (2.0 * step);
                hessian[i * dim + j] += 0.5 * second;
                hessian[j * dim + i] += 0.5 * second;
            }
        }
    }
}

impl Likelihood for TimedLikelihood {
    fn dim(&self) -> usize {
        4 + self.widths[0] + self.widths[1]
    }

    fn block_count(&self) -> usize {
        self.rows.len().div_ceil(BLOCK)
    }

    fn cost_hint_ns(&self) -> f64 {
        const ROW_NS: f64 = 20_000.0;
        ROW_NS * self.rows.len() as f64
    }

    fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(model) = self.model(theta).filter(|_| theta.len() == self.dim()) else {
            sum.value = f64::NAN;
            return;
        };
        if order == Order::Value {
            for (row, weight) in self.block(block) {
                sum.value += weight * model.log_lik(row);
            }
            return;
        }
        self.add_gradient(theta, block, &mut sum.value, &mut sum.gradient);
        if order == Order::Hessian {
            self.add_hessian(theta, block, &mut sum.hessian);
        }
    }
}

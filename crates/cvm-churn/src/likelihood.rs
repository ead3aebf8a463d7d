//! Binomial log-likelihood of a logit linear in standardised columns.
//!
//! | symbol | meaning                                                             |
//! |--------|---------------------------------------------------------------------|
//! | `z_i`  | standardised columns of merged row `i`, the first is 1              |
//! | `n_i`  | weight of the row                                                   |
//! | `y_i`  | weight of those in it who churned                                   |
//! | `η_i`  | `θᵀz_i`, plus the row's offset if there is one, the logit           |
//!
//! ```text
//! ℓ = Σ y_i η_i − n_i ln(1 + e^η_i)
//! ∂ℓ/∂θ = Σ (y_i − n_i p_i) z_i            p_i = 1/(1 + e^−η_i)
//! ∂²ℓ/∂θ² = −Σ n_i p_i (1−p_i) z_i z_iᵀ
//! ```
//! Source: McCullagh & Nelder (1989), *Generalized Linear Models*, 2nd ed., section 4.4.

use crate::sums::{add_scaled, dot};
use cvm_core::{Derivatives, Likelihood, Order};
use ndarray::Array2;

/// Rows per block: 50 columns of a block fit a second-level cache.
pub(crate) const BLOCK_ROWS: usize = 512;

/// Merged rows in blocks; one contiguous run of rows per column.
#[derive(Debug, Clone)]
pub struct LogisticLikelihood {
    dim: usize,
    weight: f64,
    row_count: usize,
    blocks: Vec<Block>,
}

/// Rows of one block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// `dim x rows`.
    pub(crate) design: Array2<f64>,
    /// `n_i`.
    pub(crate) weight: Vec<f64>,
    /// `y_i`.
    pub(crate) churned: Vec<f64>,
    /// Added to every logit; empty for nothing.
    pub(crate) offset: Vec<f64>,
}

impl Block {
    fn column(&self, j: usize) -> &[f64] {
        let rows = self.weight.len();
        let all = self.design.as_slice().unwrap_or_default();
        all.get(j * rows..(j + 1) * rows).unwrap_or_default()
    }

    fn logits(&self, theta: &[f64]) -> Vec<f64> {
        let mut logits = match self.offset.is_empty() {
            true => vec![0.0; self.weight.len()],
            false => self.offset.clone(),
        };
        for (j, factor) in theta.iter().enumerate() {
            add_scaled(&mut logits, *factor, self.column(j));
        }
        logits
    }
}

impl LogisticLikelihood {
    /// Blocks of standard-layout matrices of `dim` rows each.
    pub(crate) fn new(dim: usize, blocks: Vec<Block>) -> Self {
        let sum = |block: &Block| block.weight.iter().fold(0.0, |sum, w| sum + w);
        LogisticLikelihood {
            dim,
            weight: blocks.iter().fold(0.0, |total, block| total + sum(block)),
            row_count: blocks.iter().map(|block| block.weight.len()).sum(),
            blocks,
        }
    }

    /// Distinct encoded rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Largest absolute logit of any row: beyond about 23 a probability is 0 or 1 to ten digits.
    pub(crate) fn largest_logit(&self, theta: &[f64]) -> f64 {
        let logits = self.blocks.iter().flat_map(|block| block.logits(theta));
        logits.fold(0.0, |top, logit| top.max(logit.abs()))
    }
}

impl Likelihood for LogisticLikelihood {
    fn dim(&self) -> usize {
        self.dim
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    #[allow(clippy::cast_precision_loss)]
    fn cost_hint_ns(&self) -> f64 {
        let (dim, rows) = (self.dim as f64, self.row_count as f64);
        rows * (30.0 + 0.5 * dim + 0.15 * dim * dim)
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(block) = self.blocks.get(block) else {
            return;
        };
        let logits = block.logits(theta);
        let mut work = vec![0.0; logits.len()];
        cvm_math::slice::softplus(&logits, &mut work);
        sum.value += dot(&block.churned, &logits) - dot(&block.weight, &work);
        if order == Order::Value {
            return;
        }
        cvm_math::slice::sigmoid(&logits, &mut work);
        let pairs = block.churned.iter().zip(&block.weight).zip(&work);
        let residuals: Vec<f64> = pairs.map(|((y, n), p)| y - n * p).collect();
        for (j, slot) in sum.gradient.iter_mut().enumerate() {
            *slot += dot(block.column(j), &residuals);
        }
        if order == Order::Hessian {
            let spread = |(p, n): (&f64, &f64)| n * p * (1.0 - p);
            let spreads: Vec<f64> = work.iter().zip(&block.weight).map(spread).collect();
            add_hessian(block, &spreads, &mut sum.hessian);
        }
    }
}

fn add_hessian(block: &Block, spreads: &[f64], hessian: &mut [f64]) {
    let dim = block.design.nrows();
    let mut scaled = vec![0.0; spreads.len()];
    for i in 0..dim {
        for ((slot, z), w) in scaled.iter_mut().zip(block.column(i)).zip(spreads) {
            *slot = z * w;
        }
        for j in 0..=i {
            let term = dot(&scaled, block.column(j));
            hessian[i * dim + j] -= term;
            if i != j {
                hessian[j * dim + i] -= term;
            }
        }
    }
}

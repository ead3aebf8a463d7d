//! Log-likelihood of a Weibull regression and its derivatives.
//!
//! With `y = ln t − c` (`c` centres the logarithms of time), `a = k(c − ln λ)` and `z` the inputs,
//! `H(t) = e^{a + zβ + ky}` at `stop` and `start` are `E` and `F` (0 at the start of a relation):
//!
//! ```text
//! ℓ       = Σ w [ δ(ln k + a + zβ + ky − ln t) − (E − F) ]
//! ∂ℓ/∂a   = Σ w [ δ − (E − F) ]                  ∂ℓ/∂β = Σ w [ δ − (E − F) ] z
//! ∂ℓ/∂k   = Σ w [ δ(1/k + y) − (E y − F y_F) ]
//! −∂²ℓ    = Σ w [ (E − F) (1,z)(1,z)ᵀ,  (E y − F y_F)(1,z),  δ/k² + E y² − F y_F² ]
//! ```
//! Without late entry it is concave in `(a, k, β)`: where there is an optimum there is one.

use crate::sums::{add_scaled, dot, sum as total};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{expm1, ln, slice};

/// Rows per block.
pub(crate) const BLOCK_ROWS: usize = 512;
/// Parameters before the coefficients: `a`, `k`.
pub(crate) const OWN: usize = 2;

/// Rows of one block, a run of rows per quantity.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// `ln stop − c`.
    pub(crate) stop: Vec<f64>,
    /// `ln start − c`, minus infinity at the start of a relation.
    pub(crate) start: Vec<f64>,
    /// 1 where the row ended in the event.
    pub(crate) left: Vec<f64>,
    pub(crate) weight: Vec<f64>,
    /// Standardised inputs.
    pub(crate) inputs: Vec<Vec<f64>>,
}

/// The likelihood: parameters are `a`, `k`, then one coefficient per standardised input.
#[derive(Debug, Clone)]
pub struct WeibullLikelihood {
    center: f64,
    input_dim: usize,
    weight: f64,
    blocks: Vec<Block>,
}

/// Weighted terms of every row of a block.
struct Terms {
    value: f64,
    /// `w [δ − (E − F)]`.
    slope: Vec<f64>,
    /// `w (E − F)`, `w (E y − F y_F)`.
    passed: Vec<f64>,
    tilted: Vec<f64>,
    /// `Σ w δ (1/k + y)`, `Σ w (δ/k² + E y² − F y_F²)`.
    shape_gain: f64,
    shape_curve: f64,
}

impl WeibullLikelihood {
    pub(crate) fn new(center: f64, input_dim: usize, blocks: Vec<Block>) -> Self {
        let weights = blocks.iter().flat_map(|block| &block.weight);
        WeibullLikelihood {
            center,
            input_dim,
            weight: weights.fold(0.0, |sum, w| sum + w),
            blocks,
        }
    }

    /// `c`.
    pub(crate) fn center(&self) -> f64 {
        self.center
    }

    fn terms(&self, block: &Block, theta: &[f64]) -> Terms {
        let (own, beta) = theta.split_at(OWN);
        let (a, k) = (own[0], own[1]);
        let mut level = vec![a; block.stop.len()];
        for (factor, column) in beta.iter().zip(&block.inputs) {
            add_scaled(&mut level, *factor, column);
        }
        add_scaled(&mut level, k, &block.stop);
        let mut risk = vec![0.0; level.len()];
        slice::exp(&level, &mut risk);
        let (ln_k, rows) = (ln(k), level.len());
        let mut terms = Terms {
            value: 0.0,
            slope: Vec::with_capacity(rows),
            passed: Vec::with_capacity(rows),
            tilted: Vec::with_capacity(rows),
            shape_gain: 0.0,
            shape_curve: 0.0,
        };
        for i in 0..rows {
            let (y, w, left) = (block.stop[i], block.weight[i], block.left[i]);
            let (passed, tilted, bent) = passed(risk[i], k, y, block.start[i]);
            if left > 0.0 {
                terms.value += w * (ln_k + level[i] - (y + self.center));
                terms.shape_gain += w * (1.0 / k + y);
                terms.shape_curve += w / (k * k);
            }
            terms.value -= w * passed;
            terms.shape_curve += w * bent;
            terms.slope.push(w * (left - passed));
            terms.passed.push(w * passed);
            terms.tilted.push(w * tilted);
        }
        terms
    }
}

/// `E − F`, `E y − F y_F`, `E y² − F y_F²`.
fn passed(risk: f64, k: f64, y: f64, start: f64) -> (f64, f64, f64) {
    if start == f64::NEG_INFINITY {
        return (risk, risk * y, risk * y * y);
    }
    // E − F without cancelling: a stretch may be short against the tenure.
    let gain = -risk * expm1(k * (start - y));
    let before = risk - gain;
    let step = y - start;
    let tilted = gain * y + before * step;
    let bent = gain * y * y + before * step * (y + start);
    (gain, tilted, bent)
}

impl Likelihood for WeibullLikelihood {
    fn dim(&self) -> usize {
        OWN + self.input_dim
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    #[allow(clippy::cast_precision_loss)]
    fn cost_hint_ns(&self) -> f64 {
        let (dim, blocks) = (self.dim() as f64, self.blocks.len() as f64);
        blocks * BLOCK_ROWS as f64 * (15.0 + 0.15 * dim * dim)
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(block) = self.blocks.get(block) else {
            return;
        };
        let terms = self.terms(block, theta);
        sum.value += terms.value;
        if order == Order::Value {
            return;
        }
        sum.gradient[0] += total(&terms.slope);
        sum.gradient[1] += terms.shape_gain - total(&terms.tilted);
        for (slot, column) in sum.gradient.iter_mut().skip(OWN).zip(&block.inputs) {
            *slot += dot(column, &terms.slope);
        }
        if order == Order::Hessian {
            add_hessian(block, &terms, &mut sum.hessian);
        }
    }
}

fn add_hessian(block: &Block, terms: &Terms, hessian: &mut [f64]) {
    let dim = OWN + block.inputs.len();
    let mut put = |i: usize, j: usize, value: f64| {
        hessian[i * dim + j] -= value;
        if i != j {
            hessian[j * dim + i] -= value;
        }
    };
    put(0, 0, total(&terms.passed));
    put(1, 0, total(&terms.tilted));
    put(1, 1, terms.shape_curve);
    let mut scaled = vec![0.0; terms.passed.len()];
    for (i, column) in block.inputs.iter().enumerate() {
        put(OWN + i, 0, dot(column, &terms.passed));
        put(OWN + i, 1, dot(column, &terms.tilted));
        for ((slot, z), c) in scaled.iter_mut().zip(column).zip(&terms.passed) {
            *slot = z * c;
        }
        for (j, other) in block.inputs.iter().take(i + 1).enumerate() {
            put(OWN + i, OWN + j, dot(&scaled, other));
        }
    }
}

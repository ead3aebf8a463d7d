//! Log-likelihood of a discrete-time hazard, without a row per customer and period.
//!
//! A customer's inputs are the same in every period of their row, so the linear predictor is
//! computed once and the periods only add baselines to it. With `u = α_k + η`, `r` the derivative
//! of a cell's log-likelihood by `u`, `c` minus its second derivative, `b_k` the baseline's columns
//! and `z` the inputs':
//!
//! ```text
//! logit    stayed: −ln(1+e^u), r = −h, c = h(1−h);      left: u − ln(1+e^u), r = 1−h
//! cloglog  μ = e^u;  stayed: −μ, r = −μ, c = μ;         left: ln(1−e^−μ), r = g = μ/(e^μ−1), c = g(μ+g−1)
//! ∂ℓ/∂β = Σ_i z_i Σ_k r_ik       ∂ℓ/∂α = Σ_i Σ_k r_ik b_k
//! −∂²ℓ/∂β² = Σ_i (Σ_k c_ik) z_i z_iᵀ     −∂²ℓ/∂α∂β = Σ_i (Σ_k c_ik b_k) z_iᵀ     −∂²ℓ/∂α² = Σ_k (Σ_i c_ik) b_k b_kᵀ
//! ```
//! The sums over `k` come first: a Hessian costs as much as one of a row per customer, not per
//! customer and period. Source of the terms: McCullagh & Nelder (1989), section 4.4; Prentice &
//! Gloeckler (1978).

use super::baseline::Baseline;
use super::law::Link;
use crate::sums::{add_scaled, dot};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{exp, expm1, ln, log1p, slice};
use ndarray::Array2;

/// Rows per block.
pub(crate) const BLOCK_ROWS: usize = 256;

/// A row at risk in periods `from..to` (counted from 0); the last one saw the event if `left`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) left: bool,
    pub(crate) weight: f64,
}

/// Rows of one block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) spans: Vec<Span>,
    /// Standardised inputs, a run of rows per column.
    pub(crate) inputs: Vec<Vec<f64>>,
}

/// The likelihood of a discrete-time hazard: parameters are the baseline's, then the inputs'.
#[derive(Debug, Clone)]
pub struct HazardLikelihood {
    link: Link,
    /// Columns of the baseline that are not zero, by period.
    columns: Vec<Vec<(usize, f64)>>,
    baseline_dim: usize,
    input_dim: usize,
    weight: f64,
    cells: usize,
    blocks: Vec<Block>,
}

/// Derivatives by `u` of every cell of a block, row after row.
struct Cells {
    /// Value per row.
    values: Vec<f64>,
    slopes: Vec<f64>,
    curves: Vec<f64>,
}

impl HazardLikelihood {
    pub(crate) fn new(
        link: Link,
        baseline: &Baseline,
        input_dim: usize,
        blocks: Vec<Block>,
    ) -> Self {
        let spans = || blocks.iter().flat_map(|block| &block.spans);
        HazardLikelihood {
            link,
            columns: (1..=baseline.last).map(|k| baseline.columns(k)).collect(),
            baseline_dim: baseline.column_count(),
            input_dim,
            weight: spans().fold(0.0, |sum, span| sum + span.weight),
            cells: spans().map(|span| span.to - span.from).sum(),
            blocks,
        }
    }

    /// Periods at risk summed over rows.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        self.cells
    }

    /// Largest absolute linear predictor of any row without the baseline.
    pub(crate) fn largest_predictor(&self, beta: &[f64]) -> f64 {
        let all = self.blocks.iter().flat_map(|block| predictors(block, beta));
        all.fold(0.0, |top, eta| top.max(eta.abs()))
    }

    fn cells(&self, block: &Block, theta: &[f64], order: Order) -> Cells {
        let (alpha, beta) = theta.split_at(self.baseline_dim);
        let etas = predictors(block, beta);
        let level = |columns: &Vec<(usize, f64)>| {
            columns.iter().fold(0.0, |sum, (j, v)| sum + v * alpha[*j])
        };
        let table: Vec<f64> = self.columns.iter().map(level).collect();
        let mut u = Vec::new();
        for (span, eta) in block.spans.iter().zip(&etas) {
            u.extend(table[span.from..span.to].iter().map(|level| level + eta));
        }
        match self.link {
            Link::Logit => logit(&block.spans, &u, order),
            Link::Cloglog => cloglog(&block.spans, &u),
        }
    }

    /// `Σ_k c_ik b_k` of every row, a run of rows per column of the baseline.
    fn by_baseline(&self, block: &Block, curves: &[f64]) -> Vec<Vec<f64>> {
        let mut sums = vec![vec![0.0; block.spans.len()]; self.baseline_dim];
        let mut cell = 0;
        for (row, span) in block.spans.iter().enumerate() {
            for columns in &self.columns[span.from..span.to] {
                for (j, v) in columns {
                    sums[*j][row] += curves[cell] * v;
                }
                cell += 1;
            }
        }
        sums
    }

    /// Sums over rows, by period.
    fn by_period(&self, block: &Block, cells: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns.len()];
        let mut cell = 0;
        for span in &block.spans {
            for sum in &mut sums[span.from..span.to] {
                *sum += cells[cell];
                cell += 1;
            }
        }
        sums
    }

    fn add_gradient(&self, block: &Block, slopes: &[f64], gradient: &mut [f64]) {
        let (alpha, beta) = gradient.split_at_mut(self.baseline_dim);
        let periods = self.by_period(block, slopes);
        for (columns, sum) in self.columns.iter().zip(&periods) {
            for (j, v) in columns {
                alpha[*j] += v * sum;
            }
        }
        let rows = by_row(&block.spans, slopes);
        for (slot, column) in beta.iter_mut().zip(&block.inputs) {
            *slot += dot(column, &rows);
        }
    }

    fn add_hessian(&self, block: &Block, curves: &[f64], hessian: &mut [f64]) {
        let (m, dim) = (self.baseline_dim, self.dim());
        let mut lower = Array2::<f64>::zeros((dim, dim));
        let periods = self.by_period(block, curves);
        for (columns, sum) in self.columns.iter().zip(&periods) {
            for (i, v) in columns {
                for (j, w) in columns.iter().filter(|(j, _)| j <= i) {
                    lower[[*i, *j]] += sum * v * w;
                }
            }
        }
        let cross = self.by_baseline(block, curves);
        let rows = by_row(&block.spans, curves);
        let mut scaled = vec![0.0; rows.len()];
        for (i, column) in block.inputs.iter().enumerate() {
            for (j, sums) in cross.iter().enumerate() {
                lower[[m + i, j]] = dot(column, sums);
            }
            for ((slot, z), c) in scaled.iter_mut().zip(column).zip(&rows) {
                *slot = z * c;
            }
            for (j, other) in block.inputs.iter().take(i + 1).enumerate() {
                lower[[m + i, m + j]] = dot(&scaled, other);
            }
        }
        for i in 0..dim {
            for j in 0..=i {
                hessian[i * dim + j] -= lower[[i, j]];
                if i != j {
                    hessian[j * dim + i] -= lower[[i, j]];
                }
            }
        }
    }
}

fn predictors(block: &Block, beta: &[f64]) -> Vec<f64> {
    let mut etas = vec![0.0; block.spans.len()];
    for (factor, column) in beta.iter().zip(&block.inputs) {
        add_scaled(&mut etas, *factor, column);
    }
    etas
}

/// Sums over the periods of each row.
fn by_row(spans: &[Span], cells: &[f64]) -> Vec<f64> {
    let mut rest = cells;
    let sum = |span: &Span| {
        let (own, others) = rest.split_at(span.to - span.from);
        rest = others;
        own.iter().fold(0.0, |sum, v| sum + v)
    };
    spans.iter().map(sum).collect()
}

fn logit(spans: &[Span], u: &[f64], order: Order) -> Cells {
    let mut work = vec![0.0; u.len()];
    slice::softplus(u, &mut work);
    let mut values = by_row(spans, &work);
    let mut end = 0;
    for (value, span) in values.iter_mut().zip(spans) {
        end += span.to - span.from;
        let last = if span.left { u[end - 1] } else { 0.0 };
        *value = span.weight * (last - *value);
    }
    let (mut slopes, mut curves) = (Vec::new(), Vec::new());
    if order != Order::Value {
        slice::sigmoid(u, &mut work);
        let mut cell = 0;
        for span in spans {
            for k in span.from..span.to {
                let h = work[cell];
                let left = f64::from(u8::from(span.left && k + 1 == span.to));
                slopes.push(span.weight * (left - h));
                curves.push(span.weight * h * (1.0 - h));
                cell += 1;
            }
        }
    }
    Cells {
        values,
        slopes,
        curves,
    }
}

fn cloglog(spans: &[Span], u: &[f64]) -> Cells {
    let mut mu = vec![0.0; u.len()];
    slice::exp(u, &mut mu);
    let (mut values, mut slopes, mut curves) = (Vec::new(), Vec::new(), Vec::new());
    let mut cell = 0;
    for span in spans {
        let mut value = 0.0;
        for k in span.from..span.to {
            let m = mu[cell];
            let (v, r, c) = if span.left && k + 1 == span.to {
                left_cell(m)
            } else {
                (-m, -m, m)
            };
            value += v;
            slopes.push(span.weight * r);
            curves.push(span.weight * c);
            cell += 1;
        }
        values.push(span.weight * value);
    }
    Cells {
        values,
        slopes,
        curves,
    }
}

/// Value, slope and curvature of `ln(1 − e^−μ)` by `ln μ`.
fn left_cell(m: f64) -> (f64, f64, f64) {
    const LN_2: f64 = std::f64::consts::LN_2;
    let value = if m < LN_2 {
        ln(-expm1(-m))
    } else {
        log1p(-exp(-m))
    };
    if m > 700.0 {
        return (value, 0.0, 0.0);
    }
    let g = if m > 0.0 { m / expm1(m) } else { 1.0 };
    // For small μ the difference cancels: its series is μ/2 + μ²/12 …
    let c = if m < 1e-4 {
        g * (0.5 * m + m * m / 12.0)
    } else {
        g * (m + g - 1.0)
    };
    (value, g, c)
}

impl Likelihood for HazardLikelihood {
    fn dim(&self) -> usize {
        self.baseline_dim + self.input_dim
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    #[allow(clippy::cast_precision_loss)]
    fn cost_hint_ns(&self) -> f64 {
        let (dim, rows) = (
            self.dim() as f64,
            self.blocks.len() as f64 * BLOCK_ROWS as f64,
        );
        20.0 * self.cells as f64 + rows * 0.15 * dim * dim
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(block) = self.blocks.get(block) else {
            return;
        };
        let cells = self.cells(block, theta, order);
        sum.value += cells.values.iter().fold(0.0, |sum, v| sum + v);
        if order == Order::Value {
            return;
        }
        self.add_gradient(block, &cells.slopes, &mut sum.gradient);
        if order == Order::Hessian {
            self.add_hessian(block, &cells.curves, &mut sum.hessian);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::left_cell;

    #[test]
    fn the_left_cell_has_the_right_derivatives() {
        for u in [-30.0_f64, -11.0, -9.3, -9.2, -3.0, -0.4, 0.2, 1.5, 4.0, 6.6] {
            let at = |u: f64| left_cell(cvm_math::exp(u));
            let h = 1e-4;
            let (value, slope, curve) = at(u);
            let first = (at(u + h).0 - at(u - h).0) / (2.0 * h);
            let second = -(at(u + h).1 - at(u - h).1) / (2.0 * h);
            assert!(
                (slope - first).abs() < 1e-7,
                "{u}: {slope} {first} ({value})"
            );
            assert!(
                (curve - second).abs() < 1e-8 + 1e-6 * curve,
                "{u}: {curve} {second}"
            );
        }
    }
}

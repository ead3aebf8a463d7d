//! The Gamma-Gamma log-likelihood over merged rows, with gradient and Hessian.
//!
//! With `S = x·m̄` and `E = v + S`:
//!
//! ```text
//! Σ w·[ ln x − ln B(px, q) ]                over distinct x
//! + Σ [ p·X·(ln S − ln E) + q·N·(ln v − ln E) − N·ln S ]         over distinct S,  N = Σw, X = Σwx
//! ```

use crate::dense::Dense;
use crate::merge::{Dictionary, merge};
use crate::spend::Spend;
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{digamma, ln, ln_beta, slice, trigamma};

/// Entries of one block.
const BLOCK: usize = 8192;
const P: usize = 0;
const Q: usize = 1;
const V: usize = 2;

/// Merged rows of a fit.
#[derive(Debug)]
pub struct GammaGammaLikelihood {
    blocks: Vec<Block>,
    weight: f64,
    /// Mean value of a purchase, each purchase counting once.
    value_mean: f64,
    cost_ns: f64,
}

#[derive(Debug)]
enum Block {
    /// Distinct `x` with the weight of its rows.
    Frequencies(Vec<(f64, f64)>),
    Totals(TotalBlock),
}

/// Distinct `S` with `N = Σw` and `X = Σwx`.
#[derive(Debug, Default)]
struct TotalBlock {
    totals: Vec<f64>,
    log_totals: Vec<f64>,
    weights: Vec<f64>,
    weighted_x: Vec<f64>,
}

impl GammaGammaLikelihood {
    /// Merges `rows` (weight 1 each without `weights`; weights are finite and zero or greater).
    /// Rows without a repeat purchase carry nothing and are left out. Everything is summed over
    /// distinct values in ascending order, so the order of rows without weights changes no bit.
    pub(super) fn new(rows: &[Spend], weights: Option<&[f64]>) -> Self {
        let informative = |row: &Spend| f64::from(u8::from(row.frequency > 0.0));
        let weight_of = |index: usize| weights.map_or(1.0, |weights| weights[index]);
        let weights: Vec<f64> = (0..rows.len())
            .map(|index| weight_of(index) * informative(&rows[index]))
            .collect();
        let frequencies = Dictionary::of_values(rows.iter().map(|row| row.frequency));
        let totals = Dictionary::of_values(rows.iter().map(Spend::total));
        let mut blocks = frequency_blocks(&frequencies, &weights);
        blocks.extend(total_blocks(&totals, rows, &weights));
        let cost_ns = blocks.iter().map(Block::cost_ns).sum();
        GammaGammaLikelihood {
            weight: weights.iter().sum(),
            value_mean: value_mean(&blocks),
            blocks,
            cost_ns,
        }
    }

    /// Start vectors: shapes from tight to loose, each with the `v` that gives the observed mean.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let mean = if self.value_mean.is_finite() {
            self.value_mean
        } else {
            1.0
        };
        let shapes = [
            [4.0, 4.0],
            [1.0, 2.0],
            [10.0, 3.0],
            [0.5, 5.0],
            [30.0, 10.0],
        ];
        let start = |[p, q]: [f64; 2]| vec![p, q, mean * (q - 1.0) / p];
        shapes.map(start).to_vec()
    }
}

/// `Σ w·S / Σ w·x`: as good a mean of one purchase as the mean over customers, and it needs no
/// third sum over rows in their own order.
fn value_mean(blocks: &[Block]) -> f64 {
    let (mut value_sum, mut purchases) = (0.0, 0.0);
    for block in blocks {
        let Block::Totals(block) = block else {
            continue;
        };
        for (index, total) in block.totals.iter().enumerate() {
            value_sum += block.weights[index] * total;
            purchases += block.weighted_x[index];
        }
    }
    value_sum / purchases
}

fn frequency_blocks(frequencies: &Dictionary, weights: &[f64]) -> Vec<Block> {
    let merged = merge(&[frequencies], Some(weights));
    let entry = |row: u32| frequencies.value(frequencies.codes[row as usize]);
    let entries: Vec<(f64, f64)> = merged
        .iter()
        .map(|group| (entry(group.row), group.weight))
        .collect();
    let chunks = entries.chunks(BLOCK);
    chunks
        .map(|chunk| Block::Frequencies(chunk.to_vec()))
        .collect()
}

fn total_blocks(totals: &Dictionary, rows: &[Spend], weights: &[f64]) -> Vec<Block> {
    let mut sums = vec![(0.0, 0.0); totals.len()];
    for ((row, weight), code) in rows.iter().zip(weights).zip(&totals.codes) {
        let sum = &mut sums[*code as usize];
        sum.0 += weight;
        sum.1 += weight * row.frequency;
    }
    let coded = (0u32..).zip(sums).filter(|(_, sum)| sum.0 > 0.0);
    let coded: Vec<(u32, (f64, f64))> = coded.collect();
    let block = |chunk: &[(u32, (f64, f64))]| {
        let totals: Vec<f64> = chunk.iter().map(|(code, _)| totals.value(*code)).collect();
        let mut log_totals = vec![0.0; totals.len()];
        slice::ln(&totals, &mut log_totals);
        Block::Totals(TotalBlock {
            totals,
            log_totals,
            weights: chunk.iter().map(|(_, sum)| sum.0).collect(),
            weighted_x: chunk.iter().map(|(_, sum)| sum.1).collect(),
        })
    };
    coded.chunks(BLOCK).map(block).collect()
}

impl Block {
    /// Only the order of magnitude matters.
    fn cost_ns(&self) -> f64 {
        match self {
            Block::Frequencies(entries) => 200.0 * entries.len() as f64,
            Block::Totals(block) => 10.0 * block.totals.len() as f64,
        }
    }
}

impl Likelihood for GammaGammaLikelihood {
    fn dim(&self) -> usize {
        3
    }

    fn block_count(&self) -> usize {
        self.blocks.len()
    }

    fn cost_hint_ns(&self) -> f64 {
        self.cost_ns
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, _order: Order, sum: &mut Derivatives) {
        let &[p, q, v] = theta else {
            sum.value = f64::NAN;
            return;
        };
        let mut local = Dense::<3>::zero();
        match &self.blocks[block] {
            Block::Frequencies(entries) => add_frequencies(p, q, entries, &mut local),
            Block::Totals(block) => add_totals([p, q, v], block, &mut local),
        }
        local.add_to(sum);
    }
}

fn add_frequencies(p: f64, q: f64, entries: &[(f64, f64)], sum: &mut Dense<3>) {
    let (psi_q, psi1_q) = (digamma(q), trigamma(q));
    for &(x, weight) in entries {
        let (shape, both) = (p * x, p * x + q);
        let (psi, psi1) = (digamma(both), trigamma(both));
        sum.value += weight * (ln(x) - ln_beta(shape, q));
        sum.gradient[P] += weight * x * (psi - digamma(shape));
        sum.gradient[Q] += weight * (psi - psi_q);
        sum.hessian[P][P] += weight * x * x * (psi1 - trigamma(shape));
        sum.hessian[P][Q] += weight * x * psi1;
        sum.hessian[Q][Q] += weight * (psi1 - psi1_q);
    }
}

fn add_totals([p, q, v]: [f64; 3], block: &TotalBlock, sum: &mut Dense<3>) {
    let ends: Vec<f64> = block.totals.iter().map(|total| v + total).collect();
    let mut logs = vec![0.0; ends.len()];
    slice::ln(&ends, &mut logs);
    let log_v = ln(v);
    for (index, (end, log_end)) in ends.iter().zip(&logs).enumerate() {
        let (weight, weighted_x) = (block.weights[index], block.weighted_x[index]);
        let log_total = block.log_totals[index];
        let inverse = 1.0 / end;
        let by_p = weighted_x * (log_total - log_end);
        let by_q = weight * (log_v - log_end);
        let shape = p * weighted_x + q * weight;
        sum.value += p * by_p + q * by_q - weight * log_total;
        sum.gradient[P] += by_p;
        sum.gradient[Q] += by_q;
        sum.gradient[V] += q * weight / v - shape * inverse;
        sum.hessian[P][V] -= weighted_x * inverse;
        sum.hessian[Q][V] += weight * (1.0 / v - inverse);
        sum.hessian[V][V] += shape * inverse * inverse - q * weight / (v * v);
    }
}

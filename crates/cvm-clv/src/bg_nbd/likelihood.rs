//! The BG/NBD and MBG/NBD log-likelihood over merged rows, with gradient and Hessian.
//!
//! The log-likelihood falls into three sums, each with its own blocks:
//!
//! ```text
//! Σ w·[ ln (r)_x + r ln α + ln (b)_x − ln (a+b)_x ]      over distinct x
//! − Σ (r·W_T + S_T)·ln(α+T)                              over distinct T,  W = Σw, S = Σwx
//! + Σ w·softplus(d)                                      over distinct rows with x > 0
//! ```
//!
//! where `d = ln a − ln(b+x−1) + (r+x)·ln((α+T)/(α+t_x))` is the log-odds of having lapsed. Only the
//! last sum runs over rows; a block of it holds its own short lists of distinct `x`, `T` and `t_x`,
//! so a row costs one exponential and one `log1p`. With `ω = sigmoid(d)` the derivatives of
//! `softplus(d)` are `ω∇d` and `ω∇²d + ω(1−ω)∇d∇dᵀ`.

use super::layout::{AgeBlock, Block, FrequencyEntry, Layout, RowBlock, Totals};
use super::{BetaGeometricNbd, chances_to_leave};
use crate::dense::Dense;
use crate::formulas::Formulas;
use crate::rfm::{CHUNK, Rfm};
use crate::rising::Rising;
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{ln, slice};

const R: usize = 0;
const ALPHA: usize = 1;
const A: usize = 2;
const B: usize = 3;

/// Merged rows of a fit.
#[derive(Debug)]
pub struct BgNbdLikelihood {
    layout: Layout,
    /// Whether a customer may leave after the first purchase (MBG/NBD).
    at_first: bool,
    cost_ns: f64,
}

impl BgNbdLikelihood {
    /// Merges `rows` (weight 1 each without `weights`; weights are finite and zero or greater).
    pub(super) fn new(rows: &[Rfm], weights: Option<&[f64]>, at_first: bool) -> Self {
        let layout = Layout::new(rows, weights, at_first);
        let cost_ns = layout.blocks.iter().map(Block::cost_ns).sum();
        BgNbdLikelihood {
            layout,
            at_first,
            cost_ns,
        }
    }

    /// Number of distinct rows.
    #[must_use]
    pub fn merged_rows(&self) -> usize {
        self.layout.merged_rows
    }

    /// Start vectors: shapes from the spread of the counts and then fixed ones; each `alpha` makes
    /// the expected purchases of a customer of mean age equal to the mean observed.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let Totals {
            weight,
            frequency,
            frequency_squared,
            age,
        } = self.layout.totals;
        let mean = frequency / weight;
        let variance = frequency_squared / weight - mean * mean;
        // Negative binomial counts: variance = mean + mean²/r.
        let spread = mean * mean / (variance - mean).max(mean * 1e-3);
        let r = if spread.is_finite() {
            spread.clamp(0.05, 20.0)
        } else {
            1.0
        };
        let age_mean = if age > 0.0 { age / weight } else { 1.0 };
        let shapes = [
            [r, 0.8, 2.5],
            [1.0, 1.0, 1.0],
            [0.3, 0.3, 3.0],
            [3.0, 2.0, 6.0],
            [0.1, 0.1, 0.2],
        ];
        let start = |[r, a, b]: [f64; 3]| {
            let expected = |alpha: f64| self.expected_new([r, alpha, a, b], age_mean);
            vec![r, match_mean(expected, mean, age_mean), a, b]
        };
        shapes.map(start).to_vec()
    }

    /// Purchases expected of a new customer by age `age`, as they are observed: by one who may have
    /// left at once.
    fn expected_new(&self, params: [f64; 4], age: f64) -> f64 {
        if self.at_first {
            BetaGeometricNbd::<true>::at(&params).expected_purchases(&Rfm::NEW, age)
        } else {
            BetaGeometricNbd::<false>::at(&params).expected_purchases_new(age)
        }
    }
}

/// The `alpha` at which a customer of age `age` is expected to have made `mean` purchases, within a
/// factor of 1.1 (bisection on the logarithm); the expectation falls as `alpha` grows.
fn match_mean(expected_at: impl Fn(f64) -> f64, mean: f64, age: f64) -> f64 {
    const SPAN: f64 = 1e6;
    let (mut low, mut high) = (age / SPAN, age * SPAN);
    while high > low * 1.1 {
        let middle = low.sqrt() * high.sqrt();
        if expected_at(middle) > mean {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.sqrt() * high.sqrt()
}

impl Likelihood for BgNbdLikelihood {
    fn dim(&self) -> usize {
        4
    }

    fn block_count(&self) -> usize {
        self.layout.blocks.len()
    }

    fn cost_hint_ns(&self) -> f64 {
        self.cost_ns
    }

    fn weight(&self) -> f64 {
        self.layout.totals.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let &[r, alpha, a, b] = theta else {
            sum.value = f64::NAN;
            return;
        };
        let theta = Theta {
            r,
            alpha,
            a,
            b,
            at_first: self.at_first,
        };
        let mut local = Dense::<4>::zero();
        match &self.layout.blocks[block] {
            Block::Frequencies(entries) => add_frequencies(theta, entries, &mut local),
            Block::Ages(block) => add_ages(theta, block, &mut local),
            Block::Rows(block) if order == Order::Value => add_row_values(theta, block, &mut local),
            Block::Rows(block) => add_rows(theta, block, &mut local),
        }
        local.add_to(sum);
    }
}

#[derive(Debug, Clone, Copy)]
struct Theta {
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
    at_first: bool,
}

fn add_frequencies(theta: Theta, entries: &[FrequencyEntry], sum: &mut Dense<4>) {
    let mut buy = Rising::at_zero(theta.r);
    let mut stay = Rising::at_zero(theta.b);
    let mut either = Rising::at_zero(theta.a + theta.b);
    let log_alpha = ln(theta.alpha);
    let mut weight_total = 0.0;
    for &FrequencyEntry { x, weight } in entries {
        buy = buy.advance(x);
        let chances = chances_to_leave(x, theta.at_first);
        stay = stay.advance(chances);
        either = either.advance(chances);
        weight_total += weight;
        sum.value += weight * (buy.log + (stay.log - either.log));
        sum.gradient[R] += weight * buy.first;
        sum.gradient[A] -= weight * either.first;
        sum.gradient[B] += weight * (stay.first - either.first);
        sum.hessian[R][R] += weight * buy.second;
        sum.hessian[A][A] -= weight * either.second;
        sum.hessian[A][B] -= weight * either.second;
        sum.hessian[B][B] += weight * (stay.second - either.second);
    }
    sum.value += weight_total * theta.r * log_alpha;
    sum.gradient[R] += weight_total * log_alpha;
    sum.gradient[ALPHA] += weight_total * theta.r / theta.alpha;
    sum.hessian[R][ALPHA] += weight_total / theta.alpha;
    sum.hessian[ALPHA][ALPHA] -= weight_total * theta.r / (theta.alpha * theta.alpha);
}

fn add_ages(theta: Theta, block: &AgeBlock, sum: &mut Dense<4>) {
    let ends: Vec<f64> = block.ages.iter().map(|age| theta.alpha + age).collect();
    let mut logs = vec![0.0; ends.len()];
    slice::ln(&ends, &mut logs);
    let sums = block.weights.iter().zip(&block.weighted_x);
    for ((end, log), (weight, weighted_x)) in ends.iter().zip(&logs).zip(sums) {
        let shape = theta.r * weight + weighted_x;
        let inverse = 1.0 / end;
        sum.value -= shape * log;
        sum.gradient[R] -= weight * log;
        sum.gradient[ALPHA] -= shape * inverse;
        sum.hessian[R][ALPHA] -= weight * inverse;
        sum.hessian[ALPHA][ALPHA] += shape * inverse * inverse;
    }
}

/// What the rows of a block share: functions of each distinct `x`, `T` and `t_x`.
struct Tables {
    /// Per `x`: `r + x`, `ln a − ln(b+x−1)`, `1/(b+x−1)`.
    by_x: Vec<[f64; 3]>,
    /// Per `t_x`: `ln(α+t_x)`, `1/(α+t_x)`.
    by_recency: Vec<[f64; 2]>,
    /// Per `T`: `ln(α+T)`, `1/(α+T)`.
    by_age: Vec<[f64; 2]>,
}

impl Tables {
    fn new(theta: Theta, block: &RowBlock) -> Self {
        let log_a = ln(theta.a);
        let of_x = |x: &f64| {
            let stay = theta.b + (chances_to_leave(*x, theta.at_first) - 1.0);
            [theta.r + x, log_a - ln(stay), 1.0 / stay]
        };
        Tables {
            by_x: block.x.iter().map(of_x).collect(),
            by_recency: logs_and_inverses(theta.alpha, &block.recencies),
            by_age: logs_and_inverses(theta.alpha, &block.ages),
        }
    }
}

fn logs_and_inverses(alpha: f64, times: &[f64]) -> Vec<[f64; 2]> {
    let ends: Vec<f64> = times.iter().map(|time| alpha + time).collect();
    let mut logs = vec![0.0; ends.len()];
    slice::ln(&ends, &mut logs);
    logs.iter()
        .zip(&ends)
        .map(|(log, end)| [*log, 1.0 / end])
        .collect()
}

/// `max(d, 0)`, `e^{−|d|}` and `ln(1 + e^{−|d|})` of one chunk.
struct Branches {
    log_odds: [f64; CHUNK],
    ratio: [f64; CHUNK],
    log1p_ratio: [f64; CHUNK],
}

impl Branches {
    fn zero() -> Self {
        Branches {
            log_odds: [0.0; CHUNK],
            ratio: [0.0; CHUNK],
            log1p_ratio: [0.0; CHUNK],
        }
    }

    fn fill(&mut self, tables: &Tables, codes: &[[u16; 3]]) {
        let count = codes.len();
        let mut exponent = [0.0; CHUNK];
        for (index, &[x, recency, age]) in codes.iter().enumerate() {
            let [shape, constant, _] = tables.by_x[usize::from(x)];
            let [log_last, _] = tables.by_recency[usize::from(recency)];
            let [log_end, _] = tables.by_age[usize::from(age)];
            let log_odds = constant + shape * (log_end - log_last);
            self.log_odds[index] = log_odds;
            exponent[index] = -log_odds.abs();
        }
        slice::exp(&exponent[..count], &mut self.ratio[..count]);
        slice::log1p(&self.ratio[..count], &mut self.log1p_ratio[..count]);
    }

    fn softplus(&self, index: usize) -> f64 {
        self.log_odds[index].max(0.0) + self.log1p_ratio[index]
    }
}

fn add_row_values(theta: Theta, block: &RowBlock, sum: &mut Dense<4>) {
    let tables = Tables::new(theta, block);
    let mut branches = Branches::zero();
    let chunks = block.codes.chunks(CHUNK).zip(block.weights.chunks(CHUNK));
    for (codes, weights) in chunks {
        branches.fill(&tables, codes);
        for (index, weight) in weights.iter().enumerate() {
            sum.value += weight * branches.softplus(index);
        }
    }
}

/// Sums of one block from which its derivatives are made at the end: `∂d/∂a = 1/a` and
/// `∂²d/∂a² = −1/a²` are the same for every row.
#[derive(Default)]
struct RowSums {
    value: f64,
    /// `Σ wω·(∂d/∂r, ∂d/∂α, 1, −∂d/∂b)`.
    lapsed: [f64; 4],
    /// `Σ wω·(∂²d/∂r∂α, ∂²d/∂α², ∂²d/∂b²)`.
    curved: [f64; 3],
    /// `Σ wω(1−ω)·` the ten products of `(∂d/∂r, ∂d/∂α, 1, −∂d/∂b)`, rows of the upper triangle.
    spread: [f64; 10],
}

fn add_rows(theta: Theta, block: &RowBlock, sum: &mut Dense<4>) {
    let tables = Tables::new(theta, block);
    let mut branches = Branches::zero();
    let mut sums = RowSums::default();
    let chunks = block.codes.chunks(CHUNK).zip(block.weights.chunks(CHUNK));
    for (codes, weights) in chunks {
        branches.fill(&tables, codes);
        for (index, (codes, weight)) in codes.iter().zip(weights).enumerate() {
            sums.add_row(&tables, &branches, index, *codes, *weight);
        }
    }
    sums.finish(theta, sum);
}

impl RowSums {
    #[inline]
    fn add_row(
        &mut self,
        tables: &Tables,
        branches: &Branches,
        index: usize,
        [x, recency, age]: [u16; 3],
        weight: f64,
    ) {
        let [shape, _, inverse_stay] = tables.by_x[usize::from(x)];
        let [log_last, inverse_last] = tables.by_recency[usize::from(recency)];
        let [log_end, inverse_end] = tables.by_age[usize::from(age)];
        let ratio = branches.ratio[index];
        let smaller = ratio / (1.0 + ratio);
        let lapsed = if branches.log_odds[index] >= 0.0 {
            1.0 - smaller
        } else {
            smaller
        };
        let by_r = log_end - log_last;
        let gap = inverse_end - inverse_last;
        let by_alpha = shape * gap;
        let first = weight * lapsed;
        self.value += weight * branches.softplus(index);
        self.lapsed[0] += first * by_r;
        self.lapsed[1] += first * by_alpha;
        self.lapsed[2] += first;
        self.lapsed[3] += first * inverse_stay;
        self.curved[0] += first * gap;
        self.curved[1] -= first * by_alpha * (inverse_end + inverse_last);
        self.curved[2] += first * inverse_stay * inverse_stay;
        let both = weight * smaller * (1.0 - smaller);
        let (both_r, both_alpha) = (both * by_r, both * by_alpha);
        let both_stay = both * inverse_stay;
        self.spread[0] += both_r * by_r;
        self.spread[1] += both_r * by_alpha;
        self.spread[2] += both_r;
        self.spread[3] += both_r * inverse_stay;
        self.spread[4] += both_alpha * by_alpha;
        self.spread[5] += both_alpha;
        self.spread[6] += both_alpha * inverse_stay;
        self.spread[7] += both;
        self.spread[8] += both_stay;
        self.spread[9] += both_stay * inverse_stay;
    }

    fn finish(&self, theta: Theta, sum: &mut Dense<4>) {
        // The summed vector is (∂r, ∂α, 1, 1/(b+x−1)); ∇d is it times these.
        let scale = [1.0, 1.0, 1.0 / theta.a, -1.0];
        sum.value += self.value;
        let mut pair = 0;
        for row in 0..4 {
            sum.gradient[row] += scale[row] * self.lapsed[row];
            for column in row..4 {
                sum.hessian[row][column] += scale[row] * scale[column] * self.spread[pair];
                pair += 1;
            }
        }
        sum.hessian[R][ALPHA] += self.curved[0];
        sum.hessian[ALPHA][ALPHA] += self.curved[1];
        sum.hessian[A][A] -= self.lapsed[2] / (theta.a * theta.a);
        sum.hessian[B][B] += self.curved[2];
    }
}

//! The log-normal spend likelihood over groups of equal `x`, with gradient and Hessian.
//!
//! Rows of one `x` share `D = σ² + xτ²`, so with `N = Σw`, the weighted mean `c` of their `ȳ`, its
//! squared deviations `B = Σw(ȳ−c)²` and `Q = Σw(x−1)s²`, their sum is
//!
//! ```text
//! −N[ (x/2) ln 2π + (x−1) ln σ + ½ ln D ] − Q/(2σ²) − x[B + N(c−m)²]/(2D)
//! ```
//!
//! A fit costs a few dozen terms per step, however many customers there are.

use crate::dense::Dense;
use crate::merge::{Dictionary, merge};
use crate::spend::Spend;
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::ln;

/// Groups of one block.
const BLOCK: usize = 4096;
const M: usize = 0;
const TAU: usize = 1;
const SIGMA: usize = 2;

/// Rows with the same number of purchases.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// `x`.
    pub(super) purchases: f64,
    /// `N`.
    pub(super) weight: f64,
    /// `c`.
    pub(super) mean: f64,
    /// `B`.
    pub(super) squares: f64,
    /// `Q`.
    pub(super) within: f64,
}

/// Grouped rows of a fit.
#[derive(Debug)]
pub struct LogNormalSpendLikelihood {
    groups: Vec<Group>,
    weight: f64,
}

impl LogNormalSpendLikelihood {
    /// Groups `rows` (weight 1 each without `weights`; weights are finite and zero or greater).
    /// Identical rows are merged first and added in ascending order, so the order of rows without
    /// weights changes no bit.
    pub(super) fn new(rows: &[Spend], weights: Option<&[f64]>) -> Self {
        let column = |pick: fn(&Spend) -> f64| Dictionary::of_values(rows.iter().map(pick));
        let columns = [
            column(|row| row.frequency),
            column(|row| row.log_mean),
            column(|row| row.log_sd),
        ];
        let merged = merge(&columns.iter().collect::<Vec<_>>(), weights);
        let row_of = |index: u32| &rows[index as usize];
        let informative = |index: u32| row_of(index).frequency > 0.0;
        let merged: Vec<(&Spend, f64)> = merged
            .iter()
            .filter(|group| informative(group.row))
            .map(|group| (row_of(group.row), group.weight))
            .collect();
        let same_x = |a: &(&Spend, f64), b: &(&Spend, f64)| a.0.frequency == b.0.frequency;
        let groups: Vec<Group> = merged.chunk_by(same_x).map(group).collect();
        LogNormalSpendLikelihood {
            weight: groups.iter().map(|group| group.weight).sum(),
            groups,
        }
    }

    /// Start vectors: variance within customers from their own deviations, variance across from
    /// what is left of the spread of means; then other splits of the same total.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let sum = |term: &dyn Fn(&Group) -> f64| self.groups.iter().map(term).sum::<f64>();
        let mean = sum(&|g| g.weight * g.mean) / self.weight;
        let spread = |g: &Group| g.squares + g.weight * (g.mean - mean) * (g.mean - mean);
        let of_means = sum(&spread) / self.weight;
        let degrees = sum(&|g| g.weight * (g.purchases - 1.0));
        let noise_share = sum(&|g| g.weight / g.purchases) / self.weight;
        let within = sum(&|g| g.within) / degrees;
        let floor = 1e-4 * (1.0 + mean * mean);
        let noise = if degrees > 0.0 {
            within
        } else {
            0.5 * of_means
        };
        let across = of_means - noise * noise_share;
        let all = (of_means + noise).max(floor);
        let start = |across: f64, noise: f64| {
            let deviation = |variance: f64| variance.max(1e-3 * all).sqrt();
            vec![mean, deviation(across), deviation(noise)]
        };
        let starts = [
            start(across, noise),
            start(0.5 * all, 0.5 * all),
            start(0.1 * all, all),
            start(all, 0.1 * all),
        ];
        let usable = |start: &Vec<f64>| start.iter().all(|value| value.is_finite());
        starts.into_iter().filter(usable).collect()
    }
}

/// Sums of rows with one `x`: the mean first, then deviations from it.
fn group(rows: &[(&Spend, f64)]) -> Group {
    let sum = |term: &dyn Fn(&Spend) -> f64| rows.iter().map(|(row, w)| w * term(row)).sum::<f64>();
    let weight = sum(&|_| 1.0);
    let mean = sum(&|row| row.log_mean) / weight;
    Group {
        purchases: rows.first().map_or(0.0, |(row, _)| row.frequency),
        weight,
        mean,
        squares: sum(&|row| (row.log_mean - mean) * (row.log_mean - mean)),
        within: sum(&Spend::log_squares),
    }
}

impl Likelihood for LogNormalSpendLikelihood {
    fn dim(&self) -> usize {
        3
    }

    fn block_count(&self) -> usize {
        self.groups.len().div_ceil(BLOCK)
    }

    fn cost_hint_ns(&self) -> f64 {
        60.0 * self.groups.len() as f64
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, _order: Order, sum: &mut Derivatives) {
        let &[m, tau, sigma] = theta else {
            sum.value = f64::NAN;
            return;
        };
        let groups = self.groups.iter().skip(block * BLOCK).take(BLOCK);
        for group in groups {
            group_derivatives([m, tau, sigma], group).add_to(sum);
        }
    }
}

/// Value and derivatives of a group in `(m, τ, σ)`, through `D` and its derivatives `2xτ`, `2σ`.
pub(super) fn group_derivatives([m, tau, sigma]: [f64; 3], group: &Group) -> Dense<3> {
    const LN_TWO_PI: f64 = 1.837_877_066_409_345_5;
    let Group {
        purchases: x,
        weight,
        mean,
        squares,
        within,
    } = *group;
    let end = sigma * sigma + x * tau * tau;
    let away = mean - m;
    let spread = squares + weight * away * away;
    let precision = 1.0 / (sigma * sigma);
    let mut sum = Dense::<3>::zero();
    let constant = 0.5 * x * LN_TWO_PI + (x - 1.0) * ln(sigma) + 0.5 * ln(end);
    sum.value = -weight * constant - 0.5 * within * precision - 0.5 * x * (spread / end);

    let by_end = 0.5 * (x * (spread / end) - weight) / end;
    let by_end_twice = (0.5 * weight - x * (spread / end)) / end / end;
    let [end_tau, end_sigma] = [2.0 * x * tau, 2.0 * sigma];
    let degrees = weight * (x - 1.0);
    sum.gradient[M] = x * weight * away / end;
    sum.gradient[TAU] = by_end * end_tau;
    sum.gradient[SIGMA] = (within * precision - degrees) / sigma + by_end * end_sigma;

    let mixed = -x * weight * away / end / end;
    sum.hessian[M][M] = -x * weight / end;
    sum.hessian[M][TAU] = mixed * end_tau;
    sum.hessian[M][SIGMA] = mixed * end_sigma;
    sum.hessian[TAU][TAU] = by_end_twice * end_tau * end_tau + by_end * 2.0 * x;
    sum.hessian[TAU][SIGMA] = by_end_twice * end_tau * end_sigma;
    let own = (degrees - 3.0 * within * precision) * precision;
    sum.hessian[SIGMA][SIGMA] = own + by_end_twice * end_sigma * end_sigma + by_end * 2.0;
    sum
}

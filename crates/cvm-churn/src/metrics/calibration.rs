//! How true probabilities are: reliability by bins with intervals, calibration error, the parts of
//! the Brier score.
//!
//! Sources: decomposition: Murphy (1973), *Journal of Applied Meteorology* 12; debiased squared
//! error: Kumar, Liang & Ma (2019), NeurIPS, §4.1; debiased absolute error: the expectation of `|g|`
//! under the sampling error of the observed rate is subtracted as there, in closed form; intervals:
//! Wilson (1927), *JASA* 22.

use super::ranked::{Ranked, ScoreGroup};
use super::{MetricError, check, check_count, finite, weight};
use cvm_math::{exp, gamma_p};

/// How probabilities are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binning {
    /// Bins of equal width in probability.
    Width,
    /// Bins of equal weight; equal probabilities stay together.
    Mass,
}

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// Mean probability.
    pub mean_probability: f64,
    /// Observed rate of churn.
    pub observed_rate: f64,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Weight.
    pub weight: f64,
    /// Rows, counted as the weights spread them: `(Σ w)² / Σ w²`.
    pub rows: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: f64,
    squares: f64,
    probability: f64,
    churned: f64,
}

impl Sums {
    fn add(&mut self, weight: f64, probability: f64, churned: bool) {
        self.weight += weight;
        self.squares += weight * weight;
        self.probability += weight * probability;
        self.churned += weight * f64::from(u8::from(churned));
    }

    fn rows(&self) -> f64 {
        self.weight * self.weight / self.squares
    }

    fn rate(&self) -> f64 {
        self.churned / self.weight
    }

    fn gap(&self) -> f64 {
        (self.churned - self.probability) / self.weight
    }
}

fn place(share: f64, bins: usize) -> usize {
    ((share * bins as f64) as usize).min(bins - 1)
}

/// Sums of the bins that hold weight, from low to high.
fn binned(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    bins: usize,
    binning: Binning,
) -> Result<Vec<Sums>, MetricError> {
    check(churned, probabilities, weights, true)?;
    check_count("bins", bins)?;
    let ranked = Ranked::new(churned, probabilities)?;
    let all = ranked
        .rows()
        .fold(0.0, |sum, (_, row)| sum + weight(weights, row));
    let mut groups: Vec<f64> = Vec::new();
    for (group, row) in ranked.rows() {
        if group == groups.len() {
            groups.push(0.0);
        }
        groups[group] += weight(weights, row);
    }
    let mut above = 0.0;
    let places: Vec<usize> = groups
        .iter()
        .enumerate()
        .map(|(group, own)| {
            // A group lies where its middle lies, counted from below.
            let middle = (all - above - 0.5 * own) / all;
            above += own;
            match binning {
                Binning::Width => place(ranked.score(group), bins),
                Binning::Mass => place(middle, bins),
            }
        })
        .collect();
    let mut sums = vec![Sums::default(); bins];
    for (group, row) in ranked.rows() {
        let own = weight(weights, row);
        if own > 0.0 {
            sums[places[group]].add(own, probabilities[row], churned[row]);
        }
    }
    sums.retain(|own| own.weight > 0.0);
    if sums.is_empty() {
        return Err(MetricError::SingleClass);
    }
    Ok(sums)
}

/// Bins with intervals of `z` standard errors for the observed rates.
///
/// # Errors
/// [`MetricError`]: ragged or empty input, a probability outside 0 to 1, a bad weight, a number of
/// bins outside 1 to 100 000.
pub fn calibration_bins(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    bins: usize,
    binning: Binning,
    z: f64,
) -> Result<Vec<CalibrationBin>, MetricError> {
    let sums = binned(churned, probabilities, weights, bins, binning)?;
    let bin = |own: &Sums| {
        let (lower, upper) = wilson(own.rate(), own.rows(), z);
        CalibrationBin {
            mean_probability: own.probability / own.weight,
            observed_rate: own.rate(),
            lower,
            upper,
            weight: own.weight,
            rows: own.rows(),
        }
    };
    Ok(sums.iter().map(bin).collect())
}

fn wilson(rate: f64, rows: f64, z: f64) -> (f64, f64) {
    let square = z * z / rows;
    let centre = (rate + 0.5 * square) / (1.0 + square);
    let half = z * (rate * (1.0 - rate) / rows + 0.25 * square / rows).sqrt() / (1.0 + square);
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Calibration error over bins: the mean over all weight of `|observed − predicted|`, or the root of
/// the mean of its square if `squared`. `debiased` takes off what sampling alone would show; the
/// result is then 0 or more.
///
/// # Errors
/// As [`calibration_bins`].
pub fn calibration_error(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    bins: usize,
    binning: Binning,
    squared: bool,
    debiased: bool,
) -> Result<f64, MetricError> {
    let sums = binned(churned, probabilities, weights, bins, binning)?;
    let total = sums.iter().fold(0.0, |sum, own| sum + own.weight);
    let mean = sums.iter().fold(0.0, |sum, own| {
        let gap = own.gap();
        let value = match (squared, debiased) {
            (false, false) => gap.abs(),
            (false, true) => 2.0 * gap.abs() - folded_mean(gap, sampling_error(own)),
            (true, false) => gap * gap,
            (true, true) => gap * gap - variance_unbiased(own),
        };
        sum + own.weight * value
    }) / total;
    let mean = if debiased { mean.max(0.0) } else { mean };
    finite(if squared { mean.sqrt() } else { mean })
}

fn sampling_error(own: &Sums) -> f64 {
    (own.rate() * (1.0 - own.rate()) / own.rows()).sqrt()
}

/// `ȳ(1 − ȳ)/(n − 1)`; of a bin with one row nothing is known, and nothing taken off.
fn variance_unbiased(own: &Sums) -> f64 {
    if own.rows() <= 1.0 {
        return 0.0;
    }
    own.rate() * (1.0 - own.rate()) / (own.rows() - 1.0)
}

/// `E|g + s Z|` of a standard normal `Z`.
fn folded_mean(gap: f64, error: f64) -> f64 {
    /// `√(2/π)`.
    const ROOT: f64 = 0.797_884_560_802_865_4;
    if error <= 0.0 {
        return gap.abs();
    }
    let half_square = 0.5 * (gap / error) * (gap / error);
    // erf(x) = P(1/2, x²).
    error * ROOT * exp(-half_square) + gap.abs() * gamma_p(0.5, half_square)
}

/// The parts of the Brier score: `reliability − resolution + uncertainty + within_bins`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BrierParts {
    /// The Brier score.
    pub brier: f64,
    /// Mean squared distance of probabilities from observed rates; less is better.
    pub reliability: f64,
    /// Mean squared distance of observed rates from the overall rate; more is better.
    pub resolution: f64,
    /// Variance of the outcome: what a constant answer pays.
    pub uncertainty: f64,
    /// What binning leaves over; 0 when rows of equal probability are the bins.
    pub within_bins: f64,
}

/// Parts of the Brier score, over rows of equal probability or over `bins` of equal weight.
///
/// # Errors
/// As [`calibration_bins`].
pub fn brier_parts(
    churned: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    bins: Option<usize>,
) -> Result<BrierParts, MetricError> {
    let brier = super::brier(churned, probabilities, weights)?;
    let sums = match bins {
        Some(bins) => binned(churned, probabilities, weights, bins, Binning::Mass)?,
        None => {
            let groups = Ranked::new(churned, probabilities)?.groups(weights);
            groups.iter().map(of_group).collect()
        }
    };
    let total = sums.iter().fold(0.0, |sum, own| sum + own.weight);
    let rate = sums.iter().fold(0.0, |sum, own| sum + own.churned) / total;
    let mean = |of: &dyn Fn(&Sums) -> f64| {
        sums.iter().fold(0.0, |sum, own| sum + own.weight * of(own)) / total
    };
    let reliability = mean(&|own| own.gap() * own.gap());
    let resolution = mean(&|own| (own.rate() - rate) * (own.rate() - rate));
    let uncertainty = rate * (1.0 - rate);
    Ok(BrierParts {
        brier,
        reliability,
        resolution,
        uncertainty,
        within_bins: match bins {
            Some(_) => brier - (reliability - resolution + uncertainty),
            None => 0.0,
        },
    })
}

fn of_group(group: &ScoreGroup) -> Sums {
    Sums {
        weight: group.weight(),
        squares: 0.0,
        probability: group.weight() * group.score,
        churned: group.churned,
    }
}

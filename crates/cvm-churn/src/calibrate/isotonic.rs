//! Isotonic regression by pooling adjacent violators, and the curve through its block centres.
//!
//! Plain isotonic regression is a step function: it ties customers, and its outer steps are often
//! exactly 0 or 1, which log-loss punishes without limit. So here: rows are taken together in bins
//! of at least [`MIN_BIN_ROWS`]; one imagined churner below all scores and one imagined stayer above
//! them keep every block away from 0 and 1; the curve runs in straight lines between the centres of
//! the blocks, and beyond the outermost ones moves with the log-odds of the model.
//!
//! Sources: Ayer et al. (1955), *Annals of Mathematical Statistics* 26(4); centres: Oron & Flournoy
//! (2017), *Statistics in Biopharmaceutical Research* 9(3), §3.

use super::calibrator::{Calibrator, Curve};
use super::sample::{Bin, Sample, bins};

/// Fewest rows of a bin.
pub(crate) const MIN_BIN_ROWS: usize = 10;
/// Most bins.
pub(crate) const MAX_BINS: usize = 1000;

/// Weighted means of `values` pooled until they never fall, one per value: the closest such
/// sequence in weighted least squares. Weights are above 0.
#[must_use]
pub fn pool_adjacent_violators(values: &[f64], weights: &[f64]) -> Vec<f64> {
    // Blocks as sum, weight and length; the mean of a block is above that of the one before it.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (value, weight) in values.iter().zip(weights) {
        let mut block = (value * weight, *weight, 1);
        while let Some(before) = blocks.last() {
            if before.0 / before.1 < block.0 / block.1 {
                break;
            }
            block = (before.0 + block.0, before.1 + block.1, before.2 + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let spread = |block: &(f64, f64, usize)| std::iter::repeat_n(block.0 / block.1, block.2);
    blocks.iter().flat_map(spread).collect()
}

/// The isotonic calibrator of a sample.
pub(crate) fn fit(sample: &Sample) -> Calibrator {
    let mut own = bins(sample, MIN_BIN_ROWS, MAX_BINS);
    guard(&mut own);
    let means: Vec<f64> = own.iter().map(|bin| bin.churned / bin.weight).collect();
    let weights: Vec<f64> = own.iter().map(|bin| bin.weight).collect();
    let pooled = pool_adjacent_violators(&means, &weights);
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut start = 0;
    for end in 1..=own.len() {
        if end < own.len() && pooled[end] == pooled[start] {
            continue;
        }
        x.push(centre(&own[start..end]));
        y.push(pooled[start]);
        start = end;
    }
    Calibrator::Isotonic(Curve { x, y })
}

/// An imagined churner in the lowest bin, an imagined stayer in the highest.
fn guard(bins: &mut [Bin]) {
    if let Some(lowest) = bins.first_mut() {
        lowest.weight += 1.0;
        lowest.churned += 1.0;
    }
    if let Some(highest) = bins.last_mut() {
        highest.weight += 1.0;
    }
}

fn centre(bins: &[Bin]) -> f64 {
    let weight = bins.iter().fold(0.0, |sum, bin| sum + bin.weight);
    let mean = bins.iter().fold(0.0, |sum, bin| sum + bin.weight * bin.x) / weight;
    mean.clamp(bins[0].x, bins[bins.len() - 1].x)
}

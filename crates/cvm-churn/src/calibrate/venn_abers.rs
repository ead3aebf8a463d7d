//! Venn–Abers: the isotonic probability of a customer added to the calibration rows, once as one
//! who stays (`p0`) and once as one who leaves (`p1`).
//!
//! The true probability lies between the two in a sense that needs no model: for exchangeable rows,
//! the one of them that matches the outcome is calibrated. Rows are taken together in bins, the
//! customer joins the bin at its score, and between the means of bins both probabilities run in
//! straight lines.
//!
//! Source: Vovk, Petej & Fedorova (2015), NIPS 28, §3 (inductive Venn–Abers predictors).

use super::calibrator::{Calibrator, Curve};
use super::isotonic::{MAX_BINS, MIN_BIN_ROWS, pool_adjacent_violators};
use super::sample::{Sample, bins};

/// The Venn–Abers calibrator of a sample.
pub(crate) fn fit(sample: &Sample) -> Calibrator {
    let own = bins(sample, MIN_BIN_ROWS, MAX_BINS);
    let churned: Vec<f64> = own.iter().map(|bin| bin.churned).collect();
    let weights: Vec<f64> = own.iter().map(|bin| bin.weight).collect();
    let x: Vec<f64> = own.iter().map(|bin| bin.x).collect();
    let (low, high) = brackets(&churned, &weights);
    Calibrator::VennAbers {
        low: Curve {
            x: x.clone(),
            y: low,
        },
        high: Curve { x, y: high },
    }
}

/// `p0` and `p1` of a customer in each bin, from the weight of churners and of all in every bin.
pub(crate) fn brackets(churned: &[f64], weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let with = |place: usize, added: f64| {
        let mut weights = weights.to_vec();
        weights[place] += 1.0;
        let means = churned.iter().zip(&weights).enumerate();
        let means: Vec<f64> = means
            .map(|(own, (churned, weight))| {
                let churned = if own == place {
                    churned + added
                } else {
                    *churned
                };
                churned / weight
            })
            .collect();
        pool_adjacent_violators(&means, &weights)[place]
    };
    let curve = |added: f64| {
        let mut values: Vec<f64> = (0..weights.len()).map(|place| with(place, added)).collect();
        // In exact arithmetic it never falls.
        for place in 1..values.len() {
            values[place] = values[place].max(values[place - 1]);
        }
        values
    };
    (curve(0.0), curve(1.0))
}

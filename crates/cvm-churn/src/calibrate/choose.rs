//! Chooses a calibrator by its log-loss on rows it was not learnt on.
//!
//! Rows are dealt into [`FOLDS`] folds, outcome by outcome, by a fixed shuffle. Each method learns on
//! all folds but one and is judged on that one. Taken is the simplest method whose mean log-loss is
//! within one standard error (of the paired difference) of the best.
//!
//! Source: the one-standard-error rule, Breiman et al. (1984), *Classification and Regression
//! Trees*, §3.4.3.

use super::calibrator::{Calibrator, Method};
use super::fit::{MIN_CHURNERS_AUTO_ISOTONIC, fit};
use super::sample::Sample;
use crate::ChurnError;
use cvm_math::{ln, log1p};
use serde::Serialize;

/// Folds of the choice.
pub const FOLDS: usize = 5;

/// A method with its log-loss on held-out folds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The method.
    pub method: Method,
    /// Mean log-loss on held-out folds; `None` if it could not be learnt.
    pub log_loss: Option<f64>,
    /// Standard error of the difference to the best.
    pub standard_error: Option<f64>,
}

/// A calibrator with what it was chosen among.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The calibrator, learnt on all rows.
    pub calibrator: Calibrator,
    /// Every method tried, simplest first.
    pub candidates: Vec<Candidate>,
}

/// Chooses among all methods but Venn–Abers; isotonic regression only takes part from
/// [`MIN_CHURNERS_AUTO_ISOTONIC`] rows of the rarer outcome.
///
/// # Errors
/// As [`fit`]: too few rows, or scores that do not rise with churn.
pub fn choose(sample: &Sample) -> Result<Choice, ChurnError> {
    let folds = deal(sample);
    let methods = Method::ALL.into_iter().filter(|method| match method {
        Method::VennAbers => false,
        Method::Isotonic => sample.rarer() >= MIN_CHURNERS_AUTO_ISOTONIC,
        _ => true,
    });
    let losses: Vec<(Method, Option<Vec<f64>>)> = methods
        .map(|method| (method, held_out_losses(method, sample, &folds)))
        .collect();
    let mean = |losses: &[f64]| weighted_mean(losses, &sample.weight);
    let known = losses.iter().filter_map(|(_, losses)| losses.as_ref());
    let best = known.min_by(|a, b| mean(a).total_cmp(&mean(b)));
    let candidate = |(method, losses): &(Method, Option<Vec<f64>>)| {
        let (losses, best) = (losses.as_ref()?, best?);
        let gaps: Vec<f64> = losses
            .iter()
            .zip(best)
            .map(|(own, best)| own - best)
            .collect();
        Some(Candidate {
            method: *method,
            log_loss: Some(mean(losses)),
            standard_error: Some(standard_error(&gaps, &sample.weight)),
        })
    };
    let candidates: Vec<Candidate> = losses
        .iter()
        .map(|losses| {
            candidate(losses).unwrap_or(Candidate {
                method: losses.0,
                log_loss: None,
                standard_error: None,
            })
        })
        .collect();
    let least = candidates
        .iter()
        .filter_map(|own| own.log_loss)
        .fold(f64::INFINITY, f64::min);
    let near = |own: &&Candidate| match (own.log_loss, own.standard_error) {
        (Some(loss), Some(error)) => loss - least <= error,
        _ => false,
    };
    let method = candidates
        .iter()
        .find(near)
        .map_or(Method::Platt, |own| own.method);
    Ok(Choice {
        calibrator: fit(method, sample)?,
        candidates,
    })
}

/// Fold of every row: each outcome is shuffled and dealt in turn.
fn deal(sample: &Sample) -> Vec<usize> {
    let mut folds = vec![0; sample.len()];
    for outcome in [false, true] {
        let mut rows: Vec<usize> = (0..sample.len())
            .filter(|row| sample.churned[*row] == outcome)
            .collect();
        rows.sort_by_key(|row| (crate::draws::mix(*row as u64), *row));
        for (place, row) in rows.into_iter().enumerate() {
            folds[row] = place % FOLDS;
        }
    }
    folds
}

/// Log-loss of every row under a calibrator of the other folds; `None` if a fold cannot be learnt,
/// or a loss is infinite.
fn held_out_losses(method: Method, sample: &Sample, folds: &[usize]) -> Option<Vec<f64>> {
    let mut losses = vec![f64::NAN; sample.len()];
    for fold in 0..FOLDS {
        let training = sample.filter(|row| folds[row] != fold);
        if training.rarer() == 0 {
            return None;
        }
        let calibrator = fit(method, &training).ok()?;
        for row in (0..sample.len()).filter(|row| folds[*row] == fold) {
            losses[row] = loss(&calibrator, sample.eta[row], sample.churned[row]);
        }
    }
    losses.iter().all(|loss| loss.is_finite()).then_some(losses)
}

fn loss(calibrator: &Calibrator, eta: f64, churned: bool) -> f64 {
    let p = calibrator.probability(eta);
    if churned { -ln(p) } else { -log1p(-p) }
}

fn weighted_mean(values: &[f64], weights: &[f64]) -> f64 {
    let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
    let rows = values.iter().zip(weights);
    rows.fold(0.0, |sum, (value, weight)| sum + weight * value) / total
}

fn standard_error(values: &[f64], weights: &[f64]) -> f64 {
    let mean = weighted_mean(values, weights);
    let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
    let squares = values
        .iter()
        .zip(weights)
        .fold(0.0, |sum, (value, weight)| {
            let gap = weight * (value - mean);
            sum + gap * gap
        });
    squares.sqrt() / total
}

//! A metric as a value, so that one bootstrap serves all of them.

use super::calibration::calibration_error;
use super::envelope::BetaWeights;
use super::profit::{ProfitSettings, empc_of, mpc_of};
use super::ranked::{Ranked, ScoreGroup, totals};
use super::ranking::{auc_of, average_precision_of, h_measure_of, ks_of, lift_of};
use super::{Binning, MetricError};
use cvm_math::{ln, log1p};

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// Area under the ROC curve.
    Auc,
    /// Average precision.
    AveragePrecision,
    /// Mean of minus the log-likelihood.
    LogLoss,
    /// Mean squared error of the probability.
    Brier,
    /// Calibration error over 10 bins of equal weight.
    Ece,
    /// Kolmogorov–Smirnov distance.
    Ks,
    /// Lift of the highest-scoring share.
    Lift {
        /// The share.
        share: f64,
    },
    /// H-measure with cost shares `Beta(2, 2)`.
    HMeasure,
    /// Expected maximum profit per customer.
    Empc(ProfitSettings),
    /// Maximum profit per customer.
    Mpc(ProfitSettings),
}

/// Bins of the calibration error.
const BINS: usize = 10;

impl Measure {
    /// Whether scores must be probabilities.
    #[must_use]
    pub fn needs_probabilities(&self) -> bool {
        matches!(self, Measure::LogLoss | Measure::Brier | Measure::Ece)
    }

    /// The metric of rows sorted by score, under `weights`, with a value per row for profits.
    ///
    /// # Errors
    /// [`MetricError`]: one class only, a setting out of range.
    pub fn of(
        &self,
        ranked: &Ranked,
        weights: Option<&[f64]>,
        values: Option<&[f64]>,
    ) -> Result<f64, MetricError> {
        match self {
            Measure::Empc(settings) => return empc_of(ranked, weights, values, settings),
            Measure::Mpc(settings) => return mpc_of(ranked, weights, values, settings),
            Measure::Ece => return ece_of(ranked, weights),
            _ => {}
        }
        let groups = ranked.groups(weights);
        match self {
            Measure::Auc => auc_of(&groups),
            Measure::AveragePrecision => average_precision_of(&groups),
            Measure::LogLoss => mean(&groups, |p| (-ln(p), -log1p(-p))),
            Measure::Brier => mean(&groups, |p| ((1.0 - p) * (1.0 - p), p * p)),
            Measure::Ks => Ok(ks_of(&groups)?.distance),
            Measure::Lift { share } => lift_of(&groups, *share),
            Measure::HMeasure => h_measure_of(&groups, &BetaWeights::new(2.0, 2.0)?),
            Measure::Ece | Measure::Empc(_) | Measure::Mpc(_) => Err(MetricError::SingleClass),
        }
    }
}

fn ece_of(ranked: &Ranked, weights: Option<&[f64]>) -> Result<f64, MetricError> {
    let mut scores = vec![0.0; ranked.len()];
    let mut churned = vec![false; ranked.len()];
    for (group, row) in ranked.rows() {
        scores[row] = ranked.score(group);
        churned[row] = ranked.churned(row);
    }
    calibration_error(
        &churned,
        &scores,
        weights,
        BINS,
        Binning::Mass,
        false,
        false,
    )
}

/// Mean loss, from the losses of a churner and of a stayer at a probability.
fn mean(groups: &[ScoreGroup], losses: impl Fn(f64) -> (f64, f64)) -> Result<f64, MetricError> {
    let (churners, stayers) = totals(groups)?;
    let sum = groups.iter().fold(0.0, |sum, group| {
        let (churned, stayed) = losses(group.score);
        // A loss is infinite; that of nobody is nothing.
        let part = |weight: f64, loss: f64| if weight > 0.0 { weight * loss } else { 0.0 };
        sum + (part(group.churned, churned) + part(group.stayed, stayed))
    });
    Ok(sum / (churners + stayers))
}

//! Linear SHAP: what each field adds to a row's logit.
//!
//! With `η = c_0 + Σ c_j (v_j − m_j)` a field's attribution is the sum of `c_j (v_j − m_j)` over its
//! own design columns: bends of a spline, indicators of levels and of a gap. `m_j` is the training
//! mean, or the mean over background rows. The logit is a sum over fields, so this is the Shapley
//! value of the game in which an absent field takes its mean, whatever the other fields do.
//!
//! Source: Lundberg & Lee (2017), *A unified approach to interpreting model predictions*, NeurIPS,
//! corollary 1 (Linear SHAP).

use crate::score::Plan;
use cvm_core::{Attributions, BoundBatch, ExplainMethod, InputError, Question, RowStatus};
use std::ops::Range;

const FROM_TRAINING: &str = "linear SHAP against the training means";
const FROM_BACKGROUND: &str = "linear SHAP against the background rows";

/// Attributions of `rows` of a batch.
///
/// # Errors
/// Background rows that are absent, not asked for, or bad.
pub(crate) fn explain(
    plan: &Plan,
    batch: &BoundBatch<'_, '_>,
    rows: Range<usize>,
    question: &Question<'_, '_, '_>,
) -> Result<Attributions, InputError> {
    let (usual, method) = match (question.method, question.background) {
        (ExplainMethod::Interventional, Some(batch)) => (usual(plan, batch)?, FROM_BACKGROUND),
        (ExplainMethod::Interventional, None) => {
            let why = "is not given; interventional attributions need rows to compare with";
            return Err(InputError::new("background", why));
        }
        (_, Some(_)) => {
            let why = "is given; only the method `interventional` compares with it";
            return Err(InputError::new("background", why));
        }
        (_, None) => (plan.centres().to_vec(), FROM_TRAINING),
    };
    let fields = usual.len();
    let (mut values, status) = plan.effects(batch, rows);
    for (row, status) in values.chunks_exact_mut(fields).zip(&status) {
        for (value, usual) in row.iter_mut().zip(&usual) {
            *value = if status.is_ok() {
                *value - usual
            } else {
                f64::NAN
            };
        }
    }
    let moved: f64 = usual.iter().zip(plan.centres()).map(|(u, c)| u - c).sum();
    Ok(Attributions {
        method,
        is_exact: true,
        outputs: vec!["logit"],
        base: vec![plan.intercept() + moved],
        values,
        status,
    })
}

/// Mean effect of each field over background rows.
fn usual(plan: &Plan, batch: &BoundBatch<'_, '_>) -> Result<Vec<f64>, InputError> {
    if batch.row_count == 0 {
        return Err(InputError::new("background", "has no rows"));
    }
    let (effects, status) = plan.effects(batch, 0..batch.row_count);
    if let Some(row) = status.iter().position(|status| !status.is_ok()) {
        let issue = batch.describe(row, status[row]);
        return Err(InputError::new("background", issue.message));
    }
    let mut means = vec![0.0; plan.centres().len()];
    for row in effects.chunks_exact(means.len()) {
        for (mean, effect) in means.iter_mut().zip(row) {
            *mean += effect;
        }
    }
    let count = status.len() as f64;
    means.iter_mut().for_each(|mean: &mut f64| *mean /= count);
    Ok(means)
}

/// Effects of each field, row after row, before anything is taken off.
impl Plan {
    fn effects(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
    ) -> (Vec<f64>, Vec<RowStatus>) {
        let (count, fields) = (rows.len(), self.centres().len());
        let mut values = vec![0.0; count * fields];
        let mut status = vec![RowStatus::OK; count];
        let (mut effects, mut room) = (vec![0.0; count], vec![0.0; count]);
        for field in 0..fields {
            effects.fill(0.0);
            self.add_field(
                batch,
                rows.start,
                field,
                &mut effects,
                &mut room,
                &mut status,
            );
            for (row, effect) in effects.iter().enumerate() {
                values[row * fields + field] = *effect;
            }
        }
        let totals = values
            .chunks_exact(fields)
            .map(|row| row.iter().sum::<f64>());
        for (total, status) in totals.zip(&mut status) {
            self.settle_total(total, status);
        }
        (values, status)
    }
}

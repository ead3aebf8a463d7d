//! Chooses the penalty of a logistic model: a path of penalties, judged by held-out folds.
//!
//! The largest penalty of the path is the least that leaves every coefficient at zero; the rest go
//! down in equal steps of the logarithm, each fit starting from the one before. Encodings are learnt
//! within each fold, so a level or a quantile of the held-out rows is never seen. A penalty is of
//! the total log-likelihood: in a fold it is scaled to the weight the fold trains on.
//!
//! Source: Friedman, Hastie & Tibshirani (2010), *J. Stat. Software* 33(1), sections 2.5 and 2.6;
//! the one-standard-error rule: Breiman et al. (1984), section 3.4.3.

use crate::fit::thread_count;
use crate::fit_rows::run_with;
use crate::{Error, FitOptions, FitWatch};
use cvm_churn::{LogisticDesign, LogisticSpec, PathRule, PathSpec, Prepared, penalties};
use cvm_core::{Batch, Column, Derivatives, ErrorKind, Likelihood, Order, ScoreOptions};
use cvm_fit::Settings;
use cvm_math::{exp, ln};
use ndarray::ArrayView1;
use serde_json::{Value, json};

/// Column of the weights of a fold.
const FOLD_WEIGHT: &str = "cvm fold weight";
/// A ridge never makes a coefficient zero: its path starts where a lasso of this share would.
const LEAST_SHARE: f64 = 1e-3;

/// Penalties with what the folds say of each.
pub(crate) struct Path {
    penalties: Vec<f64>,
    losses: Vec<f64>,
    errors: Vec<f64>,
    chosen: usize,
}

impl Path {
    pub(crate) fn penalty(&self) -> f64 {
        self.penalties[self.chosen]
    }

    pub(crate) fn facts(&self) -> Value {
        json!({
            "penalties": self.penalties,
            "log_loss": self.losses,
            "standard_error": self.errors,
            "chosen": self.chosen,
        })
    }
}

/// Judges the path of `spec`.
pub(crate) fn choose(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
    path: &PathSpec,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Path, Error> {
    let truth = LogisticDesign::truth(batch, spec)?;
    let weights = LogisticDesign::weights(batch, spec)?;
    let all = LogisticDesign::prepare(batch, spec)?;
    let penalties = grid(&all, spec.l1_ratio, path);
    let folds = folds(&truth, path)?;
    let mut by_fold = Vec::with_capacity(path.folds);
    for fold in 0..path.folds {
        let held = |row: usize| folds[row] == fold;
        let part = |keep: &dyn Fn(usize) -> bool| -> Vec<f64> {
            let pairs = weights.iter().enumerate();
            pairs
                .map(|(row, w)| if keep(row) { *w } else { 0.0 })
                .collect()
        };
        let fold = Fold {
            truth: &truth,
            training: part(&|row| !held(row)),
            held_out: part(&held),
        };
        by_fold.push(losses(batch, spec, &penalties, &fold, (options, watch))?);
    }
    Ok(judged(penalties, &by_fold, path.rule))
}

struct Fold<'a> {
    truth: &'a [bool],
    training: Vec<f64>,
    held_out: Vec<f64>,
}

/// Fold of every row: rows of each class in shuffled order, dealt out one by one.
fn folds(truth: &[bool], path: &PathSpec) -> Result<Vec<usize>, Error> {
    let mut folds = vec![0; truth.len()];
    let mut state = path.seed;
    for class in [true, false] {
        let mut rows: Vec<usize> = (0..truth.len())
            .filter(|row| truth[*row] == class)
            .collect();
        if rows.len() < path.folds {
            let why = format!(
                "is {}: a class has only {} rows, and every fold needs one",
                path.folds,
                rows.len()
            );
            return Err(Error::invalid("options.settings.path.folds", why));
        }
        for last in (1..rows.len()).rev() {
            rows.swap(last, below(&mut state, last + 1));
        }
        for (place, row) in rows.into_iter().enumerate() {
            folds[row] = place % path.folds;
        }
    }
    Ok(folds)
}

/// SplitMix64 (Steele, Lea & Flood 2014), scaled to `0..end`.
fn below(state: &mut u64, end: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    usize::try_from((u128::from(z) * end as u128) >> 64).unwrap_or_default()
}

/// The penalties, largest first.
#[allow(clippy::cast_precision_loss)]
fn grid(all: &Prepared, l1_ratio: f64, path: &PathSpec) -> Vec<f64> {
    let likelihood = &all.likelihood;
    let mut sum = Derivatives::zero(likelihood.dim());
    for block in 0..likelihood.block_count() {
        likelihood.accumulate(&all.starts[0], block, Order::Gradient, &mut sum);
    }
    let slopes = sum.gradient.iter().skip(1);
    let steepest = slopes.fold(0.0_f64, |top, slope| top.max(slope.abs()));
    let largest = steepest.max(1e-9) / l1_ratio.max(LEAST_SHARE);
    let step = ln(path.smallest_ratio) / (path.count - 1) as f64;
    (0..path.count)
        .map(|i| largest * exp(step * i as f64))
        .collect()
}

/// Mean log-loss of the held-out rows at every penalty.
fn losses(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
    penalties_of: &[f64],
    fold: &Fold<'_>,
    (options, watch): (&FitOptions, FitWatch<'_>),
) -> Result<Vec<f64>, Error> {
    let mut own = Batch::new(batch.row_count());
    for name in batch
        .names()
        .filter(|name| spec.weight.as_deref() != Some(*name))
    {
        // Borrowed anew, for the shorter life of the fold's weights.
        match batch.get(name) {
            Some(Column::Numbers(view)) => own.push(name, Column::Numbers(view.view()))?,
            Some(Column::Text(text)) => own.push(name, Column::Text(*text))?,
            None => {}
        }
    }
    own.push(
        FOLD_WEIGHT,
        Column::Numbers(ArrayView1::from(&fold.training)),
    )?;
    let mut own_spec = spec.clone();
    own_spec.weight = Some(FOLD_WEIGHT.to_owned());
    let prepared = LogisticDesign::prepare(&own, &own_spec)?;
    let total = fold.training.iter().chain(&fold.held_out).sum::<f64>();
    let share = fold.training.iter().sum::<f64>() / total;
    let mut start = prepared.starts[0].clone();
    let mut losses = Vec::with_capacity(penalties_of.len());
    for penalty in penalties_of {
        let (l2, l1) = penalties(penalty * share, spec.l1_ratio, 1, start.len());
        let settings = Settings {
            max_iterations: options.max_iterations,
            // Choosing a penalty needs no more digits than a loss has.
            gradient_tolerance: options.gradient_tolerance.max(1e-7),
            penalty: l2,
            l1,
            threads: thread_count(options.threads),
            ..Settings::default()
        };
        let starts = [start];
        let transforms = &prepared.transforms;
        let fit = run_with(
            &prepared.likelihood,
            transforms,
            &starts,
            options,
            &settings,
            watch,
        )?;
        let model = prepared.finish(&fit.params, fit.covariance.view())?.model;
        let asked = ScoreOptions {
            outputs: vec!["logit".to_owned()],
            ..ScoreOptions::default()
        };
        let scores = crate::score::score(&model, batch, &asked, 1)?;
        losses.push(loss(scores.get("logit").unwrap_or_default(), fold)?);
        start = fit.params;
    }
    Ok(losses)
}

/// Weighted mean of `ln(1 + e^∓logit)`; rows the model refuses do not count.
fn loss(logits: &[f64], fold: &Fold<'_>) -> Result<f64, Error> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for ((logit, churned), w) in logits.iter().zip(fold.truth).zip(&fold.held_out) {
        if logit.is_nan() || *w == 0.0 {
            continue;
        }
        let signed = if *churned { -logit } else { *logit };
        sum += w * cvm_math::softplus(signed);
        weight += w;
    }
    if weight == 0.0 {
        let why = "no held-out row has a score: every one holds a level that its fold did not see";
        return Err(Error::new(ErrorKind::InvalidInput, why));
    }
    Ok(sum / weight)
}

#[allow(clippy::cast_precision_loss)]
fn judged(penalties: Vec<f64>, by_fold: &[Vec<f64>], rule: PathRule) -> Path {
    let count = by_fold.len() as f64;
    let at = |i: usize| by_fold.iter().map(move |losses| losses[i]);
    let losses: Vec<f64> = (0..penalties.len())
        .map(|i| at(i).sum::<f64>() / count)
        .collect();
    let error = |i: usize| {
        let squares = at(i).map(|loss| (loss - losses[i]) * (loss - losses[i]));
        (squares.sum::<f64>() / (count * (count - 1.0))).sqrt()
    };
    let errors: Vec<f64> = (0..penalties.len()).map(error).collect();
    let mut best = 0;
    for i in 1..losses.len() {
        if losses[i] < losses[best] {
            best = i;
        }
    }
    let chosen = match rule {
        PathRule::Best => best,
        PathRule::OneStandardError => {
            let allowed = losses[best] + errors[best];
            losses
                .iter()
                .position(|loss| *loss <= allowed)
                .unwrap_or(best)
        }
    };
    Path {
        penalties,
        losses,
        errors,
        chosen,
    }
}

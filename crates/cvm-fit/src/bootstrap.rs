//! The nonparametric bootstrap: refits under random row weights, in parallel, the same bits for any
//! number of threads.
//!
//! Replicate `r` draws its weights from stream `r` of the seed, starts from the original estimate
//! and runs on one thread; results are kept in the order of replicates. Intervals are percentiles.
//!
//! Sources: Efron & Tibshirani (1993), *An Introduction to the Bootstrap* (percentiles);
//! Rubin (1981), *Annals of Statistics* 9(1) (Bayesian bootstrap).

use crate::maximize::maximize_with;
use crate::random::Stream;
use crate::result::{Fit, FitError, Progress, invalid};
use crate::settings::Settings;
use cvm_core::{Likelihood, Transform};
use ndarray::Array2;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, scope};

/// How rows are reweighted; every scheme has weights of mean 1 and variance about 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resampling {
    /// Standard exponential weights scaled to sum to the number of rows: smooth, no row is ever
    /// absent, so that few replicates degenerate.
    #[default]
    Bayesian,
    /// Counts of as many draws with replacement as there are rows: the classical bootstrap.
    Multinomial,
    /// Independent Poisson counts of mean 1: the classical one where rows are in several places.
    Poisson,
}

/// How to resample.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapSettings {
    /// Refits; at least 2. Some 200 for standard errors, 1000 or more for intervals.
    pub replicates: usize,
    /// Seed: the same gives the same replicates.
    pub seed: u64,
    /// Scheme of weights.
    pub resampling: Resampling,
    /// Replicates at a time; results do not depend on it. 0 counts as 1.
    pub threads: usize,
}

impl Default for BootstrapSettings {
    fn default() -> Self {
        BootstrapSettings {
            replicates: 1000,
            seed: 0,
            resampling: Resampling::default(),
            threads: 1,
        }
    }
}

/// Estimates of the replicates.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Natural parameters of the fit that was resampled.
    pub estimate: Vec<f64>,
    /// Natural parameters of every replicate that converged, in order.
    pub replicates: Vec<Vec<f64>>,
    /// Replicates that did not converge: counted, not replaced.
    pub failed: usize,
    /// Why the first of them did not.
    pub first_failure: Option<String>,
}

impl Bootstrap {
    /// Covariance of the natural parameters over the replicates.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let dim = self.estimate.len();
        let count = count(self.replicates.len());
        let mean: Vec<f64> = (0..dim)
            .map(|i| self.replicates.iter().map(|r| r[i]).sum::<f64>() / count)
            .collect();
        let pair = |i: usize, j: usize| {
            let terms = self.replicates.iter();
            terms.fold(0.0, |sum, r| sum + (r[i] - mean[i]) * (r[j] - mean[j]))
        };
        Array2::from_shape_fn((dim, dim), |(i, j)| {
            pair(i.max(j), i.min(j)) / (count - 1.0)
        })
    }

    /// Standard deviations over the replicates.
    #[must_use]
    pub fn standard_errors(&self) -> Vec<f64> {
        self.covariance().diag().iter().map(|v| v.sqrt()).collect()
    }

    /// Percentile interval of parameter `index` at confidence `level`; `None` for an index or level
    /// that does not exist.
    #[must_use]
    pub fn interval(&self, index: usize, level: f64) -> Option<(f64, f64)> {
        if index >= self.estimate.len() || level.is_nan() || level <= 0.0 || level >= 1.0 {
            return None;
        }
        let mut values: Vec<f64> = self.replicates.iter().map(|r| r[index]).collect();
        values.sort_by(f64::total_cmp);
        let tail = 0.5 * (1.0 - level);
        Some((quantile(&values, tail)?, quantile(&values, 1.0 - tail)?))
    }

    /// Values of a function of the parameters (a prediction) over the replicates: intervals of
    /// anything.
    #[must_use]
    pub fn map(&self, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        self.replicates.iter().map(|r| f(r)).collect()
    }
}

/// Sample quantile at the expected rank `p (n + 1)`, by linear interpolation between order statistics
/// (Hyndman & Fan 1996, type 6): an interval of few replicates is not too short.
fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = (p * count(sorted.len() + 1) - 1.0).clamp(0.0, count(last));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = place.floor() as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (place - place.floor()) * (high - low))
}

#[allow(clippy::cast_precision_loss)]
fn count(n: usize) -> f64 {
    n as f64
}

/// What every replicate needs.
struct Plan<'a> {
    make: &'a (dyn Fn(&[f64]) -> Box<dyn Likelihood> + Sync),
    row_count: usize,
    transforms: &'a [Transform],
    start: &'a [f64],
    settings: Settings,
    resampling: &'a BootstrapSettings,
}

type Outcome = (usize, Result<Vec<f64>, String>);

/// Refits under random weights. `make_likelihood` builds the likelihood of `row_count` weights (to
/// be multiplied by the rows' own, if they have any); it is called on several threads at once.
///
/// `progress(done, total)` is called on the calling thread after every replicate and, on one thread,
/// before every step of a fit; `Break` cancels.
///
/// # Errors
/// [`FitError::ResamplingCancelled`]; [`FitError::TooFewReplicates`] when fewer than two, or fewer
/// than half, of the replicates converge; [`FitError::Invalid`] for settings that cannot be used.
#[allow(clippy::too_many_arguments)]
pub fn bootstrap(
    make_likelihood: &(dyn Fn(&[f64]) -> Box<dyn Likelihood> + Sync),
    row_count: usize,
    transforms: &[Transform],
    fit: &Fit,
    settings: &Settings,
    resampling: &BootstrapSettings,
    progress: &dyn Fn(usize, usize) -> ControlFlow<()>,
) -> Result<Bootstrap, FitError> {
    let total = resampling.replicates;
    if total < 2 {
        return Err(invalid("replicates", total, "at least 2"));
    }
    if row_count == 0 {
        return Err(FitError::NoData);
    }
    let plan = Plan {
        make: make_likelihood,
        row_count,
        transforms,
        start: &fit.params,
        settings: Settings {
            threads: 1,
            // The weights are not those of the data the bound was computed on.
            log_likelihood_bound: None,
            ..settings.clone()
        },
        resampling,
    };
    let outcomes = if resampling.threads > 1 {
        parallel(&plan, progress)?
    } else {
        serial(&plan, progress)?
    };
    collect(fit, outcomes)
}

fn serial(
    plan: &Plan<'_>,
    progress: &dyn Fn(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<Outcome>, FitError> {
    let total = plan.resampling.replicates;
    let mut outcomes = Vec::with_capacity(total);
    for replicate in 0..total {
        let outcome = plan.refit(replicate, &|_| progress(replicate, total));
        let cancelled = |done| FitError::ResamplingCancelled { done, total };
        outcomes.push((replicate, outcome.ok_or_else(|| cancelled(replicate))?));
        if progress(replicate + 1, total).is_break() {
            return Err(cancelled(replicate + 1));
        }
    }
    Ok(outcomes)
}

/// Workers take replicates in turn; this thread counts, tells and cancels.
fn parallel(
    plan: &Plan<'_>,
    progress: &dyn Fn(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<Outcome>, FitError> {
    let total = plan.resampling.replicates;
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = channel::<Outcome>();
    let work = |sender: Sender<Outcome>| {
        let watch = |_: &Progress<'_>| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        while !stop.load(Ordering::Relaxed) {
            let replicate = next.fetch_add(1, Ordering::Relaxed);
            if replicate >= total {
                return;
            }
            let Some(outcome) = plan.refit(replicate, &watch) else {
                return;
            };
            if sender.send((replicate, outcome)).is_err() {
                return;
            }
        }
    };
    let workers = plan.resampling.threads.min(total);
    let outcomes = scope(|scope| {
        let spawn = |_| {
            let sender = sender.clone();
            Builder::new().spawn_scoped(scope, || work(sender)).is_ok()
        };
        let started = (0..workers).filter(|i| spawn(*i)).count();
        drop(sender);
        let mut outcomes = Vec::with_capacity(total);
        for outcome in receiver {
            outcomes.push(outcome);
            if progress(outcomes.len(), total).is_break() {
                stop.store(true, Ordering::Relaxed);
                let done = outcomes.len();
                return Err(FitError::ResamplingCancelled { done, total });
            }
        }
        Ok((started > 0).then_some(outcomes))
    })?;
    // No thread could be started: no error, this one does the work.
    let Some(mut outcomes) = outcomes else {
        return serial(plan, progress);
    };
    outcomes.sort_by_key(|(replicate, _)| *replicate);
    Ok(outcomes)
}

impl Plan<'_> {
    /// Estimates of one replicate, or why there are none; `None` if cancelled.
    fn refit(
        &self,
        replicate: usize,
        watch: &dyn Fn(&Progress<'_>) -> ControlFlow<()>,
    ) -> Option<Result<Vec<f64>, String>> {
        let weights = self.weights(replicate);
        let likelihood = (self.make)(&weights);
        let starts = [self.start.to_vec()];
        let transforms = self.transforms;
        match maximize_with(
            likelihood.as_ref(),
            transforms,
            &starts,
            &self.settings,
            watch,
        ) {
            Ok(fit) => Some(Ok(fit.params)),
            Err(FitError::Cancelled { .. }) => None,
            Err(error) => Some(Err(error.to_string())),
        }
    }

    fn weights(&self, replicate: usize) -> Vec<f64> {
        let mut stream = Stream::new(self.resampling.seed, replicate as u64);
        let rows = self.row_count;
        match self.resampling.resampling {
            Resampling::Poisson => (0..rows).map(|_| stream.poisson_one()).collect(),
            Resampling::Multinomial => {
                let mut weights = vec![0.0; rows];
                (0..rows).for_each(|_| weights[stream.below(rows)] += 1.0);
                weights
            }
            Resampling::Bayesian => {
                let raw: Vec<f64> = (0..rows).map(|_| stream.exponential()).collect();
                let scale = count(rows) / raw.iter().sum::<f64>();
                raw.iter().map(|weight| weight * scale).collect()
            }
        }
    }
}

fn collect(fit: &Fit, outcomes: Vec<Outcome>) -> Result<Bootstrap, FitError> {
    let total = outcomes.len();
    let mut replicates = Vec::with_capacity(total);
    let mut first_failure = None;
    for (_, outcome) in outcomes {
        match outcome {
            Ok(params) => replicates.push(params),
            Err(why) => first_failure = first_failure.or(Some(why)),
        }
    }
    let failed = total - replicates.len();
    if replicates.len() < 2 || replicates.len() < failed {
        let first = first_failure.unwrap_or_default();
        return Err(FitError::TooFewReplicates {
            failed,
            total,
            first,
        });
    }
    Ok(Bootstrap {
        estimate: fit.params.clone(),
        replicates,
        failed,
        first_failure,
    })
}

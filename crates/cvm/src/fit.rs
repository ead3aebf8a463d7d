//! Fitting by kind: options in, a model and a report out.

use crate::{Error, Model, NestedTest, catalog::entry};
use cvm_core::{Batch, TimeUnit, Transform};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ops::ControlFlow;

/// How to fit; the same object for every kind and every surface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitOptions {
    /// Length of one period of the data's time columns.
    pub time_unit: Option<TimeUnit>,
    /// Column of row weights; unset means one each.
    pub weight_column: Option<String>,
    /// L2 penalty on the working coordinates; unset is the kind's default.
    pub penalty: Option<f64>,
    /// Most Newton steps per start.
    pub max_iterations: u32,
    /// Convergence: largest absolute gradient per unit of weight.
    pub gradient_tolerance: f64,
    /// Threads; the result does not depend on it. 0 means all.
    pub threads: usize,
    /// Return the best point reached, marked as not converged, in place of an error.
    pub allow_not_converged: bool,
    /// Settings of the kind, such as the target column of a churn model.
    pub settings: Map<String, Value>,
}

impl Default for FitOptions {
    fn default() -> Self {
        FitOptions {
            time_unit: None,
            weight_column: None,
            penalty: None,
            max_iterations: 200,
            gradient_tolerance: 1e-9,
            threads: 0,
            allow_not_converged: false,
            settings: Map::new(),
        }
    }
}

/// What a fit found, for people and for the artifact's training facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Kind of the model.
    pub kind: String,
    /// Parameter (or coefficient) names.
    pub param_names: Vec<String>,
    /// Estimates, in the order of the names.
    pub params: Vec<f64>,
    /// Standard errors from the exact Hessian; null where undefined.
    pub standard_errors: Vec<Option<f64>>,
    /// Covariance, row-major; null where undefined.
    pub covariance: Vec<Option<f64>>,
    /// Log-likelihood, without penalty.
    pub log_likelihood: f64,
    /// L2 penalty used.
    pub penalty: f64,
    /// Whether the convergence test passed.
    pub converged: bool,
    /// Why it stopped.
    pub message: String,
    /// Algorithm.
    pub method: String,
    /// Steps.
    pub iterations: u32,
    /// Likelihood evaluations.
    pub evaluations: u32,
    /// Starts tried.
    pub starts_tried: u32,
    /// Largest absolute gradient per unit of weight.
    pub gradient_norm: f64,
    /// Condition number of the information matrix; null when singular.
    pub condition_number: Option<f64>,
    /// Rows given.
    pub row_count: usize,
    /// Legal rows without information for this model (one-time buyers for a spend model).
    pub excluded_row_count: usize,
    /// Sum of weights of the rows used.
    pub weight: f64,
    /// Advice.
    pub warnings: Vec<String>,
    /// What is peculiar about the place reached, for programs: each also among the warnings.
    #[serde(default)]
    pub findings: Vec<FitFinding>,
    /// Akaike's information criterion; less is better.
    #[serde(default)]
    pub aic: f64,
    /// Schwarz's information criterion; less is better.
    #[serde(default)]
    pub bic: f64,
    /// Parameters that are free: not held, at a bound, or set to zero by a penalty.
    #[serde(default)]
    pub free_params: usize,
    /// Log-likelihood plus the log density of the priors.
    #[serde(default)]
    pub log_posterior: f64,
    /// Likelihood-ratio tests against models inside this one; empty where there is none, and where
    /// penalties, priors or bounds move the maximum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<NestedTest>,
}

/// Something peculiar about a fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitFinding {
    /// A stable name: `ridge`, `escaped`, `at_bound`, `influential` …
    pub kind: String,
    /// One sentence with advice.
    pub sentence: String,
}

/// Half-width of a 95 % interval in standard errors: the normal quantile at 0.975.
const NORMAL_975: f64 = 1.959_963_984_540_054;

impl FitReport {
    /// Ends of the 95 % interval of parameter `index`, from its standard error: symmetric on the
    /// coordinate the model is estimated in, so that of a positive parameter is positive. `None`
    /// where there is no standard error.
    #[must_use]
    pub fn interval_95(&self, index: usize) -> Option<(f64, f64)> {
        let estimate = *self.params.get(index)?;
        let half = NORMAL_975 * (*self.standard_errors.get(index)?)?;
        let specs = entry(&self.kind).map_or(&[][..], |entry| entry.params);
        match specs.get(index).map(|spec| spec.transform) {
            Some(Transform::Log) => {
                let factor = cvm_math::exp(half / estimate);
                Some((estimate / factor, estimate * factor))
            }
            Some(Transform::Identity) | None => Some((estimate - half, estimate + half)),
            Some(bounded @ (Transform::Logit | Transform::FisherZ)) => {
                cvm_fit::wald_interval(bounded, estimate, half / NORMAL_975, 0.95)
            }
        }
    }
}

/// A fitted model and how the fit went.
#[derive(Debug)]
pub struct Fitted {
    /// The model.
    pub model: Model,
    /// The report; also in the model's training facts.
    pub report: FitReport,
}

/// Fits a model of `kind` to a batch.
///
/// # Errors
/// `NotFound` for an unknown kind; `InvalidInput` for data or options that are wrong;
/// `NotConverged` with what was reached, unless options allow it.
pub fn fit(kind: &str, batch: &Batch<'_>, options: &FitOptions) -> Result<Fitted, Error> {
    fit_watched(kind, batch, options, &|_| ControlFlow::Continue(()))
}

/// How far a fit is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FitProgress {
    /// A fit in steps of known number: the trees of a boosted model.
    Steps {
        /// Steps done.
        done: usize,
        /// Steps at most.
        total: usize,
    },
    /// A search for a maximum, which ends when it is there.
    Search {
        /// Steps taken, over all starts and models compared.
        steps: u32,
        /// Log-likelihood where the search is.
        log_likelihood: f64,
        /// Largest absolute gradient per unit of weight; the search ends where it is next to nothing.
        gradient_norm: f64,
    },
}

/// Told how far a fit is before every step of it; `Break` cancels.
pub type FitWatch<'a> = &'a dyn Fn(FitProgress) -> ControlFlow<()>;

/// Fits a model as [`fit`] does, and tells before every step how far it is.
///
/// # Errors
/// As [`fit`]; `NotConverged` for a fit that was stopped, whatever the options allow.
pub fn fit_watched(
    kind: &str,
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    check(options)?;
    match entry(kind)?.fit {
        Some(fit) => profiled(fit(batch, options, watch)?, batch),
        None => Err(Error::invalid(
            "kind",
            format!("`{kind}` is composed, not fitted"),
        )),
    }
}

/// A churn model with the profile of its training rows, which later tables are compared with.
fn profiled(fitted: Fitted, batch: &Batch<'_>) -> Result<Fitted, Error> {
    let Fitted { model, report } = fitted;
    let is_churn =
        |output: &cvm_core::OutputSpec| output.name == "churn_probability" && !output.needs_horizon;
    // Duration models are fitted on other columns than they score.
    let can_score = batch.bind(model.schema()).is_ok();
    let model = match can_score && model.outputs().iter().any(is_churn) {
        true => model.profiled(batch)?,
        false => model,
    };
    Ok(Fitted { model, report })
}

fn check(options: &FitOptions) -> Result<(), Error> {
    if let Some(penalty) = options.penalty
        && !cvm_core::Domain::NonNegative.contains(penalty)
    {
        let why = format!("is {penalty}: must be {}", cvm_core::Domain::NonNegative);
        return Err(Error::invalid("options.penalty", why));
    }
    if !cvm_core::Domain::Positive.contains(options.gradient_tolerance) {
        let why = format!("is {}: must be > 0", options.gradient_tolerance);
        return Err(Error::invalid("options.gradient_tolerance", why));
    }
    if options.max_iterations == 0 {
        return Err(Error::invalid(
            "options.max_iterations",
            "is 0: must be 1 or more",
        ));
    }
    Ok(())
}

/// Threads to use for `requested` (0 means all the machine offers).
pub(crate) fn thread_count(requested: usize) -> usize {
    if requested > 0 {
        return requested.min(256);
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

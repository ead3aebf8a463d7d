//! Maximum-likelihood estimation of anything with a `Likelihood`; knows no model.
//!
//! [`maximize`] moves parameters in working coordinates (`ln θ` or `θ`) by trust-region Newton with
//! the exact Hessian, falls back to L-BFGS where the Hessian cannot be used, and tries further
//! starts only when the first fails or ends in a degenerate place. Blocks of rows are evaluated on
//! several threads and added in a fixed order: the same bits for any number of threads.
//!
//! The optimum is a maximum of `ℓ(θ) − ½ Σ penalty_i w_i²`, with `ℓ` the total (not mean)
//! log-likelihood: scikit-learn's convention for a logistic model with `C = 1 / penalty`. See
//! `docs/models/estimation.md`.

mod evaluate;
mod lbfgs;
mod linear;
mod newton;
mod objective;
mod report;
mod trust;

use cvm_core::{Likelihood, Order, Transform};
use lbfgs::lbfgs;
use ndarray::Array2;
use newton::{Run, Stop, newton};
use objective::Objective;
use std::cell::Cell;

/// How to estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most Newton steps per start (an L-BFGS fallback may take ten times as many); at least 1.
    pub max_iterations: u32,
    /// Convergence: largest absolute gradient per unit of weight, in working coordinates; positive.
    pub gradient_tolerance: f64,
    /// L2 penalty: `0.5 * penalty[i] * working[i]^2` is subtracted from the total log-likelihood.
    /// Empty for none; otherwise one finite number >= 0 per parameter.
    pub penalty: Vec<f64>,
    /// Threads; results do not depend on it. 0 counts as 1.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_iterations: 200,
            gradient_tolerance: 1e-8,
            penalty: Vec::new(),
            threads: 1,
        }
    }
}

/// What a fit found.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Natural parameters.
    pub params: Vec<f64>,
    /// Log-likelihood (without penalty).
    pub log_likelihood: f64,
    /// Log-likelihood minus the penalty: what was maximised.
    pub penalized_log_likelihood: f64,
    /// Covariance of natural parameters: inverse of minus the Hessian of what was maximised, hence
    /// with the penalty's curvature for a penalised fit (a posterior covariance under the normal
    /// prior that the penalty is); delta method for log coordinates. Symmetric in every bit; NaN
    /// where the information matrix is not positive definite.
    pub covariance: Array2<f64>,
    /// Square roots of its diagonal.
    pub standard_errors: Vec<f64>,
    /// Largest absolute gradient per unit weight, working coordinates.
    pub gradient_norm: f64,
    /// Steps taken from the start that was kept.
    pub iterations: u32,
    /// Likelihood evaluations over all starts.
    pub evaluations: u32,
    /// Starts tried.
    pub starts_tried: u32,
    /// Condition number of the information matrix in working coordinates, scaled to unit diagonal;
    /// infinite if it is not positive definite.
    pub condition_number: f64,
    /// Algorithm that finished: `trust-region newton` or `l-bfgs`.
    pub method: &'static str,
    /// Whether the convergence test passed.
    pub converged: bool,
    /// Why it stopped, in words.
    pub message: String,
    /// Advice: ridge, boundary, no standard errors.
    pub warnings: Vec<String>,
}

/// Why there is no fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// Stopped early or in a degenerate place; carries what was reached.
    #[error("not converged: {}", .fit.message)]
    NotConverged {
        /// What was reached.
        fit: Box<Fit>,
    },
    /// No start has a finite log-likelihood.
    #[error("no start has a finite log-likelihood and gradient ({starts} tried)")]
    NoFiniteStart {
        /// Starts tried.
        starts: usize,
    },
    /// Nothing to fit on.
    #[error("no rows to fit on")]
    NoData,
    /// A setting or start that cannot be used.
    #[error("{field} is {value}: must be {allowed}")]
    Invalid {
        /// Path of the argument: `settings.penalty[2]`, `starts[0][1]`.
        field: String,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Maximizes `likelihood` over parameters whose coordinates are `transforms`, from `starts` of
/// natural parameters (best guess first; the others are tried only if that one fails).
///
/// # Errors
/// [`FitError::NotConverged`] with the best point reached, if no start passes the convergence test
/// at a strict interior maximum; the other variants before any step is taken.
pub fn maximize(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
) -> Result<Fit, FitError> {
    check(likelihood, transforms, starts, settings)?;
    let objective = Objective {
        likelihood,
        transforms,
        penalty: &settings.penalty,
        threads: settings.threads,
        weight: likelihood.weight(),
        evaluations: Cell::new(0),
    };
    let mut best: Option<Fit> = None;
    let mut tried = 0;
    for start in starts {
        tried += 1;
        let candidate = from_start(&objective, start, settings);
        best = better(best, candidate);
        if best.as_ref().is_some_and(|fit| fit.converged) {
            break;
        }
    }
    let Some(mut fit) = best else {
        return Err(FitError::NoFiniteStart {
            starts: starts.len(),
        });
    };
    fit.starts_tried = tried;
    fit.evaluations = objective.evaluations.get();
    if fit.converged {
        return Ok(fit);
    }
    Err(FitError::NotConverged { fit: Box::new(fit) })
}

/// The converged one, else the higher of the two.
fn better(best: Option<Fit>, candidate: Option<Fit>) -> Option<Fit> {
    match (best, candidate) {
        (Some(a), Some(b)) => {
            let higher = b.penalized_log_likelihood > a.penalized_log_likelihood;
            let prefer = (b.converged && !a.converged) || (higher && b.converged == a.converged);
            Some(if prefer { b } else { a })
        }
        (a, b) => a.or(b),
    }
}

fn from_start(objective: &Objective<'_>, start: &[f64], settings: &Settings) -> Option<Fit> {
    let tolerance = settings.gradient_tolerance;
    let first = objective.at(objective.working(start), Order::Hessian);
    if !first.is_finite() {
        return None;
    }
    let origin = first.working.clone();
    let mut run = newton(objective, first, tolerance, settings.max_iterations);
    if needs_fallback(&run, tolerance) {
        run = fallback(objective, run, settings);
    }
    let moved = run.point.working != origin;
    Some(report::fit(objective, &run, tolerance, moved))
}

fn needs_fallback(run: &Run, tolerance: f64) -> bool {
    match run.stop {
        Stop::NoCurvature => true,
        Stop::Stalled => run.point.gradient_norm() > tolerance,
        Stop::Converged | Stop::Limit | Stop::Escaped(_) => false,
    }
}

/// L-BFGS from where Newton gave up, then Newton's last steps if the Hessian is usable there.
fn fallback(objective: &Objective<'_>, stuck: Run, settings: &Settings) -> Run {
    const LAST_STEPS: u32 = 20;
    let tolerance = settings.gradient_tolerance;
    let limit = settings.max_iterations.saturating_mul(10);
    let mut run = lbfgs(objective, stuck.point, tolerance, limit);
    run.iterations += stuck.iterations;
    let end = objective.at(run.point.working.clone(), Order::Hessian);
    if !end.has_curvature() {
        run.point.curvature = objective.difference_curvature(&run.point);
        return run;
    }
    let last = newton(objective, end.clone(), tolerance, LAST_STEPS);
    if last.stop == Stop::Converged {
        return Run {
            iterations: run.iterations + last.iterations,
            method: run.method,
            ..last
        };
    }
    Run { point: end, ..run }
}

fn check(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
) -> Result<(), FitError> {
    let weight = likelihood.weight();
    if likelihood.block_count() == 0 || weight.is_nan() || weight <= 0.0 {
        return Err(FitError::NoData);
    }
    let dim = likelihood.dim();
    check_len("transforms", transforms.len(), dim)?;
    if starts.is_empty() {
        return Err(invalid("starts", "empty", "at least one start"));
    }
    for (which, start) in starts.iter().enumerate() {
        check_len(&format!("starts[{which}]"), start.len(), dim)?;
        check_start(which, start, transforms)?;
    }
    check_settings(settings, dim)
}

fn check_start(which: usize, start: &[f64], transforms: &[Transform]) -> Result<(), FitError> {
    for (i, (value, transform)) in start.iter().zip(transforms).enumerate() {
        let allowed = match transform {
            Transform::Identity if !value.is_finite() => "finite",
            Transform::Log if !value.is_finite() || *value <= 0.0 => "finite and > 0",
            Transform::Identity | Transform::Log => continue,
        };
        return Err(invalid(format!("starts[{which}][{i}]"), value, allowed));
    }
    Ok(())
}

fn check_settings(settings: &Settings, dim: usize) -> Result<(), FitError> {
    if settings.max_iterations == 0 {
        return Err(invalid("settings.max_iterations", 0, "at least 1"));
    }
    let tolerance = settings.gradient_tolerance;
    if !tolerance.is_finite() || tolerance <= 0.0 {
        let field = "settings.gradient_tolerance";
        return Err(invalid(field, tolerance, "finite and > 0"));
    }
    if !settings.penalty.is_empty() {
        check_len("settings.penalty", settings.penalty.len(), dim)?;
    }
    let bad = |penalty: &f64| !penalty.is_finite() || *penalty < 0.0;
    match settings.penalty.iter().position(bad) {
        None => Ok(()),
        Some(i) => {
            let field = format!("settings.penalty[{i}]");
            Err(invalid(field, settings.penalty[i], "finite and >= 0"))
        }
    }
}

fn check_len(field: &str, got: usize, dim: usize) -> Result<(), FitError> {
    if got == dim {
        return Ok(());
    }
    let value = format!("of length {got}");
    Err(invalid(
        field,
        value,
        format!("of length {dim}, one per parameter"),
    ))
}

fn invalid(field: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> FitError {
    FitError::Invalid {
        field: field.into(),
        value: value.to_string(),
        allowed: allowed.into(),
    }
}

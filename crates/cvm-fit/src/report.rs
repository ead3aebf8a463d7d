//! Turns where an optimizer stopped into a `Fit`: covariance, diagnosis and advice in words.

use crate::Fit;
use crate::linear::{Cholesky, scaled_condition};
use crate::newton::{Run, Stop, newton_size};
use crate::objective::{LOG_BOUND, Objective};
use cvm_core::Transform;
use ndarray::Array2;

/// Scaled condition number above which parameters are traded against each other freely.
const RIDGE: f64 = 1e10;
/// Standard error of `ln θ` above which the data hardly say anything about `θ`.
const VAGUE_LOG: f64 = 10.0;
/// A stalled Newton step larger than this (relative) is a flat direction, not rounding.
const FLAT_STEP: f64 = 1e-2;

/// The fit at the end of `run`; counts of starts are filled by the caller.
pub(crate) fn fit(objective: &Objective<'_>, run: &Run, tolerance: f64, moved: bool) -> Fit {
    let point = &run.point;
    let covariance = working_covariance(objective, run);
    let proper = covariance.is_some();
    let condition_number = scaled_condition(&point.curvature);
    let verdict = verdict(objective, run, tolerance, moved, proper);
    let covariance = covariance.unwrap_or_else(|| nan_square(objective.dim()));
    let mut warnings = warnings(objective, &covariance, condition_number);
    if !proper {
        warnings
            .push("the information matrix is not positive definite: no standard errors".to_owned());
    }
    let covariance = natural(objective, &point.theta, &covariance);
    Fit {
        params: point.theta.clone(),
        log_likelihood: point.log_likelihood,
        penalized_log_likelihood: point.log_likelihood - objective.penalty_term(&point.working),
        standard_errors: covariance.diag().iter().map(|v| v.sqrt()).collect(),
        covariance,
        gradient_norm: point.gradient_norm(),
        iterations: run.iterations,
        evaluations: objective.evaluations.get(),
        starts_tried: 1,
        condition_number,
        method: run.method,
        converged: verdict.is_ok(),
        message: verdict.unwrap_or_else(|why| why),
        warnings,
    }
}

fn verdict(
    objective: &Objective<'_>,
    run: &Run,
    tolerance: f64,
    moved: bool,
    proper: bool,
) -> Result<String, String> {
    let norm = run.point.gradient_norm();
    if let Some(which) = objective.escaped(&run.point.working) {
        return Err(format!(
            "parameter {which} ran away to {:e} (|ln| > {LOG_BOUND}): the likelihood has no \
             interior maximum on these data",
            run.point.theta[which]
        ));
    }
    if run.stop == Stop::Limit {
        return Err(format!(
            "stopped after {} steps with gradient norm {norm:e} (tolerance {tolerance:e}): raise \
             max_iterations, or the maximum lies at infinity",
            run.iterations
        ));
    }
    if norm > tolerance || norm.is_nan() {
        let what = if moved {
            "stalled"
        } else {
            "did not move from the start"
        };
        return Err(format!(
            "{what} with gradient norm {norm:e} (tolerance {tolerance:e})"
        ));
    }
    if !proper {
        return Err(
            "stationary, but not a strict maximum: some direction is flat or rises; the \
                    parameters are not identified by these data"
                .to_owned(),
        );
    }
    if newton_size(&run.point) > FLAT_STEP {
        return Err(
            "flat to rounding in some direction: the maximum lies at infinity, or the \
                    parameters are not identified by these data"
                .to_owned(),
        );
    }
    Ok(format!("gradient norm {norm:e} within {tolerance:e}"))
}

/// Covariance in working coordinates: inverse information (of the penalised fit, if penalised).
fn working_covariance(objective: &Objective<'_>, run: &Run) -> Option<Array2<f64>> {
    if !run.point.has_curvature() {
        return None;
    }
    let information = &run.point.curvature * objective.weight;
    Cholesky::new(&information, 0.0).map(|factor| factor.inverse())
}

/// `J V J`: multiplied in one expression per pair, so symmetry is kept in every bit.
fn natural(objective: &Objective<'_>, theta: &[f64], working: &Array2<f64>) -> Array2<f64> {
    let dim = objective.dim();
    Array2::from_shape_fn((dim, dim), |(i, j)| {
        working[[i, j]] * (objective.jacobian(theta, i) * objective.jacobian(theta, j))
    })
}

fn nan_square(dim: usize) -> Array2<f64> {
    Array2::from_elem((dim, dim), f64::NAN)
}

fn warnings(objective: &Objective<'_>, working: &Array2<f64>, condition: f64) -> Vec<String> {
    let mut found = Vec::new();
    if condition > RIDGE && condition.is_finite() {
        found.push(format!(
            "the parameters lie on a ridge (condition number {condition:.1e}): their ratios may be \
             known much better than their values; predictions are safer than parameters"
        ));
    }
    for (i, transform) in objective.transforms.iter().enumerate() {
        let spread = working[[i, i]].sqrt();
        if *transform == Transform::Log && spread > VAGUE_LOG {
            found.push(format!(
                "parameter {i} is hardly determined: the standard error of its logarithm is \
                 {spread:.1}"
            ));
        }
    }
    found
}

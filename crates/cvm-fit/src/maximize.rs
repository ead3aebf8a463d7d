//! The search: which algorithm from which start, and which result is kept.

use crate::constrained::active_set;
use crate::diagnosis::Finding;
use crate::lbfgs::lbfgs;
use crate::newton::{Run, Stop, is_flat, newton};
use crate::objective::Objective;
use crate::report;
use crate::result::{Fit, FitError, Progress};
use crate::settings::{Settings, check};
use cvm_core::{Likelihood, Order, Transform};
use std::ops::ControlFlow;

/// Maximizes `likelihood` over parameters whose coordinates are `transforms`, from `starts` of
/// natural parameters (best guess first; the others are tried only if that one fails).
///
/// # Errors
/// [`FitError::NotConverged`] with the best point reached, if no start passes the convergence test
/// at a strict maximum (interior, or on the bounds and zeros that the settings ask for); the other
/// variants before any step is taken.
pub fn maximize(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
) -> Result<Fit, FitError> {
    let on = |_: &Progress<'_>| ControlFlow::Continue(());
    maximize_with(likelihood, transforms, starts, settings, &on)
}

/// [`maximize`], watched: `watch` is called before every step, on the calling thread, and cancels
/// the fit by `ControlFlow::Break(())`.
///
/// # Errors
/// Those of [`maximize`], and [`FitError::Cancelled`] with the best point reached.
pub fn maximize_with(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
    watch: &dyn Fn(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Fit, FitError> {
    check(likelihood, transforms, starts, settings)?;
    let objective = Objective::new(likelihood, transforms, settings, watch);
    let mut best: Option<Fit> = None;
    let (mut tried, mut cancelled) = (0, false);
    for start in starts {
        tried += 1;
        let (candidate, stopped) = from_start(&objective, start, settings);
        best = better(best, candidate);
        cancelled = stopped;
        if cancelled || best.as_ref().is_some_and(|fit| fit.converged) {
            break;
        }
        objective.start.set(objective.start.get() + 1);
    }
    let Some(mut fit) = best else {
        return Err(FitError::NoFiniteStart {
            starts: starts.len(),
        });
    };
    fit.starts_tried = tried;
    fit.evaluations = objective.evaluations.get();
    let fit = Box::new(fit);
    match (cancelled, fit.converged) {
        (true, _) => Err(FitError::Cancelled { fit }),
        (false, true) => Ok(*fit),
        (false, false) => Err(FitError::NotConverged { fit }),
    }
}

/// Rounding of a maximum, relative: a parent this little below its nested model is at it, as in
/// [`crate::likelihood_ratio_against`].
const FLOOR_ROUNDING: f64 = 1e-9;

/// [`maximize`] that never ends below `nested`, the optimum of a nested model written in this
/// model's parameters: if the usual starts end lower, the search is repeated from there, and
/// ascends. Where the nested optimum lies at infinity of this model, give a point far out.
///
/// # Errors
/// Those of [`maximize`]. If only `nested` leads that high and nothing converges from it, the
/// result is [`FitError::NotConverged`] with that point and [`Finding::BelowNested`]: this model has
/// no interior maximum as good as the nested model's.
pub fn maximize_at_least(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
    nested: &[f64],
) -> Result<Fit, FitError> {
    let usual = maximize(likelihood, transforms, starts, settings);
    let on = |_: &Progress<'_>| ControlFlow::Continue(());
    no_lower_than(usual, likelihood, transforms, settings, nested, &on)
}

/// What [`maximize_at_least`] does with a search that has been made already, watched as
/// [`maximize_with`] is.
///
/// # Errors
/// Those of [`maximize_at_least`], and [`FitError::Cancelled`] with the best point reached.
pub fn no_lower_than(
    usual: Result<Fit, FitError>,
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    settings: &Settings,
    nested: &[f64],
    watch: &dyn Fn(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Fit, FitError> {
    let floor_start = [nested.to_vec()];
    check(likelihood, transforms, &floor_start, settings)?;
    let floor = objective_at(likelihood, transforms, settings, nested);
    let allowed = floor - FLOOR_ROUNDING * (1.0 + floor.abs());
    match &usual {
        Ok(fit) if floor.is_nan() || fit.penalized_log_likelihood >= allowed => return usual,
        Err(FitError::Invalid { .. } | FitError::NoData | FitError::Cancelled { .. }) => {
            return usual;
        }
        _ => {}
    }
    let from_floor = maximize_with(likelihood, transforms, &floor_start, settings, watch);
    match (usual, from_floor) {
        (Ok(lower), Err(FitError::NotConverged { mut fit })) => {
            fit.note(Finding::BelowNested {
                reached: lower.penalized_log_likelihood,
                nested: floor,
            });
            Err(FitError::NotConverged { fit })
        }
        (Err(FitError::NotConverged { fit: a }), Err(FitError::NotConverged { fit: b })) => {
            let higher = a.penalized_log_likelihood > b.penalized_log_likelihood;
            let fit = if higher { a } else { b };
            Err(FitError::NotConverged { fit })
        }
        (_, Err(cancelled @ FitError::Cancelled { .. })) => Err(cancelled),
        (_, Ok(fit)) => Ok(fit),
        (usual, Err(_)) => usual,
    }
}

/// What [`maximize`] maximises, at `theta`: log-likelihood less penalties plus log priors.
fn objective_at(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    settings: &Settings,
    theta: &[f64],
) -> f64 {
    let on = |_: &Progress<'_>| ControlFlow::Continue(());
    let objective = Objective::new(likelihood, transforms, settings, &on);
    let point = objective.at(objective.working(theta), Order::Value);
    report::penalized(&objective, &point)
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

/// The fit from one start, if it can be started from, and whether it was cancelled.
fn from_start(
    objective: &Objective<'_>,
    start: &[f64],
    settings: &Settings,
) -> (Option<Fit>, bool) {
    let tolerance = settings.gradient_tolerance;
    let first = objective.at(objective.working(start), Order::Hessian);
    if !first.is_finite() {
        return (None, false);
    }
    let origin = first.working.clone();
    let limit = settings.max_iterations;
    let mut run = if objective.faces.is_empty() {
        newton(objective, first, tolerance, limit)
    } else {
        active_set(objective, first, tolerance, limit)
    };
    if objective.faces.is_empty() && needs_fallback(&run, tolerance) {
        run = fallback(objective, run, settings);
    }
    let moved = run.point.working != origin;
    let fit = report::fit(objective, &run, tolerance, moved);
    (Some(fit), run.stop == Stop::Cancelled)
}

fn needs_fallback(run: &Run, tolerance: f64) -> bool {
    match run.stop {
        Stop::NoCurvature => true,
        Stop::Stalled => run.point.gradient_norm() > tolerance && !is_flat(&run.point),
        Stop::Converged | Stop::Limit | Stop::Escaped(_) | Stop::Cancelled => false,
    }
}

/// L-BFGS from where Newton gave up, then Newton's last steps if the Hessian is usable there.
fn fallback(objective: &Objective<'_>, stuck: Run, settings: &Settings) -> Run {
    const LAST_STEPS: u32 = 20;
    let tolerance = settings.gradient_tolerance;
    let limit = settings.max_iterations.saturating_mul(10);
    let mut run = lbfgs(objective, stuck.point, tolerance, limit);
    run.iterations += stuck.iterations;
    if run.stop == Stop::Cancelled {
        return run;
    }
    let end = objective.at(run.point.working.clone(), Order::Hessian);
    if !end.has_curvature() {
        run.point.curvature = objective.difference_curvature(&run.point);
        return run;
    }
    let last = newton(objective, end.clone(), tolerance, LAST_STEPS);
    if matches!(last.stop, Stop::Converged | Stop::Cancelled) {
        return Run {
            iterations: run.iterations + last.iterations,
            method: run.method,
            ..last
        };
    }
    Run { point: end, ..run }
}

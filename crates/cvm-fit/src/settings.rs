//! How to estimate: settings, their defaults, and what is refused before any step is taken.

use crate::prior::Prior;
use crate::result::{FitError, invalid};
use cvm_core::{Likelihood, Transform};

/// How to estimate. Lists are empty for "none", otherwise one entry per parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Most Newton steps per start (an L-BFGS fallback may take ten times as many); at least 1.
    pub max_iterations: u32,
    /// Convergence: largest absolute gradient per unit of weight, in working coordinates; positive.
    /// With `l1` or `bounds`: the largest violation of the optimality conditions.
    pub gradient_tolerance: f64,
    /// L2 penalty: `0.5 * penalty[i] * working[i]^2` is subtracted from the total log-likelihood;
    /// finite numbers >= 0.
    pub penalty: Vec<f64>,
    /// L1 penalty: `l1[i] * |working[i]|` is subtracted from the total log-likelihood; finite numbers
    /// >= 0. Meant for covariate coefficients: those that do not earn it come out as exactly zero.
    pub l1: Vec<f64>,
    /// Prior densities on the **natural** parameters, without a Jacobian: the fit is the mode of the
    /// posterior in natural coordinates.
    pub priors: Vec<Prior>,
    /// Least and greatest natural value, both included; equal ones hold a parameter fixed. Starts
    /// outside are moved to the nearest end.
    pub bounds: Vec<Option<(f64, f64)>>,
    /// A number no correct log-likelihood of these data can exceed (that of the saturated model).
    /// A fit above it is told as [`crate::Finding::AboveSaturated`] and not converged.
    pub log_likelihood_bound: Option<f64>,
    /// Threads; results do not depend on it. 0 counts as 1.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_iterations: 200,
            gradient_tolerance: 1e-8,
            penalty: Vec::new(),
            l1: Vec::new(),
            priors: Vec::new(),
            bounds: Vec::new(),
            log_likelihood_bound: None,
            threads: 1,
        }
    }
}

impl Settings {
    /// Whether the optimum may lie on a face (a bound, or a kink of the L1 penalty).
    pub(crate) fn has_faces(&self) -> bool {
        self.l1.iter().any(|weight| *weight > 0.0) || self.bounds.iter().any(Option::is_some)
    }

    /// Bounds of parameter `i`, infinite where there are none.
    pub(crate) fn bounds_of(&self, i: usize) -> (f64, f64) {
        let none = (f64::NEG_INFINITY, f64::INFINITY);
        self.bounds.get(i).copied().flatten().unwrap_or(none)
    }
}

/// Refuses what cannot be used, naming it.
pub(crate) fn check(
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
    check_scalars(settings)?;
    check_weights("settings.penalty", &settings.penalty, dim)?;
    check_weights("settings.l1", &settings.l1, dim)?;
    check_bounds(settings, transforms)?;
    check_priors(settings, transforms)
}

fn check_start(which: usize, start: &[f64], transforms: &[Transform]) -> Result<(), FitError> {
    for (i, (value, transform)) in start.iter().zip(transforms).enumerate() {
        if !value.is_finite() || !inside(*transform, *value) {
            let allowed = match transform {
                Transform::Identity => "finite",
                Transform::Log => "finite and > 0",
                Transform::Logit => "between 0 and 1",
                Transform::FisherZ => "between -1 and 1",
            };
            return Err(invalid(format!("starts[{which}][{i}]"), value, allowed));
        }
    }
    Ok(())
}

/// Whether `value` lies strictly inside the range of the coordinate.
fn inside(transform: Transform, value: f64) -> bool {
    let (low, high) = range(transform);
    low < value && value < high
}

fn range(transform: Transform) -> (f64, f64) {
    match transform {
        Transform::Identity => (f64::NEG_INFINITY, f64::INFINITY),
        Transform::Log => (0.0, f64::INFINITY),
        Transform::Logit => (0.0, 1.0),
        Transform::FisherZ => (-1.0, 1.0),
    }
}

fn check_scalars(settings: &Settings) -> Result<(), FitError> {
    if settings.max_iterations == 0 {
        return Err(invalid("settings.max_iterations", 0, "at least 1"));
    }
    let tolerance = settings.gradient_tolerance;
    if !tolerance.is_finite() || tolerance <= 0.0 {
        let field = "settings.gradient_tolerance";
        return Err(invalid(field, tolerance, "finite and > 0"));
    }
    match settings.log_likelihood_bound {
        Some(bound) if bound.is_nan() => Err(invalid(
            "settings.log_likelihood_bound",
            bound,
            "a number, or absent",
        )),
        _ => Ok(()),
    }
}

fn check_weights(field: &str, weights: &[f64], dim: usize) -> Result<(), FitError> {
    if !weights.is_empty() {
        check_len(field, weights.len(), dim)?;
    }
    let bad = |weight: &f64| !weight.is_finite() || *weight < 0.0;
    match weights.iter().position(bad) {
        None => Ok(()),
        Some(i) => Err(invalid(
            format!("{field}[{i}]"),
            weights[i],
            "finite and >= 0",
        )),
    }
}

fn check_bounds(settings: &Settings, transforms: &[Transform]) -> Result<(), FitError> {
    if settings.bounds.is_empty() {
        return Ok(());
    }
    check_len("settings.bounds", settings.bounds.len(), transforms.len())?;
    for (i, transform) in transforms.iter().enumerate() {
        let (low, high) = settings.bounds_of(i);
        let (least, greatest) = range(*transform);
        // An empty interval, or one that no finite coordinate can reach.
        let usable = low <= high && low < greatest && high > least && low < f64::INFINITY;
        if !usable || high == f64::NEG_INFINITY {
            let value = format!("({low}, {high})");
            let allowed = format!("ordered and to overlap ({least}, {greatest})");
            return Err(invalid(format!("settings.bounds[{i}]"), value, allowed));
        }
    }
    Ok(())
}

fn check_priors(settings: &Settings, transforms: &[Transform]) -> Result<(), FitError> {
    if settings.priors.is_empty() {
        return Ok(());
    }
    check_len("settings.priors", settings.priors.len(), transforms.len())?;
    for (i, prior) in settings.priors.iter().enumerate() {
        let field = format!("settings.priors[{i}]");
        let value = format!("{prior:?}");
        if !prior.is_proper() {
            return Err(invalid(field, value, "of finite constants in their ranges"));
        }
        let (least, greatest) = range(transforms[i]);
        let (low, high) = settings.bounds_of(i);
        let reach = (least.max(low), greatest.min(high));
        let (from, to) = prior.support();
        if reach.0 < from || reach.1 > to {
            let allowed = format!("defined wherever the parameter may go, ({from}, {to})");
            return Err(invalid(field, value, allowed));
        }
    }
    Ok(())
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

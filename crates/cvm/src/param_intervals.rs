//! Intervals of a fit's parameters by three methods, and the objective of a part of the data.

use crate::fit_parametric::Prepared;
use crate::fit_rows::estimation_error;
use crate::{Error, FitOptions, catalog::entry};
use cvm_core::{Batch, Order, ParametricModel};
use cvm_fit::{BootstrapSettings, Fit, ProfileEnd, bootstrap, profile_interval, wald_interval};
use std::ops::ControlFlow;

/// How to make intervals of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalMethod {
    /// From the standard errors, symmetric on the coordinate of estimation.
    Wald,
    /// Where twice the log-likelihood falls by the quantile of chi-square, other parameters refitted.
    Profile,
    /// Quantiles over refits with random weights.
    Bootstrap {
        /// Refits; 200 or more.
        replicates: usize,
        /// The same seed gives the same replicates.
        seed: u64,
    },
}

/// The interval of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamInterval {
    /// Name of the parameter or coefficient.
    pub name: String,
    /// Estimate.
    pub estimate: f64,
    /// Lower end; `None` where there is none.
    pub lower: Option<f64>,
    /// Upper end; `None` where there is none.
    pub upper: Option<f64>,
    /// Standard error by the method; `None` for a profile, and where undefined.
    pub standard_error: Option<f64>,
    /// Why an end is missing, or where it lies; empty as a rule.
    pub note: String,
}

/// Told how many of how many steps are done; `Break` cancels.
pub type ProgressFn<'a> = &'a dyn Fn(usize, usize) -> ControlFlow<()>;

/// Intervals of every parameter of a fit of `kind` to a batch, at confidence `level`.
///
/// # Errors
/// As [`crate::fit`]; a kind without fixed parameters; a level outside (0, 1); a cancelled run
/// (`NotConverged`).
pub fn param_intervals(
    kind: &str,
    batch: &Batch<'_>,
    options: &FitOptions,
    method: IntervalMethod,
    level: f64,
    progress: ProgressFn<'_>,
) -> Result<Vec<ParamInterval>, Error> {
    let entry = entry(kind)?;
    if !(level > 0.0 && level < 1.0) {
        let why = format!("is {level}: must be a number between 0 and 1, both excluded");
        return Err(Error::invalid("level", why));
    }
    match entry.intervals {
        Some(intervals) => intervals(batch, options, method, level, progress),
        None => Err(Error::invalid(
            "kind",
            format!("`{kind}` has no intervals of this sort"),
        )),
    }
}

pub(crate) fn intervals<M: ParametricModel>(
    batch: &Batch<'_>,
    options: &FitOptions,
    method: IntervalMethod,
    level: f64,
    progress: ProgressFn<'_>,
) -> Result<Vec<ParamInterval>, Error> {
    let prepared = Prepared::<M>::new(batch, options)?;
    let fit = prepared.estimate(options, &|_| progress(0, 1))?.fit;
    match method {
        IntervalMethod::Wald => Ok(wald(&prepared, &fit, level)),
        IntervalMethod::Profile => profile(&prepared, &fit, level, progress),
        IntervalMethod::Bootstrap { replicates, seed } => {
            let resampling = BootstrapSettings {
                replicates,
                seed,
                threads: prepared.settings.threads,
                ..BootstrapSettings::default()
            };
            by_bootstrap(&prepared, &fit, level, &resampling, progress)
        }
    }
}

fn interval(name: &str, estimate: f64) -> ParamInterval {
    ParamInterval {
        name: name.to_owned(),
        estimate,
        lower: None,
        upper: None,
        standard_error: None,
        note: String::new(),
    }
}

fn wald<M: ParametricModel>(prepared: &Prepared<M>, fit: &Fit, level: f64) -> Vec<ParamInterval> {
    let named = prepared.names.iter().zip(&prepared.transforms);
    let numbers = fit.params.iter().zip(&fit.standard_errors);
    let of = |((name, transform), (estimate, error)): (_, (&f64, &f64))| {
        let (name, transform): (&String, &cvm_core::Transform) = (name, transform);
        let ends = wald_interval(*transform, *estimate, *error, level);
        ParamInterval {
            lower: ends.map(|(low, _)| low),
            upper: ends.map(|(_, high)| high),
            standard_error: error.is_finite().then_some(*error),
            ..interval(name, *estimate)
        }
    };
    named.zip(numbers).map(of).collect()
}

fn profile<M: ParametricModel>(
    prepared: &Prepared<M>,
    fit: &Fit,
    level: f64,
    progress: ProgressFn<'_>,
) -> Result<Vec<ParamInterval>, Error> {
    let likelihood = prepared.likelihood(None);
    let total = prepared.names.len();
    let mut found = Vec::with_capacity(total);
    for (index, (name, estimate)) in prepared.names.iter().zip(&fit.params).enumerate() {
        if progress(index, total).is_break() {
            let why = format!("cancelled after {index} of {total} parameters");
            return Err(Error::new(cvm_core::ErrorKind::NotConverged, why));
        }
        let likelihood = likelihood.as_ref();
        let settings = &prepared.settings;
        let ends = profile_interval(
            likelihood,
            &prepared.transforms,
            fit,
            index,
            level,
            settings,
        )
        .map_err(estimation_error)?;
        let notes = [told("lower", &ends.lower), told("upper", &ends.upper)];
        found.push(ParamInterval {
            lower: ends.lower.value(),
            upper: ends.upper.value(),
            note: notes.into_iter().flatten().collect::<Vec<_>>().join("; "),
            ..interval(name, *estimate)
        });
    }
    Ok(found)
}

fn told(end: &str, found: &ProfileEnd) -> Option<String> {
    match found {
        ProfileEnd::At(_) => None,
        ProfileEnd::AtBound(value) => Some(format!("{end} end at the bound {value}")),
        ProfileEnd::Unbounded => Some(format!("no {end} end: the data set none")),
        ProfileEnd::Unresolved(why) => Some(format!("{end} end not found: {why}")),
    }
}

fn by_bootstrap<M: ParametricModel>(
    prepared: &Prepared<M>,
    fit: &Fit,
    level: f64,
    resampling: &BootstrapSettings,
    progress: ProgressFn<'_>,
) -> Result<Vec<ParamInterval>, Error> {
    let make = |factors: &[f64]| prepared.likelihood(Some(factors));
    let drawn = bootstrap(
        &make,
        prepared.rows(),
        &prepared.transforms,
        fit,
        &prepared.settings,
        resampling,
        progress,
    )
    .map_err(estimation_error)?;
    let errors = drawn.standard_errors();
    let named = prepared.names.iter().zip(&fit.params).zip(errors);
    let of = |(index, ((name, estimate), error)): (usize, ((&String, &f64), f64))| {
        let ends = drawn.interval(index, level);
        ParamInterval {
            lower: ends.map(|(low, _)| low),
            upper: ends.map(|(_, high)| high),
            standard_error: error.is_finite().then_some(error),
            ..interval(name, *estimate)
        }
    };
    Ok(named.enumerate().map(of).collect())
}

/// The objective of the rows of `batch` at natural parameters `params` (with coefficients after
/// the model's own), packed: value, gradient, Hessian row by row. The objective of a whole data set
/// is the sum over its partitions, so a distributed engine can ask each for its own.
///
/// # Errors
/// As [`crate::fit`]; a kind without fixed parameters; parameters of the wrong number.
pub fn partial_objective(
    kind: &str,
    batch: &Batch<'_>,
    options: &FitOptions,
    params: &[f64],
) -> Result<Vec<f64>, Error> {
    match entry(kind)?.partial {
        Some(partial) => partial(batch, options, params),
        None => Err(Error::invalid(
            "kind",
            format!("`{kind}` has no objective of this sort"),
        )),
    }
}

pub(crate) fn partial<M: ParametricModel>(
    batch: &Batch<'_>,
    options: &FitOptions,
    params: &[f64],
) -> Result<Vec<f64>, Error> {
    let prepared = Prepared::<M>::new(batch, options)?;
    if params.len() != prepared.names.len() {
        let (got, want) = (params.len(), prepared.names.join(", "));
        let why = format!("has {got} numbers: must be one each for {want}");
        return Err(Error::invalid("params", why));
    }
    let likelihood = prepared.likelihood(None);
    let threads = prepared.settings.threads;
    let sum = cvm_fit::partial_objective(likelihood.as_ref(), params, Order::Hessian, threads);
    Ok(cvm_fit::pack(&sum))
}

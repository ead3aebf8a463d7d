//! Intervals of parameters behind Python, with a callback for progress and Ctrl-C.

use crate::column::Columns;
use crate::door::enter;
use crate::errors::invalid;
use crate::model::{FitArgs, RawModel};
use cvm::{FitProgress, IntervalMethod, ParamInterval};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Name, estimate, lower, upper, standard error, note.
type Row = (String, f64, Option<f64>, Option<f64>, Option<f64>, String);

/// How to make intervals, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct IntervalArgs {
    method: String,
    level: f64,
    replicates: usize,
    seed: u64,
}

impl IntervalArgs {
    fn method(&self) -> PyResult<IntervalMethod> {
        match self.method.as_str() {
            "wald" => Ok(IntervalMethod::Wald),
            "profile" => Ok(IntervalMethod::Profile),
            "bootstrap" => Ok(IntervalMethod::Bootstrap {
                replicates: self.replicates,
                seed: self.seed,
            }),
            other => {
                let why = format!("is \"{other}\": must be wald, profile or bootstrap");
                Err(invalid("method", &why))
            }
        }
    }
}

/// Intervals of the parameters of a fit of `kind`; `progress(done, total)` is called now and then.
#[pyfunction]
pub(crate) fn param_intervals(
    py: Python<'_>,
    kind: &str,
    columns: Columns<'_>,
    options: FitArgs,
    request: IntervalArgs,
    progress: Py<PyAny>,
) -> PyResult<Vec<Row>> {
    let (batch, options) = (columns.batch()?, options.options()?);
    let (method, level) = (request.method()?, request.level);
    let watch = Watch::new(progress);
    let found = enter(py, || {
        let tell = |done, total| watch.tell(done, total);
        cvm::param_intervals(kind, &batch, &options, method, level, &tell)
    });
    Ok(watch.finish(found)?.into_iter().map(row).collect())
}

/// A callback for progress: what it raises, or Ctrl-C, stops the work.
pub(crate) struct Watch {
    progress: Py<PyAny>,
    raised: Mutex<Option<PyErr>>,
}

impl Watch {
    /// Of a function of `(done, total)`.
    pub(crate) fn new(progress: Py<PyAny>) -> Self {
        Watch {
            progress,
            raised: Mutex::new(None),
        }
    }

    /// Calls it.
    pub(crate) fn tell(&self, done: usize, total: usize) -> ControlFlow<()> {
        self.call((done, total))
    }

    /// Calls it with the steps and trees at most, or with the steps and the log-likelihood.
    fn tell_fit(&self, progress: FitProgress) -> ControlFlow<()> {
        match progress {
            FitProgress::Steps { done, total } => self.call((done, total)),
            FitProgress::Search {
                steps,
                log_likelihood,
                ..
            } => self.call((steps, log_likelihood)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn call(&self, arguments: impl for<'py> PyCallArgs<'py>) -> ControlFlow<()> {
        let told = Python::attach(|py| {
            py.check_signals()?;
            self.progress.call1(py, arguments)
        });
        match told {
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// What was raised, else the result.
    pub(crate) fn finish<T>(self, found: PyResult<T>) -> PyResult<T> {
        match self.raised.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => found,
        }
    }
}

/// Fits a model of `kind`; before every step `progress(step, log_likelihood)` is called, of trees
/// `progress(done, total)`.
#[pyfunction]
pub(crate) fn fit_watched(
    py: Python<'_>,
    kind: &str,
    columns: Columns<'_>,
    options: FitArgs,
    progress: Py<PyAny>,
) -> PyResult<RawModel> {
    let (batch, options) = (columns.batch()?, options.options()?);
    let watch = Watch::new(progress);
    let fitted = enter(py, || {
        let tell = |progress| watch.tell_fit(progress);
        cvm::fit_watched(kind, &batch, &options, &tell)
    });
    Ok(watch.finish(fitted)?.model.into())
}

fn row(interval: ParamInterval) -> Row {
    let ParamInterval {
        name,
        estimate,
        lower,
        upper,
        standard_error,
        note,
    } = interval;
    (name, estimate, lower, upper, standard_error, note)
}

/// The objective of these rows at `params`, packed: value, gradient, Hessian.
#[pyfunction]
pub(crate) fn partial_objective(
    py: Python<'_>,
    kind: &str,
    columns: Columns<'_>,
    options: FitArgs,
    params: Vec<f64>,
) -> PyResult<Vec<f64>> {
    let (batch, options) = (columns.batch()?, options.options()?);
    enter(py, || {
        cvm::partial_objective(kind, &batch, &options, &params)
    })
}

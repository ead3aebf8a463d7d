//! Measures of churn models, for `cvm.metrics`.

use crate::door::enter;
use cvm::metrics::{self, MetricError};
use cvm::{Error, ErrorKind};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

/// Truth, score and weight of each row, copied out of the caller's arrays.
struct Rows {
    churned: Vec<bool>,
    scores: Vec<f64>,
    weights: Option<Vec<f64>>,
}

/// Truth, scores and weights of a call.
type Arrays<'py> = (
    PyReadonlyArray1<'py, bool>,
    PyReadonlyArray1<'py, f64>,
    Option<PyReadonlyArray1<'py, f64>>,
);

/// Measures the rows without the interpreter lock.
fn measure<T: Send>(
    py: Python<'_>,
    arrays: &Arrays<'_>,
    metric: impl FnOnce(&[bool], &[f64], Option<&[f64]>) -> Result<T, MetricError> + Send,
) -> PyResult<T> {
    let (churned, scores, weights) = arrays;
    let rows = Rows {
        churned: churned.as_array().to_vec(),
        scores: scores.as_array().to_vec(),
        weights: weights.as_ref().map(|array| array.as_array().to_vec()),
    };
    let wrong = |error: MetricError| Error::new(ErrorKind::InvalidInput, error.to_string());
    enter(py, move || {
        metric(&rows.churned, &rows.scores, rows.weights.as_deref()).map_err(wrong)
    })
}

/// Probability that a churner scores above one who stayed.
#[pyfunction]
pub(crate) fn auc(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::auc)
}

/// Mean squared error of the probability.
#[pyfunction]
pub(crate) fn brier(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::brier)
}

/// Mean of minus the log-likelihood.
#[pyfunction]
pub(crate) fn log_loss(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::log_loss)
}

/// Expected calibration error over bins of equal width.
#[pyfunction]
pub(crate) fn ece(py: Python<'_>, arrays: Arrays<'_>, bins: usize) -> PyResult<f64> {
    measure(py, &arrays, |y, s, w| metrics::ece(y, s, w, bins))
}

/// Share contacted, share of churners captured, and lift, at equal steps.
#[pyfunction]
pub(crate) fn lift_curve(
    py: Python<'_>,
    arrays: Arrays<'_>,
    points: usize,
) -> PyResult<Vec<(f64, f64, f64)>> {
    let curve = measure(py, &arrays, |y, s, w| metrics::lift_curve(y, s, w, points))?;
    let triple = |p: &metrics::LiftPoint| (p.contacted_share, p.captured_share, p.lift);
    Ok(curve.iter().map(triple).collect())
}

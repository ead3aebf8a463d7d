//! The test of independence of spend and frequency behind Python.

use crate::column::Columns;
use crate::door::enter;
use cvm::{Correlation, Independence, IndependenceSettings, SpendBin};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

/// The finding, as a dictionary.
#[derive(IntoPyObject)]
pub(crate) struct PyIndependence<'py> {
    customers: usize,
    excluded: usize,
    pearson: (f64, f64),
    spearman: (f64, f64),
    kendall: (f64, f64),
    verdict: String,
    bins: PyBins<'py>,
}

/// Columns of a plot.
#[derive(IntoPyObject)]
struct PyBins<'py> {
    frequency_low: Bound<'py, PyArray1<f64>>,
    frequency_high: Bound<'py, PyArray1<f64>>,
    customers: Bound<'py, PyArray1<f64>>,
    lower_quartile: Bound<'py, PyArray1<f64>>,
    median: Bound<'py, PyArray1<f64>>,
    upper_quartile: Bound<'py, PyArray1<f64>>,
    mean: Bound<'py, PyArray1<f64>>,
}

/// Tests whether the mean spend of repeat buyers depends on how often they buy.
#[pyfunction]
pub(crate) fn spend_independence<'py>(
    py: Python<'py>,
    columns: Columns<'_>,
    permutations: u32,
    seed: u64,
    bins: usize,
) -> PyResult<PyIndependence<'py>> {
    let batch = columns.batch()?;
    let settings = IndependenceSettings {
        permutations,
        seed,
        bins,
    };
    let found = enter(py, || cvm::spend_independence(&batch, &settings))?;
    Ok(PyIndependence::of(py, found))
}

impl<'py> PyIndependence<'py> {
    fn of(py: Python<'py>, found: Independence) -> Self {
        let pair = |of: Correlation| (of.coefficient, of.p_value);
        PyIndependence {
            customers: found.customers,
            excluded: found.excluded,
            pearson: pair(found.pearson),
            spearman: pair(found.spearman),
            kendall: pair(found.kendall),
            verdict: found.verdict,
            bins: PyBins::of(py, &found.bins),
        }
    }
}

impl<'py> PyBins<'py> {
    #[allow(clippy::cast_precision_loss)]
    fn of(py: Python<'py>, bins: &[SpendBin]) -> Self {
        let column = |pick: fn(&SpendBin) -> f64| {
            bins.iter().map(pick).collect::<Vec<f64>>().into_pyarray(py)
        };
        PyBins {
            frequency_low: column(|bin| bin.frequency_low),
            frequency_high: column(|bin| bin.frequency_high),
            customers: column(|bin| bin.customers as f64),
            lower_quartile: column(|bin| bin.lower_quartile),
            median: column(|bin| bin.median),
            upper_quartile: column(|bin| bin.upper_quartile),
            mean: column(|bin| bin.mean),
        }
    }
}

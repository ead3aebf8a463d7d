//! Scores of a numpy matrix for a question checked once: what one row costs is the model's own work.

use crate::column::is_readable;
use crate::door::enter;
use crate::model::all_threads;
use cvm::{Model, PreparedScore, RowIssue, Scores};
use ndarray::ArrayView2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use std::sync::Arc;

/// A model and the outputs wanted of it.
#[pyclass(frozen, module = "cvm._core")]
pub(crate) struct RawScorer {
    pub(crate) model: Arc<Model>,
    pub(crate) prepared: PreparedScore,
}

type Column<'py> = Bound<'py, PyArray1<f64>>;

/// Row statuses, and the first bad rows in words.
type BadRows<'py> = (Bound<'py, PyArray1<u8>>, Vec<String>);

/// Output columns in the order wanted; the second part is there if any row is bad.
type Found<'py> = (Vec<Column<'py>>, Option<BadRows<'py>>);

#[pymethods]
impl RawScorer {
    /// Scores a 2-D array of float64 or float32 that has the model's columns in its order; `None`
    /// for anything else, which is for `RawModel.score` to answer.
    fn score<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Option<Found<'py>>> {
        if let Ok(array) = data.cast_exact::<PyArray2<f64>>() {
            if !is_readable(array) {
                return Ok(None);
            }
            let array = array.try_readonly()?;
            return self.found(py, array.as_array(), threads);
        }
        match data.cast_exact::<PyArray2<f32>>() {
            Ok(array) if is_readable(array) => {
                let wide = array.try_readonly()?.as_array().mapv(f64::from);
                self.found(py, wide.view(), threads)
            }
            _ => Ok(None),
        }
    }
}

impl RawScorer {
    fn found<'py>(
        &self,
        py: Python<'py>,
        matrix: ArrayView2<'_, f64>,
        threads: usize,
    ) -> PyResult<Option<Found<'py>>> {
        if matrix.ncols() != self.model.schema().fields.len() {
            return Ok(None);
        }
        let (model, prepared, threads) = (&self.model, &self.prepared, all_threads(threads));
        let scores = enter(py, || model.score_matrix(prepared, matrix, threads))?;
        let Scores {
            outputs,
            status,
            issues,
            reasons: _,
        } = scores;
        let columns = outputs.into_iter().map(|(_, v)| v.into_pyarray(py));
        let columns = columns.collect();
        if issues.is_empty() {
            return Ok(Some((columns, None)));
        }
        let status: Vec<u8> = status.iter().map(|status| status.code as u8).collect();
        let words = |issue: RowIssue| issue.message;
        let issues = issues.into_iter().map(words).collect();
        Ok(Some((columns, Some((status.into_pyarray(py), issues)))))
    }
}

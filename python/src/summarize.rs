//! Transaction logs to customer summaries, for `cvm.summarize`.

use crate::column::Columns;
use crate::door::enter;
use crate::errors::{invalid, to_py};
use crate::model::time_unit;
use cvm::{Error, FrameColumn, Summarizer, Summary, SummaryOptions};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;

/// A column on its way to Python: numbers, or text as a dictionary and codes.
#[derive(IntoPyObject)]
enum PyColumn<'py> {
    Numbers(Bound<'py, PyArray1<f64>>),
    Text((Vec<String>, Bound<'py, PyArray1<i32>>)),
}

/// The summary of a log, with what became of every row as JSON and in words.
#[derive(IntoPyObject)]
pub(crate) struct PySummary<'py> {
    columns: Vec<(String, PyColumn<'py>)>,
    report_json: String,
    report_text: String,
}

impl<'py> PySummary<'py> {
    fn of(py: Python<'py>, summary: Summary) -> PyResult<Self> {
        let Summary { frame, report } = summary;
        let column = |(name, column)| (name, PyColumn::of(py, column));
        let report_json = serde_json::to_string(&report)
            .map_err(|error| invalid("report", &error.to_string()))?;
        Ok(PySummary {
            columns: frame.columns.into_iter().map(column).collect(),
            report_json,
            report_text: report.to_string(),
        })
    }
}

impl<'py> PyColumn<'py> {
    fn of(py: Python<'py>, column: FrameColumn) -> Self {
        match column {
            FrameColumn::Numbers(values) => PyColumn::Numbers(values.into_pyarray(py)),
            FrameColumn::Text { dictionary, codes } => {
                PyColumn::Text((dictionary, codes.into_pyarray(py)))
            }
        }
    }
}

/// Summarizes a log; `options_json` holds the options but for the two units.
#[pyfunction]
pub(crate) fn summarize<'py>(
    py: Python<'py>,
    columns: Columns<'_>,
    unit: &str,
    grain: &str,
    options_json: &str,
) -> PyResult<PySummary<'py>> {
    let (batch, options) = (columns.batch()?, read_options(unit, grain, options_json)?);
    let summary = enter(py, || {
        let mut summarizer = Summarizer::new(&options).map_err(Error::from)?;
        summarizer.push(&batch).map_err(Error::from)?;
        summarizer.finish().map_err(Error::from)
    })?;
    PySummary::of(py, summary)
}

fn read_options(unit: &str, grain: &str, text: &str) -> PyResult<SummaryOptions> {
    let options: SummaryOptions = serde_json::from_str(text)
        .map_err(|error| to_py(Error::invalid("options", error.to_string())))?;
    let named = |name| Ok::<_, PyErr>(time_unit(Some(name))?.unwrap_or(cvm::TimeUnit::Day));
    Ok(SummaryOptions {
        time_unit: named(unit)?,
        grain: named(grain)?,
        ..options
    })
}

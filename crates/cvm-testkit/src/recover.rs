//! Simulate, fit, and find the parameters again.

use cvm::{Entry, Error, FitOptions, FitReport, Frame, Harness};
use std::collections::BTreeMap;

/// A fit to simulated rows, seen from the parameters they were drawn with.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The report of the fit.
    pub report: FitReport,
    /// Distance of each estimate from the truth in its own standard errors; infinite if there is no
    /// standard error.
    pub distance: Vec<f64>,
    /// Whether the 95 % interval of each parameter holds the truth.
    pub covers: Vec<bool>,
}

/// Simulates one row per template with `truth` and fits them.
///
/// # Errors
/// Templates or parameters that the model refuses, or a fit that fails.
pub fn simulate_and_fit(
    entry: &Entry,
    harness: &Harness,
    truth: &[f64],
    templates: &[Vec<f64>],
    seed: u64,
) -> Result<Recovered, Error> {
    let rows = (harness.simulate)(truth, templates, seed)?;
    let frame = to_frame(&(harness.columns)(), &rows);
    let fitted = cvm::fit(entry.kind, &frame.batch()?, &FitOptions::default())?;
    let report = fitted.report;
    let pairs = report.params.iter().zip(truth).zip(&report.standard_errors);
    let distance = pairs
        .map(|((estimate, truth), error)| match error {
            Some(error) if *error > 0.0 => (estimate - truth).abs() / error,
            _ => f64::INFINITY,
        })
        .collect();
    let covers = truth.iter().enumerate().map(|(index, truth)| {
        let ends = report.interval_95(index);
        ends.is_some_and(|(low, high)| low <= *truth && *truth <= high)
    });
    let covers = covers.collect();
    Ok(Recovered {
        report,
        distance,
        covers,
    })
}

/// Rows as columns.
#[must_use]
pub fn to_frame(names: &[String], rows: &[Vec<f64>]) -> Frame {
    let mut frame = Frame::new(rows.len());
    for (index, name) in names.iter().enumerate() {
        let values = rows.iter().map(|row| row[index]).collect();
        frame = frame.with_numbers(name.clone(), values);
    }
    frame
}

/// `count` template rows: the corpus's templates over and over, in the order of `names`.
///
/// # Panics
/// If a column is absent or empty.
#[must_use]
pub fn templates(
    names: &[String],
    corpus: &BTreeMap<String, Vec<f64>>,
    count: usize,
) -> Vec<Vec<f64>> {
    let columns: Vec<&Vec<f64>> = names
        .iter()
        .map(|name| {
            corpus
                .get(name)
                .unwrap_or_else(|| panic!("templates lack column `{name}`"))
        })
        .collect();
    (0..count)
        .map(|row| {
            columns
                .iter()
                .map(|column| column[row % column.len()])
                .collect()
        })
        .collect()
}

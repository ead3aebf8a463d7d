//! Simulate, fit, and find the parameters again.

use crate::subject::Subject;
use cvm::{Error, FitReport};

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
/// A fit that fails.
pub fn simulate_and_fit(
    subject: &Subject,
    truth: &[f64],
    templates: &[Vec<f64>],
    seed: u64,
) -> Result<Recovered, Error> {
    let fitted = subject.fit(&subject.simulate(truth, templates, seed), 0)?;
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

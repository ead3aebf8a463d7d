//! Whether one customer carries the likelihood: how far each row alone moves the estimates.
//!
//! ```text
//! shift_ij = −(V g_i)_j / √V_jj
//! ```
//! with `g_i` the gradient of row `i`'s log-likelihood at the estimate and `V` the covariance: the
//! one-step change of parameter `j`, in standard errors, when the row is left out. It does not depend
//! on the coordinate. Source: Pregibon (1981), *Annals of Statistics* 9(4), one-step deletion.

use crate::diagnosis::Finding;
use crate::linear::dot;
use crate::result::Fit;

/// A shift above this many standard errors is told: one row then outweighs what all the others
/// leave open.
pub const INFLUENCE_THRESHOLD: f64 = 1.0;

/// Rows whose own gradients can be asked for; an extension of a likelihood that keeps them.
pub trait RowContributions {
    /// Number of rows. Identical customers may share one.
    fn row_count(&self) -> usize;

    /// Gradient of the log-likelihood of **one** customer of row `row` (times that customer's own
    /// weight, but not the number of identical customers) at natural parameters `theta`.
    fn row_gradient(&self, theta: &[f64], row: usize, gradient: &mut [f64]);

    /// What a person calls row `row`: its number in the data, where these rows are some of many.
    fn row_number(&self, row: usize) -> usize {
        row
    }
}

/// The row that moves an estimate most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Influence {
    /// Which row.
    pub row: usize,
    /// Which parameter it moves most.
    pub parameter: usize,
    /// Change of the parameter without the row, in standard errors.
    pub shift: f64,
}

/// The largest influence over all rows and free parameters; `None` without rows or standard errors.
/// A row whose gradient is not finite counts as infinitely influential.
#[must_use]
pub fn largest_influence(rows: &dyn RowContributions, fit: &Fit) -> Option<Influence> {
    let errors = fit.standard_errors.iter().enumerate();
    let known: Vec<usize> = errors
        .filter_map(|(i, e)| (*e > 0.0).then_some(i))
        .collect();
    let mut gradient = vec![0.0; fit.params.len()];
    let lines: Vec<Vec<f64>> = known
        .iter()
        .map(|i| known.iter().map(|j| fit.covariance[[*i, *j]]).collect())
        .collect();
    let mut largest: Option<Influence> = None;
    for row in 0..rows.row_count() {
        gradient.fill(0.0);
        rows.row_gradient(&fit.params, row, &mut gradient);
        let free: Vec<f64> = known.iter().map(|i| gradient[*i]).collect();
        for (parameter, line) in known.iter().zip(&lines) {
            let raw = -dot(line, &free) / fit.standard_errors[*parameter];
            let shift = if raw.is_finite() { raw } else { f64::INFINITY };
            if largest.is_none_or(|top| shift.abs() > top.shift.abs()) {
                largest = Some(Influence {
                    row,
                    parameter: *parameter,
                    shift,
                });
            }
        }
    }
    largest
}

/// Looks for the most influential row and notes it in the fit when it moves an estimate by more
/// than `threshold` standard errors ([`INFLUENCE_THRESHOLD`] is a fair one).
pub fn diagnose_influence(
    fit: &mut Fit,
    rows: &dyn RowContributions,
    threshold: f64,
) -> Option<Influence> {
    let largest = largest_influence(rows, fit)?;
    if largest.shift.abs() > threshold {
        fit.note(Finding::Influential {
            row: rows.row_number(largest.row),
            parameter: largest.parameter,
            shift: largest.shift,
        });
    }
    Some(largest)
}

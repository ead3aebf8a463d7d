//! Analytic gradients against central differences of the log-likelihood.

use crate::subject::Subject;
use cvm::Error;

/// Step of the differences, as a share of the parameter.
const STEP: f64 = 1e-3;

/// The worst disagreement between the analytic gradient and differences at `params` and `row`, as a
/// share of the gradient's size (at least one).
///
/// # Errors
/// Parameters or a row that the model refuses.
pub fn worst_error(subject: &Subject, params: &[f64], row: &[f64]) -> Result<f64, Error> {
    let mut gradient = vec![0.0; params.len()];
    subject.log_lik_grad(params, row, &mut gradient)?;
    let mut worst = 0.0_f64;
    for (index, analytic) in gradient.iter().enumerate() {
        let numeric = difference(subject, params, row, index)?;
        let error = (analytic - numeric).abs() / numeric.abs().max(1.0);
        worst = if error.is_nan() {
            f64::INFINITY
        } else {
            worst.max(error)
        };
    }
    Ok(worst)
}

/// Five-point rule: the error falls with the fourth power of the step.
fn difference(subject: &Subject, params: &[f64], row: &[f64], index: usize) -> Result<f64, Error> {
    // A parameter of zero (a coefficient, a dependence) moves on its own scale.
    let size = params[index].abs();
    let step = STEP * if size == 0.0 { 1.0 } else { size };
    let at = |steps: f64| {
        let mut moved = params.to_vec();
        moved[index] += steps * step;
        subject.log_lik(&moved, row)
    };
    let near = at(1.0)? - at(-1.0)?;
    let far = at(2.0)? - at(-2.0)?;
    Ok((8.0 * near - far) / (12.0 * step))
}

/// The log-likelihood that comes with the gradient and the one without must agree: the share they
/// differ by.
///
/// # Errors
/// Parameters or a row that the model refuses.
pub fn value_error(subject: &Subject, params: &[f64], row: &[f64]) -> Result<f64, Error> {
    let mut gradient = vec![0.0; params.len()];
    let with = subject.log_lik_grad(params, row, &mut gradient)?;
    let without = subject.log_lik(params, row)?;
    Ok((with - without).abs() / without.abs().max(1.0))
}

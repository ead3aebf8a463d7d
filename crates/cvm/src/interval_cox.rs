//! Intervals of a Cox model's curves, from the error of the logarithm of the cumulative hazard.
//!
//! ```text
//! H · exp(± z · se(ln H)),     S = e^−H
//! ```
//! so that ends stay probabilities. Source: Kalbfleisch & Prentice (2002), *The Statistical Analysis of
//! Failure Time Data*, section 1.4; the error is of `cvm_churn`'s Cox model.

use crate::interval::{bound_names, checked_level};
use crate::{Error, score};
use cvm_core::{Batch, ScoreOptions, Scorer, Scores};
use cvm_fit::normal_quantile;
use cvm_math::{exp, expm1};

/// Kind of the model.
pub(crate) const KIND: &str = "churn.cox";
const ERROR: &str = "log_cumulative_hazard_error";
const LOG_SURVIVAL: &str = "log_survival";
/// Outputs that have intervals; the first two are computed when none is named.
const CURVES: [&str; 3] = ["survival_probability", "churn_probability", LOG_SURVIVAL];

/// Scores with `<output>_lower` and `<output>_upper` after each output.
pub(crate) fn with_intervals(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    threads: usize,
) -> Result<Scores, Error> {
    let z = normal_quantile(0.5 + 0.5 * checked_level(options)?);
    let names = names(options)?;
    let mut asked = options.clone();
    asked.outputs = names.clone();
    for further in [LOG_SURVIVAL, ERROR] {
        if !names.iter().any(|name| name == further) {
            asked.outputs.push(further.to_owned());
        }
    }
    let mut scores = score::score(scorer, batch, &asked, threads)?;
    let column = |wanted: &str| {
        let found = scores.outputs.iter().find(|(name, _)| *name == wanted);
        found.map_or_else(Vec::new, |(_, values)| values.clone())
    };
    let (log_survival, errors) = (column(LOG_SURVIVAL), column(ERROR));
    scores.outputs.truncate(names.len());
    let mut outputs = Vec::with_capacity(3 * names.len());
    for (name, values) in scores.outputs {
        let rows = log_survival.iter().zip(&errors);
        let ends = rows.map(|(log_survival, error)| ends(name, -log_survival, z * error));
        let (lower, upper) = ends.unzip();
        let (low_name, high_name) = bound_names(name);
        outputs.extend([(name, values), (low_name, lower), (high_name, upper)]);
    }
    Ok(Scores { outputs, ..scores })
}

/// The outputs asked for.
fn names(options: &ScoreOptions) -> Result<Vec<String>, Error> {
    if options.outputs.is_empty() {
        return Ok(CURVES
            .iter()
            .take(2)
            .map(|name| (*name).to_owned())
            .collect());
    }
    match options
        .outputs
        .iter()
        .find(|name| !CURVES.contains(&name.as_str()))
    {
        None => Ok(options.outputs.clone()),
        Some(other) => {
            let known = CURVES.join(", ");
            let why =
                format!("has `{other}`, of which a Cox model has no interval; it has [{known}]");
            Err(Error::invalid("options.outputs", why))
        }
    }
}

/// Ends of an output at a cumulative hazard, `half` being half the interval of its logarithm.
fn ends(name: &str, hazard: f64, half: f64) -> (f64, f64) {
    let (low, high) = (hazard * exp(-half), hazard * exp(half));
    match name {
        "survival_probability" => (exp(-high), exp(-low)),
        "churn_probability" => (-expm1(-low), -expm1(-high)),
        _ => (-high, -low),
    }
}

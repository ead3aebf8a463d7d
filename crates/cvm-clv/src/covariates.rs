//! Covariates of a model: a row's own parameters, reading their columns, storing them.

use cvm_core::{
    Array, BoundBatch, Covariates, Domain, InputField, InputSchema, ModelState, ParamSpec, Process,
    RowStatus, StateError, Transform,
};
use cvm_math::exp;
use serde_json::{Map, Value};

/// A coefficient times a covariate beyond this is as good as infinite; clamped, so that parameters
/// stay positive and finite.
const LARGEST_EXPONENT: f64 = 300.0;

/// The parameters of a row: `theta_j · exp(Σ sign γ z)`, or `theta_j + Σ sign γ z` for one that is
/// not estimated on its logarithm.
pub(crate) fn scale_params(
    specs: &[ParamSpec],
    covariates: &Covariates,
    coefficients: &[f64],
    theta: &[f64],
    values: &[f64],
    params: &mut [f64],
) {
    params.fill(0.0);
    for (term, coefficient) in covariates.terms.iter().zip(coefficients) {
        params[term.effect.param] += term.effect.sign * coefficient * values[term.column];
    }
    for ((slot, base), spec) in params.iter_mut().zip(theta).zip(specs) {
        if spec.transform != Transform::Log {
            *slot = base + slot.clamp(-f64::MAX, f64::MAX);
            continue;
        }
        let exponent = slot.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT);
        *slot = if exponent == 0.0 {
            *base
        } else {
            base * exp(exponent)
        };
    }
}

/// Adds one field per covariate column: a number that must be present.
pub(crate) fn extend_schema(schema: &mut InputSchema, covariates: &Covariates) {
    let field = |name: &String| InputField::number(name.clone(), "1", Domain::Finite);
    schema.fields.extend(covariates.columns.iter().map(field));
}

/// Reads the covariates of rows `start..` from `fields`, row by row into `values`; a row with a
/// value missing or infinite gets its status.
pub(crate) fn read_covariates(
    batch: &BoundBatch<'_, '_>,
    fields: impl ExactSizeIterator<Item = usize>,
    start: usize,
    values: &mut [f64],
    status: &mut [RowStatus],
) {
    let mut column = vec![0.0; status.len()];
    let width = fields.len();
    for (offset, field) in fields.enumerate() {
        batch.read_numbers(field, start, &mut column);
        for (row, (value, status)) in column.iter().zip(status.iter_mut()).enumerate() {
            let field = u16::try_from(field).unwrap_or(u16::MAX);
            let slot = &mut values[row * width + offset];
            match RowStatus::check(*value, Domain::Finite, field) {
                Ok(good) => *slot = good,
                Err(bad) => {
                    *slot = 0.0;
                    if status.is_ok() {
                        *status = bad;
                    }
                }
            }
        }
    }
}

/// Adds covariates to a model's state: setting `covariates` (columns by process) and array
/// `covariates` (coefficients in the order of the terms).
pub(crate) fn store(state: &mut ModelState, covariates: &Covariates, processes: &[Process]) {
    let columns = |process: &Process| {
        let names = covariates.columns_of(process.name);
        (process.name.to_owned(), Value::from(names))
    };
    let by_process: Map<String, Value> = processes.iter().map(columns).collect();
    state
        .settings
        .insert("covariates".to_owned(), Value::Object(by_process));
    let coefficients = covariates.coefficients.clone();
    state.arrays.push(Array::vector("covariates", coefficients));
}

/// The covariates a state was stored with; `None` without.
pub(crate) fn load(
    state: &ModelState,
    processes: &[Process],
    params: &[ParamSpec],
) -> Result<Option<Covariates>, StateError> {
    let Some(setting) = state.settings.get("covariates") else {
        return Ok(None);
    };
    let malformed = |problem: &str| StateError::malformed(&state.kind, problem);
    let by_process = setting
        .as_object()
        .ok_or_else(|| malformed("setting `covariates` is not an object"))?;
    let known = |name: &String| processes.iter().any(|process| process.name == name);
    if let Some(unknown) = by_process.keys().find(|name| !known(name)) {
        return Err(malformed(&format!(
            "setting `covariates` has an unknown process `{unknown}`"
        )));
    }
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    for (process, names) in by_process {
        let list: Option<Vec<String>> = names.as_array().and_then(|names| {
            names
                .iter()
                .map(|n| n.as_str().map(str::to_owned))
                .collect()
        });
        let list = list.ok_or_else(|| malformed("setting `covariates` is not lists of names"))?;
        lists.push((process.clone(), list));
    }
    let names = |process: &str| {
        let found = lists.iter().find(|(name, _)| name == process);
        found.map(|(_, names)| names.clone()).unwrap_or_default()
    };
    let mut covariates = Covariates::new(processes, params, &names);
    let stored = state.vector("covariates", covariates.terms.len())?;
    if stored.iter().any(|value| !value.is_finite()) {
        return Err(malformed(
            "array `covariates` holds a number that is not finite",
        ));
    }
    covariates.coefficients = stored.to_vec();
    Ok(Some(covariates))
}

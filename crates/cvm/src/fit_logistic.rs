//! Fits of logistic churn models: settings to a design to a coefficient table.

use crate::fit_hazard::{estimator, merge};
use crate::fit_rows::{Counts, finish, report, run_with};
use crate::{Error, FitOptions, FitWatch, Fitted, fit_path};
use cvm_churn::{ChurnError, LogisticDesign, LogisticFit, LogisticSpec, Prepared};
use cvm_core::{Batch, Likelihood};
use cvm_fit::Fit;
use serde_json::{Map, Value, json};

/// Fits a logistic model; `options.settings` is a [`LogisticSpec`].
pub(crate) fn fit(
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let mut spec = spec(options)?;
    spec.check()?;
    let path = match spec.path.take() {
        Some(path) => Some(fit_path::choose(batch, &spec, &path, options, watch)?),
        None => None,
    };
    if let Some(path) = &path {
        spec.penalty = path.penalty();
    }
    let prepared = LogisticDesign::prepare(batch, &spec)?;
    let settings = estimator(options, prepared.penalty.clone(), prepared.l1.clone());
    let (likelihood, starts) = (&prepared.likelihood, &prepared.starts);
    let fit = run_with(
        likelihood,
        &prepared.transforms,
        starts,
        options,
        &settings,
        watch,
    )?;
    let finished = prepared.finish(&fit.params, fit.covariance.view())?;
    let facts = path.map(|path| path.facts());
    wrap(batch.row_count(), &spec, &prepared, fit, finished, facts)
}

fn spec(options: &FitOptions) -> Result<LogisticSpec, Error> {
    let settings = Value::Object(options.settings.clone());
    let mut spec: LogisticSpec = serde_json::from_value(settings)
        .map_err(|error| Error::invalid("options.settings", error.to_string()))?;
    merge(&mut spec, options);
    if options.time_unit.is_some() {
        let why = "is set; a churn model has no time unit";
        return Err(Error::invalid("options.time_unit", why));
    }
    Ok(spec)
}

fn wrap(
    row_count: usize,
    spec: &LogisticSpec,
    prepared: &Prepared,
    mut fit: Fit,
    finished: LogisticFit,
    path: Option<Value>,
) -> Result<Fitted, Error> {
    let LogisticFit {
        model,
        coefficients,
        covariance,
        warnings,
    } = finished;
    fit.params = coefficients.iter().map(|line| line.per_unit).collect();
    fit.standard_errors = coefficients
        .iter()
        .map(|line| line.per_unit_error)
        .collect();
    fit.covariance = covariance;
    fit.warnings.extend(warnings);
    let names = coefficients.iter().map(|line| line.name.clone()).collect();
    let counts = Counts {
        row_count,
        excluded_row_count: row_count - prepared.row_count,
        weight: prepared.likelihood.weight(),
    };
    let report = report("churn.logistic", names, &fit, spec.penalty, counts);
    let mut data = Map::new();
    data.insert("target".to_owned(), json!(model.target()));
    data.insert("positive_label".to_owned(), json!(model.positive_label()));
    let standardised: Vec<f64> = coefficients.iter().map(|line| line.standardised).collect();
    data.insert("standardised_coefficients".to_owned(), json!(standardised));
    if let Some(path) = path {
        data.insert("penalty_path".to_owned(), path);
    }
    finish(Box::new(model), report, data)
}

impl From<ChurnError> for Error {
    fn from(error: ChurnError) -> Self {
        match error {
            ChurnError::Input(inner) => inner.into(),
            ChurnError::Setting {
                field,
                value,
                allowed,
            } => Error::invalid(
                format!("options.settings.{field}"),
                format!("is {value}: must be {allowed}"),
            ),
            ChurnError::Cell {
                column,
                row,
                value,
                allowed,
            } => Error::invalid(
                format!("columns.{column}[{row}]"),
                format!("is {value}: must be {allowed}"),
            ),
            other => Error::new(other.kind(), other.to_string()),
        }
    }
}

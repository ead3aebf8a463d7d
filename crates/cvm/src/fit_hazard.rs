//! Fits of duration models by likelihood: settings to episodes to a curve of survival.

use crate::fit::thread_count;
use crate::fit_rows::{Counts, finish, report, run_with};
use crate::{Error, FitOptions, FitWatch, Fitted};
use cvm_churn::LogisticSpec;
use cvm_churn::survival::{HazardDesign, HazardSpec, PreparedHazard};
use cvm_core::{Batch, Likelihood};
use cvm_fit::Settings;
use serde_json::{Map, Value, json};

/// Fits a discrete-time hazard.
pub(crate) fn fit(
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let mut spec = HazardSpec::from_settings(options.settings.clone())?;
    merge(&mut spec.inputs, options);
    let prepared = HazardDesign::prepare(batch, &spec)?;
    let settings = estimator(options, prepared.penalty.clone(), prepared.l1.clone());
    let (likelihood, starts) = (&prepared.likelihood, &prepared.starts);
    let mut fit = run_with(
        likelihood,
        &prepared.transforms,
        starts,
        options,
        &settings,
        watch,
    )?;
    let finished = prepared.finish(&fit.params, fit.covariance.view(), options.time_unit)?;
    fit.params = finished.params;
    let size = fit.params.len();
    fit.standard_errors = (0..size)
        .map(|i| finished.covariance[[i, i]].sqrt())
        .collect();
    fit.covariance = finished.covariance;
    fit.warnings.extend(finished.warnings);
    let counts = Counts {
        row_count: batch.row_count(),
        excluded_row_count: batch.row_count() - prepared.row_count,
        weight: likelihood.weight(),
    };
    let names = prepared.names.clone();
    let report = report("churn.hazard", names, &fit, spec.inputs.penalty, counts);
    finish(Box::new(finished.model), report, facts(&spec, &prepared))
}

/// The options that every kind takes, in the place where the settings have them.
pub(crate) fn merge(inputs: &mut LogisticSpec, options: &FitOptions) {
    if let Some(penalty) = options.penalty {
        inputs.penalty = penalty;
    }
    if options.weight_column.is_some() {
        inputs.weight.clone_from(&options.weight_column);
    }
}

/// Settings of the estimator.
pub(crate) fn estimator(options: &FitOptions, penalty: Vec<f64>, l1: Vec<f64>) -> Settings {
    Settings {
        max_iterations: options.max_iterations,
        gradient_tolerance: options.gradient_tolerance,
        penalty,
        l1,
        threads: thread_count(options.threads),
        ..Settings::default()
    }
}

fn facts(spec: &HazardSpec, prepared: &PreparedHazard) -> Map<String, Value> {
    let (events, at_risk) = prepared.life_table();
    let facts = json!({
        "event": spec.inputs.target,
        "event_weight": prepared.event_weight,
        "periods_at_risk": prepared.cell_count,
        "life_table": { "events": events, "at_risk": at_risk },
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

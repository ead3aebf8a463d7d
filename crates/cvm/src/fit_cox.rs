//! Fits of Cox models: settings to risk sets to a report with its checks.

use crate::fit_hazard::{estimator, merge};
use crate::fit_rows::{Counts, finish, report, run_with};
use crate::{Error, FitOptions, FitWatch, Fitted};
use cvm_churn::survival::{CoxDesign, CoxFit, CoxSpec, PhTest, PreparedCox};
use cvm_core::{Batch, Likelihood};
use cvm_fit::chi_square_tail;
use serde_json::{Map, Value, json};

/// Fits a Cox model.
pub(crate) fn fit(
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let mut spec = CoxSpec::from_settings(options.settings.clone())?;
    merge(&mut spec.inputs, options);
    let prepared = CoxDesign::prepare(batch, &spec)?;
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
    let CoxFit {
        fit: finished,
        ph_test,
        concordance,
    } = prepared.finish(&fit.params, fit.covariance.view(), options.time_unit)?;
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
    let report = report("churn.cox", names, &fit, spec.inputs.penalty, counts);
    let facts = facts(&spec, &prepared, concordance, ph_test.as_ref());
    finish(Box::new(finished.model), report, facts)
}

fn facts(
    spec: &CoxSpec,
    prepared: &PreparedCox,
    concordance: Option<f64>,
    test: Option<&PhTest>,
) -> Map<String, Value> {
    let lines = |test: &PhTest| {
        let line = |line: &cvm_churn::survival::PhTestLine| {
            json!({
                "name": line.name,
                "statistic": line.statistic,
                "degrees_of_freedom": line.freedom,
                "p_value": chi_square_tail(line.statistic, line.freedom),
            })
        };
        json!({
            "time_scale": test.scale,
            "tests": test.lines.iter().map(line).collect::<Vec<Value>>(),
        })
    };
    let facts = json!({
        "event": spec.inputs.target,
        "event_weight": prepared.event_weight,
        "concordance": concordance,
        "proportional_hazards": test.map(lines),
        "robust": spec.own.robust,
        "ties": spec.own.ties,
    });
    let mut facts = match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    };
    if let Some(column) = &spec.own.strata {
        let strata = json!({ "column": column, "levels": prepared.strata() });
        facts.insert("strata".to_owned(), strata);
    }
    facts
}

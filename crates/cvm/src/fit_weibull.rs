//! Fits of Weibull regressions: settings to times at risk to a report.

use crate::fit_hazard::{estimator, merge};
use crate::fit_rows::{Counts, finish, report, run_with};
use crate::{Error, FitOptions, FitWatch, Fitted};
use cvm_churn::survival::{PreparedWeibull, Survival, Weibull, WeibullDesign, WeibullSpec};
use cvm_core::{Batch, Likelihood};
use serde_json::{Map, Value, json};

/// Fits a Weibull regression.
pub(crate) fn fit(
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let mut spec = WeibullSpec::from_settings(options.settings.clone())?;
    merge(&mut spec.inputs, options);
    let prepared = WeibullDesign::prepare(batch, &spec)?;
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
    let report = report("churn.weibull", names, &fit, spec.inputs.penalty, counts);
    let facts = facts(&spec, &prepared, &finished.model);
    finish(Box::new(finished.model), report, facts)
}

fn facts(
    spec: &WeibullSpec,
    prepared: &PreparedWeibull,
    model: &Survival<Weibull>,
) -> Map<String, Value> {
    let facts = json!({
        "event": spec.inputs.target,
        "event_weight": prepared.event_weight,
        "time_at_risk": prepared.time_at_risk,
        "scale": model.law().scale(),
        "shape": model.law().shape(),
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

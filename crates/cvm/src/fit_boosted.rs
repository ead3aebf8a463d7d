//! Fits of boosted churn models: settings to trees, grown on scoped threads.

use crate::fit::thread_count;
use crate::{Error, FitOptions, FitProgress, FitReport, FitWatch, Fitted, Model};
use cvm_churn::boosted::{self, Boosted, BoostedFit, BoostedSpec, Executor, Grow};
use cvm_core::{Array, Batch, ErrorKind, Scorer};
use serde_json::{Map, Value, json};
use std::panic::resume_unwind;
use std::thread::{Builder, scope};

/// Below this cost of all calls together, starting threads costs more than it saves.
const SERIAL_BELOW_NS: f64 = 400_000.0;
/// Work that pays for one more thread.
const PER_THREAD_NS: f64 = 200_000.0;

/// Runs pieces of work on scoped threads, each a stretch of them.
struct Threads(usize);

impl Executor for Threads {
    fn for_each<T: Send>(
        &self,
        items: &mut [T],
        cost_ns: f64,
        work: &(dyn Fn(usize, &mut T) + Sync),
    ) {
        let worthwhile = (cost_ns / PER_THREAD_NS).clamp(1.0, 256.0) as usize;
        let workers = self.0.min(items.len()).min(worthwhile);
        if workers <= 1 || cost_ns < SERIAL_BELOW_NS {
            return run(items, 0, work);
        }
        let stretch = items.len().div_ceil(workers);
        scope(|scope| {
            let mut stretches = items.chunks_mut(stretch).enumerate();
            let own = stretches.next();
            let mut helpers = Vec::with_capacity(workers);
            for (index, items) in stretches {
                let task = move || run(items, index * stretch, work);
                match Builder::new().spawn_scoped(scope, task) {
                    Ok(helper) => helpers.push(helper),
                    // The stretch went with the thread that could not be started.
                    Err(error) => resume_unwind(Box::new(error.to_string())),
                }
            }
            if let Some((_, items)) = own {
                run(items, 0, work);
            }
            for helper in helpers {
                helper.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
    }
}

fn run<T>(items: &mut [T], first: usize, work: &(dyn Fn(usize, &mut T) + Sync)) {
    for (index, item) in items.iter_mut().enumerate() {
        work(first + index, item);
    }
}

/// Fits a boosted model; `options.settings` is a [`BoostedSpec`]. Told after every tree.
pub(crate) fn fit(
    batch: &Batch<'_>,
    options: &FitOptions,
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let spec = spec(options)?;
    let executor = Threads(thread_count(options.threads));
    let fit = boosted::train(batch, &spec, &executor, &|round| {
        watch(FitProgress::Steps {
            done: round.done,
            total: round.total,
        })
    })?;
    if fit.cancelled {
        let message = format!("the fit was stopped after {} trees", fit.tree_count);
        return Err(Error::new(ErrorKind::NotConverged, message));
    }
    wrap(batch.row_count(), &spec, fit)
}

fn spec(options: &FitOptions) -> Result<BoostedSpec, Error> {
    let settings = Value::Object(options.settings.clone());
    let mut spec: BoostedSpec = serde_json::from_value(settings)
        .map_err(|error| Error::invalid("options.settings", error.to_string()))?;
    if let Some(penalty) = options.penalty {
        spec.l2 = penalty;
    }
    if options.weight_column.is_some() {
        spec.weight.clone_from(&options.weight_column);
    }
    if options.time_unit.is_some() {
        let why = "is set; a churn model has no time unit";
        return Err(Error::invalid("options.time_unit", why));
    }
    Ok(spec)
}

fn wrap(row_count: usize, spec: &BoostedSpec, fit: BoostedFit) -> Result<Fitted, Error> {
    let report = report(row_count, spec, &fit);
    let mut training = Map::new();
    let facts = json!({
        "kind": report.kind,
        "param_names": report.param_names,
        "params": report.params,
        "log_likelihood": report.log_likelihood,
        "penalty": report.penalty,
        "converged": report.converged,
        "message": report.message,
        "method": report.method,
        "iterations": report.iterations,
        "row_count": report.row_count,
        "excluded_row_count": report.excluded_row_count,
        "weight": report.weight,
        "warnings": report.warnings,
        "data": data(&fit),
        "settings": spec,
    });
    if let Value::Object(facts) = facts {
        training = facts;
    }
    let arrays = vec![
        Array::vector("fit.gains", fit.gains),
        Array::vector("fit.held_out_loss", fit.history),
    ];
    Ok(Fitted {
        model: Model::new(Box::new(fit.model), training, arrays)?,
        report,
    })
}

fn data(fit: &BoostedFit) -> Value {
    json!({
        "target": fit.model.target(),
        "positive_label": fit.model.positive_label(),
        "base_rate": fit.base_rate,
        "tree_count": fit.tree_count,
        "held_out_count": fit.held_out_count,
        "loss": fit.loss,
        "held_out_loss": fit.held_out_loss,
        "class_weight_correction": fit.correction,
    })
}

fn report(row_count: usize, spec: &BoostedSpec, fit: &BoostedFit) -> FitReport {
    let grow = match spec.grow {
        Grow::Oblivious => "oblivious",
        Grow::Leafwise => "leaf-wise",
    };
    let fields = fit.model.schema().fields.len();
    let warnings = if fit.tree_count == 0 {
        vec!["no split improves on the base rate: every customer gets the same score".to_owned()]
    } else {
        Vec::new()
    };
    let log_likelihood = -fit.loss * fit.weight;
    FitReport {
        kind: Boosted::KIND.to_owned(),
        param_names: Vec::new(),
        params: Vec::new(),
        standard_errors: Vec::new(),
        covariance: Vec::new(),
        log_likelihood,
        penalty: spec.l2,
        converged: true,
        message: format!("{} {grow} trees on {fields} fields", fit.tree_count),
        method: "gradient boosting".to_owned(),
        iterations: u32::try_from(fit.tree_count).unwrap_or(u32::MAX),
        evaluations: u32::try_from(fit.tree_count).unwrap_or(u32::MAX),
        starts_tried: 1,
        gradient_norm: 0.0,
        condition_number: None,
        row_count,
        excluded_row_count: row_count - fit.row_count,
        weight: fit.weight,
        warnings,
        findings: Vec::new(),
        aic: f64::NAN,
        bic: f64::NAN,
        free_params: 0,
        log_posterior: log_likelihood,
        nested: Vec::new(),
    }
}

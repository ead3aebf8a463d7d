//! Rows of a fit: columns to checked rows, weights, and the report that a fit leaves.

use crate::fit::FitFinding;
use crate::{Error, FitOptions, FitProgress, FitReport, FitWatch, Fitted, Model};
use cvm_core::{
    Array, Batch, BoundBatch, Domain, ErrorKind, InputField, InputSchema, Likelihood,
    ParametricModel, Reading, RowCode, RowReader, RowStatus, Transform, Violation,
};
use cvm_fit::{Fit, FitError, Progress, Settings};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Rows read at a time: one block stays in the first-level cache.
const BLOCK_ROWS: usize = 512;
/// Bad rows told in words before the rest is only counted.
const EXAMPLES: usize = 5;

/// Sizes of the data a fit ran on.
pub(crate) struct Counts {
    pub row_count: usize,
    pub excluded_row_count: usize,
    pub weight: f64,
}

/// Runs the estimator; a fit that did not converge is an error unless the options allow it.
pub(crate) fn run_with(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    options: &FitOptions,
    settings: &Settings,
    watch: FitWatch<'_>,
) -> Result<Fit, Error> {
    let told = telling(watch);
    let run = cvm_fit::maximize_with(likelihood, transforms, starts, settings, &told);
    settled(run, options)
}

/// What the estimator calls before every step, counted over all its searches.
pub(crate) fn telling(watch: FitWatch<'_>) -> impl Fn(&Progress<'_>) -> ControlFlow<()> {
    let steps = std::cell::Cell::new(0);
    move |progress| {
        let search = FitProgress::Search {
            steps: steps.replace(steps.get() + 1),
            log_likelihood: progress.log_likelihood,
            gradient_norm: progress.gradient_norm,
        };
        watch(search)
    }
}

/// A run of the estimator as the options want it.
pub(crate) fn settled(run: Result<Fit, FitError>, options: &FitOptions) -> Result<Fit, Error> {
    match run {
        Ok(fit) => Ok(fit),
        Err(FitError::NotConverged { fit }) if options.allow_not_converged => Ok(*fit),
        Err(FitError::NotConverged { fit }) => Err(not_converged(&fit)),
        Err(error) => Err(estimation_error(error)),
    }
}

/// An error of the estimator in the door's words.
pub(crate) fn estimation_error(error: FitError) -> Error {
    match error {
        FitError::NotConverged { fit } => not_converged(&fit),
        FitError::Cancelled { .. } | FitError::ResamplingCancelled { .. } => {
            Error::new(ErrorKind::NotConverged, error.to_string())
        }
        FitError::Invalid {
            field,
            value,
            allowed,
        } => Error::invalid(
            format!("options.{field}"),
            format!("is {value}: must be {allowed}"),
        ),
        error => Error::invalid("data", error.to_string()),
    }
}

fn not_converged(fit: &Fit) -> Error {
    let advice = fit.warnings.join("; ");
    let message = format!(
        "the fit did not converge: {} (reached log-likelihood {} at {:?} after {} steps, gradient {:e}). {advice}",
        fit.message, fit.log_likelihood, fit.params, fit.iterations, fit.gradient_norm
    );
    Error::new(ErrorKind::NotConverged, message)
}

/// Rows of a fit.
pub(crate) struct Data<R> {
    pub(crate) rows: Vec<R>,
    /// Covariates of the rows, row by row.
    pub(crate) covariates: Vec<f64>,
    pub(crate) weights: Option<Vec<f64>>,
    /// Legal rows without information for the model, by reason.
    pub(crate) excluded: BTreeMap<&'static str, usize>,
    /// Which rows given were left out, ascending.
    skipped: Vec<usize>,
}

impl<R> Data<R> {
    /// The row given that became row `index`.
    pub(crate) fn row_given(&self, index: usize) -> usize {
        let skipped = self.skipped.iter();
        skipped.fold(index, |row, out| row + usize::from(*out <= row))
    }

    /// Sum of the rows' weights.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn weight(&self) -> f64 {
        match &self.weights {
            Some(weights) => weights.iter().sum(),
            None => self.rows.len() as f64,
        }
    }
}

/// Checks a row together with its covariates.
pub(crate) type RowCheck<'a, R> = &'a dyn Fn(&R, &[f64]) -> Result<(), RowStatus>;

pub(crate) fn read<M: ParametricModel>(
    bound: &BoundBatch<'_, '_>,
    weights: Option<Vec<f64>>,
    own: usize,
    reader: &RowReader<M::Row>,
    check: RowCheck<'_, M::Row>,
) -> Result<Data<M::Row>, Error> {
    let width = bound.schema.fields.len();
    let mut columns = vec![0.0; width * BLOCK_ROWS];
    let mut values = vec![0.0; width];
    let mut data = Data {
        rows: Vec::with_capacity(bound.row_count),
        covariates: Vec::with_capacity(bound.row_count * (width - own)),
        weights: None,
        excluded: BTreeMap::new(),
        skipped: Vec::new(),
    };
    let mut kept_weights = Vec::new();
    let mut bad = BadRows::default();
    for start in (0..bound.row_count).step_by(BLOCK_ROWS) {
        let len = BLOCK_ROWS.min(bound.row_count - start);
        for (field, block) in columns.chunks_exact_mut(BLOCK_ROWS).enumerate() {
            bound.read_numbers(field, start, &mut block[..len]);
        }
        for offset in 0..len {
            for (value, block) in values.iter_mut().zip(columns.chunks_exact(BLOCK_ROWS)) {
                *value = block[offset];
            }
            let row = start + offset;
            let (own_values, covariates) = values.split_at(own);
            let legal = reader(own_values).and_then(|parsed| {
                if let Reading::Used(row) = &parsed {
                    check(row, covariates)?;
                }
                Ok(parsed)
            });
            match legal {
                Ok(Reading::Used(parsed)) => {
                    data.rows.push(parsed);
                    data.covariates.extend(covariates);
                    kept_weights.extend(weights.as_ref().and_then(|all| all.get(row)));
                }
                Ok(Reading::Excluded(why)) => {
                    *data.excluded.entry(why).or_default() += 1;
                    data.skipped.push(row);
                }
                Err(status) => bad.note(bound, row, status),
            }
        }
    }
    bad.into_result()?;
    if data.rows.is_empty() {
        let why = format!(
            "hold no row to fit on ({} given, left out: {:?})",
            bound.row_count, data.excluded
        );
        return Err(Error::invalid("columns", why));
    }
    data.weights = weights.map(|_| kept_weights);
    Ok(data)
}

/// Bad rows of training data: a fit on a silently thinned sample would be a silent wrong number.
#[derive(Default)]
pub(crate) struct BadRows {
    counts: [usize; RowCode::ALL.len() + 1],
    examples: Vec<Violation>,
}

impl BadRows {
    pub(crate) fn note(&mut self, bound: &BoundBatch<'_, '_>, row: usize, status: RowStatus) {
        if let Some(count) = self.counts.get_mut(status.code as usize) {
            *count += 1;
        }
        if self.examples.len() < EXAMPLES {
            let issue = bound.describe(row, status);
            let field = format!("columns.{}[{row}]", issue.field);
            self.examples.push(Violation {
                field,
                description: issue.message,
            });
        }
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.examples.is_empty() {
            return Ok(());
        }
        let causes: Vec<String> = RowCode::ALL
            .into_iter()
            .filter_map(|code| {
                let count = self.counts.get(code as usize).filter(|count| **count > 0)?;
                Some(format!("{count} {}", code.name()))
            })
            .collect();
        let examples: Vec<&str> = self
            .examples
            .iter()
            .map(|v| v.description.as_str())
            .collect();
        Err(Error {
            kind: ErrorKind::InvalidInput,
            message: format!(
                "the data has rows a model cannot be fitted on ({}); for example: {}",
                causes.join(", "),
                examples.join("; ")
            ),
            violations: self.examples,
        })
    }
}

/// The weight column, checked: finite, positive, one per row.
pub(crate) fn read_weights(
    batch: &Batch<'_>,
    options: &FitOptions,
) -> Result<Option<Vec<f64>>, Error> {
    let Some(name) = &options.weight_column else {
        return Ok(None);
    };
    let field = InputField::number(name.clone(), "1", Domain::Positive);
    let schema = InputSchema {
        fields: vec![field],
        time_unit: None,
    };
    let bound = batch.bind(&schema)?;
    let mut weights = vec![0.0; bound.row_count];
    bound.read_numbers(0, 0, &mut weights);
    let mut bad = BadRows::default();
    for (row, weight) in weights.iter().enumerate() {
        if let Err(status) = RowStatus::check(*weight, Domain::Positive, 0) {
            bad.note(&bound, row, status);
        }
    }
    bad.into_result()?;
    Ok(Some(weights))
}

pub(crate) fn report(
    kind: &str,
    param_names: Vec<String>,
    fit: &Fit,
    penalty: f64,
    counts: Counts,
) -> FitReport {
    let finite = |value: &f64| value.is_finite().then_some(*value);
    let names: Vec<&str> = param_names.iter().map(String::as_str).collect();
    let findings = fit.diagnosis.iter().map(|finding| FitFinding {
        kind: finding.kind().to_owned(),
        sentence: finding.sentence(&names),
    });
    let findings: Vec<FitFinding> = findings.collect();
    let warnings = worded(fit, &findings);
    FitReport {
        findings,
        aic: cvm_fit::aic(fit.log_likelihood, fit.free_count()),
        bic: cvm_fit::bic(fit.log_likelihood, fit.free_count(), counts.weight),
        free_params: fit.free_count(),
        log_posterior: fit.log_posterior,
        nested: Vec::new(),
        kind: kind.to_owned(),
        param_names,
        params: fit.params.clone(),
        standard_errors: fit.standard_errors.iter().map(finite).collect(),
        covariance: fit.covariance.iter().map(finite).collect(),
        log_likelihood: fit.log_likelihood,
        penalty,
        converged: fit.converged,
        message: fit.message.clone(),
        method: fit.method.to_owned(),
        iterations: fit.iterations,
        evaluations: fit.evaluations,
        starts_tried: fit.starts_tried,
        gradient_norm: fit.gradient_norm,
        condition_number: finite(&fit.condition_number),
        row_count: counts.row_count,
        excluded_row_count: counts.excluded_row_count,
        weight: counts.weight,
        warnings,
    }
}

/// The estimator numbers parameters where their names are not known: its own warnings of findings
/// give way to the findings' sentences, others stay.
fn worded(fit: &Fit, findings: &[FitFinding]) -> Vec<String> {
    let unnamed: Vec<String> = fit.diagnosis.iter().map(ToString::to_string).collect();
    let others = fit
        .warnings
        .iter()
        .filter(|warning| !unnamed.contains(warning));
    let sentences = findings.iter().map(|finding| finding.sentence.clone());
    sentences.chain(others.cloned()).collect()
}

/// Wraps a scorer and its report into a model whose training facts hold the report.
pub(crate) fn finish(
    scorer: Box<dyn cvm_core::Scorer>,
    report: FitReport,
    data: Map<String, Value>,
) -> Result<Fitted, Error> {
    let mut training = match serde_json::to_value(&report) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    // The covariance goes to an array section; the readable header keeps the rest.
    training.remove("covariance");
    training.insert("data".to_owned(), Value::Object(data));
    let size = report.param_names.len();
    let values = report
        .covariance
        .iter()
        .map(|value| value.unwrap_or(f64::NAN))
        .collect();
    let covariance = Array::matrix("fit.covariance", size, size, values);
    Ok(Fitted {
        model: Model::new(scorer, training, vec![covariance])?,
        report,
    })
}

/// Range and mean of every numeric column: what a later drift check compares with.
pub(crate) fn data_facts(bound: &BoundBatch<'_, '_>) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut block = vec![0.0; BLOCK_ROWS];
    for (index, field) in bound.schema.fields.iter().enumerate() {
        let (mut min, mut max, mut sum, mut count) =
            (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
        for start in (0..bound.row_count).step_by(BLOCK_ROWS) {
            let len = BLOCK_ROWS.min(bound.row_count - start);
            bound.read_numbers(index, start, &mut block[..len]);
            for value in block[..len].iter().filter(|value| value.is_finite()) {
                min = min.min(*value);
                max = max.max(*value);
                sum += value;
                count += 1;
            }
        }
        if count > 0 {
            #[allow(clippy::cast_precision_loss)]
            let mean = sum / count as f64;
            let entry = serde_json::json!({ "min": min, "max": max, "mean": mean, "count": count });
            facts.insert(field.name.clone(), entry);
        }
    }
    facts
}

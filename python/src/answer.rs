//! What a server answers, as Python sees it: model cards, and the parts of a call as one.

use crate::model::PyScores;
use crate::status::garbled;
use cvm::{Reasons, RowIssue, Scores};
use cvm_proto::v1 as pb;
use cvm_proto::{ConvertError, ModelCard, ModelStamp, ScoreAnswer, ScoredColumn};
use pyo3::prelude::*;

/// What a server says of a model, as JSON where it has structure.
#[derive(IntoPyObject)]
pub(crate) struct PyModelCard {
    name: String,
    version: String,
    kind: String,
    fingerprint: String,
    inputs: Vec<String>,
    outputs: Vec<(String, String, String, bool)>,
    params: Vec<(String, f64)>,
    time_unit: Option<&'static str>,
    metadata_json: String,
    training_json: String,
}

/// Scores, and the distinct models that answered the parts of the call.
#[derive(IntoPyObject)]
pub(crate) struct PyAnswer<'py> {
    scores: PyScores<'py>,
    /// Model version, fingerprint and kind.
    models: Vec<(String, String, String)>,
}

/// The parts of a call as one answer, rows counted over the whole.
pub(crate) fn joined(py: Python<'_>, parts: Vec<ScoreAnswer>) -> PyResult<PyAnswer<'_>> {
    let mut outputs: Vec<(String, Vec<f64>)> = Vec::new();
    let (mut status, mut issues, mut models) = (Vec::new(), Vec::new(), Vec::new());
    let mut reasons: Option<Reasons> = None;
    for part in parts {
        let first_row = status.len();
        let ScoreAnswer {
            model,
            row_count,
            outputs: columns,
            statuses,
            issues: refused,
            row_keys: _,
            request_id: _,
            reasons: told,
            row_models,
        } = part;
        if let Some(told) = told {
            match &mut reasons {
                Some(all) => all.rows.extend(told.rows),
                None => reasons = Some(told),
            }
        }
        join_columns(&mut outputs, columns)?;
        let numbers = statuses.iter().map(|code| *code as u8);
        status.extend(numbers);
        status.resize(first_row + row_count, cvm::RowCode::Ok as u8);
        let words = refused.into_iter().map(|issue| shifted(&issue, first_row));
        issues.extend(words.take(Scores::MAX_ISSUES.saturating_sub(issues.len())));
        let answered = row_models.map_or_else(|| vec![model], |split| split.models);
        for stamp in answered {
            let ModelStamp {
                model_version,
                fingerprint,
                kind,
            } = stamp;
            let stamp = (model_version, fingerprint, kind);
            if !models.contains(&stamp) {
                models.push(stamp);
            }
        }
    }
    let scores = PyScores::new(py, outputs, status, issues, reasons);
    Ok(PyAnswer { scores, models })
}

fn join_columns(outputs: &mut Vec<(String, Vec<f64>)>, columns: Vec<ScoredColumn>) -> PyResult<()> {
    if outputs.is_empty() {
        outputs.extend(
            columns
                .into_iter()
                .map(|column| (column.name, column.values)),
        );
        return Ok(());
    }
    let same = outputs.len() == columns.len()
        && outputs
            .iter()
            .zip(&columns)
            .all(|((name, _), column)| *name == column.name);
    if !same {
        let why = "the parts of the call have different outputs";
        return Err(garbled(ConvertError::new("outputs", why)));
    }
    for ((_, values), column) in outputs.iter_mut().zip(columns) {
        values.extend(column.values);
    }
    Ok(())
}

/// A refused row in words, its number counted over the whole call.
fn shifted(issue: &RowIssue, first_row: usize) -> String {
    let own = format!("row {}: ", issue.row);
    match issue.message.strip_prefix(&own) {
        Some(rest) => format!("row {}: {rest}", issue.row + first_row),
        None => format!("row {}: {}", issue.row + first_row, issue.message),
    }
}

pub(crate) fn card(model: pb::Model) -> PyResult<PyModelCard> {
    let ModelCard {
        name,
        version,
        kind,
        fingerprint,
        schema,
        outputs,
        params,
        metadata_json,
        training_json,
    } = ModelCard::try_from(model).map_err(garbled)?;
    let outputs = outputs.into_iter();
    Ok(PyModelCard {
        name,
        version,
        kind,
        fingerprint,
        inputs: schema.fields.into_iter().map(|field| field.name).collect(),
        outputs: outputs
            .map(|o| (o.name, o.unit, o.meaning, o.needs_horizon))
            .collect(),
        params: params.into_iter().map(|p| (p.name, p.value)).collect(),
        time_unit: schema.time_unit.map(cvm::TimeUnit::name),
        metadata_json,
        training_json,
    })
}

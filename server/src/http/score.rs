//! `POST /v1/models/{model}:score`: the same scoring in JSON, for people with curl.

use super::{Http, refused};
use crate::admission::{Asker, Own};
use crate::deadline::Deadline;
use crate::meter::Method;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use cvm::{Frame, FrameColumn, ScoreOptions, Violation};
use cvm_proto::{ConvertError, Encoding, Reason, Refusal, ScoreAnswer, ScoreJob};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Cells by column: numbers, text, or null for what is missing.
    columns: Map<String, Value>,
    #[serde(default)]
    options: Map<String, Value>,
    #[serde(default)]
    row_keys: Vec<String>,
    #[serde(default)]
    request_id: String,
}

pub(super) async fn post(
    State(http): State<Http>,
    Extension(own): Extension<Own>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let begun = Instant::now();
    let Some(model) = model.strip_suffix(":score") else {
        let why = "must end in `:score`, as in /v1/models/retail:score";
        return refused(field("path", why));
    };
    match score(&http, &own, model, (&headers, &body), begun).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refused(refusal),
    }
}

async fn score(
    http: &Http,
    own: &Own,
    model: &str,
    (headers, body): (&HeaderMap, &[u8]),
    begun: Instant,
) -> Result<Value, Refusal> {
    // Rows are not known before the text is read; one has some 64 bytes.
    let rows = u64::try_from(body.len() / 64).unwrap_or(u64::MAX);
    let _ticket = http.plane.admission.admit(own, rows, body.len())?;
    let body: Body = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(Reason::MalformedMessage, format!("the body: {error}")))?;
    let Body {
        columns,
        options,
        row_keys,
        request_id,
    } = body;
    let rows = columns.values().next().map_or(0, row_count);
    let claimed = i64::try_from(rows).unwrap_or(i64::MAX);
    http.plane.check_rows("columns", claimed)?;
    let job = ScoreJob {
        model: model.parse().map_err(convert)?,
        frame: frame(columns, rows)?,
        options: score_options(options)?,
        encoding: Encoding::Doubles,
        row_keys,
        request_id,
    };
    // The checks of keys and of the request's id are those of gRPC.
    let job = ScoreJob::try_from(cvm_proto::v1::ScoreRequest::from(job)).map_err(convert)?;
    let asker = Asker::new(own.clone(), Deadline::of(headers));
    let asked = (Method::Http, begun);
    http.plane.answer(job, asked, &asker, render).await
}

fn convert(error: ConvertError) -> Refusal {
    Refusal::fields(vec![error.into()])
}

fn field(name: impl Into<String>, description: impl Into<String>) -> Refusal {
    let violation = Violation {
        field: name.into(),
        description: description.into(),
    };
    Refusal::fields(vec![violation])
}

fn row_count(cells: &Value) -> usize {
    cells.as_array().map_or(0, Vec::len)
}

fn frame(columns: Map<String, Value>, rows: usize) -> Result<Frame, Refusal> {
    let mut frame = Frame::new(rows);
    for (name, cells) in columns {
        let Value::Array(cells) = cells else {
            return Err(field(format!("columns.{name}"), "must be a list of cells"));
        };
        if cells.len() != rows {
            let why = format!("has {} cells, the first column has {rows}", cells.len());
            return Err(field(format!("columns.{name}"), why));
        }
        let column = column(&name, &cells)?;
        frame.columns.push((name, column));
    }
    Ok(frame)
}

/// Text if any cell is text, else numbers.
fn column(name: &str, cells: &[Value]) -> Result<FrameColumn, Refusal> {
    let wrong = |row: usize, cell: &Value, allowed: &str| {
        field(
            format!("columns.{name}[{row}]"),
            format!("is {cell}: must be {allowed}"),
        )
    };
    if cells
        .iter()
        .any(|cell| cell.is_string() && special(cell).is_none())
    {
        let mut texts = Vec::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            match cell {
                Value::String(text) => texts.push(Some(text.as_str())),
                Value::Null => texts.push(None),
                _ => return Err(wrong(row, cell, "text or null, as other cells are text")),
            }
        }
        return Ok(FrameColumn::from_strings(texts));
    }
    let mut numbers = Vec::with_capacity(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        let number = match cell {
            Value::Null => Some(f64::NAN),
            Value::String(_) => special(cell),
            _ => cell.as_f64(),
        };
        numbers.push(number.ok_or_else(|| wrong(row, cell, "a number, text or null"))?);
    }
    Ok(FrameColumn::Numbers(numbers))
}

/// Numbers that JSON has no numeral for, as protobuf's JSON writes them.
fn special(cell: &Value) -> Option<f64> {
    match cell.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn score_options(given: Map<String, Value>) -> Result<ScoreOptions, Refusal> {
    let mut options = ScoreOptions::default();
    for (name, value) in given {
        if name == "outputs" {
            options.outputs = serde_json::from_value(value)
                .map_err(|_| field("options.outputs", "must be a list of names"))?;
            continue;
        }
        if name == "reasons" {
            let asked = serde_json::from_value(value);
            let asked = asked.map_err(|error| field("options.reasons", error.to_string()))?;
            options.reasons = Some(asked);
            continue;
        }
        let slot = options.number_mut(&name).ok_or_else(|| {
            let known = ScoreOptions::NUMBERS.join(", ");
            let why = format!("is unknown; known: outputs, reasons, {known}");
            field(format!("options.{name}"), why)
        })?;
        let number = value.as_f64().or_else(|| special(&value));
        let number = number.ok_or_else(|| {
            let why = format!("is {value}: must be a number, or \"Infinity\"");
            field(format!("options.{name}"), why)
        })?;
        *slot = Some(number);
    }
    Ok(options)
}

/// A score as JSON: null where there is none.
fn cell(value: f64) -> Value {
    match value {
        value if value.is_nan() => Value::Null,
        f64::INFINITY => Value::from("Infinity"),
        f64::NEG_INFINITY => Value::from("-Infinity"),
        value => Value::from(value),
    }
}

fn render(answer: ScoreAnswer) -> Value {
    let ScoreAnswer {
        model,
        row_count,
        outputs,
        statuses,
        issues,
        row_keys,
        request_id,
        reasons,
        row_models,
    } = answer;
    let outputs: Map<String, Value> = outputs
        .into_iter()
        .map(|column| {
            let cells = column.values.into_iter().map(cell);
            (column.name, cells.collect())
        })
        .collect();
    let statuses: Vec<&str> = statuses.iter().map(|code| code.name()).collect();
    let errors = issues.into_iter().map(|issue| {
        json!({
            "row": issue.row, "status": issue.code.name(), "field": issue.field,
            "value": issue.value, "message": issue.message,
        })
    });
    let mut answer = json!({
        "model_version": model.model_version,
        "fingerprint": model.fingerprint,
        "kind": model.kind,
        "row_count": row_count,
        "outputs": outputs,
        "row_statuses": statuses,
        "row_errors": errors.collect::<Vec<_>>(),
        "row_keys": row_keys,
        "request_id": request_id,
    });
    if let (Some(reasons), Some(answer)) = (reasons, answer.as_object_mut()) {
        let rows = reasons
            .rows
            .iter()
            .map(|row| row.iter().map(told).collect::<Value>());
        answer.insert("row_reasons".to_owned(), rows.collect());
        answer.insert("reasons_method".to_owned(), reasons.method.into());
    }
    if let (Some(split), Some(answer)) = (row_models, answer.as_object_mut()) {
        let models = split.models.into_iter().map(|stamp| {
            json!({
                "model_version": stamp.model_version,
                "fingerprint": stamp.fingerprint,
                "kind": stamp.kind,
            })
        });
        answer.insert("split_models".to_owned(), models.collect());
        answer.insert("row_models".to_owned(), split.rows.into());
    }
    answer
}

fn told(reason: &cvm::Reason) -> Value {
    json!({"name": reason.name, "contribution": reason.contribution, "text": reason.text})
}

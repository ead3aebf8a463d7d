//! `cvm calibrate`: a churn model and a table of outcomes to the model with a calibrator.

use crate::args::{CalibrateArgs, TargetArgs};
use crate::failure::Failure;
use crate::models;
use crate::render::{Align, Table, count, optional, print};
use crate::score::inputs;
use crate::tables::{self, Wanted};
use cvm::table::ColumnKind;
use cvm::{Batch, CalibrationMethod, CalibrationRows, Column, Model};
use serde_json::Value;
use std::path::Path;

/// Runs `cvm calibrate`.
pub fn run(args: &CalibrateArgs) -> Result<(), Failure> {
    let method = method(&args.method)?;
    let model = models::open(&args.model)?;
    let frame = tables::read(
        &args.data,
        &args.text,
        &wanted(&model, &args.data, &args.outcomes),
    )?;
    let batch = frame.batch().map_err(cvm::Error::from)?;
    let (churned, weights) = outcomes(&model, &batch, &args.outcomes)?;
    let rows = CalibrationRows {
        churned: &churned,
        weights: weights.as_deref(),
    };
    let calibrated = model.calibrated(&batch, rows, method)?;
    if let Some(fact) = calibrated.calibration() {
        print(&render(fact))?;
    }
    models::save(calibrated, &args.save)
}

fn method(name: &str) -> Result<Option<CalibrationMethod>, Failure> {
    if name == "auto" {
        return Ok(None);
    }
    CalibrationMethod::parse(name).map(Some).ok_or_else(|| {
        let known: Vec<&str> = CalibrationMethod::ALL.iter().map(|m| m.name()).collect();
        let why = format!("is \"{name}\": must be auto or one of {}", known.join(", "));
        Failure::argument("--method", why)
    })
}

/// The model's columns with their types, and the columns of the outcome.
fn wanted(model: &Model, data: &Path, outcomes: &TargetArgs) -> Wanted {
    let mut wanted = inputs(model, data, &[]);
    let mut columns = wanted.columns.take().unwrap_or_default();
    if let Some(weight) = &outcomes.weight {
        wanted.kinds.insert(weight.clone(), ColumnKind::Number);
    }
    for name in outcomes.weight.iter().chain([&outcomes.target]) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    wanted.columns = Some(columns);
    wanted
}

/// Who churned, and the weights of the rows.
fn outcomes(
    model: &Model,
    batch: &Batch<'_>,
    args: &TargetArgs,
) -> Result<(Vec<bool>, Option<Vec<f64>>), Failure> {
    let own = model.settings().get("positive").and_then(Value::as_str);
    let positive = args.positive.as_deref().or(own);
    let (churned, _) = cvm::read_target(batch, &args.target, positive).map_err(cvm::Error::from)?;
    let weights = match args.weight.as_deref().map(|name| batch.get(name)) {
        Some(Some(Column::Numbers(view))) => Some(view.iter().copied().collect()),
        Some(_) => return Err(Failure::argument("--weight", "names no column of numbers")),
        None => None,
    };
    Ok((churned, weights))
}

fn render(fact: &Value) -> String {
    let text = |name: &str| fact.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| fact.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut table = Table::new(&[
        ("method", Align::Left),
        ("log-loss on held-out folds", Align::Right),
        ("taken", Align::Left),
    ]);
    let candidates = fact.get("candidates").and_then(Value::as_array);
    for candidate in candidates.into_iter().flatten() {
        let name = candidate.get("method").and_then(Value::as_str);
        let name = name.unwrap_or_default().to_owned();
        let loss = optional(candidate.get("log_loss").and_then(Value::as_f64));
        let taken = if name == text("method") { "*" } else { "" };
        table.row(vec![name, loss, taken.to_owned()]);
    }
    let head = format!(
        "calibrated by `{}` on {} ({} of them left, {} not used)\n",
        text("method"),
        count(number("row_count"), "row"),
        number("churner_count"),
        number("excluded_row_count"),
    );
    if table.is_empty() {
        return head;
    }
    format!("{head}{}", table.render())
}

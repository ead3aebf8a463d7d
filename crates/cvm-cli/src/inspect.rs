//! `cvm inspect`: what a model file holds, for people or as JSON.

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::models::at;
use crate::render::{Align, Table, count, grouped, number, optional, print};
use cvm::{FieldKind, Inspection, MissingRule, Model, OutputSpec, UnseenRule};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Levels of a category shown before the rest is only counted.
const LEVELS: usize = 8;

/// Runs `cvm inspect`: shows what can be read even of a damaged file, then fails.
pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    let file = cvm::inspect_file(&args.model).map_err(|error| at(&args.model, error))?;
    let model = Model::open_file(&args.model);
    let name = args.model.display().to_string();
    let opened = model.as_ref().ok().map(|opened| &opened.model);
    if args.json {
        print(&format!("{:#}\n", to_json(&name, &file, opened)))?;
    } else {
        let head = format!("{name}\n");
        let body = opened.map(describe).unwrap_or_default();
        print(&format!("{head}{body}{}", describe_file(&file)))?;
    }
    model
        .map(drop)
        .map_err(|error| at(&args.model, error).into())
}

fn to_json(name: &str, file: &Inspection, model: Option<&Model>) -> Value {
    let sound = file.is_sound() && model.is_some();
    json!({
        "file": name,
        "sound": sound,
        "inspection": serde_json::to_value(file).unwrap_or_default(),
        "model": model.map(model_json),
    })
}

fn model_json(model: &Model) -> Value {
    let outputs: Vec<Value> = model.outputs().iter().map(output_json).collect();
    let params: Vec<Value> = model
        .params()
        .into_iter()
        .map(|(spec, value)| json!({ "name": spec.name, "value": value, "unit": spec.unit }))
        .collect();
    json!({
        "kind": model.kind(),
        "title": title(model),
        "fingerprint": model.fingerprint().to_string(),
        "metadata": model.metadata(),
        "schema": serde_json::to_value(model.schema()).unwrap_or_default(),
        "outputs": outputs,
        "parameters": params,
        "settings": model.settings(),
        "training": model.training(),
        "probe_row_count": model.probe().rows.row_count,
        "notes": model.notes(),
    })
}

fn output_json(output: &OutputSpec) -> Value {
    json!({
        "name": output.name,
        "unit": output.unit,
        "needs_horizon": output.needs_horizon,
        "meaning": output.meaning,
    })
}

fn title(model: &Model) -> &'static str {
    cvm::entry(model.kind()).map_or("", |entry| entry.title)
}

fn describe(model: &Model) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  kind         {} ({})", model.kind(), title(model));
    let _ = writeln!(out, "  fingerprint  {}", model.fingerprint());
    if let Some(unit) = model.schema().time_unit {
        let _ = writeln!(out, "  time unit    {unit}");
    }
    for (name, value) in model.metadata() {
        let _ = writeln!(out, "  {name:<12} {}", plain(value));
    }
    let _ = write!(out, "\ninputs\n{}", inputs(model).render());
    let _ = write!(out, "\noutputs\n{}", outputs(model).render());
    let parameters = parameters(model);
    if !parameters.is_empty() {
        let _ = write!(out, "\nparameters\n{parameters}");
    }
    let training = training(model);
    if !training.is_empty() {
        let _ = write!(out, "\ntraining\n{training}");
    }
    let (probe, outputs) = (model.probe(), model.outputs().len());
    let rows = count(probe.rows.row_count as u64, "probe row");
    let how = match model.notes() {
        [] => "bit for bit".to_owned(),
        notes => format!("({})", notes.join("; ")),
    };
    let _ = writeln!(
        out,
        "\nprobe\n  {rows} x {outputs} outputs: reproduced {how}"
    );
    out
}

fn inputs(model: &Model) -> Table {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("unit", Align::Left),
        ("allowed", Align::Left),
        ("missing", Align::Left),
    ]);
    for field in &model.schema().fields {
        let missing = match field.missing {
            MissingRule::Reject => "refused",
            MissingRule::Impute => "filled in",
            MissingRule::OwnLevel => "a level of its own",
        };
        let cells = [
            field.name.as_str(),
            &field.unit,
            &allowed(&field.kind),
            missing,
        ];
        table.row(cells.map(str::to_owned).to_vec());
    }
    table
}

fn allowed(kind: &FieldKind) -> String {
    match kind {
        FieldKind::Number { domain } => domain.to_string(),
        FieldKind::Category { levels, unseen } => {
            let shown: Vec<&str> = levels.iter().take(LEVELS).map(String::as_str).collect();
            let more = match levels.len().saturating_sub(LEVELS) {
                0 => String::new(),
                rest => format!(", and {rest} more"),
            };
            let others = match unseen {
                UnseenRule::Reject => "refused",
                UnseenRule::AsMissing => "as missing",
                UnseenRule::Reference => "as the first",
            };
            format!("{}{more}; others {others}", shown.join(" | "))
        }
    }
}

fn outputs(model: &Model) -> Table {
    let columns = ["name", "unit", "needs", "meaning"].map(|name| (name, Align::Left));
    let mut table = Table::new(&columns);
    for output in model.outputs() {
        let needs = if output.needs_horizon { "horizon" } else { "" };
        let cells = [output.name, output.unit, needs, output.meaning];
        table.row(cells.map(str::to_owned).to_vec());
    }
    table
}

/// Fixed parameters with their meaning, or the coefficients of the training facts; a composed model
/// has those of its parts.
fn parameters(model: &Model) -> String {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("value", Align::Right),
        ("std. error", Align::Right),
        ("unit", Align::Left),
        ("meaning", Align::Left),
    ]);
    let errors = numbers(model.training().get("standard_errors"));
    let fixed = model.params();
    for (index, (spec, value)) in fixed.iter().enumerate() {
        table.row(vec![
            spec.name.to_owned(),
            number(*value),
            optional(errors.get(index).copied().flatten()),
            spec.unit.to_owned(),
            spec.meaning.to_owned(),
        ]);
    }
    if fixed.is_empty() {
        for (prefix, facts) in parts(model.training()) {
            estimates(&prefix, facts, &mut table);
        }
    }
    if table.is_empty() {
        String::new()
    } else {
        table.render()
    }
}

/// The facts of a fit, or those of each part of a composed model under its name.
fn parts(training: &Map<String, Value>) -> Vec<(String, &Map<String, Value>)> {
    if training.contains_key("params") {
        return vec![(String::new(), training)];
    }
    let objects = training
        .iter()
        .filter_map(|(name, part)| Some((name, part.as_object()?)));
    objects
        .map(|(name, part)| (format!("{name}."), part))
        .collect()
}

fn estimates(prefix: &str, facts: &Map<String, Value>, table: &mut Table) {
    let names = facts.get("param_names").and_then(Value::as_array);
    let (values, errors) = (
        numbers(facts.get("params")),
        numbers(facts.get("standard_errors")),
    );
    for (index, name) in names.into_iter().flatten().enumerate() {
        let value = values.get(index).copied().flatten();
        let error = errors.get(index).copied().flatten();
        table.row(vec![
            format!("{prefix}{}", plain(name)),
            optional(value),
            optional(error),
        ]);
    }
}

fn numbers(value: Option<&Value>) -> Vec<Option<f64>> {
    let list = value.and_then(Value::as_array);
    list.into_iter().flatten().map(Value::as_f64).collect()
}

/// Facts of training that are one value each, and the ranges of the columns.
fn training(model: &Model) -> String {
    let mut out = String::new();
    for (prefix, facts) in parts(model.training()) {
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_array()) {
            match value.as_object() {
                None => {
                    let _ = writeln!(out, "  {prefix}{name}: {}", plain(value));
                }
                Some(inner) => {
                    for (column, value) in inner {
                        let _ = writeln!(out, "  {prefix}{name}.{column}: {}", plain(value));
                    }
                }
            }
        }
    }
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(given) if given.is_f64() => optional(given.as_f64()),
        Value::Null => "-".to_owned(),
        Value::Object(facts) => {
            let part = |(name, value): (&String, &Value)| format!("{name} {}", plain(value));
            facts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn describe_file(file: &Inspection) -> String {
    let mut table = Table::new(&[
        ("section", Align::Left),
        ("offset", Align::Right),
        ("bytes", Align::Right),
        ("crc-32", Align::Left),
        ("", Align::Left),
    ]);
    for section in &file.sections {
        let state = if section.is_sound() { "ok" } else { "DAMAGED" };
        table.row(vec![
            section.name.to_owned(),
            grouped(section.offset_bytes),
            grouped(section.length_bytes),
            format!("{:08x}", section.crc32_stored),
            state.to_owned(),
        ]);
    }
    let version = file
        .format_version
        .map_or("unknown".to_owned(), |version| version.to_string());
    let bytes = count(file.length_bytes, "byte");
    let mut out = format!(
        "\nfile: format version {version}, {bytes}\n{}",
        table.render()
    );
    for problem in &file.problems {
        let _ = writeln!(out, "  problem: {problem}");
    }
    out
}

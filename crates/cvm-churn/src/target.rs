//! Reads who churned, and the row weights, from a training batch.

use crate::{ChurnError, Label, LogisticSpec};
use cvm_core::{Batch, Column, InputError, number_to_level};
use std::collections::BTreeMap;

/// Who churned, and the label that means it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) churned: Vec<bool>,
    pub(crate) positive: String,
}

/// Who churned, by row, and the label that means it: `column` has exactly two labels, none missing.
/// `positive` names the one that means churn; unset, it must say so itself (`Yes`, `true`, 1).
///
/// # Errors
/// An absent column, a missing value, other than two labels, or no telling which means churn.
pub fn read_target(
    batch: &Batch<'_>,
    column: &str,
    positive: Option<&str>,
) -> Result<(Vec<bool>, String), ChurnError> {
    let spec = LogisticSpec {
        target: column.to_owned(),
        positive: positive.map(|label| Label::Text(label.to_owned())),
        ..LogisticSpec::default()
    };
    let Target { churned, positive } = read(batch, &spec)?;
    Ok((churned, positive))
}

/// The column of that name.
pub(crate) fn column<'b, 'a>(
    batch: &'b Batch<'a>,
    name: &str,
) -> Result<&'b Column<'a>, InputError> {
    batch.get(name).ok_or_else(|| {
        let given: Vec<&str> = batch.names().take(40).collect();
        let problem = format!("is missing; the batch has [{}]", given.join(", "));
        InputError::new(format!("columns.{name}"), problem)
    })
}

/// Reads the target: exactly two labels, none missing.
pub(crate) fn read(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Target, ChurnError> {
    let (labels, codes) = codes(batch, spec)?;
    let numeric = matches!(column(batch, &spec.target)?, Column::Numbers(_));
    decide(labels, codes, spec, numeric)
}

/// Reads who left: at most two labels, none missing, at least one row with the event. A column in
/// which everyone left is fine: no duration is censored.
pub(crate) fn read_events(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Target, ChurnError> {
    let (labels, codes) = codes(batch, spec)?;
    let numeric = matches!(column(batch, &spec.target)?, Column::Numbers(_));
    let shown: Vec<&str> = labels.keys().map(String::as_str).collect();
    let shown = format!("[{}]", shown.join(", "));
    if labels.len() == 2 {
        return decide(labels, codes, spec, numeric);
    }
    let means_event = |label: &String| match &spec.positive {
        Some(wanted) => *label == wanted.as_level() || truth(label) == truth(&wanted.as_level()),
        None => truth(label) == Some(true),
    };
    match labels.first_key_value() {
        Some((label, _)) if labels.len() == 1 && means_event(label) => Ok(Target {
            churned: vec![true; codes.len()],
            positive: label.clone(),
        }),
        Some(_) if labels.len() == 1 => {
            let what = format!("has the single label {shown}: no row with the event to learn from");
            Err(problem(spec, what))
        }
        Some(_) => Err(problem(
            spec,
            format!("has labels {shown}: must have at most two"),
        )),
        None => Err(problem(spec, "has no rows: nothing to fit on")),
    }
}

/// Distinct labels with their codes, and the code of every row.
fn codes(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
) -> Result<(BTreeMap<String, usize>, Vec<usize>), ChurnError> {
    let column = column(batch, &spec.target)?;
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    let mut codes = Vec::with_capacity(batch.row_count());
    match column {
        Column::Numbers(view) => {
            // Distinct numbers are few: remember their bits, format each once.
            let mut known: Vec<(u64, usize)> = Vec::new();
            for (row, value) in view.iter().enumerate() {
                let bits = (value + 0.0).to_bits();
                let code = match known.iter().find(|(own, _)| *own == bits) {
                    Some((_, code)) => *code,
                    None => {
                        let label = number_to_level(*value).filter(|_| value.is_finite());
                        let code = add(&mut labels, label, spec, row, value)?;
                        known.push((bits, code));
                        code
                    }
                };
                codes.push(code);
            }
        }
        Column::Text(text) => {
            let mut known: Vec<Option<usize>> = vec![None; text.dictionary.len()];
            for (row, code) in text.codes.iter().enumerate() {
                let entry = usize::try_from(*code).unwrap_or(usize::MAX);
                let code = match known.get(entry).copied().flatten() {
                    Some(code) => code,
                    None => {
                        let label = text.get(row).map(str::to_owned);
                        let code = add(&mut labels, label, spec, row, "null")?;
                        known[entry] = Some(code);
                        code
                    }
                };
                codes.push(code);
            }
        }
    }
    Ok((labels, codes))
}

fn add(
    labels: &mut BTreeMap<String, usize>,
    label: Option<String>,
    spec: &LogisticSpec,
    row: usize,
    value: impl ToString,
) -> Result<usize, ChurnError> {
    const MANY: usize = 32;
    let allowed = "one of two labels, finite and not missing";
    let label = label.ok_or_else(|| ChurnError::cell(&spec.target, row, value, allowed))?;
    let next = labels.len();
    if next == MANY && !labels.contains_key(&label) {
        return Err(problem(
            spec,
            "has more than 32 labels: must have exactly two",
        ));
    }
    Ok(*labels.entry(label).or_insert(next))
}

fn decide(
    labels: BTreeMap<String, usize>,
    codes: Vec<usize>,
    spec: &LogisticSpec,
    numeric: bool,
) -> Result<Target, ChurnError> {
    let names: Vec<&str> = labels.keys().map(String::as_str).collect();
    let shown = format!("[{}]", names.join(", "));
    match names.len() {
        0 => return Err(problem(spec, "has no rows: nothing to fit on")),
        1 => {
            return Err(problem(
                spec,
                format!("has the single label {shown}: nothing to separate"),
            ));
        }
        2 => {}
        _ => {
            return Err(problem(
                spec,
                format!("has labels {shown}: must have exactly two"),
            ));
        }
    }
    let positive = match &spec.positive {
        Some(label) => {
            let wanted = label.as_level();
            let same = |name: &&&str| {
                **name == wanted
                    || matches!(label, Label::Truth(_)) && truth(name) == truth(&wanted)
            };
            names.iter().find(same)
        }
        None if numeric => names
            .iter()
            .find(|_| names == ["0", "1"])
            .map(|_| &names[1]),
        None => {
            let mut yes = names.iter().filter(|name| truth(name) == Some(true));
            yes.next().filter(|_| yes.next().is_none())
        }
    };
    let Some(positive) = positive else {
        let wanted = spec.positive.as_ref().map(Label::as_level);
        return Err(problem(
            spec,
            match wanted {
                Some(wanted) => format!("has labels {shown}, none of which is `{wanted}`"),
                None => format!("has labels {shown}: set `positive` to the one that means churn"),
            },
        ));
    };
    let code = labels.get(*positive).copied();
    Ok(Target {
        churned: codes.iter().map(|own| Some(*own) == code).collect(),
        positive: (*positive).to_owned(),
    })
}

/// What a label says on its own.
fn truth(label: &str) -> Option<bool> {
    match label.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Some(true),
        "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

impl Label {
    /// The level the label names; numbers by the one rule for numbers.
    fn as_level(&self) -> String {
        match self {
            Label::Truth(value) => value.to_string(),
            Label::Number(value) => number_to_level(*value).unwrap_or_else(|| "NaN".to_owned()),
            Label::Text(text) => text.clone(),
        }
    }
}

fn problem(spec: &LogisticSpec, problem: impl Into<String>) -> ChurnError {
    ChurnError::Target {
        column: spec.target.clone(),
        problem: problem.into(),
    }
}

/// Row weights: ones, or the weight column, checked.
pub(crate) fn weights(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Vec<f64>, ChurnError> {
    let Some(name) = &spec.weight else {
        return Ok(vec![1.0; batch.row_count()]);
    };
    let Column::Numbers(view) = column(batch, name)? else {
        let field = format!("columns.{name}");
        return Err(InputError::new(field, "holds text, expected numbers").into());
    };
    let weights: Vec<f64> = view.iter().copied().collect();
    let fine = |w: &f64| (0.0..=1e15).contains(w);
    if let Some(row) = weights.iter().position(|w| !fine(w)) {
        return Err(ChurnError::cell(
            name,
            row,
            weights[row],
            "a number from 0 to 1e15",
        ));
    }
    if !weights.iter().any(|w| *w > 0.0) {
        return Err(InputError::new(format!("columns.{name}"), "has no weight above 0").into());
    }
    Ok(weights)
}

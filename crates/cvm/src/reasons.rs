//! Reason codes: the largest contributions of each row in words.

use crate::Error;
use crate::dictionary::Unit;
use crate::explain::explain_rows;
use cvm_core::{
    Attributions, BoundBatch, Column, ExplainMethod, Question, Reason, ReasonOptions, Reasons,
    RowStatus, Scorer,
};

/// Rows explained before their reasons are picked: attributions of a large batch are not kept.
const BLOCK_ROWS: usize = 4096;

/// Reasons of all rows of `bound` that have a score.
pub(crate) fn reasons(
    scorer: &dyn Scorer,
    units: &[Unit],
    bound: &BoundBatch<'_, '_>,
    status: &[RowStatus],
    options: &ReasonOptions,
    threads: usize,
) -> Result<Reasons, Error> {
    check(scorer, options)?;
    let method = match options.approximate {
        true => ExplainMethod::Approximate,
        false => ExplainMethod::Exact,
    };
    let question = Question {
        method,
        background: None,
    };
    let noun = noun(scorer);
    let mut reasons = Reasons {
        method: String::new(),
        rows: Vec::with_capacity(bound.row_count),
    };
    let mut start = 0;
    // One block even of no rows: a model that cannot be explained is refused all the same.
    while start < bound.row_count || start == 0 {
        let rows = start..(start + BLOCK_ROWS).min(bound.row_count);
        let found = explain_rows(scorer, bound, rows.clone(), &question, threads)?;
        if found.outputs.len() != 1 {
            return Err(one_score_only(&found));
        }
        reasons.method = found.method.to_owned();
        let width = bound.schema.fields.len();
        for (row, values) in rows.zip(found.values.chunks_exact(width)) {
            let own = match status.get(row) {
                Some(status) if status.is_ok() => pick(units, values, options),
                _ => Vec::new(),
            };
            let told = own.into_iter().map(|(unit, sum)| {
                let text = words(unit, sum, values, bound, row, noun);
                Reason {
                    name: unit.name.clone(),
                    contribution: sum,
                    text,
                }
            });
            reasons.rows.push(told.collect());
        }
        start += BLOCK_ROWS;
    }
    Ok(reasons)
}

fn check(scorer: &dyn Scorer, options: &ReasonOptions) -> Result<(), Error> {
    let most = ReasonOptions::MAX_COUNT;
    if options.count == 0 || options.count > most {
        let why = format!("is {}: must be 1 to {most}", options.count);
        return Err(Error::invalid("options.reasons.count", why));
    }
    if scorer.schema().fields.is_empty() {
        return Err(Error::invalid(
            "options.reasons",
            "need a model with inputs",
        ));
    }
    Ok(())
}

fn one_score_only(found: &Attributions) -> Error {
    let why = format!(
        "need a model of one raw score; this one has {}: use its attributions",
        found.outputs.join(", ")
    );
    Error::invalid("options.reasons", why)
}

/// What reasons raise or lower: a churn model's outputs begin with a probability.
fn noun(scorer: &dyn Scorer) -> &'static str {
    match scorer.outputs().first() {
        Some(output) if output.unit == "probability" => "the risk",
        _ => "the score",
    }
}

/// The units with the largest contributions, the largest first, the first in order among equals.
fn pick<'u>(units: &'u [Unit], values: &[f64], options: &ReasonOptions) -> Vec<(&'u Unit, f64)> {
    let sum = |unit: &Unit| -> f64 { unit.fields.iter().map(|field| values[*field]).sum() };
    let mut own: Vec<(&Unit, f64)> = units
        .iter()
        .filter(|unit| unit.actionable || !options.only_actionable)
        .map(|unit| (unit, sum(unit)))
        .filter(|(_, sum)| options.direction.allows(*sum))
        .collect();
    own.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    own.truncate(options.count as usize);
    own
}

/// A reason in words.
fn words(
    unit: &Unit,
    contribution: f64,
    values: &[f64],
    bound: &BoundBatch<'_, '_>,
    row: usize,
    noun: &str,
) -> String {
    let raises = contribution > 0.0;
    let first = unit.fields.first().copied().unwrap_or(0);
    // Of a group, the member that adds most in the direction of the whole.
    let strength = |field: usize| {
        if raises {
            values[field]
        } else {
            -values[field]
        }
    };
    let stronger = |best: usize, field: &usize| {
        if strength(*field) > strength(best) {
            *field
        } else {
            best
        }
    };
    let field = unit.fields.iter().fold(first, stronger);
    let value = cell(bound, field, row);
    let verb = if raises { "raises" } else { "lowers" };
    let wording = if raises { &unit.raises } else { &unit.lowers };
    let label = unit.label.as_str();
    if let Some(wording) = wording {
        let name = bound
            .schema
            .fields
            .get(field)
            .map_or("", |f| f.name.as_str());
        return fill(wording, label, value.as_deref().unwrap_or("missing"), name);
    }
    match value {
        _ if unit.fields.len() > 1 => format!("{label} {verb} {noun}"),
        Some(value) => format!("{label} = {value} {verb} {noun}"),
        None => format!("{label} is missing: {verb} {noun}"),
    }
}

/// A wording with its places filled in one pass, so that a value with braces stays as it is.
fn fill(wording: &str, label: &str, value: &str, field: &str) -> String {
    let mut text = String::with_capacity(wording.len() + label.len() + value.len());
    let mut rest = wording;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((place, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        text.push_str(match place {
            "label" => label,
            "value" => value,
            _ => field,
        });
        rest = after;
    }
    text.push_str(rest);
    text
}

/// A cell for people; `None` if it is missing.
fn cell(bound: &BoundBatch<'_, '_>, field: usize, row: usize) -> Option<String> {
    match bound.columns.get(field)? {
        Column::Text(text) => text.get(row).map(str::to_owned),
        Column::Numbers(view) => number(*view.get(row)?),
    }
}

/// Whole numbers whole, others to six digits.
fn number(value: f64) -> Option<String> {
    if value.is_nan() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some(format!("{}", value + 0.0));
    }
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    Some(match short.abs() {
        size if (1e-4..1e15).contains(&size) || size.is_infinite() => format!("{short}"),
        _ => format!("{short:e}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{fill, number};

    #[test]
    fn numbers_are_short() {
        let told = |value: f64| number(value).unwrap();
        assert_eq!(told(2.0), "2");
        assert_eq!(told(-0.0), "0");
        assert_eq!(told(0.1 + 0.2), "0.3");
        assert_eq!(told(70.35), "70.35");
        assert_eq!(told(1_234_567.0), "1234567");
        assert_eq!(told(1e300), "1e300");
        assert_eq!(told(1.234_567_8e-9), "1.23457e-9");
        assert_eq!(told(f64::INFINITY), "inf");
        assert_eq!(number(f64::NAN), None);
    }

    #[test]
    fn places_are_filled_once() {
        let text = fill("{label}: {value} ({field})", "L", "{label}", "f");
        assert_eq!(text, "L: {label} (f)");
    }
}

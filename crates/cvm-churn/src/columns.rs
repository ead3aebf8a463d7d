//! Picks the input columns of a training batch and reads them into plain vectors.

use crate::target::column;
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, Column, InputError, number_to_level};
use std::collections::HashMap;

/// Largest absolute number a fit accepts: squares and cubes of it are still finite.
const LARGEST: f64 = 1e100;

/// A training column.
#[derive(Debug, Clone)]
pub(crate) enum RawColumn {
    /// Numbers, NaN is missing.
    Numbers(Vec<f64>),
    /// Codes into sorted levels, `None` is missing.
    Levels {
        levels: Vec<String>,
        codes: Vec<Option<usize>>,
    },
}

/// Reads the inputs in the batch's column order, for the given rows only.
pub(crate) fn read(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
    rows: &[usize],
) -> Result<Vec<(String, RawColumn)>, ChurnError> {
    let mut columns = Vec::new();
    each(batch, spec, rows, &mut |name, raw| {
        columns.push((name.to_owned(), raw));
        Ok(())
    })?;
    Ok(columns)
}

/// Reads one input after the other and hands each over, so that one is in memory at a time.
pub(crate) fn each(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
    rows: &[usize],
    take: &mut dyn FnMut(&str, RawColumn) -> Result<(), ChurnError>,
) -> Result<(), ChurnError> {
    let listed = spec.numeric.iter().chain(&spec.categorical).flatten();
    for name in listed.chain(&spec.offset) {
        column(batch, name)?;
    }
    let mut is_empty = true;
    for name in batch.names() {
        let Some(column) = batch.get(name) else {
            continue;
        };
        let raw = match role(spec, name, column) {
            Role::None => continue,
            Role::Number => numbers(name, column, rows)?,
            Role::Category => levels(name, column, rows, spec)?,
        };
        is_empty = false;
        take(name, raw)?;
    }
    if is_empty {
        let reason = "every column is target, weight, ignored or unnamed".to_owned();
        return Err(ChurnError::NoColumns { reason });
    }
    Ok(())
}

enum Role {
    None,
    Number,
    Category,
}

fn role(spec: &LogisticSpec, name: &str, column: &Column<'_>) -> Role {
    let listed = |list: &Option<Vec<String>>| list.iter().flatten().any(|own| own == name);
    if listed(&spec.numeric) || spec.offset.as_deref() == Some(name) {
        return Role::Number;
    }
    if listed(&spec.categorical) {
        return Role::Category;
    }
    match column {
        _ if spec.is_excluded(name) => Role::None,
        Column::Numbers(_) if spec.numeric.is_none() => Role::Number,
        Column::Text(_) if spec.categorical.is_none() => Role::Category,
        _ => Role::None,
    }
}

fn numbers(name: &str, column: &Column<'_>, rows: &[usize]) -> Result<RawColumn, ChurnError> {
    let Column::Numbers(view) = column else {
        let field = format!("columns.{name}");
        return Err(InputError::new(field, "holds text, expected numbers").into());
    };
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let value = view.get(*row).copied().unwrap_or(f64::NAN) + 0.0;
        if value.abs() > LARGEST {
            let allowed = "a number within ±1e100, or missing";
            return Err(ChurnError::cell(name, *row, value, allowed));
        }
        values.push(value);
    }
    Ok(RawColumn::Numbers(values))
}

fn levels(
    name: &str,
    column: &Column<'_>,
    rows: &[usize],
    spec: &LogisticSpec,
) -> Result<RawColumn, ChurnError> {
    let mut found: Vec<String> = Vec::new();
    let mut codes: Vec<Option<usize>> = Vec::with_capacity(rows.len());
    match column {
        Column::Numbers(view) => {
            let mut known: HashMap<u64, usize> = HashMap::new();
            for row in rows {
                let value = view.get(*row).copied().unwrap_or(f64::NAN);
                let key = number_key(name, *row, value)?;
                codes.push(key.map(|key| {
                    *known.entry(key).or_insert_with(|| {
                        found.push(number_to_level(value).unwrap_or_default());
                        found.len() - 1
                    })
                }));
            }
        }
        Column::Text(text) => {
            let mut known: Vec<Option<usize>> = vec![None; text.dictionary.len()];
            for row in rows {
                let entry = text
                    .codes
                    .get(*row)
                    .and_then(|code| usize::try_from(*code).ok());
                let slot = entry.and_then(|entry| Some((known.get_mut(entry)?, entry)));
                codes.push(slot.map(|(slot, entry)| {
                    *slot.get_or_insert_with(|| {
                        found.push(text.dictionary[entry].clone());
                        found.len() - 1
                    })
                }));
            }
        }
    }
    // A dictionary may hold a string twice: sorting and deduplication join its codes.
    let mut levels = found.clone();
    levels.sort_unstable();
    levels.dedup();
    if levels.len() > spec.max_levels {
        return Err(ChurnError::TooManyLevels {
            column: name.to_owned(),
            levels: levels.len(),
            limit: spec.max_levels,
        });
    }
    let place = |level: &String| levels.binary_search(level).unwrap_or(0);
    let order: Vec<usize> = found.iter().map(place).collect();
    let codes = codes
        .iter()
        .map(|code| code.map(|own| order[own]))
        .collect();
    Ok(RawColumn::Levels { levels, codes })
}

fn number_key(name: &str, row: usize, value: f64) -> Result<Option<u64>, ChurnError> {
    if value.is_infinite() {
        let allowed = "a finite number or missing";
        return Err(ChurnError::cell(name, row, value, allowed));
    }
    Ok((!value.is_nan()).then(|| (value + 0.0).to_bits()))
}

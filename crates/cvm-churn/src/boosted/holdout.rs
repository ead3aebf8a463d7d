//! Which rows are held out to decide when to stop: named, drawn, drawn by group, or the last ones.

use super::sampling::{draw, is_within, mix, stream};
use super::spec::BoostedSpec;
use crate::ChurnError;
use crate::target;
use cvm_core::{Batch, Column, InputError};

/// Stream of the draws.
const STREAM: u64 = 0x5a11;

/// Whether each of the rows `used` is held out.
pub(crate) fn rows(
    batch: &Batch<'_>,
    spec: &BoostedSpec,
    used: &[usize],
) -> Result<Vec<bool>, ChurnError> {
    if spec.early_stopping_rounds == 0 {
        return Ok(vec![false; used.len()]);
    }
    let share = spec.validation_fraction;
    let key = stream(spec.seed, STREAM);
    if let Some(name) = &spec.validation {
        return marked(batch, name, used);
    }
    if let Some(name) = &spec.group {
        let group = |row: &usize| is_within(draw(key, group_hash(batch, name, *row)), share);
        return Ok(used.iter().map(group).collect());
    }
    if let Some(name) = &spec.time {
        return last(batch, name, used, share);
    }
    let drawn = |row: &usize| is_within(draw(key, *row as u64), share);
    Ok(used.iter().map(drawn).collect())
}

fn numbers(batch: &Batch<'_>, name: &str, used: &[usize]) -> Result<Vec<f64>, ChurnError> {
    let Column::Numbers(view) = target::column(batch, name)? else {
        let field = format!("columns.{name}");
        return Err(InputError::new(field, "holds text, expected numbers").into());
    };
    let value = |row: &usize| view.get(*row).copied().unwrap_or(f64::NAN);
    let values: Vec<f64> = used.iter().map(value).collect();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let allowed = "a finite number";
        return Err(ChurnError::cell(name, used[at], values[at], allowed));
    }
    Ok(values)
}

fn marked(batch: &Batch<'_>, name: &str, used: &[usize]) -> Result<Vec<bool>, ChurnError> {
    let values = numbers(batch, name, used)?;
    if let Some(at) = values
        .iter()
        .position(|value| *value != 0.0 && *value != 1.0)
    {
        let allowed = "0, or 1 for a row held out";
        return Err(ChurnError::cell(name, used[at], values[at], allowed));
    }
    Ok(values.iter().map(|value| *value == 1.0).collect())
}

/// The rows later than that share of all; rows of one moment stay together.
fn last(
    batch: &Batch<'_>,
    name: &str,
    used: &[usize],
    share: f64,
) -> Result<Vec<bool>, ChurnError> {
    let values = numbers(batch, name, used)?;
    let mut sorted = values.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let kept = (sorted.len() as f64 * (1.0 - share)) as usize;
    let cut = sorted
        .get(kept.saturating_sub(1))
        .copied()
        .unwrap_or(f64::INFINITY);
    Ok(values.iter().map(|value| *value > cut).collect())
}

/// Equal cells have equal hashes; a missing cell is a group of its own row.
fn group_hash(batch: &Batch<'_>, name: &str, row: usize) -> u64 {
    let alone = mix(row as u64 ^ 0x0a10_7e00_0000_0000);
    match batch.get(name) {
        Some(Column::Numbers(view)) => {
            let value = view.get(row).copied().unwrap_or(f64::NAN) + 0.0;
            if value.is_nan() {
                alone
            } else {
                mix(value.to_bits())
            }
        }
        Some(Column::Text(text)) => text.get(row).map_or(alone, |cell| {
            cell.bytes()
                .fold(0x6770, |hash, byte| mix(hash ^ u64::from(byte)))
        }),
        None => alone,
    }
}

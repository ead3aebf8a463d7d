//! What training rows looked like, field by field, in few numbers that give nobody away.
//!
//! A number is kept as counts in bins of about equal size; an edge lies halfway between two
//! neighbouring values, so it is no customer's value. A category is kept as counts of its frequent
//! levels. Bins and levels of fewer than [`MIN_COUNT`] rows are joined with their neighbours or
//! pooled, so nothing is told of a handful of customers.

use cvm_core::{Batch, BoundBatch, Column, FieldKind, InputSchema, number_to_level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewest rows of a bin or of a named level.
pub const MIN_COUNT: usize = 20;
/// Bins of a number.
const BINS: usize = 10;
/// Levels kept by name: the most frequent.
const MAX_LEVELS: usize = 50;
/// Fields kept: a model file stays small.
const MAX_FIELDS: usize = 1000;
/// Longest name of a level that is kept.
const MAX_LEVEL_BYTES: usize = 100;

/// One field of the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldProfile {
    /// A number.
    Number {
        /// Field.
        name: String,
        /// Edges of the bins, rising; a value at an edge belongs below it.
        edges: Vec<f64>,
        /// Rows of each bin: one more than edges.
        counts: Vec<u64>,
        /// Rows without a value.
        missing: u64,
    },
    /// A category.
    Category {
        /// Field.
        name: String,
        /// Levels kept by name, most frequent first.
        levels: Vec<String>,
        /// Rows of each.
        counts: Vec<u64>,
        /// Rows of all other levels.
        other: u64,
        /// Rows without a value.
        missing: u64,
    },
}

/// Training rows, field by field, and their scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Rows profiled.
    pub row_count: u64,
    /// Fields in the model's order.
    pub fields: Vec<FieldProfile>,
    /// The model's own scores, as a number.
    pub score: Option<FieldProfile>,
}

impl FieldProfile {
    /// Name of the field.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            FieldProfile::Number { name, .. } | FieldProfile::Category { name, .. } => name,
        }
    }

    /// Profile of a column of numbers.
    #[must_use]
    pub fn of_numbers(name: &str, values: &[f64]) -> FieldProfile {
        let mut present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        present.sort_unstable_by(f64::total_cmp);
        let edges = edges(&present);
        let mut profile = FieldProfile::Number {
            name: name.to_owned(),
            counts: vec![0; edges.len() + 1],
            edges,
            missing: 0,
        };
        let counted = profile.count_numbers(values);
        if let FieldProfile::Number {
            counts, missing, ..
        } = &mut profile
        {
            *missing = counted[counted.len() - 1];
            counts.copy_from_slice(&counted[..counted.len() - 1]);
        }
        profile
    }

    /// Profile of a column of levels.
    #[must_use]
    pub fn of_levels<'l>(
        name: &str,
        levels: impl Iterator<Item = Option<&'l str>>,
    ) -> FieldProfile {
        let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
        let mut missing = 0;
        for level in levels {
            match level {
                Some(level) => *seen.entry(level).or_default() += 1,
                None => missing += 1,
            }
        }
        let all: u64 = seen.values().sum();
        let mut frequent: Vec<(&str, u64)> = seen
            .into_iter()
            .filter(|(level, count)| *count >= MIN_COUNT as u64 && level.len() <= MAX_LEVEL_BYTES)
            .collect();
        frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        frequent.truncate(MAX_LEVELS);
        let counts: Vec<u64> = frequent.iter().map(|(_, count)| *count).collect();
        FieldProfile::Category {
            name: name.to_owned(),
            other: all - counts.iter().sum::<u64>(),
            levels: frequent
                .iter()
                .map(|(level, _)| (*level).to_owned())
                .collect(),
            counts,
            missing,
        }
    }

    /// Counts of training: bins or levels, then other levels of a category, then missing.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        match self {
            FieldProfile::Number {
                counts, missing, ..
            } => [counts.as_slice(), &[*missing]].concat(),
            FieldProfile::Category {
                counts,
                other,
                missing,
                ..
            } => [counts.as_slice(), &[*other, *missing]].concat(),
        }
    }

    /// Counts of numbers in the same order.
    #[must_use]
    pub fn count_numbers(&self, values: &[f64]) -> Vec<u64> {
        let FieldProfile::Number { edges, .. } = self else {
            let texts: Vec<Option<String>> = values.iter().map(|v| number_to_level(*v)).collect();
            return self.count_levels(texts.iter().map(Option::as_deref));
        };
        let mut counts = vec![0; edges.len() + 2];
        for value in values {
            let place = if value.is_nan() {
                edges.len() + 1
            } else {
                edges.partition_point(|edge| edge < value)
            };
            counts[place] += 1;
        }
        counts
    }

    /// Counts of levels in the same order.
    #[must_use]
    pub fn count_levels<'l>(&self, cells: impl Iterator<Item = Option<&'l str>>) -> Vec<u64> {
        let FieldProfile::Category { levels, .. } = self else {
            let numbers: Vec<f64> = cells
                .map(|cell| cell.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN))
                .collect();
            return self.count_numbers(&numbers);
        };
        let places: BTreeMap<&str, usize> = levels
            .iter()
            .enumerate()
            .map(|(place, level)| (level.as_str(), place))
            .collect();
        let mut counts = vec![0; levels.len() + 2];
        for cell in cells {
            let place = match cell {
                None => levels.len() + 1,
                Some(level) => places.get(level).copied().unwrap_or(levels.len()),
            };
            counts[place] += 1;
        }
        counts
    }

    /// Whether numbers and lengths are such as a profile has: it may come from a hostile file.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self {
            FieldProfile::Number { edges, counts, .. } => {
                let rise = edges.windows(2).all(|pair| pair[0] < pair[1]);
                rise && counts.len() == edges.len() + 1 && edges.iter().all(|e| e.is_finite())
            }
            FieldProfile::Category { levels, counts, .. } => levels.len() == counts.len(),
        }
    }
}

/// Edges between sorted values: each bin has at least [`MIN_COUNT`] rows.
fn edges(sorted: &[f64]) -> Vec<f64> {
    let size = sorted.len().div_ceil(BINS).max(MIN_COUNT);
    let mut edges = Vec::new();
    let mut start = 0;
    while start + size < sorted.len() {
        let last = sorted[start + size - 1];
        let end = start + sorted[start..].partition_point(|value| *value <= last);
        if sorted.len() - end < MIN_COUNT {
            break;
        }
        // Halfway; beyond the largest numbers there is nothing halfway.
        let edge = last / 2.0 + sorted[end] / 2.0;
        if !edge.is_finite() {
            break;
        }
        edges.push(edge.clamp(last, sorted[end]));
        start = end;
    }
    edges.dedup();
    edges
}

impl Profile {
    /// Profile of the fields of `schema` in `batch`, with scores.
    #[must_use]
    pub fn new(bound: &BoundBatch<'_, '_>, schema: &InputSchema, score: (&str, &[f64])) -> Profile {
        let columns = schema.fields.iter().zip(&bound.columns).take(MAX_FIELDS);
        let fields = columns.map(|(field, column)| match (&field.kind, column) {
            (FieldKind::Number { .. }, Column::Numbers(view)) => {
                let values: Vec<f64> = view.iter().copied().collect();
                FieldProfile::of_numbers(&field.name, &values)
            }
            (_, Column::Numbers(view)) => {
                let texts: Vec<Option<String>> = view.iter().map(|v| number_to_level(*v)).collect();
                FieldProfile::of_levels(&field.name, texts.iter().map(Option::as_deref))
            }
            (_, Column::Text(text)) => {
                let cells = (0..bound.row_count).map(|row| text.get(row));
                FieldProfile::of_levels(&field.name, cells)
            }
        });
        Profile {
            row_count: bound.row_count as u64,
            fields: fields.collect(),
            score: Some(FieldProfile::of_numbers(score.0, score.1)),
        }
    }

    /// Counts of a field of another batch; `None` if the batch has no such column.
    #[must_use]
    pub fn count(field: &FieldProfile, batch: &Batch<'_>) -> Option<Vec<u64>> {
        Some(match batch.get(field.name())? {
            Column::Numbers(view) => {
                let values: Vec<f64> = view.iter().copied().collect();
                field.count_numbers(&values)
            }
            Column::Text(text) => {
                field.count_levels((0..batch.row_count()).map(|row| text.get(row)))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldProfile, MIN_COUNT};

    #[test]
    fn bins_hold_enough_rows_and_no_edge_is_a_value() {
        for rows in [0, 5, 39, 40, 100, 1000] {
            let values: Vec<f64> = (0..rows).map(|i| f64::from((i * 37) % 1009)).collect();
            let profile = FieldProfile::of_numbers("x", &values);
            let FieldProfile::Number { edges, counts, .. } = &profile else {
                panic!("a number");
            };
            assert!(profile.is_sound());
            assert_eq!(counts.iter().sum::<u64>(), rows as u64);
            assert!(
                edges.is_empty() || counts.iter().all(|c| *c >= MIN_COUNT as u64),
                "{counts:?}"
            );
            assert!(edges.iter().all(|edge| !values.contains(edge)), "{edges:?}");
            assert!(rows < 200 || counts.len() > 8, "{counts:?}");
        }
    }

    #[test]
    fn few_distinct_numbers_are_kept_apart_and_missing_ones_counted() {
        let values: Vec<f64> = (0..90)
            .map(|i| if i < 10 { f64::NAN } else { f64::from(i % 2) })
            .collect();
        let profile = FieldProfile::of_numbers("flag", &values);
        assert_eq!(profile.counts(), [40, 40, 10]);
        assert_eq!(profile.count_numbers(&[0.0, 1.0, 2.0, f64::NAN]), [1, 2, 1]);
        let texts = ["0", "1", "x"].map(Some);
        assert_eq!(profile.count_levels(texts.into_iter()), [1, 1, 1]);
    }

    #[test]
    fn rare_levels_are_pooled_without_their_names() {
        let level = |i: usize| match i {
            0..30 => Some("common"),
            30..49 => Some("a name of one customer"),
            49..60 => None,
            _ => Some("usual"),
        };
        let profile = FieldProfile::of_levels("plan", (0..100).map(level));
        let FieldProfile::Category { levels, .. } = &profile else {
            panic!("a category");
        };
        assert_eq!(levels, &["usual", "common"]);
        assert_eq!(profile.counts(), [40, 30, 19, 11]);
        let now = [Some("common"), Some("new"), None];
        assert_eq!(profile.count_levels(now.into_iter()), [0, 1, 1, 1]);
    }
}

//! Probe rows from a model's own thresholds and levels: each value lies on an edge of some split.
//!
//! A field's list holds its thresholds, the numbers next to them at the width of the model's
//! inputs, and the values every reader gets wrong: missing, the two zeros, infinities, denormals,
//! huge numbers, fractions and negatives of categories. Row `r` takes from each field's list the
//! entry `r · s mod n` with a step `s` of its own, so that edges of different fields meet. Values
//! that a field refuses have rows of their own, one field at a time, so that every other row is
//! scored whatever the number of fields.

use super::fields::{Field, Role, UnseenPolicy};
use super::forest::LEAF;
use super::model::{Ensemble, Trees, next_down, next_up};
use super::rules::NodeRule;
use cvm_core::{Frame, FrameColumn};

/// Rows of values that fields accept.
const ROWS: usize = 512;
/// Fields whose refusals are probed.
const MAX_REFUSING_FIELDS: usize = 64;
/// Thresholds of one field that are probed, spread over all of them.
const MAX_THRESHOLDS: usize = 120;
/// Values that readers get wrong.
const STRANGE: [f64; 14] = [
    f64::NAN,
    0.0,
    -0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    5e-324,
    -1e-36,
    1e-35,
    1.000_000_018_002_509_5e-35,
    1e-40,
    1e300,
    -1e300,
    0.5,
    -1.0,
];
const UNSEEN: &str = "a level nobody has seen";

/// What one field is probed with.
enum Probes {
    Numbers {
        accepted: Vec<f64>,
        refused: Vec<f64>,
    },
    Levels {
        accepted: Vec<Option<String>>,
        refused: Vec<Option<String>>,
    },
}

impl Probes {
    fn refused_count(&self) -> usize {
        match self {
            Probes::Numbers { refused, .. } => refused.len(),
            Probes::Levels { refused, .. } => refused.len(),
        }
    }

    /// The column: accepted values, then its own refusals in rows `own`.
    fn column(&self, index: usize, row_count: usize, own: std::ops::Range<usize>) -> FrameColumn {
        match self {
            Probes::Numbers { accepted, refused } => {
                let value = |row| *pick(accepted, refused, index, row, &own);
                FrameColumn::Numbers((0..row_count).map(value).collect())
            }
            Probes::Levels { accepted, refused } => {
                let cell = |row| pick(accepted, refused, index, row, &own).as_deref();
                FrameColumn::from_strings((0..row_count).map(cell))
            }
        }
    }
}

fn pick<'l, T>(
    accepted: &'l [T],
    refused: &'l [T],
    index: usize,
    row: usize,
    own: &std::ops::Range<usize>,
) -> &'l T {
    if own.contains(&row) {
        return &refused[row - own.start];
    }
    let length = accepted.len();
    &accepted[(row * step(length, index) + index) % length]
}

/// The rows.
pub(crate) fn rows(ensemble: &Ensemble) -> Frame {
    let edges = edges(ensemble);
    let probes: Vec<Probes> = ensemble
        .fields
        .iter()
        .zip(&edges)
        .map(|(field, thresholds)| match &field.role {
            Role::Number { missing } => numbers(ensemble, field, thresholds, *missing),
            Role::Category { levels, unseen } => text(field, levels, *unseen),
        })
        .collect();
    let refusing = probes.iter().take(MAX_REFUSING_FIELDS);
    let refused: Vec<usize> = refusing.map(Probes::refused_count).collect();
    let row_count = ROWS + refused.iter().sum::<usize>();
    let mut frame = Frame::new(row_count);
    let mut before = ROWS;
    for (index, (field, probe)) in ensemble.fields.iter().zip(&probes).enumerate() {
        let own = before..before + refused.get(index).copied().unwrap_or(0);
        before = own.end;
        let column = probe.column(index, row_count, own);
        frame.columns.push((field.name.clone(), column));
    }
    frame
}

/// Thresholds and category codes that each field is asked about, sorted and distinct.
fn edges(ensemble: &Ensemble) -> Vec<Vec<f64>> {
    let mut edges: Vec<Vec<f64>> = vec![Vec::new(); ensemble.fields.len()];
    let (features, rules, values, sets) = match &ensemble.trees {
        Trees::Binary(t) => (&t.features, &t.rules, &t.values, &t.sets),
        Trees::Oblivious(t) => (&t.features, &t.rules, &t.values, &t.sets),
    };
    for ((feature, rule), value) in features.iter().zip(rules).zip(values) {
        if let (true, Some(own)) = (*feature != LEAF, edges.get_mut(*feature as usize)) {
            let rule: NodeRule = *rule;
            if !rule.is_category() {
                own.push(*value + 0.0);
            } else if own.len() < 10_000 {
                let members = sets.members(*value as usize);
                own.extend(members.iter().take(100).map(|code| f64::from(*code)));
            }
        }
    }
    for own in &mut edges {
        own.sort_unstable_by(f64::total_cmp);
        own.dedup();
        let step = own.len().div_ceil(MAX_THRESHOLDS).max(1);
        *own = own.iter().copied().step_by(step).collect();
    }
    edges
}

fn numbers(
    ensemble: &Ensemble,
    field: &Field,
    thresholds: &[f64],
    sentinel: Option<f64>,
) -> Probes {
    let rules = &ensemble.rules;
    let mut list = Vec::new();
    for threshold in thresholds {
        list.extend([
            *threshold,
            next_down(rules.input, *threshold),
            next_up(rules.input, *threshold),
            // A double that rounds to the threshold at the width of floats, seen from above.
            threshold.next_up(),
        ]);
    }
    // Between two thresholds lie the rows that look like data.
    list.extend(
        thresholds
            .windows(2)
            .map(|pair| pair[0] / 2.0 + pair[1] / 2.0),
    );
    list.extend(sentinel);
    // Strange values are a seventh of the list, whatever its length.
    let count = (list.len() / 6).max(STRANGE.len());
    list.extend(STRANGE.iter().copied().cycle().take(count));
    // An infinite input makes a linear leaf infinite, and its row undefined.
    let is_linear = matches!(&ensemble.trees, Trees::Binary(forest) if !forest.linear.is_empty());
    let accepts = |x: &f64| {
        let seen = rules.prepare(*x);
        let is_missing = seen.is_nan() || sentinel == Some(seen);
        let is_wild = seen.is_infinite() && (!rules.accepts_infinite || is_linear);
        if is_missing {
            field.accepts_missing
        } else {
            !is_wild
        }
    };
    let (accepted, _) = list.into_iter().partition::<Vec<f64>, _>(accepts);
    let refused = STRANGE.iter().filter(|x| !accepts(x)).copied().collect();
    Probes::Numbers { accepted, refused }
}

fn text(field: &Field, levels: &[String], unseen: UnseenPolicy) -> Probes {
    let mut accepted: Vec<Option<String>> = levels.iter().cloned().map(Some).collect();
    let mut refused = Vec::new();
    let accepts_unseen = unseen == UnseenPolicy::Missing && field.accepts_missing;
    let strange = [
        (None, field.accepts_missing),
        (Some(UNSEEN.to_owned()), accepts_unseen),
    ];
    for (cell, is_accepted) in strange {
        if is_accepted {
            let count = (levels.len() / 6).max(1);
            accepted.extend(std::iter::repeat_n(cell, count));
        } else {
            refused.push(cell);
        }
    }
    if accepted.is_empty() {
        // A field without a legal value: its rows are refused, and show it.
        accepted.push(None);
    }
    Probes::Levels { accepted, refused }
}

/// A step without a common divisor with `length`, different for different fields.
fn step(length: usize, index: usize) -> usize {
    let mut step = (length * (2 * index + 1) / 7 + 1) % length.max(1);
    while gcd(step, length) != 1 {
        step += 1;
    }
    step
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::{gcd, step};

    #[test]
    fn steps_visit_every_entry() {
        for length in 1..200 {
            for index in 0..20 {
                assert_eq!(gcd(step(length, index), length), 1, "{length} {index}");
            }
        }
    }
}

//! Probe rows: every rule, level, knot and refusal of a model, made from the model alone.
//!
//! The first part cycles all fields at once through the values they accept, so its length is that of
//! the longest list; the second part has one row per value that must be refused, everything else
//! at its usual value.

use crate::encoding::{CategoryField, FieldEncoding, NumberField};
use crate::logistic::Logistic;
use cvm_core::{Frame, FrameColumn, MissingRule, UnseenRule};

/// Fields whose refusals are probed.
const MAX_REFUSING_FIELDS: usize = 1000;

/// The values one field is probed with.
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
    fn lengths(&self) -> (usize, usize) {
        match self {
            Probes::Numbers { accepted, refused } => (accepted.len(), refused.len()),
            Probes::Levels { accepted, refused } => (accepted.len(), refused.len()),
        }
    }
}

/// The probe rows of `model`.
pub(crate) fn rows(model: &Logistic) -> Frame {
    of_fields(&model.encoding, &model.numbers.means, &model.numbers.scales)
}

/// The probe rows of fields whose design columns have these means and scales.
pub(crate) fn of_fields(encoding: &[FieldEncoding], means: &[f64], scales: &[f64]) -> Frame {
    let mut first = 0;
    let mut probes = Vec::with_capacity(encoding.len());
    for field in encoding {
        probes.push(match field {
            FieldEncoding::Number(field) => {
                let (mean, scale) = (means[first], scales[first]);
                number(field, mean, scale)
            }
            FieldEncoding::Category(field) => category(field),
        });
        first += field.column_count();
    }
    let accepted = probes
        .iter()
        .map(|probe| probe.lengths().0)
        .max()
        .unwrap_or(0);
    let refusing = probes.iter().take(MAX_REFUSING_FIELDS);
    let refused: Vec<usize> = refusing.map(|probe| probe.lengths().1).collect();
    let row_count = accepted + refused.iter().sum::<usize>();
    let mut frame = Frame::new(row_count);
    let mut before = accepted;
    for (place, (field, probe)) in encoding.iter().zip(&probes).enumerate() {
        let own = before..before + refused.get(place).copied().unwrap_or(0);
        before = own.end;
        let column = column(probe, accepted, row_count, &own);
        frame.columns.push((field.name().to_owned(), column));
    }
    frame
}

fn column(
    probe: &Probes,
    accepted_rows: usize,
    row_count: usize,
    own: &std::ops::Range<usize>,
) -> FrameColumn {
    // Row of the list to show, and whether it is the list of refusals.
    let place = |row: usize| {
        if row < accepted_rows {
            (row, false)
        } else if own.contains(&row) {
            (row - own.start, true)
        } else {
            (0, false)
        }
    };
    match probe {
        Probes::Numbers { accepted, refused } => {
            let value = |row: usize| match place(row) {
                (i, true) => refused[i],
                (i, false) => accepted[i % accepted.len()],
            };
            FrameColumn::Numbers((0..row_count).map(value).collect())
        }
        Probes::Levels { accepted, refused } => {
            let value = |row: usize| match place(row) {
                (i, true) => refused[i].as_deref(),
                (i, false) => accepted[i % accepted.len()].as_deref(),
            };
            FrameColumn::from_strings((0..row_count).map(value))
        }
    }
}

fn number(field: &NumberField, mean: f64, scale: f64) -> Probes {
    let mut accepted = vec![
        mean,
        mean + 10.0 * scale,
        mean - 10.0 * scale,
        field.imputed,
    ];
    let knots = field.basis.knots();
    accepted.extend_from_slice(knots);
    accepted.extend(
        knots
            .windows(2)
            .map(|pair| pair[0] + 0.5 * (pair[1] - pair[0])),
    );
    let mut refused = vec![f64::INFINITY, f64::NEG_INFINITY];
    if field.missing == MissingRule::Reject {
        refused.push(f64::NAN);
    } else {
        accepted.push(f64::NAN);
    }
    Probes::Numbers { accepted, refused }
}

fn category(field: &CategoryField) -> Probes {
    let mut accepted: Vec<Option<String>> = field.levels.iter().cloned().map(Some).collect();
    let mut refused = Vec::new();
    let rejects_missing = field.missing_group.is_none();
    if rejects_missing {
        refused.push(None);
    } else {
        accepted.push(None);
    }
    let mut unseen = "unseen".to_owned();
    while field.levels.contains(&unseen) {
        unseen.push('_');
    }
    match field.unseen {
        UnseenRule::Reference => accepted.push(Some(unseen)),
        UnseenRule::AsMissing if !rejects_missing => accepted.push(Some(unseen)),
        UnseenRule::AsMissing | UnseenRule::Reject => refused.push(Some(unseen)),
    }
    Probes::Levels { accepted, refused }
}

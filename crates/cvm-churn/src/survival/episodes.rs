//! From columns of time and event to episodes: a row at risk in `(start, stop]`, and how it ended.

use super::spec::TimeSpec;
use crate::target::{self, column};
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, Column, InputError};

/// Longest time a fit accepts.
const LONGEST: f64 = 1e12;

/// Rows that carry information, in the order of the batch.
#[derive(Debug, Clone)]
pub(crate) struct Episodes {
    /// Row in the batch.
    pub(crate) rows: Vec<usize>,
    pub(crate) start: Vec<f64>,
    pub(crate) stop: Vec<f64>,
    pub(crate) left: Vec<bool>,
    pub(crate) weight: Vec<f64>,
    /// The label that means the event.
    pub(crate) positive: String,
}

impl Episodes {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps the episodes of which `keep` is true.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let kept: Vec<usize> = (0..self.len()).filter(|i| keep(*i)).collect();
        let pick = |values: &[f64]| kept.iter().map(|i| values[*i]).collect();
        self.start = pick(&self.start);
        self.stop = pick(&self.stop);
        self.weight = pick(&self.weight);
        self.left = kept.iter().map(|i| self.left[*i]).collect();
        self.rows = kept.iter().map(|i| self.rows[*i]).collect();
    }

    /// Total weight of the rows that ended in the event.
    pub(crate) fn event_weight(&self) -> f64 {
        let pairs = self.weight.iter().zip(&self.left);
        pairs.fold(0.0, |sum, (w, left)| if *left { sum + w } else { sum })
    }
}

/// Reads the episodes: rows of weight 0 and rows at risk for no time are left out.
pub(crate) fn read(
    batch: &Batch<'_>,
    times: &TimeSpec,
    spec: &LogisticSpec,
) -> Result<Episodes, ChurnError> {
    times.check()?;
    let target = target::read_events(batch, spec)?;
    let weights = target::weights(batch, spec)?;
    let (start, stop) = intervals(batch, times)?;
    let mut episodes = Episodes {
        rows: (0..batch.row_count()).collect(),
        start,
        stop,
        left: target.churned,
        weight: weights,
        positive: target.positive,
    };
    check(&episodes, times)?;
    let informative: Vec<bool> = (0..episodes.len())
        .map(|i| episodes.weight[i] > 0.0 && episodes.stop[i] > episodes.start[i])
        .collect();
    episodes.retain(|i| informative[i]);
    if !episodes.left.contains(&true) {
        return Err(ChurnError::Target {
            column: spec.target.clone(),
            problem: "has no event among rows with weight: nothing to learn from".into(),
        });
    }
    Ok(episodes)
}

fn intervals(batch: &Batch<'_>, times: &TimeSpec) -> Result<(Vec<f64>, Vec<f64>), ChurnError> {
    let zeros = || vec![0.0; batch.row_count()];
    match times {
        TimeSpec {
            duration: Some(duration),
            entry,
            ..
        } => {
            let start = match entry {
                Some(entry) => numbers(batch, entry)?,
                None => zeros(),
            };
            Ok((start, numbers(batch, duration)?))
        }
        TimeSpec {
            start: Some(start),
            stop: Some(stop),
            ..
        } => Ok((numbers(batch, start)?, numbers(batch, stop)?)),
        TimeSpec {
            period: Some(period),
            ..
        } => {
            let stop = numbers(batch, period)?;
            let bad = stop.iter().position(|p| *p < 1.0 || p.floor() != *p);
            if let Some(row) = bad {
                let allowed = "a whole number >= 1";
                return Err(ChurnError::cell(period, row, stop[row], allowed));
            }
            Ok((stop.iter().map(|p| p - 1.0).collect(), stop))
        }
        // Never: the layout has been checked.
        _ => Ok((zeros(), zeros())),
    }
}

fn numbers(batch: &Batch<'_>, name: &str) -> Result<Vec<f64>, ChurnError> {
    let Column::Numbers(view) = column(batch, name)? else {
        let field = format!("columns.{name}");
        return Err(InputError::new(field, "holds text, expected numbers").into());
    };
    let values: Vec<f64> = view.iter().copied().collect();
    match values.iter().position(|v| !(0.0..=LONGEST).contains(v)) {
        None => Ok(values),
        Some(row) => {
            let allowed = "a number from 0 to 1e12";
            Err(ChurnError::cell(name, row, values[row], allowed))
        }
    }
}

/// A customer cannot leave before, or at the very moment, they came under observation.
fn check(episodes: &Episodes, times: &TimeSpec) -> Result<(), ChurnError> {
    let end = [&times.duration, &times.stop, &times.period];
    let end = end.into_iter().flatten().next().map_or("", String::as_str);
    for (i, (start, stop)) in episodes.start.iter().zip(&episodes.stop).enumerate() {
        let allowed = if stop < start {
            "not before the row's entry or start"
        } else if stop == start && episodes.left[i] {
            "after the row's entry or start for a customer who left: no time at risk"
        } else {
            continue;
        };
        return Err(ChurnError::cell(end, episodes.rows[i], stop, allowed));
    }
    Ok(())
}

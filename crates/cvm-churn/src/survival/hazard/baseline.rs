//! The baseline hazard: a number per period while events are many, a spline of `ln k` beyond.
//!
//! The first periods of life, where hazards jump, each have a number of their own as long as every
//! one of them holds enough events; the rest share a natural cubic spline in `ln k`, or, where even
//! that asks too much of the data, pieces of several periods.

use crate::basis::{Basis, knot_quantiles};
use cvm_core::StateError;
use cvm_math::ln;
use serde::{Deserialize, Serialize};

/// Most periods of a model; a limit for memory.
pub(crate) const MOST_PERIODS: usize = 10_000;

/// How the baseline is shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Saturated while every period holds enough events, a spline beyond.
    #[default]
    Auto,
    /// A number per period; periods without an event, or without a survivor, join a neighbour.
    Saturated,
    /// A spline of `ln k` from the first period on.
    Spline,
    /// One number.
    Constant,
}

/// Events and rows at risk in every period, by weight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exposure {
    pub(crate) events: Vec<f64>,
    pub(crate) at_risk: Vec<f64>,
}

impl Exposure {
    fn sum(values: &[f64], from: usize, to: usize) -> f64 {
        let part = values.get(from - 1..to).unwrap_or_default();
        part.iter().fold(0.0, |sum, v| sum + v)
    }

    /// Events of periods `from..=to`.
    fn events(&self, from: usize, to: usize) -> f64 {
        Exposure::sum(&self.events, from, to)
    }

    fn at_risk(&self, from: usize, to: usize) -> f64 {
        Exposure::sum(&self.at_risk, from, to)
    }

    /// Share of those at risk in `from..=to` who left there.
    pub(crate) fn rate(&self, from: usize, to: usize) -> f64 {
        self.events(from, to) / self.at_risk(from, to)
    }

    /// First period of the shortest tail with at least `need` events.
    pub(crate) fn tail_start(&self, need: f64) -> usize {
        let last = self.events.len();
        let enough = |start: &usize| self.events(*start, last) >= need;
        (1..=last).rev().find(enough).unwrap_or(1)
    }
}

/// The columns of the baseline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Baseline {
    /// First period of each piece; the first is 1, or there are none.
    pub(crate) pieces: Vec<usize>,
    /// First period of the spline.
    pub(crate) smooth: Option<Smooth>,
    /// Last period with rows at risk.
    pub(crate) last: usize,
}

/// The spline part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Smooth {
    pub(crate) from: usize,
    /// Spline in `ln k`.
    pub(crate) basis: Basis,
    /// Mean and scale of each spline column over the rows at risk.
    pub(crate) standards: Vec<(f64, f64)>,
}

impl Smooth {
    fn column(&self, column: usize, k: usize) -> f64 {
        let (mean, scale) = self.standards[column];
        (self.basis.value(column, ln_period(k)) - mean) / scale
    }
}

#[allow(clippy::cast_precision_loss)]
fn ln_period(k: usize) -> f64 {
    ln(k as f64)
}

impl Baseline {
    /// Learns the columns from the exposure.
    pub(crate) fn learn(exposure: &Exposure, shape: Shape, need: f64, knots: usize) -> Baseline {
        let last = exposure.events.len();
        let constant = Baseline {
            pieces: vec![1],
            smooth: None,
            last,
        };
        let from = match shape {
            Shape::Constant => return constant,
            Shape::Saturated => {
                let pieces = pieces(exposure, 1, 0.0);
                return Baseline { pieces, ..constant };
            }
            Shape::Spline => 1,
            Shape::Auto => saturated(exposure, need) + 1,
        };
        let mut own: Vec<usize> = (1..from).collect();
        // A spline needs events to bend with and periods to bend over.
        let few = exposure_is_thin(exposure, from, need);
        if from > last || few {
            if from <= last {
                own.extend(pieces(exposure, from, need));
            }
            if own.is_empty() {
                own.push(1);
            }
            return Baseline {
                pieces: own,
                ..constant
            };
        }
        match smooth(exposure, from, need, knots) {
            Some(smooth) => Baseline {
                pieces: own,
                smooth: Some(smooth),
                last,
            },
            None => Baseline {
                pieces: pieces(exposure, 1, need),
                ..constant
            },
        }
    }

    /// Rebuilds the columns of a state.
    pub(crate) fn new(
        pieces: Vec<usize>,
        smooth: Option<Smooth>,
        last: usize,
    ) -> Result<Baseline, StateError> {
        let malformed = |what: &str| Err(StateError::malformed("churn.hazard", what));
        let first = pieces.first().copied().or(smooth.as_ref().map(|s| s.from));
        if first != Some(1) || !pieces.windows(2).all(|pair| pair[0] < pair[1]) {
            return malformed("pieces of the baseline must increase from period 1");
        }
        if last == 0 || last > MOST_PERIODS || pieces.last().is_some_and(|p| *p > last) {
            return malformed("the baseline must have from 1 to 10000 periods");
        }
        if let Some(smooth) = &smooth {
            let after = pieces.last().is_none_or(|piece| *piece < smooth.from);
            if !after || smooth.from > last {
                return malformed("the spline must start after the pieces and within the periods");
            }
            let fine = |(mean, scale): &(f64, f64)| mean.is_finite() && *scale > 0.0;
            let right = smooth.standards.len() == smooth.basis.column_count();
            if !right || !smooth.standards.iter().all(fine) {
                return malformed("the spline's means and scales are not one per column");
            }
        }
        Ok(Baseline {
            pieces,
            smooth,
            last,
        })
    }

    /// Number of columns.
    pub(crate) fn column_count(&self) -> usize {
        let smooth = self.smooth.as_ref();
        self.pieces.len() + smooth.map_or(0, |smooth| 1 + smooth.basis.column_count())
    }

    /// The columns that are not zero in period `k`, with their values.
    pub(crate) fn columns(&self, k: usize) -> Vec<(usize, f64)> {
        match &self.smooth {
            Some(smooth) if k >= smooth.from => {
                let level = self.pieces.len();
                let bends = 0..smooth.basis.column_count();
                std::iter::once((level, 1.0))
                    .chain(bends.map(|j| (level + 1 + j, smooth.column(j, k))))
                    .collect()
            }
            _ => {
                let piece = self.pieces.partition_point(|first| *first <= k);
                vec![(piece.saturating_sub(1), 1.0)]
            }
        }
    }

    /// Baseline of period `k` at `alpha`.
    pub(crate) fn value(&self, alpha: &[f64], k: usize) -> f64 {
        let columns = self.columns(k);
        columns.iter().fold(0.0, |sum, (j, v)| sum + v * alpha[*j])
    }

    /// First and last period of each piece.
    pub(crate) fn spans(&self) -> Vec<(usize, usize)> {
        let end = self.smooth.as_ref().map_or(self.last, |s| s.from - 1);
        let ends = self.pieces.iter().skip(1).map(|next| next - 1);
        let ends = ends.chain(std::iter::once(end));
        self.pieces.iter().copied().zip(ends).collect()
    }

    /// Names of the columns.
    pub(crate) fn names(&self) -> Vec<String> {
        let span = |(from, to): (usize, usize)| match from == to {
            true => format!("baseline[{from}]"),
            false => format!("baseline[{from}-{to}]"),
        };
        let mut names: Vec<String> = self.spans().into_iter().map(span).collect();
        if let Some(smooth) = &self.smooth {
            let from = smooth.from;
            names.push(format!("baseline[{from}+]"));
            names.push(format!("baseline[{from}+, ln t]"));
            let bends = 1..smooth.basis.column_count();
            names.extend(bends.map(|j| format!("baseline[{from}+, spline {j}]")));
        }
        names
    }
}

/// Last of the first periods that each hold `need` events and a survivor.
fn saturated(exposure: &Exposure, need: f64) -> usize {
    let rows = exposure.events.iter().zip(&exposure.at_risk);
    rows.take_while(|(events, at_risk)| **events >= need && **events < **at_risk)
        .count()
}

fn exposure_is_thin(exposure: &Exposure, from: usize, need: f64) -> bool {
    const FEWEST_PERIODS: usize = 4;
    let last = exposure.events.len();
    from > last || last - from + 1 < FEWEST_PERIODS || exposure.events(from, last) < 2.0 * need
}

/// Pieces from period `from` on with at least `need` events (at least some) and a survivor each;
/// what is left over at the end joins the last piece.
fn pieces(exposure: &Exposure, from: usize, need: f64) -> Vec<usize> {
    let last = exposure.events.len();
    let mut starts = Vec::new();
    let mut start = from;
    for k in from..=last {
        let events = exposure.events(start, k);
        if events > 0.0 && events >= need && events < exposure.at_risk(start, k) {
            starts.push(start);
            start = k + 1;
        }
    }
    if starts.is_empty() {
        starts.push(from);
    }
    starts
}

/// The spline from period `from` on; `None` if the periods do not vary.
fn smooth(exposure: &Exposure, from: usize, need: f64, knots: usize) -> Option<Smooth> {
    let last = exposure.events.len();
    let total = exposure.events(from, last);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let affordable = (total / need.max(1.0)).min(7.0) as usize;
    let count = knots.min(affordable);
    let basis = if count < 3 {
        Basis::new(Vec::new())
    } else {
        Basis::new(quantiles(exposure, from, count)).or_else(|| Basis::new(Vec::new()))
    }?;
    let weight = exposure.at_risk(from, last);
    let mut standards = Vec::new();
    for column in 0..basis.column_count() {
        let value = |k: usize| basis.value(column, ln_period(k));
        let over = |f: &dyn Fn(usize) -> f64| {
            (from..=last).fold(0.0, |sum, k| sum + exposure.at_risk[k - 1] * f(k)) / weight
        };
        let mean = over(&value);
        let spread = over(&|k| (value(k) - mean) * (value(k) - mean)).sqrt();
        if !spread.is_normal() {
            return None;
        }
        standards.push((mean, spread));
    }
    Some(Smooth {
        from,
        basis,
        standards,
    })
}

/// Distinct quantiles of `ln k` over the events.
fn quantiles(exposure: &Exposure, from: usize, count: usize) -> Vec<f64> {
    let last = exposure.events.len();
    let total = exposure.events(from, last);
    let mut knots: Vec<f64> = Vec::new();
    for quantile in knot_quantiles(count) {
        let reached = |k: &usize| exposure.events(from, *k) >= quantile * total * (1.0 - 1e-12);
        let Some(k) = (from..=last).find(reached) else {
            continue;
        };
        let knot = ln_period(k);
        if knots.last() != Some(&knot) {
            knots.push(knot);
        }
    }
    if knots.len() < 3 { Vec::new() } else { knots }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Exposure, Shape};

    fn exposure(events: &[f64], start: f64) -> Exposure {
        let mut left = start;
        let at_risk = events.iter().map(|e| {
            let now = left;
            left -= e;
            now
        });
        Exposure {
            at_risk: at_risk.collect(),
            events: events.to_vec(),
        }
    }

    #[test]
    fn many_events_saturate_and_few_share_a_spline() {
        let events: Vec<f64> = (1..=40).map(|k| (400.0 / f64::from(k)).floor()).collect();
        let own = exposure(&events, 5000.0);
        let baseline = Baseline::learn(&own, Shape::Auto, 20.0, 5);
        assert_eq!(baseline.pieces, (1..=20).collect::<Vec<_>>());
        assert_eq!(baseline.smooth.as_ref().map(|s| s.from), Some(21));
        assert_eq!(baseline.names().len(), baseline.column_count());
        for k in 1..=60 {
            let columns = baseline.columns(k);
            assert!(
                columns
                    .iter()
                    .all(|(j, v)| *j < baseline.column_count() && v.is_finite())
            );
        }
        assert_eq!(own.tail_start(20.0), 39);
    }

    #[test]
    fn periods_without_events_or_survivors_join_a_neighbour() {
        let own = exposure(&[3.0, 0.0, 0.0, 2.0, 0.0], 10.0);
        let baseline = Baseline::learn(&own, Shape::Saturated, 20.0, 5);
        assert_eq!(baseline.spans(), [(1, 1), (2, 5)]);
        let all_gone = exposure(&[3.0, 7.0], 10.0);
        let baseline = Baseline::learn(&all_gone, Shape::Saturated, 20.0, 5);
        assert_eq!(baseline.spans(), [(1, 2)]);
        for shape in [Shape::Auto, Shape::Spline] {
            let baseline = Baseline::learn(&own, shape, 20.0, 5);
            assert_eq!((baseline.spans(), baseline.smooth), (vec![(1, 5)], None));
        }
    }
}

//! Risk sets as ranges of event times: sums over who is at risk at each of them.

use cvm_math::sums::Sum;
use serde::{Deserialize, Serialize};

/// How events at the same time are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// Each tied event leaves the risk set by its share: close to the truth.
    #[default]
    Efron,
    /// All tied events face the whole risk set.
    Breslow,
}

/// The rows of one stratum against its distinct event times.
#[derive(Debug, Clone)]
pub(crate) struct RiskSets {
    /// Distinct event times, ascending.
    pub(crate) times: Vec<f64>,
    /// Row `i` is at risk at times `from[i]..to[i]`.
    pub(crate) from: Vec<usize>,
    pub(crate) to: Vec<usize>,
    /// Whether the row left, at time `to[i] − 1`.
    pub(crate) left: Vec<bool>,
    pub(crate) weight: Vec<f64>,
    /// Number of events at each time.
    pub(crate) count: Vec<usize>,
    /// Weight of the events at each time.
    pub(crate) event_weight: Vec<f64>,
    /// Whether any row comes under observation after the first event.
    truncated: bool,
}

impl RiskSets {
    pub(crate) fn new(start: &[f64], stop: &[f64], left: &[bool], weight: &[f64]) -> RiskSets {
        let ends = stop.iter().zip(left).filter(|(_, left)| **left);
        let mut times: Vec<f64> = ends.map(|(stop, _)| *stop).collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        let up_to = |t: &f64| times.partition_point(|own| own <= t);
        let from: Vec<usize> = start.iter().map(up_to).collect();
        let to: Vec<usize> = stop.iter().map(up_to).collect();
        let mut count = vec![0; times.len()];
        let mut event_weight = vec![0.0; times.len()];
        for ((to, left), weight) in to.iter().zip(left).zip(weight) {
            if *left {
                count[to - 1] += 1;
                event_weight[to - 1] += weight;
            }
        }
        RiskSets {
            truncated: from.iter().any(|from| *from > 0),
            left: left.to_vec(),
            weight: weight.to_vec(),
            times,
            from,
            to,
            count,
            event_weight,
        }
    }

    pub(crate) fn row_count(&self) -> usize {
        self.weight.len()
    }

    /// Sums of `value` over the rows at risk at each event time.
    pub(crate) fn at_risk(&self, value: &[f64]) -> Vec<f64> {
        let mut joins = vec![0.0; self.times.len()];
        let mut leaves = vec![0.0; self.times.len()];
        for ((from, to), v) in self.from.iter().zip(&self.to).zip(value) {
            if from == to {
                continue;
            }
            joins[to - 1] += v;
            if *from > 0 {
                leaves[from - 1] += v;
            }
        }
        let mut sum = Sum::default();
        // From the last time back, so that without truncation sums only grow; with it, what is
        // taken out again is compensated.
        for j in (0..joins.len()).rev() {
            sum.add(joins[j]);
            if self.truncated {
                sum.add(-leaves[j]);
            }
            joins[j] = sum.value();
        }
        joins
    }

    /// Sums of `value` over the rows that left at each event time.
    pub(crate) fn leaving(&self, value: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.times.len()];
        for ((to, left), v) in self.to.iter().zip(&self.left).zip(value) {
            if *left {
                sums[to - 1] += v;
            }
        }
        sums
    }

    /// For every row, the sum of `by_time` over the times it is at risk.
    pub(crate) fn over_life(&self, by_time: &[f64]) -> Vec<f64> {
        let mut running = vec![0.0; by_time.len() + 1];
        let mut sum = Sum::default();
        for (slot, v) in running.iter_mut().skip(1).zip(by_time) {
            sum.add(*v);
            *slot = sum.value();
        }
        let lives = self.from.iter().zip(&self.to);
        lives
            .map(|(from, to)| running[*to] - running[*from])
            .collect()
    }
}

//! Start vectors of a fit, from moments of the counts.

use super::tables::Totals;
use super::{AttritionLikelihood, Buyer, Law};
use crate::rfm::Rfm;

/// A start in terms that every law has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    pub(crate) r: f64,
    pub(crate) alpha: f64,
    pub(crate) s: f64,
    /// Scale of a Pareto lifetime, in periods.
    pub(crate) lifetime: f64,
}

impl<const N: usize> AttritionLikelihood<N> {
    /// [`starts`] of the merged rows.
    pub(crate) fn starts(&self) -> [Start; 5] {
        starts(&self.totals())
    }
}

/// Weighted sums over rows.
pub(crate) fn totals<'a>(rows: impl Iterator<Item = (&'a Rfm, f64)>) -> Totals {
    let mut totals = Totals::default();
    for (row, weight) in rows {
        totals.add(row, weight);
    }
    totals
}

/// Shapes from the spread of the counts and then fixed ones; each `alpha` makes the expected
/// purchases of a customer of mean age equal to the mean observed.
pub(crate) fn starts(totals: &Totals) -> [Start; 5] {
    let mean = totals.frequency / totals.weight;
    let variance = totals.frequency_squared / totals.weight - mean * mean;
    // Negative binomial counts: variance = mean + mean²/r.
    let spread = mean * mean / (variance - mean).max(mean * 1e-3);
    let r = if spread.is_finite() {
        spread.clamp(0.05, 20.0)
    } else {
        1.0
    };
    let age = if totals.age > 0.0 {
        totals.age / totals.weight
    } else {
        1.0
    };
    let mean = if mean > 0.0 { mean } else { 0.5 };
    let shapes = [
        [r, 0.7, 0.5],
        [1.0, 1.0, 1.0],
        [0.4, 0.4, 0.1],
        [2.0, 3.0, 5.0],
        [0.2, 0.2, 1.0],
    ];
    shapes.map(|[r, s, ages]| {
        let lifetime = ages * age;
        let law = Law {
            shape: s,
            scale: lifetime,
            growth: 0.0,
        };
        let buyer = Buyer {
            shape: r,
            scale: 1.0,
            law,
        };
        Start {
            r,
            alpha: buyer.purchases(age, 0.0) / mean,
            s,
            lifetime,
        }
    })
}

//! P(alive) of many Pareto/NBD rows from a power series in time.
//!
//! With `B(t) = (α+t)^−R (β+t)^−s` let `H(t)` be the probability of ever leaving silently, given
//! alive at `t`: the integral of the likelihood from `t` to infinity over `B(t)`. The odds of having
//! left by `T` are `H(t_x)·B(t_x)/B(T) − H(T)`, so
//!
//! ```text
//! 1/P(alive) = (1 − H(T)) + H(t_x)·B(t_x)/B(T),    0 < H < 1
//! ```
//!
//! two positive terms. With `z = |β−α|/(max(α,β)+t)`, always below 1,
//!
//! ```text
//! H = s/(R+s) · (1−z) · Σ (s+1)_n/(R+s+1)_n zⁿ      β > α
//! H = s/(R+s) ·         Σ (R)_n/(R+s+1)_n zⁿ        α ≥ β
//! ```
//!
//! from the 2F1 of Fader & Hardie (2005, note 009) by the transformations of Euler and Pfaff
//! (Abramowitz & Stegun 15.3.3, 15.3.4): all terms are positive and the coefficients depend on `x` alone.

use crate::attrition::Attrited;
use crate::rfm::Rfm;
use cvm_math::polynomial::{BEYOND, polynomials};
use cvm_math::{exp, ln};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Repeat purchases with a table of their own.
const TABLES: usize = 128;
/// Customers whose tables are gathered together: one alone fills no buffers of a chunk.
const GROUP: usize = 32;
/// Lengths at which a series may stop.
const LENGTHS: [usize; 4] = [8, 16, 32, 64];
/// Relative size at which terms are dropped.
const NEGLIGIBLE: f64 = 5e-17;

/// Series for every small `x`, made when first needed; cheap to clone.
#[derive(Clone)]
pub(super) struct Tables {
    series: Option<Arc<[OnceLock<Series>; TABLES]>>,
    model: Attrited<4>,
}

/// The series follow from the parameters, and fill pages.
impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tables")
    }
}

impl Tables {
    pub(super) fn new(model: &Attrited<4>) -> Self {
        Tables {
            series: Some(Arc::new([const { OnceLock::new() }; TABLES])),
            model: *model,
        }
    }

    /// For a single customer's parameters: no table would be used twice.
    pub(super) fn none(model: &Attrited<4>) -> Self {
        Tables {
            series: None,
            model: *model,
        }
    }

    /// `H` of customers at a time of each; NaN where the series do not reach.
    pub(super) fn ever_leaving(&self, rows: &[Rfm], time: impl Fn(&Rfm) -> f64, out: &mut [f64]) {
        for (rows, out) in rows.chunks(GROUP).zip(out.chunks_mut(GROUP)) {
            self.of_group(rows, &time, out);
        }
    }

    fn of_group(&self, rows: &[Rfm], time: &impl Fn(&Rfm) -> f64, out: &mut [f64]) {
        let mut tables: [&[f64]; GROUP] = [BEYOND; GROUP];
        let (mut z, mut front) = ([0.0; GROUP], [0.0; GROUP]);
        let slots = tables.iter_mut().zip(z.iter_mut().zip(&mut front));
        for (row, (table, (z, front))) in rows.iter().zip(slots) {
            if let Some(series) = self.series(row.frequency) {
                *z = series.gap / (series.larger + time(row));
                *front = series.front(*z);
                *table = series.truncated(*z).unwrap_or(BEYOND);
            }
        }
        let count = rows.len();
        polynomials(&tables[..count], &z[..count], out);
        for (slot, front) in out.iter_mut().zip(&front) {
            *slot *= front;
        }
    }

    fn series(&self, x: f64) -> Option<&Series> {
        if x >= TABLES as f64 {
            return None;
        }
        let slot = self.series.as_ref()?.get(x as usize)?;
        Some(slot.get_or_init(|| Series::new(&self.model, x)))
    }
}

/// The series of one `x`.
#[derive(Debug)]
struct Series {
    coefficients: [f64; LENGTHS[3]],
    /// Largest `z` for which the first `LENGTHS[i]` terms are enough.
    reach: [f64; LENGTHS.len()],
    /// The length that suffices at any time, if it is short: no choice to be mispredicted.
    usual: Option<usize>,
    front: f64,
    /// `|β − α|` and `max(α, β)`.
    gap: f64,
    larger: f64,
    /// Whether `β > α`, where the sum is to be multiplied by `1 − z`.
    times_rest: bool,
}

impl Series {
    fn new(model: &Attrited<4>, x: f64) -> Self {
        let (alpha, beta, s) = (model.alpha, model.beta, model.law.shape);
        let shape = model.r + x;
        let times_rest = beta > alpha;
        let upper = if times_rest { s + 1.0 } else { shape };
        let lower = shape + s + 1.0;
        let mut coefficients = [1.0; LENGTHS[3]];
        let mut last = 1.0;
        for (index, slot) in coefficients.iter_mut().enumerate() {
            *slot = last;
            last *= (upper + index as f64) / (lower + index as f64);
        }
        let after = |length: usize| {
            if length < coefficients.len() {
                coefficients[length]
            } else {
                last
            }
        };
        let reach = LENGTHS.map(|length| reach(length, after(length)));
        let furthest = (beta - alpha).abs() / alpha.max(beta);
        let enough = reach.iter().position(|reach| furthest <= *reach);
        Series {
            reach,
            usual: enough.filter(|tier| LENGTHS[*tier] <= 16),
            coefficients,
            front: s / (shape + s),
            gap: (beta - alpha).abs(),
            larger: alpha.max(beta),
            times_rest,
        }
    }

    /// The coefficients that suffice; none beyond the last.
    fn truncated(&self, z: f64) -> Option<&[f64]> {
        let short = |reach: &f64| usize::from(z > *reach);
        let tier = self
            .usual
            .unwrap_or_else(|| self.reach.iter().map(short).sum());
        self.coefficients.get(..*LENGTHS.get(tier)?)
    }

    /// What the sum is to be multiplied by.
    fn front(&self, z: f64) -> f64 {
        self.front * if self.times_rest { 1.0 - z } else { 1.0 }
    }
}

/// Largest `z` at which dropping the terms from `length` on loses at most [`NEGLIGIBLE`] of a sum of
/// at least 1: the coefficients fall, so a geometric series bounds the rest.
fn reach(length: usize, first_dropped: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..30 {
        let middle: f64 = 0.5 * (low + high);
        let power = exp(length as f64 * ln(middle));
        if first_dropped * power <= NEGLIGIBLE * (1.0 - middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::Tables;
    use crate::attrition::Attrited;
    use crate::rfm::Rfm;

    #[test]
    fn series_and_quadrature_agree() {
        for params in [
            [0.55, 10.58, 0.61, 11.67],
            [0.55, 30.0, 1.0, 4.0],
            [2.0, 4.0, 3.0, 50.0],
        ] {
            let model = Attrited::<4>::at(&params);
            let tables = Tables::new(&model);
            let mut compared = 0;
            for x in [0.0, 1.0, 7.0, 120.0] {
                for time in [0.0, 0.5, 20.0, 400.0] {
                    let row = Rfm {
                        frequency: x,
                        ..Rfm::PLACEHOLDER
                    };
                    let mut series = [0.0];
                    tables.ever_leaving(&[row], |_| time, &mut series);
                    let [series] = series;
                    if series.is_nan() {
                        continue;
                    }
                    compared += 1;
                    let rule = model.alive_at(x, time).left_silently(f64::INFINITY);
                    let error = (series / rule - 1.0).abs();
                    assert!(error < 1e-13, "{params:?} {x} {time}: {error:e}");
                }
            }
            assert!(compared >= 8, "{compared}");
        }
    }
}

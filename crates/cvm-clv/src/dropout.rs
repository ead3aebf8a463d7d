//! Purchases expected of a living customer who may leave after each purchase, without cancellation.
//!
//! Given that a customer is alive, the rate is `λ ~ Gamma(R, A)` and the chance to leave after a
//! purchase `p ~ Beta(a, B)`. With `τ = t/A` and `z = t/(A+t) = τ/(1+τ)`, the purchases expected in
//! the next `t` periods are
//!
//! ```text
//! E(t) = E_p[ (1 − (1 + pτ)^−R) / p ]                                            (1)
//!      = (1−z)^R · Σ_{n≥1} (R)_n/n! · zⁿ · D_n,   D_n = Σ_{k<n} (B)_k/(a+B)_k       (2)
//! ```
//!
//! (2) says: of `n` purchases that a customer who never leaves would make (negative binomial), the
//! expected number made before leaving is `D_n`. Every term is positive and nothing is singular at
//! `a = 1` or `a + B = 1`, where the textbook form (Fader, Hardie & Lee 2005, eq. 10)
//! `(a+B−1)/(a−1) · [1 − (1−z)^R · 2F1(R, B; a+B−1; z)]` divides zero by zero.
//!
//! The coefficients of (2) depend on the parameters and on `x` only, so each `x` has one table and a
//! forecast costs a polynomial, a logarithm and an exponential. Where `z` is too near 1 or `R` too
//! large for the table, (1) is summed by the trapezoid rule in `y = ln(p/(1−p))`, where the
//! integrand is analytic and bounded in the strip `|Im y| < π/2`: the error falls as
//! `exp(−π²/step)`, and the tails `e^{ay}` and `e^{−By}` are geometric series.
//! Derivation: docs/models/bg_nbd.md.

mod survival;
mod trapezoid;

pub(crate) use survival::{purchases_forever, survival, survival_integral};

use crate::rfm::CHUNK;
use cvm_math::polynomial::{BEYOND, polynomial, polynomials};
use cvm_math::{exp, ln};
use std::fmt;
use std::sync::{Arc, OnceLock};
use trapezoid::trapezoid;

/// Repeat purchases with a table of their own; heavier buyers take the trapezoid rule.
const TABLES: usize = 128;
/// Coefficients in the largest table.
const TERMS: usize = 256;
/// Lengths at which the series may stop.
const LENGTHS: [usize; 4] = [32, 64, 128, TERMS];
/// Largest `R` of a table: beyond it the coefficients would leave the range of `f64` in a ratio.
const LARGEST_SHAPE: f64 = 160.0;
/// Relative size at which terms are dropped.
const NEGLIGIBLE: f64 = 5e-17;

/// Forecasts for one set of parameters; cheap to clone.
#[derive(Clone)]
pub(crate) struct Dropout {
    r: f64,
    a: f64,
    b: f64,
    /// `None`: every forecast by the trapezoid rule.
    tables: Option<Arc<[OnceLock<Series>; TABLES]>>,
}

/// The parameters: the tables follow from them, and fill pages.
impl fmt::Debug for Dropout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dropout")
            .field("r", &self.r)
            .field("a", &self.a)
            .field("b", &self.b)
            .finish_non_exhaustive()
    }
}

impl Dropout {
    pub(crate) fn new(r: f64, a: f64, b: f64) -> Self {
        Dropout {
            r,
            a,
            b,
            tables: Some(Arc::new([const { OnceLock::new() }; TABLES])),
        }
    }

    /// For a single customer's parameters: no table would be used twice.
    pub(crate) fn without_tables(r: f64, a: f64, b: f64) -> Self {
        let tables = None;
        Dropout { r, a, b, tables }
    }

    /// `E(t)` after `x` repeat purchases, with `tau = t/A` and `log_tau1 = ln(1 + tau)`; NaN when
    /// `tau` has overflowed.
    pub(crate) fn purchases(&self, x: f64, tau: f64, log_tau1: f64) -> f64 {
        let shape = self.r + x;
        if !tau.is_finite() {
            return f64::NAN;
        }
        match self.series(x).and_then(|series| series.sum(tau)) {
            Some(sum) => exp(-shape * log_tau1) * sum,
            None => trapezoid(self.a, self.b + x, shape, tau),
        }
    }

    /// The factors of (2) after `(1−z)^R` of customers with these frequencies; NaN where the table does
    /// not reach.
    pub(crate) fn series_sums(&self, x: impl Iterator<Item = f64>, tau: &[f64], out: &mut [f64]) {
        let mut tables: [&[f64]; CHUNK] = [BEYOND; CHUNK];
        let mut z = [0.0; CHUNK];
        let count = tau.len();
        for (((table, z), x), tau) in tables.iter_mut().zip(&mut z).zip(x).zip(tau) {
            *z = share(*tau);
            let reached = self.series(x).and_then(|series| series.truncated(*z));
            *table = reached.unwrap_or(BEYOND);
        }
        polynomials(&tables[..count], &z[..count], out);
        for (slot, z) in out.iter_mut().zip(&z) {
            *slot *= z;
        }
    }

    /// The series of `x` if it reaches to `tau`.
    pub(crate) fn series_to(&self, x: f64, tau: f64) -> Option<&Series> {
        self.series(x).filter(|series| series.reaches(tau))
    }

    /// How fast `E` may bend in `ln(1 + tau)`: `R` times a leaving probability beyond which little
    /// weight is left (`e^{−15}` and less; what bends faster than this is that much smaller).
    pub(crate) fn bend(&self, x: f64) -> f64 {
        let stay = self.b + x;
        let likely = (self.a + 15.0) / (self.a + stay + 15.0);
        (self.r + x) * likely
    }

    #[inline]
    fn series(&self, x: f64) -> Option<&Series> {
        let shape = self.r + x;
        if x >= TABLES as f64 || shape > LARGEST_SHAPE {
            return None;
        }
        let slot = self.tables.as_ref()?.get(x as usize)?;
        Some(slot.get_or_init(|| Series::new(self.a, self.b + x, shape)))
    }
}

/// Coefficients of (2) for one `x`, and how far each truncation reaches.
#[derive(Debug)]
pub(crate) struct Series {
    /// `R`.
    shape: f64,
    /// `(R)_n/n! · D_n` for `n` from 1.
    coefficients: Vec<f64>,
    /// Largest `z` for which the first `LENGTHS[i]` terms are enough.
    reach: [f64; LENGTHS.len()],
}

impl Series {
    fn new(a: f64, stay: f64, shape: f64) -> Self {
        let mut coefficients = Vec::with_capacity(TERMS + 2);
        let (mut rising, mut made, mut kept) = (1.0, 0.0, 1.0);
        for index in 0..TERMS + 2 {
            let n = index as f64;
            rising *= (shape + n) / (n + 1.0);
            made += kept;
            kept *= (stay + n) / (a + stay + n);
            coefficients.push(rising * made);
        }
        let reach = LENGTHS.map(|length| reach(&coefficients, length, shape));
        Series {
            shape,
            coefficients,
            reach,
        }
    }

    /// `R`: the sum is to be multiplied by `(1 + tau)^−R`.
    pub(crate) fn shape(&self) -> f64 {
        self.shape
    }

    fn reaches(&self, tau: f64) -> bool {
        share(tau) <= self.reach[LENGTHS.len() - 1]
    }

    /// `Σ c_n zⁿ` with the shortest truncation that suffices; `None` beyond the last.
    pub(crate) fn sum(&self, tau: f64) -> Option<f64> {
        let z = share(tau);
        Some(z * polynomial(self.truncated(z)?, z))
    }

    /// The coefficients that suffice; none beyond the last. Without a branch to be mispredicted.
    #[inline]
    fn truncated(&self, z: f64) -> Option<&[f64]> {
        let short = |reach: &f64| usize::from(z > *reach);
        let tier: usize = self.reach.iter().map(short).sum();
        self.coefficients.get(..*LENGTHS.get(tier)?)
    }
}

/// `z = τ/(1 + τ)`.
fn share(tau: f64) -> f64 {
    tau / (1.0 + tau)
}

/// Largest `z` at which dropping the terms from `length` on loses at most `NEGLIGIBLE`, by
/// bisection. The ratio of successive coefficients is at most `max(1, (R+n)/(n+1)) · D_{n+1}/D_n`
/// for every later `n`, so a geometric series bounds the rest.
fn reach(coefficients: &[f64], length: usize, shape: f64) -> f64 {
    let first_dropped = coefficients[length];
    let n = length as f64 + 1.0;
    let own_ratio = coefficients[length + 1] / first_dropped;
    let ratio = own_ratio * ((n + 1.0) / (shape + n)).max(1.0);
    let enough = |z: f64| {
        if z * ratio >= 1.0 {
            return false;
        }
        let kept = polynomial(&coefficients[..length], z);
        let dropped = first_dropped * exp(length as f64 * ln(z)) / (1.0 - z * ratio);
        dropped <= NEGLIGIBLE * kept
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..16 {
        let middle = 0.5 * (low + high);
        if enough(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::{Dropout, Series, trapezoid::trapezoid};
    use cvm_math::log1p;

    #[test]
    fn table_and_trapezoid_agree_where_both_reach() {
        for (a, b, r) in [
            (0.8, 2.4, 0.24),
            (1.0, 0.3, 3.0),
            (0.05, 12.0, 0.1),
            (7.0, 4.0, 30.0),
        ] {
            let dropout = Dropout::new(r, a, b);
            let mut compared = 0;
            for x in [0.0, 1.0, 5.0, 20.0, 63.0] {
                for tau in [1e-9, 1e-3, 0.1, 0.9, 3.0] {
                    let Some(sum) = dropout.series(x).and_then(|series| series.sum(tau)) else {
                        continue;
                    };
                    compared += 1;
                    let table = sum * cvm_math::exp(-(r + x) * log1p(tau));
                    let rule = trapezoid(a, b + x, r + x, tau);
                    let error = (table / rule - 1.0).abs();
                    assert!(error < 2e-12, "{a} {b} {r} {x} {tau}: {error:e}");
                }
            }
            assert!(compared >= 15, "{compared}");
        }
    }

    #[test]
    fn one_period_more_never_expects_less() {
        let dropout = Dropout::new(0.24, 0.79, 2.4);
        for x in [0.0, 3.0, 40.0, 5000.0] {
            let mut last = 0.0;
            for index in 0..200 {
                let tau = cvm_math::exp(f64::from(index) * 0.2 - 20.0);
                let now = dropout.purchases(x, tau, log1p(tau));
                assert!(now > last, "x {x} tau {tau}: {now} after {last}");
                last = now;
            }
        }
    }

    #[test]
    fn longer_truncations_reach_further() {
        let series = Series::new(0.8, 2.4, 0.24);
        assert!(series.reach.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(series.reach[3] > 0.8, "{:?}", series.reach);
    }
}

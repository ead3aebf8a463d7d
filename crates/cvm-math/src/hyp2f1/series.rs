//! The power series of 2F1 with its derivative, rescaled so that it never overflows.

use super::Parameters;
use super::real::Real;

/// `z` up to which the series is summed whatever its parameters.
pub(super) const LIMIT: f64 = 0.85;

/// Terms that are tried beyond [`LIMIT`] before the continuation: enough where `c` is large.
pub(super) const FEW_TERMS: u32 = 256;

/// Sizes above this are divided by 2^600, counted in the exponent.
pub(super) const LARGE: f64 = 1.0e200;
const DOWN: f64 = f64::from_bits((1023 - 600) << 52);
const DOWN_EXPONENT: f64 = 600.0;

/// A value with the error that its summation left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum<T> {
    /// The sum, to be multiplied by `2^exponent`.
    pub value: T,
    /// `z dF/dz` of the series, `(1-z) dF/dz` of a Taylor step; same factor.
    pub slope: T,
    /// Power of two taken out.
    pub exponent: f64,
    /// Sum of the terms' sizes over the size of their sum: what an earlier error grows by.
    pub cancellation: f64,
    /// Estimated relative error of `value`.
    pub error: f64,
}

impl<T: Real> Sum<T> {
    /// The number one.
    pub(super) fn one() -> Self {
        Sum {
            value: T::from_f64(1.0),
            slope: T::from_f64(0.0),
            exponent: 0.0,
            cancellation: 1.0,
            error: 0.0,
        }
    }

    /// The sums of `n` terms, with an error from cancellation and from the count of roundings.
    ///
    /// The roundings of `a + n` have one sign for long stretches of `n`: hence `n` and no root.
    pub(super) fn of(value: T, slope: T, size: f64, exponent: f64, n: f64) -> Self {
        let cancellation = size / value.hi().abs();
        let error = T::EPSILON * (1.0 + n / 32.0) * cancellation;
        let error = if error.is_nan() { f64::INFINITY } else { error };
        Sum {
            value,
            slope,
            exponent,
            cancellation,
            error,
        }
    }

    /// No value within the limit of terms.
    pub(super) fn undefined() -> Self {
        let nan = T::from_f64(f64::NAN);
        Sum {
            value: nan,
            slope: nan,
            exponent: 0.0,
            cancellation: f64::INFINITY,
            error: f64::INFINITY,
        }
    }
}

/// Running sums of terms and of `n` times the term, with the size of what was added.
pub(super) struct Running<T> {
    value: T,
    slope: T,
    size: f64,
    exponent: f64,
}

impl<T: Real> Running<T> {
    /// Starts with the term of index 0.
    #[inline(always)]
    pub(super) fn new(term: T) -> Self {
        let zero = T::from_f64(0.0);
        Running {
            value: term,
            slope: zero,
            size: term.hi().abs(),
            exponent: 0.0,
        }
    }

    /// Adds the term of index `n`.
    #[inline(always)]
    pub(super) fn push(&mut self, n: f64, term: T) {
        let weighted = term.times(n);
        self.value = self.value.add(term);
        self.slope = self.slope.add(weighted);
        self.size += term.hi().abs();
    }

    /// Whether a remainder of `size / share` changes neither sum.
    #[inline(always)]
    pub(super) fn is_negligible(&self, size: f64, share: f64, n: f64) -> bool {
        let tolerance = 0.25 * T::EPSILON * share;
        size <= tolerance * self.value.hi().abs() && n * size <= tolerance * self.slope.hi().abs()
    }

    /// Divides the sums by 2^600 when `size` has become large, and says by what factor.
    #[inline(always)]
    pub(super) fn rescale(&mut self, size: f64) -> Option<f64> {
        if size < LARGE {
            return None;
        }
        self.value = self.value.times(DOWN);
        self.slope = self.slope.times(DOWN);
        self.size *= DOWN;
        self.exponent += DOWN_EXPONENT;
        Some(DOWN)
    }

    /// The sums after `n` terms.
    pub(super) fn finish(self, n: f64) -> Sum<T> {
        Sum::of(self.value, self.slope, self.size, self.exponent, n)
    }
}

/// Sums the series at `z` in (0, 1], within a number of terms.
///
/// Stops where a geometric bound on the rest, with the larger of the present ratio and `z`, no
/// longer changes the sums; not before the sign of `c + n` is settled.
pub(super) fn sum<T: Real>(p: &Parameters<T>, z: T, max_terms: u32) -> Sum<T> {
    let settled = -p.c.hi();
    let mut term = T::from_f64(1.0);
    let mut sums = Running::new(term);
    for count in 0..max_terms {
        let n = f64::from(count);
        let top = p.a.plus(n).mul(p.b.plus(n)).mul(z);
        let ratio = top.div(p.c.plus(n).times(n + 1.0));
        term = term.mul(ratio);
        sums.push(n + 1.0, term);
        let size = term.hi().abs();
        if size == 0.0 {
            return sums.finish(n);
        }
        let bound = ratio.hi().abs().max(z.hi());
        if bound < 1.0 && n > settled && sums.is_negligible(size * bound, 1.0 - bound, n) {
            return sums.finish(n);
        }
        if let Some(down) = sums.rescale(size) {
            term = term.times(down);
        }
    }
    Sum::undefined()
}

//! 2F1 towards `z = 1`: Taylor steps of the hypergeometric equation, each halving `y = 1 - z`.
//!
//! Around `z₀ = 1 - y₀` the terms `g_k = F^(k)(z₀) h^k / k!` obey
//! ```text
//! (k+1)(k+2) g_(k+2) = (k+a)(k+b) h²/(z₀y₀) g_k
//!                    + (k+1)((1-2y₀)k + 1 - s - (a+b+1)y₀) h/(z₀y₀) g_(k+1)
//! ```
//! with `s = c - a - b`: Abramowitz & Stegun (1964), 15.5.1, expanded. With `h <= y₀/2` the terms
//! fall like 2^-k, so a step takes some 60 terms however near to 1 the point lies, and the
//! rounding errors of large parameters do not build up over thousands of terms.

use super::Parameters;
use super::real::Real;
use super::series::{self, Running, Sum};

/// Terms that a step is charged besides its own, so that steps of no length come to an end.
const STEP_COST: u32 = 8;

/// Distance from which the steps start: the series' terms before it, about `37/y`, and the
/// steps after it, about `c y / 2` of some 25 terms, cost least together.
pub(super) fn start_distance(c: f64) -> f64 {
    (1.7 / (1.0 + c.abs()).sqrt()).clamp(0.001, 0.5)
}

/// F at distance `y` below [`start_distance`] from the singularity.
pub(super) fn from_series<T: Real>(p: &Parameters<T>, y: T) -> Sum<T> {
    let mut distance = T::from_f64(start_distance(p.c.hi()));
    let start = T::from_f64(1.0).sub(distance);
    let mut at = series::sum(p, start, T::MAX_TERMS);
    at.slope = at.slope.mul(distance).div(start);
    let mut budget = T::MAX_TERMS;
    while distance.hi() > y.hi() {
        let next = next_distance(p, distance, y);
        let stuck = next.hi() >= distance.hi();
        if stuck || !at.error.is_finite() {
            return Sum::undefined();
        }
        at = step(p, &at, distance, next, &mut budget);
        distance = next;
    }
    at
}

/// Where the next step lands: at half the distance, or before it where `c` or `s` is large.
///
/// The equation's other solutions, `z^(1-c)` and `y^s`, die out along the way, but their Taylor
/// terms alternate and grow like `e^(c h / z)` and `e^(s h / y)`: rounding errors would ride on
/// them. Both exponents are held at 2.
fn next_distance<T: Real>(p: &Parameters<T>, distance: T, y: T) -> T {
    let d = distance.hi();
    let for_c = 2.0 * (1.0 - d) / (1.0 + p.c.hi().abs());
    let for_s = 2.0 * d / (1.0 + p.excess().hi().max(3.0));
    let next = d - for_c.min(for_s);
    if next <= y.hi() { y } else { T::from_f64(next) }
}

/// Coefficients of one step's recurrence.
struct Recurrence<T> {
    square: T,
    linear: T,
    offset: T,
    turn: T,
}

impl<T: Real> Recurrence<T> {
    fn new(p: &Parameters<T>, y0: T, h: T) -> Self {
        let one = T::from_f64(1.0);
        let linear = h.div(y0).div(one.sub(y0));
        let pull = p.a.add(p.b).plus(1.0).mul(y0);
        Recurrence {
            square: linear.mul(h),
            linear,
            offset: one.sub(p.excess()).sub(pull),
            turn: one.sub(y0.times(2.0)),
        }
    }

    /// `g_(k+2)` from `g_k` and `g_(k+1)`.
    #[inline(always)]
    fn next(&self, p: &Parameters<T>, k: f64, g: T, g_next: T) -> T {
        let from_g = p.a.plus(k).mul(p.b.plus(k)).mul(self.square).mul(g);
        let slope = self.turn.times(k).add(self.offset).times(k + 1.0);
        let sum = from_g.add(slope.mul(self.linear).mul(g_next));
        sum.div(T::from_f64((k + 1.0) * (k + 2.0)))
    }
}

/// From `1 - z = y0` to `y1`, at least half of `y0`; takes its terms from the budget.
fn step<T: Real>(p: &Parameters<T>, from: &Sum<T>, y0: T, y1: T, budget: &mut u32) -> Sum<T> {
    let h = y0.sub(y1);
    let recurrence = Recurrence::new(p, y0, h);
    let mut g = from.value;
    let mut g_next = from.slope.mul(h.div(y0));
    let mut sums = Running::new(g);
    sums.push(1.0, g_next);
    for count in 0..*budget {
        let k = f64::from(count);
        let new = recurrence.next(p, k, g, g_next);
        (g, g_next) = (g_next, new);
        sums.push(k + 2.0, new);
        let size = g.hi().abs().max(new.hi().abs());
        let falling = new.hi().abs() <= 0.75 * g.hi().abs() || size == 0.0;
        if falling && sums.is_negligible(size, 0.25, k) {
            *budget = budget.saturating_sub(count + STEP_COST);
            return land(sums.finish(k), from, y1.div(h));
        }
        if let Some(down) = sums.rescale(size) {
            (g, g_next) = (g.times(down), g_next.times(down));
        }
    }
    Sum::undefined()
}

/// The step's sums with `y dF/dz` for the next step and the errors of all steps so far.
fn land<T: Real>(step: Sum<T>, from: &Sum<T>, y_over_h: T) -> Sum<T> {
    Sum {
        slope: step.slope.mul(y_over_h),
        exponent: from.exponent + step.exponent,
        error: from.error * step.cancellation + step.error,
        ..step
    }
}

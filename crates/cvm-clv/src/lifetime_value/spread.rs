//! Predictive variance of the value of the orders to a horizon, without discounting.
//!
//! With `N` orders, the customer's own mean spend `M` (not known) and `W = E[Var(Z | customer)]`,
//! `N` independent of spend, and `G = margin·M − cost` per order,
//!
//! ```text
//! Var(Σ_{i≤N} (margin·Z_i − cost)) = margin²·(E[N]·W + E[N²]·Var(M)) + E[G]²·Var(N)
//! E[N²] = Σ_{n≥0} (2n+1) · P(N > n)
//! ```
//!
//! by the law of total variance, given `M` and then `N`. All terms are positive but those of
//! `Var(N) = E[N²] − E[N]²`. The sum ends where a geometric bound on the rest is below 1e-15 of it.

use super::product;
use cvm_math::exp;

/// Terms of the sum.
const MOST_TERMS: u32 = 5_000;
/// A customer of whom more orders are expected has no answer: the sum would not end in time.
pub(super) const MOST_ORDERS: f64 = 1_000.0;

/// The variance from `E[N]`, `n ↦ ln P(N ≥ n)`, and `[margin, W, Var(M), E[G]]`.
pub(super) fn value_variance(
    mean: f64,
    ln_tail: impl Fn(f64) -> f64,
    [margin, within, of_mean, gain]: [f64; 4],
) -> f64 {
    if mean == 0.0 || (margin == 0.0 && gain == 0.0) {
        return 0.0;
    }
    if mean.is_infinite() {
        return f64::INFINITY;
    }
    if mean > MOST_ORDERS {
        return f64::NAN;
    }
    let square = square_of_count(ln_tail);
    let share = margin * margin;
    let of_spend = product(share, mean * within) + product(share, square * of_mean);
    let of_count = product(gain * gain, (square - mean * mean).max(0.0));
    of_spend + of_count
}

/// `E[N²]`; NaN beyond the bound on work.
fn square_of_count(ln_tail: impl Fn(f64) -> f64) -> f64 {
    const CLOSE: f64 = 1e-15;
    let (mut sum, mut before) = (0.0, 1.0);
    for n in 0..MOST_TERMS {
        let (n, tail) = (f64::from(n), exp(ln_tail(f64::from(n) + 1.0)));
        if tail == 0.0 {
            return sum;
        }
        sum += (2.0 * n + 1.0) * tail;
        let rest = 1.0 - tail / before;
        before = tail;
        // Σ_{k≥1} (2(n+k)+1) ρ^k ≤ (2n+3)/(1−ρ)² for a ratio of tails ρ.
        if (2.0 * n + 3.0) * tail < CLOSE * sum * rest * rest {
            return sum;
        }
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::{square_of_count, value_variance};
    use cvm_math::ln;

    /// `P(N ≥ n) = ρ^n`: `E[N] = ρ/(1−ρ)`, `E[N²] = ρ(1+ρ)/(1−ρ)²`.
    #[test]
    fn a_geometric_count() {
        for ratio in [1e-9, 0.3, 0.9, 0.99] {
            let got = square_of_count(|n| n * ln(ratio));
            let rest = 1.0 - ratio;
            let want = ratio * (1.0 + ratio) / (rest * rest);
            assert!((got / want - 1.0).abs() < 1e-12, "{ratio}: {got} {want}");
            let mean = ratio / rest;
            let variance = value_variance(mean, |n| n * ln(ratio), [0.5, 4.0, 9.0, 3.0]);
            let want = 0.25 * (mean * 4.0 + want * 9.0) + 9.0 * ratio / (rest * rest);
            assert!((variance / want - 1.0).abs() < 1e-10, "{variance} {want}");
        }
    }

    #[test]
    fn ends() {
        assert_eq!(square_of_count(|_| f64::NEG_INFINITY), 0.0);
        assert!(square_of_count(|_| 0.0).is_nan());
        let infinite = [1.0, f64::INFINITY, f64::INFINITY, 2.0];
        assert_eq!(value_variance(0.0, |_| 0.0, infinite), 0.0);
        assert_eq!(
            value_variance(f64::INFINITY, |_| 0.0, infinite),
            f64::INFINITY
        );
        let one = |n: f64| if n > 1.0 { f64::NEG_INFINITY } else { 0.0 };
        assert_eq!(value_variance(1.0, one, infinite), f64::INFINITY);
        // Without a margin every order is worth its cost, whatever is spent.
        assert_eq!(
            value_variance(1.0, one, [0.0, f64::INFINITY, 1.0, -2.0]),
            0.0
        );
    }
}

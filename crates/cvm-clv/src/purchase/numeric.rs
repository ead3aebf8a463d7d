//! Discounting by quadrature and quantiles by bisection, for models without a closed form.
//!
//! With `E(t)` non-decreasing, `E(0) = 0`:
//!
//! ```text
//! D(H) = ∫_0^H e^{−δs} dE(s) = e^{−δH} E(H) + δ ∫_0^H e^{−δs} E(s) ds
//! ```
//!
//! by parts: both terms are positive. In `v = ln(1 + s/scale)` the integrand is smooth, and panels
//! of 16 Gauss-Legendre nodes, short where the discount falls fast, converge beyond 1e-12.

use cvm_math::quadrature::gauss_legendre_16;
use cvm_math::{exp, expm1, ln, log1p};

/// `e^{−x}` beyond this no longer matters beside the rest.
const FORGOTTEN: f64 = 45.0;
/// Widest panel in `v`.
const PANEL: f64 = 0.5;
/// Most a panel may discount, in `δ·s`.
const BEND: f64 = 2.0;
/// Rules at most, of 16 nodes each; beyond, the answer is NaN: reached only at parameters that mean
/// nothing.
const MOST_RULES: u32 = 4_000;

/// `D(t)`; `t` may be infinite when `delta > 0`.
pub(crate) fn discounted(expected: impl Fn(f64) -> f64, scale: f64, t: f64, delta: f64) -> f64 {
    let at_end = if t.is_finite() {
        exp(-delta * t) * expected(t)
    } else {
        0.0
    };
    at_end + delta * integral(|s| exp(-delta * s) * expected(s), scale, t, delta)
}

/// `∫_0^t f(s) ds` of a function that falls at least as fast as `e^{−delta·s}` times a smooth one;
/// `t` may be infinite when `delta > 0`.
pub(crate) fn integral(f: impl Fn(f64) -> f64, scale: f64, t: f64, delta: f64) -> f64 {
    let stop = t.min(if delta > 0.0 {
        FORGOTTEN / delta
    } else {
        f64::INFINITY
    });
    let end = log1p(stop / scale);
    let (mut low, mut sum) = (0.0, Budgeted::new());
    while low < end {
        let start = scale * expm1(low);
        // The next panel discounts by at most e^{−BEND}.
        let by_discount = if delta > 0.0 {
            log1p((start + BEND / delta) / scale)
        } else {
            end
        };
        let high = end.min(low + PANEL).min(by_discount);
        let panel = |v: f64| {
            let s = scale * expm1(v);
            f(s) * (scale + s)
        };
        if high <= low || !sum.add(&panel, low, high) {
            return f64::NAN;
        }
        low = high;
    }
    sum.total
}

/// A sum of panels with an end to its work.
struct Budgeted {
    total: f64,
    rules_left: u32,
}

impl Budgeted {
    fn new() -> Self {
        Budgeted {
            total: 0.0,
            rules_left: MOST_RULES,
        }
    }

    /// Adds a panel, halved where one rule and two disagree; whether the work was within bounds.
    fn add(&mut self, f: &impl Fn(f64) -> f64, low: f64, high: f64) -> bool {
        /// Halvings of one panel: the last is a millionth of it.
        const DEPTH: usize = 20;
        const CLOSE: f64 = 2e-14;
        let mut open = vec![(low, high, gauss_legendre_16(f, low, high), 0)];
        while let Some((low, high, whole, depth)) = open.pop() {
            let Some(rules_left) = self.rules_left.checked_sub(2) else {
                return false;
            };
            self.rules_left = rules_left;
            let middle = 0.5 * (low + high);
            let left = gauss_legendre_16(f, low, middle);
            let right = gauss_legendre_16(f, middle, high);
            let close = (left + right - whole).abs() <= CLOSE * (self.total + left + right).abs();
            if close || depth == DEPTH {
                self.total += left + right;
            } else {
                open.push((middle, high, right, depth + 1));
                open.push((low, middle, left, depth + 1));
            }
        }
        true
    }
}

/// The smallest `t` at which `log_probability`, which never falls, reaches `target`; infinite if it
/// does not by `1e15` scales. On the logarithm of `t`, to the last bits, by Chandrupatla's method
/// (1997, *Advances in Engineering Software* 28(3)): inverse quadratic interpolation where the last
/// three points allow it, bisection where not.
pub(crate) fn first_reaching(log_probability: impl Fn(f64) -> f64, target: f64, scale: f64) -> f64 {
    const SPAN: f64 = 1e15;
    const ROUNDS: u32 = 200;
    let gap = |v: f64| log_probability(exp(v)).max(-1e300) - target;
    let (mut near, mut far) = (ln(scale * SPAN), ln(scale / SPAN));
    let (mut gap_near, mut gap_far) = (gap(near), gap(far));
    if gap_near < 0.0 {
        return f64::INFINITY;
    }
    let mut share = 0.5;
    for _ in 0..ROUNDS {
        let trial = near + share * (far - near);
        if trial == near || trial == far || gap_near == 0.0 {
            break;
        }
        let gap_trial = gap(trial);
        let (last, gap_last) = if (gap_trial < 0.0) == (gap_near < 0.0) {
            (near, gap_near)
        } else {
            let last = (far, gap_far);
            (far, gap_far) = (near, gap_near);
            last
        };
        (near, gap_near) = (trial, gap_trial);
        share = next_share([near, far, last], [gap_near, gap_far, gap_last]);
    }
    // Of the two ends, the one that has reached the target.
    exp(if gap_near >= 0.0 { near } else { far })
}

/// Where to try next between the first two places, as a share of their distance.
fn next_share([a, b, c]: [f64; 3], [fa, fb, fc]: [f64; 3]) -> f64 {
    let xi = (a - b) / (c - b);
    let phi = (fa - fb) / (fc - fb);
    if !(phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi) {
        return 0.5;
    }
    let share =
        fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb);
    // Never closer to an end than the last bits can tell.
    let least = 4.0 * f64::EPSILON * a.abs().max(1.0) / (b - a).abs();
    if share.is_finite() {
        share.max(least).min(1.0 - least)
    } else {
        0.5
    }
}

#[cfg(test)]
mod tests {
    use super::{discounted, first_reaching};
    use cvm_math::{exp, expm1, ln};

    #[test]
    fn a_constant_rate_discounts_in_closed_form() {
        for (rate, delta, t) in [
            (0.3, 0.01, 50.0),
            (2.0, 1e-4, 1e6),
            (0.1, 3.0, f64::INFINITY),
        ] {
            let got = discounted(|s| rate * s, 5.0, t, delta);
            let want = -rate * expm1(-delta * t) / delta;
            assert!((got / want - 1.0).abs() < 1e-13, "{got} {want}");
        }
    }

    #[test]
    fn a_geometric_lifetime_discounts_in_closed_form() {
        // E(s) = (1 − e^{−μs})/μ, so D(inf) = 1/(μ + δ).
        for (mu, delta) in [(0.01, 0.002), (5.0, 0.1), (1e-5, 0.3)] {
            let expected = |s: f64| -expm1(-mu * s) / mu;
            let got = discounted(expected, 10.0, f64::INFINITY, delta);
            assert!(
                (got * (mu + delta) - 1.0).abs() < 1e-12,
                "{got} {mu} {delta}"
            );
        }
    }

    #[test]
    fn the_median_of_an_exponential_is_found() {
        let tail = |t: f64| ln(-expm1(-0.2 * t));
        let median = first_reaching(tail, ln(0.5), 3.0);
        assert!((median / (ln(2.0) / 0.2) - 1.0).abs() < 1e-14);
        assert_eq!(first_reaching(|_| ln(0.3), ln(0.5), 1.0), f64::INFINITY);
        assert!((exp(tail(median)) - 0.5).abs() < 1e-15);
    }
}

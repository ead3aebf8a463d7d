//! How long a customer who may leave after each purchase stays.
//!
//! With `λ ~ Gamma(R, A)`, `p ~ Beta(a, B)` and `τ = t/A`, the chance of not having left is
//!
//! ```text
//! S(t) = E_p[(1 + pτ)^−R] = 2F1(R, a; a+B; −τ)                              (1)
//!      = 1 − a/(a+B) · E_{p ~ Beta(a+1, B)}[(1 − (1 + pτ)^−R)/p]             (2)
//! ```
//!
//! (2) keeps its digits while `S` is not small, whatever the parameters; (1) does where it is.
//! Source: Abramowitz & Stegun (1964), 15.3.1, for (1).

use super::trapezoid::trapezoid;
use crate::purchase::integral;
use cvm_math::{exp, ln, ln_hyp2f1, log1p};

/// `S` below this is taken from (1).
const SMALL: f64 = 0.25;

/// `e^−60` of a lifetime is none of its digits.
const LN_NEGLIGIBLE: f64 = -60.0;

/// Parameters beyond which (1) may take milliseconds or fail; (2) is then right to 1e-15 absolute.
const LARGEST: f64 = 1e5;

/// `S` at `tau = t/A`, zero or greater.
pub(crate) fn survival(a: f64, stay: f64, shape: f64, tau: f64) -> f64 {
    if tau == 0.0 {
        return 1.0;
    }
    if tau == f64::INFINITY {
        return 0.0;
    }
    let gone = a / (a + stay) * trapezoid(a + 1.0, stay, shape, tau);
    let direct = 1.0 - gone;
    if direct > SMALL || shape.max(a + stay) > LARGEST {
        return direct.clamp(0.0, 1.0);
    }
    let (log, _) = ln_hyp2f1(shape, a, a + stay, -tau, 1.0 + tau);
    if log.is_nan() {
        direct.max(0.0)
    } else {
        exp(log)
    }
}

/// `∫_0^t e^{−δs} S(s) ds` with `end = A`; `t` may be infinite. The mean lifetime
/// `A/(R−1) · (a+B−1)/(a−1)` is infinite unless `R > 1` and `a > 1`.
pub(crate) fn survival_integral(
    a: f64,
    stay: f64,
    shape: f64,
    end: f64,
    t: f64,
    delta: f64,
) -> f64 {
    if t == f64::INFINITY && delta == 0.0 {
        if a <= 1.0 || shape <= 1.0 {
            return f64::INFINITY;
        }
        return end / (shape - 1.0) * (1.0 + stay / (a - 1.0));
    }
    // A lifetime is about `end/(1+R)` or more, and what is left out no longer than this.
    let reach = t.min(1.0 / delta).max(end);
    let negligible = LN_NEGLIGIBLE - log1p(shape) - ln(reach / end);
    let still = |s: f64| match ln_bound(a, stay, shape, s / end) < negligible {
        true => 0.0,
        false => exp(-delta * s) * survival(a, stay, shape, s / end),
    };
    integral(still, end, t, delta)
}

/// A bound of `ln S` that costs little, for what would take milliseconds and is nothing. At any `q` below
/// the mean `m` of `p`, `S ≤ P(p ≤ q) + (1 + qτ)^−R` and `P(p ≤ q) ≤ (q/m)^a ((1−q)/(1−m))^B`
/// (Dümbgen 1998, *Statistics & Probability Letters* 38); the best of three `q`.
fn ln_bound(a: f64, stay: f64, shape: f64, tau: f64) -> f64 {
    let mean = a / (a + stay);
    let ln_rest = ln(stay / (a + stay));
    let at = |share: f64| {
        let below = a * ln(share) + stay * (log1p(-share * mean) - ln_rest);
        below.max(-shape * log1p(share * mean * tau))
    };
    let best = at(0.5).min(at(0.25)).min(at(0.0625));
    best + std::f64::consts::LN_2
}

/// Purchases a living customer will ever make, `E[1/p]`: infinite unless `a > 1`.
pub(crate) fn purchases_forever(a: f64, stay: f64) -> f64 {
    if a <= 1.0 {
        return f64::INFINITY;
    }
    1.0 + stay / (a - 1.0)
}

#[cfg(test)]
mod tests {
    use super::{ln_bound, survival, survival_integral};
    use cvm_math::ln;

    #[test]
    fn the_bound_is_one() {
        for (a, stay) in [
            (1e-3, 2.0),
            (0.8, 2.4),
            (20.0, 50.0),
            (1000.0, 1300.0),
            (5.0, 1e-3),
        ] {
            for shape in [1e-3, 0.7, 30.0, 300.0] {
                for tau in [1e-6, 0.1, 1.0, 30.0, 1e6] {
                    let (bound, value) =
                        (ln_bound(a, stay, shape, tau), survival(a, stay, shape, tau));
                    assert!(
                        bound >= ln(value),
                        "{a} {stay} {shape} {tau}: {bound} {value}"
                    );
                }
            }
        }
    }

    /// Who leaves soon is not followed over a billion periods: seconds a customer without the bound.
    #[test]
    fn a_steep_curve_ends_as_it_does_without_a_horizon() {
        for (a, stay, shape) in [(1000.0, 1299.0, 300.001), (30_000.0, 30_299.0, 305.0)] {
            let cut = survival_integral(a, stay, shape, 12.0, 1e9, 0.0);
            let whole = survival_integral(a, stay, shape, 12.0, f64::INFINITY, 0.0);
            assert!((cut / whole - 1.0).abs() < 1e-12, "{cut} {whole}");
        }
    }
}

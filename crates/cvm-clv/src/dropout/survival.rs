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
use cvm_math::{exp, ln_hyp2f1};

/// `S` below this is taken from (1).
const SMALL: f64 = 0.25;

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
    integral(
        |s| exp(-delta * s) * survival(a, stay, shape, s / end),
        end,
        t,
        delta,
    )
}

/// Purchases a living customer will ever make, `E[1/p]`: infinite unless `a > 1`.
pub(crate) fn purchases_forever(a: f64, stay: f64) -> f64 {
    if a <= 1.0 {
        return f64::INFINITY;
    }
    1.0 + stay / (a - 1.0)
}

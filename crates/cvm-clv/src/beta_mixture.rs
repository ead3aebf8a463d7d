//! Periods survived when the chance to leave, the same in every period, differs by a beta law.
//!
//! With `θ ~ Beta(a, b)` and survival of a period with probability `1 − θ`,
//!
//! ```text
//! M(t) = Σ_{k=1}^t e^{−δk} S(k),   S(k) = E[(1−θ)^k] = (b)_k/(a+b)_k
//! δ = 0:   M(t) = b·(e^L − 1)/(1 − a),   L = ln[ (b+1)_t/(a+b)_t ]
//! ```
//!
//! the closed form by Gosper's telescoping; `L` is a [`beta_drop`] in `|1 − a|`, so that `a = 1`, where
//! `M(t) = b(ψ(b+1+t) − ψ(b+1))`, is approached without loss. With discounting the infinite sum is
//! `e^{−δ} S(1) 2F1(1, b+1; a+b+1; e^{−δ})` (Fader & Hardie 2010, eq. 7); it is summed directly
//! (`smooth_sum`), which has finite ends too and no bad corners.

use crate::beta_ratio::{beta_drop, digamma_step};
use crate::smooth_sum::{Terms, smooth_sum};
use cvm_math::{exp, expm1, ln};

/// Up to here terms are multiplied up one by one.
const SHORT: f64 = 512.0;

/// `M(t)` for `a`, `b` positive, `t` whole or infinite, `delta >= 0`.
pub(crate) fn periods_survived(a: f64, b: f64, t: f64, delta: f64) -> f64 {
    if t == 0.0 {
        return 0.0;
    }
    if delta == 0.0 {
        return undiscounted(a, b, t);
    }
    if t <= SHORT {
        return multiplied_up(a, b, t, exp(-delta));
    }
    let terms = Mixture { a, b, delta };
    smooth_sum(&terms, 1.0, t + 1.0)
}

fn undiscounted(a: f64, b: f64, t: f64) -> f64 {
    if t == f64::INFINITY {
        return if a > 1.0 { b / (a - 1.0) } else { t };
    }
    if a < 1.0 {
        let rise = beta_drop(a + b, 1.0 - a, t);
        b * expm1(rise) / (1.0 - a)
    } else if a > 1.0 {
        let fall = beta_drop(b + 1.0, a - 1.0, t);
        -b * expm1(-fall) / (a - 1.0)
    } else {
        b * digamma_step(b + 1.0, t)
    }
}

fn multiplied_up(a: f64, b: f64, t: f64, discount: f64) -> f64 {
    let (mut sum, mut term, mut k) = (0.0, 1.0, 0.0);
    while k < t {
        term *= discount * ((b + k) / (a + b + k));
        sum += term;
        k += 1.0;
    }
    sum
}

struct Mixture {
    a: f64,
    b: f64,
    delta: f64,
}

impl Terms for Mixture {
    fn ln_term(&self, k: f64) -> f64 {
        -self.delta * k - beta_drop(self.b, self.a, k)
    }

    fn ln_term_far(&self, ln_k: f64) -> f64 {
        self.ln_term(exp(ln_k))
    }

    fn rate(&self) -> f64 {
        self.delta
    }

    fn power(&self) -> f64 {
        self.a
    }

    fn ln_far(&self) -> f64 {
        ln_far(self.a, self.b)
    }
}

/// `ln x` from which on `B(a, b+x)` is `x^−a` to the last digit: the next term is `a(a+2b−1)/2x`.
pub(crate) fn ln_far(a: f64, b: f64) -> f64 {
    /// `ln 1e18`.
    const DIGITS: f64 = 41.5;
    DIGITS + ln(1.0 + a * (1.0 + a + 2.0 * b))
}

#[cfg(test)]
mod tests {
    use super::periods_survived;

    fn close(got: f64, want: f64) {
        assert!((got / want - 1.0).abs() < 2e-13, "{got} {want}");
    }

    #[test]
    fn closed_form_and_products_agree() {
        for (a, b) in [
            (0.7, 1.2),
            (1.0, 3.0),
            (1.0 + 1e-9, 0.2),
            (300.0, 2.0),
            (1e-8, 1e-8),
        ] {
            for t in [1.0, 2.0, 40.0, 512.0] {
                let products = super::multiplied_up(a, b, t, 1.0);
                close(periods_survived(a, b, t, 0.0), products);
            }
        }
    }

    #[test]
    fn products_and_long_sums_agree() {
        for (a, b) in [
            (0.7, 1.2),
            (1.0, 3.0),
            (0.01, 50.0),
            (300.0, 2.0),
            (40.0, 4e4),
        ] {
            for delta in [1e-6, 1e-3, 0.1] {
                let products = super::multiplied_up(a, b, 3000.0, cvm_math::exp(-delta));
                close(periods_survived(a, b, 3000.0, delta), products);
            }
        }
    }

    #[test]
    fn for_ever() {
        assert_eq!(
            periods_survived(1.0, 2.0, f64::INFINITY, 0.0),
            f64::INFINITY
        );
        assert_eq!(periods_survived(3.0, 2.0, f64::INFINITY, 0.0), 1.0);
        // The discount tends to nothing: the sum tends to b/(a − 1).
        close(periods_survived(3.0, 2.0, f64::INFINITY, 1e-15), 1.0);
    }
}

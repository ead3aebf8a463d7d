//! Logarithm of the median of a gamma distribution: Newton below a shape of 128, a series above.
//!
//! With `P(a, x) = x^a e^(−x)/Γ(a+1) · Σ_n x^n/((a+1)…(a+n))`, the root in `u = ln x` of
//!
//! ```text
//! f(u) = ln P(a, e^u) + ln 2 = a u − e^u − ln Γ(a+1) + ln Σ + ln 2,   f'(u) = a/Σ
//! ```
//!
//! `f` is concave, so Newton's steps approach the root from the left without fail. Far out
//!
//! ```text
//! median = a − 1/3 + 8/(405 a) + 184/(25515 a²) + 2248/(3444525 a³) − 19006408/(15345358875 a⁴) − …
//! ```
//!
//! Source: Choi (1994), *Proc. AMS* 121(1), for the series; Berg & Pedersen (2006), *Methods Appl.
//! Anal.* 13(4), for its coefficients.

use crate::{exp, ln, ln_gamma, log1p};

const LN_2: f64 = std::f64::consts::LN_2;
/// From here on the series.
const FAR: f64 = 128.0;
/// Newton's steps; a handful suffices.
const MOST_STEPS: u32 = 40;

pub(crate) fn ln_gamma_median(shape: f64) -> f64 {
    if !(shape > 0.0 && shape.is_finite()) {
        return f64::NAN;
    }
    if shape >= FAR {
        return ln(shape) + log1p(series(1.0 / shape));
    }
    // ln Γ(a+1): `a + 1` would lose the digits of a small shape.
    let ln_gamma_next = if shape < 0.5 {
        ln_gamma(shape) + ln(shape)
    } else {
        ln_gamma(shape + 1.0)
    };
    let mut at = if shape < 1.0 {
        (ln_gamma_next - LN_2) / shape
    } else {
        ln(shape) + log1p(series(1.0 / shape).max(-0.4))
    };
    for _ in 0..MOST_STEPS {
        let x = exp(at);
        let sum = tail_sum(shape, x);
        let value = shape * at - x - ln_gamma_next + ln(sum) + LN_2;
        let next = at - value * sum / shape;
        let step = (next - at).abs();
        at = next;
        if step <= 1e-15 * at.abs().max(1.0) {
            break;
        }
    }
    at
}

/// `median/a − 1` in `i = 1/a`.
fn series(i: f64) -> f64 {
    let fourth = 2_248.0 / 3_444_525.0 - i * (19_006_408.0 / 15_345_358_875.0);
    i * (-1.0 / 3.0 + i * (8.0 / 405.0 + i * (184.0 / 25_515.0 + i * fourth)))
}

/// `Σ_n x^n/((a+1)…(a+n))`, all terms positive; about `a` terms where `x` is near `a`.
fn tail_sum(shape: f64, x: f64) -> f64 {
    const MOST_TERMS: u32 = 2_000;
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..MOST_TERMS {
        term *= x / (shape + f64::from(n));
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_and_newton_meet() {
        for shape in [FAR, FAR * 1.5] {
            let far = ln(shape) + log1p(series(1.0 / shape));
            let near = ln_gamma_median(shape.min(127.999_999_999));
            if shape == FAR {
                assert!((far - near).abs() < 1e-10, "{far} {near}");
            }
            assert!(far < ln(shape));
        }
    }

    #[test]
    fn refusals() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ln_gamma_median(bad).is_nan(), "{bad}");
        }
        // The median itself is far below the doubles.
        let tiny = ln_gamma_median(1e-6);
        assert!((tiny + LN_2 / 1e-6).abs() < 1.0, "{tiny}");
    }
}

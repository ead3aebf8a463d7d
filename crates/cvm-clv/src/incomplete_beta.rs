//! Logarithm of the regularized incomplete beta function.

use crate::purchase::ln_one_minus_exp;
use cvm_math::{digamma, exp, ln, ln_beta, ln_rising, log1p, trigamma};

/// Steps of the continued fraction; it needs about the square root of the larger shape.
const MOST_STEPS: u32 = 100_000;

/// `ln I_z(p, q)` for positive shapes; `z` and `one_minus_z` are both given so that neither end
/// loses digits. The continued fraction of DLMF 8.17.22, on the side where it converges fast; the
/// other side is one minus it, and not small there.
pub(crate) fn ln_incomplete_beta(p: f64, q: f64, z: f64, one_minus_z: f64) -> f64 {
    ln_incomplete_beta_with(ln_beta(p, q), (p, q), z, one_minus_z)
}

/// `ln I_z(n, R)`, the chance of `n` purchases or more of a rate of shape `R`, however small that is.
pub(crate) fn ln_at_least(n: f64, shape: f64, z: f64, one_minus_z: f64) -> f64 {
    /// Below it the chance is so small that as a complement it would lose digits.
    const RARE: f64 = 1e-5;
    if shape < RARE {
        return ln_incomplete_beta_above(ln_beta(n, shape), (n, shape), z, one_minus_z);
    }
    ln_incomplete_beta(n, shape, z, one_minus_z)
}

/// The same for a caller who has `ln B(p, q)`: most of the cost otherwise.
pub(crate) fn ln_incomplete_beta_with(
    log_beta: f64,
    (p, q): (f64, f64),
    z: f64,
    one_minus_z: f64,
) -> f64 {
    if z <= (p + 1.0) / (p + q + 2.0) {
        return ln_direct(log_beta, p, q, z, one_minus_z);
    }
    log1p(-exp(ln_direct(log_beta, q, p, one_minus_z, z)))
}

/// The same, and right however small `q` is: there `I` is near 0, and no complement of anything. With
/// `u = 1 − z`, from the series in `u` of the complement (DLMF 8.17.7),
///
/// ```text
/// ln I_u(q, p) = q ln u + ln (Γ(p+q)/(Γ(p) Γ(1+q))) + ln(1 + q Σ_{n≥1} (1−p)_n u^n/(n! (q+n)))
/// ```
pub(crate) fn ln_incomplete_beta_above(
    log_beta: f64,
    (p, q): (f64, f64),
    z: f64,
    one_minus_z: f64,
) -> f64 {
    /// Larger ones lose no digit.
    const SMALL: f64 = 0.1;
    if q >= SMALL || z <= (p + 1.0) / (p + q + 2.0) {
        return ln_incomplete_beta_with(log_beta, (p, q), z, one_minus_z);
    }
    let (mut term, mut sum) = (1.0, 0.0f64);
    for n in (1..=MOST_STEPS).map(f64::from) {
        term *= (n - p) * one_minus_z / n;
        let next = term / (q + n);
        sum += next;
        if next.abs() <= 1e-17 * (1.0 + sum.abs()) {
            break;
        }
    }
    let below = q * ln(one_minus_z) + ln_rising_beside_one(p, q) + log1p(q * sum);
    ln_one_minus_exp(below.min(0.0))
}

/// `ln (Γ(p+q)/(Γ(p) Γ(1+q)))` to a relative error, also for tiny `q`: there the first terms of its
/// series.
fn ln_rising_beside_one(p: f64, q: f64) -> f64 {
    const TINY: f64 = 1e-4;
    if q > TINY {
        return ln_rising(p, q) - ln_rising(1.0, q);
    }
    /// ψ''(1) = −2ζ(3), DLMF 5.15.2.
    const BEND_AT_ONE: f64 = -2.404_113_806_319_188_6;
    let step = 1e-3 * p;
    let bend = (trigamma(p + step) - trigamma(p - step)) / (2.0 * step);
    let slope = digamma(p) - digamma(1.0);
    let curve = trigamma(p) - trigamma(1.0);
    q * (slope + q * (curve / 2.0 + q * (bend - BEND_AT_ONE) / 6.0))
}

fn ln_direct(log_beta: f64, p: f64, q: f64, z: f64, one_minus_z: f64) -> f64 {
    let front = p * ln(z) + q * ln(one_minus_z) - ln(p) - log_beta;
    front - ln(fraction(p, q, z))
}

/// The fraction below `1/(1 + d_1/(1 + d_2/(1 + …)))`, by the modified Lentz method (Thompson &
/// Barnett 1986, *J. Comput. Phys.* 64).
fn fraction(p: f64, q: f64, z: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut value, mut upper, mut lower) = (1.0, 1.0, 0.0);
    for step in 1..=MOST_STEPS {
        let m = f64::from(step / 2);
        let numerator = if step % 2 == 0 {
            m * (q - m) * z / ((p + 2.0 * m - 1.0) * (p + 2.0 * m))
        } else {
            -(p + m) * (p + q + m) * z / ((p + 2.0 * m) * (p + 2.0 * m + 1.0))
        };
        lower = 1.0 / away(1.0 + numerator * lower);
        upper = away(1.0 + numerator / upper);
        let factor = upper * lower;
        value *= factor;
        if (factor - 1.0).abs() < 2e-16 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::{ln_incomplete_beta, ln_incomplete_beta_above};
    use cvm_math::{exp, ln};

    #[test]
    fn closed_forms() {
        for z in [1e-9, 0.1, 0.5, 0.9, 0.999] {
            let one_minus_z = 1.0 - z;
            let power = ln_incomplete_beta(7.0, 1.0, z, one_minus_z);
            assert!((power - 7.0 * ln(z)).abs() < 1e-12 * power.abs(), "{z}");
            // I_z(2, 3) = z²(6 − 8z + 3z²)
            let cubic = z * z * (6.0 - 8.0 * z + 3.0 * z * z);
            let got = exp(ln_incomplete_beta(2.0, 3.0, z, one_minus_z));
            assert!((got / cubic - 1.0).abs() < 1e-13, "{z}: {got} {cubic}");
        }
    }

    #[test]
    fn a_small_second_shape_keeps_its_digits() {
        // mpmath 1.3 at 50 digits: ln betainc(0.75, q, 0, 0.9, regularized=True).
        let known = [
            (1e-3, -5.8849049028700811),
            (1e-9, -19.698871677658226),
            (1e-20, -45.027_307_699_048_26),
        ];
        for (q, want) in known {
            let log_beta = cvm_math::ln_beta(0.75, q);
            let got = ln_incomplete_beta_above(log_beta, (0.75, q), 0.9, 0.1);
            assert!(
                (got - want).abs() < 1e-13 * want.abs(),
                "{q:e}: {got} {want}"
            );
        }
    }
}

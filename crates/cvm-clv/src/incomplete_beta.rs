//! Logarithm of the regularized incomplete beta function.

use cvm_math::{exp, ln, ln_beta, log1p};

/// Steps of the continued fraction; it needs about the square root of the larger shape.
const MOST_STEPS: u32 = 100_000;

/// `ln I_z(p, q)` for positive shapes; `z` and `one_minus_z` are both given so that neither end
/// loses digits. The continued fraction of DLMF 8.17.22, on the side where it converges fast; the
/// other side is one minus it, and not small there.
pub(crate) fn ln_incomplete_beta(p: f64, q: f64, z: f64, one_minus_z: f64) -> f64 {
    ln_incomplete_beta_with(ln_beta(p, q), (p, q), z, one_minus_z)
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
    use super::ln_incomplete_beta;
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
}

//! Gauss-Legendre quadrature with 16 and 32 nodes: exact for polynomials of degree 31 and 63.
//!
//! Nodes and weights: Abramowitz & Stegun (1964), 25.4.29; computed to 60 digits by
//! `tests/data/fit_polynomials.py`.

pub use crate::coefficients::{GAUSS_LEGENDRE_16, GAUSS_LEGENDRE_32};

/// Sum of `weight * f(node)` over `[lo, hi]`, from the pairs of the positive half of [-1, 1].
fn integrate<const N: usize>(
    half_rule: &[(f64, f64); N],
    mut f: impl FnMut(f64) -> f64,
    lo: f64,
    hi: f64,
) -> f64 {
    let middle = 0.5 * lo + 0.5 * hi;
    let radius = 0.5 * hi - 0.5 * lo;
    let mut sum = 0.0;
    for &(node, weight) in half_rule {
        let offset = radius * node;
        sum += weight * (f(middle - offset) + f(middle + offset));
    }
    radius * sum
}

/// The integral of `f` over `[lo, hi]` by 16 nodes.
///
/// ```
/// let integral = cvm_math::quadrature::gauss_legendre_16(|x| x * x, 0.0, 3.0);
/// assert!((integral - 9.0).abs() < 1e-14);
/// ```
pub fn gauss_legendre_16(f: impl FnMut(f64) -> f64, lo: f64, hi: f64) -> f64 {
    integrate(&GAUSS_LEGENDRE_16, f, lo, hi)
}

/// The integral of `f` over `[lo, hi]` by 32 nodes.
pub fn gauss_legendre_32(f: impl FnMut(f64) -> f64, lo: f64, hi: f64) -> f64 {
    integrate(&GAUSS_LEGENDRE_32, f, lo, hi)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x^n by repeated multiplication.
    fn power(x: f64, n: usize) -> f64 {
        (0..n).fold(1.0, |product, _| product * x)
    }

    #[test]
    fn exact_for_polynomials_up_to_the_rule_s_degree() {
        for n in 0..=31 {
            let exact = 1.0 / (n as f64 + 1.0);
            assert!(
                (gauss_legendre_16(|x| power(x, n), 0.0, 1.0) - exact).abs() < 2e-16,
                "{n}"
            );
        }
        for n in 0..=63 {
            let exact = 1.0 / (n as f64 + 1.0);
            assert!(
                (gauss_legendre_32(|x| power(x, n), 0.0, 1.0) - exact).abs() < 2e-16,
                "{n}"
            );
        }
    }

    #[test]
    fn not_exact_beyond_it() {
        // ∫ P_16² over [-1, 1] is not zero, but the rule of 16 sees only the zeros of P_16.
        let product = |x: f64| {
            GAUSS_LEGENDRE_16
                .iter()
                .map(|(node, _)| x * x - node * node)
                .product::<f64>()
        };
        assert!(gauss_legendre_16(|x| product(x) * product(x), -1.0, 1.0) < 1e-25);
        assert!(gauss_legendre_32(|x| product(x) * product(x), -1.0, 1.0) > 1e-10);
    }

    #[test]
    fn gamma_density_integrates_to_one() {
        let density = |x: f64| crate::exp(2.5 * crate::ln(x) - x - crate::ln_gamma(3.5));
        let pieces = [(0.0, 2.0), (2.0, 6.0), (6.0, 16.0), (16.0, 60.0)];
        let total: f64 = pieces
            .iter()
            .map(|&(lo, hi)| gauss_legendre_32(density, lo, hi))
            .sum();
        assert!((total - 1.0).abs() < 1e-10, "{total}");
    }

    #[test]
    fn reversed_and_empty_intervals() {
        let forward = gauss_legendre_16(crate::exp, 0.0, 1.0);
        assert_eq!(gauss_legendre_16(crate::exp, 1.0, 0.0), -forward);
        assert_eq!(gauss_legendre_16(crate::exp, 2.0, 2.0), 0.0);
    }
}

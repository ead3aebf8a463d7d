//! Polynomials with one coefficient table per element, in an order of operations that no SIMD width changes.
#![allow(unsafe_code)]

use crate::dispatch::{Level, by_level, detected};

/// Chains that run side by side; tables hold a multiple of as many coefficients.
pub const CHAINS: usize = 8;

/// A table whose sum is NaN: stands for one that does not reach.
pub const BEYOND: &[f64] = &[f64::NAN; CHAINS];

/// `Σ c_i z^i`, as eight interleaved Horner chains: a processor overlaps them. Coefficients beyond the
/// last multiple of [`CHAINS`] are not read; without any the sum is 0.
///
/// ```
/// let coefficients = [1.0, 0.5, 0.25, 0.125, 0.0, 0.0, 0.0, 1.0];
/// assert_eq!(cvm_math::polynomial::polynomial(&coefficients, 2.0), 4.0 + 128.0);
/// ```
#[must_use]
pub fn polynomial(coefficients: &[f64], z: f64) -> f64 {
    let mut out = [0.0];
    polynomials(&[coefficients], &[z], &mut out);
    out[0]
}

/// `out[i] = Σ_j tables[i][j] z[i]^j`: [`polynomial`] of each element.
///
/// # Panics
/// When the lengths differ.
pub fn polynomials(tables: &[&[f64]], z: &[f64], out: &mut [f64]) {
    polynomials_at(detected(), tables, z, out);
}

/// The same at a chosen level.
///
/// # Panics
/// When the lengths differ.
pub fn polynomials_at(level: Level, tables: &[&[f64]], z: &[f64], out: &mut [f64]) {
    assert!(
        tables.len() == z.len() && z.len() == out.len(),
        "slices differ in length: {} tables, {} in, {} out",
        tables.len(),
        z.len(),
        out.len()
    );
    by_level!(level, (tables: &[&[f64]], z: &[f64], out: &mut [f64]), {
        for ((table, &z), out) in tables.iter().zip(z).zip(out) {
            *out = kernel(table, z);
        }
    });
}

#[inline(always)]
fn kernel(coefficients: &[f64], z: f64) -> f64 {
    let z2 = z * z;
    let z4 = z2 * z2;
    let z8 = z4 * z4;
    let mut chains = [0.0; CHAINS];
    for eight in coefficients.as_chunks::<CHAINS>().0.iter().rev() {
        for (chain, coefficient) in chains.iter_mut().zip(eight) {
            *chain = *chain * z8 + coefficient;
        }
    }
    let [c0, c1, c2, c3, c4, c5, c6, c7] = chains;
    let low = (c0 + c1 * z) + (c2 + c3 * z) * z2;
    let high = (c4 + c5 * z) + (c6 + c7 * z) * z2;
    low + high * z4
}

#[cfg(test)]
mod tests {
    use super::{polynomial, polynomials, polynomials_at};
    use crate::dispatch::Level;

    #[test]
    fn a_geometric_series() {
        let ones = [1.0; 64];
        for z in [0.0_f64, 0.25, -0.5, 0.9] {
            let want = (1.0 - crate::pow(z, 64.0)) / (1.0 - z);
            assert!((polynomial(&ones, z) / want - 1.0).abs() < 1e-14, "{z}");
        }
        assert_eq!(polynomial(&[], 3.0), 0.0);
    }

    #[test]
    fn every_level_has_the_same_bits() {
        let table: Vec<f64> = (0..256).map(|i| 1.0 / (1.7 + f64::from(i))).collect();
        let tables: Vec<&[f64]> = (0..40).map(|i| &table[..8 * (i % 33)]).collect();
        let z: Vec<f64> = (0..40).map(|i| 0.97 - 0.02 * f64::from(i)).collect();
        let mut want = vec![0.0; 40];
        polynomials(&tables, &z, &mut want);
        for level in Level::ALL {
            let mut got = vec![1.0; 40];
            polynomials_at(level, &tables, &z, &mut got);
            let same = got
                .iter()
                .zip(&want)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{level:?}");
        }
        let each = tables
            .iter()
            .zip(&z)
            .map(|(table, z)| polynomial(table, *z));
        assert!(each.zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

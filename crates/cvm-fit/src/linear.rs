//! Small dense linear algebra in a fixed order of operations: Cholesky factor, solve, inverse.
//!
//! Meant for information matrices of up to a few hundred parameters. Every sum runs over ascending
//! indices, so a result depends on nothing but its input.

use ndarray::Array2;

/// Lower-triangular factor `L` of a positive definite `A = L Lᵀ`, stored by rows.
#[derive(Debug, Clone)]
pub(crate) struct Cholesky {
    dim: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors `matrix + ridge * I`; `None` unless every pivot is positive and finite.
    pub(crate) fn new(matrix: &Array2<f64>, ridge: f64) -> Option<Self> {
        let dim = matrix.nrows();
        let mut lower = vec![0.0; dim * dim];
        for i in 0..dim {
            for j in 0..=i {
                let partial = dot(&lower[i * dim..i * dim + j], &lower[j * dim..j * dim + j]);
                let rest = matrix[[i, j]] - partial;
                lower[i * dim + j] = if i == j {
                    pivot(rest + ridge, matrix[[i, i]])?
                } else {
                    rest / lower[j * dim + j]
                };
            }
        }
        Some(Cholesky { dim, lower })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.lower[i * self.dim..i * self.dim + i + 1]
    }

    /// `L⁻¹ b`.
    pub(crate) fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(self.dim);
        for (i, value) in b.iter().enumerate() {
            let row = self.row(i);
            x.push((value - dot(&row[..i], &x)) / row[i]);
        }
        x
    }

    /// `A⁻¹ b`.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.forward(b);
        for i in (0..self.dim).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let (head, tail) = x.split_at_mut(i);
            for (slot, factor) in head.iter_mut().zip(row) {
                *slot -= factor * tail[0];
            }
        }
        x
    }

    /// `A⁻¹ = L⁻ᵀ L⁻¹`, one triangle computed and mirrored, hence symmetric in every bit.
    pub(crate) fn inverse(&self) -> Array2<f64> {
        let dim = self.dim;
        let mut unit = vec![0.0; dim];
        // Column j of L⁻¹ is zero above j; kept as rows so that the products below are contiguous.
        let mut columns = Vec::with_capacity(dim);
        for j in 0..dim {
            unit[j] = 1.0;
            columns.push(self.forward(&unit));
            unit[j] = 0.0;
        }
        let mut inverse = Array2::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..=i {
                let value = dot(&columns[i][i..], &columns[j][i..]);
                inverse[[i, j]] = value;
                inverse[[j, i]] = value;
            }
        }
        inverse
    }
}

/// Square root of a pivot, refused when it is only the rounding of its diagonal entry.
fn pivot(rest: f64, diagonal: f64) -> Option<f64> {
    const ROUNDING: f64 = 4.0 * f64::EPSILON;
    (rest.is_finite() && rest > ROUNDING * diagonal.abs() && rest > 0.0).then(|| rest.sqrt())
}

/// `Σ a_i b_i` over ascending indices.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + x * y)
}

/// Euclidean length.
pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Largest absolute entry; NaN if any entry is NaN.
pub(crate) fn max_abs(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |top: f64, x| {
        if x.is_nan() || x.abs() > top {
            x.abs()
        } else {
            top
        }
    })
}

/// `A x`.
pub(crate) fn product(matrix: &Array2<f64>, x: &[f64]) -> Vec<f64> {
    let row_dot = |i: usize| (0..x.len()).fold(0.0, |sum, j| sum + matrix[[i, j]] * x[j]);
    (0..x.len()).map(row_dot).collect()
}

/// Condition number (2-norm) of a positive definite matrix after scaling to unit diagonal, by
/// power iteration on it and on its inverse; infinite if it is not positive definite.
///
/// The scaling makes the number independent of the units of the parameters, and is within a factor
/// `dim` of the best diagonal scaling (van der Sluis 1969, *Numerische Mathematik* 14).
pub(crate) fn scaled_condition(matrix: &Array2<f64>) -> f64 {
    let dim = matrix.nrows();
    if dim == 0 {
        return 1.0;
    }
    let scale: Vec<f64> = (0..dim).map(|i| matrix[[i, i]].sqrt()).collect();
    let scaled = Array2::from_shape_fn((dim, dim), |(i, j)| matrix[[i, j]] / (scale[i] * scale[j]));
    let Some(factor) = Cholesky::new(&scaled, 0.0) else {
        return f64::INFINITY;
    };
    let largest = dominant(dim, |x| product(&scaled, x));
    let inverse_largest = dominant(dim, |x| factor.solve(x));
    largest * inverse_largest
}

/// Direction of least curvature, by inverse iteration on the matrix scaled to unit diagonal (and
/// shifted until it is positive definite): first in scaled coordinates, then in the matrix's own,
/// normalised to length 1. Zeros if the matrix is not finite.
pub(crate) fn weakest_direction(matrix: &Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    const ROUNDS: usize = 50;
    let dim = matrix.nrows();
    if matrix.iter().any(|entry| !entry.is_finite()) {
        return (vec![0.0; dim], vec![0.0; dim]);
    }
    let root = |i: usize| matrix[[i, i]].abs().sqrt().max(f64::MIN_POSITIVE);
    let scale: Vec<f64> = (0..dim).map(root).collect();
    let scaled = Array2::from_shape_fn((dim, dim), |(i, j)| matrix[[i, j]] / (scale[i] * scale[j]));
    let mut shift = 1e-12;
    let factor = loop {
        match Cholesky::new(&scaled, shift) {
            Some(factor) => break factor,
            None if shift < 1e12 => shift *= 4.0,
            None => return (vec![0.0; dim], vec![0.0; dim]),
        }
    };
    let mut x = start_vector(dim);
    for _ in 0..ROUNDS {
        x = normalised(factor.solve(&x));
    }
    let own = x.iter().zip(&scale).map(|(entry, root)| entry / root);
    let own = normalised(own.collect());
    (x, own)
}

fn normalised(mut x: Vec<f64>) -> Vec<f64> {
    let length = norm(&x).max(f64::MIN_POSITIVE);
    x.iter_mut().for_each(|entry| *entry /= length);
    x
}

/// A fixed start with all different entries: not orthogonal to anything natural.
fn start_vector(dim: usize) -> Vec<f64> {
    (0..dim).map(|i| 1.0 / (1.37 + index(i)) - 0.21).collect()
}

/// Largest eigenvalue of a symmetric positive operator, to a fraction of a percent.
fn dominant(dim: usize, apply: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    const ROUNDS: usize = 300;
    let mut x = start_vector(dim);
    let mut value = 1.0;
    for _ in 0..ROUNDS {
        let length = norm(&x);
        x.iter_mut().for_each(|entry| *entry /= length);
        x = apply(&x);
        let next = norm(&x);
        if (next - value).abs() <= 1e-6 * next {
            return next;
        }
        value = next;
    }
    value
}

#[allow(clippy::cast_precision_loss)]
fn index(i: usize) -> f64 {
    i as f64
}

#[cfg(test)]
mod tests {
    use super::{Cholesky, product, scaled_condition};
    use ndarray::{Array2, array};

    #[test]
    fn factor_solves_and_inverts() {
        let a = array![[4.0, 2.0, 0.5], [2.0, 5.0, 1.0], [0.5, 1.0, 3.0]];
        let factor = Cholesky::new(&a, 0.0).unwrap();
        let x = factor.solve(&[1.0, -2.0, 0.25]);
        for (got, want) in product(&a, &x).iter().zip([1.0, -2.0, 0.25]) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
        let identity = a.dot(&factor.inverse());
        let error = &identity - &Array2::<f64>::eye(3);
        assert!(error.iter().all(|e| e.abs() < 1e-15), "{error}");
    }

    #[test]
    fn singular_and_indefinite_matrices_are_refused() {
        assert!(Cholesky::new(&array![[1.0, 1.0], [1.0, 1.0]], 0.0).is_none());
        assert!(Cholesky::new(&array![[1.0, 2.0], [2.0, 1.0]], 0.0).is_none());
        assert!(Cholesky::new(&array![[1.0, 2.0], [2.0, 1.0]], 1.5).is_some());
        assert!(Cholesky::new(&array![[f64::NAN]], 0.0).is_none());
    }

    #[test]
    fn condition_ignores_units_but_not_correlation() {
        let diagonal = array![[1e12, 0.0], [0.0, 1e-12]];
        assert!((scaled_condition(&diagonal) - 1.0).abs() < 1e-6);
        // Eigenvalues of a 2x2 correlation matrix are 1 ± ρ.
        let correlated = array![[1.0, 0.98], [0.98, 1.0]];
        assert!((scaled_condition(&correlated) / (1.98 / 0.02) - 1.0).abs() < 1e-3);
    }
}

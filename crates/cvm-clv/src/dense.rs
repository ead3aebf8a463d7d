//! Value and derivatives of a block in a fixed-size array: no allocation, upper triangle only.

use cvm_core::Derivatives;

/// Partial sums over `N` parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dense<const N: usize> {
    /// Sum of terms.
    pub(crate) value: f64,
    /// First derivatives.
    pub(crate) gradient: [f64; N],
    /// Second derivatives; only entries with `row <= column` are kept.
    pub(crate) hessian: [[f64; N]; N],
}

impl<const N: usize> Dense<N> {
    pub(crate) fn zero() -> Self {
        Dense {
            value: 0.0,
            gradient: [0.0; N],
            hessian: [[0.0; N]; N],
        }
    }

    /// Adds to `sum`, mirroring the upper triangle.
    pub(crate) fn add_to(&self, sum: &mut Derivatives) {
        sum.value += self.value;
        for (slot, term) in sum.gradient.iter_mut().zip(&self.gradient) {
            *slot += term;
        }
        for (index, slot) in sum.hessian.iter_mut().enumerate() {
            let (row, column) = (index / N, index % N);
            *slot += self.hessian[row.min(column)][row.max(column)];
        }
    }
}

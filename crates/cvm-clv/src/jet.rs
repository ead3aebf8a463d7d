//! Values with their first and second derivatives in `N` variables: the chain rule, done once.

/// A value with gradient and Hessian (both triangles).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jet<const N: usize> {
    pub(crate) value: f64,
    pub(crate) gradient: [f64; N],
    pub(crate) hessian: [[f64; N]; N],
}

impl<const N: usize> Jet<N> {
    pub(crate) fn constant(value: f64) -> Self {
        Jet {
            value,
            gradient: [0.0; N],
            hessian: [[0.0; N]; N],
        }
    }

    /// The variable of this index.
    pub(crate) fn variable(index: usize, value: f64) -> Self {
        let mut jet = Jet::constant(value);
        jet.gradient[index] = 1.0;
        jet
    }

    /// `f` of it, from `f`, `f′` and `f″` at its value.
    pub(crate) fn apply(&self, [value, first, second]: [f64; 3]) -> Self {
        let mut out = Jet::constant(value);
        for i in 0..N {
            out.gradient[i] = first * self.gradient[i];
            for j in 0..N {
                let bend = second * self.gradient[i] * self.gradient[j];
                out.hessian[i][j] = first * self.hessian[i][j] + bend;
            }
        }
        out
    }

    pub(crate) fn scale(&self, factor: f64) -> Self {
        self.apply([factor * self.value, factor, 0.0])
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut out = *self;
        out.value += other.value;
        for i in 0..N {
            out.gradient[i] += other.gradient[i];
            for j in 0..N {
                out.hessian[i][j] += other.hessian[i][j];
            }
        }
        out
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.scale(-1.0))
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut out = Jet::constant(self.value * other.value);
        for i in 0..N {
            out.gradient[i] = self.gradient[i] * other.value + self.value * other.gradient[i];
            for j in 0..N {
                let own = self.hessian[i][j] * other.value + self.value * other.hessian[i][j];
                let cross = self.gradient[i] * other.gradient[j];
                out.hessian[i][j] = own + cross + self.gradient[j] * other.gradient[i];
            }
        }
        out
    }

    pub(crate) fn logarithm(&self) -> Self {
        let inverse = 1.0 / self.value;
        self.apply([cvm_math::ln(self.value), inverse, -inverse * inverse])
    }

    pub(crate) fn exponential(&self) -> Self {
        let value = cvm_math::exp(self.value);
        self.apply([value; 3])
    }

    pub(crate) fn expm1(&self) -> Self {
        let value = cvm_math::exp(self.value);
        self.apply([cvm_math::expm1(self.value), value, value])
    }

    pub(crate) fn inverse(&self) -> Self {
        let inverse = 1.0 / self.value;
        let square = inverse * inverse;
        self.apply([inverse, -square, 2.0 * square * inverse])
    }
}

#[cfg(test)]
mod tests {
    use super::Jet;
    use cvm_math::{exp, ln};

    /// `f = ln(x·y + e^{x}) / y`, by hand.
    #[test]
    fn a_composition_has_its_derivatives() {
        let (x, y) = (0.7, 1.9);
        let (jx, jy) = (Jet::<2>::variable(0, x), Jet::variable(1, y));
        let f = jx
            .times(&jy)
            .plus(&jx.exponential())
            .logarithm()
            .times(&jy.inverse());
        let inner = x * y + exp(x);
        let by_x = (y + exp(x)) / inner;
        assert!((f.value - ln(inner) / y).abs() < 1e-15);
        assert!((f.gradient[0] - by_x / y).abs() < 1e-15);
        assert!((f.gradient[1] - (x / inner / y - ln(inner) / (y * y))).abs() < 1e-15);
        let second = (exp(x) / inner - by_x * by_x) / y;
        assert!((f.hessian[0][0] - second).abs() < 1e-15);
        let mixed = (1.0 / inner - by_x * x / inner) / y - by_x / (y * y);
        assert!((f.hessian[0][1] - mixed).abs() < 1e-15);
        assert_eq!(f.hessian[0][1], f.hessian[1][0]);
    }
}

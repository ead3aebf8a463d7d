//! `ln Γ(s+x)/Γ(s)` for whole `x`, with two derivatives in `s`.

use cvm_math::{digamma, ln, ln_rising, trigamma};

/// Up to here the ratio is a product of `x` factors: no cancellation, and cheaper.
const FACTORS: f64 = 64.0;

/// Logarithm of the rising factorial `(s)_x = s(s+1)…(s+x−1)` and its derivatives in `s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rising {
    /// `ln (s)_x`.
    pub(crate) log: f64,
    /// `ψ(s+x) − ψ(s)`.
    pub(crate) first: f64,
    /// `ψ'(s+x) − ψ'(s)`.
    pub(crate) second: f64,
    shape: f64,
    x: f64,
}

impl Rising {
    /// At `x`, a whole number.
    pub(crate) fn new(shape: f64, x: f64) -> Self {
        Rising::at_zero(shape).advance(x)
    }

    /// At `x = 0`, where everything is zero.
    pub(crate) fn at_zero(shape: f64) -> Self {
        Rising {
            log: 0.0,
            first: 0.0,
            second: 0.0,
            shape,
            x: 0.0,
        }
    }

    /// The same shape at a larger or equal `x`: the factors so far are kept, so a table over
    /// ascending `x` costs one pass.
    pub(crate) fn advance(mut self, x: f64) -> Self {
        if x > FACTORS {
            return self.by_gamma(x);
        }
        while self.x < x {
            let factor = self.shape + self.x;
            let inverse = 1.0 / factor;
            self.log += ln(factor);
            self.first += inverse;
            self.second -= inverse * inverse;
            self.x += 1.0;
        }
        self
    }

    fn by_gamma(self, x: f64) -> Self {
        let end = self.shape + x;
        Rising {
            log: ln_rising(self.shape, x),
            first: digamma(end) - digamma(self.shape),
            second: trigamma(end) - trigamma(self.shape),
            shape: self.shape,
            x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rising;

    #[test]
    fn product_and_gamma_functions_agree() {
        for shape in [1e-3, 0.24, 2.4, 150.0] {
            for x in [1.0, 2.0, 33.0, 64.0] {
                let product = Rising::new(shape, x);
                let gamma = Rising::at_zero(shape).by_gamma(x);
                let close = |a: f64, b: f64| (a - b).abs() <= 2e-13 * (1.0 + a.abs());
                assert!(close(product.log, gamma.log), "{shape} {x}");
                assert!(close(product.first, gamma.first), "{shape} {x}");
                assert!(close(product.second, gamma.second), "{shape} {x}");
            }
        }
    }

    #[test]
    fn advancing_is_starting_over() {
        let stepped = Rising::at_zero(0.7).advance(3.0).advance(3.0).advance(17.0);
        assert_eq!(stepped.log, Rising::new(0.7, 17.0).log);
        assert_eq!(stepped.advance(900.0).first, Rising::new(0.7, 900.0).first);
    }
}

//! Likelihoods whose maximum is known, for every test of the estimator.

#![allow(dead_code, clippy::cast_precision_loss)]

use cvm_core::{Derivatives, Likelihood, Order, Transform};
use cvm_fit::{Fit, FitError};
use ndarray::Array2;

/// A likelihood from a function that returns value, gradient and Hessian of one block.
pub struct Synthetic<F> {
    pub dim: usize,
    pub blocks: usize,
    pub weight: f64,
    pub block: F,
}

pub type Terms = (f64, Vec<f64>, Vec<f64>);

impl<F: Fn(&[f64], usize) -> Terms + Sync> Likelihood for Synthetic<F> {
    fn dim(&self) -> usize {
        self.dim
    }
    fn block_count(&self) -> usize {
        self.blocks
    }
    fn cost_hint_ns(&self) -> f64 {
        1e9
    }
    fn weight(&self) -> f64 {
        self.weight
    }
    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let (value, gradient, hessian) = (self.block)(theta, block);
        let zero = vec![0.0; self.dim * self.dim];
        let hessian = if order == Order::Hessian {
            hessian
        } else {
            zero
        };
        sum.add(&Derivatives {
            value,
            gradient,
            hessian,
        });
    }
}

pub fn single<F: Fn(&[f64]) -> Terms + Sync>(dim: usize, f: F) -> impl Likelihood {
    Synthetic {
        dim,
        blocks: 1,
        weight: 1.0,
        block: move |theta: &[f64], _| f(theta),
    }
}

/// `−½ (θ−μ)ᵀ A (θ−μ)`.
pub fn quadratic(a: Array2<f64>, mean: Vec<f64>) -> impl Likelihood {
    let dim = mean.len();
    single(dim, move |theta| {
        let gap: Vec<f64> = theta.iter().zip(&mean).map(|(t, m)| t - m).collect();
        let row = |i: usize| (0..dim).map(|j| a[[i, j]] * gap[j]).sum::<f64>();
        let gradient: Vec<f64> = (0..dim).map(|i| -row(i)).collect();
        let value = 0.5 * gradient.iter().zip(&gap).map(|(g, d)| g * d).sum::<f64>();
        (value, gradient, a.iter().map(|h| -h).collect())
    })
}

/// 1000 values `0.2 + 5 u²`, `u` the fractional part of `i φ`.
pub fn gamma_rows() -> Vec<f64> {
    let value = |i: i32| {
        let u = (f64::from(i) * 0.618_033_988_749_894_9) % 1.0;
        0.2 + 5.0 * u * u
    };
    (1..=1000).map(value).collect()
}

/// Gamma density with shape and rate, in 50 blocks of 20 rows.
pub fn gamma(hessian_factor: f64) -> impl Likelihood {
    let rows = gamma_rows();
    Synthetic {
        dim: 2,
        blocks: 50,
        weight: 1000.0,
        block: move |theta: &[f64], block| {
            let (k, b) = (theta[0], theta[1]);
            let rows = &rows[block * 20..block * 20 + 20];
            let total: f64 = rows.iter().sum();
            let logs: f64 = rows.iter().map(|x| cvm_math::ln(*x)).sum();
            let log_b = cvm_math::ln(b);
            let value = 20.0 * (k * log_b - cvm_math::ln_gamma(k)) + (k - 1.0) * logs - b * total;
            let gradient = vec![
                20.0 * (log_b - cvm_math::digamma(k)) + logs,
                20.0 * k / b - total,
            ];
            let bend = [-cvm_math::trigamma(k), 1.0 / b, 1.0 / b, -k / (b * b)];
            let hessian = bend.iter().map(|h| 20.0 * h * hessian_factor).collect();
            (value, gradient, hessian)
        },
    }
}

pub const POSITIVE: [Transform; 2] = [Transform::Log; 2];
pub const FREE: [Transform; 2] = [Transform::Identity; 2];

/// Rosenbrock, upside down: maximum 0 at (1, 1).
pub fn valley() -> impl Likelihood {
    single(2, |t| {
        let (x, y) = (t[0], t[1]);
        let (rise, gap) = (y - x * x, 1.0 - x);
        let value = -(100.0 * rise * rise + gap * gap);
        let gradient = vec![400.0 * x * rise + 2.0 * gap, -200.0 * rise];
        let cross = 400.0 * x;
        let hessian = vec![400.0 * rise - 800.0 * x * x - 2.0, cross, cross, -200.0];
        (value, gradient, hessian)
    })
}

pub fn close(got: f64, want: f64, relative: f64) {
    assert!(
        (got - want).abs() <= relative * want.abs(),
        "{got} is not {want}"
    );
}

pub fn unconverged(result: Result<Fit, FitError>) -> Fit {
    match result {
        Err(FitError::NotConverged { fit }) => *fit,
        other => panic!("expected NotConverged, got {other:?}"),
    }
}

pub const SHAPE: f64 = 1.315_075_376_949_444_5;
pub const RATE: f64 = 0.704_513_016_443_594_9;
pub const GAMMA_LL: f64 = -1_602.689_429_292_219_3;
pub const SHAPE_SE: f64 = 0.052_996_737_248_924_41;
pub const RATE_SE: f64 = 0.034_401_981_810_672_08;
pub const GAMMA_COV: f64 = 0.001_504_653_990_493_064_4;

/// Reference by numpy and scipy: the root of `ln k − ψ(k) = ln mean − mean ln` (brentq, 1e-15),
/// `b = k/mean`, and the inverse of the 2x2 information matrix.
pub fn check_gamma(fit: &Fit, relative: f64) {
    close(fit.params[0], SHAPE, relative);
    close(fit.params[1], RATE, relative);
    close(fit.log_likelihood, GAMMA_LL, 1e-12);
    close(fit.standard_errors[0], SHAPE_SE, relative);
    close(fit.standard_errors[1], RATE_SE, relative);
    close(fit.covariance[[0, 1]], GAMMA_COV, relative);
    assert_eq!(
        fit.covariance[[0, 1]].to_bits(),
        fit.covariance[[1, 0]].to_bits()
    );
}

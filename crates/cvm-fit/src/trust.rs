//! One trust-region step: the minimum of the quadratic model inside an ellipsoid.
//!
//! ```text
//! minimise  gᵀp + ½ pᵀBp   subject to  ‖D p‖ ≤ radius,   D_i = √|B_ii|
//! solution  (B + λ D²) p = −g,  λ ≥ 0, B + λD² positive definite
//! ```
//! `λ` is found by the safeguarded Newton iteration on `1/‖s(λ)‖ = 1/radius` of Moré & Sorensen
//! (1983), *SIAM J. Sci. Stat. Comput.* 4(3), algorithm 3.2, with a loose tolerance.

use crate::linear::{Cholesky, dot, norm, product};
use ndarray::Array2;

/// A step with what the quadratic model says of it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Change of the working coordinates.
    pub(crate) change: Vec<f64>,
    /// Decrease of the objective by the quadratic model.
    pub(crate) predicted: f64,
    /// `‖D p‖`.
    pub(crate) scaled_length: f64,
    /// Whether this is the full Newton step of a convex model.
    pub(crate) is_newton: bool,
}

/// Scales `D`: root curvature of each coordinate, kept away from zero.
pub(crate) fn scales(curvature: &Array2<f64>) -> Vec<f64> {
    let dim = curvature.nrows();
    let roots: Vec<f64> = (0..dim).map(|i| curvature[[i, i]].abs().sqrt()).collect();
    let top = roots.iter().fold(0.0, |top: f64, root| top.max(*root));
    let floor = if top > 0.0 { top * 1e-10 } else { 1.0 };
    roots.into_iter().map(|root| root.max(floor)).collect()
}

/// The step for gradient `g` and curvature `B`; `radius` may be infinite when `B` is positive
/// definite, and is replaced by `‖D‖` otherwise.
pub(crate) fn step(curvature: &Array2<f64>, gradient: &[f64], radius: f64) -> Step {
    let scale = scales(curvature);
    let dim = scale.len();
    let scaled = Array2::from_shape_fn((dim, dim), |(i, j)| {
        curvature[[i, j]] / (scale[i] * scale[j])
    });
    let slope: Vec<f64> = gradient.iter().zip(&scale).map(|(g, d)| -g / d).collect();
    let newton = Cholesky::new(&scaled, 0.0).map(|factor| factor.solve(&slope));
    let (change, is_newton) = match newton {
        Some(full) if norm(&full) <= radius => (full, true),
        newton => {
            let finite = if radius.is_finite() {
                radius
            } else {
                norm(&scale)
            };
            (
                on_boundary(&scaled, &slope, finite, newton.is_some()),
                false,
            )
        }
    };
    let change: Vec<f64> = change.iter().zip(&scale).map(|(s, d)| s / d).collect();
    measured(curvature, gradient, &scale, change, is_newton)
}

/// Shortens `step` by `factor` and prices it again.
pub(crate) fn shorten(curvature: &Array2<f64>, gradient: &[f64], step: &Step, factor: f64) -> Step {
    let change = step.change.iter().map(|p| p * factor).collect();
    measured(curvature, gradient, &scales(curvature), change, false)
}

fn measured(
    curvature: &Array2<f64>,
    gradient: &[f64],
    scale: &[f64],
    change: Vec<f64>,
    is_newton: bool,
) -> Step {
    let bent = product(curvature, &change);
    let predicted = -(dot(gradient, &change) + 0.5 * dot(&change, &bent));
    let scaled: Vec<f64> = change.iter().zip(scale).map(|(p, d)| p * d).collect();
    Step {
        scaled_length: norm(&scaled),
        change,
        predicted,
        is_newton,
    }
}

/// Solution of `(A + λI) s = slope` with `‖s‖ ≈ radius`, or shorter in the hard case.
fn on_boundary(scaled: &Array2<f64>, slope: &[f64], radius: f64, convex: bool) -> Vec<f64> {
    const ROUNDS: usize = 60;
    let size = scaled
        .iter()
        .fold(0.0, |sum, entry| sum + entry * entry)
        .sqrt();
    let mut low = 0.0;
    // At this λ the matrix is surely positive definite and the step no longer than the radius.
    let mut high = norm(slope) / radius + size + f64::MIN_POSITIVE;
    let mut lambda = if convex { 0.0 } else { 1e-3 * high };
    let mut best = None;
    for _ in 0..ROUNDS {
        let Some(factor) = Cholesky::new(scaled, lambda) else {
            low = lambda;
            lambda = middle(low, high);
            continue;
        };
        let trial = factor.solve(slope);
        let length = norm(&trial);
        if (length - radius).abs() <= 0.1 * radius {
            return trial;
        }
        if length < radius {
            high = lambda;
        } else {
            low = lambda;
        }
        let inner = norm(&factor.forward(&trial));
        let newton = lambda + (length - radius) / radius * (length / inner) * (length / inner);
        if length <= radius {
            best = Some(trial);
        }
        if high - low <= 1e-12 * high {
            break;
        }
        let inside = newton > low && newton < high;
        lambda = if inside { newton } else { middle(low, high) };
    }
    best.or_else(|| Cholesky::new(scaled, high).map(|factor| factor.solve(slope)))
        .unwrap_or_else(|| steepest(slope, radius))
}

fn middle(low: f64, high: f64) -> f64 {
    (low * high).sqrt().max(low + 0.01 * (high - low))
}

fn steepest(slope: &[f64], radius: f64) -> Vec<f64> {
    let length = norm(slope).max(f64::MIN_POSITIVE);
    slope.iter().map(|g| g / length * radius).collect()
}

#[cfg(test)]
mod tests {
    use super::step;
    use ndarray::array;

    #[test]
    fn a_convex_model_gives_the_newton_step() {
        let b = array![[2.0, 0.5], [0.5, 1.0]];
        let found = step(&b, &[1.0, 1.0], f64::INFINITY);
        assert!(found.is_newton);
        // B p = −g solved by hand: p = (−2/7, −6/7).
        assert!((found.change[0] + 2.0 / 7.0).abs() < 1e-15);
        assert!((found.change[1] + 6.0 / 7.0).abs() < 1e-15);
        assert!((found.predicted - 4.0 / 7.0).abs() < 1e-15);
    }

    #[test]
    fn a_saddle_gives_a_descent_step_on_the_boundary() {
        let b = array![[1.0, 0.0], [0.0, -2.0]];
        let found = step(&b, &[0.3, 0.1], 0.5);
        assert!(!found.is_newton);
        assert!((found.scaled_length - 0.5).abs() <= 0.06, "{found:?}");
        assert!(found.predicted > 0.0);
        assert!(found.change[1].abs() > found.change[0].abs());
    }
}

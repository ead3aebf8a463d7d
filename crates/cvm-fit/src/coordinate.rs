//! Working coordinates: where an estimator moves a parameter, and back.
//!
//! | transform  | `θ(w)`      | range     | `dθ/dw`       | `d²θ/dw²`        |
//! |------------|-------------|-----------|---------------|------------------|
//! | `Identity` | `w`         | all       | `1`           | `0`              |
//! | `Log`      | `e^w`       | `(0, ∞)`  | `θ`           | `θ`              |
//! | `Logit`    | `1/(1+e^-w)`| `(0, 1)`  | `θ(1−θ)`      | `θ(1−θ)(1−2θ)`   |
//! | `FisherZ`  | `tanh w`    | `(−1, 1)` | `1−θ²`        | `−2θ(1−θ²)`      |

use cvm_core::Transform;
use cvm_math::{exp, expm1, ln, log1p, sigmoid};

/// `θ(w)`.
#[must_use]
pub fn natural(transform: Transform, w: f64) -> f64 {
    match transform {
        Transform::Identity => w,
        Transform::Log => exp(w),
        Transform::Logit => sigmoid(w),
        Transform::FisherZ => tanh(w),
    }
}

/// `w(θ)`; infinite at an end of the range.
#[must_use]
pub fn working(transform: Transform, theta: f64) -> f64 {
    match transform {
        Transform::Identity => theta,
        Transform::Log => ln(theta),
        Transform::Logit => ln(theta) - log1p(-theta),
        Transform::FisherZ => 0.5 * (log1p(theta) - log1p(-theta)),
    }
}

/// `dθ/dw`, given both.
#[must_use]
pub fn slope(transform: Transform, theta: f64, w: f64) -> f64 {
    match transform {
        Transform::Identity => 1.0,
        Transform::Log => theta,
        Transform::Logit => theta * sigmoid(-w),
        // 1 − tanh w = 2 / (e^2w + 1) keeps its digits at the ends.
        Transform::FisherZ => 4.0 * sigmoid(2.0 * w) * sigmoid(-2.0 * w),
    }
}

/// `d²θ/dw²`, given `θ` and the slope.
pub(crate) fn bend(transform: Transform, theta: f64, slope: f64) -> f64 {
    match transform {
        Transform::Identity => 0.0,
        Transform::Log => theta,
        Transform::Logit => slope * (1.0 - 2.0 * theta),
        Transform::FisherZ => -2.0 * theta * slope,
    }
}

/// Largest change in one step: a factor of e⁴ ≈ 55 of a positive parameter or of odds.
pub(crate) fn longest_step(transform: Transform) -> f64 {
    match transform {
        Transform::Identity => f64::INFINITY,
        Transform::Log | Transform::Logit => 4.0,
        Transform::FisherZ => 2.0,
    }
}

/// Beyond this the parameter has escaped to the end of its range.
pub(crate) fn escape(transform: Transform) -> f64 {
    match transform {
        Transform::Identity => f64::INFINITY,
        Transform::Log | Transform::Logit => 30.0,
        Transform::FisherZ => 15.0,
    }
}

fn tanh(w: f64) -> f64 {
    // Beyond 20 the value rounds to 1, and the exponential would overflow.
    let e = expm1(2.0 * w.abs().min(20.0));
    let size = e / (e + 2.0);
    if w < 0.0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::{bend, natural, slope, working};
    use cvm_core::Transform;

    const BOUNDED: [Transform; 4] = [
        Transform::Identity,
        Transform::Log,
        Transform::Logit,
        Transform::FisherZ,
    ];

    #[test]
    fn back_and_forth_is_the_identity() {
        for transform in BOUNDED {
            for w in [-9.0, -2.5, -1e-9, 0.0, 0.3, 4.0, 9.0] {
                let back = working(transform, natural(transform, w));
                let allowed = 1e-9 * (1.0 + w.abs());
                assert!((back - w).abs() < allowed, "{transform:?} {w} {back}");
            }
        }
        assert_eq!(natural(Transform::FisherZ, 1e6), 1.0);
        assert!((natural(Transform::FisherZ, -0.5) + 0.462_117_157_260_009_8).abs() < 1e-15);
    }

    #[test]
    fn derivatives_match_differences() {
        for transform in BOUNDED {
            for w in [-3.0, -0.2, 0.0, 1.7] {
                let at = |x: f64| natural(transform, x);
                let h = 1e-4;
                let first = (at(w + h) - at(w - h)) / (2.0 * h);
                let second = (at(w + h) - 2.0 * at(w) + at(w - h)) / (h * h);
                let s = slope(transform, at(w), w);
                assert!(
                    (s - first).abs() < 1e-7 * (1.0 + s.abs()),
                    "{transform:?} {w}"
                );
                let b = bend(transform, at(w), s);
                assert!(
                    (b - second).abs() < 1e-6 * (1.0 + b.abs()),
                    "{transform:?} {w}"
                );
            }
        }
    }
}

//! Prior densities of natural parameters for maximum a posteriori estimates.
//!
//! Every density is over the natural parameter `θ` with respect to `dθ`; it is added as it is, with
//! no Jacobian of the working coordinate. The fit is therefore the mode of the posterior in natural
//! coordinates, whatever coordinate the estimator moves in.
//!
//! | prior       | log density up to its constant         | support   |
//! |-------------|----------------------------------------|-----------|
//! | `Normal`    | `−½ ((θ−mean)/sd)²`                    | all       |
//! | `HalfNormal`| `−½ (θ/sd)²`                           | `θ ≥ 0`   |
//! | `LogNormal` | `−½ ((ln θ−mu)/sigma)² − ln θ`         | `θ > 0`   |
//! | `Gamma`     | `(shape−1) ln θ − rate θ`              | `θ > 0`   |
//! | `Beta`      | `(alpha−1) ln θ + (beta−1) ln(1−θ)`    | `(0, 1)`  |

use cvm_math::{ln, ln_beta, ln_gamma, log1p};

/// `½ ln 2π`.
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// `ln 2`.
const LN_2: f64 = std::f64::consts::LN_2;

/// What is believed of one natural parameter before the data.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Prior {
    /// Nothing: a constant density.
    #[default]
    None,
    /// Normal with mean and standard deviation.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, > 0.
        sd: f64,
    },
    /// Normal with mean zero, folded to `θ >= 0`.
    HalfNormal {
        /// Standard deviation of the unfolded normal, > 0.
        sd: f64,
    },
    /// `ln θ` is normal.
    LogNormal {
        /// Mean of `ln θ`.
        mu: f64,
        /// Standard deviation of `ln θ`, > 0.
        sigma: f64,
    },
    /// Gamma with mean `shape / rate`.
    Gamma {
        /// Shape, > 0.
        shape: f64,
        /// Rate, > 0.
        rate: f64,
    },
    /// Beta on `(0, 1)`.
    Beta {
        /// First shape, > 0.
        alpha: f64,
        /// Second shape, > 0.
        beta: f64,
    },
}

impl Prior {
    /// Log density at `theta` with its first two derivatives; minus infinity outside the support.
    #[must_use]
    pub fn log_density(&self, theta: f64) -> [f64; 3] {
        let (from, to) = self.support();
        if theta < from || theta > to {
            return [f64::NEG_INFINITY, f64::NAN, f64::NAN];
        }
        match *self {
            Prior::None => [0.0; 3],
            Prior::Normal { mean, sd } => normal(theta - mean, sd, 0.0),
            Prior::HalfNormal { sd } => normal(theta, sd, LN_2),
            Prior::LogNormal { mu, sigma } => log_normal(theta, mu, sigma),
            Prior::Gamma { shape, rate } => gamma(theta, shape, rate),
            Prior::Beta { alpha, beta } => beta_density(theta, alpha, beta),
        }
    }

    /// Smallest interval outside which the density is zero.
    #[must_use]
    pub fn support(&self) -> (f64, f64) {
        match self {
            Prior::None | Prior::Normal { .. } => (f64::NEG_INFINITY, f64::INFINITY),
            Prior::HalfNormal { .. } | Prior::LogNormal { .. } | Prior::Gamma { .. } => {
                (0.0, f64::INFINITY)
            }
            Prior::Beta { .. } => (0.0, 1.0),
        }
    }

    /// Whether the constants describe a density.
    pub(crate) fn is_proper(&self) -> bool {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match *self {
            Prior::None => true,
            Prior::Normal { mean, sd } => mean.is_finite() && positive(sd),
            Prior::HalfNormal { sd } => positive(sd),
            Prior::LogNormal { mu, sigma } => mu.is_finite() && positive(sigma),
            Prior::Gamma { shape, rate } => positive(shape) && positive(rate),
            Prior::Beta { alpha, beta } => positive(alpha) && positive(beta),
        }
    }
}

fn normal(gap: f64, sd: f64, folded: f64) -> [f64; 3] {
    let z = gap / sd;
    let value = folded - 0.5 * z * z - ln(sd) - HALF_LN_TWO_PI;
    [value, -z / sd, -1.0 / (sd * sd)]
}

fn log_normal(theta: f64, mu: f64, sigma: f64) -> [f64; 3] {
    let z = (ln(theta) - mu) / sigma;
    let value = -0.5 * z * z - ln(theta) - ln(sigma) - HALF_LN_TWO_PI;
    let pull = z / sigma + 1.0;
    let bend = pull - 1.0 / (sigma * sigma);
    [value, -pull / theta, bend / (theta * theta)]
}

fn gamma(theta: f64, shape: f64, rate: f64) -> [f64; 3] {
    let power = shape - 1.0;
    // 0 · ln 0 is the limit 0.
    let head = if power == 0.0 { 0.0 } else { power * ln(theta) };
    let value = head - rate * theta + shape * ln(rate) - ln_gamma(shape);
    [
        value,
        over(power, theta) - rate,
        -over(power, theta * theta),
    ]
}

fn beta_density(theta: f64, alpha: f64, beta: f64) -> [f64; 3] {
    let (a, b, rest) = (alpha - 1.0, beta - 1.0, 1.0 - theta);
    let head = if a == 0.0 { 0.0 } else { a * ln(theta) };
    let tail = if b == 0.0 { 0.0 } else { b * log1p(-theta) };
    [
        head + tail - ln_beta(alpha, beta),
        over(a, theta) - over(b, rest),
        -over(a, theta * theta) - over(b, rest * rest),
    ]
}

fn over(numerator: f64, denominator: f64) -> f64 {
    if numerator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

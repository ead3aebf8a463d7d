//! The calibrators: what each does to the log-odds `η` of a model.
//!
//! | method        | probability                                            | numbers         |
//! |---------------|--------------------------------------------------------|-----------------|
//! | `none`        | `σ(η)`                                                 |                 |
//! | `temperature` | `σ(a η)`, `a > 0`                                      | `a`             |
//! | `platt`       | `σ(a η + b)`, `a > 0`                                  | `a`, `b`        |
//! | `beta`        | `σ(a ln p − b ln(1 − p) + c)` at `p = σ(η)`, `a, b ≥ 0` | `a`, `b`, `c`   |
//! | `isotonic`    | line segments through block centres                    | `x`, `y`        |
//! | `venn_abers`  | `p1 / (1 − p0 + p1)` with `p0 ≤ p1` on line segments   | `x`, `p0`, `p1` |
//!
//! Sources: Platt (1999), *Advances in Large Margin Classifiers*; Guo, Pleiss, Sun & Weinberger
//! (2017), ICML, §4.2 (temperature); Kull, Silva Filho & Flach (2017), AISTATS, eq. 3 (beta); Oron &
//! Flournoy (2017), *Statistics in Biopharmaceutical Research* 9(3) (centred isotonic); Vovk, Petej &
//! Fedorova (2015), NIPS, eq. 6 (merged probability of Venn–Abers).

use cvm_core::{Array, ModelState, StateError};
use cvm_math::{ln, log1p, sigmoid, softplus};
use serde::{Deserialize, Serialize};

/// Most points of a curve: a limit for hostile files, above what a fit makes.
const MAX_POINTS: usize = 1 << 20;

/// How a calibrator is learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Probabilities as they are.
    None,
    /// One slope of the log-odds.
    Temperature,
    /// Slope and intercept of the log-odds.
    Platt,
    /// Slopes of both tails and an intercept.
    Beta,
    /// The best monotone curve.
    Isotonic,
    /// Two monotone curves that bracket the probability.
    VennAbers,
}

impl Method {
    /// Every method, simplest first.
    pub const ALL: [Method; 6] = [
        Method::None,
        Method::Temperature,
        Method::Platt,
        Method::Beta,
        Method::Isotonic,
        Method::VennAbers,
    ];

    /// Lower-case name used in files and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::None => "none",
            Method::Temperature => "temperature",
            Method::Platt => "platt",
            Method::Beta => "beta",
            Method::Isotonic => "isotonic",
            Method::VennAbers => "venn_abers",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// Points of a monotone curve: `x` rises, `y` never falls.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Log-odds.
    pub x: Vec<f64>,
    /// Values.
    pub y: Vec<f64>,
}

impl Curve {
    fn check(&self, name: &str) -> Result<(), String> {
        let (x, y) = (&self.x, &self.y);
        if x.is_empty() || x.len() != y.len() || x.len() > MAX_POINTS {
            return Err(format!("{name} has {} and {} points", x.len(), y.len()));
        }
        let rises = x.windows(2).all(|pair| pair[0] < pair[1]);
        let never_falls = y.windows(2).all(|pair| pair[0] <= pair[1]);
        let inside = y.iter().all(|y| (0.0..=1.0).contains(y));
        if !(rises && never_falls && inside && x.iter().all(|x| x.is_finite())) {
            return Err(format!("{name} is not a rising curve from 0 to 1"));
        }
        Ok(())
    }

    /// Place of `x`: the last point at or below it, and the share of the way to the next one;
    /// `Err(true)` above the curve, `Err(false)` below it.
    fn place(&self, x: f64) -> Result<(usize, f64), bool> {
        let next = self.x.partition_point(|own| *own <= x);
        let Some(last) = next.checked_sub(1) else {
            return Err(false);
        };
        match self.x.get(next) {
            None => Err(true),
            Some(above) => Ok((last, (x - self.x[last]) / (above - self.x[last]))),
        }
    }

    /// The curve at `x`, level beyond its ends.
    fn level(&self, x: f64) -> f64 {
        match self.place(x) {
            Err(false) => self.y[0],
            Err(true) => self.y[self.y.len() - 1],
            Ok((at, share)) => between(self.y[at], self.y[at + 1], share),
        }
    }

    /// The curve at `x`; beyond its ends the log-odds move one for one with those of the model.
    fn extended(&self, x: f64) -> f64 {
        let beyond = |end: usize| {
            let odds = ln(self.y[end]) - log1p(-self.y[end]);
            sigmoid(odds + (x - self.x[end]))
        };
        match self.place(x) {
            Err(false) => beyond(0).min(self.y[0]),
            Err(true) => beyond(self.y.len() - 1).max(self.y[self.y.len() - 1]),
            Ok((at, share)) => between(self.y[at], self.y[at + 1], share),
        }
    }
}

fn between(low: f64, high: f64, share: f64) -> f64 {
    (low + share * (high - low)).min(high)
}

/// A map from log-odds to a probability; it never falls.
#[derive(Debug, Clone, PartialEq)]
pub enum Calibrator {
    /// `σ(η)`.
    Identity,
    /// `σ(a η)`.
    Temperature {
        /// `a`: one over the temperature.
        slope: f64,
    },
    /// `σ(a η + b)`.
    Platt {
        /// `a`.
        slope: f64,
        /// `b`.
        intercept: f64,
    },
    /// `σ(a ln p − b ln(1 − p) + c)`.
    Beta {
        /// `a`: what the lower tail is stretched by.
        low: f64,
        /// `b`: what the upper tail is stretched by.
        high: f64,
        /// `c`.
        intercept: f64,
    },
    /// Segments through the centres of blocks; values strictly between 0 and 1.
    Isotonic(Curve),
    /// Two curves over the same points.
    VennAbers {
        /// Probability if the customer stays.
        low: Curve,
        /// Probability if the customer leaves.
        high: Curve,
    },
}

impl Calibrator {
    /// How it was learnt.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Calibrator::Identity => Method::None,
            Calibrator::Temperature { .. } => Method::Temperature,
            Calibrator::Platt { .. } => Method::Platt,
            Calibrator::Beta { .. } => Method::Beta,
            Calibrator::Isotonic(_) => Method::Isotonic,
            Calibrator::VennAbers { .. } => Method::VennAbers,
        }
    }

    /// Calibrated probability at log-odds `eta`; NaN for NaN.
    #[must_use]
    pub fn probability(&self, eta: f64) -> f64 {
        if eta.is_nan() {
            return f64::NAN;
        }
        match self {
            Calibrator::Identity => sigmoid(eta),
            Calibrator::Temperature { slope } => sigmoid(slope * eta),
            Calibrator::Platt { slope, intercept } => sigmoid(slope * eta + intercept),
            Calibrator::Beta {
                low,
                high,
                intercept,
            } => {
                let [ln_p, minus_ln_q] = beta_columns(eta);
                sigmoid(low * ln_p + high * minus_ln_q + intercept)
            }
            Calibrator::Isotonic(curve) => curve.extended(eta),
            Calibrator::VennAbers { .. } => {
                let [low, high] = self.bracket(eta);
                high / (1.0 - low + high)
            }
        }
    }

    /// The two probabilities of Venn–Abers; of other methods, the one probability twice.
    #[must_use]
    pub fn bracket(&self, eta: f64) -> [f64; 2] {
        match self {
            _ if eta.is_nan() => [f64::NAN; 2],
            Calibrator::VennAbers { low, high } => [low.level(eta), high.level(eta)],
            other => [other.probability(eta); 2],
        }
    }

    /// Checks numbers that come from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = |name: &str, x: f64| match x.is_finite() && x > 0.0 {
            true => Ok(()),
            false => Err(format!("{name} is {x}: must be a finite number > 0")),
        };
        match self {
            Calibrator::Identity => Ok(()),
            Calibrator::Temperature { slope } => positive("slope", *slope),
            Calibrator::Platt { slope, intercept } => {
                positive("slope", *slope)?;
                finite(&[*intercept])
            }
            Calibrator::Beta {
                low,
                high,
                intercept,
            } => {
                finite(&[*low, *high, *intercept])?;
                if *low < 0.0 || *high < 0.0 {
                    return Err(format!("slopes are {low} and {high}: must be >= 0"));
                }
                positive("sum of slopes", low + high)
            }
            Calibrator::Isotonic(curve) => {
                curve.check("curve")?;
                let inside = curve.y.iter().all(|y| *y > 0.0 && *y < 1.0);
                match inside {
                    true => Ok(()),
                    false => Err("curve reaches 0 or 1".to_owned()),
                }
            }
            Calibrator::VennAbers { low, high } => {
                low.check("lower curve")?;
                high.check("upper curve")?;
                let ordered = low.y.iter().zip(&high.y).all(|(low, high)| low <= high);
                match ordered && high.y[0] > 0.0 {
                    true => Ok(()),
                    false => Err("curves cross, or the upper one is 0".to_owned()),
                }
            }
        }
    }

    /// Arrays of the state.
    pub(crate) fn arrays(&self) -> Vec<Array> {
        let numbers = |values: &[f64]| vec![Array::vector("numbers", values.to_vec())];
        match self {
            Calibrator::Identity => Vec::new(),
            Calibrator::Temperature { slope } => numbers(&[*slope]),
            Calibrator::Platt { slope, intercept } => numbers(&[*slope, *intercept]),
            Calibrator::Beta {
                low,
                high,
                intercept,
            } => numbers(&[*low, *high, *intercept]),
            Calibrator::Isotonic(curve) => vec![
                Array::vector("x", curve.x.clone()),
                Array::vector("y", curve.y.clone()),
            ],
            Calibrator::VennAbers { low, high } => vec![
                Array::vector("x", low.x.clone()),
                Array::vector("p0", low.y.clone()),
                Array::vector("p1", high.y.clone()),
            ],
        }
    }

    /// The calibrator of a nested state, whose kind is the method.
    pub(crate) fn from_state(state: &ModelState) -> Result<Calibrator, StateError> {
        let malformed = |problem: String| StateError::malformed("calibration", problem);
        let method = Method::parse(&state.kind)
            .ok_or_else(|| malformed(format!("method `{}` is unknown", state.kind)))?;
        let numbers = |count: usize| state.vector("numbers", count);
        let curve = |name: &str| -> Result<Curve, StateError> {
            let x = state.array("x")?.values.clone();
            let y = state.vector(name, x.len())?.to_vec();
            Ok(Curve { x, y })
        };
        let calibrator = match method {
            Method::None => Calibrator::Identity,
            Method::Temperature => Calibrator::Temperature {
                slope: numbers(1)?[0],
            },
            Method::Platt => Calibrator::Platt {
                slope: numbers(2)?[0],
                intercept: numbers(2)?[1],
            },
            Method::Beta => Calibrator::Beta {
                low: numbers(3)?[0],
                high: numbers(3)?[1],
                intercept: numbers(3)?[2],
            },
            Method::Isotonic => Calibrator::Isotonic(curve("y")?),
            Method::VennAbers => Calibrator::VennAbers {
                low: curve("p0")?,
                high: curve("p1")?,
            },
        };
        calibrator.check().map_err(malformed)?;
        Ok(calibrator)
    }
}

fn finite(values: &[f64]) -> Result<(), String> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(bad) => Err(format!("a number is {bad}: must be finite")),
    }
}

/// `ln p` and `−ln(1 − p)` at `p = σ(η)`.
pub(crate) fn beta_columns(eta: f64) -> [f64; 2] {
    [-softplus(-eta), softplus(eta)]
}

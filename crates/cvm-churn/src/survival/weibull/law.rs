//! The Weibull law of time: hazards, lifetimes and quantiles of customers who have stayed so far.
//!
//! ```text
//! H(T+h) − H(T) = H(T+h) (1 − e^{−k ln(1+h/T)})              H(t) = e^{η + k(ln t − ln λ)}
//! u(s)          = t_s (1 − e^{−ln(1+s/H(T))/k})              t_s = H⁻¹(H(T)+s)
//! ∫_0^h e^{−(H(T+u)−H(T))−ρu} du = ∫_0^{s(h)} u'(s) e^{−s−ρu(s)} ds      u'(s) = t_s / (k (H(T)+s))
//! ```
//! The differences are taken before they can cancel: `h` may be a billionth of `T`. The integral is
//! taken over time where the hazard rises, over hazard passed (`s`) where it falls: the integrand
//! has no steep end in either.

use super::super::model::Law;
use super::super::scorer::OUTPUTS;
use cvm_core::{Array, ModelState, OutputSpec, StateError};
use cvm_math::tanh_sinh::{Extent, ln_integral};
use cvm_math::{exp, expm1, ln, log1p};
use serde_json::{Map, Value};

/// Names of the law's parameters.
pub(crate) const NAMES: [&str; 2] = ["baseline[ln scale]", "baseline[ln shape]"];
/// Largest logarithm of a shape: beyond, lifetimes are a moment or an eternity.
const STEEPEST: f64 = 12.0;
/// Largest logarithm of a scale.
const FARTHEST: f64 = 600.0;
/// Hazard after which nothing of a lifetime is left in double precision, where the hazard rises.
const GONE: f64 = 45.0;

/// Scale and shape of the mean customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weibull {
    ln_scale: f64,
    ln_shape: f64,
    /// `k`.
    shape: f64,
}

impl Weibull {
    /// Puts the law together.
    pub(crate) fn new(ln_scale: f64, ln_shape: f64) -> Result<Weibull, StateError> {
        // NaN is in no range.
        if !(ln_scale.abs() <= FARTHEST && ln_shape.abs() <= STEEPEST) {
            let problem = format!(
                "ln scale {ln_scale} and ln shape {ln_shape}: must be within ±{FARTHEST} and \
                 ±{STEEPEST}"
            );
            return Err(StateError::malformed("churn.weibull", problem));
        }
        Ok(Weibull {
            ln_scale,
            ln_shape,
            shape: exp(ln_shape),
        })
    }

    /// `λ`: time by which all but `1/e` of customers at the mean have left.
    #[must_use]
    pub fn scale(&self) -> f64 {
        exp(self.ln_scale)
    }

    /// `k`: above 1 the hazard rises with tenure.
    #[must_use]
    pub fn shape(&self) -> f64 {
        self.shape
    }

    /// `ln H(t)`.
    fn ln_hazard(&self, eta: f64, t: f64) -> f64 {
        eta + self.shape * (ln(t) - self.ln_scale)
    }

    /// Logarithm of the time at which `H` reaches `level`.
    fn ln_time(&self, eta: f64, level: f64) -> f64 {
        self.ln_scale + (ln(level) - eta) / self.shape
    }

    /// The integral over time, where the hazard does not fall.
    fn over_time(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64 {
        let mut end = self.quantile(eta, tenure, GONE).min(h);
        if rho > 0.0 {
            end = end.min(GONE / rho);
        }
        if end == 0.0 {
            return 0.0;
        }
        let extent = Extent {
            left: 48.0,
            right: 38.0,
            density: 2.0,
            most_nodes: 4096,
        };
        let survival = ln_integral(extent, |at| {
            let u = end * at.u;
            -self.cumulative(eta, tenure, u) - rho * u
        });
        end * exp(survival)
    }

    /// The integral over hazard passed, where the hazard falls.
    fn over_hazard(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64 {
        let start = exp(self.ln_hazard(eta, tenure));
        // e^{−s} times a power of s: ten times its mode is far beyond its last digit.
        let end = self
            .cumulative(eta, tenure, h)
            .min(60.0 + 10.0 / self.shape);
        if end == 0.0 {
            return 0.0;
        }
        let extent = Extent {
            left: 96.0,
            right: 38.0,
            density: 2.0 + 0.5 / self.shape.sqrt(),
            most_nodes: 1 << 15,
        };
        let log = ln_integral(extent, |at| {
            let s = end * at.u;
            let level = start + s;
            // The power is 0 at level 0, whose logarithm times a positive power is minus infinity.
            let discount = match rho > 0.0 {
                true => rho * self.quantile(eta, tenure, s),
                false => 0.0,
            };
            self.ln_time(eta, level) - ln(level) - s - discount
        });
        exp(log + ln(end) - self.ln_shape)
    }
}

impl Law for Weibull {
    const KIND: &'static str = "churn.weibull";
    const TITLE: &'static str = "Weibull regression";
    const PARAMS: &'static str = "params";
    const OUTPUTS: &'static [OutputSpec] = OUTPUTS;

    fn params(&self) -> Vec<f64> {
        vec![self.ln_scale, self.ln_shape]
    }

    fn store(&self, _settings: &mut Map<String, Value>, _arrays: &mut Vec<Array>) {}

    fn load(
        _state: &ModelState,
        settings: &Value,
        params: &[f64],
    ) -> Result<(Self, usize), StateError> {
        if settings.as_object().is_none_or(|own| !own.is_empty()) {
            return Err(StateError::malformed(
                Self::KIND,
                "settings.law: must be {}",
            ));
        }
        match params {
            [ln_scale, ln_shape, ..] => Ok((Weibull::new(*ln_scale, *ln_shape)?, 2)),
            _ => Err(StateError::malformed(
                Self::KIND,
                "parameters lack the scale or the shape",
            )),
        }
    }

    fn cumulative(&self, eta: f64, tenure: f64, h: f64) -> f64 {
        // At tenure 0 the share is 1.
        let share = -expm1(-self.shape * log1p(h / tenure));
        if h == 0.0 || share == 0.0 {
            return 0.0;
        }
        exp(self.ln_hazard(eta, tenure + h)) * share
    }

    fn lifetime(&self, eta: f64, tenure: f64, h: f64, rho: f64) -> f64 {
        if self.shape >= 1.0 {
            self.over_time(eta, tenure, h, rho)
        } else {
            self.over_hazard(eta, tenure, h, rho)
        }
    }

    fn quantile(&self, eta: f64, tenure: f64, target: f64) -> f64 {
        let before = exp(self.ln_hazard(eta, tenure));
        // At tenure 0 the share is 1.
        let share = -expm1(-log1p(target / before) / self.shape);
        if target == 0.0 || share == 0.0 {
            return 0.0;
        }
        exp(self.ln_time(eta, before + target)) * share
    }

    fn unit(&self) -> f64 {
        1.0
    }

    fn joints(&self) -> Vec<f64> {
        let scale = self.scale();
        vec![1e-6 * scale, 0.1 * scale, scale, 10.0 * scale]
    }
}

#[cfg(test)]
mod tests {
    use super::{Law, Weibull};
    use cvm_math::{exp, ln, ln_gamma, ln_gamma_q};

    /// `∫_0^∞ S(T+u)/S(T) du = (λ'/k) e^H Γ(1/k, H)`.
    fn endless(law: &Weibull, eta: f64, tenure: f64) -> f64 {
        let power = 1.0 / law.shape();
        let passed = exp(eta + law.shape() * (ln(tenure) - law.ln_scale));
        let ln_time = law.ln_scale - eta * power + ln(power);
        exp(ln_time + passed + ln_gamma(power) + ln_gamma_q(power, passed))
    }

    #[test]
    fn lifetimes_without_an_end_are_incomplete_gamma_functions() {
        let mut checked = 0;
        for ln_shape in [-3.0, -1.2, -0.1, 0.0, 0.3, 1.4, 3.0, 6.0] {
            let law = Weibull::new(2.0, ln_shape).unwrap();
            for eta in [-2.0, 0.0, 1.3] {
                for tenure in [0.0, 1e-3, 2.0, 9.0] {
                    let want = endless(&law, eta, tenure);
                    let passed = exp(eta + law.shape() * (ln(tenure) - law.ln_scale));
                    // The formula on the right knows the tenure by its hazard only, and loses the
                    // digits of a large one.
                    if !want.is_finite() || passed > 100.0 || (tenure > 0.0 && passed < 1e-300) {
                        continue;
                    }
                    checked += 1;
                    let got = law.lifetime(eta, tenure, f64::INFINITY, 0.0);
                    assert!(
                        (got / want - 1.0).abs() < 1e-11,
                        "{ln_shape} {eta} {tenure}: {got} {want}"
                    );
                }
            }
        }
        assert!(checked >= 60, "{checked}");
    }

    #[test]
    fn one_law_at_shape_one_is_the_exponential() {
        let law = Weibull::new(1.5, 0.0).unwrap();
        let rate = exp(0.4 - 1.5);
        for (tenure, h, rho) in [
            (0.0, 3.0, 0.0),
            (7.0, 40.0, 0.02),
            (2.0, f64::INFINITY, 0.1),
        ] {
            let x = rate + rho;
            let want = if h == f64::INFINITY {
                1.0 / x
            } else {
                (1.0 - exp(-x * h)) / x
            };
            let got = law.lifetime(0.4, tenure, h, rho);
            assert!((got / want - 1.0).abs() < 1e-12, "{tenure} {h} {rho}");
            let median = law.quantile(0.4, tenure, std::f64::consts::LN_2);
            assert!((median * rate / std::f64::consts::LN_2 - 1.0).abs() < 1e-13);
        }
    }

    #[test]
    fn areas_agree_with_sums_of_strips() {
        for ln_shape in [-0.9, -0.2, 0.5, 1.5] {
            let law = Weibull::new(1.0, ln_shape).unwrap();
            for (tenure, h, rho) in [(0.5, 2.0, 0.0), (0.5, 6.0, 0.3), (4.0, 1.0, 0.05)] {
                let strips = 20_000;
                let width = h / f64::from(strips);
                let area: f64 = (0..strips)
                    .map(|i| {
                        let u = (f64::from(i) + 0.5) * width;
                        width * exp(-law.cumulative(0.2, tenure, u) - rho * u)
                    })
                    .sum();
                let got = law.lifetime(0.2, tenure, h, rho);
                assert!(
                    (got / area - 1.0).abs() < 1e-7,
                    "{ln_shape} {tenure}: {got} {area}"
                );
            }
        }
    }

    #[test]
    fn quantiles_undo_hazards_near_and_far() {
        for ln_shape in [-2.0, -0.3, 0.0, 0.8, 2.5] {
            let law = Weibull::new(3.0, ln_shape).unwrap();
            for tenure in [0.0, 1e-9, 1.0, 50.0, 1e4] {
                for target in [1e-12, 1e-3, 0.7, 20.0] {
                    let u = law.quantile(-0.5, tenure, target);
                    let back = law.cumulative(-0.5, tenure, u);
                    assert!(
                        (back / target - 1.0).abs() < 1e-11,
                        "{ln_shape} {tenure} {target}: {u} {back}"
                    );
                }
            }
        }
    }
}

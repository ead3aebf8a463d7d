//! Turns where an optimizer stopped into a `Fit`: covariance, verdict, diagnosis and advice.

use crate::coordinate::escape;
use crate::diagnosis::Finding;
use crate::linear::{Cholesky, max_abs, scaled_condition, weakest_direction};
use crate::newton::{Run, Stop, newton_size};
use crate::objective::{Objective, Point};
use crate::result::{Fit, ParamState};
use cvm_core::Transform;
use ndarray::Array2;

/// Scaled condition number above which parameters are traded against each other freely.
const RIDGE: f64 = 1e10;
/// Standard error of a working coordinate, as a fraction of its whole range, above which the data
/// hardly say anything: 10 for a logarithm, a factor of 22 000.
const VAGUE: f64 = 1.0 / 3.0;
/// A stalled Newton step larger than this (relative) is a flat direction, not rounding.
const FLAT_STEP: f64 = 1e-2;
/// A log-likelihood above its bound by less than this (relative) is rounding.
const BOUND_ROUNDING: f64 = 1e-9;

/// The end of a run, seen by the free parameters.
struct End<'a> {
    objective: &'a Objective<'a>,
    run: &'a Run,
    /// Free parameters.
    free: Vec<usize>,
    /// The point with free parameters only; its gradient is the violation.
    reduced: Point,
    /// Largest violation over all parameters.
    norm: f64,
    tolerance: f64,
    moved: bool,
}

/// What was maximised, at `point`.
pub(crate) fn penalized(objective: &Objective<'_>, point: &Point) -> f64 {
    let smooth = point.log_posterior - objective.penalty_term(&point.working);
    smooth - objective.faces.l1_total(&point.working)
}

/// The fit at the end of `run`; counts of starts are filled by the caller.
pub(crate) fn fit(objective: &Objective<'_>, run: &Run, tolerance: f64, moved: bool) -> Fit {
    let point = &run.point;
    let states = objective.faces.states(&point.working);
    let end = End::new(objective, run, &states, tolerance, moved);
    let covariance = end.working_covariance();
    let condition_number = scaled_condition(&end.reduced.curvature);
    let verdict = end.verdict(covariance.is_some());
    let mut diagnosis: Vec<Finding> = verdict
        .as_ref()
        .err()
        .into_iter()
        .flat_map(|(_, f)| f.clone())
        .collect();
    diagnosis.extend(end.findings(covariance.as_ref(), condition_number));
    diagnosis.extend(face_findings(&states, &point.theta));
    let covariance = end.natural(covariance);
    Fit {
        params: point.theta.clone(),
        log_likelihood: point.log_likelihood,
        log_posterior: point.log_posterior,
        penalized_log_likelihood: penalized(objective, point),
        standard_errors: covariance.diag().iter().map(|v| v.sqrt()).collect(),
        covariance,
        states,
        gradient_norm: end.norm,
        iterations: run.iterations,
        evaluations: objective.evaluations.get(),
        starts_tried: 1,
        condition_number,
        method: run.method,
        converged: verdict.is_ok(),
        message: verdict.unwrap_or_else(|(why, _)| why),
        warnings: diagnosis.iter().map(Finding::to_string).collect(),
        diagnosis,
    }
}

/// Why a fit is not converged, with what is found of that kind.
type Refusal = (String, Option<Finding>);

impl<'a> End<'a> {
    fn new(
        objective: &'a Objective<'a>,
        run: &'a Run,
        states: &[ParamState],
        tolerance: f64,
        moved: bool,
    ) -> Self {
        let is_free = |i: &usize| states[*i] == ParamState::Free;
        let free: Vec<usize> = (0..states.len()).filter(is_free).collect();
        let violation = objective.faces.violation(&run.point);
        let pick = |from: &[f64]| free.iter().map(|i| from[*i]).collect();
        let curvature = if run.point.curvature.nrows() == states.len() {
            let at = |(i, j): (usize, usize)| run.point.curvature[[free[i], free[j]]];
            Array2::from_shape_fn((free.len(), free.len()), at)
        } else {
            Array2::from_elem((free.len(), free.len()), f64::NAN)
        };
        let reduced = Point {
            working: pick(&run.point.working),
            gradient: pick(&violation),
            curvature,
            ..run.point.clone()
        };
        End {
            objective,
            run,
            free,
            reduced,
            norm: max_abs(&violation),
            tolerance,
            moved,
        }
    }

    fn verdict(&self, proper: bool) -> Result<String, Refusal> {
        let (norm, tolerance) = (self.norm, self.tolerance);
        self.check_place()?;
        if self.run.stop == Stop::Cancelled {
            return Err((format!("cancelled with gradient norm {norm:e}"), None));
        }
        if self.run.stop == Stop::Limit {
            let iterations = self.run.iterations;
            let why = format!(
                "stopped after {iterations} steps with gradient norm {norm:e} (tolerance \
                 {tolerance:e}): raise max_iterations, or the maximum lies at infinity"
            );
            return Err((why, Some(Finding::StepLimit { iterations })));
        }
        if norm > tolerance || norm.is_nan() {
            let gradient_norm = norm;
            let (what, finding) = if self.moved {
                ("stalled", Finding::Stalled { gradient_norm })
            } else {
                let finding = Finding::NotMoved { gradient_norm };
                ("did not move from the start", finding)
            };
            let why = format!("{what} with gradient norm {norm:e} (tolerance {tolerance:e})");
            return Err((why, Some(finding)));
        }
        self.check_curvature(proper)?;
        Ok(format!("gradient norm {norm:e} within {tolerance:e}"))
    }

    /// Refuses places where the model means nothing.
    fn check_place(&self) -> Result<(), Refusal> {
        let point = &self.run.point;
        if let Some(parameter) = self.objective.escaped(&point.working) {
            let value = point.theta[parameter];
            let transform = self.objective.transforms[parameter];
            let far = match transform {
                Transform::Log => format!("|ln| > {}", escape(transform)),
                _ => "the end of its range".to_owned(),
            };
            let why = format!(
                "parameter {parameter} ran away to {value:e} ({far}): the likelihood has no \
                 interior maximum on these data"
            );
            return Err((why, Some(Finding::Escaped { parameter, value })));
        }
        let log_likelihood = point.log_likelihood;
        match self.objective.settings.log_likelihood_bound {
            Some(bound) if log_likelihood > bound + BOUND_ROUNDING * (1.0 + bound.abs()) => {
                let why = format!(
                    "log-likelihood {log_likelihood} exceeds {bound}, the most any model can reach"
                );
                let finding = Finding::AboveSaturated {
                    log_likelihood,
                    bound,
                };
                Err((why, Some(finding)))
            }
            _ => Ok(()),
        }
    }

    /// Refuses stationary places that are no strict maximum.
    fn check_curvature(&self, proper: bool) -> Result<(), Refusal> {
        let why = if !proper {
            "stationary, but not a strict maximum: some direction is flat or rises; the parameters \
             are not identified by these data"
        } else if newton_size(&self.reduced) > FLAT_STEP {
            "flat to rounding in some direction: the maximum lies at infinity, or the parameters \
             are not identified by these data"
        } else {
            return Ok(());
        };
        let (parameters, direction) = self.weakest();
        let flat = Finding::Flat {
            parameters,
            direction,
        };
        Err((why.to_owned(), Some(flat)))
    }

    /// Direction of least curvature in working coordinates, with the parameters that matter in it.
    fn weakest(&self) -> (Vec<usize>, Vec<f64>) {
        const MATTERS: f64 = 0.1;
        let mut direction = vec![0.0; self.objective.dim()];
        let (scaled, found) = weakest_direction(&self.reduced.curvature);
        for (i, entry) in self.free.iter().zip(&found) {
            direction[*i] = *entry;
        }
        let top = max_abs(&scaled);
        let matters = |(i, entry): (&usize, &f64)| (entry.abs() >= MATTERS * top).then_some(*i);
        let parameters = self.free.iter().zip(&scaled).filter_map(matters).collect();
        (parameters, direction)
    }

    /// Covariance in working coordinates: inverse information of what was maximised.
    fn working_covariance(&self) -> Option<Array2<f64>> {
        if !self.reduced.has_curvature() {
            return None;
        }
        let information = &self.reduced.curvature * self.objective.weight;
        Cholesky::new(&information, 0.0).map(|factor| factor.inverse())
    }

    /// `J V J`, NaN for parameters that are not free: multiplied in one expression per pair, so
    /// symmetry is kept in every bit.
    fn natural(&self, working: Option<Array2<f64>>) -> Array2<f64> {
        let dim = self.objective.dim();
        let mut covariance = Array2::from_elem((dim, dim), f64::NAN);
        let Some(working) = working else {
            return covariance;
        };
        let point = &self.run.point;
        let slopes = self.objective.slopes(&point.working, &point.theta);
        for (a, i) in self.free.iter().enumerate() {
            for (b, j) in self.free.iter().enumerate() {
                covariance[[*i, *j]] = working[[a, b]] * (slopes[*i] * slopes[*j]);
            }
        }
        covariance
    }

    /// Findings about the curvature.
    fn findings(&self, working: Option<&Array2<f64>>, condition_number: f64) -> Vec<Finding> {
        let Some(working) = working else {
            return vec![Finding::NoStandardErrors];
        };
        let mut found = Vec::new();
        if condition_number > RIDGE && condition_number.is_finite() {
            let (parameters, direction) = self.weakest();
            found.push(Finding::Ridge {
                condition_number,
                parameters,
                direction,
            });
        }
        for (k, parameter) in self.free.iter().copied().enumerate() {
            let spread = working[[k, k]].sqrt();
            let transform = self.objective.transforms[parameter];
            if spread > VAGUE * escape(transform) {
                found.push(Finding::Vague {
                    parameter,
                    transform,
                    spread,
                });
            }
        }
        found
    }
}

/// Findings about parameters that are not free.
fn face_findings(states: &[ParamState], theta: &[f64]) -> Vec<Finding> {
    let at = |(parameter, state): (usize, &ParamState)| match state {
        ParamState::AtLower | ParamState::AtUpper => Some(Finding::AtBound {
            parameter,
            value: theta[parameter],
            upper: *state == ParamState::AtUpper,
        }),
        ParamState::Free | ParamState::Zero | ParamState::Held => None,
    };
    let mut found: Vec<Finding> = states.iter().enumerate().filter_map(at).collect();
    let zero = |(i, state): (usize, &ParamState)| (*state == ParamState::Zero).then_some(i);
    let parameters: Vec<usize> = states.iter().enumerate().filter_map(zero).collect();
    if !parameters.is_empty() {
        found.push(Finding::Zeroed { parameters });
    }
    found
}

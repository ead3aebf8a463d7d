//! Profile-likelihood intervals: where the best fit with one parameter held loses too much.
//!
//! ```text
//! { θ_i :  2 [ ℓ(θ̂) − max_{θ_-i} ℓ(θ_i, θ_-i) ] ≤ χ²_1(level) }
//! ```
//! The root is searched on the signed root of the deviance, which is nearly linear in the working
//! coordinate, by secants kept inside a bracket; each evaluation is a Newton fit of the other
//! parameters, started where the last one ended. With penalties or priors the same is done for what
//! was maximised.
//!
//! Source: Venzon & Moolgavkar (1988), *Applied Statistics* 37(1).

use crate::compare::two_sided;
use crate::coordinate::{escape, natural, slope, working};
use crate::diagnosis::Finding;
use crate::maximize::maximize;
use crate::result::{Fit, FitError, invalid};
use crate::settings::Settings;
use cvm_core::{Likelihood, Transform};

/// One end of a profile interval.
#[derive(Debug, Clone, PartialEq)]
pub enum ProfileEnd {
    /// Beyond this value the deviance is too large.
    At(f64),
    /// The deviance stays small as far as the parameter can go: the data set no limit.
    Unbounded,
    /// The deviance is still small at this bound of the settings.
    AtBound(f64),
    /// The other parameters could not be fitted on the way; why.
    Unresolved(String),
}

impl ProfileEnd {
    /// The value of a limit or bound.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            ProfileEnd::At(value) | ProfileEnd::AtBound(value) => Some(*value),
            ProfileEnd::Unbounded | ProfileEnd::Unresolved(_) => None,
        }
    }
}

/// A profile-likelihood interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Lower end.
    pub lower: ProfileEnd,
    /// Upper end.
    pub upper: ProfileEnd,
    /// Fits of the other parameters that were needed.
    pub fits: u32,
}

/// Relative rise of the profile above the fit that is rounding.
const RISE: f64 = 1e-8;
/// Most fits per end.
const FITS: u32 = 60;

/// The profile-likelihood interval of parameter `index` at confidence `level` around `fit`, which
/// must come from the same likelihood, transforms and settings.
///
/// # Errors
/// [`FitError::Invalid`] for an index or level that does not exist; [`FitError::NotTheMaximum`] if
/// the profile rises above the fit.
pub fn profile_interval(
    likelihood: &dyn Likelihood,
    transforms: &[Transform],
    fit: &Fit,
    index: usize,
    level: f64,
    settings: &Settings,
) -> Result<Profile, FitError> {
    let dim = transforms.len();
    if index >= dim || fit.params.len() != dim {
        return Err(invalid("index", index, format!("below {dim}")));
    }
    if level.is_nan() || level <= 0.0 || level >= 1.0 {
        return Err(invalid("level", level, "between 0 and 1"));
    }
    let lower = Search::new(likelihood, transforms, fit, index, settings, -1.0).end(level)?;
    let upper = Search::new(likelihood, transforms, fit, index, settings, 1.0).end(level)?;
    Ok(Profile {
        lower: lower.0,
        upper: upper.0,
        fits: lower.1 + upper.1,
    })
}

/// The search for one end.
struct Search<'a> {
    likelihood: &'a dyn Likelihood,
    transforms: &'a [Transform],
    fit: &'a Fit,
    index: usize,
    settings: &'a Settings,
    sign: f64,
    /// Working coordinate of the estimate.
    origin: f64,
    /// Standard error of the working coordinate, or a guess.
    spread: f64,
    /// Parameters of the last held fit.
    warm: Vec<f64>,
    fits: u32,
}

/// What stopped a search early.
enum Trouble {
    Unresolved(String),
    Error(FitError),
}

impl<'a> Search<'a> {
    fn new(
        likelihood: &'a dyn Likelihood,
        transforms: &'a [Transform],
        fit: &'a Fit,
        index: usize,
        settings: &'a Settings,
        sign: f64,
    ) -> Self {
        let (transform, estimate) = (transforms[index], fit.params[index]);
        let origin = working(transform, estimate);
        let error = fit.standard_errors[index] / slope(transform, estimate, origin);
        let known = error.is_finite() && error > 0.0;
        Search {
            likelihood,
            transforms,
            fit,
            index,
            settings,
            sign,
            origin,
            spread: if known {
                error
            } else {
                0.1 * (1.0 + origin.abs())
            },
            warm: fit.params.clone(),
            fits: 0,
        }
    }

    fn end(mut self, level: f64) -> Result<(ProfileEnd, u32), FitError> {
        let found = match self.bracket(two_sided(level)) {
            Ok(end) => end,
            Err(Trouble::Unresolved(why)) => ProfileEnd::Unresolved(why),
            Err(Trouble::Error(error)) => return Err(error),
        };
        Ok((found, self.fits))
    }

    /// Goes outward until the root deviance exceeds `limit`, then closes in.
    fn bracket(&mut self, limit: f64) -> Result<ProfileEnd, Trouble> {
        let (farthest, bound) = self.farthest();
        let mut inside = (0.0, -limit);
        let mut distance = (limit * self.spread).min(farthest);
        if farthest <= 0.0 {
            return Ok(bound);
        }
        while self.fits < FITS {
            let excess = self.excess(distance, limit)?;
            if excess > 0.0 {
                return self.close_in(inside, (distance, excess), limit);
            }
            if excess == 0.0 {
                return Ok(ProfileEnd::At(self.value(distance)));
            }
            if distance >= farthest {
                return Ok(bound);
            }
            inside = (distance, excess);
            // At least on, at most threefold: the root deviance is nearly linear.
            let linear = distance * (1.05 * limit / (limit + excess).max(1e-3 * limit));
            distance = linear.clamp(1.2 * distance, 3.0 * distance).min(farthest);
        }
        Err(Trouble::Unresolved(format!("no end within {FITS} fits")))
    }

    /// How far the coordinate can go on this side, and what it means to get there.
    fn farthest(&self) -> (f64, ProfileEnd) {
        /// Standard errors after which an untransformed parameter counts as unbounded.
        const ERRORS: f64 = 1e6;
        let transform = self.transforms[self.index];
        let (low, high) = self.settings.bounds_of(self.index);
        let bound = if self.sign > 0.0 { high } else { low };
        let reach = escape(transform).min(self.origin.abs() + ERRORS * self.spread);
        let free = reach - self.sign * self.origin;
        let to_bound = self.sign * (working(transform, bound) - self.origin);
        if to_bound <= free {
            return (to_bound, ProfileEnd::AtBound(bound));
        }
        (free, ProfileEnd::Unbounded)
    }

    /// Bracketed secants (Illinois) on the excess of the root deviance.
    fn close_in(
        &mut self,
        mut inside: (f64, f64),
        mut outside: (f64, f64),
        limit: f64,
    ) -> Result<ProfileEnd, Trouble> {
        const SETTLED: f64 = 1e-9;
        let mut last_inside = None;
        while self.fits < FITS {
            let (a, fa) = inside;
            let (b, fb) = outside;
            if (b - a) <= SETTLED * b {
                break;
            }
            let secant = b - fb * (b - a) / (fb - fa);
            let margin = 1e-3 * (b - a);
            let distance = secant.clamp(a + 1e-9 * margin, b - 1e-9 * margin);
            let excess = self.excess(distance, limit)?;
            if excess.abs() <= SETTLED * limit {
                return Ok(ProfileEnd::At(self.value(distance)));
            }
            let is_inside = excess < 0.0;
            // The end that stays twice running loses half its weight.
            let repeated = last_inside == Some(is_inside);
            if is_inside {
                inside = (distance, excess);
                outside.1 *= if repeated { 0.5 } else { 1.0 };
            } else {
                outside = (distance, excess);
                inside.1 *= if repeated { 0.5 } else { 1.0 };
            }
            last_inside = Some(is_inside);
        }
        Ok(ProfileEnd::At(self.value(0.5 * (inside.0 + outside.0))))
    }

    fn value(&self, distance: f64) -> f64 {
        let w = self.origin + self.sign * distance;
        let (low, high) = self.settings.bounds_of(self.index);
        natural(self.transforms[self.index], w).max(low).min(high)
    }

    /// Root of the deviance less `limit` at `distance` from the estimate.
    fn excess(&mut self, distance: f64, limit: f64) -> Result<f64, Trouble> {
        let value = self.value(distance);
        let reached = self.held(value)?;
        let top = self.fit.penalized_log_likelihood;
        let drop = top - reached;
        if drop < -RISE * (1.0 + top.abs()) {
            return Err(Trouble::Error(FitError::NotTheMaximum {
                index: self.index,
                value,
                params: self.warm.clone(),
                gain: -drop,
            }));
        }
        Ok((2.0 * drop.max(0.0)).sqrt() - limit)
    }

    /// What is maximised, with the parameter held at `value`.
    fn held(&mut self, value: f64) -> Result<f64, Trouble> {
        self.fits += 1;
        let mut bounds = self.settings.bounds.clone();
        bounds.resize(self.transforms.len(), None);
        bounds[self.index] = Some((value, value));
        let settings = Settings {
            bounds,
            ..self.settings.clone()
        };
        let mut starts = vec![self.warm.clone(), self.fit.params.clone()];
        starts
            .iter_mut()
            .for_each(|start| start[self.index] = value);
        let fit = match maximize(self.likelihood, self.transforms, &starts, &settings) {
            Ok(fit) => fit,
            Err(FitError::NotConverged { fit }) if is_flat(&fit) => *fit,
            Err(FitError::Invalid {
                field,
                value,
                allowed,
            }) => {
                let invalid = FitError::Invalid {
                    field,
                    value,
                    allowed,
                };
                return Err(Trouble::Error(invalid));
            }
            Err(error) => return Err(Trouble::Unresolved(error.to_string())),
        };
        self.warm = fit.params;
        Ok(fit.penalized_log_likelihood)
    }
}

/// Whether the others ended where nothing more can be gained: the profile's value is known there,
/// though the parameters are not.
fn is_flat(fit: &Fit) -> bool {
    const LEVEL: f64 = 1e-6;
    let flat =
        |finding: &Finding| matches!(finding, Finding::Flat { .. } | Finding::Escaped { .. });
    fit.gradient_norm <= LEVEL && fit.diagnosis.iter().any(flat)
}

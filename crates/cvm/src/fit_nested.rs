//! The model inside a fitted one: the floor of the fit, and the likelihood-ratio test against it.

use cvm_core::{Nested, NestedPlace};
use cvm_fit::{Fit, Prior, Settings, likelihood_ratio};
use serde::{Deserialize, Serialize};

/// A likelihood-ratio test of a fit against a model inside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NestedTest {
    /// Kind of the smaller model: `clv.sbg` inside `clv.bdw`; the fit's own kind for the model
    /// without its covariates.
    pub kind: String,
    /// What the smaller model is, in words.
    pub model: String,
    /// Its highest log-likelihood.
    pub log_likelihood: f64,
    /// Parameters it lacks.
    pub df: usize,
    /// Twice the difference of log-likelihoods.
    pub statistic: f64,
    /// Probability of at least this statistic if the smaller model holds, by χ² (Wilks 1938).
    pub p_value: f64,
}

/// An optimum of a smaller model in the larger one's parameters.
pub(crate) struct Floor {
    pub kind: &'static str,
    pub model: String,
    pub place: NestedPlace,
    pub params: Vec<f64>,
    pub log_likelihood: f64,
    pub free_params: usize,
}

/// Whether maxima can be compared: penalties and priors move them, bounds may exclude the smaller
/// model's.
pub(crate) fn comparable(settings: &Settings) -> bool {
    let free = |bound: &Option<(f64, f64)>| bound.is_none();
    settings.penalty.iter().all(|weight| *weight == 0.0)
        && settings.l1.iter().all(|weight| *weight == 0.0)
        && settings.priors.iter().all(|prior| *prior == Prior::None)
        && settings.bounds.iter().all(free)
}

/// The optimum of `nested` on these rows; `None` where it has none.
pub(crate) fn floor<R>(
    nested: &Nested<R>,
    rows: &[R],
    weights: Option<&[f64]>,
    settings: &Settings,
) -> Option<Floor> {
    let (likelihood, starts) = (nested.likelihood)(rows, weights);
    let own = Settings {
        penalty: Vec::new(),
        l1: Vec::new(),
        priors: Vec::new(),
        bounds: Vec::new(),
        ..settings.clone()
    };
    let fit = cvm_fit::maximize(likelihood.as_ref(), &nested.transforms, &starts, &own).ok()?;
    Some(Floor {
        kind: nested.kind,
        model: nested.title.to_owned(),
        place: nested.place,
        params: (nested.embed)(&fit.params),
        log_likelihood: fit.log_likelihood,
        free_params: fit.free_count(),
    })
}

/// The test of `fit` against a smaller model; `None` where there is none.
pub(crate) fn test(fit: &Fit, floor: &Floor) -> Option<NestedTest> {
    if floor.place == NestedPlace::Limit {
        return None;
    }
    let (below, above) = (floor.log_likelihood, fit.log_likelihood);
    let ratio = likelihood_ratio(below, floor.free_params, above, fit.free_count()).ok()?;
    Some(NestedTest {
        kind: floor.kind.to_owned(),
        model: floor.model.clone(),
        log_likelihood: floor.log_likelihood,
        df: ratio.df,
        statistic: ratio.statistic,
        p_value: ratio.p_value,
    })
}

//! Settings every parametric model understands: covariates and their penalties, priors, bounds.
//!
//! | setting                | value                                                        |
//! |------------------------|--------------------------------------------------------------|
//! | `<process>_covariates` | names of columns                                             |
//! | `covariate_l1`, `_l2`  | weights of the penalties on coefficients                     |
//! | `priors`               | `{"r": {"gamma": {"shape": 2, "rate": 1}}}`                  |
//! | `bounds`               | `{"a": [0.01, 10]}`; equal ends hold a parameter fixed       |
//! | `choose`               | `{"k": [1, 2, 3]}`: the value with the highest log-likelihood |

use crate::fit::thread_count;
use crate::{Error, FitOptions};
use cvm_core::{Covariates, Domain, ParametricModel};
use cvm_fit::{Prior, Settings};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A prior as data.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum PriorSetting {
    Normal { mean: f64, sd: f64 },
    HalfNormal { sd: f64 },
    LogNormal { mu: f64, sigma: f64 },
    Gamma { shape: f64, rate: f64 },
    Beta { alpha: f64, beta: f64 },
}

impl From<PriorSetting> for Prior {
    fn from(setting: PriorSetting) -> Prior {
        match setting {
            PriorSetting::Normal { mean, sd } => Prior::Normal { mean, sd },
            PriorSetting::HalfNormal { sd } => Prior::HalfNormal { sd },
            PriorSetting::LogNormal { mu, sigma } => Prior::LogNormal { mu, sigma },
            PriorSetting::Gamma { shape, rate } => Prior::Gamma { shape, rate },
            PriorSetting::Beta { alpha, beta } => Prior::Beta { alpha, beta },
        }
    }
}

const GENERAL: [&str; 5] = ["covariate_l1", "covariate_l2", "priors", "bounds", "choose"];

/// The covariates that the settings name.
pub(crate) fn covariates<M: ParametricModel>(options: &FitOptions) -> Result<Covariates, Error> {
    let setting = |process: &str| format!("{process}_covariates");
    let processes: Vec<String> = M::PROCESSES.iter().map(|p| setting(p.name)).collect();
    for (name, value) in &options.settings {
        let field = format!("options.settings.{name}");
        if processes.contains(name) && names_in(value).is_none() {
            let why = format!("is {value}: must be a list of distinct column names");
            return Err(Error::invalid(field, why));
        }
    }
    let names = |process: &str| {
        let given = options.settings.get(&setting(process));
        given.and_then(names_in).unwrap_or_default()
    };
    Ok(Covariates::new(M::PROCESSES, M::PARAMS, &names))
}

/// The settings left for the kind itself: those of covariates and of the estimator taken out.
pub(crate) fn own_settings<M: ParametricModel>(options: &FitOptions) -> Map<String, Value> {
    let is_process = |name: &str| {
        let process = name.strip_suffix("_covariates");
        process.is_some_and(|process| M::PROCESSES.iter().any(|own| own.name == process))
    };
    let own = |name: &str| !is_process(name) && !GENERAL.contains(&name);
    let settings = options.settings.iter().filter(|(name, _)| own(name));
    settings
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A list of distinct names.
fn names_in(value: &Value) -> Option<Vec<String>> {
    let names = value.as_array()?.iter();
    let names: Option<Vec<String>> = names.map(|name| name.as_str().map(str::to_owned)).collect();
    let names = names?;
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}

/// Settings of the estimator for parameters `names`, the first `base_dim` of which are the model's
/// own and the rest coefficients.
pub(crate) fn estimator(
    options: &FitOptions,
    names: &[String],
    base_dim: usize,
) -> Result<Settings, Error> {
    let base = options.penalty.unwrap_or(0.0);
    let l1 = weight(options, "covariate_l1")?;
    let l2 = weight(options, "covariate_l2")?;
    let per_param = |own: f64, coefficient: f64| -> Vec<f64> {
        if own == 0.0 && coefficient == 0.0 {
            return Vec::new();
        }
        let of = |index| if index < base_dim { own } else { coefficient };
        (0..names.len()).map(of).collect()
    };
    Ok(Settings {
        max_iterations: options.max_iterations,
        gradient_tolerance: options.gradient_tolerance,
        penalty: per_param(base, if l2 > 0.0 { l2 } else { base }),
        l1: per_param(0.0, l1),
        priors: by_name(options, "priors", names, prior_in)?,
        bounds: by_name(options, "bounds", names, |value| bounds_in(value).map(Some))?,
        log_likelihood_bound: None,
        threads: thread_count(options.threads),
    })
}

/// The options with each value of the parameter that the setting `choose` names held in turn;
/// `None` without the setting.
pub(crate) fn choices(options: &FitOptions) -> Result<Option<Vec<FitOptions>>, Error> {
    const MOST: usize = 100;
    let Some(setting) = options.settings.get("choose") else {
        return Ok(None);
    };
    let refuse = || {
        let why = format!(
            "is {setting}: must name one parameter with a list of at most {MOST} numbers, such as \
             {{\"k\": [1, 2, 3]}}"
        );
        Error::invalid("options.settings.choose", why)
    };
    let named = setting.as_object().filter(|object| object.len() == 1);
    let (name, values) = named
        .and_then(|object| object.iter().next())
        .ok_or_else(refuse)?;
    let values = values
        .as_array()
        .filter(|values| (1..=MOST).contains(&values.len()));
    let values = values.ok_or_else(refuse)?;
    if values.iter().any(|value| !value.is_number()) {
        return Err(refuse());
    }
    let held = |value: &Value| {
        let mut options = options.clone();
        options.settings.remove("choose");
        let bounds = options
            .settings
            .entry("bounds")
            .or_insert_with(|| Map::new().into());
        if let Some(bounds) = bounds.as_object_mut() {
            bounds.insert(
                name.clone(),
                Value::from(vec![value.clone(), value.clone()]),
            );
        }
        options
    };
    Ok(Some(values.iter().map(held).collect()))
}

fn weight(options: &FitOptions, name: &str) -> Result<f64, Error> {
    let Some(value) = options.settings.get(name) else {
        return Ok(0.0);
    };
    let number = value
        .as_f64()
        .filter(|number| Domain::NonNegative.contains(*number));
    number.ok_or_else(|| {
        let why = format!("is {value}: must be {}", Domain::NonNegative);
        Error::invalid(format!("options.settings.{name}"), why)
    })
}

/// One entry per parameter from an object by name; empty where the setting is absent.
fn by_name<T: Clone + Default>(
    options: &FitOptions,
    setting: &str,
    names: &[String],
    parse: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, Error> {
    let Some(given) = options.settings.get(setting) else {
        return Ok(Vec::new());
    };
    let field = format!("options.settings.{setting}");
    let Some(given) = given.as_object() else {
        let why = format!("is {given}: must be an object by parameter name");
        return Err(Error::invalid(field, why));
    };
    let mut entries = vec![T::default(); names.len()];
    for (name, value) in given {
        let field = format!("{field}.{name}");
        let Some(index) = names.iter().position(|own| own == name) else {
            let why = format!("is of no parameter; the model has {}", names.join(", "));
            return Err(Error::invalid(field, why));
        };
        if let Some(slot) = entries.get_mut(index) {
            *slot = parse(value).map_err(|why| Error::invalid(field, why))?;
        }
    }
    Ok(entries)
}

fn prior_in(value: &Value) -> Result<Prior, String> {
    let parsed: Result<PriorSetting, _> = serde_json::from_value(value.clone());
    parsed.map(Prior::from).map_err(|error| {
        format!(
            "is {value}: must be one of normal, half_normal, log_normal, gamma, beta with its \
             numbers, such as {{\"gamma\": {{\"shape\": 2, \"rate\": 1}}}} ({error})"
        )
    })
}

fn bounds_in(value: &Value) -> Result<(f64, f64), String> {
    let ends: Option<Vec<f64>> = value
        .as_array()
        .and_then(|ends| ends.iter().map(Value::as_f64).collect());
    match ends.as_deref() {
        Some(&[low, high]) if low <= high => Ok((low, high)),
        _ => Err(format!("is {value}: must be two numbers, the lower first")),
    }
}

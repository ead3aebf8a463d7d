//! Models from known parameters, and models composed of models.

use crate::{Entry, Error, Model, catalog::entry};
use cvm_core::{Covariates, Effect, Process, Scorer, TimeUnit, Violation};
use serde_json::Map;

/// A model of `kind` at given parameters, such as a paper's; names in any order. A name like
/// `purchase.season` is the coefficient of the covariate `season` in that process.
///
/// # Errors
/// `NotFound` for an unknown kind; `InvalidInput` for missing, unknown or illegal parameters.
pub fn from_params(
    kind: &str,
    params: &[(String, f64)],
    time_unit: Option<TimeUnit>,
) -> Result<Model, Error> {
    let entry = entry(kind)?;
    let Some(build) = entry.build else {
        return Err(Error::invalid(
            "kind",
            format!("`{kind}` has no fixed list of parameters"),
        ));
    };
    let mut violations = Vec::new();
    let mut values = Vec::with_capacity(entry.params.len());
    for spec in entry.params {
        match params.iter().find(|(name, _)| name == spec.name) {
            Some((_, value)) => values.push(*value),
            None => violations.push(violation(spec.name, "is missing")),
        }
    }
    let covariates = coefficients(entry, params, &mut violations);
    if !violations.is_empty() {
        return Err(cvm_core::InputError { violations }.into());
    }
    let mut facts = Map::new();
    if !covariates.is_empty() {
        let own = entry.params.iter().map(|spec| spec.name.to_owned());
        let names = own.chain(covariates.terms.iter().map(|term| term.name.clone()));
        facts.insert("param_names".to_owned(), names.collect::<Vec<_>>().into());
    }
    Model::new(build(&values, covariates, time_unit)?, facts, Vec::new())
}

/// The covariates whose coefficients are among the parameters: `purchase.<column>`, or
/// `dropout.<parameter>.<column>` where a process acts on several.
fn coefficients(
    entry: &Entry,
    params: &[(String, f64)],
    violations: &mut Vec<Violation>,
) -> Covariates {
    let given = params
        .iter()
        .filter(|(name, _)| !entry.params.iter().any(|spec| spec.name == name));
    let column = |name: &str, process: &Process| -> Option<String> {
        let rest = name.strip_prefix(process.name)?.strip_prefix('.')?;
        if let [_] = process.effects {
            return Some(rest.to_owned());
        }
        let (param, column) = rest.split_once('.')?;
        let acts = |effect: &Effect| {
            let spec = entry.params.get(effect.param);
            spec.is_some_and(|spec| spec.name == param)
        };
        process.effects.iter().any(acts).then(|| column.to_owned())
    };
    let names = |name: &str| {
        let mut columns: Vec<String> = Vec::new();
        for process in entry.processes.iter().filter(|own| own.name == name) {
            for (name, _) in given.clone() {
                columns.extend(column(name, process).filter(|c| !columns.contains(c)));
            }
        }
        columns
    };
    let mut covariates = Covariates::new(entry.processes, entry.params, &names);
    for (term, slot) in covariates.terms.iter().zip(&mut covariates.coefficients) {
        match params.iter().find(|(name, _)| *name == term.name) {
            Some((_, value)) if value.is_finite() => *slot = *value,
            Some((name, value)) => {
                let why = format!("is {value}: must be a finite number");
                violations.push(violation(name, &why));
            }
            None => violations.push(violation(&term.name, "is missing")),
        }
    }
    for (name, _) in given {
        if !covariates.terms.iter().any(|term| term.name == *name) {
            let known: Vec<&str> = entry.params.iter().map(|spec| spec.name).collect();
            let why = format!("is unknown; known: {}", known.join(", "));
            violations.push(violation(name, &why));
        }
    }
    covariates
}

fn violation(name: &str, description: &str) -> Violation {
    Violation {
        field: format!("params.{name}"),
        description: description.to_owned(),
    }
}

/// The lifetime-value model of a purchase model and a spend model, in `currency` if given (three
/// letters, as in ISO 4217).
///
/// # Errors
/// `InvalidInput` if either is not of its family, or for a code that is no currency's.
pub fn lifetime_value(
    purchase: &Model,
    spend: &Model,
    currency: Option<&str>,
) -> Result<Model, Error> {
    let mut state = cvm_core::ModelState::new("clv.lifetime_value");
    state.nest("purchase", purchase.scorer().state());
    state.nest("spend", spend.scorer().state());
    let composed = cvm_clv::LifetimeValue::from_state(&state)
        .map_err(|error| Error::invalid("purchase, spend", error.to_string()))?;
    let composed = match currency {
        Some(code) => composed.with_currency(code)?,
        None => composed,
    };
    compose(
        Box::new(composed),
        &[("purchase", purchase), ("spend", spend)],
    )
}

/// The lifetime-value model of a contract model's customers, in `currency` if given (three letters,
/// as in ISO 4217).
///
/// # Errors
/// `InvalidInput` if the model is not one of contracts, or for a code that is no currency's.
pub fn contract_value(contract: &Model, currency: Option<&str>) -> Result<Model, Error> {
    let mut state = cvm_core::ModelState::new("clv.contract_value");
    state.nest("contract", contract.scorer().state());
    let composed = cvm_clv::ContractValue::from_state(&state)
        .map_err(|error| Error::invalid("contract", error.to_string()))?;
    let composed = match currency {
        Some(code) => composed.with_currency(code)?,
        None => composed,
    };
    compose(Box::new(composed), &[("contract", contract)])
}

/// A composed model with the training facts and covariances of its parts.
fn compose(scorer: Box<dyn Scorer>, parts: &[(&str, &Model)]) -> Result<Model, Error> {
    let facts =
        |(name, part): &(&str, &Model)| ((*name).to_owned(), part.training().clone().into());
    let training = parts.iter().map(facts).collect();
    let covariance = |(name, part): &(&str, &Model)| {
        let mut arrays = part.arrays().iter();
        let own = arrays.find(|array| array.name == "fit.covariance")?;
        Some(cvm_core::Array {
            name: format!("fit.{name}.covariance"),
            ..own.clone()
        })
    };
    Model::new(
        scorer,
        training,
        parts.iter().filter_map(covariance).collect(),
    )
}

/// The model called `name` inside a composed one (`purchase`, `spend`, `contract`), with its
/// covariates, training facts and covariance: what it was before it was composed.
///
/// # Errors
/// `NotFound` if the model has no such part; `Corrupt` if the part is malformed.
pub fn part(composed: &Model, name: &str) -> Result<Model, Error> {
    let inner = composed.scorer().state().nested(name);
    let absent = |_| {
        let why = format!("`{}` has no part `{name}`", composed.kind());
        Error::new(cvm_core::ErrorKind::NotFound, why)
    };
    let inner = inner.map_err(absent)?;
    let scorer = (entry(&inner.kind)?.open)(&inner)?;
    let training = composed
        .training()
        .get(name)
        .and_then(serde_json::Value::as_object);
    let stored = format!("fit.{name}.covariance");
    let covariance = composed.arrays().iter().find(|array| array.name == stored);
    let covariance = covariance.map(|array| cvm_core::Array {
        name: "fit.covariance".to_owned(),
        ..array.clone()
    });
    Model::new(
        scorer,
        training.cloned().unwrap_or_default(),
        covariance.into_iter().collect(),
    )
}

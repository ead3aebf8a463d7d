//! Every kind of model this build can open: one line per kind.

use crate::harness::Harness;
use crate::param_intervals::{IntervalMethod, ParamInterval, ProgressFn};
use crate::{Error, FitOptions, FitWatch, Fitted, fit_parametric, param_intervals};
use cvm_core::{
    Batch, Covariates, ModelState, ParamError, ParamSpec, ParametricModel, Process, Scorer,
    StateError, TimeUnit,
};

type OpenFn = fn(&ModelState) -> Result<Box<dyn Scorer>, StateError>;
type FitFn = fn(&Batch<'_>, &FitOptions, FitWatch<'_>) -> Result<Fitted, Error>;
type IntervalsFn = fn(
    &Batch<'_>,
    &FitOptions,
    IntervalMethod,
    f64,
    ProgressFn<'_>,
) -> Result<Vec<ParamInterval>, Error>;
type PartialFn = fn(&Batch<'_>, &FitOptions, &[f64]) -> Result<Vec<f64>, Error>;
type BuildFn = fn(&[f64], Covariates, Option<TimeUnit>) -> Result<Box<dyn Scorer>, ParamError>;

/// One kind of model.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Kind: `clv.bg_nbd`.
    pub kind: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Parameters; empty for kinds whose parameters depend on the data.
    pub params: &'static [ParamSpec],
    /// Rows for the harnesses: likelihood, gradient and simulation by value.
    pub harness: Option<Harness>,
    pub(crate) open: OpenFn,
    pub(crate) fit: Option<FitFn>,
    pub(crate) build: Option<BuildFn>,
    pub(crate) intervals: Option<IntervalsFn>,
    pub(crate) partial: Option<PartialFn>,
    /// Processes that covariates may explain.
    pub processes: &'static [Process],
    /// Whether covariates are paths over time, in as many numbered columns as a table has.
    pub covariate_paths: bool,
}

/// Every kind this build can open.
pub static CATALOG: &[Entry] = &[
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::BgNbd>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::ParetoNbd>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::ParetoGgg>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::GGompertzNbd>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::ParetoNbdCorrelated>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::BgBb>>(),
    Entry::parametric::<cvm_clv::Contract<cvm_clv::Sbg>>(),
    Entry::parametric::<cvm_clv::Contract<cvm_clv::Bdw>>(),
    Entry::parametric::<cvm_clv::Contract<cvm_clv::Geometric>>(),
    Entry::parametric::<cvm_clv::Contract<cvm_clv::DiscreteWeibull>>(),
    Entry::parametric::<cvm_clv::Spending<cvm_clv::GammaGamma>>(),
    Entry::parametric::<cvm_clv::Spending<cvm_clv::LogNormalSpend>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::MbgNbd>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::Nbd>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::BgCnbdK>>(),
    Entry::parametric::<cvm_clv::Purchase<cvm_clv::MbgCnbdK>>(),
    Entry::parametric::<cvm_clv::TimedPurchases>(),
    Entry::parametric::<cvm_clv::TimedContracts>(),
    Entry::composed("clv.lifetime_value", "Lifetime value", |state| {
        Ok(Box::new(cvm_clv::LifetimeValue::from_state(state)?))
    }),
    Entry::composed("clv.contract_value", "Contract value", |state| {
        Ok(Box::new(cvm_clv::ContractValue::from_state(state)?))
    }),
    Entry::fitted(
        "churn.logistic",
        "Logistic regression",
        |state| Ok(Box::new(cvm_churn::Logistic::from_state(state)?)),
        crate::fit_logistic::fit,
    ),
    Entry::fitted(
        "churn.hazard",
        "Discrete-time hazard",
        |state| {
            type Model = cvm_churn::survival::Survival<cvm_churn::survival::Hazard>;
            Ok(Box::new(Model::from_state(state)?))
        },
        crate::fit_hazard::fit,
    ),
    Entry::fitted(
        "churn.cox",
        "Cox proportional hazards",
        |state| {
            type Model = cvm_churn::survival::Survival<cvm_churn::survival::Cox>;
            Ok(Box::new(Model::from_state(state)?))
        },
        crate::fit_cox::fit,
    ),
    Entry::fitted(
        "churn.weibull",
        "Weibull regression",
        |state| {
            type Model = cvm_churn::survival::Survival<cvm_churn::survival::Weibull>;
            Ok(Box::new(Model::from_state(state)?))
        },
        crate::fit_weibull::fit,
    ),
    Entry::fitted(
        cvm_churn::boosted::Boosted::KIND,
        cvm_churn::boosted::Boosted::TITLE,
        |state| Ok(Box::new(cvm_churn::boosted::Boosted::from_state(state)?)),
        crate::fit_boosted::fit,
    ),
    Entry::composed(
        cvm_churn::calibrate::Averaged::KIND,
        cvm_churn::calibrate::Averaged::TITLE,
        |state| Ok(Box::new(cvm_churn::calibrate::Averaged::from_state(state)?)),
    ),
    Entry::composed("churn.trees", "Tree ensemble", |state| {
        Ok(Box::new(cvm_churn::trees::TreeEnsemble::from_state(state)?))
    }),
];

/// Every kind, in catalog order.
#[must_use]
pub fn catalog() -> &'static [Entry] {
    CATALOG
}

/// The entry of `kind`.
///
/// # Errors
/// `NotFound` with the kinds there are.
pub fn entry(kind: &str) -> Result<&'static Entry, Error> {
    CATALOG
        .iter()
        .find(|entry| entry.kind == kind)
        .ok_or_else(|| {
            let known: Vec<&str> = CATALOG.iter().map(|entry| entry.kind).collect();
            Error::not_found(format!(
                "model kind `{kind}` is unknown; known: {}",
                known.join(", ")
            ))
        })
}

/// The scorer of a state without arrays of a fit: its kind, with its calibrator if it has one.
///
/// # Errors
/// `NotFound` for an unknown kind, `Corrupt` for a malformed state.
pub(crate) fn scorer(state: ModelState) -> Result<Box<dyn Scorer>, Error> {
    let (inner, calibration) = cvm_churn::calibrate::take(state)?;
    let scorer = (entry(&inner.kind)?.open)(&inner)?;
    Ok(match calibration {
        None => scorer,
        Some(own) => Box::new(cvm_churn::calibrate::Calibrated::from_state(scorer, &own)?),
    })
}

impl Entry {
    const fn parametric<M: ParametricModel>() -> Entry {
        Entry {
            kind: M::KIND,
            title: M::TITLE,
            params: M::PARAMS,
            harness: Some(Harness::of::<M>()),
            open: open::<M>,
            fit: Some(fit_parametric::fit::<M>),
            build: Some(build::<M>),
            intervals: Some(param_intervals::intervals::<M>),
            partial: Some(param_intervals::partial::<M>),
            processes: M::PROCESSES,
            covariate_paths: M::COVARIATE_PATHS,
        }
    }

    const fn composed(kind: &'static str, title: &'static str, open: OpenFn) -> Entry {
        Entry {
            kind,
            title,
            params: &[],
            harness: None,
            open,
            fit: None,
            build: None,
            intervals: None,
            partial: None,
            processes: &[],
            covariate_paths: false,
        }
    }

    const fn fitted(kind: &'static str, title: &'static str, open: OpenFn, fit: FitFn) -> Entry {
        Entry {
            kind,
            title,
            params: &[],
            harness: None,
            open,
            fit: Some(fit),
            build: None,
            intervals: None,
            partial: None,
            processes: &[],
            covariate_paths: false,
        }
    }
}

fn build<M: ParametricModel>(
    params: &[f64],
    covariates: Covariates,
    unit: Option<TimeUnit>,
) -> Result<Box<dyn Scorer>, ParamError> {
    let model = M::from_params(params, unit)?;
    if covariates.is_empty() {
        return Ok(Box::new(model));
    }
    Ok(Box::new(model.with_covariates(covariates)))
}

fn open<M: ParametricModel>(state: &ModelState) -> Result<Box<dyn Scorer>, StateError> {
    Ok(Box::new(cvm_clv::parametric_from_state::<M>(state)?))
}

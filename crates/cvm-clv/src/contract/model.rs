//! A contract model with its covariates: the contract of a fit, written once for every kind.

use super::likelihood::ln_churn;
use super::tenure::{history_schema, read_tenures, tenure_schema};
use super::{ContractForecast, ContractFormulas, ContractModel, Subscribers, Tenure};
use crate::covariates::{extend_schema, load, read_covariates, scale_params};
use crate::merged::MergedRows;
use crate::state::wrong_length;
use cvm_core::{
    BoundBatch, Covariates, Derivatives, InputSchema, Likelihood, ModelState, Nested, Order,
    ParamError, ParamSpec, ParametricModel, Process, RowStatus, StateError, TimeUnit,
};
use cvm_math::{exp, expm1};
use std::ops::Deref;

/// A contract model: formulas, the length of a period, and covariates if there are any.
#[derive(Debug, Clone)]
pub struct Contract<F: ContractFormulas> {
    pub(super) formulas: F,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) covariates: Covariates,
    pub(super) schema: InputSchema,
}

impl<F: ContractFormulas> Contract<F> {
    /// The model of `formulas`.
    #[must_use]
    pub fn new(formulas: F, time_unit: Option<TimeUnit>) -> Self {
        Contract {
            formulas,
            time_unit,
            covariates: Covariates::default(),
            schema: tenure_schema(time_unit),
        }
    }

    /// The model stored as `state`.
    ///
    /// # Errors
    /// A state of another kind, an absent or misshapen part, or a parameter outside its domain.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        crate::state::parametric_from_state(state)
    }

    /// The formulas of a customer with these covariates.
    fn formulas_of(&self, values: &[f64]) -> F {
        let theta = self.formulas.params();
        let mut params = vec![0.0; theta.len()];
        let coefficients = &self.covariates.coefficients;
        scale_params(
            F::PARAMS,
            &self.covariates,
            coefficients,
            &theta,
            values,
            &mut params,
        );
        F::at_row(&params)
    }
}

/// The formulas' own functions are the model's, where it has no covariates.
impl<F: ContractFormulas> Deref for Contract<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.formulas
    }
}

impl<F: ContractFormulas> ParametricModel for Contract<F> {
    const KIND: &'static str = F::KIND;
    const TITLE: &'static str = F::TITLE;
    const PARAMS: &'static [ParamSpec] = F::PARAMS;
    const PROCESSES: &'static [Process] = F::PROCESSES;

    type Row = Tenure;
    type Likelihood = F::Likelihood;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        if params.len() != F::PARAMS.len() {
            return Err(wrong_length(params.len()));
        }
        for (spec, value) in F::PARAMS.iter().zip(params) {
            spec.check(*value)?;
        }
        Ok(Contract::new(F::at(params), time_unit))
    }

    fn params(&self) -> Vec<f64> {
        self.formulas.params()
    }

    fn fit_schema(time_unit: Option<TimeUnit>) -> InputSchema {
        history_schema(time_unit)
    }

    /// A customer who has not come to a renewal yet tells nothing.
    fn row(values: &[f64]) -> Result<Option<Tenure>, RowStatus> {
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let row = Tenure::new(value(0), value(1))?;
        Ok((row.tenure > 0.0).then_some(row))
    }

    fn row_values(row: &Tenure, values: &mut [f64]) {
        for (slot, value) in values.iter_mut().zip([row.tenure, row.churned]) {
            *slot = value;
        }
    }

    fn log_lik(&self, row: &Tenure) -> f64 {
        self.formulas.log_lik(row)
    }

    fn log_lik_grad(&self, row: &Tenure, gradient: &mut [f64]) -> f64 {
        let mut out = Derivatives::zero(F::PARAMS.len());
        self.formulas.derivatives(row, Order::Gradient, &mut out);
        gradient.copy_from_slice(&out.gradient);
        out.value
    }

    fn likelihood(rows: &[Tenure], weights: Option<&[f64]>) -> F::Likelihood {
        F::likelihood(rows, weights)
    }

    fn starts(likelihood: &F::Likelihood) -> Vec<Vec<f64>> {
        F::starts(likelihood)
    }

    fn nested() -> Option<Nested<Tenure>> {
        F::nested()
    }

    fn simulate(&self, templates: &[Tenure], seed: u64) -> Vec<Tenure> {
        self.formulas.simulate(templates, seed)
    }

    fn adopt(self, state: &ModelState) -> Result<Self, StateError> {
        Ok(match load(state, F::PROCESSES, F::PARAMS)? {
            Some(covariates) => self.with_covariates(covariates),
            None => self,
        })
    }

    fn with_covariates(mut self, covariates: Covariates) -> Self {
        self.schema = tenure_schema(self.time_unit);
        extend_schema(&mut self.schema, &covariates);
        self.covariates = covariates;
        self
    }

    fn covariates(&self) -> Option<&Covariates> {
        (!self.covariates.is_empty()).then_some(&self.covariates)
    }

    fn covariate_likelihood(
        rows: &[Tenure],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let merged = MergedRows::<F>::with_covariates(rows, values, weights, covariates);
        Some(Box::new(merged))
    }
}

impl<F: ContractFormulas> ContractModel for Contract<F> {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn covariate_count(&self) -> usize {
        self.covariates.columns.len()
    }

    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Tenure],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    ) {
        read_tenures(batch, start, rows, status);
        let width = self.covariates.columns.len();
        if width > 0 {
            read_covariates(batch, 1..1 + width, start, covariates, status);
        }
    }

    fn forecast(&self, what: ContractForecast, customers: Subscribers<'_>, out: &mut [f64]) {
        self.forecast_knowing(what, customers, &mut Known::default(), out);
    }

    fn clone_box(&self) -> Box<dyn ContractModel> {
        Box::new(self.clone())
    }
}

/// Answers to one question by tenure.
#[derive(Debug, Clone)]
pub(super) struct Known([(f64, f64); Known::SLOTS]);

impl Known {
    const SLOTS: usize = 64;
}

impl Default for Known {
    fn default() -> Self {
        Known([(f64::NAN, 0.0); Known::SLOTS])
    }
}

impl<F: ContractFormulas> Contract<F> {
    /// One forecast of many customers; without covariates equal tenures are answered once, also those
    /// of earlier calls with the same question.
    pub(super) fn forecast_knowing(
        &self,
        what: ContractForecast,
        customers: Subscribers<'_>,
        known: &mut Known,
        out: &mut [f64],
    ) {
        let width = self.covariates.columns.len();
        for (index, (row, value)) in customers.rows.iter().zip(out).enumerate() {
            if width > 0 {
                let values = &customers.covariates[index * width..(index + 1) * width];
                *value = answer(&self.formulas_of(values), what, row.tenure);
                continue;
            }
            let slot = &mut known.0[row.tenure as usize % Known::SLOTS];
            if slot.0 != row.tenure {
                *slot = (row.tenure, answer(&self.formulas, what, row.tenure));
            }
            *value = slot.1;
        }
    }
}

fn answer<F: ContractFormulas>(formulas: &F, what: ContractForecast, tenure: f64) -> f64 {
    match what {
        ContractForecast::Retained { t } => exp(-formulas.hazard(tenure, t)),
        ContractForecast::LnRetained { t } => -formulas.hazard(tenure, t),
        ContractForecast::Churned { t } => -expm1(-formulas.hazard(tenure, t)),
        ContractForecast::ChurnedAt { t } => churned_at(formulas, tenure, t),
        ContractForecast::Lifetime { t, delta } => formulas.lifetime(tenure, t, delta),
        ContractForecast::Residual { t, delta } => formulas.residual(tenure, t, delta),
        ContractForecast::Quantile { p } => formulas.quantile(tenure, p),
    }
}

fn churned_at<F: ContractFormulas>(formulas: &F, tenure: f64, t: f64) -> f64 {
    if t < 1.0 || t == f64::INFINITY {
        return 0.0;
    }
    let stayed = formulas.hazard(tenure, t - 1.0);
    exp(ln_churn(formulas.hazard(tenure + (t - 1.0), 1.0)) - stayed)
}

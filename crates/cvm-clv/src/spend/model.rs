//! A spend model with its covariates: the contract of a fit, written once for every kind.

use super::policy::{FREE, ONE_TIME};
use super::{
    Spend, SpendForecast, SpendFormulas, SpendModel, SpendPolicy, SpendRows, Spenders, ZeroAmounts,
};
use crate::covariates::{extend_schema, load, read_covariates, scale_params};
use crate::merged::MergedRows;
use crate::rfm::CHUNK;
use crate::state::wrong_length;
use cvm_core::{
    BoundBatch, Covariates, Derivatives, Domain, InputError, InputField, InputSchema, Likelihood,
    ModelState, Nested, Order, ParamError, ParamSpec, ParametricModel, Process, Reading, RowReader,
    RowStatus, StateError, TimeUnit,
};
use serde_json::{Map, Value};
use std::ops::Deref;

/// A spend model: formulas, the purchases that count, and covariates if there are any.
#[derive(Debug, Clone)]
pub struct Spending<F: SpendFormulas> {
    pub(super) formulas: F,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) policy: SpendPolicy,
    pub(super) covariates: Covariates,
    pub(super) schema: InputSchema,
}

impl<F: SpendFormulas> Spending<F> {
    /// The model of `formulas`, of repeat purchases.
    #[must_use]
    pub fn new(formulas: F, time_unit: Option<TimeUnit>) -> Self {
        Spending {
            formulas,
            time_unit,
            policy: SpendPolicy::default(),
            covariates: Covariates::default(),
            schema: schema::<F>(),
        }
    }

    /// The same model of other purchases.
    #[must_use]
    pub fn with_policy(mut self, policy: SpendPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The purchases that count.
    #[must_use]
    pub fn policy(&self) -> SpendPolicy {
        self.policy
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
impl<F: SpendFormulas> Deref for Spending<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.formulas
    }
}

/// No column is in periods, so the schema names no unit.
fn schema<F: SpendFormulas>() -> InputSchema {
    let frequency = InputField::number("frequency", "purchases", Domain::Count);
    let own = F::COLUMNS.iter().map(super::SpendColumn::field);
    InputSchema {
        fields: std::iter::once(frequency).chain(own).collect(),
        time_unit: None,
    }
}

/// A row of a fit under a policy; `None` without a purchase that counts.
fn read_row<F: SpendFormulas>(
    policy: SpendPolicy,
    values: &[f64],
) -> Result<Option<Spend>, RowStatus> {
    let frequency = values.first().copied().unwrap_or(f64::NAN);
    let purchases = policy.purchases(frequency)?;
    if purchases == 0.0 {
        return Ok(None);
    }
    // The status counts columns from the first after `frequency`.
    let own = F::row(purchases, values.get(1..).unwrap_or_default());
    let row = own.map_err(|bad| RowStatus::bad(bad.code, bad.field + 1))?;
    Ok(Some(row))
}

impl<F: SpendFormulas> ParametricModel for Spending<F> {
    const KIND: &'static str = F::KIND;
    const TITLE: &'static str = F::TITLE;
    const PARAMS: &'static [ParamSpec] = F::PARAMS;
    const PROCESSES: &'static [Process] = F::PROCESSES;

    type Row = Spend;
    type Likelihood = F::Likelihood;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        if params.len() != F::PARAMS.len() {
            return Err(wrong_length(params.len()));
        }
        for (spec, value) in F::PARAMS.iter().zip(params) {
            spec.check(*value)?;
        }
        Ok(Spending::new(F::at(params), time_unit))
    }

    fn params(&self) -> Vec<f64> {
        self.formulas.params()
    }

    fn fit_schema(_time_unit: Option<TimeUnit>) -> InputSchema {
        let mut schema = schema::<F>();
        let more = F::FIT_COLUMNS.iter().map(super::SpendColumn::field);
        schema.fields.extend(more);
        schema
    }

    fn row(values: &[f64]) -> Result<Option<Spend>, RowStatus> {
        read_row::<F>(SpendPolicy::default(), values)
    }

    fn reader(settings: &Map<String, Value>) -> Result<RowReader<Spend>, InputError> {
        let policy = SpendPolicy::from_settings(F::KIND, settings)?;
        let excludes = policy.zero_amounts == ZeroAmounts::Exclude;
        Ok(Box::new(move |values| {
            let own = values.get(1..).unwrap_or_default();
            let frequency = values.first().copied().unwrap_or(f64::NAN);
            if excludes && policy.purchases(frequency)? > 0.0 && F::is_free(own) {
                return Ok(Reading::Excluded(FREE));
            }
            let row = read_row::<F>(policy, values)?;
            Ok(row.map_or(Reading::Excluded(ONE_TIME), Reading::Used))
        }))
    }

    fn with_settings(self, settings: &Map<String, Value>) -> Result<Self, InputError> {
        let policy = SpendPolicy::from_settings(F::KIND, settings)?;
        Ok(self.with_policy(policy))
    }

    fn row_values(row: &Spend, values: &mut [f64]) {
        if let Some((frequency, own)) = values.split_first_mut() {
            *frequency = SpendPolicy::default().frequency(row.frequency);
            F::row_values(row, own);
        }
    }

    fn log_lik(&self, row: &Spend) -> f64 {
        self.formulas.log_lik(row)
    }

    fn log_lik_grad(&self, row: &Spend, gradient: &mut [f64]) -> f64 {
        let mut out = Derivatives::zero(F::PARAMS.len());
        self.formulas.derivatives(row, Order::Gradient, &mut out);
        gradient.copy_from_slice(&out.gradient);
        out.value
    }

    fn likelihood(rows: &[Spend], weights: Option<&[f64]>) -> F::Likelihood {
        F::likelihood(rows, weights)
    }

    fn starts(likelihood: &F::Likelihood) -> Vec<Vec<f64>> {
        F::starts(likelihood)
    }

    fn nested() -> Option<Nested<Spend>> {
        F::nested()
    }

    fn simulate(&self, templates: &[Spend], seed: u64) -> Vec<Spend> {
        self.formulas.simulate(templates, seed)
    }

    fn adopt(self, state: &ModelState) -> Result<Self, StateError> {
        let model = self.with_policy(SpendPolicy::load(state)?);
        Ok(match load(state, F::PROCESSES, F::PARAMS)? {
            Some(covariates) => model.with_covariates(covariates),
            None => model,
        })
    }

    fn with_covariates(mut self, covariates: Covariates) -> Self {
        self.schema = schema::<F>();
        extend_schema(&mut self.schema, &covariates);
        self.covariates = covariates;
        self
    }

    fn covariates(&self) -> Option<&Covariates> {
        (!self.covariates.is_empty()).then_some(&self.covariates)
    }

    fn covariate_likelihood(
        rows: &[Spend],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let merged = MergedRows::<F>::with_covariates(rows, values, weights, covariates);
        Some(Box::new(merged))
    }
}

impl<F: SpendFormulas> SpendModel for Spending<F> {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn covariate_count(&self) -> usize {
        self.covariates.columns.len()
    }

    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        fields: &[usize],
        start: usize,
        frequency: &[f64],
        into: SpendRows<'_>,
    ) {
        let (own, covariates) = fields.split_at(F::COLUMNS.len().min(fields.len()));
        let mut values = vec![[0.0; CHUNK]; own.len()];
        let count = frequency.len().min(CHUNK);
        for (field, column) in own.iter().zip(&mut values) {
            batch.read_numbers(*field, start, &mut column[..count]);
        }
        let mut row_values = vec![0.0; own.len()];
        for (index, row) in into.rows.iter_mut().enumerate().take(count) {
            *row = Spend::NONE;
            if !into.status[index].is_ok() {
                continue;
            }
            for (slot, column) in row_values.iter_mut().zip(&values) {
                *slot = column[index];
            }
            match self.policy.purchases(frequency[index]) {
                Ok(0.0) => {}
                Ok(purchases) => match F::row(purchases, &row_values) {
                    Ok(good) => *row = good,
                    Err(bad) => into.status[index] = blame(bad, own),
                },
                Err(bad) => into.status[index] = bad,
            }
        }
        if !covariates.is_empty() {
            let fields = covariates.iter().copied();
            read_covariates(batch, fields, start, into.covariates, into.status);
        }
    }

    fn forecast(&self, what: SpendForecast, customers: Spenders<'_>, out: &mut [f64]) {
        if self.covariates.is_empty() {
            for (row, slot) in customers.rows.iter().zip(out) {
                *slot = answer(&self.formulas, what, row);
            }
            return;
        }
        let width = self.covariates.columns.len();
        let each = customers.rows.iter();
        let each = each.zip(customers.covariates.chunks_exact(width));
        for ((row, values), slot) in each.zip(out) {
            *slot = answer(&self.formulas_of(values), what, row);
        }
    }

    fn probe_columns(&self, row_count: usize) -> Vec<(String, Vec<f64>)> {
        super::probe::columns(self, row_count)
    }

    fn clone_box(&self) -> Box<dyn SpendModel> {
        Box::new(self.clone())
    }
}

/// The status of a row refused by its own column, blaming the batch's field.
fn blame(bad: RowStatus, own: &[usize]) -> RowStatus {
    let field = own.get(usize::from(bad.field)).copied().unwrap_or(0);
    RowStatus::bad(bad.code, u16::try_from(field).unwrap_or(u16::MAX))
}

fn answer<F: SpendFormulas>(formulas: &F, what: SpendForecast, row: &Spend) -> f64 {
    match what {
        SpendForecast::Expected => formulas.expected_spend(row),
        SpendForecast::Sd => {
            (formulas.variance_within(row) + formulas.variance_of_mean(row)).sqrt()
        }
        SpendForecast::MeanSd => formulas.variance_of_mean(row).sqrt(),
        SpendForecast::Median => formulas.median_spend(row),
        SpendForecast::VarianceWithin => formulas.variance_within(row),
        SpendForecast::VarianceOfMean => formulas.variance_of_mean(row),
    }
}

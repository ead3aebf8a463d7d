//! A purchase model with its covariates: the contract of a fit, written once for every kind.

use super::{Clock, Customers, Forecast, PurchaseFormulas, PurchaseModel};
use crate::covariates::{extend_schema, load, read_covariates, scale_params};
use crate::merged::MergedRows;
use crate::rfm::{Rfm, log_gap_sum_field, read_log_gap_sums, read_rows, rfm_schema};
use crate::state::wrong_length;
use cvm_core::{
    BoundBatch, Covariates, Derivatives, Domain, FarMaximum, InputError, InputField, InputSchema,
    Likelihood, ModelState, Nested, Order, ParamError, ParamSpec, ParametricModel, Process,
    RowStatus, StateError, TimeUnit,
};
use cvm_math::log_add_exp;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Deref;

/// A purchase model: formulas, the length of a period, and covariates if there are any.
#[derive(Debug, Clone)]
pub struct Purchase<F: PurchaseFormulas> {
    pub(super) formulas: F,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) covariates: Covariates,
    pub(super) schema: InputSchema,
}

impl<F: PurchaseFormulas> Purchase<F> {
    /// The model of `formulas`.
    #[must_use]
    pub fn new(formulas: F, time_unit: Option<TimeUnit>) -> Self {
        Purchase {
            formulas,
            time_unit,
            covariates: Covariates::default(),
            schema: schema::<F>(time_unit),
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
impl<F: PurchaseFormulas> Deref for Purchase<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.formulas
    }
}

fn schema<F: PurchaseFormulas>(time_unit: Option<TimeUnit>) -> InputSchema {
    let mut schema = rfm_schema(time_unit);
    if F::CLOCK == Clock::Discrete {
        let count = |name: &str| InputField::number(name, "periods", Domain::Count);
        schema.fields[1] = count("recency");
        schema.fields[2] = count("n_periods");
    }
    if F::RHYTHMIC {
        schema.fields.push(log_gap_sum_field());
    }
    schema
}

impl<F: PurchaseFormulas> ParametricModel for Purchase<F> {
    const KIND: &'static str = F::KIND;
    const TITLE: &'static str = F::TITLE;
    const PARAMS: &'static [ParamSpec] = F::PARAMS;
    const PROCESSES: &'static [Process] = F::PROCESSES;

    type Row = Rfm;
    type Likelihood = F::Likelihood;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        if params.len() != F::PARAMS.len() {
            return Err(wrong_length(params.len()));
        }
        for (spec, value) in F::PARAMS.iter().zip(params) {
            spec.check(*value)?;
        }
        Ok(Purchase::new(F::at(params), time_unit))
    }

    fn params(&self) -> Vec<f64> {
        self.formulas.params()
    }

    fn fit_schema(time_unit: Option<TimeUnit>) -> InputSchema {
        let mut schema = schema::<F>(time_unit);
        if F::REGULAR && !F::RHYTHMIC {
            schema.fields.push(log_gap_sum_field());
        }
        schema
    }

    fn row(values: &[f64]) -> Result<Option<Rfm>, RowStatus> {
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let mut row = Rfm::new(value(0), value(1), value(2))?;
        if F::REGULAR {
            row = row.with_log_gap_sum(value(3))?;
        }
        F::check(&row)?;
        Ok(Some(row))
    }

    fn check_rows(rows: &[Rfm]) -> Result<(), InputError> {
        let regular = || rows.iter().filter(|row| row.frequency >= 2.0);
        let computed = |row: &Rfm| row.log_gap_sum != 0.0;
        if !F::REGULAR || regular().count() == 0 || regular().any(computed) {
            return Ok(());
        }
        let why = "is 0 for every customer with two or more repeat purchases: must be the sum of the \
                   logarithms of the times between purchases, as the summary of a transaction log \
                   gives it (or fit a model without regularity)";
        Err(InputError::new("log_gap_sum", why))
    }

    fn row_values(row: &Rfm, values: &mut [f64]) {
        let own = [row.frequency, row.recency, row.age, row.log_gap_sum];
        for (slot, value) in values.iter_mut().zip(own) {
            *slot = value;
        }
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        self.formulas.log_lik(row)
    }

    fn log_lik_grad(&self, row: &Rfm, gradient: &mut [f64]) -> f64 {
        let mut out = Derivatives::zero(F::PARAMS.len());
        self.formulas.derivatives(row, Order::Gradient, &mut out);
        gradient.copy_from_slice(&out.gradient);
        out.value
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> F::Likelihood {
        F::likelihood(rows, weights)
    }

    fn starts(likelihood: &F::Likelihood) -> Vec<Vec<f64>> {
        F::starts(likelihood)
    }

    fn nested() -> Option<Nested<Rfm>> {
        F::nested()
    }

    fn far_maximum(reached: &[f64]) -> Option<FarMaximum> {
        F::far_maximum(reached)
    }

    fn simulate(&self, templates: &[Rfm], seed: u64) -> Vec<Rfm> {
        self.formulas.simulate(templates, seed)
    }

    fn adopt(self, state: &ModelState) -> Result<Self, StateError> {
        Ok(match load(state, F::PROCESSES, F::PARAMS)? {
            Some(covariates) => self.with_covariates(covariates),
            None => self,
        })
    }

    fn with_covariates(mut self, covariates: Covariates) -> Self {
        self.schema = schema::<F>(self.time_unit);
        extend_schema(&mut self.schema, &covariates);
        self.covariates = covariates;
        self
    }

    fn covariates(&self) -> Option<&Covariates> {
        (!self.covariates.is_empty()).then_some(&self.covariates)
    }

    fn covariate_likelihood(
        rows: &[Rfm],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let merged = MergedRows::<F>::with_covariates(rows, values, weights, covariates);
        Some(Box::new(merged))
    }
}

impl<F: PurchaseFormulas> PurchaseModel for Purchase<F> {
    fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    fn clock(&self) -> Clock {
        F::CLOCK
    }

    fn covariate_count(&self) -> usize {
        self.covariates.columns.len()
    }

    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Rfm],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    ) {
        read_rows(batch, start, rows, status);
        if F::RHYTHMIC {
            read_log_gap_sums(batch, start, rows, status);
        }
        for (row, status) in rows.iter_mut().zip(status.iter_mut()) {
            if let Err(bad) = F::check(row)
                && status.is_ok()
            {
                (*row, *status) = (Rfm::PLACEHOLDER, bad);
            }
        }
        let width = self.covariates.columns.len();
        if width > 0 {
            let own = self.schema.fields.len() - width;
            read_covariates(batch, own..own + width, start, covariates, status);
        }
        if F::PROBED_ONE_IN > 1 {
            for (row, _) in rows.iter_mut().zip(status).filter(|(_, own)| !own.is_ok()) {
                row.log_gap_sum = UNANSWERED;
            }
        }
    }

    fn forecast(&self, what: Forecast, customers: Customers<'_>, out: &mut [f64]) {
        if self.covariates.is_empty() {
            return answer(&self.formulas, what, customers.rows, out);
        }
        let width = self.covariates.columns.len();
        let each = customers
            .rows
            .iter()
            .zip(customers.covariates.chunks_exact(width));
        for ((row, values), slot) in each.zip(out) {
            let formulas = self.formulas_of(values);
            let (row, slot) = (std::slice::from_ref(row), std::slice::from_mut(slot));
            answer(&formulas, what, row, slot);
        }
    }

    fn ln_tails<'a>(&'a self, customer: Customers<'a>, t: f64) -> Box<dyn Fn(f64) -> f64 + 'a> {
        let Some(row) = customer.rows.first() else {
            return Box::new(|_| f64::NAN);
        };
        if self.covariates.is_empty() {
            return tails_of::<F>(Cow::Borrowed(&self.formulas), row, t);
        }
        tails_of::<F>(Cow::Owned(self.formulas_of(customer.covariates)), row, t)
    }

    fn ln_tail_ns(&self) -> f64 {
        F::LN_TAIL_NS
    }

    fn clone_box(&self) -> Box<dyn PurchaseModel> {
        Box::new(self.clone())
    }
}

fn tails_of<'a, F: PurchaseFormulas>(
    formulas: Cow<'a, F>,
    row: &'a Rfm,
    t: f64,
) -> Box<dyn Fn(f64) -> f64 + 'a> {
    let alive = formulas.ln_p_alive(row);
    Box::new(move |n| ln_tail(formulas.as_ref(), alive, row, t, n))
}

/// Sum of logarithms of a refused row, which a costly kind gives no answer for.
const UNANSWERED: f64 = f64::NAN;

/// One forecast of many customers with the same parameters.
fn answer<F: PurchaseFormulas>(formulas: &F, what: Forecast, rows: &[Rfm], out: &mut [f64]) {
    let costly = F::PROBED_ONE_IN > 1;
    // Customers of whole periods are few different ones, and refused rows all the same one: each is
    // answered once.
    let merge = costly || F::CLOCK == Clock::Discrete;
    let mut answers: HashMap<[u64; 4], f64> = HashMap::new();
    let mut each = |formula: &dyn Fn(&Rfm) -> f64| {
        for (row, slot) in rows.iter().zip(out.iter_mut()) {
            *slot = if costly && row.log_gap_sum.is_nan() {
                f64::NAN
            } else if merge {
                let numbers = [row.frequency, row.recency, row.age, row.log_gap_sum];
                let key = numbers.map(f64::to_bits);
                *answers.entry(key).or_insert_with(|| formula(row))
            } else {
                formula(row)
            };
        }
    };
    match what {
        Forecast::PAlive if costly => each(&|row| formulas.p_alive(row)),
        Forecast::Purchases { t } | Forecast::Discounted { t, delta: 0.0 } if costly => {
            each(&|row| formulas.purchases(row, t));
        }
        Forecast::PAlive => formulas.p_alive_rows(rows, out),
        Forecast::LnPAlive => each(&|row| formulas.ln_p_alive(row)),
        Forecast::PAliveAhead { t } => each(&|row| formulas.p_alive_ahead(row, t)),
        Forecast::Purchases { t } => formulas.purchases_rows(rows, t, out),
        Forecast::Discounted { t, delta: 0.0 } => {
            formulas.purchases_rows(rows, t, out);
        }
        Forecast::Discounted { t, delta } => each(&|row| formulas.discounted(row, t, delta)),
        Forecast::Lifetime { t, delta } => each(&|row| formulas.lifetime(row, t, delta)),
        Forecast::LnPmf { t, n } => each(&|row| ln_pmf(formulas, row, t, n)),
        Forecast::LnTail { t, n } => {
            each(&|row| ln_tail(formulas, formulas.ln_p_alive(row), row, t, n));
        }
        Forecast::NextPurchase { p } => each(&|row| next_purchase(formulas, row, p)),
    }
}

fn ln_pmf<F: PurchaseFormulas>(formulas: &F, row: &Rfm, t: f64, n: f64) -> f64 {
    let alive = formulas.ln_p_alive(row) + formulas.ln_pmf(row, t, n);
    if n > 0.0 {
        return alive;
    }
    log_add_exp(alive, ln_one_minus_exp(formulas.ln_p_alive(row)))
}

fn ln_tail<F: PurchaseFormulas>(formulas: &F, ln_alive: f64, row: &Rfm, t: f64, n: f64) -> f64 {
    if n == 0.0 {
        return 0.0;
    }
    ln_alive + formulas.ln_tail(row, t, n)
}

/// A customer who may have lapsed buys with probability `p` when a living one does with `p/P`.
fn next_purchase<F: PurchaseFormulas>(formulas: &F, row: &Rfm, p: f64) -> f64 {
    let needed = cvm_math::exp(cvm_math::ln(p) - formulas.ln_p_alive(row));
    if needed < 1.0 {
        formulas.next_purchase(row, needed)
    } else {
        f64::INFINITY
    }
}

/// `ln(1 − e^x)` for `x ≤ 0`, without cancellation at either end (Mächler 2012).
pub(crate) fn ln_one_minus_exp(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    if x > -LN_2 {
        cvm_math::ln(-cvm_math::expm1(x))
    } else {
        cvm_math::log1p(-cvm_math::exp(x))
    }
}

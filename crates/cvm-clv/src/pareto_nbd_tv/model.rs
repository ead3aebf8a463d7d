//! The kind of the catalog: the Pareto/NBD whose rows carry a path of covariates.
//!
//! Parameters, rows and the fit without covariates are those of [`crate::ParetoNbd`]; with covariates a
//! row's path is read from numbered columns ([`crate::covariate_path`]).

use super::{ParetoNbdTv, TimedLikelihood, TimedRow};
use crate::attrition::AttritionLikelihood;
use crate::covariate_path::{CovariatePath, PathColumns, path_fields};
use crate::covariates::load;
use crate::formulas::Formulas;
use crate::pareto_nbd::ParetoNbd;
use crate::random::Random;
use crate::rfm::{Rfm, rfm_schema};
use crate::state::wrong_length;
use cvm_core::{
    Covariates, Derivatives, InputField, InputSchema, Likelihood, ModelState, Order, ParamError,
    ParamSpec, ParametricModel, Process, RowStatus, StateError, TimeUnit,
};

/// Fields before those of the path.
pub(super) const OWN_FIELDS: usize = 3;

/// The Pareto/NBD with covariates that change with time, as a kind.
#[derive(Debug, Clone)]
pub struct TimedPurchases {
    pub(super) core: ParetoNbdTv,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) covariates: Covariates,
    pub(super) columns: PathColumns,
    pub(super) schema: InputSchema,
}

impl TimedPurchases {
    /// The fields of rows in a batch that has the columns that `has` tells.
    pub(super) fn schema_of(&self, has: &dyn Fn(&str) -> bool) -> InputSchema {
        let mut schema = rfm_schema(self.time_unit);
        if !self.covariates.is_empty() {
            let fields = path_fields(&self.columns, false, has);
            schema.fields.extend(fields);
        }
        schema
    }

    /// The customer of a summary with the path in `values`, known at least for `ahead` periods after
    /// the end of observation.
    pub(super) fn timed(
        &self,
        row: &Rfm,
        values: &[f64],
        ahead: f64,
    ) -> Result<TimedRow, RowStatus> {
        let path = if self.covariates.is_empty() {
            CovariatePath::flat()
        } else {
            let needed = row.age + ahead;
            self.columns.path(values, false, OWN_FIELDS, needed)?
        };
        Ok(TimedRow::summarized(row, Vec::new(), path))
    }
}

impl ParametricModel for TimedPurchases {
    const KIND: &'static str = "clv.pareto_nbd_tv";
    const TITLE: &'static str = "Pareto/NBD with time-varying covariates";
    const PARAMS: &'static [ParamSpec] = ParetoNbd::PARAMS;
    const PROCESSES: &'static [Process] = ParetoNbd::PROCESSES;
    const COVARIATE_PATHS: bool = true;

    type Row = Rfm;
    type Likelihood = AttritionLikelihood<4>;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        let &[r, alpha, s, beta] = params else {
            return Err(wrong_length(params.len()));
        };
        Ok(TimedPurchases {
            core: ParetoNbdTv::new([r, alpha, s, beta], &[], &[])?,
            time_unit,
            covariates: Covariates::default(),
            columns: PathColumns::default(),
            schema: rfm_schema(time_unit),
        })
    }

    fn params(&self) -> Vec<f64> {
        self.core.params().to_vec()
    }

    fn fit_schema(time_unit: Option<TimeUnit>) -> InputSchema {
        rfm_schema(time_unit)
    }

    fn row(values: &[f64]) -> Result<Option<Rfm>, RowStatus> {
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Rfm::new(value(0), value(1), value(2)).map(Some)
    }

    fn row_values(row: &Rfm, values: &mut [f64]) {
        let own = [row.frequency, row.recency, row.age];
        for (slot, value) in values.iter_mut().zip(own) {
            *slot = value;
        }
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        ParetoNbd::at_row(&self.core.params()).log_lik(row)
    }

    fn log_lik_grad(&self, row: &Rfm, gradient: &mut [f64]) -> f64 {
        let mut out = Derivatives::zero(4);
        ParetoNbd::at_row(&self.core.params()).derivatives(row, Order::Gradient, &mut out);
        gradient.copy_from_slice(&out.gradient);
        out.value
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> AttritionLikelihood<4> {
        ParetoNbd::likelihood(rows, weights)
    }

    fn starts(likelihood: &AttritionLikelihood<4>) -> Vec<Vec<f64>> {
        ParetoNbd::starts(likelihood)
    }

    fn simulate(&self, templates: &[Rfm], seed: u64) -> Vec<Rfm> {
        ParetoNbd::at(&self.core.params()).simulate(templates, seed)
    }

    fn simulate_with_covariates(
        &self,
        templates: &[Rfm],
        values: &mut [f64],
        seed: u64,
    ) -> Option<Vec<Rfm>> {
        let width = (values.len() / templates.len().max(1)).max(1);
        let each = (0u64..).zip(templates.iter().zip(values.chunks_exact_mut(width)));
        let draw = |(index, (template, values)): (u64, (&Rfm, &mut [f64]))| {
            let age = template.age;
            let path = self.columns.path(values, true, OWN_FIELDS, age).ok()?;
            let mut random = Random::for_row(seed, index);
            let drawn = self.core.simulate_one(path, age, &mut random).ok()?;
            let bought = drawn.covariates_bought();
            values[1..=bought.len()].copy_from_slice(bought);
            let [frequency, recency, age] = drawn.summary();
            Rfm::new(frequency, recency, age).ok()
        };
        each.map(draw).collect()
    }

    fn adopt(self, state: &ModelState) -> Result<Self, StateError> {
        Ok(match load(state, Self::PROCESSES, Self::PARAMS)? {
            Some(covariates) => self.with_covariates(covariates),
            None => self,
        })
    }

    fn with_covariates(mut self, covariates: Covariates) -> Self {
        let of = |purchase: bool| -> Vec<f64> {
            let own = covariates.terms.iter().zip(&covariates.coefficients);
            let own = own.filter(|(term, _)| (term.process == "purchase") == purchase);
            own.map(|(_, coefficient)| *coefficient).collect()
        };
        let (gamma, kappa) = (of(true), of(false));
        self.core = self.core.with_coefficients(gamma, kappa);
        self.columns = PathColumns::new(&covariates);
        self.covariates = covariates;
        self.schema = self.schema_of(&|_| false);
        self
    }

    fn covariates(&self) -> Option<&Covariates> {
        (!self.covariates.is_empty()).then_some(&self.covariates)
    }

    fn covariate_fields(covariates: &Covariates, has: &dyn Fn(&str) -> bool) -> Vec<InputField> {
        path_fields(&PathColumns::new(covariates), true, has)
    }

    fn check_covariates(
        row: &Rfm,
        values: &[f64],
        covariates: &Covariates,
    ) -> Result<(), RowStatus> {
        let columns = PathColumns::new(covariates);
        columns.path(values, true, OWN_FIELDS, row.age).map(|_| ())
    }

    fn covariate_likelihood(
        rows: &[Rfm],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let columns = PathColumns::new(covariates);
        let width = values.len() / rows.len().max(1);
        let each = rows.iter().zip(values.chunks_exact(width.max(1)));
        let timed = each.map(|(row, values)| {
            let path = columns.path(values, true, OWN_FIELDS, row.age).ok()?;
            let bought = columns.sums(values).to_vec();
            Some(TimedRow::summarized(row, bought, path))
        });
        let likelihood = TimedLikelihood::new(timed.collect::<Option<_>>()?, weights)?;
        Some(Box::new(likelihood))
    }
}

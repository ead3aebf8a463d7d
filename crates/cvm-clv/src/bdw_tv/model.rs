//! The kind of the catalog: the BdW whose rows carry a path of covariates.
//!
//! Parameters, rows and the fit without covariates are those of [`crate::Bdw`]; with covariates a row's
//! path is read from numbered columns ([`crate::covariate_path`]), time counting from the start of the
//! contract.

use super::{BdwTv, TimedTenure, TimedTenureLikelihood};
use crate::bdw::Bdw;
use crate::contract::{Tenure, history_schema, tenure_schema};
use crate::covariate_path::{CovariatePath, PathColumns, path_fields};
use crate::covariates::load;
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::random::Random;
use crate::state::wrong_length;
use cvm_core::{
    Covariates, Derivatives, Effect, InputField, InputSchema, Likelihood, ModelState, Nested,
    Order, ParamError, ParamSpec, ParametricModel, Process, RowStatus, StateError, TimeUnit,
};

/// Fields before those of the path when scoring.
pub(super) const OWN_FIELDS: usize = 1;
/// And in a fit.
const FIT_FIELDS: usize = 2;

/// The BdW with covariates that change with time, as a kind.
#[derive(Debug, Clone)]
pub struct TimedContracts {
    pub(super) core: BdwTv,
    pub(super) time_unit: Option<TimeUnit>,
    pub(super) covariates: Covariates,
    pub(super) columns: PathColumns,
    pub(super) schema: InputSchema,
}

impl TimedContracts {
    /// The fields of rows in a batch that has the columns that `has` tells.
    pub(super) fn schema_of(&self, has: &dyn Fn(&str) -> bool) -> InputSchema {
        let mut schema = tenure_schema(self.time_unit);
        if !self.covariates.is_empty() {
            let fields = path_fields(&self.columns, false, has);
            schema.fields.extend(fields);
        }
        schema
    }

    /// The path in `values`, known at least until `needed`.
    pub(super) fn path(&self, values: &[f64], needed: f64) -> Result<CovariatePath, RowStatus> {
        if self.covariates.is_empty() {
            return Ok(CovariatePath::flat());
        }
        self.columns.path(values, false, OWN_FIELDS, needed)
    }
}

impl ParametricModel for TimedContracts {
    const KIND: &'static str = "clv.bdw_tv";
    const TITLE: &'static str = "BdW with time-varying covariates";
    const PARAMS: &'static [ParamSpec] = Bdw::PARAMS;
    /// One coefficient per covariate, of the speed of the clock; the effect only names it.
    const PROCESSES: &'static [Process] = &[Process {
        name: "contract",
        effects: &[Effect {
            param: 2,
            sign: 1.0,
        }],
    }];
    const COVARIATE_PATHS: bool = true;

    type Row = Tenure;
    type Likelihood = MergedRows<Bdw>;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        let &[alpha, beta, c] = params else {
            return Err(wrong_length(params.len()));
        };
        Ok(TimedContracts {
            core: BdwTv::new([alpha, beta, c], &[])?,
            time_unit,
            covariates: Covariates::default(),
            columns: PathColumns::default(),
            schema: tenure_schema(time_unit),
        })
    }

    fn params(&self) -> Vec<f64> {
        self.core.params().to_vec()
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
        Bdw::at(&self.core.params()).log_lik(row)
    }

    fn log_lik_grad(&self, row: &Tenure, gradient: &mut [f64]) -> f64 {
        let mut out = Derivatives::zero(Self::PARAMS.len());
        Bdw::at(&self.core.params()).derivatives(row, Order::Gradient, &mut out);
        gradient.copy_from_slice(&out.gradient);
        out.value
    }

    fn likelihood(rows: &[Tenure], weights: Option<&[f64]>) -> MergedRows<Bdw> {
        Bdw::likelihood(rows, weights)
    }

    fn starts(likelihood: &MergedRows<Bdw>) -> Vec<Vec<f64>> {
        Bdw::starts(likelihood)
    }

    fn nested() -> Option<Nested<Tenure>> {
        Bdw::nested()
    }

    fn simulate(&self, templates: &[Tenure], seed: u64) -> Vec<Tenure> {
        Bdw::at(&self.core.params()).simulate(templates, seed)
    }

    fn simulate_with_covariates(
        &self,
        templates: &[Tenure],
        values: &mut [f64],
        seed: u64,
    ) -> Option<Vec<Tenure>> {
        let width = (values.len() / templates.len().max(1)).max(1);
        let each = (0u64..).zip(templates.iter().zip(values.chunks_exact(width)));
        let draw = |(index, (tenure, values)): (u64, (&Tenure, &[f64]))| {
            let path = self.columns.path(values, true, FIT_FIELDS, tenure.tenure);
            let template = TimedTenure {
                tenure: *tenure,
                path: path.ok()?,
            };
            let mut random = Random::for_row(seed, index);
            Some(self.core.simulate_one(&template, &mut random).tenure)
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
        self.core.gamma = covariates.coefficients.clone();
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
        row: &Tenure,
        values: &[f64],
        covariates: &Covariates,
    ) -> Result<(), RowStatus> {
        let columns = PathColumns::new(covariates);
        let path = columns.path(values, true, FIT_FIELDS, row.tenure);
        path.map(|_| ())
    }

    fn covariate_likelihood(
        rows: &[Tenure],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let columns = PathColumns::new(covariates);
        let width = values.len() / rows.len().max(1);
        let each = rows.iter().zip(values.chunks_exact(width.max(1)));
        let timed = each.map(|(tenure, values)| {
            let path = columns.path(values, true, FIT_FIELDS, tenure.tenure).ok()?;
            Some(TimedTenure {
                tenure: *tenure,
                path,
            })
        });
        let timed = timed.collect::<Option<_>>()?;
        Some(Box::new(TimedTenureLikelihood::new(timed, weights)?))
    }
}

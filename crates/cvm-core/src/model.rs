//! The contract of a model with a fixed list of parameters: one file, one implementation.

use crate::{
    Covariates, Domain, FarMaximum, InputError, InputField, InputSchema, Likelihood, ModelState,
    Nested, ParamError, ParamSpec, Process, RowStatus, Scorer, StateError, TimeUnit,
};
use serde_json::{Map, Value};

/// What a fit makes of a legal row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading<R> {
    /// It is fitted on.
    Used(R),
    /// It says nothing to this model and is left out; a report counts rows by this reason.
    Excluded(&'static str),
}

/// Reads the rows of one fit from values in the order of `fit_schema`.
pub type RowReader<R> = Box<dyn Fn(&[f64]) -> Result<Reading<R>, RowStatus> + Send + Sync>;

/// A model whose parameters are a short fixed list, fitted by maximum likelihood from rows.
///
/// Everything around it (fitting, artifact, every surface, the test harnesses) is written once
/// against this trait.
pub trait ParametricModel: Scorer + Clone + Sized + 'static {
    /// Kind in the catalog: `clv.bg_nbd`.
    const KIND: &'static str;

    /// Name for people: `BG/NBD`.
    const TITLE: &'static str;

    /// Parameters in the order of every slice.
    const PARAMS: &'static [ParamSpec];

    /// Processes that covariates may explain; empty where a model takes none.
    const PROCESSES: &'static [Process] = &[];

    /// Whether covariates are paths over time, in as many numbered columns as a batch has.
    const COVARIATE_PATHS: bool = false;

    /// One customer's sufficient statistics.
    type Row: Copy + Send + Sync + std::fmt::Debug + 'static;

    /// The merged data a fit runs on.
    type Likelihood: Likelihood;

    /// The model at `params`; `time_unit` is the length of one period, if known.
    ///
    /// # Errors
    /// The first parameter outside its domain, or `params.len() != PARAMS.len()` reported as a
    /// parameter `len`.
    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError>;

    /// Parameters in the order of [`ParametricModel::PARAMS`].
    fn params(&self) -> Vec<f64>;

    /// Columns a fit reads, in the order [`ParametricModel::row`] takes them.
    fn fit_schema(time_unit: Option<TimeUnit>) -> InputSchema;

    /// A checked row from values in the order of `fit_schema`; `None` for a legal row that carries
    /// no information for this model (a one-time buyer for a spend model).
    ///
    /// # Errors
    /// The status of a row that is not legal.
    fn row(values: &[f64]) -> Result<Option<Self::Row>, RowStatus>;

    /// How a fit under `settings` reads its rows; `settings` are those left after the covariates
    /// have been taken out. A kind without settings of its own reads with
    /// [`ParametricModel::row`].
    ///
    /// # Errors
    /// A setting that is unknown or not allowed, as `options.settings.<name>`.
    fn reader(settings: &Map<String, Value>) -> Result<RowReader<Self::Row>, InputError> {
        if let Some(name) = settings.keys().next() {
            let why = format!("is unknown; `{}` has no such setting", Self::KIND);
            return Err(InputError::new(format!("options.settings.{name}"), why));
        }
        Ok(Box::new(|values| {
            let row = Self::row(values)?;
            Ok(row.map_or(Reading::Excluded("no information"), Reading::Used))
        }))
    }

    /// The fitted model with what it must remember of the settings of its fit, so that it scores
    /// rows as they were read.
    ///
    /// # Errors
    /// As [`ParametricModel::reader`].
    fn with_settings(self, settings: &Map<String, Value>) -> Result<Self, InputError> {
        Self::reader(settings).map(|_| self)
    }

    /// What no fit may be made of, though each row is legal: a column that was never computed.
    ///
    /// # Errors
    /// The column and what to do.
    fn check_rows(rows: &[Self::Row]) -> Result<(), InputError> {
        let _ = rows;
        Ok(())
    }

    /// The values a row was made of, in the order of `fit_schema`: the inverse of
    /// [`ParametricModel::row`]. `values` has the schema's length.
    fn row_values(row: &Self::Row, values: &mut [f64]);

    /// Log-likelihood of one row.
    fn log_lik(&self, row: &Self::Row) -> f64;

    /// Log-likelihood of one row; fills `gradient` (length `PARAMS.len()`).
    fn log_lik_grad(&self, row: &Self::Row, gradient: &mut [f64]) -> f64;

    /// Merges identical rows with their weights and lays the result out in blocks.
    fn likelihood(rows: &[Self::Row], weights: Option<&[f64]>) -> Self::Likelihood;

    /// Start vectors, best guess first; later ones are tried only when needed.
    fn starts(likelihood: &Self::Likelihood) -> Vec<Vec<f64>>;

    /// The model inside this one that a fit is compared with and never ends below.
    fn nested() -> Option<Nested<Self::Row>> {
        None
    }

    /// For a fit that found no maximum and stopped at `reached`: where it may lie at infinity, a bound on
    /// the way there.
    fn far_maximum(reached: &[f64]) -> Option<FarMaximum> {
        let _ = reached;
        None
    }

    /// Draws one row per template row: the template supplies what is not random (`T`; for spend the
    /// frequency). Deterministic in `seed`.
    fn simulate(&self, templates: &[Self::Row], seed: u64) -> Vec<Self::Row>;

    /// The same of a model with covariates: `values` are those of [`ParametricModel::covariate_fields`] of
    /// the templates, row by row, in which whatever drawn purchases make of them is overwritten. `None`
    /// where the kind draws none, or a template's values are not legal.
    fn simulate_with_covariates(
        &self,
        templates: &[Self::Row],
        values: &mut [f64],
        seed: u64,
    ) -> Option<Vec<Self::Row>> {
        let _ = (templates, values, seed);
        None
    }

    /// Takes over what a state holds beyond the parameters, such as covariates.
    ///
    /// # Errors
    /// A part that is malformed.
    fn adopt(self, state: &ModelState) -> Result<Self, StateError> {
        let _ = state;
        Ok(self)
    }

    /// The same model with covariates, whose columns join the schema; `self` where the model takes
    /// none.
    #[must_use]
    fn with_covariates(self, covariates: Covariates) -> Self {
        let _ = covariates;
        self
    }

    /// The model's covariates, if it has any.
    fn covariates(&self) -> Option<&Covariates> {
        None
    }

    /// The columns that a fit with `covariates` reads besides those of `fit_schema`; `has` tells the
    /// columns of a batch. One number per covariate, unless rows carry more.
    fn covariate_fields(covariates: &Covariates, has: &dyn Fn(&str) -> bool) -> Vec<InputField> {
        let _ = has;
        let field = |name: &String| InputField::number(name.clone(), "1", Domain::Finite);
        covariates.columns.iter().map(field).collect()
    }

    /// Checks a row's values of [`ParametricModel::covariate_fields`].
    ///
    /// # Errors
    /// The status of a row that is not legal; its field counts from the first of `fit_schema`.
    fn check_covariates(
        row: &Self::Row,
        values: &[f64],
        covariates: &Covariates,
    ) -> Result<(), RowStatus> {
        let _ = (row, covariates);
        let first = Self::fit_schema(None).fields.len();
        for (offset, value) in values.iter().enumerate() {
            let field = u16::try_from(first + offset).unwrap_or(u16::MAX);
            RowStatus::check(*value, Domain::Finite, field)?;
        }
        Ok(())
    }

    /// The likelihood in the parameters followed by the coefficients of `covariates`; `values` has
    /// one value per row and field of [`ParametricModel::covariate_fields`], row by row. `None` where the model takes none.
    fn covariate_likelihood(
        rows: &[Self::Row],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Option<Box<dyn Likelihood>> {
        let _ = (rows, values, weights, covariates);
        None
    }
}

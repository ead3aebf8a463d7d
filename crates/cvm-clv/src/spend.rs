//! The family of spend models: what each must say of one customer, and what all of them answer.
//!
//! A customer's purchases are worth `Z`, independent and alike given what is particular to the
//! customer; their mean `M = E[Z | customer]` is not known, but the values seen tell of it:
//!
//! | formula                | meaning                                                        |
//! |------------------------|----------------------------------------------------------------|
//! | `expected_spend`       | `E[Z] = E[M]`: expected value of one future purchase           |
//! | `variance_within`      | `E[Var(Z | customer)]`: how a customer's purchases differ      |
//! | `variance_of_mean`     | `Var(M)`: how well the customer's mean is known                |
//! | `median_spend`         | median of `M`, which exists where `E[M]` is infinite           |
//!
//! all given the customer's row. The variance of one future purchase is the sum of the two. A
//! customer never seen is the row `x = 0`.

mod model;
mod policy;
mod probe;
mod row;
mod scorer;

pub use model::Spending;
pub use policy::{SpendPolicy, ZeroAmounts};
pub use row::Spend;
pub(crate) use scorer::EXPECTED_SPEND_OUTPUT;

use crate::formulas::Formulas;
use cvm_core::{
    BoundBatch, Domain, InputField, ModelState, RowStatus, Scorer, StateError, TimeUnit,
};

/// A column of values that a spend model reads beside `frequency`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendColumn {
    /// Name.
    pub name: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// What is allowed where there are purchases.
    pub domain: Domain,
}

impl SpendColumn {
    fn field(&self) -> InputField {
        InputField::number(self.name, self.unit, self.domain)
    }
}

/// What a spend model must say of one customer. No formula returns NaN for a legal row; a moment
/// that is truly infinite is `inf`.
pub trait SpendFormulas: Formulas<Row = Spend> {
    /// Columns beside `frequency` that tell a customer's spend; ignored, and may be missing, where
    /// there is no purchase.
    const COLUMNS: &'static [SpendColumn];
    /// Columns that only a fit reads, after those.
    const FIT_COLUMNS: &'static [SpendColumn] = &[];

    /// A checked row of `purchases`, one or more, from the values of [`SpendFormulas::COLUMNS`]
    /// and, in a fit, [`SpendFormulas::FIT_COLUMNS`].
    ///
    /// # Errors
    /// The first column that is missing, infinite or outside its domain; the field of the status is
    /// its index among `values`.
    fn row(purchases: f64, values: &[f64]) -> Result<Spend, RowStatus>;

    /// The values a row was made of: the inverse of [`SpendFormulas::row`].
    fn row_values(row: &Spend, values: &mut [f64]);

    /// Whether all purchases of a row were free, so that they say nothing of what one is worth.
    fn is_free(values: &[f64]) -> bool;

    /// A spend that is typical for the model, in currency.
    fn scale_currency(&self) -> f64;

    /// Values of the first of [`SpendFormulas::COLUMNS`] for probe rows, the typical one first.
    fn probe_value(&self, multiple_of_scale: f64) -> f64;

    /// Expected value of one future purchase.
    fn expected_spend(&self, row: &Spend) -> f64;

    /// Variance of a customer's purchases around the customer's mean, expected.
    fn variance_within(&self, row: &Spend) -> f64;

    /// Variance of the customer's mean.
    fn variance_of_mean(&self, row: &Spend) -> f64;

    /// Median of the customer's mean.
    fn median_spend(&self, row: &Spend) -> f64;
}

/// What is asked of a spend model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpendForecast {
    /// [`SpendFormulas::expected_spend`].
    Expected,
    /// Square root of the sum of both variances: of one future purchase.
    Sd,
    /// Square root of [`SpendFormulas::variance_of_mean`].
    MeanSd,
    /// [`SpendFormulas::median_spend`].
    Median,
    /// [`SpendFormulas::variance_within`].
    VarianceWithin,
    /// [`SpendFormulas::variance_of_mean`].
    VarianceOfMean,
}

/// Rows with their covariates, if the model has any.
#[derive(Debug, Clone, Copy)]
pub struct Spenders<'a> {
    /// Purchases and what they were worth.
    pub rows: &'a [Spend],
    /// Covariate values, row by row.
    pub covariates: &'a [f64],
}

/// A spend model of any kind, as part of a composed model. Its own fields are those of its schema
/// after `frequency`: values first, then covariates.
pub trait SpendModel: Scorer {
    /// Length of one period, if known; no spend depends on it.
    fn time_unit(&self) -> Option<TimeUnit>;

    /// Number of covariate columns.
    fn covariate_count(&self) -> usize;

    /// Reads rows `start..` of customers with these frequencies into `rows` and `covariates`;
    /// `fields[i]` is the place in the batch's schema of the model's own field `i`. A row that is
    /// bad already is left out; a refused one gets its status and a legal stand-in.
    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        fields: &[usize],
        start: usize,
        frequency: &[f64],
        rows: SpendRows<'_>,
    );

    /// Answers for every customer, each alone.
    fn forecast(&self, what: SpendForecast, customers: Spenders<'_>, out: &mut [f64]);

    /// Values of the model's own fields for `row_count` probe rows, field by field.
    fn probe_columns(&self, row_count: usize) -> Vec<(String, Vec<f64>)>;

    /// A boxed copy.
    fn clone_box(&self) -> Box<dyn SpendModel>;
}

/// Room for rows that a spend model reads.
#[derive(Debug)]
pub struct SpendRows<'a> {
    /// Purchases and what they were worth.
    pub rows: &'a mut [Spend],
    /// Covariate values, row by row.
    pub covariates: &'a mut [f64],
    /// One status per row.
    pub status: &'a mut [RowStatus],
}

impl Clone for Box<dyn SpendModel> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

type OpenFn = fn(&ModelState) -> Result<Box<dyn SpendModel>, StateError>;

fn open<F: SpendFormulas>(state: &ModelState) -> Result<Box<dyn SpendModel>, StateError> {
    Ok(Box::new(
        crate::state::parametric_from_state::<Spending<F>>(state)?,
    ))
}

/// Kinds of spend models. One line per model.
const KINDS: &[(&str, OpenFn)] = &[
    (crate::GammaGamma::KIND, open::<crate::GammaGamma>),
    (crate::LogNormalSpend::KIND, open::<crate::LogNormalSpend>),
];

/// The spend model stored as `state`, of any kind this crate has.
///
/// # Errors
/// A kind that is not a spend model, or as the model's own `from_state`.
pub fn spend_from_state(state: &ModelState) -> Result<Box<dyn SpendModel>, StateError> {
    let found = KINDS.iter().find(|(kind, _)| *kind == state.kind);
    let (_, open) = found
        .ok_or_else(|| StateError::malformed(&state.kind, "is not a spend model of this build"))?;
    open(state)
}

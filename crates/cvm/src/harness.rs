//! A parametric model by plain values, so that test harnesses can loop over the catalog.
//!
//! A row is the values of the columns a fit reads: the kind's own, then those of the covariates that
//! `settings` of a fit name. Parameters are followed by the coefficients in the same way.

use crate::fit_settings::covariates;
use crate::{Error, FitOptions};
use cvm_core::{Covariates, Derivatives, ErrorKind, Order, ParametricModel};

/// Log-likelihood of a row at `params`; fills the gradient.
pub type GradientFn = fn(params: &[f64], row: &[f64], gradient: &mut [f64]) -> Result<f64, Error>;
/// Draws one row per template row.
pub type SimulateFn = fn(params: &[f64], templates: &[Vec<f64>], seed: u64) -> Rows;

/// Rows as they are simulated.
pub type Rows = Result<Vec<Vec<f64>>, Error>;
/// Names of the columns a row is made of, in a table that has the columns which `has` tells.
pub type ColumnsFn =
    fn(options: &FitOptions, has: &dyn Fn(&str) -> bool) -> Result<Vec<String>, Error>;
/// Log-likelihood of a row at `params`; fills the gradient if there is one.
pub type LogLikFn = fn(
    options: &FitOptions,
    params: &[f64],
    row: &[f64],
    gradient: Option<&mut [f64]>,
) -> Result<f64, Error>;
/// Draws one row per template row, of the model that a fit's settings name.
pub type SimulateWithFn =
    fn(options: &FitOptions, params: &[f64], templates: &[Vec<f64>], seed: u64) -> Rows;

/// A model without covariates, by value.
#[derive(Debug, Clone, Copy)]
pub struct Harness {
    /// Names of the columns a row is made of.
    pub columns: fn() -> Vec<String>,
    /// Log-likelihood of one row at `params`; fills the gradient.
    pub log_lik_grad: GradientFn,
    /// Log-likelihood of one row by its own code path (no derivatives).
    pub log_lik: fn(params: &[f64], row: &[f64]) -> Result<f64, Error>,
    /// One simulated row per template row.
    pub simulate: SimulateFn,
    /// The same with covariates.
    pub with_covariates: CovariateHarness,
}

/// A model with the covariates that a fit's settings name.
#[derive(Debug, Clone, Copy)]
pub struct CovariateHarness {
    /// Names of the columns a row is made of, in a table that has the columns which `has` tells.
    pub columns: ColumnsFn,
    /// Names of the coefficients.
    pub coefficients: fn(&FitOptions) -> Result<Vec<String>, Error>,
    /// Log-likelihood of one row; fills the gradient if there is one.
    pub log_lik: LogLikFn,
    /// One simulated row per template row.
    pub simulate: SimulateWithFn,
}

impl Harness {
    pub(crate) const fn of<M: ParametricModel>() -> Harness {
        Harness {
            columns: columns::<M>,
            log_lik_grad: log_lik_grad::<M>,
            log_lik: log_lik::<M>,
            simulate: simulate::<M>,
            with_covariates: CovariateHarness {
                columns: covariate_columns::<M>,
                coefficients: coefficients::<M>,
                log_lik: covariate_log_lik::<M>,
                simulate: covariate_simulate::<M>,
            },
        }
    }
}

fn columns<M: ParametricModel>() -> Vec<String> {
    let fields = M::fit_schema(None).fields.into_iter();
    fields.map(|field| field.name).collect()
}

fn own_width<M: ParametricModel>() -> usize {
    M::fit_schema(None).fields.len()
}

fn row<M: ParametricModel>(values: &[f64]) -> Result<M::Row, Error> {
    M::row(values).ok().flatten().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("{values:?} is not a row of {}", M::KIND),
        )
    })
}

fn log_lik_grad<M: ParametricModel>(
    params: &[f64],
    values: &[f64],
    gradient: &mut [f64],
) -> Result<f64, Error> {
    Ok(M::from_params(params, None)?.log_lik_grad(&row::<M>(values)?, gradient))
}

fn log_lik<M: ParametricModel>(params: &[f64], values: &[f64]) -> Result<f64, Error> {
    Ok(M::from_params(params, None)?.log_lik(&row::<M>(values)?))
}

fn simulate<M: ParametricModel>(
    params: &[f64],
    templates: &[Vec<f64>],
    seed: u64,
) -> Result<Vec<Vec<f64>>, Error> {
    let model = M::from_params(params, None)?;
    let rows = templates.iter().map(|values| row::<M>(values));
    let rows: Vec<M::Row> = rows.collect::<Result<_, _>>()?;
    let drawn = model.simulate(&rows, seed);
    Ok(drawn.iter().map(values_of::<M>).collect())
}

fn values_of<M: ParametricModel>(row: &M::Row) -> Vec<f64> {
    let mut values = vec![0.0; own_width::<M>()];
    M::row_values(row, &mut values);
    values
}

fn covariate_columns<M: ParametricModel>(
    options: &FitOptions,
    has: &dyn Fn(&str) -> bool,
) -> Result<Vec<String>, Error> {
    let covariates = covariates::<M>(options)?;
    let mut names = columns::<M>();
    if !covariates.is_empty() {
        let fields = M::covariate_fields(&covariates, has).into_iter();
        names.extend(fields.map(|field| field.name));
    }
    Ok(names)
}

fn coefficients<M: ParametricModel>(options: &FitOptions) -> Result<Vec<String>, Error> {
    let terms = covariates::<M>(options)?.terms.into_iter();
    Ok(terms.map(|term| term.name).collect())
}

/// The kind's own values of a row and those of its covariates.
fn split<M: ParametricModel>(values: &[f64]) -> Result<(M::Row, &[f64]), Error> {
    let width = own_width::<M>();
    let (own, covariates) = values
        .split_at_checked(width)
        .ok_or_else(|| Error::invalid("row", format!("has {} values", values.len())))?;
    Ok((row::<M>(own)?, covariates))
}

fn covariate_log_lik<M: ParametricModel>(
    options: &FitOptions,
    params: &[f64],
    values: &[f64],
    gradient: Option<&mut [f64]>,
) -> Result<f64, Error> {
    let covariates = covariates::<M>(options)?;
    let (row, values) = split::<M>(values)?;
    let likelihood = M::covariate_likelihood(&[row], values, None, &covariates);
    let likelihood = likelihood.ok_or_else(|| takes_none::<M>())?;
    let mut sum = Derivatives::zero(likelihood.dim());
    let order = match gradient {
        None => Order::Value,
        Some(_) => Order::Gradient,
    };
    for block in 0..likelihood.block_count() {
        likelihood.accumulate(params, block, order, &mut sum);
    }
    if let Some(gradient) = gradient {
        gradient.copy_from_slice(&sum.gradient);
    }
    Ok(sum.value)
}

fn covariate_simulate<M: ParametricModel>(
    options: &FitOptions,
    params: &[f64],
    templates: &[Vec<f64>],
    seed: u64,
) -> Result<Vec<Vec<f64>>, Error> {
    let (own, coefficients) = params
        .split_at_checked(M::PARAMS.len())
        .ok_or_else(|| Error::invalid("params", format!("are {}", params.len())))?;
    let covariates = Covariates {
        coefficients: coefficients.to_vec(),
        ..covariates::<M>(options)?
    };
    let model = M::from_params(own, None)?.with_covariates(covariates);
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for template in templates {
        let (row, own) = split::<M>(template)?;
        rows.push(row);
        values.extend_from_slice(own);
    }
    let width = values.len() / rows.len().max(1);
    let drawn = model.simulate_with_covariates(&rows, &mut values, seed);
    let drawn = drawn.ok_or_else(|| takes_none::<M>())?;
    let rows = drawn.iter().zip(values.chunks_exact(width.max(1)));
    Ok(rows
        .map(|(row, own)| [&values_of::<M>(row)[..], own].concat())
        .collect())
}

fn takes_none<M: ParametricModel>() -> Error {
    let why = format!("`{}` has no likelihood or draws of these", M::KIND);
    Error::invalid("covariates", why)
}

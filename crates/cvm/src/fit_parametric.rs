//! A fit of a parametric model made ready: rows, names, coordinates, settings; and the fit itself.

use crate::fit_rows::{Counts, Data, data_facts, finish, read, read_weights, report, run_with};
use crate::fit_settings::{choices, covariates, estimator, own_settings};
use crate::{Error, FitOptions, Fitted};
use cvm_core::{
    Batch, Covariates, Domain, InputField, InputSchema, Likelihood, ParametricModel, Transform,
};
use cvm_fit::{Fit, RowContributions, Settings, diagnose_influence};
use serde_json::{Map, Value};

/// Standard errors by which one customer may move an estimate unsaid: in real samples the heaviest
/// buyer moves one by about one.
const INFLUENCE: f64 = 2.0;

/// Everything a fit needs but the estimator.
pub(crate) struct Prepared<M: ParametricModel> {
    data: Data<M::Row>,
    covariates: Covariates,
    pub(crate) names: Vec<String>,
    pub(crate) transforms: Vec<Transform>,
    pub(crate) settings: Settings,
    row_count: usize,
    facts: Map<String, Value>,
    /// Settings of the kind itself.
    own: Map<String, Value>,
}

/// Fits `M` to the columns of its fit schema.
pub(crate) fn fit<M: ParametricModel>(
    batch: &Batch<'_>,
    options: &FitOptions,
) -> Result<Fitted, Error> {
    let Some(choices) = choices(options)? else {
        let prepared = Prepared::<M>::new(batch, options)?;
        let estimates = prepared.estimate(options)?;
        return prepared.finish(estimates, options);
    };
    let mut best: Option<(Prepared<M>, Fit, FitOptions)> = None;
    for choice in choices {
        let prepared = Prepared::<M>::new(batch, &choice)?;
        let fit = prepared.estimate(&choice)?;
        let value = |fit: &Fit| fit.penalized_log_likelihood;
        if best
            .as_ref()
            .is_none_or(|(_, own, _)| value(&fit) > value(own))
        {
            best = Some((prepared, fit, choice));
        }
    }
    let (prepared, fit, choice) =
        best.ok_or_else(|| Error::invalid("options.settings.choose", "names no value"))?;
    prepared.finish(fit, &choice)
}

impl<M: ParametricModel> Prepared<M> {
    pub(crate) fn new(batch: &Batch<'_>, options: &FitOptions) -> Result<Self, Error> {
        let covariates = covariates::<M>(options)?;
        let mut schema = M::fit_schema(options.time_unit);
        add_covariates(&mut schema, &covariates)?;
        let bound = batch.bind(&schema)?;
        let weights = read_weights(batch, options)?;
        let own_settings = own_settings::<M>(options);
        let reader = M::reader(&own_settings)?;
        let data = read::<M>(&bound, weights, covariates.columns.len(), &reader)?;
        let own = M::PARAMS.iter().map(|spec| spec.name.to_owned());
        let coefficients = covariates.terms.iter().map(|term| term.name.clone());
        let names: Vec<String> = own.chain(coefficients).collect();
        let mut transforms: Vec<Transform> = M::PARAMS.iter().map(|spec| spec.transform).collect();
        transforms.resize(names.len(), Transform::Identity);
        Ok(Prepared {
            settings: estimator(options, &names, M::PARAMS.len())?,
            row_count: bound.row_count,
            facts: data_facts(&bound),
            own: own_settings,
            data,
            covariates,
            names,
            transforms,
        })
    }

    /// Rows the likelihood is made of.
    pub(crate) fn rows(&self) -> usize {
        self.data.rows.len()
    }

    /// The likelihood, each row's weight times its factor.
    pub(crate) fn likelihood(&self, factors: Option<&[f64]>) -> Box<dyn Likelihood> {
        let weights = match (&self.data.weights, factors) {
            (Some(weights), Some(factors)) => {
                let pairs = weights.iter().zip(factors);
                Some(pairs.map(|(weight, factor)| weight * factor).collect())
            }
            (weights, factors) => weights.clone().or_else(|| factors.map(<[f64]>::to_vec)),
        };
        let weights: Option<Vec<f64>> = weights;
        let (rows, weights) = (&self.data.rows, weights.as_deref());
        let values = &self.data.covariates;
        let scaled = || M::covariate_likelihood(rows, values, weights, &self.covariates);
        match scaled().filter(|_| !self.covariates.is_empty()) {
            Some(scaled) => scaled,
            None => Box::new(M::likelihood(rows, weights)),
        }
    }

    /// The maximum; with covariates from the maximum without them, so that it is no lower.
    pub(crate) fn estimate(&self, options: &FitOptions) -> Result<Fit, Error> {
        let plain = M::likelihood(&self.data.rows, self.data.weights.as_deref());
        let starts = M::starts(&plain);
        let base = M::PARAMS.len();
        if self.covariates.is_empty() {
            return run_with(&plain, &self.transforms, &starts, options, &self.settings);
        }
        let settings = estimator(options, &self.names, base)?;
        let cut = |list: &[f64]| list.iter().take(base).copied().collect::<Vec<f64>>();
        let plain_settings = Settings {
            penalty: cut(&settings.penalty),
            l1: Vec::new(),
            priors: settings.priors.iter().take(base).copied().collect(),
            bounds: settings.bounds.iter().take(base).copied().collect(),
            ..settings
        };
        let transforms = &self.transforms[..base];
        let nested = run_with(&plain, transforms, &starts, options, &plain_settings)?;
        let mut start = nested.params;
        start.resize(self.names.len(), 0.0);
        let likelihood = self.likelihood(None);
        let starts = [start];
        run_with(
            likelihood.as_ref(),
            &self.transforms,
            &starts,
            options,
            &self.settings,
        )
    }

    pub(crate) fn finish(self, mut fit: Fit, options: &FitOptions) -> Result<Fitted, Error> {
        let influence = self.influential_rows();
        let rows = InfluentialRows {
            prepared: &self,
            rows: &influence,
        };
        diagnose_influence(&mut fit, &rows, INFLUENCE);
        let (base, coefficients) = fit.params.split_at(M::PARAMS.len());
        let covariates = Covariates {
            coefficients: coefficients.to_vec(),
            ..self.covariates
        };
        let mut scorer = M::from_params(base, options.time_unit)?.with_settings(&self.own)?;
        if !covariates.is_empty() {
            scorer = scorer.with_covariates(covariates);
        }
        let counts = Counts {
            row_count: self.row_count,
            excluded_row_count: self.data.excluded.values().sum(),
            weight: self.data.weight(),
        };
        let penalty = options.penalty.unwrap_or(0.0);
        let report = report(M::KIND, self.names, &fit, penalty, counts);
        let mut facts = self.facts;
        if !self.data.excluded.is_empty() {
            let reasons = serde_json::json!(self.data.excluded);
            facts.insert("excluded_rows".to_owned(), reasons);
        }
        finish(Box::new(scorer), report, facts)
    }

    /// Rows that may carry a likelihood: all of a small sample, else those with the largest values
    /// in each column. Rows with covariates, and rows with weights, which stand for many
    /// customers, are not looked at.
    fn influential_rows(&self) -> Vec<usize> {
        const ALL: usize = 5_000;
        const EXTREMES: usize = 50;
        if !self.covariates.is_empty() || self.data.weights.is_some() {
            return Vec::new();
        }
        let count = self.data.rows.len();
        if count <= ALL {
            return (0..count).collect();
        }
        let width = M::fit_schema(None).fields.len();
        let mut values = vec![0.0; width];
        let mut found = std::collections::BTreeSet::new();
        for field in 0..width {
            let mut largest: Vec<(f64, usize)> = Vec::with_capacity(EXTREMES + 1);
            for (index, row) in self.data.rows.iter().enumerate() {
                M::row_values(row, &mut values);
                let value = values[field];
                if largest.len() == EXTREMES && largest[EXTREMES - 1].0 >= value {
                    continue;
                }
                let place = largest.partition_point(|(own, _)| *own >= value);
                largest.insert(place, (value, index));
                largest.truncate(EXTREMES);
            }
            found.extend(largest.into_iter().map(|(_, index)| index));
        }
        found.into_iter().collect()
    }
}

/// The rows looked at, one by one.
struct InfluentialRows<'a, M: ParametricModel> {
    prepared: &'a Prepared<M>,
    rows: &'a [usize],
}

impl<M: ParametricModel> RowContributions for InfluentialRows<'_, M> {
    fn row_count(&self) -> usize {
        self.rows.len()
    }

    fn row_gradient(&self, theta: &[f64], row: usize, gradient: &mut [f64]) {
        let index = self.rows[row];
        let data = &self.prepared.data;
        if let Ok(model) = M::from_params(theta, None) {
            model.log_lik_grad(&data.rows[index], gradient);
        }
    }
}

/// Adds the covariates' columns; one that the model reads anyway would be two things at once.
fn add_covariates(schema: &mut InputSchema, covariates: &Covariates) -> Result<(), Error> {
    for column in &covariates.columns {
        if schema.position(column).is_some() {
            let why = format!("names `{column}`, which the model reads as its own");
            return Err(Error::invalid("options.settings.covariates", why));
        }
        let field = InputField::number(column.clone(), "1", Domain::Finite);
        schema.fields.push(field);
    }
    Ok(())
}

//! A fit of a parametric model made ready: rows, names, coordinates, settings; and the fit itself.

use crate::fit_nested::{Floor, NestedTest, comparable, floor, test};
use crate::fit_rows::{
    Counts, Data, data_facts, finish, read, read_weights, report, run_with, settled, telling,
};
use crate::fit_settings::{choices, covariates, estimator, own_settings};
use crate::{Error, FitOptions, FitReport, FitWatch, Fitted};
use cvm_core::{
    Batch, Covariates, Derivatives, InputField, InputSchema, Likelihood, NestedPlace, Order,
    ParametricModel, Transform,
};
use cvm_fit::{
    Finding, Fit, FitError, ParamState, Progress, RowContributions, Settings, diagnose_influence,
};
use serde_json::{Map, Value};
use std::ops::ControlFlow;

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
    watch: FitWatch<'_>,
) -> Result<Fitted, Error> {
    let Some(choices) = choices(options)? else {
        let prepared = Prepared::<M>::new(batch, options)?;
        let estimates = prepared.estimate(options, watch)?;
        return prepared.finish(estimates, options);
    };
    let mut best: Option<(Prepared<M>, Estimate, FitOptions)> = None;
    for choice in choices {
        let prepared = Prepared::<M>::new(batch, &choice)?;
        let estimate = prepared.estimate(&choice, watch)?;
        let value = |estimate: &Estimate| estimate.fit.penalized_log_likelihood;
        if best
            .as_ref()
            .is_none_or(|(_, own, _)| value(&estimate) > value(own))
        {
            best = Some((prepared, estimate, choice));
        }
    }
    let (prepared, estimate, choice) =
        best.ok_or_else(|| Error::invalid("options.settings.choose", "names no value"))?;
    prepared.finish(estimate, &choice)
}

impl<M: ParametricModel> Prepared<M> {
    pub(crate) fn new(batch: &Batch<'_>, options: &FitOptions) -> Result<Self, Error> {
        let covariates = covariates::<M>(options)?;
        let mut schema = M::fit_schema(options.time_unit);
        let own_width = schema.fields.len();
        if !covariates.is_empty() {
            let fields = M::covariate_fields(&covariates, &|name| batch.get(name).is_some());
            add_covariates(&mut schema, fields)?;
        }
        let bound = batch.bind(&schema)?;
        let weights = read_weights(batch, options)?;
        let own_settings = own_settings::<M>(options);
        let reader = M::reader(&own_settings)?;
        let check = |row: &M::Row, values: &[f64]| {
            if covariates.is_empty() {
                return Ok(());
            }
            M::check_covariates(row, values, &covariates)
        };
        let data = read::<M>(&bound, weights, own_width, &reader, &check)?;
        M::check_rows(&data.rows)?;
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

    /// The maximum, no lower than that of a model inside this one.
    pub(crate) fn estimate(
        &self,
        options: &FitOptions,
        watch: FitWatch<'_>,
    ) -> Result<Estimate, Error> {
        if self.covariates.is_empty() {
            self.estimate_plain(options, watch)
        } else {
            self.estimate_with_covariates(options, watch)
        }
    }

    fn estimate_plain(&self, options: &FitOptions, watch: FitWatch<'_>) -> Result<Estimate, Error> {
        let likelihood = M::likelihood(&self.data.rows, self.data.weights.as_deref());
        let starts = M::starts(&likelihood);
        let (transforms, settings) = (&self.transforms, &self.settings);
        let told = telling(watch);
        let usual = cvm_fit::maximize_with(&likelihood, transforms, &starts, settings, &told);
        let alone = |usual| Ok(Estimate::alone(settled(usual, options)?));
        let Some(nested) = M::nested().filter(|_| comparable(settings)) else {
            return alone(usual);
        };
        // What lies in a limit matters only to a fit that may have gone astray.
        let is_sound = usual.as_ref().is_ok_and(|fit| fit.diagnosis.is_empty());
        if is_sound && nested.place == NestedPlace::Limit {
            return alone(usual);
        }
        let (rows, weights) = (&self.data.rows, self.data.weights.as_deref());
        let Some(floor) = floor(&nested, rows, weights, settings) else {
            return alone(usual);
        };
        let params = &floor.params;
        let fit = cvm_fit::no_lower_than(usual, &likelihood, transforms, settings, params, &told);
        let fit = match fit {
            Err(FitError::NotConverged { fit }) => {
                match self.at_far_maximum(&fit, &likelihood, floor.log_likelihood, &told) {
                    Some(found) => Ok(found),
                    None => Err(FitError::NotConverged { fit }),
                }
            }
            other => other,
        };
        Ok(Estimate::over(settled(fit, options)?, &floor))
    }

    /// The fit on the way to a maximum at infinity, where the one that went `astray` may have been
    /// heading; `None` if it is lower than that by what matters, or than the model inside.
    fn at_far_maximum(
        &self,
        astray: &Fit,
        likelihood: &dyn Likelihood,
        floor: f64,
        watch: &dyn Fn(&Progress<'_>) -> ControlFlow<()>,
    ) -> Option<Fit> {
        /// Log-likelihood that no test can tell from none.
        const NOTHING: f64 = 0.05;
        let far = M::far_maximum(&astray.params)?;
        let mut bounds = vec![None; self.transforms.len()];
        *bounds.get_mut(far.param)? = Some(far.bounds);
        let settings = Settings {
            bounds,
            ..self.settings.clone()
        };
        let starts = [far.start];
        let found = cvm_fit::maximize_with(likelihood, &self.transforms, &starts, &settings, watch);
        let mut fit = found.ok()?;
        let high = fit.log_likelihood >= floor.max(astray.log_likelihood - NOTHING);
        let held = fit.states.get(far.param) == Some(&ParamState::AtUpper);
        (high && held).then(|| {
            fit.note(Finding::AtInfinity {
                parameter: far.param,
                value: far.bounds.1,
                advice: far.advice,
            });
            fit
        })
    }

    /// With covariates from the maximum without them.
    fn estimate_with_covariates(
        &self,
        options: &FitOptions,
        watch: FitWatch<'_>,
    ) -> Result<Estimate, Error> {
        let plain = M::likelihood(&self.data.rows, self.data.weights.as_deref());
        let starts = M::starts(&plain);
        let base = M::PARAMS.len();
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
        // The smaller model may lie on a ridge where the larger one does not.
        let whatever = FitOptions {
            allow_not_converged: true,
            ..options.clone()
        };
        let nested = run_with(
            &plain,
            transforms,
            &starts,
            &whatever,
            &plain_settings,
            watch,
        )?;
        let is_sound = nested.converged && nested.diagnosis.is_empty();
        let mut floor = Floor {
            kind: M::KIND,
            model: format!("{} without covariates", M::TITLE),
            place: NestedPlace::Inside,
            log_likelihood: nested.log_likelihood,
            free_params: nested.free_count(),
            params: nested.params,
        };
        floor.params.resize(self.names.len(), 0.0);
        let wider = |mut start: Vec<f64>| {
            start.resize(self.names.len(), 0.0);
            start
        };
        let starts: Vec<Vec<f64>> = match is_sound {
            true => vec![floor.params.clone()],
            false => starts.into_iter().map(wider).collect(),
        };
        let likelihood = self.likelihood(None);
        let (likelihood, transforms) = (likelihood.as_ref(), &self.transforms);
        let (settings, params) = (&self.settings, &floor.params);
        let told = telling(watch);
        let usual = cvm_fit::maximize_with(likelihood, transforms, &starts, settings, &told);
        let fit = cvm_fit::no_lower_than(usual, likelihood, transforms, settings, params, &told);
        let fit = settled(fit, options)?;
        Ok(if comparable(&self.settings) {
            Estimate::over(fit, &floor)
        } else {
            Estimate::alone(fit)
        })
    }

    pub(crate) fn finish(self, estimate: Estimate, options: &FitOptions) -> Result<Fitted, Error> {
        let Estimate { mut fit, nested } = estimate;
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
        let report = FitReport {
            nested: nested.into_iter().collect(),
            ..report(M::KIND, self.names, &fit, penalty, counts)
        };
        let mut facts = self.facts;
        if !self.data.excluded.is_empty() {
            let reasons = serde_json::json!(self.data.excluded);
            facts.insert("excluded_rows".to_owned(), reasons);
        }
        finish(Box::new(scorer), report, facts)
    }

    /// Rows that may carry a likelihood: all of a small sample, else those with the largest values
    /// in each column and covariate. A row of any weight is looked at as one customer.
    fn influential_rows(&self) -> Vec<usize> {
        const ALL: usize = 5_000;
        const EXTREMES: usize = 50;
        let count = self.data.rows.len();
        if count <= ALL {
            return (0..count).collect();
        }
        let own = M::fit_schema(None).fields.len();
        // Of a path no cell is extreme by itself.
        let width = self.covariate_width();
        let extra = if M::COVARIATE_PATHS { 0 } else { width };
        let mut values = vec![0.0; own];
        let mut found = std::collections::BTreeSet::new();
        for field in 0..own + extra {
            let mut largest: Vec<(f64, usize)> = Vec::with_capacity(EXTREMES + 1);
            for (index, row) in self.data.rows.iter().enumerate() {
                let value = if field < own {
                    M::row_values(row, &mut values);
                    values[field]
                } else {
                    self.data.covariates[index * width + field - own].abs()
                };
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

    /// Values of covariates per row.
    fn covariate_width(&self) -> usize {
        self.data.covariates.len() / self.data.rows.len().max(1)
    }

    /// The likelihood of one row, with its covariates, as of one customer.
    fn likelihood_of(&self, index: usize) -> Box<dyn Likelihood> {
        let width = self.covariate_width();
        let row = std::slice::from_ref(&self.data.rows[index]);
        let values = &self.data.covariates[index * width..(index + 1) * width];
        let scaled = M::covariate_likelihood(row, values, None, &self.covariates);
        match scaled.filter(|_| !self.covariates.is_empty()) {
            Some(scaled) => scaled,
            None => Box::new(M::likelihood(row, None)),
        }
    }
}

/// A fit, and its test against a model inside it.
pub(crate) struct Estimate {
    pub(crate) fit: Fit,
    nested: Option<NestedTest>,
}

impl Estimate {
    fn alone(fit: Fit) -> Self {
        Estimate { fit, nested: None }
    }

    fn over(fit: Fit, floor: &Floor) -> Self {
        let nested = test(&fit, floor);
        Estimate { fit, nested }
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

    fn row_number(&self, row: usize) -> usize {
        self.prepared.data.row_given(self.rows[row])
    }

    fn row_gradient(&self, theta: &[f64], row: usize, gradient: &mut [f64]) {
        let index = self.rows[row];
        if self.prepared.covariates.is_empty() {
            if let Ok(model) = M::from_params(theta, None) {
                model.log_lik_grad(&self.prepared.data.rows[index], gradient);
            }
            return;
        }
        let likelihood = self.prepared.likelihood_of(index);
        let mut sum = Derivatives::zero(theta.len());
        for block in 0..likelihood.block_count() {
            likelihood.accumulate(theta, block, Order::Gradient, &mut sum);
        }
        gradient.copy_from_slice(&sum.gradient);
    }
}

/// Adds the covariates' columns; one that the model reads anyway would be two things at once.
fn add_covariates(schema: &mut InputSchema, fields: Vec<InputField>) -> Result<(), Error> {
    for field in fields {
        if schema.position(&field.name).is_some() {
            let column = field.name;
            let why = format!("names `{column}`, which the model reads as its own");
            return Err(Error::invalid("options.settings.covariates", why));
        }
        schema.fields.push(field);
    }
    Ok(())
}

//! A kind of the catalog with what the harnesses over the catalog ask of it, covariates included.

use crate::golden::{Corpus, HarnessSpec};
use cvm::{Entry, Error, FitOptions, Fitted, Frame, Harness};
use serde_json::Value;

/// A kind with a likelihood, and its corpus.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The kind.
    pub entry: &'static Entry,
    /// Its corpus.
    pub corpus: Corpus,
    /// What the corpus says for the harnesses.
    pub spec: HarnessSpec,
    harness: Harness,
    /// Options of a fit, which name the covariates.
    options: FitOptions,
}

impl Subject {
    /// Every kind with a likelihood.
    ///
    /// # Panics
    /// If the corpus of one says nothing for the harnesses.
    #[must_use]
    pub fn all() -> Vec<Subject> {
        let with_likelihood = cvm::catalog().iter();
        let with_likelihood = with_likelihood.filter_map(|entry| Some((entry, entry.harness?)));
        let subject = |(entry, harness): (&'static Entry, Harness)| {
            let corpus = Corpus::load(entry.kind);
            let spec = corpus.harness.clone();
            let spec = spec.unwrap_or_else(|| panic!("{}: the corpus lacks [harness]", entry.kind));
            let mut options = FitOptions::default();
            for (process, columns) in &spec.covariates {
                let columns = columns.iter().cloned().map(Value::String).collect();
                let setting = format!("{process}_covariates");
                options.settings.insert(setting, Value::Array(columns));
            }
            Subject {
                entry,
                corpus,
                spec,
                harness,
                options,
            }
        };
        with_likelihood.map(subject).collect()
    }

    /// Kind in the catalog.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.entry.kind
    }

    fn plain(&self) -> bool {
        self.spec.covariates.is_empty()
    }

    /// Columns a row is made of.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let has = |name: &str| self.spec.templates.contains_key(name);
        self.sure((self.harness.with_covariates.columns)(&self.options, &has))
    }

    /// Names of the parameters, then of the coefficients.
    #[must_use]
    pub fn param_names(&self) -> Vec<String> {
        let own = self.entry.params.iter().map(|spec| spec.name.to_owned());
        let coefficients = (self.harness.with_covariates.coefficients)(&self.options);
        own.chain(self.sure(coefficients)).collect()
    }

    /// Parameters of every model of the corpus; a coefficient that a model lacks is 0.
    #[must_use]
    pub fn params_of_models(&self) -> Vec<Vec<f64>> {
        let names = self.param_names();
        let of = |model: &crate::golden::ModelSpec| {
            let value = |name: &String| model.params.get(name).copied().unwrap_or_default();
            names.iter().map(value).collect()
        };
        self.corpus.models.iter().map(of).collect()
    }

    /// What simulated rows are drawn with: identified by such rows.
    ///
    /// # Panics
    /// If the corpus gives the truth only in part.
    #[must_use]
    pub fn truth(&self) -> Vec<f64> {
        if self.spec.truth.is_empty() {
            return self.params_of_models().swap_remove(0);
        }
        let names = self.param_names();
        names.iter().map(|name| self.spec.truth[name]).collect()
    }

    /// `count` template rows, as many at most as the corpus allows: the corpus's over and over.
    ///
    /// # Panics
    /// If a column is absent.
    #[must_use]
    pub fn templates(&self, count: usize) -> Vec<Vec<f64>> {
        let columns = self.columns();
        let column = |name: &String| match self.spec.templates.get(name) {
            Some(values) => values,
            None => panic!("{}: templates lack column `{name}`", self.kind()),
        };
        let columns: Vec<&Vec<f64>> = columns.iter().map(column).collect();
        let row = |row: usize| columns.iter().map(|c| c[row % c.len()]).collect();
        (0..count.min(self.spec.most_customers)).map(row).collect()
    }

    /// Log-likelihood of one row by the code path without derivatives.
    ///
    /// # Errors
    /// Parameters or a row that the model refuses.
    pub fn log_lik(&self, params: &[f64], row: &[f64]) -> Result<f64, Error> {
        if self.plain() {
            return (self.harness.log_lik)(params, row);
        }
        (self.harness.with_covariates.log_lik)(&self.options, params, row, None)
    }

    /// Log-likelihood of one row with its gradient.
    ///
    /// # Errors
    /// As [`Subject::log_lik`].
    pub fn log_lik_grad(
        &self,
        params: &[f64],
        row: &[f64],
        gradient: &mut [f64],
    ) -> Result<f64, Error> {
        if self.plain() {
            return (self.harness.log_lik_grad)(params, row, gradient);
        }
        (self.harness.with_covariates.log_lik)(&self.options, params, row, Some(gradient))
    }

    /// One drawn row per template.
    ///
    /// # Panics
    /// If the model refuses the parameters or a template.
    #[must_use]
    pub fn simulate(&self, params: &[f64], templates: &[Vec<f64>], seed: u64) -> Vec<Vec<f64>> {
        if self.plain() {
            return self.sure((self.harness.simulate)(params, templates, seed));
        }
        let simulate = self.harness.with_covariates.simulate;
        self.sure(simulate(&self.options, params, templates, seed))
    }

    /// A fit to rows on `threads` threads, 0 for as many as there are.
    ///
    /// # Errors
    /// As [`cvm::fit`].
    pub fn fit(&self, rows: &[Vec<f64>], threads: usize) -> Result<Fitted, Error> {
        let options = FitOptions {
            threads,
            ..self.options.clone()
        };
        cvm::fit(self.kind(), &self.frame(rows).batch()?, &options)
    }

    fn frame(&self, rows: &[Vec<f64>]) -> Frame {
        let mut frame = Frame::new(rows.len());
        for (index, name) in self.columns().into_iter().enumerate() {
            frame = frame.with_numbers(name, rows.iter().map(|row| row[index]).collect());
        }
        frame
    }

    fn sure<T>(&self, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| panic!("{}: {error}", self.kind()))
    }
}

//! A model with its file: open, verify, score, save.

mod calibrate;
mod drift;
mod file;
mod probe;

pub use calibrate::{CalibrationReport, CalibrationRows};
pub use drift::{DriftLevel, DriftReport, DriftTally, FieldDrift};

use crate::dictionary::{FeatureDictionary, Unit};
use crate::explain::{self, ExplainOptions};
use crate::interval::{self, Neighbours, PortfolioTotal};
use crate::score::{self, PreparedScore};
use crate::{Error, Fingerprint, catalog, interval_cox, reasons};
use cvm_artifact::{Artifact, OutputInfo, Probe};
use cvm_core::{
    Array, Attributions, Batch, ErrorKind, InputSchema, OutputSpec, ParamSpec, ScoreOptions,
    Scorer, Scores,
};
use file::File;
use ndarray::ArrayView2;
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;

/// Arrays of this prefix belong to the fit, not to scoring.
const FIT_PREFIX: &str = "fit.";

/// A model that scores; immutable, so any number of threads may share it.
pub struct Model {
    scorer: Box<dyn Scorer>,
    file: File,
    notes: Vec<String>,
    /// What reasons are told of, in the words of the feature dictionary.
    units: Vec<Unit>,
    /// Made when an interval is first asked for.
    neighbours: OnceLock<Result<Neighbours, Error>>,
}

/// Kind and fingerprint: a model in whole is kilobytes of tables.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("kind", &self.kind())
            .field("fingerprint", &format_args!("{}", self.fingerprint()))
            .finish_non_exhaustive()
    }
}

/// A model with the bytes it was read from.
#[derive(Debug)]
pub struct OpenedFile {
    /// The model.
    pub model: Model,
    /// Size of the file in bytes.
    pub size_bytes: usize,
}

impl Model {
    /// A model from a scorer, its training facts, and arrays of the fit (names start with `fit.`).
    pub(crate) fn new(
        scorer: Box<dyn Scorer>,
        training: Map<String, Value>,
        fit_arrays: Vec<Array>,
    ) -> Result<Model, Error> {
        let mut state = scorer.state();
        state.arrays.extend(fit_arrays);
        let artifact = Artifact {
            schema: scorer.schema().clone(),
            outputs: scorer.outputs().iter().map(output_info).collect(),
            state,
            training,
            metadata: Map::new(),
            probe: probe::none(),
        };
        Model::of(scorer, File::made(artifact)?, Vec::new())
    }

    fn of(scorer: Box<dyn Scorer>, file: File, notes: Vec<String>) -> Result<Model, Error> {
        let dictionary = FeatureDictionary::of(&file.facts().metadata, scorer.schema())?;
        Ok(Model {
            units: dictionary.units(scorer.schema()),
            scorer,
            file,
            notes,
            neighbours: OnceLock::new(),
        })
    }

    /// Reads a model file held in memory: checks every checksum, rebuilds the model and re-scores
    /// its probe rows.
    ///
    /// A file written under the arithmetic of this build ([`crate::ARITHMETIC`]) must give its
    /// scores again in every bit. One written under a lower number must give its statuses, and its
    /// scores within a relative 1e-9; the model then says so in [`Model::notes`]. A higher number is
    /// refused.
    ///
    /// # Errors
    /// `Corrupt` or `Incompatible`, with what was found and what was expected.
    pub fn open(bytes: &[u8]) -> Result<Model, Error> {
        Model::open_under(bytes, crate::ARITHMETIC)
    }

    /// [`Model::open`] by a build whose arithmetic has the number `arithmetic`.
    fn open_under(bytes: &[u8], arithmetic: u32) -> Result<Model, Error> {
        let (artifact, fingerprint) = cvm_artifact::decode(bytes)?;
        let scorer = rebuild(&artifact)?;
        check_schema(scorer.as_ref(), &artifact)?;
        let notes = probe::check(scorer.as_ref(), &artifact.probe, arithmetic)?;
        let dictionary = FeatureDictionary::of_file(&artifact.metadata, scorer.schema())?;
        Ok(Model {
            units: dictionary.units(scorer.schema()),
            scorer,
            file: File::read(artifact, fingerprint),
            notes,
            neighbours: OnceLock::new(),
        })
    }

    /// [`Model::open`] on a file.
    ///
    /// # Errors
    /// As [`Model::open`]; `NotFound` if there is no such file.
    pub fn open_file(path: &Path) -> Result<OpenedFile, Error> {
        let bytes = cvm_artifact::read_file(path)?;
        let model = Model::open(&bytes)?;
        Ok(OpenedFile {
            model,
            size_bytes: bytes.len(),
        })
    }

    /// The bytes of the model's file; the same model always gives the same bytes.
    ///
    /// # Errors
    /// A model beyond a limit of the format.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.file.bytes(self.scorer.as_ref())
    }

    /// Writes the model's file: complete or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        Ok(cvm_artifact::write_file(path, &self.encode()?)?)
    }

    /// The same model with the author's facts (`name`, `version`, notes) in place of its own; its
    /// feature dictionary stays unless `metadata` has one.
    ///
    /// # Errors
    /// Metadata beyond a limit of the format, or a dictionary that does not fit the model.
    pub fn with_metadata(self, mut metadata: Map<String, Value>) -> Result<Model, Error> {
        self.changed(|facts| {
            if let Some(words) = facts.metadata.remove(FeatureDictionary::KEY) {
                let key = FeatureDictionary::KEY.to_owned();
                metadata.entry(key).or_insert(words);
            }
            facts.metadata = metadata;
        })
    }

    /// The same model with a feature dictionary in place of its own.
    ///
    /// # Errors
    /// A dictionary that does not fit the model.
    pub fn with_dictionary(self, dictionary: &FeatureDictionary) -> Result<Model, Error> {
        let value = serde_json::to_value(dictionary)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        let mut metadata = self.file.facts().metadata.clone();
        metadata.insert(FeatureDictionary::KEY.to_owned(), value);
        self.with_metadata(metadata)
    }

    /// The same model with one more fact of its training.
    pub(crate) fn with_training_fact(self, key: &str, fact: Value) -> Result<Model, Error> {
        self.changed(|facts| {
            facts.training.insert(key.to_owned(), fact);
        })
    }

    fn changed(self, change: impl FnOnce(&mut Artifact)) -> Result<Model, Error> {
        let Model {
            scorer,
            file,
            notes,
            units: _,
            neighbours: _,
        } = self;
        Model::of(scorer, file.changed(change)?, notes)
    }

    /// The input that grows as time goes by in which nothing is seen of a customer (`T`, `n_periods`,
    /// `tenure`), where the kind has one.
    #[must_use]
    pub fn age(&self) -> Option<&'static str> {
        self.scorer.age()
    }

    /// Scores a batch on the calling thread. Rows are independent; a bad row carries its status.
    ///
    /// # Errors
    /// `InvalidInput` if a column is missing or of the wrong type, or an option is out of range.
    pub fn score(&self, batch: &Batch<'_>, options: &ScoreOptions) -> Result<Scores, Error> {
        self.score_on(batch, options, 1)
    }

    /// [`Model::score`] on up to `threads` threads: the same bits, sooner, for large batches.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_on(
        &self,
        batch: &Batch<'_>,
        options: &ScoreOptions,
        threads: usize,
    ) -> Result<Scores, Error> {
        let scorer = self.scorer.as_ref();
        let mut scores = match options.interval_level {
            None => score::score(scorer, batch, options, threads)?,
            Some(_) if self.kind() == interval_cox::KIND => {
                interval_cox::with_intervals(scorer, batch, options, threads)?
            }
            Some(_) => {
                interval::with_intervals(scorer, self.neighbours()?, batch, options, threads)?
            }
        };
        if let Some(asked) = &options.reasons {
            let bound = batch.bind(scorer.schema())?;
            let (units, status) = (&self.units, &scores.status);
            let reasons = reasons::reasons(scorer, units, &bound, status, asked, threads)?;
            scores.reasons = Some(reasons);
        }
        Ok(scores)
    }

    /// A question checked once, for [`Model::score_matrix`]; nothing for what only
    /// [`Model::score_on`] answers: intervals, reasons, a later moment, and paths of covariates.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn prepare(&self, options: ScoreOptions) -> Result<Option<PreparedScore>, Error> {
        if options.interval_level.is_some()
            || options.reasons.is_some()
            || options.elapsed_periods.is_some()
            || self.has_covariate_paths()
        {
            return Ok(None);
        }
        score::prepare(self.scorer.as_ref(), options).map(Some)
    }

    /// [`Model::score_on`] for a matrix of numbers that has the model's columns in its order: the
    /// same bits without names to compare.
    ///
    /// # Errors
    /// A matrix of another width.
    pub fn score_matrix(
        &self,
        prepared: &PreparedScore,
        matrix: ArrayView2<'_, f64>,
        threads: usize,
    ) -> Result<Scores, Error> {
        score::score_matrix(self.scorer.as_ref(), prepared, matrix, threads)
    }

    /// [`Model::score_on`] at each of several horizons, as a curve over time is made of.
    ///
    /// # Errors
    /// As [`Model::score`].
    pub fn score_horizons(
        &self,
        batch: &Batch<'_>,
        options: &ScoreOptions,
        horizons: &[f64],
        threads: usize,
    ) -> Result<Vec<Scores>, Error> {
        let at = |horizon: &f64| {
            let horizon_periods = Some(*horizon);
            let options = ScoreOptions {
                horizon_periods,
                ..options.clone()
            };
            self.score_on(batch, &options, threads)
        };
        horizons.iter().map(at).collect()
    }

    /// Totals of every output over the rows that have a score, with intervals at
    /// `options.interval_level` (0.95 when unset) that count what all rows share: the parameters.
    ///
    /// # Errors
    /// As [`Model::score`], and for a model without a covariance of its parameters.
    pub fn portfolio(
        &self,
        batch: &Batch<'_>,
        options: &ScoreOptions,
        threads: usize,
    ) -> Result<Vec<PortfolioTotal>, Error> {
        let scorer = self.scorer.as_ref();
        interval::portfolio(scorer, self.neighbours()?, batch, options, threads)
    }

    fn neighbours(&self) -> Result<&Neighbours, Error> {
        let made = self
            .neighbours
            .get_or_init(|| Neighbours::new(&self.file.facts().state));
        made.as_ref().map_err(Clone::clone)
    }

    /// What each field adds to each row's raw scores: `base + Σ values = raw score`, to 1e-12 for
    /// sums of doubles, and to float rounding for a model that adds floats.
    ///
    /// # Errors
    /// As [`Model::score`]; `InvalidInput` for a kind or a model without attributions of this kind.
    pub fn explain(
        &self,
        batch: &Batch<'_>,
        options: &ExplainOptions<'_, '_>,
    ) -> Result<Attributions, Error> {
        explain::explain(self.scorer.as_ref(), batch, options)
    }

    /// Identity of the model: the hash of its file. Of a model that was made, not read, the first call
    /// scores its probe rows, which may take tens of milliseconds, as [`Model::encode`] does.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.file.fingerprint(self.scorer.as_ref())
    }

    /// Kind: `clv.bg_nbd`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.scorer.kind()
    }

    /// Inputs.
    #[must_use]
    pub fn schema(&self) -> &InputSchema {
        self.scorer.schema()
    }

    /// Inputs read from a batch that has the columns which `has` tells: those of
    /// [`Model::schema`], and the further steps of a path of covariates.
    #[must_use]
    pub fn schema_for(&self, has: &dyn Fn(&str) -> bool) -> InputSchema {
        let wider = self.scorer.schema_for(has);
        wider.unwrap_or_else(|| self.scorer.schema().clone())
    }

    /// Whether rows carry paths of covariates, in as many numbered columns as a table has.
    #[must_use]
    pub fn has_covariate_paths(&self) -> bool {
        self.scorer.schema_for(&|_| false).is_some()
    }

    /// Outputs.
    #[must_use]
    pub fn outputs(&self) -> &'static [OutputSpec] {
        self.scorer.outputs()
    }

    /// Facts of training; empty for a model from known parameters.
    #[must_use]
    pub fn training(&self) -> &Map<String, Value> {
        &self.file.facts().training
    }

    /// Facts by the author.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.file.facts().metadata
    }

    /// Words for the fields, as the author gave them; empty if none were.
    #[must_use]
    pub fn dictionary(&self) -> Option<&Value> {
        self.file.facts().metadata.get(FeatureDictionary::KEY)
    }

    /// Arrays of the state: parameters under `params`, the fit's under `fit.`.
    #[must_use]
    pub fn arrays(&self) -> &[Array] {
        &self.file.facts().state.arrays
    }

    /// Settings of the state: names, orders, rules.
    #[must_use]
    pub fn settings(&self) -> &Map<String, Value> {
        &self.file.facts().state.settings
    }

    /// Probe rows stored with the model.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        self.file.probe(self.scorer.as_ref())
    }

    /// What whoever opens or serves the model should know, one sentence each; empty as a rule.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Name and value of every parameter of a kind with a fixed list; empty for others.
    #[must_use]
    pub fn params(&self) -> Vec<(&'static ParamSpec, f64)> {
        let specs = catalog::entry(self.kind()).map_or(&[][..], |entry| entry.params);
        match self.file.facts().state.vector("params", specs.len()) {
            Ok(values) => specs.iter().zip(values.iter().copied()).collect(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) fn scorer(&self) -> &dyn Scorer {
        self.scorer.as_ref()
    }
}

fn output_info(spec: &OutputSpec) -> OutputInfo {
    OutputInfo {
        name: spec.name.to_owned(),
        unit: spec.unit.to_owned(),
        meaning: spec.meaning.to_owned(),
    }
}

fn rebuild(artifact: &Artifact) -> Result<Box<dyn Scorer>, Error> {
    catalog::entry(&artifact.state.kind)
        .map_err(|error| Error::new(ErrorKind::Incompatible, error.message))?;
    let mut state = artifact.state.clone();
    state
        .arrays
        .retain(|array| !array.name.starts_with(FIT_PREFIX));
    catalog::scorer(state)
}

fn check_schema(scorer: &dyn Scorer, artifact: &Artifact) -> Result<(), Error> {
    if *scorer.schema() == artifact.schema {
        return Ok(());
    }
    let message = format!(
        "the file's input schema is not the one its model has: file {:?}, model {:?}",
        artifact.schema,
        scorer.schema()
    );
    Err(Error::new(ErrorKind::Incompatible, message))
}

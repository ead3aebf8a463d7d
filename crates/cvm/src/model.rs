//! A model with its file: open, verify, score, save.

use crate::{Error, Fingerprint, catalog, score};
use cvm_artifact::{Artifact, OutputInfo, Probe};
use cvm_core::{
    Array, Batch, ErrorKind, InputSchema, OutputSpec, ParamSpec, ScoreOptions, Scorer, Scores,
};
use serde_json::{Map, Value};
use std::path::Path;

/// Arrays of this prefix belong to the fit, not to scoring.
const FIT_PREFIX: &str = "fit.";

/// A model that scores; immutable, so any number of threads may share it.
#[derive(Debug)]
pub struct Model {
    scorer: Box<dyn Scorer>,
    artifact: Artifact,
    fingerprint: Fingerprint,
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
        let probe = make_probe(scorer.as_ref())?;
        let mut state = scorer.state();
        state.arrays.extend(fit_arrays);
        let artifact = Artifact {
            schema: scorer.schema().clone(),
            outputs: scorer.outputs().iter().map(output_info).collect(),
            state,
            training,
            metadata: Map::new(),
            probe,
        };
        Model::seal(scorer, artifact)
    }

    /// Encodes once and reads it back: what was sealed can be opened, and has this fingerprint.
    fn seal(scorer: Box<dyn Scorer>, artifact: Artifact) -> Result<Model, Error> {
        let bytes = cvm_artifact::encode(&artifact)?;
        let fingerprint = cvm_artifact::verify(&bytes)?;
        Ok(Model {
            scorer,
            artifact,
            fingerprint,
        })
    }

    /// Reads a model file held in memory: checks every checksum, rebuilds the model and re-scores
    /// its probe rows; any difference in any bit is refused.
    ///
    /// # Errors
    /// `Corrupt` or `Incompatible`, with what was found and what was expected.
    pub fn open(bytes: &[u8]) -> Result<Model, Error> {
        let (artifact, fingerprint) = cvm_artifact::decode(bytes)?;
        let scorer = rebuild(&artifact)?;
        check_schema(scorer.as_ref(), &artifact)?;
        check_probe(scorer.as_ref(), &artifact.probe)?;
        Ok(Model {
            scorer,
            artifact,
            fingerprint,
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
        Ok(cvm_artifact::encode(&self.artifact)?)
    }

    /// Writes the model's file: complete or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        Ok(cvm_artifact::write_file(path, &self.encode()?)?)
    }

    /// The same model with the author's facts (`name`, `version`, notes) in place of its own.
    ///
    /// # Errors
    /// Metadata beyond a limit of the format.
    pub fn with_metadata(self, metadata: Map<String, Value>) -> Result<Model, Error> {
        let Model {
            scorer,
            mut artifact,
            fingerprint: _,
        } = self;
        artifact.metadata = metadata;
        Model::seal(scorer, artifact)
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
        score::score(self.scorer.as_ref(), batch, options, threads)
    }

    /// Identity of the model: the hash of its file.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
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

    /// Outputs.
    #[must_use]
    pub fn outputs(&self) -> &'static [OutputSpec] {
        self.scorer.outputs()
    }

    /// Facts of training; empty for a model from known parameters.
    #[must_use]
    pub fn training(&self) -> &Map<String, Value> {
        &self.artifact.training
    }

    /// Facts by the author.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.artifact.metadata
    }

    /// Arrays of the state: parameters under `params`, the fit's under `fit.`.
    #[must_use]
    pub fn arrays(&self) -> &[Array] {
        &self.artifact.state.arrays
    }

    /// Settings of the state: names, orders, rules.
    #[must_use]
    pub fn settings(&self) -> &Map<String, Value> {
        &self.artifact.state.settings
    }

    /// Probe rows stored with the model.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.artifact.probe
    }

    /// Name and value of every parameter of a kind with a fixed list; empty for others.
    #[must_use]
    pub fn params(&self) -> Vec<(&'static ParamSpec, f64)> {
        let specs = catalog::entry(self.kind()).map_or(&[][..], |entry| entry.params);
        match self.artifact.state.vector("params", specs.len()) {
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

fn make_probe(scorer: &dyn Scorer) -> Result<Probe, Error> {
    let rows = scorer.probe_rows();
    let options = scorer.probe_options();
    let scores = score::score(scorer, &rows.batch()?, &options, 1)?;
    let Scores {
        outputs,
        status,
        issues: _,
    } = scores;
    let scores = outputs
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values))
        .collect();
    Ok(Probe {
        rows,
        options,
        scores,
        status,
    })
}

fn rebuild(artifact: &Artifact) -> Result<Box<dyn Scorer>, Error> {
    let entry = catalog::entry(&artifact.state.kind)
        .map_err(|error| Error::new(ErrorKind::Incompatible, error.message))?;
    let mut state = artifact.state.clone();
    state
        .arrays
        .retain(|array| !array.name.starts_with(FIT_PREFIX));
    Ok((entry.open)(&state)?)
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

/// Re-scores the probe rows; the first cell that differs is named.
fn check_probe(scorer: &dyn Scorer, probe: &Probe) -> Result<(), Error> {
    let fresh = score::score(scorer, &probe.rows.batch()?, &probe.options, 1)?;
    if fresh.status != probe.status {
        return Err(mismatch("row statuses differ".to_owned()));
    }
    if fresh.outputs.len() != probe.scores.len() {
        let (got, want) = (fresh.outputs.len(), probe.scores.len());
        return Err(mismatch(format!("{got} outputs, the file has {want}")));
    }
    for ((name, got), (stored_name, stored)) in fresh.outputs.iter().zip(&probe.scores) {
        if name != stored_name {
            return Err(mismatch(format!(
                "output `{name}`, the file has `{stored_name}`"
            )));
        }
        check_column(name, got, stored)?;
    }
    Ok(())
}

fn check_column(name: &str, got: &[f64], stored: &[f64]) -> Result<(), Error> {
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let rows = || got.iter().zip(stored);
    if got.len() == stored.len() && rows().all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    let place = rows().position(|(a, b)| !same(a, b));
    let detail = match place.and_then(|row| Some((row, got.get(row)?, stored.get(row)?))) {
        Some((row, a, b)) => format!("`{name}` of probe row {row} is {a:e}, the file has {b:e}"),
        None => format!(
            "`{name}` has {} rows, the file has {}",
            got.len(),
            stored.len()
        ),
    };
    Err(mismatch(detail))
}

fn mismatch(detail: String) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("this build does not reproduce the model's stored probe scores: {detail}"),
    )
}

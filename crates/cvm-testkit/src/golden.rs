//! The golden corpus: models, rows and published numbers that every surface must reproduce.
//!
//! `tests/golden/<kind>.toml` is written by hand; `tests/golden/README.md` describes it. Models are
//! files in `tests/golden/models/`, made once from the corpus and kept for ever.

use cvm::{Fitted, Frame, FrameColumn, Model, RowCode, ScoreOptions, Scores, TimeUnit};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Everything known of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Kind of the catalog.
    pub kind: String,
    /// What the harnesses over the catalog need, for kinds with a likelihood.
    pub harness: Option<HarnessSpec>,
    /// Models the cases score with.
    #[serde(rename = "model", default)]
    pub models: Vec<ModelSpec>,
    /// Rows and what is known of their scores.
    #[serde(rename = "case", default)]
    pub cases: Vec<Case>,
    /// Fits and what is known of their results.
    #[serde(rename = "fit", default)]
    pub fits: Vec<FitCase>,
}

/// Where simulations start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HarnessSpec {
    /// Template rows by column; every model of the corpus is simulated on them, in turn.
    pub templates: BTreeMap<String, Vec<f64>>,
    /// Parameters to simulate with and to find again, where those of the first model are hardly
    /// identified by such data.
    #[serde(default)]
    pub truth: BTreeMap<String, f64>,
    /// Covariates by process, whose columns (of a path, all its numbered ones) the templates hold.
    #[serde(default)]
    pub covariates: BTreeMap<String, Vec<String>>,
    /// One in so many of the usual rows is scored, for a kind whose formulas take milliseconds a row.
    #[serde(default = "one")]
    pub one_row_in: usize,
    /// Most customers of a simulated sample.
    #[serde(default = "unlimited")]
    pub most_customers: usize,
    /// Customers of a sample whose intervals are counted: enough for a normal approximation.
    #[serde(default = "covered")]
    pub covered_customers: usize,
    /// One in so many of the usual samples is drawn.
    #[serde(default = "one")]
    pub one_sample_in: usize,
    /// Beyond that, one in so many where time is short (`make test`, not `make test-slow`).
    #[serde(default = "one")]
    pub one_quick_sample_in: usize,
}

fn one() -> usize {
    1
}

fn covered() -> usize {
    5_000
}

fn unlimited() -> usize {
    usize::MAX
}

/// How a model of the corpus came to be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Name, unique in the corpus; the file is `models/<kind>/<name>.cvm`.
    pub name: String,
    /// Where the parameters come from.
    pub source: String,
    /// Parameters, for kinds with a fixed list.
    #[serde(default)]
    pub params: BTreeMap<String, f64>,
    /// Length of one period.
    pub time_unit: Option<TimeUnit>,
    /// Parts of a composed model.
    pub purchase: Option<PartSpec>,
    /// Parts of a composed model.
    pub spend: Option<PartSpec>,
    /// The part of a contract value.
    pub contract: Option<PartSpec>,
    /// Training rows and options, for kinds whose parameters depend on the data.
    pub fit: Option<TrainSpec>,
    /// Another library's file, for kinds that are imported.
    pub import: Option<ImportSpec>,
    /// What the file was written before: today's build of the specification gives other last bits.
    pub older: Option<String>,
}

/// A part of a composed model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSpec {
    /// Kind of the part.
    pub kind: String,
    /// Its parameters.
    pub params: BTreeMap<String, f64>,
}

/// Training rows in the corpus itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    /// Columns by name.
    pub columns: BTreeMap<String, Values>,
    /// `cvm::FitOptions` as data.
    #[serde(default)]
    pub options: Map<String, Value>,
}

/// A model file of another library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportSpec {
    /// Format of the file.
    pub format: String,
    /// Path below the folder of the corpus.
    pub file: String,
    /// `cvm::ImportOptions` as data.
    #[serde(default)]
    pub options: cvm::ImportOptions,
}

/// A column as data.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// Numbers; `nan` is missing.
    Numbers(Vec<f64>),
    /// Text; the empty string is missing.
    Text(Vec<String>),
}

/// Rows and what is known of their scores.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name, unique in the corpus.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// Options of the call.
    #[serde(default)]
    pub options: ScoreOptions,
    /// Input columns by name.
    pub columns: BTreeMap<String, Values>,
    /// Status of every row by name; unset means that all are `ok`.
    pub status: Option<Vec<String>>,
    /// Known values by output.
    #[serde(default)]
    pub expect: BTreeMap<String, Expect>,
}

/// Known values of one output.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// One per row; `nan` for rows without a value.
    pub values: Vec<f64>,
    /// Largest absolute difference.
    #[serde(default)]
    pub abs: f64,
    /// Largest relative difference.
    #[serde(default)]
    pub rel: f64,
    /// Who says so.
    pub source: String,
}

/// A fit and what is known of its result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitCase {
    /// Name, unique in the corpus.
    pub name: String,
    /// Table, by its path below the root of the repository.
    pub data: String,
    /// `cvm::SummaryOptions` as data, if the table is a transaction log.
    pub summarize: Option<Map<String, Value>>,
    /// Decimals that `recency` and `T` are rounded to, as some published tables were.
    pub round_decimals: Option<usize>,
    /// `cvm::FitOptions` as data.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// Known parameters.
    pub params: BTreeMap<String, f64>,
    /// Largest relative difference of a parameter.
    pub rel: f64,
    /// Known log-likelihood.
    pub log_likelihood: f64,
    /// Largest absolute difference of the log-likelihood.
    pub log_likelihood_abs: f64,
    /// Rows used, if known.
    pub rows_used: Option<usize>,
    /// Options to score the table with the fitted model.
    pub score: Option<ScoreOptions>,
    /// Known sums over all rows by output.
    #[serde(default)]
    pub totals: BTreeMap<String, Total>,
    /// Who says so.
    pub source: String,
}

/// A known sum.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// The sum.
    pub value: f64,
    /// Largest relative difference.
    pub rel: f64,
}

/// Folder of the corpus.
#[must_use]
pub fn folder() -> PathBuf {
    root().join("tests").join("golden")
}

/// Root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

impl Corpus {
    /// The corpus of one kind.
    ///
    /// # Panics
    /// If the file is absent or malformed, naming it.
    #[must_use]
    pub fn load(kind: &str) -> Corpus {
        let path = folder().join(format!("{kind}.toml"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let corpus: Corpus =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(corpus.kind, kind, "{} is of another kind", path.display());
        corpus
    }

    /// The corpus of every kind of the catalog.
    ///
    /// # Panics
    /// As [`Corpus::load`].
    #[must_use]
    pub fn all() -> Vec<Corpus> {
        cvm::catalog()
            .iter()
            .map(|entry| Corpus::load(entry.kind))
            .collect()
    }

    /// File of a model.
    #[must_use]
    pub fn model_path(&self, name: &str) -> PathBuf {
        let folder = folder().join("models").join(&self.kind);
        folder.join(format!("{name}.cvm"))
    }

    /// The model of a file, opened once in a process: opening scores the probe rows, which takes some
    /// kinds seconds.
    ///
    /// # Panics
    /// If the file does not open.
    #[must_use]
    pub fn open(&self, name: &str) -> Arc<Model> {
        static OPENED: Mutex<BTreeMap<PathBuf, Arc<Model>>> = Mutex::new(BTreeMap::new());
        let path = self.model_path(name);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let model = opened.entry(path).or_insert_with_key(|path| {
            let file = Model::open_file(path);
            let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Arc::new(file.model)
        });
        Arc::clone(model)
    }
}

impl ModelSpec {
    /// Makes the model from its specification.
    ///
    /// # Panics
    /// If the specification is wrong.
    #[must_use]
    pub fn build(&self, kind: &str) -> Model {
        let unit = self.time_unit;
        let built = match (&self.fit, &self.purchase, &self.spend, &self.contract) {
            (None, None, None, None) if self.import.is_some() => self.import(),
            (Some(train), None, None, None) => train.fit(kind).map(|fitted| fitted.model),
            (None, Some(purchase), Some(spend), None) => {
                cvm::lifetime_value(&purchase.build(unit), &spend.build(unit), None)
            }
            (None, None, None, Some(contract)) => cvm::contract_value(&contract.build(unit), None),
            (None, None, None, None) => cvm::from_params(kind, &pairs(&self.params), unit),
            _ => panic!(
                "model {}: give params, or fit, or purchase and spend, or contract",
                self.name
            ),
        };
        let model = built.unwrap_or_else(|error| panic!("model {}: {error}", self.name));
        let facts = [("name", &self.name), ("source", &self.source)];
        let metadata = facts.map(|(name, fact)| (name.to_owned(), Value::String(fact.clone())));
        model
            .with_metadata(metadata.into_iter().collect())
            .unwrap_or_else(|error| panic!("model {}: {error}", self.name))
    }
}

impl ModelSpec {
    fn import(&self) -> Result<Model, cvm::Error> {
        let Some(spec) = &self.import else {
            panic!("model {}: nothing to import", self.name);
        };
        let bytes = std::fs::read(folder().join(&spec.file));
        let bytes = bytes.unwrap_or_else(|error| panic!("{}: {error}", spec.file));
        cvm::import(&spec.format, &bytes, &spec.options)
    }
}

impl PartSpec {
    fn build(&self, time_unit: Option<TimeUnit>) -> Model {
        cvm::from_params(&self.kind, &pairs(&self.params), time_unit)
            .unwrap_or_else(|error| panic!("part {}: {error}", self.kind))
    }
}

impl TrainSpec {
    /// Fits a model of `kind`.
    ///
    /// # Errors
    /// As [`cvm::fit`].
    ///
    /// # Panics
    /// If the options are not options.
    pub fn fit(&self, kind: &str) -> Result<Fitted, cvm::Error> {
        let options = serde_json::from_value(Value::Object(self.options.clone()))
            .unwrap_or_else(|error| panic!("fit options: {error}"));
        cvm::fit(kind, &frame(&self.columns).batch()?, &options)
    }
}

fn pairs(params: &BTreeMap<String, f64>) -> Vec<(String, f64)> {
    params
        .iter()
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

/// Columns as a table, in the order of their names.
#[must_use]
pub fn frame(columns: &BTreeMap<String, Values>) -> Frame {
    let mut frame = Frame::new(columns.values().next().map_or(0, Values::len));
    for (name, values) in columns {
        let column = match values {
            Values::Numbers(numbers) => FrameColumn::Numbers(numbers.clone()),
            Values::Text(text) => {
                let cells = text
                    .iter()
                    .map(|cell| Some(cell.as_str()).filter(|c| !c.is_empty()));
                FrameColumn::from_strings(cells)
            }
        };
        frame.columns.push((name.clone(), column));
    }
    frame
}

impl Values {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::Numbers(values) => values.len(),
            Values::Text(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FitCase {
    /// The table, summarized and rounded as the case says.
    ///
    /// # Panics
    /// If the table cannot be read or summarized.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let path = root().join(&self.data);
        let fail = |error: cvm::table::RecordError| -> ! { panic!("fit {}: {error}", self.name) };
        let source = cvm::table::CsvSource::path(&path).unwrap_or_else(|error| fail(error));
        let text = cvm::table::CsvOptions::default();
        let mut frame = match &self.summarize {
            None => cvm::table::read_csv(&source, &text).unwrap_or_else(|error| fail(error)),
            Some(options) => {
                let options = serde_json::from_value(Value::Object(options.clone()))
                    .unwrap_or_else(|error| panic!("fit {}: {error}", self.name));
                let summary = cvm::summarize_csv(&source, &text, &options);
                summary.unwrap_or_else(|error| fail(error)).frame
            }
        };
        for (name, column) in &mut frame.columns {
            if let (Some(decimals), FrameColumn::Numbers(values)) = (self.round_decimals, column)
                && matches!(name.as_str(), "recency" | "T")
            {
                values
                    .iter_mut()
                    .for_each(|value| *value = rounded(*value, decimals));
            }
        }
        frame
    }

    /// The options of the fit.
    ///
    /// # Panics
    /// If they are not options.
    #[must_use]
    pub fn fit_options(&self) -> cvm::FitOptions {
        serde_json::from_value(Value::Object(self.options.clone()))
            .unwrap_or_else(|error| panic!("fit {}: {error}", self.name))
    }
}

/// Rounds as decimal printing does: to the nearest, by the exact value of the number.
fn rounded(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

impl Case {
    /// The rows.
    #[must_use]
    pub fn frame(&self) -> Frame {
        frame(&self.columns)
    }

    /// Status of every row by name.
    #[must_use]
    pub fn statuses(&self) -> Vec<String> {
        let all_ok = || vec![RowCode::Ok.name().to_owned(); self.frame().row_count];
        self.status.clone().unwrap_or_else(all_ok)
    }

    /// Compares scores with what is known; differences in words.
    #[must_use]
    pub fn differences(&self, scores: &Scores) -> Vec<String> {
        let mut found = Vec::new();
        let got: Vec<&str> = scores
            .status
            .iter()
            .map(|status| status.code.name())
            .collect();
        if got != self.statuses() {
            found.push(format!(
                "statuses are {got:?}, expected {:?}",
                self.statuses()
            ));
        }
        for (name, expect) in &self.expect {
            match scores.get(name) {
                None => found.push(format!("there is no output `{name}`")),
                Some(values) => found.extend(expect.differences(name, values)),
            }
        }
        found
    }
}

impl Expect {
    fn differences(&self, name: &str, got: &[f64]) -> Vec<String> {
        if got.len() != self.values.len() {
            let (got, want) = (got.len(), self.values.len());
            return vec![format!("`{name}` has {got} rows, {want} are known")];
        }
        let rows = got.iter().zip(&self.values).enumerate();
        rows.filter(|(_, (got, want))| !crate::compare::is_close(**got, **want, self.abs, self.rel))
            .map(|(row, (got, want))| {
                format!("`{name}` row {row}: {got} but {want} by {}", self.source)
            })
            .collect()
    }
}

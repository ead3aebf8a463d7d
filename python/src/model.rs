//! Models behind Python: fit, open, score, save; each method hands over to `cvm` and back.

use crate::column::Columns;
use crate::door::enter;
use crate::errors::{invalid, to_py};
use crate::prepared::RawScorer;
use cvm::{
    FitOptions, FrameColumn, Model, Reason, ReasonDirection, ReasonOptions, Reasons, RowCode,
    RowIssue, ScoreOptions, Scores, TimeUnit,
};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A model of any kind; immutable and shared between threads.
#[pyclass(frozen, module = "cvm._core")]
pub(crate) struct RawModel {
    model: Arc<Model>,
}

/// Name, total, standard error, that of independent rows, lower, upper, rows.
type TotalRow = (&'static str, f64, f64, f64, f64, f64, usize);

/// How to fit, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct FitArgs {
    time_unit: Option<String>,
    weight_column: Option<String>,
    penalty: Option<f64>,
    max_iterations: u32,
    gradient_tolerance: f64,
    threads: usize,
    allow_not_converged: bool,
    settings_json: String,
}

/// What to score, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ScoreArgs {
    horizon: Option<f64>,
    discount_rate: Option<f64>,
    margin: Option<f64>,
    purchases: Option<f64>,
    quantile: Option<f64>,
    cost_per_period: Option<f64>,
    cost_per_order: Option<f64>,
    interval: Option<f64>,
    elapsed: Option<f64>,
    outputs: Vec<String>,
    threads: usize,
    reasons: Option<ReasonArgs>,
}

/// Which reasons to give, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ReasonArgs {
    count: u32,
    only_actionable: bool,
    direction: String,
    approximate: bool,
}

impl ReasonArgs {
    fn options(self) -> PyResult<ReasonOptions> {
        let ReasonArgs {
            count,
            only_actionable,
            direction,
            approximate,
        } = self;
        let known = ReasonDirection::parse(&direction).ok_or_else(|| {
            let known = ReasonDirection::ALL.map(|(_, own)| own).join(", ");
            invalid(
                "direction",
                &format!("is \"{direction}\": must be one of {known}"),
            )
        })?;
        Ok(ReasonOptions {
            count,
            only_actionable,
            direction: known,
            approximate,
        })
    }
}

impl FitArgs {
    /// Options of the engine.
    pub(crate) fn options(self) -> PyResult<FitOptions> {
        Ok(FitOptions {
            time_unit: time_unit(self.time_unit.as_deref())?,
            weight_column: self.weight_column,
            penalty: self.penalty,
            max_iterations: self.max_iterations,
            gradient_tolerance: self.gradient_tolerance,
            threads: self.threads,
            allow_not_converged: self.allow_not_converged,
            settings: object("settings", &self.settings_json)?,
        })
    }
}

impl ScoreArgs {
    /// Options of the engine, and the number of threads.
    ///
    /// # Errors
    /// A direction that is none.
    pub(crate) fn options(self) -> PyResult<(ScoreOptions, usize)> {
        let options = ScoreOptions {
            horizon_periods: self.horizon,
            discount_rate_per_year: self.discount_rate,
            margin: self.margin,
            outputs: self.outputs,
            purchases: self.purchases,
            quantile: self.quantile,
            cost_per_period: self.cost_per_period,
            cost_per_order: self.cost_per_order,
            interval_level: self.interval,
            elapsed_periods: self.elapsed,
            reasons: self.reasons.map(ReasonArgs::options).transpose()?,
        };
        Ok((options, all_threads(self.threads)))
    }
}

/// Output columns by name, the row statuses, and the first bad rows in words.
#[derive(IntoPyObject)]
pub(crate) struct PyScores<'py> {
    outputs: Vec<(String, Bound<'py, PyArray1<f64>>)>,
    status: Bound<'py, PyArray1<u8>>,
    issues: Vec<String>,
    reasons: Option<PyReasons>,
}

/// How reasons were computed, and those of each row: name, contribution, words.
#[derive(IntoPyObject)]
pub(crate) struct PyReasons {
    method: String,
    rows: Vec<Vec<(String, f64, String)>>,
}

impl PyReasons {
    fn of(reasons: Reasons) -> Self {
        let Reasons { method, rows } = reasons;
        let told = |reason: Reason| {
            let Reason {
                name,
                contribution,
                text,
            } = reason;
            (name, contribution, text)
        };
        let row = |row: Vec<Reason>| row.into_iter().map(told).collect();
        PyReasons {
            method,
            rows: rows.into_iter().map(row).collect(),
        }
    }
}

impl<'py> PyScores<'py> {
    /// Moves the engine's columns into numpy arrays.
    pub(crate) fn new(
        py: Python<'py>,
        outputs: impl IntoIterator<Item = (String, Vec<f64>)>,
        status: Vec<u8>,
        issues: Vec<String>,
        reasons: Option<Reasons>,
    ) -> Self {
        let array = |(name, values): (String, Vec<f64>)| (name, values.into_pyarray(py));
        PyScores {
            outputs: outputs.into_iter().map(array).collect(),
            status: status.into_pyarray(py),
            issues,
            reasons: reasons.map(PyReasons::of),
        }
    }

    fn of(py: Python<'py>, scores: Scores) -> Self {
        let Scores {
            outputs,
            status,
            issues,
            reasons,
        } = scores;
        let outputs = outputs.into_iter().map(|(name, v)| (name.to_owned(), v));
        let status = status.iter().map(|status| status.code as u8).collect();
        let words = |issue: RowIssue| issue.message;
        let issues = issues.into_iter().map(words).collect();
        PyScores::new(py, outputs, status, issues, reasons)
    }
}

/// Attributions as arrays.
#[derive(IntoPyObject)]
pub(crate) struct PyAttributions<'py> {
    method: &'static str,
    is_exact: bool,
    outputs: Vec<&'static str>,
    base: Bound<'py, PyArray1<f64>>,
    values: Bound<'py, PyArray1<f64>>,
    status: Bound<'py, PyArray1<u8>>,
}

impl<'py> PyAttributions<'py> {
    fn of(py: Python<'py>, found: cvm::Attributions) -> Self {
        let cvm::Attributions {
            method,
            is_exact,
            outputs,
            base,
            values,
            status,
        } = found;
        let status: Vec<u8> = status.iter().map(|status| status.code as u8).collect();
        PyAttributions {
            method,
            is_exact,
            outputs,
            base: base.into_pyarray(py),
            values: values.into_pyarray(py),
            status: status.into_pyarray(py),
        }
    }
}

/// A column of probe rows.
#[derive(IntoPyObject)]
pub(crate) enum PyProbe<'py> {
    Numbers(Bound<'py, PyArray1<f64>>),
    Text((Vec<String>, Bound<'py, PyArray1<i32>>)),
}

impl<'py> PyProbe<'py> {
    fn of(py: Python<'py>, column: &FrameColumn) -> Self {
        match column {
            FrameColumn::Numbers(values) => PyProbe::Numbers(values.clone().into_pyarray(py)),
            FrameColumn::Text { dictionary, codes } => {
                PyProbe::Text((dictionary.clone(), codes.clone().into_pyarray(py)))
            }
        }
    }
}

impl From<Model> for RawModel {
    fn from(model: Model) -> Self {
        RawModel {
            model: Arc::new(model),
        }
    }
}

#[pymethods]
impl RawModel {
    /// A model of `kind` at known parameters.
    #[staticmethod]
    fn from_params(
        py: Python<'_>,
        kind: &str,
        params: Vec<(String, f64)>,
        unit: Option<&str>,
    ) -> PyResult<Self> {
        let unit = time_unit(unit)?;
        enter(py, || cvm::from_params(kind, &params, unit)).map(RawModel::from)
    }

    /// The lifetime-value model of a purchase model and a spend model.
    #[staticmethod]
    fn lifetime_value(
        py: Python<'_>,
        purchase: &RawModel,
        spend: &RawModel,
        currency: Option<&str>,
    ) -> PyResult<Self> {
        let compose = || cvm::lifetime_value(&purchase.model, &spend.model, currency);
        enter(py, compose).map(RawModel::from)
    }

    /// The lifetime-value model of a contract model's customers.
    #[staticmethod]
    fn contract_value(
        py: Python<'_>,
        contract: &RawModel,
        currency: Option<&str>,
    ) -> PyResult<Self> {
        enter(py, || cvm::contract_value(&contract.model, currency)).map(RawModel::from)
    }

    /// The model called `name` inside a composed one.
    fn part(&self, py: Python<'_>, name: &str) -> PyResult<Self> {
        enter(py, || cvm::part(&self.model, name)).map(RawModel::from)
    }

    /// The model of another library's file, as the library scores it.
    #[staticmethod]
    fn import_model(py: Python<'_>, kind: &str, data: &[u8], options_json: &str) -> PyResult<Self> {
        let options = import_options(options_json)?;
        enter(py, || cvm::import(kind, data, &options)).map(RawModel::from)
    }

    /// The model with the fact that the original library gives its scores on every probe row.
    fn certify(
        &self,
        py: Python<'_>,
        library: String,
        outputs: Vec<(String, PyReadonlyArray1<'_, f64>)>,
    ) -> PyResult<Self> {
        let owned = |(name, values): (String, PyReadonlyArray1<'_, f64>)| {
            (name, values.as_array().iter().copied().collect())
        };
        let outputs = outputs.into_iter().map(owned).collect();
        let original = cvm::OriginalScores { library, outputs };
        let certified = || Model::open(&self.model.encode()?)?.certify(&original);
        enter(py, certified).map(RawModel::from)
    }

    /// Columns of the probe rows: numbers, or a dictionary and codes.
    fn probe_columns<'py>(&self, py: Python<'py>) -> Vec<(String, PyProbe<'py>)> {
        let columns = self.model.probe().rows.columns.iter();
        columns
            .map(|(name, column)| (name.clone(), PyProbe::of(py, column)))
            .collect()
    }

    /// The model of the bytes of a file, verified.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        enter(py, || Model::open(data)).map(RawModel::from)
    }

    /// The model of a file, verified.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        enter(py, || Model::open_file(&path)).map(|opened| opened.model.into())
    }

    /// The bytes of the model's file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        enter(py, || self.model.encode()).map(|bytes| PyBytes::new(py, &bytes))
    }

    /// Writes the model's file: complete or not at all.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        enter(py, || self.model.save(&path))
    }

    /// The same model with the author's facts, a JSON object, in place of its own.
    fn with_metadata(&self, py: Python<'_>, metadata_json: &str) -> PyResult<Self> {
        let metadata = object("metadata", metadata_json)?;
        let copy = || Model::open(&self.model.encode()?)?.with_metadata(metadata);
        enter(py, copy).map(RawModel::from)
    }

    /// The model with a calibrator learnt on rows it was not fitted on; without a method, the best.
    #[pyo3(signature = (columns, churned, weights, method))]
    fn calibrated(
        &self,
        py: Python<'_>,
        columns: Columns<'_>,
        churned: PyReadonlyArray1<'_, bool>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
        method: Option<&str>,
    ) -> PyResult<Self> {
        let (batch, method) = (columns.batch()?, calibration_method(method)?);
        let outcomes = Outcomes::new(&churned, weights.as_ref());
        let made = || self.model.calibrated(&batch, outcomes.rows(), method);
        enter(py, made).map(RawModel::from)
    }

    /// The model with a calibrator learnt on uncalibrated probabilities.
    #[pyo3(signature = (probabilities, churned, weights, method))]
    fn calibrated_on(
        &self,
        py: Python<'_>,
        probabilities: PyReadonlyArray1<'_, f64>,
        churned: PyReadonlyArray1<'_, bool>,
        weights: Option<PyReadonlyArray1<'_, f64>>,
        method: Option<&str>,
    ) -> PyResult<Self> {
        let method = calibration_method(method)?;
        let given = probabilities.as_array().to_vec();
        let outcomes = Outcomes::new(&churned, weights.as_ref());
        let made = || self.model.calibrated_on(&given, outcomes.rows(), method);
        enter(py, made).map(RawModel::from)
    }

    /// The model without its calibrator.
    fn uncalibrated(&self, py: Python<'_>) -> PyResult<Self> {
        enter(py, || self.model.uncalibrated()).map(RawModel::from)
    }

    /// The model with the profile of its training rows.
    fn profiled(&self, py: Python<'_>, columns: Columns<'_>) -> PyResult<Self> {
        let batch = columns.batch()?;
        let made = || Model::open(&self.model.encode()?)?.profiled(&batch);
        enter(py, made).map(RawModel::from)
    }

    /// Drift of a table from the training rows, as JSON.
    fn drift_json(&self, py: Python<'_>, columns: Columns<'_>) -> PyResult<String> {
        let batch = columns.batch()?;
        json(&enter(py, || self.model.drift(&batch))?)
    }

    /// The same model with a feature dictionary, a JSON object, in place of its own.
    fn with_dictionary(&self, py: Python<'_>, dictionary_json: &str) -> PyResult<Self> {
        let words = object("feature_dictionary", dictionary_json)?;
        let copy = || {
            let words = cvm::FeatureDictionary::from_json(Value::Object(words))?;
            Model::open(&self.model.encode()?)?.with_dictionary(&words)
        };
        enter(py, copy).map(RawModel::from)
    }

    /// The question for these outputs, checked once; `None` for a model that only `score` answers
    /// for.
    fn scorer(&self, py: Python<'_>, outputs: Vec<String>) -> PyResult<Option<RawScorer>> {
        let options = ScoreOptions {
            outputs,
            ..ScoreOptions::default()
        };
        let prepared = enter(py, || self.model.prepare(options))?;
        Ok(prepared.map(|prepared| RawScorer {
            model: Arc::clone(&self.model),
            prepared,
        }))
    }

    /// Scores rows.
    fn score<'py>(
        &self,
        py: Python<'py>,
        columns: Columns<'_>,
        options: ScoreArgs,
    ) -> PyResult<PyScores<'py>> {
        let (batch, (options, threads)) = (columns.batch()?, options.options()?);
        let scores = enter(py, || self.model.score_on(&batch, &options, threads))?;
        Ok(PyScores::of(py, scores))
    }

    /// Scores rows at each of several horizons.
    fn score_horizons<'py>(
        &self,
        py: Python<'py>,
        columns: Columns<'_>,
        options: ScoreArgs,
        horizons: Vec<f64>,
    ) -> PyResult<Vec<PyScores<'py>>> {
        let (batch, (options, threads)) = (columns.batch()?, options.options()?);
        let model = &self.model;
        let all = enter(py, || {
            model.score_horizons(&batch, &options, &horizons, threads)
        })?;
        Ok(all.into_iter().map(|s| PyScores::of(py, s)).collect())
    }

    /// Totals of every output with intervals: name, total, standard error, the error of independent
    /// rows, lower, upper, rows.
    fn portfolio(
        &self,
        py: Python<'_>,
        columns: Columns<'_>,
        options: ScoreArgs,
    ) -> PyResult<Vec<TotalRow>> {
        let (batch, (options, threads)) = (columns.batch()?, options.options()?);
        let totals = enter(py, || self.model.portfolio(&batch, &options, threads))?;
        Ok(totals.into_iter().map(total_row).collect())
    }

    /// What was computed, whether it is exact, names of explained outputs, what is expected of each,
    /// values (row, output, field) and row statuses.
    fn explain<'py>(
        &self,
        py: Python<'py>,
        columns: Columns<'_>,
        method: &str,
        background: Option<Columns<'_>>,
        threads: usize,
    ) -> PyResult<PyAttributions<'py>> {
        let method = explain_method(method)?;
        let background = background.as_ref().map(Columns::batch).transpose()?;
        let options = cvm::ExplainOptions {
            method,
            background: background.as_ref(),
            threads: all_threads(threads),
        };
        let batch = columns.batch()?;
        let found = enter(py, || self.model.explain(&batch, &options))?;
        Ok(PyAttributions::of(py, found))
    }

    /// Kind in the catalog.
    #[getter]
    fn kind(&self) -> &'static str {
        self.model.kind()
    }

    /// Hash of the model's file, in hexadecimal.
    #[getter]
    fn fingerprint(&self) -> String {
        self.model.fingerprint().to_string()
    }

    /// The input schema as JSON.
    #[getter]
    fn schema_json(&self) -> PyResult<String> {
        json(self.model.schema())
    }

    /// Facts of training as JSON; an empty object for a model from known parameters.
    #[getter]
    fn training_json(&self) -> PyResult<String> {
        json(self.model.training())
    }

    /// Facts by the author as JSON.
    #[getter]
    fn metadata_json(&self) -> PyResult<String> {
        json(self.model.metadata())
    }

    /// Settings of the model as JSON: names, orders, rules.
    #[getter]
    fn settings_json(&self) -> PyResult<String> {
        json(self.model.settings())
    }

    /// Name, unit, meaning and need of a horizon of every output.
    #[getter]
    fn outputs(&self) -> Vec<(&'static str, &'static str, &'static str, bool)> {
        let outputs = self.model.outputs().iter();
        outputs
            .map(|output| {
                (
                    output.name,
                    output.unit,
                    output.meaning,
                    output.needs_horizon,
                )
            })
            .collect()
    }

    /// Name, value, unit, meaning and positivity of every parameter of a kind with a fixed list.
    #[getter]
    fn params(&self) -> Vec<(&'static str, f64, &'static str, &'static str, bool)> {
        let params = self.model.params().into_iter();
        params
            .map(|(spec, value)| (spec.name, value, spec.unit, spec.meaning, is_positive(spec)))
            .collect()
    }

    /// Shape and row-major values of a stored array, if there is one of that name.
    fn array<'py>(
        &self,
        py: Python<'py>,
        name: &str,
    ) -> Option<(Vec<usize>, Bound<'py, PyArray1<f64>>)> {
        let array = self
            .model
            .arrays()
            .iter()
            .find(|array| array.name == name)?;
        Some((array.shape.clone(), array.values.clone().into_pyarray(py)))
    }
}

/// Outcomes and weights copied out of the caller's arrays.
struct Outcomes {
    churned: Vec<bool>,
    weights: Option<Vec<f64>>,
}

impl Outcomes {
    fn new(
        churned: &PyReadonlyArray1<'_, bool>,
        weights: Option<&PyReadonlyArray1<'_, f64>>,
    ) -> Self {
        Outcomes {
            churned: churned.as_array().to_vec(),
            weights: weights.map(|array| array.as_array().to_vec()),
        }
    }

    fn rows(&self) -> cvm::CalibrationRows<'_> {
        cvm::CalibrationRows {
            churned: &self.churned,
            weights: self.weights.as_deref(),
        }
    }
}

/// The method of that name; none for `None`.
fn calibration_method(name: Option<&str>) -> PyResult<Option<cvm::CalibrationMethod>> {
    let Some(name) = name else { return Ok(None) };
    match cvm::CalibrationMethod::parse(name) {
        Some(method) => Ok(Some(method)),
        None => {
            let known: Vec<&str> = cvm::CalibrationMethod::ALL
                .iter()
                .map(|m| m.name())
                .collect();
            let why = format!("is \"{name}\": must be auto or one of {}", known.join(", "));
            Err(invalid("method", &why))
        }
    }
}

fn total_row(total: cvm::PortfolioTotal) -> TotalRow {
    let cvm::PortfolioTotal {
        output,
        total,
        standard_error,
        independent_standard_error,
        lower,
        upper,
        row_count,
    } = total;
    let alone = independent_standard_error;
    (
        output,
        total,
        standard_error,
        alone,
        lower,
        upper,
        row_count,
    )
}

fn is_positive(spec: &cvm::ParamSpec) -> bool {
    spec.domain == cvm::Domain::Positive
}

fn json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value)
        .map_err(|error| to_py(cvm::Error::new(cvm::ErrorKind::Internal, error.to_string())))
}

fn import_options(text: &str) -> PyResult<cvm::ImportOptions> {
    serde_json::from_str(text).map_err(|error| invalid("options", &error.to_string()))
}

fn object(field: &str, text: &str) -> PyResult<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| {
        invalid(
            field,
            &format!("is not a JSON object of plain values: {error}"),
        )
    })
}

/// The time unit of that name.
pub(crate) fn time_unit(name: Option<&str>) -> PyResult<Option<TimeUnit>> {
    let Some(name) = name else { return Ok(None) };
    match TimeUnit::parse(name) {
        Some(unit) => Ok(Some(unit)),
        None => {
            let known: Vec<&str> = TimeUnit::ALL.iter().map(|unit| unit.name()).collect();
            let why = format!("is \"{name}\": must be one of {}", known.join(", "));
            Err(invalid("time_unit", &why))
        }
    }
}

/// The method of that name.
pub(crate) fn explain_method(name: &str) -> PyResult<cvm::ExplainMethod> {
    cvm::ExplainMethod::parse(name).ok_or_else(|| {
        let known = cvm::ExplainMethod::ALL.map(|(_, own)| own).join(", ");
        invalid("method", &format!("is \"{name}\": must be one of {known}"))
    })
}

/// 0 means every thread the machine offers, asked once: the question takes longer than a row.
pub(crate) fn all_threads(requested: usize) -> usize {
    static OFFERED: OnceLock<usize> = OnceLock::new();
    let ask = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match requested {
        0 => *OFFERED.get_or_init(ask),
        some => some,
    }
}

/// Name of each row status, at the index of its number.
pub(crate) fn row_status_names() -> Vec<&'static str> {
    let name = |number: u8| RowCode::from_number(number).map_or("unspecified", RowCode::name);
    let last = RowCode::ALL
        .iter()
        .map(|code| *code as u8)
        .max()
        .unwrap_or(0);
    (0..=last).map(name).collect()
}

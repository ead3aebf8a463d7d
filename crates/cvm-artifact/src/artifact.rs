//! What a model file holds, as plain data.

use cvm_core::{Frame, InputSchema, ModelState, RowStatus, ScoreOptions};
use serde_json::{Map, Value};

/// An output column as recorded in the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputInfo {
    /// Column name, unique in the model.
    pub name: String,
    /// Unit: `purchases`, `currency`, `probability`, `1`.
    pub unit: String,
    /// One clause that says what it is.
    pub meaning: String,
}

/// Rows with the scores their author saw; whoever opens the file re-scores them.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Number of the arithmetic that computed the scores, 1 or more; it decides how closely a build
    /// must reproduce them.
    pub arithmetic: u32,
    /// Inputs, at most [`crate::limits::MAX_PROBE_ROWS`] rows; NaN and infinities are allowed.
    pub rows: Frame,
    /// Options they were scored with; every number finite.
    pub options: ScoreOptions,
    /// Output columns by name, one value per row; names are among [`Artifact::outputs`].
    pub scores: Vec<(String, Vec<f64>)>,
    /// Status per row.
    pub status: Vec<RowStatus>,
}

/// Everything a model file holds.
///
/// Array values must be finite, except in arrays that record how the model came about: those with
/// a dotted component `fit` or `training` before the last (`fit.covariance`,
/// `purchase.fit.gradient`).
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// Kind, settings, numbers.
    pub state: ModelState,
    /// Inputs in the model's order.
    pub schema: InputSchema,
    /// Outputs in the model's order.
    pub outputs: Vec<OutputInfo>,
    /// Facts of training: rows, weight, log-likelihood, standard errors, convergence, data ranges.
    pub training: Map<String, Value>,
    /// Free facts by the author: name, version, notes.
    pub metadata: Map<String, Value>,
    /// Probe rows.
    pub probe: Probe,
}

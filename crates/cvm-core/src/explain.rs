//! What each field adds to a row's raw score, and the ways to ask for it.

use crate::{BoundBatch, RowStatus};
use serde::{Deserialize, Serialize};

/// How raw scores are split among fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ExplainMethod {
    /// The kind's exact way that needs no other rows: path-dependent TreeSHAP, linear SHAP, the terms
    /// of an additive model.
    #[default]
    Exact,
    /// Exact Shapley values against background rows.
    Interventional,
    /// The kind's fastest way, exact only where the exact way is as fast: for trees what each split
    /// on a row's path changes, which are no Shapley values.
    Approximate,
}

impl ExplainMethod {
    /// Every method, with its name.
    pub const ALL: [(ExplainMethod, &'static str); 3] = [
        (ExplainMethod::Exact, "exact"),
        (ExplainMethod::Interventional, "interventional"),
        (ExplainMethod::Approximate, "approximate"),
    ];

    /// The method of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<ExplainMethod> {
        let own = Self::ALL.iter().find(|(_, own)| *own == name)?;
        Some(own.0)
    }
}

/// A question about rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'q, 'a, 's> {
    /// How to split.
    pub method: ExplainMethod,
    /// Rows that stand for what is usual; only of use, and needed, for
    /// [`ExplainMethod::Interventional`].
    pub background: Option<&'q BoundBatch<'a, 's>>,
}

/// What each field adds to each row's raw scores: `base + Σ values = raw score`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attributions {
    /// What was computed, in words.
    pub method: &'static str,
    /// Whether they are Shapley values (or the terms of an additive model) and not an approximation.
    pub is_exact: bool,
    /// Outputs that are explained, by name.
    pub outputs: Vec<&'static str>,
    /// What is expected of each output before anything is known.
    pub base: Vec<f64>,
    /// Row after row, in it output after output, in it one value per field of the schema; NaN for a
    /// bad row.
    pub values: Vec<f64>,
    /// One status per row.
    pub status: Vec<RowStatus>,
}

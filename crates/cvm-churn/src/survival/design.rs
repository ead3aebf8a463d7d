//! Standardised design columns of a duration model; none at all is fine.

use crate::columns;
use crate::design::{Merged, active, learn_all, standards};
use crate::encoding::{self, FieldEncoding};
use crate::{ChurnError, LogisticSpec};
use cvm_core::Batch;

/// The inputs of the rows of a fit.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    pub(crate) encoding: Vec<FieldEncoding>,
    /// Means and scales of all columns.
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    /// Columns that enter the fit.
    pub(crate) active: Vec<usize>,
    /// Names of the active columns.
    pub(crate) names: Vec<String>,
    /// The active columns, mean 0 and standard deviation 1.
    pub(crate) columns: Vec<Vec<f64>>,
    pub(crate) warnings: Vec<String>,
}

/// Encodes and standardises the inputs of `rows`.
pub(crate) fn design(
    batch: &Batch<'_>,
    spec: &LogisticSpec,
    rows: &[usize],
    weights: &[f64],
) -> Result<Design, ChurnError> {
    let mut warnings = Vec::new();
    let raw = match columns::read(batch, spec, rows) {
        Err(ChurnError::NoColumns { .. }) => Vec::new(),
        other => other?,
    };
    let clash = |(name, _): &(String, columns::RawColumn)| name == super::spec::TENURE;
    if raw.iter().any(clash) {
        let allowed = "no input: in scoring that column is the time already survived; name it as \
                       the duration, or in `ignore`";
        return Err(ChurnError::setting("columns", super::spec::TENURE, allowed));
    }
    let (encoding, raw) = if raw.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        learn_all(raw, weights, rows, spec, &mut warnings)?
    };
    let all = Merged::unmerged(&encoding, &raw, rows.len()).columns(&encoding);
    drop(raw);
    let (means, scales) = standards(&all, weights);
    let names = encoding::column_names(&encoding);
    let active = active(&all, weights, &means, &scales, spec, &names, &mut warnings);
    let columns = active.iter().map(|j| {
        let standard = |v: &f64| (v - means[*j]) / scales[*j];
        all[*j].iter().map(standard).collect()
    });
    let columns = columns.collect();
    Ok(Design {
        names: active.iter().map(|j| names[*j].clone()).collect(),
        columns,
        // A column that never varied keeps scale 1: its coefficient is 0.
        scales: scales
            .iter()
            .map(|s| if *s > 0.0 { *s } else { 1.0 })
            .collect(),
        encoding,
        means,
        active,
        warnings,
    })
}

//! What an artifact must satisfy, the same for writing and for reading.

use crate::limits::{MAX_ARRAYS, MAX_AXIS, MAX_COLUMNS, MAX_NAME_BYTES, MAX_PROBE_ROWS, MAX_RANK};
use crate::{Artifact, ArtifactError, Probe};
use cvm_core::{Array, FieldKind, FrameColumn, RowStatus, ScoreOptions};
use std::collections::HashSet;

/// A rule that is broken: where, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl Breach {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Breach {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// As the error of a reader.
    pub(crate) fn on_reading(self) -> ArtifactError {
        ArtifactError::Content {
            field: self.field,
            problem: self.problem,
        }
    }

    /// As the error of a writer.
    pub(crate) fn on_writing(self) -> ArtifactError {
        ArtifactError::Invalid {
            field: self.field,
            problem: self.problem,
        }
    }
}

/// Checks every rule.
///
/// # Errors
/// The first breach.
pub(crate) fn check(artifact: &Artifact) -> Result<(), Breach> {
    check_kind(&artifact.state.kind)?;
    let arrays = &artifact.state.arrays;
    check_count("arrays", arrays.len(), MAX_ARRAYS)?;
    check_names("arrays", arrays.iter().map(|array| array.name.as_str()))?;
    arrays.iter().try_for_each(check_array)?;
    check_schema(artifact)?;
    check_count("outputs", artifact.outputs.len(), MAX_COLUMNS)?;
    check_names("outputs", artifact.outputs.iter().map(|o| o.name.as_str()))?;
    check_probe(&artifact.probe, artifact)
}

fn check_kind(kind: &str) -> Result<(), Breach> {
    let legal = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
    if !kind.is_empty() && kind.len() <= MAX_NAME_BYTES && kind.bytes().all(legal) {
        return Ok(());
    }
    let shown: String = kind.chars().take(80).collect();
    let problem = format!("is `{shown}`: must be lower-case letters, digits, `_` and `.`");
    Err(Breach::new("kind", problem))
}

fn check_count(field: &str, count: usize, limit: usize) -> Result<(), Breach> {
    if count <= limit {
        return Ok(());
    }
    Err(Breach::new(
        field,
        format!("has {count} entries, at most {limit} allowed"),
    ))
}

/// Names are present, short and unique.
fn check_names<'a>(field: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Breach> {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let problem = format!("has {} bytes, must have 1 to {MAX_NAME_BYTES}", name.len());
            return Err(Breach::new(format!("{field}[{index}].name"), problem));
        }
        if !seen.insert(name) {
            return Err(Breach::new(format!("{field}.{name}"), "is given twice"));
        }
    }
    Ok(())
}

fn check_array(array: &Array) -> Result<(), Breach> {
    let field = || format!("arrays.{}", array.name);
    let count = value_count(&array.shape).map_err(|problem| Breach::new(field(), problem))?;
    if count != array.values.len() {
        let (shape, found) = (&array.shape, array.values.len());
        let problem = format!("has shape {shape:?} and {found} values, expected {count}");
        return Err(Breach::new(field(), problem));
    }
    let bad = array.values.iter().position(|value| !value.is_finite());
    match bad {
        Some(at) if !is_record(&array.name) => {
            let value = array.values.get(at).copied().unwrap_or(f64::NAN);
            let problem = format!("value {at} is {value}: must be a finite number");
            Err(Breach::new(field(), problem))
        }
        _ => Ok(()),
    }
}

/// Product of a shape.
///
/// # Errors
/// Too many axes, an axis too long, or a product too large, in words.
pub(crate) fn value_count(shape: &[usize]) -> Result<usize, String> {
    if shape.len() > MAX_RANK {
        return Err(format!(
            "has {} axes, at most {MAX_RANK} allowed",
            shape.len()
        ));
    }
    if let Some(axis) = shape.iter().find(|axis| **axis > MAX_AXIS) {
        return Err(format!("has an axis of {axis}, at most {MAX_AXIS} allowed"));
    }
    let product = shape
        .iter()
        .try_fold(1_usize, |all, axis| all.checked_mul(*axis));
    match product {
        Some(count) if count <= MAX_AXIS => Ok(count),
        _ => Err(format!(
            "has shape {shape:?}: at most {MAX_AXIS} values allowed"
        )),
    }
}

/// Arrays that tell how a model came about enter no score, and may hold what estimation ran into.
fn is_record(name: &str) -> bool {
    let mut parts = name.rsplit('.');
    parts.next();
    parts.any(|part| part == "fit" || part == "training")
}

fn check_schema(artifact: &Artifact) -> Result<(), Breach> {
    let fields = &artifact.schema.fields;
    check_count("schema.fields", fields.len(), MAX_COLUMNS)?;
    check_names(
        "schema.fields",
        fields.iter().map(|field| field.name.as_str()),
    )?;
    for field in fields {
        if let FieldKind::Category { levels, .. } = &field.kind {
            let mut seen = HashSet::new();
            if let Some(twice) = levels.iter().find(|level| !seen.insert(level.as_str())) {
                let path = format!("schema.fields.{}.levels", field.name);
                return Err(Breach::new(path, format!("has \"{twice}\" twice")));
            }
        }
    }
    Ok(())
}

fn check_probe(probe: &Probe, artifact: &Artifact) -> Result<(), Breach> {
    if probe.arithmetic == 0 {
        return Err(Breach::new("probe.arithmetic", "is 0: must be 1 or more"));
    }
    let rows = probe.rows.row_count;
    if rows > MAX_PROBE_ROWS {
        let problem = format!("has {rows} rows, at most {MAX_PROBE_ROWS} allowed");
        return Err(Breach::new("probe", problem));
    }
    check_count("probe.columns", probe.rows.columns.len(), MAX_COLUMNS)?;
    check_names(
        "probe.columns",
        probe.rows.columns.iter().map(|(name, _)| name.as_str()),
    )?;
    for (name, column) in &probe.rows.columns {
        check_column(name, column, rows)?;
    }
    check_options(&probe.options)?;
    check_scores(probe, artifact)?;
    check_length("probe.status", probe.status.len(), rows)?;
    // Rows with paths of covariates have more columns than the schema names.
    let fields = artifact.schema.fields.len();
    check_statuses(&probe.status, fields.max(probe.rows.columns.len()))
}

fn check_length(field: impl Into<String>, found: usize, rows: usize) -> Result<(), Breach> {
    if found == rows {
        return Ok(());
    }
    Err(Breach::new(
        field,
        format!("has {found} rows, expected {rows}"),
    ))
}

fn check_column(name: &str, column: &FrameColumn, rows: usize) -> Result<(), Breach> {
    let field = || format!("probe.columns.{name}");
    check_length(field(), column.len(), rows)?;
    let FrameColumn::Text { dictionary, codes } = column else {
        return Ok(());
    };
    let size = dictionary.len();
    let outside = |code: &&i32| usize::try_from(**code).is_ok_and(|code| code >= size);
    match codes.iter().find(outside) {
        None => Ok(()),
        Some(code) => {
            let problem = format!("has code {code}, its dictionary has {size} strings");
            Err(Breach::new(field(), problem))
        }
    }
}

/// JSON has no NaN or infinity.
fn check_options(options: &ScoreOptions) -> Result<(), Breach> {
    let ScoreOptions {
        horizon_periods,
        discount_rate_per_year,
        margin,
        outputs: _,
        purchases,
        quantile,
        cost_per_period,
        cost_per_order,
        interval_level,
        elapsed_periods,
        reasons: _,
    } = options;
    let numbers = [
        ("horizon_periods", horizon_periods),
        ("discount_rate_per_year", discount_rate_per_year),
        ("margin", margin),
        ("purchases", purchases),
        ("quantile", quantile),
        ("cost_per_period", cost_per_period),
        ("cost_per_order", cost_per_order),
        ("interval_level", interval_level),
        ("elapsed_periods", elapsed_periods),
    ];
    for (name, value) in numbers {
        if let Some(value) = value.filter(|value| !value.is_finite()) {
            let field = format!("probe.options.{name}");
            return Err(Breach::new(
                field,
                format!("is {value}: must be a finite number"),
            ));
        }
    }
    Ok(())
}

fn check_scores(probe: &Probe, artifact: &Artifact) -> Result<(), Breach> {
    check_count("probe.scores", probe.scores.len(), MAX_COLUMNS)?;
    check_names(
        "probe.scores",
        probe.scores.iter().map(|(name, _)| name.as_str()),
    )?;
    let declared: HashSet<&str> = artifact.outputs.iter().map(|o| o.name.as_str()).collect();
    for (name, values) in &probe.scores {
        let field = format!("probe.scores.{name}");
        if !declared.contains(name.as_str()) {
            return Err(Breach::new(field, "is not among the model's outputs"));
        }
        check_length(field, values.len(), probe.rows.row_count)?;
    }
    Ok(())
}

fn check_statuses(status: &[RowStatus], field_count: usize) -> Result<(), Breach> {
    for (row, status) in status.iter().enumerate() {
        let limit = if status.is_ok() {
            1
        } else {
            field_count.max(1)
        };
        let index = usize::from(status.field);
        if index >= limit {
            let code = status.code.name();
            let problem = format!("has status {code} of field {index}, expected less than {limit}");
            return Err(Breach::new(format!("probe.status[{row}]"), problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{is_record, value_count};

    #[test]
    fn records_of_training_are_told_by_their_group() {
        for name in [
            "fit.covariance",
            "training.x",
            "purchase.fit.gradient",
            "fit.a.b",
        ] {
            assert!(is_record(name), "{name}");
        }
        for name in ["fit", "training", "profit.x", "params.fit", "fitted.x", "x"] {
            assert!(!is_record(name), "{name}");
        }
    }

    #[test]
    fn products_of_shapes_are_bounded() {
        assert_eq!(value_count(&[]), Ok(1));
        assert_eq!(value_count(&[3, 0, 5]), Ok(0));
        assert_eq!(value_count(&[2, 3]), Ok(6));
        assert!(value_count(&[usize::MAX, 0]).is_err());
        assert!(value_count(&[1 << 24, 1 << 24, 1 << 24]).is_err());
        assert!(value_count(&[1; 9]).is_err());
    }
}

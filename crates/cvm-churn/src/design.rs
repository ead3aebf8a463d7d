//! Prepares a fit: encodes a training batch, merges identical rows, standardises, finds aliases.

use crate::columns::{self, RawColumn};
use crate::encoding::{self, FieldEncoding};
use crate::likelihood::{BLOCK_ROWS, Block, LogisticLikelihood};
use crate::sums::{dot, sum};
use crate::target::{self, Target};
use crate::{ChurnError, LogisticSpec};
use cvm_core::{Batch, Transform};
use ndarray::Array2;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// A column whose spread is only the rounding of its mean is constant.
const CONSTANT: f64 = 1e-12;
/// Share of a standardised column's variance, left after regression on the columns before it,
/// below which it is an alias of them.
const ALIAS: f64 = 1e-9;

/// The way from a batch to something an estimator can fit.
#[derive(Debug, Clone, Copy)]
pub struct LogisticDesign;

/// A fit made ready: hand `likelihood`, `transforms`, `starts` and `penalty` to an estimator, and its
/// parameters and covariance to [`Prepared::finish`].
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Log-likelihood over merged rows; its parameters are the intercept and one coefficient per
    /// standardised column.
    pub likelihood: LogisticLikelihood,
    /// Coordinates: the parameters themselves.
    pub transforms: Vec<Transform>,
    /// One start: the base rate.
    pub starts: Vec<Vec<f64>>,
    /// L2 penalty per parameter, of the total log-likelihood; 0 for the intercept.
    pub penalty: Vec<f64>,
    /// L1 penalty per parameter, of the total log-likelihood; empty for none.
    pub l1: Vec<f64>,
    /// Names of the parameters: `intercept`, `tenure`, `Contract=One year`, …
    pub names: Vec<String>,
    /// Columns left out and why.
    pub warnings: Vec<String>,
    /// Rows used (weight above zero).
    pub row_count: usize,
    pub(crate) encoding: Vec<FieldEncoding>,
    pub(crate) target: String,
    pub(crate) positive: String,
    /// Mean and spread of every encoded column.
    pub(crate) means: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    /// Encoded column of each parameter after the intercept.
    pub(crate) active: Vec<usize>,
    /// Encoded column with the fixed coefficient 1.
    pub(crate) offset: Option<usize>,
}

impl LogisticDesign {
    /// Who churned, row by row.
    ///
    /// # Errors
    /// A target that is absent or without exactly two labels.
    pub fn truth(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Vec<bool>, ChurnError> {
        Ok(target::read(batch, spec)?.churned)
    }

    /// The row weights: ones without a weight column.
    ///
    /// # Errors
    /// A weight column that is absent or holds a value that is no weight.
    pub fn weights(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Vec<f64>, ChurnError> {
        target::weights(batch, spec)
    }

    /// Encodes `batch` under `spec`.
    ///
    /// # Errors
    /// A setting out of range, a column that is absent, of the wrong type or has a value a fit
    /// cannot use, a target without exactly two labels, or no informative column.
    pub fn prepare(batch: &Batch<'_>, spec: &LogisticSpec) -> Result<Prepared, ChurnError> {
        spec.check()?;
        let Target { churned, positive } = target::read(batch, spec)?;
        let all_weights = target::weights(batch, spec)?;
        let rows: Vec<usize> = (0..batch.row_count())
            .filter(|r| all_weights[*r] > 0.0)
            .collect();
        let weights: Vec<f64> = rows.iter().map(|row| all_weights[*row]).collect();
        let churned: Vec<bool> = rows.iter().map(|row| churned[*row]).collect();
        if churned.iter().all(|c| *c == churned[0]) {
            return Err(ChurnError::Target {
                column: spec.target.clone(),
                problem: "has a single label among rows with weight: nothing to separate".into(),
            });
        }
        let raw = columns::read(batch, spec, &rows)?;
        let mut warnings = Vec::new();
        let (encoding, raw) = learn_all(raw, &weights, &rows, spec, &mut warnings)?;
        let merged = merge(&encoding, &raw, &weights, &churned);
        drop(raw);
        let columns = merged.columns(&encoding);
        let (mut means, mut scales) = standards(&columns, &merged.weight);
        let names = encoding::column_names(&encoding);
        let offset = names
            .iter()
            .position(|own| spec.offset.as_ref() == Some(own));
        if let Some(column) = offset {
            // Taken as it is; a scale of 0 keeps it out of the fit.
            (means[column], scales[column]) = (0.0, 0.0);
        }
        let (weight, standard) = (&merged.weight, (&means[..], &scales[..]));
        let active = fitted(
            &columns,
            weight,
            standard,
            spec,
            &names,
            offset,
            &mut warnings,
        );
        let shift = offset.map(|column| columns[column].as_slice());
        let likelihood = likelihood(&columns, &merged, (&means, &scales), &active, shift);
        let dim = active.len() + 1;
        let (penalty, l1) = penalties(spec.penalty, spec.l1_ratio, 1, dim);
        let mut start = vec![0.0; dim];
        let positive_weight = sum(&merged.churned);
        start[0] = cvm_math::ln(positive_weight / (sum(&merged.weight) - positive_weight));
        let own_names = active.iter().map(|column| names[*column].clone());
        Ok(Prepared {
            names: std::iter::once("intercept".to_owned())
                .chain(own_names)
                .collect(),
            transforms: vec![Transform::Identity; dim],
            starts: vec![start],
            row_count: rows.len(),
            target: spec.target.clone(),
            likelihood,
            penalty,
            l1,
            offset,
            warnings,
            encoding,
            positive,
            means,
            scales,
            active,
        })
    }
}

/// The columns that are fitted: those that vary, without the offset.
fn fitted(
    columns: &[Vec<f64>],
    weight: &[f64],
    (means, scales): (&[f64], &[f64]),
    spec: &LogisticSpec,
    names: &[String],
    offset: Option<usize>,
    warnings: &mut Vec<String>,
) -> Vec<usize> {
    let mut active = active(columns, weight, means, scales, spec, names, warnings);
    if let Some(column) = offset {
        active.retain(|own| *own != column);
        warnings.retain(|text| !text.starts_with(&format!("column {} does not", names[column])));
    }
    active
}

pub(crate) fn learn_all(
    raw: Vec<(String, RawColumn)>,
    weights: &[f64],
    rows: &[usize],
    spec: &LogisticSpec,
    warnings: &mut Vec<String>,
) -> Result<(Vec<FieldEncoding>, Vec<RawColumn>), ChurnError> {
    let (mut fields, mut used) = (Vec::new(), Vec::new());
    for (name, column) in raw {
        match encoding::learn(&name, &column, weights, rows, spec)? {
            Some(field) => {
                fields.push(field);
                used.push(column);
            }
            None => warnings.push(format!("column {name} has a single value: not used")),
        }
    }
    if fields.is_empty() {
        let reason = "every input column has a single value".to_owned();
        return Err(ChurnError::NoColumns { reason });
    }
    if fields.len() > usize::from(u16::MAX) {
        let reason = format!("{} input columns, at most {}", fields.len(), u16::MAX);
        return Err(ChurnError::NoColumns { reason });
    }
    Ok((fields, used))
}

/// Distinct rows with their weights.
pub(crate) struct Merged {
    /// `fields` cells per row: bits of a number (NaN for missing), or a group.
    cells: Vec<u64>,
    weight: Vec<f64>,
    churned: Vec<f64>,
}

/// Merges rows whose encoded fields are the same, in order of first appearance.
fn merge(
    encoding: &[FieldEncoding],
    raw: &[RawColumn],
    weights: &[f64],
    churned: &[bool],
) -> Merged {
    let stride = encoding.len();
    let mut merged = Merged {
        cells: Vec::new(),
        weight: Vec::new(),
        churned: Vec::new(),
    };
    // Rows of equal hash form a chain through `next`; equality is always checked on the cells.
    let mut heads: HashMap<u64, usize> = HashMap::new();
    let mut next: Vec<usize> = Vec::new();
    let mut key = vec![0_u64; stride];
    for (row, weight) in weights.iter().enumerate() {
        for ((slot, field), column) in key.iter_mut().zip(encoding).zip(raw) {
            *slot = cell(field, column, row);
        }
        let head = heads.entry(hash(&key)).or_insert(usize::MAX);
        let mut found = *head;
        while found != usize::MAX && merged.cells[found * stride..][..stride] != key[..] {
            found = next[found];
        }
        if found == usize::MAX {
            found = merged.weight.len();
            next.push(*head);
            *head = found;
            merged.cells.extend_from_slice(&key);
            merged.weight.push(0.0);
            merged.churned.push(0.0);
        }
        merged.weight[found] += weight;
        if churned[row] {
            merged.churned[found] += weight;
        }
    }
    merged
}

fn cell(field: &FieldEncoding, column: &RawColumn, row: usize) -> u64 {
    match (field, column) {
        (FieldEncoding::Number(_), RawColumn::Numbers(values)) => {
            let value = values[row];
            (if value.is_nan() { f64::NAN } else { value }).to_bits()
        }
        (FieldEncoding::Category(field), RawColumn::Levels { codes, .. }) => {
            let group = match codes[row] {
                Some(level) => field.groups[level],
                None => field.missing_group.unwrap_or(0),
            };
            group as u64
        }
        // Never: an encoding is learnt from the column it stands for.
        _ => 0,
    }
}

fn hash(key: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.iter().for_each(|cell| hasher.write_u64(*cell));
    hasher.finish()
}

impl Merged {
    /// Every row as it is.
    pub(crate) fn unmerged(encoding: &[FieldEncoding], raw: &[RawColumn], rows: usize) -> Merged {
        let row = |row: usize| {
            let fields = encoding.iter().zip(raw);
            fields.map(move |(field, column)| cell(field, column, row))
        };
        Merged {
            cells: (0..rows).flat_map(row).collect(),
            weight: Vec::new(),
            churned: Vec::new(),
        }
    }

    /// The encoded columns, one vector each, not standardised.
    pub(crate) fn columns(&self, encoding: &[FieldEncoding]) -> Vec<Vec<f64>> {
        let stride = encoding.len();
        let mut columns = Vec::new();
        for (place, field) in encoding.iter().enumerate() {
            let cells = self.cells.iter().skip(place).step_by(stride).copied();
            match field {
                FieldEncoding::Number(field) => {
                    let values: Vec<f64> = cells.map(f64::from_bits).collect();
                    let fill = |v: &f64| if v.is_nan() { field.imputed } else { *v };
                    for j in 0..field.basis.column_count() {
                        let value = |v: &f64| field.basis.value(j, fill(v));
                        columns.push(values.iter().map(value).collect());
                    }
                    if field.has_indicator {
                        let flag = |v: &f64| f64::from(u8::from(v.is_nan()));
                        columns.push(values.iter().map(flag).collect());
                    }
                }
                FieldEncoding::Category(field) => {
                    let groups: Vec<u64> = cells.collect();
                    for group in 1..field.group_names.len() as u64 {
                        let flag = |own: &u64| f64::from(u8::from(*own == group));
                        columns.push(groups.iter().map(flag).collect());
                    }
                }
            }
        }
        columns
    }
}

/// Weighted mean and standard deviation (divided by the total weight) of each column; a constant
/// column has scale 0.
pub(crate) fn standards(columns: &[Vec<f64>], weight: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let total = sum(weight);
    let standard = |column: &Vec<f64>| {
        let origin = column.first().copied().unwrap_or(0.0);
        // Measured from one of its values: no cancellation for columns far from zero.
        let shifted: Vec<f64> = column.iter().map(|v| v - origin).collect();
        let shift = dot(&shifted, weight) / total;
        let squares: Vec<f64> = shifted.iter().map(|v| (v - shift) * (v - shift)).collect();
        let scale = (dot(&squares, weight) / total).sqrt();
        let mean = origin + shift;
        let constant = scale <= CONSTANT * mean.abs() || !scale.is_normal();
        (mean, if constant { 0.0 } else { scale })
    };
    columns.iter().map(standard).unzip()
}

/// Columns that enter the fit: those that vary and, without a penalty, are not determined by the
/// columns before them.
pub(crate) fn active(
    columns: &[Vec<f64>],
    weight: &[f64],
    means: &[f64],
    scales: &[f64],
    spec: &LogisticSpec,
    names: &[String],
    warnings: &mut Vec<String>,
) -> Vec<usize> {
    let (varying, constant): (Vec<usize>, Vec<usize>) =
        (0..columns.len()).partition(|j| scales[*j] > 0.0);
    for j in constant {
        let name = &names[j];
        warnings.push(format!(
            "column {name} does not vary: coefficient 0, no standard error"
        ));
    }
    if spec.penalty > 0.0 {
        return varying;
    }
    let total = sum(weight);
    // Columns standardised and multiplied by the root weight: their products are correlations.
    let standard = |j: &usize| -> Vec<f64> {
        let pairs = columns[*j].iter().zip(weight);
        let value = |(v, w): (&f64, &f64)| (v - means[*j]) / scales[*j] * (w / total).sqrt();
        pairs.map(value).collect()
    };
    let mut kept: Vec<usize> = Vec::new();
    let mut orthogonal: Vec<Vec<f64>> = Vec::new();
    for j in varying {
        let mut rest = standard(&j);
        // Twice is enough: Gram-Schmidt with one reorthogonalisation is stable.
        for _ in 0..2 {
            for axis in &orthogonal {
                let share = dot(axis, &rest);
                crate::sums::add_scaled(&mut rest, -share, axis);
            }
        }
        let left = dot(&rest, &rest);
        if left <= ALIAS {
            warnings.push(format!(
                "column {} is determined by the columns before it: coefficient 0, no standard \
                 error (a penalty above 0 would share the effect)",
                names[j]
            ));
            continue;
        }
        let length = left.sqrt();
        rest.iter_mut().for_each(|v| *v /= length);
        orthogonal.push(rest);
        kept.push(j);
    }
    kept
}

/// L2 and L1 penalties per parameter, the first `free` of which have none; no L1 list if there is
/// none.
#[must_use]
pub fn penalties(penalty: f64, l1_ratio: f64, free: usize, dim: usize) -> (Vec<f64>, Vec<f64>) {
    let list = |weight: f64| {
        let mut list = vec![weight; dim];
        list[..free.min(dim)].fill(0.0);
        list
    };
    let l1 = if l1_ratio > 0.0 {
        list(penalty * l1_ratio)
    } else {
        Vec::new()
    };
    (list(penalty * (1.0 - l1_ratio)), l1)
}

fn likelihood(
    columns: &[Vec<f64>],
    merged: &Merged,
    (means, scales): (&[f64], &[f64]),
    active: &[usize],
    offset: Option<&[f64]>,
) -> LogisticLikelihood {
    let row_count = merged.weight.len();
    let block = |start: usize| {
        let end = (start + BLOCK_ROWS).min(row_count);
        let mut design = Array2::ones((active.len() + 1, end - start));
        for (mut target, j) in design.rows_mut().into_iter().skip(1).zip(active) {
            for (slot, v) in target.iter_mut().zip(&columns[*j][start..end]) {
                *slot = (v - means[*j]) / scales[*j];
            }
        }
        Block {
            design,
            weight: merged.weight[start..end].to_vec(),
            churned: merged.churned[start..end].to_vec(),
            offset: offset.map_or_else(Vec::new, |values| values[start..end].to_vec()),
        }
    };
    let starts = (0..row_count).step_by(BLOCK_ROWS);
    LogisticLikelihood::new(active.len() + 1, starts.map(block).collect())
}

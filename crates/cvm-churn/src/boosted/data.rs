//! A training batch as bins, labels and weights.

use super::bins::{self, Field, Kind};
use super::holdout;
use super::panel::{Panel, panels};
use super::spec::BoostedSpec;
use crate::columns::{self, RawColumn};
use crate::target::{self, Target};
use crate::{ChurnError, LogisticSpec};
use cvm_core::Batch;

/// Everything a fit reads.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) fields: Vec<Field>,
    pub(crate) panels: Vec<Panel>,
    /// 1 for a churner, else 0; rows of no weight are left out.
    pub(crate) label: Vec<f64>,
    pub(crate) weight: Vec<f64>,
    pub(crate) positive: String,
    /// Rows held out, if any.
    pub(crate) held: Vec<bool>,
}

/// Reads a batch.
pub(crate) fn read(batch: &Batch<'_>, spec: &BoostedSpec) -> Result<Data, ChurnError> {
    spec.check()?;
    let roles = spec.roles();
    check_columns(batch, spec, &roles)?;
    let Target { churned, positive } = target::read(batch, &roles)?;
    let weights = target::weights(batch, &roles)?;
    let used: Vec<usize> = (0..weights.len())
        .filter(|row| weights[*row] > 0.0)
        .collect();
    if used.len() >= u32::MAX as usize {
        let why = format!("{} rows, at most {} allowed", used.len(), u32::MAX);
        return Err(ChurnError::setting("rows", used.len(), why));
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    columns::each(batch, &roles, &used, &mut |name, raw| {
        if let Some((field, column)) = bin(name, &raw, spec)? {
            fields.push(field);
            columns.push(column);
        }
        Ok(())
    })?;
    if fields.is_empty() {
        let reason = "every input is constant".to_owned();
        return Err(ChurnError::NoColumns { reason });
    }
    let label: Vec<f64> = used
        .iter()
        .map(|row| f64::from(u8::from(churned[*row])))
        .collect();
    let data = Data {
        panels: panels(&fields, &columns),
        held: holdout::rows(batch, spec, &used)?,
        weight: used.iter().map(|row| weights[*row]).collect(),
        fields,
        label,
        positive,
    };
    data.check_classes(spec)?;
    Ok(data)
}

/// Columns named in settings exist.
fn check_columns(
    batch: &Batch<'_>,
    spec: &BoostedSpec,
    roles: &LogisticSpec,
) -> Result<(), ChurnError> {
    let holdout = [&spec.validation, &spec.group, &spec.time];
    let named = holdout.into_iter().flatten().chain(spec.monotone.keys());
    for name in named.chain(&roles.ignore) {
        if spec.ignore.contains(name) && batch.get(name).is_none() {
            // An ignored column may be absent.
            continue;
        }
        target::column(batch, name)?;
    }
    Ok(())
}

fn bin(
    name: &str,
    raw: &RawColumn,
    spec: &BoostedSpec,
) -> Result<Option<(Field, Vec<u8>)>, ChurnError> {
    let monotone = spec.monotone.get(name).copied().unwrap_or(0);
    let (kind, count, has_missing, column) = match raw {
        RawColumn::Numbers(values) => {
            let edges = bins::edges(values, spec.max_bins);
            let mut column = Vec::with_capacity(values.len());
            bins::assign(values, &edges, &mut column);
            let count = edges.len() + 1;
            let has_missing = values.iter().any(|value| value.is_nan());
            (Kind::Number { edges }, count, has_missing, column)
        }
        RawColumn::Levels { levels, codes } => {
            if monotone != 0 {
                let allowed = "0: the levels of a category have no order";
                return Err(ChurnError::setting(
                    &format!("monotone.{name}"),
                    monotone,
                    allowed,
                ));
            }
            let mut counts = vec![0; levels.len()];
            codes.iter().flatten().for_each(|code| counts[*code] += 1);
            let (bin_of, count) = bins::level_bins(&counts);
            let missing = count as u8;
            let bin = |code: &Option<usize>| code.map_or(missing, |code| bin_of[code]);
            let column = codes.iter().map(bin).collect();
            let has_missing = codes.iter().any(Option::is_none);
            let levels = levels.clone();
            (
                Kind::Category { levels, bin_of },
                count,
                has_missing,
                column,
            )
        }
    };
    let is_constant = count + usize::from(has_missing) < 2;
    let field = Field {
        name: name.to_owned(),
        kind,
        count,
        has_missing,
        monotone,
    };
    Ok((!is_constant).then_some((field, column)))
}

impl Data {
    /// Both classes are among the rows trained on, and among those held out.
    fn check_classes(&self, spec: &BoostedSpec) -> Result<(), ChurnError> {
        let has = |held: bool, label: f64| {
            let mut rows = self.label.iter().zip(&self.held);
            rows.any(|(own, is_held)| *own == label && *is_held == held)
        };
        if !(has(false, 0.0) && has(false, 1.0)) {
            return Err(ChurnError::Target {
                column: spec.target.clone(),
                problem: "has one label among the rows that are trained on".to_owned(),
            });
        }
        if self.held.contains(&true) && !(has(true, 0.0) && has(true, 1.0)) {
            return Err(ChurnError::Target {
                column: spec.target.clone(),
                problem: "has one label among the rows held out: nothing to judge by".to_owned(),
            });
        }
        Ok(())
    }
}

//! Scores rows: column by column into a buffer of logits, then one sigmoid over the buffer.
//!
//! Within a row the terms are added in the order of the columns; rows never meet, so a score does
//! not depend on its neighbours or on the width of a register.

use crate::basis::Basis;
use crate::encoding::{CategoryField, FieldEncoding, NumberField};
use crate::logistic::Numbers;
use cvm_core::{
    BoundBatch, Column, MissingRule, RowCode, RowStatus, ScoreBlock, TextColumn, UnseenRule,
    number_to_level,
};
use std::collections::HashMap;

/// Rows per buffer.
const BUFFER_ROWS: usize = 1024;
/// Index of `churn_probability` among the outputs; the other one is `logit`.
const PROBABILITY: usize = 0;

/// A model laid out for scoring.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Logit at the means of the numbers and the references of the categories.
    base: f64,
    /// Logit where every column is at its mean.
    intercept: f64,
    /// What each field's effect is on average beyond that of its centred columns.
    centres: Vec<f64>,
    fields: Vec<FieldPlan>,
}

#[derive(Debug, Clone)]
enum FieldPlan {
    Number(NumberPlan),
    Category(CategoryPlan),
}

#[derive(Debug, Clone)]
struct NumberPlan {
    basis: Basis,
    imputed: f64,
    /// Coefficient and mean of each basis column.
    terms: Vec<(f64, f64)>,
    missing_effect: f64,
    rejects_missing: bool,
}

#[derive(Debug, Clone)]
struct CategoryPlan {
    by_text: HashMap<String, f64>,
    /// Levels that are numbers: bits and effect, sorted by bits.
    by_bits: Vec<(u64, f64)>,
    missing: Outcome,
    unseen: Outcome,
}

/// What a cell adds to the logit, or why it cannot.
type Outcome = Result<f64, RowCode>;

/// Outcomes by code of a text column's dictionary.
struct Table {
    outcomes: Vec<Outcome>,
    /// The same as plain numbers, when no string is refused.
    effects: Option<Vec<f64>>,
}

impl Plan {
    pub(crate) fn new(encoding: &[FieldEncoding], numbers: &Numbers) -> Plan {
        let mut base = numbers.intercept;
        let mut first = 0;
        let mut fields = Vec::with_capacity(encoding.len());
        let mut centres = Vec::with_capacity(encoding.len());
        for field in encoding {
            let range = first..first + field.column_count();
            first = range.end;
            let coefficients = &numbers.coefficients[range.clone()];
            let means = &numbers.means[range];
            // Indicators are not centred row by row: their means go into the base once.
            let centred = match field {
                FieldEncoding::Number(field) => field.basis.column_count(),
                FieldEncoding::Category(_) => 0,
            };
            let mut centre = 0.0;
            for (c, m) in coefficients.iter().zip(means).skip(centred) {
                base -= c * m;
                centre += c * m;
            }
            centres.push(centre);
            fields.push(match field {
                FieldEncoding::Number(field) => number_plan(field, coefficients, means),
                FieldEncoding::Category(field) => category_plan(field, coefficients),
            });
        }
        Plan {
            base,
            intercept: numbers.intercept,
            centres,
            fields,
        }
    }

    pub(crate) fn intercept(&self) -> f64 {
        self.intercept
    }

    /// Mean effect in training of each field, as [`Plan::add_field`] counts effects.
    pub(crate) fn centres(&self) -> &[f64] {
        &self.centres
    }

    /// Scores rows `start..start + block.status.len()`.
    pub(crate) fn score(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        block: &mut ScoreBlock<'_>,
    ) {
        let tables: Vec<Option<Table>> = (0..self.fields.len())
            .map(|field| self.dictionary_table(batch, field))
            .collect();
        let mut logits = [0.0; BUFFER_ROWS];
        let mut values = [0.0; BUFFER_ROWS];
        let row_count = block.status.len();
        for offset in (0..row_count).step_by(BUFFER_ROWS) {
            let end = (offset + BUFFER_ROWS).min(row_count);
            let logits = &mut logits[..end - offset];
            let values = &mut values[..end - offset];
            let status = &mut block.status[offset..end];
            self.logits(batch, start + offset, &tables, logits, values, status);
            for (output, which) in block.outputs.iter_mut().zip(wanted) {
                let output = &mut output[offset..end];
                if *which == PROBABILITY {
                    cvm_math::slice::sigmoid(logits, output);
                } else {
                    output.copy_from_slice(logits);
                }
            }
        }
    }

    /// Linear predictors of rows `start..start + out.len()`, NaN where a row is refused.
    pub(crate) fn predictors(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        out: &mut [f64],
        status: &mut [RowStatus],
    ) {
        let tables: Vec<Option<Table>> = (0..self.fields.len())
            .map(|field| self.dictionary_table(batch, field))
            .collect();
        let mut values = [0.0; BUFFER_ROWS];
        let blocks = out.chunks_mut(BUFFER_ROWS);
        let blocks = blocks.zip(status.chunks_mut(BUFFER_ROWS));
        for (block, (out, status)) in blocks.enumerate() {
            let values = &mut values[..out.len()];
            let first = start + block * BUFFER_ROWS;
            self.logits(batch, first, &tables, out, values, status);
        }
    }

    /// Outcome of every string of a text column's dictionary.
    fn dictionary_table(&self, batch: &BoundBatch<'_, '_>, field: usize) -> Option<Table> {
        match (self.fields.get(field)?, batch.columns.get(field)?) {
            (FieldPlan::Category(plan), Column::Text(text)) => {
                let outcome = |level: &String| {
                    plan.by_text
                        .get(level)
                        .map_or(plan.unseen, |effect| Ok(*effect))
                };
                let outcomes: Vec<Outcome> = text.dictionary.iter().map(outcome).collect();
                Some(Table {
                    effects: outcomes.iter().map(|outcome| outcome.ok()).collect(),
                    outcomes,
                })
            }
            _ => None,
        }
    }

    fn logits(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        tables: &[Option<Table>],
        logits: &mut [f64],
        values: &mut [f64],
        status: &mut [RowStatus],
    ) {
        logits.fill(self.base);
        status.fill(RowStatus::OK);
        for (index, table) in tables.iter().enumerate() {
            let field = (index, table.as_ref());
            self.add(batch, start, field, logits, values, status);
        }
        for (logit, status) in logits.iter_mut().zip(status) {
            if status.is_ok() && !logit.is_finite() {
                *status = RowStatus::bad(RowCode::Undefined, 0);
            }
            if !status.is_ok() {
                *logit = f64::NAN;
            }
        }
    }

    /// Adds the effect of field `index` in each row.
    #[inline]
    fn add(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        (index, table): (usize, Option<&Table>),
        logits: &mut [f64],
        values: &mut [f64],
        status: &mut [RowStatus],
    ) {
        let place = u16::try_from(index).unwrap_or(u16::MAX);
        match (&self.fields[index], batch.columns.get(index), table) {
            (FieldPlan::Category(plan), Some(Column::Text(text)), Some(table)) => {
                plan.add_text(text, start, table, place, logits, status);
            }
            (FieldPlan::Category(plan), _, _) => {
                batch.read_numbers(index, start, values);
                plan.add_numbers(values, place, logits, status);
            }
            (FieldPlan::Number(plan), _, _) => {
                batch.read_numbers(index, start, values);
                plan.add(values, place, logits, status);
            }
        }
    }

    /// [`Plan::add`] for a field alone; `values` is room.
    pub(crate) fn add_field(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        field: usize,
        effects: &mut [f64],
        values: &mut [f64],
        status: &mut [RowStatus],
    ) {
        let table = self.dictionary_table(batch, field);
        let field = (field, table.as_ref());
        self.add(batch, start, field, effects, values, status);
    }

    /// Marks a row whose logit is not finite.
    pub(crate) fn settle_total(&self, effects: f64, status: &mut RowStatus) {
        if status.is_ok() && !(self.base + effects).is_finite() {
            *status = RowStatus::bad(RowCode::Undefined, 0);
        }
    }
}

fn number_plan(field: &NumberField, coefficients: &[f64], means: &[f64]) -> FieldPlan {
    let count = field.basis.column_count();
    let pairs = coefficients.iter().copied().zip(means.iter().copied());
    FieldPlan::Number(NumberPlan {
        basis: field.basis.clone(),
        imputed: field.imputed,
        terms: pairs.take(count).collect(),
        missing_effect: coefficients.get(count).copied().unwrap_or(0.0),
        rejects_missing: field.missing == MissingRule::Reject,
    })
}

fn category_plan(field: &CategoryField, coefficients: &[f64]) -> FieldPlan {
    let effect = |group: usize| match group.checked_sub(1) {
        Some(column) => coefficients.get(column).copied().unwrap_or(0.0),
        None => 0.0,
    };
    let levels = field.levels.iter().zip(&field.groups);
    let by_text: HashMap<String, f64> = levels
        .clone()
        .map(|(level, group)| (level.clone(), effect(*group)))
        .collect();
    let number = |level: &String| {
        let value = level
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())?;
        // Only the one spelling that a number is turned into: `01` is a text level.
        let same = number_to_level(value).as_ref() == Some(level);
        same.then(|| (value + 0.0).to_bits())
    };
    let mut by_bits: Vec<(u64, f64)> = levels
        .filter_map(|(level, group)| Some((number(level)?, effect(*group))))
        .collect();
    by_bits.sort_unstable_by_key(|(bits, _)| *bits);
    let missing = field
        .missing_group
        .map_or(Err(RowCode::Missing), |group| Ok(effect(group)));
    FieldPlan::Category(CategoryPlan {
        by_text,
        by_bits,
        missing,
        unseen: match field.unseen {
            UnseenRule::Reject => Err(RowCode::UnseenLevel),
            UnseenRule::AsMissing => missing,
            UnseenRule::Reference => Ok(0.0),
        },
    })
}

/// Adds an outcome to a logit; the first field at fault keeps the blame.
#[inline]
fn settle(outcome: Outcome, field: u16, logit: &mut f64, status: &mut RowStatus) {
    match outcome {
        Ok(effect) => *logit += effect,
        Err(code) if status.is_ok() => *status = RowStatus::bad(code, field),
        Err(_) => {}
    }
}

impl CategoryPlan {
    fn add_text(
        &self,
        text: &TextColumn<'_>,
        start: usize,
        table: &Table,
        field: u16,
        logits: &mut [f64],
        status: &mut [RowStatus],
    ) {
        let codes = text.codes.get(start..).unwrap_or_default();
        if let (Ok(missing), Some(effects)) = (self.missing, &table.effects) {
            for (code, logit) in codes.iter().zip(logits) {
                let known = usize::try_from(*code)
                    .ok()
                    .and_then(|code| effects.get(code));
                *logit += known.copied().unwrap_or(missing);
            }
            return;
        }
        for ((code, logit), status) in codes.iter().zip(logits).zip(status) {
            let known = usize::try_from(*code)
                .ok()
                .and_then(|code| table.outcomes.get(code));
            settle(known.copied().unwrap_or(self.missing), field, logit, status);
        }
    }

    fn add_numbers(
        &self,
        values: &[f64],
        field: u16,
        logits: &mut [f64],
        status: &mut [RowStatus],
    ) {
        for ((value, logit), status) in values.iter().zip(logits).zip(status) {
            settle(self.number(*value), field, logit, status);
        }
    }

    fn number(&self, value: f64) -> Outcome {
        if value.is_nan() {
            return self.missing;
        }
        if value.is_infinite() {
            return Err(RowCode::NotFinite);
        }
        let bits = (value + 0.0).to_bits();
        match self.by_bits.binary_search_by_key(&bits, |(own, _)| *own) {
            Ok(place) => Ok(self.by_bits[place].1),
            Err(_) => self.unseen,
        }
    }
}

impl NumberPlan {
    fn add(&self, values: &mut [f64], field: u16, logits: &mut [f64], status: &mut [RowStatus]) {
        for ((value, logit), status) in values.iter_mut().zip(&mut *logits).zip(status) {
            if value.is_finite() {
                continue;
            }
            let outcome = match (value.is_nan(), self.rejects_missing) {
                (true, false) => Ok(self.missing_effect),
                (true, true) => Err(RowCode::Missing),
                (false, _) => Err(RowCode::NotFinite),
            };
            settle(outcome, field, logit, status);
            *value = self.imputed;
        }
        for (column, (coefficient, mean)) in self.terms.iter().enumerate() {
            for (value, logit) in values.iter().zip(&mut *logits) {
                *logit += coefficient * (self.basis.value(column, *value) - mean);
            }
        }
    }
}

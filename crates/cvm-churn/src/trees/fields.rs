//! Inputs of a tree model: names, levels, what is missing, and reading of a block of rows.

use super::limits::MAX_FIELDS;
use super::rules::Rules;
use cvm_core::{
    BoundBatch, Column, Domain, FieldKind, InputField, InputSchema, MissingRule, RowCode,
    RowStatus, UnseenRule, number_to_level,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One input.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Column name.
    pub name: String,
    /// Number or category.
    pub role: Role,
    /// Whether a missing value is scored; if not, its row is refused.
    pub accepts_missing: bool,
}

/// What an input holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// A number; one that equals `missing` means missing, as NaN does.
    Number {
        /// The sentinel, if there is one.
        missing: Option<f64>,
    },
    /// A category whose code is its place in `levels`.
    Category {
        /// Levels in the order of training.
        levels: Vec<String>,
        /// What a level outside the list means.
        unseen: UnseenPolicy,
    },
}

/// What a level outside the list means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnseenPolicy {
    /// The row is refused.
    Reject,
    /// It is missing.
    Missing,
}

impl Field {
    /// A number without a sentinel, missing allowed.
    pub fn number(name: impl Into<String>) -> Field {
        Field {
            name: name.into(),
            role: Role::Number { missing: None },
            accepts_missing: true,
        }
    }
}

/// The input schema of fields.
pub(crate) fn schema(fields: &[Field], rules: &Rules) -> InputSchema {
    let input = |field: &Field| InputField {
        name: field.name.clone(),
        kind: match &field.role {
            Role::Number { .. } if rules.accepts_infinite => FieldKind::Number {
                domain: Domain::Any,
            },
            Role::Number { .. } => FieldKind::Number {
                domain: Domain::Finite,
            },
            Role::Category { levels, unseen } => FieldKind::Category {
                levels: levels.clone(),
                unseen: match unseen {
                    UnseenPolicy::Reject => UnseenRule::Reject,
                    UnseenPolicy::Missing => UnseenRule::AsMissing,
                },
            },
        },
        unit: "1".to_owned(),
        missing: if field.accepts_missing {
            MissingRule::OwnLevel
        } else {
            MissingRule::Reject
        },
    };
    InputSchema {
        fields: fields.iter().map(input).collect(),
        time_unit: None,
    }
}

/// Names are present and distinct, levels too.
///
/// # Errors
/// The first name or level that is not, in words.
pub(crate) fn check(fields: &[Field]) -> Result<(), String> {
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        return Err(format!(
            "{} input fields, must be 1 to {MAX_FIELDS}",
            fields.len()
        ));
    }
    let mut seen = HashMap::new();
    for field in fields {
        if field.name.is_empty() {
            return Err("an input field has no name".to_owned());
        }
        if seen.insert(field.name.as_str(), ()).is_some() {
            return Err(format!("two input fields are named `{}`", field.name));
        }
        if let Role::Category { levels, .. } = &field.role {
            let mut own = HashMap::new();
            if let Some(twice) = levels.iter().find(|l| own.insert(l.as_str(), ()).is_some()) {
                return Err(format!(
                    "field `{}` has level \"{twice}\" twice",
                    field.name
                ));
            }
        }
    }
    Ok(())
}

/// Fields laid out for reading.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    plans: Vec<Plan>,
    rules: Rules,
}

#[derive(Debug, Clone)]
enum Plan {
    Number {
        missing: Option<f64>,
        accepts_missing: bool,
    },
    Category {
        by_text: HashMap<String, f64>,
        /// Levels that are numbers: bits and code, sorted by bits.
        by_bits: Vec<(u64, f64)>,
        unseen: UnseenPolicy,
        accepts_missing: bool,
    },
}

/// Codes of the strings of text columns' dictionaries, by field; empty for other columns.
pub(crate) type Tables = Vec<Vec<Result<f64, RowCode>>>;

impl Reader {
    pub(crate) fn new(fields: &[Field], rules: Rules) -> Reader {
        Reader {
            plans: fields.iter().map(plan).collect(),
            rules,
        }
    }

    /// Looks up every string of every dictionary once per batch.
    pub(crate) fn tables(&self, batch: &BoundBatch<'_, '_>) -> Tables {
        if !self.has_categories() {
            return Vec::new();
        }
        let table = |(plan, column): (&Plan, &Column<'_>)| match (plan, column) {
            (Plan::Category { by_text, .. }, Column::Text(text)) => {
                let code = |level: &String| by_text.get(level).map_or(plan.unseen(), |c| Ok(*c));
                text.dictionary.iter().map(code).collect()
            }
            _ => Vec::new(),
        };
        self.plans.iter().zip(&batch.columns).map(table).collect()
    }

    fn has_categories(&self) -> bool {
        let category = |plan: &Plan| matches!(plan, Plan::Category { .. });
        self.plans.iter().any(category)
    }

    /// Reads rows `start..start + status.len()` into `values`, field after field, prepared for
    /// comparison, NaN where missing. A refused row has its status and NaN.
    pub(crate) fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        tables: &Tables,
        start: usize,
        values: &mut [f64],
        status: &mut [RowStatus],
    ) {
        status.fill(RowStatus::OK);
        let columns = values.chunks_exact_mut(status.len().max(1));
        for (index, (plan, column)) in self.plans.iter().zip(columns).enumerate() {
            let field = u16::try_from(index).unwrap_or(u16::MAX);
            match (plan, batch.columns.get(index), tables.get(index)) {
                (Plan::Category { .. }, Some(Column::Text(text)), Some(table)) => {
                    let codes = text.codes.get(start..).unwrap_or_default();
                    plan.read_codes(codes, table, field, column, status);
                }
                (Plan::Category { .. }, _, _) => {
                    batch.read_numbers(index, start, column);
                    plan.read_levels(field, column, status);
                }
                (Plan::Number { .. }, _, _) => {
                    batch.read_numbers(index, start, column);
                    plan.prepare(&self.rules, field, column, status);
                }
            }
        }
    }
}

fn plan(field: &Field) -> Plan {
    let accepts_missing = field.accepts_missing;
    match &field.role {
        Role::Number { missing } => Plan::Number {
            missing: *missing,
            accepts_missing,
        },
        Role::Category { levels, unseen } => {
            let coded = || levels.iter().zip((0..).map(|code: u32| f64::from(code)));
            let number = |(level, code): (&String, f64)| {
                let value = level.parse::<f64>().ok()?;
                let own = number_to_level(value)? == *level;
                own.then_some((value.to_bits(), code))
            };
            let mut by_bits: Vec<(u64, f64)> = coded().filter_map(number).collect();
            by_bits.sort_unstable_by_key(|(bits, _)| *bits);
            Plan::Category {
                by_text: coded().map(|(level, code)| (level.clone(), code)).collect(),
                by_bits,
                unseen: *unseen,
                accepts_missing,
            }
        }
    }
}

/// Puts `value` into a cell, or its refusal into the row's status if it is the first.
fn settle(value: Result<f64, RowCode>, field: u16, cell: &mut f64, status: &mut RowStatus) {
    match value {
        Ok(value) => *cell = value,
        Err(code) => {
            *cell = f64::NAN;
            if status.is_ok() {
                *status = RowStatus::bad(code, field);
            }
        }
    }
}

impl Plan {
    fn unseen(&self) -> Result<f64, RowCode> {
        match self {
            Plan::Category {
                unseen: UnseenPolicy::Reject,
                ..
            } => Err(RowCode::UnseenLevel),
            _ => self.missing(),
        }
    }

    fn missing(&self) -> Result<f64, RowCode> {
        let (Plan::Number {
            accepts_missing, ..
        }
        | Plan::Category {
            accepts_missing, ..
        }) = self;
        accepts_missing.then_some(f64::NAN).ok_or(RowCode::Missing)
    }

    fn read_codes(
        &self,
        codes: &[i32],
        table: &[Result<f64, RowCode>],
        field: u16,
        column: &mut [f64],
        status: &mut [RowStatus],
    ) {
        for ((code, cell), status) in codes.iter().zip(column).zip(status) {
            let known = usize::try_from(*code).ok().and_then(|code| table.get(code));
            settle(
                known.copied().unwrap_or(self.missing()),
                field,
                cell,
                status,
            );
        }
    }

    fn read_levels(&self, field: u16, column: &mut [f64], status: &mut [RowStatus]) {
        for (cell, status) in column.iter_mut().zip(status) {
            settle(self.level(*cell), field, cell, status);
        }
    }

    fn level(&self, value: f64) -> Result<f64, RowCode> {
        let Plan::Category { by_bits, .. } = self else {
            return Ok(value);
        };
        if value.is_nan() {
            return self.missing();
        }
        let bits = (value + 0.0).to_bits();
        match by_bits.binary_search_by_key(&bits, |(own, _)| *own) {
            Ok(place) => Ok(by_bits[place].1),
            Err(_) => self.unseen(),
        }
    }

    fn prepare(&self, rules: &Rules, field: u16, column: &mut [f64], status: &mut [RowStatus]) {
        let Plan::Number { missing, .. } = self else {
            return;
        };
        for (cell, status) in column.iter_mut().zip(status) {
            let value = rules.prepare(*cell);
            *cell = value;
            if value.is_finite() && missing.is_none() {
                continue;
            }
            let is_missing = value.is_nan() || *missing == Some(value);
            let outcome = if is_missing {
                self.missing()
            } else if value.is_infinite() && !rules.accepts_infinite {
                Err(RowCode::NotFinite)
            } else {
                Ok(value)
            };
            settle(outcome, field, cell, status);
        }
    }
}

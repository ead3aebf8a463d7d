//! Columns of a log, whatever holds them, read cell by cell as identifier, date or amount.

use super::customers::CustomerId;
use super::dates::{DateReader, in_range};
use super::report::Cause;
use crate::cell::{LARGEST_EXACT, parse_number};
use crate::table::{
    Instant, Texts, dictionary_parts, instants, numbers, unsupported, whole_numbers,
};
use crate::{ColumnKind, RecordError};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use arrow_schema::DataType;
use cvm_core::{Column, FrameColumn};
use std::borrow::Cow;

/// Largest amount: any number of rows in memory sums to a finite number.
const MAX_AMOUNT: f64 = 1e288;

/// A column of a log.
pub(super) enum LogColumn<'a> {
    Text(Texts<'a>),
    Coded {
        dictionary: Cow<'a, [String]>,
        codes: Cow<'a, [i32]>,
    },
    Numbers(Cow<'a, [f64]>),
    Integers(&'a Int64Array),
    Whole(Vec<Option<i128>>),
    Instants(Vec<Option<Instant>>),
}

/// What a column of a log is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    CustomerId,
    Date,
    Amount,
}

impl<'a> LogColumn<'a> {
    /// Prepares an Arrow array.
    pub(super) fn of_array(
        name: &str,
        array: &'a dyn Array,
        role: Role,
    ) -> Result<Self, RecordError> {
        if let Some((values, _)) = dictionary_parts(array) {
            return Self::of_dictionary(name, array, values, role);
        }
        if let Some(texts) = Texts::of(array) {
            return Ok(LogColumn::Text(texts));
        }
        if let Some(integers) = array.as_primitive_opt::<Int64Type>() {
            return Ok(LogColumn::Integers(integers));
        }
        if let Some(slice) = crate::numbers_slice(array) {
            return Ok(LogColumn::Numbers(slice.into()));
        }
        if let Some(whole) = whole_numbers(array) {
            return Ok(LogColumn::Whole(whole));
        }
        if role == Role::Date
            && let Some(instants) = instants(array)
        {
            return Ok(LogColumn::Instants(instants));
        }
        match numbers(array) {
            Some(values) if *array.data_type() != DataType::Boolean => {
                Ok(LogColumn::Numbers(values.into()))
            }
            _ => Err(unsupported(name, array.data_type())),
        }
    }

    /// A dictionary through its values: text stays coded, anything else is unpacked.
    fn of_dictionary(
        name: &str,
        array: &dyn Array,
        values: &dyn Array,
        role: Role,
    ) -> Result<Self, RecordError> {
        // Refuses what the role cannot use, before it is turned into text.
        LogColumn::of_array(name, values, role)?;
        let kind = match whole_numbers(values) {
            Some(_) => ColumnKind::Text,
            None => crate::table::type_kind(name, values.data_type())?,
        };
        Ok(match crate::table::from_arrow_as(name, array, kind)? {
            FrameColumn::Numbers(values) => LogColumn::Numbers(values.into()),
            FrameColumn::Text { dictionary, codes } => LogColumn::Coded {
                dictionary: dictionary.into(),
                codes: codes.into(),
            },
        })
    }

    /// Borrows a column of a batch; a strided one is copied.
    pub(super) fn of_column(column: &Column<'a>) -> Self {
        match column {
            Column::Numbers(view) => LogColumn::Numbers(match view.to_slice() {
                Some(slice) => slice.into(),
                None => view.to_vec().into(),
            }),
            Column::Text(text) => LogColumn::Coded {
                dictionary: text.dictionary.into(),
                codes: text.codes.into(),
            },
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            LogColumn::Text(texts) => texts.get(row),
            LogColumn::Coded { dictionary, codes } => {
                let code = usize::try_from(*codes.get(row)?).ok()?;
                dictionary.get(code).map(String::as_str)
            }
            _ => None,
        }
    }

    fn whole(&self, row: usize) -> Option<i128> {
        match self {
            LogColumn::Integers(values) => {
                values.is_valid(row).then(|| i128::from(values.value(row)))
            }
            LogColumn::Whole(values) => values.get(row).copied().flatten(),
            _ => None,
        }
    }

    /// The cell as a customer identifier.
    pub(super) fn customer_id(&self, row: usize) -> Result<CustomerId<'_>, Cause> {
        match self {
            LogColumn::Text(_) | LogColumn::Coded { .. } => {
                text_to_id(self.text(row).unwrap_or(""))
            }
            LogColumn::Numbers(values) => number_to_id(values.get(row).copied()),
            _ => self
                .whole(row)
                .map(CustomerId::Whole)
                .ok_or(Cause::MissingCustomerId),
        }
    }

    /// The cell as a moment in seconds.
    pub(super) fn seconds(&self, row: usize, dates: &DateReader) -> Result<i64, Cause> {
        let seconds = match self {
            LogColumn::Text(_) | LogColumn::Coded { .. } => {
                return text_to_seconds(self.text(row).unwrap_or(""), dates);
            }
            LogColumn::Numbers(values) => match values.get(row).copied() {
                Some(value) if !value.is_nan() => dates.float(value),
                _ => return Err(Cause::MissingDate),
            },
            LogColumn::Instants(instants) => {
                let instant = instants
                    .get(row)
                    .copied()
                    .flatten()
                    .ok_or(Cause::MissingDate)?;
                in_range(instant.0)
            }
            _ => {
                let whole = self.whole(row).ok_or(Cause::MissingDate)?;
                i64::try_from(whole)
                    .ok()
                    .and_then(|whole| dates.whole(whole))
            }
        };
        seconds.ok_or(Cause::UnparsableDate)
    }

    /// The cell as an amount.
    #[allow(clippy::cast_precision_loss)] // an amount beyond 2^53 is rounded like any other
    pub(super) fn amount(&self, row: usize) -> Result<f64, Cause> {
        match self {
            LogColumn::Text(_) | LogColumn::Coded { .. } => {
                text_to_amount(self.text(row).unwrap_or(""))
            }
            LogColumn::Numbers(values) => check_amount(values.get(row).copied()),
            _ => check_amount(self.whole(row).map(|whole| whole as f64)),
        }
    }

    /// The cell for a message.
    pub(super) fn show(&self, row: usize) -> String {
        if let Some(text) = self.text(row) {
            return format!("\"{text}\"");
        }
        if let Some(whole) = self.whole(row) {
            return whole.to_string();
        }
        match self {
            LogColumn::Numbers(values) => values.get(row).map_or_else(String::new, f64::to_string),
            LogColumn::Instants(instants) => match instants.get(row).copied().flatten() {
                Some((seconds, _)) => super::dates::iso_date(seconds),
                None => "null".to_owned(),
            },
            _ => "null".to_owned(),
        }
    }
}

/// Text identifies by its exact characters; blank text identifies nobody.
pub(super) fn text_to_id(text: &str) -> Result<CustomerId<'_>, Cause> {
    if text.trim().is_empty() {
        return Err(Cause::MissingCustomerId);
    }
    Ok(CustomerId::Text(text))
}

/// A float identifies if it is whole and exact: integers become floats where a table has gaps.
fn number_to_id<'a>(value: Option<f64>) -> Result<CustomerId<'a>, Cause> {
    let Some(value) = value.filter(|value| !value.is_nan()) else {
        return Err(Cause::MissingCustomerId);
    };
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // up to 2^53
    if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT as f64 {
        Ok(CustomerId::Whole(value as i128))
    } else {
        Err(Cause::BadCustomerId)
    }
}

pub(super) fn text_to_seconds(text: &str, dates: &DateReader) -> Result<i64, Cause> {
    match dates.text(text) {
        Some(seconds) => Ok(seconds),
        None if text.trim().is_empty() => Err(Cause::MissingDate),
        None => Err(Cause::UnparsableDate),
    }
}

pub(super) fn text_to_amount(text: &str) -> Result<f64, Cause> {
    match parse_number(text) {
        Some(amount) => check_amount(Some(amount)),
        None if text.trim().is_empty() => Err(Cause::MissingAmount),
        None => Err(Cause::UnparsableAmount),
    }
}

fn check_amount(amount: Option<f64>) -> Result<f64, Cause> {
    match amount {
        Some(amount) if amount.abs() <= MAX_AMOUNT => Ok(amount + 0.0), // -0.0 becomes 0.0
        Some(amount) if !amount.is_nan() => Err(Cause::NotFiniteAmount),
        _ => Err(Cause::MissingAmount),
    }
}

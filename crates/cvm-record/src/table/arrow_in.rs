//! Arrow arrays and record batches to frames.
//!
//! | Arrow | frame |
//! |---|---|
//! | floats, integers up to 32 bits, booleans (0, 1), decimals with a fraction, null | numbers |
//! | 64-bit integers and whole decimals | numbers if all are at most 2^53 in size, else text |
//! | utf8, large utf8, utf8 view | text |
//! | date, timestamp | text, ISO 8601; a timestamp with a zone is in UTC and ends in `Z` |
//! | dictionary of any of these | as its values |
//!
//! Nulls are missing. Every other type is refused by name.

use super::check_names;
use crate::cell::{LARGEST_EXACT, parse_number};
use crate::civil::from_seconds;
use crate::pool::TextPool;
use crate::{ColumnKind, RecordError};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, LargeStringArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray,
};
use arrow_schema::{DataType, TimeUnit};
use cvm_core::{Frame, FrameColumn, number_to_level};

const DAY_SECONDS: i64 = 86_400;

/// The values of a `Float64` array without nulls, borrowed: no copy.
#[must_use]
pub fn numbers_slice(array: &dyn Array) -> Option<&[f64]> {
    let floats = array.as_primitive_opt::<Float64Type>()?;
    (floats.null_count() == 0).then(|| floats.values().as_ref())
}

/// Copies one array into a column of a frame; the table of the module says how.
///
/// # Errors
/// `UnsupportedType` with the name of the column and the type.
pub fn from_arrow(name: &str, array: &dyn Array) -> Result<FrameColumn, RecordError> {
    let kind = natural_kind(name, array)?;
    from_arrow_as(name, array, kind)
}

/// Copies all columns of a record batch into a frame.
///
/// # Errors
/// `DuplicateColumn`, and as [`from_arrow`].
pub fn from_record_batch(batch: &RecordBatch) -> Result<Frame, RecordError> {
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    check_names("the table", &names)?;
    let mut frame = Frame::new(batch.num_rows());
    for (name, array) in names.into_iter().zip(batch.columns()) {
        frame
            .columns
            .push((name.to_owned(), from_arrow(name, array)?));
    }
    Ok(frame)
}

/// Copies an array into a column of the kind wanted.
pub(crate) fn from_arrow_as(
    name: &str,
    array: &dyn Array,
    kind: ColumnKind,
) -> Result<FrameColumn, RecordError> {
    if let Some((values, keys)) = dictionary_parts(array) {
        let values = from_arrow_as(name, values, kind)?;
        return Ok(unpack(values, &keys));
    }
    match kind {
        ColumnKind::Number => to_numbers(name, array).map(FrameColumn::Numbers),
        ColumnKind::Text => to_text(name, array),
    }
}

/// The kind a column has when nobody asks for another.
pub(crate) fn natural_kind(name: &str, array: &dyn Array) -> Result<ColumnKind, RecordError> {
    if let Some((values, _)) = dictionary_parts(array) {
        return natural_kind(name, values);
    }
    if whole_numbers(array).is_some_and(|values| values.iter().flatten().any(|&n| !is_exact(n))) {
        return Ok(ColumnKind::Text);
    }
    type_kind(name, array.data_type())
}

/// The kind of a type, wide integers taken for numbers.
pub(crate) fn type_kind(name: &str, data_type: &DataType) -> Result<ColumnKind, RecordError> {
    match data_type {
        DataType::Null | DataType::Boolean => Ok(ColumnKind::Number),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(ColumnKind::Text),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => Ok(ColumnKind::Text),
        DataType::Dictionary(_, values) => type_kind(name, values),
        numeric if numeric.is_numeric() => Ok(ColumnKind::Number),
        other => Err(unsupported(name, other)),
    }
}

/// Whether values of the type may be whole numbers that an `f64` cannot hold.
pub(crate) fn may_exceed_f64(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int64 | DataType::UInt64 => true,
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale) => *scale <= 0,
        DataType::Dictionary(_, values) => may_exceed_f64(values),
        _ => false,
    }
}

fn is_exact(whole: i128) -> bool {
    whole.unsigned_abs() <= u128::from(LARGEST_EXACT)
}

pub(crate) fn unsupported(name: &str, data_type: &DataType) -> RecordError {
    RecordError::UnsupportedType {
        column: name.to_owned(),
        data_type: data_type.to_string(),
    }
}

/// Values of a dictionary array and the index of each row into them; a null key is `None`.
pub(crate) fn dictionary_parts(array: &dyn Array) -> Option<(&dyn Array, Vec<Option<usize>>)> {
    let dictionary = array.as_any_dictionary_opt()?;
    let values: &dyn Array = dictionary.values();
    let keys = dictionary.keys();
    if values.is_empty() {
        return Some((values, vec![None; keys.len()]));
    }
    let indices = dictionary.normalized_keys().into_iter().enumerate();
    let keys = indices
        .map(|(row, index)| keys.is_valid(row).then_some(index))
        .collect();
    Some((values, keys))
}

fn unpack(values: FrameColumn, keys: &[Option<usize>]) -> FrameColumn {
    match values {
        FrameColumn::Numbers(values) => {
            let row = |key: &Option<usize>| key.and_then(|at| values.get(at).copied());
            FrameColumn::Numbers(
                keys.iter()
                    .map(|key| row(key).unwrap_or(f64::NAN))
                    .collect(),
            )
        }
        FrameColumn::Text { dictionary, codes } => {
            let row = |key: &Option<usize>| key.and_then(|at| codes.get(at).copied());
            let codes = keys.iter().map(|key| row(key).unwrap_or(-1)).collect();
            FrameColumn::Text { dictionary, codes }
        }
    }
}

fn to_numbers(name: &str, array: &dyn Array) -> Result<Vec<f64>, RecordError> {
    if let Some(values) = numbers(array) {
        return Ok(values);
    }
    type_kind(name, array.data_type())?;
    let mut values = Vec::with_capacity(array.len());
    each_text(name, array, |row, text| {
        let blank = text.is_none_or(|text| text.trim().is_empty());
        values.push(match text {
            Some(text) if !blank => parse_number(text).ok_or_else(|| RecordError::BadCell {
                column: name.to_owned(),
                place: format!("row {row}"),
                value: format!("\"{text}\""),
                allowed: "a number or missing",
            })?,
            _ => f64::NAN,
        });
        Ok(())
    })?;
    Ok(values)
}

fn to_text(name: &str, array: &dyn Array) -> Result<FrameColumn, RecordError> {
    let mut pool = TextPool::default();
    let mut codes = Vec::with_capacity(array.len());
    each_text(name, array, |_, text| {
        codes.push(match text {
            Some(text) => pool.insert(text, name)?.cast_signed(),
            None => -1,
        });
        Ok(())
    })?;
    Ok(FrameColumn::Text {
        dictionary: pool.to_strings(),
        codes,
    })
}

/// Calls `take` with every value as text.
fn each_text(
    name: &str,
    array: &dyn Array,
    mut take: impl FnMut(usize, Option<&str>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    if let Some(texts) = Texts::of(array) {
        return (0..array.len()).try_for_each(|row| take(row, texts.get(row)));
    }
    if let Some(values) = whole_numbers(array) {
        let texts = values.into_iter().map(|value| value.map(|n| n.to_string()));
        return texts
            .enumerate()
            .try_for_each(|(row, text)| take(row, text.as_deref()));
    }
    if let Some(values) = numbers(array) {
        let texts = values.into_iter().map(number_to_level);
        return texts
            .enumerate()
            .try_for_each(|(row, text)| take(row, text.as_deref()));
    }
    let Some(instants) = instants(array) else {
        return Err(unsupported(name, array.data_type()));
    };
    for (row, instant) in instants.into_iter().enumerate() {
        let text = instant
            .map(|at| iso_text(name, row, array.data_type(), at))
            .transpose()?;
        take(row, text.as_deref())?;
    }
    Ok(())
}

/// Text arrays of the three layouts.
pub(crate) enum Texts<'a> {
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(Texts::Utf8),
            DataType::LargeUtf8 => array.as_string_opt().map(Texts::Large),
            DataType::Utf8View => array.as_string_view_opt().map(Texts::View),
            _ => None,
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Texts::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Texts::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Texts::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// Every value of a primitive array through `convert`; nulls are `None`.
fn map<T: ArrowPrimitiveType, R>(
    array: &dyn Array,
    convert: impl Fn(&PrimitiveArray<T>, usize) -> R,
) -> Option<Vec<Option<R>>> {
    let values = array.as_primitive_opt::<T>()?;
    let row = |row| values.is_valid(row).then(|| convert(values, row));
    Some((0..values.len()).map(row).collect())
}

/// Numbers of any numeric or boolean array, nulls as NaN; `None` for other types.
pub(crate) fn numbers(array: &dyn Array) -> Option<Vec<f64>> {
    fn lossless<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &dyn Array) -> Option<Vec<f64>> {
        let values = array.as_primitive_opt::<T>()?;
        let all = values.values().iter().map(|&value| value.into());
        Some(mask(all.collect(), array))
    }
    #[allow(clippy::cast_precision_loss)] // callers ask for numbers knowing it
    match array.data_type() {
        DataType::Null => Some(vec![f64::NAN; array.len()]),
        DataType::Boolean => {
            let flags = array.as_boolean();
            let row = |row| if flags.value(row) { 1.0 } else { 0.0 };
            Some(mask((0..flags.len()).map(row).collect(), array))
        }
        DataType::Int8 => lossless::<Int8Type>(array),
        DataType::Int16 => lossless::<Int16Type>(array),
        DataType::Int32 => lossless::<Int32Type>(array),
        DataType::UInt8 => lossless::<UInt8Type>(array),
        DataType::UInt16 => lossless::<UInt16Type>(array),
        DataType::UInt32 => lossless::<UInt32Type>(array),
        DataType::Float16 => lossless::<Float16Type>(array),
        DataType::Float32 => lossless::<Float32Type>(array),
        DataType::Float64 => lossless::<Float64Type>(array),
        DataType::Int64 => opened(map::<Int64Type, _>(array, |a, row| a.value(row) as f64)),
        DataType::UInt64 => opened(map::<UInt64Type, _>(array, |a, row| a.value(row) as f64)),
        DataType::Decimal32(_, _) => decimals::<Decimal32Type>(array),
        DataType::Decimal64(_, _) => decimals::<Decimal64Type>(array),
        DataType::Decimal128(_, _) => decimals::<Decimal128Type>(array),
        DataType::Decimal256(_, _) => decimals::<Decimal256Type>(array),
        _ => None,
    }
}

fn mask(mut values: Vec<f64>, array: &dyn Array) -> Vec<f64> {
    if let Some(nulls) = array.logical_nulls() {
        for (value, valid) in values.iter_mut().zip(nulls.iter()) {
            if !valid {
                *value = f64::NAN;
            }
        }
    }
    values
}

fn opened(values: Option<Vec<Option<f64>>>) -> Option<Vec<f64>> {
    let open = |value: Option<f64>| value.unwrap_or(f64::NAN);
    values.map(|values| values.into_iter().map(open).collect())
}

/// Decimals through their text, so that each is the nearest `f64`.
fn decimals<T: DecimalType>(array: &dyn Array) -> Option<Vec<f64>> {
    let parse = |text: String| parse_number(&text).unwrap_or(f64::NAN);
    opened(map::<T, _>(array, |a, row| parse(a.value_as_string(row))))
}

/// Exact whole numbers of 64-bit integers and of decimals without a fraction.
pub(crate) fn whole_numbers(array: &dyn Array) -> Option<Vec<Option<i128>>> {
    fn decimal<T: DecimalType>(array: &dyn Array) -> Option<Vec<Option<i128>>> {
        let read = |a: &PrimitiveArray<T>, row: usize| a.value_as_string(row).parse().ok();
        let values = map::<T, _>(array, read)?;
        Some(values.into_iter().map(Option::flatten).collect())
    }
    match array.data_type() {
        DataType::Int64 => map::<Int64Type, _>(array, |a, row| i128::from(a.value(row))),
        DataType::UInt64 => map::<UInt64Type, _>(array, |a, row| i128::from(a.value(row))),
        DataType::Decimal32(_, ..=0) => decimal::<Decimal32Type>(array),
        DataType::Decimal64(_, ..=0) => decimal::<Decimal64Type>(array),
        DataType::Decimal128(_, ..=0) => decimal::<Decimal128Type>(array),
        _ => None,
    }
}

/// Whole seconds since 1970-01-01 (UTC, rounded down), and the nanoseconds beyond them.
pub(crate) type Instant = (i64, i32);

/// Moments of a date or timestamp array.
pub(crate) fn instants(array: &dyn Array) -> Option<Vec<Option<Instant>>> {
    match array.data_type() {
        DataType::Date32 => {
            map::<Date32Type, _>(array, |a, row| (i64::from(a.value(row)) * DAY_SECONDS, 0))
        }
        DataType::Date64 => map::<Date64Type, _>(array, |a, row| split(a.value(row), 1_000)),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => map::<TimestampSecondType, _>(array, |a, row| (a.value(row), 0)),
            TimeUnit::Millisecond => {
                map::<TimestampMillisecondType, _>(array, |a, row| split(a.value(row), 1_000))
            }
            TimeUnit::Microsecond => {
                map::<TimestampMicrosecondType, _>(array, |a, row| split(a.value(row), 1_000_000))
            }
            TimeUnit::Nanosecond => map::<TimestampNanosecondType, _>(array, |a, row| {
                split(a.value(row), 1_000_000_000)
            }),
        },
        _ => None,
    }
}

fn split(ticks: i64, ticks_per_second: i64) -> Instant {
    let rest = ticks.rem_euclid(ticks_per_second) * (1_000_000_000 / ticks_per_second);
    #[allow(clippy::cast_possible_truncation)] // below 10^9
    (ticks.div_euclid(ticks_per_second), rest as i32)
}

fn iso_text(
    name: &str,
    row: usize,
    data_type: &DataType,
    (seconds, nanoseconds): Instant,
) -> Result<String, RecordError> {
    let civil = from_seconds(seconds, nanoseconds).ok_or_else(|| RecordError::BadCell {
        column: name.to_owned(),
        place: format!("row {row}"),
        value: format!("{seconds} seconds after 1970-01-01"),
        allowed: "a date in the years -9999 to 9999",
    })?;
    Ok(match data_type {
        DataType::Timestamp(_, Some(_)) => format!("{civil}Z"),
        DataType::Timestamp(_, None) => civil.to_string(),
        _ => civil.date().to_string(),
    })
}

#[cfg(test)]
#[path = "arrow_in_tests.rs"]
mod tests;

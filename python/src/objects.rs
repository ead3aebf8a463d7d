//! Columns of Python objects: text or numbers, never the `str()` of something else.

use crate::errors::invalid;
use cvm::FrameColumn;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
use std::collections::HashMap;

/// Whole numbers up to here are exact as `f64`.
const LARGEST_EXACT: u64 = 1 << 53;
/// Characters of a value shown in a message.
const SHOWN_CHARS: usize = 60;

/// What a Python object means in a column.
enum Cell {
    Missing,
    Number(f64),
    Text(String),
}

/// The column gathered so far; its type is that of the first value present.
enum Gathered {
    Nothing(usize),
    Numbers(Vec<f64>),
    Text(TextBuilder),
}

#[derive(Default)]
struct TextBuilder {
    dictionary: Vec<String>,
    index: HashMap<String, i32>,
    codes: Vec<i32>,
}

impl TextBuilder {
    fn push(&mut self, text: String) {
        let next = i32::try_from(self.dictionary.len()).unwrap_or(i32::MAX);
        let code = *self.index.entry(text).or_insert_with_key(|text| {
            self.dictionary.push(text.clone());
            next
        });
        self.codes.push(code);
    }
}

/// A column from an iterable of `str`, numbers, `datetime.date` or missing values (`None`, NaN,
/// `pandas.NA`, `NaT`).
pub(crate) fn column_from_objects(name: &str, values: &Bound<'_, PyAny>) -> PyResult<FrameColumn> {
    let date_type = values.py().import("datetime")?.getattr("date")?;
    let mut gathered = Gathered::Nothing(0);
    for (row, value) in values.try_iter()?.enumerate() {
        let value = value?;
        let cell = read(name, row, &value, &date_type)?;
        gathered = push(gathered, cell).map_err(|held| mixed(name, row, &value, held))?;
    }
    Ok(match gathered {
        Gathered::Nothing(count) => FrameColumn::Numbers(vec![f64::NAN; count]),
        Gathered::Numbers(values) => FrameColumn::Numbers(values),
        Gathered::Text(TextBuilder {
            dictionary, codes, ..
        }) => FrameColumn::Text { dictionary, codes },
    })
}

fn push(gathered: Gathered, cell: Cell) -> Result<Gathered, &'static str> {
    match (gathered, cell) {
        (Gathered::Nothing(count), Cell::Missing) => Ok(Gathered::Nothing(count + 1)),
        (Gathered::Nothing(count), cell @ Cell::Number(_)) => {
            push(Gathered::Numbers(vec![f64::NAN; count]), cell)
        }
        (Gathered::Nothing(count), cell @ Cell::Text(_)) => {
            let codes = vec![-1; count];
            let builder = TextBuilder {
                codes,
                ..TextBuilder::default()
            };
            push(Gathered::Text(builder), cell)
        }
        (Gathered::Numbers(mut values), Cell::Missing) => {
            values.push(f64::NAN);
            Ok(Gathered::Numbers(values))
        }
        (Gathered::Numbers(mut values), Cell::Number(number)) => {
            values.push(number);
            Ok(Gathered::Numbers(values))
        }
        (Gathered::Text(mut text), Cell::Missing) => {
            text.codes.push(-1);
            Ok(Gathered::Text(text))
        }
        (Gathered::Text(mut text), Cell::Text(value)) => {
            text.push(value);
            Ok(Gathered::Text(text))
        }
        (Gathered::Numbers(_), Cell::Text(_)) => Err("numbers"),
        (Gathered::Text(_), Cell::Number(_)) => Err("text"),
    }
}

fn read(
    name: &str,
    row: usize,
    value: &Bound<'_, PyAny>,
    date_type: &Bound<'_, PyAny>,
) -> PyResult<Cell> {
    if value.is_none() {
        return Ok(Cell::Missing);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Cell::Text(text.to_str()?.to_owned()));
    }
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyBool>() {
        return Ok(number(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        return whole(name, row, value);
    }
    let type_name = value.get_type().name()?;
    match type_name.to_str()? {
        "NAType" | "NaTType" => Ok(Cell::Missing),
        "bool" | "bool_" => Ok(number(f64::from(u8::from(value.is_truthy()?)))),
        numpy if is_numpy_float(numpy) => Ok(number(value.extract()?)),
        numpy if is_numpy_int(numpy) => whole(name, row, value),
        _ if value.is_instance(date_type)? => {
            Ok(Cell::Text(value.call_method0("isoformat")?.extract()?))
        }
        other => {
            let field = format!("columns.{name}");
            let shown = show(value);
            let why = format!(
                "row {row} is {shown} of type {other}: must be text, a number, a date or missing"
            );
            Err(invalid(&field, &why))
        }
    }
}

fn number(value: f64) -> Cell {
    if value.is_nan() {
        Cell::Missing
    } else {
        Cell::Number(value)
    }
}

fn is_numpy_float(name: &str) -> bool {
    matches!(name, "float16" | "float32" | "float64")
}

fn is_numpy_int(name: &str) -> bool {
    let digits = name.strip_prefix('u').unwrap_or(name);
    matches!(digits, "int8" | "int16" | "int32" | "int64")
}

/// A whole number, refused where `f64` would change it.
fn whole(name: &str, row: usize, value: &Bound<'_, PyAny>) -> PyResult<Cell> {
    match value.extract::<i64>() {
        #[allow(clippy::cast_precision_loss)]
        Ok(whole) if whole.unsigned_abs() <= LARGEST_EXACT => Ok(Cell::Number(whole as f64)),
        _ => {
            let shown = show(value);
            let why = format!(
                "row {row} is {shown}: whole numbers beyond 2^53 are not exact; give identifiers as text"
            );
            Err(invalid(&format!("columns.{name}"), &why))
        }
    }
}

fn mixed(name: &str, row: usize, value: &Bound<'_, PyAny>, held: &str) -> PyErr {
    let shown = show(value);
    let why =
        format!("row {row} is {shown}, the rows before it are {held}: a column holds one type");
    invalid(&format!("columns.{name}"), &why)
}

fn show(value: &Bound<'_, PyAny>) -> String {
    match value.repr() {
        Ok(text) => text.to_string_lossy().chars().take(SHOWN_CHARS).collect(),
        Err(_) => "unprintable".to_owned(),
    }
}

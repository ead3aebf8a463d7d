//! Tensors of the Open Inference Protocol as columns of numbers or text.

use super::{ConvertError, shown};
use crate::inference::InferTensorContents;
use bytes::Bytes;
use cvm::FrameColumn;

/// Whole numbers up to here are doubles.
const EXACT: u64 = 1 << 53;

/// Rows of a tensor of shape [rows] or [rows, 1], and whether it has the second dimension.
pub(super) fn rows_of(shape: &[i64]) -> Result<(usize, bool), ConvertError> {
    let (rows, wide) = match shape {
        [rows] => (*rows, false),
        [rows, 1] => (*rows, true),
        _ => (-1, false),
    };
    match usize::try_from(rows) {
        Ok(rows) => Ok((rows, wide)),
        Err(_) => {
            let why = format!("is {shape:?}: must be [rows] or [rows, 1]");
            Err(ConvertError::new("shape", why))
        }
    }
}

/// A column from raw bytes.
pub(super) fn from_raw(
    datatype: &str,
    rows: usize,
    raw: &Bytes,
) -> Result<FrameColumn, ConvertError> {
    if datatype == "BYTES" {
        return text(&split(raw)?, rows);
    }
    let numbers = match datatype {
        "FP64" => each(raw, rows, |value| Some(f64::from_le_bytes(value))),
        "FP32" => each(raw, rows, |value| Some(f32::from_le_bytes(value).into())),
        "INT64" => each(raw, rows, |value| whole(i64::from_le_bytes(value))),
        "INT32" => each(raw, rows, |value| Some(i32::from_le_bytes(value).into())),
        "INT16" => each(raw, rows, |value| Some(i16::from_le_bytes(value).into())),
        "INT8" => each(raw, rows, |value| Some(i8::from_le_bytes(value).into())),
        "UINT64" => each(raw, rows, |value| natural(u64::from_le_bytes(value))),
        "UINT32" => each(raw, rows, |value| Some(u32::from_le_bytes(value).into())),
        "UINT16" => each(raw, rows, |value| Some(u16::from_le_bytes(value).into())),
        "UINT8" => each(raw, rows, |[value]| Some(value.into())),
        "BOOL" => each(raw, rows, |[value]| (value <= 1).then(|| value.into())),
        _ => Err(unknown(datatype)),
    };
    numbers.map(FrameColumn::Numbers)
}

/// A column from typed contents.
pub(super) fn from_typed(
    datatype: &str,
    rows: usize,
    contents: InferTensorContents,
) -> Result<FrameColumn, ConvertError> {
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    if datatype == "BYTES" {
        return text(&bytes_contents, rows);
    }
    let numbers = match datatype {
        "FP64" => counted(fp64_contents, rows, "contents.fp64_contents"),
        "FP32" => all(fp32_contents, rows, "contents.fp32_contents", |v| {
            Some(v.into())
        }),
        "INT64" => all(int64_contents, rows, "contents.int64_contents", whole),
        "INT8" | "INT16" | "INT32" => all(int_contents, rows, "contents.int_contents", |v| {
            Some(v.into())
        }),
        "UINT64" => all(uint64_contents, rows, "contents.uint64_contents", natural),
        "UINT8" | "UINT16" | "UINT32" => all(uint_contents, rows, "contents.uint_contents", |v| {
            Some(v.into())
        }),
        "BOOL" => all(bool_contents, rows, "contents.bool_contents", |v| {
            Some(u8::from(v).into())
        }),
        _ => Err(unknown(datatype)),
    };
    numbers.map(FrameColumn::Numbers)
}

/// Text as the protocol packs it: for every element its length in 4 bytes, and the bytes.
pub(super) fn packed<'a>(texts: impl Iterator<Item = &'a str>) -> Bytes {
    let mut raw = Vec::new();
    for text in texts {
        // Names of statuses are short.
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        raw.extend_from_slice(&size.to_le_bytes());
        raw.extend_from_slice(text.as_bytes());
    }
    raw.into()
}

fn unknown(datatype: &str) -> ConvertError {
    let why = format!(
        "is {}: must be FP64, FP32, INT64, INT32, INT16, INT8, UINT64, UINT32, UINT16, UINT8, BOOL \
         or BYTES",
        shown(datatype)
    );
    ConvertError::new("datatype", why)
}

#[allow(clippy::cast_precision_loss)]
fn whole(value: i64) -> Option<f64> {
    (value.unsigned_abs() <= EXACT).then_some(value as f64)
}

#[allow(clippy::cast_precision_loss)]
fn natural(value: u64) -> Option<f64> {
    (value <= EXACT).then_some(value as f64)
}

fn each<const SIZE: usize>(
    raw: &[u8],
    rows: usize,
    number: impl Fn([u8; SIZE]) -> Option<f64>,
) -> Result<Vec<f64>, ConvertError> {
    let (values, rest) = raw.as_chunks::<SIZE>();
    if values.len() != rows || !rest.is_empty() {
        let why = format!(
            "has {} bytes of content, expected {SIZE} for each of {rows} rows",
            raw.len()
        );
        return Err(ConvertError::new("raw_input_contents", why));
    }
    let numbers = values.iter().enumerate();
    let exact = |(row, value): (usize, &[u8; SIZE])| {
        number(*value).ok_or_else(|| inexact("raw_input_contents", row))
    };
    numbers.map(exact).collect()
}

fn all<T>(
    values: Vec<T>,
    rows: usize,
    field: &str,
    number: impl Fn(T) -> Option<f64>,
) -> Result<Vec<f64>, ConvertError> {
    let values = counted(values, rows, field)?;
    let exact = |(row, value)| number(value).ok_or_else(|| inexact(field, row));
    values.into_iter().enumerate().map(exact).collect()
}

fn inexact(field: &str, row: usize) -> ConvertError {
    let why = format!("row {row} has a value that no double holds exactly (or a BOOL beyond 1)");
    ConvertError::new(field, why)
}

fn counted<T>(values: Vec<T>, rows: usize, field: &str) -> Result<Vec<T>, ConvertError> {
    if values.len() == rows {
        return Ok(values);
    }
    let why = format!("has {} values, the shape says {rows}", values.len());
    Err(ConvertError::new(field, why))
}

/// The elements of packed text, without a copy.
fn split(raw: &Bytes) -> Result<Vec<Bytes>, ConvertError> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let cut = || {
            let why = format!("ends inside element {}", elements.len());
            ConvertError::new("raw_input_contents", why)
        };
        let head = raw.get(at..at + 4).and_then(|head| head.first_chunk::<4>());
        let size = u32::from_le_bytes(*head.ok_or_else(cut)?) as usize;
        let end = (at + 4).checked_add(size).filter(|end| *end <= raw.len());
        let end = end.ok_or_else(cut)?;
        elements.push(raw.slice(at + 4..end));
        at = end;
    }
    Ok(elements)
}

fn text(elements: &[Bytes], rows: usize) -> Result<FrameColumn, ConvertError> {
    if elements.len() != rows {
        let why = format!("has {} texts, the shape says {rows}", elements.len());
        return Err(ConvertError::new("contents", why));
    }
    let mut texts = Vec::with_capacity(rows);
    for (row, element) in elements.iter().enumerate() {
        let text = std::str::from_utf8(element).map_err(|_| {
            let why = format!("row {row} is not UTF-8 text");
            ConvertError::new("contents", why)
        })?;
        texts.push(Some(text));
    }
    Ok(FrameColumn::from_strings(texts))
}

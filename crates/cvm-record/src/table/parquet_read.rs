//! Parquet files to frames, whole or by chunks of stable column types.

use super::arrow_in::{from_arrow_as, may_exceed_f64, natural_kind, type_kind};
use super::builder::ColumnBuilder;
use super::{check_names, positions};
use crate::{ColumnKind, RecordError};
use arrow_array::{Array, RecordBatch};
use cvm_core::Frame;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const SCAN_ROWS: usize = 64 << 10;
/// Most rows of a frame: its text codes are `i32`, and a file may claim anything.
const MAX_FRAME_ROWS: usize = i32::MAX as usize;

/// How a Parquet file is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParquetOptions {
    /// Columns to read, in the order wanted; default all.
    pub columns: Option<Vec<String>>,
    /// Kinds of columns by name, as from a model's schema; the others follow from their types.
    pub kinds: BTreeMap<String, ColumnKind>,
}

/// Reads a whole file.
///
/// # Errors
/// `Io`, `Malformed`, `NoRows`, `UnsupportedType`, `DuplicateColumn`, `MissingColumn`.
pub fn read_parquet(
    path: impl AsRef<Path>,
    options: &ParquetOptions,
) -> Result<Frame, RecordError> {
    let mut chunks = ParquetChunks::open(path, options, SCAN_ROWS)?;
    let kinds = chunks.kinds.iter().copied();
    let mut builders: Vec<ColumnBuilder> = kinds.map(ColumnBuilder::new).collect();
    let mut row_count = 0;
    for chunk in &mut chunks {
        let chunk = chunk?;
        row_count += chunk.row_count;
        for (builder, (name, column)) in builders.iter_mut().zip(chunk.columns) {
            builder.append(&name, column)?;
        }
    }
    let ParquetChunks { name, names, .. } = chunks;
    if row_count == 0 {
        return Err(RecordError::NoRows { name });
    }
    let mut frame = Frame::new(row_count);
    let columns = builders.into_iter().map(ColumnBuilder::finish);
    frame.columns = names.into_iter().zip(columns).collect();
    Ok(frame)
}

/// Frames of at most `chunk_rows` rows; every one has the same columns of the same types.
///
/// Types come from the file's schema. Columns of 64-bit integers and whole decimals are scanned once
/// beforehand, to learn whether they are numbers or (beyond 2^53) text; `ParquetOptions::kinds`
/// spares the scan.
pub struct ParquetChunks {
    name: String,
    reader: ParquetRecordBatchReader,
    names: Vec<String>,
    kinds: Vec<ColumnKind>,
    ended: bool,
    row_count: u64,
}

impl std::fmt::Debug for ParquetChunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetChunks")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl ParquetChunks {
    /// Opens a file and settles the types of its columns.
    ///
    /// # Errors
    /// As [`read_parquet`]; errors of later rows come from the iterator.
    pub fn open(
        path: impl AsRef<Path>,
        options: &ParquetOptions,
        chunk_rows: usize,
    ) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let file = ParquetFile::open(path)?;
        let all = file.column_names();
        check_names(&file.name, &all)?;
        let wanted = positions(&file.name, &all, options.columns.as_deref())?;
        let names: Vec<String> = wanted.iter().map(|&at| all[at].clone()).collect();
        check_names(&file.name, &names)?;
        let kinds = settle(path, &file, &names, options)?;
        let row_count = file.row_count();
        let name = file.name.clone();
        let reader = file.batches(&wanted, chunk_rows.clamp(1, MAX_FRAME_ROWS))?;
        Ok(ParquetChunks {
            name,
            reader,
            names,
            kinds,
            ended: false,
            row_count,
        })
    }

    /// Names and types of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        self.names
            .iter()
            .map(String::as_str)
            .zip(self.kinds.iter().copied())
    }

    /// Rows of the file, as its footer says.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    fn frame(&self, batch: &RecordBatch) -> Result<Frame, RecordError> {
        let mut frame = Frame::new(batch.num_rows());
        for (name, &kind) in self.names.iter().zip(&self.kinds) {
            let array = batch
                .column_by_name(name)
                .ok_or_else(|| RecordError::missing_column(&self.name, name, std::iter::empty()))?;
            frame
                .columns
                .push((name.clone(), from_arrow_as(name, array, kind)?));
        }
        Ok(frame)
    }
}

impl Iterator for ParquetChunks {
    type Item = Result<Frame, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = next_batch(&mut self.reader, &self.name)?;
        let frame = batch.and_then(|batch| self.frame(&batch));
        self.ended = frame.is_err();
        Some(frame)
    }
}

/// Types of the columns wanted, the open ones by a scan.
fn settle(
    path: &Path,
    file: &ParquetFile,
    names: &[String],
    options: &ParquetOptions,
) -> Result<Vec<ColumnKind>, RecordError> {
    let schema = file.builder.schema();
    let mut kinds = Vec::with_capacity(names.len());
    let mut open = Vec::new();
    for (column, name) in names.iter().enumerate() {
        let field = schema
            .field_with_name(name)
            .map_err(|error| RecordError::malformed(&file.name, "Parquet", error))?;
        let natural = type_kind(name, field.data_type())?;
        let given = options.kinds.get(name).copied();
        if given.is_none() && may_exceed_f64(field.data_type()) {
            open.push(column);
        }
        kinds.push(given.unwrap_or(natural));
    }
    if !open.is_empty() {
        let wanted: Vec<String> = open.iter().map(|&column| names[column].clone()).collect();
        let found = scan(path, &wanted)?;
        for (column, kind) in open.into_iter().zip(found) {
            kinds[column] = kind;
        }
    }
    Ok(kinds)
}

fn scan(path: &Path, wanted: &[String]) -> Result<Vec<ColumnKind>, RecordError> {
    let mut kinds = vec![ColumnKind::Number; wanted.len()];
    for batch in open_batches(path, wanted, SCAN_ROWS)? {
        let batch = batch?;
        for (name, kind) in wanted.iter().zip(&mut kinds) {
            let Some(array) = batch.column_by_name(name) else {
                continue;
            };
            if *kind == ColumnKind::Number {
                *kind = natural_kind(name, array)?;
            }
        }
    }
    Ok(kinds)
}

/// Record batches of some columns of a file.
pub(crate) fn open_batches(
    path: &Path,
    wanted: &[String],
    batch_rows: usize,
) -> Result<impl Iterator<Item = Result<RecordBatch, RecordError>> + use<>, RecordError> {
    let file = ParquetFile::open(path)?;
    let all = file.column_names();
    check_names(&file.name, &all)?;
    let wanted = positions(&file.name, &all, Some(wanted))?;
    let name = file.name.clone();
    let mut reader = file.batches(&wanted, batch_rows)?;
    Ok(std::iter::from_fn(move || next_batch(&mut reader, &name)))
}

/// Arrays of the columns named, in that order.
pub(crate) fn select_columns<'a>(
    table: &str,
    batch: &'a RecordBatch,
    wanted: &str,
) -> Result<&'a dyn Array, RecordError> {
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let at = super::position(table, &names, wanted)?;
    Ok(batch.column(at).as_ref())
}

struct ParquetFile {
    name: String,
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl ParquetFile {
    fn open(path: &Path) -> Result<Self, RecordError> {
        let name = path.display().to_string();
        let io = |error| RecordError::io(&name, error);
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Err(RecordError::Empty { name });
        }
        let builder = guarded(&name, || ParquetRecordBatchReaderBuilder::try_new(file))?;
        let file = ParquetFile { name, builder };
        if file.row_count() == 0 {
            return Err(RecordError::NoRows { name: file.name });
        }
        Ok(file)
    }

    fn column_names(&self) -> Vec<String> {
        self.builder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    fn row_count(&self) -> u64 {
        u64::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Batches of the columns at `positions`, in the file's order.
    fn batches(
        self,
        positions: &[usize],
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, RecordError> {
        let ParquetFile { name, builder } = self;
        guarded(&name, || {
            let roots = positions.iter().copied();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            builder
                .with_projection(mask)
                .with_batch_size(batch_rows)
                .build()
        })
    }
}

fn next_batch(
    reader: &mut ParquetRecordBatchReader,
    name: &str,
) -> Option<Result<RecordBatch, RecordError>> {
    guarded(name, || reader.next().transpose()).transpose()
}

/// Runs the decoder on bytes that may be anything: its panics are errors of the file.
fn guarded<T, E: std::fmt::Display>(
    name: &str,
    decode: impl FnOnce() -> Result<T, E>,
) -> Result<T, RecordError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| RecordError::malformed(name, "Parquet", error)),
        Err(_) => Err(RecordError::malformed(
            name,
            "Parquet",
            "the decoder failed on its bytes",
        )),
    }
}

//! Frames to Parquet files.

use super::csv_write::check_columns;
use super::to_record_batch;
use crate::RecordError;
use arrow_schema::{DataType, Field, Schema};
use cvm_core::{Frame, FrameColumn};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Writes frames of the same columns one after the other: numbers as `DOUBLE`, text as `STRING`,
/// missing as null, compressed with zstd.
#[derive(Debug)]
pub struct ParquetWriter {
    name: String,
    file: Option<File>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    writer: ArrowWriter<File>,
    columns: Vec<String>,
}

impl ParquetWriter {
    /// Creates (or overwrites) a file.
    ///
    /// # Errors
    /// `Io` if it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|error| RecordError::io(&name, error))?;
        Ok(ParquetWriter {
            name,
            file: Some(file),
            open: None,
        })
    }

    /// Appends the rows of `frame`.
    ///
    /// # Errors
    /// Ragged or doubled columns, columns other than the first frame's, or the system's refusal.
    pub fn write(&mut self, frame: &Frame) -> Result<(), RecordError> {
        if let Some(file) = self.file.take() {
            self.open = Some(self.start(file, frame)?);
        }
        let name = &self.name;
        let Some(open) = &mut self.open else {
            return Err(RecordError::malformed(
                name,
                "Parquet",
                "writing it failed before",
            ));
        };
        let names = frame.columns.iter().map(|(name, _)| name.as_str());
        check_columns(name, &open.columns, names)?;
        let batch = to_record_batch(frame)?;
        open.writer
            .write(&batch)
            .map_err(|error| failed(name, error))
    }

    fn start(&self, file: File, frame: &Frame) -> Result<Open, RecordError> {
        let fields = frame.columns.iter().map(|(name, column)| {
            let data_type = match column {
                FrameColumn::Numbers(_) => DataType::Float64,
                FrameColumn::Text { .. } => DataType::Utf8,
            };
            Field::new(name, data_type, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(file, schema, Some(properties))
            .map_err(|error| failed(&self.name, error))?;
        let columns = frame.columns.iter().map(|(name, _)| name.clone()).collect();
        Ok(Open { writer, columns })
    }

    /// Writes the footer and closes the file.
    ///
    /// # Errors
    /// `NoRows` if nothing was written, or the system's refusal.
    pub fn finish(self) -> Result<(), RecordError> {
        let ParquetWriter { name, open, .. } = self;
        let Some(open) = open else {
            return Err(RecordError::NoRows { name });
        };
        open.writer
            .close()
            .map(drop)
            .map_err(|error| failed(&name, error))
    }
}

fn failed(name: &str, error: parquet::errors::ParquetError) -> RecordError {
    RecordError::io(name, std::io::Error::other(error.to_string()))
}

/// Writes one frame to a Parquet file.
///
/// # Errors
/// As [`ParquetWriter`].
pub fn write_parquet(path: impl AsRef<Path>, frame: &Frame) -> Result<(), RecordError> {
    let mut writer = ParquetWriter::create(path)?;
    writer.write(frame)?;
    writer.finish()
}

//! Frames to text files, with numbers that read back to the same bits.

use crate::RecordError;
use crate::cell::print_number;
use cvm_core::{Column, Frame};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes frames of the same columns one after the other; the header comes with the first.
///
/// Numbers have the shortest digits that read back to the same bits; a missing value is an empty
/// cell. Lines end with `\n`.
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    name: String,
    writer: csv::Writer<W>,
    columns: Option<Vec<String>>,
}

impl CsvWriter<BufWriter<File>> {
    /// Creates (or overwrites) a file.
    ///
    /// # Errors
    /// `Io` if it cannot be created.
    pub fn create(path: impl AsRef<Path>, delimiter: u8) -> Result<Self, RecordError> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|error| RecordError::io(&name, error))?;
        Ok(CsvWriter::new(BufWriter::new(file), name, delimiter))
    }
}

impl<W: Write> CsvWriter<W> {
    /// Writes to `output`, called `name` in messages.
    pub fn new(output: W, name: impl Into<String>, delimiter: u8) -> Self {
        CsvWriter {
            name: name.into(),
            writer: csv::WriterBuilder::new()
                .delimiter(delimiter)
                .from_writer(output),
            columns: None,
        }
    }

    /// Appends the rows of `frame`.
    ///
    /// # Errors
    /// Ragged or doubled columns, columns other than the first frame's, or the system's refusal.
    pub fn write(&mut self, frame: &Frame) -> Result<(), RecordError> {
        let batch = frame.batch()?;
        self.write_header(frame)?;
        let columns: Vec<&Column<'_>> = frame
            .columns
            .iter()
            .filter_map(|(name, _)| batch.get(name))
            .collect();
        let mut number = String::new();
        for row in 0..frame.row_count {
            for column in &columns {
                let cell = match column {
                    Column::Numbers(values) => {
                        print_number(values.get(row).copied().unwrap_or(f64::NAN), &mut number);
                        number.as_str()
                    }
                    Column::Text(text) => text.get(row).unwrap_or(""),
                };
                self.writer
                    .write_field(cell)
                    .map_err(|e| failed(&self.name, e))?;
            }
            self.writer
                .write_record(None::<&[u8]>)
                .map_err(|e| failed(&self.name, e))?;
        }
        Ok(())
    }

    fn write_header(&mut self, frame: &Frame) -> Result<(), RecordError> {
        let names = || frame.columns.iter().map(|(name, _)| name.as_str());
        if let Some(columns) = &self.columns {
            return check_columns(&self.name, columns, names());
        }
        self.writer
            .write_record(names())
            .map_err(|e| failed(&self.name, e))?;
        self.columns = Some(names().map(str::to_owned).collect());
        Ok(())
    }

    /// Flushes everything and returns the output.
    ///
    /// # Errors
    /// `Io` if the last bytes cannot be written.
    pub fn finish(self) -> Result<W, RecordError> {
        let CsvWriter { name, writer, .. } = self;
        let mut output = writer.into_inner().map_err(|error| {
            RecordError::io(&name, std::io::Error::other(error.error().to_string()))
        })?;
        output
            .flush()
            .map_err(|error| RecordError::io(&name, error))?;
        Ok(output)
    }
}

pub(super) fn check_columns<'a>(
    name: &str,
    columns: &[String],
    given: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), RecordError> {
    if given.clone().eq(columns.iter().map(String::as_str)) {
        return Ok(());
    }
    let given: Vec<&str> = given.collect();
    let problem = format!(
        "{name}: the columns are [{}], those of the first rows were [{}]",
        given.join(", "),
        columns.join(", ")
    );
    Err(RecordError::Options(cvm_core::InputError::new(
        "columns", problem,
    )))
}

fn failed(name: &str, error: csv::Error) -> RecordError {
    let words = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => RecordError::io(name, source),
        _ => RecordError::malformed(name, "CSV", words),
    }
}

/// Writes one frame to a comma-separated file.
///
/// # Errors
/// As [`CsvWriter`].
pub fn write_csv(path: impl AsRef<Path>, frame: &Frame) -> Result<(), RecordError> {
    let mut writer = CsvWriter::create(path, b',')?;
    writer.write(frame)?;
    writer.finish().map(drop)
}

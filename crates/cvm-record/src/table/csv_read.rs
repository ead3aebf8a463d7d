//! Text files to frames, whole or by chunks of stable column types.

use super::builder::ColumnBuilder;
use super::{CsvHeader, CsvOptions, CsvSource, Records, check_names, positions};
use crate::cell::{is_number, parse_number};
use crate::{ColumnKind, RecordError};
use csv::StringRecord;
use cvm_core::Frame;

/// Reads a whole source.
///
/// # Errors
/// Everything [`RecordError`] says of text files: empty, no rows, ragged, not UTF-8, doubled names.
pub fn read_csv(source: &CsvSource, options: &CsvOptions) -> Result<Frame, RecordError> {
    let mut chunks = CsvChunks::open(source, options, usize::MAX)?;
    match chunks.next() {
        Some(frame) => frame,
        None => Err(no_rows(source)),
    }
}

fn no_rows(source: &CsvSource) -> RecordError {
    RecordError::NoRows {
        name: source.name().to_owned(),
    }
}

#[derive(Debug, Clone)]
struct Layout {
    names: Vec<String>,
    /// Position of each column in a record.
    positions: Vec<usize>,
    kinds: Vec<ColumnKind>,
}

/// Frames of at most `chunk_rows` rows; every one has the same columns of the same types.
///
/// The source is read twice: once to learn the types of the columns that `CsvOptions::kinds` does not
/// name (not at all if it names every column), and once for the rows.
pub struct CsvChunks {
    options: CsvOptions,
    records: Records,
    header: CsvHeader,
    layout: Layout,
    chunk_rows: usize,
    ended: bool,
}

impl std::fmt::Debug for CsvChunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvChunks")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl CsvChunks {
    /// Opens a source and settles the types of its columns.
    ///
    /// # Errors
    /// As [`read_csv`]; errors of later rows come from the iterator.
    pub fn open(
        source: &CsvSource,
        options: &CsvOptions,
        chunk_rows: usize,
    ) -> Result<Self, RecordError> {
        let layout = settle(source, options)?;
        let mut records = Records::open(source, options.delimiter)?;
        let header = CsvHeader::read(&mut records, options)?;
        Ok(CsvChunks {
            options: options.clone(),
            records,
            header,
            layout,
            chunk_rows: chunk_rows.max(1),
            ended: false,
        })
    }

    /// Names and types of the columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, ColumnKind)> {
        let Layout { names, kinds, .. } = &self.layout;
        names.iter().map(String::as_str).zip(kinds.iter().copied())
    }

    fn read_chunk(&mut self) -> Result<Option<Frame>, RecordError> {
        let kinds = self.layout.kinds.iter().copied();
        let mut builders: Vec<ColumnBuilder> = kinds.map(ColumnBuilder::new).collect();
        let mut record = StringRecord::new();
        let mut row_count = 0;
        while row_count < self.chunk_rows {
            let Some(line) = self.header.next_row(&mut self.records, &mut record)? else {
                self.ended = true;
                break;
            };
            for (column, builder) in builders.iter_mut().enumerate() {
                let cell = record.get(self.layout.positions[column]).unwrap_or("");
                let missing = self.options.is_missing(cell);
                push_cell(builder, cell, missing, &self.layout.names[column], line)?;
            }
            row_count += 1;
        }
        Ok((row_count > 0).then(|| self.frame(row_count, builders)))
    }

    fn frame(&self, row_count: usize, builders: Vec<ColumnBuilder>) -> Frame {
        let mut frame = Frame::new(row_count);
        let columns = builders.into_iter().map(ColumnBuilder::finish);
        frame.columns = self.layout.names.iter().cloned().zip(columns).collect();
        frame
    }
}

impl Iterator for CsvChunks {
    type Item = Result<Frame, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let chunk = self.read_chunk().transpose();
        if matches!(chunk, Some(Err(_))) {
            self.ended = true;
        }
        chunk
    }
}

/// Names, positions and types of the columns wanted; one pass over the source if a type is open.
fn settle(source: &CsvSource, options: &CsvOptions) -> Result<Layout, RecordError> {
    let mut records = Records::open(source, options.delimiter)?;
    let mut header = CsvHeader::read(&mut records, options)?;
    let positions = positions(source.name(), &header.names, options.columns.as_deref())?;
    let names: Vec<String> = positions
        .iter()
        .map(|&at| header.names[at].clone())
        .collect();
    check_names(source.name(), &names)?;
    let mut record = StringRecord::new();
    if header.next_row(&mut records, &mut record)?.is_none() {
        return Err(no_rows(source));
    }
    let given = |name: &String| options.kinds.get(name).copied();
    let mut kinds: Vec<ColumnKind> = names
        .iter()
        .map(|name| given(name).unwrap_or(ColumnKind::Number))
        .collect();
    // Columns whose cells have all been numbers so far.
    let mut open: Vec<usize> = (0..names.len())
        .filter(|&i| given(&names[i]).is_none())
        .collect();
    while !open.is_empty() {
        open.retain(|&column| {
            let cell = record.get(positions[column]).unwrap_or("");
            let fits = options.is_missing(cell) || is_number(cell);
            if !fits {
                kinds[column] = ColumnKind::Text;
            }
            fits
        });
        if header.next_row(&mut records, &mut record)?.is_none() {
            break;
        }
    }
    Ok(Layout {
        names,
        positions,
        kinds,
    })
}

fn push_cell(
    builder: &mut ColumnBuilder,
    cell: &str,
    missing: bool,
    name: &str,
    line: u64,
) -> Result<(), RecordError> {
    match builder {
        ColumnBuilder::Numbers(values) if missing => values.push(f64::NAN),
        ColumnBuilder::Numbers(values) => match parse_number(cell) {
            Some(value) => values.push(value),
            None => return Err(not_a_number(cell, name, line)),
        },
        ColumnBuilder::Text { codes, .. } if missing => codes.push(-1),
        ColumnBuilder::Text { pool, codes } => codes.push(pool.insert(cell, name)?.cast_signed()),
    }
    Ok(())
}

fn not_a_number(cell: &str, name: &str, line: u64) -> RecordError {
    const SHOWN_CHARS: usize = 80;
    let shown: String = cell.chars().take(SHOWN_CHARS).collect();
    RecordError::BadCell {
        column: name.to_owned(),
        place: format!("line {line}"),
        value: format!("\"{shown}\""),
        allowed: "a number or missing",
    }
}

//! Records of a text file: opened, limited, checked for shape and UTF-8, one at a time.

use super::{CsvOptions, Delimiter, check_names};
use crate::RecordError;
use csv::StringRecord;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes of one record: an unclosed quote must not swallow a file.
const MAX_RECORD_BYTES: u64 = 16 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// Looked at to learn how lines end.
const HEAD_BYTES: u64 = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where text comes from; it can be read more than once.
#[derive(Debug, Clone)]
pub struct CsvSource {
    name: String,
    input: Input,
}

#[derive(Debug, Clone)]
enum Input {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl CsvSource {
    /// A file. What is not a regular file (a pipe) can be read only once, so it is read into memory
    /// here.
    ///
    /// # Errors
    /// `Io` if there is no such file or it cannot be read.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let io = |error| RecordError::io(&name, error);
        let metadata = std::fs::metadata(path).map_err(io)?;
        let input = if metadata.is_file() {
            Input::File(path.to_owned())
        } else {
            Input::Bytes(std::fs::read(path).map_err(io)?.into())
        };
        Ok(CsvSource { name, input })
    }

    /// Bytes in memory, under a name for messages.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        CsvSource {
            name: name.into(),
            input: Input::Bytes(bytes.into()),
        }
    }

    /// Name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<Opened, RecordError> {
        let io = |error| RecordError::io(&self.name, error);
        let mut input: Box<dyn Read + Send> = match &self.input {
            Input::File(path) => Box::new(File::open(path).map_err(io)?),
            Input::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        let mut head = Vec::new();
        input
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(io)?;
        if head.is_empty() {
            let name = self.name.clone();
            return Err(RecordError::Empty { name });
        }
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let first_end = head.iter().position(|byte| *byte == b'\n');
        let ends_in_return =
            first_end.and_then(|end| head.get(end.checked_sub(1)?)) == Some(&b'\r');
        Ok(Opened {
            bytes: Box::new(Cursor::new(head).chain(input)),
            ends_in_return,
        })
    }
}

/// A source from its first byte, the byte order mark left out.
struct Opened {
    bytes: Box<dyn Read + Send>,
    /// Whether lines end in `\r\n` (the first one does).
    ends_in_return: bool,
}

/// Counts the bytes read since the last whole record, and stops at the limit.
struct Metered {
    inner: Box<dyn Read + Send>,
    since_record_bytes: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buffer)?;
        let before = self
            .since_record_bytes
            .fetch_add(got as u64, Ordering::Relaxed);
        if before > MAX_RECORD_BYTES {
            return Err(std::io::Error::other("record too long"));
        }
        Ok(got)
    }
}

enum Lines {
    Csv {
        reader: Box<csv::Reader<Metered>>,
        ends_in_return: bool,
    },
    Blanks {
        reader: BufReader<Metered>,
        line: Vec<u8>,
        line_number: u64,
    },
}

/// The records of a source, every one as long as the first.
pub(crate) struct Records {
    name: String,
    lines: Lines,
    since_record_bytes: Arc<AtomicU64>,
    cell_count: Option<usize>,
}

impl Records {
    pub(crate) fn open(source: &CsvSource, delimiter: Delimiter) -> Result<Self, RecordError> {
        let since_record_bytes = Arc::new(AtomicU64::new(0));
        let Opened {
            bytes,
            ends_in_return,
        } = source.open()?;
        let input = Metered {
            inner: bytes,
            since_record_bytes: Arc::clone(&since_record_bytes),
        };
        let lines = match delimiter {
            Delimiter::Character(byte) => Lines::Csv {
                reader: Box::new(csv_reader(input, byte)),
                ends_in_return,
            },
            Delimiter::Whitespace => Lines::Blanks {
                reader: BufReader::with_capacity(BUFFER_BYTES, input),
                line: Vec::new(),
                line_number: 0,
            },
        };
        Ok(Records {
            name: source.name.clone(),
            lines,
            since_record_bytes,
            cell_count: None,
        })
    }

    /// Reads the next record into `record`: the line it starts on, or `None` at the end.
    pub(crate) fn next(&mut self, record: &mut StringRecord) -> Result<Option<u64>, RecordError> {
        let result = match &mut self.lines {
            Lines::Csv {
                reader,
                ends_in_return,
            } => next_csv(reader, *ends_in_return, record),
            Lines::Blanks {
                reader,
                line,
                line_number,
            } => next_blanks(reader, line, line_number, record),
        };
        let line = result.map_err(|failure| self.explain(failure))?;
        self.since_record_bytes.store(0, Ordering::Relaxed);
        if let Some(line) = line {
            self.check_shape(record, line)?;
        }
        Ok(line)
    }

    fn check_shape(&mut self, record: &StringRecord, line: u64) -> Result<(), RecordError> {
        let want = *self.cell_count.get_or_insert(record.len());
        if record.len() == want {
            return Ok(());
        }
        Err(RecordError::Ragged {
            name: self.name.clone(),
            line,
            got: record.len() as u64,
            want: want as u64,
        })
    }

    fn explain(&self, failure: Failure) -> RecordError {
        let name = self.name.clone();
        match failure {
            Failure::Io(_)
                if self.since_record_bytes.load(Ordering::Relaxed) > MAX_RECORD_BYTES =>
            {
                RecordError::TooMany {
                    name,
                    what: "bytes in one record (is a quote left open?)",
                    limit: MAX_RECORD_BYTES,
                }
            }
            Failure::Io(source) => RecordError::Io { name, source },
            Failure::NotUtf8(line) => RecordError::NotUtf8 { name, line },
            Failure::Other(problem) => RecordError::malformed(name, "CSV", problem),
        }
    }
}

enum Failure {
    Io(std::io::Error),
    NotUtf8(u64),
    Other(String),
}

fn csv_reader(input: Metered, delimiter: u8) -> csv::Reader<Metered> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        // The shape is checked here, with the right line.
        .flexible(true)
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(input)
}

fn next_csv(
    reader: &mut csv::Reader<Metered>,
    ends_in_return: bool,
    record: &mut StringRecord,
) -> Result<Option<u64>, Failure> {
    let before = reader.position().line();
    if !reader
        .read_record(record)
        .map_err(|error| csv_failure(error, ends_in_return))?
    {
        return Ok(None);
    }
    // The reader counts the `\n` it has passed. It stops after a `\n`, but at the `\r` of `\r\n`; and
    // it starts before the blank lines that it skips.
    let inside = record
        .iter()
        .map(|cell| cell.bytes().filter(|b| *b == b'\n').count() as u64);
    let last_line = reader.position().line() - u64::from(!ends_in_return);
    let line = last_line.saturating_sub(inside.sum());
    Ok(Some(line.max(before)))
}

fn csv_failure(error: csv::Error, ends_in_return: bool) -> Failure {
    let words = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Failure::Io(error),
        csv::ErrorKind::Utf8 { pos, .. } => Failure::NotUtf8(pos.map_or(0, |pos| {
            pos.line() + u64::from(ends_in_return && pos.record() > 0)
        })),
        _ => Failure::Other(words),
    }
}

fn next_blanks(
    reader: &mut BufReader<Metered>,
    line: &mut Vec<u8>,
    line_number: &mut u64,
    record: &mut StringRecord,
) -> Result<Option<u64>, Failure> {
    record.clear();
    while record.is_empty() {
        line.clear();
        if reader.read_until(b'\n', line).map_err(Failure::Io)? == 0 {
            return Ok(None);
        }
        *line_number += 1;
        let text = std::str::from_utf8(line).map_err(|_| Failure::NotUtf8(*line_number))?;
        for cell in text.split_whitespace() {
            record.push_field(cell);
        }
    }
    Ok(Some(*line_number))
}

/// Names of the columns, and the first row if it was read to learn their number.
#[derive(Debug)]
pub(crate) struct CsvHeader {
    pub(crate) names: Vec<String>,
    first_row: Option<(StringRecord, u64)>,
}

impl CsvHeader {
    /// Reads the names from the head of `records`.
    pub(crate) fn read(records: &mut Records, options: &CsvOptions) -> Result<Self, RecordError> {
        let mut record = StringRecord::new();
        let Some(line) = records.next(&mut record)? else {
            let name = records.name.clone();
            return Err(RecordError::NoRows { name });
        };
        let names = match &options.names {
            Some(names) if names.len() == record.len() => names.clone(),
            Some(names) => return Err(wrong_name_count(names.len(), record.len())),
            None if options.has_header => record.iter().map(str::to_owned).collect(),
            None => (1..=record.len()).map(|i| format!("column_{i}")).collect(),
        };
        check_names(&records.name, &names)?;
        Ok(CsvHeader {
            names,
            first_row: (!options.has_header).then_some((record, line)),
        })
    }

    /// The next row: the one kept by [`CsvHeader::read`] first.
    pub(crate) fn next_row(
        &mut self,
        records: &mut Records,
        record: &mut StringRecord,
    ) -> Result<Option<u64>, RecordError> {
        if let Some((first, line)) = self.first_row.take() {
            *record = first;
            return Ok(Some(line));
        }
        records.next(record)
    }
}

fn wrong_name_count(got: usize, want: usize) -> RecordError {
    RecordError::option(
        "names",
        format!("has {got} names, the file has {want} columns"),
    )
}

//! Tables by the ending of their file: read whole or in chunks, written whole or not at all.

use crate::args::TextArgs;
use crate::failure::Failure;
use cvm::Frame;
use cvm::table::{
    ColumnKind, CsvChunks, CsvOptions, CsvSource, CsvWriter, Delimiter, ParquetChunks,
    ParquetOptions, ParquetWriter, RecordError, read_csv, read_parquet,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How a table is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text with this separator.
    Text(Delimiter),
    /// Parquet.
    Parquet,
}

/// The format that the ending of a file name stands for.
pub fn format(path: &Path) -> Result<Format, Failure> {
    if path == Path::new("-") {
        return Ok(Format::Text(Delimiter::Character(b',')));
    }
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("parquet" | "pq") => Ok(Format::Parquet),
        Some("tsv" | "tab") => Ok(Format::Text(Delimiter::Character(b'\t'))),
        Some("csv" | "txt" | "dat" | "data") => Ok(Format::Text(Delimiter::Character(b','))),
        _ => {
            let why = "has an unknown ending: must be .csv, .tsv, .txt or .parquet";
            Err(Failure::argument(&path.display().to_string(), why))
        }
    }
}

/// What to read of a table.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Columns, all if unset.
    pub columns: Option<Vec<String>>,
    /// Types that are known beforehand.
    pub kinds: BTreeMap<String, ColumnKind>,
}

/// Options of a text file from arguments and the file's ending.
pub fn csv_options(delimiter: Delimiter, text: &TextArgs) -> Result<CsvOptions, Failure> {
    let delimiter = match &text.delimiter {
        None => delimiter,
        Some(given) => Delimiter::parse(given).ok_or_else(|| {
            let why = format!(
                "is \"{given}\": must be one character, or comma, semicolon, tab, pipe or whitespace"
            );
            Failure::argument("--delimiter", why)
        })?,
    };
    Ok(CsvOptions {
        delimiter,
        has_header: !text.no_header,
        names: text.names.clone(),
        ..CsvOptions::default()
    })
}

fn text_options(
    delimiter: Delimiter,
    text: &TextArgs,
    wanted: &Wanted,
) -> Result<CsvOptions, Failure> {
    Ok(CsvOptions {
        columns: wanted.columns.clone(),
        kinds: wanted.kinds.clone(),
        ..csv_options(delimiter, text)?
    })
}

fn parquet_options(wanted: &Wanted) -> ParquetOptions {
    ParquetOptions {
        columns: wanted.columns.clone(),
        kinds: wanted.kinds.clone(),
    }
}

/// Reads a whole table.
pub fn read(path: &Path, text: &TextArgs, wanted: &Wanted) -> Result<Frame, Failure> {
    match format(path)? {
        Format::Parquet => Ok(read_parquet(path, &parquet_options(wanted)).map_err(failed)?),
        Format::Text(delimiter) => {
            let source = CsvSource::path(path).map_err(failed)?;
            Ok(read_csv(&source, &text_options(delimiter, text, wanted)?).map_err(failed)?)
        }
    }
}

/// A table read in chunks of rows, every one with the same columns of the same types.
#[derive(Debug)]
pub enum Chunks {
    /// Of a text file.
    Text(Box<CsvChunks>),
    /// Of a Parquet file.
    Parquet(Box<ParquetChunks>),
}

impl Chunks {
    /// Opens a table.
    pub fn open(
        path: &Path,
        text: &TextArgs,
        wanted: &Wanted,
        chunk_rows: usize,
    ) -> Result<Chunks, Failure> {
        match format(path)? {
            Format::Parquet => {
                let chunks = ParquetChunks::open(path, &parquet_options(wanted), chunk_rows);
                Ok(Chunks::Parquet(Box::new(chunks.map_err(failed)?)))
            }
            Format::Text(delimiter) => {
                let source = CsvSource::path(path).map_err(failed)?;
                let options = text_options(delimiter, text, wanted)?;
                let chunks = CsvChunks::open(&source, &options, chunk_rows).map_err(failed)?;
                Ok(Chunks::Text(Box::new(chunks)))
            }
        }
    }

    /// Names of the columns in order.
    pub fn names(&self) -> Vec<String> {
        match self {
            Chunks::Text(chunks) => chunks.columns().map(|(name, _)| name.to_owned()).collect(),
            Chunks::Parquet(chunks) => chunks.columns().map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// Rows of the table, if the file says so.
    pub fn row_count(&self) -> Option<u64> {
        match self {
            Chunks::Text(_) => None,
            Chunks::Parquet(chunks) => Some(chunks.row_count()),
        }
    }
}

impl Iterator for Chunks {
    type Item = Result<Frame, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = match self {
            Chunks::Text(chunks) => chunks.next(),
            Chunks::Parquet(chunks) => chunks.next(),
        };
        chunk.map(|frame| frame.map_err(failed))
    }
}

/// A refusal of the reader or writer as a failure.
pub fn failed(error: RecordError) -> Failure {
    match &error {
        RecordError::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe => {
            Failure::BrokenPipe
        }
        _ => Failure::Error(error.into()),
    }
}

/// Where a table goes.
pub struct Sink {
    writer: Writer,
    target: Target,
}

enum Writer {
    Text(Box<CsvWriter<Box<dyn Write>>>),
    Parquet(Box<ParquetWriter>),
}

impl Sink {
    /// Prepares a file, or standard output for `-`. A file gets its name when it is complete.
    pub fn create(path: &Path) -> Result<Sink, Failure> {
        let target = Target::new(path);
        let place = target.place();
        let writer = match format(path)? {
            Format::Parquet => {
                let writer = ParquetWriter::create(place).map_err(failed)?;
                Writer::Parquet(Box::new(writer))
            }
            Format::Text(delimiter) => {
                let output = target.open()?;
                let separator = match delimiter {
                    Delimiter::Character(byte) => byte,
                    Delimiter::Whitespace => b' ',
                };
                let name = path.display().to_string();
                Writer::Text(Box::new(CsvWriter::new(output, name, separator)))
            }
        };
        Ok(Sink { writer, target })
    }

    /// Appends rows.
    pub fn write(&mut self, frame: &Frame) -> Result<(), Failure> {
        let written = match &mut self.writer {
            Writer::Text(writer) => writer.write(frame),
            Writer::Parquet(writer) => writer.write(frame),
        };
        written.map_err(|error| self.target.failed(error))
    }

    /// Completes the file and gives it its name.
    pub fn finish(self) -> Result<(), Failure> {
        let Sink { writer, target } = self;
        let finished = match writer {
            Writer::Text(writer) => writer.finish().map(drop),
            Writer::Parquet(writer) => writer.finish(),
        };
        finished.map_err(|error| target.failed(error))?;
        target.publish()
    }
}

/// Writes one frame.
pub fn write(path: &Path, frame: &Frame) -> Result<(), Failure> {
    let mut sink = Sink::create(path)?;
    sink.write(frame)?;
    sink.finish()
}

/// A file under a working name until it is complete; removed if it never is.
struct Target {
    path: PathBuf,
    working: Option<PathBuf>,
    broken: Rc<Cell<bool>>,
}

impl Target {
    fn new(path: &Path) -> Target {
        let special = fs::metadata(path).is_ok_and(|found| !found.is_file());
        let direct = path == Path::new("-") || special;
        Target {
            path: path.to_owned(),
            working: (!direct).then(|| working_name(path)),
            broken: Rc::new(Cell::new(false)),
        }
    }

    fn place(&self) -> &Path {
        self.working.as_deref().unwrap_or(&self.path)
    }

    fn open(&self) -> Result<Box<dyn Write>, Failure> {
        if self.path == Path::new("-") {
            let broken = Rc::clone(&self.broken);
            return Ok(Box::new(BufWriter::new(Pipe { broken })));
        }
        let file = File::create(self.place()).map_err(|error| Failure::file(&self.path, &error))?;
        Ok(Box::new(BufWriter::new(file)))
    }

    fn failed(&self, error: RecordError) -> Failure {
        if self.broken.get() {
            return Failure::BrokenPipe;
        }
        failed(error)
    }

    fn publish(mut self) -> Result<(), Failure> {
        let Some(working) = self.working.take() else {
            return Ok(());
        };
        fs::rename(&working, &self.path).map_err(|error| {
            // The working file is of no use under its own name.
            let _ = fs::remove_file(&working);
            Failure::file(&self.path, &error)
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(working) = &self.working {
            // Nothing was written if there is nothing to remove.
            let _ = fs::remove_file(working);
        }
    }
}

fn working_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

/// Standard output that remembers whether its reader left.
struct Pipe {
    broken: Rc<Cell<bool>>,
}

impl Pipe {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.broken
                .set(self.broken.get() || error.kind() == ErrorKind::BrokenPipe);
        }
        result
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.note(io::stdout().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.note(io::stdout().lock().flush())
    }
}

//! Reading a log: records one by one, with what cannot be read told and passed by.

use super::AuditRecord;
use crate::Error;
use cvm_core::ErrorKind;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// Ending of the files of a log.
const ENDING: &str = "jsonl";

/// Longest line that is read; a record of 100 000 rows and 100 columns has a third of it.
const MAX_LINE_BYTES: u64 = 512 << 20;

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditLine {
    /// A record.
    Record(Box<AuditRecord>),
    /// The last line, cut off: whoever wrote it was ended in the middle of it.
    Torn,
    /// Something else, and why.
    Unreadable(String),
}

/// The lines of a file.
#[derive(Debug)]
pub struct AuditReader<R> {
    lines: R,
    line: u64,
    bytes: u64,
    ended: bool,
}

impl<R: BufRead> AuditReader<R> {
    /// Reads from here.
    pub fn new(lines: R) -> AuditReader<R> {
        AuditReader {
            lines,
            line: 0,
            bytes: 0,
            ended: false,
        }
    }

    /// Number of the line read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Bytes read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&mut self) -> std::io::Result<Option<AuditLine>> {
        let mut bytes = Vec::new();
        let mut rest = self.lines.by_ref().take(MAX_LINE_BYTES);
        rest.read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        self.bytes += bytes.len() as u64;
        let whole = bytes.last() == Some(&b'\n');
        if !whole && bytes.len() as u64 == MAX_LINE_BYTES {
            // What follows is the middle of a line.
            self.ended = true;
            let why =
                format!("the line has more than {MAX_LINE_BYTES} bytes; the rest is not read");
            return Ok(Some(AuditLine::Unreadable(why)));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "not UTF-8".to_owned());
        let record = text.and_then(|text| AuditRecord::parse(text).map_err(|e| e.message));
        Ok(Some(match record {
            Ok(record) => AuditLine::Record(Box::new(record)),
            Err(_) if !whole => AuditLine::Torn,
            Err(why) => AuditLine::Unreadable(why),
        }))
    }
}

impl<R: BufRead> Iterator for AuditReader<R> {
    type Item = std::io::Result<AuditLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended |= !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

/// The files of a log in the order they were begun: a file, or those of a folder.
///
/// # Errors
/// `NotFound` if there is nothing of the name, or no log in the folder.
pub fn audit_files(log: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        Error::new(kind, format!("{}: {error}", log.display()))
    };
    if !std::fs::metadata(log).map_err(failed)?.is_dir() {
        return Ok(vec![log.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(log).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        false => Ok(files),
        true => {
            let why = format!("{} has no file that ends in .{ENDING}", log.display());
            Err(Error::new(ErrorKind::NotFound, why))
        }
    }
}

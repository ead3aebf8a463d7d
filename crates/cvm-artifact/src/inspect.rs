//! A look into a file that reports as much as can be read, damaged or not.

use crate::layout::{self, Entry};
use crate::{ArtifactError, Fingerprint, decode, json, magic};
use serde::Serialize;
use serde_json::Value;

/// One section as its record and its bytes tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionInfo {
    /// Kind id.
    pub kind: u32,
    /// Name of the kind; `ancillary` or `unknown` if this build does not know it.
    pub name: &'static str,
    /// Place in the file.
    pub offset_bytes: u64,
    /// Length without padding.
    pub length_bytes: u64,
    /// Checksum in the section table.
    pub crc32_stored: u32,
    /// Checksum of the bytes; absent if the file ends before them.
    pub crc32_computed: Option<u32>,
}

impl SectionInfo {
    fn of(entry: &Entry, bytes: &[u8]) -> Self {
        SectionInfo {
            kind: entry.kind,
            name: layout::kind_name(entry.kind),
            offset_bytes: entry.offset_bytes,
            length_bytes: entry.length_bytes,
            crc32_stored: entry.crc32,
            crc32_computed: entry.payload(bytes).map(crc32fast::hash),
        }
    }

    /// Whether the bytes are there and match their checksum.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.crc32_computed == Some(self.crc32_stored)
    }
}

/// What can be told of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// Length of the file.
    pub length_bytes: u64,
    /// Format version, if the file begins like a model file.
    pub format_version: Option<u32>,
    /// Sections in table order; empty if the table cannot be trusted.
    pub sections: Vec<SectionInfo>,
    /// The header, if it is there and canonical JSON.
    pub header: Option<Value>,
    /// The hash in the trailer.
    pub fingerprint_stored: Option<Fingerprint>,
    /// The hash of the bytes before the trailer: the model's fingerprint if both agree.
    pub fingerprint_computed: Option<Fingerprint>,
    /// Everything found wrong; empty if and only if [`decode`] accepts the file.
    pub problems: Vec<String>,
}

impl Inspection {
    /// Whether [`decode`] accepts the file.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn note<T>(&mut self, result: Result<T, ArtifactError>) -> Option<T> {
        result
            .map_err(|error| self.note_once(error.to_string()))
            .ok()
    }

    fn note_once(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Looks into `bytes` as far as they can be read; never fails.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut report = Inspection {
        length_bytes: bytes.len() as u64,
        format_version: None,
        sections: Vec::new(),
        header: None,
        fingerprint_stored: None,
        fingerprint_computed: None,
        problems: Vec::new(),
    };
    if report.note(magic::check(bytes)).is_some() {
        report.format_version = report.note(layout::read_version(bytes));
        inspect_trailer(&mut report, bytes);
        if report.format_version == Some(crate::FORMAT_VERSION) {
            inspect_sections(&mut report, bytes);
        }
    }
    let _ = report.note(decode(bytes));
    report
}

fn inspect_trailer(report: &mut Inspection, bytes: &[u8]) {
    if let Some((body, stored)) = layout::split_trailer(bytes) {
        report.fingerprint_stored = Some(stored);
        report.fingerprint_computed = Some(Fingerprint::of(body));
    }
}

fn inspect_sections(report: &mut Inspection, bytes: &[u8]) {
    let Some(entries) = report.note(layout::read_table(bytes)) else {
        return;
    };
    let _ = report.note(layout::check_kinds(&entries));
    for entry in &entries {
        report.sections.push(SectionInfo::of(entry, bytes));
        let _ = report.note(layout::check_section(entry, bytes));
    }
    let header = entries.iter().find(|entry| entry.kind == layout::HEADER);
    if let Some(text) = header.and_then(|entry| entry.payload(bytes)) {
        let parsed = json::parse(text).map_err(|problem| ArtifactError::Header { problem });
        report.header = report.note(parsed);
    }
}

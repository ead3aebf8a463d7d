//! The container: magic, section table, checksummed sections without holes, SHA-256 trailer.
//!
//! ```text
//! 0   magic (8)
//! 8   format version u32     the magic, this and the trailer stay where they are in all versions
//! 12  section count n u32
//! 16  CRC-32 of bytes 0..16 and of the table u32
//! 20  zero u32
//! 24  table: n × { kind u32, CRC-32 u32, offset u64, length u64 }
//!     sections in table order, each at a multiple of 8, zero bytes between
//! −32 SHA-256 of everything before
//! ```
//! All integers are little-endian.

use crate::limits::{MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_SECTIONS};
use crate::{ArtifactError, FORMAT_VERSION, Fingerprint, magic};

/// Kinds every file has, in this order.
pub(crate) const REQUIRED: [(u32, &str); 5] = [
    (HEADER, "header"),
    (ARRAYS, "arrays"),
    (PROBE_INPUTS, "probe inputs"),
    (PROBE_SCORES, "probe scores"),
    (PROBE_STATUS, "probe status"),
];
/// Canonical JSON.
pub(crate) const HEADER: u32 = 1;
/// Values of the model's arrays.
pub(crate) const ARRAYS: u32 = 2;
/// Columns of the probe rows.
pub(crate) const PROBE_INPUTS: u32 = 3;
/// Scores of the probe rows.
pub(crate) const PROBE_SCORES: u32 = 4;
/// Statuses of the probe rows.
pub(crate) const PROBE_STATUS: u32 = 5;
/// Kinds with this bit may be skipped by a reader that does not know them.
pub(crate) const ANCILLARY: u32 = 0x8000_0000;
/// Reserved for a signature over the fingerprint of the file without its ancillary sections.
pub(crate) const SIGNATURE: u32 = ANCILLARY | 1;

const PREAMBLE_BYTES: usize = 24;
const ENTRY_BYTES: usize = 24;
/// Smallest conceivable file: preamble and trailer.
pub(crate) const MIN_FILE_BYTES: usize = PREAMBLE_BYTES + Fingerprint::BYTES;

/// A row of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: u32,
    pub(crate) crc32: u32,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
}

impl Entry {
    /// The section's bytes, if the file has them.
    pub(crate) fn payload<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset_bytes).ok()?;
        let length = usize::try_from(self.length_bytes).ok()?;
        bytes.get(start..start.checked_add(length)?)
    }

    fn end_bytes(&self) -> u64 {
        self.offset_bytes.saturating_add(self.length_bytes)
    }
}

/// Name of a section kind for people.
pub(crate) fn kind_name(kind: u32) -> &'static str {
    let known = REQUIRED.iter().find(|(own, _)| *own == kind);
    match known {
        Some((_, name)) => name,
        None if kind == SIGNATURE => "signature",
        None if kind & ANCILLARY != 0 => "ancillary",
        None => "unknown",
    }
}

/// A file whose every byte has been accounted for.
#[derive(Debug)]
pub(crate) struct Sections<'a> {
    entries: Vec<Entry>,
    bytes: &'a [u8],
    pub(crate) fingerprint: Fingerprint,
}

impl<'a> Sections<'a> {
    /// The payload of a required kind.
    pub(crate) fn get(&self, kind: u32) -> &'a [u8] {
        let entry = self.entries.iter().find(|entry| entry.kind == kind);
        entry.and_then(|e| e.payload(self.bytes)).unwrap_or(&[])
    }
}

/// Writes the file around `sections`, given as required kinds in order.
///
/// # Errors
/// `Limit` if the file would exceed [`MAX_FILE_BYTES`].
pub(crate) fn pack(sections: &[(u32, Vec<u8>)]) -> Result<Vec<u8>, ArtifactError> {
    let mut end_bytes = PREAMBLE_BYTES + ENTRY_BYTES * sections.len();
    let mut entries = Vec::with_capacity(sections.len());
    for (kind, payload) in sections {
        entries.push(Entry {
            kind: *kind,
            crc32: crc32fast::hash(payload),
            offset_bytes: end_bytes as u64,
            length_bytes: payload.len() as u64,
        });
        end_bytes += payload.len().next_multiple_of(8);
    }
    let total_bytes = end_bytes + Fingerprint::BYTES;
    if total_bytes > MAX_FILE_BYTES {
        return Err(ArtifactError::limit(
            "length in bytes",
            total_bytes,
            MAX_FILE_BYTES,
        ));
    }
    let mut out = Vec::with_capacity(total_bytes);
    push_preamble(&mut out, &entries);
    for (_, payload) in sections {
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    let fingerprint = Fingerprint::of(&out);
    out.extend_from_slice(&fingerprint.0);
    Ok(out)
}

fn push_preamble(out: &mut Vec<u8>, entries: &[Entry]) {
    let mut table = Vec::with_capacity(ENTRY_BYTES * entries.len());
    for entry in entries {
        table.extend_from_slice(&entry.kind.to_le_bytes());
        table.extend_from_slice(&entry.crc32.to_le_bytes());
        table.extend_from_slice(&entry.offset_bytes.to_le_bytes());
        table.extend_from_slice(&entry.length_bytes.to_le_bytes());
    }
    out.extend_from_slice(&magic::MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    // MAX_SECTIONS is far below u32::MAX.
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let crc32 = table_crc32(out, &table);
    out.extend_from_slice(&crc32.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&table);
}

fn table_crc32(start: &[u8], table: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(start);
    hasher.update(table);
    hasher.finalize()
}

/// Checks every byte of the container and gives its sections.
///
/// # Errors
/// The first thing wrong, the most telling first: a wrong file, another version, a wrong length, a
/// damaged section, a wrong hash.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Sections<'_>, ArtifactError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ArtifactError::limit(
            "length in bytes",
            bytes.len(),
            MAX_FILE_BYTES,
        ));
    }
    magic::check(bytes)?;
    if bytes.len() < MIN_FILE_BYTES {
        return Err(truncated(bytes, MIN_FILE_BYTES as u64));
    }
    let version = read_version(bytes)?;
    if version != FORMAT_VERSION {
        return Err(other_version(bytes, version));
    }
    let entries = read_table(bytes)?;
    check_places(&entries, bytes)?;
    for entry in &entries {
        check_section(entry, bytes)?;
    }
    let fingerprint = check_fingerprint(bytes)?;
    check_kinds(&entries)?;
    Ok(Sections {
        entries,
        bytes,
        fingerprint,
    })
}

fn truncated(bytes: &[u8], expected_bytes: u64) -> ArtifactError {
    ArtifactError::Truncated {
        length_bytes: bytes.len() as u64,
        expected_bytes,
    }
}

/// A version number is only believed in an intact file: else it may be the damage.
fn other_version(bytes: &[u8], found: u32) -> ArtifactError {
    match check_fingerprint(bytes) {
        Err(damage) => damage,
        Ok(_) => ArtifactError::UnsupportedVersion {
            found,
            newest: FORMAT_VERSION,
        },
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (word, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*word))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let (word, _) = bytes.get(at..)?.split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// The format version in `bytes`.
///
/// # Errors
/// `Truncated`.
pub(crate) fn read_version(bytes: &[u8]) -> Result<u32, ArtifactError> {
    u32_at(bytes, 8).ok_or_else(|| truncated(bytes, MIN_FILE_BYTES as u64))
}

/// The section table of version 1, its checksum and limits checked.
///
/// # Errors
/// `Limit`, `Truncated`, `Checksum`, `Layout`.
pub(crate) fn read_table(bytes: &[u8]) -> Result<Vec<Entry>, ArtifactError> {
    let short = || truncated(bytes, MIN_FILE_BYTES as u64);
    let count = u32_at(bytes, 12).ok_or_else(short)? as usize;
    let stored = u32_at(bytes, 16).ok_or_else(short)?;
    let zero = u32_at(bytes, 20).ok_or_else(short)?;
    if count > MAX_SECTIONS {
        return Err(ArtifactError::limit(
            "number of sections",
            count,
            MAX_SECTIONS,
        ));
    }
    let end = PREAMBLE_BYTES + ENTRY_BYTES * count;
    let table = bytes
        .get(PREAMBLE_BYTES..end)
        .ok_or_else(|| truncated(bytes, (end + Fingerprint::BYTES) as u64))?;
    let computed = table_crc32(bytes.get(..16).unwrap_or(&[]), table);
    if stored != computed {
        return Err(ArtifactError::Checksum {
            part: "section table",
            stored,
            computed,
        });
    }
    if zero != 0 {
        return Err(ArtifactError::layout(format!(
            "bytes 20..24 hold {zero}, expected 0"
        )));
    }
    Ok(table.chunks_exact(ENTRY_BYTES).filter_map(entry).collect())
}

fn entry(record: &[u8]) -> Option<Entry> {
    Some(Entry {
        kind: u32_at(record, 0)?,
        crc32: u32_at(record, 4)?,
        offset_bytes: u64_at(record, 8)?,
        length_bytes: u64_at(record, 16)?,
    })
}

/// Sections follow the table and each other at the next multiple of 8, and nothing else is there.
fn check_places(entries: &[Entry], bytes: &[u8]) -> Result<(), ArtifactError> {
    let mut expected = (PREAMBLE_BYTES + ENTRY_BYTES * entries.len()) as u64;
    for entry in entries {
        check_length(entry)?;
        if entry.offset_bytes != expected {
            return Err(ArtifactError::layout(format!(
                "section {} is at byte {}, expected {expected}",
                kind_name(entry.kind),
                entry.offset_bytes
            )));
        }
        // Cannot overflow: at most MAX_SECTIONS lengths of at most MAX_FILE_BYTES.
        expected = entry.end_bytes().next_multiple_of(8);
    }
    let expected_bytes = expected + Fingerprint::BYTES as u64;
    let length_bytes = bytes.len() as u64;
    if length_bytes < expected_bytes {
        return Err(truncated(bytes, expected_bytes));
    }
    if length_bytes > expected_bytes {
        return Err(ArtifactError::TrailingBytes {
            length_bytes,
            expected_bytes,
        });
    }
    Ok(())
}

fn check_length(entry: &Entry) -> Result<(), ArtifactError> {
    let (what, limit) = match entry.kind {
        HEADER => ("length of the header in bytes", MAX_HEADER_BYTES),
        _ => ("length of a section in bytes", MAX_FILE_BYTES),
    };
    if entry.length_bytes <= limit as u64 {
        return Ok(());
    }
    Err(ArtifactError::Limit {
        what,
        found: entry.length_bytes,
        limit: limit as u64,
    })
}

/// Checksum of one section, and zeros up to the next multiple of 8.
///
/// # Errors
/// `Truncated`, `Checksum`, `Layout`.
pub(crate) fn check_section(entry: &Entry, bytes: &[u8]) -> Result<(), ArtifactError> {
    let cut = || truncated(bytes, entry.end_bytes());
    let computed = crc32fast::hash(entry.payload(bytes).ok_or_else(cut)?);
    if computed != entry.crc32 {
        return Err(ArtifactError::Checksum {
            part: kind_name(entry.kind),
            stored: entry.crc32,
            computed,
        });
    }
    let padding = Entry {
        offset_bytes: entry.end_bytes(),
        length_bytes: entry.end_bytes().next_multiple_of(8) - entry.end_bytes(),
        ..*entry
    };
    let padding = padding.payload(bytes).ok_or_else(cut)?;
    if padding.iter().any(|byte| *byte != 0) {
        let name = kind_name(entry.kind);
        return Err(ArtifactError::layout(format!(
            "padding after section {name} is not zero"
        )));
    }
    Ok(())
}

/// Splits a file into what is hashed and the hash it ends with.
pub(crate) fn split_trailer(bytes: &[u8]) -> Option<(&[u8], Fingerprint)> {
    let (body, trailer) = bytes.split_last_chunk::<{ Fingerprint::BYTES }>()?;
    Some((body, Fingerprint(*trailer)))
}

fn check_fingerprint(bytes: &[u8]) -> Result<Fingerprint, ArtifactError> {
    let short = || truncated(bytes, MIN_FILE_BYTES as u64);
    let (body, stored) = split_trailer(bytes).ok_or_else(short)?;
    let computed = Fingerprint::of(body);
    if stored == computed {
        return Ok(stored);
    }
    Err(ArtifactError::FingerprintMismatch { stored, computed })
}

/// The required kinds in order, then ancillary kinds strictly ascending.
pub(crate) fn check_kinds(entries: &[Entry]) -> Result<(), ArtifactError> {
    let known = |kind: u32| REQUIRED.iter().any(|(own, _)| *own == kind);
    let skippable = |kind: u32| kind & ANCILLARY != 0;
    if let Some(entry) = entries
        .iter()
        .find(|e| !known(e.kind) && !skippable(e.kind))
    {
        return Err(ArtifactError::UnsupportedSection { kind: entry.kind });
    }
    let starts = REQUIRED.iter().map(|(kind, _)| *kind);
    let (first, rest) = entries
        .split_at_checked(REQUIRED.len())
        .unwrap_or((&[], &[]));
    let ascending = rest
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.kind < b.kind));
    let rest_skippable = rest.iter().all(|entry| skippable(entry.kind));
    if first.iter().map(|entry| entry.kind).eq(starts) && ascending && rest_skippable {
        return Ok(());
    }
    let found: Vec<&str> = entries.iter().map(|entry| kind_name(entry.kind)).collect();
    let expected: Vec<&str> = REQUIRED.iter().map(|(_, name)| *name).collect();
    Err(ArtifactError::layout(format!(
        "sections are [{}], expected [{}] and ancillary ones in ascending order",
        found.join(", "),
        expected.join(", ")
    )))
}

//! Why a file was not read or written, with the values that say so.

use crate::Fingerprint;
use cvm_core::ErrorKind;
use std::io;
use std::path::PathBuf;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The bytes do not begin like a model file.
    #[error(
        "not a cvm model file: starts with {found}, expected {}; looks like {looks_like}",
        crate::magic::EXPECTED
    )]
    NotAnArtifact {
        /// First bytes in hexadecimal.
        found: String,
        /// What the file seems to be.
        looks_like: &'static str,
    },
    /// The magic of a model file with damage, as a transfer in text mode does.
    #[error(
        "damaged model file: starts with {found}, expected {}; was it copied as text (line endings or high bits changed)?",
        crate::magic::EXPECTED
    )]
    MagicDamaged {
        /// First bytes in hexadecimal.
        found: String,
    },
    /// The file ends before its own section table says.
    #[error("truncated model file: {length_bytes} bytes, expected {expected_bytes}")]
    Truncated {
        /// Bytes present.
        length_bytes: u64,
        /// Bytes needed, at least.
        expected_bytes: u64,
    },
    /// Bytes follow the end of the file as its own section table gives it.
    #[error(
        "bytes after the end of the model file: {length_bytes} bytes, expected {expected_bytes}"
    )]
    TrailingBytes {
        /// Bytes present.
        length_bytes: u64,
        /// Bytes expected.
        expected_bytes: u64,
    },
    /// An intact file of a format version this build does not read.
    #[error(
        "model file of format version {found}: this build reads versions 1 to {newest}; use a newer cvm"
    )]
    UnsupportedVersion {
        /// Version of the file.
        found: u32,
        /// Newest version this build reads.
        newest: u32,
    },
    /// A section that must be understood, and is not.
    #[error(
        "model file needs section kind {kind:#010x}, which this build does not know; use a newer cvm"
    )]
    UnsupportedSection {
        /// Kind id.
        kind: u32,
    },
    /// An extension that must be understood, and is not.
    #[error(
        "model file requires extension `{name}`, which this build does not know; use a newer cvm"
    )]
    UnsupportedExtension {
        /// Name of the extension.
        name: String,
    },
    /// A size above a hard limit of the format.
    #[error("{what} of the model file: {found}, at most {limit} allowed")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The size claimed.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A part whose checksum does not match.
    #[error("damaged model file: {part} has CRC-32 {computed:08x}, its record says {stored:08x}")]
    Checksum {
        /// The part: `section table`, or the name of a section.
        part: &'static str,
        /// Checksum in the file.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// The hash of the whole file does not match its trailer.
    #[error("damaged model file: content has SHA-256 {computed}, its trailer says {stored}")]
    FingerprintMismatch {
        /// Hash in the trailer.
        stored: Fingerprint,
        /// Hash of the bytes before it.
        computed: Fingerprint,
    },
    /// Sections out of order, missing, doubled, misplaced, or padded with anything but zeros.
    #[error("malformed model file: {problem}")]
    Layout {
        /// What was found and what was expected.
        problem: String,
    },
    /// The header is not canonical JSON.
    #[error("malformed model file: header: {problem}")]
    Header {
        /// What was found and what was expected.
        problem: String,
    },
    /// The header is sound JSON, but not a header this build understands.
    #[error("model file not understood: header: {problem}")]
    HeaderContent {
        /// What was found and what was expected.
        problem: String,
    },
    /// Content that contradicts itself or breaks a rule of the format.
    #[error("malformed model file: {field}: {problem}")]
    Content {
        /// Path of the part, such as `arrays.params`.
        field: String,
        /// What was found and what is allowed.
        problem: String,
    },
    /// An artifact given for writing breaks a rule or a limit of the format.
    #[error("{field}: {problem}")]
    Invalid {
        /// Path of the part, such as `arrays.params`.
        field: String,
        /// What was found and what is allowed.
        problem: String,
    },
    /// Text that is not a fingerprint.
    #[error("fingerprint `{text}`: must be 64 hexadecimal digits")]
    BadFingerprint {
        /// The text given.
        text: String,
    },
    /// The operating system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ArtifactError {
    /// Whose fault it is: damage is `Corrupt`, a format this build cannot use `Incompatible`, an
    /// artifact that cannot be written `InvalidInput`.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ArtifactError::NotAnArtifact { .. }
            | ArtifactError::UnsupportedVersion { .. }
            | ArtifactError::UnsupportedSection { .. }
            | ArtifactError::UnsupportedExtension { .. }
            | ArtifactError::HeaderContent { .. } => ErrorKind::Incompatible,
            ArtifactError::MagicDamaged { .. }
            | ArtifactError::Truncated { .. }
            | ArtifactError::TrailingBytes { .. }
            | ArtifactError::Limit { .. }
            | ArtifactError::Checksum { .. }
            | ArtifactError::FingerprintMismatch { .. }
            | ArtifactError::Layout { .. }
            | ArtifactError::Header { .. }
            | ArtifactError::Content { .. } => ErrorKind::Corrupt,
            ArtifactError::Invalid { .. } | ArtifactError::BadFingerprint { .. } => {
                ErrorKind::InvalidInput
            }
            ArtifactError::Io { source, .. } => io_kind(source.kind()),
        }
    }

    pub(crate) fn limit(what: &'static str, found: usize, limit: usize) -> Self {
        ArtifactError::Limit {
            what,
            found: found as u64,
            limit: limit as u64,
        }
    }

    pub(crate) fn layout(problem: impl Into<String>) -> Self {
        ArtifactError::Layout {
            problem: problem.into(),
        }
    }
}

/// A wrong path or missing right is the caller's to mend; a full or failing disk is not.
fn io_kind(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    }
}

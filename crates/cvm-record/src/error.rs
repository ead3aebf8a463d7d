//! Errors of reading tables and summarizing logs, with the place, the value and what is allowed.

use cvm_core::{ErrorKind, InputError};

/// Why a table cannot be read or written, or a log cannot be summarized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The operating system refused to open, read or write.
    #[error("{name}: {source}")]
    Io {
        /// File or stream.
        name: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// No bytes at all.
    #[error("{name} is empty: expected a table with at least one row")]
    Empty {
        /// File or stream.
        name: String,
    },
    /// Columns but no rows.
    #[error("{name} has no rows: expected at least one")]
    NoRows {
        /// File or stream.
        name: String,
    },
    /// Two columns of one name.
    #[error("{name}: column `{column}` occurs twice: names must be distinct")]
    DuplicateColumn {
        /// File or stream.
        name: String,
        /// The name that recurs.
        column: String,
    },
    /// A column that was asked for is not there.
    #[error("{name} has no column `{column}`: it has [{}]", .available.join(", "))]
    MissingColumn {
        /// File or stream.
        name: String,
        /// The column wanted.
        column: String,
        /// The first columns there are.
        available: Vec<String>,
    },
    /// A record with more or fewer cells than the first.
    #[error("{name}, line {line}: has {got} cells, expected {want}")]
    Ragged {
        /// File or stream.
        name: String,
        /// Line, counted from 1.
        line: u64,
        /// Cells found.
        got: u64,
        /// Cells of the first record.
        want: u64,
    },
    /// Bytes that are not UTF-8.
    #[error("{name}, line {line}: is not UTF-8 text")]
    NotUtf8 {
        /// File or stream.
        name: String,
        /// Line, counted from 1.
        line: u64,
    },
    /// More than a limit allows.
    #[error("{name}: more than {limit} {what}")]
    TooMany {
        /// File, stream or column.
        name: String,
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A column of a type that has no meaning as numbers or text.
    #[error(
        "column `{column}` has type {data_type}: must be numbers, booleans, text, dates or \
         timestamps, or dictionaries of them"
    )]
    UnsupportedType {
        /// Column.
        column: String,
        /// Arrow's name of the type.
        data_type: String,
    },
    /// A cell that its column cannot hold.
    #[error("column `{column}`, {place}: is {value}: must be {allowed}")]
    BadCell {
        /// Column.
        column: String,
        /// `line 7` of a text file or `row 7` (counted from 0) of a table.
        place: String,
        /// The value as text.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Bytes that are not the format they should be.
    #[error("{name} is not a readable {format} file: {problem}")]
    Malformed {
        /// File or stream.
        name: String,
        /// Format expected.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Options that contradict themselves or the data.
    #[error(transparent)]
    Options(#[from] InputError),
    /// A log whose rows were all refused.
    #[error("none of the {rows_read} rows can be used: {causes}")]
    AllRowsBad {
        /// Rows read.
        rows_read: u64,
        /// Counts by cause, with an example each.
        causes: String,
    },
    /// A log in which no customer bought anything in the period.
    #[error("no customer has a purchase up to {end}: {why}")]
    NoCustomers {
        /// End of the period.
        end: String,
        /// What became of the rows.
        why: String,
    },
}

impl RecordError {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            RecordError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            _ => ErrorKind::InvalidInput,
        }
    }

    pub(crate) fn io(name: impl Into<String>, source: std::io::Error) -> Self {
        RecordError::Io {
            name: name.into(),
            source,
        }
    }

    pub(crate) fn option(field: &str, description: impl Into<String>) -> Self {
        RecordError::Options(InputError::new(format!("options.{field}"), description))
    }

    pub(crate) fn missing_column<'a>(
        name: &str,
        column: &str,
        available: impl Iterator<Item = &'a str>,
    ) -> Self {
        const SHOWN: usize = 40;
        RecordError::MissingColumn {
            name: name.to_owned(),
            column: column.to_owned(),
            available: available.take(SHOWN).map(str::to_owned).collect(),
        }
    }

    pub(crate) fn malformed(
        name: impl Into<String>,
        format: &'static str,
        problem: impl ToString,
    ) -> Self {
        RecordError::Malformed {
            name: name.into(),
            format,
            problem: problem.to_string(),
        }
    }
}

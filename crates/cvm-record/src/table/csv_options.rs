//! How a text file is to be read.

use crate::ColumnKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What separates the cells of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    /// One ASCII character; cells may be quoted with `"`.
    Character(u8),
    /// Any run of blanks; blanks at both ends of a line and blank lines are ignored, and quotes are
    /// characters like any other.
    Whitespace,
}

impl Delimiter {
    /// A delimiter by its character, or by the names `comma`, `semicolon`, `tab`, `pipe` and
    /// `whitespace`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Delimiter> {
        match text {
            "comma" => Some(Delimiter::Character(b',')),
            "semicolon" => Some(Delimiter::Character(b';')),
            "tab" | "\\t" => Some(Delimiter::Character(b'\t')),
            "pipe" => Some(Delimiter::Character(b'|')),
            "whitespace" => Some(Delimiter::Whitespace),
            _ => match text.as_bytes() {
                [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => {
                    Some(Delimiter::Character(*byte))
                }
                _ => None,
            },
        }
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Delimiter::parse(&text).ok_or_else(|| {
            format!(
                "delimiter is \"{text}\": must be one ASCII character, or comma, semicolon, tab, \
                 pipe or whitespace"
            )
        })
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        match delimiter {
            Delimiter::Character(byte) => char::from(byte).to_string(),
            Delimiter::Whitespace => "whitespace".to_owned(),
        }
    }
}

/// How a text file is to be read.
///
/// **Typing.** A column is numbers if every cell that is not missing reads as a number, and is text
/// otherwise. Whole numbers with leading zeros and beyond 2^53 are labels, not numbers: they are
/// identifiers that would come back changed. `kinds` overrules this for a column, and a column of
/// kind number then refuses cells that are not. Columns without any value are numbers (all missing).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// Separator of cells; default comma.
    pub delimiter: Delimiter,
    /// Whether the first line holds the names; default true. Without it columns are named by
    /// `names`, or `column_1`, `column_2`, ….
    pub has_header: bool,
    /// Names of the columns in order, instead of those of the file; default none.
    pub names: Option<Vec<String>>,
    /// Columns to read, in the order wanted; default all.
    pub columns: Option<Vec<String>>,
    /// Texts that mean "missing" (blanks around them ignored), besides blank cells, which always do;
    /// default `NA`, `N/A`, `null`, `NULL`, `NaN`, `nan`.
    pub missing: Vec<String>,
    /// Kinds of columns by name, as from a model's schema; the others are inferred by reading the
    /// whole source once before the first row is returned.
    pub kinds: BTreeMap<String, ColumnKind>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        let missing = ["NA", "N/A", "null", "NULL", "NaN", "nan"];
        CsvOptions {
            delimiter: Delimiter::Character(b','),
            has_header: true,
            names: None,
            columns: None,
            missing: missing.map(str::to_owned).to_vec(),
            kinds: BTreeMap::new(),
        }
    }
}

impl CsvOptions {
    pub(crate) fn is_missing(&self, cell: &str) -> bool {
        let text = cell.trim();
        text.is_empty() || self.missing.iter().any(|missing| missing == text)
    }
}

//! What became of a row: a bad row is data, not an error.

use crate::Domain;

/// Why a row has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowCode {
    /// Scored.
    Ok = 1,
    /// A value is missing (NaN or null) and the model has no rule for it.
    Missing = 2,
    /// A value is infinite.
    NotFinite = 3,
    /// A value is outside its field's domain.
    OutOfRange = 4,
    /// Values contradict each other, as a last purchase after the end of observation.
    Inconsistent = 5,
    /// A category the model has not seen, and its rule is to refuse.
    UnseenLevel = 6,
    /// The quantity has no finite value for this row at these parameters.
    Undefined = 7,
    /// An expectation of this row is truly infinite at these parameters; its value is `inf`, other
    /// outputs of the row stand.
    Infinite = 8,
    /// What the row tells of its covariates does not reach over all the time asked about.
    NotCovered = 9,
}

impl RowCode {
    /// Every code.
    pub const ALL: [RowCode; 9] = [
        RowCode::Ok,
        RowCode::Missing,
        RowCode::NotFinite,
        RowCode::OutOfRange,
        RowCode::Inconsistent,
        RowCode::UnseenLevel,
        RowCode::Undefined,
        RowCode::Infinite,
        RowCode::NotCovered,
    ];

    /// Lower-case name used in frames and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RowCode::Ok => "ok",
            RowCode::Missing => "missing",
            RowCode::NotFinite => "not_finite",
            RowCode::OutOfRange => "out_of_range",
            RowCode::Inconsistent => "inconsistent",
            RowCode::UnseenLevel => "unseen_level",
            RowCode::Undefined => "undefined",
            RowCode::Infinite => "infinite",
            RowCode::NotCovered => "not_covered",
        }
    }

    /// The code of a number on the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<RowCode> {
        RowCode::ALL.into_iter().find(|code| *code as u8 == number)
    }
}

/// Status of one row: a code, and the index (in the schema) of the field to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowStatus {
    /// What happened.
    pub code: RowCode,
    /// Index of the field in the input schema; 0 when `code` is `Ok`.
    pub field: u16,
}

impl RowStatus {
    /// A scored row.
    pub const OK: RowStatus = RowStatus {
        code: RowCode::Ok,
        field: 0,
    };

    /// A row refused because of field number `field`.
    #[must_use]
    pub const fn bad(code: RowCode, field: u16) -> RowStatus {
        RowStatus { code, field }
    }

    /// Whether the row was scored.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self.code == RowCode::Ok
    }

    /// Checks a number for field `field`: missing, infinite or outside `domain`.
    ///
    /// # Errors
    /// The status the row must carry.
    #[inline]
    pub fn check(value: f64, domain: Domain, field: u16) -> Result<f64, RowStatus> {
        if domain.contains(value) {
            return Ok(value);
        }
        Err(RowStatus::bad(blame(value), field))
    }
}

#[cold]
fn blame(value: f64) -> RowCode {
    if value.is_nan() {
        RowCode::Missing
    } else if value.is_infinite() {
        RowCode::NotFinite
    } else {
        RowCode::OutOfRange
    }
}

/// A bad row in words.
#[derive(Debug, Clone, PartialEq)]
pub struct RowIssue {
    /// Row index in the batch.
    pub row: usize,
    /// What happened.
    pub code: RowCode,
    /// Name of the field to blame.
    pub field: String,
    /// The value found, as text.
    pub value: String,
    /// The sentence for a person: field, value and what is allowed.
    pub message: String,
}

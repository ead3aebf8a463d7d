//! `scoring.proto`: which reasons are wanted, and reasons.

use super::{ConvertError, unknown_number};
use crate::v1 as pb;
use cvm::{Reason, ReasonDirection, ReasonOptions, Reasons};

impl TryFrom<pb::ReasonOptions> for ReasonOptions {
    type Error = ConvertError;

    fn try_from(options: pb::ReasonOptions) -> Result<ReasonOptions, ConvertError> {
        let pb::ReasonOptions {
            count,
            only_actionable,
            direction,
            approximate,
        } = options;
        let known = pb::ReasonDirection::try_from(direction)
            .map_err(|_| unknown_number("direction", direction, "ReasonDirection"))?;
        Ok(ReasonOptions {
            count: u32::try_from(count)
                .map_err(|_| ConvertError::new("count", format!("is {count}: must be above 0")))?,
            only_actionable,
            direction: match known {
                pb::ReasonDirection::Unspecified => ReasonDirection::Any,
                pb::ReasonDirection::Raises => ReasonDirection::Raises,
                pb::ReasonDirection::Lowers => ReasonDirection::Lowers,
            },
            approximate,
        })
    }
}

impl From<ReasonOptions> for pb::ReasonOptions {
    fn from(options: ReasonOptions) -> pb::ReasonOptions {
        let ReasonOptions {
            count,
            only_actionable,
            direction,
            approximate,
        } = options;
        let direction = match direction {
            ReasonDirection::Any => pb::ReasonDirection::Unspecified,
            ReasonDirection::Raises => pb::ReasonDirection::Raises,
            ReasonDirection::Lowers => pb::ReasonDirection::Lowers,
        };
        pb::ReasonOptions {
            // Beyond every limit, hence refused as what it is.
            count: i32::try_from(count).unwrap_or(i32::MAX),
            only_actionable,
            direction: direction.into(),
            approximate,
        }
    }
}

impl From<Reason> for pb::ScoreReason {
    fn from(reason: Reason) -> pb::ScoreReason {
        let Reason {
            name,
            contribution,
            text,
        } = reason;
        pb::ScoreReason {
            name,
            contribution,
            text,
        }
    }
}

impl From<pb::ScoreReason> for Reason {
    fn from(reason: pb::ScoreReason) -> Reason {
        let pb::ScoreReason {
            name,
            contribution,
            text,
        } = reason;
        Reason {
            name,
            contribution,
            text,
        }
    }
}

/// Reasons as the fields of an answer: by row, and the method.
pub(super) fn reasons_out(reasons: Option<Reasons>) -> (Vec<pb::RowReasons>, String) {
    let Some(Reasons { method, rows }) = reasons else {
        return (Vec::new(), String::new());
    };
    let row = |row: Vec<Reason>| pb::RowReasons {
        reasons: row.into_iter().map(pb::ScoreReason::from).collect(),
    };
    (rows.into_iter().map(row).collect(), method)
}

/// Reasons of an answer of `row_count` rows.
pub(super) fn reasons_in(
    rows: Vec<pb::RowReasons>,
    method: String,
    row_count: usize,
) -> Result<Option<Reasons>, ConvertError> {
    if rows.is_empty() && method.is_empty() {
        return Ok(None);
    }
    if rows.len() != row_count {
        let why = format!("has {} entries, row_count is {row_count}", rows.len());
        return Err(ConvertError::new("row_reasons", why));
    }
    let row = |pb::RowReasons { reasons }: pb::RowReasons| {
        reasons.into_iter().map(Reason::from).collect()
    };
    Ok(Some(Reasons {
        method,
        rows: rows.into_iter().map(row).collect(),
    }))
}

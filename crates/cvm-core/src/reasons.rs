//! Reasons for a score: the largest attributions of a row, in words.

use serde::{Deserialize, Serialize};

/// Which way a reason moves the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum ReasonDirection {
    /// Either way.
    #[default]
    Any,
    /// Only what raises the score.
    Raises,
    /// Only what lowers it.
    Lowers,
}

impl ReasonDirection {
    /// Every direction, with its name.
    pub const ALL: [(ReasonDirection, &'static str); 3] = [
        (ReasonDirection::Any, "any"),
        (ReasonDirection::Raises, "raises"),
        (ReasonDirection::Lowers, "lowers"),
    ];

    /// The direction of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<ReasonDirection> {
        let own = Self::ALL.iter().find(|(_, own)| *own == name)?;
        Some(own.0)
    }

    /// Whether a contribution goes this way; one of 0 is no reason.
    #[must_use]
    pub fn allows(self, contribution: f64) -> bool {
        match self {
            ReasonDirection::Any => contribution != 0.0,
            ReasonDirection::Raises => contribution > 0.0,
            ReasonDirection::Lowers => contribution < 0.0,
        }
    }
}

/// Which reasons to give beside the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub struct ReasonOptions {
    /// Most reasons a row has, from 1.
    pub count: u32,
    /// Only what the feature dictionary does not call out of anybody's reach.
    pub only_actionable: bool,
    /// Only reasons of this direction.
    pub direction: ReasonDirection,
    /// From the fast approximate attributions instead of the exact ones.
    pub approximate: bool,
}

impl ReasonOptions {
    /// Most reasons that may be asked for.
    pub const MAX_COUNT: u32 = 1000;
}

/// One reason: a field, or a group of fields, with what it adds to the raw score.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Name of the field or of the group.
    pub name: String,
    /// What it adds to the raw score, beside what is usual.
    pub contribution: f64,
    /// The reason in words.
    pub text: String,
}

/// Reasons of all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Reasons {
    /// How contributions were computed, in words.
    pub method: String,
    /// Reasons of each row, the largest first; none for a row without a score.
    pub rows: Vec<Vec<Reason>>,
}

//! Legal ranges of numbers, named so that an error can say what is allowed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The set of numbers a value may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Any finite number.
    Finite,
    /// Any number, infinities included.
    Any,
    /// Finite and greater than zero.
    Positive,
    /// Finite and zero or greater.
    NonNegative,
    /// A whole number, zero or greater, exactly representable (at most 2^53).
    Count,
    /// From 0 to 1, both included.
    Probability,
}

impl Domain {
    /// Whether `value` lies in the set. NaN never does; infinities only in `Any`.
    #[must_use]
    #[inline]
    pub fn contains(self, value: f64) -> bool {
        const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
        if self == Domain::Any {
            return !value.is_nan();
        }
        value.is_finite()
            && match self {
                Domain::Finite | Domain::Any => true,
                Domain::Positive => value > 0.0,
                Domain::NonNegative => value >= 0.0,
                // To a whole number and back: `fract` would be a call of the C library.
                Domain::Count => {
                    (0.0..=LARGEST_EXACT).contains(&value) && value as i64 as f64 == value
                }
                Domain::Probability => (0.0..=1.0).contains(&value),
            }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Domain::Finite => "a finite number",
            Domain::Any => "a number",
            Domain::Positive => "a finite number > 0",
            Domain::NonNegative => "a finite number >= 0",
            Domain::Count => "a whole number >= 0",
            Domain::Probability => "a number from 0 to 1",
        })
    }
}

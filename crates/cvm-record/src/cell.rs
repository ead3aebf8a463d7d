//! What a cell of a text file means: missing, a number, or a label.

use serde::{Deserialize, Serialize};

/// Type of a column of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Numbers; NaN is missing.
    Number,
    /// Text.
    Text,
}

/// Largest whole number up to which every whole number is an `f64`.
pub(crate) const LARGEST_EXACT: u64 = 1 << 53;

/// The number in a cell, blanks around it ignored.
pub(crate) fn parse_number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok()
}

/// Whether a cell can be read as a number without losing what tells it from other cells.
///
/// `00123` and `9007199254740993` are labels (codes, identifiers): as numbers they would come back
/// as `123` and `9007199254740992`.
pub(crate) fn is_number(cell: &str) -> bool {
    let text = cell.trim();
    parse_number(text).is_some() && !is_label(text)
}

fn is_label(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut bytes = digits.bytes();
    let padded = bytes.next() == Some(b'0') && bytes.next().is_some_and(|b| b.is_ascii_digit());
    let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    padded || (whole && digits.parse::<u64>().map_or(true, |n| n > LARGEST_EXACT))
}

/// The number as text that reads back to the same bits: the shortest such digits, with an exponent
/// where a plain form would be long or would read as a label. NaN is the empty cell.
pub(crate) fn print_number(value: f64, out: &mut String) {
    use std::fmt::Write;
    const PLAIN_FROM: f64 = 1e-5;
    const PLAIN_BELOW: f64 = 9_007_199_254_740_992.0;
    out.clear();
    let size = value.abs();
    // Writing to a String cannot fail.
    let _ = if value.is_nan() {
        Ok(())
    } else if size == 0.0 || size.is_infinite() || (PLAIN_FROM..PLAIN_BELOW).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

#[cfg(test)]
mod tests {
    use super::{is_number, parse_number, print_number};

    #[test]
    fn identifiers_are_labels_and_quantities_are_numbers() {
        for number in [
            "0",
            "-0",
            "12",
            " 1.50 ",
            "1e3",
            "-.5",
            "0.07",
            "inf",
            "9007199254740992",
        ] {
            assert!(is_number(number), "{number}");
        }
        for label in [
            "007",
            "-01",
            "9007199254740993",
            "99999999999999999999",
            "x",
            "1,5",
            "0x1f",
            "1_000",
        ] {
            assert!(!is_number(label), "{label}");
        }
    }

    #[test]
    fn printed_numbers_are_numbers_with_the_same_bits() {
        let mut text = String::new();
        let tricky = [
            0.1,
            -0.0,
            1.0,
            1e300,
            5e-324,
            9_007_199_254_740_993.0,
            1e22,
            -1e-7,
            f64::MAX,
            f64::NEG_INFINITY,
        ];
        for value in tricky {
            print_number(value, &mut text);
            assert!(is_number(&text), "{text}");
            assert_eq!(
                parse_number(&text).unwrap().to_bits(),
                value.to_bits(),
                "{text}"
            );
        }
        print_number(f64::NAN, &mut text);
        assert_eq!(text, "");
    }
}

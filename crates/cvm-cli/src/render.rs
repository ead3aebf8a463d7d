//! Plain text for people: aligned tables, numbers, standard output.

use crate::failure::Failure;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `text` to standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Writes indented JSON to a file.
pub fn write_json(path: &Path, value: serde_json::Result<Value>) -> Result<(), Failure> {
    let value = value.map_err(|error| Failure::defect(&error.to_string()))?;
    std::fs::write(path, format!("{value:#}\n")).map_err(|error| Failure::file(path, &error))
}

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells under a header.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are blank.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table with two blanks before each line.
    pub fn render(&self) -> String {
        let header: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| self.width(column, &header))
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                line.push_str("  ");
                line.push_str(&pad(cell, *width, *align));
            }
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    fn width(&self, column: usize, header: &[String]) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells
            .chain(header.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    }
}

fn pad(cell: &str, width: usize, align: Align) -> String {
    let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
    match align {
        Align::Left => format!("{cell}{blanks}"),
        Align::Right => format!("{blanks}{cell}"),
    }
}

/// Six significant digits, with an exponent only where the plain form would mislead.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.5e}");
    }
    let whole_digits = format!("{:.0}", size.floor()).len();
    let leading_zeros = [0.1, 0.01, 0.001]
        .iter()
        .filter(|bound| size < **bound)
        .count();
    let decimals = if size >= 1.0 {
        6_usize.saturating_sub(whole_digits)
    } else {
        6 + leading_zeros
    };
    format!("{value:.decimals$}")
}

/// A number that may be undefined.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// `1 row`, `2 rows`, `3,456 rows`.
pub fn count(value: u64, noun: &str) -> String {
    let ending = if value == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(value))
}

/// Digits in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Align, Table, count, number};

    #[test]
    fn numbers_keep_six_digits() {
        let cases = [
            (0.0, "0"),
            (0.242594, "0.242594"),
            (0.0125941, "0.0125941"),
            (4.413_601_9, "4.41360"),
            (-9_582.429_2, "-9582.43"),
            (1e12, "1.00000e12"),
            (1e-7, "1.00000e-7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_align() {
        let mut table = Table::new(&[("name", Align::Left), ("value", Align::Right)]);
        table.row(vec!["α".to_owned(), "1".to_owned()]);
        table.row(vec!["alpha".to_owned(), "123456".to_owned()]);
        assert_eq!(
            table.render(),
            "  name    value\n  α           1\n  alpha  123456\n"
        );
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(1_234_567, "row"), "1,234,567 rows");
    }
}

//! The binary sections: numbers as little-endian doubles, codes and statuses as small integers.

use crate::header::{ArrayEntry, ColumnEntry, ColumnType};
use crate::rules::{Breach, value_count};
use cvm_core::{Array, FrameColumn, RowCode, RowStatus};

/// Bytes of a row's status: code u8, zero u8, field u16.
const STATUS_BYTES: usize = 4;

/// Appends the bits of `values`.
pub(crate) fn push_numbers(out: &mut Vec<u8>, values: &[f64]) {
    out.reserve(values.len() * 8);
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// Appends a probe column: doubles, or 32-bit codes with zeros up to a multiple of 8.
pub(crate) fn push_column(out: &mut Vec<u8>, column: &FrameColumn) {
    match column {
        FrameColumn::Numbers(values) => push_numbers(out, values),
        FrameColumn::Text { codes, .. } => {
            for code in codes {
                out.extend_from_slice(&code.to_le_bytes());
            }
            out.resize(out.len().next_multiple_of(8), 0);
        }
    }
}

/// Appends a row's status.
pub(crate) fn push_status(out: &mut Vec<u8>, status: RowStatus) {
    let [low, high] = status.field.to_le_bytes();
    out.extend_from_slice(&[status.code as u8, 0, low, high]);
}

/// Takes arrays, columns and statuses off the front of a section whose length has been checked
/// against what the header claims, so that no claim can ask for more memory than the file has.
pub(crate) struct Reader<'a> {
    section: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which must be exactly `expected_bytes` long (`None`: unimaginably long).
    ///
    /// # Errors
    /// Another length.
    pub(crate) fn new(
        section: &'static str,
        bytes: &'a [u8],
        expected_bytes: Option<usize>,
    ) -> Result<Self, Breach> {
        if expected_bytes == Some(bytes.len()) {
            let rest = bytes;
            return Ok(Reader { section, rest });
        }
        let expected = expected_bytes.map_or("more".to_owned(), |count| count.to_string());
        let problem = format!("has {} bytes, the header needs {expected}", bytes.len());
        Err(Breach::new(section, problem))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Breach> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| Breach::new(self.section, "ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `count` doubles, bits kept.
    pub(crate) fn numbers(&mut self, count: usize) -> Result<Vec<f64>, Breach> {
        let (words, _) = self.take(count * 8)?.as_chunks::<8>();
        let bits = words.iter().map(|word| u64::from_le_bytes(*word));
        Ok(bits.map(f64::from_bits).collect())
    }

    fn codes(&mut self, count: usize) -> Result<Vec<i32>, Breach> {
        let (words, _) = self.take(count * 4)?.as_chunks::<4>();
        let codes = words.iter().map(|word| i32::from_le_bytes(*word)).collect();
        let padding = self.take(count % 2 * 4)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Breach::new(self.section, "padding after codes is not zero"));
        }
        Ok(codes)
    }

    /// The next array.
    pub(crate) fn array(&mut self, entry: ArrayEntry) -> Result<Array, Breach> {
        let ArrayEntry { name, shape } = entry;
        let count = value_count(&shape).map_err(|p| Breach::new(format!("arrays.{name}"), p))?;
        let values = self.numbers(count)?;
        Ok(Array {
            name,
            shape,
            values,
        })
    }

    /// The next probe column.
    pub(crate) fn column(&mut self, of: ColumnType, rows: usize) -> Result<FrameColumn, Breach> {
        Ok(match of {
            ColumnType::Numbers => FrameColumn::Numbers(self.numbers(rows)?),
            ColumnType::Text { dictionary } => FrameColumn::Text {
                dictionary,
                codes: self.codes(rows)?,
            },
        })
    }

    /// The next row status.
    pub(crate) fn status(&mut self, row: usize) -> Result<RowStatus, Breach> {
        let (words, _) = self.take(STATUS_BYTES)?.as_chunks::<STATUS_BYTES>();
        let [code, zero, low, high] = words.first().copied().unwrap_or_default();
        let field = u16::from_le_bytes([low, high]);
        match RowCode::from_number(code) {
            Some(code) if zero == 0 => Ok(RowStatus { code, field }),
            _ => {
                let problem = format!("has code {code} and byte {zero}, expected 1 to 7 and 0");
                Err(Breach::new(format!("probe.status[{row}]"), problem))
            }
        }
    }
}

/// Bytes that the values of `entries` take; `None` if no file could hold them.
pub(crate) fn arrays_bytes(entries: &[ArrayEntry]) -> Option<usize> {
    entries.iter().try_fold(0_usize, |sum, entry| {
        let count = value_count(&entry.shape).ok()?;
        sum.checked_add(count.checked_mul(8)?)
    })
}

/// Bytes that probe columns of `rows` rows take.
pub(crate) fn columns_bytes(columns: &[ColumnEntry], rows: usize) -> Option<usize> {
    columns.iter().try_fold(0_usize, |sum, column| {
        let bytes = match column.of {
            ColumnType::Numbers => rows.checked_mul(8)?,
            ColumnType::Text { .. } => rows.checked_mul(4)?.checked_next_multiple_of(8)?,
        };
        sum.checked_add(bytes)
    })
}

/// Bytes that `columns` score columns of `rows` rows take.
pub(crate) fn scores_bytes(columns: usize, rows: usize) -> Option<usize> {
    columns.checked_mul(rows)?.checked_mul(8)
}

/// Bytes that the statuses of `rows` rows take.
pub(crate) fn status_bytes(rows: usize) -> Option<usize> {
    rows.checked_mul(STATUS_BYTES)
}

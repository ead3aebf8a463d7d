//! `frame.proto`: tables, in both directions, with numbers moved and never copied where the wire
//! form allows.

use super::{ConvertError, required, row_count_in, row_count_out, shown};
use crate::v1 as pb;
use crate::v1::column::Values;
use bytes::Bytes;
use cvm::{Batch, Column, Frame, FrameColumn, TextColumn};
use std::collections::HashSet;
use std::ops::Range;

/// Most columns of a frame.
pub const MAX_COLUMNS: usize = 4096;

impl TryFrom<pb::Frame> for Frame {
    type Error = ConvertError;

    fn try_from(frame: pb::Frame) -> Result<Frame, ConvertError> {
        let pb::Frame { row_count, columns } = frame;
        let row_count = row_count_in(row_count, "row_count")?;
        if columns.len() > MAX_COLUMNS {
            let count = columns.len();
            let why = format!("has {count} columns: at most {MAX_COLUMNS} are allowed");
            return Err(ConvertError::new("columns", why));
        }
        check_names(&columns)?;
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(index, column)| {
                column_in(column, row_count).map_err(|e| e.under(format_args!("columns[{index}]")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Frame { row_count, columns })
    }
}

fn check_names(columns: &[pb::Column]) -> Result<(), ConvertError> {
    let mut seen = HashSet::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        if !seen.insert(column.name.as_str()) {
            let why = format!("{} is the name of an earlier column", shown(&column.name));
            return Err(ConvertError::new(format!("columns[{index}].name"), why));
        }
    }
    Ok(())
}

fn column_in(column: pb::Column, rows: usize) -> Result<(String, FrameColumn), ConvertError> {
    let pb::Column { name, values } = column;
    let values = match required(values, "values")? {
        Values::Doubles(pb::DoubleValues { values }) => {
            check_length("doubles", &name, values.len(), rows)?;
            FrameColumn::Numbers(values)
        }
        Values::DoublesLe(bytes) => FrameColumn::Numbers(
            numbers_from_bytes(&bytes, rows).map_err(|why| ConvertError::new("doubles_le", why))?,
        ),
        Values::Strings(strings) => text_in(strings, &name, rows)?,
    };
    Ok((name, values))
}

fn check_length(field: &str, name: &str, got: usize, rows: usize) -> Result<(), ConvertError> {
    if got == rows {
        return Ok(());
    }
    let why = format!(
        "column {} has {got} values, row_count is {rows}",
        shown(name)
    );
    Err(ConvertError::new(field, why))
}

fn text_in(
    strings: pb::StringValues,
    name: &str,
    rows: usize,
) -> Result<FrameColumn, ConvertError> {
    let pb::StringValues { dictionary, codes } = strings;
    check_length("strings.codes", name, codes.len(), rows)?;
    let size = dictionary.len();
    let outside = |code: &i32| usize::try_from(*code).is_ok_and(|code| code >= size);
    if let Some((row, code)) = codes.iter().enumerate().find(|(_, code)| outside(code)) {
        let why = format!("is {code}: the dictionary has {size} strings");
        return Err(ConvertError::new(format!("strings.codes[{row}]"), why));
    }
    Ok(FrameColumn::Text { dictionary, codes })
}

/// `rows` numbers from raw bytes. The slice comes out of a receive buffer at any alignment, so each
/// value is assembled, never cast.
pub(super) fn numbers_from_bytes(bytes: &[u8], rows: usize) -> Result<Vec<f64>, String> {
    let (values, rest) = bytes.as_chunks::<8>();
    if values.len() != rows || !rest.is_empty() {
        let size = bytes.len();
        return Err(format!(
            "has {size} bytes, expected 8 for each of {rows} rows"
        ));
    }
    Ok(values
        .iter()
        .map(|value| f64::from_le_bytes(*value))
        .collect())
}

/// Raw bytes of numbers.
pub(super) fn bytes_from_numbers(values: impl ExactSizeIterator<Item = f64>) -> Bytes {
    let mut bytes = Vec::with_capacity(values.len() * 8);
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.into()
}

impl From<Frame> for pb::Frame {
    /// Packed doubles, moved.
    fn from(frame: Frame) -> pb::Frame {
        let Frame { row_count, columns } = frame;
        let columns = columns.into_iter().map(|(name, column)| {
            let values = match column {
                FrameColumn::Numbers(values) => Values::Doubles(pb::DoubleValues { values }),
                FrameColumn::Text { dictionary, codes } => {
                    Values::Strings(pb::StringValues { dictionary, codes })
                }
            };
            pb::Column {
                name,
                values: Some(values),
            }
        });
        pb::Frame {
            row_count: row_count_out(row_count),
            columns: columns.collect(),
        }
    }
}

/// The named columns of rows `rows` of a borrowed batch, in the bulk form: one copy from the
/// caller's memory, strided or not. Rows beyond the batch are left out.
#[must_use]
pub fn bulk_frame(batch: &Batch<'_>, rows: Range<usize>, names: &[&str]) -> pb::Frame {
    let end = rows.end.min(batch.row_count());
    let rows = rows.start.min(end)..end;
    let columns = names.iter().filter_map(|name| {
        let values = column_out(batch.get(name)?, &rows)?;
        Some(pb::Column {
            name: (*name).to_owned(),
            values: Some(values),
        })
    });
    pb::Frame {
        row_count: row_count_out(rows.len()),
        columns: columns.collect(),
    }
}

/// `None` only for rows outside the column, which [`bulk_frame`] has excluded.
fn column_out(column: &Column<'_>, rows: &Range<usize>) -> Option<Values> {
    Some(match column {
        Column::Numbers(view) => Values::DoublesLe(match view.as_slice() {
            Some(all) => bytes_from_numbers(all.get(rows.clone())?.iter().copied()),
            None => bytes_from_numbers(
                rows.clone()
                    .map(|row| view.get(row).copied().unwrap_or(f64::NAN)),
            ),
        }),
        Column::Text(TextColumn { dictionary, codes }) => Values::Strings(pb::StringValues {
            dictionary: dictionary.to_vec(),
            codes: codes.get(rows.clone())?.to_vec(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_COLUMNS, bulk_frame};
    use crate::v1 as pb;
    use crate::v1::column::Values;
    use cvm::{Frame, FrameColumn};
    use proptest::prelude::*;

    fn column(name: &str, values: Values) -> pb::Column {
        pb::Column {
            name: name.to_owned(),
            values: Some(values),
        }
    }

    fn doubles(values: &[f64]) -> Values {
        Values::Doubles(pb::DoubleValues {
            values: values.to_vec(),
        })
    }

    fn refused(row_count: i32, columns: Vec<pb::Column>) -> String {
        Frame::try_from(pb::Frame { row_count, columns })
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_malformed_frame_names_its_field() {
        let fine = || column("a", doubles(&[1.0, 2.0]));
        let text = |dictionary: &[&str], codes: &[i32]| {
            Values::Strings(pb::StringValues {
                dictionary: dictionary.iter().map(|&s| s.to_owned()).collect(),
                codes: codes.to_vec(),
            })
        };
        let unset = pb::Column {
            name: "b".to_owned(),
            values: None,
        };
        let cases = [
            (-1, vec![], "row_count: is -1"),
            (
                2,
                vec![fine(), column("b", doubles(&[1.0]))],
                "columns[1].doubles: column \"b\" has 1",
            ),
            (2, vec![fine(), unset], "columns[1].values: is required"),
            (2, vec![fine(), fine()], "columns[1].name: \"a\""),
            (
                2,
                vec![column("a", Values::DoublesLe(vec![0; 15].into()))],
                "columns[0].doubles_le: has 15",
            ),
            (
                2,
                vec![column("a", Values::DoublesLe(vec![0; 24].into()))],
                "columns[0].doubles_le: has 24",
            ),
            (
                2,
                vec![column("a", text(&["x"], &[0]))],
                "columns[0].strings.codes: column",
            ),
            (
                2,
                vec![column("a", text(&["x"], &[0, 1]))],
                "columns[0].strings.codes[1]: is 1",
            ),
            (
                0,
                vec![fine(); MAX_COLUMNS + 1],
                "columns: has 4097 columns",
            ),
        ];
        for (rows, columns, start) in cases {
            let message = refused(rows, columns);
            assert!(message.starts_with(start), "{message} is not {start}");
        }
    }

    #[test]
    fn packed_numbers_move_without_a_copy() {
        let values = vec![1.0, f64::NAN];
        let address = values.as_ptr();
        let wire = pb::Frame::from(Frame::new(2).with_numbers("x", values));
        let frame = Frame::try_from(wire).unwrap();
        match frame.get("x") {
            Some(FrameColumn::Numbers(back)) => assert_eq!(back.as_ptr(), address),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn raw_bytes_are_read_at_any_alignment() {
        let mut bytes = vec![0_u8];
        bytes.extend_from_slice(&1.5_f64.to_le_bytes());
        bytes.extend_from_slice(&(-0.0_f64).to_le_bytes());
        let odd = bytes::Bytes::from(bytes).slice(1..);
        let wire = pb::Frame {
            row_count: 2,
            columns: vec![column("x", Values::DoublesLe(odd))],
        };
        let frame = Frame::try_from(wire).unwrap();
        let Some(FrameColumn::Numbers(values)) = frame.get("x") else {
            panic!("no numbers")
        };
        assert_eq!(values[0].to_bits(), 1.5_f64.to_bits());
        assert_eq!(values[1].to_bits(), (-0.0_f64).to_bits());
    }

    proptest! {
        #[test]
        fn frames_come_back_in_every_bit(
            rows in prop::collection::vec((any::<u64>(), prop::option::of("[a-c]{0,3}")), 0..40),
            from in 0_usize..50,
            to in 0_usize..50,
        ) {
            let numbers: Vec<f64> = rows.iter().map(|row| f64::from_bits(row.0)).collect();
            let mut frame = Frame::new(rows.len()).with_numbers("n", numbers.clone());
            let text = FrameColumn::from_strings(rows.iter().map(|row| row.1.as_deref()));
            frame.columns.push(("t".to_owned(), text));
            let bits = |frame: &Frame| match frame.get("n") {
                Some(FrameColumn::Numbers(values)) =>
                    values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            };
            let back = Frame::try_from(pb::Frame::from(frame.clone())).unwrap();
            prop_assert_eq!(bits(&back), bits(&frame));
            prop_assert_eq!(back.get("t"), frame.get("t"));
            let bulk = bulk_frame(&frame.batch().unwrap(), from..to, &["t", "n", "absent"]);
            let back = Frame::try_from(bulk).unwrap();
            let (all, end) = (bits(&frame), to.min(rows.len()));
            prop_assert_eq!(bits(&back), all.get(from.min(end)..end).unwrap());
            prop_assert_eq!(back.row_count, end - from.min(end));
        }
    }
}

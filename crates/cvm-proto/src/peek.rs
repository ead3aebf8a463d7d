//! How many rows a request claims, read from its first bytes without decoding it.
//!
//! Only fields on the way to the row count are looked into; every other is passed over by its length.
//! What cannot be read counts as nothing: decoding will say what is wrong.

/// A field of a message: its number, and what is in it.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The rows that an encoded `cvm.v1.ScoreRequest` claims: `frame.row_count`.
#[must_use]
pub fn score_rows(message: &[u8]) -> u64 {
    let frame = find_bytes(message, 2).unwrap_or_default();
    let rows = fields(frame).find_map(|(number, field)| match field {
        Field::Number(rows) if number == 1 => Some(rows),
        _ => None,
    });
    rows.unwrap_or(0)
}

/// The rows that an encoded `inference.ModelInferRequest` claims: the first number of the first
/// input's shape.
#[must_use]
pub fn infer_rows(message: &[u8]) -> u64 {
    let input = find_bytes(message, 5).unwrap_or_default();
    let rows = fields(input).find_map(|(number, field)| match field {
        // Packed as usual, or one by one.
        Field::Bytes(packed) if number == 3 => varint(packed).map(|(rows, _)| rows),
        Field::Number(rows) if number == 3 => Some(rows),
        _ => None,
    });
    rows.unwrap_or(0)
}

fn find_bytes(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).find_map(|(number, field)| match field {
        Field::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    })
}

fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let (key, after) = varint(rest)?;
        let (field, after) = match key & 7 {
            0 => varint(after).map(|(value, after)| (Field::Number(value), after))?,
            1 => (Field::Other, after.get(8..)?),
            2 => {
                let (length, after) = varint(after)?;
                let length = usize::try_from(length).ok()?;
                let (bytes, after) = after.split_at_checked(length)?;
                (Field::Bytes(bytes), after)
            }
            5 => (Field::Other, after.get(4..)?),
            _ => return None,
        };
        rest = after;
        Some((key >> 3, field))
    })
}

/// A varint and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{infer_rows, score_rows};
    use crate::inference as oip;
    use crate::v1 as pb;
    use proptest::prelude::*;
    use prost::Message;

    fn score_request(rows: i32) -> Vec<u8> {
        let column = pb::Column {
            name: "T".to_owned(),
            values: Some(pb::column::Values::Doubles(pb::DoubleValues {
                values: vec![1.5; 300],
            })),
        };
        let frame = pb::Frame {
            row_count: rows,
            columns: vec![column; 3],
        };
        let request = pb::ScoreRequest {
            model: "models/retail".to_owned(),
            frame: Some(frame),
            row_keys: vec!["a".to_owned(); 5],
            request_id: "r".to_owned(),
            ..Default::default()
        };
        request.encode_to_vec()
    }

    fn infer_request(rows: i64) -> Vec<u8> {
        let input = oip::model_infer_request::InferInputTensor {
            name: "T".to_owned(),
            datatype: "FP64".to_owned(),
            shape: vec![rows, 1],
            ..Default::default()
        };
        let request = oip::ModelInferRequest {
            model_name: "retail".to_owned(),
            id: "7".to_owned(),
            inputs: vec![input],
            raw_input_contents: vec![vec![0; 800].into()],
            ..Default::default()
        };
        request.encode_to_vec()
    }

    #[test]
    fn the_rows_are_those_that_decoding_finds() {
        for rows in [0, 1, 127, 128, 100_000, i32::MAX] {
            let claimed = u64::try_from(rows).unwrap();
            assert_eq!(score_rows(&score_request(rows)), claimed);
            assert_eq!(infer_rows(&infer_request(rows.into())), claimed);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_loop(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (score_rows(&bytes), infer_rows(&bytes));
        }

        #[test]
        fn a_cut_message_is_none(rows in 1..1_000_i32, cut in 0_usize..900) {
            let whole = score_request(rows);
            let cut = cut.min(whole.len() - 1);
            let claimed = score_rows(&whole[..cut]);
            prop_assert!(claimed == 0 || claimed == u64::try_from(rows).unwrap());
        }
    }
}

//! The message `cvm.v1.DoubleValues`: packed doubles are read in one go where they lie together.
//!
//! Generated code takes them one at a time into a vector that grows. Here the bytes of a packed field are
//! copied as they lie; every other way to write the field, and every fault in it, is left to `prost`.

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, decode_varint, double, skip_field};
use prost::{DecodeError, Message};

/// Number of the field `values`.
const VALUES: u32 = 1;
/// Bytes of a double.
const WIDTH: usize = size_of::<f64>();

/// Numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DoubleValues {
    /// One value per row; NaN is missing.
    pub values: Vec<f64>,
}

/// The bytes of a packed field that lies in `chunk` in whole, and where they end.
fn packed(chunk: &[u8]) -> Option<(&[[u8; WIDTH]], usize)> {
    let mut rest = chunk;
    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
    let head = chunk.len() - rest.len();
    let (doubles, odd) = rest.get(..length)?.as_chunks();
    odd.is_empty().then_some((doubles, head + length))
}

impl Message for DoubleValues {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        double::encode_packed(VALUES, &self.values, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != VALUES {
            return skip_field(wire_type, tag, buf, context);
        }
        if wire_type == WireType::LengthDelimited
            && let Some((doubles, end)) = packed(buf.chunk())
        {
            let doubles = doubles.iter().map(|bytes| f64::from_le_bytes(*bytes));
            self.values.extend(doubles);
            buf.advance(end);
            return Ok(());
        }
        double::merge_repeated(wire_type, &mut self.values, buf, context)
    }

    fn encoded_len(&self) -> usize {
        double::encoded_len_packed(VALUES, &self.values)
    }

    fn clear(&mut self) {
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::DoubleValues;
    use bytes::{Buf, Bytes};
    use prost::Message;

    /// What `prost` generates for the message.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Generated {
        #[prost(double, repeated, tag = "1")]
        values: Vec<f64>,
    }

    fn both(bytes: &[u8]) -> [Result<Vec<u64>, String>; 2] {
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
        let ours = DoubleValues::decode(bytes).map(|message| bits(message.values));
        let theirs = Generated::decode(bytes).map(|message| bits(message.values));
        let told = |error: prost::DecodeError| {
            let text = error.to_string();
            text.replace("Generated", "DoubleValues")
        };
        [ours.map_err(told), theirs.map_err(told)]
    }

    #[test]
    fn bytes_mean_what_they_mean_to_prost_whole_cut_and_bent() {
        let values = vec![0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, 5e-324, -1e300];
        let message = DoubleValues { values };
        let packed = message.encode_to_vec();
        let theirs = Generated {
            values: message.values.clone(),
        };
        assert_eq!(packed, theirs.encode_to_vec());
        // One at a time, as proto2 would; then packed again, then a field that is not ours.
        let mut mixed = vec![0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        mixed.extend_from_slice(&packed);
        mixed.extend_from_slice(&[0x10, 7]);
        let mut compared = 0;
        for whole in [&packed, &mixed] {
            for end in 0..=whole.len() {
                let [ours, theirs] = both(&whole[..end]);
                assert_eq!(ours.is_ok(), theirs.is_ok(), "{ours:?} {theirs:?}");
                assert_eq!(ours.ok(), theirs.ok());
                compared += 1;
            }
            for place in 0..whole.len() {
                for bit in 0..8 {
                    let mut bent = whole.clone();
                    bent[place] ^= 1 << bit;
                    let [ours, theirs] = both(&bent);
                    assert_eq!(ours.ok(), theirs.ok(), "byte {place} bit {bit}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 1_000);
    }

    #[test]
    fn values_across_two_chunks_are_read_too() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let packed = DoubleValues {
            values: values.clone(),
        };
        let packed = Bytes::from(packed.encode_to_vec());
        let chunks = packed.slice(..101).chain(packed.slice(101..));
        assert_eq!(DoubleValues::decode(chunks).unwrap().values, values);
    }
}

//! Universal Binary JSON, the binary form of XGBoost's document, to the value JSON would give.
//!
//! Every length is checked against what is left of the file before memory is asked for, and nesting
//! is bounded.
//!
//! Source: the UBJSON specification, draft 12 (<https://ubjson.org>): big-endian numbers, optimized
//! containers `$` type and `#` count.

use super::ImportError;
use crate::trees::limits::MAX_DOCUMENT_VALUES;
use serde_json::{Map, Number, Value};

const MAX_DEPTH: usize = 64;

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Value, ImportError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        left: MAX_DOCUMENT_VALUES,
    };
    let marker = reader.marker()?;
    let value = reader.value(marker, 0)?;
    match bytes.len() - reader.at {
        0 => Ok(value),
        rest => Err(reader.wrong(&format!("{rest} bytes follow the document"))),
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Values that may still come.
    left: usize,
}

impl<'b> Reader<'b> {
    fn wrong(&self, problem: &str) -> ImportError {
        ImportError::malformed(format!("byte {}", self.at), problem)
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], ImportError> {
        let end = self.at.checked_add(count);
        let slice = end.and_then(|end| self.bytes.get(self.at..end));
        let slice = slice.ok_or_else(|| self.wrong("the file is cut off"))?;
        self.at += count;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImportError> {
        let (own, _) = self
            .take(N)?
            .split_first_chunk::<N>()
            .ok_or_else(|| self.wrong("the file is cut off"))?;
        Ok(*own)
    }

    /// The next type marker; no-ops are skipped.
    fn marker(&mut self) -> Result<u8, ImportError> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn whole(&mut self, marker: u8) -> Result<i64, ImportError> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            other => {
                let shown = char::from(other).escape_default();
                return Err(self.wrong(&format!("a whole number was expected, not `{shown}`")));
            }
        })
    }

    fn length(&mut self) -> Result<usize, ImportError> {
        let marker = self.marker()?;
        let length = self.whole(marker)?;
        usize::try_from(length).map_err(|_| self.wrong(&format!("a length of {length}")))
    }

    fn text(&mut self) -> Result<String, ImportError> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes);
        Ok(text
            .map_err(|_| self.wrong("text is not UTF-8"))?
            .to_owned())
    }

    fn value(&mut self, marker: u8, depth: usize) -> Result<Value, ImportError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH}")));
        }
        let more = self.left.checked_sub(1);
        self.left = more.ok_or_else(|| self.wrong("too many values"))?;
        Ok(match marker {
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'd' => real(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => real(f64::from_be_bytes(self.array()?)),
            b'S' => Value::String(self.text()?),
            b'C' => {
                let [byte] = self.array()?;
                Value::String(char::from(byte).to_string())
            }
            b'[' => self.list(depth)?,
            b'{' => self.object(depth)?,
            other => Value::Number(Number::from(self.whole(other)?)),
        })
    }

    /// Type and count of an optimized container.
    fn header(&mut self) -> Result<(Option<u8>, Option<usize>), ImportError> {
        let mut of = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            of = Some(self.marker()?);
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            return Ok((of, Some(self.length()?)));
        }
        match of {
            Some(_) => Err(self.wrong("a typed list has no count")),
            None => Ok((None, None)),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, ImportError> {
        let (of, count) = self.header()?;
        let mut items = Vec::new();
        match count {
            Some(count) => {
                // Every item takes a byte at least, so that the claim is bounded by the file.
                if count > self.bytes.len() - self.at {
                    return Err(self.wrong(&format!("a list of {count} in a shorter file")));
                }
                for _ in 0..count {
                    let marker = match of {
                        Some(of) => of,
                        None => self.marker()?,
                    };
                    items.push(self.value(marker, depth + 1)?);
                }
            }
            None => loop {
                let marker = self.marker()?;
                if marker == b']' {
                    break;
                }
                items.push(self.value(marker, depth + 1)?);
            },
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, ImportError> {
        let (of, count) = self.header()?;
        let mut map = Map::new();
        let mut read = 0;
        loop {
            if count == Some(read) {
                break;
            }
            if count.is_none() && self.peek() == Some(b'}') {
                self.at += 1;
                break;
            }
            let key = self.text()?;
            let marker = match of {
                Some(of) => of,
                None => self.marker()?,
            };
            let value = self.value(marker, depth + 1)?;
            if map.insert(key, value).is_some() {
                return Err(self.wrong("a key is given twice"));
            }
            read += 1;
        }
        Ok(Value::Object(map))
    }
}

/// A number; infinities and NaN, which JSON lacks, as their names.
fn real(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn plain_and_optimized_containers_are_read() {
        let bytes = b"{U\x01a[$l#U\x02\x00\x00\x00\x07\xff\xff\xff\xffU\x01b[TZSU\x02hi]U\x01cd\x3f\xc0\x00\x00}";
        let value = read(bytes).unwrap();
        assert_eq!(
            value,
            json!({"a": [7, -1], "b": [true, null, "hi"], "c": 1.5})
        );
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let nested = [b'['; 100_000];
        let cases: [&[u8]; 8] = [
            b"",
            b"{",
            b"[$d#l\x7f\xff\xff\xff",
            b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"{U\xffa",
            b"[$d\x00",
            b"SL\xff\xff\xff\xff\xff\xff\xff\xff",
            &nested,
        ];
        for bytes in cases {
            assert!(read(bytes).is_err(), "{:?}", &bytes[..bytes.len().min(8)]);
        }
        // A list of 200 000 nulls in a few bytes is refused: each item must take a byte.
        assert!(read(b"[$Z#l\x00\x03\x0d\x40").is_err());
        assert!(read(b"TT").is_err());
    }
}

//! Canonical JSON: one text per value, and a strict reader that accepts only that text.
//!
//! The text is what Python's `json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)`
//! prints: keys sorted by code point, two spaces a level, shortest decimals that read back to the
//! same double. It is written here, not by a library, so that files stay canonical for ever.

use crate::limits::{MAX_HEADER_BYTES, MAX_HEADER_DEPTH, MAX_HEADER_VALUES};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt::{self, Write};

/// The canonical text of `value`.
///
/// # Errors
/// A value nested deeper than [`MAX_HEADER_DEPTH`].
pub(crate) fn render(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    push_value(&mut out, value, 0)?;
    Ok(out)
}

/// Reads canonical text.
///
/// # Errors
/// What is wrong, in words: not JSON, a key given twice, a limit exceeded, or another text than
/// [`render`] makes of the same value.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_HEADER_BYTES {
        let length = bytes.len();
        return Err(format!(
            "has {length} bytes, at most {MAX_HEADER_BYTES} allowed"
        ));
    }
    let left = Cell::new(MAX_HEADER_VALUES);
    let seed = Strict {
        depth: 0,
        left: &left,
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = seed.deserialize(&mut reader).map_err(|e| e.to_string())?;
    reader.end().map_err(|e| e.to_string())?;
    match first_difference(render(&value)?.as_bytes(), bytes) {
        None => Ok(value),
        Some(at) => Err(format!("is not canonical JSON at byte {at}")),
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    let common = a.iter().zip(b).position(|(a, b)| a != b);
    common.or_else(|| (a.len() != b.len()).then_some(a.len().min(b.len())))
}

fn push_value(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => push_number(out, number),
        Value::String(text) => push_string(out, text),
        Value::Array(items) => push_list(out, items, deeper(depth)?)?,
        Value::Object(map) => push_object(out, map, deeper(depth)?)?,
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, String> {
    if depth < MAX_HEADER_DEPTH {
        return Ok(depth + 1);
    }
    Err(format!("is nested deeper than {MAX_HEADER_DEPTH} levels"))
}

fn push_list(out: &mut String, items: &[Value], depth: usize) -> Result<(), String> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        push_line(out, index > 0, depth);
        push_value(out, item, depth)?;
    }
    push_close(out, items.is_empty(), depth, ']');
    Ok(())
}

/// Keys are sorted here: the order of `Map` depends on a feature of serde_json that any crate of a
/// build may switch on.
fn push_object(out: &mut String, map: &Map<String, Value>, depth: usize) -> Result<(), String> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        push_line(out, index > 0, depth);
        push_string(out, key);
        out.push_str(": ");
        push_value(out, value, depth)?;
    }
    push_close(out, entries.is_empty(), depth, '}');
    Ok(())
}

fn push_line(out: &mut String, after_another: bool, depth: usize) {
    if after_another {
        out.push(',');
    }
    out.push('\n');
    (0..depth).for_each(|_| out.push_str("  "));
}

fn push_close(out: &mut String, empty: bool, depth: usize, bracket: char) {
    if !empty {
        push_line(out, false, depth - 1);
    }
    out.push(bracket);
}

fn push_number(out: &mut String, number: &Number) {
    match number.as_f64() {
        Some(value) if number.is_f64() => push_float(out, value),
        _ => out.push_str(&number.to_string()),
    }
}

/// Laid out like Python's `repr`: positional for exponents from -4 to 15, else with an exponent.
fn push_float(out: &mut String, value: f64) {
    let (digits, exponent) = shortest(value.abs());
    if value.is_sign_negative() {
        out.push('-');
    }
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < 16 => {
            let digits = format!("{digits:0<width$}", width = exponent + 2);
            let (whole, rest) = digits.split_at(exponent + 1);
            out.extend([whole, ".", rest]);
        }
        Err(_) if exponent >= -4 => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            out.extend(["0.", &zeros, &digits]);
        }
        _ => push_scientific(out, &digits, exponent),
    }
}

fn push_scientific(out: &mut String, digits: &str, exponent: i32) {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{first}{dot}{rest}e{sign}{:02}",
        exponent.unsigned_abs()
    );
}

/// The fewest digits that read back to the same double, the nearest of them, an even last digit
/// where two are as near; and the power of ten of the first digit.
///
/// `LowerExp` alone gives the fewest and nearest, but rounds ties up: 808390801442085.25 becomes
/// `…5.3`. Asked for a number of digits, it rounds exactly and ties to even; that is taken unless
/// it reads back as a neighbour, as may happen at a power of two, where doubles below lie closer.
fn shortest(value: f64) -> (String, i32) {
    let fewest = format!("{value:e}");
    let (digits, exponent) = split_scientific(&fewest);
    let nearest = format!("{value:.*e}", digits.len() - 1);
    match nearest.parse::<f64>() {
        Ok(back) if back == value => split_scientific(&nearest),
        _ => (digits, exponent),
    }
}

/// `1.25e-7` as its digits `125` and its exponent -7.
fn split_scientific(text: &str) -> (String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.replace('.', "");
    (digits, exponent.parse().unwrap_or(0))
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads any value while counting values and levels and refusing doubled keys; the bound comes
/// before the memory.
struct Strict<'c> {
    depth: usize,
    left: &'c Cell<usize>,
}

impl Strict<'_> {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        let depth = deeper(self.depth).map_err(E::custom)?;
        Ok(Strict {
            depth,
            left: self.left,
        })
    }

    fn again(&self) -> Self {
        Strict {
            depth: self.depth,
            left: self.left,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            let problem = format!("has more than {MAX_HEADER_VALUES} values");
            return Err(D::Error::custom(problem));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner.again())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("key `{key}` is given twice")));
            }
            let value = entries.next_value_seed(inner.again())?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, render};
    use crate::limits::{MAX_HEADER_DEPTH, MAX_HEADER_VALUES};
    use serde_json::{Value, json};

    #[test]
    fn text_is_what_python_prints() {
        // CPython 3.11: json.dumps(..., indent=2, sort_keys=True, ensure_ascii=False).
        let value =
            json!({"b": [1, -2, 1.0, 0.1, 1e16, 1e-5], "a": {"é": "\u{1}\"\n"}, "c": [], "d": {}});
        let text = "{\n  \"a\": {\n    \"é\": \"\\u0001\\\"\\n\"\n  },\n  \"b\": [\n    1,\n    -2,\n    1.0,\n    0.1,\n    1e+16,\n    1e-05\n  ],\n  \"c\": [],\n  \"d\": {}\n}";
        assert_eq!(render(&value).unwrap(), text);
        assert_eq!(parse(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn numbers_are_laid_out_like_repr() {
        let cases: [(f64, &str); 16] = [
            (808_390_801_442_085.0 + 0.25, "808390801442085.2"),
            (808_390_801_442_085.0 + 0.75, "808390801442085.8"),
            (9_007_199_254_740_992.0, "9007199254740992.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (0.5, "0.5"),
            (2.220_446_049_250_313e-16, "2.220446049250313e-16"),
            (2.225_073_858_507_201_4e-308, "2.2250738585072014e-308"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e-4, "0.0001"),
            (9.999999999999999e-5, "9.999999999999999e-05"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (-9582.429, "-9582.429"),
        ];
        for (value, text) in cases {
            assert_eq!(render(&Value::from(value)).unwrap(), text);
            let back = parse(text.as_bytes()).unwrap().as_f64().unwrap();
            assert_eq!(back.to_bits(), value.to_bits(), "{text}");
        }
    }

    #[test]
    fn integers_keep_all_their_digits() {
        for text in [
            "18446744073709551615",
            "-9223372036854775808",
            "9007199254740993",
        ] {
            assert_eq!(render(&parse(text.as_bytes()).unwrap()).unwrap(), text);
        }
        assert!(parse(b"18446744073709551616").is_err());
        assert!(parse(b"1e999").is_err());
    }

    #[test]
    fn other_spellings_of_the_same_value_are_refused() {
        let spellings = [
            "{\"a\":1}",
            "{\n  \"a\": 1\n}\n",
            " 1",
            "1 ",
            "1.00",
            "1E+16",
            "-0",
            "\"\\u0041\"",
            "\"\\/\"",
            "{\n  \"b\": 1,\n  \"a\": 2\n}",
            "[\n  1\n] 2",
        ];
        for text in spellings {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let twice = parse(b"{\n  \"a\": 1,\n  \"a\": 1\n}").unwrap_err();
        assert!(twice.contains("key `a` is given twice"), "{twice}");
    }

    #[test]
    fn depth_and_count_are_bounded_on_both_ways() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let deepest = render(&nested(MAX_HEADER_DEPTH)).unwrap();
        assert!(parse(deepest.as_bytes()).is_ok());
        assert!(render(&nested(MAX_HEADER_DEPTH + 1)).is_err());
        let bomb = "[".repeat(100_000);
        assert!(parse(bomb.as_bytes()).unwrap_err().contains("deeper"));
        let crowd = render(&Value::from(vec![0; MAX_HEADER_VALUES])).unwrap();
        assert!(parse(crowd.as_bytes()).unwrap_err().contains("values"));
    }
}

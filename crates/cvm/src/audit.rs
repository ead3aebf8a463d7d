//! Records of predictions: what was asked and answered, and whether a model still answers so.
//!
//! A log is text, one record in JSON on each line; numbers that must keep every bit are written as the
//! 16 hexadecimal digits of their IEEE 754 binary64, most significant first, one number after the other:
//!
//! ```text
//! {"format": "cvm-audit/1", "time": "2026-11-27T10:49:49.123Z",
//!  "model_version": "models/retail/versions/7", "fingerprint": "…", "kind": "clv.bg_nbd",
//!  "request_id": "nightly-3", "row_count": 2, "rows": [4, 17], "row_keys": ["c-812", "c-907"],
//!  "options": {"horizon_periods": 39.0}, "inputs_sha256": "…",
//!  "inputs": [{"name": "T", "numbers": "40436e147ae147ae…"},
//!             {"name": "plan", "dictionary": ["basic"], "codes": [0, -1]}],
//!  "outputs": [{"name": "p_alive", "numbers": "3fe7…"}], "statuses": ["ok", "missing"]}
//! ```
//!
//! `inputs_sha256` is the SHA-256 of: the number of rows; then, column by column in the order of their
//! names, the name, `n` or `t`, and its values: numbers as above in 8 bytes, texts as their bytes, a
//! missing text as 8 bytes of 255. Every name and text has its length before it; counts and lengths are 8
//! bytes, most significant first.

mod read;
mod sample;

pub use read::{AuditLine, AuditReader, audit_files};
pub use sample::Sample;

use crate::Error;
use cvm_core::{ErrorKind, Frame, FrameColumn, RowCode, ScoreOptions, Scores};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What the lines of this version say they are.
const FORMAT: &str = "cvm-audit/1";

/// Most differences a replay tells of.
pub const MAX_DIFFERENCES: usize = 100;

/// Numbers in every bit.
#[derive(Debug, Clone, PartialEq)]
struct Bits(Vec<f64>);

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(16 * self.0.len());
        for value in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:016x}", value.to_bits());
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bits, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (digits, rest) = text.as_bytes().as_chunks::<16>();
        let numbers: Option<Vec<f64>> = digits.iter().map(number).collect();
        match numbers.filter(|_| rest.is_empty()) {
            Some(numbers) => Ok(Bits(numbers)),
            None => Err(de::Error::custom("numbers are 16 hexadecimal digits each")),
        }
    }
}

fn number(digits: &[u8; 16]) -> Option<f64> {
    let legal = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| legal)?;
    u64::from_str_radix(text, 16).ok().map(f64::from_bits)
}

/// A column of inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Input {
    Numbers {
        name: String,
        numbers: Bits,
    },
    Text {
        name: String,
        dictionary: Vec<String>,
        codes: Vec<i32>,
    },
}

/// A column of scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Output {
    name: String,
    numbers: Bits,
}

/// What is recorded beside the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditParts {
    /// When it was answered: RFC 3339.
    pub time: String,
    /// Resource name of the version that answered.
    pub model_version: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its kind.
    pub kind: String,
    /// The caller's name for the request.
    pub request_id: String,
    /// Places of the rows in the request; empty for all of it.
    pub rows: Vec<usize>,
    /// The caller's names of the rows: none, or one each.
    pub row_keys: Vec<String>,
    /// What was asked for; reasons are no scores and are left out.
    pub options: ScoreOptions,
    /// The inputs.
    pub frame: Frame,
    /// The scores.
    pub scores: Expected,
}

/// Scores as they were answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Columns in their order.
    pub outputs: Vec<(String, Vec<f64>)>,
    /// One code per row; empty means that all are fine.
    pub statuses: Vec<RowCode>,
}

/// One prediction of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    format: String,
    /// When it was answered: RFC 3339.
    pub time: String,
    /// Resource name of the version that answered.
    pub model_version: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its kind.
    pub kind: String,
    /// The caller's name for the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// Rows of this record.
    pub row_count: usize,
    /// Places of the rows in the request; empty for all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<usize>,
    /// The caller's names of the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_keys: Vec<String>,
    options: Map<String, Value>,
    /// Digest of the inputs.
    pub inputs_sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<Vec<Input>>,
    outputs: Vec<Output>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<String>,
}

impl AuditRecord {
    /// A record; without `with_inputs` it holds of inputs the digest only, and no row keys.
    #[must_use]
    pub fn new(parts: AuditParts, with_inputs: bool) -> AuditRecord {
        let AuditParts {
            time,
            model_version,
            fingerprint,
            kind,
            request_id,
            rows,
            row_keys,
            options,
            frame,
            scores: Expected { outputs, statuses },
        } = parts;
        let outputs = outputs.into_iter().map(|(name, numbers)| Output {
            name,
            numbers: Bits(numbers),
        });
        AuditRecord {
            format: FORMAT.to_owned(),
            time,
            model_version,
            fingerprint,
            kind,
            request_id,
            row_count: frame.row_count,
            rows,
            row_keys: if with_inputs { row_keys } else { Vec::new() },
            options: options_out(options),
            inputs_sha256: inputs_digest(&frame),
            inputs: with_inputs.then(|| inputs_out(frame)),
            outputs: outputs.collect(),
            statuses: statuses.iter().map(|code| code.name().to_owned()).collect(),
        }
    }

    /// The record as a line, its end included.
    ///
    /// # Errors
    /// It cannot be written as JSON: a defect.
    pub fn to_line(&self) -> Result<String, Error> {
        let written = serde_json::to_string(self);
        let mut line =
            written.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        line.push('\n');
        Ok(line)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// `Incompatible` for another format, `Corrupt` for what is no record.
    pub fn parse(line: &str) -> Result<AuditRecord, Error> {
        let corrupt = |why: String| Error::new(ErrorKind::Corrupt, why);
        let record: AuditRecord =
            serde_json::from_str(line).map_err(|error| corrupt(format!("no record: {error}")))?;
        if record.format != FORMAT {
            let why = format!("the record's format is not {FORMAT}");
            return Err(Error::new(ErrorKind::Incompatible, why));
        }
        let rows = record.row_count;
        let lengths = [
            record.rows.len(),
            record.row_keys.len(),
            record.statuses.len(),
        ];
        let optional = lengths.iter().all(|length| [0, rows].contains(length));
        let whole = record.outputs.iter().all(|o| o.numbers.0.len() == rows);
        match optional && whole {
            true => Ok(record),
            false => Err(corrupt(format!(
                "the record's parts do not all have {rows} rows"
            ))),
        }
    }

    /// Whether the record holds its inputs.
    #[must_use]
    pub fn has_inputs(&self) -> bool {
        self.inputs.is_some()
    }

    /// The inputs: the record's own, or those given for a record that holds only their digest.
    ///
    /// # Errors
    /// `InvalidInput` without inputs; `Corrupt` for inputs whose digest is another.
    pub fn frame(&self, given: Option<Frame>) -> Result<Frame, Error> {
        let frame = match (given, &self.inputs) {
            (Some(frame), _) => frame,
            (None, Some(inputs)) => frame_of(self.row_count, inputs),
            (None, None) => {
                let why = "the record holds only the digest of its inputs: give them";
                return Err(Error::invalid("frame", why));
            }
        };
        let own = inputs_digest(&frame);
        if own != self.inputs_sha256 {
            let why = format!(
                "the inputs' SHA-256 is {own}, the record says {}",
                self.inputs_sha256
            );
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        Ok(frame)
    }

    /// What was asked for.
    ///
    /// # Errors
    /// `Corrupt` for an option that is none.
    pub fn options(&self) -> Result<ScoreOptions, Error> {
        options_in(&self.options)
    }

    /// What was answered.
    ///
    /// # Errors
    /// `Corrupt` for a status that is none.
    pub fn expected(&self) -> Result<Expected, Error> {
        let statuses = self.statuses.iter().map(|name| {
            let code = RowCode::ALL.into_iter().find(|code| code.name() == name);
            code.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{name:?} is no status")))
        });
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|output| (output.name.clone(), output.numbers.0.clone()));
        Ok(Expected {
            outputs: outputs.collect(),
            statuses: statuses.collect::<Result<_, Error>>()?,
        })
    }

    /// Scores the record's inputs with the model that answered and compares in every bit.
    ///
    /// # Errors
    /// As [`AuditRecord::frame`]; `InvalidInput` for a model of another fingerprint.
    pub fn replay(&self, model: &crate::Model, given: Option<Frame>) -> Result<Replay, Error> {
        let own = model.fingerprint().to_string();
        if own != self.fingerprint {
            let why = format!("is {own}, the record is of {}", self.fingerprint);
            return Err(Error::invalid("fingerprint", why));
        }
        let frame = self.frame(given)?;
        let scores = model.score(&frame.batch()?, &self.options()?)?;
        Ok(self.expected()?.compare(&scores))
    }
}

/// How scores computed anew compare with those answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    /// Rows compared.
    pub row_count: usize,
    /// Rows in which a score or the status is another.
    pub differing_row_count: usize,
    /// The first differences, at most [`MAX_DIFFERENCES`].
    pub differences: Vec<Difference>,
}

/// One score, or status, that is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Row of the record.
    pub row: usize,
    /// Name of the output, or `row_status`.
    pub output: String,
    /// What was answered.
    pub expected: String,
    /// What is computed now.
    pub found: String,
}

impl Expected {
    /// Compares with scores of the same rows, in every bit; NaN is NaN, whatever its payload.
    #[must_use]
    pub fn compare(&self, scores: &Scores) -> Replay {
        let mut found = Found::default();
        for (name, wanted) in &self.outputs {
            let own = scores.outputs.iter().find(|(own, _)| own == name);
            let own = own.map(|(_, values)| values.as_slice()).unwrap_or_default();
            for (row, wanted) in wanted.iter().enumerate() {
                let got = own.get(row).copied();
                if !got.is_some_and(|got| same(got, *wanted)) {
                    let got = got.map_or_else(|| "no such output".to_owned(), shown);
                    found.tell(row, name, shown(*wanted), got);
                }
            }
        }
        for (row, status) in scores.status.iter().enumerate() {
            let wanted = match self.statuses.is_empty() {
                true => Some(RowCode::Ok),
                false => self.statuses.get(row).copied(),
            };
            if wanted != Some(status.code) {
                let wanted = wanted.map_or("no such row", RowCode::name).to_owned();
                found.tell(row, "row_status", wanted, status.code.name().to_owned());
            }
        }
        Replay {
            row_count: scores.status.len(),
            differing_row_count: found.rows.len(),
            differences: found.differences,
        }
    }
}

#[derive(Default)]
struct Found {
    rows: BTreeSet<usize>,
    differences: Vec<Difference>,
}

impl Found {
    fn tell(&mut self, row: usize, output: &str, expected: String, found: String) {
        self.rows.insert(row);
        if self.differences.len() < MAX_DIFFERENCES {
            let output = output.to_owned();
            self.differences.push(Difference {
                row,
                output,
                expected,
                found,
            });
        }
    }
}

fn same(left: f64, right: f64) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

fn shown(value: f64) -> String {
    format!("{value:?} ({:016x})", value.to_bits())
}

fn options_out(options: ScoreOptions) -> Map<String, Value> {
    let mut options = options;
    let mut all = Map::new();
    for name in ScoreOptions::NUMBERS {
        let Some(number) = options.number_mut(name).and_then(|slot| *slot) else {
            continue;
        };
        let finite = serde_json::Number::from_f64(number).map(Value::Number);
        let value = finite.unwrap_or_else(|| Value::from(format!("{number:?}")));
        all.insert(name.to_owned(), value);
    }
    if !options.outputs.is_empty() {
        all.insert("outputs".to_owned(), options.outputs.into());
    }
    all
}

fn options_in(all: &Map<String, Value>) -> Result<ScoreOptions, Error> {
    let wrong = |name: &str| Error::new(ErrorKind::Corrupt, format!("options.{name} is no option"));
    let mut options = ScoreOptions::default();
    for (name, value) in all {
        if name == "outputs" {
            let names = serde_json::from_value(value.clone());
            options.outputs = names.map_err(|_| wrong(name))?;
            continue;
        }
        let slot = options.number_mut(name).ok_or_else(|| wrong(name))?;
        // `inf`, `-inf` and `NaN`, as they were written.
        let special = || value.as_str().and_then(|text| text.parse().ok());
        let number = value.as_f64().or_else(special);
        *slot = Some(number.ok_or_else(|| wrong(name))?);
    }
    Ok(options)
}

fn inputs_out(frame: Frame) -> Vec<Input> {
    let columns = frame
        .columns
        .into_iter()
        .map(|(name, column)| match column {
            FrameColumn::Numbers(values) => Input::Numbers {
                name,
                numbers: Bits(values),
            },
            FrameColumn::Text { dictionary, codes } => {
                let (dictionary, codes) = only_used(&dictionary, &codes);
                Input::Text {
                    name,
                    dictionary,
                    codes,
                }
            }
        });
    columns.collect()
}

/// The dictionary of some rows: what none of them uses is not theirs to keep.
fn only_used(dictionary: &[String], codes: &[i32]) -> (Vec<String>, Vec<i32>) {
    let mut places = vec![None; dictionary.len()];
    let mut kept = Vec::new();
    let codes = codes.iter().map(|code| {
        let own = usize::try_from(*code).ok();
        let Some((word, place)) = own.and_then(|own| dictionary.get(own).zip(places.get_mut(own)))
        else {
            return -1;
        };
        *place.get_or_insert_with(|| {
            kept.push(word.clone());
            i32::try_from(kept.len() - 1).unwrap_or(-1)
        })
    });
    let codes = codes.collect();
    (kept, codes)
}

fn frame_of(row_count: usize, inputs: &[Input]) -> Frame {
    let columns = inputs.iter().map(|input| match input {
        Input::Numbers { name, numbers } => (name.clone(), FrameColumn::Numbers(numbers.0.clone())),
        Input::Text {
            name,
            dictionary,
            codes,
        } => {
            let (dictionary, codes) = (dictionary.clone(), codes.clone());
            (name.clone(), FrameColumn::Text { dictionary, codes })
        }
    });
    Frame {
        row_count,
        columns: columns.collect(),
    }
}

/// SHA-256 of inputs, as the module says.
#[must_use]
pub fn inputs_digest(frame: &Frame) -> String {
    let mut context = Context::new(&SHA256);
    context.update(&count(frame.row_count));
    let mut columns: Vec<_> = frame.columns.iter().collect();
    columns.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (name, column) in columns {
        text(&mut context, name);
        match column {
            FrameColumn::Numbers(values) => {
                context.update(b"n");
                for value in values {
                    context.update(&value.to_bits().to_be_bytes());
                }
            }
            FrameColumn::Text { dictionary, codes } => {
                context.update(b"t");
                for code in codes {
                    let word = usize::try_from(*code).ok().and_then(|c| dictionary.get(c));
                    match word {
                        Some(word) => text(&mut context, word),
                        None => context.update(&[u8::MAX; 8]),
                    }
                }
            }
        }
    }
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn count(count: usize) -> [u8; 8] {
    (count as u64).to_be_bytes()
}

fn text(context: &mut Context, text: &str) {
    context.update(&count(text.len()));
    context.update(text.as_bytes());
}

#[cfg(test)]
mod tests;

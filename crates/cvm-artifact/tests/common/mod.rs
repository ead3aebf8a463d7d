//! Sample artifacts, and a second writer of the container made from the specification alone.
#![allow(dead_code, reason = "each test binary uses a part")]

use cvm_artifact::{Artifact, Fingerprint, OutputInfo, Probe};
use cvm_core::{
    Array, Domain, FieldKind, Frame, FrameColumn, InputField, InputSchema, MissingRule, ModelState,
    RowCode, RowStatus, ScoreOptions, TimeUnit, UnseenRule,
};
use serde_json::{Map, Value, json};

/// NaN with a payload, as no arithmetic makes it.
pub const ODD_NAN: u64 = 0xfff8_0000_dead_beef;

/// The artifact of `data/v1_small.cvm`: every kind of content, small enough to read.
pub fn small() -> Artifact {
    Artifact {
        state: small_state(),
        schema: InputSchema {
            fields: vec![
                InputField::number("frequency", "purchases", Domain::Count),
                segment_field(),
            ],
            time_unit: Some(TimeUnit::Week),
        },
        outputs: vec![
            output("p_alive", "probability", "still a customer"),
            output("sales", "currency", "expected sales within the horizon"),
        ],
        training: object(json!({"log_likelihood": -9582.429, "rows": 2357})),
        metadata: object(json!({"name": "small", "notes": "naïve \"quotes\"\n", "tiny": 1e-7})),
        probe: small_probe(),
    }
}

fn small_state() -> ModelState {
    let mut state = ModelState::new("test.small");
    state.settings = object(json!({"link": "log", "steps": [1, 2.5, null, true]}));
    state.arrays = vec![
        Array::vector("params", vec![0.243, -0.0, 5e-324]),
        Array::matrix(
            "fit.covariance",
            1,
            2,
            vec![f64::INFINITY, f64::from_bits(ODD_NAN)],
        ),
        Array::vector("empty", vec![]),
    ];
    state
}

fn segment_field() -> InputField {
    InputField {
        name: "segment".to_owned(),
        kind: FieldKind::Category {
            levels: vec!["A".to_owned(), "Ä".to_owned()],
            unseen: UnseenRule::Reference,
        },
        unit: "1".to_owned(),
        missing: MissingRule::OwnLevel,
    }
}

fn small_probe() -> Probe {
    let text = [Some("A"), None, Some("Ä")];
    let mut rows = Frame::new(3).with_numbers("frequency", vec![2.0, f64::NAN, 0.0]);
    rows.columns
        .push(("segment".to_owned(), FrameColumn::from_strings(text)));
    Probe {
        arithmetic: 1,
        rows,
        options: ScoreOptions {
            horizon_periods: Some(39.0),
            ..ScoreOptions::default()
        },
        scores: vec![
            ("p_alive".to_owned(), vec![0.7266, f64::NAN, 1.0]),
            ("sales".to_owned(), vec![1.226, f64::NAN, 0.1]),
        ],
        status: vec![
            RowStatus::OK,
            RowStatus::bad(RowCode::Missing, 0),
            RowStatus::OK,
        ],
    }
}

pub fn output(name: &str, unit: &str, meaning: &str) -> OutputInfo {
    OutputInfo {
        name: name.to_owned(),
        unit: unit.to_owned(),
        meaning: meaning.to_owned(),
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// Equality of bits: NaN equals the same NaN, 0.0 differs from -0.0.
pub fn assert_same(a: &Artifact, b: &Artifact) {
    assert_eq!(without_numbers(a), without_numbers(b));
    assert_eq!(number_bits(a), number_bits(b));
}

fn without_numbers(artifact: &Artifact) -> Artifact {
    let mut bare = artifact.clone();
    for_each_number(&mut bare, |value| *value = 0.0);
    bare
}

fn number_bits(artifact: &Artifact) -> Vec<u64> {
    let mut bits = Vec::new();
    for_each_number(&mut artifact.clone(), |value| bits.push(value.to_bits()));
    bits
}

fn for_each_number(artifact: &mut Artifact, mut visit: impl FnMut(&mut f64)) {
    let arrays = artifact.state.arrays.iter_mut().map(|a| &mut a.values);
    arrays.flatten().for_each(&mut visit);
    for (_, column) in &mut artifact.probe.rows.columns {
        if let FrameColumn::Numbers(values) = column {
            values.iter_mut().for_each(&mut visit);
        }
    }
    let scores = artifact.probe.scores.iter_mut().map(|(_, values)| values);
    scores.flatten().for_each(&mut visit);
}

/// A section as it stands in a file.
pub type Section = (u32, Vec<u8>);

/// Seals `sections` as `docs/format/v1.md` says, with every checksum and the hash right.
pub fn seal(version: u32, sections: &[Section]) -> Vec<u8> {
    let mut offset = 24 + 24 * sections.len();
    let mut table = Vec::new();
    for (kind, payload) in sections {
        table.extend(entry(
            *kind,
            crc32fast::hash(payload),
            offset as u64,
            payload.len() as u64,
        ));
        offset += payload.len().div_ceil(8) * 8;
    }
    let payloads: Vec<u8> = sections
        .iter()
        .flat_map(|(_, payload)| padded(payload))
        .collect();
    seal_raw(version, sections.len() as u32, &table, &payloads)
}

/// A table record.
pub fn entry(kind: u32, crc32: u32, offset: u64, length: u64) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), crc32.to_le_bytes()].concat();
    out.extend(offset.to_le_bytes());
    out.extend(length.to_le_bytes());
    out
}

fn padded(payload: &[u8]) -> Vec<u8> {
    let mut out = payload.to_vec();
    out.resize(payload.len().div_ceil(8) * 8, 0);
    out
}

/// Seals any table and any bytes after it.
pub fn seal_raw(version: u32, count: u32, table: &[u8], payloads: &[u8]) -> Vec<u8> {
    let mut out = b"\x89CVM\r\n\x1a\n".to_vec();
    out.extend(version.to_le_bytes());
    out.extend(count.to_le_bytes());
    let crc32 = crc32fast::hash(&[&out, table].concat());
    out.extend(crc32.to_le_bytes());
    out.extend([0; 4]);
    out.extend(table);
    out.extend(payloads);
    trailed(out)
}

/// `body` and its hash.
pub fn trailed(mut body: Vec<u8>) -> Vec<u8> {
    let hash = Fingerprint::of(&body);
    body.extend(hash.0);
    body
}

/// The sections of a sound file.
pub fn sections(bytes: &[u8]) -> Vec<Section> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let section = |index: u32| {
        let at = 24 + 24 * index as usize;
        let (offset, length) = (long(at + 8), long(at + 16));
        (word(at), bytes[offset..offset + length].to_vec())
    };
    (0..word(12)).map(section).collect()
}

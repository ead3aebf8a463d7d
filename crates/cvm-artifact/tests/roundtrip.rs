//! Random artifacts and random bytes: exact both ways, and never a panic.

mod common;

use common::{assert_same, seal, sections, small};
use cvm_artifact::{Artifact, OutputInfo, Probe, decode, encode, inspect};
use cvm_core::{
    Array, Domain, FieldKind, Frame, FrameColumn, InputField, InputSchema, MissingRule, ModelState,
    RowCode, RowStatus, ScoreOptions, TimeUnit, UnseenRule,
};
use proptest::collection::{hash_set, vec};
use proptest::num::f64 as floats;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value};

/// Every bit pattern: NaN with payloads, subnormals, negative zero.
fn any_bits() -> impl Strategy<Value = f64> {
    prop_oneof![3 => floats::ANY, 1 => any::<u64>().prop_map(f64::from_bits)]
}

fn finite() -> impl Strategy<Value = f64> {
    floats::NORMAL | floats::SUBNORMAL | floats::ZERO
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}",
        any::<String>(),
        "[\\x00-\\x20\"\\\\é漢😀]{0,12}"
    ]
}

fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let name = text().prop_filter("a name is not empty", |name| !name.is_empty());
    hash_set(name, count).prop_map(|names| names.into_iter().collect())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let entries = vec((text(), inner.clone()), 0..4);
        let object = entries.prop_map(|pairs| Value::Object(pairs.into_iter().collect()));
        prop_oneof![vec(inner, 0..4).prop_map(Value::Array), object]
    })
}

fn facts() -> impl Strategy<Value = Map<String, Value>> {
    vec((text(), json_value()), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn array_body(is_record: bool) -> BoxedStrategy<(Vec<usize>, Vec<f64>)> {
    let value = if is_record {
        any_bits().boxed()
    } else {
        finite().boxed()
    };
    vec(0_usize..4, 0..4)
        .prop_flat_map(move |shape| {
            let count: usize = shape.iter().product();
            (Just(shape), vec(value.clone(), count))
        })
        .boxed()
}

fn array(name: String) -> impl Strategy<Value = Array> {
    any::<bool>().prop_flat_map(move |is_record| {
        let prefix = if is_record { "purchase.fit." } else { "" };
        let name = format!("{prefix}{name}");
        array_body(is_record).prop_map(move |(shape, values)| Array {
            name: name.clone(),
            shape,
            values,
        })
    })
}

fn state() -> impl Strategy<Value = ModelState> {
    // The harmless suffix keeps a random name from looking like a group of records.
    let arrays = names(0..5).prop_flat_map(|names| {
        names
            .into_iter()
            .enumerate()
            .map(|(i, name)| array(format!("{}{i}", name.replace('.', "_"))))
            .collect::<Vec<_>>()
    });
    ("[a-z][a-z0-9_.]{0,12}", facts(), arrays).prop_map(|(kind, settings, arrays)| ModelState {
        kind,
        settings,
        arrays,
    })
}

fn field(name: String) -> impl Strategy<Value = InputField> {
    let domains = [
        Domain::Finite,
        Domain::Positive,
        Domain::NonNegative,
        Domain::Count,
        Domain::Probability,
        Domain::Any,
    ];
    let number = select(domains.to_vec()).prop_map(|domain| FieldKind::Number { domain });
    let rules = vec![
        UnseenRule::Reject,
        UnseenRule::AsMissing,
        UnseenRule::Reference,
    ];
    let category = (names(0..4), select(rules))
        .prop_map(|(levels, unseen)| FieldKind::Category { levels, unseen });
    let missing = vec![
        MissingRule::Reject,
        MissingRule::Impute,
        MissingRule::OwnLevel,
    ];
    (prop_oneof![number, category], text(), select(missing)).prop_map(
        move |(kind, unit, missing)| InputField {
            name: name.clone(),
            kind,
            unit,
            missing,
        },
    )
}

fn schema() -> impl Strategy<Value = InputSchema> {
    let fields =
        names(0..4).prop_flat_map(|names| names.into_iter().map(field).collect::<Vec<_>>());
    let unit = proptest::option::of(select(TimeUnit::ALL.to_vec()));
    (fields, unit).prop_map(|(fields, time_unit)| InputSchema { fields, time_unit })
}

fn column(rows: usize) -> impl Strategy<Value = FrameColumn> {
    let numbers = vec(any_bits(), rows).prop_map(FrameColumn::Numbers);
    let texts = vec(text(), 1..4).prop_flat_map(move |dictionary| {
        let end = dictionary.len() as i32;
        let code = prop_oneof![4 => -1..end, 1 => Just(i32::MIN)];
        vec(code, rows).prop_map(move |codes| FrameColumn::Text {
            dictionary: dictionary.clone(),
            codes,
        })
    });
    prop_oneof![numbers, texts]
}

fn frame(rows: usize) -> impl Strategy<Value = Frame> {
    names(0..4).prop_flat_map(move |names| {
        let columns = vec(column(rows), names.len());
        columns.prop_map(move |columns| Frame {
            row_count: rows,
            columns: names.iter().cloned().zip(columns).collect(),
        })
    })
}

fn options() -> impl Strategy<Value = ScoreOptions> {
    let number = || proptest::option::of(finite());
    (number(), number(), number(), vec(text(), 0..3)).prop_map(
        |(horizon, rate, margin, outputs)| ScoreOptions {
            horizon_periods: horizon,
            discount_rate_per_year: rate,
            margin,
            outputs,
            ..ScoreOptions::default()
        },
    )
}

fn status(field_count: usize) -> impl Strategy<Value = RowStatus> {
    let codes = RowCode::ALL.to_vec();
    (select(codes), any::<Index>()).prop_map(move |(code, index)| match code {
        RowCode::Ok => RowStatus::OK,
        code => RowStatus::bad(code, index.index(field_count.max(1)) as u16),
    })
}

fn probe(outputs: Vec<String>, field_count: usize) -> impl Strategy<Value = Probe> {
    (0_usize..6).prop_flat_map(move |rows| {
        let outputs = outputs.clone();
        let values = vec(vec(any_bits(), rows), outputs.len());
        let parts = (
            frame(rows),
            options(),
            values,
            vec(status(field_count), rows),
            1..=u32::MAX,
        );
        parts.prop_map(move |(rows, options, values, status, arithmetic)| Probe {
            arithmetic,
            rows,
            options,
            scores: outputs.iter().cloned().zip(values).collect(),
            status,
        })
    })
}

fn artifact() -> impl Strategy<Value = Artifact> {
    (state(), schema(), names(0..4), text(), facts(), facts()).prop_flat_map(
        |(state, schema, names, words, training, metadata)| {
            let output = |name: &String| OutputInfo {
                name: name.clone(),
                unit: words.clone(),
                meaning: words.clone(),
            };
            let outputs: Vec<OutputInfo> = names.iter().map(output).collect();
            probe(names, schema.fields.len()).prop_map(move |probe| Artifact {
                state: state.clone(),
                schema: schema.clone(),
                outputs: outputs.clone(),
                training: training.clone(),
                metadata: metadata.clone(),
                probe,
            })
        },
    )
}

/// What a file may do to a reader: be refused with a message, or be exactly what would be written.
fn read_or_refuse(bytes: &[u8]) -> Result<(), TestCaseError> {
    let report = inspect(bytes);
    match decode(bytes) {
        Ok((artifact, fingerprint)) => {
            prop_assert!(report.is_sound());
            prop_assert_eq!(report.fingerprint_stored, Some(fingerprint));
            let written = encode(&artifact).unwrap();
            prop_assert!(written == bytes, "two files would give the same artifact");
        }
        Err(error) => {
            prop_assert!(!report.is_sound());
            prop_assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}

/// One edit of a byte string: overwrite, remove, insert or repeat.
fn edit(bytes: &mut Vec<u8>, at: Index, with: &[u8], what: u8) {
    if bytes.is_empty() {
        bytes.extend(with);
        return;
    }
    let at = at.index(bytes.len());
    let end = (at + with.len()).min(bytes.len());
    match what % 4 {
        0 => bytes[at..end].copy_from_slice(&with[..end - at]),
        1 => drop(bytes.drain(at..end)),
        2 => drop(bytes.splice(at..at, with.iter().copied())),
        _ => bytes.extend_from_within(at..end),
    }
}

/// Twenty times as many cases in the slow suite.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("CVM_SLOW").is_some() {
        20 * usual
    } else {
        usual
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(400), max_global_rejects: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn artifacts_come_back_in_every_bit(artifact in artifact()) {
        let bytes = encode(&artifact).unwrap();
        let (back, fingerprint) = decode(&bytes).unwrap();
        assert_same(&back, &artifact);
        prop_assert_eq!(encode(&back).unwrap(), bytes.clone());
        prop_assert_eq!(&fingerprint.0[..], &bytes[bytes.len() - 32..]);
        prop_assert_eq!(seal(1, &sections(&bytes)), bytes.clone());
        prop_assert!(inspect(&bytes).is_sound());
    }

    #[test]
    fn map_order_does_not_matter(pairs in vec((text(), json_value()), 0..8)) {
        let pairs: std::collections::HashMap<String, Value> = pairs.into_iter().collect();
        let (mut forward, mut backward) = (small(), small());
        let mut sorted: Vec<_> = pairs.into_iter().collect();
        forward.metadata = sorted.clone().into_iter().collect();
        sorted.reverse();
        backward.metadata = sorted.into_iter().collect();
        prop_assert_eq!(encode(&forward).unwrap(), encode(&backward).unwrap());
    }

    #[test]
    fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..400), with_magic in any::<bool>()) {
        let start: &[u8] = if with_magic { b"\x89CVM\r\n\x1a\n\x01\0\0\0" } else { b"" };
        let bytes = [start, &bytes].concat();
        prop_assert!(decode(&bytes).is_err());
        read_or_refuse(&bytes)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(1_500), max_global_rejects: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_files_are_never_another_artifact(
        edits in vec((any::<Index>(), vec(any::<u8>(), 1..12), any::<u8>()), 1..4),
    ) {
        let original = encode(&small()).unwrap();
        let mut bytes = original.clone();
        for (at, with, what) in edits {
            edit(&mut bytes, at, &with, what);
        }
        prop_assert_eq!(decode(&bytes).is_ok(), bytes == original);
    }

    #[test]
    fn edited_and_resealed_sections_are_refused_or_canonical(
        edits in vec((0_usize..5, any::<Index>(), vec(any::<u8>(), 1..9), any::<u8>()), 1..3),
    ) {
        let mut all = sections(&encode(&small()).unwrap());
        for (section, at, with, what) in edits {
            edit(&mut all[section].1, at, &with, what);
        }
        read_or_refuse(&seal(1, &all))?;
    }

    #[test]
    fn edited_header_text_is_refused_or_canonical(
        at in any::<Index>(),
        with in select(vec!["0", "1", "-", ".5", "e9", "null", "[]", "{}", "\"", "\\u0000", ",", "99999999999999999999", "[[[[", "true", "\"kind\": 1,", "\u{feff}"]),
        what in 0_u8..3,
    ) {
        let mut all = sections(&encode(&small()).unwrap());
        edit(&mut all[0].1, at, with.as_bytes(), what);
        read_or_refuse(&seal(1, &all))?;
    }
}

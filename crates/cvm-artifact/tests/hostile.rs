//! Files made by hand with every checksum right: only the rules themselves can refuse them.

mod common;

use common::{Section, assert_same, entry, seal, seal_raw, sections, small, trailed};
use cvm_artifact::{Artifact, ArtifactError, Fingerprint, decode, encode, inspect, limits};
use cvm_core::{Array, ErrorKind, FrameColumn, RowCode, RowStatus};
use serde_json::{Value, json};

fn parts() -> Vec<Section> {
    sections(&encode(&small()).unwrap())
}

fn refuse(bytes: &[u8]) -> ArtifactError {
    let report = inspect(bytes);
    let error = decode(bytes).expect_err("must be refused");
    assert!(
        report.problems.contains(&error.to_string()),
        "{report:?} misses: {error}"
    );
    error
}

/// Python's layout, by serde_json: the same for headers without floats in exponent form.
fn canonical(header: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(header).unwrap()
}

fn header() -> Value {
    let mut header: Value = serde_json::from_slice(&parts()[0].1).unwrap();
    header["metadata"] = json!({});
    header
}

fn with_header(text: Vec<u8>) -> Vec<u8> {
    let mut all = parts();
    all[0].1 = text;
    seal(1, &all)
}

#[test]
fn the_second_writer_agrees_with_the_first() {
    let bytes = encode(&small()).unwrap();
    assert_eq!(seal(1, &sections(&bytes)), bytes);
    assert!(decode(&with_header(canonical(&header()))).is_ok());
}

#[test]
fn newer_and_older_versions_are_incompatible_and_named() {
    for version in [0, 2, 7, u32::MAX] {
        let error = refuse(&seal(version, &parts()));
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        let message = error.to_string();
        assert!(
            message.contains(&format!("version {version}:")),
            "{message}"
        );
        assert!(message.contains("reads versions 1 to 1"), "{message}");
    }
    let future = trailed(b"\x89CVM\r\n\x1a\n\x02\0\0\0 a layout nobody knows yet ".to_vec());
    assert_eq!(refuse(&future).kind(), ErrorKind::Incompatible);
}

#[test]
fn sections_swapped_doubled_missing_or_unknown_are_refused() {
    let all = parts();
    for i in 0..all.len() {
        for j in 0..i {
            let mut swapped = all.clone();
            swapped.swap(i, j);
            assert_eq!(refuse(&seal(1, &swapped)).kind(), ErrorKind::Corrupt);
        }
        let mut missing = all.clone();
        let one = missing.remove(i);
        assert_eq!(refuse(&seal(1, &missing)).kind(), ErrorKind::Corrupt);
        for at in 0..=all.len() {
            let mut doubled = all.clone();
            doubled.insert(at, one.clone());
            assert_eq!(refuse(&seal(1, &doubled)).kind(), ErrorKind::Corrupt);
        }
    }
    assert!(matches!(
        refuse(&seal(1, &[])),
        ArtifactError::Layout { .. }
    ));
    let mut unknown = all;
    unknown.push((6, vec![1]));
    let error = refuse(&seal(1, &unknown));
    assert!(matches!(
        error,
        ArtifactError::UnsupportedSection { kind: 6 }
    ));
    assert_eq!(error.kind(), ErrorKind::Incompatible);
}

#[test]
fn ancillary_sections_are_checked_and_skipped() {
    let plain = encode(&small()).unwrap();
    let mut signed = parts();
    signed.push((0x8000_0001, b"signature".to_vec()));
    signed.push((0x8000_0100, Vec::new()));
    let bytes = seal(1, &signed);
    let (artifact, fingerprint) = decode(&bytes).unwrap();
    assert_same(&artifact, &small());
    assert_ne!(fingerprint, decode(&plain).unwrap().1);
    assert_eq!(inspect(&bytes).sections[5].name, "signature");
    let at = bytes.windows(9).position(|w| w == b"signature").unwrap();
    let mut damaged = bytes;
    damaged[at] ^= 1;
    assert!(matches!(
        refuse(&damaged),
        ArtifactError::Checksum {
            part: "signature",
            ..
        }
    ));
    signed.swap(5, 6);
    assert!(matches!(
        refuse(&seal(1, &signed)),
        ArtifactError::Layout { .. }
    ));
    signed.swap(5, 6);
    signed[6].0 = 0x8000_0001;
    assert!(matches!(
        refuse(&seal(1, &signed)),
        ArtifactError::Layout { .. }
    ));
    signed.truncate(6);
    signed.rotate_right(1);
    assert!(matches!(
        refuse(&seal(1, &signed)),
        ArtifactError::Layout { .. }
    ));
}

#[test]
fn claimed_lengths_and_places_are_refused_before_use() {
    let lengths = [10_000_000_000, u64::MAX, u64::MAX - 7, 1 << 63, 300 << 20];
    for length in lengths {
        for index in 0..5 {
            let bytes = with_record(index, |record| record.3 = length);
            assert!(
                matches!(refuse(&bytes), ArtifactError::Limit { .. }),
                "{length}"
            );
        }
    }
    for offset in [0, 24, 145, 152, u64::MAX] {
        let bytes = with_record(0, |record| record.2 = offset);
        assert!(
            matches!(refuse(&bytes), ArtifactError::Layout { .. }),
            "{offset}"
        );
    }
    let overlapping = with_record(1, |record| record.2 = 144);
    assert!(matches!(refuse(&overlapping), ArtifactError::Layout { .. }));
    let header_limit = limits::MAX_HEADER_BYTES as u64;
    let bytes = with_record(0, |record| record.3 = header_limit + 1);
    assert!(matches!(refuse(&bytes), ArtifactError::Limit { limit, .. } if limit == header_limit));
}

#[test]
fn a_section_inside_another_is_refused() {
    let all = parts();
    let (mut table, mut payloads) = (Vec::new(), Vec::new());
    for (kind, payload) in &all[..4] {
        let offset = (144 + payloads.len()) as u64;
        table.extend(entry(
            *kind,
            crc32fast::hash(payload),
            offset,
            payload.len() as u64,
        ));
        payloads.extend(payload);
        payloads.resize(payloads.len().div_ceil(8) * 8, 0);
    }
    // The file ends exactly where the fifth section, laid over the end of the fourth, ends.
    let start = payloads.len() - 8;
    let crc32 = crc32fast::hash(&payloads[start..]);
    table.extend(entry(5, crc32, (144 + start) as u64, 8));
    let message = refuse(&seal_raw(1, 5, &table, &payloads)).to_string();
    assert!(
        message.contains("section probe status is at byte"),
        "{message}"
    );
}

#[test]
fn checksums_are_checked_even_where_the_hash_is_right() {
    let plain = encode(&small()).unwrap();
    let mut body = plain[..plain.len() - 32].to_vec();
    body[16] ^= 1;
    let error = refuse(&trailed(body));
    assert!(
        matches!(
            error,
            ArtifactError::Checksum {
                part: "section table",
                ..
            }
        ),
        "{error}"
    );
    for (index, part) in ["header", "arrays", "probe inputs"].into_iter().enumerate() {
        let bytes = with_record(index, |record| record.1 ^= 1);
        let error = refuse(&bytes);
        assert!(
            matches!(error, ArtifactError::Checksum { part: p, .. } if p == part),
            "{error}"
        );
    }
}

/// The small file with one table record changed and sealed again.
fn with_record(index: usize, change: impl Fn(&mut (u32, u32, u64, u64))) -> Vec<u8> {
    let all = parts();
    let (mut table, mut payloads) = (Vec::new(), Vec::new());
    for (i, (kind, payload)) in all.iter().enumerate() {
        let offset = (144 + payloads.len()) as u64;
        let mut record = (
            *kind,
            crc32fast::hash(payload),
            offset,
            payload.len() as u64,
        );
        if i == index {
            change(&mut record);
        }
        table.extend(entry(record.0, record.1, record.2, record.3));
        payloads.extend(payload);
        payloads.resize(payloads.len().div_ceil(8) * 8, 0);
    }
    seal_raw(1, all.len() as u32, &table, &payloads)
}

#[test]
fn section_counts_are_bounded() {
    for count in [17_u32, 1_000_000, u32::MAX] {
        let error = refuse(&seal_raw(1, count, &[], &[]));
        assert!(
            matches!(error, ArtifactError::Limit { .. }),
            "{count}: {error}"
        );
    }
    assert!(matches!(
        refuse(&seal_raw(1, 16, &[], &[])),
        ArtifactError::Truncated { .. }
    ));
}

#[test]
fn holes_padding_and_reserved_bytes_must_be_zero() {
    let plain = encode(&small()).unwrap();
    let body = plain.len() - 32;
    let length = parts()[0].1.len();
    assert_ne!(length % 8, 0, "the header must have padding for this test");
    let mut padded = plain[..body].to_vec();
    padded[144 + length] = 1;
    assert!(matches!(
        refuse(&trailed(padded)),
        ArtifactError::Layout { .. }
    ));
    let mut reserved = plain[..body].to_vec();
    reserved[20] = 1;
    assert!(matches!(
        refuse(&trailed(reserved)),
        ArtifactError::Layout { .. }
    ));
    let mut codes = parts();
    *codes[2].1.last_mut().unwrap() = 1;
    assert!(matches!(
        refuse(&seal(1, &codes)),
        ArtifactError::Content { .. }
    ));
}

#[test]
fn files_above_the_limit_are_refused_by_length_alone() {
    let big = vec![0; limits::MAX_FILE_BYTES + 1];
    assert!(matches!(decode(&big), Err(ArtifactError::Limit { .. })));
    let mut artifact = small();
    let values = vec![0.0; limits::MAX_FILE_BYTES / 8 - 100];
    artifact.state.arrays.push(Array::vector("x", values));
    let error = encode(&artifact).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn headers_that_are_not_canonical_are_corrupt() {
    let text = String::from_utf8(parts()[0].1.clone()).unwrap();
    let doubled = text.replacen("{\n", "{\n  \"arrays\": [],\n", 1);
    let variants = [
        text.replace("  ", ""),
        format!("{text}\n"),
        format!(" {text}"),
        format!("\u{feff}{text}"),
        text.replace("2357", "2357.0e0"),
        text.replacen('ï', "\\u00ef", 1),
        doubled.clone(),
        String::new(),
        "null garbage".to_owned(),
        "[".repeat(1 << 20),
    ];
    for variant in variants {
        assert_ne!(variant, text);
        let error = refuse(&with_header(variant.into_bytes()));
        assert!(matches!(error, ArtifactError::Header { .. }), "{error}");
    }
    let error = refuse(&with_header(doubled.into_bytes()));
    assert!(
        error.to_string().contains("`arrays` is given twice"),
        "{error}"
    );
    let invalid_utf8 = text
        .into_bytes()
        .into_iter()
        .map(|b| if b == b'w' { 0xff } else { b });
    assert!(matches!(
        refuse(&with_header(invalid_utf8.collect())),
        ArtifactError::Header { .. }
    ));
}

#[test]
fn unknown_or_missing_header_keys_are_incompatible() {
    let keys: Vec<String> = header().as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 12);
    for key in keys {
        let mut less = header();
        less.as_object_mut().unwrap().remove(&key);
        let error = refuse(&with_header(canonical(&less)));
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{key}: {error}");
    }
    let paths = [
        "",
        "/probe",
        "/probe/options",
        "/schema",
        "/schema/fields/0",
        "/outputs/0",
        "/arrays/0",
    ];
    for path in paths {
        let mut more = header();
        more.pointer_mut(path).unwrap()["surprise"] = json!(1);
        let error = refuse(&with_header(canonical(&more)));
        assert!(
            matches!(error, ArtifactError::HeaderContent { .. }),
            "{path}: {error}"
        );
    }
    let mut absent_option = header();
    absent_option["probe"]["options"]
        .as_object_mut()
        .unwrap()
        .remove("margin");
    refuse(&with_header(canonical(&absent_option)));
    let mut no_arithmetic = header();
    let probe = no_arithmetic["probe"].as_object_mut().unwrap();
    assert_eq!(probe.remove("arithmetic"), Some(json!(1)));
    let error = refuse(&with_header(canonical(&no_arithmetic)));
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("`arithmetic`"), "{error}");
    for (key, value) in [("format", json!("other")), ("format_version", json!(2))] {
        let mut other = header();
        other[key] = value;
        let error = refuse(&with_header(canonical(&other)));
        assert!(
            matches!(error, ArtifactError::HeaderContent { .. }),
            "{error}"
        );
    }
}

#[test]
fn extensions_are_ignored_unless_required() {
    let mut extended = header();
    extended["extensions"] = json!({"cvm.future": {"a": [1, 2]}});
    let (artifact, _) = decode(&with_header(canonical(&extended))).unwrap();
    assert_eq!(artifact.state.kind, "test.small");
    extended["required_extensions"] = json!(["cvm.future"]);
    extended["surprise"] = json!("allowed to a file nobody of this version can read");
    let error = refuse(&with_header(canonical(&extended)));
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("`cvm.future`"), "{error}");
}

#[test]
fn header_claims_must_match_the_sections() {
    let claims = [
        ("/probe/row_count", json!(4)),
        ("/probe/row_count", json!(0)),
        ("/probe/row_count", json!(65_537)),
        ("/probe/row_count", json!(u64::MAX)),
        ("/arrays/0/shape", json!([4])),
        ("/arrays/0/shape", json!([3, u64::MAX, u64::MAX])),
        ("/arrays/0/shape", json!([1_250_000_000])),
        ("/arrays/0/shape", json!([1, 1, 1, 1, 1, 1, 1, 1, 3])),
        ("/arrays/2/shape", json!([0, u64::MAX])),
        ("/arrays/0/name", json!("fit.covariance")),
        ("/probe/scores", json!(["p_alive"])),
        ("/probe/scores", json!(["p_alive", "p_alive"])),
        ("/probe/scores", json!(["p_alive", "other"])),
        ("/probe/columns/1/type", json!("numbers")),
        ("/probe/columns/1/type/text/dictionary", json!(["A"])),
        ("/kind", json!("Kind With Spaces")),
        ("/probe/arithmetic", json!(0)),
    ];
    for (path, value) in claims {
        let mut wrong = header();
        *wrong.pointer_mut(path).unwrap() = value.clone();
        let error = refuse(&with_header(canonical(&wrong)));
        assert!(
            matches!(error, ArtifactError::Content { .. }),
            "{path} {value}: {error}"
        );
    }
}

#[test]
fn bad_statuses_and_numbers_are_refused() {
    let statuses: [[u8; 4]; 6] = [
        [0, 0, 0, 0],
        [10, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 0, 1, 0],
        [2, 0, 2, 0],
        [2, 0, 255, 255],
    ];
    for status in statuses {
        let mut all = parts();
        all[4].1[..4].copy_from_slice(&status);
        assert!(
            matches!(refuse(&seal(1, &all)), ArtifactError::Content { .. }),
            "{status:?}"
        );
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut all = parts();
        all[1].1[..8].copy_from_slice(&value.to_le_bytes());
        let message = refuse(&seal(1, &all)).to_string();
        assert!(message.contains("arrays.params: value 0 is"), "{message}");
    }
}

#[test]
fn artifacts_that_break_a_rule_are_not_written() {
    type Change = fn(&mut Artifact);
    let changes: [(&str, Change); 20] = [
        ("probe.arithmetic", |a| a.probe.arithmetic = 0),
        ("kind", |a| a.state.kind.clear()),
        ("arrays.params", |a| a.state.arrays[0].values[1] = f64::NAN),
        ("arrays.params", |a| a.state.arrays[0].shape = vec![2]),
        ("arrays.params", |a| {
            a.state.arrays[2].name = "params".to_owned()
        }),
        ("arrays[0].name", |a| a.state.arrays[0].name.clear()),
        ("arrays[0].name", |a| {
            a.state.arrays[0].name = "n".repeat(1_025)
        }),
        ("schema.fields.frequency", |a| {
            a.schema.fields[1] = a.schema.fields[0].clone()
        }),
        ("outputs.sales", |a| a.outputs[0].name = "sales".to_owned()),
        ("probe", |a| a.probe.rows.row_count = 65_537),
        ("probe.columns.frequency", |a| a.probe.rows.row_count = 2),
        ("probe.columns.segment", |a| {
            a.probe.rows.columns[1].1 = FrameColumn::Text {
                dictionary: vec![],
                codes: vec![-1, 0, -1],
            };
        }),
        ("probe.columns.frequency", |a| {
            a.probe.rows.columns[1].0 = "frequency".to_owned()
        }),
        ("probe.options.horizon_periods", |a| {
            a.probe.options.horizon_periods = Some(f64::NAN)
        }),
        ("probe.scores.sales", |a| a.probe.scores[1].1.truncate(2)),
        ("probe.scores.other", |a| {
            a.probe.scores[0].0 = "other".to_owned()
        }),
        ("probe.status", |a| a.probe.status.truncate(1)),
        ("probe.status[1]", |a| {
            a.probe.status[1] = RowStatus::bad(RowCode::Missing, 2)
        }),
        ("header", |a| {
            let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
            a.metadata.insert("deep".to_owned(), deep);
        }),
        ("header", |a| {
            let long = "x".repeat(limits::MAX_HEADER_BYTES);
            a.metadata.insert("long".to_owned(), json!(long));
        }),
    ];
    for (expected, change) in changes {
        let mut artifact = small();
        change(&mut artifact);
        match encode(&artifact) {
            Err(ArtifactError::Invalid { field, problem }) => {
                assert_eq!(field, expected, "{problem}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn the_fingerprint_is_the_hash_of_all_but_the_trailer() {
    let bytes = encode(&small()).unwrap();
    let (_, fingerprint) = decode(&bytes).unwrap();
    assert_eq!(fingerprint, Fingerprint::of(&bytes[..bytes.len() - 32]));
    assert_eq!(fingerprint.0, bytes[bytes.len() - 32..]);
}

#[test]
fn inspection_tells_which_section_is_damaged_and_shows_the_rest() {
    let bytes = encode(&small()).unwrap();
    let sound = inspect(&bytes);
    assert!(sound.is_sound());
    assert_eq!(sound.fingerprint_stored, sound.fingerprint_computed);
    let names: Vec<&str> = sound.sections.iter().map(|s| s.name).collect();
    let expected = [
        "header",
        "arrays",
        "probe inputs",
        "probe scores",
        "probe status",
    ];
    assert_eq!(names, expected);
    let mut damaged = bytes.clone();
    damaged[sound.sections[1].offset_bytes as usize] ^= 0x10;
    let report = inspect(&damaged);
    let broken: Vec<bool> = report.sections.iter().map(|s| !s.is_sound()).collect();
    assert_eq!(broken, [false, true, false, false, false]);
    assert_eq!(report.header.unwrap()["kind"], "test.small");
    assert_ne!(report.fingerprint_stored, report.fingerprint_computed);
    assert!(
        report.problems[0].contains("arrays has CRC-32"),
        "{:?}",
        report.problems
    );
}

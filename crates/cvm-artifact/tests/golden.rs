//! The file written on the first day is read for ever, and still written the same.

mod common;

use common::{ODD_NAN, assert_same, small};
use cvm_artifact::{decode, encode, inspect, verify};
use cvm_core::{FrameColumn, RowCode};

/// Never changes: a reader that cannot read it is wrong, not the file.
const V1_SMALL: &[u8] = include_bytes!("data/v1_small.cvm");
const V1_SMALL_FINGERPRINT: &str =
    "ec30a3914aa606abf8234e1fdafcab6213a64554064079001e2ba182ee66e4f1";
const SPECIFICATION: &str = include_str!("../../../docs/format/v1.md");

#[test]
fn the_first_file_is_read_as_it_was_meant() {
    let (artifact, fingerprint) = decode(V1_SMALL).unwrap();
    assert_eq!(fingerprint.to_string(), V1_SMALL_FINGERPRINT);
    assert_same(&artifact, &small());
    // A few facts in plain numbers, in case the sample is ever changed together with the code.
    assert_eq!(artifact.state.kind, "test.small");
    let params = artifact.state.vector("params", 3).unwrap();
    assert_eq!(params[0].to_bits(), 0x3fcf_1a9f_be76_c8b4);
    assert_eq!(params[1].to_bits(), 1 << 63);
    let covariance = artifact.state.array("fit.covariance").unwrap();
    assert_eq!(covariance.shape, [1, 2]);
    assert_eq!(covariance.values[1].to_bits(), ODD_NAN);
    let segment = artifact.probe.rows.get("segment").unwrap();
    let expected = FrameColumn::Text {
        dictionary: vec!["A".to_owned(), "Ä".to_owned()],
        codes: vec![0, -1, 1],
    };
    assert_eq!(segment, &expected);
    assert_eq!(artifact.probe.status[1].code, RowCode::Missing);
    assert_eq!(artifact.metadata["tiny"], 1e-7);
    assert_eq!(artifact.probe.arithmetic, 1);
}

#[test]
fn the_same_artifact_is_still_written_as_the_same_bytes() {
    assert_eq!(encode(&small()).unwrap(), V1_SMALL);
    let (artifact, _) = decode(V1_SMALL).unwrap();
    assert_eq!(encode(&artifact).unwrap(), V1_SMALL);
    assert_eq!(verify(V1_SMALL).unwrap().to_string(), V1_SMALL_FINGERPRINT);
    assert!(inspect(V1_SMALL).is_sound());
}

/// Lines such as `00000000  89 43 56 4d 0d 0a 1a 0a  …` in the specification.
fn dump_lines() -> Vec<(usize, Vec<u8>)> {
    SPECIFICATION
        .lines()
        .filter_map(|line| {
            let (offset, rest) = line.split_once("  ")?;
            let is_offset = offset.len() == 8;
            let offset = usize::from_str_radix(offset, 16)
                .ok()
                .filter(|_| is_offset)?;
            let bytes = rest.split("  ").next()?.split(' ');
            let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap());
            Some((offset, bytes.collect()))
        })
        .collect()
}

#[test]
fn the_dump_in_the_specification_is_this_file() {
    let lines = dump_lines();
    assert!(lines.len() >= 20, "{} lines found", lines.len());
    let mut shown = 0;
    for (offset, bytes) in lines {
        assert_eq!(
            V1_SMALL[offset..offset + bytes.len()],
            bytes,
            "at {offset:#x}"
        );
        shown += bytes.len();
    }
    let header = inspect(V1_SMALL).sections[0].length_bytes as usize;
    assert!(
        shown >= V1_SMALL.len() - header,
        "all but the header is shown"
    );
    assert!(SPECIFICATION.contains(V1_SMALL_FINGERPRINT));
}

#[test]
fn the_limits_in_the_specification_are_those_of_the_code() {
    use cvm_artifact::limits::*;
    let limits = [
        ("MAX_FILE_BYTES", MAX_FILE_BYTES),
        ("MAX_SECTIONS", MAX_SECTIONS),
        ("MAX_HEADER_BYTES", MAX_HEADER_BYTES),
        ("MAX_HEADER_DEPTH", MAX_HEADER_DEPTH),
        ("MAX_HEADER_VALUES", MAX_HEADER_VALUES),
        ("MAX_ARRAYS", MAX_ARRAYS),
        ("MAX_RANK", MAX_RANK),
        ("MAX_AXIS", MAX_AXIS),
        ("MAX_COLUMNS", MAX_COLUMNS),
        ("MAX_PROBE_ROWS", MAX_PROBE_ROWS),
        ("MAX_NAME_BYTES", MAX_NAME_BYTES),
    ];
    for (name, value) in limits {
        let row = format!("| `{name}` | {value} |");
        assert!(SPECIFICATION.contains(&row), "no row `{row}`");
    }
}

//! Damage of every kind, exhaustively: nothing but the written bytes is read.

mod common;

use common::{seal, sections, small};
use cvm_artifact::{Artifact, ArtifactError, decode, encode, inspect};
use cvm_core::{Array, ErrorKind};

/// The size named by the project's fault programme: 131 072 bits.
const LARGE_BYTES: usize = 16 * 1024;

fn large() -> Artifact {
    let mut artifact = small();
    let base = encode(&artifact).unwrap().len();
    let count = (LARGE_BYTES - base - 128) / 8;
    let values = (0..count).map(|i| (i as f64).sqrt()).collect();
    artifact.state.arrays.push(Array::vector("weights", values));
    artifact
}

fn assert_refused(bytes: &[u8], what: &str) {
    match decode(bytes) {
        Ok(_) => panic!("{what}: was read"),
        Err(error) => {
            let kind = error.kind();
            let fits = matches!(kind, ErrorKind::Corrupt | ErrorKind::Incompatible);
            assert!(fits, "{what}: {kind:?}: {error}");
        }
    }
}

fn flip_every_bit(artifact: &Artifact) -> usize {
    let mut bytes = encode(artifact).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert_refused(&bytes, &format!("byte {at} bit {bit}"));
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(decode(&bytes).is_ok());
    bytes.len() * 8
}

#[test]
fn every_single_bit_flip_is_refused() {
    assert!(flip_every_bit(&small()) > 8 * 2_000);
    let bits = flip_every_bit(&large());
    assert!((130_000..=131_072).contains(&bits), "{bits}");
}

#[test]
fn every_truncation_is_refused() {
    for artifact in [small(), large()] {
        let bytes = encode(&artifact).unwrap();
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert_refused(cut, &format!("cut at {length}"));
            assert!(!inspect(cut).is_sound());
        }
    }
}

#[test]
fn truncations_are_told_as_such() {
    let bytes = encode(&small()).unwrap();
    for length in 1..bytes.len() {
        let error = decode(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, ArtifactError::Truncated { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn every_appended_prepended_and_removed_byte_is_refused() {
    let bytes = encode(&small()).unwrap();
    for byte in 0..=255 {
        let appended = [bytes.as_slice(), &[byte]].concat();
        let error = decode(&appended).unwrap_err();
        assert!(
            matches!(error, ArtifactError::TrailingBytes { .. }),
            "{error}"
        );
        assert_refused(&[&[byte], bytes.as_slice()].concat(), "prepended");
    }
    assert_refused(
        &[bytes.as_slice(), &[0; 4096]].concat(),
        "page of zeros appended",
    );
    assert_refused(&bytes.repeat(2), "file twice");
    for at in 0..bytes.len() {
        let mut less = bytes.clone();
        less.remove(at);
        assert_refused(&less, &format!("byte {at} removed"));
    }
}

#[test]
fn every_overwritten_byte_is_refused() {
    let mut bytes = encode(&small()).unwrap();
    for at in 0..bytes.len() {
        let own = bytes[at];
        for value in [0, 0xff, 0x0a, 0x20, own.wrapping_add(1)] {
            if value != own {
                bytes[at] = value;
                assert_refused(&bytes, &format!("byte {at} set to {value}"));
            }
        }
        bytes[at] = own;
    }
}

#[test]
fn two_files_spliced_anywhere_are_refused() {
    let mut other = small();
    other.state.arrays[0].values[0] = 0.244;
    let (a, b) = (encode(&small()).unwrap(), encode(&other).unwrap());
    assert_eq!(a.len(), b.len(), "splices must keep the length");
    let differing: Vec<usize> = (0..a.len()).filter(|i| a[*i] != b[*i]).collect();
    for at in 0..=a.len() {
        let spliced = [&a[..at], &b[at..]].concat();
        let is_whole = at <= differing[0] || at > differing[differing.len() - 1];
        assert_eq!(decode(&spliced).is_ok(), is_whole, "spliced at {at}");
    }
}

#[test]
fn sections_of_another_model_are_refused_even_with_their_checksums() {
    let mut other = small();
    other.state.arrays[0].values[0] = 0.244;
    other.probe.scores[0].1[0] = 0.5;
    let (a, b) = (encode(&small()).unwrap(), encode(&other).unwrap());
    let (from_a, from_b) = (sections(&a), sections(&b));
    for index in 0..from_a.len() {
        let mut mixed = from_a.clone();
        mixed[index] = from_b[index].clone();
        let mut bytes = seal(1, &mixed);
        let body = bytes.len() - 32;
        bytes[body..].copy_from_slice(&a[body..]);
        assert_eq!(
            decode(&bytes).is_ok(),
            from_a[index] == from_b[index],
            "section {index}"
        );
    }
}

#[test]
fn blocks_of_zeros_and_repeated_chunks_are_refused() {
    let bytes = encode(&large()).unwrap();
    for start in (0..bytes.len() - 512).step_by(512) {
        let mut zeroed = bytes.clone();
        zeroed[start..start + 512].fill(0);
        assert_refused(&zeroed, &format!("512 zeros at {start}"));
        let mut repeated = bytes.clone();
        repeated.copy_within(start..start + 256, start + 256);
        assert_refused(&repeated, &format!("chunk at {start} repeated in place"));
        let chunk = &bytes[start..start + 256];
        let inserted = [&bytes[..start], chunk, &bytes[start..]].concat();
        assert_refused(&inserted, &format!("chunk at {start} inserted"));
    }
}

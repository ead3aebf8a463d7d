//! The first eight bytes: what marks a model file, and what a file without them may be.

use crate::ArtifactError;

/// `\x89CVM\r\n\x1a\n`, after PNG (RFC 2083, 3.1): a byte no text has, the name, a line ending that
/// text-mode copies change, the end-of-file mark of old shells, and a bare line feed.
pub(crate) const MAGIC: [u8; 8] = *b"\x89CVM\r\n\x1a\n";

/// The magic as errors show it.
pub(crate) const EXPECTED: &str = "89 43 56 4d 0d 0a 1a 0a";

/// Checks the magic of `bytes`.
///
/// # Errors
/// `Truncated` for a proper beginning, `MagicDamaged` for a near miss, else `NotAnArtifact`.
pub(crate) fn check(bytes: &[u8]) -> Result<(), ArtifactError> {
    if bytes.starts_with(&MAGIC) {
        return Ok(());
    }
    let found = hex_start(bytes);
    if !bytes.is_empty() && MAGIC.starts_with(bytes) {
        return Err(ArtifactError::Truncated {
            length_bytes: bytes.len() as u64,
            expected_bytes: crate::layout::MIN_FILE_BYTES as u64,
        });
    }
    if is_near_miss(bytes) {
        return Err(ArtifactError::MagicDamaged { found });
    }
    Err(ArtifactError::NotAnArtifact {
        found,
        looks_like: guess(bytes),
    })
}

fn hex_start(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let digits: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    digits.join(" ")
}

/// Six of eight bytes right, or the name after any first byte (a UTF-8 re-encoding makes it two).
fn is_near_miss(bytes: &[u8]) -> bool {
    let right = bytes.iter().zip(MAGIC).filter(|(a, b)| **a == *b).count();
    let name_at = |at: usize| {
        bytes
            .get(at..at + 4)
            .is_some_and(|b| b == b"CVM\r" || b == b"CVM\n")
    };
    right >= 6 || name_at(1) || name_at(2) || name_at(3)
}

/// Beginnings of files that are mistaken for models, most telling first.
const KNOWN: [(&[u8], &str); 17] = [
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (
        b"PK\x03\x04",
        "a zip archive (or a joblib, PyTorch or Excel file)",
    ),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file: unpack it first"),
    (b"\x80\x02", "a Python pickle, which cvm never reads"),
    (b"\x80\x03", "a Python pickle, which cvm never reads"),
    (b"\x80\x04", "a Python pickle, which cvm never reads"),
    (b"\x80\x05", "a Python pickle, which cvm never reads"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer: fetch the file itself",
    ),
    (b"tree\nversion=", "a LightGBM text model"),
];

fn guess(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "an empty file";
    }
    if let Some((_, name)) = KNOWN.iter().find(|(start, _)| bytes.starts_with(start)) {
        return name;
    }
    let start = bytes.get(..512).unwrap_or(bytes);
    if start.iter().all(|byte| *byte == 0) {
        return "zeros: a file that was allocated but never written";
    }
    if !is_text(start) {
        return "binary data of another kind";
    }
    match start.trim_ascii_start().first() {
        Some(b'{' | b'[') => "JSON text",
        Some(b'<') => "an HTML or XML page",
        _ => "a text file",
    }
}

/// UTF-8 without control characters; a character cut at the end of `start` is fine.
fn is_text(start: &[u8]) -> bool {
    let sound = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    sound
        && !start
            .iter()
            .any(|b| *b < 0x20 && !b"\t\n\r\x0c".contains(b))
}

#[cfg(test)]
mod tests {
    use super::{EXPECTED, MAGIC, check, hex_start};
    use crate::ArtifactError;

    #[test]
    fn the_magic_is_shown_as_it_is() {
        assert_eq!(hex_start(&MAGIC), EXPECTED);
        assert!(check(&MAGIC).is_ok());
    }

    #[test]
    fn text_mode_copies_are_called_damage() {
        let copies: [&[u8]; 4] = [
            b"\x89CVM\n\x1a\n\x01\0\0\0",
            b"\x89CVM\r\r\n\x1a\r\n\x01\0\0\0",
            b"\x09CVM\r\n\x1a\n\x01\0\0\0",
            "\u{89}CVM\r\n\u{1a}\n\u{1}".as_bytes(),
        ];
        for copy in copies {
            let error = check(copy).unwrap_err();
            assert!(
                matches!(error, ArtifactError::MagicDamaged { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn other_files_are_named() {
        let cases: [(&[u8], &str); 9] = [
            (b"", "an empty file"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
            (b"PK\x03\x04\x14\0\0\0", "zip"),
            (b"\x80\x04\x95\x10\0\0\0\0\0\0\0", "pickle"),
            (b"{\"learner\": {}}", "JSON"),
            (
                b"customer_id,date,amount\n1,2020-01-01,3.5\n",
                "a text file",
            ),
            (b"<!DOCTYPE html>", "HTML"),
            (&[0; 64], "zeros"),
            (b"\x00\x01\x02\x03\xff\xfe", "binary data"),
        ];
        for (bytes, word) in cases {
            let message = check(bytes).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
            assert!(message.contains(EXPECTED), "{message}");
        }
    }

    #[test]
    fn a_beginning_is_truncated() {
        for length in 1..8 {
            let error = check(&MAGIC[..length]).unwrap_err();
            assert!(matches!(error, ArtifactError::Truncated { .. }), "{error}");
        }
    }
}

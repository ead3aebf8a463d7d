//! The identity of a model: the SHA-256 its file ends with.

use crate::ArtifactError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of the file's bytes before its 32-byte trailer: the identity of a model.
///
/// `head -c -32 MODEL | sha256sum` prints the same 64 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Length in bytes.
    pub const BYTES: usize = 32;

    /// The fingerprint of a file's `body`: all of its bytes but the trailer.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Fingerprint(Sha256::digest(body).into())
    }

    /// The first 12 hexadecimal digits, enough to tell the models of one registry apart.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(12);
        digits
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = ArtifactError;

    /// Reads 64 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, ArtifactError> {
        let refuse = || ArtifactError::BadFingerprint {
            text: text.chars().take(80).collect(),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Fingerprint::BYTES || !rest.is_empty() {
            return Err(refuse());
        }
        let mut bytes = [0_u8; Fingerprint::BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)
                .zip(nibble(*low))
                .map(|(high, low)| high << 4 | low)
                .ok_or_else(refuse)?;
        }
        Ok(Fingerprint(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

impl serde::Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    /// FIPS 180-2, appendix B.1: the digest of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn is_the_standard_digest_in_lower_case() {
        let fingerprint = Fingerprint::of(b"abc");
        assert_eq!(fingerprint.to_string(), ABC);
        assert_eq!(fingerprint.short(), "ba7816bf8f01");
    }

    #[test]
    fn parses_back_in_either_case_and_nothing_else() {
        let fingerprint = Fingerprint::of(b"abc");
        assert_eq!(ABC.parse::<Fingerprint>().unwrap(), fingerprint);
        let upper = ABC.to_uppercase();
        assert_eq!(upper.parse::<Fingerprint>().unwrap(), fingerprint);
        let bad = [
            &ABC[1..],
            &ABC[2..],
            "",
            &format!("{ABC}0"),
            &ABC.replace('b', "g"),
        ];
        for text in bad {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
        let wide = "é".repeat(32);
        assert!(wide.parse::<Fingerprint>().is_err());
    }
}

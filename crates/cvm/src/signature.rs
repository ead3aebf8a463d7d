//! Detached signatures of model files: ed25519 over the whole file, the model's name and a counter.
//!
//! The signed message is `cvm-signature/1`, a line feed, the length of the name in bytes (8 bytes,
//! little-endian), the name, the counter (8 bytes, little-endian), the bytes of the file. A signature
//! of one model is none of another, and the counter lets a server refuse a file that was signed before
//! the one it has.
//!
//! Source: Josefsson & Liusvaara (2017), RFC 8032, for ed25519; RFC 8410 for its keys in PEM.

use crate::{Error, Fingerprint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cvm_core::ErrorKind;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

const FORMAT: &str = "cvm-signature/1";

/// What an ed25519 public key starts with in DER: RFC 8410, section 10.1.
const PUBLIC_DER: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Largest signature file.
const MAX_BYTES: u64 = 4096;

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

/// The key is not shown.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey")
            .field(&self.public().id())
            .finish()
    }
}

/// A key that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A signature of a model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    format: String,
    /// Name of the model the file is signed for.
    pub model: String,
    /// Counts up from file to file of a model.
    pub counter: u64,
    /// [`PublicKey::id`] of the key that signed.
    pub key: String,
    signature: String,
}

fn corrupt(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, why)
}

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// The system gives none.
    pub fn generate() -> Result<SigningKey, Error> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| Error::new(ErrorKind::Internal, "no randomness"))?;
        SigningKey::from_der(made.as_ref())
    }

    fn from_der(pkcs8: &[u8]) -> Result<SigningKey, Error> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|error| corrupt(format!("not an ed25519 private key: {error}")))?;
        let pkcs8 = pkcs8.to_vec();
        Ok(SigningKey { pair, pkcs8 })
    }

    /// Reads a key in PEM (PKCS#8).
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<SigningKey, Error> {
        match from_pem(text, "PRIVATE KEY")?.as_slice() {
            [der] => SigningKey::from_der(der),
            keys => Err(corrupt(format!("{} private keys: must be one", keys.len()))),
        }
    }

    /// The key in PEM (PKCS#8).
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PRIVATE KEY", &self.pkcs8)
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs the bytes of a model file for a model.
    #[must_use]
    pub fn sign(&self, model: &str, counter: u64, file: &[u8]) -> Signature {
        let signed = self.pair.sign(&message(model, counter, file));
        Signature {
            format: FORMAT.to_owned(),
            model: model.to_owned(),
            counter,
            key: self.public().id(),
            signature: BASE64.encode(signed.as_ref()),
        }
    }
}

impl PublicKey {
    /// Reads all keys of a file in PEM, one after the other.
    ///
    /// # Errors
    /// A key that is no ed25519 key, or no key at all.
    pub fn all_from_pem(text: &str) -> Result<Vec<PublicKey>, Error> {
        let found = from_pem(text, "PUBLIC KEY")?;
        if found.is_empty() {
            return Err(corrupt("holds no public key in PEM"));
        }
        let keys = found.iter().map(|der| {
            let raw = der.strip_prefix(&PUBLIC_DER);
            let raw = raw.and_then(|raw| <[u8; 32]>::try_from(raw).ok());
            raw.map(PublicKey)
                .ok_or_else(|| corrupt("a public key is not one of ed25519"))
        });
        keys.collect()
    }

    /// The key in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &[&PUBLIC_DER[..], &self.0].concat())
    }

    /// The first 16 hexadecimal digits of the key's SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        let mut digits = Fingerprint::of(&self.0).to_string();
        digits.truncate(16);
        digits
    }
}

impl Signature {
    /// Where the signature of a file is: its name with `.sig` behind.
    #[must_use]
    pub fn path_of(file: &Path) -> PathBuf {
        let mut path = file.as_os_str().to_owned();
        path.push(".sig");
        path.into()
    }

    /// The signature beside a file; none if there is no such file.
    ///
    /// # Errors
    /// It cannot be read or is no signature.
    pub fn beside(file: &Path) -> Result<Option<Signature>, Error> {
        let path = Signature::path_of(file);
        let failed = |error: std::io::Error| corrupt(format!("{}: {error}", path.display()));
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(facts) if !facts.is_file() || facts.len() > MAX_BYTES => {
                return Err(corrupt(format!("{}: not a signature", path.display())));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        Signature::parse(&text).map(Some)
    }

    /// Reads a signature.
    ///
    /// # Errors
    /// It is none, or of another format.
    pub fn parse(text: &str) -> Result<Signature, Error> {
        let found: Signature = serde_json::from_str(text)
            .map_err(|error| corrupt(format!("not a signature: {error}")))?;
        if found.format != FORMAT {
            let why = format!("the signature's format is not {FORMAT}");
            return Err(Error::new(ErrorKind::Incompatible, why));
        }
        Ok(found)
    }

    /// The signature as text.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_text(&self) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        Ok(text + "\n")
    }

    /// Holds the signature against a file that is to be `model`.
    ///
    /// # Errors
    /// `Corrupt`: another model, a key that is not among `keys`, or other bytes.
    pub fn verify(&self, keys: &[PublicKey], model: &str, file: &[u8]) -> Result<(), Error> {
        if self.model != model {
            let why = format!("signed for the model {:?}, not for {model:?}", self.model);
            return Err(corrupt(why));
        }
        let Some(key) = keys.iter().find(|key| key.id() == self.key) else {
            let id: String = self.key.chars().take(16).collect();
            return Err(corrupt(format!(
                "signed by key {id:?}, which is not trusted"
            )));
        };
        let signature = BASE64.decode(&self.signature).unwrap_or_default();
        let message = message(model, self.counter, file);
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(&message, &signature)
            .map_err(|_| corrupt("the signature is not one of this file, name and counter"))
    }
}

fn message(model: &str, counter: u64, file: &[u8]) -> Vec<u8> {
    let head = format!("{FORMAT}\n");
    let length = (model.len() as u64).to_le_bytes();
    let parts = [
        head.as_bytes(),
        &length,
        model.as_bytes(),
        &counter.to_le_bytes(),
        file,
    ];
    parts.concat()
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// The contents of all blocks with that label.
fn from_pem(text: &str, label: &str) -> Result<Vec<Vec<u8>>, Error> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let blocks = text.split(&begin).skip(1).map(|rest| {
        let (inside, _) = rest
            .split_once(&end)
            .ok_or_else(|| corrupt("a PEM block has no end"))?;
        let inside: String = inside.split_whitespace().collect();
        let der = BASE64.decode(inside);
        der.map_err(|error| corrupt(format!("a PEM block is not base64: {error}")))
    });
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::{PublicKey, Signature, SigningKey, message};

    /// RFC 8032, section 7.1, test 1: the key pair. RFC 8410, section 10, for the forms.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn keys_are_those_of_the_standard() {
        let key = SigningKey::from_pem(SECRET).unwrap();
        let public = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64,
            0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68,
            0xf7, 0x07, 0x51, 0x1a,
        ];
        assert_eq!(key.public(), PublicKey(public));
        assert_eq!(key.to_pem(), SECRET);
        let other = SigningKey::generate().unwrap();
        let file = key.public().to_pem() + "a remark\n" + &other.public().to_pem();
        let read = PublicKey::all_from_pem(&file).unwrap();
        assert_eq!(read, [key.public(), other.public()]);
        let back = SigningKey::from_pem(&other.to_pem()).unwrap();
        assert_eq!(back.public(), other.public());
        assert!(!format!("{other:?}").contains(&other.to_pem()[30..50]));
    }

    #[test]
    fn only_the_signed_file_of_the_signed_model_passes() {
        let (key, other) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let keys = [other.public(), key.public()];
        let file = b"the bytes of a model".to_vec();
        let text = key.sign("retail", 7, &file).to_text().unwrap();
        let signature = Signature::parse(&text).unwrap();
        signature.verify(&keys, "retail", &file).unwrap();
        let refused = |signature: &Signature, model: &str, file: &[u8], why: &str| {
            let error = signature.verify(&keys, model, file).unwrap_err();
            assert!(error.message.contains(why), "{why}: {error}");
        };
        refused(&signature, "churn", &file, "not for");
        refused(&signature, "retail", &file[1..], "not one of this file");
        for at in 0..file.len() {
            let mut wrong = file.clone();
            wrong[at] ^= 1;
            refused(&signature, "retail", &wrong, "not one of this file");
        }
        let counted = Signature {
            counter: 8,
            ..signature.clone()
        };
        refused(&counted, "retail", &file, "not one of this file");
        let renamed = Signature {
            model: "churn".to_owned(),
            ..signature.clone()
        };
        refused(&renamed, "churn", &file, "not one of this file");
        let claimed = Signature {
            key: other.public().id(),
            ..signature.clone()
        };
        refused(&claimed, "retail", &file, "not one of this file");
        let stranger = SigningKey::generate().unwrap().sign("retail", 7, &file);
        refused(&stranger, "retail", &file, "not trusted");
    }

    #[test]
    fn names_and_bytes_cannot_be_shifted_into_each_other() {
        assert_ne!(message("ab", 0, b"c"), message("a", 0, b"bc"));
        assert_ne!(message("a", 1, b""), message("a", 2, b""));
    }

    #[test]
    fn what_is_no_key_or_signature_says_so() {
        for text in ["", "{}", "-----BEGIN PUBLIC KEY-----\nAAAA", SECRET] {
            assert!(PublicKey::all_from_pem(text).is_err(), "{text}");
            assert!(Signature::parse(text).is_err(), "{text}");
        }
        let cut = SECRET.replace("MC4CAQ", "MC4CAB");
        assert!(SigningKey::from_pem(&cut).is_err());
        assert!(SigningKey::from_pem("").is_err());
    }
}

//! Signatures of JSON Web Tokens checked by ring, the cryptography that TLS here uses as well.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature as of_ring;
use std::sync::Once;

/// Makes ring the one who checks. Nothing here signs, and shared secrets are no keys here.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    // Another provider of this process, installed before, checks as well as this one.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

/// How a signature is checked.
enum Check {
    Rsa(&'static of_ring::RsaParameters),
    Bytes(&'static dyn of_ring::VerificationAlgorithm),
}

fn check_of(algorithm: Algorithm) -> Option<Check> {
    Some(match algorithm {
        Algorithm::RS256 => Check::Rsa(&of_ring::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&of_ring::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&of_ring::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&of_ring::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Check::Rsa(&of_ring::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Check::Rsa(&of_ring::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Check::Bytes(&of_ring::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Bytes(&of_ring::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Bytes(&of_ring::ED25519),
        _ => return None,
    })
}

/// A key with the one algorithm it is used for.
struct Key {
    algorithm: Algorithm,
    check: Check,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let check = check_of(*algorithm).filter(|_| key.family() == algorithm.family());
    let check = check.ok_or_else(|| Error::from(ErrorKind::UnsupportedAlgorithm))?;
    Ok(Box::new(Key {
        algorithm: *algorithm,
        check,
        key: key.clone(),
    }))
}

impl JwtVerifier for Key {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Key {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let checked = match (&self.check, self.key.kind()) {
            (Check::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = of_ring::RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature)
            }
            (Check::Bytes(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                of_ring::UnparsedPublicKey::new(*algorithm, key).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

//! Bearer tokens that are JSON Web Tokens (RFC 7519): whose they are, whom they are for, how long, and
//! what their bearer may do.
//!
//! ```toml
//! issuer = "https://login.example"
//! audience = ["cvm"]
//! algorithms = ["ES256", "RS256"]     # default: ES256, ES384, EdDSA, PS256, RS256
//! clock_skew_seconds = 60             # default
//! name_claim = "sub"                  # default
//! roles_claim = "groups"              # default "roles"; a path as `realm_access.roles` too
//!
//! [roles]                             # value of the claim → roles here
//! "risk-team" = ["read", "score"]
//! ```
//!
//! The token says which key and which algorithm; it does not decide. The key must be in the issuer's
//! set, the algorithm must be allowed here and be one of that key's kind, and there is no shared secret
//! to be confused with a public key. `jku`, `x5u` and `jwk` of a token's head are not looked at.

use super::{Caller, Role, ring_keys};
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Tokens whose signature need not be checked again.
const MAX_KNOWN: usize = 4096;

/// Longest skew that is believed to be one of clocks.
const MAX_SKEW_SECONDS: u32 = 600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    issuer: OneOrMore,
    audience: OneOrMore,
    #[serde(default = "usual_algorithms")]
    algorithms: Vec<Allowed>,
    #[serde(default = "usual_skew")]
    clock_skew_seconds: u32,
    #[serde(default = "usual_name")]
    name_claim: String,
    #[serde(default = "usual_roles")]
    roles_claim: String,
    roles: BTreeMap<String, Vec<Role>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }
}

/// Algorithms that may be allowed: signatures by public keys, and nothing else.
#[derive(Debug, Clone, Copy, Deserialize)]
enum Allowed {
    ES256,
    ES384,
    EdDSA,
    PS256,
    PS384,
    PS512,
    RS256,
    RS384,
    RS512,
}

impl Allowed {
    fn algorithm(self) -> Algorithm {
        match self {
            Allowed::ES256 => Algorithm::ES256,
            Allowed::ES384 => Algorithm::ES384,
            Allowed::EdDSA => Algorithm::EdDSA,
            Allowed::PS256 => Algorithm::PS256,
            Allowed::PS384 => Algorithm::PS384,
            Allowed::PS512 => Algorithm::PS512,
            Allowed::RS256 => Algorithm::RS256,
            Allowed::RS384 => Algorithm::RS384,
            Allowed::RS512 => Algorithm::RS512,
        }
    }
}

fn usual_algorithms() -> Vec<Allowed> {
    use Allowed::{ES256, ES384, EdDSA, PS256, RS256};
    vec![ES256, ES384, EdDSA, PS256, RS256]
}

fn usual_skew() -> u32 {
    60
}

fn usual_name() -> String {
    "sub".to_owned()
}

fn usual_roles() -> String {
    "roles".to_owned()
}

/// A key of the issuer, with what its tokens must be.
struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

/// An issuer's tokens.
pub(crate) struct Jwt {
    keys: Vec<Key>,
    name_claim: String,
    roles_claim: String,
    roles: BTreeMap<String, Vec<Role>>,
    skew_seconds: i64,
    /// Bearers by the digest of a token whose signature was checked with these keys.
    known: Mutex<HashMap<[u8; 32], Arc<Caller>>>,
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        f.debug_struct("Jwt")
            .field("keys", &ids)
            .finish_non_exhaustive()
    }
}

impl Jwt {
    /// # Errors
    /// A file cannot be read, or what is wrong in it.
    pub(crate) fn read(rules: &Path, keys: &Path) -> Result<Jwt, String> {
        let text = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let in_file = |path: &Path, why: String| format!("{}: {why}", path.display());
        let parsed = parse_rules(&text(rules)?).map_err(|why| in_file(rules, why))?;
        Jwt::new(parsed, &text(keys)?).map_err(|why| in_file(keys, why))
    }

    fn new(rules: Rules, keys: &str) -> Result<Jwt, String> {
        ring_keys::install();
        let validation = validation_of(&rules);
        let set: JwkSet = serde_json::from_str(keys).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        for jwk in &set.keys {
            found.extend(key_of(jwk, &validation)?);
        }
        if found.is_empty() {
            return Err("holds no key for the allowed algorithms".to_owned());
        }
        Ok(Jwt {
            keys: found,
            name_claim: rules.name_claim,
            roles_claim: rules.roles_claim,
            roles: rules.roles,
            skew_seconds: rules.clock_skew_seconds.into(),
            known: Mutex::default(),
        })
    }

    /// The bearer of a token.
    ///
    /// # Errors
    /// Why it is not accepted, for its bearer: nothing in it helps to make a better one.
    pub(crate) fn caller(&self, token: &str, now_seconds: i64) -> Result<Arc<Caller>, String> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.known.lock().ok();
        let known = known.and_then(|known| known.get(&digest).cloned());
        let caller = match known {
            Some(caller) => caller,
            None => self.checked(token, digest)?,
        };
        match caller.is_in_time(now_seconds - self.skew_seconds) {
            true => Ok(caller),
            false => Err("it has expired".to_owned()),
        }
    }

    fn checked(&self, token: &str, digest: [u8; 32]) -> Result<Arc<Caller>, String> {
        let caller = Arc::new(self.verified(token)?);
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(digest, Arc::clone(&caller));
        }
        Ok(caller)
    }

    fn verified(&self, token: &str) -> Result<Caller, String> {
        let header = decode_header(token).map_err(|_| "it is no JSON Web Token".to_owned())?;
        // RFC 7515, section 4.1.11: what must be understood and is not refuses the token.
        if header.crit.is_some() {
            return Err("its head asks for what is not known here (`crit`)".to_owned());
        }
        let key = self.key(header.kid.as_deref(), header.alg)?;
        let token = decode::<serde_json::Map<String, Value>>(token, &key.key, &key.validation);
        let claims = token.map_err(|error| why(&error))?.claims;
        let expires = claims.get("exp").and_then(Value::as_f64);
        #[allow(clippy::cast_possible_truncation)]
        let expires = expires.map(|seconds| seconds as i64);
        let name = text_at(&claims, &self.name_claim).into_iter().next();
        let given = text_at(&claims, &self.roles_claim);
        let roles = given
            .iter()
            .filter_map(|value| self.roles.get(value))
            .flatten();
        Ok(Caller {
            name: name.unwrap_or_else(|| "a bearer without a name".to_owned()),
            roles: roles.copied().collect(),
            expires,
        })
    }

    /// The key a token names, or the only one for its algorithm if it names none.
    fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, String> {
        let mut fit = self.keys.iter().filter(|key| {
            let named = id.is_none() || key.id.as_deref() == id;
            named && key.validation.algorithms.contains(&algorithm)
        });
        match (fit.next(), fit.next(), id) {
            (Some(key), None, _) => Ok(key),
            (Some(_), Some(_), _) => Err("it does not say which key signed it (`kid`)".to_owned()),
            (None, _, _) => Err("no key here can have signed it".to_owned()),
        }
    }
}

fn parse_rules(text: &str) -> Result<Rules, String> {
    let rules: Rules = toml::from_str(text).map_err(|error| error.to_string())?;
    let empty = |what: &OneOrMore| what.all().is_empty() || what.all().iter().any(String::is_empty);
    if empty(&rules.issuer) || empty(&rules.audience) {
        return Err("issuer and audience must say something".to_owned());
    }
    if rules.algorithms.is_empty() {
        return Err("algorithms must name one".to_owned());
    }
    if rules.clock_skew_seconds > MAX_SKEW_SECONDS {
        return Err(format!(
            "clock_skew_seconds must be at most {MAX_SKEW_SECONDS}"
        ));
    }
    Ok(rules)
}

fn validation_of(rules: &Rules) -> Validation {
    let mut validation = Validation {
        algorithms: rules.algorithms.iter().map(|a| a.algorithm()).collect(),
        leeway: rules.clock_skew_seconds.into(),
        validate_nbf: true,
        ..Validation::default()
    };
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(rules.issuer.all());
    validation.set_audience(rules.audience.all());
    validation
}

/// A key that may check tokens; none if it is for something else.
///
/// # Errors
/// A shared secret is in the set, or a key is broken.
fn key_of(jwk: &Jwk, rules: &Validation) -> Result<Option<Key>, String> {
    let id = jwk.common.key_id.clone();
    let named = id.as_deref().unwrap_or("without `kid`");
    let signs = matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    );
    let operations = jwk.common.key_operations.as_ref();
    let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return Ok(None);
    }
    let Ok(key) = DecodingKey::from_jwk(jwk) else {
        return Err(format!("key {named}: cannot be read"));
    };
    if key.family() == jsonwebtoken::AlgorithmFamily::Hmac {
        return Err(format!(
            "key {named}: a shared secret (`oct`) is no key for callers' tokens"
        ));
    }
    let own = jwk
        .common
        .key_algorithm
        .and_then(|own| Algorithm::try_from(own).ok());
    let fits = |algorithm: &Algorithm| {
        algorithm.family() == key.family() && own.is_none_or(|own| own == *algorithm)
    };
    let algorithms: Vec<_> = rules.algorithms.iter().copied().filter(fits).collect();
    if algorithms.is_empty() || (jwk.common.key_algorithm.is_some() && own.is_none()) {
        return Ok(None);
    }
    let validation = Validation {
        algorithms,
        ..rules.clone()
    };
    Ok(Some(Key {
        id,
        key,
        validation,
    }))
}

/// Why a token is refused, in words of this house.
fn why(error: &jsonwebtoken::errors::Error) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
        ErrorKind::InvalidIssuer => "its issuer is another".to_owned(),
        ErrorKind::InvalidAudience => "it is for another audience".to_owned(),
        ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it lacks the claim `{claim}`"),
        ErrorKind::InvalidClaimFormat(claim) => format!("its claim `{claim}` cannot be read"),
        _ => "it cannot be read".to_owned(),
    }
}

/// The words of a claim: a list's texts, or a text's words (as `scope` has them). The name is first
/// taken whole, for names with dots in them, then as a path.
fn text_at(claims: &serde_json::Map<String, Value>, name: &str) -> Vec<String> {
    let whole = claims.get(name);
    let found = whole.or_else(|| {
        let mut parts = name.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    });
    match found {
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(values)) => {
            let texts = values.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

//! Bearer tokens of an issuer: who gets in, and every way a token may lie.

use crate::support::{TestServer, customers, folder, request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cvm_proto::Encoding;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Request};

const RULES: &str = r#"
issuer = "https://login.example"
audience = ["cvm", "cvm-test"]
clock_skew_seconds = 30
name_claim = "email"
roles_claim = "realm_access.groups"
[roles]
"risk-team" = ["score"]
"watchers" = ["read"]
"#;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer with one key on the curve P-256.
struct Issuer {
    id: &'static str,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    fn new(id: &'static str) -> Issuer {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).unwrap();
        Issuer { id, pair, random }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": x, "y": y })
    }

    fn sign(&self, head: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64(head.to_string()),
            base64(claims.to_string())
        );
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(
            &json!({ "alg": "ES256", "typ": "JWT", "kid": self.id }),
            claims,
        )
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs().try_into().unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example", "aud": "cvm", "exp": now() + 300, "nbf": now() - 5,
        "email": "kim@example", "realm_access": { "groups": ["risk-team", "elsewhere"] },
    })
}

/// The claims with one of them changed; null takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn write(folder: &Path, keys: &[Value]) {
    std::fs::write(folder.join("jwt.toml"), RULES).unwrap();
    std::fs::write(
        folder.join("jwks.json"),
        json!({ "keys": keys }).to_string(),
    )
    .unwrap();
}

async fn start(models: &TempDir) -> TestServer {
    let path = models.path().to_owned();
    TestServer::start(models.path(), |settings| {
        settings.jwt = Some(path.join("jwt.toml"));
        settings.jwks = Some(path.join("jwks.json"));
    })
    .await
}

async fn score(channel: &Channel, token: &str) -> (Code, String) {
    let mut asked = Request::new(request(customers(2), Encoding::Doubles));
    let value = format!("Bearer {token}").parse().unwrap();
    asked.metadata_mut().insert("authorization", value);
    let answer = ScoringServiceClient::new(channel.clone())
        .score(asked)
        .await;
    let told = |status: tonic::Status| (status.code(), status.message().to_owned());
    answer.map_or_else(told, |_| (Code::Ok, String::new()))
}

#[tokio::test]
async fn an_issuers_tokens_give_the_roles_of_the_table() {
    let models = folder();
    let issuer = Issuer::new("2026");
    write(models.path(), &[issuer.jwk()]);
    let server = start(&models).await;
    let channel = server.channel().await;
    let token = issuer.token(&claims());
    // The second time the signature is not checked again.
    for _ in 0..2 {
        assert_eq!(score(&channel, &token).await.0, Code::Ok);
    }
    for good in [
        with("aud", json!(["other", "cvm-test"])),
        with("nbf", Value::Null),
        with("nbf", json!(now() + 20)),
        with("exp", json!(now() - 20)),
        with("realm_access", json!({ "groups": "elsewhere risk-team" })),
    ] {
        let (code, why) = score(&channel, &issuer.token(&good)).await;
        assert_eq!(code, Code::Ok, "{good}: {why}");
    }
    for weak in [
        with("realm_access", json!({ "groups": ["watchers"] })),
        with("realm_access", json!({ "groups": [["risk-team"], 7] })),
        with("realm_access", Value::Null),
        with("roles", json!(["risk-team"]))
            .as_object()
            .map_or(Value::Null, |own| {
                let mut own = own.clone();
                own.remove("realm_access");
                own.into()
            }),
    ] {
        let (code, why) = score(&channel, &issuer.token(&weak)).await;
        assert_eq!(code, Code::PermissionDenied, "{weak}");
        assert!(
            why.contains("`kim@example` lacks the role `score`"),
            "{why}"
        );
    }
}

#[tokio::test]
async fn claims_that_do_not_hold_are_refused() {
    let models = folder();
    let issuer = Issuer::new("2026");
    write(models.path(), &[issuer.jwk()]);
    let server = start(&models).await;
    let channel = server.channel().await;
    for (claims, why) in [
        (with("exp", json!(now() - 40)), "expired"),
        (with("exp", Value::Null), "lacks the claim `exp`"),
        (with("exp", json!("tomorrow")), "exp"),
        (with("exp", json!(-1)), "exp"),
        (with("nbf", json!(now() + 40)), "not valid yet"),
        (with("iss", json!("https://login.example.evil")), "issuer"),
        (with("iss", Value::Null), "lacks the claim `iss`"),
        (with("aud", json!("cvm2")), "audience"),
        (with("aud", json!([])), "audience"),
        (with("aud", Value::Null), "lacks the claim `aud`"),
    ] {
        let (code, told) = score(&channel, &issuer.token(&claims)).await;
        assert_eq!(code, Code::Unauthenticated, "{claims}: {told}");
        assert!(told.contains(why), "{claims}: {told}");
    }
    // A token that was good ends when it expires, though its signature is remembered.
    let brief = issuer.token(&with("exp", json!(now() - 28)));
    assert_eq!(score(&channel, &brief).await.0, Code::Ok);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(score(&channel, &brief).await.0, Code::Unauthenticated);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let models = folder();
    let (issuer, forger) = (Issuer::new("2026"), Issuer::new("2026"));
    write(models.path(), &[issuer.jwk()]);
    let server = start(&models).await;
    let channel = server.channel().await;
    let good = issuer.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, payload, signature] = parts[..] else {
        panic!("{good}")
    };
    let unsigned = |head: Value| format!("{}.{payload}", base64(head.to_string()));
    let none = unsigned(json!({ "alg": "none", "kid": "2026" }));
    // The public key taken as a shared secret: the attack on verifiers that let the token choose.
    let hmac = unsigned(json!({ "alg": "HS256", "kid": "2026" }));
    let public = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, issuer.pair.public_key().as_ref());
    let hmac_signature = base64(ring::hmac::sign(&public, hmac.as_bytes()));
    let richer = base64(with("sub", json!("root")).to_string());
    let own_key = json!({ "alg": "ES256", "jwk": forger.jwk(), "jku": "https://evil.example" });
    let critical = json!({ "alg": "ES256", "kid": "2026", "crit": ["exp"] });
    let other_alg = json!({ "alg": "ES384", "kid": "2026" });
    let edwards = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let edwards_head = unsigned(json!({ "alg": "EdDSA", "kid": "2026" }));
    let edwards_signature = base64(edwards.sign(edwards_head.as_bytes()));
    for forged in [
        format!("{none}."),
        format!("{none}.{signature}"),
        format!("{hmac}.{hmac_signature}"),
        format!("{head}.{richer}.{signature}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}"),
        format!("{head}.{payload}.{}", &signature[1..]),
        format!("{good}.{signature}"),
        format!("{head}.{payload}.{}", base64([0; 64])),
        format!("{edwards_head}.{edwards_signature}"),
        forger.token(&claims()),
        forger.sign(&own_key, &claims()),
        issuer.sign(&critical, &claims()),
        issuer.sign(&other_alg, &claims()),
        issuer.sign(&json!({ "alg": "ES256", "kid": "2025" }), &claims()),
        issuer.sign(&json!({ "alg": "ES256", "kid": 7 }), &claims()),
        issuer.sign(&json!({ "kid": "2026" }), &claims()),
        issuer.sign(&json!({ "alg": "ES256", "kid": "2026" }), &json!([1, 2])),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "9".repeat(5_000) + ".a.b",
    ] {
        let (code, why) = score(&channel, &forged).await;
        assert_eq!(code, Code::Unauthenticated, "{forged}: {why}");
        assert!(
            why.contains("refused") || why.contains("not known"),
            "{forged}: {why}"
        );
    }
    assert_eq!(score(&channel, &good).await.0, Code::Ok);
    // One key alone needs no name.
    let nameless = issuer.sign(&json!({ "alg": "ES256" }), &claims());
    assert_eq!(score(&channel, &nameless).await.0, Code::Ok);
}

#[tokio::test]
async fn a_key_taken_from_the_set_opens_nothing_any_more() {
    let models = folder();
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    write(models.path(), &[old.jwk()]);
    let server = start(&models).await;
    let channel = server.channel().await;
    let (by_old, by_new) = (old.token(&claims()), new.token(&claims()));
    assert_eq!(score(&channel, &by_old).await.0, Code::Ok);
    assert_eq!(score(&channel, &by_new).await.0, Code::Unauthenticated);
    // A broken file, and one with a shared secret, change nothing.
    let secret = json!({ "kty": "oct", "k": base64("secret"), "kid": "s" });
    for broken in [
        "{".to_owned(),
        json!({ "keys": [new.jwk(), secret] }).to_string(),
    ] {
        std::fs::write(models.path().join("jwks.json"), broken).unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(score(&channel, &by_old).await.0, Code::Ok);
    }
    write(models.path(), &[old.jwk(), new.jwk()]);
    becomes(&channel, &by_new, Code::Ok).await;
    assert_eq!(score(&channel, &by_old).await.0, Code::Ok);
    write(models.path(), &[new.jwk()]);
    becomes(&channel, &by_old, Code::Unauthenticated).await;
    assert_eq!(score(&channel, &by_new).await.0, Code::Ok);
}

async fn becomes(channel: &Channel, token: &str, code: Code) {
    for _ in 0..200 {
        if score(channel, token).await.0 == code {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never {code:?}");
}

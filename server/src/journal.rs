//! The requests of callers, one event each: what was asked of which model, and what became of it.
//!
//! Who the customers are is told only as a keyed hash of their row keys, HMAC-SHA256, so that the log
//! answers "what did we tell this customer" to who has the key, and says nothing to who has not.

use crate::calls::code_name;
use crate::meter::Moments;
use crate::registry::Served;
use cvm_proto::Refusal;
use http::HeaderMap;
use ring::hmac;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

/// What such an event is filed under.
pub(crate) const TARGET: &str = "cvm_server::requests";

/// Customers told of one request.
const MAX_CUSTOMERS: usize = 8;

/// Bytes of the key; SHA-256 gains nothing from more, and HMAC is weak with fewer.
const MIN_KEY_BYTES: usize = 32;

/// Bytes of a hash that are told: no two customers will share them.
const HASH_BYTES: usize = 16;

/// Tells of requests.
#[derive(Debug)]
pub(crate) struct Journal(Option<hmac::Key>);

impl Journal {
    /// # Errors
    /// The file of the key cannot be read, or holds too little.
    pub(crate) fn new(key: Option<&Path>) -> Result<Journal, String> {
        key.map(read_key).transpose().map(Journal)
    }

    /// What is told of customers: a hash of each of the first ones; nothing without a key.
    pub(crate) fn customers(&self, row_keys: &[String]) -> String {
        let Some(key) = &self.0 else {
            return String::new();
        };
        let named = row_keys.iter().filter(|name| !name.is_empty());
        let hashes = named.take(MAX_CUSTOMERS).map(|name| hash(key, name));
        hashes.collect::<Vec<_>>().join(",")
    }

    /// Tells of a request that was answered, with its stages in a trace, or refused.
    pub(crate) fn tell(&self, asked: &Asked, outcome: Result<&Moments, &Refusal>) {
        let code = outcome.map_or_else(|refusal| refusal.code, |_| Code::Ok);
        #[cfg(feature = "otel")]
        if let Ok(moments) = outcome {
            crate::otel::stages(moments);
        }
        let reason = outcome.err().map_or("", |refusal| refusal.reason.as_str());
        let took = asked.begun.elapsed();
        tracing::info!(
            target: TARGET,
            model = %asked.model_version,
            fingerprint = %asked.fingerprint,
            rows = asked.row_count,
            customers = %asked.customers,
            request_id = %asked.request_id,
            code = code_name(code),
            reason,
            seconds = took.as_secs_f64(),
            "request"
        );
    }
}

/// The span of a call, which the events in it belong to.
pub(crate) fn span(method: &'static str, caller: Option<&str>, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.method = method,
        caller,
        trace_id = trace_id(headers),
        code = Empty,
    );
    #[cfg(feature = "otel")]
    crate::otel::adopt(&span, headers);
    span
}

/// Ends the span of a call with its code.
pub(crate) fn end(span: &Span, code: Code) {
    span.record("code", code_name(code));
    // Faults of the server; what a caller did wrong is no error of this span (OpenTelemetry, RPC).
    let faults = [
        Code::Unknown,
        Code::DeadlineExceeded,
        Code::Unimplemented,
        Code::Internal,
    ];
    if faults.contains(&code) || matches!(code, Code::Unavailable | Code::DataLoss) {
        span.record("otel.status_code", "ERROR");
    }
}

/// The trace that the caller is in: W3C Trace Context, `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let id = text.split('-').nth(1)?;
    let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then_some(id)
}

/// What is told of a request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) model_version: String,
    pub(crate) fingerprint: String,
    pub(crate) row_count: usize,
    pub(crate) customers: String,
    pub(crate) request_id: String,
    pub(crate) begun: Instant,
}

impl Asked {
    /// Of a request that `served` is to answer, or the champion of a split.
    pub(crate) fn of(served: &Served, row_count: usize, begun: Instant) -> Asked {
        Asked {
            model_version: served.stamp.model_version.clone(),
            fingerprint: served.stamp.fingerprint.clone(),
            row_count,
            customers: String::new(),
            request_id: String::new(),
            begun,
        }
    }
}

fn read_key(path: &Path) -> Result<hmac::Key, String> {
    let in_file = |why: String| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| in_file(error.to_string()))?;
    let key = bytes.trim_ascii_end();
    if key.len() < MIN_KEY_BYTES {
        let found = key.len();
        return Err(in_file(format!(
            "holds {found} bytes; a key has {MIN_KEY_BYTES} random ones or more"
        )));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
}

fn hash(key: &hmac::Key, name: &str) -> String {
    let tag = hmac::sign(key, name.as_bytes());
    let bytes = tag.as_ref().iter().take(HASH_BYTES);
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Journal, hash};
    use ring::hmac;

    #[test]
    fn a_customer_is_known_by_the_keyed_hash_of_rfc_4231() {
        // Test case 2 of RFC 4231; the key is short there, and only there.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let want = "5bdcc146bf60754e6a042426089575c7";
        assert_eq!(hash(&key, "what do ya want for nothing?"), want);
        let journal = Journal(Some(key));
        let keys = ["what do ya want for nothing?", "", "b"].map(str::to_owned);
        let told = journal.customers(&keys);
        assert!(
            told.starts_with(want) && told.matches(',').count() == 1,
            "{told}"
        );
        let many = vec!["x".to_owned(); 100];
        assert_eq!(journal.customers(&many).matches(',').count(), 7);
        assert_eq!(Journal(None).customers(&keys), "");
    }
}

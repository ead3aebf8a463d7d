//! Who calls, and what they may do: one layer before every service, default deny.

mod tls;
mod tokens;
mod watched;

pub(crate) use tls::{Tls, TlsFiles};
pub(crate) use tokens::Tokens;
pub(crate) use watched::Watched;

use crate::calls::METHODS;
use cvm_proto::{Reason, Refusal};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// See models, their state and what they did.
    Read,
    /// Score customers.
    Score,
    /// Load and unload models.
    Admin,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Score => "score",
            Role::Admin => "admin",
        }
    }
}

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: liveness and health, for those who only watch.
    Open,
    /// This role.
    Needs(Role),
}

/// Who may call, if callers are told apart.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Option<Arc<Watched<Tokens>>>);

impl Identity {
    /// Callers with these tokens; everyone without.
    pub(crate) fn new(tokens: Option<Arc<Watched<Tokens>>>) -> Identity {
        Identity(tokens)
    }

    /// # Errors
    /// `UNAUTHENTICATED` without a token that is known; `PERMISSION_DENIED` for one without the role.
    pub(crate) fn check(&self, access: Access, headers: &HeaderMap) -> Result<(), Refusal> {
        let (Some(tokens), Access::Needs(role)) = (&self.0, access) else {
            return Ok(());
        };
        let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let Some(given) = given else {
            let why = "a bearer token is needed: header `authorization: Bearer …`";
            return Err(Refusal::new(Reason::Unauthenticated, why));
        };
        let tokens = tokens.load();
        let Some(caller) = tokens.caller(given) else {
            let why = "the bearer token is not known here, or has expired";
            return Err(Refusal::new(Reason::Unauthenticated, why));
        };
        if caller.may(role) {
            return Ok(());
        }
        let why = format!("`{}` lacks the role `{}`", caller.name, role.name());
        Err(Refusal::new(Reason::NotAllowed, why))
    }
}

/// What the method at a place of [`METHODS`] asks; health is open, and whatever else is not of this
/// server's own services (reflection, paths that do not exist) is for readers.
pub(crate) fn access(place: usize, path: &str) -> Access {
    match METHODS.get(place) {
        Some((_, access)) => *access,
        None if path.starts_with("/grpc.health.v1.Health/") => Access::Open,
        None => Access::Needs(Role::Read),
    }
}

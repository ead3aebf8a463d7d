//! Who calls, and what they may do: one layer before every service, default deny.

mod jwt;
mod ring_keys;
mod tls;
mod tokens;
mod watched;

pub(crate) use jwt::Jwt;
pub(crate) use tls::{Tls, TlsFiles};
pub(crate) use tokens::Tokens;
pub(crate) use watched::Watched;

use crate::calls::METHODS;
use cvm_proto::{Reason, Refusal};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// A known caller.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Name, for messages and logs.
    pub(crate) name: String,
    roles: Vec<Role>,
    /// Seconds since 1970.
    expires: Option<i64>,
}

impl Caller {
    /// Whether the caller has the role.
    fn may(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn is_in_time(&self, now_seconds: i64) -> bool {
        self.expires.is_none_or(|expires| now_seconds < expires)
    }
}

/// A caller, if callers are told apart.
pub(crate) type Who = Option<Arc<Caller>>;

/// Who may call, if callers are told apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// Tokens by their digests.
    pub(crate) tokens: Option<Arc<Watched<Tokens>>>,
    /// Tokens of an issuer.
    pub(crate) jwt: Option<Arc<Watched<Jwt>>>,
}

impl Identity {
    /// Lets a caller in, and says who it is, if callers are told apart.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` without a token that is known; `PERMISSION_DENIED` for one without the role.
    pub(crate) fn check(&self, access: Access, headers: &HeaderMap) -> Result<Who, Refusal> {
        let (true, Access::Needs(role)) = (self.tells_apart(), access) else {
            return Ok(None);
        };
        let caller = self.caller(headers)?;
        if caller.may(role) {
            return Ok(Some(caller));
        }
        let why = format!("`{}` lacks the role `{}`", caller.name, role.name());
        Err(Refusal::new(Reason::NotAllowed, why))
    }

    /// Whether callers are told apart.
    fn tells_apart(&self) -> bool {
        self.tokens.is_some() || self.jwt.is_some()
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Refusal> {
        let unknown = |why: &str| Refusal::new(Reason::Unauthenticated, why);
        let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        let given = given.and_then(bearer);
        let token = given
            .ok_or_else(|| unknown("a bearer token is needed: header `authorization: Bearer …`"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = now.and_then(|now| i64::try_from(now.as_secs()).ok());
        // A clock before 1970 tells nothing: no token is in time.
        let now = now.unwrap_or(i64::MAX);
        let known = self
            .tokens
            .as_ref()
            .and_then(|tokens| tokens.load().caller(token, now));
        if let Some(caller) = known {
            return Ok(caller);
        }
        match &self.jwt {
            Some(jwt) if token.contains('.') => {
                let caller = jwt.load().caller(token, now);
                caller.map_err(|why| unknown(&format!("the bearer token is refused: {why}")))
            }
            _ => Err(unknown(
                "the bearer token is not known here, or has expired",
            )),
        }
    }
}

/// The token of an `authorization` header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
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

//! Whom to ask: an address, what to trust, what to show.

use std::path::PathBuf;
use std::time::Duration;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A caller's token.
#[derive(Debug, Clone)]
pub struct Token {
    /// What the report calls the caller.
    pub name: String,
    /// What the server is shown.
    pub secret: String,
}

impl Token {
    /// Reads lines of `name secret`; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The number of a line that is something else.
    pub fn parse_all(text: &str) -> Result<Vec<Token>, String> {
        let lines = (1_usize..).zip(text.lines().map(str::trim));
        let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let token = |(number, line): (usize, &str)| {
            let parts = line.split_once(char::is_whitespace);
            let (name, secret) =
                parts.ok_or_else(|| format!("line {number} is not `name secret`"))?;
            Ok(Token {
                name: name.to_owned(),
                secret: secret.trim().to_owned(),
            })
        };
        said.map(token).collect()
    }
}

/// Certificates, in files of PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Authorities to trust.
    pub ca: PathBuf,
    /// Certificate and key to show.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Name the server's certificate is for, if not that of the address.
    pub domain: Option<String>,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// What connections travel under, if not in clear.
    pub tls: Option<Tls>,
    /// Connections show these in turn.
    pub tokens: Vec<Token>,
}

impl Target {
    /// A server in clear that wants no token.
    #[must_use]
    pub fn plain(address: impl ToString) -> Target {
        Target {
            address: address.to_string(),
            tls: None,
            tokens: Vec::new(),
        }
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.address);
        let endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        match &self.tls {
            None => Ok(endpoint),
            Some(tls) => endpoint
                .tls_config(config(tls)?)
                .map_err(|error| error.to_string()),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Channel, String> {
        let channel = self.endpoint()?.connect().await;
        channel.map_err(|error| format!("{}: {}", self.address, chain(&error)))
    }

    /// The header `authorization` of each token; one that is none without tokens.
    pub(crate) fn headers(&self) -> Result<Vec<Option<AsciiMetadataValue>>, String> {
        let header = |token: &Token| {
            let value = format!("Bearer {}", token.secret).parse();
            let value: AsciiMetadataValue =
                value.map_err(|_| format!("the token of {} cannot be a header", token.name))?;
            Ok(Some(value))
        };
        match self.tokens.is_empty() {
            true => Ok(vec![None]),
            false => self.tokens.iter().map(header).collect(),
        }
    }
}

fn config(tls: &Tls) -> Result<ClientTlsConfig, String> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
    if let Some((certificate, key)) = &tls.own {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(match &tls.domain {
        Some(domain) => config.domain_name(domain.clone()),
        None => config,
    })
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether a call failed before the server had anything of it: a caller may make it again. An answer
/// that is cut off is another error: `UNKNOWN`, "error reading a body from connection".
#[must_use]
pub fn never_sent(status: &Status) -> bool {
    let text = format!("{status:?}");
    match status.code() {
        // Nobody listens any more.
        Code::Unavailable => true,
        // This client's words for a call that met the GOAWAY, or the end, in its own queue.
        Code::Internal => text.contains("GoAway"),
        Code::Cancelled => text.contains("connection closed"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, Tls, Token};

    #[test]
    fn tokens_are_read_line_by_line() {
        let tokens = Token::parse_all("# ours\nbilling abc\n\n web  d e \n").unwrap();
        let read: Vec<_> = tokens
            .iter()
            .map(|t| (t.name.as_str(), t.secret.as_str()))
            .collect();
        assert_eq!(read, [("billing", "abc"), ("web", "d e")]);
        assert!(
            Token::parse_all("a b\nalone")
                .unwrap_err()
                .contains("line 2")
        );
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let mut target = Target::plain("127.0.0.1:1");
        target.tokens = Token::parse_all("x a\u{1}b").unwrap();
        assert!(target.headers().unwrap_err().contains("token of x"));
        target.tls = Some(Tls {
            ca: "nowhere/ca.pem".into(),
            ..Tls::default()
        });
        assert!(target.endpoint().unwrap_err().contains("nowhere/ca.pem"));
    }
}

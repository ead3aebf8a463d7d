//! TLS: the server's certificate, and the callers' if they must show one; changed files are taken up
//! by the next connection.

use super::Watched;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Files of a server's identity, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Authorities of callers' certificates; unset asks for none.
    pub(crate) client_authorities: Option<PathBuf>,
}

/// Opens TLS on connections.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<Watched<ServerConfig>>);

impl Tls {
    /// # Errors
    /// A file that cannot be read, or is not what it should be.
    pub(crate) fn new(files: TlsFiles) -> Result<Tls, String> {
        let mut watched = vec![files.certificate.clone(), files.key.clone()];
        watched.extend(files.client_authorities.clone());
        let read = move || config(&files);
        Ok(Tls(Arc::new(Watched::new(
            "TLS certificate",
            watched,
            read,
        )?)))
    }

    /// Takes up changed files.
    pub(crate) fn look(&self) {
        self.0.look();
    }

    /// Shakes hands within `timeout`, and insists on HTTP/2.
    ///
    /// # Errors
    /// The peer is late, shows no acceptable certificate, or does not speak TLS or HTTP/2.
    pub(crate) async fn open<S>(&self, stream: S, timeout: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.0.load());
        let opened = tokio::time::timeout(timeout, acceptor.accept(stream)).await;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time");
        let stream = opened.map_err(late)??;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(stream),
            _ => Err(io::Error::other("the peer does not offer HTTP/2 (ALPN h2)")),
        }
    }
}

fn config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| in_file(&files.key, e))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| in_file(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| in_file(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| in_file(&files.certificate, error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| in_file(path, error))?;
    let found: Result<Vec<_>, _> = read.collect();
    let found = found.map_err(|error| in_file(path, error))?;
    match found.is_empty() {
        true => Err(in_file(path, "holds no certificate")),
        false => Ok(found),
    }
}

fn in_file(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

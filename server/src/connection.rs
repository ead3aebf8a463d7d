//! One connection: opened within a time, served, drained when told.

use crate::api::Api;
use crate::drain::Signal;
use crate::identity::Tls;
use crate::linger::{Lent, lend};
use crate::prefixed::Prefixed;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What every HTTP/2 connection starts with: RFC 9113, section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a connection that has sent a part of the preface is looked at.
const PREFACE_LOOK: Duration = Duration::from_millis(10);

/// Silence after which a peer is asked whether it is there, and how long it may take to say so.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes a peer may send ahead, per stream and per connection: bounds the memory a connection pins.
const WINDOW_BYTES: u32 = 1 << 20;
/// Large frames spare system calls on large messages.
const FRAME_BYTES: u32 = 256 << 10;
/// Bytes of headers of one request.
const HEADER_BYTES: u32 = 16 << 10;
/// Calls a peer may cancel before they are accepted; a low number turns callers that give up
/// early into connection errors.
const PENDING_RESETS: usize = 1024;

/// Limits of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long the peer may take to open HTTP/2.
    pub(crate) handshake_timeout: Duration,
    /// Most requests in flight.
    pub(crate) max_concurrent_streams: u32,
    /// When the peer is asked to connect anew.
    pub(crate) max_age: Option<Duration>,
}

impl Limits {
    /// Ends when a connection that begins now is too old: give or take a tenth, so that peers that
    /// came together do not all leave together.
    async fn aged(self) {
        let Some(age) = self.max_age else {
            return std::future::pending().await;
        };
        let chance = RandomState::new().build_hasher().finish() >> 11;
        #[allow(clippy::cast_precision_loss)]
        let share = chance as f64 / (1_u64 << 53) as f64;
        tokio::time::sleep(age.mul_f64(0.9 + 0.2 * share)).await;
    }
}

/// Serves one connection until the peer ends it, or until `drain` and its calls have ended.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<Tls>,
    api: Api,
    limits: Limits,
    drain: Signal,
) {
    let home = match tls {
        None => {
            if let Err(error) = opened(&stream, limits.handshake_timeout, drain.clone()).await {
                tracing::debug!(%error, "connection not opened");
                return;
            }
            let (socket, home) = lend(stream);
            speak(socket, api, limits, drain).await;
            home
        }
        Some(tls) => {
            let (socket, home) = lend(stream);
            let opened = opened_under(&tls, socket, limits.handshake_timeout, drain.clone());
            match opened.await {
                Ok(socket) => speak(socket, api, limits, drain).await,
                Err(error) => tracing::debug!(%error, "connection not opened"),
            }
            home
        }
    };
    home.close().await;
}

/// Opens TLS and waits for the preface, both within the time.
async fn opened_under(
    tls: &Tls,
    socket: Lent,
    timeout: Duration,
    drain: Signal,
) -> io::Result<Prefixed<TlsStream<Lent>>> {
    socket.set_nodelay()?;
    let open = async {
        let mut stream = tls.open(socket, timeout).await?;
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await?;
        match &preface == PREFACE {
            true => Ok(Prefixed::new(preface.to_vec(), stream)),
            false => Err(io::Error::other("not an HTTP/2 preface")),
        }
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time");
    tokio::select! {
        opened = open => opened,
        () = tokio::time::sleep(timeout) => Err(late()),
        () = drain.given() => Err(io::Error::other("the server is shutting down")),
    }
}

/// Speaks HTTP/2 to the end of the connection, or after `drain` to the end of its calls.
async fn speak<S>(socket: S, api: Api, limits: Limits, drain: Signal)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (builder, cancelled) = (builder(limits), api.cancelled.clone());
    let calls = Arc::clone(&api.calls);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), api));
    let ended = tokio::select! {
        served = connection.as_mut() => served,
        () = drain.given() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = limits.aged() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = cancelled.over() => {
            tracing::warn!("connection closed: it cancels more calls than it lets finish");
            calls.connection_closed();
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn builder(limits: Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(HEADER_BYTES)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .auto_date_header(false);
    builder
}

/// Waits for the preface: a peer that is silent, slow or speaks something else never reaches HTTP/2.
async fn opened(stream: &TcpStream, timeout: Duration, drain: Signal) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time");
    tokio::select! {
        opened = preface(stream) => opened,
        () = tokio::time::sleep(timeout) => Err(late()),
        () = drain.given() => Err(io::Error::other("the server is shutting down")),
    }
}

async fn preface(stream: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut bytes).await?;
        let got = bytes.get(..count).unwrap_or_default();
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(got) {
            return Err(io::Error::other("not an HTTP/2 preface"));
        }
        if count == PREFACE.len() {
            return Ok(());
        }
        // A partial preface keeps the socket readable, so waiting for more would spin.
        tokio::time::sleep(PREFACE_LOOK).await;
    }
}

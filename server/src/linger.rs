//! A socket that comes back when HTTP/2 is done with it, so that it can be closed without losing
//! the last answer.
//!
//! Closing a socket that holds unread bytes resets the connection, and a reset throws away what
//! the peer has not read yet (RFC 1122, section 4.2.2.13). At a drain there are always unread
//! bytes: window updates, or a request sent before the peer saw the GOAWAY.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// How long a peer may take to read what it was sent and to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// A socket lent out; dropping it gives the socket back.
#[derive(Debug)]
pub(crate) struct Lent {
    stream: Option<TcpStream>,
    home: Option<oneshot::Sender<TcpStream>>,
}

/// Where a lent socket comes back.
#[derive(Debug)]
pub(crate) struct Home(oneshot::Receiver<TcpStream>);

/// Lends out a socket.
pub(crate) fn lend(stream: TcpStream) -> (Lent, Home) {
    let (sender, receiver) = oneshot::channel();
    let lent = Lent {
        stream: Some(stream),
        home: Some(sender),
    };
    (lent, Home(receiver))
}

impl Home {
    /// Closes the socket once the peer has closed its side, or after [`LINGER`].
    pub(crate) async fn close(self) {
        if let Ok(stream) = self.0.await {
            let _ = tokio::time::timeout(LINGER, read_out(stream)).await;
        }
    }
}

async fn read_out(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = vec![0; 16 << 10];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), self.home.take()) {
            // Nobody waits for it when the connection was cut: then it closes here.
            let _ = home.send(stream);
        }
    }
}

impl Lent {
    /// Sends small packets at once.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.stream
            .as_ref()
            .map_or(Ok(()), |stream| stream.set_nodelay(true))
    }

    /// The socket; it is there until the drop.
    fn socket(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(context)
    }
}

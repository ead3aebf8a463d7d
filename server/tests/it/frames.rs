//! HTTP/2 by hand (RFC 9113), for what no well-behaved client sends.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a call of `ScoringService/Score`: indexed fields of RFC 7541, appendix A, and
/// literals that are not indexed.
pub fn score_headers() -> Vec<u8> {
    let literal = |head: &[u8], parts: &[&str]| {
        let mut field = head.to_vec();
        for part in parts {
            field.push(u8::try_from(part.len()).unwrap());
            field.extend(part.bytes());
        }
        field
    };
    [
        vec![0x83, 0x86], // :method POST, :scheme http
        literal(&[0x04], &["/cvm.v1.ScoringService/Score"]),
        literal(&[0x01], &["localhost"]),
        literal(&[0x0f, 0x10], &["application/grpc"]), // content-type
        literal(&[0x00], &["te", "trailers"]),
    ]
    .concat()
}

/// A message as gRPC frames it: not compressed, its length, its bytes.
pub fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0], &length[..], bytes].concat()
}

/// A connection that has said what every connection says first.
pub struct Raw(pub TcpStream);

impl Raw {
    /// `settings` is the payload of its SETTINGS frame.
    pub async fn open(address: SocketAddr, settings: &[u8]) -> Raw {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        stream
            .write_all(&frame(SETTINGS, 0, 0, settings))
            .await
            .unwrap();
        Raw(stream)
    }

    /// Waits for what a server says first, its window of the connection last, and acknowledges it: more
    /// than 65 535 bytes before are an error (RFC 9113, section 6.9.2).
    pub async fn wait_for_window(&mut self) {
        let mut said = Vec::new();
        // SETTINGS with four values, the acknowledgement of ours, WINDOW_UPDATE.
        for attempt in 0.. {
            if said.len() >= (9 + 24) + 9 + (9 + 4) {
                break;
            }
            assert!(attempt < 100, "only {} bytes", said.len());
            said.extend(self.read_out(Duration::from_millis(200)).await.0);
        }
        assert!(self.send(&frame(SETTINGS, 1, 0, &[])).await);
    }

    /// Writes without reading; false once the peer takes no more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let write = self.0.write_all(bytes);
        matches!(
            tokio::time::timeout(Duration::from_millis(500), write).await,
            Ok(Ok(()))
        )
    }

    /// What the peer said until it closed or was silent for `patience`, and whether it closed.
    pub async fn read_out(&mut self, patience: Duration) -> (Vec<u8>, bool) {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match tokio::time::timeout(patience, self.0.read(&mut buffer)).await {
                Err(_) => return (all, false),
                Ok(Ok(0) | Err(_)) => return (all, true),
                Ok(Ok(count)) => all.extend(&buffer[..count]),
            }
        }
    }
}

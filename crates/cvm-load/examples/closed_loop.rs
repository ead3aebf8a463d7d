//! Calls any unary method with bytes made beforehand, so many callers at once over one connection,
//! each asking again as soon as it has its answer.
//!
//! `closed_loop HOST:PORT /package.Service/Method REQUEST_FILE CALLERS REQUESTS` prints the requests a
//! second. For the processor time of servers side by side (`benches/server_peers.py`): what a caller
//! waits in a closed loop leaves out the requests that a slow server kept from being sent; for
//! latencies there is `cvm-load`.

use bytes::{Buf, BufMut, Bytes};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Messages as they travel.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What is asked, and how often yet.
struct Plan {
    method: http::uri::PathAndQuery,
    request: Bytes,
    left: AtomicUsize,
}

impl Plan {
    /// Whether one more request is to be sent, which is counted.
    fn one_more(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

async fn call(channel: Channel, plan: Arc<Plan>) -> Fallible<()> {
    let mut client = Grpc::new(channel);
    while plan.one_more() {
        client.ready().await?;
        let request = Request::new(plan.request.clone());
        client.unary(request, plan.method.clone(), Raw).await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, method, file, callers, requests] = arguments.as_slice() else {
        return Err("HOST:PORT /package.Service/Method REQUEST_FILE CALLERS REQUESTS".into());
    };
    let requests: usize = requests.parse()?;
    let plan = Arc::new(Plan {
        method: method.parse()?,
        request: std::fs::read(file)?.into(),
        left: AtomicUsize::new(requests),
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    let channel = endpoint.connect().await?;
    let began = Instant::now();
    let calls = (0..callers.parse()?).map(|_| tokio::spawn(call(channel.clone(), plan.clone())));
    for task in calls.collect::<Vec<_>>() {
        task.await??;
    }
    println!("{}", requests as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

//! Traces of calls as a collector gets them, in a build with the cargo feature `otel`.

use crate::log::{Logged, TRACE, score};
use crate::support::folder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The parts of `ExportTraceServiceRequest` that are looked at: opentelemetry-proto, trace/v1.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(string, tag = "2")]
    name: String,
}

const SERVER: i32 = 2;

/// A collector: what it is sent comes out of the receiver.
async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let service = service_fn(move |asked| take(asked, sender.clone()));
            let served = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(served);
        }
    });
    (format!("http://{address}"), receiver)
}

async fn take(
    asked: http::Request<Incoming>,
    sender: mpsc::UnboundedSender<Span>,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    assert_eq!(
        asked.uri().path(),
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    let body = asked.into_body().collect().await.unwrap().to_bytes();
    let export = Export::decode(&body[5..]).unwrap();
    let scopes = export.resources.into_iter().flat_map(|all| all.scopes);
    for span in scopes.flat_map(|scope| scope.spans) {
        sender.send(span).unwrap();
    }
    let answer = http::Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", "0");
    Ok(answer.body(Full::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_spans_in_the_callers_trace() {
    let folder = folder();
    let (endpoint, mut spans) = collector().await;
    let server = Logged::start(folder.path(), &["--otlp-endpoint", &endpoint]);
    score(server.address, "retail").await.unwrap();
    score(server.address, "absent").await.unwrap_err();
    // What is not sent yet is sent at the end.
    let told = server.end();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let mut events = Vec::new();
    for _ in 0..2 {
        let span = spans.recv().await.unwrap();
        assert_eq!(span.name, "cvm.v1.ScoringService/Score");
        assert_eq!((hex(&span.trace_id).as_str(), span.kind), (TRACE, SERVER));
        assert_eq!(hex(&span.parent_id), "00f067aa0ba902b7");
        events.extend(span.events.into_iter().map(|event| event.name));
    }
    assert_eq!(events, ["request"]);
    assert!(!told.contains("\"request\""), "{told}");
}

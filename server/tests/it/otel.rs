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
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
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
    let log = server.end();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let mut all = Vec::new();
    for _ in 0..2 + 4 {
        all.push(spans.recv().await.unwrap());
    }
    assert!(all.iter().all(|span| hex(&span.trace_id) == TRACE));
    let is_call = |span: &Span| span.name == "cvm.v1.ScoringService/Score";
    let (calls, mut stages): (Vec<Span>, Vec<Span>) = all.into_iter().partition(is_call);
    assert_eq!(calls.len(), 2);
    for span in &calls {
        assert_eq!(span.kind, SERVER);
        assert_eq!(hex(&span.parent_id), "00f067aa0ba902b7");
    }
    let told = calls.iter().filter(|span| !span.events.is_empty());
    let events: Vec<_> = told
        .flat_map(|span| span.events.iter().map(move |event| (&span.id, &event.name)))
        .collect();
    // The stages of the one that was answered, one after the other, within its call.
    let [(answered, name)] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(name, "request");
    stages.sort_by_key(|span| (span.start, span.end));
    let names: Vec<&str> = stages.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["decode", "queue", "score", "encode"]);
    assert!(stages.iter().all(|span| &span.parent_id == answered));
    let next = stages.windows(2);
    assert!(
        next.clone().all(|pair| pair[0].end == pair[1].start),
        "{stages:?}"
    );
    let call = calls.iter().find(|span| &span.id == answered).unwrap();
    // The clock that the call is timed by may be set while it lasts.
    assert!(
        call.start <= stages[0].start + 1_000_000,
        "{call:?} {stages:?}"
    );
    assert!(stages[3].end <= call.end + 1_000_000, "{call:?} {stages:?}");
    assert!(!log.contains("\"request\""), "{log}");
}

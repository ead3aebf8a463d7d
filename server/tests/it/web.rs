//! Browsers: gRPC-Web over HTTP/1.1 and HTTP/2, and the rules of origins.

use crate::support::{TestServer, bg_nbd, customers, expected, folder, request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cvm_proto::{Encoding, ScoreAnswer, v1 as pb};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::net::SocketAddr;
use tokio::net::TcpStream;

type Answer = (http::response::Parts, Vec<u8>);

const SCORE: &str = "/cvm.v1.ScoringService/Score";
const APP: &str = "https://app.example";

fn ask(
    verb: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> http::Request<Full<Bytes>> {
    let mut asked = http::Request::builder().method(verb).uri(path);
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    asked.body(Full::new(Bytes::from(body))).unwrap()
}

async fn collected(answer: http::Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    (head, body.collect().await.unwrap().to_bytes().to_vec())
}

async fn over_http1(address: SocketAddr, mut asked: http::Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    asked.headers_mut().insert("host", "x".parse().unwrap());
    collected(send.send_request(asked).await.unwrap()).await
}

async fn over_http2(address: SocketAddr, mut asked: http::Request<Full<Bytes>>) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let whole = format!("http://{address}{}", asked.uri());
    *asked.uri_mut() = whole.parse().unwrap();
    collected(send.send_request(asked).await.unwrap()).await
}

/// A message in the frame of gRPC.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend(bytes);
    frame
}

/// Frames of an answer: messages, and the trailers as text.
fn frames(mut bytes: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [flag, a, b, c, d, rest @ ..] = bytes {
        let size = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (own, after) = rest.split_at(size);
        match flag & 0x80 {
            0 => messages.push(own.to_vec()),
            _ => trailers.push_str(std::str::from_utf8(own).unwrap()),
        }
        bytes = after;
    }
    (messages, trailers)
}

fn check_scores(message: &[u8], count: usize) {
    let answer = pb::ScoreResponse::decode(message).unwrap();
    let answer = ScoreAnswer::try_from(answer).unwrap();
    let bits = answer.outputs.iter().map(|column| {
        let bits: Vec<u64> = column.values.iter().map(|value| value.to_bits()).collect();
        (column.name.clone(), bits)
    });
    assert_eq!(
        bits.collect::<Vec<_>>(),
        expected(&bg_nbd(1.0), &customers(count))
    );
}

#[tokio::test]
async fn a_browser_gets_the_same_bits() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.cors_origins = vec![APP.to_owned()];
    })
    .await;
    let body = framed(&request(customers(50), Encoding::Doubles));
    let binary = [
        ("content-type", "application/grpc-web+proto"),
        ("x-grpc-web", "1"),
        ("origin", APP),
    ];
    let http = server.http.unwrap();
    for (head, answer) in [
        over_http1(http, ask("POST", SCORE, &binary, body.clone())).await,
        over_http2(server.address, ask("POST", SCORE, &binary, body.clone())).await,
    ] {
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "application/grpc-web+proto");
        assert_eq!(head.headers["access-control-allow-origin"], APP);
        let (messages, trailers) = frames(&answer);
        assert!(trailers.contains("grpc-status:0"), "{trailers}");
        check_scores(&messages[0], 50);
    }
    // The form for browsers that cannot read bytes.
    let text = [
        ("content-type", "application/grpc-web-text"),
        ("accept", "application/grpc-web-text"),
    ];
    let body = STANDARD.encode(body).into_bytes();
    let (head, answer) = over_http1(http, ask("POST", SCORE, &text, body)).await;
    assert_eq!(head.status, 200);
    // Each frame is encoded by itself, with its padding.
    let text = String::from_utf8(answer).unwrap();
    let mut bytes = Vec::new();
    for part in text
        .split_inclusive("==")
        .flat_map(|part| part.split_inclusive('='))
    {
        let whole = part.len() - part.len() % 4;
        bytes.extend(STANDARD.decode(&part[..whole]).unwrap_or_default());
    }
    let (messages, _) = frames(&bytes);
    check_scores(&messages[0], 50);
}

#[tokio::test]
async fn refusals_reach_a_browser_as_statuses() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |_| ()).await;
    let http = server.http.unwrap();
    let kind = [("content-type", "application/grpc-web+proto")];
    let mut absent = request(customers(1), Encoding::Doubles);
    absent.model = "absent".to_owned();
    let (head, _) = over_http1(http, ask("POST", SCORE, &kind, framed(&absent))).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["grpc-status"]),
        (200, &"5".parse().unwrap())
    );
    let unknown = ask("POST", "/cvm.v1.ScoringService/Nothing", &kind, Vec::new());
    let (head, _) = over_http1(http, unknown).await;
    assert_eq!(head.headers["grpc-status"], "12");
    // What is neither gRPC-Web nor a path of this face.
    let (head, _) = over_http1(http, ask("GET", SCORE, &[], Vec::new())).await;
    assert!(head.status.is_client_error());
    let calls = crate::http::get(&server, "/metrics").await;
    let line = "cvm_calls_total{method=\"cvm.v1.ScoringService/Score\",code=\"NOT_FOUND\"} 1";
    assert!(calls.lines().any(|own| own == line), "{calls}");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_ask() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.cors_origins = vec![APP.to_owned(), "http://localhost:3000".to_owned()];
    })
    .await;
    let question = |origin| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "content-type,x-grpc-web,authorization",
            ),
        ];
        ask("OPTIONS", SCORE, &headers, Vec::new())
    };
    let http = server.http.unwrap();
    for (origin, allowed) in [
        (APP, true),
        ("http://localhost:3000", true),
        ("https://evil.example", false),
    ] {
        for (head, _) in [
            over_http1(http, question(origin)).await,
            over_http2(server.address, question(origin)).await,
        ] {
            let told = head.headers.get("access-control-allow-origin");
            assert_eq!(told.is_some_and(|told| told == origin), allowed, "{origin}");
        }
    }
    // Without origins nothing is allowed.
    let closed = TestServer::start_with_http(folder.path(), |_| ()).await;
    let (head, _) = over_http1(closed.http.unwrap(), question(APP)).await;
    assert!(head.headers.get("access-control-allow-origin").is_none());
}

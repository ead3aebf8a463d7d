//! Limits: too much at once is told before it is decoded, connections grow old, HTTP is counted.

use crate::support::{TestServer, customers, folder, request};
use cvm_proto::Encoding;
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_rows_at_once_are_told_to_come_back() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.max_rows_in_flight = 60_000;
        settings.workers = 1;
    })
    .await;
    let client = server.client().await;
    let calls = (0..12).map(|_| {
        let mut client = client.clone().max_encoding_message_size(64 << 20);
        async move {
            client
                .score(request(customers(50_000), Encoding::DoublesLe))
                .await
        }
    });
    let answers = join_all(calls).await;
    let fine = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(fine > 0 && !refused.is_empty(), "{fine} of 12 let in");
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        let details = status.get_error_details();
        assert!(
            details
                .retry_info()
                .is_some_and(|retry| retry.retry_delay.is_some())
        );
    }
    // Nothing is left behind: what is alone is let in, and nothing is in flight.
    let mut client = client;
    client
        .score(request(customers(3), Encoding::Doubles))
        .await
        .unwrap();
    let metrics = crate::http::get(&server, "/metrics").await;
    assert!(metrics.contains("cvm_rows_in_flight 0\n"), "{metrics}");
    let shed = metrics
        .lines()
        .find(|l| l.starts_with("cvm_requests_shed_total "));
    assert!(!shed.unwrap().ends_with(" 0"), "{metrics}");
}

#[tokio::test]
async fn an_old_connection_is_asked_to_end_and_no_call_is_lost() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| {
        settings.max_connection_age_seconds = 1;
    })
    .await;
    // One that only looks on sees its end in the time, give or take a tenth.
    let stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let exec = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, tonic::body::Body>(exec, io)
            .await
            .unwrap();
    let watched = tokio::spawn(async move {
        let begun = Instant::now();
        let _ = tokio::time::timeout(Duration::from_secs(10), connection)
            .await
            .unwrap();
        begun.elapsed()
    });
    // One that asks on and on comes back by itself.
    let (mut client, until) = (
        server.client().await,
        Instant::now() + Duration::from_secs(3),
    );
    let (mut count, mut unsent) = (0, 0);
    while Instant::now() < until {
        let answer = client.score(request(customers(2), Encoding::Doubles)).await;
        match answer {
            Ok(_) => count += 1,
            // The connection ended before the client had sent the call: it may be made again.
            Err(status) if status.code() == tonic::Code::Cancelled => unsent += 1,
            Err(status) => panic!("{status}"),
        }
    }
    assert!(count > 10);
    // At most one for each end of a connection.
    assert!(unsent <= 4, "{unsent} of {count}");
    let lived = watched.await.unwrap();
    assert!((0.85..2.5).contains(&lived.as_secs_f64()), "{lived:?}");
    drop(sender);
}

#[tokio::test]
async fn calls_over_http_are_counted_with_the_others() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |_| ()).await;
    crate::http::get(&server, "/status.json").await;
    let wrong = serde_json::json!({ "columns": {} });
    let (status, _) = crate::http::post(&server, "/v1/models/nobody:score", &wrong).await;
    assert_eq!(status, 404);
    let metrics = crate::http::get(&server, "/metrics").await;
    for line in [
        r#"cvm_calls_total{method="http/status",code="OK"} 1"#,
        r#"cvm_calls_total{method="http/score",code="NOT_FOUND"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn http_connections_are_capped_and_silent_ones_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.max_connections = 2;
        settings.handshake_timeout_seconds = 1;
    })
    .await;
    let http = server.http.unwrap();
    let mut silent = TcpStream::connect(http).await.unwrap();
    let half = TcpStream::connect(http).await.unwrap();
    let mut third = TcpStream::connect(http).await.unwrap();
    let _ = third
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let mut told = Vec::new();
    let _ = third.read_to_end(&mut told).await;
    assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    let begun = Instant::now();
    let closed = silent.read_to_end(&mut told);
    let _ = tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
    drop(half);
    crate::http::get(&server, "/livez").await;
}

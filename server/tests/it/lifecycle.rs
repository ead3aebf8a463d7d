//! Start, health, reflection, limits on connections, and an end in bounded time.

use crate::binary::{Binary, command};
use crate::support::{TestServer, channel, customers, folder, request};
use cvm_load::never_sent;
use cvm_proto::Encoding;
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn health(channel: tonic::transport::Channel, service: &str) -> Result<i32, Code> {
    let ask = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel).check(ask).await;
    answer.map(|a| a.into_inner().status).map_err(|s| s.code())
}

#[tokio::test]
async fn health_is_told_per_service() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    server.loaded().await;
    for service in ["", "cvm.v1.ScoringService", "cvm.v1.ModelService"] {
        let status = health(server.channel().await, service).await;
        assert_eq!(status, Ok(ServingStatus::Serving as i32), "{service}");
    }
    assert_eq!(
        health(server.channel().await, "other").await,
        Err(Code::NotFound)
    );
}

/// Waits until health says this.
async fn becomes(server: &TestServer, service: &str, want: Result<ServingStatus, Code>) {
    let want = want.map(|status| status as i32);
    let mut seen = Err(Code::Unknown);
    for _ in 0..200 {
        seen = health(server.channel().await, service).await;
        if seen == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{service}: {seen:?}, never {want:?}");
}

#[tokio::test]
async fn health_is_told_per_model_and_liveness_apart_from_readiness() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.drain_delay_seconds = 1;
    })
    .await;
    let serving = Ok(ServingStatus::Serving);
    for service in ["models/retail", "readiness", "liveness"] {
        becomes(&server, service, serving).await;
    }
    becomes(&server, "models/absent", Err(Code::NotFound)).await;
    crate::http::get(&server, "/readyz").await;
    // The model goes, and comes back under another name.
    let (old, new) = (
        folder.path().join("retail.cvm"),
        folder.path().join("b2b.cvm"),
    );
    std::fs::rename(&old, folder.path().join("retail.gone")).unwrap();
    becomes(&server, "models/retail", Err(Code::NotFound)).await;
    becomes(&server, "readiness", Ok(ServingStatus::NotServing)).await;
    becomes(&server, "liveness", serving).await;
    becomes(&server, "", serving).await;
    assert_eq!(crate::http::code(&server, "/readyz").await, 503);
    assert_eq!(crate::http::code(&server, "/livez").await, 200);
    std::fs::rename(folder.path().join("retail.gone"), &new).unwrap();
    becomes(&server, "models/b2b", serving).await;
    becomes(&server, "readiness", serving).await;

    // While those who send requests learn that this server goes, it goes on answering.
    let (open, address) = (server.channel().await, server.address);
    let watched = HealthCheckRequest {
        service: "models/b2b".to_owned(),
    };
    let watch = HealthClient::new(open.clone()).watch(watched).await;
    let mut watch = watch.unwrap().into_inner();
    let told = watch.message().await.unwrap().unwrap().status;
    assert_eq!(told, ServingStatus::Serving as i32);
    let start = Instant::now();
    let served = server.stop();
    let told = watch.message().await.unwrap().unwrap().status;
    assert_eq!(told, ServingStatus::NotServing as i32);
    for service in ["", "readiness", "cvm.v1.ScoringService"] {
        let status = health(open.clone(), service).await;
        assert_eq!(status, Ok(ServingStatus::NotServing as i32), "{service}");
    }
    let alive = health(open.clone(), "liveness").await;
    assert_eq!(alive, Ok(ServingStatus::Serving as i32));
    let mut late = ScoringServiceClient::new(channel(address).await);
    let answer = late.score(request(customers(3), Encoding::Doubles)).await;
    assert_eq!(answer.unwrap().into_inner().row_count, 3);
    drop((watch, late, open));
    served.await.unwrap().unwrap();
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let want = [
        "cvm.v1.ScoringService",
        "cvm.v1.ModelService",
        "grpc.health.v1.Health",
    ];

    let ask = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client =
        v1::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let text = format!("{answer:?}");
    assert!(want.iter().all(|name| text.contains(name)), "{text}");

    let symbol = "cvm.v1.ScoringService".to_owned();
    let ask = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol),
        ),
    };
    let mut client =
        v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel().await);
    let answers = client.server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert!(
        format!("{answer:?}").contains("FileDescriptorResponse"),
        "{answer:?}"
    );
}

/// Whether the server closes `connection` within `limit`.
async fn closed_within(mut connection: TcpStream, limit: Duration) -> bool {
    let mut bytes = Vec::new();
    let end = connection.read_to_end(&mut bytes);
    tokio::time::timeout(limit, end).await.is_ok()
}

#[tokio::test]
async fn connections_that_do_not_open_http2_are_closed() {
    let folder = folder();
    let change = |settings: &mut cvm_server::Settings| settings.handshake_timeout_seconds = 1;
    let server = TestServer::start(folder.path(), change).await;
    let soon = Duration::from_secs(5);
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut partial = TcpStream::connect(server.address).await.unwrap();
    partial.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut other = TcpStream::connect(server.address).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let start = Instant::now();
    assert!(closed_within(other, Duration::from_millis(900)).await);
    assert!(closed_within(silent, soon).await);
    assert!(start.elapsed() > Duration::from_millis(500));
    assert!(closed_within(partial, soon).await);
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_and_places_come_back() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| settings.max_connections = 2).await;
    let first = server.channel().await;
    let second = TcpStream::connect(server.address).await.unwrap();
    health(first.clone(), "").await.unwrap();
    let third = TcpStream::connect(server.address).await.unwrap();
    assert!(closed_within(third, Duration::from_secs(5)).await);
    drop(second);
    tokio::time::sleep(Duration::from_millis(100)).await;
    health(server.channel().await, "").await.unwrap();
    health(first, "").await.unwrap();
}

/// Opens a stream, sends one request and reads its answer; the stream stays open.
async fn open_stream(
    server: &TestServer,
) -> (
    tokio::sync::mpsc::Sender<pb::StreamScoreRequest>,
    tonic::Streaming<pb::StreamScoreResponse>,
) {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut client = server.client().await;
    let message = pb::StreamScoreRequest {
        sequence: 5,
        request: Some(request(customers(1), Encoding::Doubles)),
    };
    sender.send(message).await.unwrap();
    let answers = client.stream_score(ReceiverStream::new(receiver)).await;
    let mut answers = answers.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 5);
    (sender, answers)
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_and_idle_connections_at_once() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let idle = server.channel().await;
    health(idle.clone(), "").await.unwrap();
    let silent = TcpStream::connect(server.address).await.unwrap();
    let (_sender, mut answers) = open_stream(&server).await;
    let start = Instant::now();
    let served = server.stop();
    assert_eq!(
        answers.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    served.await.unwrap().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop((idle, silent));
}

#[tokio::test]
async fn a_peer_that_never_answers_is_cut_at_the_drain_deadline() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| settings.drain_seconds = 1).await;
    // Preface, empty SETTINGS, the headers of a call that never sends its body: then silence.
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    stuck
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stuck.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    server.stop().await.unwrap().unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_at_a_shutdown_are_answered() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.client().await;
    let (first, answered_one) = tokio::sync::oneshot::channel();
    let busy = tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            let large = request(customers(100_000), Encoding::DoublesLe);
            match client.score(large).await {
                Ok(response) => assert_eq!(response.into_inner().row_count, 100_000),
                Err(status) => return status,
            }
            first.take().map(|first| first.send(()));
        }
    });
    answered_one.await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let served = server.stop();
    let end = busy.await.unwrap();
    served.await.unwrap().unwrap();
    assert!(never_sent(&end), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_serves_and_ends_on_both_signals_whoever_is_connected() {
    let folder = folder();
    for name in ["TERM", "INT"] {
        let mut binary = Binary::start(&["--drain-seconds", "1"], folder.path());
        let mut client = ScoringServiceClient::new(channel(binary.address).await);
        client
            .score(request(customers(1), Encoding::Doubles))
            .await
            .unwrap();
        let _silent = TcpStream::connect(binary.address).await.unwrap();
        let mut half = TcpStream::connect(binary.address).await.unwrap();
        half.write_all(b"PRI * HTTP").await.unwrap();
        let mut mute = TcpStream::connect(binary.address).await.unwrap();
        mute.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        mute.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        binary.signal(name);
        let (code, took) = binary.end();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(2), "{name}: {took:?}");
    }
}

/// A model whose probe rows take seconds: the server is there meanwhile, and can be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_models_are_loaded_health_answers_calls_wait_and_a_signal_ends_it() {
    let folder = folder();
    let slow = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/models/clv.pareto_ggg/clumps.cvm"
    );
    std::fs::copy(slow, folder.path().join("slow.cvm")).unwrap();
    let mut binary = Binary::start(&["--drain-seconds", "5"], folder.path());
    let channel = channel(binary.address).await;
    let not_serving = Ok(ServingStatus::NotServing as i32);
    for service in ["", "readiness", "cvm.v1.ScoringService"] {
        assert_eq!(health(channel.clone(), service).await, not_serving);
    }
    let serving = Ok(ServingStatus::Serving as i32);
    assert_eq!(health(channel.clone(), "liveness").await, serving);
    let mut client = ScoringServiceClient::new(channel);
    let waiting = async move { client.score(request(customers(1), Encoding::Doubles)).await };
    let waiting = tokio::spawn(waiting);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    binary.signal("TERM");
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let (code, took) = binary.end();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn wrong_settings_have_their_exit_codes() {
    let folder = folder();
    let code = |command: &mut Command| command.output().unwrap().status.code();
    let models = || {
        let mut command = command();
        command.arg("--models").arg(folder.path());
        command
    };
    assert_eq!(code(command().env_remove("CVM_MODELS")), Some(2));
    assert_eq!(code(models().args(["--max-rows", "0"])), Some(2));
    // TEST-NET-1 is nobody's address (RFC 5737).
    assert_eq!(code(models().args(["--listen", "192.0.2.1:1"])), Some(2));
    let absent = folder.path().join("absent");
    assert_eq!(code(command().arg("--models").arg(absent)), Some(3));
    assert_eq!(code(command().arg("--help")), Some(0));
}

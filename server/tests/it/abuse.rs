//! Hostile peers, on loopback and in bounds: whatever they do, a healthy caller is served meanwhile.

use crate::binary::Binary;
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, SETTINGS, frame,
    message, score_headers,
};
use crate::identity::{Authority, Files, trusting};
use crate::support::{TestServer, channel, customers, folder, request};
use cvm_proto::Encoding;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// What a healthy call may take meanwhile on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// `few` in the usual suite, `many` in the slow one.
fn bounded(few: usize, many: usize) -> usize {
    if std::env::var_os("CVM_SLOW").is_some() {
        many
    } else {
        few
    }
}

/// A caller that asks on and on, and is always answered in time.
struct Healthy {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
    calls: JoinHandle<Duration>,
}

impl Healthy {
    async fn begin(channel: Channel) -> Healthy {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut client = ScoringServiceClient::new(channel);
        client
            .score(request(customers(1), Encoding::Doubles))
            .await
            .unwrap();
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let calls = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                client
                    .score(request(customers(3), Encoding::Doubles))
                    .await
                    .unwrap();
                longest = longest.max(begun.elapsed());
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            longest
        });
        Healthy { stop, count, calls }
    }

    async fn end(self) {
        let begun = Instant::now();
        while self.count.load(Ordering::Relaxed) < 20 && !self.calls.is_finished() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "too few healthy calls"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.calls.await.unwrap();
        assert!(longest < PATIENCE, "a healthy call took {longest:?}");
    }
}

/// Sends `frames` again and again without reading; then reads what the server had to say. Meanwhile a
/// healthy caller on the same thread is served.
async fn flood(name: &str, times: usize, frames: impl Fn(usize) -> Vec<u8>) -> (Vec<u8>, bool) {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| settings.workers = 1).await;
    let healthy = Healthy::begin(server.channel().await).await;
    let mut raw = Raw::open(server.address, &[]).await;
    let mut bytes = Vec::new();
    for number in 0..times {
        bytes.extend(frames(number));
        let full = bytes.len() > 32 << 10 || number + 1 == times;
        if full && !raw.send(&std::mem::take(&mut bytes)).await {
            break;
        }
    }
    let said = raw.read_out(Duration::from_secs(1)).await;
    println!(
        "{name}: {} bytes of answer, closed: {}",
        said.0.len(),
        said.1
    );
    healthy.end().await;
    said
}

fn odd(number: usize) -> u32 {
    u32::try_from(number * 2 + 1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_leave_others_alone() {
    // CVE-2023-44487. Streams reset before they are accepted end the connection at a limit; of those that are
    // accepted first see below. How far this comes before the server takes no more is a matter of timing.
    let headers = score_headers();
    flood("rapid reset", bounded(20_000, 400_000), |number| {
        let stream = odd(number);
        let mut both = frame(HEADERS, END_HEADERS, stream, &headers);
        both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        both
    })
    .await;
}

async fn connections_closed(server: &TestServer) -> u64 {
    metric(server, "cvm_cancelling_connections_closed_total ").await
}

/// Calls are accepted, begun, and cancelled: HTTP/2 has nothing against it, and counts none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cancels_what_it_asks_is_closed_and_who_does_now_and_then_is_not() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.workers = 1;
        settings.max_cancelled_calls = 300;
    })
    .await;
    let healthy = Healthy::begin(server.channel().await).await;
    // Half of them are dropped once they are on their way, or wait no longer than a moment.
    let mut client = server.client().await;
    for number in 0..1_000 {
        let mut ask = tonic::Request::new(request(customers(3), Encoding::Doubles));
        match number % 4 {
            0 => {
                let asked = client.score(ask);
                let _ = tokio::time::timeout(Duration::from_micros(300), asked).await;
            }
            1 => {
                ask.set_timeout(Duration::from_millis(2));
                let _ = client.score(ask).await;
            }
            _ => {
                client.score(ask).await.unwrap();
            }
        }
    }
    assert_eq!(connections_closed(&server).await, 0);
    let mut raw = Raw::open(server.address, &[]).await;
    let mut rounds = 0;
    loop {
        let streams = || (rounds * 50..(rounds + 1) * 50).map(odd);
        let begun = streams().flat_map(|n| frame(HEADERS, END_HEADERS, n, &score_headers()));
        let mut open = raw.send(&begun.collect::<Vec<_>>()).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
        let cancelled = streams().flat_map(|n| frame(RST_STREAM, 0, n, &8_u32.to_be_bytes()));
        open &= raw.send(&cancelled.collect::<Vec<_>>()).await;
        rounds += 1;
        if !open || raw.read_out(Duration::from_millis(3)).await.1 {
            break;
        }
        assert!(rounds < 100, "still open");
    }
    assert!(rounds > 5, "closed after {rounds} rounds of 50");
    assert_eq!(connections_closed(&server).await, 1);
    healthy.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_headers_end_the_connection_that_sends_them() {
    // RUSTSEC-2024-0332: HEADERS that never end.
    let field = [&[0x00, 0x01][..], b"x", &[0x7f, 0x00], &[b'y'; 127]].concat();
    let (_, closed) = flood(
        "CONTINUATION",
        bounded(5_000, 100_000),
        |number| match number {
            0 => frame(HEADERS, 0, 1, &score_headers()),
            _ => frame(CONTINUATION, 0, 1, &field),
        },
    )
    .await;
    assert!(closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_without_end_hurt_nobody_else() {
    // CVE-2019-9512, CVE-2019-9515: each wants an answer, and none is read.
    let pings = bounded(50_000, 2_000_000);
    flood("PING", pings, |number| {
        frame(PING, 0, 0, &(number as u64).to_be_bytes())
    })
    .await;
    flood("SETTINGS", pings, |_| {
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_without_end_ends_the_connection() {
    // CVE-2019-9518.
    let (_, closed) = flood(
        "empty DATA",
        bounded(20_000, 1_000_000),
        |number| match number {
            0 => frame(HEADERS, END_HEADERS, 1, &score_headers()),
            _ => frame(DATA, 0, 1, &[]),
        },
    )
    .await;
    assert!(closed);
}

/// A caller whose window never opens asks for as much as it may: what it does not take counts as in
/// flight, so that others keep their quarter, and comes back when it goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_are_bounded_and_come_back() {
    let folder = folder();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.max_rows_in_flight = 20_000;
    })
    .await;
    let healthy = Healthy::begin(server.channel().await).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0, RFC 9113, section 6.5.2. All messages together are within the
    // server's own window, so that nothing has to be read before they are sent.
    let mut raw = Raw::open(server.address, &[0, 4, 0, 0, 0, 0]).await;
    raw.wait_for_window().await;
    let body = message(&request(customers(2_000), Encoding::DoublesLe).encode_to_vec());
    for number in 0..12 {
        let stream = odd(number);
        assert!(
            raw.send(&frame(HEADERS, END_HEADERS, stream, &score_headers()))
                .await
        );
        let mut parts = body.chunks(16_384).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_STREAM
            } else {
                0
            };
            let sent = raw.send(&frame(DATA, flags, stream, part)).await;
            // A refused call is reset while its body is on the way.
            assert!(sent, "the server does not read");
        }
    }
    raw.read_out(Duration::from_millis(500)).await;
    for attempt in 0.. {
        let in_flight = rows_in_flight(&server).await;
        assert!(in_flight <= 15_000 + 1_000, "{in_flight} rows in flight");
        if in_flight >= 10_000 {
            break;
        }
        assert!(attempt < 200, "only {in_flight} rows in flight");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    healthy.end().await;
    drop(raw);
    for attempt in 0.. {
        if rows_in_flight(&server).await == 0 {
            break;
        }
        assert!(attempt < 100, "rows never come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn rows_in_flight(server: &TestServer) -> u64 {
    metric(server, "cvm_rows_in_flight ").await
}

/// A number that the operator is told, by the start of its line.
async fn metric(server: &TestServer, start: &str) -> u64 {
    let metrics = crate::http::get(server, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_left_half_open_are_closed_and_forgotten() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| {
        settings.workers = 1;
        settings.handshake_timeout_seconds = 1;
        settings.max_connections = 400;
    })
    .await;
    let healthy = Healthy::begin(server.channel().await).await;
    let mut left = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"PRI * HT").await.unwrap();
        }
        left.push(Raw(stream));
    }
    for raw in &mut left {
        assert!(raw.read_out(Duration::from_secs(10)).await.1, "left open");
    }
    healthy.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tls_handshakes_leave_nothing_behind() {
    let (models, authority) = (folder(), Authority::new());
    let files = Files {
        folder: TempDir::new().unwrap(),
    };
    files.certificate(&authority.sign("localhost"));
    let path = |name: &str| files.folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    let flags = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--handshake-timeout-seconds",
        "1",
    ];
    let binary = Binary::start(&flags, models.path());
    let target = format!("https://localhost:{}", binary.address.port());
    let endpoint = Endpoint::from_shared(target)
        .unwrap()
        .tls_config(trusting(&authority));
    let healthy = Healthy::begin(endpoint.unwrap().connect().await.unwrap()).await;
    let (files_before, memory_before) = (binary.open_files(), binary.memory_mib());
    // A record header that promises more than comes, an alert, a ClientHello cut short, noise, HTTP/2.
    let openings: [&[u8]; 5] = [
        &[22, 3, 1, 2, 0, 1],
        &[21, 3, 3, 0, 2, 2, 40],
        &[22, 3, 1, 0, 8, 1, 0, 0, 4, 3, 3, 0, 0],
        &[0xff; 600],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for number in 0..bounded(500, 10_000) {
        let mut stream = TcpStream::connect(binary.address).await.unwrap();
        let _ = stream.write_all(openings[number % openings.len()]).await;
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    healthy.end().await;
    for attempt in 0.. {
        let open = binary.open_files();
        if open <= files_before {
            break;
        }
        assert!(attempt < 200, "{open} files open, {files_before} before");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let memory = binary.memory_mib();
    assert!(
        memory < memory_before + 16.0,
        "{memory_before} MiB before, {memory} MiB after"
    );
}

async fn call(address: SocketAddr) -> bool {
    let mut client = ScoringServiceClient::new(channel(address).await);
    client
        .score(request(customers(1), Encoding::Doubles))
        .await
        .is_ok()
}

/// The descriptors of the process run out: who is connected is served, and others are again once there
/// are some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_file_descriptors_serves_who_is_connected() {
    let folder = folder();
    let mut binary = Binary::start_with_files(64, &["--workers", "1"], folder.path());
    let healthy = Healthy::begin(channel(binary.address).await).await;
    let mut crowd = Vec::new();
    for _ in 0..150 {
        crowd.push(TcpStream::connect(binary.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    healthy.end().await;
    drop(crowd);
    let begun = Instant::now();
    while !tokio::time::timeout(PATIENCE, call(binary.address))
        .await
        .unwrap_or(false)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "nobody new is served"
        );
    }
    assert!(binary.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_leave_no_memory_behind() {
    let folder = folder();
    let binary = Binary::start(&["--workers", "1"], folder.path());
    let round = async |count: usize| {
        for _ in 0..count {
            assert!(call(binary.address).await);
        }
    };
    round(50).await;
    let before = binary.memory_mib();
    round(bounded(200, 20_000)).await;
    let after = binary.memory_mib();
    assert!(
        after < before + 16.0,
        "{before} MiB before, {after} MiB after"
    );
}

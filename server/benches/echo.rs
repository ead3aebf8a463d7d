//! A one-row score against a bare tonic echo of the same messages, in one run.
//!
//! Both servers are children of this process and take turns, round by round. The echo decodes the
//! same request and returns an answer made beforehand, on tonic's own server with one
//! single-threaded runtime, as `cvm-server` with one worker has. What is compared is the processor
//! time of the server process per request; wall figures depend on what else the machine does.

use cvm::{Frame, ScoreOptions, TimeUnit};
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use cvm_proto::v1::scoring_service_server::{ScoringService, ScoringServiceServer};
use cvm_proto::{Encoding, ModelName, ScoreJob};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The goal: processor time of a score over that of an echo.
const GOAL: f64 = 1.3;
const ROUNDS: usize = 7;

fn main() -> Fallible<()> {
    let seconds = std::env::var("CVM_BENCH_SECONDS").ok();
    let round = Duration::from_secs_f64(seconds.map_or(Ok(1.0), |text| text.parse())?);
    match std::env::var("CVM_BENCH_ROLE").as_deref() {
        Ok("echo") => single_threaded()?.block_on(serve_echo()),
        Ok("cvm") => single_threaded()?.block_on(serve_cvm()),
        _ => single_threaded()?.block_on(compare(round)),
    }
}

fn single_threaded() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// BG/NBD with the parameters published for CDNOW (Fader, Hardie & Lee 2005).
fn model() -> Result<cvm::Model, cvm::Error> {
    let params = [
        ("r", 0.2426),
        ("alpha", 4.4136),
        ("a", 0.7929),
        ("b", 2.4259),
    ];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    cvm::from_params("clv.bg_nbd", &params, Some(TimeUnit::Week))
}

fn request() -> pb::ScoreRequest {
    let frame = Frame::new(1)
        .with_numbers("frequency", vec![2.0])
        .with_numbers("recency", vec![30.43])
        .with_numbers("T", vec![38.86]);
    let options = ScoreOptions {
        horizon_periods: Some(39.0),
        ..Default::default()
    };
    ScoreJob {
        model: ModelName::Served {
            id: "retail".to_owned(),
        },
        frame,
        options,
        encoding: Encoding::Doubles,
        row_keys: Vec::new(),
        request_id: String::new(),
    }
    .into()
}

async fn listen() -> Fallible<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(listener)
}

async fn serve_cvm() -> Fallible<()> {
    let folder = tempfile::TempDir::new()?;
    model()?.save(&folder.path().join("retail.cvm"))?;
    let mut settings = cvm_server::Settings::for_folder(folder.path());
    settings.workers = 1;
    cvm_server::run(listen().await?, settings, parent_gone()).await?;
    Ok(())
}

/// Ends with the pipe to the parent, so that a child never outlives the bench.
async fn parent_gone() {
    let wait = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(wait).await;
}

/// Answers every call with what it was given at the start.
struct Echo(pb::ScoreResponse);

#[tonic::async_trait]
impl ScoringService for Echo {
    async fn score(
        &self,
        request: Request<pb::ScoreRequest>,
    ) -> Result<Response<pb::ScoreResponse>, Status> {
        std::hint::black_box(request.into_inner());
        Ok(Response::new(self.0.clone()))
    }

    type StreamScoreStream = tokio_stream::Empty<Result<pb::StreamScoreResponse, Status>>;

    async fn stream_score(
        &self,
        _request: Request<Streaming<pb::StreamScoreRequest>>,
    ) -> Result<Response<Self::StreamScoreStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

/// An answer of the size that the score has.
fn answer() -> Fallible<pb::ScoreResponse> {
    let model = model()?;
    let job = ScoreJob::try_from(request())?;
    let scores = model.score(&job.frame.batch().map_err(cvm::Error::from)?, &job.options)?;
    let stamp = pb::ModelStamp {
        model_version: format!("models/retail/versions/{}", model.fingerprint().short()),
        fingerprint: model.fingerprint().to_string(),
        kind: model.kind().to_owned(),
    };
    let columns = scores.outputs.into_iter().zip(model.outputs());
    let outputs = columns.map(|((name, values), spec)| pb::OutputColumn {
        name: name.to_owned(),
        unit: spec.unit.to_owned(),
        values: Some(pb::output_column::Values::Doubles(pb::DoubleValues {
            values,
        })),
    });
    Ok(pb::ScoreResponse {
        model: Some(stamp),
        row_count: 1,
        outputs: outputs.collect(),
        ..Default::default()
    })
}

async fn serve_echo() -> Fallible<()> {
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listen().await?);
    Server::builder()
        .add_service(ScoringServiceServer::new(Echo(answer()?)))
        .serve_with_incoming_shutdown(incoming, parent_gone())
        .await?;
    Ok(())
}

/// A server process and a channel to it.
struct Peer {
    child: Child,
    channel: Channel,
}

async fn start(role: &str) -> Fallible<Peer> {
    let mut child = Command::new(std::env::current_exe()?)
        .env("CVM_BENCH_ROLE", role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    let output = child.stdout.take().ok_or("no output")?;
    BufReader::new(output).read_line(&mut address)?;
    let endpoint = Endpoint::from_shared(format!("http://{}", address.trim()))?;
    let channel = endpoint.connect().await?;
    Ok(Peer { child, channel })
}

/// Processor time of all threads of a process: the first figure of `schedstat`, in nanoseconds.
fn cpu_time(process: u32) -> Fallible<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split(' ').next().unwrap_or_default();
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// What a round showed.
struct Round {
    cpu_us: f64,
    requests_per_second: f64,
    latencies: Vec<Duration>,
}

async fn round(peer: &Peer, callers: usize, length: Duration) -> Fallible<Round> {
    let before = cpu_time(peer.child.id())?;
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| tokio::spawn(call_until(peer.channel.clone(), start + length)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu_time(peer.child.id())? - before;
    let count = latencies.len() as f64;
    Ok(Round {
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
        requests_per_second: count / wall,
        latencies,
    })
}

async fn call_until(channel: Channel, end: Instant) -> Fallible<Vec<Duration>> {
    let mut client = ScoringServiceClient::new(channel);
    let request = request();
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        client.score(request.clone()).await?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn quantile_us(latencies: &[Duration], share: f64) -> f64 {
    let index = ((latencies.len() - 1) as f64 * share) as usize;
    latencies[index].as_secs_f64() * 1e6
}

fn report(name: &str, callers: usize, rounds: Vec<Round>) -> f64 {
    let cpu_us = median(rounds.iter().map(|round| round.cpu_us).collect());
    let rate = median(
        rounds
            .iter()
            .map(|round| round.requests_per_second)
            .collect(),
    );
    let mut latencies: Vec<Duration> = rounds.into_iter().flat_map(|r| r.latencies).collect();
    latencies.sort_unstable();
    let (p50, p99) = (quantile_us(&latencies, 0.5), quantile_us(&latencies, 0.99));
    println!("{name:<5} {callers:>7} {rate:>9.0} {p50:>8.0} {p99:>8.0} {cpu_us:>14.2}");
    cpu_us
}

async fn compare(length: Duration) -> Fallible<()> {
    let (mut echo, mut cvm) = (start("echo").await?, start("cvm").await?);
    println!("      callers     req/s   p50 us   p99 us  server CPU us");
    for callers in [1, 8, 64] {
        round(&echo, callers, length / 4).await?;
        round(&cvm, callers, length / 4).await?;
        let (mut bare, mut scored) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(round(&echo, callers, length).await?);
            scored.push(round(&cvm, callers, length).await?);
        }
        let ratios = bare.iter().zip(&scored).map(|(a, b)| b.cpu_us / a.cpu_us);
        let ratio = median(ratios.collect());
        report("echo", callers, bare);
        report("cvm", callers, scored);
        let verdict = if ratio <= GOAL { "met" } else { "missed" };
        println!("ratio {callers:>7} {ratio:>47.3}  (goal {GOAL}: {verdict})");
    }
    for peer in [&mut echo, &mut cvm] {
        drop(peer.child.stdin.take());
        peer.child.wait()?;
    }
    Ok(())
}

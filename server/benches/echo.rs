//! A one-row score against a bare tonic echo of the same messages, in one run.
//!
//! Both servers are children of this process and take turns, round by round. The echo decodes the
//! same request and returns an answer made beforehand, on tonic's own server with one
//! single-threaded runtime, as `cvm-server` with one worker has. What is compared is the processor
//! time of the server process per request, in whole and without the system's part, less what the model
//! itself takes for the row; wall figures depend on what else the machine does.

#[path = "../tests/it/models.rs"]
mod models;
// Each bench uses a part of it.
#[allow(dead_code)]
mod process;

use cvm::{Frame, ScoreOptions};
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use cvm_proto::v1::scoring_service_server::{ScoringService, ScoringServiceServer};
use cvm_proto::{Encoding, ModelName, ScoreJob};
use process::{Cpu, Fallible, Peer, listen, median, parent_gone, single_threaded, start};
use std::time::{Duration, Instant};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

/// The goal: processor time of a score, less the model's own, over that of an echo.
const GOAL: f64 = 1.3;
/// The goal of a message in a pipelined stream: a unary call costs this many.
const STREAM_GOAL: f64 = 10.0;
/// Messages under way in a pipelined stream.
const PIPELINED: usize = 64;
const ROUNDS: usize = 7;
/// Scores whose time is the model's own.
const OWN_SCORES: u32 = 5_000;

fn main() -> Fallible<()> {
    let seconds = std::env::var("CVM_BENCH_SECONDS").ok();
    let round = Duration::from_secs_f64(seconds.map_or(Ok(1.0), |text| text.parse())?);
    match std::env::var("CVM_BENCH_ROLE").as_deref() {
        Ok("echo") => single_threaded()?.block_on(serve_echo()),
        Ok("cvm") => single_threaded()?.block_on(serve_cvm()),
        _ => single_threaded()?.block_on(compare(round)),
    }
}

/// What is asked, and of which model.
struct Case {
    name: &'static str,
    model: cvm::Model,
    request: pb::ScoreRequest,
}

fn cases() -> [Case; 2] {
    let customer = Frame::new(1)
        .with_numbers("frequency", vec![2.0])
        .with_numbers("recency", vec![30.43])
        .with_numbers("T", vec![38.86]);
    let churn = (0..20).fold(Frame::new(1), |frame, column| {
        frame.with_numbers(format!("x{column}"), vec![f64::from(column) / 20.0])
    });
    let case = |name, id: &str, model, frame, horizon_periods| {
        let options = ScoreOptions {
            horizon_periods,
            ..Default::default()
        };
        let job = ScoreJob {
            model: ModelName::Served { id: id.to_owned() },
            frame,
            options,
            encoding: Encoding::Doubles,
            row_keys: Vec::new(),
            request_id: String::new(),
        };
        let request = job.into();
        Case {
            name,
            model,
            request,
        }
    };
    [
        case("CLV", "retail", models::bg_nbd(1.0), customer, Some(39.0)),
        case("churn", "churn", models::boosted(), churn, None),
    ]
}

async fn serve_cvm() -> Fallible<()> {
    let folder = tempfile::TempDir::new()?;
    for (case, file) in cases().iter().zip(["retail.cvm", "churn.cvm"]) {
        case.model.save(&folder.path().join(file))?;
    }
    let mut settings = cvm_server::Settings::for_folder(folder.path());
    settings.workers = 1;
    cvm_server::run(listen().await?, settings, parent_gone()).await?;
    Ok(())
}

/// Answers every call of a model with what it was given at the start.
struct Echo([(String, pb::ScoreResponse); 2]);

#[tonic::async_trait]
impl ScoringService for Echo {
    async fn score(
        &self,
        request: Request<pb::ScoreRequest>,
    ) -> Result<Response<pb::ScoreResponse>, Status> {
        let request = std::hint::black_box(request.into_inner());
        let [one, other] = &self.0;
        let (_, answer) = if one.0 == request.model { one } else { other };
        Ok(Response::new(answer.clone()))
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
fn answer(case: &Case) -> Fallible<pb::ScoreResponse> {
    let model = &case.model;
    let job = ScoreJob::try_from(case.request.clone())?;
    let scores = model.score(&job.frame.batch().map_err(cvm::Error::from)?, &job.options)?;
    let version = model.fingerprint().short();
    let stamp = pb::ModelStamp {
        model_version: format!("{}/versions/{version}", case.request.model),
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
    let [one, other] = cases();
    let answers = [
        (one.request.model.clone(), answer(&one)?),
        (other.request.model.clone(), answer(&other)?),
    ];
    Server::builder()
        .add_service(ScoringServiceServer::new(Echo(answers)))
        .serve_with_incoming_shutdown(incoming, parent_gone())
        .await?;
    Ok(())
}

/// What a round showed.
struct Round {
    cpu: Cpu,
    requests_per_second: f64,
    latencies: Vec<Duration>,
}

async fn round(peer: &Peer, case: &Case, callers: usize, length: Duration) -> Fallible<Round> {
    let before = peer.cpu()?;
    let start = Instant::now();
    let until = start + length;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            tokio::spawn(call_until(
                peer.channel.clone(),
                case.request.clone(),
                until,
            ))
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let wall = start.elapsed().as_secs_f64();
    let count = latencies.len() as f64;
    Ok(Round {
        cpu: peer.cpu()?.since(before).each(count),
        requests_per_second: count / wall,
        latencies,
    })
}

async fn call_until(
    channel: Channel,
    request: pb::ScoreRequest,
    end: Instant,
) -> Fallible<Vec<Duration>> {
    let mut client = ScoringServiceClient::new(channel);
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        client.score(request.clone()).await?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

/// Processor time of a message in a stream with many under way.
async fn stream_round(peer: &Peer, case: &Case, length: Duration) -> Fallible<Cpu> {
    let (sender, receiver) = tokio::sync::mpsc::channel(PIPELINED);
    let mut client = ScoringServiceClient::new(peer.channel.clone());
    let request = pb::StreamScoreRequest {
        sequence: 0,
        request: Some(case.request.clone()),
    };
    let before = peer.cpu()?;
    let end = Instant::now() + length;
    let feed =
        async move { while Instant::now() < end && sender.send(request.clone()).await.is_ok() {} };
    let read = async {
        let answers = client.stream_score(ReceiverStream::new(receiver)).await?;
        let mut answers = answers.into_inner();
        let mut count = 0.0;
        while let Some(answer) = answers.next().await {
            std::hint::black_box(answer?);
            count += 1.0;
        }
        Ok::<f64, Status>(count)
    };
    let ((), count) = tokio::join!(feed, read);
    Ok(peer.cpu()?.since(before).each(count?))
}

/// Processor time that the model takes for the row, in microseconds.
fn own_us(case: &Case) -> Fallible<f64> {
    let job = ScoreJob::try_from(case.request.clone())?;
    let batch = job.frame.batch().map_err(cvm::Error::from)?;
    let before = Cpu::of(std::process::id())?;
    for _ in 0..OWN_SCORES {
        std::hint::black_box(case.model.score(&batch, &job.options)?);
    }
    let took = Cpu::of(std::process::id())?.since(before);
    Ok(took.each(OWN_SCORES.into()).all_us)
}

fn quantile_us(latencies: &[Duration], share: f64) -> f64 {
    let index = ((latencies.len() - 1) as f64 * share) as usize;
    latencies[index].as_secs_f64() * 1e6
}

fn report(name: &str, callers: usize, rounds: Vec<Round>) -> f64 {
    let mid = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    let cpu_us = mid(|round| round.cpu.all_us);
    let user_us = mid(|round| round.cpu.user_us);
    let rate = mid(|round| round.requests_per_second);
    let mut latencies: Vec<Duration> = rounds.into_iter().flat_map(|r| r.latencies).collect();
    latencies.sort_unstable();
    let (p50, p99) = (quantile_us(&latencies, 0.5), quantile_us(&latencies, 0.99));
    println!(
        "{name:<5} {callers:>7} {rate:>9.0} {p50:>8.0} {p99:>8.0} {cpu_us:>8.2} {user_us:>8.2}"
    );
    cpu_us
}

async fn one_case(peers: &[Peer; 2], case: &Case, length: Duration) -> Fallible<()> {
    let [echo, cvm] = peers;
    let own = own_us(case)?;
    println!(
        "{}: one row; the model itself takes {own:.2} us of it",
        case.name
    );
    println!("      callers     req/s   p50 us   p99 us   CPU us  user us   (server, per request)");
    let mut unary = Vec::new();
    for callers in [1, 8, 64] {
        round(echo, case, callers, length / 4).await?;
        round(cvm, case, callers, length / 4).await?;
        let (mut bare, mut scored) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(round(echo, case, callers, length).await?);
            scored.push(round(cvm, case, callers, length).await?);
        }
        let ratio = |part: fn(&Cpu) -> f64| {
            let pairs = bare.iter().zip(&scored);
            let ratios = pairs.map(|(a, b)| (part(&b.cpu) - own) / part(&a.cpu));
            median(ratios.collect())
        };
        let (all, user) = (ratio(|cpu| cpu.all_us), ratio(|cpu| cpu.user_us));
        report("echo", callers, bare);
        unary.push(report("cvm", callers, scored));
        let verdict = if all <= GOAL { "met" } else { "missed" };
        println!("ratio {callers:>7} {all:>37.3} {user:>8.3}   goal {GOAL}: {verdict}");
    }
    let mut streamed = Vec::new();
    for _ in 0..ROUNDS {
        streamed.push(stream_round(cvm, case, length).await?);
    }
    let message = median(streamed.iter().map(|cpu| cpu.all_us).collect());
    println!("a message of a stream with {PIPELINED} under way: {message:.2} us");
    for (callers, call) in [1, 8, 64].into_iter().zip(unary) {
        let times = call / message;
        let verdict = if times >= STREAM_GOAL {
            "met"
        } else {
            "missed"
        };
        println!(
            "  a call of {callers} costs {times:.1} times that   goal {STREAM_GOAL}: {verdict}"
        );
    }
    Ok(())
}

async fn compare(length: Duration) -> Fallible<()> {
    let peers = [start("echo").await?, start("cvm").await?];
    for case in cases() {
        one_case(&peers, &case, length).await?;
    }
    peers.into_iter().try_for_each(Peer::end)
}

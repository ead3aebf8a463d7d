//! What a server does when it is offered more than it can do, and what idle connections cost.
//!
//! `cvm-server` with one worker is a process of its own; `cvm-load` asks it in this one and checks every
//! answer in every bit. First the rate is raised until answers come late or not at all: the last rate that
//! held is the sustainable one, the most right answers a second are the peak. Then twice and ten times
//! the sustainable rate are offered. Seconds of each: `CVM_BENCH_OVERLOAD_SECONDS`, 60.
//!
//! With `CVM_BENCH_OVERLOAD_PIN=1` the server has the first processor to itself and this process the
//! second (Linux, `taskset`). Small requests cost the generator as much as the server: what they show
//! on two processors is how both share them. The case of 1,000 rows keeps the server twenty times as
//! busy as the generator. `CVM_BENCH_OVERLOAD_CASES` names the cases to run by a part of their names.

#[path = "../tests/it/models.rs"]
mod models;
// Each bench uses a part of it.
#[allow(dead_code)]
mod process;

use cvm_load::{Mix, Oracle, Plan, Report, Schedule, Target, run};
use cvm_proto::Encoding;
use process::{Cpu, Fallible};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A rate is sustained if every answer is right and 99 of 100 come within this.
const SUSTAINED_MS: f64 = 5.0;
const ACCEPTED_GOAL_MS: f64 = 20.0;
const GOODPUT_GOAL: f64 = 0.9;
const MEMORY_GOAL_MIB: f64 = 64.0;
const IDLE_CONNECTIONS: usize = 10_000;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &TempDir, further: &[&str]) -> Fallible<Server> {
        let mut child = command()
            .args(["--listen", "127.0.0.1:0", "--workers", "1"])
            .args(["--max-connections", "20000", "--models"])
            .arg(folder.path())
            .args(further)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().trim_start_matches("listening on ").to_owned();
        Ok(Server { child, address })
    }

    fn memory_mib(&self) -> Fallible<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .ok_or("the server is gone")?
            .trim()
            .trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

fn is_pinned() -> bool {
    std::env::var_os("CVM_BENCH_OVERLOAD_PIN").is_some()
}

/// The server's command, on the first processor only if that is asked for.
fn command() -> Command {
    let program = env!("CARGO_BIN_EXE_cvm-server");
    if !is_pinned() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Case {
    name: &'static str,
    oracle: Arc<Oracle>,
    mix: Mix,
    /// Flags of the server: large requests wait up to a second unless told otherwise.
    further: &'static [&'static str],
}

fn case(name: &'static str, id: &str, model: cvm::Model, rows: usize) -> Fallible<Case> {
    let options = cvm::ScoreOptions {
        horizon_periods: (id == "retail").then_some(39.0),
        ..Default::default()
    };
    let mix = Mix::of(rows);
    let oracle = Oracle::new(&[model], id, &options, Encoding::DoublesLe, &mix)?;
    Ok(Case {
        name,
        oracle: Arc::new(oracle),
        mix,
        further: if rows == 1_000 {
            &["--max-queue-ms", "10"]
        } else {
            &[]
        },
    })
}

/// What a run showed, the server's processor time for each right answer, and how busy this process was
/// with asking: near one processor, what it shows is how fast it asks.
async fn offer(
    server: &Server,
    case: &Case,
    rate: f64,
    length: Duration,
) -> Fallible<(Report, [f64; 2])> {
    let schedule = Schedule::constant(rate, length);
    let target = Target::plain(&server.address);
    let plan = Plan {
        connections: 16,
        health_every: Some(Duration::from_millis(20)),
        ..Plan::new(target, Arc::clone(&case.oracle), case.mix.clone(), schedule)
    };
    let both = || Fallible::Ok([Cpu::of(server.child.id())?, Cpu::of(std::process::id())?]);
    let (before, begun) = (both()?, Instant::now());
    let report = run(&plan, |_| ()).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let [after, own] = both()?;
    let spent = after.since(before[0]);
    let busy = own.since(before[1]).each(seconds * 1e6).all_us;
    if report.wrong > 0 {
        return Err(format!("wrong answers: {report}").into());
    }
    let each = spent.each(report.right as f64).all_us;
    Ok((report, [each, busy]))
}

fn line(what: &str, rate: f64, report: &Report, [cpu_us, busy]: [f64; 2]) {
    let health = report.health.clone().unwrap_or_default();
    println!(
        "{what:<12} {rate:>8.0} {:>8.0} {:>8} {:>7.2} {:>7.2} {:>8.2} {:>7.2} {:>6}/{} {cpu_us:>8.1} {busy:>7.2}",
        report.goodput_per_second,
        report.offered - report.right,
        report.latency_ms.p50,
        report.latency_ms.p99,
        report.failure_ms.p99,
        health.latency_ms.p99,
        health.failed,
        health.answered + health.failed,
    );
}

async fn overload(folder: &TempDir, case: &Case, length: Duration) -> Fallible<()> {
    let server = Server::start(folder, case.further)?;
    println!("\n{}", case.name);
    println!(
        "what          offered  right/s  refused  p50 ms  p99 ms  refused  health    not/asked   CPU us  asker"
    );
    println!("                        p99 ms  p99 ms              per right   busy");
    let (mut sustained, mut peak, mut rate) = (0.0_f64, 0.0_f64, 250.0);
    offer(&server, case, rate, Duration::from_millis(500)).await?;
    // Up to where two steps brought no more.
    let mut worse = 0;
    while worse < 2 {
        let (report, cpu) = offer(&server, case, rate, Duration::from_secs(2)).await?;
        line("step", rate, &report, cpu);
        let held = report.right == report.offered && report.latency_ms.p99 <= SUSTAINED_MS;
        if held {
            sustained = rate;
        }
        worse = if report.goodput_per_second > peak * 1.02 {
            0
        } else {
            worse + 1
        };
        peak = peak.max(report.goodput_per_second);
        rate *= 1.4;
    }
    println!("sustainable {sustained:.0}/s, peak {peak:.0}/s");
    let base = sustained.max(peak / 2.0);
    let before = server.memory_mib()?;
    let (twice, cpu) = offer(&server, case, 2.0 * base, length).await?;
    line("twice", 2.0 * base, &twice, cpu);
    let (tenfold, cpu) = offer(
        &server,
        case,
        10.0 * base,
        length.min(Duration::from_secs(10)),
    )
    .await?;
    line("ten times", 10.0 * base, &tenfold, cpu);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (after, cpu) = offer(&server, case, 0.5 * base, Duration::from_secs(3)).await?;
    line("afterwards", 0.5 * base, &after, cpu);
    let grown = server.memory_mib()? - before;
    let share = twice.goodput_per_second / peak;
    let failed = |report: &Report| report.health.as_ref().map_or(1, |health| health.failed);
    judge(
        "goodput at twice, of the peak",
        share,
        share >= GOODPUT_GOAL,
    );
    let p99 = twice.latency_ms.p99;
    judge("accepted p99 at twice, ms", p99, p99 <= ACCEPTED_GOAL_MS);
    let unanswered = failed(&twice) + failed(&tenfold);
    judge("health not answered", unanswered as f64, unanswered == 0);
    judge("memory grown, MiB", grown, grown <= MEMORY_GOAL_MIB);
    Ok(())
}

fn judge(what: &str, value: f64, met: bool) {
    let verdict = if met { "met" } else { "missed" };
    println!("  {what}: {value:.2} ({verdict})");
}

/// HTTP/2 connections that were opened and are silent.
async fn idle(folder: &TempDir) -> Fallible<()> {
    let server = Server::start(folder, &[])?;
    let before = server.memory_mib()?;
    let mut open = Vec::with_capacity(IDLE_CONNECTIONS);
    for _ in 0..IDLE_CONNECTIONS {
        let mut stream = TcpStream::connect(&server.address).await?;
        // Preface and an empty SETTINGS frame; then the server's own SETTINGS are there to read.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        open.push(stream);
    }
    let grown = server.memory_mib()? - before;
    let each = grown * 1024.0 / open.len() as f64;
    println!(
        "\n{} idle connections: {grown:.0} MiB, {each:.1} KiB each",
        open.len()
    );
    Ok(())
}

async fn all() -> Fallible<()> {
    let seconds = std::env::var("CVM_BENCH_OVERLOAD_SECONDS").ok();
    let length = Duration::from_secs_f64(seconds.map_or(Ok(60.0), |text| text.parse())?);
    let folder = TempDir::new()?;
    models::bg_nbd(1.0).save(&folder.path().join("retail.cvm"))?;
    models::boosted().save(&folder.path().join("churn.cvm"))?;
    idle(&folder).await?;
    let asked = std::env::var("CVM_BENCH_OVERLOAD_CASES").unwrap_or_default();
    for (name, id, rows) in [
        ("CLV, one row", "retail", 1),
        ("churn (500 trees of 64 leaves), one row", "churn", 1),
        ("churn (500 trees of 64 leaves), 64 rows", "churn", 64),
        (
            "churn (500 trees of 64 leaves), 1000 rows, --max-queue-ms 10",
            "churn",
            1_000,
        ),
    ] {
        if !name.contains(&asked) {
            continue;
        }
        let model = match id {
            "retail" => models::bg_nbd(1.0),
            _ => models::boosted(),
        };
        overload(&folder, &case(name, id, model, rows)?, length).await?;
    }
    Ok(())
}

fn main() -> Fallible<()> {
    if is_pinned() {
        let own = std::process::id().to_string();
        let status = Command::new("taskset").args(["-cp", "1", &own]).status()?;
        assert!(status.success(), "taskset: {status}");
    }
    process::single_threaded()?.block_on(all())
}

//! The binary `cvm-load`: flags, progress and exit codes around [`cvm_load::run`].

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use clap::{Parser, ValueEnum};
use cvm_load::{Arrivals, Mix, Mode, Oracle, Plan, Report, Schedule, Target, Tls, Token, run};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Exit code when answers were wrong, or none was right.
const NOT_RIGHT: u8 = 1;
/// Exit code for wrong settings and a server that cannot be reached.
const NO_RUN: u8 = 2;

/// Sends scoring requests at a rate, whatever comes back, and checks every answer in every bit.
///
/// Latency counts from the moment a request was due. Rows come from the probe rows in the model file.
/// Exit codes: 0 if some answers were right and none was wrong; 1 otherwise; 2 for wrong settings or a
/// server that cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "cvm-load", version)]
struct Flags {
    /// Server: `host:port`.
    address: String,

    /// Model files that may answer; the first gives the rows.
    #[arg(long, value_name = "FILE", required = true)]
    model_file: Vec<PathBuf>,

    /// Model asked for, as in `ScoreRequest.model`; empty for the only one.
    #[arg(long, default_value = "")]
    model: String,

    /// Requests per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,

    /// Requests per second at the start of the ramp.
    #[arg(long, default_value_t = 0.0)]
    from_rate: f64,

    /// Seconds in which the rate rises.
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    ramp_seconds: f64,

    /// Seconds in all.
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    seconds: f64,

    /// Seconds at the start that do not count.
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    warm_up_seconds: f64,

    /// How requests come.
    #[arg(long, value_enum, default_value_t = Coming::Poisson)]
    arrivals: Coming,

    /// Rows of a request: `1`, or sizes with weights, `1:90,100:10`.
    #[arg(long, default_value = "1", value_parser = Mix::parse)]
    rows: Mix,

    /// One call for each request, or one stream for each connection.
    #[arg(long, value_enum, default_value_t = Way::Unary)]
    mode: Way,

    /// Connections.
    #[arg(long, default_value_t = 1)]
    connections: usize,

    /// Threads that send and receive.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,

    /// What a caller waits at most, in seconds; the server is told.
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    timeout_seconds: f64,

    /// Most requests without an answer; beyond it requests are withheld, and counted.
    #[arg(long, default_value_t = 20_000)]
    max_in_flight: usize,

    /// Option `horizon_periods` of the requests.
    #[arg(long)]
    horizon: Option<f64>,

    /// Columns as raw bytes instead of packed doubles in the answers.
    #[arg(long)]
    bulk: bool,

    /// File of tokens, a line `name secret` for each; connections show them in turn.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,

    /// Authorities to trust, in PEM: connections travel under TLS.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// Certificate to show, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,

    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Name the server's certificate is for, if not that of the address.
    #[arg(long, requires = "tls_ca")]
    tls_domain: Option<String>,

    /// Ask for health meanwhile, every so many milliseconds.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    health_ms: Option<u64>,

    /// Where chance begins: equal seeds send equal requests at equal times.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The report as JSON, and no progress.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Coming {
    Even,
    Poisson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Way {
    Unary,
    Stream,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match carry_out(&flags) {
        Ok(report) => say(&report, flags.json),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "cvm-load: {why}");
            ExitCode::from(NO_RUN)
        }
    }
}

fn carry_out(flags: &Flags) -> Result<Report, String> {
    let plan = plan(flags)?;
    let threads = flags.threads.into();
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(threads).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let quiet = flags.json;
    let progress = move |second: &cvm_load::Second| {
        if !quiet {
            let _ = writeln!(std::io::stderr(), "{second}");
        }
    };
    runtime
        .block_on(run(&plan, progress))
        .map_err(|error| error.to_string())
}

fn plan(flags: &Flags) -> Result<Plan, String> {
    let open = |path: &PathBuf| cvm::Model::open_file(path).map(|opened| opened.model);
    let models: Result<Vec<_>, cvm::Error> = flags.model_file.iter().map(open).collect();
    let options = cvm::ScoreOptions {
        horizon_periods: flags.horizon,
        ..Default::default()
    };
    let encoding = match flags.bulk {
        true => cvm_proto::Encoding::DoublesLe,
        false => cvm_proto::Encoding::Doubles,
    };
    let oracle = models
        .and_then(|models| Oracle::new(&models, &flags.model, &options, encoding, &flags.rows));
    let oracle = oracle.map_err(|error| error.to_string())?;
    let ramp = seconds("--ramp-seconds", flags.ramp_seconds)?;
    let schedule = Schedule {
        from_rate: if ramp.is_zero() {
            flags.rate
        } else {
            flags.from_rate
        },
        rate: flags.rate,
        ramp,
        length: seconds("--seconds", flags.seconds)?,
        arrivals: match flags.arrivals {
            Coming::Even => Arrivals::Even,
            Coming::Poisson => Arrivals::Poisson,
        },
        seed: flags.seed,
    };
    Ok(Plan {
        warm_up: seconds("--warm-up-seconds", flags.warm_up_seconds)?,
        mode: match flags.mode {
            Way::Unary => Mode::Unary,
            Way::Stream => Mode::Stream,
        },
        connections: flags.connections,
        timeout: seconds("--timeout-seconds", flags.timeout_seconds)?,
        max_in_flight: flags.max_in_flight,
        health_every: flags.health_ms.map(Duration::from_millis),
        ..Plan::new(
            target(flags)?,
            Arc::new(oracle),
            flags.rows.clone(),
            schedule,
        )
    })
}

fn target(flags: &Flags) -> Result<Target, String> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let tokens = match &flags.tokens {
        Some(path) => Token::parse_all(&read(path)?)?,
        None => Vec::new(),
    };
    let tls = flags.tls_ca.clone().map(|ca| Tls {
        ca,
        own: flags.tls_cert.clone().zip(flags.tls_key.clone()),
        domain: flags.tls_domain.clone(),
    });
    Ok(Target {
        address: flags.address.clone(),
        tls,
        tokens,
    })
}

/// A day is enough for anybody.
fn seconds(flag: &str, value: f64) -> Result<Duration, String> {
    match (0.0..=86_400.0).contains(&value) {
        true => Ok(Duration::from_secs_f64(value)),
        false => Err(format!("{flag} is between 0 and 86400, not {value}")),
    }
}

fn say(report: &Report, json: bool) -> ExitCode {
    let text = match json {
        true => serde_json::to_string_pretty(report).unwrap_or_else(|error| error.to_string()),
        false => report.to_string(),
    };
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    match report.right > 0 && report.wrong == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(NOT_RIGHT),
    }
}

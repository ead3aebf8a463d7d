//! The binary `cvm-server`: settings, log, signals and exit codes around [`cvm_server::run`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

use cvm_server::{Asked, Config, Listeners, Log, RunError, Settings, asked, run};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

const WRONG_SETTINGS: u8 = 2;
const NO_SUCH_FOLDER: u8 = 3;
const DEFECT: u8 = 70;

/// A sentence for a person, and the exit code.
type Failure = (String, u8);

fn main() -> ExitCode {
    let settings = match asked(std::env::args_os()) {
        Ok(Asked::Serve(settings)) => settings,
        Ok(Asked::Check(config)) => return check(&config),
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail((format!("no runtime: {error}"), DEFECT)),
    };
    // Traces are sent from the runtime.
    let log = match runtime.block_on(async { Log::start(&settings) }) {
        Ok(log) => log,
        Err(why) => return fail((why, WRONG_SETTINGS)),
    };
    let ended = runtime.block_on(serve(settings));
    runtime.block_on(log.end());
    // A folder being read, or a batch being scored, must not hold the process.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(failure),
    }
}

/// Tells the settings, then what is wrong with them.
fn check(config: &Config) -> ExitCode {
    let _ = write!(std::io::stdout(), "{config}");
    match config.check() {
        Ok(()) => {
            let _ = writeln!(std::io::stderr(), "cvm-server: the settings are good");
            ExitCode::SUCCESS
        }
        Err(error) => fail(failure(error)),
    }
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    settings
        .check_exposure()
        .map_err(|why| (why, WRONG_SETTINGS))?;
    if settings.store_url().is_none() {
        std::fs::read_dir(&settings.models).map_err(|source| {
            failure(RunError::Models {
                path: settings.models.clone(),
                source,
            })
        })?;
    }
    let handler = |kind| signal(kind).map_err(|e| (format!("no signal handler: {e}"), DEFECT));
    let terminate = handler(SignalKind::terminate())?;
    let interrupt = handler(SignalKind::interrupt())?;
    let (grpc, address) = bind("--listen", settings.listen).await?;
    // Scripts read these lines; a closed standard output is their choice.
    let _ = writeln!(std::io::stdout(), "listening on {address}");
    let http = bind_further("--http-listen", "http", settings.http_listen).await?;
    let probes = bind_further("--probe-listen", "probes", settings.probe_listen).await?;
    let admin = bind_further("--admin-listen", "admin", settings.admin_listen).await?;
    let stop = told_to_stop(terminate, interrupt);
    let listeners = Listeners {
        grpc,
        http,
        probes,
        admin,
    };
    run(listeners, settings, stop).await.map_err(failure)
}

/// Binds an address if there is one, and says so.
async fn bind_further(
    flag: &str,
    what: &str,
    wanted: Option<SocketAddr>,
) -> Result<Option<TcpListener>, Failure> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let (listener, address) = bind(flag, wanted).await?;
    let _ = writeln!(std::io::stdout(), "{what} on {address}");
    Ok(Some(listener))
}

async fn bind(flag: &str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| (format!("{flag} {wanted}: {error}"), WRONG_SETTINGS);
    let listener = TcpListener::bind(wanted).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

async fn told_to_stop(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn failure(error: RunError) -> Failure {
    let code = match &error {
        RunError::Models { .. } => NO_SUCH_FOLDER,
        RunError::Identity(_) | RunError::Audit(_) | RunError::Store(_) => WRONG_SETTINGS,
        RunError::Worker(_) | RunError::Description(_) | RunError::Aborted => DEFECT,
    };
    (error.to_string(), code)
}

fn fail((message, code): Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cvm-server: {message}");
    ExitCode::from(code)
}

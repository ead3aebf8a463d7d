//! Whether health is answered while the load lasts, asked on a connection and a thread of its own.

use crate::report::HealthReport;
use crate::tally::Latencies;
use crate::target::Target;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// What the answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who asks.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<HealthReport>,
}

/// Starts asking.
pub(crate) fn start(target: Target, every: Duration) -> io::Result<Probe> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopped = Arc::clone(&stop);
    let work = move || runtime.block_on(ask(target, every, &stopped));
    let thread = std::thread::Builder::new()
        .name("cvm-load-health".to_owned())
        .spawn(work)?;
    Ok(Probe { stop, thread })
}

impl Probe {
    /// Stops asking; what the answers were.
    pub(crate) fn end(self) -> HealthReport {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Asks whenever it is due, whether or not the last question is answered: one that waited for the other
/// would be late by all that were slow before it.
async fn ask(target: Target, every: Duration, stop: &AtomicBool) -> HealthReport {
    let mut seen = Seen::default();
    let mut open = None;
    let mut asked = JoinSet::new();
    let mut ticks = tokio::time::interval(every);
    while !stop.load(Ordering::Relaxed) {
        let due = ticks.tick().await.into_std();
        while let Some(answer) = asked.try_join_next() {
            seen.add(answer);
        }
        if open.is_none() {
            match target.connect().await {
                Ok(channel) => open = Some(channel),
                Err(why) => seen.fail(why),
            }
        }
        if let Some(channel) = &open {
            asked.spawn(check(channel.clone(), due));
        }
    }
    while let Some(answer) = asked.join_next().await {
        seen.add(answer);
    }
    HealthReport {
        answered: seen.latencies.count(),
        failed: seen.failed,
        last_failure: seen.last_failure,
        latency_ms: (&seen.latencies).into(),
    }
}

/// The answers so far.
#[derive(Default)]
struct Seen {
    latencies: Latencies,
    failed: u64,
    last_failure: Option<String>,
}

impl Seen {
    fn add(&mut self, answer: Result<Result<Duration, String>, JoinError>) {
        match answer.unwrap_or_else(|lost| Err(lost.to_string())) {
            Ok(time) => self.latencies.add(time),
            Err(why) => self.fail(why),
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.last_failure = Some(why);
    }
}

/// The time from when it was due to the answer. The channel connects anew by itself.
async fn check(channel: Channel, due: Instant) -> Result<Duration, String> {
    let ask = async {
        let request = HealthCheckRequest::default();
        HealthClient::new(channel).check(request).await
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await;
    let answer = answer.map_err(|_| "no answer in time".to_owned())?;
    let answer = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(due.elapsed()),
        other => Err(other.as_str_name().to_owned()),
    }
}

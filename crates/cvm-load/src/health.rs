//! Whether health is answered while the load lasts, asked on a connection and a thread of its own.

use crate::report::HealthReport;
use crate::tally::Latencies;
use crate::target::Target;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
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

async fn ask(target: Target, every: Duration, stop: &AtomicBool) -> HealthReport {
    let (mut latencies, mut failed, mut last_failure) = (Latencies::default(), 0, None);
    let mut channel = None;
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match tokio::time::timeout(PATIENCE, check(&target, &mut channel)).await {
            Ok(Ok(())) => latencies.add(due.elapsed()),
            Ok(Err(why)) => {
                failed += 1;
                last_failure = Some(why);
            }
            Err(_) => {
                failed += 1;
                last_failure = Some("no answer in time".to_owned());
            }
        }
        due += every;
        tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
    }
    HealthReport {
        answered: latencies.count(),
        failed,
        last_failure,
        latency_ms: (&latencies).into(),
    }
}

async fn check(target: &Target, channel: &mut Option<Channel>) -> Result<(), String> {
    let open = match channel.take() {
        Some(open) => open,
        None => target.connect().await?,
    };
    let request = HealthCheckRequest::default();
    let answer = HealthClient::new(open.clone()).check(request).await;
    let answer = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
    *channel = Some(open);
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(other.as_str_name().to_owned()),
    }
}

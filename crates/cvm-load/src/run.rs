//! A run: connects, starts the clock, looks once a second, and sums up.

use crate::health;
use crate::lane::{Lane, Shared};
use crate::pacer;
use crate::plan::Plan;
use crate::report::{Report, Second};
use crate::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Between the connections and the first request.
const HEAD_START: Duration = Duration::from_millis(20);
/// Most connections of a run.
const MAX_CONNECTIONS: usize = 20_000;

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan cannot be carried out.
    #[error("{0}")]
    Plan(String),
    /// The server cannot be reached.
    #[error("no connection: {0}")]
    Connect(String),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Carries out a plan; `progress` sees every second of it.
///
/// # Errors
/// The plan makes no sense, or the server cannot be reached at the start. What goes wrong later is in
/// the report.
pub async fn run(plan: &Plan, mut progress: impl FnMut(&Second)) -> Result<Report, LoadError> {
    check(plan).map_err(LoadError::Plan)?;
    let headers = plan.target.headers().map_err(LoadError::Plan)?;
    let mut channels = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        channels.push(plan.target.connect().await.map_err(LoadError::Connect)?);
    }
    let probe = plan
        .health_every
        .map(|every| health::start(plan.target.clone(), every))
        .transpose()?;
    let begin = Instant::now() + HEAD_START;
    let shared = Arc::new(Shared::new(plan, begin, headers.len()));
    let (mut lanes, mut inboxes): (JoinSet<()>, Vec<UnboundedSender<_>>) = Default::default();
    let turns = headers.iter().enumerate().cycle();
    for (channel, (token, header)) in channels.into_iter().zip(turns) {
        let (inbox, arrivals) = unbounded_channel();
        let lane = Lane {
            shared: Arc::clone(&shared),
            channel,
            header: header.clone(),
            token,
        };
        lanes.spawn(lane.run(arrivals));
        inboxes.push(inbox);
    }
    pacer::start(plan, begin, inboxes)?;
    let mut totals = vec![Tally::default(); headers.len()];
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    loop {
        tokio::select! {
            ended = lanes.join_next() => if ended.is_none() { break },
            _ = ticks.tick() => progress(&second(&shared, begin, &mut totals)),
        }
    }
    second(&shared, begin, &mut totals);
    let health = probe.map(health::Probe::end);
    let seconds = (plan.schedule.length - plan.warm_up).as_secs_f64();
    let names: Vec<String> = plan
        .target
        .tokens
        .iter()
        .map(|token| token.name.clone())
        .collect();
    Ok(Report::new(seconds, &totals, &names, health))
}

fn check(plan: &Plan) -> Result<(), String> {
    plan.schedule.check()?;
    if plan.warm_up >= plan.schedule.length {
        return Err("the warm-up is as long as the whole".to_owned());
    }
    if !(1..=MAX_CONNECTIONS).contains(&plan.connections) {
        return Err(format!(
            "between 1 and {MAX_CONNECTIONS} connections, not {}",
            plan.connections
        ));
    }
    Ok(())
}

/// Adds what came since the last look to the totals.
fn second(shared: &Shared, begin: Instant, totals: &mut [Tally]) -> Second {
    let mut all = Tally::default();
    for (total, own) in totals.iter_mut().zip(shared.take()) {
        total.merge(&own);
        all.merge(&own);
    }
    let at = Instant::now().saturating_duration_since(begin);
    Second::new(at, &all, shared.in_flight.load(Ordering::Relaxed))
}

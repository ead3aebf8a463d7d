//! The clock of a run: a thread that hands each request to its connection when it is due.
//!
//! It waits on nothing but the time, so nothing that the server or the runtime does delays it.

use crate::plan::{Mix, Plan};
use crate::schedule::{Chance, Schedule};
use std::io;
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;

/// Sets the choice of requests apart from their times.
const CHOICE: u64 = 0x5ca1_ab1e;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) due: Instant,
    /// Its size, as a place in the mix.
    pub(crate) size: usize,
    /// Which of the requests of that size.
    pub(crate) chance: u64,
}

/// Starts the clock; it ends with the schedule, or when nobody takes arrivals any more.
pub(crate) fn start(
    plan: &Plan,
    begin: Instant,
    lanes: Vec<UnboundedSender<Arrival>>,
) -> io::Result<()> {
    let (schedule, mix) = (plan.schedule, plan.mix.clone());
    let work = move || pace(schedule, &mix, begin, &lanes);
    std::thread::Builder::new()
        .name("cvm-load-clock".to_owned())
        .spawn(work)?;
    Ok(())
}

fn pace(schedule: Schedule, mix: &Mix, begin: Instant, lanes: &[UnboundedSender<Arrival>]) {
    let mut chance = Chance(schedule.seed ^ CHOICE);
    let mut turn = lanes.iter().cycle();
    for at in schedule.due() {
        let due = begin + at;
        wait_until(due);
        let size = mix.pick(&mut chance);
        let arrival = Arrival {
            due,
            size,
            chance: chance.number(),
        };
        if turn.next().is_none_or(|lane| lane.send(arrival).is_err()) {
            return;
        }
    }
    wait_until(begin + schedule.length);
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left);
    }
}

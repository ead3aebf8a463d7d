//! Whether a thread keeps up: who comes when too many wait for their turn on it is told to come back.
//!
//! A thread that is offered more than it can do never gets to the end of its queue, and without limit
//! every caller waits longer and longer. What a newcomer will wait is told when it comes, by those before it
//! and what one of them takes; so whoever is let in is served, and refusing costs little. A queue alone is
//! no sign of too much: a burst makes one too, and ends; a thread that gets no processor makes a few wait
//! whom refusing does not help. So a crowd is asked for as well, and a tenth of a second without an idle
//! moment, the interval over which CoDel (RFC 8289, section 4.3) tells a standing queue from a passing one.
//! And no connection pays for another: each has an equal part of the room, by how many asked in the last
//! round, and only who has its part is refused.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time without an idle moment after which a queue is a standing one.
pub(crate) const STANDING: Duration = Duration::from_millis(100);
/// Time after a refusal in which a queue is not taken for a passing one: a load that is just too much
/// empties its queue now and then.
pub(crate) const MEMORY: Duration = Duration::from_secs(1);
/// Requests that may always wait.
const CROWD: usize = 8;
/// Share of the limit that is spent in this queue: it waits as long to be read, and for its answer to be
/// written when all of its round are.
const SHARE: f64 = 0.4;
/// Weight of one request in the mean of what requests take, and how many times the mean it may count: one
/// that was interrupted says little of the others.
const WEIGHT: f64 = 1.0 / 32.0;
const MOST_TIMES: f64 = 8.0;
/// What a request takes before any was seen, in seconds.
const UNSEEN_S: f64 = 20e-6;

thread_local! {
    static IDLE: Cell<Option<Instant>> = const { Cell::new(None) };
    static REFUSED: Cell<Option<Instant>> = const { Cell::new(None) };
    static WAITING: Cell<usize> = const { Cell::new(0) };
    /// The round, which ends when nobody waits; connections that asked in this one, and in the last.
    static ROUND: Cell<u64> = const { Cell::new(1) };
    static ASKED: Cell<usize> = const { Cell::new(0) };
    static ASKED_BEFORE: Cell<usize> = const { Cell::new(0) };
    static MEAN_S: Cell<f64> = const { Cell::new(UNSEEN_S) };
}

/// This thread has nothing to do; its runtime says so.
pub(crate) fn idle() {
    IDLE.set(Some(Instant::now()));
}

/// Whether a refusal is still remembered.
pub(crate) fn is_remembered(refused: Option<Instant>) -> bool {
    refused.is_some_and(|at| at.elapsed() < MEMORY)
}

/// A mean that follows what was seen last with that weight, one that was interrupted only so far.
pub(crate) fn followed(mean: f64, seen: f64, weight: f64) -> f64 {
    mean + (seen.min(MOST_TIMES * mean) - mean) * weight
}

/// How many requests of one connection wait for their turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    waiting: AtomicUsize,
    /// The round in which it last asked.
    round: AtomicU64,
}

impl Line {
    /// Counts the connection among those of this round; how many they are.
    fn ask(&self) -> usize {
        if self.0.round.swap(ROUND.get(), Ordering::Relaxed) != ROUND.get() {
            ASKED.set(ASKED.get() + 1);
        }
        ASKED.get().max(ASKED_BEFORE.get())
    }
}

/// A request that waits for its turn on this thread.
#[derive(Debug)]
pub(crate) struct Waiting(Line);

/// A request that has its turn.
#[derive(Debug)]
pub(crate) struct Turn(Instant);

impl Waiting {
    /// A place in the queue for a request of a connection, unless it is likely to mean a wait of more than
    /// `limit`.
    pub(crate) fn join(limit: Option<Duration>, line: &Line) -> Option<Waiting> {
        let (before, lines) = (WAITING.get(), line.ask());
        let full = |limit: Duration| {
            let busy = || IDLE.get().is_some_and(|idle| idle.elapsed() > STANDING);
            let standing = || is_remembered(REFUSED.get()) || busy();
            let room = limit.as_secs_f64() * SHARE / MEAN_S.get();
            // Its part, or where that is less than one, whoever comes first.
            let taken = match lines as f64 <= room {
                true => line.0.waiting.load(Ordering::Relaxed) * lines,
                false => before,
            };
            before >= CROWD && taken as f64 >= room && standing()
        };
        if limit.is_some_and(full) {
            REFUSED.set(Some(Instant::now()));
            return None;
        }
        WAITING.set(before + 1);
        line.0.waiting.fetch_add(1, Ordering::Relaxed);
        Some(Waiting(line.clone()))
    }

    /// Its turn has come.
    pub(crate) fn turn(self) -> Turn {
        Turn(Instant::now())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Connections stay on their thread, so a request leaves the queue it joined.
        let left = WAITING.get().saturating_sub(1);
        WAITING.set(left);
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
        if left == 0 {
            ROUND.set(ROUND.get() + 1);
            ASKED_BEFORE.set(ASKED.take());
        }
    }
}

impl Turn {
    /// It was done at once.
    pub(crate) fn done(self) {
        let mean = MEAN_S.get();
        MEAN_S.set(followed(mean, self.0.elapsed().as_secs_f64(), WEIGHT));
    }
}

#[cfg(test)]
mod tests {
    use super::{ASKED, CROWD, Line, MEAN_S, STANDING, WAITING, Waiting, idle};
    use std::time::Duration;

    const LIMIT: Option<Duration> = Some(Duration::from_millis(10));

    #[test]
    fn who_comes_to_a_crowd_on_a_thread_without_an_idle_moment_is_refused() {
        let line = Line::default();
        let join = || Waiting::join(LIMIT, &line);
        let mut crowd: Vec<_> = (0..CROWD).map(|_| join().unwrap()).collect();
        MEAN_S.set(0.001_5);
        // Not a worker: nobody says when it is idle.
        assert!(join().is_some());
        idle();
        assert!(join().is_some(), "just idle");
        std::thread::sleep(STANDING + Duration::from_millis(5));
        assert!(join().is_none(), "8 of 1.5 ms each");
        assert!(
            Waiting::join(Some(Duration::from_secs(1)), &line).is_some(),
            "a long wait is allowed"
        );
        assert!(Waiting::join(None, &line).is_some(), "any wait is allowed");
        let other = Line::default();
        let modest = Waiting::join(LIMIT, &other);
        assert!(modest.is_some(), "another connection, with none waiting");
        let more: Vec<_> = (0..CROWD)
            .map_while(|_| Waiting::join(LIMIT, &other))
            .collect();
        assert!(
            (1..CROWD).contains(&more.len()),
            "up to its share: {more:?}"
        );
        drop((modest, more));
        MEAN_S.set(0.000_2);
        assert!(join().is_some(), "8 of 0.2 ms each, of two connections");
        MEAN_S.set(0.001);
        assert!(join().is_none(), "more than half of what fits");
        let many: Vec<_> = (0..20).map(|_| Line::default()).collect();
        let each = many.iter().filter_map(|line| Waiting::join(LIMIT, line));
        assert_eq!(each.collect::<Vec<_>>().len(), 2, "no room for one of each");
        MEAN_S.set(0.1);
        crowd.pop();
        assert!(join().is_some(), "few wait");
        drop(crowd);
        assert_eq!((WAITING.get(), ASKED.get()), (0, 0));
    }

    #[test]
    fn the_mean_follows_what_requests_take_and_not_one_that_was_interrupted() {
        let took = |time: Duration| {
            let turn = Waiting::join(None, &Line::default()).unwrap().turn();
            std::thread::sleep(time);
            turn.done();
        };
        for _ in 0..200 {
            took(Duration::from_millis(1));
        }
        let mean = MEAN_S.get();
        assert!(mean > 0.000_9, "{mean}");
        took(Duration::from_millis(200));
        assert!(MEAN_S.get() < 1.3 * mean, "{mean}, then {}", MEAN_S.get());
    }
}

//! What waits for the threads of large requests: who comes to a queue that stands, and is too long, is
//! told to come back.
//!
//! The rule is that of `turn`, for threads that many connections share: a newcomer is refused by what it
//! would wait, which is what lies before it at the pace the threads were seen to have; never by a
//! passing burst, never while few wait, and no caller pays for another. The limit is the server's, for who
//! sends many rows is seldom in a hurry; whoever is says so by a deadline, and is refused at once when its
//! turn would come later. So whoever is let in is served, and what is refused costs no more than being read.

use crate::admission::{Asker, Own};
use crate::turn::{STANDING, followed, is_remembered};
use crate::work::BLOCK_ROWS;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that may wait, however many are asked for.
pub(crate) const MAX_WAITING: usize = 1024;
/// Requests that may always wait, by thread.
const CROWD: usize = 4;
/// Weight of one block in the mean pace.
const WEIGHT: f64 = 1.0 / 16.0;
/// What a row that counts as one takes before any was seen, in seconds.
const UNSEEN_S: f64 = 1e-6;

/// The queue before a number of threads.
#[derive(Debug)]
pub(crate) struct Backlog {
    threads: usize,
    /// What a newcomer may have to wait.
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests without a thread, and callers who have one among them.
    waiting: usize,
    callers: usize,
    /// Rows not yet scored, of all who wait and all who are being scored.
    rows: usize,
    /// Since when somebody has been waiting at every look.
    standing: Instant,
    /// When somebody was last refused.
    refused: Option<Instant>,
    /// When a thread last came free with others waiting for it.
    freed: Option<Instant>,
    /// What all threads together take for a row that counts as one, in seconds.
    row_s: f64,
}

/// A request in the queue or on a thread; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    backlog: &'a Backlog,
    own: Own,
    waits: bool,
    rows: usize,
}

impl Backlog {
    pub(crate) fn new(threads: usize, limit: Duration) -> Backlog {
        let threads = threads.max(1);
        Backlog {
            threads,
            limit,
            state: Mutex::new(State {
                waiting: 0,
                callers: 0,
                rows: 0,
                standing: Instant::now(),
                refused: None,
                freed: None,
                row_s: UNSEEN_S / threads as f64,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests without a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// A place for a request of a caller that counts as `rows`.
    ///
    /// # Errors
    /// Why it had better come back.
    pub(crate) fn join(&self, asker: &Asker, rows: usize) -> Result<Place<'_>, String> {
        let mut state = self.state();
        if state.waiting >= MAX_WAITING {
            return Err(format!("{MAX_WAITING} large requests are waiting already"));
        }
        if state.waiting == 0 {
            state.standing = Instant::now();
        }
        if let Some(wait) = self.too_long(&state, asker) {
            state.refused = Some(Instant::now());
            let ms = wait.as_millis();
            return Err(format!("it would have to wait for about {ms} ms"));
        }
        state.rows = state.rows.saturating_add(rows);
        let mut place = Place {
            backlog: self,
            own: asker.own.clone(),
            waits: false,
            rows,
        };
        place.wait(&mut state);
        Ok(place)
    }

    /// What a newcomer would wait, if that is more than it should.
    fn too_long(&self, state: &State, asker: &Asker) -> Option<Duration> {
        let is_crowd = state.waiting >= CROWD * self.threads;
        let own = asker.own.waiting().load(Ordering::Relaxed);
        let has_its_share = (own + 1) * state.callers >= state.waiting;
        if asker.streams || !is_crowd || !has_its_share || !state.is_standing() {
            return None;
        }
        let wait = Duration::try_from_secs_f64(state.rows as f64 * state.row_s);
        let wait = wait.unwrap_or(Duration::MAX);
        let left = asker.deadline.left().unwrap_or(Duration::MAX);
        Some(wait).filter(|wait| *wait > self.limit.min(left))
    }
}

impl State {
    /// Whether there is more to do than can be done: for a while already, or a moment ago.
    fn is_standing(&self) -> bool {
        is_remembered(self.refused) || self.standing.elapsed() > STANDING
    }
}

impl Place<'_> {
    /// Its turn has come.
    pub(crate) fn turn(&mut self) {
        let mut state = self.backlog.state();
        self.leave(&mut state);
    }

    /// A block of it is scored, and it waits for its next turn.
    pub(crate) fn again(&mut self) {
        let mut state = self.backlog.state();
        self.scored(&mut state, self.rows.min(BLOCK_ROWS));
        self.wait(&mut state);
    }

    /// All of it is scored.
    pub(crate) fn done(mut self) {
        let mut state = self.backlog.state();
        self.scored(&mut state, self.rows);
    }

    fn scored(&mut self, state: &mut State, rows: usize) {
        let now = Instant::now();
        self.rows -= rows;
        state.rows = state.rows.saturating_sub(rows);
        // Between two ends with others waiting the threads did nothing but score.
        if let Some(freed) = state.freed.filter(|_| rows > 0) {
            let took = (now - freed).as_secs_f64() / rows as f64;
            state.row_s = followed(state.row_s, took, WEIGHT);
        }
        state.freed = (state.waiting > 0).then_some(now);
    }

    fn wait(&mut self, state: &mut State) {
        self.waits = true;
        state.waiting += 1;
        if self.own.waiting().fetch_add(1, Ordering::Relaxed) == 0 {
            state.callers += 1;
        }
    }

    fn leave(&mut self, state: &mut State) {
        if std::mem::take(&mut self.waits) {
            state.waiting = state.waiting.saturating_sub(1);
            if self.own.waiting().fetch_sub(1, Ordering::Relaxed) == 1 {
                state.callers = state.callers.saturating_sub(1);
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.backlog.state();
        self.leave(&mut state);
        state.rows = state.rows.saturating_sub(self.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::{Backlog, CROWD, Own, STANDING};
    use crate::admission::Asker;
    use crate::deadline::Deadline;
    use crate::turn::MEMORY;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::time::Instant;

    const LIMIT: Duration = Duration::from_millis(10);

    fn asker() -> Asker {
        Asker::new(Own::default(), Deadline(None))
    }

    /// How many more join a crowd that has stood for long enough; a row takes a microsecond.
    fn joined(backlog: &Backlog, rows: usize, newcomer: &Asker) -> usize {
        let crowd = (0..CROWD).map(|_| backlog.join(newcomer, rows).unwrap());
        let crowd: Vec<_> = crowd.collect();
        std::thread::sleep(STANDING + Duration::from_millis(5));
        let more = (0..100).map_while(|_| backlog.join(newcomer, rows).ok());
        let more = more.collect::<Vec<_>>().len();
        assert_eq!(backlog.waiting(), CROWD);
        drop(crowd);
        let state = backlog.state();
        assert_eq!((state.waiting, state.callers, state.rows), (0, 0, 0));
        more
    }

    #[test]
    fn who_comes_to_a_standing_queue_is_refused_by_what_lies_before_it() {
        let fresh = || Backlog::new(1, LIMIT);
        // The limit of 10 ms: whoever finds no more than that before it joins.
        assert_eq!(joined(&fresh(), 2_000, &asker()), 2);
        assert_eq!(joined(&fresh(), 1_000, &asker()), 7);
        // Few may always wait; and a stream, which waits for itself.
        assert_eq!(joined(&fresh(), 30_000, &asker()), 0);
        assert_eq!(joined(&fresh(), 30_000, &asker().streaming()), 100);
        // A deadline that comes sooner than the limit.
        let hurried = Asker {
            deadline: Deadline(Some(Instant::now() + STANDING + Duration::from_millis(300))),
            ..asker()
        };
        let patient = || Backlog::new(1, Duration::from_secs(60));
        assert!((0..4).contains(&joined(&patient(), 60_000, &hurried)));
        assert_eq!(joined(&patient(), 60_000, &asker()), 100);
        // A queue that has passed comes back soon; later a burst is no standing queue.
        let backlog = fresh();
        joined(&backlog, 2_000, &asker());
        let own = asker();
        let burst = || {
            let all = (0..100).map_while(|_| backlog.join(&own, 2_000).ok());
            all.collect::<Vec<_>>().len()
        };
        assert_eq!(burst(), CROWD + 2);
        std::thread::sleep(MEMORY + Duration::from_millis(5));
        assert_eq!(burst(), 100);
    }

    #[test]
    fn no_caller_pays_for_another() {
        let [greedy, modest] = [asker(), asker()];
        let backlog = Backlog::new(1, LIMIT);
        let join = |own: &Asker| backlog.join(own, 5_000);
        let crowd: Vec<_> = (0..3 * CROWD).map(|_| join(&greedy).unwrap()).collect();
        std::thread::sleep(STANDING + Duration::from_millis(5));
        join(&greedy).unwrap_err();
        let its: Vec<_> = (0..4 * CROWD).map_while(|_| join(&modest).ok()).collect();
        assert!((1..=3 * CROWD).contains(&its.len()), "{}", its.len());
        drop(crowd);
        drop(its);
        assert_eq!(greedy.own.waiting().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_pace_is_what_was_seen_between_two_ends_with_others_waiting() {
        let backlog = Backlog::new(1, LIMIT);
        let own = asker();
        let waiting = backlog.join(&own, 1_000).unwrap();
        let before = backlog.state().row_s;
        for _ in 0..60 {
            let mut place = backlog.join(&own, 1_000).unwrap();
            place.turn();
            std::thread::sleep(Duration::from_millis(3));
            place.done();
        }
        let seen = backlog.state().row_s;
        assert!(seen > 2.5 * before, "{seen}");
        drop(waiting);
        // Alone there is nothing to be seen: the thread may have been idle between.
        backlog.join(&own, 1_000).unwrap().done();
        std::thread::sleep(Duration::from_millis(50));
        let mut place = backlog.join(&own, 2 * super::BLOCK_ROWS).unwrap();
        place.turn();
        place.again();
        let state = backlog.state();
        assert_eq!((state.waiting, state.rows), (1, super::BLOCK_ROWS));
        assert!(state.row_s <= seen * (1.0 + 8.0 / 16.0), "{}", state.row_s);
    }
}

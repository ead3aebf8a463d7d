//! How much is in flight: a request is let in by its rows, before it is decoded, or told to come back.
//!
//! One caller may hold three quarters of it: the rest is for others, however much the one asks. A caller is
//! whom its token names, over all its connections; where callers are not told apart, a connection.

use crate::deadline::Deadline;
use crate::turn::{Line, Waiting};
use cvm_proto::{Reason, Refusal};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Rows that a call counts as beside its own: what it costs without any.
const CALL_ROWS: usize = 32;
/// Bytes of a message that count as a row, whatever it claims.
const ROW_BYTES: usize = 256;
/// Names of callers that are kept, idle ones among them.
const MANY_CALLERS: usize = 4_096;
/// Rows from which on an answer is in flight until it is taken: below, many of them are little.
const LARGE_ROWS: usize = 256;

/// Rows in flight, and how many there may be.
#[derive(Debug)]
pub(crate) struct Admission {
    rows: AtomicUsize,
    most: usize,
    /// What a newcomer may have to wait for its turn on a thread that does not keep up.
    max_wait: Option<Duration>,
    shed: AtomicU64,
    /// What known callers have in flight, by name.
    callers: Mutex<HashMap<String, Own>>,
}

/// What one caller has in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    rows: AtomicUsize,
    waiting: AtomicUsize,
}

impl Own {
    /// Its requests that wait for a thread.
    pub(crate) fn waiting(&self) -> &AtomicUsize {
        &self.0.waiting
    }
}

/// Who asks: what it has in flight, and until when it waits.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) own: Own,
    pub(crate) deadline: Deadline,
    /// A stream is read no faster than it is answered, so its messages may wait for one another.
    pub(crate) streams: bool,
}

impl Asker {
    /// Who asks once.
    pub(crate) fn new(own: Own, deadline: Deadline) -> Asker {
        Asker {
            own,
            deadline,
            streams: false,
        }
    }

    /// The same for the messages of a stream.
    pub(crate) fn streaming(self) -> Asker {
        Asker {
            streams: true,
            ..self
        }
    }
}

/// Leave to work on rows; they count until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    own: Own,
    rows: usize,
}

impl Admission {
    pub(crate) fn new(most: usize, max_wait: Option<Duration>) -> Arc<Admission> {
        Arc::new(Admission {
            rows: AtomicUsize::new(0),
            most,
            max_wait,
            shed: AtomicU64::new(0),
            callers: Mutex::default(),
        })
    }

    /// What a caller has in flight: of its name, or of its `connection` where callers have none.
    pub(crate) fn own_of(&self, name: Option<&str>, connection: &Own) -> Own {
        let Some(name) = name else {
            return connection.clone();
        };
        let Ok(mut callers) = self.callers.lock() else {
            return connection.clone();
        };
        if let Some(own) = callers.get(name) {
            return own.clone();
        }
        if callers.len() >= MANY_CALLERS {
            // Whoever has a call under way holds a second reference.
            callers.retain(|_, own| Arc::strong_count(&own.0) > 1);
        }
        callers.entry(name.to_owned()).or_default().clone()
    }

    /// A place in the queue of this thread for a request of a connection.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, to be tried again: the thread does not keep up, and the wait would be long.
    pub(crate) fn queue(&self, line: &Line) -> Result<Waiting, Refusal> {
        Waiting::join(self.max_wait, line).ok_or_else(|| {
            self.shed.fetch_add(1, Ordering::Relaxed);
            let why = "more is asked than can be done in time";
            Refusal::new(Reason::Overloaded, why)
        })
    }

    /// Lets in a message of `bytes` that claims `rows`. Alone every request is let in: the first of all,
    /// and the first of a connection as far as there is room.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, to be tried again.
    pub(crate) fn admit(
        self: &Arc<Self>,
        own: &Own,
        rows: u64,
        bytes: usize,
    ) -> Result<Ticket, Refusal> {
        let claimed = usize::try_from(rows).unwrap_or(usize::MAX).min(self.most);
        let rows = claimed.max(bytes / ROW_BYTES).saturating_add(CALL_ROWS);
        let ticket = Ticket {
            admission: Arc::clone(self),
            own: own.clone(),
            rows,
        };
        let before = self.rows.fetch_add(rows, Ordering::Relaxed);
        let own_before = own.0.rows.fetch_add(rows, Ordering::Relaxed);
        let share = self.most - self.most / 4;
        let fits = |before: usize, most: usize| before == 0 || before.saturating_add(rows) <= most;
        let why = match (fits(before, self.most), fits(own_before, share)) {
            (true, true) => return Ok(ticket),
            (false, _) => format!("about {before} rows are in flight, {} may be", self.most),
            (true, false) => {
                format!("about {own_before} rows of this caller are in flight, {share} may be")
            }
        };
        self.shed.fetch_add(1, Ordering::Relaxed);
        Err(Refusal::new(Reason::Overloaded, why))
    }

    /// Rows in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Requests not let in so far.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

impl Ticket {
    /// Whether the answer is worth counting until it is taken.
    pub(crate) fn is_large(&self) -> bool {
        self.rows >= LARGE_ROWS
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.rows.fetch_sub(self.rows, Ordering::Relaxed);
        self.own.0.rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, CALL_ROWS, MANY_CALLERS, Own};
    use tonic::Code;

    #[test]
    fn rows_count_while_their_ticket_is_held() {
        let admission = Admission::new(1_000, None);
        let [one, other] = [Own::default(), Own::default()];
        let first = admission.admit(&one, 600, 0).unwrap();
        assert_eq!(admission.in_flight(), 600 + CALL_ROWS);
        let error = admission.admit(&other, 600, 0).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        // What claims few rows is told by its size.
        assert!(admission.admit(&other, 1, 256 * 600).is_err());
        let second = admission.admit(&other, 300, 0).unwrap();
        assert_eq!(admission.shed(), 2);
        drop(first);
        admission.admit(&one, 600, 0).unwrap();
        drop(second);
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn one_caller_leaves_a_quarter_to_others() {
        let admission = Admission::new(1_000, None);
        let [greedy, modest] = [Own::default(), Own::default()];
        let mut held = Vec::new();
        while let Ok(ticket) = admission.admit(&greedy, 68, 0) {
            held.push(ticket);
        }
        assert_eq!(held.len(), 7, "of 100 rows each, below 750");
        for _ in 0..2 {
            held.push(admission.admit(&modest, 68, 0).unwrap());
        }
        let error = admission.admit(&greedy, 68, 0).unwrap_err();
        assert!(error.message.contains("of this caller"), "{error}");
        held.clear();
        assert_eq!(admission.in_flight(), 0);
        admission.admit(&greedy, 68, 0).unwrap();
    }

    #[test]
    fn a_caller_is_one_over_all_its_connections_and_idle_ones_are_forgotten() {
        let admission = Admission::new(1_000, None);
        let own_of = |name: &str| admission.own_of(Some(name), &Own::default());
        let held = admission.admit(&own_of("a"), 600, 0).unwrap();
        let error = admission.admit(&own_of("a"), 200, 0).unwrap_err();
        assert!(error.message.contains("of this caller"), "{error}");
        admission.admit(&own_of("b"), 200, 0).unwrap();
        for name in 0..2 * MANY_CALLERS {
            own_of(&format!("caller {name}"));
        }
        assert!(admission.callers.lock().unwrap().len() <= MANY_CALLERS + 1);
        admission.admit(&own_of("a"), 200, 0).unwrap_err();
        drop(held);
        admission.admit(&own_of("a"), 700, 0).unwrap();
    }

    #[test]
    fn alone_every_request_is_let_in() {
        let admission = Admission::new(1_000, None);
        for rows in [5_000, u64::MAX] {
            let ticket = admission.admit(&Own::default(), rows, 1 << 30).unwrap();
            assert!(admission.admit(&Own::default(), 1, 0).is_err());
            drop(ticket);
            assert_eq!(admission.in_flight(), 0);
        }
    }
}

//! What a served model has done since it was loaded: requests, rows, and where the time went.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A number of events and their time.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: AtomicU64,
    ns: AtomicU64,
}

impl Tally {
    fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Events and nanoseconds so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        let count = self.count.load(Ordering::Relaxed);
        (count, self.ns.load(Ordering::Relaxed))
    }
}

/// The counters of one version of a model. Reading takes no lock: counts of one moment may differ by
/// the requests of that moment.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Requests answered, in whole.
    pub(crate) success: Tally,
    /// Requests refused once the model was known.
    pub(crate) fail: Tally,
    /// Turning a message into columns.
    pub(crate) decode: Tally,
    /// Waiting for a thread.
    pub(crate) queue: Tally,
    /// Scoring.
    pub(crate) score: Tally,
    /// Turning scores into a message.
    pub(crate) encode: Tally,
    rows: AtomicU64,
    last_ms: AtomicU64,
}

/// The moments of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) begun: Instant,
    pub(crate) decoded: Instant,
    pub(crate) dequeued: Instant,
    pub(crate) scored: Instant,
}

impl Meter {
    /// A request of `rows` rows is answered.
    pub(crate) fn answered(&self, moments: Moments, rows: usize) {
        let Moments {
            begun,
            decoded,
            dequeued,
            scored,
        } = moments;
        let now = Instant::now();
        self.decode.add(decoded - begun);
        self.queue.add(dequeued - decoded);
        self.score.add(scored - dequeued);
        self.encode.add(now - scored);
        self.success.add(now - begun);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = clock.map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        });
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// A request is refused.
    pub(crate) fn refused(&self, begun: Instant) {
        self.fail.add(begun.elapsed());
    }

    /// Rows scored.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970 of the last answer; 0 before the first.
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }
}

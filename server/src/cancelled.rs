//! Calls that a peer cancels before they are answered: who does hardly anything else is no longer served.
//!
//! A stream that is reset at once costs its sender nothing and makes room for the next, so the cap on
//! streams bounds nothing (CVE-2023-44487). A connection may owe so many calls: each that it cancels is one
//! more, each that it lets finish one less, and time forgives. A call that is cancelled when its own
//! deadline has all but passed is none of them: that is what deadlines are for, and it has held its place.

use crate::calls::Calls;
use crate::deadline::Deadline;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tonic::Code;

/// Time in which as many calls are forgiven as may be owed.
const FORGIVEN_S: f64 = 10.0;
/// Deadlines below this are not waited for by anyone.
const SHORTEST: Duration = Duration::from_millis(1);
/// Share of its time after which a call counts as cancelled by its deadline.
const SPENT: f64 = 0.9;

/// What one connection owes; nothing is counted without a limit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancelled(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    most: i64,
    owed: AtomicI64,
    forgiven: Mutex<Instant>,
    over: Notify,
}

impl Cancelled {
    /// Nothing yet of a connection that may owe so many; 0 is without end.
    pub(crate) fn new(most: u32) -> Cancelled {
        let inner = || Inner {
            most: most.into(),
            owed: AtomicI64::new(0),
            forgiven: Mutex::new(Instant::now()),
            over: Notify::new(),
        };
        Cancelled((most > 0).then(|| Arc::new(inner())))
    }

    /// Ends once more is owed than may be.
    pub(crate) async fn over(&self) {
        match &self.0 {
            Some(inner) => inner.over.notified().await,
            None => std::future::pending().await,
        }
    }

    fn finished(&self) {
        let owing = self.0.as_ref();
        // Whoever owes nothing, nearly everybody, pays for a look only.
        if let Some(inner) = owing.filter(|inner| inner.owed.load(Ordering::Relaxed) > 0) {
            inner.owed.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn add(&self, now: Instant) {
        let Some(inner) = &self.0 else {
            return;
        };
        inner.forgive(now);
        if inner.owed.fetch_add(1, Ordering::Relaxed) >= inner.most {
            inner.over.notify_one();
        }
    }
}

impl Inner {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn forgive(&self, now: Instant) {
        let Ok(mut since) = self.forgiven.lock() else {
            return;
        };
        let each_s = FORGIVEN_S / self.most as f64;
        let whole = (now.saturating_duration_since(*since).as_secs_f64() / each_s).floor();
        if whole < 1.0 {
            return;
        }
        *since += Duration::from_secs_f64(whole * each_s);
        let less = |owed: i64| Some((owed - whole as i64).max(0));
        let _ = self
            .owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// A call under way; dropped before it is answered it was cancelled.
#[derive(Debug)]
pub(crate) struct Open {
    calls: Arc<Calls>,
    /// Its method's place among the calls.
    place: usize,
    begun: Instant,
    deadline: Deadline,
    cancelled: Cancelled,
    is_open: bool,
}

impl Open {
    pub(crate) fn new(
        calls: &Arc<Calls>,
        place: usize,
        begun: Instant,
        deadline: Deadline,
        cancelled: &Cancelled,
    ) -> Open {
        Open {
            calls: Arc::clone(calls),
            place,
            begun,
            deadline,
            cancelled: cancelled.clone(),
            is_open: true,
        }
    }

    /// It is answered with `code`; `is_cut` if that says only that its peer broke it off.
    pub(crate) fn answered(mut self, code: Code, is_cut: bool) {
        self.is_open = false;
        let took = self.begun.elapsed();
        self.calls.answered(self.place, code, took);
        match is_cut {
            false => self.cancelled.finished(),
            true if self.is_spent(took) => {}
            true => self.cancelled.add(self.begun + took),
        }
    }

    /// Whether its deadline had all but passed after `took`.
    fn is_spent(&self, took: Duration) -> bool {
        self.deadline.0.is_some_and(|end| {
            let whole = end.into_std().saturating_duration_since(self.begun);
            whole >= SHORTEST && took >= whole.mul_f64(SPENT)
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let took = self.begun.elapsed();
        self.calls.answered(self.place, Code::Cancelled, took);
        if !self.is_spent(took) {
            self.cancelled.add(self.begun + took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cancelled, Open};
    use crate::calls::Calls;
    use crate::deadline::Deadline;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};
    use tonic::Code;

    fn is_over(cancelled: &Cancelled) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(cancelled.over()).poll(&mut context).is_ready()
    }

    #[test]
    fn who_cancels_more_than_finish_is_over_at_the_limit_and_time_forgives() {
        let (cancelled, now) = (Cancelled::new(100), Instant::now());
        for _ in 0..100 {
            cancelled.add(now);
        }
        assert!(!is_over(&cancelled));
        // In a second, a tenth.
        for _ in 0..10 {
            cancelled.add(now + Duration::from_secs(1));
        }
        assert!(!is_over(&cancelled));
        cancelled.add(now + Duration::from_secs(1));
        assert!(is_over(&cancelled));
        let healthy = Cancelled::new(100);
        for _ in 0..10_000 {
            healthy.add(now);
            healthy.finished();
        }
        assert!(!is_over(&healthy));
        let free = Cancelled::new(0);
        (0..10_000).for_each(|_| free.add(now));
        assert!(!is_over(&free));
    }

    #[test]
    fn a_call_cancelled_at_its_deadline_is_owed_by_nobody() {
        let calls = Arc::new(Calls::default());
        let drop_with = |deadline: Option<u64>, age: u64| {
            let (cancelled, now) = (Cancelled::new(1), Instant::now());
            let begun = now - Duration::from_millis(age);
            let deadline = deadline.map(|ms| (begun + Duration::from_millis(ms)).into());
            for _ in 0..2 {
                let deadline = Deadline(deadline);
                drop(Open::new(&calls, 0, begun, deadline, &cancelled));
            }
            is_over(&cancelled)
        };
        assert!(drop_with(None, 1_000), "no deadline");
        assert!(drop_with(Some(60_000), 1_000), "long before");
        assert!(drop_with(Some(0), 0), "no deadline worth the name");
        assert!(!drop_with(Some(1_000), 950), "all but passed");
        assert!(!drop_with(Some(1_000), 1_200), "passed");
        let told: Vec<_> = calls
            .called()
            .flat_map(|(_, method)| method.codes())
            .collect();
        assert_eq!(told, [("CANCELLED", 10)]);
        // An answer that only says that the peer broke off is one more.
        let cancelled = Cancelled::new(1);
        for _ in 0..2 {
            let open = Open::new(&calls, 0, Instant::now(), Deadline(None), &cancelled);
            open.answered(Code::Cancelled, true);
        }
        assert!(is_over(&cancelled));
    }
}

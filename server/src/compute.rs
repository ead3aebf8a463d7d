//! Where scoring runs: small requests at once, large ones on a bounded number of threads, a block of
//! rows at a time, so that they take turns and a caller that is gone or late costs one block.

use crate::admission::Asker;
use crate::background::Background;
use crate::backlog::Backlog;
use cvm_proto::{Reason, Refusal};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Rows scored on the serving thread itself, where a row counts as one (`pace`): far cheaper than handing
/// over and back, and at most half a millisecond.
pub(crate) const INLINE_ROWS: usize = 512;

/// How many times the limit is waited for a first turn that was thought to come within it.
const PATIENCE: u32 = 4;

/// How often who takes what is left looks whether something is.
const SPARE_LOOK: Duration = Duration::from_millis(2);

/// Work that is done step by step.
pub(crate) trait Steps: Sized + Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;

    /// Does the next step.
    ///
    /// # Errors
    /// The work cannot be done.
    fn step(self) -> Result<Next<Self>, Refusal>;
}

/// What a step leaves.
pub(crate) enum Next<W: Steps> {
    /// Work for another step.
    More(W),
    /// What came of it.
    Done(W::Done),
}

/// A thread; the semaphore is never closed.
type Turn = Result<OwnedSemaphorePermit, AcquireError>;

/// Threads for large requests, and the queue before them.
#[derive(Debug)]
pub(crate) struct Compute {
    threads: Arc<Semaphore>,
    backlog: Backlog,
    /// How long a request may wait for its first turn.
    patience: Duration,
    shed: AtomicU64,
    /// Threads for what may wait.
    spare: Background,
}

impl Compute {
    /// Threads whose newcomers are refused when they would wait longer than `limit`, and whoever got
    /// no turn in several times that.
    ///
    /// # Errors
    /// Threads for what may wait cannot be had.
    pub(crate) fn new(thread_count: usize, limit: Duration) -> io::Result<Compute> {
        Ok(Compute {
            threads: Arc::new(Semaphore::new(thread_count)),
            backlog: Backlog::new(thread_count, limit),
            patience: limit * PATIENCE,
            shed: AtomicU64::new(0),
            spare: Background::new("cvm-spare", thread_count)?,
        })
    }

    /// Does `work` on what counts as `row_count` rows; a panic in it is an `INTERNAL` refusal. Between two steps others
    /// get their turn, the deadline is looked at, and dropping the future ends the work.
    pub(crate) async fn run<W: Steps>(
        &self,
        row_count: usize,
        asker: &Asker,
        mut work: W,
    ) -> Result<W::Done, Refusal> {
        if row_count <= INLINE_ROWS {
            return guarded(|| to_the_end(work));
        }
        let place = self.backlog.join(asker, row_count);
        let mut place = place.map_err(|why| self.shed(why))?;
        let mut turn = self.first_turn().await?;
        loop {
            let permit = turn;
            place.turn();
            asker.deadline.check()?;
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                guarded(|| work.step())
            });
            match task.await.unwrap_or_else(|_| Err(defect()))? {
                Next::Done(done) => {
                    place.done();
                    return Ok(done);
                }
                Next::More(more) => work = more,
            }
            // Whoever has begun is not turned away.
            place.again();
            turn = Arc::clone(&self.threads).acquire_owned().await;
        }
    }

    /// The first turn, unless it is so long in coming that the caller had better ask elsewhere: work that
    /// waits so long is work that others no longer wait for.
    async fn first_turn(&self) -> Result<Turn, Refusal> {
        let turn = Arc::clone(&self.threads).acquire_owned();
        match tokio::time::timeout(self.patience, turn).await {
            Ok(turn) => Ok(turn),
            Err(_) => {
                let ms = self.patience.as_millis();
                Err(self.shed(format!("no thread was free for {ms} ms")))
            }
        }
    }

    fn shed(&self, why: String) -> Refusal {
        self.shed.fetch_add(1, Ordering::Relaxed);
        Refusal::new(Reason::Overloaded, why)
    }

    /// Large requests told to come back so far.
    pub(crate) fn shed_count(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Does `work` when no request wants the thread; nothing if it panicked.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = self.spare().await;
        let done = self.spare.run(move || {
            let _permit = permit;
            work()
        });
        done.await.ok()
    }

    /// A thread that nobody else wants.
    async fn spare(&self) -> OwnedSemaphorePermit {
        loop {
            if self.backlog.waiting() == 0
                && let Ok(permit) = Arc::clone(&self.threads).try_acquire_owned()
            {
                return permit;
            }
            tokio::time::sleep(SPARE_LOOK).await;
        }
    }
}

fn to_the_end<W: Steps>(mut work: W) -> Result<W::Done, Refusal> {
    loop {
        match work.step()? {
            Next::Done(done) => return Ok(done),
            Next::More(more) => work = more,
        }
    }
}

/// Models are immutable, so a panic leaves nothing half-changed behind.
fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("scoring panicked; the request is refused");
        Err(defect())
    })
}

fn defect() -> Refusal {
    Refusal::new(
        Reason::Internal,
        "a defect of the server; its log says more",
    )
}

#[cfg(test)]
mod tests {
    use super::{Compute, INLINE_ROWS, Next, Steps};
    use crate::admission::{Asker, Own};
    use crate::backlog::MAX_WAITING;
    use crate::deadline::Deadline;
    use cvm_proto::Refusal;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::time::Instant;
    use tonic::Code;

    const LIMIT: Duration = Duration::from_secs(60);

    fn compute(limit: Duration) -> Compute {
        Compute::new(1, limit).unwrap()
    }

    /// One who waits for ever, or that long.
    fn asker(waits: Option<Duration>) -> Asker {
        let end = waits.map(|time| Instant::now() + time);
        Asker::new(Own::default(), Deadline(end))
    }

    /// A closure as work of one step.
    struct Once<F>(F);

    impl<T: Send + 'static, F> Steps for Once<F>
    where
        F: FnOnce() -> Result<T, Refusal> + Send + 'static,
    {
        type Done = T;

        fn step(self) -> Result<Next<Self>, Refusal> {
            (self.0)().map(Next::Done)
        }
    }

    /// Counts its steps down, each 2 ms long, and what it has done up.
    struct Countdown(u32, Arc<AtomicUsize>);

    impl Steps for Countdown {
        type Done = ();

        fn step(self) -> Result<Next<Self>, Refusal> {
            std::thread::sleep(Duration::from_millis(2));
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(match self.0 {
                0 => Next::Done(()),
                left => Next::More(Countdown(left - 1, self.1)),
            })
        }
    }

    #[tokio::test]
    async fn large_requests_take_turns_and_end_at_their_deadline_or_when_nobody_waits() {
        let compute = Arc::new(compute(LIMIT));
        let rows = INLINE_ROWS + 1;
        let steps = || Arc::new(AtomicUsize::new(0));
        // One thread: the short one does not wait for the long one to end.
        let (long, short) = (steps(), steps());
        let patient = asker(None);
        let slow = compute.run(rows, &patient, Countdown(100, Arc::clone(&long)));
        let quick = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let work = Countdown(1, Arc::clone(&short));
            compute.run(rows, &asker(None), work).await.unwrap();
            long.load(Ordering::Relaxed)
        };
        let (slow, seen) = tokio::join!(slow, quick);
        slow.unwrap();
        assert!(seen < 100, "the long one had done {seen} steps of 101");
        // A deadline between steps.
        let late = steps();
        let soon = asker(Some(Duration::from_millis(20)));
        let work = Countdown(1000, Arc::clone(&late));
        let error = compute.run(rows, &soon, work).await.unwrap_err();
        assert_eq!(error.code, Code::DeadlineExceeded);
        assert!(late.load(Ordering::Relaxed) < 100);
        // A caller that goes away.
        let gone = steps();
        let work = compute.run(rows, &patient, Countdown(1000, Arc::clone(&gone)));
        assert!(
            tokio::time::timeout(Duration::from_millis(20), work)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
        let done = gone.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(
            gone.load(Ordering::Relaxed),
            done,
            "nobody waits, yet it goes on"
        );
        assert_eq!(compute.backlog.waiting(), 0);
        assert_eq!(compute.threads.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_is_left_is_taken_only_when_nobody_waits() {
        let compute = compute(LIMIT);
        let taken = compute.spare().await;
        let brief = Duration::from_millis(10);
        assert!(tokio::time::timeout(brief, compute.spare()).await.is_err());
        drop(taken);
        let place = compute.backlog.join(&asker(None), 1).unwrap();
        assert!(tokio::time::timeout(brief, compute.spare()).await.is_err());
        drop(place);
        drop(compute.spare().await);
    }

    #[tokio::test]
    async fn a_panic_is_a_refusal_inline_and_on_a_thread() {
        let compute = compute(LIMIT);
        for rows in [1, INLINE_ROWS + 1] {
            let work = || -> Result<(), Refusal> { panic!("on purpose") };
            let error = compute
                .run(rows, &asker(None), Once(work))
                .await
                .unwrap_err();
            assert_eq!(error.code, Code::Internal);
        }
        let seven = Once(|| Ok(7));
        assert_eq!(
            compute.run(INLINE_ROWS + 1, &asker(None), seven).await,
            Ok(7)
        );
    }

    #[tokio::test]
    async fn work_whose_deadline_passed_in_the_queue_is_never_done() {
        let compute = Arc::new(compute(LIMIT));
        let busy = Arc::clone(&compute);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let blocker = tokio::spawn(async move {
            let wait = move || Ok(receiver.recv().is_ok());
            busy.run(INLINE_ROWS + 1, &asker(None), Once(wait)).await
        });
        while compute.threads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let soon = asker(Some(Duration::from_millis(5)));
        let work = || -> Result<(), Refusal> { panic!("nobody waits for this") };
        let late = compute.run(INLINE_ROWS + 1, &soon, Once(work));
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.send(()).unwrap();
        };
        let (late, ()) = tokio::join!(late, release);
        assert_eq!(late.unwrap_err().code, Code::DeadlineExceeded);
        assert_eq!(blocker.await.unwrap(), Ok(true));
        assert_eq!(compute.backlog.waiting(), 0);
    }

    #[tokio::test]
    async fn who_waits_too_long_for_a_first_turn_is_told_to_come_back() {
        let compute = compute(Duration::from_millis(5));
        let busy = compute.spare().await;
        let work = || -> Result<(), Refusal> { panic!("its time is over") };
        let error = compute.run(INLINE_ROWS + 1, &asker(None), Once(work)).await;
        assert_eq!(error.unwrap_err().code, Code::ResourceExhausted);
        assert_eq!((compute.shed_count(), compute.backlog.waiting()), (1, 0));
        drop(busy);
        assert_eq!(
            compute
                .run(INLINE_ROWS + 1, &asker(None), Once(|| Ok(7)))
                .await,
            Ok(7)
        );
        // Whoever has begun is not turned away, however long it takes.
        let steps = Arc::new(AtomicUsize::new(0));
        let patient = asker(None);
        let long = compute.run(INLINE_ROWS + 1, &patient, Countdown(30, Arc::clone(&steps)));
        let blocker = async {
            while steps.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let permit = Arc::clone(&compute.threads).acquire_owned().await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
            drop(permit);
        };
        let (long, ()) = tokio::join!(long, blocker);
        long.unwrap();
        assert_eq!(compute.shed_count(), 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let compute = compute(LIMIT);
        let own = asker(None);
        let all = (0..MAX_WAITING).map(|_| compute.backlog.join(&own, 1).unwrap());
        let all: Vec<_> = all.collect();
        let error = compute
            .run(INLINE_ROWS + 1, &asker(None), Once(|| Ok(())))
            .await
            .unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(compute.backlog.waiting(), MAX_WAITING);
        drop(all);
        assert_eq!(compute.backlog.waiting(), 0);
    }
}

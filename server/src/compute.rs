//! Where scoring runs: small requests at once, large ones on a bounded number of threads.

use crate::deadline::Deadline;
use cvm_proto::{Reason, Refusal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Rows scored on the serving thread itself. At some 0.3 µs a row this is on the order of the
/// 10–100 µs a task may run between awaits, and far cheaper than handing over and back.
pub(crate) const INLINE_ROWS: usize = 512;

/// Large requests that may wait for a thread.
const MAX_WAITING: usize = 1024;

/// Threads for large requests, and the queue before them.
#[derive(Debug)]
pub(crate) struct Compute {
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// One place in the queue, given back when the request is dequeued or its caller is gone.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Compute {
    pub(crate) fn new(thread_count: usize) -> Compute {
        Compute {
            threads: Arc::new(Semaphore::new(thread_count)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Runs `work` on `row_count` rows; a panic in it is an `INTERNAL` refusal.
    pub(crate) async fn run<T, F>(
        &self,
        row_count: usize,
        deadline: Deadline,
        work: F,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Refusal> + Send + 'static,
    {
        if row_count <= INLINE_ROWS {
            return guarded(work);
        }
        let place = self.queue()?;
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        drop(place);
        deadline.check()?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            guarded(work)
        });
        task.await.unwrap_or_else(|_| Err(defect()))
    }

    fn queue(&self) -> Result<Place<'_>, Refusal> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            return Ok(place);
        }
        let why = format!("{MAX_WAITING} large requests are waiting already");
        Err(Refusal::new(Reason::Overloaded, why))
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
    use super::{Compute, INLINE_ROWS, MAX_WAITING};
    use crate::deadline::Deadline;
    use cvm_proto::Refusal;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;
    use tokio::time::Instant;
    use tonic::Code;

    const NONE: Deadline = Deadline(None);

    #[tokio::test]
    async fn a_panic_is_a_refusal_inline_and_on_a_thread() {
        let compute = Compute::new(1);
        for rows in [1, INLINE_ROWS + 1] {
            let work = || -> Result<(), Refusal> { panic!("on purpose") };
            let error = compute.run(rows, NONE, work).await.unwrap_err();
            assert_eq!(error.code, Code::Internal);
        }
        assert_eq!(compute.run(INLINE_ROWS + 1, NONE, || Ok(7)).await, Ok(7));
    }

    #[tokio::test]
    async fn work_whose_deadline_passed_in_the_queue_is_never_done() {
        let compute = Arc::new(Compute::new(1));
        let busy = Arc::clone(&compute);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let blocker = tokio::spawn(async move {
            let wait = move || Ok(receiver.recv().is_ok());
            busy.run(INLINE_ROWS + 1, NONE, wait).await
        });
        while compute.threads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let soon = Deadline(Some(Instant::now() + Duration::from_millis(5)));
        let work = || -> Result<(), Refusal> { panic!("nobody waits for this") };
        let late = compute.run(INLINE_ROWS + 1, soon, work);
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.send(()).unwrap();
        };
        let (late, ()) = tokio::join!(late, release);
        assert_eq!(late.unwrap_err().code, Code::DeadlineExceeded);
        assert_eq!(blocker.await.unwrap(), Ok(true));
        assert_eq!(compute.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let compute = Compute::new(1);
        compute.waiting.store(MAX_WAITING, Ordering::Relaxed);
        let error = compute
            .run(INLINE_ROWS + 1, NONE, || Ok(()))
            .await
            .unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(compute.waiting.load(Ordering::Relaxed), MAX_WAITING);
    }
}

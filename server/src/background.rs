//! Threads for what may wait: the system gives them what serving leaves of the processors.
//!
//! Verifying takes its time whenever a file comes, and drift and shadows have work as long as requests come. On
//! threads like any other they would take turns of several milliseconds with those that serve. A nicer
//! thread (`nice`) gets fewer turns, not shorter ones; of the policy `SCHED_IDLE` the system takes the processor
//! whenever another wants it (sched(7)), and on a machine that is wholly busy leaves it a three-hundredth.

use crate::pace::Pace;
use cvm::{Error, Model};
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Time in which a thread that gives way has verified a file, but on a machine that is wholly busy: for any
/// file, and for each of its bytes.
const PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE_PER_BYTE: Duration = Duration::from_nanos(100);

/// A bounded number of such threads, started when there is work.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// # Errors
    /// The runtime cannot be made.
    pub(crate) fn new(name: &str, threads: usize) -> io::Result<Background> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads.max(1))
            .thread_name(name)
            .on_thread_start(give_way)
            .build()?;
        Ok(Background(Some(runtime)))
    }

    /// Does `work` on one of the threads.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            // Only while it is dropped.
            None => tokio::task::spawn_blocking(work),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A model that may be served, and what a row of it counts as.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) model: Model,
    pub(crate) pace: Pace,
}

impl Verified {
    /// A model as it is, its pace taken.
    pub(crate) fn of(model: Model) -> Verified {
        let pace = Pace::of(&model);
        Verified { model, pace }
    }
}

/// Opens and verifies a model's file, and takes its pace, [`aside`].
///
/// # Errors
/// As [`Model::open`].
pub(crate) fn open(bytes: Vec<u8>) -> Result<Verified, Error> {
    let size_bytes = bytes.len() as u64;
    aside(size_bytes, move || Model::open(&bytes).map(Verified::of))
}

/// What is made of so many bytes, on a thread that gives way; where that does not get on, because the
/// machine is wholly busy, on this one, so that a new version is not kept waiting for a quiet hour.
pub(crate) fn aside<T: Send + 'static>(
    size_bytes: u64,
    work: impl Fn() -> T + Send + Sync + 'static,
) -> T {
    let patience = PATIENCE + PATIENCE_PER_BYTE * u32::try_from(size_bytes).unwrap_or(u32::MAX);
    let work = Arc::new(work);
    let (done, outcome) = mpsc::sync_channel(1);
    let own = Arc::clone(&work);
    let begun = std::thread::Builder::new().name("cvm-loading".to_owned());
    let begun = begun.spawn(move || {
        give_way();
        let _ = done.send(own());
    });
    match begun.map(|_| outcome.recv_timeout(patience)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => work(),
    }
}

/// Gives way to every other thread, where threads have a policy of their own.
#[cfg(target_os = "linux")]
fn give_way() {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let policy = ThreadSchedulePolicy::Normal(Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = set {
        tracing::warn!(
            ?error,
            "loading and shadows do not give way to what is served"
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::{Background, open};

    #[test]
    fn a_file_is_opened_or_refused_as_by_the_engine() {
        let params = [("r", 0.24), ("alpha", 4.4), ("a", 0.8), ("b", 2.4)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
        let mut bytes = model.encode().unwrap();
        let opened = open(bytes.clone()).unwrap();
        assert_eq!(opened.model.fingerprint(), model.fingerprint());
        bytes[100] ^= 1;
        let want = cvm::Model::open(&bytes).unwrap_err();
        assert_eq!(open(bytes).unwrap_err().to_string(), want.to_string());
    }

    #[tokio::test]
    async fn work_gives_way_and_dropping_does_not_wait_for_it() {
        let background = Background::new("aside", 1).unwrap();
        #[cfg(target_os = "linux")]
        {
            use thread_priority::NormalThreadSchedulePolicy::{Idle, Other};
            use thread_priority::ThreadSchedulePolicy::Normal;
            let policy = || thread_priority::thread_schedule_policy().unwrap();
            assert_eq!(background.run(policy).await.unwrap(), Normal(Idle));
            assert_eq!(policy(), Normal(Other), "this thread keeps its own");
        }
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let waits = background.run(move || {
            began.send(()).unwrap();
            receiver.recv().is_err()
        });
        // What has not begun is dropped with it.
        begun.await.unwrap();
        drop(background);
        drop(sender);
        assert!(waits.await.unwrap());
    }
}

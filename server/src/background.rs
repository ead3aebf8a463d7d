//! Threads for what may wait: the system gives them what serving leaves of the processors.
//!
//! Loading takes its time whenever a file comes, and drift and shadows have work as long as requests come. On
//! threads like any other they would take turns of several milliseconds with those that serve. A nicer
//! thread (`nice`) gets fewer turns, not shorter ones; of the policy `SCHED_IDLE` the system takes the processor
//! whenever another wants it (sched(7)), and on a machine that is wholly busy leaves it a three-hundredth.

use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

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
    use super::Background;

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

//! Threads for what may wait: the system gives them what serving leaves of the processors.
//!
//! Loading takes its time whenever a file comes, and drift and shadows have work as long as requests come. On
//! threads like any other they would take turns of several milliseconds with those that serve.

use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Priority of a thread, as POSIX `nice` counts it: nine steps are about an eighth of the weight.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub(crate) enum Niceness {
    /// A tenth of what a serving thread gets of a processor that both want.
    Loading = 10,
    /// Next to nothing.
    Spare = 19,
}

/// A bounded number of such threads, started when there is work.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// # Errors
    /// The runtime cannot be made.
    pub(crate) fn new(name: &str, threads: usize, niceness: Niceness) -> io::Result<Background> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads.max(1))
            .thread_name(name)
            .on_thread_start(move || lower(niceness))
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

/// Lowers the priority of this thread, where threads have one of their own; a process that is nicer
/// already stays as it is.
#[cfg(target_os = "linux")]
fn lower(niceness: Niceness) {
    if let Err(error) = rustix::process::setpriority_process(None, niceness as i32) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower(_niceness: Niceness) {}

#[cfg(test)]
mod tests {
    use super::{Background, Niceness};

    #[tokio::test]
    async fn work_is_done_at_a_lower_priority_and_dropping_does_not_wait() {
        let background = Background::new("nice", 1, Niceness::Spare).unwrap();
        #[cfg(target_os = "linux")]
        {
            let nice = || rustix::process::getpriority_process(None).unwrap();
            let before = nice();
            assert_eq!(background.run(nice).await.unwrap(), 19);
            assert_eq!(nice(), before, "this thread keeps its own");
        }
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let waits = background.run(move || receiver.recv().is_err());
        assert!(background.run(|| ()).is_finished() || !waits.is_finished());
        drop(background);
        drop(sender);
        assert!(waits.await.unwrap());
    }
}

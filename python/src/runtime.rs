//! The async runtime of the client: one per process, made on first use, and made anew after a fork.

use crate::errors::to_py;
use cvm::{Error, ErrorKind};
use pyo3::prelude::*;
use std::future::Future;
use std::process;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How often a waiting call looks for Ctrl-C.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);
/// One thread drives sockets while the other encodes or decodes.
const WORKER_THREADS: usize = 2;

/// A value that belongs to the process that made it: its threads do not survive a fork.
struct Owned<T> {
    pid: u32,
    value: T,
}

/// A slot whose value is made anew in a forked child. The old value is leaked there: dropping it
/// would wait for threads that the child does not have.
///
/// The lock is only taken while attached to the interpreter, and so is `os.fork`: no thread can
/// hold it at the moment of a fork.
pub(crate) struct PerProcess<T>(Mutex<Option<Owned<T>>>);

impl<T: Clone> PerProcess<T> {
    pub(crate) const fn empty() -> Self {
        PerProcess(Mutex::new(None))
    }

    /// The value of this process.
    pub(crate) fn get(
        &self,
        _attached: Python<'_>,
        make: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pid = process::id();
        if let Some(owned) = slot.as_ref().filter(|owned| owned.pid == pid) {
            return Ok(owned.value.clone());
        }
        let value = make()?;
        let old = slot.replace(Owned {
            pid,
            value: value.clone(),
        });
        std::mem::forget(old);
        Ok(value)
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if slot
            .as_ref()
            .is_some_and(|owned| owned.pid != process::id())
        {
            std::mem::forget(slot.take());
        }
    }
}

static RUNTIME: PerProcess<Arc<Runtime>> = PerProcess::empty();

/// The runtime of this process.
pub(crate) fn runtime(py: Python<'_>) -> PyResult<Arc<Runtime>> {
    RUNTIME.get(py, || {
        Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .thread_name("cvm-client")
            .enable_all()
            .build()
            .map(Arc::new)
            .map_err(|error| {
                let why = format!("the client's threads cannot be started: {error}");
                to_py(Error::new(ErrorKind::Internal, why))
            })
    })
}

/// Waits for `work` without the interpreter lock; Ctrl-C ends the wait and drops the work.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    work: impl Future<Output = T> + Send + 'static,
) -> PyResult<T> {
    let (sender, mut receiver) = sync_channel(1);
    let task = runtime(py)?.spawn(async move {
        // The receiver is gone only if the wait was interrupted.
        let _ = sender.send(work.await);
    });
    loop {
        let answer = &mut receiver;
        match py.detach(move || answer.recv_timeout(SIGNAL_CHECK)) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => {
                if let Err(interrupt) = py.check_signals() {
                    task.abort();
                    return Err(interrupt);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = "a defect of cvm, please report it: the client's task ended early";
                return Err(to_py(Error::new(ErrorKind::Internal, why)));
            }
        }
    }
}

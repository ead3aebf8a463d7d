//! Something read from files, read again when they change; a bad change keeps what was.

use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

type ReadFn<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;
type State = Vec<Option<(SystemTime, u64)>>;

/// The newest good value of some files.
pub(crate) struct Watched<T> {
    what: &'static str,
    files: Vec<PathBuf>,
    read: ReadFn<T>,
    value: ArcSwap<T>,
    state: Mutex<State>,
    generation: AtomicU64,
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("what", &self.what)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl<T> Watched<T> {
    /// Reads `files`, called `what` in the log, by `read`.
    ///
    /// # Errors
    /// What `read` says.
    pub(crate) fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let state = state(&files);
        let value = read()?;
        Ok(Watched {
            what,
            files,
            read: Box::new(read),
            value: ArcSwap::from_pointee(value),
            state: Mutex::new(state),
            generation: AtomicU64::new(0),
        })
    }

    /// The newest good value.
    pub(crate) fn load(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// How often a new value was taken up.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Reads again if the files have changed. A change that cannot be read is told once.
    pub(crate) fn look(&self) {
        let now = state(&self.files);
        let Ok(mut seen) = self.state.lock() else {
            return;
        };
        if *seen == now {
            return;
        }
        *seen = now;
        match (self.read)() {
            Ok(value) => {
                self.value.store(Arc::new(value));
                self.generation.fetch_add(1, Ordering::Release);
                tracing::info!(what = self.what, "read again");
            }
            Err(error) => {
                tracing::error!(what = self.what, %error, "what was read before stays in use");
            }
        }
    }
}

fn state(files: &[PathBuf]) -> State {
    let of = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(of).collect()
}

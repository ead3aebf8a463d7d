//! Models of an object store: a folder of this machine kept in step with it, off the serving threads.
//!
//! The folder is served as any folder is. A store that does not answer changes nothing: what was fetched
//! is served on, over a restart too.

// A build without object stores has nobody who fills these in.
#![cfg_attr(not(feature = "object-store"), allow(dead_code))]

#[cfg(feature = "object-store")]
mod follow;

use crate::drain::Signal;
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};

/// What is wrong, by model; what is about no model under "".
type Problems = BTreeMap<String, String>;

/// A store; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    shown: String,
    pushes: mpsc::Sender<Push>,
    state: Arc<State>,
    /// Given after the first look.
    looked: Signal,
}

/// What the store has done so far.
#[derive(Debug, Default)]
struct State {
    problems: Mutex<Problems>,
    successes: AtomicU64,
    failures: AtomicU64,
    success_s: AtomicU64,
}

/// A routing to write into the store.
#[derive(Debug)]
struct Push {
    id: String,
    text: String,
    done: oneshot::Sender<Result<(), String>>,
}

/// A store for people and for metrics.
#[derive(Debug)]
pub(crate) struct StoreState {
    /// Its URL.
    pub(crate) shown: String,
    /// Looks that found nothing wrong, and the others.
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    /// Seconds since 1970 of the last look that found nothing wrong; 0 before the first.
    pub(crate) success_s: u64,
    /// Why the store as a whole could not be used at the last look.
    pub(crate) problem: Option<String>,
}

impl Store {
    /// Follows the store of the settings, if they name one, on a thread of its own.
    ///
    /// # Errors
    /// The URL is none, or the folder cannot be made.
    pub(crate) fn start(settings: &Settings) -> Result<Store, String> {
        match settings.store_url() {
            None => Ok(Store(None)),
            Some(url) => Store::of(&url, settings),
        }
    }

    #[cfg(not(feature = "object-store"))]
    fn of(url: &str, _settings: &Settings) -> Result<Store, String> {
        Err(format!(
            "models of {url}: this build reads no object store; its features s3, gcs, azure do"
        ))
    }

    #[cfg(feature = "object-store")]
    fn of(url: &str, settings: &Settings) -> Result<Store, String> {
        let inner = follow::start(url, settings)?;
        Ok(Store(Some(Arc::new(inner))))
    }

    /// Waits until the store has been looked at for the first time.
    pub(crate) async fn looked(&self) {
        if let Some(inner) = &self.0 {
            inner.looked.clone().given().await;
        }
    }

    /// Writes a model's routing into the store and then into the folder, from a thread that may wait;
    /// false without a store, which writes nothing.
    ///
    /// # Errors
    /// The store did not take it; the folder is as it was.
    pub(crate) fn push(&self, id: &str, text: &str) -> Result<bool, String> {
        let Some(inner) = &self.0 else {
            return Ok(false);
        };
        let (done, outcome) = oneshot::channel();
        let (id, text) = (id.to_owned(), text.to_owned());
        let over = "the server is shutting down";
        let sent = inner.pushes.blocking_send(Push { id, text, done });
        sent.map_err(|_| over)?;
        let pushed = outcome.blocking_recv().map_err(|_| over)?;
        pushed.map(|()| true)
    }

    /// What is wrong, by model.
    pub(crate) fn problems(&self) -> Problems {
        let problems = self.0.as_ref().map(|inner| inner.state.problems.lock());
        let problems = problems.and_then(Result::ok);
        problems
            .map(|problems| problems.clone())
            .unwrap_or_default()
    }

    /// What it has done; none without a store.
    pub(crate) fn state(&self) -> Option<StoreState> {
        let Inner { shown, state, .. } = &**self.0.as_ref()?;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Some(StoreState {
            shown: shown.clone(),
            successes: read(&state.successes),
            failures: read(&state.failures),
            success_s: read(&state.success_s),
            problem: self.problems().remove(""),
        })
    }
}

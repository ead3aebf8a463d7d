//! The thread that follows a store.

use super::{Inner, Problems, Push, State};
use crate::drain::{Trigger, signal};
use crate::settings::Settings;
use cvm_store::{Location, Mirror};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// How long a start waits for the store, and where there is something to serve that was fetched earlier.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LATER_LOOK: Duration = Duration::from_secs(5);

/// Routings that may wait to be written.
const WAITING: usize = 16;

/// Begins to follow.
///
/// # Errors
/// The URL is none, or the folder cannot be made.
pub(super) fn start(url: &str, settings: &Settings) -> Result<Inner, String> {
    let folder = settings.model_folder()?;
    let from = Location::parse(url, std::env::vars()).map_err(|error| error.message)?;
    let shown = from.shown().to_owned();
    let mirror = Mirror::new(from, folder.to_owned()).map_err(|error| error.message)?;
    let state = Arc::new(State::default());
    let (first, looked) = signal();
    let (pushes, queue) = mpsc::channel(WAITING);
    let interval = Duration::from_secs(settings.store_poll_seconds.into());
    let own = Arc::clone(&state);
    std::thread::Builder::new()
        .name("cvm-store".to_owned())
        .spawn(move || follow(mirror, &own, &first, interval, queue))
        .map_err(|error| format!("no thread for the store: {error}"))?;
    Ok(Inner {
        shown,
        pushes,
        state,
        looked,
    })
}

/// Looks for as long as a start may wait for it.
async fn first_look(mirror: &mut Mirror, state: &State) {
    let patience = match mirror.has_models() {
        false => FIRST_LOOK,
        true => LATER_LOOK,
    };
    let first = tokio::time::timeout(patience, mirror.sync()).await;
    state.looked(first.unwrap_or_else(|_| {
        let why = format!("no answer in {} s", patience.as_secs());
        Problems::from([(String::new(), why)])
    }));
}

impl State {
    /// A look has ended; what is wrong is logged when it changes.
    fn looked(&self, problems: Problems) {
        let Ok(mut before) = self.problems.lock() else {
            return;
        };
        match problems.is_empty() {
            true => {
                self.successes.fetch_add(1, Ordering::Relaxed);
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let seconds = now.map_or(0, |now| now.as_secs());
                self.success_s.store(seconds, Ordering::Relaxed);
            }
            false => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        for (model, cause) in &problems {
            if before.get(model) != Some(cause) {
                tracing::error!(%model, %cause, "the store is not followed; what was fetched stays");
            }
        }
        if problems.is_empty() && !before.is_empty() {
            tracing::info!("the store is followed again");
        }
        *before = problems;
    }
}

/// Looks once and says so, then again and again, and writes what it is asked to, until nobody can ask
/// any more.
fn follow(
    mut mirror: Mirror,
    state: &State,
    first: &Trigger,
    interval: Duration,
    mut pushes: mpsc::Receiver<Push>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the store is not followed: no runtime");
            return;
        }
    };
    runtime.block_on(async {
        first_look(&mut mirror, state).await;
        first.give();
        let mut next = tokio::time::Instant::now() + interval;
        loop {
            let push = tokio::select! {
                push = pushes.recv() => push.map(Some),
                () = tokio::time::sleep_until(next) => Some(None),
            };
            match push {
                None => return,
                Some(Some(Push { id, text, done })) => {
                    let pushed = mirror.push_routing(&id, text.as_bytes()).await;
                    // A caller that no longer waits has what it asked for all the same.
                    let _ = done.send(pushed.map_err(|error| error.message));
                }
                Some(None) => {
                    state.looked(mirror.sync().await);
                    next = tokio::time::Instant::now() + interval;
                }
            }
        }
    });
}

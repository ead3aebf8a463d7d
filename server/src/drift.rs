//! Drift: how far the rows that a version scores are from those it was trained on.
//!
//! One row in so many is looked at. Who answers only counts rows and copies those that are picked; a
//! thread that nobody else wants puts them into the bins of the model's profile. What is told is of the
//! newest rows: windows follow one another, and the last whole one and the one begun are looked at.

use crate::plane::Plane;
use crate::registry::Served;
use crate::rows::block;
use crate::work::BLOCK_ROWS;
use cvm::{DriftReport, DriftTally, Frame, FrameColumn, Model, ScoreOptions};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Values of picked rows that may wait, of one version: 2 MiB.
const WAITING_VALUES: usize = 256 << 10;
/// How often it is looked whether some wait.
const LOOK: Duration = Duration::from_millis(200);
/// Most rows scored before others get their turn.
const MOST_ROWS: usize = 256;
/// A window ends when it is as old and has as many rows.
const WINDOW: Duration = Duration::from_secs(15 * 60);
const WINDOW_ROWS: u64 = 2_000;

/// Of so many rows one is looked at; of 0 none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Every(pub(crate) u32);

/// What is known of the rows that one version scores.
#[derive(Debug)]
pub(crate) struct Drift(Result<Inner, String>);

#[derive(Debug)]
struct Inner {
    every: u64,
    seen: AtomicU64,
    waiting: Mutex<Waiting>,
    empty: DriftTally,
    windows: Mutex<Windows>,
}

/// Picked rows that are not in bins yet.
#[derive(Debug, Default)]
struct Waiting {
    frames: Vec<Picked>,
    values: usize,
}

/// Rows of one request, and how many of them are in bins.
type Picked = (Frame, usize);

#[derive(Debug)]
struct Windows {
    last: DriftTally,
    now: DriftTally,
    begun: Instant,
}

impl Drift {
    /// Nothing yet of a model of which one row in `every` is to be looked at.
    pub(crate) fn new(model: &Model, every: Every) -> Drift {
        Drift(Inner::new(model, every))
    }

    /// Counts rows that were scored, and copies those that are to be looked at.
    pub(crate) fn offer(&self, frame: &Frame) {
        let Ok(inner) = &self.0 else {
            return;
        };
        let seen = inner
            .seen
            .fetch_add(frame.row_count as u64, Ordering::Relaxed);
        let first = (inner.every - seen % inner.every) % inner.every;
        if first < frame.row_count as u64 {
            inner.pick(frame, first);
        }
    }

    /// How far the newest rows are from those of training; none before the first.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) fn report(&self) -> Result<Option<DriftReport>, &str> {
        let inner = self.0.as_ref().map_err(String::as_str)?;
        let newest = inner.windows.lock().map_or(None, |windows| {
            let mut both = windows.last.clone();
            both.merge(&windows.now);
            Some(both)
        });
        // Without rows there is no report.
        Ok(newest.and_then(|newest| newest.report().ok()))
    }
}

impl Inner {
    fn new(model: &Model, Every(every): Every) -> Result<Inner, String> {
        if every == 0 {
            return Err("not looked at: --drift-every is 0".to_owned());
        }
        if !model.has_profile() {
            return Err("no training profile".to_owned());
        }
        let empty = model.drift_tally().map_err(|error| error.to_string())?;
        Ok(Inner {
            every: every.into(),
            seen: AtomicU64::new(0),
            waiting: Mutex::default(),
            empty: empty.clone(),
            windows: Mutex::new(Windows {
                now: empty.clone(),
                last: empty,
                begun: Instant::now(),
            }),
        })
    }

    /// Copies every so many rows from `first` on, as far as there is room. Nobody waits for the room.
    fn pick(&self, frame: &Frame, first: u64) {
        let Ok(mut waiting) = self.waiting.try_lock() else {
            return;
        };
        let columns = frame.columns.len().max(1);
        let room = WAITING_VALUES.saturating_sub(waiting.values) / columns;
        let start = usize::try_from(first).unwrap_or(usize::MAX);
        let every = usize::try_from(self.every).unwrap_or(usize::MAX);
        let places = (start..frame.row_count).step_by(every).take(room);
        if places.len() == 0 {
            return;
        }
        waiting.values += places.len() * columns;
        waiting.frames.push((picked(frame, places), 0));
    }

    fn take(&self) -> Vec<Picked> {
        let waiting = self.waiting.lock();
        waiting.map_or_else(|_| Vec::new(), |mut w| std::mem::take(&mut *w).frames)
    }

    /// Puts rows into bins.
    fn count(&self, model: &Model, frame: &Frame, rows: Range<usize>) {
        let mut own = self.empty.clone();
        // They were scored before, so nothing is wrong with them.
        if let Err(error) = block(frame, rows).and_then(|batch| own.add(model, &batch)) {
            tracing::debug!(%error, "rows left out of the drift");
            return;
        }
        if let Ok(mut windows) = self.windows.lock() {
            if windows.now.row_count() >= WINDOW_ROWS && windows.begun.elapsed() >= WINDOW {
                windows.last = std::mem::replace(&mut windows.now, self.empty.clone());
                windows.begun = Instant::now();
            }
            windows.now.merge(&own);
        }
    }
}

/// Rows of a frame, with no more text than is theirs.
fn picked(frame: &Frame, places: impl ExactSizeIterator<Item = usize> + Clone) -> Frame {
    let columns = frame.columns.iter().map(|(name, column)| {
        let column = match column {
            FrameColumn::Numbers(values) => {
                let own = places.clone().filter_map(|row| values.get(row).copied());
                FrameColumn::Numbers(own.collect())
            }
            FrameColumn::Text { dictionary, codes } => {
                let level = |row: usize| {
                    let code = usize::try_from(*codes.get(row)?).ok()?;
                    dictionary.get(code).map(String::as_str)
                };
                FrameColumn::from_strings(places.clone().map(level))
            }
        };
        (name.clone(), column)
    });
    Frame {
        row_count: places.len(),
        columns: columns.collect(),
    }
}

/// Looks at what was picked, on threads that nobody else wants, again and again.
pub(crate) async fn run(plane: Arc<Plane>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let models = plane.registry.snapshot();
        let all = models.values().flat_map(|d| d.versions.values());
        for served in all {
            let Ok(inner) = &served.drift.0 else {
                continue;
            };
            let mut rest = inner.take();
            while !rest.is_empty() {
                let served = Arc::clone(served);
                match plane.compute.aside(move || step(&served, rest)).await {
                    Some(left) => rest = left,
                    None => {
                        tracing::error!("looking at drift panicked; its rows are left out");
                        break;
                    }
                }
            }
        }
    }
}

/// Puts about a block of rows into bins; returns what is left.
fn step(served: &Served, mut all: Vec<Picked>) -> Vec<Picked> {
    let Ok(inner) = &served.drift.0 else {
        return Vec::new();
    };
    let plain = ScoreOptions::default();
    let mut room = (BLOCK_ROWS / served.weight(&plain)).clamp(1, MOST_ROWS);
    while let Some((frame, start)) = all.pop_if(|_| room > 0) {
        let end = frame.row_count.min(start + room);
        inner.count(&served.model, &frame, start..end);
        room -= end - start;
        if end < frame.row_count {
            all.push((frame, end));
        }
    }
    all
}

//! Shadow versions: scored in this process on the champion's own decoded rows, compared, never answered.
//!
//! They get what is left: a batch waits in a short queue until a compute thread is idle and no request
//! waits for one, and when the queue is full it is shed. Nobody who asks for a score waits for a
//! shadow.

use crate::plane::Plane;
use crate::registry::{Deployment, Served};
use crate::rows::block;
use crate::work::BLOCK_ROWS;
use cvm::compare::{Comparison, compare};
use cvm::{Frame, ScoreOptions};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Batches that may wait.
const WAITING: usize = 256;
/// Rows that may wait, over all batches.
const WAITING_ROWS: usize = 200_000;
/// Newest rows that a comparison looks at, per output.
pub(crate) const WINDOW_ROWS: usize = 4_096;
/// Outputs that are compared.
const MAX_OUTPUTS: usize = 16;

type Columns = Vec<(&'static str, Vec<f64>)>;

/// A version beside the champion, and how the two compare.
#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) served: Arc<Served>,
    /// The champion it is compared with.
    pub(crate) base: Arc<Served>,
    windows: Mutex<Vec<(&'static str, Window)>>,
    scored: AtomicU64,
    shed: AtomicU64,
    failed: AtomicU64,
}

/// The newest pairs of scores.
#[derive(Debug, Default)]
struct Window {
    pairs: Vec<(f64, f64)>,
    next: usize,
}

/// Rows of a shadow so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShadowRows {
    /// Scored and compared.
    pub(crate) scored: u64,
    /// Left out because there was no time.
    pub(crate) shed: u64,
    /// Of batches the version could not score.
    pub(crate) failed: u64,
}

impl Shadow {
    pub(crate) fn new(served: Arc<Served>, base: Arc<Served>) -> Shadow {
        Shadow {
            served,
            base,
            windows: Mutex::default(),
            scored: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Whether it compares these two.
    pub(crate) fn is_of(&self, served: &Arc<Served>, base: &Arc<Served>) -> bool {
        Arc::ptr_eq(&self.served, served) && Arc::ptr_eq(&self.base, base)
    }

    pub(crate) fn rows(&self) -> ShadowRows {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShadowRows {
            scored: read(&self.scored),
            shed: read(&self.shed),
            failed: read(&self.failed),
        }
    }

    /// The comparison of the newest rows, by output.
    pub(crate) fn compared(&self) -> Vec<(&'static str, Comparison)> {
        let pairs: Vec<(&'static str, Vec<(f64, f64)>)> = match self.windows.lock() {
            Ok(windows) => {
                let windows = windows.iter();
                windows
                    .map(|(name, window)| (*name, window.pairs.clone()))
                    .collect()
            }
            Err(_) => return Vec::new(),
        };
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, pairs)| {
                let (base, candidate): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
                (name, compare(&base, &candidate))
            })
            .collect()
    }

    fn shed(&self, rows: usize) {
        self.shed.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Scores a block of rows and adds it to the comparison.
    fn step(&self, job: &Job, rows: std::ops::Range<usize>) {
        let count = rows.len() as u64;
        let scores = block(&job.frame, rows.clone())
            .and_then(|batch| self.served.model.score(&batch, &job.options));
        let Ok(scores) = scores else {
            self.failed.fetch_add(count, Ordering::Relaxed);
            return;
        };
        self.scored.fetch_add(count, Ordering::Relaxed);
        let Ok(mut windows) = self.windows.lock() else {
            return;
        };
        for (name, base) in &job.base {
            let own = scores.outputs.iter().find(|(own, _)| own == name);
            let (Some((_, own)), Some(base)) = (own, base.get(rows.clone())) else {
                continue;
            };
            let pairs = base.iter().copied().zip(own.iter().copied());
            let room = windows.len() < MAX_OUTPUTS;
            match windows.iter_mut().find(|(known, _)| known == name) {
                Some((_, window)) => window.extend(pairs),
                None if room => {
                    let mut window = Window::default();
                    window.extend(pairs);
                    windows.push((name, window));
                }
                None => {}
            }
        }
    }
}

impl Window {
    fn extend(&mut self, pairs: impl Iterator<Item = (f64, f64)>) {
        for pair in pairs {
            match self.pairs.get_mut(self.next) {
                Some(oldest) => *oldest = pair,
                None => self.pairs.push(pair),
            }
            self.next = (self.next + 1) % WINDOW_ROWS;
        }
    }
}

/// A batch to score beside the champion.
#[derive(Debug)]
pub(crate) struct Job {
    shadows: Vec<Arc<Shadow>>,
    frame: Arc<Frame>,
    options: ScoreOptions,
    base: Columns,
}

/// Where batches are offered.
#[derive(Debug, Clone)]
pub(crate) struct Shadows {
    jobs: mpsc::Sender<Job>,
    rows: Arc<AtomicUsize>,
}

/// A queue of batches, and where they come out.
pub(crate) fn shadows() -> (Shadows, mpsc::Receiver<Job>) {
    let (jobs, queue) = mpsc::channel(WAITING);
    let rows = Arc::new(AtomicUsize::new(0));
    (Shadows { jobs, rows }, queue)
}

impl Shadows {
    /// Takes a batch that the champion has scored, if there is room for it.
    pub(crate) fn offer(
        &self,
        deployment: &Deployment,
        frame: Arc<Frame>,
        options: &ScoreOptions,
        base: &Columns,
    ) {
        let rows = frame.row_count;
        let shadows = deployment.shadows.clone();
        let fits = self.rows.fetch_add(rows, Ordering::Relaxed) + rows <= WAITING_ROWS;
        let place = fits.then(|| self.jobs.try_reserve().ok()).flatten();
        let Some(place) = place else {
            self.rows.fetch_sub(rows, Ordering::Relaxed);
            shadows.iter().for_each(|shadow| shadow.shed(rows));
            return;
        };
        place.send(Job {
            shadows,
            frame,
            options: ScoreOptions {
                reasons: None,
                ..options.clone()
            },
            base: base.clone(),
        });
    }
}

/// Scores what is offered, on threads that nobody else wants, for as long as anybody offers.
pub(crate) async fn run(mut queue: mpsc::Receiver<Job>, plane: Arc<Plane>) {
    while let Some(job) = queue.recv().await {
        let rows = job.frame.row_count;
        let job = Arc::new(job);
        let weights = job.shadows.iter().map(|s| s.served.weight(&job.options));
        let size = (BLOCK_ROWS / weights.max().unwrap_or(1)).max(1);
        for start in (0..rows).step_by(size) {
            let job = Arc::clone(&job);
            let done = plane.compute.aside(move || {
                let block = start..rows.min(start + size);
                for shadow in &job.shadows {
                    shadow.step(&job, block.clone());
                }
            });
            if done.await.is_none() {
                tracing::error!("scoring a shadow panicked; its batch is left out");
                break;
            }
        }
        plane.shadows.rows.fetch_sub(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{WINDOW_ROWS, Window};

    #[test]
    fn a_window_holds_the_newest_rows() {
        let mut window = Window::default();
        window.extend((0..WINDOW_ROWS + 10).map(|row| (row as f64, 0.0)));
        assert_eq!(window.pairs.len(), WINDOW_ROWS);
        assert_eq!(window.pairs[0].0, WINDOW_ROWS as f64);
        assert_eq!(window.pairs[9].0, (WINDOW_ROWS + 9) as f64);
        assert_eq!(window.pairs[10].0, 10.0);
    }
}

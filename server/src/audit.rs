//! The log of predictions: a share of what was answered, written by a thread of its own.
//!
//! Who answers only decides whether rows are recorded and puts them into a bounded queue; what does not
//! fit is dropped and counted, so a slow disk never slows an answer. A file is begun anew at each start
//! and whenever one is full, so no record ever follows a torn one.

mod file;

use crate::registry::Served;
use crate::rows::take;
use crate::settings::{AuditContent, Settings};
use cvm::audit::{AuditParts, AuditRecord, Expected, Sample};
use cvm::{Frame, RowCode, ScoreOptions, Scores};
use file::{Files, instant};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;

/// Records that may wait.
const WAITING: usize = 1_024;
/// Values that may wait, over all records: 64 MiB.
const WAITING_VALUES: usize = 8 << 20;
/// How long an idle writer waits before it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);
/// How long a shutdown waits for what is queued.
const END_TIME: Duration = Duration::from_secs(2);

/// Where predictions are offered; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sample: Sample,
    with_inputs: bool,
    queue: SyncSender<Job>,
    counts: Arc<Counts>,
    /// Ends when the writer has ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// What became of records so far.
#[derive(Debug, Default)]
struct Counts {
    waiting_values: AtomicUsize,
    /// Requests without a name.
    nameless: AtomicU64,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    closing: AtomicBool,
}

/// Records so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuditCounts {
    /// In the log.
    pub(crate) written: u64,
    /// Left out because the queue was full.
    pub(crate) dropped: u64,
    /// Lost because the log could not be written.
    pub(crate) failed: u64,
}

/// Rows that one version has scored.
pub(crate) struct Answered<'a> {
    pub(crate) served: &'a Arc<Served>,
    pub(crate) frame: &'a Arc<Frame>,
    /// Their places in the request, if they are not all of it.
    pub(crate) places: Option<&'a [usize]>,
    pub(crate) scores: &'a Scores,
    pub(crate) options: &'a ScoreOptions,
    /// Of the request: none, or one per row.
    pub(crate) row_keys: &'a [String],
    pub(crate) request_id: &'a str,
}

/// A record to write.
struct Job {
    time: SystemTime,
    served: Arc<Served>,
    frame: Arc<Frame>,
    /// Rows of the frame to record; none stands for all.
    picked: Option<Vec<usize>>,
    parts: AuditParts,
    values: usize,
}

impl Audit {
    /// Begins a log, if the settings name a folder for it.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub(crate) fn start(settings: &Settings) -> Result<Audit, String> {
        let Some(folder) = &settings.audit_log else {
            return Ok(Audit(None));
        };
        let sample = Sample::new(settings.audit_sample).map_err(|error| error.message)?;
        let max_bytes = u64::from(settings.audit_file_mib) << 20;
        let files = Files::begin(folder.clone(), max_bytes)?;
        let (queue, jobs) = sync_channel(WAITING);
        let counts = Arc::new(Counts::default());
        let (done, ended) = oneshot::channel();
        let with_inputs = settings.audit_content == AuditContent::Inputs;
        let own = Arc::clone(&counts);
        std::thread::Builder::new()
            .name("cvm-audit".to_owned())
            .spawn(move || {
                write(&jobs, files, &own, with_inputs);
                let _ = done.send(());
            })
            .map_err(|error| format!("no thread for the audit log: {error}"))?;
        Ok(Audit(Some(Arc::new(Inner {
            sample,
            with_inputs,
            queue,
            counts,
            ended: Mutex::new(Some(ended)),
        }))))
    }

    /// Records what falls into the sample, if there is room; never waits.
    pub(crate) fn offer(&self, answered: &Answered<'_>) {
        let Some(inner) = &self.0 else {
            return;
        };
        match inner.picked(answered) {
            Picked::None => {}
            Picked::All => inner.queue(answered, None),
            Picked::Some(rows) => inner.queue(answered, Some(rows)),
        }
    }

    /// Records so far; none without a log.
    pub(crate) fn counts(&self) -> Option<AuditCounts> {
        let counts = &self.0.as_ref()?.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Some(AuditCounts {
            written: read(&counts.written),
            dropped: read(&counts.dropped),
            failed: read(&counts.failed),
        })
    }

    /// Writes what is queued, within a time, and closes the log.
    pub(crate) async fn finish(&self) {
        let Some(inner) = &self.0 else {
            return;
        };
        inner.counts.closing.store(true, Ordering::Relaxed);
        let ended = inner.ended.lock().ok().and_then(|mut ended| ended.take());
        let Some(ended) = ended else {
            return;
        };
        if tokio::time::timeout(END_TIME, ended).await.is_err() {
            tracing::error!("the audit log could not be closed in time; its last records are lost");
        }
    }
}

/// Which rows are recorded.
enum Picked {
    None,
    All,
    Some(Vec<usize>),
}

impl Inner {
    /// By row key where there are keys, else by the request's name, else one request in so many.
    fn picked(&self, answered: &Answered<'_>) -> Picked {
        let rows = answered.frame.row_count;
        if rows == 0 {
            return Picked::None;
        }
        let whole = match (answered.row_keys.is_empty(), answered.request_id) {
            _ if self.sample.is_all() => true,
            (true, "") => {
                let number = self.counts.nameless.fetch_add(1, Ordering::Relaxed);
                self.sample.has_number(number)
            }
            (true, name) => self.sample.has(name),
            (false, _) => {
                let key = |row: &usize| answered.row_keys.get(answered.place(*row));
                let has = |row: &usize| key(row).is_some_and(|key| self.sample.has(key));
                let picked: Vec<usize> = (0..rows).filter(has).collect();
                return match picked.len() {
                    0 => Picked::None,
                    all if all == rows => Picked::All,
                    _ => Picked::Some(picked),
                };
            }
        };
        if whole { Picked::All } else { Picked::None }
    }

    fn queue(&self, answered: &Answered<'_>, picked: Option<Vec<usize>>) {
        let columns = answered.frame.columns.len() + answered.scores.outputs.len();
        let values = columns * answered.frame.row_count;
        let waiting = self
            .counts
            .waiting_values
            .fetch_add(values, Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(values) <= WAITING_VALUES;
        let job = fits.then(|| answered.job(picked, values, self.with_inputs));
        if job.is_some_and(|job| self.queue.try_send(job).is_ok()) {
            return;
        }
        self.counts
            .waiting_values
            .fetch_sub(values, Ordering::Relaxed);
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Answered<'_> {
    /// The place in the request of a row of the frame.
    fn place(&self, row: usize) -> usize {
        let places = self.places.and_then(|places| places.get(row)).copied();
        places.unwrap_or(row)
    }

    /// What is to be written; the frame is shared, scores are copied.
    fn job(&self, picked: Option<Vec<usize>>, values: usize, with_inputs: bool) -> Job {
        let stamp = &self.served.stamp;
        let all = 0..self.frame.row_count;
        let rows: Vec<usize> = match &picked {
            Some(rows) => rows.clone(),
            None => all.collect(),
        };
        let places = rows.iter().map(|row| self.place(*row));
        let keys = places.clone().filter_map(|place| self.row_keys.get(place));
        let row_keys = match with_inputs {
            true => keys.cloned().collect(),
            false => Vec::new(),
        };
        let whole = picked.is_none() && self.places.is_none();
        Job {
            time: SystemTime::now(),
            served: Arc::clone(self.served),
            frame: Arc::clone(self.frame),
            parts: AuditParts {
                time: String::new(),
                model_version: stamp.model_version.clone(),
                fingerprint: stamp.fingerprint.clone(),
                kind: stamp.kind.clone(),
                request_id: self.request_id.to_owned(),
                rows: if whole { Vec::new() } else { places.collect() },
                row_keys,
                options: ScoreOptions {
                    reasons: None,
                    ..self.options.clone()
                },
                frame: Frame::new(0),
                scores: scores_of(self.scores, &rows),
            },
            picked,
            values,
        }
    }
}

fn scores_of(scores: &Scores, rows: &[usize]) -> Expected {
    let columns = scores.outputs.iter().map(|(name, values)| {
        let values = rows.iter().filter_map(|row| values.get(*row).copied());
        ((*name).to_owned(), values.collect())
    });
    let codes = rows.iter().filter_map(|row| scores.status.get(*row));
    let codes: Vec<RowCode> = codes.map(|status| status.code).collect();
    let fine = codes.iter().all(|code| *code == RowCode::Ok);
    Expected {
        outputs: columns.collect(),
        statuses: if fine { Vec::new() } else { codes },
    }
}

impl Job {
    /// The record: the rows picked, and of their columns those that the model reads.
    fn record(self, with_inputs: bool) -> AuditRecord {
        let Job {
            time,
            served,
            frame,
            picked,
            mut parts,
            values: _,
        } = self;
        let schema = served.model.schema_for(&|name| frame.get(name).is_some());
        let read = |name: &str| schema.fields.iter().any(|field| field.name == name);
        let columns = frame.columns.iter().filter(|(name, _)| read(name));
        let own = Frame {
            row_count: frame.row_count,
            columns: columns.cloned().collect(),
        };
        parts.frame = match picked {
            Some(rows) => take(&own, &rows),
            None => own,
        };
        parts.time = instant(time);
        AuditRecord::new(parts, with_inputs)
    }
}

/// Writes what comes until told to end; what is queued then is still written.
fn write(jobs: &Receiver<Job>, mut files: Files, counts: &Counts, with_inputs: bool) {
    loop {
        let job = match jobs.try_recv() {
            Ok(job) => job,
            Err(_) => {
                // Nothing waits: whoever reads the log sees all of it.
                files.flush();
                match jobs.recv_timeout(LOOK) {
                    Ok(job) => job,
                    Err(RecvTimeoutError::Timeout) if !counts.closing.load(Ordering::Relaxed) => {
                        continue;
                    }
                    Err(_) => break,
                }
            }
        };
        let values = job.values;
        let line = job.record(with_inputs).to_line();
        let written = line.is_ok_and(|line| files.write(line.as_bytes()));
        let count = match written {
            true => &counts.written,
            false => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        counts.waiting_values.fetch_sub(values, Ordering::Relaxed);
    }
    files.close();
}

#[cfg(test)]
mod tests {
    use super::{Answered, Audit, AuditCounts, Counts, Inner, WAITING, WAITING_VALUES};
    use crate::drift::Every;
    use crate::registry::Served;
    use cvm::audit::Sample;
    use cvm::{Frame, ScoreOptions};
    use std::sync::mpsc::sync_channel;
    use std::sync::{Arc, Mutex};

    fn served() -> Arc<Served> {
        let params = [("r", 0.2), ("alpha", 4.4), ("a", 0.8), ("b", 2.4)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
        Arc::new(Served::new(
            "retail",
            crate::background::Verified::of(model),
            Every(1),
        ))
    }

    /// A log whose writer never comes.
    #[test]
    fn what_does_not_fit_is_dropped_and_nobody_waits() {
        let (queue, jobs) = sync_channel(WAITING);
        let audit = Audit(Some(Arc::new(Inner {
            sample: Sample::new(1.0).unwrap(),
            with_inputs: true,
            queue,
            counts: Arc::new(Counts::default()),
            ended: Mutex::new(None),
        })));
        let served = served();
        let offer = |rows: usize| {
            let values = || vec![1.0; rows];
            let frame = Frame::new(rows).with_numbers("frequency", values());
            let frame = frame.with_numbers("recency", values());
            let frame = Arc::new(frame.with_numbers("T", values()));
            let options = ScoreOptions::default();
            let scores = served.model.score(&frame.batch().unwrap(), &options);
            audit.offer(&Answered {
                served: &served,
                frame: &frame,
                places: None,
                scores: &scores.unwrap(),
                options: &options,
                row_keys: &[],
                request_id: "",
            });
            jobs.try_iter().count()
        };
        let dropped = || audit.counts().unwrap().dropped;
        assert_eq!((offer(0), offer(3)), (0, 1));
        let waiting = &audit.0.as_ref().unwrap().counts.waiting_values;
        waiting.store(WAITING_VALUES, super::Ordering::Relaxed);
        assert_eq!((offer(1), dropped()), (0, 1));
        assert_eq!(waiting.load(super::Ordering::Relaxed), WAITING_VALUES);
        // Alone every record is taken.
        waiting.store(0, super::Ordering::Relaxed);
        assert_eq!((offer(1), dropped()), (1, 1));
        let counts = AuditCounts {
            written: 0,
            dropped: 1,
            failed: 0,
        };
        assert_eq!(audit.counts(), Some(counts));
    }
}

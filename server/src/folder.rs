//! The folder of model files: what changed is verified first and swapped in whole.
//!
//! A file is looked at by its times, size and inode. A file that fails verification leaves the
//! model it would have replaced serving, is logged once per state, and is tried again when it
//! changes. A file changed within the last moments is tried again in any case: it may still be
//! being written, within one tick of the file system's clock.

use crate::registry::{Models, Registry, Served};
use cvm_proto::ModelName;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Most models of a folder.
const MAX_MODELS: usize = 1024;

/// A file untouched for this long is not being written within a clock tick of the last look.
const SETTLED: Duration = Duration::from_secs(2);

/// Looks in a row that a file must be gone for: one gap may be a delete-and-copy replacement.
const LOOKS_BEFORE_RETIRING: u32 = 2;

/// Ending of model files.
const ENDING: &str = "cvm";

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    modified: Option<SystemTime>,
    size_bytes: u64,
    /// Inode and change time, where the system has them: they see a same-size rewrite with a
    /// restored modification time.
    identity: (u64, i64, i64),
}

impl FileState {
    fn of(metadata: &std::fs::Metadata) -> FileState {
        FileState {
            modified: metadata.modified().ok(),
            size_bytes: metadata.len(),
            identity: identity(metadata),
        }
    }

    /// Whether the last change is long enough ago. A time in the future counts as settled, or a
    /// wrong clock would mean a reload at every look.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (_, seconds, _) = self.identity;
        let changed = u64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .or(self.modified);
        changed.is_none_or(|time| now.duration_since(time).is_ok_and(|age| age >= SETTLED))
            || changed.is_some_and(|time| time > now)
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

/// What is remembered of a file.
#[derive(Debug)]
struct Seen {
    state: FileState,
    settled: bool,
    /// Why it was refused, if it was.
    refusal: Option<String>,
}

/// A folder and what is remembered of it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    seen: HashMap<PathBuf, Seen>,
    absent_looks: HashMap<String, u32>,
    unreadable: Option<String>,
    /// Models unloaded by request, until they are loaded by request.
    held: BTreeSet<String>,
}

/// Why a model that was to be served is not.
pub(crate) const HELD: &str = "unloaded by request";

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Folder {
        Folder {
            path,
            seen: HashMap::new(),
            absent_looks: HashMap::new(),
            unreadable: None,
            held: BTreeSet::new(),
        }
    }

    /// Looks at a model's file at once, whatever is remembered of it, and serves it.
    ///
    /// # Errors
    /// Why it is not served.
    pub(crate) fn load_by_request(&mut self, id: &str, registry: &Registry) -> Result<(), String> {
        self.held.remove(id);
        self.seen
            .retain(|path, _| model_id(path).as_deref() != Some(id));
        self.look(registry);
        if let Some(why) = registry.refusals().get(id) {
            return Err(why.clone());
        }
        match registry.snapshot().contains_key(id) {
            true => Ok(()),
            false => Err(format!("the folder has no file {id}.{ENDING}")),
        }
    }

    /// Stops serving a model until it is loaded by request; requests in flight finish.
    ///
    /// # Errors
    /// There is no such model.
    pub(crate) fn unload_by_request(
        &mut self,
        id: &str,
        registry: &Registry,
    ) -> Result<(), String> {
        if !registry.snapshot().contains_key(id) && !self.held.contains(id) {
            return Err("it is not served".to_owned());
        }
        tracing::info!(model = id, "model unloaded by request");
        self.held.insert(id.to_owned());
        self.look(registry);
        Ok(())
    }

    /// Why the newest file of each model is not served.
    fn refusals(&self) -> BTreeMap<String, String> {
        let seen = self.seen.iter().filter_map(|(path, seen)| {
            let why = seen.refusal.clone()?;
            Some((model_id(path)?, why))
        });
        let held = self.held.iter().map(|id| (id.clone(), HELD.to_owned()));
        seen.chain(held).collect()
    }

    /// Looks at the folder and publishes what changed. An unreadable folder changes nothing.
    pub(crate) fn look(&mut self, registry: &Registry) {
        match self.files() {
            Ok(files) => {
                self.unreadable = None;
                self.apply(files, registry);
            }
            Err(error) => {
                let error = error.to_string();
                if self.unreadable.as_ref() != Some(&error) {
                    tracing::error!(folder = ?self.path, %error, "the folder cannot be read; its models stay");
                    self.unreadable = Some(error);
                }
            }
        }
    }

    /// Model files by id; files that cannot be models are logged once and left out.
    fn files(&mut self) -> io::Result<BTreeMap<String, (PathBuf, FileState)>> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            // Follows links; a file gone since the listing is simply absent.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            let state = FileState::of(&metadata);
            match model_id(&path) {
                Some(id) if metadata.is_file() => {
                    files.insert(id, (path, state));
                }
                Some(_) => self.refuse(&path, state, true, "is not a regular file".to_owned()),
                None => {
                    let rule = "its name must be 1 to 64 of a-z, 0-9, `-` and `_`, then `.cvm`";
                    self.refuse(&path, state, true, rule.to_owned());
                }
            }
        }
        Ok(files)
    }

    fn apply(&mut self, files: BTreeMap<String, (PathBuf, FileState)>, registry: &Registry) {
        let mut models = Models::clone(&registry.snapshot());
        let mut changed = self.retire(&files, &mut models);
        self.seen.retain(|path, _| path.exists());
        for id in &self.held {
            changed |= models.remove(id).is_some();
        }
        for (id, (path, state)) in files {
            if self.held.contains(&id) {
                continue;
            }
            if self.is_known(&path, &state) {
                continue;
            }
            if models.len() >= MAX_MODELS && !models.contains_key(&id) {
                let why = format!("the folder has more than {MAX_MODELS} models");
                self.refuse(&path, state, false, why);
                continue;
            }
            changed |= self.load(&id, &path, state, &mut models);
        }
        if changed {
            registry.publish(models);
        }
        registry.refuse(self.refusals());
    }

    fn is_known(&self, path: &Path, state: &FileState) -> bool {
        self.seen
            .get(path)
            .is_some_and(|seen| seen.settled && seen.state == *state)
    }

    /// Removes models whose file has been gone for long enough.
    fn retire(
        &mut self,
        files: &BTreeMap<String, (PathBuf, FileState)>,
        models: &mut Models,
    ) -> bool {
        self.absent_looks.retain(|id, _| !files.contains_key(id));
        let before = models.len();
        models.retain(|id, served| {
            if files.contains_key(id) {
                return true;
            }
            let looks = self.absent_looks.entry(id.clone()).or_default();
            *looks += 1;
            if *looks >= LOOKS_BEFORE_RETIRING {
                tracing::info!(model = %served.stamp.model_version, "model retired: its file is gone");
                return false;
            }
            true
        });
        models.len() != before
    }

    /// Opens, verifies and inserts one file; `state` was taken before reading, so a change during
    /// reading shows at the next look.
    fn load(&mut self, id: &str, path: &Path, state: FileState, models: &mut Models) -> bool {
        let settled = state.is_settled(SystemTime::now());
        let opened = match cvm::Model::open_file(path) {
            Ok(opened) => opened,
            Err(error) => {
                self.refuse(path, state, settled, error.to_string());
                return false;
            }
        };
        let seen = Seen {
            state,
            settled,
            refusal: None,
        };
        self.seen.insert(path.to_owned(), seen);
        let served = Served::new(id, opened.model);
        let before = models.get(id).map(|old| old.stamp.fingerprint.as_str());
        if before == Some(served.stamp.fingerprint.as_str()) {
            return false;
        }
        tracing::info!(
            model = %served.stamp.model_version,
            kind = %served.stamp.kind,
            fingerprint = %served.stamp.fingerprint,
            bytes = opened.size_bytes,
            replaced = before.unwrap_or("none"),
            "model loaded"
        );
        for note in served.model.notes() {
            tracing::warn!(model = %served.stamp.model_version, note, "model note");
        }
        models.insert(id.to_owned(), Arc::new(served));
        true
    }

    /// Remembers a refused file, and logs it unless the same was said of the same state.
    fn refuse(&mut self, path: &Path, state: FileState, settled: bool, why: String) {
        let known = self.seen.get(path);
        let told = known.is_some_and(|seen| {
            seen.state == state && seen.refusal.as_deref() == Some(why.as_str())
        });
        if !told {
            tracing::error!(file = ?path, cause = %why, "model file refused; what was served before stays");
        }
        let seen = Seen {
            state,
            settled,
            refusal: Some(why),
        };
        self.seen.insert(path.to_owned(), seen);
    }
}

/// The id of a model file: its name without the ending.
fn model_id(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    ModelName::is_id(stem).then(|| stem.to_owned())
}

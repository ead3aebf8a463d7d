//! The folder of models: what changed is verified first and swapped in whole.
//!
//! A model is a file (`retail.cvm`) or a folder with a manifest (`retail/manifest.json`, see `shelf`).
//!
//! A file is looked at by its times, size and inode. A file that fails verification leaves the
//! model it would have replaced serving, is logged once per state, and is tried again when it
//! changes. A file changed within the last moments is tried again in any case: it may still be
//! being written, within one tick of the file system's clock.

use crate::background::{self, Verified};
use crate::drift::Every;
use crate::file_state::FileState;
use crate::registry::{Deployment, Models, Refused, Registry, Served};
use crate::routing::Change;
use crate::shelf::{HELD, Shelf};
use crate::store::Store;
use crate::trust::{Signed, Trust};
use crate::unloaded::Held;
use cvm::repository::MANIFEST;
use cvm_proto::ModelName;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Most models of a folder.
const MAX_MODELS: usize = 1024;

/// Looks in a row that a file must be gone for: one gap may be a delete-and-copy replacement.
const LOOKS_BEFORE_RETIRING: u32 = 2;

/// Ending of model files.
const ENDING: &str = "cvm";

type Digest32 = [u8; 32];

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
    /// SHA-256 of the files whose models were last taken up.
    opened: HashMap<String, Digest32>,
    absent_looks: HashMap<String, u32>,
    unreadable: Option<String>,
    /// What is unloaded by request, until it is loaded by request; of versions as the file has it, what
    /// their shelves say takes its place.
    held: Held,
    shelves: BTreeMap<String, Shelf>,
    /// Folders that are not looked at, and why.
    left_out: BTreeMap<String, String>,
    trust: Trust,
    every: Every,
    /// What the folder is kept in step with.
    store: Store,
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Listing {
    files: BTreeMap<String, (PathBuf, FileState)>,
    shelves: BTreeMap<String, PathBuf>,
}

impl Listing {
    fn has(&self, id: &str) -> bool {
        self.files.contains_key(id) || self.shelves.contains_key(id)
    }
}

impl Folder {
    pub(crate) fn new(path: PathBuf, trust: Trust, every: Every, store: Store) -> Folder {
        Folder {
            held: Held::read(&path),
            path,
            seen: HashMap::new(),
            opened: HashMap::new(),
            absent_looks: HashMap::new(),
            unreadable: None,
            shelves: BTreeMap::new(),
            left_out: BTreeMap::new(),
            trust,
            every,
            store,
        }
    }

    /// Looks at a model's file, or at a version, at once, whatever is remembered, and serves it.
    ///
    /// # Errors
    /// Why it is not served.
    pub(crate) fn load_by_request(
        &mut self,
        id: &str,
        version: Option<&str>,
        registry: &Registry,
    ) -> Result<(), String> {
        self.held.models.remove(id);
        self.seen
            .retain(|path, _| model_id(path).as_deref() != Some(id));
        self.look(registry);
        if let Some(shelf) = self.shelves.get_mut(id) {
            let loaded = shelf.load_by_request(version);
            self.look(registry);
            self.remember_held();
            return loaded;
        }
        self.remember_held();
        single(version)?;
        if let Some(why) = self.refusals().get(&(id.to_owned(), String::new())) {
            return Err(why.clone());
        }
        match registry.snapshot().contains_key(id) {
            true => Ok(()),
            false => Err(format!(
                "the folder has neither a file {id}.{ENDING} nor {id}/{MANIFEST}"
            )),
        }
    }

    /// Stops serving a model, or a version, until it is loaded by request; requests in flight finish.
    ///
    /// # Errors
    /// There is no such model, or something points at the version.
    pub(crate) fn unload_by_request(
        &mut self,
        id: &str,
        version: Option<&str>,
        registry: &Registry,
    ) -> Result<(), String> {
        if let Some(shelf) = self.shelves.get_mut(id) {
            let unloaded = shelf.unload_by_request(version);
            self.look(registry);
            self.remember_held();
            return unloaded;
        }
        single(version)?;
        if !registry.snapshot().contains_key(id) && !self.held.models.contains(id) {
            return Err("it is not served".to_owned());
        }
        tracing::info!(model = id, "model unloaded by request");
        self.held.models.insert(id.to_owned());
        self.look(registry);
        self.remember_held();
        Ok(())
    }

    /// Writes down what is held, if it is not what is written already.
    fn remember_held(&mut self) {
        for (id, shelf) in &self.shelves {
            self.held.versions.insert(id.clone(), shelf.held().clone());
        }
        self.held
            .versions
            .retain(|_, versions| !versions.is_empty());
        if Held::read(&self.path) != self.held {
            self.held.write(&self.path);
        }
    }

    /// Changes who answers for a model.
    ///
    /// # Errors
    /// Why nothing changed.
    pub(crate) fn change_by_request(
        &mut self,
        id: &str,
        change: &Change,
        registry: &Registry,
    ) -> Result<(), String> {
        let changed = match self.shelves.get_mut(id) {
            Some(shelf) => shelf.change(change, &self.store),
            None if registry.snapshot().contains_key(id) => Err(format!(
                "it is a single file, whose one version always answers; a folder {id}/ with a \
                 {MANIFEST} has versions"
            )),
            None => Err("there is no such model".to_owned()),
        };
        self.look(registry);
        changed
    }

    /// Why something is not served.
    fn refusals(&self) -> Refused {
        let seen = self.seen.iter().filter_map(|(path, seen)| {
            let why = seen.refusal.clone()?;
            Some((name_of(path)?, why))
        });
        let held = self
            .held
            .models
            .iter()
            .map(|id| (id.clone(), HELD.to_owned()));
        let left_out = self.left_out.iter();
        let left_out = left_out.map(|(id, why)| (id.clone(), format!("{id}/ is left out: {why}")));
        let files = seen.chain(held).chain(left_out);
        let files = files.map(|(id, why)| ((id, String::new()), why));
        let shelves = self.shelves.iter().flat_map(|(id, shelf)| {
            let all = shelf.refusals().into_iter();
            all.map(|(version, why)| ((id.clone(), version), why))
        });
        let mut all: Refused = files.chain(shelves).collect();
        let problems = self.store.problems().into_iter();
        for (id, why) in problems.filter(|(id, _)| !id.is_empty()) {
            let own = all.entry((id, String::new())).or_default();
            match own.is_empty() {
                true => *own = why,
                false => *own = format!("{own}; {why}"),
            }
        }
        all
    }

    /// Looks at the folder and publishes what changed. An unreadable folder changes nothing.
    pub(crate) fn look(&mut self, registry: &Registry) {
        registry.sweep();
        match self.list() {
            Ok(listing) => {
                self.unreadable = None;
                registry.tell_of_folder(None);
                self.apply(listing, registry);
            }
            Err(error) => {
                let error = error.to_string();
                registry.tell_of_folder(Some(format!("the folder of models: {error}")));
                if self.unreadable.as_ref() != Some(&error) {
                    tracing::error!(folder = ?self.path, %error, "the folder cannot be read; its models stay");
                    self.unreadable = Some(error);
                }
            }
        }
    }

    /// Model files and folders by id; files that cannot be models are logged once and left out.
    fn list(&mut self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                if let Some(id) = shelf_id(&path) {
                    listing.shelves.insert(id, path);
                }
                continue;
            }
            // Follows links; a file gone since the listing is simply absent.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            let state = FileState::of(&metadata).under(&self.trust, &path);
            match model_id(&path) {
                Some(id) if metadata.is_file() => {
                    listing.files.insert(id, (path, state));
                }
                Some(_) => self.refuse(&path, state, true, "is not a regular file".to_owned()),
                None => {
                    let rule = "its name must be 1 to 64 of a-z, 0-9, `-` and `_`, then `.cvm`";
                    self.refuse(&path, state, true, rule.to_owned());
                }
            }
        }
        let Listing { files, shelves } = &mut listing;
        let named = shelves.keys().filter(|id| files.contains_key(*id));
        let named = named.map(|id| (id.clone(), format!("{id}.{ENDING} has its name")));
        self.left_out = named.collect();
        shelves.retain(|id, _| !files.contains_key(id));
        Ok(listing)
    }

    fn apply(&mut self, listing: Listing, registry: &Registry) {
        let mut models = Models::clone(&registry.snapshot());
        let mut changed = self.retire(&listing, &mut models);
        self.seen.retain(|path, _| path.exists());
        for id in &self.held.models {
            changed |= models.remove(id).is_some();
        }
        changed |= self.look_at_shelves(&listing, &mut models);
        let wanted = listing.files.into_iter().filter(|(id, (path, state))| {
            !self.held.models.contains(id) && !self.is_known(path, state)
        });
        let wanted: Vec<_> = wanted.collect();
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        for files in wanted.chunks(at_once) {
            let opened = self.open_all(files, &models);
            for ((id, (path, state)), opened) in files.iter().zip(opened) {
                changed |= self.take_up(id, path, *state, opened, &mut models);
            }
        }
        if changed {
            registry.publish(models);
        }
        registry.refuse(self.refusals());
    }

    fn look_at_shelves(&mut self, listing: &Listing, models: &mut Models) -> bool {
        let mut changed = false;
        let absent_looks = &self.absent_looks;
        self.shelves.retain(|id, _| {
            let gone = absent_looks
                .get(id)
                .is_some_and(|n| *n >= LOOKS_BEFORE_RETIRING);
            !gone && !listing.files.contains_key(id)
        });
        for (id, path) in &listing.shelves {
            if models.len() >= MAX_MODELS && !models.contains_key(id) {
                self.left_out.insert(id.clone(), crowded());
                continue;
            }
            let shelf = self.shelves.entry(id.clone());
            let held = self.held.versions.get(id);
            let shelf = shelf.or_insert_with(|| {
                let held = held.cloned().unwrap_or_default();
                Shelf::new(id, path, self.trust.clone(), self.every, held)
            });
            let looked = shelf.look();
            let same = match (shelf.deployment(), models.get(id)) {
                (Some(new), Some(old)) => Arc::ptr_eq(new, old),
                (new, old) => new.is_none() && old.is_none(),
            };
            if !looked && same {
                continue;
            }
            changed = true;
            self.opened.remove(id);
            match shelf.deployment() {
                Some(deployment) => models.insert(id.clone(), Arc::clone(deployment)),
                None => models.remove(id),
            };
        }
        changed
    }

    fn is_known(&self, path: &Path, state: &FileState) -> bool {
        self.seen
            .get(path)
            .is_some_and(|seen| seen.settled && seen.state == *state)
    }

    /// Removes models whose file or folder has been gone for long enough.
    fn retire(&mut self, listing: &Listing, models: &mut Models) -> bool {
        self.absent_looks.retain(|id, _| !listing.has(id));
        let before = models.len();
        models.retain(|id, _| {
            if listing.has(id) {
                return true;
            }
            let looks = self.absent_looks.entry(id.clone()).or_default();
            *looks += 1;
            if *looks >= LOOKS_BEFORE_RETIRING {
                tracing::info!(model = %id, "model retired: its file or folder is gone");
                return false;
            }
            true
        });
        models.len() != before
    }

    /// Opens and verifies files, each on a thread of its own.
    fn open_all(&self, files: &[(String, (PathBuf, FileState))], models: &Models) -> Vec<Opened> {
        let open = |(id, (path, state)): &(String, (PathBuf, FileState))| {
            let before = models.get(id);
            if models.len() >= MAX_MODELS && before.is_none() {
                return Opened::refused(crowded());
            }
            let serves = before.is_some_and(|own| own.champion.is_some());
            let known = self.opened.get(id).filter(|_| serves);
            Opened::of(&self.trust, id, path, state, known)
        };
        if let [file] = files {
            return vec![open(file)];
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = files
                .iter()
                .map(|file| scope.spawn(move || open(file)))
                .collect();
            let joined = threads.into_iter().map(|thread| {
                let failed = |_| Opened::refused("it could not be opened: a defect".to_owned());
                thread.join().unwrap_or_else(failed)
            });
            joined.collect()
        })
    }

    /// Inserts one file that was opened.
    fn take_up(
        &mut self,
        id: &str,
        path: &Path,
        state: FileState,
        opened: Opened,
        models: &mut Models,
    ) -> bool {
        let Opened { settled, outcome } = opened;
        let before = models.get(id).map(Arc::clone);
        let full = models.len() >= MAX_MODELS && before.is_none();
        let outcome = if full { Err(crowded()) } else { outcome };
        let (verified, digest, signed) = match outcome {
            Ok(opened) => opened,
            Err(why) => {
                self.refuse(path, state, settled, why);
                return false;
            }
        };
        let seen = Seen {
            state,
            settled,
            refusal: None,
        };
        self.seen.insert(path.to_owned(), seen);
        self.trust.served(id, signed.as_ref());
        let Some(verified) = verified else {
            return false;
        };
        self.opened.insert(id.to_owned(), digest);
        let served = Served::new(id, verified, self.every).signed(signed);
        served.announce();
        let deployment = Deployment::single(id, served, before.as_deref());
        models.insert(id.to_owned(), Arc::new(deployment));
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

fn crowded() -> String {
    format!("the folder has more than {MAX_MODELS} models")
}

/// What a file is told of by: its model, or its own name if that cannot be a model's.
fn name_of(path: &Path) -> Option<String> {
    let own = || {
        Some(
            path.file_name()?
                .to_string_lossy()
                .chars()
                .take(80)
                .collect(),
        )
    };
    model_id(path).or_else(own)
}

/// A file that was read.
struct Opened {
    /// Whether it had been left alone for long enough before.
    settled: bool,
    /// Its model, unless that is served already, its digest and who signed it; or why it is refused.
    outcome: Result<(Option<Verified>, Digest32, Option<Signed>), String>,
}

impl Opened {
    /// Opens and verifies a file; `state` was taken before reading, so a change during reading shows at
    /// the next look. Bytes that are `known` are served already and not verified again: a file that has
    /// just changed is read twice.
    fn of(
        trust: &Trust,
        id: &str,
        path: &Path,
        state: &FileState,
        known: Option<&Digest32>,
    ) -> Opened {
        let settled = state.is_settled(SystemTime::now());
        let outcome = read(path, state).and_then(|(bytes, digest)| {
            let signed = trust.check(id, id, path, &bytes)?;
            if known == Some(&digest) {
                return Ok((None, digest, signed));
            }
            let verified = background::open(bytes).map_err(|error| error.message)?;
            Ok((Some(verified), digest, signed))
        });
        Opened { settled, outcome }
    }

    /// A file that is refused for now.
    fn refused(why: String) -> Opened {
        Opened {
            settled: false,
            outcome: Err(why),
        }
    }
}

/// Reads a file, and takes the digest of its bytes.
fn read(path: &Path, state: &FileState) -> Result<(Vec<u8>, Digest32), String> {
    let path = path.to_owned();
    background::aside(state.size_bytes(), move || {
        let bytes = cvm::repository::read_file(&path).map_err(|error| error.message)?;
        let digest = Sha256::digest(&bytes).into();
        Ok((bytes, digest))
    })
}

/// The id of a folder with a manifest: its name.
fn shelf_id(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    (ModelName::is_id(name) && path.join(MANIFEST).is_file()).then(|| name.to_owned())
}

/// A single file has one version, which cannot be named.
fn single(version: Option<&str>) -> Result<(), String> {
    match version {
        None => Ok(()),
        Some(_) => Err(format!(
            "it is a single file: load and unload it in whole, or give it a folder with a {MANIFEST}"
        )),
    }
}

/// The id of a model file: its name without the ending.
fn model_id(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    ModelName::is_id(stem).then(|| stem.to_owned())
}

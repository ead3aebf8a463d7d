//! A model's folder with a manifest: which of its versions are loaded, and who of them answers.
//!
//! A version is read once its manifest names it, checked against the manifest's digest, verified and
//! only then loaded. Whatever cannot be used (the manifest, a file, `routing.json`) leaves in force what
//! was in force, and says why.

use crate::background;
use crate::drift::Every;
use crate::file_state::{Look, is_known};
use crate::registry::{Deployment, Served, Versions};
use crate::routing::{CHAMPION, Change, ROUTING, Routing};
use crate::split::{Split, unlike};
use crate::store::Store;
use crate::trust::Trust;
use cvm::repository::{MANIFEST, Manifest, ManifestVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a version that was to be served is not.
pub(crate) const HELD: &str = "unloaded by request";

/// What is remembered of a version's file.
#[derive(Debug)]
struct Seen {
    look: Option<Look>,
    sha256: String,
    refusal: Option<String>,
}

/// A model's folder and what is remembered of it.
#[derive(Debug)]
pub(crate) struct Shelf {
    id: String,
    folder: PathBuf,
    manifest: Manifest,
    manifest_look: Option<Look>,
    manifest_refusal: Option<String>,
    seen: BTreeMap<String, Seen>,
    /// The newest `routing.json` that could be read.
    wanted: Option<Routing>,
    routing_look: Option<Look>,
    routing_refusal: Option<String>,
    /// Versions unloaded by request, until they are loaded by request.
    held: BTreeSet<String>,
    served: Option<Arc<Deployment>>,
    trust: Trust,
    every: Every,
}

impl Shelf {
    /// A folder of which these versions are held.
    pub(crate) fn new(
        id: &str,
        folder: &Path,
        trust: Trust,
        every: Every,
        held: BTreeSet<String>,
    ) -> Shelf {
        Shelf {
            id: id.to_owned(),
            folder: folder.to_owned(),
            manifest: Manifest::default(),
            manifest_look: None,
            manifest_refusal: None,
            seen: BTreeMap::new(),
            wanted: None,
            routing_look: None,
            routing_refusal: None,
            held,
            served: None,
            trust,
            every,
        }
    }

    /// Versions unloaded by request.
    pub(crate) fn held(&self) -> &BTreeSet<String> {
        &self.held
    }

    /// What is in force; none while no version is loaded.
    pub(crate) fn deployment(&self) -> Option<&Arc<Deployment>> {
        self.served.as_ref()
    }

    /// Why something of this folder is not used, by version; what is about no version under "".
    pub(crate) fn refusals(&self) -> BTreeMap<String, String> {
        let files = self.seen.iter().filter_map(|(version, seen)| {
            let why = seen.refusal.clone()?;
            Some((version.clone(), why))
        });
        let held = self.held.iter().map(|v| (v.clone(), HELD.to_owned()));
        let mut all: BTreeMap<String, String> = files.chain(held).collect();
        let whole = [&self.manifest_refusal, &self.routing_refusal];
        let whole: Vec<&str> = whole.into_iter().flatten().map(String::as_str).collect();
        if !whole.is_empty() {
            all.insert(String::new(), whole.join("; "));
        }
        all
    }

    /// Looks at the folder; whether what is in force changed.
    pub(crate) fn look(&mut self) -> bool {
        self.read_manifest();
        let mut versions = match &self.served {
            Some(served) => served.versions.clone(),
            None => Versions::new(),
        };
        let loaded = self.load_all(&mut versions);
        let retired = self.retire(&mut versions);
        self.read_routing();
        let routing = self.route(&versions);
        let before = self.served.as_ref().map(|served| &served.routing);
        if !loaded && !retired && before.unwrap_or(&Routing::default()) == &routing {
            return false;
        }
        self.served = match versions.is_empty() {
            true => None,
            false => {
                let before = self.served.as_deref();
                let deployment = Deployment::new(&self.id, versions, routing, before);
                Some(Arc::new(deployment))
            }
        };
        true
    }

    fn read_manifest(&mut self) {
        let now = Look::at(&self.folder.join(MANIFEST));
        if is_known(self.manifest_look, now) {
            return;
        }
        self.manifest_look = now;
        match Manifest::read(&self.folder) {
            Ok(manifest) => {
                self.manifest = manifest;
                self.manifest_refusal = None;
            }
            Err(error) => {
                let id = &self.id;
                tell(id, "manifest", &mut self.manifest_refusal, error.message);
            }
        }
    }

    /// Loads what the manifest names and is not loaded.
    fn load_all(&mut self, versions: &mut Versions) -> bool {
        let named: BTreeSet<&str> = self.manifest.versions.iter().map(|e| &*e.version).collect();
        self.seen
            .retain(|version, _| named.contains(version.as_str()));
        let mut changed = false;
        for entry in self.manifest.versions.clone() {
            if self.held.contains(&entry.version) {
                continue;
            }
            changed |= self.load(&entry, versions);
        }
        changed
    }

    fn load(&mut self, entry: &ManifestVersion, versions: &mut Versions) -> bool {
        let now = Look::under(&entry.path(&self.folder), &self.trust);
        let seen = self.seen.get(&entry.version);
        // A loaded version is never read again: its bytes are those of the manifest.
        let known = seen.is_some_and(|seen| {
            let same = seen.sha256 == entry.sha256;
            let loaded = seen.refusal.is_none() && versions.contains_key(&entry.version);
            same && (loaded || is_known(seen.look, now))
        });
        if known {
            return false;
        }
        let opened = self.open(entry);
        let mut refusal = seen.and_then(|seen| seen.refusal.clone());
        let served = match opened {
            Ok(served) => {
                refusal = None;
                Some(served)
            }
            Err(why) => {
                tell(&self.id, &entry.version, &mut refusal, why);
                None
            }
        };
        let seen = Seen {
            look: now,
            sha256: entry.sha256.clone(),
            refusal,
        };
        self.seen.insert(entry.version.clone(), seen);
        served.is_some_and(|served| {
            served.announce();
            versions.insert(entry.version.clone(), Arc::new(served));
            true
        })
    }

    /// Reads, trusts and verifies a version, all in the same bytes.
    fn open(&self, entry: &ManifestVersion) -> Result<Served, String> {
        let (own, folder) = (entry.clone(), self.folder.clone());
        let bytes = background::aside(entry.size_bytes, move || own.read(&folder));
        let bytes = bytes.map_err(|error| error.message)?;
        let slot = format!("{}/{}", self.id, entry.version);
        let path = entry.path(&self.folder);
        let signed = self.trust.check(&self.id, &slot, &path, &bytes)?;
        let verified = background::open(bytes).map_err(|error| error.message)?;
        self.trust.served(&slot, signed.as_ref());
        Ok(Served::version(&self.id, &entry.version, verified, self.every).signed(signed))
    }

    /// Takes out what the manifest no longer names, but nothing that something points at.
    fn retire(&mut self, versions: &mut Versions) -> bool {
        let before = versions.len();
        let routing = self.served.as_ref().map(|served| served.routing.clone());
        let routing = routing.unwrap_or_default();
        let (manifest, held) = (&self.manifest, &self.held);
        let mut kept = Vec::new();
        versions.retain(|version, _| {
            if held.contains(version) {
                return false;
            }
            if manifest.get(version).is_some() {
                return true;
            }
            let uses = routing.uses_of(version);
            if !uses.is_empty() {
                let uses = uses.join(", ");
                kept.push(format!(
                    "{version} is no longer in {MANIFEST}; {uses} keeps it"
                ));
            }
            !uses.is_empty()
        });
        if !kept.is_empty() && self.manifest_refusal.is_none() {
            self.manifest_refusal = Some(kept.join("; "));
            // Looked at again: once nothing points at them they go.
            self.manifest_look = None;
        }
        versions.len() != before
    }

    fn read_routing(&mut self) {
        let now = Look::at(&self.folder.join(ROUTING));
        if is_known(self.routing_look, now) {
            return;
        }
        self.routing_look = now;
        match Routing::read(&self.folder) {
            Ok(routing) => {
                self.wanted = routing;
                self.routing_refusal = None;
            }
            Err(why) => tell(&self.id, ROUTING, &mut self.routing_refusal, why),
        }
    }

    /// What is to be in force: what is wanted, if it points at loaded versions only. Else what was in
    /// force stays; at a start it is what can be.
    fn route(&mut self, versions: &Versions) -> Routing {
        let loaded = |version: &str| versions.contains_key(version);
        let before = self.served.as_ref().map(|served| &served.routing);
        let mut routing = match &self.wanted {
            None => before.cloned().unwrap_or_default(),
            Some(wanted) => {
                let mut dangling = wanted.dangling(loaded);
                dangling.extend(unlike(wanted, versions));
                match (dangling.is_empty(), before) {
                    (true, _) => {
                        self.routing_refusal = None;
                        wanted.clone()
                    }
                    (false, before) => {
                        let mut rest = before.unwrap_or(wanted).only(loaded);
                        if !unlike(&rest, versions).is_empty() {
                            rest.split = Split::default();
                        }
                        let why = format!("{ROUTING}: {}", dangling.join("; "));
                        tell(&self.id, ROUTING, &mut self.routing_refusal, why);
                        rest
                    }
                }
            }
        };
        // Without a word on it the first version is the champion: a new one never is by itself.
        let first = self.manifest.versions.first().map(|entry| &entry.version);
        let first = first.filter(|version| loaded(version));
        let unsaid = self.wanted.as_ref().is_none_or(|w| w.champion().is_none());
        if let (None, Some(first), true) = (routing.champion(), first, unsaid) {
            routing.aliases.insert(CHAMPION.to_owned(), first.clone());
        }
        routing
    }

    /// Changes who answers: checked, written, then in force.
    ///
    /// # Errors
    /// Why nothing changed.
    pub(crate) fn change(&mut self, change: &Change, store: &Store) -> Result<(), String> {
        self.look();
        let served = self.served.as_ref().ok_or("no version of it is loaded")?;
        let next = served.routing.changed(change)?;
        let mut dangling = next.dangling(|version| served.versions.contains_key(version));
        dangling.extend(unlike(&next, &served.versions));
        if !dangling.is_empty() {
            return Err(dangling.join("; "));
        }
        // Where there is a store it is the truth: what it does not take is not in force here either.
        if !store.push(&self.id, &next.to_text()?)? {
            next.write(&self.folder)?;
        }
        tracing::info!(model = %self.id, ?change, "routing changed by request");
        self.routing_look = None;
        self.look();
        match &self.routing_refusal {
            None => Ok(()),
            Some(why) => Err(why.clone()),
        }
    }

    /// Reads a version, or all, at once, whatever is remembered.
    ///
    /// # Errors
    /// Why a version is not loaded.
    pub(crate) fn load_by_request(&mut self, version: Option<&str>) -> Result<(), String> {
        let asked = |own: &str| version.is_none_or(|version| version == own);
        self.held.retain(|own| !asked(own));
        self.seen
            .retain(|own, seen| !(asked(own) && seen.refusal.is_some()));
        self.manifest_look = None;
        self.look();
        if let Some(why) = self.refusals().into_iter().find(|(own, _)| asked(own)) {
            return Err(format!("version {}: {}", why.0, why.1));
        }
        match version.filter(|version| self.manifest.get(version).is_none()) {
            None => Ok(()),
            Some(version) => Err(format!("{MANIFEST} does not name version {version}")),
        }
    }

    /// Unloads a version that nothing points at, or the whole model.
    ///
    /// # Errors
    /// Something points at the version, or it is not loaded.
    pub(crate) fn unload_by_request(&mut self, version: Option<&str>) -> Result<(), String> {
        let served = self.served.as_ref().ok_or("no version of it is loaded")?;
        match version {
            None => self.held.extend(served.versions.keys().cloned()),
            Some(version) if !served.versions.contains_key(version) => {
                return Err(format!("version {version} is not loaded"));
            }
            Some(version) => {
                let uses = served.routing.uses_of(version);
                if !uses.is_empty() {
                    return Err(format!("{} points at it: move it first", uses.join(", ")));
                }
                self.held.insert(version.to_owned());
            }
        }
        self.look();
        Ok(())
    }
}

/// Remembers why something is not used, and logs it unless the same was said before.
fn tell(model: &str, what: &str, before: &mut Option<String>, why: String) {
    if before.as_ref() != Some(&why) {
        tracing::error!(model, what, cause = %why, "not used; what was in force stays");
        *before = Some(why);
    }
}

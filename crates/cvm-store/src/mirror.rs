//! A folder kept in step with a repository in a store.
//!
//! One listing of the store tells what changed. A file of a version is fetched once, held against the
//! digest of its manifest, written beside and renamed; a manifest comes into the folder after the files it
//! names. Whatever fails leaves the folder as it is and is told by model.

use crate::location::{Location, Tag};
use cvm::repository::{MANIFEST, Manifest, ManifestVersion, is_model_id, replace_file};
use cvm::signature::Signature;
use cvm::{Error, ErrorKind};
use object_store::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Name of the file that says who answers, in a model's folder.
const ROUTING: &str = "routing.json";

/// Largest manifest, `routing.json` or signature.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Listings in a row that a model must be missing from before it is taken out of the folder.
const LOOKS_BEFORE_REMOVING: u32 = 2;

/// What is wrong, by model; what is about no model under "".
pub type Problems = BTreeMap<String, String>;

/// Objects of a model by name.
type Objects = BTreeMap<String, ObjectMeta>;

/// A store, a folder, and what is known of both.
#[derive(Debug)]
pub struct Mirror {
    from: Location,
    folder: PathBuf,
    models: BTreeMap<String, Known>,
    missing: HashMap<String, u32>,
}

/// What is known of a model in the folder.
#[derive(Debug, Default)]
struct Known {
    manifest: Manifest,
    /// Objects as they were when they were fetched.
    tags: HashMap<String, Tag>,
    /// Digests of the files that were held against their manifest, by name.
    files: HashMap<String, String>,
}

impl Mirror {
    /// Keeps `folder`, which is made if it is not there, in step with a repository.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(from: Location, folder: PathBuf) -> Result<Mirror, Error> {
        std::fs::create_dir_all(&folder).map_err(|error| file_error(&folder, &error))?;
        Ok(Mirror {
            from,
            folder,
            models: BTreeMap::new(),
            missing: HashMap::new(),
        })
    }

    /// Looks at the store once and takes over what changed.
    pub async fn sync(&mut self) -> Problems {
        let mut problems = Problems::new();
        let listed = match self.from.list().await {
            Ok(listed) => by_model(listed, &mut problems),
            Err(error) => {
                problems.insert(String::new(), error.message);
                return problems;
            }
        };
        if listed.is_empty() && self.has_models() {
            // A store that is not mounted, or a prefix with a slip in it, looks so too.
            let why = format!(
                "{} lists no model; what was fetched stays",
                self.from.shown()
            );
            problems.insert(String::new(), why);
            return problems;
        }
        for (id, objects) in &listed {
            let mut wrong = Vec::new();
            self.sync_model(id, objects, &mut wrong).await;
            if !wrong.is_empty() {
                problems.insert(id.clone(), wrong.join("; "));
            }
        }
        if let Err(error) = self.remove_missing(&listed) {
            problems.insert(String::new(), error.message);
        }
        problems
    }

    /// Writes a model's `routing.json` into the store, unless somebody else has written another since, and
    /// then into the folder.
    ///
    /// # Errors
    /// The store does not take it; the folder is as it was.
    pub async fn push_routing(&mut self, id: &str, bytes: &[u8]) -> Result<(), Error> {
        let known = self.models.entry(id.to_owned()).or_default();
        let before = known.tags.get(ROUTING);
        let written = self.from.put(&[id, ROUTING], bytes, before).await;
        let tag = written.map_err(|error| match error.kind {
            ErrorKind::Incompatible => {
                let why =
                    "was changed in the store by somebody else; try again after the next look";
                Error::new(error.kind, format!("{id}/{ROUTING} {why}"))
            }
            _ => error,
        })?;
        known.tags.insert(ROUTING.to_owned(), tag);
        replace_file(&self.folder.join(id).join(ROUTING), bytes)
    }

    async fn sync_model(&mut self, id: &str, objects: &Objects, wrong: &mut Vec<String>) {
        let folder = self.folder.join(id);
        if let Err(error) = std::fs::create_dir_all(&folder) {
            wrong.push(file_error(&folder, &error).message);
            return;
        }
        let known = self.models.entry(id.to_owned()).or_default();
        let model = Model {
            from: &self.from,
            id,
            folder: &folder,
            objects,
        };
        let begun = folder.join(MANIFEST).is_file();
        // A new model comes whole: its routing is there when its manifest is.
        let steps = [!begun, true, begun];
        for (step, due) in steps.into_iter().enumerate() {
            let done = match (step, due) {
                (1, _) => model.sync_versions(known, wrong).await,
                (_, true) => model.sync_text(ROUTING, known).await,
                (_, false) => Ok(()),
            };
            if let Err(error) = done {
                wrong.push(error.message);
            }
        }
    }

    /// Whether the folder has a model, from whatever run.
    #[must_use]
    pub fn has_models(&self) -> bool {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let mut entries = entries.filter_map(Result::ok);
        entries.any(|entry| entry.path().join(MANIFEST).is_file())
    }

    /// Takes models out of the folder that the store no longer has.
    fn remove_missing(&mut self, listed: &BTreeMap<String, Objects>) -> Result<(), Error> {
        let failed = |error: &std::io::Error| file_error(&self.folder, error);
        self.missing.retain(|id, _| !listed.contains_key(id));
        for entry in std::fs::read_dir(&self.folder).map_err(|e| failed(&e))? {
            let entry = entry.map_err(|e| failed(&e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if listed.contains_key(&name) || !is_model_id(&name) || !entry.path().is_dir() {
                continue;
            }
            let looks = self.missing.entry(name.clone()).or_default();
            *looks += 1;
            if *looks >= LOOKS_BEFORE_REMOVING {
                tracing::info!(model = %name, store = %self.from.shown(), "the store no longer has the model");
                self.models.remove(&name);
                std::fs::remove_dir_all(entry.path()).map_err(|e| failed(&e))?;
            }
        }
        Ok(())
    }
}

/// Objects by model; what cannot be a model is told.
fn by_model(
    listed: Vec<(Vec<String>, ObjectMeta)>,
    problems: &mut Problems,
) -> BTreeMap<String, Objects> {
    let mut models: BTreeMap<String, Objects> = BTreeMap::new();
    for (parts, meta) in listed {
        match parts.as_slice() {
            [id, name] if is_model_id(id) => {
                let objects = models.entry(id.clone()).or_default();
                objects.insert(name.clone(), meta);
            }
            [file] => {
                let id = file.strip_suffix(".cvm").filter(|id| is_model_id(id));
                if let Some(id) = id {
                    let why = format!(
                        "{file} is not served: a model in a store has a {MANIFEST} (`cvm publish`)"
                    );
                    problems.insert(id.to_owned(), why);
                }
            }
            _ => {}
        }
    }
    models.retain(|_, objects| objects.contains_key(MANIFEST));
    models
}

/// One model while it is looked at.
struct Model<'a> {
    from: &'a Location,
    id: &'a str,
    folder: &'a Path,
    objects: &'a Objects,
}

impl Model<'_> {
    /// Fetches the manifest if it is another, and whatever it names and is not there.
    async fn sync_versions(&self, known: &mut Known, wrong: &mut Vec<String>) -> Result<(), Error> {
        let fetched = match self.is_new(MANIFEST, known) {
            false => None,
            true => {
                let (bytes, tag) = self.get(MANIFEST).await?;
                let text = String::from_utf8(bytes).unwrap_or_default();
                let manifest = Manifest::parse(&text).map_err(|error| self.at(error))?;
                Some((manifest, text, tag))
            }
        };
        let manifest = fetched.as_ref().map_or(&known.manifest, |(new, _, _)| new);
        for entry in manifest.versions.clone() {
            if let Err(error) = self.sync_file(&entry, known).await {
                wrong.push(error.message);
            }
        }
        if let Some((manifest, text, tag)) = fetched {
            self.write(MANIFEST, text.as_bytes())?;
            known.tags.insert(MANIFEST.to_owned(), tag);
            known.manifest = manifest;
            self.sweep(known)?;
        }
        Ok(())
    }

    /// A version's file, and the signature beside it, which comes first: without it a file may be refused.
    async fn sync_file(&self, entry: &ManifestVersion, known: &mut Known) -> Result<(), Error> {
        let name = entry.file.as_str();
        let signature = Signature::path_of(Path::new(name));
        if let Some(signature) = signature.to_str() {
            self.sync_text(signature, known).await?;
        }
        if known.files.get(name) == Some(&entry.sha256) && self.folder.join(name).is_file() {
            return Ok(());
        }
        // Of an earlier run: in whole, or fetched again.
        if entry.read(self.folder).is_err() {
            if !self.objects.contains_key(name) {
                let why = format!(
                    "{}/{name} is not in the store, {MANIFEST} names it",
                    self.id
                );
                return Err(Error::new(ErrorKind::NotFound, why));
            }
            let (bytes, _) = self.from.get(&[self.id, name], entry.size_bytes).await?;
            entry.check_bytes(&bytes).map_err(|error| self.at(error))?;
            self.write(name, &bytes)?;
            tracing::info!(model = %self.id, version = %entry.version, store = %self.from.shown(), "version fetched");
        }
        known.files.insert(name.to_owned(), entry.sha256.clone());
        Ok(())
    }

    /// A small file that may change or go.
    async fn sync_text(&self, name: &str, known: &mut Known) -> Result<(), Error> {
        if !self.objects.contains_key(name) {
            known.tags.remove(name);
            let path = self.folder.join(name);
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(file_error(&path, &error))
                }
                _ => Ok(()),
            };
        }
        if !self.is_new(name, known) {
            return Ok(());
        }
        let (bytes, tag) = self.get(name).await?;
        self.write(name, &bytes)?;
        known.tags.insert(name.to_owned(), tag);
        Ok(())
    }

    /// Takes out files that the manifest no longer names; who has loaded one keeps it.
    fn sweep(&self, known: &mut Known) -> Result<(), Error> {
        let failed = |error: std::io::Error| file_error(self.folder, &error);
        let versions = &known.manifest.versions;
        let files = versions.iter().map(|entry| entry.path(self.folder));
        let signed = files.clone().map(|path| Signature::path_of(&path));
        let texts = [MANIFEST, ROUTING].map(|name| self.folder.join(name));
        let kept: BTreeSet<PathBuf> = files.chain(signed).chain(texts).collect();
        for entry in std::fs::read_dir(self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_file() && !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        let named = |name: &String| versions.iter().any(|entry| entry.file == *name);
        known.files.retain(|name, _| named(name));
        Ok(())
    }

    fn is_new(&self, name: &str, known: &Known) -> bool {
        let same = self.objects.get(name).zip(known.tags.get(name));
        let same = same.is_some_and(|(now, before)| before.is_of(now));
        !same || !self.folder.join(name).is_file()
    }

    async fn get(&self, name: &str) -> Result<(Vec<u8>, Tag), Error> {
        self.from.get(&[self.id, name], MAX_TEXT_BYTES).await
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        replace_file(&self.folder.join(name), bytes)
    }

    fn at(&self, error: Error) -> Error {
        let message = format!("{}: {}", self.id, error.message);
        Error { message, ..error }
    }
}

fn file_error(path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("{}: {error}", path.display()),
    )
}

//! Whose model files are served: signatures by trusted keys, and none older than one served before.

use crate::identity::Watched;
use cvm::signature::{PublicKey, Signature};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is asked of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TrustPolicy {
    /// A signature of a trusted key.
    Required,
    /// None, but a signature that is there must be one of a trusted key, and what was signed once must
    /// be signed again.
    Optional,
}

/// Who signed a file, and its counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) key: String,
    pub(crate) counter: u64,
}

/// The highest counter served, by model, or by model and version.
type Counters = BTreeMap<String, u64>;

/// The policy in force.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Option<Arc<Rules>>);

#[derive(Debug)]
struct Rules {
    policy: TrustPolicy,
    keys: Arc<Watched<Vec<PublicKey>>>,
    counters: Mutex<Counters>,
    /// Where counters outlive a restart.
    file: Option<PathBuf>,
    refusals: AtomicU64,
}

impl Trust {
    /// The policy under keys; none without keys.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn new(
        policy: TrustPolicy,
        keys: Option<PathBuf>,
        state: Option<PathBuf>,
    ) -> Result<Trust, String> {
        let Some(path) = keys else {
            return Ok(Trust(None));
        };
        let counters = state.as_deref().map(read_counters).transpose()?;
        let files = vec![path.clone()];
        let rules = Rules {
            policy,
            keys: Arc::new(Watched::new("trusted keys", files, move || {
                read_keys(&path)
            })?),
            counters: Mutex::new(counters.unwrap_or_default()),
            file: state,
            refusals: AtomicU64::new(0),
        };
        Ok(Trust(Some(Arc::new(rules))))
    }

    /// No policy.
    pub(crate) const fn none() -> Trust {
        Trust(None)
    }

    /// Takes up changed keys.
    pub(crate) fn look(&self) {
        if let Some(rules) = &self.0 {
            rules.keys.look();
        }
    }

    /// Changes when the keys do: what was refused under old keys is looked at again.
    pub(crate) fn generation(&self) -> u64 {
        self.0.as_ref().map_or(0, |rules| rules.keys.generation())
    }

    /// Whether files have signatures to look at.
    pub(crate) fn is_in_force(&self) -> bool {
        self.0.is_some()
    }

    /// Files refused since the start.
    pub(crate) fn refusals(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |rules| rules.refusals.load(Ordering::Relaxed))
    }

    /// Holds a file that is to be `model` against the policy. `slot` is what must not go back: the
    /// model, or a version of it.
    ///
    /// # Errors
    /// Why the file is not trusted.
    pub(crate) fn check(
        &self,
        model: &str,
        slot: &str,
        path: &Path,
        file: &[u8],
    ) -> Result<Option<Signed>, String> {
        let Some(rules) = &self.0 else {
            return Ok(None);
        };
        let found = rules.check(model, slot, path, file);
        if found.is_err() {
            rules.refusals.fetch_add(1, Ordering::Relaxed);
        }
        found.map_err(|why| format!("not trusted: {why}"))
    }

    /// Remembers that a file is served: an older one is none from now on.
    pub(crate) fn served(&self, slot: &str, signed: Option<&Signed>) {
        if let (Some(rules), Some(signed)) = (&self.0, signed) {
            rules.remember(slot, signed.counter);
        }
    }
}

impl Rules {
    fn check(
        &self,
        model: &str,
        slot: &str,
        path: &Path,
        file: &[u8],
    ) -> Result<Option<Signed>, String> {
        let signature = Signature::beside(path).map_err(|error| error.message)?;
        let counters = self.counters.lock().map_err(|_| "the counters are lost")?;
        let before = counters.get(slot).copied();
        let Some(signature) = signature else {
            return match (self.policy, before) {
                (TrustPolicy::Required, _) => Err("it has no signature".to_owned()),
                (TrustPolicy::Optional, Some(_)) => {
                    Err("it has no signature, what was served before had one".to_owned())
                }
                (TrustPolicy::Optional, None) => Ok(None),
            };
        };
        let keys = self.keys.load();
        signature
            .verify(&keys, model, file)
            .map_err(|error| error.message)?;
        let counter = signature.counter;
        match before.filter(|before| counter < *before) {
            Some(before) => Err(format!(
                "its counter {counter} is older than {before}, served before"
            )),
            None => Ok(Some(Signed {
                key: signature.key,
                counter,
            })),
        }
    }

    fn remember(&self, slot: &str, counter: u64) {
        let Ok(mut counters) = self.counters.lock() else {
            return;
        };
        if counters.get(slot).is_some_and(|before| *before >= counter) {
            return;
        }
        counters.insert(slot.to_owned(), counter);
        let Some(path) = &self.file else {
            return;
        };
        let text = serde_json::to_vec_pretty(&*counters).unwrap_or_default();
        if let Err(error) = cvm::repository::replace_file(path, &text) {
            tracing::error!(file = ?path, %error, "counters of signatures will not outlive this process");
        }
    }
}

fn read_keys(path: &Path) -> Result<Vec<PublicKey>, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| at(error.to_string()))?;
    PublicKey::all_from_pem(&text).map_err(|error| at(error.message))
}

/// A file that is not there yet holds no counters.
fn read_counters(path: &Path) -> Result<Counters, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Counters::new()),
        Err(error) => Err(at(error.to_string())),
        Ok(text) => serde_json::from_str(&text).map_err(|error| at(error.to_string())),
    }
}

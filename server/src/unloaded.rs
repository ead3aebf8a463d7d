//! What was unloaded by request: kept in a file beside the models, so that it stays so over a restart.
//!
//! ```text
//! {"unloaded": ["churn", "retail/2026.11"]}
//! ```

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name of the file in the folder of models.
const FILE: &str = "unloaded.json";

/// Largest such file.
const MAX_BYTES: u64 = 8 << 20;

/// Models, and versions of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Models of a single file.
    pub(crate) models: BTreeSet<String>,
    /// Versions by model.
    pub(crate) versions: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    unloaded: BTreeSet<String>,
}

impl Held {
    /// Reads the file of a folder; what cannot be read is told, and holds nothing.
    pub(crate) fn read(folder: &Path) -> Held {
        let path = folder.join(FILE);
        match std::fs::metadata(&path) {
            Err(_) => return Held::default(),
            Ok(facts) if facts.len() > MAX_BYTES => {
                tracing::error!(
                    ?path,
                    "larger than {MAX_BYTES} bytes; nothing stays unloaded"
                );
                return Held::default();
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let text = text.and_then(|text| {
            serde_json::from_str::<Text>(&text).map_err(|error| error.to_string())
        });
        match text {
            Ok(Text { unloaded }) => Held::of(unloaded),
            Err(error) => {
                tracing::error!(?path, %error, "cannot be read; nothing stays unloaded");
                Held::default()
            }
        }
    }

    fn of(names: BTreeSet<String>) -> Held {
        let mut held = Held::default();
        for name in names {
            match name.split_once('/') {
                None => {
                    held.models.insert(name);
                }
                Some((model, version)) => {
                    let versions = held.versions.entry(model.to_owned()).or_default();
                    versions.insert(version.to_owned());
                }
            }
        }
        held
    }

    /// Writes the file of a folder. A folder that cannot be written is told: then an unload lasts until
    /// the server starts anew.
    pub(crate) fn write(&self, folder: &Path) {
        let versions = self.versions.iter().flat_map(|(model, versions)| {
            versions
                .iter()
                .map(move |version| format!("{model}/{version}"))
        });
        let unloaded = self.models.iter().cloned().chain(versions).collect();
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(&Text { unloaded }).unwrap_or_default();
        if let Err(error) = cvm::repository::replace_file(&path, &text) {
            tracing::error!(?path, %error, "what is unloaded by request will be loaded by the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE, Held};
    use tempfile::TempDir;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_holds_nothing() {
        let folder = TempDir::new().unwrap();
        assert_eq!(Held::read(folder.path()), Held::default());
        let names = ["churn", "retail/1", "retail/2026.11"].map(str::to_owned);
        let held = Held::of(names.into());
        assert_eq!((held.models.len(), held.versions["retail"].len()), (1, 2));
        held.write(folder.path());
        assert_eq!(Held::read(folder.path()), held);
        for broken in ["", "[]", r#"{"unloaded": 3}"#, r#"{"held": []}"#] {
            std::fs::write(folder.path().join(FILE), broken).unwrap();
            assert_eq!(Held::read(folder.path()), Held::default(), "{broken}");
        }
        // A folder that is not there: told, and nothing else.
        held.write(&folder.path().join("absent"));
    }
}

//! A model's folder: a manifest that names its versions, each with the digest of its file.
//!
//! ```text
//! churn/manifest.json      {"format": "cvm-repository/1", "versions": [
//! churn/2026.11.cvm           {"version": "2026.11", "file": "2026.11.cvm", "size_bytes": 812, "sha256": "…"},
//! churn/2026.12.cvm           {"version": "2026.12", "file": "2026.12.cvm", "size_bytes": 815, "sha256": "…"}]}
//! ```
//!
//! The manifest is the list: a file it does not name is nothing, and a file that is not byte for byte
//! what it says is not opened. Files are written before the manifest names them, so a copy that is
//! half done is never read as a model.

use crate::{Error, Fingerprint, Model};
use cvm_core::ErrorKind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the manifest in a model's folder.
pub const MANIFEST: &str = "manifest.json";

/// Most versions of one model: all are held in memory.
pub const MAX_VERSIONS: usize = 64;

const FORMAT: &str = "cvm-repository/1";

/// Longest name of a model or version, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Largest manifest; 64 entries take about 16 KiB.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Whether `text` may name a model, or an alias: 1 to 64 of `a-z 0-9 - _`.
#[must_use]
pub fn is_model_id(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(legal)
}

/// Whether `text` may name a version: 1 to 64 of `A-Z a-z 0-9 - _ . +`.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(legal)
}

/// The versions of a model, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// In the order they were published.
    pub versions: Vec<ManifestVersion>,
}

/// One version: where its file is, and what the file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestVersion {
    /// Name of the version.
    pub version: String,
    /// Name of the file, in the folder of the manifest.
    pub file: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file in whole, 64 lowercase hexadecimal digits.
    pub sha256: String,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest {
            format: FORMAT.to_owned(),
            versions: Vec::new(),
        }
    }
}

impl Manifest {
    /// Reads and checks the manifest of a folder.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Incompatible` or `Corrupt` with what is wrong in it.
    pub fn read(folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join(MANIFEST);
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::InvalidInput,
            };
            Error::new(kind, format!("{}: {error}", path.display()))
        };
        let size_bytes = std::fs::metadata(&path).map_err(failed)?.len();
        if size_bytes > MAX_MANIFEST_BYTES {
            let why = format!("{MANIFEST} has {size_bytes} bytes: at most {MAX_MANIFEST_BYTES}");
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        Manifest::parse(&std::fs::read_to_string(&path).map_err(failed)?)
    }

    /// Reads and checks the text of a manifest.
    ///
    /// # Errors
    /// `Incompatible` or `Corrupt` with what is wrong in it.
    pub fn parse(text: &str) -> Result<Manifest, Error> {
        let corrupt = |why: String| Error::new(ErrorKind::Corrupt, format!("{MANIFEST}: {why}"));
        let manifest: Manifest =
            serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
        if manifest.format != FORMAT {
            let why = format!("{MANIFEST}: the format is not {FORMAT}");
            return Err(Error::new(ErrorKind::Incompatible, why));
        }
        if manifest.versions.len() > MAX_VERSIONS {
            let count = manifest.versions.len();
            return Err(corrupt(format!("{count} versions: at most {MAX_VERSIONS}")));
        }
        for (index, entry) in manifest.versions.iter().enumerate() {
            entry.check().map_err(corrupt)?;
            let mut before = manifest.versions.iter().take(index);
            if before.any(|other| other.version == entry.version) {
                return Err(corrupt(format!("version {} is there twice", entry.version)));
            }
        }
        Ok(manifest)
    }

    /// The entry of a version.
    #[must_use]
    pub fn get(&self, version: &str) -> Option<&ManifestVersion> {
        self.versions.iter().find(|entry| entry.version == version)
    }

    /// Names one more version; whether it was not named before.
    ///
    /// # Errors
    /// The version is there with other bytes, or there are too many.
    pub fn add(&mut self, entry: &ManifestVersion) -> Result<bool, Error> {
        let version = &entry.version;
        match self.get(version) {
            Some(there) if there.sha256 == entry.sha256 => return Ok(false),
            Some(_) => {
                let why = "is published with other bytes already; a version never changes";
                return Err(Error::invalid("version", format!("{version} {why}")));
            }
            None if self.versions.len() >= MAX_VERSIONS => {
                let why = format!("the folder has {MAX_VERSIONS} versions: remove one first");
                return Err(Error::invalid("version", why));
            }
            None => {}
        }
        self.versions.push(entry.clone());
        Ok(true)
    }

    /// The manifest as it is written.
    ///
    /// # Errors
    /// It cannot be written as JSON: a defect.
    pub fn to_text(&self) -> Result<String, Error> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        text.push('\n');
        Ok(text)
    }
}

impl ManifestVersion {
    /// The entry of a model file, with its bytes, once it is verified. Without `version` it is the author's,
    /// or the first 12 digits of the fingerprint.
    ///
    /// # Errors
    /// The file is no sound model, or the name cannot be one of a version.
    pub fn of_file(
        model: &Path,
        version: Option<&str>,
    ) -> Result<(ManifestVersion, Vec<u8>), Error> {
        let bytes = cvm_artifact::read_file(model)?;
        let opened = Model::open(&bytes)?;
        let version = match version {
            Some(version) => version.to_owned(),
            None => version_of(&opened),
        };
        let entry = ManifestVersion::of(&version, &bytes);
        entry
            .check()
            .map_err(|why| Error::invalid("version", why))?;
        Ok((entry, bytes))
    }

    fn of(version: &str, bytes: &[u8]) -> ManifestVersion {
        ManifestVersion {
            version: version.to_owned(),
            file: format!("{version}.cvm"),
            size_bytes: bytes.len() as u64,
            sha256: Fingerprint::of(bytes).to_string(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let version = &self.version;
        if !is_version(version) {
            return Err(format!(
                "{version:?} cannot name a version: 1 to 64 of letters, digits, `-_.+`"
            ));
        }
        // A bare name: nothing outside the folder can be named.
        let bare = Path::new(&self.file).file_name().and_then(|n| n.to_str());
        if bare != Some(self.file.as_str()) {
            return Err(format!("version {version}: `file` must be a bare name"));
        }
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.sha256.len() != 64 || !self.sha256.bytes().all(lower) {
            let why = "`sha256` must be 64 lowercase hexadecimal digits";
            return Err(format!("version {version}: {why}"));
        }
        Ok(())
    }

    /// Where the file of this version is.
    #[must_use]
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }

    /// The bytes of the file, if they are what the manifest says.
    ///
    /// # Errors
    /// `NotFound`, or `Corrupt` for bytes of another size or digest.
    pub fn read(&self, folder: &Path) -> Result<Vec<u8>, Error> {
        let bytes = cvm_artifact::read_file(self.path(folder))?;
        self.check_bytes(&bytes)?;
        Ok(bytes)
    }

    /// Holds bytes against size and digest.
    ///
    /// # Errors
    /// `Corrupt` for others.
    pub fn check_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let found = bytes.len() as u64;
        if found != self.size_bytes {
            let why = format!(
                "{} has {found} bytes, {MANIFEST} says {}: half copied, or another file",
                self.file, self.size_bytes
            );
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        let digest = Fingerprint::of(bytes).to_string();
        if digest != self.sha256 {
            let why = format!(
                "{} has SHA-256 {digest}, {MANIFEST} says another",
                self.file
            );
            return Err(Error::new(ErrorKind::Corrupt, why));
        }
        Ok(())
    }
}

/// Adds a model file to a model's folder as a version: verifies it, writes it whole, then names it in
/// the manifest. Without `version` it is the author's, or the first 12 digits of the fingerprint.
/// Publishing the same bytes again changes nothing.
///
/// # Errors
/// The file is no sound model; the version is there with other bytes; the folder cannot be written.
pub fn publish(
    model: &Path,
    folder: &Path,
    version: Option<&str>,
) -> Result<ManifestVersion, Error> {
    let (entry, bytes) = ManifestVersion::of_file(model, version)?;
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("{}: {error}", folder.display()),
        )
    })?;
    let mut manifest = match Manifest::read(folder) {
        Err(error) if error.kind == ErrorKind::NotFound => Manifest::default(),
        read => read?,
    };
    if !manifest.add(&entry)? {
        return Ok(entry);
    }
    cvm_artifact::write_file(entry.path(folder), &bytes)?;
    cvm_artifact::write_file(folder.join(MANIFEST), manifest.to_text()?.as_bytes())?;
    Ok(entry)
}

/// A model file, and its model or why there is none.
pub type OpenedPath = (PathBuf, Result<Model, Error>);

/// Every model of a folder that a server serves: files, and all versions of folders with a manifest; what
/// cannot be opened with the reason.
///
/// # Errors
/// The folder cannot be read.
pub fn open_all(folder: &Path) -> Result<Vec<OpenedPath>, Error> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        Error::new(kind, format!("{}: {error}", folder.display()))
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        if path.join(MANIFEST).is_file() {
            open_versions(path, &mut all);
        } else if path.extension().is_some_and(|ending| ending == "cvm") {
            let opened = Model::open_file(&path).map(|opened| opened.model);
            all.push((path, opened));
        }
    }
    Ok(all)
}

fn open_versions(folder: PathBuf, all: &mut Vec<OpenedPath>) {
    match Manifest::read(&folder) {
        Ok(manifest) => all.extend(manifest.versions.iter().map(|entry| {
            let opened = entry.read(&folder).and_then(|bytes| Model::open(&bytes));
            (entry.path(&folder), opened)
        })),
        Err(error) => all.push((folder, Err(error))),
    }
}

/// The bytes of a model file, unread beyond the limits of the format.
///
/// # Errors
/// The file cannot be read or is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(cvm_artifact::read_file(path)?)
}

/// Writes a file so that whoever looks sees the old one or the whole new one.
///
/// # Errors
/// The file cannot be written; the old one is as it was.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(cvm_artifact::write_file(path, bytes)?)
}

/// The author's `version` if it can name one; else the fingerprint's start.
fn version_of(model: &Model) -> String {
    let own = model.metadata().get("version").and_then(|v| v.as_str());
    match own.filter(|version| is_version(version)) {
        Some(version) => version.to_owned(),
        None => model.fingerprint().short(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MANIFEST, Manifest, publish};
    use crate::from_params;
    use cvm_core::ErrorKind;
    use std::path::Path;

    fn save(r: f64, path: &Path) {
        let params = [("r", r), ("alpha", 4.4136), ("a", 0.7929), ("b", 2.4259)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = from_params("clv.bg_nbd", &params, None).unwrap();
        model.save(path).unwrap();
    }

    #[test]
    fn published_versions_are_found_and_checked_in_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let (file, shelf) = (folder.path().join("m.cvm"), folder.path().join("retail"));
        save(0.2426, &file);
        let first = publish(&file, &shelf, None).unwrap();
        assert_eq!(first.version.len(), 12);
        assert_eq!(publish(&file, &shelf, None).unwrap(), first);
        let second = publish(&file, &shelf, Some("2026.12")).unwrap();
        let manifest = Manifest::read(&shelf).unwrap();
        assert_eq!(manifest.versions, [first, second.clone()]);
        let bytes = second.read(&shelf).unwrap();
        assert_eq!(bytes, std::fs::read(&file).unwrap());
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            std::fs::write(second.path(&shelf), &wrong).unwrap();
            let error = second.read(&shelf).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt, "{at}");
            std::fs::write(second.path(&shelf), &bytes[..at]).unwrap();
            let error = second.read(&shelf).unwrap_err();
            assert!(error.message.contains("half copied"), "{error}");
        }
    }

    #[test]
    fn a_version_never_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, shelf) = (folder.path().join("m.cvm"), folder.path().join("retail"));
        save(0.2, &file);
        publish(&file, &shelf, Some("1")).unwrap();
        save(0.3, &file);
        let error = publish(&file, &shelf, Some("1")).unwrap_err();
        assert!(error.message.contains("other bytes"), "{error}");
        for bad in ["", "a/b", "é", &"1".repeat(65)] {
            assert!(publish(&file, &shelf, Some(bad)).is_err(), "{bad}");
        }
        assert!(publish(&shelf.join(MANIFEST), &shelf, Some("2")).is_err());
        assert_eq!(Manifest::read(&shelf).unwrap().versions.len(), 1);
    }

    #[test]
    fn a_wrong_manifest_says_what_is_wrong() {
        let entry = |version: &str, file: &str, digest: &str| {
            format!(
                r#"{{"version":"{version}","file":"{file}","size_bytes":1,"sha256":"{digest}"}}"#
            )
        };
        let whole =
            |versions: &str| format!(r#"{{"format":"cvm-repository/1","versions":[{versions}]}}"#);
        let digest = "ab".repeat(32);
        let good = entry("1", "1.cvm", &digest);
        assert!(Manifest::parse(&whole(&good)).is_ok());
        for (text, why) in [
            (whole(&entry("a b", "1.cvm", &digest)), "cannot name"),
            (whole(&entry("1", "../1.cvm", &digest)), "bare name"),
            (whole(&entry("1", "..", &digest)), "bare name"),
            (whole(&entry("1", "1.cvm", "ab")), "64 lowercase"),
            (whole(&format!("{good},{good}")), "twice"),
            (whole(&good).replace("/1\"", "/2\""), "format"),
            (whole(&good).replace("\"file\"", "\"path\""), "path"),
            ("{".to_owned(), "manifest.json"),
        ] {
            let error = Manifest::parse(&text).unwrap_err();
            assert!(error.message.contains(why), "{why}: {error}");
        }
    }
}

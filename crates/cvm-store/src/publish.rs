//! A model file becomes a version of a model in a store.

use crate::location::Location;
use cvm::repository::{MANIFEST, Manifest, ManifestVersion};
use cvm::signature::Signature;
use cvm::{Error, ErrorKind};
use std::path::Path;

/// How often a manifest that somebody else changes meanwhile is read anew.
const TRIES: usize = 4;

/// Largest manifest.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// Adds a model file, and the signature beside it if there is one, to a model of a store
/// (`s3://bucket/models/churn`), as [`cvm::repository::publish`] does to a folder: the manifest names a
/// file once it is there in whole. Who publishes at the same time loses no version.
///
/// # Errors
/// The file is no sound model; the version is there with other bytes; the store does not take it.
pub async fn publish(
    model: &Path,
    to: &Location,
    version: Option<&str>,
) -> Result<ManifestVersion, Error> {
    let (entry, bytes) = ManifestVersion::of_file(model, version)?;
    for _ in 0..TRIES {
        let (mut manifest, before) = match to.get(&[MANIFEST], MAX_MANIFEST_BYTES).await {
            Ok((bytes, tag)) => {
                let text = String::from_utf8_lossy(&bytes);
                (Manifest::parse(&text)?, Some(tag))
            }
            Err(error) if error.kind == ErrorKind::NotFound => (Manifest::default(), None),
            Err(error) => return Err(error),
        };
        if !manifest.add(&entry)? {
            return Ok(entry);
        }
        put_signature(model, to, &entry).await?;
        to.put_over(&[&entry.file], &bytes).await?;
        let text = manifest.to_text()?;
        match to.put(&[MANIFEST], text.as_bytes(), before.as_ref()).await {
            Ok(_) => return Ok(entry),
            Err(error) if error.kind == ErrorKind::Incompatible => {}
            Err(error) => return Err(error),
        }
    }
    let why = format!("{}: others keep changing the {MANIFEST}", to.shown());
    Err(Error::new(ErrorKind::Overloaded, why))
}

async fn put_signature(model: &Path, to: &Location, entry: &ManifestVersion) -> Result<(), Error> {
    if let Some(signature) = Signature::beside(model)? {
        let name = Signature::path_of(Path::new(&entry.file));
        let name = name.to_string_lossy();
        to.put_over(&[&name], signature.to_text()?.as_bytes())
            .await?;
    }
    Ok(())
}

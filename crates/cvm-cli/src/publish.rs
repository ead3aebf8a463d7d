//! `cvm publish`: a model file becomes a version of a folder, or of an object store, that a server serves.

use crate::args::PublishArgs;
use crate::failure::Failure;
use crate::models::at;
use crate::render::print;
use cvm::repository::{ManifestVersion, publish};

/// Runs `cvm publish`.
pub fn run(args: &PublishArgs) -> Result<(), Failure> {
    let url = args.folder.to_str().filter(|text| text.contains("://"));
    let published = match url {
        Some(url) => publish_to(url, args),
        None => publish(&args.model, &args.folder, args.version.as_deref()),
    };
    let entry = published.map_err(|error| at(&args.model, error))?;
    let (folder, version) = (args.folder.display(), &entry.version);
    print(&format!(
        "{folder}: version {version}, sha256 {}\n",
        entry.sha256
    ))
}

#[cfg(feature = "object-store")]
fn publish_to(url: &str, args: &PublishArgs) -> Result<ManifestVersion, cvm::Error> {
    let to = cvm_store::Location::parse(url, std::env::vars())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| cvm::Error::new(cvm::ErrorKind::Internal, e.to_string()))?;
    let version = args.version.as_deref();
    runtime.block_on(cvm_store::publish(&args.model, &to, version))
}

#[cfg(not(feature = "object-store"))]
fn publish_to(url: &str, _args: &PublishArgs) -> Result<ManifestVersion, cvm::Error> {
    let why =
        format!("{url}: this build writes to no object store; its features s3, gcs, azure do");
    Err(cvm::Error::new(cvm::ErrorKind::InvalidInput, why))
}

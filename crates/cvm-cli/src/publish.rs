//! `cvm publish`: a model file becomes a version of a folder that a server serves.

use crate::args::PublishArgs;
use crate::failure::Failure;
use crate::models::at;
use crate::render::print;
use cvm::repository::publish;

/// Runs `cvm publish`.
pub fn run(args: &PublishArgs) -> Result<(), Failure> {
    let published = publish(&args.model, &args.folder, args.version.as_deref());
    let entry = published.map_err(|error| at(&args.model, error))?;
    let (folder, version) = (args.folder.display(), &entry.version);
    print(&format!(
        "{folder}: version {version}, sha256 {}\n",
        entry.sha256
    ))
}

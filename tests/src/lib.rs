//! Reads the workspace as data, its dependency graph and its sources, for the rules in `rust/`.

pub mod graph;
pub mod lexer;
pub mod sources;

use std::path::{Path, PathBuf};

/// Root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

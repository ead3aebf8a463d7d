//! Model repositories in object stores: kept in step with a folder, and published to.
//!
//! A repository is a prefix (`s3://bucket/models`) with a folder of versions per model, in the form of
//! [`cvm::repository`]: `retail/manifest.json`, the files it names, `routing.json`. [`Mirror`] keeps a
//! folder of this machine the same, so that whoever serves a folder serves a store; [`publish`] adds a
//! version. The store is the truth: what it loses, the folder loses.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod location;
mod mirror;
mod publish;

pub use location::Location;
pub use mirror::{Mirror, Problems};
pub use publish::publish;

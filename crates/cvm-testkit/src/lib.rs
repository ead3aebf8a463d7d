//! Development only: what the test suites of several packages share.
//!
//! A model brings numbers with their sources in `tests/golden/<kind>.toml`; the checks here take
//! the model from the catalog and do the rest, so a new model is tested by being listed.

pub mod compare;
pub mod golden;
pub mod gradient;
pub mod pinned;
pub mod recover;
pub mod rows;
pub mod subject;

pub use golden::Corpus;
pub use pinned::Pinned;
pub use subject::Subject;

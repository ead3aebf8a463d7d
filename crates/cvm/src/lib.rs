//! The shared scoring crate, the only door: open, score, fit, summarize.
//!
//! Every surface (server, Python, CLI) calls this crate and nothing below it, so there is one
//! scoring path. It knows every kind of model through the [`catalog`]; it knows no wire type, no
//! async runtime and no Python.

mod catalog;
mod error;
mod fit;
mod fit_rows;
mod model;
mod params;
mod score;

pub use catalog::{Entry, catalog, entry};
pub use error::Error;
pub use fit::{FitOptions, FitReport, Fitted, fit};
pub use model::{Model, OpenedFile};
pub use params::{from_params, lifetime_value};

pub use cvm_artifact::Fingerprint;
pub use cvm_core::{
    Batch, Column, Domain, ErrorKind, FieldKind, Frame, FrameColumn, InputField, InputSchema,
    MissingRule, OutputSpec, ParamSpec, RowCode, RowIssue, RowStatus, ScoreOptions, Scores,
    TextColumn, TimeUnit, UnseenRule, Violation,
};

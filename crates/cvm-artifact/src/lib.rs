//! The model file: a fitted model with its schema, facts and probe rows as one checked file.
//!
//! [`encode`] and [`decode`] are exact inverses: the same artifact always gives the same bytes, and
//! bytes that differ in a single bit from what was written are refused with an [`ArtifactError`]
//! that says what is wrong. No code is stored, nothing outside the file is referenced, and every
//! limit of [`limits`] is checked before memory is asked for. The byte layout is specified in
//! `docs/format/v1.md`.
//!
//! [`Probe::arithmetic`] numbers the arithmetic by which the probe scores were computed. This crate
//! keeps it; whoever can score compares it with its own and asks for every bit or for closeness.
//!
//! ```
//! use cvm_artifact::{Artifact, OutputInfo, Probe, decode, encode, verify};
//! use cvm_core::{Array, Domain, Frame, InputField, InputSchema, ModelState, RowStatus, ScoreOptions};
//!
//! let mut state = ModelState::new("clv.bg_nbd");
//! state.arrays.push(Array::vector("params", vec![0.243, 4.414, 0.793, 2.426]));
//! let field = InputField::number("frequency", "purchases", Domain::Count);
//! let output = OutputInfo {
//!     name: "p_alive".to_owned(),
//!     unit: "probability".to_owned(),
//!     meaning: "still a customer".to_owned(),
//! };
//! let artifact = Artifact {
//!     state,
//!     schema: InputSchema { fields: vec![field], time_unit: None },
//!     outputs: vec![output],
//!     training: serde_json::Map::new(),
//!     metadata: serde_json::Map::new(),
//!     probe: Probe {
//!         arithmetic: 1,
//!         rows: Frame::new(1).with_numbers("frequency", vec![2.0]),
//!         options: ScoreOptions::default(),
//!         scores: vec![("p_alive".to_owned(), vec![0.7266])],
//!         status: vec![RowStatus::OK],
//!     },
//! };
//! let bytes = encode(&artifact)?;
//! let (back, fingerprint) = decode(&bytes)?;
//! assert_eq!(back, artifact);
//! assert_eq!(verify(&bytes)?, fingerprint);
//! # Ok::<(), cvm_artifact::ArtifactError>(())
//! ```

mod artifact;
mod decode;
mod encode;
mod error;
mod file;
mod fingerprint;
mod header;
mod inspect;
mod json;
mod layout;
pub mod limits;
mod magic;
mod payload;
mod rules;

pub use artifact::{Artifact, OutputInfo, Probe};
pub use decode::{decode, verify};
pub use encode::{check, encode};
pub use error::ArtifactError;
pub use file::{read_file, write_file};
pub use fingerprint::Fingerprint;
pub use inspect::{Inspection, SectionInfo, inspect};

/// Format version this build writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

//! The typed gRPC API of `cvm`: generated code, and the only conversions between it and the domain.
//!
//! [`v1`] is generated from `proto/cvm/v1` and committed; a test regenerates and compares it.
//! `convert/` has one file per proto file: `TryFrom` in, `From` out, every field named, so that a
//! new proto field is a compile error here and nowhere a silent default. Server and client share
//! these conversions.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(feature = "server")]
mod codec;
#[cfg(feature = "convert")]
mod convert;
mod doubles;
#[cfg(feature = "server")]
mod peek;
#[cfg(feature = "convert")]
mod refusal;

#[cfg(feature = "server")]
pub use codec::{Gate, RequestCodec};
#[cfg(feature = "convert")]
pub use convert::{
    ConvertError, Encoding, InferJob, MAX_COLUMNS, MAX_OUTPUTS, MAX_REQUEST_ID_BYTES, ModelCard,
    ModelName, ModelOutput, ModelParam, ModelStamp, RowModels, ScoreAnswer, ScoreJob, ScoredColumn,
    StreamAnswer, bulk_frame, model_config, model_metadata, model_name,
};
pub use doubles::DoubleValues;
#[cfg(feature = "server")]
pub use peek::{infer_rows, score_rows};
#[cfg(feature = "convert")]
pub use refusal::{DOMAIN, Reason, Refusal};

/// The generated messages, clients and servers of package `cvm.v1`.
#[allow(clippy::all, missing_docs, rust_2018_idioms)]
pub mod v1 {
    pub use crate::DoubleValues;

    include!("gen/cvm.v1.rs");
}

/// The generated messages, clients and servers of package `cvm.admin`.
pub mod admin {
    /// The generated messages, clients and servers of package `cvm.admin.v1`.
    #[allow(clippy::all, missing_docs, rust_2018_idioms)]
    pub mod v1 {
        include!("gen/cvm.admin.v1.rs");
    }
}

/// The generated messages, clients and servers of the Open Inference Protocol.
#[allow(clippy::all, missing_docs, rust_2018_idioms)]
pub mod inference {
    include!("gen/inference.rs");
}

/// The compiled descriptors of every package, as reflection serves them.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

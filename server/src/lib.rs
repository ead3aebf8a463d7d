//! The gRPC server: loads a folder of model files and scores customers with them.
//!
//! [`run`] serves until its `shutdown` future ends, then drains. Layers, outermost first:
//! `listen` accepts connections and hands each to a worker thread; `connection` speaks HTTP/2 on
//! one; `api` routes a request and minds its deadline; `services` parse, call and render; `plane`
//! finds the model and scores; `registry`, `folder` and `shelf` keep the models. Scores come from
//! [`cvm::Model::score`] and from nowhere else.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod admission;
mod api;
mod audit;
mod background;
mod backlog;
mod calls;
mod cancelled;
mod compute;
mod config;
mod connection;
mod control;
mod deadline;
mod drain;
mod drift;
mod file_state;
mod folder;
mod health;
mod http;
mod identity;
mod journal;
mod linger;
mod listen;
mod log;
mod meter;
#[cfg(feature = "otel")]
mod otel;
mod pace;
mod plane;
mod prefixed;
mod registry;
mod routing;
mod rows;
mod services;
mod settings;
mod shadow;
mod shelf;
mod split;
mod store;
mod stream;
mod taken;
mod trust;
mod turn;
mod unloaded;
mod web;
mod work;
mod worker;

pub use config::{Asked, Config, asked};
pub use listen::{Listeners, RunError, run};
pub use log::Log;
pub use settings::{AuditContent, LogFormat, Settings};
pub use trust::TrustPolicy;

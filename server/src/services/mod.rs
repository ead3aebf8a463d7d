//! The gRPC services: parse, call, render.

mod inference;
mod models;
mod scoring;

pub(crate) use inference::Inference;
pub(crate) use models::Models;
pub(crate) use scoring::Scoring;

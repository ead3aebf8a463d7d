//! The gRPC services: parse, call, render.

mod models;
mod scoring;

pub(crate) use models::Models;
pub(crate) use scoring::Scoring;

//! The gRPC services: parse, call, render.

mod admin;
mod inference;
mod models;
mod replay;
mod scoring;

pub(crate) use admin::Admin;
pub(crate) use inference::Inference;
pub(crate) use models::Models;
pub(crate) use scoring::Scoring;

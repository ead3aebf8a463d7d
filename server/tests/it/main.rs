//! The server as its callers meet it: over a socket, in this process or as the built binary.

mod abuse;
mod audit;
mod binary;
mod config;
mod drains;
mod drift;
mod frames;
mod http;
mod identity;
mod inference;
mod jwt;
mod lifecycle;
mod limits;
mod log;
mod models;
#[cfg(feature = "otel")]
mod otel;
mod overload;
mod refusals;
mod scoring;
#[cfg(feature = "object-store")]
mod store;
mod support;
mod swap;
mod traffic;
mod trust;
mod versions;
mod web;

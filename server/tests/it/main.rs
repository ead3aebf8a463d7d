//! The server as its callers meet it: over a socket, in this process or as the built binary.

mod abuse;
mod binary;
mod drains;
mod frames;
mod http;
mod identity;
mod inference;
mod lifecycle;
mod limits;
mod models;
mod overload;
mod refusals;
mod scoring;
mod support;
mod swap;
mod traffic;
mod trust;
mod versions;

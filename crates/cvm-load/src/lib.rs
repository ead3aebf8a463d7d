//! An open-loop load generator for `cvm.v1` that checks every answer in every bit.
//!
//! Requests are sent when they are due, whatever became of those before, and their latency counts from
//! the moment they were due: a server that stalls shows the stall in every request that would have come
//! meanwhile, where a generator that waits for its answers would show one. The scores of each request
//! are known beforehand, computed in this process from the same model file.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod health;
mod lane;
mod oracle;
mod pacer;
mod plan;
mod report;
mod run;
mod schedule;
mod tally;
mod target;
mod wire;

pub use oracle::Oracle;
pub use plan::{Mix, Mode, Plan};
pub use report::{HealthReport, Quantiles, Report, Second, TokenReport};
pub use run::{LoadError, run};
pub use schedule::{Arrivals, Schedule};
pub use target::{Target, Tls, Token, never_sent};

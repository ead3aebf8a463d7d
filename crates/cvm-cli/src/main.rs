//! The command line: parse, call `cvm`, render.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod args;
mod calibrate;
mod dictionary;
mod drift;
mod explain;
mod failure;
mod fit;
mod import;
mod inspect;
mod intervals;
mod kinds;
mod models;
mod options;
mod paths;
mod progress;
mod publish;
mod render;
mod replay;
mod score;
mod sign;
mod summarize;
mod tables;
mod verify;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    set_hook(Box::new(failure::print_panic));
    match catch_unwind(AssertUnwindSafe(|| run(cli.command))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::from(failure::INTERNAL),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Summarize(args) => summarize::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::New(args) => models::run_new(&args),
        Command::Import(args) => import::run(&args),
        Command::Compose(args) => models::run_compose(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Drift(args) => drift::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Keygen(args) => sign::run_keygen(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Kinds(args) => kinds::run(&args),
    }
}

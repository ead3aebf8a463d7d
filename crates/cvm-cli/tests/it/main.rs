//! The built binary: as a script sees it, and against the golden corpus.

mod cli;
mod golden;
mod import;
mod reasons;
mod replay;
mod sign;
mod support;

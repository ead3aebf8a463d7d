//! The generator against servers that do as they are told: right, wrong, late, stalled, refusing.

mod runs;
mod support;

//! Gradient-boosted trees of our own: histograms of binned inputs, Newton steps on the logistic loss,
//! oblivious trees unless told otherwise; scored by the tree kernels.
//!
//! This crate starts no thread: [`train`] hands its parallel work to an [`Executor`], whose items
//! write to places of their own, so the bits do not depend on it. See `docs/models/boosted.md`.

mod bins;
mod category;
mod data;
mod emit;
mod executor;
mod gradient;
mod histogram;
mod holdout;
mod leafwise;
mod model;
mod monotone;
mod oblivious;
mod panel;
mod sampling;
mod scan;
mod spec;
mod train;

pub use executor::{Executor, Serial};
pub use model::Boosted;
pub use spec::{BoostedSpec, ClassWeight, Grow};
pub use train::{BoostedFit, Round, train};

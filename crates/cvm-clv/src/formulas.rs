//! What a model's own file must say: its parameters, its likelihood of one row, how to draw a row.
//!
//! Everything else (merging, covariates, scoring, storing, fitting) is written once for all models
//! in [`crate::merged`], [`crate::covariates`] and the module of the model's family.

use crate::merged::CHEAP_NS;
use crate::random::Random;
use cvm_core::{Derivatives, FarMaximum, Likelihood, Nested, Order, ParamSpec, Process};
use std::fmt;

/// A model at given parameters.
pub trait Formulas: Clone + fmt::Debug + Send + Sync + 'static {
    /// Kind in the catalog: `clv.bg_nbd`.
    const KIND: &'static str;
    /// Name for people: `BG/NBD`.
    const TITLE: &'static str;
    /// Parameters in the order of every slice.
    const PARAMS: &'static [ParamSpec];
    /// Processes that covariates may explain.
    const PROCESSES: &'static [Process];
    /// Rough cost of one row's log-likelihood with its Hessian, in nanoseconds: a power of two times
    /// [`CHEAP_NS`], by which rows are dealt to threads.
    const ROW_NS: f64 = CHEAP_NS;

    /// One customer's sufficient statistics.
    type Row: Copy + Send + Sync + fmt::Debug + 'static;
    /// The merged data a fit runs on: [`crate::merged::MergedRows`], or one faster for this model.
    type Likelihood: Likelihood;

    /// The model at `params`, which have been checked against [`Formulas::PARAMS`].
    fn at(params: &[f64]) -> Self;

    /// The model for one row among rows that each have their own parameters: no tables are made.
    fn at_row(params: &[f64]) -> Self {
        Self::at(params)
    }

    /// Parameters in the order of [`Formulas::PARAMS`].
    fn params(&self) -> Vec<f64>;

    /// What tells rows apart: rows with equal keys (in every bit) have equal likelihoods.
    fn key(row: &Self::Row) -> [f64; 4];

    /// Log-likelihood of one row.
    fn log_lik(&self, row: &Self::Row) -> f64;

    /// Log-likelihood of one row with its derivatives in the natural parameters up to `order`:
    /// overwrites `out`, whose dimension is that of [`Formulas::PARAMS`].
    fn derivatives(&self, row: &Self::Row, order: Order, out: &mut Derivatives);

    /// Merges identical rows with their weights.
    fn likelihood(rows: &[Self::Row], weights: Option<&[f64]>) -> Self::Likelihood;

    /// Start vectors, best guess first; later ones are tried only when needed.
    fn starts(likelihood: &Self::Likelihood) -> Vec<Vec<f64>>;

    /// The model inside this one that a fit is compared with and never ends below.
    fn nested() -> Option<Nested<Self::Row>> {
        None
    }

    /// Where a maximum that was not found may lie at infinity: as [`cvm_core::ParametricModel::far_maximum`].
    fn far_maximum(reached: &[f64]) -> Option<FarMaximum> {
        let _ = reached;
        None
    }

    /// One drawn row; the template supplies what is not random.
    fn simulate_one(&self, template: &Self::Row, random: &mut Random) -> Self::Row;

    /// One drawn row per template; row by row the same for the same seed.
    fn simulate(&self, templates: &[Self::Row], seed: u64) -> Vec<Self::Row> {
        let draw = |(index, row): (u64, &Self::Row)| {
            self.simulate_one(row, &mut Random::for_row(seed, index))
        };
        (0u64..).zip(templates).map(draw).collect()
    }
}

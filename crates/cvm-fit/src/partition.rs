//! Fits of data in several places: the objective as a sum over partitions, in a fixed order.
//!
//! A partition answers one question: its sum of log-likelihood terms with derivatives at given
//! parameters. It may be a [`Likelihood`] in this process or anything that can answer, such as a
//! worker of a distributed engine. The sum runs in the order of the partitions, so a partitioning
//! gives the same bits for any number of threads; another partitioning differs by rounding.

use crate::evaluate::evaluate;
use crate::maximize::maximize_with;
use crate::result::{Fit, FitError, Progress, invalid};
use crate::settings::Settings;
use cvm_core::{Derivatives, Likelihood, Order, Transform};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Why a partition could not answer.
pub type PartitionError = Box<dyn std::error::Error + Send + Sync>;

/// One part of the data that can evaluate its share of the objective.
pub trait PartialObjective: Sync {
    /// Number of parameters.
    fn dim(&self) -> usize;

    /// Sum of the rows' weights; may be 0.
    fn weight(&self) -> f64;

    /// Rough cost of an evaluation in nanoseconds: decides whether threads pay. A remote one should
    /// keep the default, so that all are asked at once.
    fn cost_hint_ns(&self) -> f64 {
        1e9
    }

    /// Sum over the rows at natural parameters `theta`.
    ///
    /// # Errors
    /// Whatever keeps it from answering; the fit stops with it.
    fn evaluate(&self, theta: &[f64], order: Order) -> Result<Derivatives, PartitionError>;
}

impl<L: Likelihood + ?Sized> PartialObjective for L {
    fn dim(&self) -> usize {
        Likelihood::dim(self)
    }

    fn weight(&self) -> f64 {
        Likelihood::weight(self)
    }

    fn cost_hint_ns(&self) -> f64 {
        Likelihood::cost_hint_ns(self)
    }

    fn evaluate(&self, theta: &[f64], order: Order) -> Result<Derivatives, PartitionError> {
        Ok(sum_of_blocks(self, theta, order))
    }
}

fn sum_of_blocks<L: Likelihood + ?Sized>(
    likelihood: &L,
    theta: &[f64],
    order: Order,
) -> Derivatives {
    let dim = Likelihood::dim(likelihood);
    let mut sum = Derivatives::zero(dim);
    for block in 0..likelihood.block_count() {
        let mut record = Derivatives::zero(dim);
        likelihood.accumulate(theta, block, order, &mut record);
        sum.add(&record);
    }
    sum
}

/// The sum over the blocks of one partition, in their order: what a worker computes. The bits do
/// not depend on `threads`.
#[must_use]
pub fn partial_objective(
    likelihood: &dyn Likelihood,
    theta: &[f64],
    order: Order,
    threads: usize,
) -> Derivatives {
    evaluate(likelihood, theta, order, threads)
}

/// Derivatives as numbers to send: value, `dim` of the gradient, `dim²` of the Hessian.
#[must_use]
pub fn pack(derivatives: &Derivatives) -> Vec<f64> {
    let parts = [&derivatives.gradient[..], &derivatives.hessian[..]];
    let rest = parts.into_iter().flatten().copied();
    std::iter::once(derivatives.value).chain(rest).collect()
}

/// The inverse of [`pack`].
///
/// # Errors
/// [`FitError::Invalid`] if the length is not `1 + dim + dim²`.
pub fn unpack(dim: usize, numbers: &[f64]) -> Result<Derivatives, FitError> {
    let expected = 1 + dim + dim * dim;
    match numbers {
        [value, rest @ ..] if numbers.len() == expected => {
            let (gradient, hessian) = rest.split_at(dim);
            Ok(Derivatives {
                value: *value,
                gradient: gradient.to_vec(),
                hessian: hessian.to_vec(),
            })
        }
        _ => {
            let value = format!("of length {}", numbers.len());
            Err(invalid("numbers", value, format!("of length {expected}")))
        }
    }
}

/// A boxed likelihood as a partition.
struct Local<'a>(Box<dyn Likelihood + 'a>);

impl PartialObjective for Local<'_> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn weight(&self) -> f64 {
        self.0.weight()
    }

    fn cost_hint_ns(&self) -> f64 {
        self.0.cost_hint_ns()
    }

    fn evaluate(&self, theta: &[f64], order: Order) -> Result<Derivatives, PartitionError> {
        Ok(evaluate(self.0.as_ref(), theta, order, 1))
    }
}

/// Several partitions as one likelihood, with one block each.
pub struct Partitions<'a> {
    parts: Vec<Box<dyn PartialObjective + 'a>>,
    dim: usize,
    weight: f64,
    cost_ns: f64,
    /// The failure that came first, with its partition.
    failure: Mutex<Option<(usize, PartitionError)>>,
}

impl<'a> Partitions<'a> {
    /// Puts partitions together in the order given.
    ///
    /// # Errors
    /// [`FitError::NoData`] without any; [`FitError::Invalid`] if their dimensions differ or a weight
    /// is negative or not finite.
    pub fn new(parts: Vec<Box<dyn PartialObjective + 'a>>) -> Result<Self, FitError> {
        let dim = parts.first().ok_or(FitError::NoData)?.dim();
        let (mut weight, mut cost_ns) = (0.0, 0.0);
        for (i, part) in parts.iter().enumerate() {
            if part.dim() != dim {
                let allowed = format!("{dim}, that of the first");
                return Err(invalid(format!("partitions[{i}].dim"), part.dim(), allowed));
            }
            let own = part.weight();
            if !own.is_finite() || own < 0.0 {
                let field = format!("partitions[{i}].weight");
                return Err(invalid(field, own, "finite and >= 0"));
            }
            weight += own;
            cost_ns += part.cost_hint_ns();
        }
        Ok(Partitions {
            parts,
            dim,
            weight,
            cost_ns,
            failure: Mutex::new(None),
        })
    }

    /// Partitions that are all in this process.
    ///
    /// # Errors
    /// As [`Partitions::new`].
    pub fn local(parts: Vec<Box<dyn Likelihood + 'a>>) -> Result<Self, FitError> {
        let boxed = |part| Box::new(Local(part)) as Box<dyn PartialObjective + 'a>;
        Partitions::new(parts.into_iter().map(boxed).collect())
    }

    fn fail(&self, index: usize, source: PartitionError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = Some((index, source));
        }
    }

    fn has_failed(&self) -> bool {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.is_some()
    }

    fn take_failure(&self) -> Option<FitError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, source) = failure.take()?;
        Some(FitError::Partition { index, source })
    }
}

impl Likelihood for Partitions<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn block_count(&self) -> usize {
        self.parts.len()
    }

    fn cost_hint_ns(&self) -> f64 {
        self.cost_ns
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let answer = self.parts[block].evaluate(theta, order);
        match answer.and_then(|part| self.fitting(part)) {
            Ok(part) => sum.add(&part),
            Err(error) => {
                self.fail(block, error);
                sum.value = f64::NAN;
            }
        }
    }
}

impl Partitions<'_> {
    /// The answer, if it has the right shape.
    fn fitting(&self, part: Derivatives) -> Result<Derivatives, PartitionError> {
        let shape = (part.gradient.len(), part.hessian.len());
        if shape == (self.dim, self.dim * self.dim) {
            return Ok(part);
        }
        Err(format!("answered with derivatives of shape {shape:?}").into())
    }
}

/// [`crate::maximize_with`] over partitions: stops at once when one cannot answer.
///
/// # Errors
/// [`FitError::Partition`] with what it said; otherwise those of [`crate::maximize_with`].
pub fn maximize_partitions(
    partitions: &Partitions<'_>,
    transforms: &[Transform],
    starts: &[Vec<f64>],
    settings: &Settings,
    watch: &dyn Fn(&Progress<'_>) -> ControlFlow<()>,
) -> Result<Fit, FitError> {
    let guarded = |progress: &Progress<'_>| {
        if partitions.has_failed() {
            return ControlFlow::Break(());
        }
        watch(progress)
    };
    let result = maximize_with(partitions, transforms, starts, settings, &guarded);
    match partitions.take_failure() {
        Some(error) => Err(error),
        None => result,
    }
}

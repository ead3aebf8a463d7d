//! What a fit gives back: estimates with their errors, what is known of them, or why there is none.

use crate::diagnosis::Finding;
use ndarray::Array2;

/// What a fit found.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Natural parameters.
    pub params: Vec<f64>,
    /// Log-likelihood (without penalty and priors).
    pub log_likelihood: f64,
    /// Log-likelihood plus the log density of the priors, normalising constants included; equal to
    /// `log_likelihood` without priors.
    pub log_posterior: f64,
    /// What was maximised: log-likelihood less L2 and L1 penalties, plus the log density of priors.
    pub penalized_log_likelihood: f64,
    /// Covariance of natural parameters: inverse of minus the Hessian of what was maximised, hence
    /// with the curvature of penalty and priors (a posterior covariance by Laplace's approximation);
    /// delta method for transformed coordinates. Over the free parameters alone: NaN for those at a
    /// bound or at a zero of the L1 penalty, and where the information matrix is not positive
    /// definite. Symmetric in every bit.
    pub covariance: Array2<f64>,
    /// Square roots of its diagonal.
    pub standard_errors: Vec<f64>,
    /// Where each parameter ended: free, at a bound, at a zero of the L1 penalty.
    pub states: Vec<ParamState>,
    /// Largest absolute gradient per unit weight, working coordinates; with bounds or L1 the largest
    /// violation of the optimality conditions.
    pub gradient_norm: f64,
    /// Steps taken from the start that was kept.
    pub iterations: u32,
    /// Likelihood evaluations over all starts.
    pub evaluations: u32,
    /// Starts tried.
    pub starts_tried: u32,
    /// Condition number of the information matrix of the free parameters in working coordinates,
    /// scaled to unit diagonal; infinite if it is not positive definite.
    pub condition_number: f64,
    /// Algorithm that finished: `trust-region newton`, `l-bfgs`, or `active-set newton` where there
    /// are bounds or an L1 penalty.
    pub method: &'static str,
    /// Whether the convergence test passed.
    pub converged: bool,
    /// Why it stopped, in words.
    pub message: String,
    /// What is peculiar about the place reached, for programs.
    pub diagnosis: Vec<Finding>,
    /// The same in words: one sentence with advice for each finding.
    pub warnings: Vec<String>,
}

impl Fit {
    /// Parameters held at a bound, with which end.
    pub fn at_bound(&self) -> impl Iterator<Item = (usize, ParamState)> {
        let ends = [ParamState::AtLower, ParamState::AtUpper];
        let states = self.states.iter().copied().enumerate();
        states.filter(move |(_, state)| ends.contains(state))
    }

    /// Number of free parameters: the dimension that counts in AIC, BIC and likelihood ratios.
    #[must_use]
    pub fn free_count(&self) -> usize {
        let free = |state: &&ParamState| **state == ParamState::Free;
        self.states.iter().filter(free).count()
    }

    /// Adds a finding with its sentence.
    pub fn note(&mut self, finding: Finding) {
        self.warnings.push(finding.to_string());
        self.diagnosis.push(finding);
    }
}

/// Where a parameter ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamState {
    /// Free: the objective is smooth and stationary in it.
    Free,
    /// At its lower bound.
    AtLower,
    /// At its upper bound.
    AtUpper,
    /// At zero of its working coordinate, where the L1 penalty outweighs the data.
    Zero,
    /// Held: both bounds are the same number.
    Held,
}

/// Where a running fit is: what a progress callback sees before every step.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Which start, from 0.
    pub start: usize,
    /// Steps taken from this start.
    pub iteration: u32,
    /// Likelihood evaluations over all starts.
    pub evaluations: u32,
    /// Natural parameters.
    pub params: &'a [f64],
    /// Log-likelihood there.
    pub log_likelihood: f64,
    /// Largest absolute gradient per unit of weight.
    pub gradient_norm: f64,
}

/// Why there is no fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// Stopped early or in a degenerate place; carries what was reached.
    #[error("not converged: {}", .fit.message)]
    NotConverged {
        /// What was reached.
        fit: Box<Fit>,
    },
    /// The progress callback asked to stop; carries what was reached.
    #[error("cancelled after {} steps", .fit.iterations)]
    Cancelled {
        /// What was reached.
        fit: Box<Fit>,
    },
    /// The progress callback of a resampling asked to stop.
    #[error("cancelled after {done} of {total} replicates")]
    ResamplingCancelled {
        /// Replicates done.
        done: usize,
        /// Replicates asked for.
        total: usize,
    },
    /// Too few replicates could be fitted.
    #[error("{failed} of {total} replicates could not be fitted, the first because: {first}")]
    TooFewReplicates {
        /// Replicates without a fit.
        failed: usize,
        /// Replicates asked for.
        total: usize,
        /// Why the first of them failed.
        first: String,
    },
    /// A profile found a higher log-likelihood than the fit: the fit is not the maximum.
    #[error(
        "parameter {index} at {value} allows a log-likelihood {gain:e} above the fit's: refit from there"
    )]
    NotTheMaximum {
        /// Parameter that was profiled.
        index: usize,
        /// Its value there.
        value: f64,
        /// All parameters there: a start for the next fit.
        params: Vec<f64>,
        /// How much higher.
        gain: f64,
    },
    /// A partition could not be evaluated.
    #[error("partition {index}: {source}")]
    Partition {
        /// Which partition, from 0.
        index: usize,
        /// What it said.
        source: crate::partition::PartitionError,
    },
    /// No start has a finite log-likelihood.
    #[error("no start has a finite log-likelihood and gradient ({starts} tried)")]
    NoFiniteStart {
        /// Starts tried.
        starts: usize,
    },
    /// Nothing to fit on.
    #[error("no rows to fit on")]
    NoData,
    /// A setting or start that cannot be used.
    #[error("{field} is {value}: must be {allowed}")]
    Invalid {
        /// Path of the argument: `settings.penalty[2]`, `starts[0][1]`.
        field: String,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

pub(crate) fn invalid(
    field: impl Into<String>,
    value: impl ToString,
    allowed: impl Into<String>,
) -> FitError {
    FitError::Invalid {
        field: field.into(),
        value: value.to_string(),
        allowed: allowed.into(),
    }
}

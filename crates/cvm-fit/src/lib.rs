//! Estimation of anything with a `Likelihood`: maximum likelihood and a posteriori; knows no model.
//!
//! [`maximize`] moves parameters in working coordinates by trust-region Newton with the exact
//! Hessian, falls back to L-BFGS where the Hessian cannot be used, and tries further starts only when
//! the first fails or ends in a degenerate place. Blocks of rows are evaluated on several threads and
//! added in a fixed order: the same bits for any number of threads.
//!
//! The optimum is a maximum of
//!
//! ```text
//! ℓ(θ) + Σ ln prior_i(θ_i) − ½ Σ penalty_i w_i² − Σ l1_i |w_i|      subject to bounds on θ
//! ```
//! with `ℓ` the total (not mean) log-likelihood and `w` the working coordinates. See
//! `docs/models/estimation.md`.
//!
//! | to | call |
//! |---|---|
//! | fit; fit with a progress bar or Ctrl-C | [`maximize`]; [`maximize_with`] |
//! | fit a model that contains one already fitted | [`maximize_at_least`] |
//! | know what is odd about a fit | [`Fit::diagnosis`], [`diagnose_influence`] |
//! | get intervals | [`wald_interval`], [`profile_interval`], [`bootstrap`] |
//! | compare models | [`likelihood_ratio`], [`aic`], [`bic`] |
//! | fit data in several places | [`Partitions`], [`maximize_partitions`] |

mod bootstrap;
mod compare;
mod constrained;
pub mod coordinate;
mod diagnosis;
mod evaluate;
mod faces;
mod influence;
mod lbfgs;
mod linear;
mod maximize;
mod newton;
mod objective;
mod partition;
mod prior;
mod profile;
mod random;
mod report;
mod result;
mod settings;
mod subproblem;
mod trust;

pub use bootstrap::{Bootstrap, BootstrapSettings, Resampling, bootstrap};
pub use compare::{
    LikelihoodRatio, Reference, aic, bic, chi_square_tail, likelihood_ratio,
    likelihood_ratio_against, normal_quantile, wald_interval,
};
pub use diagnosis::Finding;
pub use influence::{
    INFLUENCE_THRESHOLD, Influence, RowContributions, diagnose_influence, largest_influence,
};
pub use maximize::{maximize, maximize_at_least, maximize_with, no_lower_than};
pub use partition::{
    PartialObjective, PartitionError, Partitions, maximize_partitions, pack, partial_objective,
    unpack,
};
pub use prior::Prior;
pub use profile::{Profile, ProfileEnd, profile_interval};
pub use random::Stream;
pub use result::{Fit, FitError, ParamState, Progress};
pub use settings::Settings;

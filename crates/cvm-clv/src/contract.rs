//! The family of contract models: customers renew at the end of each period or leave for good.
//!
//! A customer pays for period 1 when acquired, at time 0. At the end of period `k` comes the `k`-th
//! renewal: they leave, or pay for period `k + 1`. The lifetime `L` is the number of periods paid
//! for, and `S(k) = P(L > k)` the probability of `k` renewals. A customer's **tenure** `T` is the
//! number of renewals made. With the cumulative hazard `H(T, t) = −ln[ S(T+t)/S(T) ]`:
//!
//! | formula     | meaning                                                                        |
//! |-------------|--------------------------------------------------------------------------------|
//! | `hazard`    | `H(T, t)`, also for `t` that is not whole                                      |
//! | `lifetime`  | `Σ_{k=0}^{t−1} e^{−δk} S(T+k)/S(T)`: the next `t` payments, the first made now |
//! | `residual`  | `Σ_{k=1}^{t} e^{−δ(k−1)} S(T+k)/S(T)`: `t` renewals, the first about to come   |
//!
//! With `t = inf`, `lifetime` at tenure 0 is the discounted expected lifetime (DEL) of a customer
//! about to be acquired, and `residual` the discounted expected residual lifetime (DERL) of one about
//! to decide on renewal `T + 1`; `lifetime = 1 + e^{−δ} residual`.
//!
//! Source: Fader & Hardie (2007), How to Project Customer Retention, *Journal of Interactive
//! Marketing* 21(1); Fader & Hardie (2010), Customer-Base Valuation in a Contractual Setting,
//! *Marketing Science* 29(1), 85–93, eqs. 4–7 (DEL and DERL).

mod likelihood;
mod model;
mod power_step;
mod scorer;
mod tenure;

pub(crate) use likelihood::{censored_or_churned, exposure, ln_churn, renewal_derivatives};
pub use model::Contract;
pub(crate) use power_step::PowerStep;
pub(crate) use scorer::{
    EXPECTATIONS, EXPECTED_LIFETIME_OUTPUT, OUTPUTS, P_RETAINED_OUTPUT, RESIDUAL_LIFETIME_OUTPUT,
    forecast as contract_forecast, refuse,
};
pub use tenure::{Tenure, cohort_tenures};
pub(crate) use tenure::{history_schema, read_tenures, tenure_schema};

use crate::formulas::Formulas;
use crate::smooth_sum::{Terms, smooth_sum};
use cvm_core::{BoundBatch, InputSchema, ModelState, RowStatus, Scorer, StateError, TimeUnit};
use cvm_math::exp;

/// Most parameters of a contract model.
pub const MOST_PARAMS: usize = 3;

/// A cumulative hazard with its derivatives in the first `MOST_PARAMS` natural parameters or fewer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hazard {
    /// `H`.
    pub value: f64,
    /// First derivatives.
    pub gradient: [f64; MOST_PARAMS],
    /// Second derivatives, symmetric.
    pub hessian: [[f64; MOST_PARAMS]; MOST_PARAMS],
}

/// What a contract model must say. Tenures are whole numbers; `t` is in periods, zero or greater.
pub trait ContractFormulas: Formulas<Row = Tenure> {
    /// `H(T, t)`; `t` may be infinite.
    fn hazard(&self, tenure: f64, t: f64) -> f64;

    /// `H(T, t)` from `ln t`, for `t` so large that `T + t` is `t`.
    fn hazard_far(&self, tenure: f64, ln_t: f64) -> f64;

    /// `H(T, t)` at finite `t > 0`, with derivatives.
    fn hazard_derivatives(&self, tenure: f64, t: f64) -> Hazard;

    /// The power with which `S` falls far out; infinite where it falls faster than any.
    fn tail_power(&self) -> f64;

    /// `ln t` from which on `S` is that power to the last digit.
    fn ln_far(&self, tenure: f64) -> f64;

    /// Periods paid for, of the next `t`, the first payment being made now, discounted at `delta >= 0`
    /// per period to now. `t` may be infinite; the answer is, where `delta` is 0 and `S` has no sum.
    fn lifetime(&self, tenure: f64, t: f64, delta: f64) -> f64 {
        summed_lifetime(self, tenure, t, delta)
    }

    /// Renewals to be made, of the next `t`, the first decision being now, discounted to now.
    fn residual(&self, tenure: f64, t: f64, delta: f64) -> f64 {
        exp(-self.hazard(tenure, 1.0)) * self.lifetime(tenure + 1.0, t, delta)
    }

    /// The smallest whole `t` with `P(L <= T + t | L > T) >= p`, for `0 < p < 1`; infinite beyond
    /// 2^53 periods.
    fn quantile(&self, tenure: f64, p: f64) -> f64 {
        first_whole(|t| self.hazard(tenure, t), -cvm_math::log1p(-p))
    }
}

/// [`ContractFormulas::lifetime`] by summation.
pub(crate) fn summed_lifetime<F: ContractFormulas>(
    model: &F,
    tenure: f64,
    t: f64,
    delta: f64,
) -> f64 {
    let terms = Survival {
        model,
        tenure,
        delta,
    };
    smooth_sum(&terms, 0.0, t)
}

/// `e^{−δk} S(T+k)/S(T)`.
struct Survival<'a, F> {
    model: &'a F,
    tenure: f64,
    delta: f64,
}

impl<F: ContractFormulas> Terms for Survival<'_, F> {
    fn ln_term(&self, k: f64) -> f64 {
        -self.delta * k - self.model.hazard(self.tenure, k)
    }

    fn ln_term_far(&self, ln_k: f64) -> f64 {
        let discount = if self.delta > 0.0 {
            self.delta * exp(ln_k)
        } else {
            0.0
        };
        -discount - self.model.hazard_far(self.tenure, ln_k)
    }

    fn rate(&self) -> f64 {
        self.delta
    }

    fn power(&self) -> f64 {
        self.model.tail_power()
    }

    fn ln_far(&self) -> f64 {
        self.model.ln_far(self.tenure)
    }
}

/// The smallest whole number, from 1 to 2^53, at which a function that never falls reaches `target`
/// but for rounding; infinite beyond.
pub(crate) fn first_whole(f: impl Fn(f64) -> f64, target: f64) -> f64 {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    /// An equality that holds on paper must not fail by a rounding.
    const SLACK: f64 = 4e-15;
    let goal = target - SLACK * target.abs();
    let (mut low, mut high) = (0.0, 1.0);
    while f(high) < goal {
        if high >= LARGEST {
            return f64::INFINITY;
        }
        low = high;
        high *= 2.0;
    }
    while high - low > 1.0 {
        let middle = (0.5 * (low + high)).floor();
        if f(middle) < goal {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// What is asked of a contract model about customers of given tenures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ContractForecast {
    /// `S(T+t)/S(T)`.
    Retained {
        /// Periods ahead.
        t: f64,
    },
    /// Its logarithm.
    LnRetained {
        /// Periods ahead.
        t: f64,
    },
    /// `1 − S(T+t)/S(T)`.
    Churned {
        /// Periods ahead.
        t: f64,
    },
    /// `( S(T+t−1) − S(T+t) )/S(T)`: leaves at exactly the `t`-th renewal to come.
    ChurnedAt {
        /// Periods ahead.
        t: f64,
    },
    /// [`ContractFormulas::lifetime`].
    Lifetime {
        /// Payments counted.
        t: f64,
        /// Continuous rate per period.
        delta: f64,
    },
    /// [`ContractFormulas::residual`].
    Residual {
        /// Renewals counted.
        t: f64,
        /// Continuous rate per period.
        delta: f64,
    },
    /// [`ContractFormulas::quantile`].
    Quantile {
        /// Probability.
        p: f64,
    },
}

/// Tenures with their covariates, if the model has any.
#[derive(Debug, Clone, Copy)]
pub struct Subscribers<'a> {
    /// Tenures of present customers.
    pub rows: &'a [Tenure],
    /// Covariate values, row by row.
    pub covariates: &'a [f64],
}

/// A contract model of any kind, as part of a composed model.
pub trait ContractModel: Scorer {
    /// Length of one period, if known.
    fn time_unit(&self) -> Option<TimeUnit>;

    /// Number of covariate columns.
    fn covariate_count(&self) -> usize;

    /// Number of covariate values of a row in a batch bound to `schema`, which begins with the model's
    /// own fields.
    fn covariate_width(&self, schema: &InputSchema) -> usize {
        let _ = schema;
        self.covariate_count()
    }

    /// Marks good rows whose covariates are not known `t` periods ahead.
    fn cover(&self, customers: Subscribers<'_>, t: f64, status: &mut [RowStatus]) {
        let _ = (customers, t, status);
    }

    /// Reads rows `start..` into `rows` and `covariates`; a refused row gets its status and a legal
    /// stand-in.
    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Tenure],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    );

    /// Answers for every customer, each alone.
    fn forecast(&self, what: ContractForecast, customers: Subscribers<'_>, out: &mut [f64]);

    /// Periods paid for, of the next `t`, the first payment being made now, discounted to now:
    /// the factor that turns a value per period into a lifetime value.
    fn expected_lifetime(&self, customers: Subscribers<'_>, t: f64, delta: f64, out: &mut [f64]) {
        self.forecast(ContractForecast::Lifetime { t, delta }, customers, out);
    }

    /// A boxed copy.
    fn clone_box(&self) -> Box<dyn ContractModel>;
}

impl Clone for Box<dyn ContractModel> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

type OpenFn = fn(&ModelState) -> Result<Box<dyn ContractModel>, StateError>;

fn open_timed(state: &ModelState) -> Result<Box<dyn ContractModel>, StateError> {
    let model = crate::state::parametric_from_state::<crate::TimedContracts>(state)?;
    Ok(Box::new(model))
}

fn open<F: ContractFormulas>(state: &ModelState) -> Result<Box<dyn ContractModel>, StateError> {
    Ok(Box::new(
        crate::state::parametric_from_state::<Contract<F>>(state)?,
    ))
}

/// Kinds of contract models. One line per model.
const KINDS: &[(&str, OpenFn)] = &[
    (crate::Sbg::KIND, open::<crate::Sbg>),
    (crate::Bdw::KIND, open::<crate::Bdw>),
    (crate::Geometric::KIND, open::<crate::Geometric>),
    (crate::DiscreteWeibull::KIND, open::<crate::DiscreteWeibull>),
    (
        <crate::TimedContracts as cvm_core::ParametricModel>::KIND,
        open_timed,
    ),
];

/// The contract model stored as `state`, of any kind this crate has.
///
/// # Errors
/// A kind that is not a contract model, or as the model's own `from_state`.
pub fn contract_from_state(state: &ModelState) -> Result<Box<dyn ContractModel>, StateError> {
    let found = KINDS.iter().find(|(kind, _)| *kind == state.kind);
    let (_, open) = found.ok_or_else(|| {
        StateError::malformed(&state.kind, "is not a contract model of this build")
    })?;
    open(state)
}

//! The family of purchase models: what each must say of one customer, and what all of them answer.
//!
//! A forecast is P(alive at `T`) times the forecast for a living customer. With `X(t)` the purchases
//! in `(T, T + t]` and everything given the customer's row and that they are alive at `T`:
//!
//! | formula          | meaning                                                     |
//! |------------------|-------------------------------------------------------------|
//! | `p_alive_ahead`  | `S(t)`: still alive at `T + t`                              |
//! | `purchases`      | `E[X(t)]`                                                   |
//! | `discounted`     | `∫_0^t e^{−δs} dE[X(s)]`; with `t = inf` the DERT           |
//! | `lifetime`       | `∫_0^t e^{−δs} S(s) ds`: periods alive, discounted          |
//! | `ln_pmf`         | `ln P(X(t) = n)`                                            |
//! | `ln_tail`        | `ln P(X(t) ≥ n)`                                            |
//! | `next_purchase`  | the `t` at which `P(X(t) ≥ 1)` reaches a probability        |
//!
//! A new customer is the row `x = t_x = T = 0`.

mod model;
mod numeric;
mod probe;
mod scorer;

pub use model::Purchase;
pub(crate) use model::ln_one_minus_exp;
pub(crate) use numeric::{first_reaching, integral};
pub(crate) use probe::continuous as continuous_probes;
pub(crate) use scorer::{
    DISCOUNTED_PURCHASES_OUTPUT, EXPECTATIONS, EXPECTED_PURCHASES_OUTPUT, OUTPUTS, P_ALIVE_OUTPUT,
    blank_bad_rows, check_rate, delta_per_period, horizon_periods, multiply, refuse_nan,
    refuse_not_finite,
};

use crate::formulas::Formulas;
use crate::rfm::Rfm;
use cvm_core::{BoundBatch, InputSchema, ModelState, RowStatus, Scorer, StateError, TimeUnit};

/// How time runs in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Purchases at any moment.
    Continuous,
    /// At most one purchase per period: `T` (column `n_periods`) and `t_x` are whole numbers, and
    /// a horizon is cut to whole periods.
    Discrete,
}

/// What a purchase model must say of one customer. `t` is in periods, zero or greater and possibly
/// infinite; `n` is a whole number. No formula returns NaN for a legal row; an expectation that is
/// truly infinite is `inf`.
pub trait PurchaseFormulas: Formulas<Row = Rfm> {
    /// How time runs.
    const CLOCK: Clock = Clock::Continuous;
    /// Whether a fit reads the column `log_gap_sum` (models of regular buying).
    const REGULAR: bool = false;
    /// Whether forecasts read that column too.
    const RHYTHMIC: bool = false;
    /// One in so many of the usual probe rows is enough, where forecasts are long quadratures; then
    /// equal rows are answered once, too.
    const PROBED_ONE_IN: usize = 1;
    /// Rough cost of [`PurchaseFormulas::ln_tail`] in nanoseconds.
    const LN_TAIL_NS: f64 = 1_000.0;

    /// Checks beyond [`Rfm::new`].
    ///
    /// # Errors
    /// The status of a row that is not legal.
    fn check(row: &Rfm) -> Result<(), RowStatus> {
        let _ = row;
        Ok(())
    }

    /// A length of time that is typical for the model, for probe rows.
    fn scale_periods(&self) -> f64;

    /// Probability of being alive at `T`.
    fn p_alive(&self, row: &Rfm) -> f64;

    /// Its logarithm, exact however small the probability.
    fn ln_p_alive(&self, row: &Rfm) -> f64;

    /// Probability of being alive at `T + t`, given alive at `T`.
    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64;

    /// Purchases expected in `(T, T + t]`, given alive at `T`.
    fn purchases(&self, row: &Rfm, t: f64) -> f64;

    /// `ln P(X(t) = n)`, given alive at `T`.
    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64;

    /// `ln P(X(t) ≥ n)`, given alive at `T`.
    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64;

    /// Purchases expected in `(T, T + t]`, each discounted to `T` at the continuous rate
    /// `delta > 0` per period, given alive at `T`.
    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        numeric::discounted(
            |s| self.purchases(row, s),
            self.scale_periods() + row.age,
            t,
            delta,
        )
    }

    /// Periods alive in `(T, T + t]`, discounted at `delta ≥ 0`, given alive at `T`; infinite where
    /// `t` is, `delta` is 0 and the lifetime has no mean.
    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64;

    /// The `t` with `P(X(t) ≥ 1) = p` given alive at `T`, for `0 < p < 1`; `inf` where that is
    /// never reached.
    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        let scale = self.scale_periods() + row.age;
        numeric::first_reaching(|t| self.ln_tail(row, t, 1.0), cvm_math::ln(p), scale)
    }

    /// P(alive) of many rows.
    fn p_alive_rows(&self, rows: &[Rfm], out: &mut [f64]) {
        for (row, slot) in rows.iter().zip(out) {
            *slot = self.p_alive(row);
        }
    }

    /// [`PurchaseFormulas::purchases`] of many rows; each row's bits as if it were alone.
    fn purchases_rows(&self, rows: &[Rfm], t: f64, out: &mut [f64]) {
        for (row, slot) in rows.iter().zip(out) {
            *slot = self.purchases(row, t);
        }
    }
}

/// What is asked of a purchase model, for a living customer unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Forecast {
    /// P(alive at `T`).
    PAlive,
    /// Its logarithm.
    LnPAlive,
    /// [`PurchaseFormulas::p_alive_ahead`].
    PAliveAhead {
        /// Horizon in periods.
        t: f64,
    },
    /// [`PurchaseFormulas::purchases`].
    Purchases {
        /// Horizon in periods.
        t: f64,
    },
    /// [`PurchaseFormulas::discounted`]; at `delta = 0` the same bits as `Purchases`.
    Discounted {
        /// Horizon in periods.
        t: f64,
        /// Continuous rate per period.
        delta: f64,
    },
    /// [`PurchaseFormulas::lifetime`].
    Lifetime {
        /// Horizon in periods.
        t: f64,
        /// Continuous rate per period.
        delta: f64,
    },
    /// `ln P(X(t) = n)` of a customer who may have lapsed.
    LnPmf {
        /// Horizon in periods.
        t: f64,
        /// Purchases.
        n: f64,
    },
    /// `ln P(X(t) ≥ n)` of a customer who may have lapsed.
    LnTail {
        /// Horizon in periods.
        t: f64,
        /// Purchases.
        n: f64,
    },
    /// The time by which the next purchase is made with probability `p`, of a customer who may have
    /// lapsed.
    NextPurchase {
        /// Probability.
        p: f64,
    },
}

/// Rows with their covariates, if the model has any.
#[derive(Debug, Clone, Copy)]
pub struct Customers<'a> {
    /// Summaries.
    pub rows: &'a [Rfm],
    /// Covariate values, row by row.
    pub covariates: &'a [f64],
}

/// A purchase model of any kind, as part of a composed model.
pub trait PurchaseModel: Scorer {
    /// Length of one period, if known.
    fn time_unit(&self) -> Option<TimeUnit>;

    /// How time runs.
    fn clock(&self) -> Clock;

    /// Number of covariate columns.
    fn covariate_count(&self) -> usize;

    /// Number of covariate values of a row in a batch bound to `schema`, which begins with the model's
    /// own fields.
    fn covariate_width(&self, schema: &InputSchema) -> usize {
        let _ = schema;
        self.covariate_count()
    }

    /// Marks good rows whose covariates are not known `t` periods ahead.
    fn cover(&self, customers: Customers<'_>, t: f64, status: &mut [RowStatus]) {
        let _ = (customers, t, status);
    }

    /// Reads rows `start..` into `rows` and `covariates`; a refused row gets its status and a
    /// legal stand-in.
    fn read(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        rows: &mut [Rfm],
        covariates: &mut [f64],
        status: &mut [RowStatus],
    );

    /// Answers for every customer, each alone.
    fn forecast(&self, what: Forecast, customers: Customers<'_>, out: &mut [f64]);

    /// `n ↦ ln P(X(t) ≥ n)` of the one customer given: the bits of [`Forecast::LnTail`], where what does
    /// not depend on `n` is computed once.
    fn ln_tails<'a>(&'a self, customer: Customers<'a>, t: f64) -> Box<dyn Fn(f64) -> f64 + 'a>;

    /// Rough cost of one such probability in nanoseconds, by which probe rows of composed models are
    /// chosen: fixed by the kind alone.
    fn ln_tail_ns(&self) -> f64;

    /// A boxed copy.
    fn clone_box(&self) -> Box<dyn PurchaseModel>;
}

impl Clone for Box<dyn PurchaseModel> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

type OpenFn = fn(&ModelState) -> Result<Box<dyn PurchaseModel>, StateError>;

fn open_timed(state: &ModelState) -> Result<Box<dyn PurchaseModel>, StateError> {
    let model = crate::state::parametric_from_state::<crate::TimedPurchases>(state)?;
    Ok(Box::new(model))
}

fn open<F: PurchaseFormulas>(state: &ModelState) -> Result<Box<dyn PurchaseModel>, StateError> {
    Ok(Box::new(
        crate::state::parametric_from_state::<Purchase<F>>(state)?,
    ))
}

/// Kinds of purchase models. One line per model.
const KINDS: &[(&str, OpenFn)] = &[
    (crate::BgNbd::KIND, open::<crate::BgNbd>),
    (crate::ParetoNbd::KIND, open::<crate::ParetoNbd>),
    (crate::ParetoGgg::KIND, open::<crate::ParetoGgg>),
    (crate::GGompertzNbd::KIND, open::<crate::GGompertzNbd>),
    (
        crate::ParetoNbdCorrelated::KIND,
        open::<crate::ParetoNbdCorrelated>,
    ),
    (crate::BgBb::KIND, open::<crate::BgBb>),
    (crate::MbgNbd::KIND, open::<crate::MbgNbd>),
    (crate::Nbd::KIND, open::<crate::Nbd>),
    (crate::BgCnbdK::KIND, open::<crate::BgCnbdK>),
    (crate::MbgCnbdK::KIND, open::<crate::MbgCnbdK>),
    (
        <crate::TimedPurchases as cvm_core::ParametricModel>::KIND,
        open_timed,
    ),
];

/// The purchase model stored as `state`, of any kind this crate has.
///
/// # Errors
/// A kind that is not a purchase model, or as the model's own `from_state`.
pub fn purchase_from_state(state: &ModelState) -> Result<Box<dyn PurchaseModel>, StateError> {
    let found = KINDS.iter().find(|(kind, _)| *kind == state.kind);
    let (_, open) = found.ok_or_else(|| {
        StateError::malformed(&state.kind, "is not a purchase model of this build")
    })?;
    open(state)
}

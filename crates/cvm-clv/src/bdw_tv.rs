//! BdW whose chance to leave follows covariates that change with time.
//!
//! A customer survives with probability `(1−θ)^{D(t)}`, `θ ~ Beta(α, β)`, where time runs faster or
//! slower as the covariates say; they are constant between known moments `τ_0 ≤ 0 < τ_1 < …`:
//!
//! ```text
//! D(t) = Σ_k e^{γᵀz_k} ( τ_{k+1}^c − τ_k^c )   over (0, t],      S(t) = B(α, β + D(t))/B(α, β)
//! ```
//!
//! Without covariates `D = t^c` and it is the [`crate::Bdw`]; `c = 1` gives the sBG, and `α, β → ∞` at a
//! fixed ratio a discrete Weibull or geometric law with proportional hazards.
//!
//! | symbol | field     | unit    | meaning                                              |
//! |--------|-----------|---------|------------------------------------------------------|
//! | `T`    | `tenure`  | periods | renewals made, or the renewal at which they left     |
//! |        | `churned` | 1       | 1 if they left at that renewal, 0 if they stayed     |
//!
//! Source: Fader, Hardie, Liu, Davin & Steenburgh (2018), *Journal of Interactive Marketing* 43, 1–16
//! (the BdW); covariates on the hazard of a grouped lifetime: Prentice & Gloeckler (1978), Regression
//! Analysis of Grouped Survival Data, *Biometrics* 34(1), 57–67 (`1 − h_k = (1−θ)^{e^{γᵀz_k}}`).
//!
//! Numerics: `H(T, t) = D(β + D(T), α, D(T+t) − D(T))` of [`crate::beta_ratio`]'s documentation, steps of the
//! power without cancellation; exact gradient and Hessian by the chain rule through the clock.

mod likelihood;
mod model;
mod scorer;

pub use likelihood::TimedTenureLikelihood;
pub use model::TimedContracts;

use crate::beta_mixture::ln_far;
use crate::beta_ratio::beta_drop;
use crate::contract::{PowerStep, Tenure, first_whole, ln_churn};
use crate::covariate_path::{CovariatePath, Piece};
use crate::random::Random;
use crate::sbg::{leaving_rate, observed};
use crate::smooth_sum::{Terms, smooth_sum};
use cvm_core::{Domain, ParamError};
use cvm_math::{exp, ln};

/// The model at given parameters and coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct BdwTv {
    alpha: f64,
    beta: f64,
    c: f64,
    gamma: Vec<f64>,
}

/// A customer's history under contract along a path of covariates, which all act on leaving.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedTenure {
    /// Renewals, and whether the customer left.
    pub tenure: Tenure,
    /// Covariates since the start of the contract.
    pub path: CovariatePath,
}

/// A stretch with the same covariates ahead of a customer of tenure `T`.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Its start, since the start of the contract.
    from: f64,
    /// What the clock has moved on by between `T` and its start.
    passed: f64,
    speed: f64,
}

impl BdwTv {
    /// The model with shapes `alpha`, `beta` and duration dependence `c`, finite and positive, and finite
    /// coefficients.
    ///
    /// # Errors
    /// The first number outside its domain.
    pub fn new(params: [f64; 3], gamma: &[f64]) -> Result<Self, ParamError> {
        let named = ["alpha", "beta", "c"].iter().zip(params);
        let named = named.map(|(name, value)| (*name, value, Domain::Positive));
        let coefficients = gamma
            .iter()
            .map(|value| ("contract", *value, Domain::Finite));
        for (name, value, domain) in named.chain(coefficients) {
            if !domain.contains(value) {
                let name = name.to_owned();
                return Err(ParamError {
                    name,
                    value,
                    domain,
                });
            }
        }
        let [alpha, beta, c] = params;
        Ok(BdwTv {
            alpha,
            beta,
            c,
            gamma: gamma.to_vec(),
        })
    }

    /// `alpha, beta, c`.
    #[must_use]
    pub fn params(&self) -> [f64; 3] {
        [self.alpha, self.beta, self.c]
    }

    fn fits(&self, path: &CovariatePath) -> bool {
        path.widths() == [0, self.gamma.len()]
    }

    fn speed(&self, piece: &Piece<'_>) -> f64 {
        let terms = self.gamma.iter().zip(piece.dropout);
        exp(terms.map(|(c, v)| c * v).sum::<f64>().clamp(-300.0, 300.0))
    }

    /// `D(from + span) − D(from)`; `span` may be infinite.
    fn clock(&self, path: &CovariatePath, from: f64, span: f64) -> f64 {
        let of = |piece: Piece<'_>| {
            let step = PowerStep::value(from + piece.start, piece.length, self.c);
            self.speed(&piece) * step
        };
        path.pieces(from, span).map(of).sum()
    }

    /// `H(T, t) = −ln[S(T+t)/S(T)]`; `t` may be infinite. NaN where the path has another number of
    /// covariates.
    #[must_use]
    pub fn hazard(&self, path: &CovariatePath, tenure: f64, t: f64) -> f64 {
        if !self.fits(path) {
            return f64::NAN;
        }
        let base = self.beta + self.clock(path, 0.0, tenure);
        beta_drop(base, self.alpha, self.clock(path, tenure, t))
    }

    /// Log-likelihood of one customer.
    #[must_use]
    pub fn log_lik(&self, row: &TimedTenure) -> f64 {
        let Tenure { tenure, churned } = row.tenure;
        let stayed = tenure - churned;
        let left = if churned == 0.0 {
            0.0
        } else {
            ln_churn(self.hazard(&row.path, stayed, 1.0))
        };
        left - self.hazard(&row.path, 0.0, stayed)
    }

    /// `( S(T+t−1) − S(T+t) )/S(T)`: leaves at exactly the `t`-th renewal to come.
    #[must_use]
    pub fn churned_at(&self, path: &CovariatePath, tenure: f64, t: f64) -> f64 {
        if t < 1.0 || t == f64::INFINITY {
            return 0.0;
        }
        let stayed = self.hazard(path, tenure, t - 1.0);
        exp(ln_churn(self.hazard(path, tenure + (t - 1.0), 1.0)) - stayed)
    }

    /// Periods paid for, of the next `t`, the first payment being made now, each discounted at
    /// `delta ≥ 0` per period to now; `t` may be infinite.
    #[must_use]
    pub fn lifetime(&self, path: &CovariatePath, tenure: f64, t: f64, delta: f64) -> f64 {
        if !self.fits(path) {
            return f64::NAN;
        }
        let base = self.beta + self.clock(path, 0.0, tenure);
        let (mut total, mut passed, mut next) = (0.0, 0.0, 0.0);
        for piece in path.pieces(tenure, t) {
            let stretch = Stretch {
                from: tenure + piece.start,
                passed,
                speed: self.speed(&piece),
            };
            // Of the whole numbers from `next` on, those before the end of the stretch.
            let end = (piece.start + piece.length).ceil().min(t);
            if end > next {
                let terms = Renewals {
                    model: self,
                    tenure,
                    delta,
                    base,
                    stretch,
                };
                total += smooth_sum(&terms, next, end);
                next = end;
            }
            passed += stretch.speed * PowerStep::value(stretch.from, piece.length, self.c);
        }
        total
    }

    /// Renewals to be made, of the next `t`, the first decision being now, discounted to now.
    #[must_use]
    pub fn residual(&self, path: &CovariatePath, tenure: f64, t: f64, delta: f64) -> f64 {
        exp(-self.hazard(path, tenure, 1.0)) * self.lifetime(path, tenure + 1.0, t, delta)
    }

    /// The smallest whole `t` with `P(L <= T + t | L > T) >= p`, for `0 < p < 1`; infinite beyond
    /// 2^53 periods.
    #[must_use]
    pub fn quantile(&self, path: &CovariatePath, tenure: f64, p: f64) -> f64 {
        let reached = |t| self.hazard(path, tenure, t);
        first_whole(reached, -cvm_math::log1p(-p))
    }

    /// A customer who started as the template's did, seen up to its last renewal.
    pub fn simulate_one(&self, template: &TimedTenure, random: &mut Random) -> TimedTenure {
        let target = random.exponential() / leaving_rate(self.alpha, self.beta, random);
        let seen = template.tenure.tenure;
        let reached = |t| self.clock(&template.path, 0.0, t);
        let lifetime = if reached(seen) < target {
            seen + 1.0
        } else {
            first_whole(reached, target)
        };
        TimedTenure {
            tenure: observed(lifetime, &template.tenure),
            path: template.path.clone(),
        }
    }
}

/// `e^{−δk} S(T+k)/S(T)` within a stretch.
struct Renewals<'a> {
    model: &'a BdwTv,
    tenure: f64,
    delta: f64,
    base: f64,
    stretch: Stretch,
}

impl Renewals<'_> {
    fn hazard(&self, step: f64) -> f64 {
        let clock = self.stretch.passed + self.stretch.speed * step;
        beta_drop(self.base, self.model.alpha, clock)
    }
}

impl Terms for Renewals<'_> {
    fn ln_term(&self, k: f64) -> f64 {
        let Stretch { from, .. } = self.stretch;
        // A stretch may begin between two renewals.
        let since = (k - (from - self.tenure)).max(0.0);
        -self.delta * k - self.hazard(PowerStep::value(from, since, self.model.c))
    }

    fn ln_term_far(&self, ln_k: f64) -> f64 {
        let discount = if self.delta > 0.0 {
            self.delta * exp(ln_k)
        } else {
            0.0
        };
        -discount - self.hazard(PowerStep::far(self.stretch.from, ln_k, self.model.c))
    }

    fn rate(&self) -> f64 {
        self.delta
    }

    fn power(&self) -> f64 {
        self.model.alpha * self.model.c
    }

    /// Where the clock, and time itself, are beyond the reach of all that came before.
    fn ln_far(&self) -> f64 {
        let reached = self.base + self.stretch.passed;
        let of_clock = ln_far(self.model.alpha, reached) - ln(self.stretch.speed);
        let of_time = ln_far(self.power(), self.stretch.from);
        (of_clock / self.model.c).max(of_time)
    }
}

//! Log-normal spend: what a customer spends per purchase, from the logarithms of a few purchases.
//!
//! The logarithms of a customer's purchases are `N(μ, σ²)`; across customers `μ ~ N(m, τ²)`,
//! independently of how often they buy. A customer's mean spend is `M = exp(μ + σ²/2)`.
//!
//! | symbol | field        | unit          | meaning                                             |
//! |--------|--------------|---------------|-----------------------------------------------------|
//! | `x`    | `frequency`  | purchases     | purchases that count: the repeats                   |
//! | `ȳ`    | `log_mean`   | log currency  | mean of the logarithms of their values              |
//! | `s`    | `log_sd`     | log currency  | standard deviation of those (divisor `x − 1`)       |
//! | `m`    |              | log currency  | mean of `μ` across customers                        |
//! | `τ`    |              | log currency  | standard deviation of `μ` across customers          |
//! | `σ`    |              | log currency  | standard deviation of one customer's purchases      |
//!
//! The logarithms of `x` purchases are jointly normal; with `Q = (x−1)s²` and `D = σ² + xτ²`
//!
//! ```text
//! ln L = −(x/2) ln 2π − (x−1) ln σ − ½ ln D − Q/(2σ²) − x(ȳ−m)²/(2D)
//! ```
//!
//! and given them `μ ~ N(μ_x, V)` with `w = xτ²/D`, `μ_x = m + w(ȳ−m)`, `V = τ²σ²/D`, hence
//!
//! ```text
//! E[M] = exp(μ_x + (V + σ²)/2)
//! E[Var(Z | μ)] = E[M]² e^V (e^{σ²} − 1),   Var(M) = E[M]² (e^V − 1)
//! median of M = exp(μ_x + σ²/2)
//! ```
//!
//! Source: Schmittlein & Peterson (1994), Customer Base Analysis, *Marketing Science* 13(1), 41–67
//! (normal spend with a normal prior), on logarithms as in Abe (2009), *Marketing Science* 28(3),
//! 541–553; likelihood of the one-way random-effects model: Searle, Casella & McCulloch (1992),
//! *Variance Components*, ch. 3.
//!
//! Numerics: a fit needs per distinct `x` only the number of customers, the mean and the squares of
//! `ȳ`, and the sum of `Q`: [`LogNormalSpendLikelihood`]. Derivations: docs/models/log_normal_spend.md.

mod likelihood;

pub use likelihood::LogNormalSpendLikelihood;

use crate::formulas::Formulas;
use crate::random::Random;
use crate::spend::{Spend, SpendColumn, SpendFormulas};
use cvm_core::{
    Derivatives, Domain, Effect, Order, ParamError, ParamSpec, Process, RowStatus, Transform,
};
use cvm_math::{exp, expm1, ln};
use likelihood::{Group, group_derivatives};

/// The log-normal spend model at given parameters.
#[derive(Debug, Clone)]
pub struct LogNormalSpend {
    /// Mean of the log spend across customers.
    m: f64,
    /// Standard deviation of a customer's mean log spend across customers.
    tau: f64,
    /// Standard deviation of the log spend of one customer.
    sigma: f64,
}

/// What the purchases tell of `μ`.
struct Posterior {
    mean: f64,
    variance: f64,
}

impl LogNormalSpend {
    /// The model with mean `m` and standard deviations `tau` and `sigma`, all of log currency.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(m: f64, tau: f64, sigma: f64) -> Result<Self, ParamError> {
        let params = [m, tau, sigma];
        for (spec, value) in Self::PARAMS.iter().zip(&params) {
            spec.check(*value)?;
        }
        Ok(LogNormalSpend { m, tau, sigma })
    }

    /// Expected value of a purchase of a customer never seen, in currency.
    #[must_use]
    pub fn expected_spend_new(&self) -> f64 {
        self.expected_spend(&Spend::NONE)
    }

    /// Shrinkage in the ratio of the smaller deviation to the larger, which cannot overflow.
    fn posterior(&self, row: &Spend) -> Posterior {
        let x = row.frequency;
        if x == 0.0 {
            return Posterior {
                mean: self.m,
                variance: self.tau * self.tau,
            };
        }
        let (weight, variance) = if self.tau <= self.sigma {
            let ratio = self.tau / self.sigma;
            let seen = x * ratio * ratio;
            (seen / (1.0 + seen), self.tau * self.tau / (1.0 + seen))
        } else {
            let ratio = self.sigma / self.tau;
            let all = x + ratio * ratio;
            (x / all, self.sigma * self.sigma / all)
        };
        Posterior {
            mean: self.m + weight * (row.log_mean - self.m),
            variance,
        }
    }
}

impl Formulas for LogNormalSpend {
    const KIND: &'static str = "clv.log_normal_spend";
    const TITLE: &'static str = "Log-normal spend";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec {
            name: "m",
            unit: "log currency",
            meaning: "mean log spend across customers",
            domain: Domain::Finite,
            transform: Transform::Identity,
        },
        ParamSpec::positive(
            "tau",
            "log currency",
            "standard deviation of mean log spend across customers",
        ),
        ParamSpec::positive(
            "sigma",
            "log currency",
            "standard deviation of log spend of one customer",
        ),
    ];
    const PROCESSES: &'static [Process] = &[Process {
        name: "spend",
        effects: &[Effect {
            param: 0,
            sign: 1.0,
        }],
    }];

    type Row = Spend;
    type Likelihood = LogNormalSpendLikelihood;

    fn at(params: &[f64]) -> Self {
        let &[m, tau, sigma] = params else {
            unreachable!("the number of parameters has been checked")
        };
        LogNormalSpend { m, tau, sigma }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.m, self.tau, self.sigma]
    }

    fn key(row: &Spend) -> [f64; 4] {
        [row.frequency, row.log_mean, row.log_sd, 0.0]
    }

    /// The sum of the terms of the formula above, with `D` taken as `σ²(1 + xτ²/σ²)`.
    fn log_lik(&self, row: &Spend) -> f64 {
        const LN_TWO_PI: f64 = 1.837_877_066_409_345_5;
        let x = row.frequency;
        let end = self.sigma * self.sigma + x * self.tau * self.tau;
        let away = row.log_mean - self.m;
        let within = row.log_sd / self.sigma;
        -0.5 * x * LN_TWO_PI
            - (x - 1.0) * ln(self.sigma)
            - 0.5 * ln(end)
            - 0.5 * (x - 1.0).max(0.0) * within * within
            - 0.5 * x * away * (away / end)
    }

    fn derivatives(&self, row: &Spend, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let group = Group {
            purchases: row.frequency,
            weight: 1.0,
            mean: row.log_mean,
            squares: 0.0,
            within: row.log_squares(),
        };
        let own = group_derivatives([self.m, self.tau, self.sigma], &group);
        out.gradient.copy_from_slice(&own.gradient);
        for (index, slot) in out.hessian.iter_mut().enumerate() {
            let (i, j) = (index / 3, index % 3);
            *slot = own.hessian[i.min(j)][i.max(j)];
        }
    }

    fn likelihood(rows: &[Spend], weights: Option<&[f64]>) -> LogNormalSpendLikelihood {
        LogNormalSpendLikelihood::new(rows, weights)
    }

    fn starts(likelihood: &LogNormalSpendLikelihood) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    /// The squared deviations of `x` normals are chi-squared with `x − 1` degrees of freedom.
    fn simulate_one(&self, template: &Spend, random: &mut Random) -> Spend {
        let x = template.frequency;
        if x == 0.0 {
            return Spend::NONE;
        }
        /// Logarithms of doubles are smaller.
        const LARGEST: f64 = 700.0;
        let own = self.m + self.tau * random.normal();
        let mean = own + self.sigma * random.normal() / x.sqrt();
        let sd = if x > 1.0 {
            let half = 0.5 * (x - 1.0);
            self.sigma * exp(0.5 * (random.ln_gamma_variate(half) - ln(half)))
        } else {
            0.0
        };
        Spend::of_logs(x, mean.clamp(-LARGEST, LARGEST), sd.min(LARGEST))
    }
}

impl SpendFormulas for LogNormalSpend {
    const COLUMNS: &'static [SpendColumn] = &[SpendColumn {
        name: "log_spend_mean",
        unit: "log currency",
        domain: Domain::Finite,
    }];
    const FIT_COLUMNS: &'static [SpendColumn] = &[SpendColumn {
        name: "log_spend_sd",
        unit: "log currency",
        domain: Domain::NonNegative,
    }];

    fn row(purchases: f64, values: &[f64]) -> Result<Spend, RowStatus> {
        let log_mean = values.first().copied().unwrap_or(f64::NAN);
        Spend::check_logs(purchases, log_mean, values.get(1).copied())
    }

    fn row_values(row: &Spend, values: &mut [f64]) {
        for (slot, value) in values.iter_mut().zip([row.log_mean, row.log_sd]) {
            *slot = value;
        }
    }

    /// The logarithm of nothing is missing.
    fn is_free(values: &[f64]) -> bool {
        values.first().is_none_or(|value| value.is_nan())
    }

    fn scale_currency(&self) -> f64 {
        exp(self.m + 0.5 * self.sigma * self.sigma)
    }

    /// A logarithm may have any sign: the multiples are of the spread across customers.
    fn probe_value(&self, multiple_of_scale: f64) -> f64 {
        if multiple_of_scale == 0.0 || !multiple_of_scale.is_finite() {
            return if multiple_of_scale == 0.0 {
                f64::NEG_INFINITY
            } else {
                multiple_of_scale
            };
        }
        let spread = (self.tau * self.tau + self.sigma * self.sigma).sqrt();
        self.m + spread * multiple_of_scale.min(6.0)
    }

    fn expected_spend(&self, row: &Spend) -> f64 {
        let known = self.posterior(row);
        exp(known.mean + 0.5 * (known.variance + self.sigma * self.sigma))
    }

    fn variance_within(&self, row: &Spend) -> f64 {
        let known = self.posterior(row);
        let noise = self.sigma * self.sigma;
        exp(2.0 * (known.mean + known.variance) + noise) * expm1(noise)
    }

    fn variance_of_mean(&self, row: &Spend) -> f64 {
        let known = self.posterior(row);
        let noise = self.sigma * self.sigma;
        exp(2.0 * known.mean + known.variance + noise) * expm1(known.variance)
    }

    fn median_spend(&self, row: &Spend) -> f64 {
        exp(self.posterior(row).mean + 0.5 * self.sigma * self.sigma)
    }
}

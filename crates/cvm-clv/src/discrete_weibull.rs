//! Discrete Weibull: renewal under contract by customers who are all alike, but change.
//!
//! The baseline without heterogeneity: every customer survives `t` renewals with probability
//! `(1−θ)^(t^c)`. With `c = 1` it is the geometric; the BdW is its mixture over `θ`.
//!
//! | symbol | field     | unit    | meaning                                              |
//! |--------|-----------|---------|------------------------------------------------------|
//! | `T`    | `tenure`  | periods | renewals made, or the renewal at which they left     |
//! |        | `churned` | 1       | 1 if they left at that renewal, 0 if they stayed     |
//!
//! ```text
//! S(t) = (1−θ)^(t^c),   odds = θ/(1−θ)
//! ```
//!
//! The first parameter is the odds of leaving at the first renewal, which covariates scale.
//!
//! Source: Nakagawa & Osaki (1975), The Discrete Weibull Distribution, *IEEE Transactions on
//! Reliability* R-24(5), 300–301 (their `q` is `1 − θ`, their `β` is `c`).
//!
//! Numerics: `H(T, t) = ln(1 + odds)·((T+t)^c − T^c)`, the step of the power without cancellation.
//! The expected lifetime is summed (`smooth_sum`). Derivations: docs/models/discrete_weibull.md.

use crate::contract::Contract;
use crate::contract::{
    ContractFormulas, Hazard, PowerStep, Tenure, censored_or_churned, exposure, renewal_derivatives,
};
use crate::formulas::Formulas;
use crate::geometric::Geometric;
use crate::merged::MergedRows;
use crate::random::Random;
use crate::sbg::observed;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use cvm_math::{log1p, pow};

/// The discrete Weibull model at given parameters.
#[derive(Debug, Clone)]
pub struct DiscreteWeibull {
    odds: f64,
    c: f64,
    /// `−ln(1 − θ)`.
    rate: f64,
}

impl DiscreteWeibull {
    /// The model with `odds` of leaving at the first renewal and duration dependence `c`, finite and
    /// positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(odds: f64, c: f64) -> Result<Self, ParamError> {
        let params = [odds, c];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(DiscreteWeibull::at(&params))
    }
}

impl Formulas for DiscreteWeibull {
    const KIND: &'static str = "clv.discrete_weibull";
    const TITLE: &'static str = "Discrete Weibull";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("odds", "1", "odds of leaving at the first renewal"),
        ParamSpec::positive("c", "1", "how the chance to leave moves with tenure"),
    ];
    const PROCESSES: &'static [Process] = &[Process {
        name: "contract",
        effects: &[Effect {
            param: 0,
            sign: 1.0,
        }],
    }];

    type Row = Tenure;
    type Likelihood = MergedRows<Self>;

    fn at(params: &[f64]) -> Self {
        let &[odds, c] = params else {
            unreachable!("the number of parameters has been checked")
        };
        DiscreteWeibull {
            odds,
            c,
            rate: log1p(odds),
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.odds, self.c]
    }

    fn key(row: &Tenure) -> [f64; 4] {
        [row.tenure, row.churned, 0.0, 0.0]
    }

    fn log_lik(&self, row: &Tenure) -> f64 {
        censored_or_churned(self, row)
    }

    fn derivatives(&self, row: &Tenure, order: Order, out: &mut Derivatives) {
        renewal_derivatives(self, row, order, out);
    }

    fn likelihood(rows: &[Tenure], weights: Option<&[f64]>) -> MergedRows<Self> {
        MergedRows::new(rows, weights)
    }

    fn starts(likelihood: &MergedRows<Self>) -> Vec<Vec<f64>> {
        let (left, stayed) = exposure(likelihood);
        let odds = (left + 0.5) / (stayed + 0.5);
        [1.0, 0.6, 1.6].map(|c| vec![odds, c]).to_vec()
    }

    fn nested() -> Option<Nested<Tenure>> {
        let embed = |geometric: &[f64]| [geometric, &[1.0]].concat();
        Some(Nested::of::<Contract<Geometric>>(
            NestedPlace::Inside,
            embed,
        ))
    }

    fn simulate_one(&self, template: &Tenure, random: &mut Random) -> Tenure {
        let lifetime = pow(random.exponential() / self.rate, 1.0 / self.c);
        observed(lifetime.ceil(), template)
    }
}

impl ContractFormulas for DiscreteWeibull {
    fn hazard(&self, tenure: f64, t: f64) -> f64 {
        self.rate * PowerStep::value(tenure, t, self.c)
    }

    fn hazard_far(&self, tenure: f64, ln_t: f64) -> f64 {
        self.rate * PowerStep::far(tenure, ln_t, self.c)
    }

    fn hazard_derivatives(&self, tenure: f64, t: f64) -> Hazard {
        let [step, step_c, step_cc] = PowerStep::new(tenure, t, self.c).step;
        let by_odds = 1.0 / (1.0 + self.odds);
        let mixed = by_odds * step_c;
        Hazard {
            value: self.rate * step,
            gradient: [by_odds * step, self.rate * step_c, 0.0],
            hessian: [
                [-by_odds * by_odds * step, mixed, 0.0],
                [mixed, self.rate * step_cc, 0.0],
                [0.0; 3],
            ],
        }
    }

    fn tail_power(&self) -> f64 {
        f64::INFINITY
    }

    fn ln_far(&self, _tenure: f64) -> f64 {
        f64::INFINITY
    }
}

//! Geometric: renewal under contract by customers who are all alike and never change.
//!
//! The simplest baseline: at every renewal every customer leaves with the same probability `θ`. What
//! a richer model gains over it is heterogeneity (sBG), duration dependence (discrete Weibull), or
//! both (BdW).
//!
//! | symbol | field     | unit    | meaning                                              |
//! |--------|-----------|---------|------------------------------------------------------|
//! | `T`    | `tenure`  | periods | renewals made, or the renewal at which they left     |
//! |        | `churned` | 1       | 1 if they left at that renewal, 0 if they stayed     |
//!
//! ```text
//! S(t) = (1−θ)^t,   odds = θ/(1−θ)
//! ```
//!
//! The parameter is the odds of leaving, which covariates scale.
//!
//! Source: Fader & Hardie (2007), *Journal of Interactive Marketing* 21(1), 76–90, eqs. 1–2.
//!
//! Numerics: `H(T, t) = t·ln(1 + odds)`; the estimate is the ratio of refused to made renewals.
//! Derivations: docs/models/geometric.md.

use crate::contract::{
    ContractFormulas, Hazard, Tenure, censored_or_churned, exposure, renewal_derivatives,
};
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::random::Random;
use crate::sbg::observed;
use cvm_core::{Derivatives, Effect, Order, ParamError, ParamSpec, Process};
use cvm_math::{exp, expm1, log1p};

/// The geometric model at given parameters.
#[derive(Debug, Clone)]
pub struct Geometric {
    odds: f64,
    /// `−ln(1 − θ)`.
    rate: f64,
}

impl Geometric {
    /// The model with `odds` of leaving at a renewal, finite and positive.
    ///
    /// # Errors
    /// The parameter outside its domain.
    pub fn new(odds: f64) -> Result<Self, ParamError> {
        for spec in Self::PARAMS {
            spec.check(odds)?;
        }
        Ok(Geometric::at(&[odds]))
    }

    /// The chance to leave at a renewal.
    #[must_use]
    pub fn theta(&self) -> f64 {
        self.odds / (1.0 + self.odds)
    }
}

impl Formulas for Geometric {
    const KIND: &'static str = "clv.geometric";
    const TITLE: &'static str = "Geometric";
    const PARAMS: &'static [ParamSpec] = &[ParamSpec::positive(
        "odds",
        "1",
        "odds of leaving at a renewal",
    )];
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
        let &[odds] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Geometric {
            odds,
            rate: log1p(odds),
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.odds]
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

    /// The first is the maximum itself, moved off the boundary where nobody left or everybody did.
    fn starts(likelihood: &MergedRows<Self>) -> Vec<Vec<f64>> {
        let (left, stayed) = exposure(likelihood);
        let smoothed = (left + 0.5) / (stayed + 0.5);
        let odds = left / stayed;
        let first = if left > 0.0 && stayed > 0.0 {
            odds
        } else {
            smoothed
        };
        vec![vec![first], vec![smoothed]]
    }

    fn simulate_one(&self, template: &Tenure, random: &mut Random) -> Tenure {
        observed((random.exponential() / self.rate).ceil(), template)
    }
}

impl ContractFormulas for Geometric {
    fn hazard(&self, _tenure: f64, t: f64) -> f64 {
        self.rate * t
    }

    fn hazard_far(&self, _tenure: f64, ln_t: f64) -> f64 {
        self.rate * exp(ln_t)
    }

    fn hazard_derivatives(&self, _tenure: f64, t: f64) -> Hazard {
        let by_odds = 1.0 / (1.0 + self.odds);
        let mut hazard = Hazard {
            value: self.rate * t,
            ..Hazard::default()
        };
        hazard.gradient[0] = by_odds * t;
        hazard.hessian[0][0] = -by_odds * by_odds * t;
        hazard
    }

    fn tail_power(&self) -> f64 {
        f64::INFINITY
    }

    fn ln_far(&self, _tenure: f64) -> f64 {
        f64::INFINITY
    }

    /// A geometric series.
    fn lifetime(&self, _tenure: f64, t: f64, delta: f64) -> f64 {
        let fall = self.rate + delta;
        expm1(-fall * t) / expm1(-fall)
    }
}

//! Pareto/NBD: repeat buying with dropout at any moment.
//!
//! While alive, a customer buys as a Poisson process of rate `λ`; their lifetime is exponential with
//! rate `μ`. Across customers `λ ~ Gamma(r, α)` and `μ ~ Gamma(s, β)`, independently.
//!
//! | symbol | field       | unit      | meaning                               |
//! |--------|-------------|-----------|---------------------------------------|
//! | `x`    | `frequency` | purchases | repeat purchases in `(0, T]`          |
//! | `t_x`  | `recency`   | periods   | time of the last repeat; 0 if `x = 0` |
//! | `T`    | `age`       | periods   | first purchase to end of observation  |
//!
//! ```text
//! L = Γ(r+x)/Γ(r) · α^r β^s · [ (α+T)^−(r+x) (β+T)^−s  +  ∫_{t_x}^T s (α+τ)^−(r+x) (β+τ)^−(s+1) dτ ]
//! ```
//!
//! Source: Schmittlein, Morrison & Colombo (1987), *Management Science* 33(1); likelihood before its
//! integral is written as a difference of 2F1: Fader & Hardie (2005), *A Note on Deriving the
//! Pareto/NBD Model and Related Expressions*, brucehardie.com note 009, eq. 10; forecasts eqs. 19–41.
//!
//! Numerics: the integral is summed by a few Gauss-Legendre nodes in a logarithmic variable, where
//! every term is positive ([`crate::attrition`]); a fit takes it from tables over distinct times. P(alive)
//! of many rows takes it from the series of [`series`]. Derivations: docs/models/pareto_nbd.md.

mod predict;
mod series;

use crate::attrition::{Attrited, AttritionLikelihood};
use crate::formulas::Formulas;
use crate::nbd::{NO_DROPOUT, Nbd};
use crate::purchase::Purchase;
use crate::random::Random;
use crate::rfm::Rfm;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use series::Tables;

/// The Pareto/NBD model at given parameters.
#[derive(Debug, Clone)]
pub struct ParetoNbd {
    model: Attrited<4>,
    tables: Tables,
}

impl ParetoNbd {
    /// The model with shapes `r`, `s` and scales `alpha`, `beta` in periods, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64, s: f64, beta: f64) -> Result<Self, ParamError> {
        let params = [r, alpha, s, beta];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(ParetoNbd::at(&params))
    }
}

/// Effects of the covariates of the Pareto/NBD and its relatives: a larger scale is a smaller rate.
const fn lower(param: usize) -> Effect {
    Effect { param, sign: -1.0 }
}

impl Formulas for ParetoNbd {
    const KIND: &'static str = "clv.pareto_nbd";
    const TITLE: &'static str = "Pareto/NBD";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("s", "1", "shape of the dropout rate across customers"),
        ParamSpec::positive("beta", "periods", "scale of the dropout rate"),
    ];
    const PROCESSES: &'static [Process] = &[
        Process {
            name: "purchase",
            effects: &[lower(1)],
        },
        Process {
            name: "dropout",
            effects: &[lower(3)],
        },
    ];

    type Row = Rfm;
    type Likelihood = AttritionLikelihood<4>;

    fn at(params: &[f64]) -> Self {
        let model = Attrited::at(params);
        ParetoNbd {
            model,
            tables: Tables::new(&model),
        }
    }

    fn at_row(params: &[f64]) -> Self {
        let model = Attrited::at(params);
        ParetoNbd {
            model,
            tables: Tables::none(&model),
        }
    }

    fn params(&self) -> Vec<f64> {
        self.model.params()
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, 0.0]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        self.model.log_lik(row)
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        self.model.derivatives(row, order, out);
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> AttritionLikelihood<4> {
        AttritionLikelihood::new(rows, weights)
    }

    /// Shapes from the spread of the counts and then fixed ones, dropout of several speeds.
    fn starts(likelihood: &AttritionLikelihood<4>) -> Vec<Vec<f64>> {
        let start =
            |start: crate::attrition::Start| vec![start.r, start.alpha, start.s, start.lifetime];
        likelihood.starts().map(start).to_vec()
    }

    /// Where nobody leaves.
    fn nested() -> Option<Nested<Rfm>> {
        let embed = |nbd: &[f64]| [nbd, &NO_DROPOUT].concat();
        Some(Nested::of::<Purchase<Nbd>>(NestedPlace::Limit, embed))
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        self.model.simulate_one(template, random)
    }
}

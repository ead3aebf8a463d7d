//! Pareto/NBD whose purchase and dropout rates depend on each other.
//!
//! The rates keep their marginal laws, `λ ~ Gamma(r, α)` and `μ ~ Gamma(s, β)`, and are joined by a
//! Sarmanov law
//!
//! ```text
//! g(λ, μ) = g(λ) h(μ) · [ 1 + m·(e^−λ − a)(e^−μ − c) ],    a = (α/(1+α))^r,  c = (β/(1+β))^s
//! ```
//!
//! `m > 0`: who buys fast leaves fast. As `e^−λ` times a gamma density is `a` times that of scale
//! `α + 1`, everything is a signed mixture of four Pareto/NBD with scales `(α+i, β+j)`, `k = m·a·c`:
//!
//! ```text
//! L = (1+k)·L₀₀ − k·L₁₀ − k·L₀₁ + k·L₁₁
//! ```
//!
//! `m` is legal where the density is never negative, `−1/max(ac, (1−a)(1−c)) ≤ m ≤ 1/max(a(1−c), c(1−a))`,
//! an interval that moves with the other parameters. The model's own parameter `z` is any number:
//! `m = u / ( (1+u)/2·D₊ + (1−u)/2·D₋ )` with `u = tanh z` and `D₊`, `D₋` the 16-norms of the pairs
//! above, which are smooth, never below the maxima and at most 4.5 % above them. `z = 0` is independence.
//!
//! `e^−λ` is per period: the meaning of `z`, unlike that of the other parameters, depends on the unit
//! of time.
//!
//! Source: Park & Fader (2004), *Marketing Science* 23(3), for the Sarmanov law; Bachmann, Meierer &
//! Näf (2021), *Marketing Science* 40(4), for the Pareto/NBD with it. Derivations:
//! docs/models/pareto_nbd_correlated.md.

mod predict;
mod sarmanov;

use crate::attrition::{Attrited, Start, draw_row, starts, totals};
use crate::formulas::Formulas;
use crate::jet::Jet;
use crate::merged::MergedRows;
use crate::pareto_nbd::ParetoNbd;
use crate::purchase::Purchase;
use crate::random::Random;
use crate::rfm::Rfm;
use cvm_core::{
    Derivatives, Domain, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process,
    Transform,
};
use sarmanov::Sarmanov;

/// Scales added to `(α, β)` by each part of the mixture.
const PARTS: [(f64, f64); 4] = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)];

/// The correlated Pareto/NBD at given parameters.
#[derive(Debug, Clone)]
pub struct ParetoNbdCorrelated {
    parts: [Attrited<4>; 4],
    z: f64,
    /// Weights of the parts: `1+k, −k, −k, k`.
    weights: [f64; 4],
    sarmanov: Sarmanov,
}

impl ParetoNbdCorrelated {
    /// The model with the parameters of the Pareto/NBD, finite and positive, and `z`, any number.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64, s: f64, beta: f64, z: f64) -> Result<Self, ParamError> {
        let params = [r, alpha, s, beta, z];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Self::at(&params))
    }

    /// `m` of the Sarmanov law.
    #[must_use]
    pub fn m(&self) -> f64 {
        self.sarmanov.m
    }

    /// Correlation of the two rates.
    #[must_use]
    pub fn correlation(&self) -> f64 {
        let [base, ..] = &self.parts;
        self.sarmanov.correlation(base.r, base.law.shape)
    }
}

const fn lower(param: usize) -> Effect {
    Effect { param, sign: -1.0 }
}

impl Formulas for ParetoNbdCorrelated {
    const KIND: &'static str = "clv.pareto_nbd_correlated";
    const TITLE: &'static str = "Pareto/NBD, correlated";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("s", "1", "shape of the dropout rate across customers"),
        ParamSpec::positive("beta", "periods", "scale of the dropout rate"),
        ParamSpec {
            name: "z",
            unit: "1",
            meaning: "dependence of the purchase and dropout rates, 0 for none",
            domain: Domain::Finite,
            transform: Transform::Identity,
        },
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
    type Likelihood = MergedRows<Self>;

    fn at(params: &[f64]) -> Self {
        let &[r, alpha, s, beta, z] = params else {
            unreachable!("the number of parameters has been checked")
        };
        let sarmanov = Sarmanov::new(r, alpha, s, beta, z);
        let k = sarmanov.k.value;
        ParetoNbdCorrelated {
            parts: PARTS.map(|(i, j)| Attrited::at(&[r, alpha + i, s, beta + j])),
            z,
            weights: [1.0 + k, -k, -k, k],
            sarmanov,
        }
    }

    fn params(&self) -> Vec<f64> {
        let mut params = self.parts[0].params();
        params.push(self.z);
        params
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, 0.0]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        let logs = self.log_liks(row);
        let ratios = logs.map(|log| cvm_math::exp(log - logs[0]));
        logs[0] + cvm_math::ln(weighted(&self.weights, &ratios))
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let mut own = Derivatives::zero(4);
        let logs = self.parts.map(|part| {
            part.derivatives(row, Order::Hessian, &mut own);
            widen(&own)
        });
        let mut mixture = Jet::constant(1.0).plus(&self.sarmanov.k);
        for (log, sign) in logs.iter().zip([0.0, -1.0, -1.0, 1.0]).skip(1) {
            let ratio = log.minus(&logs[0]).exponential();
            mixture = mixture.plus(&self.sarmanov.k.times(&ratio).scale(sign));
        }
        let total = logs[0].plus(&mixture.logarithm());
        out.gradient.copy_from_slice(&total.gradient);
        for (index, slot) in out.hessian.iter_mut().enumerate() {
            *slot = total.hessian[index / 5][index % 5];
        }
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> MergedRows<Self> {
        MergedRows::new(rows, weights)
    }

    /// Those of the Pareto/NBD, independent.
    fn starts(likelihood: &MergedRows<Self>) -> Vec<Vec<f64>> {
        let totals = totals(likelihood.weighted());
        let start = |start: Start| vec![start.r, start.alpha, start.s, start.lifetime, 0.0];
        starts(&totals).map(start).to_vec()
    }

    fn nested() -> Option<Nested<Rfm>> {
        let embed = |independent: &[f64]| [independent, &[0.0]].concat();
        Some(Nested::of::<Purchase<ParetoNbd>>(
            NestedPlace::Inside,
            embed,
        ))
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        let [base, ..] = &self.parts;
        let (rate, hazard) = self.sarmanov.draw(base, random);
        let lifetime = random.exponential() / hazard;
        draw_row(template, rate, lifetime, random)
    }
}

impl ParetoNbdCorrelated {
    /// Log-likelihoods of the four parts.
    fn log_liks(&self, row: &Rfm) -> [f64; 4] {
        self.parts.map(|part| part.log_lik(row))
    }
}

fn weighted(weights: &[f64; 4], values: &[f64; 4]) -> f64 {
    let [w0, w1, w2, w3] = weights;
    let [v0, v1, v2, v3] = values;
    // `1` apart from `k`: no dependence leaves the first part untouched.
    w0 * v0 + ((w1 * v1 + w2 * v2) + w3 * v3)
}

/// From four parameters to five.
fn widen(own: &Derivatives) -> Jet<5> {
    let mut jet = Jet::constant(own.value);
    for i in 0..4 {
        jet.gradient[i] = own.gradient[i];
        for j in 0..4 {
            jet.hessian[i][j] = own.hessian[i * 4 + j];
        }
    }
    jet
}

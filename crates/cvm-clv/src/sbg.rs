//! sBG, the shifted beta-geometric: renewal under contract with chances to leave that differ.
//!
//! At every renewal a customer leaves with probability `θ`, the same throughout their life; across
//! customers `θ ~ Beta(α, β)`. Retention rates rise with tenure though nobody changes: those who
//! leave easily leave early.
//!
//! | symbol | field     | unit    | meaning                                              |
//! |--------|-----------|---------|------------------------------------------------------|
//! | `T`    | `tenure`  | periods | renewals made, or the renewal at which they left     |
//! |        | `churned` | 1       | 1 if they left at that renewal, 0 if they stayed     |
//!
//! ```text
//! S(t)   = B(α, β+t)/B(α, β)
//! P(L=t) = S(t−1) − S(t) = B(α+1, β+t−1)/B(α, β)
//! r(t)   = S(t)/S(t−1) = (β+t−1)/(α+β+t−1)
//! ```
//!
//! Source: Fader & Hardie (2007), How to Project Customer Retention, *Journal of Interactive
//! Marketing* 21(1), 76–90, eqs. 5–7; DEL and DERL: Fader & Hardie (2010), *Marketing Science* 29(1),
//! eqs. 6–7.
//!
//! Numerics: `H(T, t) = D(β+T, α, t)` of [`crate::beta_ratio`]'s documentation, a sum of positive
//! terms: no ratio of beta functions that underflow (α = 800, β = 3000 is an ordinary case).
//! Derivations: docs/models/sbg.md.

use crate::beta_mixture::{ln_far, periods_survived};
use crate::beta_ratio::{BetaDrop, beta_drop};
use crate::contract::{
    Contract, ContractFormulas, Hazard, Tenure, censored_or_churned, exposure, renewal_derivatives,
};
use crate::formulas::Formulas;
use crate::geometric::Geometric;
use crate::merged::MergedRows;
use crate::random::Random;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use cvm_math::{expm1, softplus};

/// The sBG model at given parameters.
#[derive(Debug, Clone)]
pub struct Sbg {
    alpha: f64,
    beta: f64,
}

impl Sbg {
    /// The model with shapes `alpha` and `beta`, finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(alpha: f64, beta: f64) -> Result<Self, ParamError> {
        let params = [alpha, beta];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Sbg::at(&params))
    }
}

impl Formulas for Sbg {
    const KIND: &'static str = "clv.sbg";
    const TITLE: &'static str = "sBG";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive(
            "alpha",
            "1",
            "first shape of the chance to leave at a renewal",
        ),
        ParamSpec::positive(
            "beta",
            "1",
            "second shape of the chance to leave at a renewal",
        ),
    ];
    const PROCESSES: &'static [Process] = &[Process {
        name: "contract",
        effects: &[
            Effect {
                param: 0,
                sign: 1.0,
            },
            Effect {
                param: 1,
                sign: 1.0,
            },
        ],
    }];

    type Row = Tenure;
    type Likelihood = MergedRows<Self>;

    fn at(params: &[f64]) -> Self {
        let &[alpha, beta] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Sbg { alpha, beta }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.alpha, self.beta]
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
        shape_starts(left, stayed).map(Vec::from).to_vec()
    }

    /// Where all have the same chance to leave.
    fn nested() -> Option<Nested<Tenure>> {
        /// Sum of the shapes from which no sample tells the chances apart.
        const NARROW: f64 = 1e9;
        let embed = |geometric: &[f64]| {
            let odds = geometric.first().copied().unwrap_or(f64::NAN);
            let leaves = odds / (1.0 + odds);
            vec![NARROW * leaves, NARROW * (1.0 - leaves)]
        };
        Some(Nested::of::<Contract<Geometric>>(NestedPlace::Limit, embed))
    }

    fn simulate_one(&self, template: &Tenure, random: &mut Random) -> Tenure {
        let rate = leaving_rate(self.alpha, self.beta, random);
        observed((random.exponential() / rate).ceil(), template)
    }
}

/// `−ln(1 − θ)` of a drawn `θ ~ Beta(a, b)`.
pub(crate) fn leaving_rate(a: f64, b: f64, random: &mut Random) -> f64 {
    softplus(random.ln_gamma_variate(a) - random.ln_gamma_variate(b))
}

/// What is seen of a drawn lifetime by the template's last renewal.
pub(crate) fn observed(lifetime: f64, template: &Tenure) -> Tenure {
    let lifetime = lifetime.max(1.0);
    if lifetime <= template.tenure {
        return Tenure {
            tenure: lifetime,
            churned: 1.0,
        };
    }
    Tenure {
        tenure: template.tenure,
        churned: 0.0,
    }
}

/// Shapes with the observed share of refused renewals as their mean, from spread out to narrow.
pub(crate) fn shape_starts(left: f64, stayed: f64) -> [[f64; 2]; 4] {
    let share = (left + 0.5) / (left + stayed + 1.0);
    [2.0, 0.5, 12.0, 100.0].map(|total| [share * total, (1.0 - share) * total])
}

impl ContractFormulas for Sbg {
    fn hazard(&self, tenure: f64, t: f64) -> f64 {
        beta_drop(self.beta + tenure, self.alpha, t)
    }

    fn hazard_far(&self, tenure: f64, ln_t: f64) -> f64 {
        self.hazard(tenure, cvm_math::exp(ln_t))
    }

    fn hazard_derivatives(&self, tenure: f64, t: f64) -> Hazard {
        let drop = BetaDrop::new(self.beta + tenure, self.alpha, t);
        let [by_b, by_h, _] = drop.gradient;
        let [[bb, bh, _], [_, hh, _], _] = drop.hessian;
        Hazard {
            value: drop.value,
            gradient: [by_h, by_b, 0.0],
            hessian: [[hh, bh, 0.0], [bh, bb, 0.0], [0.0; 3]],
        }
    }

    fn tail_power(&self) -> f64 {
        self.alpha
    }

    fn ln_far(&self, tenure: f64) -> f64 {
        ln_far(self.alpha, self.beta + tenure)
    }

    fn lifetime(&self, tenure: f64, t: f64, delta: f64) -> f64 {
        if t < 1.0 {
            return 0.0;
        }
        1.0 + periods_survived(self.alpha, self.beta + tenure, t - 1.0, delta)
    }

    /// `Σ_{k≥1} e^{−δ(k−1)} S(T+k)/S(T)`: the sum of survival, moved by one payment.
    fn residual(&self, tenure: f64, t: f64, delta: f64) -> f64 {
        let sum = periods_survived(self.alpha, self.beta + tenure, t, delta);
        // An infinite sum, which only a rate of zero leaves, is not to be multiplied by 0.
        if delta == 0.0 {
            return sum;
        }
        sum + sum * expm1(delta)
    }
}

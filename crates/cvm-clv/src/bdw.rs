//! BdW, the beta-discrete-Weibull: renewal under contract with chances to leave that differ, and change.
//!
//! As in the sBG customers differ in `θ ~ Beta(α, β)`, but a customer's own chance to leave may rise
//! (`c > 1`) or fall (`c < 1`) with tenure: they survive `t` renewals with probability `(1−θ)^(t^c)`.
//! With `c = 1` it is the sBG.
//!
//! | symbol | field     | unit    | meaning                                              |
//! |--------|-----------|---------|------------------------------------------------------|
//! | `T`    | `tenure`  | periods | renewals made, or the renewal at which they left     |
//! |        | `churned` | 1       | 1 if they left at that renewal, 0 if they stayed     |
//!
//! ```text
//! S(t) = B(α, β + t^c)/B(α, β)
//! ```
//!
//! Source: Fader, Hardie, Liu, Davin & Steenburgh (2018), "How to Project Customer Retention"
//! Revisited: The Role of Duration Dependence, *Journal of Interactive Marketing* 43, 1–16, eq. 8
//! (their `γ`, `δ` are `α`, `β` here).
//!
//! Numerics: `H(T, t) = D(β + T^c, α, (T+t)^c − T^c)` of [`crate::beta_ratio`]'s documentation, the
//! step of the power without cancellation. There is no closed form of the expected lifetime: it is
//! summed (`smooth_sum`). Derivations: docs/models/bdw.md.

use crate::beta_mixture::ln_far;
use crate::beta_ratio::{BetaDrop, beta_drop};
use crate::contract::Contract;
use crate::contract::{
    ContractFormulas, Hazard, PowerStep, Tenure, censored_or_churned, exposure, renewal_derivatives,
};
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::random::Random;
use crate::sbg::Sbg;
use crate::sbg::{leaving_rate, observed, shape_starts};
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use cvm_math::{ln, ln_rising, log1p, pow};

/// The BdW model at given parameters.
#[derive(Debug, Clone)]
pub struct Bdw {
    alpha: f64,
    beta: f64,
    c: f64,
}

impl Bdw {
    /// The model with shapes `alpha`, `beta` and duration dependence `c`, finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(alpha: f64, beta: f64, c: f64) -> Result<Self, ParamError> {
        let params = [alpha, beta, c];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Bdw::at(&params))
    }

    /// `β + T^c`.
    fn base(&self, tenure: f64) -> f64 {
        if tenure == 0.0 {
            return self.beta;
        }
        self.beta + pow(tenure, self.c)
    }

    /// `H` where `(T+t)^c` is beyond the doubles, from `ln (T+t)` and `ln (1 + t/T)`: `B(α, b+x)/Γ(α)`
    /// is `x^−α` there.
    fn hazard_beyond(&self, tenure: f64, ln_end: f64, further: f64) -> f64 {
        let base = self.base(tenure);
        let power = self.tail_power();
        if base == f64::INFINITY {
            return power * further;
        }
        (power * ln_end - ln_rising(base, self.alpha)).max(0.0)
    }
}

impl Formulas for Bdw {
    const KIND: &'static str = "clv.bdw";
    const TITLE: &'static str = "BdW";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive(
            "alpha",
            "1",
            "first shape of the chance to leave at the first renewal",
        ),
        ParamSpec::positive(
            "beta",
            "1",
            "second shape of the chance to leave at the first renewal",
        ),
        ParamSpec::positive(
            "c",
            "1",
            "how a customer's own chance to leave moves with tenure",
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
        let &[alpha, beta, c] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Bdw { alpha, beta, c }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.alpha, self.beta, self.c]
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
        let with = |c: f64| shape_starts(left, stayed).map(|[alpha, beta]| vec![alpha, beta, c]);
        [with(1.0), with(1.5), with(0.7)].concat()
    }

    fn nested() -> Option<Nested<Tenure>> {
        let embed = |sbg: &[f64]| [sbg, &[1.0]].concat();
        Some(Nested::of::<Contract<Sbg>>(NestedPlace::Inside, embed))
    }

    fn simulate_one(&self, template: &Tenure, random: &mut Random) -> Tenure {
        let rate = leaving_rate(self.alpha, self.beta, random);
        let lifetime = pow(random.exponential() / rate, 1.0 / self.c);
        observed(lifetime.ceil(), template)
    }
}

impl ContractFormulas for Bdw {
    fn hazard(&self, tenure: f64, t: f64) -> f64 {
        let step = PowerStep::value(tenure, t, self.c);
        if step == f64::INFINITY && t.is_finite() {
            let further = log1p(t / tenure);
            return self.hazard_beyond(tenure, ln(tenure + t), further);
        }
        beta_drop(self.base(tenure), self.alpha, step)
    }

    fn hazard_far(&self, tenure: f64, ln_t: f64) -> f64 {
        let step = PowerStep::far(tenure, ln_t, self.c);
        if step == f64::INFINITY && ln_t.is_finite() {
            return self.hazard_beyond(tenure, ln_t, ln_t - ln(tenure));
        }
        beta_drop(self.base(tenure), self.alpha, step)
    }

    /// By the chain rule through `b = β + T^c` and the step of the power.
    fn hazard_derivatives(&self, tenure: f64, t: f64) -> Hazard {
        let power = PowerStep::new(tenure, t, self.c);
        let [start, start_c, start_cc] = power.start;
        let [step, step_c, step_cc] = power.step;
        let drop = BetaDrop::new(self.beta + start, self.alpha, step);
        let [by_b, by_h, by_t] = drop.gradient;
        let [[bb, bh, bt], [_, hh, ht], [.., tt]] = drop.hessian;
        let alpha_c = bh * start_c + ht * step_c;
        let beta_c = bb * start_c + bt * step_c;
        let bent = by_b * start_cc + by_t * step_cc;
        let cc = bb * start_c * start_c + (2.0 * bt * start_c + tt * step_c) * step_c + bent;
        Hazard {
            value: drop.value,
            gradient: [by_h, by_b, by_b * start_c + by_t * step_c],
            hessian: [[hh, bh, alpha_c], [bh, bb, beta_c], [alpha_c, beta_c, cc]],
        }
    }

    fn tail_power(&self) -> f64 {
        self.alpha * self.c
    }

    /// Where both `(T+t)^c` and `t` itself are beyond the reach of the next terms.
    fn ln_far(&self, tenure: f64) -> f64 {
        let of_power = ln_far(self.alpha, self.base(tenure)) / self.c;
        of_power.max(ln_far(self.tail_power(), tenure))
    }
}

//! GGompertz/NBD: repeat buying with dropout whose hazard grows with time.
//!
//! While alive, a customer buys as a Poisson process of rate `λ`; their lifetime has the Gompertz
//! hazard `η·b·e^{bτ}`. Across customers `λ ~ Gamma(r, α)` and `η ~ Gamma(s, β)`, independently.
//!
//! | symbol | field       | unit      | meaning                               |
//! |--------|-------------|-----------|---------------------------------------|
//! | `x`    | `frequency` | purchases | repeat purchases in `(0, T]`          |
//! | `t_x`  | `recency`   | periods   | time of the last repeat; 0 if `x = 0` |
//! | `T`    | `age`       | periods   | first purchase to end of observation  |
//!
//! ```text
//! S(τ) = (β / (β + e^{bτ} − 1))^s,    f = −S'
//! L = Γ(r+x)/Γ(r) · α^r · [ (α+T)^−(r+x) S(T)  +  ∫_{t_x}^T (α+τ)^−(r+x) f(τ) dτ ]
//! ```
//!
//! Source: Bemmaor & Glady (2012), Modeling Purchasing Behavior with Sudden "Death", *Management
//! Science* 58(5), 1012–1021: law eq. 5, likelihood eq. 8. The conditional expectation printed there
//! is wrong (Adler 2022, *Comment on "Modeling Purchasing Behavior with Sudden 'Death'"*); here it is
//! `(r+x)/(α+T) · ∫_0^t S(T+u)/S(T) du`, the mean rate times the time alive, from first principles.
//!
//! Numerics: with `β = b·c` and `b → 0` the law is the Pareto/NBD's with scale `c`; along that ridge
//! `b` and `β` are not told apart. Everything is computed from `b` and `c`, so the limit is reached to the
//! last digits. Quadrature: [`crate::attrition`]. Derivations: docs/models/ggompertz_nbd.md.

use crate::attrition::{Attrited, AttritionLikelihood, Start};
use crate::formulas::Formulas;
use crate::pareto_nbd::ParetoNbd;
use crate::purchase::Purchase;
use crate::purchase::PurchaseFormulas;
use crate::random::Random;
use crate::rfm::Rfm;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};

/// The GGompertz/NBD model at given parameters.
#[derive(Debug, Clone)]
pub struct GGompertzNbd {
    model: Attrited<5>,
}

impl GGompertzNbd {
    /// The model with shapes `r`, `s`, scale `alpha` in periods, growth `b` of the hazard per period
    /// and scale `beta`, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64, b: f64, s: f64, beta: f64) -> Result<Self, ParamError> {
        let params = [r, alpha, b, s, beta];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(GGompertzNbd::at(&params))
    }

    /// Purchases expected in `(T, T + t]` of a customer who may have lapsed.
    #[must_use]
    pub fn expected_purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.p_alive(row) * self.purchases(row, t)
    }

    /// Repeat purchases expected of a new customer in the `t` periods after the first purchase.
    #[must_use]
    pub fn expected_purchases_new(&self, t: f64) -> f64 {
        self.purchases(&Rfm::NEW, t)
    }
}

impl Formulas for GGompertzNbd {
    const KIND: &'static str = "clv.ggompertz_nbd";
    const TITLE: &'static str = "GGompertz/NBD";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("b", "1/periods", "growth of the dropout hazard with time"),
        ParamSpec::positive("s", "1", "shape of the dropout hazard across customers"),
        ParamSpec::positive("beta", "1", "scale of the dropout hazard"),
    ];
    const PROCESSES: &'static [Process] = &[
        Process {
            name: "purchase",
            effects: &[Effect {
                param: 1,
                sign: -1.0,
            }],
        },
        Process {
            name: "dropout",
            effects: &[Effect {
                param: 4,
                sign: -1.0,
            }],
        },
    ];

    type Row = Rfm;
    type Likelihood = AttritionLikelihood<5>;

    fn at(params: &[f64]) -> Self {
        GGompertzNbd {
            model: Attrited::at(params),
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

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> AttritionLikelihood<5> {
        AttritionLikelihood::new(rows, weights)
    }

    /// Those of the Pareto/NBD with a hazard that grows little over a lifetime.
    fn starts(likelihood: &AttritionLikelihood<5>) -> Vec<Vec<f64>> {
        let growths = [0.1, 0.02, 0.01, 0.3, 0.05];
        let start = |(start, growth): (Start, f64)| {
            let b = growth / start.lifetime;
            vec![start.r, start.alpha, b, start.s, growth]
        };
        likelihood
            .starts()
            .into_iter()
            .zip(growths)
            .map(start)
            .collect()
    }

    fn nested() -> Option<Nested<Rfm>> {
        /// Growth of the hazard with time at which it is constant to a millionth over a lifetime of
        /// a thousand periods: `(e^{bt} − 1)/b → t`.
        const CONSTANT: f64 = 1e-9;
        Some(Nested::of::<Purchase<ParetoNbd>>(
            NestedPlace::Limit,
            |pareto| match pareto {
                [r, alpha, s, beta] => vec![*r, *alpha, CONSTANT, *s, *beta * CONSTANT],
                other => other.to_vec(),
            },
        ))
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        self.model.simulate_one(template, random)
    }
}

impl PurchaseFormulas for GGompertzNbd {
    fn scale_periods(&self) -> f64 {
        self.model.alpha
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        let silence = row.age - row.recency;
        self.model.at_last(row).alive_after_silence(silence)
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        let silence = row.age - row.recency;
        self.model.at_last(row).ln_alive_after_silence(silence)
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        self.model.at_end(row).law.survival(t)
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.model.at_end(row).purchases(t, 0.0)
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.model.at_end(row).ln_pmf(t, n)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.model.at_end(row).ln_tail(t, n)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.model.at_end(row).purchases(t, delta)
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.model.at_end(row).time_alive(t, delta)
    }

    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        self.model.at_end(row).next_purchase(p)
    }
}

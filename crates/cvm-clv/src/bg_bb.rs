//! BG/BB: repeat buying at discrete opportunities, with dropout before any of them.
//!
//! In each period a living customer buys at most once, with probability `p`; before each period they
//! leave for good with probability `θ`. Across customers `p ~ Beta(α, β)` and `θ ~ Beta(γ, δ)`,
//! independently. Periods are donation years, holiday seasons, cruises; or so short that buying
//! twice in one does not happen.
//!
//! | symbol | field       | unit      | meaning                                       |
//! |--------|-------------|-----------|-----------------------------------------------|
//! | `x`    | `frequency` | purchases | periods with a purchase, of `n`               |
//! | `t_x`  | `recency`   | periods   | period of the last purchase; 0 if `x = 0`     |
//! | `n`    | `age`       | periods   | periods observed since the first purchase     |
//!
//! ```text
//! L = B(α+x, β+n−x)/B(α, β) · B(γ, δ+n)/B(γ, δ)
//!   + Σ_{i=0}^{n−t_x−1} B(α+x, β+t_x−x+i)/B(α, β) · B(γ+1, δ+t_x+i)/B(γ, δ)
//! ```
//!
//! Source: Fader, Hardie & Shang (2010), Customer-Base Analysis in a Discrete-Time Noncontractual
//! Setting, *Marketing Science* 29(6), 1086–1108: likelihood eq. 5, `P(X(n) = x)` eq. 7, P(alive)
//! eq. 11, conditional expectation eq. 13, DERT eq. 14.
//!
//! Numerics: up to `t_x` the likelihood is a product of three [`beta_drop`]s, all of one sign; after
//! it a sum of positive terms or, where that is nearly 1, one minus another. Forecasts have no pole
//! at `γ = 1` (`beta_mixture`). Derivations: docs/models/bg_bb.md.

mod counts;
mod silence;

use crate::beta_mixture::periods_survived;
use crate::beta_ratio::{BetaDrop, beta_drop};
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::purchase::{Clock, PurchaseFormulas};
use crate::random::Random;
use crate::rfm::{AGE, RECENCY, Rfm};
use counts::Counts;
use cvm_core::{
    Derivatives, Domain, Effect, Order, ParamError, ParamSpec, Process, RowCode, RowStatus,
};
use cvm_math::{exp, sigmoid, softplus};
use silence::Silence;

/// Most periods of a row: a likelihood walks through the silent ones one by one.
const MOST_PERIODS: f64 = 1_000_000.0;

/// The BG/BB model at given parameters.
#[derive(Debug, Clone)]
pub struct BgBb {
    alpha: f64,
    beta: f64,
    gamma: f64,
    delta: f64,
}

impl BgBb {
    /// The model with shapes `alpha`, `beta` of buying and `gamma`, `delta` of dropout, all finite
    /// and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(alpha: f64, beta: f64, gamma: f64, delta: f64) -> Result<Self, ParamError> {
        let params = [alpha, beta, gamma, delta];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(BgBb::at(&params))
    }

    /// The history up to the last purchase, then silence.
    fn silence(&self, row: &Rfm) -> Silence {
        Silence {
            alpha: self.alpha + row.frequency,
            beta: self.beta + (row.recency - row.frequency),
            gamma: self.gamma,
            delta: self.delta + row.recency,
            periods: row.age - row.recency,
        }
    }

    /// `ln` of the probability of the history up to `t_x`: `x` purchases, then the misses among
    /// them, and survival of all of it.
    fn ln_active(&self, row: &Rfm) -> f64 {
        let misses = row.recency - row.frequency;
        let bought = beta_drop(self.alpha, self.beta, row.frequency);
        let missed = beta_drop(self.beta, self.alpha + row.frequency, misses);
        -(bought + missed + beta_drop(self.delta, self.gamma, row.recency))
    }

    /// A living customer's chance to buy in a period.
    fn buying(&self, row: &Rfm) -> f64 {
        (self.alpha + row.frequency) / (self.alpha + self.beta + row.age)
    }

    /// Counts of a living customer.
    fn counts(&self, row: &Rfm) -> Counts {
        Counts {
            alpha: self.alpha + row.frequency,
            beta: self.beta + (row.age - row.frequency),
            gamma: self.gamma,
            delta: self.delta + row.age,
        }
    }
}

/// Adds the derivatives of `−D(b, h, t)`, whose `b` and `h` move with parameters `of_b` and `of_h`.
fn subtract_drop(drop: &BetaDrop, of_b: usize, of_h: usize, out: &mut Derivatives) {
    for (i, param) in [of_b, of_h].into_iter().enumerate() {
        out.gradient[param] -= drop.gradient[i];
        for (j, other) in [of_b, of_h].into_iter().enumerate() {
            out.hessian[param * 4 + other] -= drop.hessian[i][j];
        }
    }
}

impl Formulas for BgBb {
    const KIND: &'static str = "clv.bg_bb";
    const TITLE: &'static str = "BG/BB";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("alpha", "1", "first shape of the chance to buy in a period"),
        ParamSpec::positive("beta", "1", "second shape of the chance to buy in a period"),
        ParamSpec::positive("gamma", "1", "first shape of the dropout probability"),
        ParamSpec::positive("delta", "1", "second shape of the dropout probability"),
    ];
    const PROCESSES: &'static [Process] = &[
        Process {
            name: "purchase",
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
        },
        Process {
            name: "dropout",
            effects: &[
                Effect {
                    param: 2,
                    sign: 1.0,
                },
                Effect {
                    param: 3,
                    sign: 1.0,
                },
            ],
        },
    ];

    type Row = Rfm;
    type Likelihood = MergedRows<Self>;

    fn at(params: &[f64]) -> Self {
        let &[alpha, beta, gamma, delta] = params else {
            unreachable!("the number of parameters has been checked")
        };
        BgBb {
            alpha,
            beta,
            gamma,
            delta,
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.alpha, self.beta, self.gamma, self.delta]
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, 0.0]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        self.ln_active(row) + self.silence(row).ln_probability()
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let (x, misses) = (row.frequency, row.recency - row.frequency);
        self.silence(row).derivatives(out);
        if x > 0.0 {
            subtract_drop(&BetaDrop::new(self.alpha, self.beta, x), 0, 1, out);
            let survived = BetaDrop::new(self.delta, self.gamma, row.recency);
            subtract_drop(&survived, 3, 2, out);
        }
        if misses > 0.0 {
            let missed = BetaDrop::new(self.beta, self.alpha + x, misses);
            subtract_drop(&missed, 1, 0, out);
        }
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> MergedRows<Self> {
        MergedRows::new(rows, weights)
    }

    /// Buying from the share of periods bought in before the last purchase; dropout from mild to
    /// severe.
    fn starts(likelihood: &MergedRows<Self>) -> Vec<Vec<f64>> {
        let (mut bought, mut active) = (0.5, 1.0);
        for (row, weight) in likelihood.weighted() {
            bought += weight * row.frequency;
            active += weight * row.recency;
        }
        let p = (bought / active).clamp(0.02, 0.98);
        let with =
            |total: f64, gamma: f64, delta: f64| vec![total * p, total * (1.0 - p), gamma, delta];
        vec![
            with(2.0, 0.6, 2.5),
            with(1.0, 1.0, 10.0),
            with(6.0, 0.3, 0.6),
            with(2.0, 5.0, 20.0),
        ]
    }

    /// Period by period: first dropout, then buying.
    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        let p = random.beta(self.alpha, self.beta);
        let theta = random.beta(self.gamma, self.delta);
        let alive = (random.geometric(theta) - 1.0).min(template.age);
        let (mut frequency, mut recency, mut period) = (0.0, 0.0, 0.0);
        while period < alive {
            period += 1.0;
            if random.uniform() < p {
                frequency += 1.0;
                recency = period;
            }
        }
        Rfm {
            frequency,
            recency,
            age: template.age,
            log_gap_sum: 0.0,
        }
    }
}

impl PurchaseFormulas for BgBb {
    const CLOCK: Clock = Clock::Discrete;

    fn check(row: &Rfm) -> Result<(), RowStatus> {
        RowStatus::check(row.recency, Domain::Count, RECENCY)?;
        RowStatus::check(row.age, Domain::Count, AGE)?;
        if row.frequency > row.recency {
            return Err(RowStatus::bad(RowCode::Inconsistent, RECENCY));
        }
        if row.age > MOST_PERIODS {
            return Err(RowStatus::bad(RowCode::OutOfRange, AGE));
        }
        Ok(())
    }

    fn scale_periods(&self) -> f64 {
        1.0
    }

    fn p_alive(&self, row: &Rfm) -> f64 {
        sigmoid(-self.silence(row).ln_lapse_odds())
    }

    fn ln_p_alive(&self, row: &Rfm) -> f64 {
        -softplus(self.silence(row).ln_lapse_odds())
    }

    fn p_alive_ahead(&self, row: &Rfm, t: f64) -> f64 {
        exp(-beta_drop(self.delta + row.age, self.gamma, t))
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.buying(row) * self.lifetime(row, t, 0.0)
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.counts(row).ln_pmf(t, n)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        self.counts(row).ln_tail(t, n)
    }

    /// A purchase in period `n + k` is worth `e^{−δk}`.
    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.buying(row) * self.lifetime(row, t, delta)
    }

    fn lifetime(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        periods_survived(self.gamma, self.delta + row.age, t, delta)
    }

    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        self.counts(row).first_purchase(p)
    }
}

//! BG/NBD: repeat buying with dropout right after a purchase.
//!
//! While alive, a customer buys as a Poisson process of rate `λ`; after each repeat purchase they
//! leave for good with probability `p`. Across customers `λ ~ Gamma(r, α)` and `p ~ Beta(a, b)`,
//! independently.
//!
//! | symbol | field       | unit      | meaning                               |
//! |--------|-------------|-----------|---------------------------------------|
//! | `x`    | `frequency` | purchases | repeat purchases in `(0, T]`          |
//! | `t_x`  | `recency`   | periods   | time of the last repeat; 0 if `x = 0` |
//! | `T`    | `age`       | periods   | first purchase to end of observation  |
//!
//! ```text
//! L = Γ(r+x)/Γ(r) · α^r · B(a, b+x)/B(a, b)
//!     · [ (α+T)^−(r+x)  +  1{x>0} · a/(b+x−1) · (α+t_x)^−(r+x) ]
//! ```
//!
//! Source: Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, *Marketing Science*
//! 24(2), 275–284: likelihood eq. 6, `P(X(t) = n)` eq. 8, `E[X(t)]` eq. 9, conditional expectation
//! eq. 10; P(alive): Fader, Hardie & Lee (2008), note 021 on brucehardie.com.
//!
//! Numerics: the bracket is `alive + softplus(d)` with the log-odds `d` of having lapsed, so its
//! derivatives mix by `w = P(lapsed)`. `Γ(r+x)/Γ(r)` and its derivatives are sums over the first 64
//! integers. Forecasts use the positive form of [`crate::dropout`]'s documentation, which has no
//! pole at `a = 1`. Derivations: docs/models/bg_nbd.md.

mod layout;
mod likelihood;
mod predict;
pub(crate) mod scorer;

pub use likelihood::BgNbdLikelihood;

use crate::dropout::Dropout;
use crate::random::Random;
use crate::rfm::{Rfm, rfm_schema};
use crate::rising::Rising;
use cvm_core::{
    InputSchema, ModelState, ParamError, ParamSpec, ParametricModel, RowStatus, StateError,
    TimeUnit,
};
use cvm_math::{exp, ln, log1p, sigmoid, softplus};

/// The BG/NBD model at given parameters.
#[derive(Debug, Clone)]
pub struct BgNbd {
    /// Shape of the purchase rate across customers.
    r: f64,
    /// Scale of the purchase rate, in periods.
    alpha: f64,
    /// First shape of the dropout probability.
    a: f64,
    /// Second shape of the dropout probability.
    b: f64,
    /// Length of one period, if known.
    time_unit: Option<TimeUnit>,
    schema: InputSchema,
    dropout: Dropout,
}

/// Log-odds of having lapsed by `T`, and their first derivatives in `(r, α, a, b)`.
struct LapseOdds {
    log_odds: f64,
    gradient: [f64; 4],
}

impl BgNbd {
    /// The model with shapes `r`, `a`, `b` and scale `alpha` in periods, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(
        r: f64,
        alpha: f64,
        a: f64,
        b: f64,
        time_unit: Option<TimeUnit>,
    ) -> Result<Self, ParamError> {
        for (spec, value) in Self::PARAMS.iter().zip([r, alpha, a, b]) {
            spec.check(value)?;
        }
        Ok(BgNbd {
            r,
            alpha,
            a,
            b,
            time_unit,
            schema: rfm_schema(time_unit),
            dropout: Dropout::new(r, a, b),
        })
    }

    /// The model stored as `state`.
    ///
    /// # Errors
    /// A state of another kind, an absent or misshapen part, or a parameter outside its domain.
    pub fn from_state(state: &ModelState) -> Result<Self, StateError> {
        crate::state::parametric_from_state(state)
    }

    /// Length of one period, if known.
    #[must_use]
    pub fn time_unit(&self) -> Option<TimeUnit> {
        self.time_unit
    }

    /// Log-likelihood of the branch "alive at `T`": all of `L` but the second term of the bracket.
    fn log_lik_alive(&self, row: &Rfm) -> f64 {
        let x = row.frequency;
        let counts = Rising::new(self.r, x).log - x * ln(self.alpha + row.age);
        let silent = -self.r * log1p(row.age / self.alpha);
        let stay = Rising::new(self.b, x).log - Rising::new(self.a + self.b, x).log;
        counts + silent + stay
    }

    /// The odds of a repeat buyer; `x` is 1 or more.
    fn lapse_odds(&self, row: &Rfm) -> LapseOdds {
        let x = row.frequency;
        let shape = self.r + x;
        let (at_end, at_last) = (self.alpha + row.age, self.alpha + row.recency);
        // `x − 1` first: at x = 1 the sum is exactly b.
        let stay = self.b + (x - 1.0);
        let log_ratio = log1p((row.age - row.recency) / at_last);
        LapseOdds {
            log_odds: ln(self.a) - ln(stay) + shape * log_ratio,
            gradient: [
                log_ratio,
                shape * (1.0 / at_end - 1.0 / at_last),
                1.0 / self.a,
                -1.0 / stay,
            ],
        }
    }

    /// One simulated customer observed for `age` periods. The purchase after which they leave is
    /// geometric and the purchases of one who never leaves are Poisson; given the count, purchase
    /// times are order statistics of uniforms, so no purchase is drawn one by one.
    fn simulate_one(&self, age: f64, random: &mut Random) -> Rfm {
        /// Poisson means beyond this are not told apart.
        const LARGEST_MEAN: f64 = 1e15;
        let log_rate = random.ln_gamma_variate(self.r) - ln(self.alpha);
        let leave = random.beta(self.a, self.b);
        let last_possible = random.geometric(leave);
        let events = random.poisson((exp(log_rate) * age).min(LARGEST_MEAN));
        let frequency = last_possible.min(events);
        let place = if frequency == 0.0 {
            0.0
        } else {
            random.beta(frequency, events - frequency + 1.0)
        };
        // A repeat purchase at the very start would contradict its own frequency.
        let earliest = if frequency > 0.0 { age * 1e-15 } else { 0.0 };
        Rfm {
            frequency,
            recency: (age * place).max(earliest),
            age,
        }
    }
}

impl ParametricModel for BgNbd {
    const KIND: &'static str = "clv.bg_nbd";
    const TITLE: &'static str = "BG/NBD";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("a", "1", "first shape of the dropout probability"),
        ParamSpec::positive("b", "1", "second shape of the dropout probability"),
    ];

    type Row = Rfm;
    type Likelihood = BgNbdLikelihood;

    fn from_params(params: &[f64], time_unit: Option<TimeUnit>) -> Result<Self, ParamError> {
        match *params {
            [r, alpha, a, b] => BgNbd::new(r, alpha, a, b, time_unit),
            _ => Err(crate::state::wrong_length(params.len())),
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.r, self.alpha, self.a, self.b]
    }

    fn fit_schema(time_unit: Option<TimeUnit>) -> InputSchema {
        rfm_schema(time_unit)
    }

    fn row(values: &[f64]) -> Result<Option<Rfm>, RowStatus> {
        let value = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Rfm::new(value(0), value(1), value(2)).map(Some)
    }

    fn row_values(row: &Rfm, values: &mut [f64]) {
        values.copy_from_slice(&[row.frequency, row.recency, row.age]);
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        let alive = self.log_lik_alive(row);
        if row.frequency == 0.0 {
            return alive;
        }
        alive + softplus(self.lapse_odds(row).log_odds)
    }

    fn log_lik_grad(&self, row: &Rfm, gradient: &mut [f64]) -> f64 {
        let x = row.frequency;
        let at_end = self.alpha + row.age;
        let buy = Rising::new(self.r, x);
        let stay = Rising::new(self.b, x);
        let either = Rising::new(self.a + self.b, x);
        let alive = [
            buy.first + ln(self.alpha) - ln(at_end),
            self.r / self.alpha - (self.r + x) / at_end,
            -either.first,
            stay.first - either.first,
        ];
        if x == 0.0 {
            gradient.copy_from_slice(&alive);
            return self.log_lik(row);
        }
        let odds = self.lapse_odds(row);
        let lapsed = sigmoid(odds.log_odds);
        for (index, slot) in gradient.iter_mut().enumerate() {
            *slot = alive[index] + lapsed * odds.gradient[index];
        }
        self.log_lik(row)
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> BgNbdLikelihood {
        BgNbdLikelihood::new(rows, weights)
    }

    fn starts(likelihood: &BgNbdLikelihood) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    fn simulate(&self, templates: &[Rfm], seed: u64) -> Vec<Rfm> {
        let draw = |(index, row): (u64, &Rfm)| {
            self.simulate_one(row.age, &mut Random::for_row(seed, index))
        };
        (0u64..).zip(templates).map(draw).collect()
    }
}

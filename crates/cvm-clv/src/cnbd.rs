//! BG/CNBD-k and MBG/CNBD-k: regular repeat buying with dropout right after a purchase.
//!
//! While alive, the times between a customer's purchases are Gamma(`k`, rate `λ`), Erlang-k for
//! whole `k`: at `k = 1` purchases are a Poisson process, above it they are more regular, below it
//! more clumped. After each repeat purchase (MBG: after each purchase, the first one included) they
//! leave for good with probability `p`. Across customers `λ ~ Gamma(r, α)`, `p ~ Beta(a, b)`.
//!
//! | symbol  | field         | unit        | meaning                                       |
//! |---------|---------------|-------------|-----------------------------------------------|
//! | `x`     | `frequency`   | purchases   | repeat purchases in `(0, T]`                  |
//! | `t_x`   | `recency`     | periods     | time of the last repeat; 0 if `x = 0`         |
//! | `T`     | `age`         | periods     | first purchase to end of observation          |
//! | `G`     | `log_gap_sum` | log periods | sum of `ln` of the times between purchases    |
//! | `c`     |               | purchases   | chances to leave: `x`, or `x + 1` for the MBG |
//!
//! ```text
//! L = e^{(k−1)G} Γ(k)^−x · Γ(R)/Γ(r) · α^r (α+t_x)^−R · B(a, b+c)/B(a, b)
//!     · [ I_w(R, k)  +  1{c>0} · a/(b+c−1) ],      R = r + kx,  w = (α+t_x)/(α+T)
//! ```
//!
//! `I_w(R, k)`, the regularized incomplete beta function, is the chance of no purchase in
//! `(t_x, T]`, mixed over `λ`; for whole `k` it is `w^R Σ_{j<k} (R)_j/j! (1−w)^j`, and `L` is that of
//! the source. `λ` is the rate of a stage: the mean time between purchases is `k/λ`.
//!
//! Source: Reutterer, Platzer & Schröder (2021), Leveraging purchase regularity for predicting
//! customer behavior the easy way, *International Journal of Research in Marketing* 38(1), 194–215.
//! Forecasts here are exact, for any `k > 0`; the source's conditional expectation is not.
//!
//! Numerics: derivatives of `ln I` are moments of `ln` under a cut beta distribution, by tanh-sinh
//! quadrature; for fixed whole `k` a finite sum. Derivations: docs/models/bg_cnbd_k.md.

mod forever;
mod likelihood;
mod predict;
mod rates;
mod renewal;
mod silence;
mod stages;
mod steady;

pub use likelihood::{CnbdLikelihood, choose_k};
pub(crate) use steady::Steady;

use crate::bg_nbd::BgNbd;
use crate::formulas::Formulas;
use crate::incomplete_beta::{ln_incomplete_beta, ln_incomplete_beta_above};
use crate::mbg_nbd::MbgNbd;
use crate::purchase::Purchase;
use crate::random::Random;
use crate::rfm::Rfm;
use crate::rising::Rising;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use cvm_math::{
    digamma, exp, ln, ln_beta, ln_gamma, ln_rising, log1p, sigmoid, softplus, trigamma,
};
use silence::Silence;

/// The BG/CNBD-k model at given parameters.
pub type BgCnbdK = CnbdK<false>;
/// The MBG/CNBD-k model at given parameters: customers may leave right after the first purchase.
pub type MbgCnbdK = CnbdK<true>;

const R: usize = 0;
const ALPHA: usize = 1;
const A: usize = 2;
const B: usize = 3;
const K: usize = 4;

/// Regular buying with dropout after every repeat purchase, or, `AT_FIRST`, after every purchase.
#[derive(Debug, Clone)]
pub struct CnbdK<const AT_FIRST: bool> {
    /// Shape of the stage rate across customers.
    r: f64,
    /// Scale of the stage rate, in periods.
    alpha: f64,
    /// First shape of the dropout probability.
    a: f64,
    /// Second shape of the dropout probability.
    b: f64,
    /// Shape of the times between purchases.
    k: f64,
}

impl<const AT_FIRST: bool> CnbdK<AT_FIRST> {
    /// The model with shapes `r`, `a`, `b`, regularity `k` and scale `alpha` in periods, all finite
    /// and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64, a: f64, b: f64, k: f64) -> Result<Self, ParamError> {
        let params = [r, alpha, a, b, k];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Self::at(&params))
    }

    /// Purchases after which the customer could have left.
    fn chances(x: f64) -> f64 {
        if AT_FIRST { x + 1.0 } else { x }
    }

    /// `R`: shape of `λ` after the row's purchases.
    fn rate_shape(&self, row: &Rfm) -> f64 {
        self.r + self.k * row.frequency
    }

    /// `ln I_w(R, k)`: chance of the silence since the last purchase.
    fn log_silence(&self, row: &Rfm) -> f64 {
        let end = self.alpha + row.age;
        let (w, rest) = (
            (self.alpha + row.recency) / end,
            (row.age - row.recency) / end,
        );
        if rest == 0.0 {
            return 0.0;
        }
        let shape = self.rate_shape(row);
        ln_incomplete_beta_above(ln_beta(shape, self.k), (shape, self.k), w, rest)
    }

    /// `ln(a/(b+c−1))`: the odds of having left at the last purchase, before the silence; minus
    /// infinity for one who had no chance.
    fn log_leave_odds(&self, row: &Rfm) -> f64 {
        let chances = Self::chances(row.frequency);
        if chances == 0.0 {
            return f64::NEG_INFINITY;
        }
        ln(self.a) - ln(self.b + (chances - 1.0))
    }

    /// Everything but the bracket and the gaps, `e^{(k−1)G}`.
    fn log_front(&self, row: &Rfm) -> f64 {
        let (x, chances) = (row.frequency, Self::chances(row.frequency));
        let counts = ln_rising(self.r, self.k * x) - x * ln_gamma(self.k);
        let times =
            -self.r * log1p(row.recency / self.alpha) - self.k * x * ln(self.alpha + row.recency);
        let stay = Rising::new(self.b, chances).log - Rising::new(self.a + self.b, chances).log;
        counts + times + stay
    }

    /// Log-likelihood without the gaps' factor.
    fn log_lik_of_times(&self, row: &Rfm) -> f64 {
        if AT_FIRST && row.frequency == 0.0 {
            return self.log_lik_of_silence(row);
        }
        let silence = self.log_silence(row);
        let left = self.log_leave_odds(row) - silence;
        self.log_front(row) + silence + softplus(left)
    }

    /// Of a customer who never came back, `ln(1 − b/(a+b)·(1 − I_w))`: it keeps its digits as `T`
    /// falls to 0.
    fn log_lik_of_silence(&self, row: &Rfm) -> f64 {
        if row.age == 0.0 {
            return 0.0;
        }
        let end = self.alpha + row.age;
        let bought = ln_incomplete_beta(self.k, self.r, row.age / end, self.alpha / end);
        log1p(-self.b / (self.a + self.b) * exp(bought))
    }

    /// Gradient and Hessian of the front and the gaps' factor in `(r, α, a, b, k)`.
    fn front_derivatives(&self, row: &Rfm, out: &mut Derivatives) {
        let (x, chances) = (row.frequency, Self::chances(row.frequency));
        let (shape, last) = (self.rate_shape(row), self.alpha + row.recency);
        let stay = Rising::new(self.b, chances);
        let either = Rising::new(self.a + self.b, chances);
        let (psi, slope) = (digamma(shape), trigamma(shape));
        out.gradient.fill(0.0);
        out.hessian.fill(0.0);
        let log_ratio = log1p(row.recency / self.alpha);
        let gradient = &mut out.gradient;
        gradient[R] = (if x > 0.0 { psi - digamma(self.r) } else { 0.0 }) - log_ratio;
        gradient[ALPHA] = self.r / self.alpha - shape / last;
        gradient[A] = -either.first;
        gradient[B] = stay.first - either.first;
        gradient[K] = row.log_gap_sum + x * (psi - digamma(self.k) - ln(last));
        let mut set = |i: usize, j: usize, value: f64| {
            out.hessian[i * 5 + j] = value;
            out.hessian[j * 5 + i] = value;
        };
        set(
            R,
            R,
            if x > 0.0 {
                slope - trigamma(self.r)
            } else {
                0.0
            },
        );
        set(R, ALPHA, row.recency / (self.alpha * last));
        set(R, K, x * slope);
        let square = shape / (last * last) - self.r / (self.alpha * self.alpha);
        set(ALPHA, ALPHA, square);
        set(ALPHA, K, -x / last);
        set(A, A, -either.second);
        set(A, B, -either.second);
        set(B, B, stay.second - either.second);
        set(K, K, x * (x * slope - trigamma(self.k)));
    }

    /// Adds the bracket `ln(I + a/(b+c−1))`: its derivatives mix those of `ln I` and of `ln` of the
    /// odds by `P(alive)`.
    fn add_bracket(&self, row: &Rfm, free_k: bool, out: &mut Derivatives) {
        let silence = Silence::new(self, row, free_k);
        let chances = Self::chances(row.frequency);
        let log_odds = self.log_leave_odds(row);
        let alive = sigmoid(silence.log - log_odds);
        let left = 1.0 - alive;
        let mut odds = [0.0; 5];
        let mut odds_curvature = [0.0; 5];
        if chances > 0.0 {
            let stay = 1.0 / (self.b + (chances - 1.0));
            (odds[A], odds[B]) = (1.0 / self.a, -stay);
            (odds_curvature[A], odds_curvature[B]) = (-odds[A] * odds[A], stay * stay);
        }
        for i in 0..5 {
            out.gradient[i] += alive * silence.gradient[i] + left * odds[i];
            out.hessian[i * 6] += left * odds_curvature[i];
            for j in 0..5 {
                let apart = (silence.gradient[i] - odds[i]) * (silence.gradient[j] - odds[j]);
                out.hessian[i * 5 + j] += alive * silence.hessian[i][j] + alive * left * apart;
            }
        }
    }

    /// Value and derivatives; those in `k` are left out (and not to be used) unless `free_k`.
    fn derivatives_with(&self, row: &Rfm, order: Order, free_k: bool, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order > Order::Value {
            self.front_derivatives(row, out);
            self.add_bracket(row, free_k, out);
        }
    }
}

impl<const AT_FIRST: bool> Formulas for CnbdK<AT_FIRST> {
    const KIND: &'static str = if AT_FIRST {
        "clv.mbg_cnbd_k"
    } else {
        "clv.bg_cnbd_k"
    };
    const TITLE: &'static str = if AT_FIRST { "MBG/CNBD-k" } else { "BG/CNBD-k" };
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the stage rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the stage rate"),
        ParamSpec::positive("a", "1", "first shape of the dropout probability"),
        ParamSpec::positive("b", "1", "second shape of the dropout probability"),
        ParamSpec::positive("k", "1", "regularity: shape of the times between purchases"),
    ];
    const PROCESSES: &'static [Process] = &[
        Process {
            name: "purchase",
            effects: &[Effect {
                param: ALPHA,
                sign: -1.0,
            }],
        },
        Process {
            name: "dropout",
            effects: &[
                Effect {
                    param: A,
                    sign: 1.0,
                },
                Effect {
                    param: B,
                    sign: 1.0,
                },
            ],
        },
    ];

    type Row = Rfm;
    type Likelihood = CnbdLikelihood<AT_FIRST>;

    fn at(params: &[f64]) -> Self {
        let &[r, alpha, a, b, k] = params else {
            unreachable!("the number of parameters has been checked")
        };
        CnbdK { r, alpha, a, b, k }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.r, self.alpha, self.a, self.b, self.k]
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, row.log_gap_sum]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        self.log_lik_of_times(row) + (self.k - 1.0) * row.log_gap_sum
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        self.derivatives_with(row, order, true, out);
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> CnbdLikelihood<AT_FIRST> {
        CnbdLikelihood::new(rows, weights, None)
    }

    fn starts(likelihood: &CnbdLikelihood<AT_FIRST>) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    /// Purchase by purchase; the last of ten million ends the story.
    fn nested() -> Option<Nested<Rfm>> {
        let embed = |poisson: &[f64]| [poisson, &[1.0]].concat();
        Some(if AT_FIRST {
            Nested::of::<Purchase<MbgNbd>>(NestedPlace::Inside, embed)
        } else {
            Nested::of::<Purchase<BgNbd>>(NestedPlace::Inside, embed)
        })
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        const MOST_PURCHASES: f64 = 1e7;
        let age = template.age;
        let log_rate = random.ln_gamma_variate(self.r) - ln(self.alpha);
        let leave = random.beta(self.a, self.b);
        let trials = random.geometric(leave);
        let last = if AT_FIRST { trials - 1.0 } else { trials }.min(MOST_PURCHASES);
        let mut row = Rfm {
            age,
            ..Rfm::PLACEHOLDER
        };
        while row.frequency < last {
            let log_gap = random.ln_gamma_variate(self.k) - log_rate;
            let now = row.recency + exp(log_gap);
            if now > age || now == row.recency {
                break;
            }
            row.frequency += 1.0;
            row.recency = now;
            row.log_gap_sum += log_gap;
        }
        row
    }
}

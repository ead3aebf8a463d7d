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

pub use likelihood::BgNbdLikelihood;

use crate::dropout::Dropout;
use crate::formulas::Formulas;
use crate::nbd::{NO_DROPOUT, Nbd};
use crate::purchase::Purchase;
use crate::random::Random;
use crate::rfm::Rfm;
use crate::rising::Rising;
use cvm_core::{Derivatives, Effect, Nested, NestedPlace, Order, ParamError, ParamSpec, Process};
use cvm_math::{exp, expm1, ln, log1p, sigmoid, softplus};

/// The BG/NBD model at given parameters.
pub type BgNbd = BetaGeometricNbd<false>;

/// Repeat buying with a beta-geometric chance to leave after every purchase: after the repeat
/// purchases only ([`BgNbd`]) or, `AT_FIRST`, after the first one too ([`crate::MbgNbd`]).
#[derive(Debug, Clone)]
pub struct BetaGeometricNbd<const AT_FIRST: bool> {
    /// Shape of the purchase rate across customers.
    r: f64,
    /// Scale of the purchase rate, in periods.
    alpha: f64,
    /// First shape of the dropout probability.
    a: f64,
    /// Second shape of the dropout probability.
    b: f64,
    dropout: Dropout,
}

/// Purchases after which a customer could have left.
fn chances_to_leave(x: f64, at_first: bool) -> f64 {
    if at_first { x + 1.0 } else { x }
}

/// Log-odds of having lapsed by `T`, and their derivatives in `(r, α, a, b)`.
struct LapseOdds {
    log_odds: f64,
    gradient: [f64; 4],
    /// `∂²/∂r∂α`, `∂²/∂α²`, `∂²/∂a²`, `∂²/∂b²`; the others are zero.
    curvature: [f64; 4],
}

impl<const AT_FIRST: bool> BetaGeometricNbd<AT_FIRST> {
    /// The model with shapes `r`, `a`, `b` and scale `alpha` in periods, all finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64, a: f64, b: f64) -> Result<Self, ParamError> {
        let params = [r, alpha, a, b];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Self::at(&params))
    }

    /// Purchases after which the customer could have left: `x`, or `x + 1` where the first counts.
    fn chances(x: f64) -> f64 {
        chances_to_leave(x, AT_FIRST)
    }

    /// `B`: of a living customer, `p ~ Beta(a, B)`.
    fn stay_shape(&self, row: &Rfm) -> f64 {
        self.b + Self::chances(row.frequency)
    }

    /// Log-likelihood of the branch "alive at `T`": all of `L` but the second term of the bracket.
    fn log_lik_alive(&self, row: &Rfm) -> f64 {
        let x = row.frequency;
        let counts = Rising::new(self.r, x).log - x * ln(self.alpha + row.age);
        let silent = -self.r * log1p(row.age / self.alpha);
        let chances = Self::chances(x);
        let stay = Rising::new(self.b, chances).log - Rising::new(self.a + self.b, chances).log;
        counts + silent + stay
    }

    /// Log-likelihood of a customer who never came back: of one with a chance to leave at the first
    /// purchase it is `ln(1 + b/(a+b)·((α/(α+T))^r − 1))`, which keeps its digits as `T` falls to 0.
    fn log_lik_of_silence(&self, row: &Rfm) -> f64 {
        if !AT_FIRST {
            return self.log_lik_alive(row);
        }
        let bought = expm1(-self.r * log1p(row.age / self.alpha));
        log1p(self.b / (self.a + self.b) * bought)
    }

    /// The odds of a customer who has had a chance to leave.
    fn lapse_odds(&self, row: &Rfm) -> LapseOdds {
        let x = row.frequency;
        let shape = self.r + x;
        let (at_end, at_last) = (self.alpha + row.age, self.alpha + row.recency);
        // `− 1` first: at one chance the sum is exactly b.
        let stay = self.b + (Self::chances(x) - 1.0);
        let log_ratio = log1p((row.age - row.recency) / at_last);
        let (by_end, by_last) = (1.0 / at_end, 1.0 / at_last);
        LapseOdds {
            log_odds: ln(self.a) - ln(stay) + shape * log_ratio,
            gradient: [
                log_ratio,
                shape * (by_end - by_last),
                1.0 / self.a,
                -1.0 / stay,
            ],
            curvature: [
                by_end - by_last,
                -shape * (by_end * by_end - by_last * by_last),
                -1.0 / (self.a * self.a),
                1.0 / (stay * stay),
            ],
        }
    }

    /// The branch "alive at `T`" with its derivatives.
    fn alive_derivatives(&self, row: &Rfm, out: &mut Derivatives) {
        let x = row.frequency;
        let at_end = self.alpha + row.age;
        let buy = Rising::new(self.r, x);
        let stay = Rising::new(self.b, Self::chances(x));
        let either = Rising::new(self.a + self.b, Self::chances(x));
        out.gradient.copy_from_slice(&[
            buy.first + ln(self.alpha) - ln(at_end),
            self.r / self.alpha - (self.r + x) / at_end,
            -either.first,
            stay.first - either.first,
        ]);
        let mixed = 1.0 / self.alpha - 1.0 / at_end;
        let square = (self.r + x) / (at_end * at_end) - self.r / (self.alpha * self.alpha);
        let cross = -either.second;
        out.hessian.copy_from_slice(&[
            buy.second,
            mixed,
            0.0,
            0.0, //
            mixed,
            square,
            0.0,
            0.0, //
            0.0,
            0.0,
            cross,
            cross, //
            0.0,
            0.0,
            cross,
            stay.second - either.second,
        ]);
    }
}

impl<const AT_FIRST: bool> Formulas for BetaGeometricNbd<AT_FIRST> {
    const KIND: &'static str = if AT_FIRST {
        "clv.mbg_nbd"
    } else {
        "clv.bg_nbd"
    };
    const TITLE: &'static str = if AT_FIRST { "MBG/NBD" } else { "BG/NBD" };
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("a", "1", "first shape of the dropout probability"),
        ParamSpec::positive("b", "1", "second shape of the dropout probability"),
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
    type Likelihood = BgNbdLikelihood;

    fn at(params: &[f64]) -> Self {
        let &[r, alpha, a, b] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Self {
            r,
            alpha,
            a,
            b,
            dropout: Dropout::new(r, a, b + Self::chances(0.0)),
        }
    }

    fn at_row(params: &[f64]) -> Self {
        let &[r, alpha, a, b] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Self {
            r,
            alpha,
            a,
            b,
            dropout: Dropout::without_tables(r, a, b + Self::chances(0.0)),
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.r, self.alpha, self.a, self.b]
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, 0.0]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        if row.frequency == 0.0 {
            return self.log_lik_of_silence(row);
        }
        self.log_lik_alive(row) + softplus(self.lapse_odds(row).log_odds)
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        self.alive_derivatives(row, out);
        if Self::chances(row.frequency) == 0.0 {
            return;
        }
        let odds = self.lapse_odds(row);
        let lapsed = sigmoid(odds.log_odds);
        let spread = lapsed * sigmoid(-odds.log_odds);
        for i in 0..4 {
            out.gradient[i] += lapsed * odds.gradient[i];
            for j in 0..4 {
                out.hessian[i * 4 + j] += spread * odds.gradient[i] * odds.gradient[j];
            }
        }
        let [mixed, alpha, a, b] = odds.curvature.map(|curvature| lapsed * curvature);
        out.hessian[1] += mixed;
        out.hessian[4] += mixed;
        out.hessian[5] += alpha;
        out.hessian[10] += a;
        out.hessian[15] += b;
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> BgNbdLikelihood {
        BgNbdLikelihood::new(rows, weights, AT_FIRST)
    }

    fn starts(likelihood: &BgNbdLikelihood) -> Vec<Vec<f64>> {
        likelihood.starts()
    }

    /// The purchase after which a customer leaves is geometric and the purchases of one who never
    /// leaves are Poisson; given the count, purchase times are order statistics of uniforms, so no
    /// purchase is drawn one by one.
    /// Where nobody leaves.
    fn nested() -> Option<Nested<Rfm>> {
        let embed = |nbd: &[f64]| [nbd, &NO_DROPOUT].concat();
        Some(Nested::of::<Purchase<Nbd>>(NestedPlace::Limit, embed))
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        /// Poisson means beyond this are not told apart.
        const LARGEST_MEAN: f64 = 1e15;
        let age = template.age;
        let log_rate = random.ln_gamma_variate(self.r) - ln(self.alpha);
        let leave = random.beta(self.a, self.b);
        let trials = random.geometric(leave);
        let last_possible = if AT_FIRST { trials - 1.0 } else { trials };
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
            log_gap_sum: 0.0,
        }
    }
}

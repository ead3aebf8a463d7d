//! NBD: repeat buying at a steady rate by customers who never leave.
//!
//! A customer buys as a Poisson process of rate `λ` for ever; across customers `λ ~ Gamma(r, α)`.
//! The baseline of every other model of this family, and what they become without dropout.
//!
//! | symbol | field       | unit      | meaning                              |
//! |--------|-------------|-----------|--------------------------------------|
//! | `x`    | `frequency` | purchases | repeat purchases in `(0, T]`         |
//! | `T`    | `age`       | periods   | first purchase to end of observation |
//!
//! ```text
//! L = Γ(r+x)/Γ(r) · (α/(α+T))^r · (α+T)^−x
//! ```
//!
//! the density of the purchase times, in which `t_x` does not appear (the count alone has a factor
//! `T^x/x!` more, which no parameter moves). Given the row, `λ ~ Gamma(r+x, α+T)`, so purchases in
//! the next `t` periods are negative binomial with success probability `t/(α+T+t)`.
//!
//! Source: Ehrenberg (1959), *Applied Statistics* 8(1), 26–41; the conditional form: Morrison &
//! Schmittlein (1988), *Journal of Business & Economic Statistics* 6(2), 145–159.
//!
//! Numerics: nothing cancels; tails are incomplete beta functions in logarithms. Derivations:
//! docs/models/nbd.md.

use crate::formulas::Formulas;
use crate::incomplete_beta::ln_at_least;
use crate::merged::MergedRows;
use crate::purchase::PurchaseFormulas;
use crate::random::Random;
use crate::rfm::Rfm;
use crate::rising::Rising;
use cvm_core::{Derivatives, Effect, Order, ParamError, ParamSpec, Process};
use cvm_math::{exp, expm1, ln, ln_gamma, log1p};

/// Shape and scale of a dropout so rare that a model with it is the NBD: next to nobody leaves.
pub(crate) const NO_DROPOUT: [f64; 2] = [1e-9, 1.0];

/// The NBD model at given parameters.
#[derive(Debug, Clone)]
pub struct Nbd {
    /// Shape of the purchase rate across customers.
    r: f64,
    /// Scale of the purchase rate, in periods.
    alpha: f64,
}

impl Nbd {
    /// The model with shape `r` and scale `alpha` in periods, both finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(r: f64, alpha: f64) -> Result<Self, ParamError> {
        for (spec, value) in Self::PARAMS.iter().zip([r, alpha]) {
            spec.check(value)?;
        }
        Ok(Nbd { r, alpha })
    }

    /// Expected purchases per period, given the row.
    fn rate(&self, row: &Rfm) -> f64 {
        (self.r + row.frequency) / (self.alpha + row.age)
    }
}

impl Formulas for Nbd {
    const KIND: &'static str = "clv.nbd";
    const TITLE: &'static str = "NBD";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
    ];
    const PROCESSES: &'static [Process] = &[Process {
        name: "purchase",
        effects: &[Effect {
            param: 1,
            sign: -1.0,
        }],
    }];

    type Row = Rfm;
    type Likelihood = MergedRows<Nbd>;

    fn at(params: &[f64]) -> Self {
        let &[r, alpha] = params else {
            unreachable!("the number of parameters has been checked")
        };
        Nbd { r, alpha }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.r, self.alpha]
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.age, 0.0, 0.0]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        let counts = Rising::new(self.r, row.frequency).log;
        let silent = -self.r * log1p(row.age / self.alpha);
        counts + silent - row.frequency * ln(self.alpha + row.age)
    }

    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let (shape, end) = (self.r + row.frequency, self.alpha + row.age);
        let counts = Rising::new(self.r, row.frequency);
        let by_r = counts.first - log1p(row.age / self.alpha);
        let by_alpha = self.r / self.alpha - shape / end;
        out.gradient.copy_from_slice(&[by_r, by_alpha]);
        let mixed = row.age / (self.alpha * end);
        let square = shape / (end * end) - self.r / (self.alpha * self.alpha);
        out.hessian
            .copy_from_slice(&[counts.second, mixed, mixed, square]);
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> MergedRows<Nbd> {
        MergedRows::new(rows, weights)
    }

    /// From the mean and the spread of the counts, then fixed shapes.
    fn starts(likelihood: &MergedRows<Nbd>) -> Vec<Vec<f64>> {
        let (mut weight, mut count, mut square, mut age) = (0.0, 0.0, 0.0, 0.0);
        for (row, own) in likelihood.weighted() {
            weight += own;
            count += own * row.frequency;
            square += own * row.frequency * row.frequency;
            age += own * row.age;
        }
        let mean = count / weight;
        let excess = square / weight - mean * mean - mean;
        // Negative binomial counts: variance = mean + mean²/r.
        let spread = mean * mean / excess.max(mean * 1e-3);
        let r = if spread.is_finite() { spread } else { 1.0 };
        let per_shape = if count > 0.0 && age > 0.0 {
            age / count
        } else {
            1.0
        };
        let start = |r: f64| vec![r, r * per_shape];
        [r.clamp(0.02, 50.0), 1.0, 0.2, 5.0].map(start).to_vec()
    }

    /// Purchases are Poisson; the last of `x` is at `T` times the largest of `x` uniforms.
    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        /// Poisson means beyond this are not told apart.
        const LARGEST_MEAN: f64 = 1e15;
        let age = template.age;
        let rate = exp(random.ln_gamma_variate(self.r) - ln(self.alpha));
        let frequency = random.poisson((rate * age).min(LARGEST_MEAN));
        let recency = if frequency > 0.0 {
            // A repeat purchase at the very start would contradict its own frequency.
            (age * random.beta(frequency, 1.0)).max(age * 1e-15)
        } else {
            0.0
        };
        Rfm {
            frequency,
            recency,
            age,
            log_gap_sum: 0.0,
        }
    }
}

impl PurchaseFormulas for Nbd {
    fn scale_periods(&self) -> f64 {
        self.alpha
    }

    fn p_alive(&self, _row: &Rfm) -> f64 {
        1.0
    }

    fn ln_p_alive(&self, _row: &Rfm) -> f64 {
        0.0
    }

    fn p_alive_ahead(&self, _row: &Rfm, _t: f64) -> f64 {
        1.0
    }

    fn purchases(&self, row: &Rfm, t: f64) -> f64 {
        self.rate(row) * t
    }

    fn ln_pmf(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        let (shape, tau) = (self.r + row.frequency, t / (self.alpha + row.age));
        if tau == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        if n == 0.0 {
            return -shape * log1p(tau);
        }
        if tau == 0.0 {
            return f64::NEG_INFINITY;
        }
        let counts = Rising::new(shape, n).log - ln_gamma(n + 1.0);
        counts - shape * log1p(tau) - n * log1p(1.0 / tau)
    }

    fn ln_tail(&self, row: &Rfm, t: f64, n: f64) -> f64 {
        let tau = t / (self.alpha + row.age);
        if n == 0.0 || tau == f64::INFINITY {
            return 0.0;
        }
        let (z, rest) = (tau / (1.0 + tau), 1.0 / (1.0 + tau));
        let shape = self.r + row.frequency;
        ln_at_least(n, shape, z, rest)
    }

    fn discounted(&self, row: &Rfm, t: f64, delta: f64) -> f64 {
        self.rate(row) * self.lifetime(row, t, delta)
    }

    fn lifetime(&self, _row: &Rfm, t: f64, delta: f64) -> f64 {
        if delta == 0.0 {
            return t;
        }
        -expm1(-delta * t) / delta
    }

    /// `P(X(t) ≥ 1) = 1 − (1 + τ)^−R` in closed form.
    fn next_purchase(&self, row: &Rfm, p: f64) -> f64 {
        let (shape, end) = (self.r + row.frequency, self.alpha + row.age);
        end * expm1(-log1p(-p) / shape)
    }
}

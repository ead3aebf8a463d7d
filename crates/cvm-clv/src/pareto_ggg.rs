//! Pareto/GGG: repeat buying at a rhythm of one's own, with dropout at any moment.
//!
//! While alive, the times between a customer's purchases are Gamma(`k`, rate `kλ`), with mean `1/λ`;
//! their lifetime is exponential with rate `μ`. Across customers `k ~ Gamma(t, γ)`, `λ ~ Gamma(r, α)`
//! and `μ ~ Gamma(s, β)`, independently.
//!
//! | symbol | field         | unit        | meaning                                    |
//! |--------|---------------|-------------|--------------------------------------------|
//! | `x`    | `frequency`   | purchases   | repeat purchases in `(0, T]`               |
//! | `t_x`  | `recency`     | periods     | time of the last repeat; 0 if `x = 0`      |
//! | `T`    | `age`         | periods     | first purchase to end of observation       |
//! | `G`    | `log_gap_sum` | log periods | sum of `ln` of the times between purchases |
//!
//! ```text
//! L = ∫_0^∞ γ^t k^{t−1} e^{−γk}/Γ(t) · Γ(R)/Γ(r) · α^r k^{kx} A^−R · Γ(k)^−x e^{(k−1)G}
//!       · (1 + t_x/β)^−s · [ I_w(R, k) + E(1{u ≤ T−t_x} · D(u)) ] dk
//! R = r + kx,   A = α + k t_x,   w = A/(α + kT),   D(u) = 1 − (1 + u/(β+t_x))^−s
//! ```
//!
//! where `u`, the gap that was to follow the last purchase, has `ku/(A+ku) ~ Beta(k, R)`. As
//! `t = γ → ∞` every `k` is 1, and the model is the Pareto/NBD.
//!
//! Source: Platzer & Reutterer (2016), Ticking away the moments: timing regularity helps to better
//! predict customer activity, *Marketing Science* 35(5), 779–799, which draws `k`, `λ` and `μ` of
//! each customer; here they are integrated over, so that the likelihood has a maximum to be found.
//! Derivations: docs/models/pareto_ggg.md.

mod clumps;
mod gap;
mod grid;
mod predict;
mod quiet;
mod rhythm;

use crate::attrition::{Start, starts, totals};
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::pareto_nbd::ParetoNbd;
use crate::purchase::Purchase;
use crate::random::Random;
use crate::rfm::Rfm;
use cvm_core::{
    Derivatives, Effect, FarMaximum, Nested, NestedPlace, Order, ParamError, ParamSpec, Process,
};
use cvm_math::{digamma, exp, expm1, ln, ln_gamma, log1p, trigamma};
use gap::{Fate, Slopes};
use rhythm::Rhythm;

/// Number of parameters.
const PARAMS: usize = 6;
/// Entries of a symmetric matrix of that size.
const PAIRS: usize = 21;
/// The gradient and the second moments.
const MOMENTS: usize = PARAMS + PAIRS;

/// The Pareto/GGG model at given parameters.
#[derive(Debug, Clone)]
pub struct ParetoGgg {
    /// Shape of the regularity across customers.
    t: f64,
    /// Rate of the regularity across customers.
    gamma: f64,
    /// Shape of the purchase rate across customers.
    r: f64,
    /// Scale of the purchase rate, in periods.
    alpha: f64,
    /// Shape of the dropout rate across customers.
    s: f64,
    /// Scale of the dropout rate, in periods.
    beta: f64,
    /// `ln` of the largest density of `ln k`.
    ln_peak: f64,
}

impl ParetoGgg {
    /// The model with shapes `t`, `r`, `s`, rate `gamma` and scales `alpha`, `beta` in periods, all
    /// finite and positive.
    ///
    /// # Errors
    /// The first parameter outside its domain.
    pub fn new(
        t: f64,
        gamma: f64,
        r: f64,
        alpha: f64,
        s: f64,
        beta: f64,
    ) -> Result<Self, ParamError> {
        let params = [t, gamma, r, alpha, s, beta];
        for (spec, value) in Self::PARAMS.iter().zip(params) {
            spec.check(value)?;
        }
        Ok(Self::at(&params))
    }

    /// `ln` of the chance of staying to the last purchase.
    fn ln_stayed(&self, row: &Rfm) -> f64 {
        -self.s * log1p(row.recency / self.beta)
    }

    /// `ln` of the density of `ξ = ln k` across customers: from its peak at `k = t/γ`, so that no digit
    /// is lost where it is narrow.
    fn ln_law_of_k(&self, xi: f64) -> f64 {
        let away = xi - ln(self.t / self.gamma);
        self.ln_peak + self.t * (away - expm1(away))
    }

    /// Parts of the likelihood without [`ParetoGgg::ln_stayed`]: silent, and left before a purchase.
    fn ln_parts(&self, row: &Rfm) -> [f64; 2] {
        let part = |fate: Fate| {
            let rhythm = Rhythm::new(self, row);
            let beats = rhythm.beats(fate);
            let logs = beats
                .iter()
                .map(|beat| beat.log + rhythm.gap(beat.k).ln_of(fate));
            ln_sum(&logs.collect::<Vec<f64>>())
        };
        let left = if row.age > row.recency {
            part(Fate::Left)
        } else {
            f64::NEG_INFINITY
        };
        [part(Fate::Silent), left]
    }

    /// Log-likelihood without [`ParetoGgg::ln_stayed`], and the mean moments of the derivatives of the
    /// complete log-likelihood where they are asked for. NaN beyond the bounds of work.
    fn mixture(&self, row: &Rfm, with_slopes: bool) -> (f64, [f64; MOMENTS]) {
        let mut moments = [0.0; MOMENTS];
        if row.age == 0.0 {
            return (0.0, moments);
        }
        let Some(nodes) = grid::nodes(self, row, with_slopes) else {
            return (f64::NAN, [f64::NAN; MOMENTS]);
        };
        let log = ln_sum(&nodes.iter().map(|node| node.log).collect::<Vec<f64>>());
        if with_slopes {
            let terms = Terms::new(self);
            for node in &nodes {
                let share = exp(node.log - log);
                if share > 0.0 {
                    terms.add(node.xi, &node.slopes, share, &mut moments);
                }
            }
        }
        (log, moments)
    }
}

/// What of the complete derivatives in `t` and `γ` is the same at every `k`.
struct Terms {
    /// `ln t − ψ(t)`.
    spread: f64,
    mean: f64,
    ln_mean: f64,
    curve: [[f64; 2]; 2],
}

impl Terms {
    fn new(model: &ParetoGgg) -> Self {
        let (t, gamma) = (model.t, model.gamma);
        Terms {
            spread: ln_less_digamma(t),
            mean: t / gamma,
            ln_mean: ln(t / gamma),
            curve: [
                [-trigamma(t), 1.0 / gamma],
                [1.0 / gamma, -t / (gamma * gamma)],
            ],
        }
    }

    /// Adds a share of the moments at `k = e^ξ`: those in `t` and `γ` do not depend on the gap.
    fn add(&self, xi: f64, slopes: &Slopes, share: f64, moments: &mut [f64; MOMENTS]) {
        // From the mean, so that no digit is lost where `k` hardly varies.
        let away = xi - self.ln_mean;
        let own = [self.spread + away, -self.mean * expm1(away)];
        let first = |i: usize| if i < 2 { own[i] } else { slopes.first[i - 2] };
        for (i, slot) in moments.iter_mut().take(PARAMS).enumerate() {
            *slot += share * first(i);
        }
        let mut next = PARAMS;
        for i in 0..PARAMS {
            for j in i..PARAMS {
                moments[next] += share
                    * match (i < 2, j < 2) {
                        (true, true) => self.curve[i][j] + own[i] * own[j],
                        (false, false) => slopes.second[i - 2][j - 2],
                        _ => first(i) * first(j),
                    };
                next += 1;
            }
        }
    }
}

/// `t ln t − t − ln Γ(t)`; by Stirling's series where its terms would cancel (DLMF 5.11.1).
fn ln_peak_of_gamma(t: f64) -> f64 {
    const LARGE: f64 = 64.0;
    if t < LARGE {
        return t * ln(t) - t - ln_gamma(t);
    }
    let square = 1.0 / (t * t);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / t;
    0.5 * ln(t / std::f64::consts::TAU) - series
}

/// `ln t − ψ(t)`; by its series (DLMF 5.11.2) where its terms would cancel.
fn ln_less_digamma(t: f64) -> f64 {
    const LARGE: f64 = 64.0;
    if t < LARGE {
        return ln(t) - digamma(t);
    }
    let square = 1.0 / (t * t);
    0.5 / t + square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

/// `ln Σ e^log`.
fn ln_sum(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + ln(logs.iter().map(|log| exp(log - largest)).sum::<f64>())
}

/// Effects of the covariates: a larger scale is a smaller rate.
const fn lower(param: usize) -> Effect {
    Effect { param, sign: -1.0 }
}

impl Formulas for ParetoGgg {
    const KIND: &'static str = "clv.pareto_ggg";
    const TITLE: &'static str = "Pareto/GGG";
    const PARAMS: &'static [ParamSpec] = &[
        ParamSpec::positive("t", "1", "shape of the regularity across customers"),
        ParamSpec::positive("gamma", "1", "rate of the regularity across customers"),
        ParamSpec::positive("r", "1", "shape of the purchase rate across customers"),
        ParamSpec::positive("alpha", "periods", "scale of the purchase rate"),
        ParamSpec::positive("s", "1", "shape of the dropout rate across customers"),
        ParamSpec::positive("beta", "periods", "scale of the dropout rate"),
    ];
    const PROCESSES: &'static [Process] = &[
        Process {
            name: "purchase",
            effects: &[lower(3)],
        },
        Process {
            name: "dropout",
            effects: &[lower(5)],
        },
    ];

    const ROW_NS: f64 = 128.0 * 400.0;

    type Row = Rfm;
    type Likelihood = MergedRows<Self>;

    fn at(params: &[f64]) -> Self {
        let &[t, gamma, r, alpha, s, beta] = params else {
            unreachable!("the number of parameters has been checked")
        };
        ParetoGgg {
            t,
            gamma,
            r,
            alpha,
            s,
            beta,
            ln_peak: ln_peak_of_gamma(t),
        }
    }

    fn params(&self) -> Vec<f64> {
        vec![self.t, self.gamma, self.r, self.alpha, self.s, self.beta]
    }

    fn key(row: &Rfm) -> [f64; 4] {
        [row.frequency, row.recency, row.age, row.log_gap_sum]
    }

    fn log_lik(&self, row: &Rfm) -> f64 {
        self.ln_stayed(row) + self.mixture(row, false).0
    }

    /// Derivatives of a mixture over `(k, u)` from those of the complete log-likelihood
    /// (Louis 1982, *JRSS B* 44(2)): `∇ = E[∇c]`, `∇² = E[∇²c + ∇c ∇cᵀ] − ∇∇ᵀ`. With `u` at hand,
    ///
    /// ```text
    /// c = t ln γ − ln Γ(t) + t ln k − γk + ln Γ(R+k) − ln Γ(r) + r ln α − (R+k) ln(A+ku)
    ///     + s ln(β/(β+t_x)) + ln D(u) if the customer left before it + terms of k and the row
    /// ```
    fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        let (log, moments) = self.mixture(row, order > Order::Value);
        out.value = self.ln_stayed(row) + log;
        if order == Order::Value {
            return;
        }
        let (gradient, second) = moments.split_at(PARAMS);
        out.gradient.copy_from_slice(gradient);
        let mut next = second.iter();
        for i in 0..PARAMS {
            for j in i..PARAMS {
                let moment = next.next().copied().unwrap_or(f64::NAN);
                let curvature = moment - gradient[i] * gradient[j];
                out.hessian[i * PARAMS + j] = curvature;
                out.hessian[j * PARAMS + i] = curvature;
            }
        }
    }

    fn likelihood(rows: &[Rfm], weights: Option<&[f64]>) -> MergedRows<Self> {
        MergedRows::new(rows, weights)
    }

    /// Those of the Pareto/NBD, with purchases a little more regular than at random.
    fn starts(likelihood: &MergedRows<Self>) -> Vec<Vec<f64>> {
        let spreads = [[3.0, 2.0], [10.0, 10.0]];
        let start = |(start, [t, gamma]): (Start, [f64; 2])| {
            vec![t, gamma, start.r, start.alpha, start.s, start.lifetime]
        };
        let totals = totals(likelihood.weighted());
        starts(&totals)
            .into_iter()
            .zip(spreads)
            .map(start)
            .collect()
    }

    fn nested() -> Option<Nested<Rfm>> {
        /// Spread of `k` around 1 that no sample tells from none: `Var k = 1e−8`.
        const NARROW: f64 = 1e8;
        let embed = |pareto: &[f64]| [&[NARROW, NARROW], pareto].concat();
        Some(Nested::of::<Purchase<ParetoNbd>>(NestedPlace::Limit, embed))
    }

    /// Of customers who share one rhythm `k` the likelihood rises with `t = γk` for ever.
    fn far_maximum(reached: &[f64]) -> Option<FarMaximum> {
        /// Regularities that differ by a hundredth.
        const SHARED: f64 = 1e4;
        let (t, gamma) = (*reached.first()?, *reached.get(1)?);
        let mut start = reached.to_vec();
        (start[0], start[1]) = (SHARED, SHARED * (gamma / t));
        let sound = start.iter().all(|value| value.is_finite() && *value > 0.0);
        (t > SHARED && sound).then_some(FarMaximum {
            param: 0,
            bounds: (f64::MIN_POSITIVE, SHARED),
            start,
            advice: "all customers share one rhythm, `t`/`gamma`: a CNBD-k with that `k`, or at 1 a \
                     Pareto/NBD, says it with fewer parameters",
        })
    }

    fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        let k = exp(random.ln_gamma_variate(self.t)) / self.gamma;
        let rate = k * random.gamma(self.r) / self.alpha;
        let lifetime = random.exponential() * self.beta / random.gamma(self.s);
        let end = template.age.min(lifetime);
        let mut row = Rfm {
            age: template.age,
            ..Rfm::PLACEHOLDER
        };
        loop {
            let log_gap = random.ln_gamma_variate(k) - ln(rate);
            let next = row.recency + exp(log_gap);
            // Also where the gap is too short to move the clock, or no number.
            if !(next > row.recency && next <= end) {
                return row;
            }
            row.recency = next;
            row.frequency += 1.0;
            row.log_gap_sum += log_gap;
        }
    }
}

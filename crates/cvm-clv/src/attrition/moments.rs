//! Likelihood of a customer who buys at a gamma rate until a [`Law`] ends it, with derivatives.
//!
//! ```text
//! L = (r)_x α^r · [ (α+T)^−(r+x) S(T) + ∫_{t_x}^T (α+τ)^−(r+x) f(τ) dτ ]
//! ```
//!
//! The bracket is a positive mixture over "left at `τ`" and "still there at `T`", so the gradient of
//! `ln L` is the mean of the terms' own, and the Hessian the mean of theirs plus the covariance of
//! the gradients. Every node of the quadrature is a term.
//!
//! Parameters are `(r, α, s, β)` of the Pareto law (`N = 4`) or `(r, α, b, s, β)` of the
//! gamma/Gompertz law (`N = 5`).

use super::nodes::Nodes;
use super::panels::Integrand;
use super::{Buyer, Law};
use crate::dense::Dense;
use crate::random::Random;
use crate::rfm::Rfm;
use crate::rising::Rising;
use cvm_core::{Derivatives, Order};
use cvm_math::{exp, expm1, ln, log1p};

/// Index of `r`.
pub(super) const R: usize = 0;
/// Index of `α`.
pub(super) const ALPHA: usize = 1;
/// Index of `b`, where there is one.
const B: usize = 2;

/// The model at given parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attrited<const N: usize> {
    /// Shape of the purchase rate across customers.
    pub(crate) r: f64,
    /// Scale of the purchase rate, in periods.
    pub(crate) alpha: f64,
    /// Law of the lifetime of a new customer.
    pub(crate) law: Law,
    /// `β`: the law's scale, times `b` if there is one.
    pub(crate) beta: f64,
}

/// A term of the mixture: `(α+τ)^−R · M(τ)^−k`, times `e^{bτ}` and constants for a density.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    /// `τ`, from the first purchase.
    pub(super) time: f64,
    /// `ln(1 + τ/α)`.
    pub(super) log_rate: f64,
    /// `ln M(τ)`.
    pub(super) log_law: f64,
    /// Whether the customer leaves at `τ`.
    pub(super) leaves: bool,
}

impl<const N: usize> Attrited<N> {
    const S: usize = N - 2;
    const BETA: usize = N - 1;

    /// The model at parameters in their order, all positive.
    pub(crate) fn at(params: &[f64]) -> Self {
        let value = |index: usize| params.get(index).copied().unwrap_or(f64::NAN);
        let growth = if N == 5 { value(B) } else { 0.0 };
        let beta = value(Self::BETA);
        let law = Law {
            shape: value(Self::S),
            scale: if N == 5 { beta / growth } else { beta },
            growth,
        };
        Attrited {
            r: value(R),
            alpha: value(ALPHA),
            law,
            beta,
        }
    }

    pub(crate) fn params(&self) -> Vec<f64> {
        let Attrited {
            r,
            alpha,
            law,
            beta,
        } = self;
        if N == 5 {
            vec![*r, *alpha, law.growth, law.shape, *beta]
        } else {
            vec![*r, *alpha, law.shape, *beta]
        }
    }

    /// What is known of a customer with `x` repeat purchases who is alive at `time`.
    pub(crate) fn alive_at(&self, x: f64, time: f64) -> Buyer {
        Buyer {
            shape: self.r + x,
            scale: self.alpha + time,
            law: self.law.aged(time),
        }
    }

    /// A customer at the last purchase.
    pub(crate) fn at_last(&self, row: &Rfm) -> Buyer {
        self.alive_at(row.frequency, row.recency)
    }

    /// A customer alive at the end of observation.
    pub(crate) fn at_end(&self, row: &Rfm) -> Buyer {
        self.alive_at(row.frequency, row.age)
    }

    /// Logarithm of the density of the purchases up to `t_x` and of being alive then.
    fn ln_until_last(&self, row: &Rfm) -> f64 {
        let x = row.frequency;
        let counts = Rising::new(self.r, x).log - x * ln(self.alpha);
        let silent = (self.r + x) * log1p(row.recency / self.alpha);
        counts - silent - self.law.shape * self.law.ln_growth(row.recency)
    }

    /// Log-likelihood of one row.
    pub(crate) fn log_lik(&self, row: &Rfm) -> f64 {
        let silent = self.at_last(row).ln_silent(row.age - row.recency);
        if row.frequency == 0.0 {
            silent
        } else {
            self.ln_until_last(row) + silent
        }
    }

    /// The same with derivatives.
    pub(crate) fn derivatives(&self, row: &Rfm, order: Order, out: &mut Derivatives) {
        out.value = self.log_lik(row);
        if order == Order::Value {
            return;
        }
        let mut mixture = self.left_since_last(row, order);
        let silence = row.age - row.recency;
        let stayed = exp(self.at_last(row).ln_silent_and_alive(silence));
        let end = self.term_at(row.age);
        self.add_term(&end, self.r + row.frequency, stayed, order, &mut mixture);
        let mut sum = Dense::zero();
        self.add_common(row.frequency, 1.0, order, &mut sum);
        add_log_mixture(&mixture, order, &mut sum);
        out.gradient.copy_from_slice(&sum.gradient);
        for (index, slot) in out.hessian.iter_mut().enumerate() {
            let (i, j) = (index / N, index % N);
            *slot = sum.hessian[i.min(j)][i.max(j)];
        }
    }

    /// The branch "left between `t_x` and `T`", in units of being alive at `t_x`.
    fn left_since_last(&self, row: &Rfm, order: Order) -> Dense<N> {
        let buyer = self.at_last(row);
        let integrand = buyer.leaving();
        let shape = buyer.shape;
        let front = buyer.leaving_front(&integrand);
        let before = self.term_at(row.recency);
        let mut sum = Dense::zero();
        let mut nodes = Nodes::<32>::new();
        let mut flush = |nodes: &mut Nodes<32>| {
            for index in 0..nodes.evaluate(&integrand) {
                let term = before.later(nodes, index);
                self.add_term(&term, shape, front * nodes.values[index], order, &mut sum);
            }
        };
        let finished = integrand.plan(row.age - row.recency, |panel| {
            nodes.push(&integrand, panel);
            if nodes.is_full() {
                flush(&mut nodes);
            }
        });
        flush(&mut nodes);
        if !finished {
            sum.value = f64::NAN;
        }
        sum
    }

    /// The term of a customer still there at `time`.
    pub(super) fn term_at(&self, time: f64) -> Term {
        Term {
            time,
            log_rate: log1p(time / self.alpha),
            log_law: self.law.ln_growth(time),
            leaves: false,
        }
    }

    /// Adds `weight` times `(1, g, h + g·gᵀ)` of a term with gradient `g` and Hessian `h` of its
    /// logarithm; what no term depends on alone is in [`Attrited::add_common`].
    #[inline]
    pub(super) fn add_term(
        &self,
        term: &Term,
        shape: f64,
        weight: f64,
        order: Order,
        sum: &mut Dense<N>,
    ) {
        sum.value += weight;
        if order == Order::Value {
            return;
        }
        let (gradient, mut hessian) = self.term_derivatives(term, shape);
        for (slot, slope) in sum.gradient.iter_mut().zip(&gradient) {
            *slot += weight * slope;
        }
        if order < Order::Hessian {
            return;
        }
        for (i, row) in hessian.iter_mut().enumerate() {
            for (j, own) in row.iter().enumerate().skip(i) {
                sum.hessian[i][j] += weight * (own + gradient[i] * gradient[j]);
            }
        }
    }

    #[inline]
    fn term_derivatives(&self, term: &Term, shape: f64) -> ([f64; N], [[f64; N]; N]) {
        let mut gradient = [0.0; N];
        let mut hessian = [[0.0; N]; N];
        let Term {
            time,
            log_rate,
            log_law,
            leaves,
        } = *term;
        let leaving = f64::from(u8::from(leaves));
        let inverse = 1.0 / (self.alpha + time);
        gradient[R] = -log_rate;
        gradient[ALPHA] = -shape * inverse;
        hessian[R][ALPHA] = -inverse;
        hessian[ALPHA][ALPHA] = shape * inverse * inverse;
        let s = self.law.shape;
        let power = s + leaving;
        let by_s = leaving / s;
        gradient[Self::S] = by_s - log_law;
        hessian[Self::S][Self::S] = -by_s * by_s;
        let by_beta = if N == 5 {
            let growth = self.law.growth;
            let faded = -expm1(-growth * time);
            let kept = 1.0 - faded;
            // dM/d(bτ) / M = e^{bτ}/D with D = β + e^{bτ} − 1.
            let share = 1.0 / (self.beta * kept + faded);
            let by_b = leaving / growth;
            gradient[B] = by_b + leaving * time - power * time * share;
            let bend = (self.beta - 1.0) * kept * share * share;
            hessian[B][B] = -by_b * by_b - power * time * time * bend;
            hessian[B][Self::S] = -time * share;
            hessian[B][Self::BETA] = power * time * share * (share * kept);
            share * kept
        } else {
            1.0 / (self.beta + time)
        };
        gradient[Self::BETA] = -power * by_beta;
        hessian[Self::S][Self::BETA] = -by_beta;
        hessian[Self::BETA][Self::BETA] = power * by_beta * by_beta;
        (gradient, hessian)
    }

    /// Adds `weight` times what all terms of a customer share: `ln (r)_x − x ln α` and the
    /// derivatives of `r ln α + s ln β`.
    pub(super) fn add_common(&self, x: f64, weight: f64, order: Order, sum: &mut Dense<N>) {
        let rising = Rising::new(self.r, x);
        sum.value += weight * (rising.log - x * ln(self.alpha));
        if order == Order::Value {
            return;
        }
        let (by_alpha, by_beta) = (1.0 / self.alpha, 1.0 / self.beta);
        let s = self.law.shape;
        sum.gradient[R] += weight * rising.first;
        sum.gradient[ALPHA] += weight * self.r * by_alpha;
        sum.gradient[Self::BETA] += weight * s * by_beta;
        sum.hessian[R][R] += weight * rising.second;
        sum.hessian[R][ALPHA] += weight * by_alpha;
        sum.hessian[ALPHA][ALPHA] -= weight * self.r * by_alpha * by_alpha;
        sum.hessian[Self::S][Self::BETA] += weight * by_beta;
        sum.hessian[Self::BETA][Self::BETA] -= weight * s * by_beta * by_beta;
    }

    /// One drawn row.
    pub(crate) fn simulate_one(&self, template: &Rfm, random: &mut Random) -> Rfm {
        let rate = exp(random.ln_gamma_variate(self.r) - ln(self.alpha));
        // An exponential over a gamma is M − 1: a Lomax variate.
        let log_odds = ln(random.exponential()) - random.ln_gamma_variate(self.law.shape);
        draw_row(template, rate, self.law.at_log_odds(log_odds), random)
    }
}

/// A drawn row of a customer with these: the purchases of a living customer are Poisson, and given
/// their number the last is the largest of uniforms.
pub(crate) fn draw_row(template: &Rfm, rate: f64, lifetime: f64, random: &mut Random) -> Rfm {
    /// Poisson means beyond this are not told apart.
    const LARGEST_MEAN: f64 = 1e15;
    let age = template.age;
    let active = age.min(lifetime);
    let frequency = random.poisson((rate * active).min(LARGEST_MEAN));
    let mut row = Rfm {
        frequency,
        recency: 0.0,
        ..*template
    };
    if frequency > 0.0 {
        let place = exp(ln(random.uniform()) / frequency);
        // A repeat purchase at the very start would contradict its own frequency.
        row.recency = (active * place).max(age * 1e-15);
    }
    row
}

impl Term {
    /// The term of leaving at a node whose integral starts at this one.
    #[inline]
    pub(super) fn later<const CAPACITY: usize>(
        &self,
        nodes: &Nodes<CAPACITY>,
        index: usize,
    ) -> Term {
        Term {
            time: self.time + nodes.passed[index],
            log_rate: self.log_rate + nodes.log_scale[index],
            log_law: self.log_law + nodes.log_law[index],
            leaves: true,
        }
    }
}

impl Buyer {
    /// The integrand of leaving silently, without its front factor.
    pub(crate) fn leaving(&self) -> Integrand {
        Integrand {
            scale: self.scale,
            power: self.shape,
            law: self.law,
            law_power: self.law.shape + 1.0,
            rate: self.law.growth,
        }
    }
}

/// Adds the derivatives of the logarithm of a mixture to `sum`; the value is left to the caller.
fn add_log_mixture<const N: usize>(mixture: &Dense<N>, order: Order, sum: &mut Dense<N>) {
    let mean = mixture.gradient.map(|slope| slope / mixture.value);
    for i in 0..N {
        sum.gradient[i] += mean[i];
        if order == Order::Hessian {
            for j in i..N {
                sum.hessian[i][j] += mixture.hessian[i][j] / mixture.value - mean[i] * mean[j];
            }
        }
    }
}

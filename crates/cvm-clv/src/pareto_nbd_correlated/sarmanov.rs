//! The Sarmanov law of two gamma rates: its strength `m` within what is legal, and draws from it.

use crate::attrition::Attrited;
use crate::jet::Jet;
use crate::random::Random;
use cvm_math::{exp, expm1, ln, log1p, sigmoid, softplus};

/// The power of the norms that stand in for maxima.
const POWER: f64 = 16.0;

/// What joins the two rates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sarmanov {
    /// `m`.
    pub(super) m: f64,
    /// `k = m·a·c`, with its derivatives in `(r, α, s, β, z)`.
    pub(super) k: Jet<5>,
    a: f64,
    c: f64,
    /// `1 − c`.
    rest: f64,
    /// `α` and `β`.
    scales: [f64; 2],
}

/// `ln a = −r ln(1 + 1/α)` of a shape and a scale with these indices.
fn log_mean(index: usize, shape: f64, scale: f64) -> Jet<5> {
    let product = scale * (scale + 1.0);
    let second = (2.0 * scale + 1.0) / (product * product);
    let log = Jet::variable(index + 1, scale).apply([log1p(1.0 / scale), -1.0 / product, second]);
    Jet::variable(index, shape).times(&log).scale(-1.0)
}

/// The 16-norm of `e^x` and `e^y`.
fn norm(x: &Jet<5>, y: &Jet<5>) -> Jet<5> {
    let gap = y.minus(x).scale(POWER);
    let share = sigmoid(gap.value);
    let spread = share * sigmoid(-gap.value);
    let more = gap.apply([softplus(gap.value), share, spread]);
    x.plus(&more.scale(1.0 / POWER)).exponential()
}

/// `tanh`, with derivatives.
fn tanh(z: f64) -> [f64; 3] {
    let grown = expm1(2.0 * z.abs().min(350.0));
    let u = (grown / (grown + 2.0)).copysign(z);
    let slope = 4.0 * sigmoid(2.0 * z) * sigmoid(-2.0 * z);
    [u, slope, -2.0 * u * slope]
}

impl Sarmanov {
    pub(super) fn new(r: f64, alpha: f64, s: f64, beta: f64, z: f64) -> Self {
        let (ln_a, ln_c) = (log_mean(0, r, alpha), log_mean(2, s, beta));
        let (rest_a, rest_c) = (ln_a.expm1().scale(-1.0), ln_c.expm1().scale(-1.0));
        let (ln_rest_a, ln_rest_c) = (rest_a.logarithm(), rest_c.logarithm());
        let above = norm(&ln_a.plus(&ln_rest_c), &ln_c.plus(&ln_rest_a));
        let below = norm(&ln_a.plus(&ln_c), &ln_rest_a.plus(&ln_rest_c));
        let u = Jet::variable(4, z).apply(tanh(z));
        let one = Jet::constant(1.0);
        let upper = one.plus(&u).times(&above);
        let lower = one.minus(&u).times(&below);
        let m = u.scale(2.0).times(&upper.plus(&lower).inverse());
        Sarmanov {
            m: m.value,
            k: m.times(&ln_a.plus(&ln_c).exponential()),
            a: exp(ln_a.value),
            c: exp(ln_c.value),
            rest: rest_c.value,
            scales: [alpha, beta],
        }
    }

    /// `Cov(λ, e^−λ) = −a·r/(α(α+1))`, and so for `μ`, over both standard deviations.
    pub(super) fn correlation(&self, r: f64, s: f64) -> f64 {
        let [alpha, beta] = self.scales;
        self.k.value * (r * s).sqrt() / ((alpha + 1.0) * (beta + 1.0))
    }

    /// A purchase rate and a dropout rate: the first from its marginal law, the second given it.
    ///
    /// With `q = m(e^−λ − a)` the second has density `h·(1 + q(e^−μ − c))`: for `q ≥ 0` a mixture of
    /// `h` and the gamma law of scale `β + 1`, for `q < 0` of `h` and `h·(1 − e^−μ)/(1 − c)`.
    pub(super) fn draw(&self, base: &Attrited<4>, random: &mut Random) -> (f64, f64) {
        let [alpha, beta] = self.scales;
        let rate = exp(random.ln_gamma_variate(base.r) - ln(alpha));
        let q = self.m * (exp(-rate) - self.a);
        let s = base.law.shape;
        let pick = random.uniform();
        let hazard = if q >= 0.0 {
            let scale = if pick < q * self.c { beta + 1.0 } else { beta };
            exp(random.ln_gamma_variate(s) - ln(scale))
        } else if pick < -q * self.rest {
            faster(s, beta, random)
        } else {
            exp(random.ln_gamma_variate(s) - ln(beta))
        };
        (rate, hazard)
    }
}

/// A draw from `h(μ)(1 − e^−μ)` over its integral, by rejection: from `h` where `μ` is mostly large,
/// else from the gamma law with one more in the shape, with `(1 − e^−μ)/μ`.
fn faster(s: f64, beta: f64, random: &mut Random) -> f64 {
    /// Rejections at most: the chance of acceptance is a half or so.
    const MOST: u32 = 10_000;
    let direct = s > beta;
    let mut hazard = 0.0;
    for _ in 0..MOST {
        let shape = if direct { s } else { s + 1.0 };
        hazard = exp(random.ln_gamma_variate(shape) - ln(beta));
        let gone = -expm1(-hazard);
        let chance = if direct { gone } else { gone / hazard };
        if random.uniform() < chance {
            break;
        }
    }
    hazard
}

#[cfg(test)]
mod tests {
    use super::Sarmanov;
    use cvm_math::{exp, log1p};

    /// The density is never negative (but for rounding), at the corners of `(e^−λ, e^−μ)`, and nearly zero somewhere.
    #[test]
    fn the_strength_is_legal_and_nearly_all_of_it() {
        for [r, alpha, s, beta] in [
            [0.55, 10.6, 0.61, 11.7],
            [0.55, 10.6, 0.61, 3.0],
            [3.0, 0.5, 0.1, 90.0],
            [0.2, 1e4, 5.0, 1e-3],
        ] {
            let a = exp(-r * log1p(1.0 / alpha));
            let c = exp(-s * log1p(1.0 / beta));
            for z in [-30.0, -2.0, -0.1, 0.0, 0.1, 2.0, 30.0] {
                let m = Sarmanov::new(r, alpha, s, beta, z).m;
                let corner = |x: f64, y: f64| 1.0 + m * (x - a) * (y - c);
                let corners = [
                    corner(0.0, 0.0),
                    corner(0.0, 1.0),
                    corner(1.0, 0.0),
                    corner(1.0, 1.0),
                ];
                let least = corners.into_iter().fold(f64::INFINITY, f64::min);
                assert!(least >= -1e-14, "{r} {alpha} {s} {beta} {z}: {least}");
                let ends = z.abs() > 20.0;
                assert!(!ends || least < 0.05, "{r} {alpha} {s} {beta} {z}: {least}");
                assert_eq!(m == 0.0, z == 0.0);
            }
        }
    }
}

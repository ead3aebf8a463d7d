//! Tanh-sinh quadrature of a positive function on (0, 1), given and returned by its logarithm.
//!
//! With `u = 1/(1 + e^{−ξ})`, `ξ = π sinh θ`, the trapezoid rule in `θ`: algebraic singularities at
//! either end are no obstacle, and halving the step squares the error, so the step is halved until
//! two sums agree to the root of what is wanted. Their error is a wave of the place of the nodes, and two
//! sums may agree at its zero; so must the first moments, whose wave is a quarter of its length apart.
//!
//! Source: Takahasi & Mori (1974), *Publ. RIMS* 9, 721–741.

use crate::{exp, ln, log1p};
use std::f64::consts::PI;

/// Two sums that agree to this leave an error of its square.
const AGREE: f64 = 3e-7;
/// The same of first moments, in units of the integrand's width.
const MOMENTS_AGREE: f64 = 4.0 * AGREE;
/// A sum that cancels is compared with this much of the first.
const SMALL_FACTOR: f64 = 1e-3;

/// Where an integrand lives and how fine it is.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Beyond `ξ = −left` the rest of the integral is nothing; positive.
    pub left: f64,
    /// Beyond `ξ = right` the rest is nothing; positive.
    pub right: f64,
    /// Steps per unit of `θ` to begin with, fine enough to meet every peak.
    pub density: f64,
    /// Nodes at most; beyond, the answer is NaN.
    pub most_nodes: u32,
}

/// A point of (0, 1), its complement, and their logarithms, each to full precision.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// `u`.
    pub u: f64,
    /// `1 − u`.
    pub rest: f64,
    /// `ln u`.
    pub ln_u: f64,
    /// `ln(1 − u)`.
    pub ln_rest: f64,
}

impl Point {
    /// The point at `ξ = ln(u/(1−u))`.
    fn at(xi: f64) -> Self {
        let small = exp(-xi.abs());
        let log = log1p(small);
        let (near, far) = (1.0 / (1.0 + small), small / (1.0 + small));
        if xi < 0.0 {
            Point {
                u: far,
                rest: near,
                ln_u: xi - log,
                ln_rest: -log,
            }
        } else {
            Point {
                u: near,
                rest: far,
                ln_u: -log,
                ln_rest: -xi - log,
            }
        }
    }
}

/// `N` sums over the same nodes, scaled by `e^{−log_scale}`.
#[derive(Debug, Clone, Copy)]
pub struct Sums<const N: usize> {
    /// Logarithm of the factor taken out.
    pub log_scale: f64,
    /// The scaled sums.
    pub sums: [f64; N],
}

/// `ln ∫_0^1 f(u) du` of `ln f`; NaN if the work exceeds its bound.
///
/// ```
/// use cvm_math::tanh_sinh::{Extent, ln_integral};
/// // ∫ u^{−1/2} du = 2
/// let extent = Extent { left: 76.0, right: 38.0, density: 2.0, most_nodes: 4096 };
/// let log = ln_integral(extent, |at| -0.5 * at.ln_u);
/// assert!((log - cvm_math::ln(2.0)).abs() < 1e-14);
/// ```
pub fn ln_integral(extent: Extent, ln_f: impl Fn(&Point) -> f64) -> f64 {
    let Sums { log_scale, sums } = integrals(extent, |at| (ln_f(at), [1.0]));
    if sums[0] == 0.0 {
        f64::NEG_INFINITY
    } else {
        log_scale + ln(sums[0])
    }
}

/// `∫ f·g_i` for several factors `g_i`, the first of them 1; `f` by its logarithm. A sum much smaller
/// than the first is right to the first's digits.
pub fn integrals<const N: usize>(extent: Extent, f: impl Fn(&Point) -> (f64, [f64; N])) -> Sums<N> {
    settled_integrals(extent, SMALL_FACTOR, f)
}

/// The same where no factor changes sign: every sum is right to digits of its own, however small.
pub fn integrals_of_one_sign<const N: usize>(
    extent: Extent,
    f: impl Fn(&Point) -> (f64, [f64; N]),
) -> Sums<N> {
    settled_integrals(extent, 0.0, f)
}

/// `small_factor`: the share of the first sum that counts as the size of every other.
fn settled_integrals<const N: usize>(
    extent: Extent,
    small_factor: f64,
    f: impl Fn(&Point) -> (f64, [f64; N]),
) -> Sums<N> {
    const NOTHING: f64 = f64::NEG_INFINITY;
    let (low, high) = (-asinh(extent.left / PI), asinh(extent.right / PI));
    let mut step = 1.0 / extent.density;
    let nodes = |step: f64, offset: f64| {
        let first = ((low / step) - offset).ceil() + offset;
        let count = (high / step - first).floor().max(-1.0) + 1.0;
        (first, count)
    };
    let (first, count) = nodes(step, 0.0);
    let mut left = f64::from(extent.most_nodes) - count;
    if left.is_nan() || left < 0.0 {
        return nan();
    }
    let mut terms: Vec<Term<N>> = Vec::with_capacity(count as usize);
    let mut log_scale = NOTHING;
    for index in 0..count as u32 {
        let term = node(step * (first + f64::from(index)), &f);
        log_scale = log_scale.max(term.log);
        terms.push(term);
    }
    if terms.iter().any(|term| term.log.is_nan()) {
        return nan();
    }
    if log_scale == NOTHING {
        return Sums {
            log_scale: 0.0,
            sums: [0.0; N],
        };
    }
    let mut total = Total::around(&terms, log_scale);
    loop {
        let (first, count) = nodes(step, 0.5);
        left -= count;
        // NaN terms end here too.
        if left < 0.0 || !total.sums[0].is_finite() {
            return nan();
        }
        let before = total;
        for index in 0..count as u32 {
            total.add(&node(step * (first + f64::from(index)), &f));
        }
        step *= 0.5;
        if total.agrees_with(&before, small_factor) {
            return Sums {
                log_scale,
                sums: total.sums.map(|sum| sum * step),
            };
        }
    }
}

/// Points of (0, 1) with the logarithms of their weights, at the density of the extent: for many
/// integrands of one shape. Empty where there would be too many.
pub fn rule(extent: Extent) -> Vec<(Point, f64)> {
    let (low, high) = (-asinh(extent.left / PI), asinh(extent.right / PI));
    let step = 1.0 / extent.density;
    let first = (low / step).ceil();
    let count = (high / step - first).floor() + 1.0;
    if count.is_nan() || count > f64::from(extent.most_nodes) {
        return Vec::new();
    }
    let ln_step = ln(step);
    let point = |index: u32| {
        let theta = step * (first + f64::from(index));
        let (up, down) = (exp(theta), exp(-theta));
        let at = Point::at(PI * 0.5 * (up - down));
        let log_weight = ln(PI * 0.5 * (up + down)) + at.ln_u + at.ln_rest;
        (at, log_weight + ln_step)
    };
    (0..count as u32).map(point).collect()
}

fn nan<const N: usize>() -> Sums<N> {
    Sums {
        log_scale: 0.0,
        sums: [f64::NAN; N],
    }
}

/// A node with the logarithm of the weighted integrand there.
struct Term<const N: usize> {
    theta: f64,
    log: f64,
    factors: [f64; N],
}

fn node<const N: usize>(theta: f64, f: &impl Fn(&Point) -> (f64, [f64; N])) -> Term<N> {
    let (up, down) = (exp(theta), exp(-theta));
    let at = Point::at(PI * 0.5 * (up - down));
    let (log, factors) = f(&at);
    let log_weight = ln(PI * 0.5 * (up + down)) + at.ln_u + at.ln_rest;
    Term {
        theta,
        log: log + log_weight,
        factors,
    }
}

/// Sums so far, scaled by `e^{−log_scale}`, and their first moments about the place of the integrand in
/// units of its width.
#[derive(Clone, Copy)]
struct Total<const N: usize> {
    log_scale: f64,
    centre: f64,
    per_width: f64,
    sums: [f64; N],
    moments: [f64; N],
}

impl<const N: usize> Total<N> {
    /// Of the first terms, which tell place and width.
    fn around(terms: &[Term<N>], log_scale: f64) -> Self {
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for term in terms {
            let weight = exp(term.log - log_scale);
            sum += weight;
            first += weight * term.theta;
            second += weight * term.theta * term.theta;
        }
        let centre = first / sum;
        let variance = second / sum - centre * centre;
        let mut total = Total {
            log_scale,
            centre,
            per_width: if variance > 0.0 {
                1.0 / variance.sqrt()
            } else {
                0.0
            },
            sums: [0.0; N],
            moments: [0.0; N],
        };
        for term in terms {
            total.add(term);
        }
        total
    }

    fn add(&mut self, term: &Term<N>) {
        let weight = exp(term.log - self.log_scale);
        if weight == 0.0 {
            return;
        }
        let place = (term.theta - self.centre) * self.per_width;
        for (index, factor) in term.factors.iter().enumerate() {
            let part = weight * factor;
            self.sums[index] += part;
            self.moments[index] += part * place;
        }
    }

    /// Whether these sums, of twice as many nodes, leave an error that is the square of what is small.
    fn agrees_with(&self, before: &Total<N>, small_factor: f64) -> bool {
        let least = small_factor * self.sums[0];
        (0..N).all(|index| {
            let size = self.sums[index].abs() + least;
            let sums = (self.sums[index] - 2.0 * before.sums[index]).abs();
            let moments = (self.moments[index] - 2.0 * before.moments[index]).abs();
            sums <= AGREE * size && moments <= MOMENTS_AGREE * size
        })
    }
}

fn asinh(x: f64) -> f64 {
    ln(x + (x * x + 1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::{Extent, ln_integral};
    use crate::{ln, ln_beta, log1p};
    use std::f64::consts::PI;

    fn extent(left: f64, right: f64) -> Extent {
        Extent {
            left,
            right,
            density: 2.0,
            most_nodes: 4096,
        }
    }

    #[test]
    fn beta_functions() {
        for (p, q) in [
            (0.1, 0.2),
            (1.0, 1.0),
            (3.0, 0.5),
            (40.0, 2.0),
            (400.0, 900.0),
        ] {
            let log = ln_integral(extent(38.0 / p + 3.0, 38.0 / q + 3.0), |at| {
                (p - 1.0) * at.ln_u + (q - 1.0) * at.ln_rest
            });
            let error = (log - ln_beta(p, q)).abs();
            assert!(error < 1e-13 * (1.0 + log.abs()), "{p} {q}: {error:e}");
        }
    }

    /// A bell over `θ` half a step of the second sum beside a node: the wave of the first sum's error is
    /// at its zero, and the sums agree while the second is off by 7e-6.
    #[test]
    fn no_place_of_a_peak_makes_two_wrong_sums_agree() {
        const CENTRE: f64 = 0.125;
        const WIDTH: f64 = 0.2;
        let log = ln_integral(extent(76.0, 76.0), |at| {
            let xi = (at.ln_u - at.ln_rest) / PI;
            let theta = super::asinh(xi.abs()).copysign(xi);
            let from_centre = (theta - CENTRE) / WIDTH;
            let cosh = (1.0 + xi * xi).sqrt();
            -0.5 * from_centre * from_centre - ln(PI * cosh) - at.ln_u - at.ln_rest
        });
        let want = ln(WIDTH * (2.0 * PI).sqrt());
        assert!((log - want).abs() < 1e-13, "{log} {want}");
    }

    #[test]
    fn scales_beyond_the_doubles() {
        let log = ln_integral(extent(40.0, 40.0), |at| -5000.0 - log1p(at.u));
        assert!(
            (log + 5000.0 - crate::ln(crate::ln(2.0))).abs() < 1e-12,
            "{log}"
        );
        assert_eq!(
            ln_integral(extent(40.0, 40.0), |_| f64::NEG_INFINITY),
            f64::NEG_INFINITY
        );
    }

    #[test]
    fn a_small_sum_has_digits_of_its_own() {
        // ∫ 1 du and ∫ 1e-12 u^200 (1−u)^200 / B(201, 201) du, a narrow peak.
        let coarse = Extent {
            density: 2.0,
            ..extent(80.0, 80.0)
        };
        let log_beta = crate::ln_beta(201.0, 201.0);
        let sums = super::integrals_of_one_sign(coarse, |at| {
            let peak = 200.0 * (at.ln_u + at.ln_rest) - log_beta;
            (0.0, [1.0, 1e-12 * crate::exp(peak)])
        });
        let scale = crate::exp(sums.log_scale);
        assert!((sums.sums[1] * scale * 1e12 - 1.0).abs() < 1e-11);
    }

    #[test]
    fn a_rule_integrates_like_the_integral() {
        let extent = Extent {
            density: 5.0,
            ..extent(80.0, 40.0)
        };
        let nodes = super::rule(extent);
        let sum = nodes
            .iter()
            .map(|(at, log_weight)| crate::exp(log_weight - 0.5 * at.ln_u));
        assert!((sum.sum::<f64>() - 2.0).abs() < 1e-13);
        let few = Extent {
            most_nodes: 8,
            ..extent
        };
        assert!(super::rule(few).is_empty());
    }

    #[test]
    fn work_is_bounded() {
        let few = Extent {
            most_nodes: 8,
            ..extent(40.0, 40.0)
        };
        assert!(ln_integral(few, |_| 0.0).is_nan());
        assert!(ln_integral(extent(40.0, 40.0), |_| f64::NAN).is_nan());
    }
}

//! The regularised incomplete gamma functions P and Q = 1 − P.
//!
//! ```text
//! P(a, x) = 1/Γ(a) ∫_0^x t^(a−1) e^−t dt        D = x^a e^−x / Γ(1 + a)
//!
//! a > α*(x)           P = D Σ x^n / ((a+1) … (a+n)),   α* = x + 1/4, or ln(1/2)/ln x below x = 1/4
//! a <= α*, x <= 1     Q = −expm1(a ln x − ln Γ(1+a)) − x^a/Γ(1+a) · a Σ_{k≥1} (−x)^k / (k! (a+k))
//! a <= α*, x > 1      Q = a D / (x+1−a − 1(1−a)/(x+3−a − 2(2−a)/(x+5−a − …)))
//! ```
//! so that the one computed is the smaller (about below 1/2), and the other loses nothing.
//! For `a >= 8` the exponent of D is `−a (μ − ln(1+μ)) − ½ ln 2πa − S(a)` with `μ = (x−a)/a` and
//! Stirling's correction S, which does not cancel.
//!
//! Sources: Gautschi (1979), *ACM TOMS* 5(4) (regions); Abramowitz & Stegun (1964), 6.5.29, 6.5.31;
//! the continued fraction is summed by the method of Lentz (1976), *Applied Optics* 15(3).

use super::FAR;
use super::ln_gamma::{ln_gamma, near_two, stirling_correction};
use crate::coefficients::HALF_LN_TWO_PI;
use crate::elementary::{exp_kernel, expm1_kernel, ln_kernel, log1p_kernel};

/// Beyond this `a` the series would be too long.
const MOST: f64 = 1.0e9;
/// Terms that suffice for every `a` up to [`MOST`]: about 8 √a.
const TERMS: u32 = 400_000;

/// The smaller of P and Q as far as it is known, by its logarithm.
enum Part {
    P(f64),
    Q(f64),
    /// Q itself, where its logarithm is not at hand.
    DirectQ(f64),
}

/// Q(a, x).
pub(crate) fn gamma_q(a: f64, x: f64) -> f64 {
    match part(a, x) {
        None => at_end(a, x, 1.0, 0.0),
        Some(Part::P(ln_p)) => -expm1_kernel(ln_p),
        Some(Part::Q(ln_q)) => exp_kernel(ln_q),
        Some(Part::DirectQ(q)) => q,
    }
}

/// P(a, x).
pub(crate) fn gamma_p(a: f64, x: f64) -> f64 {
    match part(a, x) {
        None => at_end(a, x, 0.0, 1.0),
        Some(Part::P(ln_p)) => exp_kernel(ln_p),
        Some(Part::Q(ln_q)) => -expm1_kernel(ln_q),
        Some(Part::DirectQ(q)) => 1.0 - q,
    }
}

/// ln Q(a, x).
pub(crate) fn ln_gamma_q(a: f64, x: f64) -> f64 {
    match part(a, x) {
        None => at_end(a, x, 0.0, f64::NEG_INFINITY),
        Some(Part::P(ln_p)) => log1p_kernel(-exp_kernel(ln_p)),
        Some(Part::Q(ln_q)) => ln_q,
        Some(Part::DirectQ(q)) => ln_kernel(q),
    }
}

/// The value at the ends of the domain, and NaN outside it.
fn at_end(a: f64, x: f64, at_zero: f64, at_infinity: f64) -> f64 {
    let legal = a > 0.0 && a <= MOST;
    match (legal, x == 0.0, x == f64::INFINITY) {
        (true, true, _) => at_zero,
        (true, _, true) => at_infinity,
        _ => f64::NAN,
    }
}

fn part(a: f64, x: f64) -> Option<Part> {
    let inside = a > 0.0 && a <= MOST && x > 0.0 && x < f64::INFINITY;
    if !inside {
        return None;
    }
    let border = if x < 0.25 {
        -std::f64::consts::LN_2 / ln_kernel(x)
    } else {
        x + 0.25
    };
    Some(if a > border {
        Part::P(ln_prefactor(a, x) + ln_kernel(series(a, x)))
    } else if x <= 1.0 {
        Part::DirectQ(small_q(a, x))
    } else {
        Part::Q(ln_prefactor(a, x) + ln_kernel(a * fraction(a, x)))
    })
}

/// `ln D`.
fn ln_prefactor(a: f64, x: f64) -> f64 {
    if a < FAR {
        return a * ln_kernel(x) - x - ln_gamma_one_plus(a);
    }
    let mu = (x - a) / a;
    let deviance = if mu.abs() <= 0.5 {
        mu_less_log(mu)
    } else {
        mu - ln_kernel(x / a)
    };
    let norm = HALF_LN_TWO_PI.0 + 0.5 * ln_kernel(a) + stirling_correction(a);
    -a * deviance - norm
}

/// ln Γ(1 + a), `a > 0`, to a relative error of rounding also for tiny `a`.
fn ln_gamma_one_plus(a: f64) -> f64 {
    if a > 0.5 {
        return ln_gamma(1.0 + a);
    }
    let (hi, lo) = near_two(a);
    (hi - log1p_kernel(a)) + lo
}

/// `μ − ln(1 + μ)` for `|μ| <= 1/2`, by `ln(1 + μ) = 2 artanh r`, `r = μ/(2 + μ)`.
fn mu_less_log(mu: f64) -> f64 {
    let r = mu / (2.0 + mu);
    let square = r * r;
    // |r| <= 1/3: the last term is below 1e-17.
    let tail = (0..18)
        .rev()
        .fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 3));
    r * (mu - 2.0 * square * tail)
}

/// `Σ_{n≥0} x^n / ((a+1) … (a+n))`.
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=TERMS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term <= 1e-17 * sum {
            return sum;
        }
    }
    f64::NAN
}

/// Q for small `a` and `x <= 1`.
fn small_q(a: f64, x: f64) -> f64 {
    let exponent = a * ln_kernel(x) - ln_gamma_one_plus(a);
    let (mut power, mut sum) = (1.0, 0.0);
    for k in 1..=40 {
        let k = f64::from(k);
        power *= -x / k;
        sum += power / (a + k);
        if power.abs() <= 1e-18 * sum.abs() {
            break;
        }
    }
    -expm1_kernel(exponent) - exp_kernel(exponent) * (a * sum)
}

/// The continued fraction.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-290;
    /// From here on numbers may lie more than 2 apart.
    const LARGE: f64 = 9.0e15;
    let mut b = x + 1.0 - a;
    let mut numerator_ratio = 1.0 / TINY;
    let mut denominator_ratio = 1.0 / if b == 0.0 { TINY } else { b };
    let mut value = denominator_ratio;
    // One term is all, and rounding would keep the factors from 1.
    if b > LARGE {
        return value;
    }
    for n in 1..=TERMS {
        let n = f64::from(n);
        let top = n * (a - n);
        b += 2.0;
        denominator_ratio = 1.0 / away(top * denominator_ratio + b, TINY);
        numerator_ratio = away(b + top / numerator_ratio, TINY);
        let factor = denominator_ratio * numerator_ratio;
        value *= factor;
        if (factor - 1.0).abs() <= 1e-16 {
            return value;
        }
    }
    f64::NAN
}

/// `x`, or something tiny in place of zero.
fn away(x: f64, tiny: f64) -> f64 {
    if x.abs() < tiny { tiny } else { x }
}

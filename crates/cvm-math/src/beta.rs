//! ln B(a, b) and ratios of gamma functions, without the cancellation of three ln Γ.
//!
//! With `q` the larger argument, `p` the smaller and `S` the correction of Stirling's formula:
//! ```text
//! p >= 8        -(ln q)/2 + ln √(2π) + [S(p) + S(q) - S(p+q)]
//!               + (p - 1/2) ln(p/(p+q)) - q ln(1 + p/q)
//! p < 8 <= q    ln Γ(p) + [ln Γ(q) - ln Γ(p+q)]
//! q < 8         ln Γ(p) + ln Γ(q) - ln Γ(p+q), each as a pair of doubles
//! ```
//! where `ln Γ(q) - ln Γ(p+q) = S(q) - S(p+q) + p - p ln(p+q) - (q - 1/2) ln(1 + p/q)`.
//!
//! Source: Didonato & Morris (1992), *ACM TOMS* 18(3), algorithm 708.

use crate::coefficients::HALF_LN_TWO_PI;
use crate::dd::{Dd, two_sum};
use crate::elementary::{ln_parts_of, log1p_parts};
use crate::gamma::{FAR, ln_gamma, ln_gamma_parts, stirling_correction};

/// Sum of a pair and a product `factor * pair`, all as pairs.
fn add_scaled(sum: Dd, factor: f64, pair: (f64, f64)) -> Dd {
    sum.add(
        Dd {
            hi: factor,
            lo: 0.0,
        }
        .mul(normal(pair)),
    )
}

/// A pair in normal form.
fn normal(pair: (f64, f64)) -> Dd {
    Dd::sum(pair.0, pair.1)
}

/// ln(1 + p/q) as a pair, `0 < p <= q`.
fn ln_one_plus_ratio(p: f64, q: f64) -> (f64, f64) {
    let ratio = Dd { hi: p, lo: 0.0 }.div(Dd { hi: q, lo: 0.0 });
    if ratio.hi < 1.0e-300 {
        return (p / q, 0.0);
    }
    log1p_parts(ratio.hi, ratio.lo)
}

/// ln(p + q) as a pair.
fn ln_of_sum(p: f64, q: f64) -> (f64, f64) {
    let (sum, sum_lo) = two_sum(p, q);
    ln_parts_of(sum, sum_lo)
}

/// ln Γ(q) - ln Γ(p + q) for `q >= 8`, `0 < p <= q`.
fn stirling_difference(p: f64, q: f64) -> Dd {
    let correction = stirling_correction(q) - stirling_correction(p + q);
    let start = Dd::sum(p, correction);
    let with_ln = add_scaled(start, -p, ln_of_sum(p, q));
    add_scaled(with_ln, -(q - 0.5), ln_one_plus_ratio(p, q))
}

/// ln B(p, q) for `8 <= p <= q`.
fn both_large(p: f64, q: f64) -> f64 {
    let corrections =
        (stirling_correction(p) - stirling_correction(p + q)) + stirling_correction(q);
    let ln_ratio = normal(ln_one_plus_ratio(p, q));
    let ln_p = normal(crate::elementary::ln_parts(p));
    let ln_q = normal(crate::elementary::ln_parts(q));
    // ln(p/(p+q)) = ln p - ln q - ln(1 + p/q)
    let share = ln_p.add(ln_q.neg()).add(ln_ratio.neg());
    let sum = Dd::new(HALF_LN_TWO_PI).add_f64(corrections);
    let sum = add_scaled(sum, -0.5, (ln_q.hi, ln_q.lo));
    let sum = add_scaled(sum, p - 0.5, (share.hi, share.lo));
    add_scaled(sum, -q, (ln_ratio.hi, ln_ratio.lo)).value()
}

/// Above this size the pair products overflow in the splitting and the small terms are nothing.
const HUGE: f64 = 1.0e290;

/// ln B(p, q) for `p <= q`, `q` beyond [`HUGE`].
fn with_huge(p: f64, q: f64) -> f64 {
    if p < FAR {
        return ln_gamma(p) - p * crate::ln(q);
    }
    let ratio = p / q;
    let share = crate::ln(p) - crate::ln(q) - crate::log1p(ratio);
    p * share - q * crate::log1p(ratio)
}

/// ln B(a, b) for positive arguments, in any order.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() || a < 0.0 || b < 0.0 {
        return f64::NAN;
    }
    let (p, q) = if a < b { (a, b) } else { (b, a) };
    if p == 0.0 {
        return if q == f64::INFINITY {
            f64::NAN
        } else {
            f64::INFINITY
        };
    }
    if q == f64::INFINITY {
        return f64::NEG_INFINITY;
    }
    match () {
        () if q > HUGE => with_huge(p, q),
        () if p >= FAR => both_large(p, q),
        () if q >= FAR => normal(ln_gamma_parts::<true>(p))
            .add(stirling_difference(p, q))
            .value(),
        () => three_gammas(p, q),
    }
}

/// ln B(p, q) for both below 8.
fn three_gammas(p: f64, q: f64) -> f64 {
    let (sum, sum_lo) = two_sum(p, q);
    let bottom = normal(ln_gamma_parts::<true>(sum)).add_f64(sum_lo * crate::digamma(sum));
    let top = normal(ln_gamma_parts::<true>(p)).add(normal(ln_gamma_parts::<true>(q)));
    top.add(bottom.neg()).value()
}

/// ln Γ(a + d) - ln Γ(a) for `a > 0`, `d >= 0`.
pub(crate) fn ln_rising(a: f64, d: f64) -> f64 {
    if !(a > 0.0 && d >= 0.0) || a == f64::INFINITY {
        return f64::NAN;
    }
    if d == 0.0 {
        return 0.0;
    }
    if d == f64::INFINITY {
        return f64::INFINITY;
    }
    if a >= FAR && d <= a && a < HUGE {
        return stirling_difference(d, a).neg().value();
    }
    let (sum, sum_lo) = two_sum(a, d);
    let top = normal(ln_gamma_parts::<true>(sum)).add_f64(sum_lo * crate::digamma(sum));
    top.add(normal(ln_gamma_parts::<true>(a)).neg()).value()
}

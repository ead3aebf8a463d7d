//! 2F1 at `z = 1`: Gauss' theorem, the poles of it, and polynomials.

use super::real::Real;
use super::series::{self, Sum};
use super::{Factored, LogValue, Parameters, assemble};
use crate::dd::{Dd, two_sum};
use crate::gamma::{ln_gamma_parts, ln_gamma_sign};

/// Whether Γ has a pole there.
fn is_pole(x: f64) -> bool {
    x <= 0.0 && x.floor() == x
}

/// ln|Γ(x + x_lo)| in double-double, and the sign.
fn ln_gamma_wide(x: Dd) -> (Dd, f64) {
    let (plain, sign) = ln_gamma_sign(x.hi);
    let (hi, lo) = if x.hi > 0.0 {
        ln_gamma_parts::<true>(x.hi)
    } else {
        (plain, 0.0)
    };
    let correction = if x.lo == 0.0 {
        0.0
    } else {
        x.lo * crate::digamma(x.hi)
    };
    (Dd::sum(hi, lo + correction), sign)
}

/// F(a, b; c; 1): a number, an infinity with its sign, or 0.
pub(super) fn value(p: &Parameters<f64>) -> LogValue {
    if is_pole(p.a) || is_pole(p.b) {
        return polynomial(p);
    }
    let c_less_a = Dd::sum(p.c, -p.a);
    let c_less_b = Dd::sum(p.c, -p.b);
    let excess = c_less_a.add_f64(-p.b);
    if excess.hi <= 0.0 {
        return divergence(p);
    }
    if is_pole(c_less_a.hi) || is_pole(c_less_b.hi) {
        return LogValue {
            ln: Dd {
                hi: f64::NEG_INFINITY,
                lo: 0.0,
            },
            sign: 1.0,
        };
    }
    let mut ln = Dd::ZERO;
    let mut sign = 1.0;
    for (argument, above) in [
        (Dd::sum(p.c, 0.0), true),
        (excess, true),
        (c_less_a, false),
        (c_less_b, false),
    ] {
        let (part, part_sign) = ln_gamma_wide(argument);
        ln = ln.add(if above { part } else { part.neg() });
        sign *= part_sign;
    }
    LogValue { ln, sign }
}

/// The infinity that F tends to when `c <= a + b`.
fn divergence(p: &Parameters<f64>) -> LogValue {
    let sign = [p.a, p.b, p.c]
        .iter()
        .map(|&x| ln_gamma_sign(x).1)
        .product();
    LogValue {
        ln: Dd {
            hi: f64::INFINITY,
            lo: 0.0,
        },
        sign,
    }
}

/// A terminating series at `z = 1`, in double-double.
fn polynomial(p: &Parameters<f64>) -> LogValue {
    let wide = |x: f64| Dd::new(two_sum(x, 0.0));
    let sum: Sum<Dd> = series::sum(
        &Parameters {
            a: wide(p.a),
            b: wide(p.b),
            c: wide(p.c),
        },
        Dd::ONE,
        Dd::MAX_TERMS,
    );
    assemble(&Factored {
        sum,
        log_factor: Dd::ZERO,
    })
}

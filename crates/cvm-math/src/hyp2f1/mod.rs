//! Gauss' hypergeometric function 2F1(a, b; c; z) for real parameters and `z <= 1`, as a logarithm and a sign.
//!
//! ```text
//! z < 0      Pfaff:   F(a,b;c;z) = (1-z)^-a F(a, c-b; c; z/(z-1)), or with a and b exchanged
//! s < 0      Euler:   F(a,b;c;z) = (1-z)^s F(c-a, c-b; c; z),  s = c - a - b
//! z = 1      Gauss:   Γ(c) Γ(s) / (Γ(c-a) Γ(c-b)), s > 0
//! z <= 0.85  the power series, rescaled by powers of two; beyond, while few terms do
//! z > 0.85   Taylor steps of the differential equation, each halving 1 - z at most
//! ```
//! Every sum keeps the ratio of its absolute terms to its value. Where that ratio (or the number
//! of terms) says that a double has lost more than about 4e-13, the other form is tried, and then
//! the same code runs in double-double arithmetic: so a sign change of F costs time, not digits.
//!
//! Source: Abramowitz & Stegun (1964), 15.1.1, 15.1.20, 15.3.3, 15.3.4, 15.5.1.

pub(crate) mod batch;
mod continuation;
mod real;
mod series;
mod unit_point;

use crate::coefficients::{LN2_HI, LN2_LO};
use crate::dd::Dd;
use crate::elementary::{exp_parts, ln_parts, log1p_parts, scale};
use real::Real;
use series::Sum;

/// Relative error above which another way is tried.
const ERROR_GOAL: f64 = 4.0e-13;

/// Relative error above which the answer is NaN rather than a wrong number.
const ERROR_LIMIT: f64 = 1.0e-10;

/// The three parameters.
#[derive(Clone, Copy, Debug)]
struct Parameters<T> {
    a: T,
    b: T,
    c: T,
}

/// A point `z` in (0, 1] with its distance `y = 1 - z` to the singularity.
#[derive(Clone, Copy, Debug)]
struct Point<T> {
    z: T,
    y: T,
}

/// `F = sum.value 2^sum.exponent e^log_factor`.
#[derive(Clone, Copy)]
struct Factored<T> {
    sum: Sum<T>,
    log_factor: Dd,
}

/// The result: ln|F| in double-double and the sign of F.
#[derive(Clone, Copy)]
struct LogValue {
    ln: Dd,
    sign: f64,
}

impl LogValue {
    /// ln|F| rounded once, and the sign; NaN with the bits of the crate's one NaN.
    fn rounded(self) -> (f64, f64) {
        if self.ln.hi.is_nan() {
            (f64::NAN, f64::NAN)
        } else {
            (self.ln.value(), self.sign)
        }
    }
}

const UNDEFINED: LogValue = LogValue {
    ln: Dd {
        hi: f64::NAN,
        lo: 0.0,
    },
    sign: f64::NAN,
};
const UNIT: LogValue = LogValue {
    ln: Dd::ZERO,
    sign: 1.0,
};

impl Parameters<f64> {
    /// `c - a - b` to double-double.
    fn exact_excess(&self) -> Dd {
        Dd::sum(self.c, -self.a).add_f64(-self.b)
    }

    /// Whether the function is defined: finite parameters and `c` no pole.
    fn are_defined(&self) -> bool {
        let finite = self.a.is_finite() && self.b.is_finite() && self.c.is_finite();
        finite && !(self.c <= 0.0 && self.c.floor() == self.c)
    }
}

impl<T: Real> Parameters<T> {
    /// `c - a - b`.
    fn excess(&self) -> T {
        self.c.sub(self.a).sub(self.b)
    }

    /// Euler's parameters.
    fn euler(&self) -> Self {
        Parameters {
            a: self.c.sub(self.a),
            b: self.c.sub(self.b),
            c: self.c,
        }
    }
}

/// F without a prefactor, for `z` in (0, 1).
fn evaluate<T: Real>(p: &Parameters<T>, at: &Point<T>) -> Sum<T> {
    if p.a.hi() == 0.0 || p.b.hi() == 0.0 {
        return Sum::one();
    }
    let start = continuation::start_distance(p.c.hi());
    if at.z.hi() <= series::LIMIT || at.y.hi() >= start {
        return series::sum(p, at.z, T::MAX_TERMS);
    }
    let quick = series::sum(p, at.z, series::FEW_TERMS);
    if quick.error.is_finite() {
        quick
    } else {
        continuation::from_series(p, at.y)
    }
}

/// ln(1 - z) as a pair: from `z` while that is the exact one.
fn ln_distance(z: f64, one_minus_z: f64) -> (f64, f64) {
    if z <= 0.5 {
        log1p_parts(-z, 0.0)
    } else {
        ln_parts(one_minus_z)
    }
}

/// The product of a double-double with a pair.
fn times_pair(factor: Dd, pair: (f64, f64)) -> Dd {
    factor.mul(Dd::sum(pair.0, pair.1))
}

/// The direct and Euler's form in the order in which they are worth trying; `excess` is
/// `c - a - b`, whose last digits the logarithm of `y = 1 - z` multiplies.
fn best_form<T: Real>(
    p: &Parameters<T>,
    at: &Point<T>,
    excess: Dd,
    ln_y: (f64, f64),
) -> Factored<T> {
    let direct = |p: &Parameters<T>| Factored {
        sum: evaluate(p, at),
        log_factor: Dd::ZERO,
    };
    if prefers_direct(excess, p.c.hi()) {
        return direct(p);
    }
    let log_factor = times_pair(excess, ln_y);
    let euler = Factored {
        sum: evaluate(&p.euler(), at),
        log_factor,
    };
    if euler.sum.error <= ERROR_GOAL {
        return euler;
    }
    let direct = direct(p);
    if direct.sum.error <= euler.sum.error {
        direct
    } else {
        euler
    }
}

/// Whether the direct form needs no comparison with Euler's.
fn prefers_direct(excess: Dd, c: f64) -> bool {
    excess.hi >= 0.0 && c > 0.0
}

/// The parameters and the point in double-double, from the exact one of `z` and `1 - z`.
fn widen(p: &Parameters<f64>, z: f64, one_minus_z: f64) -> (Parameters<Dd>, Point<Dd>) {
    let wide = |x: f64| Dd { hi: x, lo: 0.0 };
    let point = if z <= 0.5 {
        Point {
            z: wide(z),
            y: Dd::sum(1.0, -z),
        }
    } else {
        Point {
            z: Dd::sum(1.0, -one_minus_z),
            y: wide(one_minus_z),
        }
    };
    (
        Parameters {
            a: wide(p.a),
            b: wide(p.b),
            c: wide(p.c),
        },
        point,
    )
}

/// ln|F| and the sign from its factors.
fn assemble<T: Real>(f: &Factored<T>) -> LogValue {
    let value = f.sum.value.to_dd();
    if value.hi == 0.0 {
        return LogValue {
            ln: Dd {
                hi: f64::NEG_INFINITY,
                lo: 0.0,
            },
            sign: 1.0,
        };
    }
    let (ln, ln_lo) = ln_parts(value.hi.abs());
    let mantissa = Dd::sum(ln, ln_lo + value.lo / value.hi);
    let powers = Dd {
        hi: f.sum.exponent,
        lo: 0.0,
    }
    .mul(Dd::sum(LN2_HI, LN2_LO));
    LogValue {
        ln: f.log_factor.add(powers.add(mantissa)),
        sign: value.hi.signum(),
    }
}

/// The result in doubles where that is good enough, else in double-double; none where both have
/// lost too much. What ran out of terms in doubles would do so again.
fn refine(narrow: &Factored<f64>, wide: impl FnOnce() -> Factored<Dd>) -> LogValue {
    if narrow.sum.error <= ERROR_GOAL {
        return assemble(narrow);
    }
    if narrow.sum.value.is_nan() {
        return UNDEFINED;
    }
    let wide = wide();
    if wide.sum.error <= ERROR_LIMIT {
        return assemble(&wide);
    }
    if narrow.sum.error <= ERROR_LIMIT {
        assemble(narrow)
    } else {
        UNDEFINED
    }
}

/// F for `z` in (0, 1).
fn inside(p: &Parameters<f64>, z: f64, one_minus_z: f64) -> LogValue {
    let ln_y = ln_distance(z, one_minus_z);
    let excess = p.exact_excess();
    let narrow = best_form(p, &Point { z, y: one_minus_z }, excess, ln_y);
    refine(&narrow, || {
        let (wide, point) = widen(p, z, one_minus_z);
        best_form(&wide, &point, excess, ln_y)
    })
}

/// F for `z < 0` through Pfaff's transformation to `w = z/(z-1)` in (0, 1).
fn negative(p: &Parameters<f64>, z: f64) -> LogValue {
    // Of the two forms the one whose new parameter is the larger: positive where possible.
    let (kept, other) = if p.b <= p.a { (p.a, p.b) } else { (p.b, p.a) };
    let new = Dd::sum(p.c, -other);
    let y = Dd::ONE.div(Dd::sum(1.0, -z));
    let w = Dd { hi: -z, lo: 0.0 }.mul(y);
    let ln_y = log1p_parts(-z, 0.0);
    let ln_w_distance = (-ln_y.0, -ln_y.1);
    let narrow = Parameters {
        a: kept,
        b: new.hi,
        c: p.c,
    };
    // c - kept - (c - other)
    let excess = Dd::sum(other, -kept);
    let tried = best_form(&narrow, &Point { z: w.hi, y: y.hi }, excess, ln_w_distance);
    let inner = refine(&tried, || {
        let double = |x: f64| Dd { hi: x, lo: 0.0 };
        let wide = Parameters {
            a: double(kept),
            b: new,
            c: double(p.c),
        };
        best_form(&wide, &Point { z: w, y }, excess, ln_w_distance)
    });
    let log_factor = times_pair(Dd { hi: -kept, lo: 0.0 }, ln_y);
    LogValue {
        ln: inner.ln.add(log_factor),
        sign: inner.sign,
    }
}

/// The function everywhere it is defined.
fn log_value(a: f64, b: f64, c: f64, z: f64, one_minus_z: f64) -> LogValue {
    let p = Parameters { a, b, c };
    let outside = !(z <= 1.0 && z > f64::NEG_INFINITY && one_minus_z >= 0.0);
    if !p.are_defined() || outside {
        return UNDEFINED;
    }
    if a == 0.0 || b == 0.0 || z == 0.0 {
        return UNIT;
    }
    match z {
        z if z < 0.0 => negative(&p, z),
        _ if one_minus_z == 0.0 => unit_point::value(&p),
        z => inside(&p, z, one_minus_z),
    }
}

/// ln|F| and the sign of F.
pub(crate) fn ln_hyp2f1(a: f64, b: f64, c: f64, z: f64, one_minus_z: f64) -> (f64, f64) {
    log_value(a, b, c, z, one_minus_z).rounded()
}

/// F itself: overflows to infinity with its sign, underflows to zero.
pub(crate) fn hyp2f1(a: f64, b: f64, c: f64, z: f64) -> f64 {
    let LogValue { ln, sign } = log_value(a, b, c, z, 1.0 - z);
    if ln.hi.is_nan() {
        return f64::NAN;
    }
    if ln.hi.abs() >= 750.0 {
        return sign * crate::exp(ln.hi);
    }
    let (k, h, l) = exp_parts(ln.hi, ln.lo);
    sign * scale(h + l, k)
}

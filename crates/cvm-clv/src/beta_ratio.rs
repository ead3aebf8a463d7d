//! Ratios of beta functions whose second argument grows, as sums of positive terms.
//!
//! Shares of customers who stay, buy or lapse under beta heterogeneity are all of the form
//!
//! ```text
//! D(b, h, t) = −ln[ B(h, b+t)/B(h, b) ] = ln[ Γ(b) Γ(b+h+t) / (Γ(b+h) Γ(b+t)) ] >= 0
//! ```
//!
//! symmetric in `h` and `t`, neither of which need be whole. Four logarithms of gamma functions
//! would cancel; instead, with `A = b+h`, `C = b+t`, `Z = b+h+t`,
//!
//! ```text
//! D(b, h, t) = D(b+1, h, t) + ln(1 + ht/(bZ))                                     raises b to 16
//! D(b, h, t) = t ln(1 + h/C) + h ln(1 + t/A) − (b − 1/2) ln(1 + ht/(bZ))
//!              + s(b) − s(A) − s(C) + s(Z)                                        from there on
//! ```
//!
//! where the second line is Stirling's formula rearranged so that what cancels is at most a third of
//! what is left, and the last line is a mixed second difference of his series `s`, carried through
//! its products by Leibniz' rule so that it never cancels either. Relative error of `D`: a few 1e-15
//! for every `b`, `h`, `t`.

use cvm_math::log1p;

/// From here on Stirling's series with five terms is right to the last digit.
const LARGE: f64 = 16.0;

/// A product of two numbers up to this does not overflow.
const HEAVY: f64 = 1e150;

/// `D(b, h, t)` for positive finite `b`, `h >= 0` and `t >= 0`, of which one may be infinite.
pub(crate) fn beta_drop(b: f64, h: f64, t: f64) -> f64 {
    if h == 0.0 || t == 0.0 {
        return 0.0;
    }
    if h == f64::INFINITY || t == f64::INFINITY {
        return f64::INFINITY;
    }
    let (mut base, mut sum, mut excess) = (b, 0.0, 0.0);
    while base < LARGE {
        let factor = ratio(base, h, t);
        if factor > HEAVY {
            sum += log1p(factor);
        } else {
            excess += factor + excess * factor;
        }
        if excess > HEAVY {
            sum += log1p(excess);
            excess = 0.0;
        }
        base += 1.0;
    }
    sum + log1p(excess) + stirling(base, h, t)
}

/// `ht/(b(b+h+t))`, in an order that neither overflows nor underflows early.
fn ratio(b: f64, h: f64, t: f64) -> f64 {
    let (less, more) = if h < t { (h, t) } else { (t, h) };
    (less / b) * (more / (b + h + t))
}

/// `(b − 1/2) ln(1 + ht/(b(b+h+t)))`; a ratio near the end of the doubles is its own logarithm, and
/// cancels `b`.
fn weighted_ratio(b: f64, h: f64, t: f64) -> f64 {
    const TINY: f64 = 1e-290;
    let ratio = ratio(b, h, t);
    if ratio < TINY {
        return h.min(t) * (h.max(t) / (b + h + t));
    }
    (b - 0.5) * log1p(ratio)
}

/// `D` for `b` of at least [`LARGE`].
fn stirling(b: f64, h: f64, t: f64) -> f64 {
    let (a, c) = (b + h, b + t);
    let by_t = t * log1p(h / c);
    let by_h = h * log1p(t / a);
    let both = weighted_ratio(b, h, t);
    (by_t + by_h) - both + Corners::inverse(b, h, t).series()
}

/// A function at `b` and its differences towards `b+h`, `b+t` and both: `f(b+h) = at − by_h`,
/// `f(b+t) = at − by_t`, `f(b+h+t) = at − by_h − by_t + by_both`.
#[derive(Clone, Copy)]
struct Corners {
    at: f64,
    by_h: f64,
    by_t: f64,
    by_both: f64,
}

impl Corners {
    /// Of `1/b`.
    fn inverse(b: f64, h: f64, t: f64) -> Self {
        let (a, c, z) = (b + h, b + t, b + h + t);
        let (of_h, of_t) = (h / a, t / c);
        Corners {
            at: 1.0 / b,
            by_h: of_h / b,
            by_t: of_t / b,
            by_both: of_h * of_t * ((b + z) / z) / b,
        }
    }

    /// Product, by the discrete Leibniz rule: every term is positive for falling functions.
    fn times(self, other: Self) -> Self {
        let (f, g) = (self, other);
        let f_after_h = f.at - f.by_h;
        let f_after_t = f.at - f.by_t;
        let f_after_both = f_after_h - (f.by_t - f.by_both);
        let f_h_after_t = f.by_h - f.by_both;
        let f_t_after_h = f.by_t - f.by_both;
        Corners {
            at: f.at * g.at,
            by_h: f.by_h * g.at + f_after_h * g.by_h,
            by_t: f.by_t * g.at + f_after_t * g.by_t,
            by_both: f.by_both * g.at
                + f_h_after_t * g.by_t
                + f_t_after_h * g.by_h
                + f_after_both * g.by_both,
        }
    }

    /// `constant − self`.
    fn taken_from(self, constant: f64) -> Self {
        Corners {
            at: constant - self.at,
            by_h: -self.by_h,
            by_t: -self.by_t,
            by_both: -self.by_both,
        }
    }

    /// `s(b) − s(b+h) − s(b+t) + s(b+h+t)` of `s(z) = 1/12z − 1/360z³ + 1/1260z⁵ − 1/1680z⁷ + 1/1188z⁹`.
    fn series(self) -> f64 {
        let square = self.times(self);
        let mut sum = CONSTANT;
        for coefficient in [1.0 / 1680.0, 1.0 / 1260.0, 1.0 / 360.0, 1.0 / 12.0] {
            sum = sum.times(square).taken_from(coefficient);
        }
        sum.times(self).by_both
    }
}

/// The last coefficient of the series, which has no differences.
const CONSTANT: Corners = Corners {
    at: 1.0 / 1188.0,
    by_h: 0.0,
    by_t: 0.0,
    by_both: 0.0,
};

/// `ψ(a+d) − ψ(a)` for positive `a` and `d >= 0`, without cancellation.
pub(crate) fn digamma_step(a: f64, d: f64) -> f64 {
    if d == 0.0 {
        return 0.0;
    }
    let (mut low, mut sum) = (a, 0.0);
    while low < LARGE {
        sum += (d / low) / (low + d);
        low += 1.0;
    }
    // ψ(z) = ln z − 1/2z − 1/12z² + 1/120z⁴ − 1/252z⁶ + 1/240z⁸ − 1/132z¹⁰
    let high = low + d;
    let (p, q) = (1.0 / low, 1.0 / high);
    let fall = (d / low) * q;
    let (p2, q2) = (p * p, q * q);
    let squares = fall * (p + q);
    let rest = |coefficients: [f64; 5]| difference(coefficients, p2, q2, squares);
    sum + log1p(d / low)
        + 0.5 * fall
        + rest([
            1.0 / 12.0,
            -1.0 / 120.0,
            1.0 / 252.0,
            -1.0 / 240.0,
            1.0 / 132.0,
        ])
}

/// `ψ'(a) − ψ'(a+d)` for positive `a` and `d >= 0`, without cancellation.
pub(crate) fn trigamma_step(a: f64, d: f64) -> f64 {
    if d == 0.0 {
        return 0.0;
    }
    let (mut low, mut sum) = (a, 0.0);
    while low < LARGE {
        let high = low + d;
        let (p, q) = (1.0 / low, 1.0 / high);
        sum += (d * p) * q * (p + q);
        low += 1.0;
    }
    // ψ'(z) = 1/z + 1/2z² + (1/z)·(1/6z² − 1/30z⁴ + 1/42z⁶ − 1/30z⁸ + 5/66z¹⁰)
    let high = low + d;
    let (p, q) = (1.0 / low, 1.0 / high);
    let fall = (d / low) * q;
    let (p2, q2) = (p * p, q * q);
    let squares = fall * (p + q);
    let coefficients = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0];
    // P(p²)·p − P(q²)·q = (P(p²) − P(q²))·p + P(q²)·(p − q)
    let mut at_high = 0.0;
    for coefficient in coefficients.iter().rev() {
        at_high = (at_high + coefficient) * q2;
    }
    let bent = difference(coefficients, p2, q2, squares) * p + at_high * fall;
    sum + fall + 0.5 * squares + bent
}

/// `P(x) − P(y)` of `P(x) = c0 x + c1 x² + …`, given `x − y`.
fn difference(coefficients: [f64; 5], x: f64, y: f64, gap: f64) -> f64 {
    // x^k − y^k = (x − y)·Σ x^{k−1−j} y^j, by s_k = x·s_{k−1} + y^{k−1}.
    let (mut sum, mut divided, mut power) = (0.0, 1.0, 1.0);
    for coefficient in coefficients {
        sum += coefficient * divided;
        power *= y;
        divided = divided * x + power;
    }
    sum * gap
}

/// `D` with its derivatives in `(b, h, t)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BetaDrop {
    pub(crate) value: f64,
    pub(crate) gradient: [f64; 3],
    /// Symmetric.
    pub(crate) hessian: [[f64; 3]; 3],
}

impl BetaDrop {
    /// At finite `b > 0`, `h > 0`, `t >= 0`.
    pub(crate) fn new(b: f64, h: f64, t: f64) -> Self {
        let z = b + h + t;
        let by_h = digamma_step(b + h, t);
        let by_t = digamma_step(b + t, h);
        let by_b = by_h - digamma_step(b, t);
        let hh = -trigamma_step(b + h, t);
        let tt = -trigamma_step(b + t, h);
        let bb = hh + trigamma_step(b, t);
        let ht = cvm_math::trigamma(z);
        BetaDrop {
            value: beta_drop(b, h, t),
            gradient: [by_b, by_h, by_t],
            hessian: [[bb, hh, tt], [hh, hh, ht], [tt, ht, tt]],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BetaDrop, beta_drop, digamma_step, trigamma_step};
    use cvm_math::{digamma, log1p, trigamma};

    fn close(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "{got} {want}");
    }

    #[test]
    fn whole_steps_are_products() {
        // t = 1: ln(1 + h/b); t = 3: three such terms.
        for (b, h) in [
            (1e-8, 2.0),
            (0.7, 1e-7),
            (30.0, 1e6),
            (1e6, 1e6),
            (5.0, 0.3),
        ] {
            close(beta_drop(b, h, 1.0), log1p(h / b), 1e-14);
            let three: f64 = (0..3).map(|k| log1p(h / (b + f64::from(k)))).sum();
            close(beta_drop(b, h, 3.0), three, 1e-14);
            close(beta_drop(b, 3.0, h), three, 1e-14);
        }
    }

    #[test]
    fn steps_add_up() {
        for (b, h, s, t) in [
            (0.3, 4.0, 2.5, 7.25),
            (9.0, 1e-6, 0.01, 300.0),
            (2e3, 8.0, 1e5, 1.0),
        ] {
            let whole = beta_drop(b, h, s + t);
            close(beta_drop(b, h, s) + beta_drop(b + s, h, t), whole, 1e-14);
        }
    }

    #[test]
    fn both_sides_of_the_switch_agree() {
        for (h, t) in [(0.4, 2.0), (1e-9, 1e-9), (1e5, 3e4)] {
            let below = beta_drop(15.999_999_999_999, h, t);
            close(below, beta_drop(16.0, h, t), 1e-11);
        }
    }

    #[test]
    fn ends() {
        assert_eq!(beta_drop(2.0, 3.0, 0.0), 0.0);
        assert_eq!(beta_drop(2.0, 3.0, f64::INFINITY), f64::INFINITY);
        // D ~ (t ln t and more): finite wherever the answer is.
        assert!(beta_drop(1.0, 1e200, 1e200).is_finite());
        assert!(beta_drop(1e-300, 1e300, 5.0).is_finite());
        assert!(beta_drop(3.0, 1e-300, 1e300) > 0.0);
        close(beta_drop(1e300, 1.0, 30.0), 30.0 / 1e300, 1e-15);
    }

    #[test]
    fn steps_of_digamma_and_trigamma() {
        for (a, d) in [
            (0.3, 2.0),
            (4.0, 90.0),
            (1e-6, 1e3),
            (20.0, 0.5),
            (700.0, 3e4),
        ] {
            close(digamma_step(a, d), digamma(a + d) - digamma(a), 4e-14);
            close(trigamma_step(a, d), trigamma(a) - trigamma(a + d), 4e-14);
        }
        // Small steps: the derivative, to first order.
        for a in [0.2, 5.0, 18.0, 1e4] {
            close(digamma_step(a, 1e-12), 1e-12 * trigamma(a), 1e-11);
            let second = (trigamma(a * (1.0 - 1e-4)) - trigamma(a * (1.0 + 1e-4))) / (2e-4 * a);
            close(trigamma_step(a, 1e-12), 1e-12 * second, 1e-6);
        }
    }

    #[test]
    fn derivatives_agree_with_differences() {
        for point in [[0.4, 2.0, 3.5], [12.0, 0.1, 40.0], [300.0, 25.0, 0.7]] {
            let at = BetaDrop::new(point[0], point[1], point[2]);
            for i in 0..3 {
                let step = 1e-5 * point[i];
                let moved = |sign: f64| {
                    let mut moved = point;
                    moved[i] += sign * step;
                    BetaDrop::new(moved[0], moved[1], moved[2])
                };
                let (up, down) = (moved(1.0), moved(-1.0));
                let slope = (up.value - down.value) / (2.0 * step);
                assert!(
                    (slope - at.gradient[i]).abs() < 1e-7 * (1.0 + slope.abs()),
                    "{point:?} {i}"
                );
                for j in 0..3 {
                    let second = (up.gradient[j] - down.gradient[j]) / (2.0 * step);
                    let own = at.hessian[i][j];
                    assert!(
                        (second - own).abs() < 1e-7 * (1.0 + own.abs()),
                        "{point:?} {i} {j}"
                    );
                }
            }
        }
    }
}

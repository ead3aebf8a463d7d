//! Sums of a smooth function over whole numbers, to any upper end, in bounded work.
//!
//! ```text
//! Σ_{k=m}^{n−1} f(k) = ∫_m^n f + ½(f_m − f_n) + C(n) − C(m)
//! C = 1/12 μδf − 11/720 μδ³f + 191/60480 μδ⁵f − 2497/3628800 μδ⁷f + 14797/95800320 μδ⁹f
//! ```
//!
//! the Euler-Maclaurin formula with its derivatives taken as central differences (`μδf = (f(k+1) −
//! f(k−1))/2`). It needs `f` to be smooth on the scale of a step, which the first terms, summed one
//! by one, ensure: they end 64 steps after `m` and where a step changes `f` by less than 15 %. The
//! integral runs in `ln k`, over panels of 16 Gauss-Legendre nodes halved where they disagree with
//! their halves; a power law far out is integrated in closed form.
//!
//! Source: Hildebrand (1974), *Introduction to Numerical Analysis*, 5.8–5.9 (Gauss' formula).

use cvm_math::quadrature::gauss_legendre_16;
use cvm_math::{exp, ln, log1p};

/// Terms summed one by one at least.
const HEAD: f64 = 64.0;
/// Largest change of `ln f` over one step where the integral may take over.
const SLOPE: f64 = 0.15;
/// Terms summed one by one at most: more means nothing at any sensible parameters.
const LONGEST_HEAD: f64 = 1_000_000.0;
/// Relative size at which the rest of a sum no longer matters.
const NEGLIGIBLE: f64 = 1e-18;
/// `k` beyond this is known by its logarithm only.
const FAR: f64 = 1e290;
/// `e^{−x}` beyond this no longer matters beside the rest.
const FORGOTTEN: f64 = 45.0;
/// Narrowest and widest first try of a panel, in `ln k`.
const PANELS: [f64; 2] = [0.5, 32.0];
/// Rules of 16 nodes at most; beyond, the answer is NaN.
const MOST_RULES: u32 = 6_000;

/// A positive function of a real `k >= 0`, which far out falls as `k^−power · e^{−rate·k}`, or
/// faster.
pub(crate) trait Terms {
    /// `ln f(k)`.
    fn ln_term(&self, k: f64) -> f64;

    /// `ln f(k)` from `ln k`, for `k` of 1e290 and more.
    fn ln_term_far(&self, ln_k: f64) -> f64;

    /// Exponential rate.
    fn rate(&self) -> f64;

    /// The power; infinite if `f` falls faster than any.
    fn power(&self) -> f64;

    /// `ln k` from which on the power law holds to the last digit, at rate 0.
    fn ln_far(&self) -> f64;
}

/// `Σ_{k=first}^{end−1} f(k)` for whole numbers; `end` may be infinite. NaN where the work would have
/// no bound, infinite where the sum is.
pub(crate) fn smooth_sum(terms: &impl Terms, first: f64, end: f64) -> f64 {
    if end == f64::INFINITY && terms.rate() == 0.0 && terms.power() <= 1.0 {
        return f64::INFINITY;
    }
    let f = |k: f64| exp(terms.ln_term(k));
    let (mut sum, mut k) = (0.0, first);
    let mut last = terms.ln_term(first);
    while k < end {
        let next = terms.ln_term(k + 1.0);
        let fall = last - next;
        let settled = k - first >= HEAD && fall.abs() <= SLOPE;
        if settled || k - first > LONGEST_HEAD {
            break;
        }
        let term = exp(last);
        sum += term;
        if term == 0.0 || (k * fall >= 3.0 && term * k <= NEGLIGIBLE * sum) {
            return sum;
        }
        last = next;
        k += 1.0;
    }
    if k >= end {
        return sum;
    }
    if k - first > LONGEST_HEAD {
        return f64::NAN;
    }
    let at_start = 0.5 * f(k) - end_correction(&f, k);
    let at_end = if end.is_finite() && f(end) > 0.0 {
        end_correction(&f, end) - 0.5 * f(end)
    } else {
        0.0
    };
    let mut tail = Tail::new(terms, k, sum);
    sum + (tail.integral(end) + (at_start + at_end))
}

/// `C(k)`.
fn end_correction(f: &impl Fn(f64) -> f64, k: f64) -> f64 {
    /// Coefficients of `f(k+j) − f(k−j)`, `j` from 1: the five terms of `C`, expanded.
    const WEIGHTS: [f64; 5] = central_weights();
    let pair = |j: usize| f(k + j as f64) - f(k - j as f64);
    let mut sum = 0.0;
    for j in (1..=5).rev() {
        sum += WEIGHTS[j - 1] * pair(j);
    }
    sum
}

/// `μδ^{2i+1} f = ½ Σ_j c_{ij} (f(k+j) − f(k−j))`, with the alternating binomial sums `c`.
const fn central_weights() -> [f64; 5] {
    const TERMS: [f64; 5] = [
        1.0 / 12.0,
        -11.0 / 720.0,
        191.0 / 60480.0,
        -2497.0 / 3_628_800.0,
        14797.0 / 95_800_320.0,
    ];
    const DIFFERENCES: [[f64; 5]; 5] = [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [-2.0, 1.0, 0.0, 0.0, 0.0],
        [5.0, -4.0, 1.0, 0.0, 0.0],
        [-14.0, 14.0, -6.0, 1.0, 0.0],
        [42.0, -48.0, 27.0, -8.0, 1.0],
    ];
    let mut weights = [0.0; 5];
    let mut order = 0;
    while order < 5 {
        let mut j = 0;
        while j < 5 {
            weights[j] += 0.5 * TERMS[order] * DIFFERENCES[order][j];
            j += 1;
        }
        order += 1;
    }
    weights
}

/// The integral from `start` on, in `w = ln(k/start)`.
struct Tail<'a, T: Terms> {
    terms: &'a T,
    start: f64,
    ln_start: f64,
    /// The sum that the integral is added to.
    beside: f64,
    total: f64,
    rules_left: u32,
}

impl<'a, T: Terms> Tail<'a, T> {
    fn new(terms: &'a T, start: f64, beside: f64) -> Self {
        Tail {
            terms,
            start,
            ln_start: ln(start),
            beside,
            total: 0.0,
            rules_left: MOST_RULES,
        }
    }

    /// `ln( k f(k) )`.
    fn ln_height(&self, w: f64) -> f64 {
        let ln_k = self.ln_start + w;
        let k = self.start * exp(w);
        if k < FAR {
            ln_k + self.terms.ln_term(k)
        } else {
            ln_k + self.terms.ln_term_far(ln_k)
        }
    }

    /// `∫_start^end f dk`.
    fn integral(&mut self, end: f64) -> f64 {
        let rate = self.terms.rate();
        let forgotten = if rate > 0.0 {
            log1p(FORGOTTEN / rate / self.start)
        } else {
            f64::INFINITY
        };
        // From a ratio only where it is far from 1: the last panel ends where the sum does.
        let stop = log1p((end - self.start) / self.start).min(forgotten);
        let (mut low, mut width) = (0.0, PANELS[0]);
        while low < stop {
            let high = stop.min(low + width);
            let Some(halved) = self.add_panel(low, high) else {
                return f64::NAN;
            };
            if self.total == f64::INFINITY {
                return self.total;
            }
            let factor = if halved { 0.5 } else { 2.0 };
            width = (width * factor).clamp(PANELS[0], PANELS[1]);
            if high < stop
                && let Some(rest) = self.rest(high, end)
            {
                return self.total + rest;
            }
            low = high;
        }
        self.total
    }

    /// Adds one panel, halved where one rule and two disagree; whether it was, or `None` out of
    /// bounds.
    fn add_panel(&mut self, low: f64, high: f64) -> Option<bool> {
        const DEPTH: u32 = 24;
        const CLOSE: f64 = 2e-14;
        let rule = |low: f64, high: f64| gauss_legendre_16(|w| exp(self.ln_height(w)), low, high);
        let whole = rule(low, high);
        if whole == f64::INFINITY {
            // Beyond the doubles, and so is the sum.
            self.total = whole;
            return Some(false);
        }
        let mut open = vec![(low, high, whole, 0)];
        let (mut total, mut halved, mut rules_left) = (self.total, false, self.rules_left);
        while let Some((low, high, whole, depth)) = open.pop() {
            rules_left = rules_left.checked_sub(2)?;
            let middle = 0.5 * (low + high);
            let (left, right) = (rule(low, middle), rule(middle, high));
            let both = left + right;
            if (both - whole).abs() <= CLOSE * (self.beside + total + both) || depth == DEPTH {
                total += both;
            } else {
                halved = true;
                open.push((middle, high, right, depth + 1));
                open.push((low, middle, left, depth + 1));
            }
        }
        (self.total, self.rules_left) = (total, rules_left);
        Some(halved)
    }

    /// What is left beyond `w`, once it is negligible or a pure power law.
    fn rest(&self, w: f64, end: f64) -> Option<f64> {
        /// Step of the local exponent.
        const STEP: f64 = 0.0625;
        let here = self.ln_height(w);
        if here == f64::NEG_INFINITY {
            return Some(0.0);
        }
        let height = exp(here);
        let forever = end == f64::INFINITY && self.terms.rate() == 0.0;
        if forever && self.ln_start + w >= self.terms.ln_far() {
            return Some(height / (self.terms.power() - 1.0));
        }
        let exponent = (self.ln_height(w - STEP) - here) / STEP;
        let before = (self.ln_height(w - 2.0 * STEP) - here) / (2.0 * STEP);
        // Past the mode and falling ever faster, or as a power: the rest is at most height/exponent.
        let falling = exponent > 0.05 && exponent >= before * (1.0 - 1e-6);
        (falling && height <= NEGLIGIBLE * exponent * (self.beside + self.total)).then_some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Terms, smooth_sum};
    use cvm_math::{expm1, ln};

    /// `(k + shift)^−power · e^{−rate·k}`.
    struct Power {
        shift: f64,
        power: f64,
        rate: f64,
    }

    impl Terms for Power {
        fn ln_term(&self, k: f64) -> f64 {
            -self.power * ln(k + self.shift) - self.rate * k
        }
        fn ln_term_far(&self, ln_k: f64) -> f64 {
            -self.power * ln_k
        }
        fn rate(&self) -> f64 {
            self.rate
        }
        fn power(&self) -> f64 {
            self.power
        }
        fn ln_far(&self) -> f64 {
            45.0 + ln(self.shift + self.power)
        }
    }

    fn close(got: f64, want: f64) {
        assert!((got / want - 1.0).abs() < 2e-13, "{got} {want}");
    }

    #[test]
    fn zeta() {
        let zeta = |power: f64| {
            let terms = Power {
                shift: 1.0,
                power,
                rate: 0.0,
            };
            smooth_sum(&terms, 0.0, f64::INFINITY)
        };
        // Abramowitz & Stegun (1964), table 23.3 and 23.2.24; ζ(1.001) by 30-digit mpmath.
        close(zeta(2.0), 1.644_934_066_848_226_4);
        close(zeta(3.0), 1.202_056_903_159_594_2);
        close(zeta(1.001), 1_000.577_288_475_887_7);
        close(zeta(20.0), 1.000_000_953_962_033_8);
        assert_eq!(zeta(1.0), f64::INFINITY);
    }

    #[test]
    fn geometric_series_of_every_rate() {
        for rate in [1e-9, 1e-4, 0.01, 0.149, 0.151, 2.0, 50.0] {
            let terms = Power {
                shift: 1.0,
                power: 0.0,
                rate,
            };
            for end in [1.0, 63.0, 64.0, 65.0, 1000.0, 1e6, f64::INFINITY] {
                let want = expm1(-rate * end) / expm1(-rate);
                close(smooth_sum(&terms, 0.0, end), want);
            }
        }
    }

    #[test]
    fn finite_ends_add_up() {
        let terms = Power {
            shift: 0.3,
            power: 0.7,
            rate: 1e-5,
        };
        let whole = smooth_sum(&terms, 0.0, 5e6);
        let parts = smooth_sum(&terms, 0.0, 777.0) + smooth_sum(&terms, 777.0, 5e6);
        close(parts, whole);
        // Past the point from which the power law is exact.
        let slow = Power {
            shift: 1e-9,
            power: 0.5,
            rate: 0.0,
        };
        let far = smooth_sum(&slow, 1.0, 4e30);
        close(far, 4e15);
        let direct: f64 = (0..3000)
            .map(|k| cvm_math::exp(terms.ln_term(f64::from(k))))
            .sum();
        close(smooth_sum(&terms, 0.0, 3000.0), direct);
    }
}

//! Probabilities of numbers of purchases along the rest of a path, by quadrature over the moment of the
//! last purchase counted, or of leaving.
//!
//! With `a = α+P_T`, `p` what the purchase clock moves on by to a moment, and `S` the probability of being
//! alive then, given alive at `T`,
//!
//! ```text
//! nb(n; p)  = (R)_n/n! · (a/(a+p))^R (p/(a+p))^n
//! P(X ≥ n) = ∫ A · Γ(R+n)/(Γ(R)Γ(n)) · a^R p^{n−1}/(a+p)^{R+n} · S
//! P(X = n) = S(t) nb(n; p(t)) + ∫ s C/(β+D) · S · nb(n; p)
//! ```
//!
//! Everything is positive. A stretch is integrated in `ln(1 + u/scale)` by Gauss-Legendre panels that are
//! halved until two agree with one ([`crate::purchase::integral`]), in units of the integrand's largest
//! value on a coarse grid, so that far tails do not underflow.

use super::forecast::{Ahead, Stretch};
use super::{ParetoNbdTv, TimedRow};
use crate::purchase::integral;
use crate::rising::Rising;
use cvm_math::{exp, expm1, ln, ln_gamma, log_add_exp, log1p};

/// A stretch without end is cut where its integrand has fallen by `e^−50`, but never beyond this
/// logarithm of its scales.
const LONGEST: f64 = 690.0;

impl ParetoNbdTv {
    /// `ln P(X(t) ≥ n)`, given alive at `T`, for a whole number `n`.
    #[must_use]
    pub fn ln_tail(&self, row: &TimedRow, t: f64, n: f64) -> f64 {
        let Some(ahead) = self.ahead(row, t) else {
            return f64::NAN;
        };
        if n == 0.0 {
            return 0.0;
        }
        if n == 1.0 {
            let probability = ahead.at_least_once();
            if probability > 0.0 {
                return ln(probability);
            }
        }
        let front = Rising::new(ahead.shape, n).log - ln_gamma(n);
        let density = |stretch: &Stretch, u: f64| {
            let count = ahead.ln_count(stretch, u, n - 1.0);
            let total = ahead.scale + stretch.passed + stretch.speed * u;
            let alive = stretch.ln_alive - stretch.buyer.law.shape * stretch.buyer.law.ln_growth(u);
            front + count + ln(stretch.speed / total) + alive
        };
        ahead.ln_integral(&density, n).min(0.0)
    }

    /// `ln P(X(t) = n)`, given alive at `T`, for a whole number `n`.
    #[must_use]
    pub fn ln_pmf(&self, row: &TimedRow, t: f64, n: f64) -> f64 {
        let Some(ahead) = self.ahead(row, t) else {
            return f64::NAN;
        };
        if n == 0.0 {
            return ahead.ln_silent();
        }
        let front = Rising::new(ahead.shape, n).log - ln_gamma(n + 1.0);
        let leaving = |stretch: &Stretch, u: f64| {
            let law = stretch.buyer.law;
            let alive = stretch.ln_alive - law.shape * law.ln_growth(u);
            front + ahead.ln_count(stretch, u, n) + alive + ln(law.shape / (law.scale + u))
        };
        let left = ahead.ln_integral(&leaving, n);
        let Some(last) = ahead.stretches.last().filter(|_| t.is_finite()) else {
            return left.min(0.0);
        };
        let law = last.buyer.law;
        let alive = last.ln_alive - law.shape * law.ln_growth(last.length);
        let stayed = front + ahead.ln_count(last, last.length, n) + alive;
        log_add_exp(stayed, left).min(0.0)
    }
}

impl Ahead {
    /// `ln[ (a/(a+p))^R (p/(a+p))^n ]` at `u` after the start of a stretch.
    fn ln_count(&self, stretch: &Stretch, u: f64, n: f64) -> f64 {
        let p = stretch.passed + stretch.speed * u;
        let powers = if n == 0.0 {
            0.0
        } else {
            -n * log1p(self.scale / p)
        };
        powers - self.shape * log1p(p / self.scale)
    }

    /// Logarithm of the sum over stretches of the integral of `e^f`.
    fn ln_integral(&self, f: &dyn Fn(&Stretch, f64) -> f64, n: f64) -> f64 {
        let mut largest = f64::NEG_INFINITY;
        for stretch in &self.stretches {
            self.each_probe(stretch, n, |u| largest = largest.max(f(stretch, u)));
        }
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let of = |stretch: &Stretch| {
            let (scale, length) = (self.unit(stretch), self.cut(stretch, n));
            integral(|u| exp(f(stretch, u) - largest), scale, length, 0.0)
        };
        ln(self.stretches.iter().map(of).sum()) + largest
    }

    /// Places at which an integrand may be large: a grid, and where the clock shows the usual time of
    /// the `n`-th purchase.
    fn each_probe(&self, stretch: &Stretch, n: f64, mut visit: impl FnMut(f64)) {
        const GRID: u32 = 24;
        let (scale, length) = (self.unit(stretch), self.cut(stretch, n));
        let end = log1p(length / scale);
        for step in 1..=GRID {
            visit((scale * expm1(end * f64::from(step) / f64::from(GRID))).min(length));
        }
        let usual = (self.scale * n / self.shape - stretch.passed) / stretch.speed;
        if usual > 0.0 && usual < length {
            visit(usual);
        }
    }

    /// The time over which nothing in a stretch changes much.
    fn unit(&self, stretch: &Stretch) -> f64 {
        let clock = (self.scale + stretch.passed) / stretch.speed;
        clock.min(stretch.buyer.law.scale)
    }

    /// The length of a stretch that is worth integrating.
    fn cut(&self, stretch: &Stretch, n: f64) -> f64 {
        const DIGITS: f64 = 50.0;
        let unit = self.unit(stretch);
        let usual = (self.scale * n / self.shape / stretch.speed).max(stretch.buyer.law.scale);
        let fall = self.shape + stretch.buyer.law.shape;
        let log = ln(1.0 + usual / unit) + DIGITS / fall;
        stretch.length.min(unit * expm1(log.min(LONGEST)))
    }
}

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
use std::cell::RefCell;
use std::collections::HashMap;

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
        ahead.ln_tail(n, &|stretch, u| ahead.moment(stretch, u))
    }

    /// [`ParetoNbdTv::ln_tail`] of one customer for many `n`, in the same bits: most nodes of one `n`
    /// are nodes of the next, and what the clocks show there is computed once.
    pub(super) fn ln_tails(&self, row: &TimedRow, t: f64) -> impl Fn(f64) -> f64 + use<> {
        /// Moments remembered at most.
        const MOST: usize = 1 << 16;
        let ahead = self.ahead(row, t);
        let seen = RefCell::new(HashMap::<[u64; 2], Moment>::new());
        move |n| {
            let Some(ahead) = &ahead else {
                return f64::NAN;
            };
            if seen.borrow().len() > MOST {
                seen.borrow_mut().clear();
            }
            let remembered = |stretch: &Stretch, u: f64| {
                let key = [stretch.start.to_bits(), u.to_bits()];
                let mut seen = seen.borrow_mut();
                *seen.entry(key).or_insert_with(|| ahead.moment(stretch, u))
            };
            ahead.ln_tail(n, &remembered)
        }
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
            let (moment, law) = (ahead.moment(stretch, u), stretch.buyer.law);
            front + moment.ln_count(n) + moment.ln_alive + ln(law.shape / (law.scale + u))
        };
        let left = ahead.ln_integral(&leaving, n);
        let Some(last) = ahead.stretches.last().filter(|_| t.is_finite()) else {
            return left.min(0.0);
        };
        let end = ahead.moment(last, last.length);
        let stayed = front + end.ln_count(n) + end.ln_alive;
        log_add_exp(stayed, left).min(0.0)
    }
}

/// What the clocks show at a moment of a stretch, whatever number of purchases is asked for.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// `ln(1 + a/p)`.
    ln_odds: f64,
    /// `R ln(1 + p/a)`.
    ln_quiet: f64,
    /// `ln(A/(a+p))`.
    ln_rate: f64,
    /// `ln S`.
    ln_alive: f64,
}

impl Moment {
    /// `ln[ (a/(a+p))^R (p/(a+p))^n ]`.
    fn ln_count(&self, n: f64) -> f64 {
        let powers = if n == 0.0 { 0.0 } else { -n * self.ln_odds };
        powers - self.ln_quiet
    }
}

impl Ahead {
    /// What the clocks show at `u` after the start of a stretch.
    fn moment(&self, stretch: &Stretch, u: f64) -> Moment {
        let p = stretch.passed + stretch.speed * u;
        let total = self.scale + stretch.passed + stretch.speed * u;
        let law = stretch.buyer.law;
        Moment {
            ln_odds: log1p(self.scale / p),
            ln_quiet: self.shape * log1p(p / self.scale),
            ln_rate: ln(stretch.speed / total),
            ln_alive: stretch.ln_alive - law.shape * law.ln_growth(u),
        }
    }

    /// `ln P(X ≥ n)` from the moments that `at` gives.
    fn ln_tail(&self, n: f64, at: &dyn Fn(&Stretch, f64) -> Moment) -> f64 {
        if n == 0.0 {
            return 0.0;
        }
        if n == 1.0 {
            let probability = self.at_least_once();
            if probability > 0.0 {
                return ln(probability);
            }
        }
        let front = Rising::new(self.shape, n).log - ln_gamma(n);
        let density = |stretch: &Stretch, u: f64| {
            let moment = at(stretch, u);
            front + moment.ln_count(n - 1.0) + moment.ln_rate + moment.ln_alive
        };
        self.ln_integral(&density, n).min(0.0)
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

//! How many purchases a living customer will make, and when the first.
//!
//! With `p ~ Beta(α, β)`, `θ ~ Beta(γ, δ)` of a customer alive now (updated), `S_j = (δ)_j/(γ+δ)_j`:
//!
//! ```text
//! P(X(t) ≥ m) = Σ_{j=m}^t C(j−1, m−1) B(α+m, β+j−m)/B(α, β) · S_j        m-th purchase in period j
//! P(X(t) = m) = C(t, m) B(α+m, β+t−m)/B(α, β) · S_t                       alive to the end, or
//!             + Σ_{i=m}^{t−1} C(i, m) B(α+m, β+i−m)/B(α, β) · S_i γ/(γ+δ+i)   left before period i+1
//! ```
//!
//! Source: Fader, Hardie & Shang (2010), eq. 8 for `P(X(n, n+n*) = x*)`. Every term is positive.
//! Terms are multiplied up one by one; beyond some thousands the rest is a smooth sum, so that `t`
//! may be infinite.

use crate::beta_mixture::ln_far;
use crate::beta_ratio::beta_drop;
use crate::smooth_sum::{Terms, smooth_sum};
use cvm_math::{exp, ln, ln_gamma, ln_rising, log_add_exp, log1p};

/// Terms multiplied up one by one, and how many per purchase asked for.
const SHORT: f64 = 4096.0;
const PER_PURCHASE: f64 = 4.0;

/// A living customer's parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) gamma: f64,
    pub(super) delta: f64,
}

impl Counts {
    /// `ln P(X(t) = m)`.
    pub(super) fn ln_pmf(&self, t: f64, m: f64) -> f64 {
        if m > t {
            return f64::NEG_INFINITY;
        }
        if m == 0.0 {
            // Nearly 1: one minus the chance of a purchase.
            let bought = self.sum(Event::Purchase, 1.0, t);
            if bought < -1.0 {
                return log1p(-exp(bought));
            }
        }
        log_add_exp(self.ln_alive(t, m), self.sum(Event::Leaving, m, t - 1.0))
    }

    /// `ln P(X(t) ≥ m)`.
    pub(super) fn ln_tail(&self, t: f64, m: f64) -> f64 {
        if m == 0.0 {
            return 0.0;
        }
        if m > t {
            return f64::NEG_INFINITY;
        }
        let tail = self.sum(Event::Purchase, m, t);
        if m == 1.0 && tail > -0.5 {
            let none = log_add_exp(
                self.ln_alive(t, 0.0),
                self.sum(Event::Leaving, 0.0, t - 1.0),
            );
            return log1p(-exp(none));
        }
        tail.min(0.0)
    }

    /// `ln` of `m` purchases in `t` periods, and alive to the end.
    fn ln_alive(&self, t: f64, m: f64) -> f64 {
        if t == f64::INFINITY {
            return f64::NEG_INFINITY;
        }
        let ways = ln_rising(t - m + 1.0, m) - ln_gamma(m + 1.0);
        let bought = beta_drop(self.alpha, self.beta, m);
        let missed = beta_drop(self.beta, self.alpha + m, t - m);
        ways - (bought + missed + beta_drop(self.delta, self.gamma, t))
    }

    /// The first period by whose end a purchase has been made with probability `p`; infinite if
    /// never.
    pub(super) fn first_purchase(&self, p: f64) -> f64 {
        /// As in [`crate::contract::first_whole`].
        const SLACK: f64 = 4e-15;
        let goal = p * (1.0 - SLACK);
        let series = Series {
            counts: self,
            event: Event::Purchase,
            m: 1.0,
        };
        let (mut sum, mut term, mut j) = (0.0, exp(series.ln_term(1.0)), 1.0);
        while j <= SHORT {
            sum += term;
            if sum >= goal {
                return j;
            }
            term *= series.ratio(j);
            j += 1.0;
        }
        crate::contract::first_whole(|t| self.ln_tail(t, 1.0), ln(p))
    }

    /// `ln` of a sum from `j = m` to `last`.
    fn sum(&self, event: Event, m: f64, last: f64) -> f64 {
        if last < m {
            return f64::NEG_INFINITY;
        }
        let series = Series {
            counts: self,
            event,
            m,
        };
        let mut sum = ScaledSum::new(series.ln_term(m));
        let (mut j, stop) = (m, last.min((PER_PURCHASE * m).max(SHORT)));
        while j < stop {
            let ratio = series.ratio(j);
            sum.add(ratio);
            j += 1.0;
            // The fall in `ln j` only steepens: the rest is at most term·j/(fall − 1).
            if j * (1.0 - ratio) >= 3.0 && sum.last * j <= 1e-19 * sum.total {
                return sum.log_value();
            }
        }
        if j >= last {
            return sum.log_value();
        }
        log_add_exp(sum.log_value(), series.rest(j + 1.0, last))
    }
}

/// What happens in period `j`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// The `m`-th purchase.
    Purchase,
    /// After `m` purchases in `j` periods, leaving before the next.
    Leaving,
}

/// The terms of one sum.
struct Series<'a> {
    counts: &'a Counts,
    event: Event,
    m: f64,
}

impl Series<'_> {
    /// `γ` of the survival that remains in the terms.
    fn gamma(&self) -> f64 {
        match self.event {
            Event::Purchase => self.counts.gamma,
            Event::Leaving => self.counts.gamma + 1.0,
        }
    }

    /// Term `j + 1` over term `j`.
    fn ratio(&self, j: f64) -> f64 {
        let Counts {
            alpha, beta, delta, ..
        } = self.counts;
        let misses = j - self.m;
        let ways = match self.event {
            Event::Purchase => j / (misses + 1.0),
            Event::Leaving => (j + 1.0) / (misses + 1.0),
        };
        let missed = (beta + misses) / (alpha + beta + j);
        ways * missed * ((delta + j) / (self.gamma() + delta + j))
    }

    /// The last `j` at which the terms still rise, by bisection between `first` and `last`.
    fn peak(&self, first: f64, last: f64) -> f64 {
        let (mut low, mut high) = (first, last.min(1e300));
        if self.ratio(low) <= 1.0 {
            return first;
        }
        for _ in 0..100 {
            let middle = (low * (high / low).sqrt()).floor();
            if middle <= low || middle >= high {
                break;
            }
            if self.ratio(middle) > 1.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// `ln` of the sum from `first`, well past `m`, to `last`.
    fn rest(&self, first: f64, last: f64) -> f64 {
        let peak = self.peak(first, last);
        let offset = self.ln_term(peak);
        let scaled = Scaled {
            series: self,
            offset,
        };
        let end = last + 1.0;
        let before = if peak > first {
            smooth_sum(&scaled, first, peak)
        } else {
            0.0
        };
        offset + ln(before + smooth_sum(&scaled, peak, end))
    }

    fn ln_term(&self, j: f64) -> f64 {
        let Counts {
            alpha, beta, delta, ..
        } = *self.counts;
        let m = self.m;
        let bought = beta_drop(alpha, beta, m);
        let missed = beta_drop(beta, alpha + m, j - m);
        let survived = beta_drop(delta, self.gamma(), j);
        let logs = -(bought + missed + survived);
        match self.event {
            Event::Purchase => logs + ln_rising(j - m + 1.0, m - 1.0) - ln_gamma(m),
            Event::Leaving => {
                let leaving = -log1p(delta / self.counts.gamma);
                logs + leaving + ln_rising(j - m + 1.0, m) - ln_gamma(m + 1.0)
            }
        }
    }
}

/// The terms less a common factor.
struct Scaled<'a> {
    series: &'a Series<'a>,
    offset: f64,
}

impl Terms for Scaled<'_> {
    fn ln_term(&self, k: f64) -> f64 {
        self.series.ln_term(k) - self.offset
    }

    fn ln_term_far(&self, ln_k: f64) -> f64 {
        self.ln_term(exp(ln_k))
    }

    fn rate(&self) -> f64 {
        0.0
    }

    fn power(&self) -> f64 {
        self.series.counts.alpha
            + self.series.gamma()
            + f64::from(self.series.event == Event::Purchase)
    }

    fn ln_far(&self) -> f64 {
        let Counts {
            alpha,
            beta,
            gamma,
            delta,
        } = *self.series.counts;
        let m = self.series.m;
        ln_far(alpha + m + gamma + 1.0, beta + delta + m)
    }
}

/// A sum of terms that may be far from 1, with the last of them.
struct ScaledSum {
    total: f64,
    last: f64,
    ln_scale: f64,
}

impl ScaledSum {
    fn new(ln_first: f64) -> Self {
        ScaledSum {
            total: 1.0,
            last: 1.0,
            ln_scale: ln_first,
        }
    }

    /// Adds the last term times `ratio`.
    fn add(&mut self, ratio: f64) {
        const LARGE: f64 = 1e200;
        self.last *= ratio;
        self.total += self.last;
        if self.total > LARGE {
            self.last /= LARGE;
            self.total /= LARGE;
            self.ln_scale += ln(LARGE);
        }
    }

    fn log_value(&self) -> f64 {
        self.ln_scale + ln(self.total)
    }
}

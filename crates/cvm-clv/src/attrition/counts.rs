//! How many purchases a living customer makes, and when the next.
//!
//! With `w = ln(u/A)` and `N` for the negative binomial of a customer who never leaves,
//!
//! ```text
//! P(X(t) ≥ n) = ∫_{u<t} (R)_n/(n−1)! · (1+e^w)^−R (1+e^−w)^−n · S(u) dw
//! P(X(t) = n) = P(N(t) = n)·S(t) + ∫_{u<t} (R)_n/n! · (1+e^w)^−R (1+e^−w)^−n · f(u)·u dw
//! ```
//!
//! the first by the moment of the `n`-th purchase, the second by whether the customer is still
//! there at `t`. Both integrands are positive with one peak (two at most, where a Gompertz law has
//! a late mode). Panels of 16 Gauss-Legendre nodes go out from the peaks, each as long
//! as the logarithm takes to fall by about 8.

use super::Buyer;
use super::panels::SIXTEEN;
use crate::rising::Rising;
use cvm_math::{exp, ln, ln_gamma, log_add_exp, log1p, sigmoid, slice, softplus};

/// The integrand is dropped when its logarithm has fallen by this below the peak.
const FORGOTTEN: f64 = 50.0;
/// Logarithms of times beyond this are not told apart from 0 and infinity.
const LARGEST_LOG: f64 = 700.0;

/// The integrand of a count in `w`.
struct Count {
    buyer: Buyer,
    n: f64,
    /// Logarithm of the factor in front.
    front: f64,
    /// Whether the lifetime enters by its density, not by its survival.
    ending: bool,
}

impl Count {
    fn ln_density(&self, w: f64) -> f64 {
        let Buyer { shape, scale, law } = self.buyer;
        let u = scale * exp(w);
        let counts = self.front - shape * softplus(w) - self.n * softplus(-w);
        let growth = law.ln_growth(u);
        if !self.ending {
            return counts - law.shape * growth;
        }
        let tilt = law.growth * u - (law.shape + 1.0) * growth;
        counts + self.ending_front() + w + tilt
    }

    fn slope(&self, w: f64) -> f64 {
        let Buyer { shape, scale, law } = self.buyer;
        let u = scale * exp(w);
        let counts = self.n * sigmoid(-w) - shape * sigmoid(w);
        let left = u / law.aged(u).scale;
        if self.ending {
            counts + 1.0 + law.growth * u - (law.shape + 1.0) * left
        } else {
            counts - law.shape * left
        }
    }

    /// A point where the integrand is largest, or `end` where it rises until then.
    fn peak(&self, end: f64) -> f64 {
        let (mut low, mut high) = (-LARGEST_LOG, end);
        if self.slope(high) >= 0.0 {
            return high;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.slope(middle) > 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// A length from `w` on over which the logarithm falls by about 8: at the peak three widths of
    /// it, far out a multiple of the inverse slope.
    fn reach(&self, w: f64) -> f64 {
        const FALL: f64 = 8.0;
        const WIDTHS: f64 = 2.7;
        let Buyer { shape, law, .. } = self.buyer;
        let spread = sigmoid(w) * sigmoid(-w);
        let grown = law.growth * self.buyer.scale * exp(w);
        let leaving = (law.shape + 1.0) * (1.0 + grown * grown);
        let curvature = (shape + self.n) * spread + leaving;
        FALL / (self.slope(w).abs() + WIDTHS * curvature.sqrt())
    }

    /// `ln ∫` over `w` up to `end`.
    fn ln_integral(&self, end: f64) -> f64 {
        let end = end.min(LARGEST_LOG);
        let peak = self.peak(end);
        let mode = self.buyer.law.mode();
        let hump = ln(mode / self.buyer.scale).min(end);
        let late = self.ending && mode > 0.0 && (hump - peak).abs() > 1e-3;
        let top = if late {
            self.ln_density(peak).max(self.ln_density(hump))
        } else {
            self.ln_density(peak)
        };
        if top == f64::NEG_INFINITY || top.is_nan() {
            return top;
        }
        let mut sum = 0.0;
        if late {
            let (first, second) = (peak.min(hump), peak.max(hump));
            let middle = 0.5 * (first + second);
            sum += self.outwards(first, -LARGEST_LOG, top, false);
            sum += self.outwards(first, middle, top, true);
            sum += self.outwards(second, middle, top, true);
            sum += self.outwards(second, end, top, false);
        } else {
            sum += self.outwards(peak, -LARGEST_LOG, top, false);
            sum += self.outwards(peak, end, top, false);
        }
        top + ln(sum)
    }

    /// The integral from a peak to `end`, while it matters, over `e^top`; all of it `between` two
    /// peaks, one of which may be a shoulder of the other.
    fn outwards(&self, peak: f64, end: f64, top: f64, between: bool) -> f64 {
        /// Panels at most: reached at parameters that mean nothing.
        const MOST_PANELS: u32 = 2_000;
        const LONGEST: f64 = 1.0;
        let sign = if end < peak { -1.0 } else { 1.0 };
        let (mut near, mut sum) = (peak, 0.0);
        for _ in 0..MOST_PANELS {
            let rest = (end - near) * sign;
            let length = rest.min(LONGEST).min(self.reach(near));
            let far = if length < rest {
                near + sign * length
            } else {
                end
            };
            if far == near {
                return sum;
            }
            sum += self.panel(near.min(far), (far - near).abs(), top);
            near = far;
            if near == end || (!between && self.ln_density(near) < top - FORGOTTEN) {
                return sum;
            }
        }
        f64::NAN
    }

    /// The integral over one panel, over `e^top`.
    fn panel(&self, low: f64, length: f64, top: f64) -> f64 {
        let Buyer { shape, scale, law } = self.buyer;
        let w = SIXTEEN.map(|(node, _)| low + length * node);
        let mut small = w.map(|w| -w.abs());
        slice::exp_in_place(&mut small);
        let mut logs = small;
        slice::log1p_in_place(&mut logs);
        let mut u: [f64; 16] =
            std::array::from_fn(|i| scale * if w[i] > 0.0 { 1.0 / small[i] } else { small[i] });
        let mut growth = u;
        law.ln_growths(&mut growth);
        let front = self.front + self.ending_front() - top;
        let mut exponents = [0.0; 16];
        for i in 0..16 {
            let above = shape * (w[i].max(0.0) + logs[i]);
            let below = self.n * ((-w[i]).max(0.0) + logs[i]);
            let lifetime = if self.ending {
                u[i] *= law.growth;
                u[i] - (law.shape + 1.0) * growth[i] + w[i]
            } else {
                -law.shape * growth[i]
            };
            exponents[i] = (front - above) - below + lifetime;
        }
        slice::exp_in_place(&mut exponents);
        let terms = SIXTEEN.iter().zip(exponents);
        length
            * terms
                .map(|((_, weight), value)| weight * value)
                .sum::<f64>()
    }

    /// `ln(s·A/c)`, where the lifetime enters by its density.
    fn ending_front(&self) -> f64 {
        let Buyer { scale, law, .. } = self.buyer;
        if self.ending {
            ln(law.shape) + ln(scale / law.scale)
        } else {
            0.0
        }
    }
}

impl Buyer {
    /// `ln P(X(t) ≥ n)` for `n` of 1 or more.
    fn ln_at_least(&self, t: f64, n: f64) -> f64 {
        if t == 0.0 {
            return f64::NEG_INFINITY;
        }
        if n == 1.0 {
            let probability = self.at_least_once(t);
            if probability > 0.0 {
                return ln(probability);
            }
        }
        let count = Count {
            buyer: *self,
            n,
            front: Rising::new(self.shape, n).log - ln_gamma(n),
            ending: false,
        };
        count.ln_integral(ln(t / self.scale)).min(0.0)
    }

    /// `ln P(X(t) ≥ n)`.
    pub(crate) fn ln_tail(&self, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            0.0
        } else {
            self.ln_at_least(t, n)
        }
    }

    /// `ln P(X(t) = n)`.
    pub(crate) fn ln_pmf(&self, t: f64, n: f64) -> f64 {
        if n == 0.0 {
            return self.ln_silent(t);
        }
        if t == 0.0 {
            return f64::NEG_INFINITY;
        }
        let count = Count {
            buyer: *self,
            n,
            front: Rising::new(self.shape, n).log - ln_gamma(n + 1.0),
            ending: true,
        };
        let left = count.ln_integral(ln(t / self.scale));
        if t == f64::INFINITY {
            return left.min(0.0);
        }
        let counts = count.front - n * log1p(self.scale / t);
        let stayed = counts + self.ln_silent_and_alive(t);
        log_add_exp(stayed, left).min(0.0)
    }

    /// The `t` with `P(X(t) ≥ 1) = p`, or infinity: Newton steps in `ln t` inside a bracket.
    pub(crate) fn next_purchase(&self, p: f64) -> f64 {
        if self.at_least_once(f64::INFINITY) <= p {
            return f64::INFINITY;
        }
        // One who never leaves is earlier.
        let earliest = self.scale * cvm_math::expm1(-log1p(-p) / self.shape);
        let (mut low, mut high) = (ln(earliest), LARGEST_LOG);
        let mut v = low;
        for _ in 0..200 {
            let t = exp(v);
            let excess = self.at_least_once(t) - p;
            if excess < 0.0 {
                low = low.max(v);
            } else {
                high = high.min(v);
            }
            let density = self.shape / self.scale * exp(self.ln_first_density(t));
            let newton = v - excess / (density * t);
            let inside = newton > low && newton < high;
            let next = if inside { newton } else { 0.5 * (low + high) };
            if (next - v).abs() <= 2e-16 * v.abs().max(0.5) || high <= low {
                return exp(next);
            }
            v = next;
        }
        exp(v)
    }

    fn ln_first_density(&self, t: f64) -> f64 {
        self.ln_silent_and_alive(t) - log1p(t / self.scale)
    }
}

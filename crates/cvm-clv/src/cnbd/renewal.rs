//! The next purchase of a living customer, and the purchases after it.
//!
//! With `R = r + kx`, `A_0 = α + t_x`, `A = α + T` and `s = T − t_x` silent so far, the time `Y` to
//! the next purchase, mixed over `λ`, has
//!
//! ```text
//! P(Y > y) = I_{A_0/(A+y)}(R, k) / I_{A_0/A}(R, k)
//! f(y)     = (s+y)^{k−1} A_0^R (A+y)^{−(R+k)} / B(k, R) / I_{A_0/A}(R, k)
//! ```
//!
//! and after a purchase at `T + y`, `λ ~ Gamma(R+k, A+y)` again. So the `m`-th purchase after it has
//! come by `T + t` with probability `I_v(km, R+k)`, `v = (t−y)/(A+t)`: a function of `v` alone, which
//! carries the sum over `m` of whatever weights, as a power series in `v^k`.

use super::stages::Stages;
use crate::incomplete_beta::{ln_incomplete_beta_above, ln_incomplete_beta_with};
use crate::purchase::ln_one_minus_exp;
use cvm_math::quadrature::{GAUSS_LEGENDRE_16, gauss_legendre_16};
use cvm_math::tanh_sinh::{Extent, Point, rule};
use cvm_math::{exp, expm1, ln, ln_beta, ln_gamma, ln_rising, log1p, slice};

/// Nodes of one integral at most.
pub(super) const MOST_NODES: u32 = 16_384;
/// An end of the range falls like `e^{−|ξ|}` times its exponent: beyond this over it is nothing.
pub(super) const FADED: f64 = 38.0;

/// Steps to begin with for a feature of this width, `shift` away from the centre.
pub(super) fn density(width: f64, shift: f64) -> f64 {
    (1.2 / width).max(2.0) * (1.0 + 0.2 * shift.max(0.0))
}

/// The time to the next purchase.
pub(super) struct Next {
    pub(super) k: f64,
    /// `R`.
    pub(super) shape: f64,
    /// `A_0`.
    pub(super) last: f64,
    /// `A`.
    pub(super) end: f64,
    /// `s`.
    pub(super) silent: f64,
    /// `ln I_{A_0/A}(R, k)`.
    pub(super) log_silence: f64,
    /// `ln B(k, R)`.
    pub(super) log_beta: f64,
}

impl Next {
    /// `ln P(Y > y)`.
    pub(super) fn ln_later(&self, y: f64) -> f64 {
        let end = self.end + y;
        let (w, rest) = (self.last / end, (self.silent + y) / end);
        if rest == 0.0 {
            return 0.0;
        }
        let reach = ln_incomplete_beta_above(self.log_beta, (self.shape, self.k), w, rest);
        (reach - self.log_silence).min(0.0)
    }

    /// The same to 1e-14 absolute, and cheaper for few whole stages.
    fn ln_later_roughly(&self, y: f64) -> f64 {
        const FEW_STAGES: f64 = 16.0;
        if self.k > FEW_STAGES || self.k.fract() != 0.0 {
            return self.ln_later(y);
        }
        let end = self.end + y;
        let rest = (self.silent + y) / end;
        let (mut term, mut sum) = (1.0, 0.0);
        for stage in 0..self.k as u32 {
            let j = f64::from(stage);
            sum += term;
            term *= (self.shape + j) * rest / (j + 1.0);
        }
        (self.shape * ln(self.last / end) + ln(sum) - self.log_silence).min(0.0)
    }

    /// `ln P(Y ≤ y)`, right however small the probability.
    pub(super) fn ln_by(&self, y: f64) -> f64 {
        /// Above this the complement loses at most a digit.
        const LIKELY_LATER: f64 = -0.1;
        if y == 0.0 {
            return f64::NEG_INFINITY;
        }
        if y < self.silent && self.is_rare(y) {
            return self.ln_mass(y);
        }
        let later = self.ln_later_roughly(y);
        if later < LIKELY_LATER {
            return log1p(-exp(later));
        }
        if y < self.silent {
            return self.ln_mass(y);
        }
        let below = |y: f64| {
            let (u, rest) = (
                (self.silent + y) / (self.end + y),
                self.last / (self.end + y),
            );
            ln_incomplete_beta_with(self.log_beta, (self.k, self.shape), u, rest)
        };
        let reach = below(y);
        if self.silent == 0.0 {
            return reach;
        }
        reach + ln_one_minus_exp((below(0.0) - reach).min(0.0)) - self.log_silence
    }

    /// Whether the density, which is smooth up to `s`, leaves a small chance of `Y ≤ y`.
    fn is_rare(&self, y: f64) -> bool {
        const LOG_RARE: f64 = -2.5;
        self.ln_density(0.0).max(self.ln_density(y)) + ln(y) < LOG_RARE
    }

    /// `ln P(Y ≤ y)` for `y` below `s`, where `f` has no singularity near.
    fn ln_mass(&self, y: f64) -> f64 {
        let now = self.ln_density(0.0);
        now + ln(gauss_legendre_16(|y| exp(self.ln_density(y) - now), 0.0, y))
    }

    /// `ln f(y)`.
    fn ln_density(&self, y: f64) -> f64 {
        self.ln_density_at(y, ln(self.silent + y))
    }

    /// The same where `y` may underflow, given `ln y`.
    pub(super) fn ln_density_of(&self, y: f64, ln_y: f64) -> f64 {
        if self.silent == 0.0 {
            return self.ln_density_at(y, ln_y);
        }
        self.ln_density(y)
    }

    fn ln_density_at(&self, y: f64, ln_since: f64) -> f64 {
        let since = self.silent + y;
        (self.k - 1.0) * ln_since
            - self.shape * log1p(since / self.last)
            - self.k * ln(self.end + y)
            - self.log_beta
            - self.log_silence
    }

    /// Whether so little is discounted before the next purchase that `1 − E[e^{−δY}]` would cancel.
    pub(super) fn is_slow(&self, delta: f64) -> bool {
        const LITTLE: f64 = 1e-4;
        self.silent > 0.0 && delta * self.k * self.end < LITTLE * self.shape
    }

    /// `1 − E[e^{−δY}]` at one rate, by the moments of `Y`, where that is short: of `S = s + Y`, with
    /// `x = λs` and `q` the chance of the silence,
    ///
    /// ```text
    /// E[S^j] = k(k+1)…(k+j−1)/λ^j · Q(k+j, x)/q,     Q(k+1, x) = Q(k, x) + x^k e^{−x}/Γ(k+1)
    /// ```
    pub(super) fn waited(&self, rate: f64, delta: f64, ln_quiet: f64) -> Option<f64> {
        const SHORT: f64 = 1e-4;
        let (k, x, pace) = (self.k, rate * self.silent, delta / rate);
        if pace * (k + 4.0) > SHORT {
            return None;
        }
        let mut more = exp(k * ln(x) - x - ln_gamma(k + 1.0) - ln_quiet);
        let (mut chance, mut rising) = (1.0, 1.0);
        let mut since = [1.0; 4];
        for (j, moment) in (0u32..).map(f64::from).zip(since.iter_mut().skip(1)) {
            chance += more;
            rising *= k + j;
            *moment = rising * chance;
            more *= x / (k + j + 1.0);
        }
        let [_, s1, s2, s3] = since;
        let y1 = s1 - x;
        let y2 = s2 - x * (2.0 * s1 - x);
        let y3 = s3 - x * (3.0 * s2 - x * (3.0 * s1 - x));
        Some(pace * (y1 - pace * (y2 / 2.0 - pace * y3 / 6.0)))
    }

    /// The counts up to `t`, stage by stage, for small whole `k`.
    pub(super) fn stages(&self, t: f64) -> Option<Stages> {
        let z = t / (self.end + t);
        let log_rest = -log1p(t / self.end);
        Stages::new(self.k, self.shape, self.silent / self.end, (z, log_rest))
    }

    /// How far from the centre, on the logarithm of a time up to `t`, the density bends: for `k ≠ 1`
    /// where `y` is as long as the silence.
    pub(super) fn bend(&self, t: f64) -> f64 {
        if self.k == 1.0 || self.silent == 0.0 {
            return 0.0;
        }
        log1p(t / self.silent)
    }

    /// Width of `ln Y`, at most 1.
    pub(super) fn width(&self) -> f64 {
        (1.0 / self.k + 1.0 / self.shape).sqrt().min(1.0)
    }
}

/// What a moment of the future is worth, `s` periods from now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Worth {
    /// `e^{−δs}`.
    Discount(f64),
    /// `∫_0^s e^{−δq} dq`.
    Periods(f64),
    /// `(1 + s/c)^−a e^{−δs}`: discounted, and only if the customer stays that long.
    Alive {
        /// `a`.
        shape: f64,
        /// `c`, in periods.
        scale: f64,
        /// `δ`.
        delta: f64,
    },
}

impl Worth {
    /// Everything is worth 1.
    fn is_none(self) -> bool {
        matches!(self, Worth::Discount(0.0))
    }

    /// Rate at which it falls at first.
    pub(super) fn delta(self) -> f64 {
        match self {
            Worth::Discount(delta) | Worth::Periods(delta) => delta,
            Worth::Alive {
                shape,
                scale,
                delta,
            } => shape / scale + delta,
        }
    }

    /// At `s`.
    pub(super) fn at(self, s: f64) -> f64 {
        match self {
            Worth::Discount(delta) => exp(-delta * s),
            Worth::Periods(0.0) => s,
            Worth::Periods(delta) => -expm1(-delta * s) / delta,
            Worth::Alive {
                shape,
                scale,
                delta,
            } => exp(-shape * log1p(s / scale) - delta * s),
        }
    }
}

/// `∫_0^Y W(s) f(y) dy` over the time of the next purchase, `s = (y + vA)/(1−v)`: tanh-sinh with the
/// same nodes `y = Yu` for every `Y` up to the horizon.
pub(super) struct Worthy<'a> {
    next: &'a Next,
    worth: Worth,
    /// Nodes `u`, and the logarithms of their weights.
    nodes: Vec<(Point, f64)>,
}

impl<'a> Worthy<'a> {
    /// For horizons up to `t`.
    pub(super) fn new(next: &'a Next, worth: Worth, t: f64) -> Self {
        /// Steps that leave an error of `e^{−50}` in the strip of analyticity `|Im θ| < 1`; where the
        /// integrand falls like `e^{−e^ξ}`, which tames only half of it, `e^{−25}`.
        const DENSITY: f64 = 8.0;
        let near = log1p(t * (next.shape / next.end + worth.delta()));
        let far = near.max(next.bend(t)) / std::f64::consts::PI;
        let mut fades = FADED / next.k.min(1.0);
        if next.silent > 0.0 {
            // Of times shorter than the silence all are alike.
            fades = fades.min(FADED + log1p(t / next.silent));
        }
        let extent = Extent {
            left: fades + near + 3.0,
            right: FADED,
            density: DENSITY * (1.0 + far * far).sqrt() / next.width(),
            most_nodes: 8192,
        };
        Worthy {
            next,
            worth,
            nodes: rule(extent),
        }
    }

    /// Logarithm of the integral up to `most = Y`, given `v` and `1 − v`.
    pub(super) fn ln_up_to(&self, most: f64, (v, rest): (f64, f64)) -> f64 {
        let next = self.next;
        /// Nodes that cost more than [`Next::ln_by`] does.
        const MANY: usize = 48;
        if self.worth.is_none() && (self.nodes.is_empty() || self.nodes.len() > MANY) {
            return next.ln_by(most);
        }
        if self.nodes.is_empty() {
            return f64::NAN;
        }
        let times: Vec<f64> = self.nodes.iter().map(|(at, _)| most * at.u).collect();
        let since: Vec<f64> = times.iter().map(|y| next.silent + y).collect();
        let mut logs: Vec<f64> = since.iter().map(|since| since / next.last).collect();
        slice::log1p_in_place(&mut logs);
        for log in &mut logs {
            *log *= -(next.shape + next.k);
        }
        if next.k != 1.0 {
            for (log, ln_since) in logs.iter_mut().zip(self.ln_since(&since, most)) {
                *log += (next.k - 1.0) * ln_since;
            }
        }
        let later = |y: &f64| (y + v * next.end) / rest;
        for ((log, y), (_, weight)) in logs.iter_mut().zip(&times).zip(&self.nodes) {
            *log += weight;
            if let Worth::Discount(delta) = self.worth {
                *log -= delta * later(y);
            }
        }
        if let Worth::Alive {
            shape,
            scale,
            delta,
        } = self.worth
        {
            let moments: Vec<f64> = times.iter().map(later).collect();
            let mut growth: Vec<f64> = moments.iter().map(|s| s / scale).collect();
            slice::log1p_in_place(&mut growth);
            for (log, (growth, s)) in logs.iter_mut().zip(growth.iter().zip(&moments)) {
                *log -= shape * growth + delta * s;
            }
        }
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for log in &mut logs {
            *log -= largest;
        }
        slice::exp_in_place(&mut logs);
        if let Worth::Periods(_) = self.worth {
            let worth = self.periods(times.iter().map(later).collect());
            for (log, worth) in logs.iter_mut().zip(worth) {
                *log *= worth;
            }
        }
        let sum = logs.iter().sum::<f64>();
        largest + ln(sum * most) - next.k * ln(next.last) - next.log_beta - next.log_silence
    }

    /// `ln(s + y)`; from `ln u` where `y` alone may underflow.
    fn ln_since(&self, since: &[f64], most: f64) -> Vec<f64> {
        if self.next.silent == 0.0 {
            let ln_most = ln(most);
            return self.nodes.iter().map(|(at, _)| ln_most + at.ln_u).collect();
        }
        let mut logs = vec![0.0; since.len()];
        slice::ln(since, &mut logs);
        logs
    }

    /// The worth of moments in [`Worth::Periods`].
    fn periods(&self, mut moments: Vec<f64>) -> Vec<f64> {
        let delta = self.worth.delta();
        if delta > 0.0 {
            for moment in &mut moments {
                *moment *= -delta;
            }
            slice::expm1_in_place(&mut moments);
            for moment in &mut moments {
                *moment /= -delta;
            }
        }
        moments
    }
}

/// What is summed over the purchases after the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Weigh {
    /// `E[(1−p)^{m−1}]`: the `m`-th is made if the customer has not left before.
    Purchases,
    /// `E[p(1−p)^{m−1}]`: the customer leaves right after it.
    Leaving,
}

/// `g(v) = Σ_m q_m · v^{km−1} (1−v)^{R'−1} / B(km, R')` for `v ≤ z`, with `R' = R + k`.
pub(super) struct Later {
    k: f64,
    /// `R'`.
    pub(super) shape: f64,
    /// `a` and `B` of the chance to leave.
    leaving: (f64, f64),
    ln_z: f64,
    /// Terms `m = 1, 2, …` as logarithms of `q_m/B(km, R')`.
    logs: Vec<f64>,
    /// The same times `z^{km}`, over the largest; empty where their range is too wide.
    scaled: Vec<f64>,
    /// Logarithm of the largest.
    log_largest: f64,
    /// The sum beyond the terms as an integral over `m`: `(m, log of weight and coefficient)`.
    beyond: Vec<(f64, f64)>,
}

/// Terms summed one by one before the rest is integrated, at least.
const FEW_TERMS: f64 = 512.0;
/// And at most.
const MOST_TERMS: f64 = 20_000.0;
/// `e^{−x}` beyond this is nothing beside the rest.
const NOTHING: f64 = 42.0;

impl Later {
    /// `p ~ Beta(a, stay)` after the next purchase; `z = t/(A+t)`, `rest = 1 − z`.
    pub(super) fn new(
        weigh: Weigh,
        (a, stay): (f64, f64),
        (k, shape): (f64, f64),
        (z, rest): (f64, f64),
    ) -> Self {
        let reach = (shape + 12.0 * shape.sqrt() + 60.0) * (1.0 + 1.0 / shape) / (k * rest);
        let needed = (reach * z).ceil().max(3.0) + 40.0 / k;
        // Below their mean the counts of small `k` fall like `z^{km}` alone.
        // The terms are smooth in `m` on a scale of `m/√R'`.
        let terms = needed
            .min((250.0 * shape.sqrt()).clamp(FEW_TERMS, MOST_TERMS))
            .floor();
        let coefficient = Coefficient {
            weigh,
            a,
            stay,
            k,
            shape,
            ln_gamma_shape: ln_gamma(shape),
        };
        let mut later = Later {
            k,
            shape,
            leaving: (a, stay),
            ln_z: -log1p(rest / z),
            logs: coefficient.first(terms as usize),
            scaled: Vec::new(),
            log_largest: 0.0,
            beyond: Vec::new(),
        };
        if needed > terms + 1.0 {
            later.integrate_beyond(&coefficient, terms, needed);
        }
        later.scale(rest);
        later
    }

    /// Euler-Maclaurin at `M + 1/2`: `Σ_{m>M} φ = ∫ φ dm + (φ(M+1) − φ(M))/24`, the integral by
    /// Gauss-Legendre in `ln m`.
    fn integrate_beyond(&mut self, coefficient: &Coefficient, terms: f64, needed: f64) {
        const PANELS: f64 = 400.0;
        if let Some(log) = self.logs.last_mut() {
            *log += log1p(-1.0 / 24.0);
        }
        let next = terms + 1.0;
        self.beyond.push((next, coefficient.ln_at(next) - ln(24.0)));
        let (low, high) = (ln(terms + 0.5), ln(needed * 4.0));
        let longest = (4.0 / self.shape.sqrt()).min(0.5);
        let panels = ((high - low) / longest).ceil().clamp(1.0, PANELS);
        let radius = 0.5 * (high - low) / panels;
        for panel in 0..panels as u32 {
            let middle = low + radius * (2.0 * f64::from(panel) + 1.0);
            for (node, weight) in GAUSS_LEGENDRE_16 {
                for side in [-1.0, 1.0] {
                    let log_m = middle + side * radius * node;
                    let m = exp(log_m);
                    self.beyond
                        .push((m, coefficient.ln_at(m) + ln(weight * radius) + log_m));
                }
            }
        }
    }

    /// Takes the terms out of their logarithms if no product of powers can leave the doubles.
    fn scale(&mut self, rest: f64) {
        const WIDEST: f64 = 300.0;
        if -self.shape * ln(rest) > WIDEST {
            return;
        }
        let places = (1u32..).map(|m| self.k * f64::from(m) * self.ln_z);
        let mut logs: Vec<f64> = self.logs.iter().zip(places).map(|(l, p)| l + p).collect();
        self.log_largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for log in &mut logs {
            *log -= self.log_largest;
        }
        slice::exp_in_place(&mut logs);
        self.scaled = logs;
    }

    /// `ln g(v)`, given `ln v` and `ln(1 − v)`.
    pub(super) fn ln_density(&self, ln_v: f64, ln_rest: f64) -> f64 {
        /// Powers of a smaller ratio leave the doubles.
        const FARTHEST: f64 = -600.0;
        let front = (self.shape - 1.0) * ln_rest - ln_v;
        let log_ratio = self.k * (ln_v - self.ln_z);
        if self.scaled.is_empty() || log_ratio < FARTHEST {
            return front + self.ln_walk(ln_v);
        }
        let ratio = exp(log_ratio);
        let near = power_sum(&self.scaled, ratio);
        let far = self.beyond.iter().map(|(m, log)| {
            let exponent = log + self.k * m * ln_v - self.log_largest;
            if exponent < -745.0 {
                0.0
            } else {
                exp(exponent)
            }
        });
        front + self.log_largest + ln(near + far.sum::<f64>())
    }

    /// The sum by walking from its largest term to both sides, in strides where the terms are a wide
    /// smooth hill: the trapezoid rule at two thirds of its standard deviation errs by `e^{−44}`.
    fn ln_walk(&self, ln_v: f64) -> f64 {
        let term = |index: usize| self.logs[index] + self.k * (index as f64 + 1.0) * ln_v;
        let start = self.largest(&term);
        let far = || {
            let exponent = |(m, log): &(f64, f64)| log + self.k * m * ln_v;
            self.beyond.iter().map(exponent)
        };
        let top = far().fold(term(start), f64::max);
        let mode = start as f64 + 1.0;
        let spread = self.spread(mode);
        let reach = 12.0 * spread + 3.0;
        let inside = mode > reach && mode + reach < self.logs.len() as f64;
        let stride = if inside {
            (spread / 1.5).max(1.0) as usize
        } else {
            1
        };
        let hill = |places: &mut dyn Iterator<Item = usize>| {
            let mut sum = 0.0;
            for index in places {
                let gap = term(index) - top;
                sum += exp(gap);
                if gap < -NOTHING {
                    break;
                }
            }
            sum
        };
        let above = hill(&mut (start..self.logs.len()).step_by(stride));
        let below = hill(&mut (0..start).rev().skip(stride - 1).step_by(stride));
        let far = far().map(|log| {
            if log - top < -745.0 {
                0.0
            } else {
                exp(log - top)
            }
        });
        top + ln((above + below) * stride as f64 + far.sum::<f64>())
    }

    /// Index of the largest of terms that rise to it and fall from it.
    fn largest(&self, term: &impl Fn(usize) -> f64) -> usize {
        let (mut low, mut high) = (0, self.logs.len() - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if term(middle + 1) > term(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Standard deviation of the hill of terms around its `mode`: 0 where it is no hill.
    ///
    /// ```text
    /// 1/σ² = R' k²/(s(s + R')) − a/((B + m)(a + B + m)),    s = km
    /// ```
    fn spread(&self, mode: f64) -> f64 {
        let (stages, (a, stay)) = (self.k * mode, self.leaving);
        let counts = self.shape * self.k * self.k / (stages * (stages + self.shape));
        let kept = a / ((stay + mode) * (a + stay + mode));
        if counts > kept {
            1.0 / (counts - kept).sqrt()
        } else {
            0.0
        }
    }

    /// Width in `ln v` of the finest part of `g` up to `z`, at most 1.
    pub(super) fn width(&self, z: f64, rest: f64) -> f64 {
        let stages = self.k + self.shape * z / rest;
        (1.0 / stages + 1.0 / self.shape).sqrt().min(1.0)
    }
}

/// Below it three logarithms of gamma functions keep twelve digits, and are cheaper.
const SMALL: f64 = 1000.0;

/// `q_m/B(km, R')`.
struct Coefficient {
    weigh: Weigh,
    a: f64,
    stay: f64,
    k: f64,
    shape: f64,
    ln_gamma_shape: f64,
}

impl Coefficient {
    /// Of `m = 1, 2, …`: the same as [`Coefficient::ln_at`], many at a time.
    fn first(&self, count: usize) -> Vec<f64> {
        let either = self.a + self.stay;
        let before = || (0..count).map(|index| index as f64);
        let mut kept: Vec<f64> = before().map(|m| -self.a / (either + m)).collect();
        slice::log1p_in_place(&mut kept);
        let mut leaving = vec![0.0; count];
        if self.weigh == Weigh::Leaving {
            let shares: Vec<f64> = before().map(|m| self.a / (either + m)).collect();
            slice::ln(&shares, &mut leaving);
        }
        let mut log_kept = 0.0;
        let betas = self.log_betas(count);
        let terms = kept.iter().zip(leaving).zip(betas);
        terms
            .map(|((step, leaving), beta)| {
                let log = log_kept + leaving - beta;
                log_kept += step;
                log
            })
            .collect()
    }

    /// `ln B(km, R')` of `m = 1, 2, …`.
    fn log_betas(&self, count: usize) -> Vec<f64> {
        let stages: Vec<f64> = (1..=count).map(|m| self.k * m as f64).collect();
        let totals: Vec<f64> = stages.iter().map(|stages| stages + self.shape).collect();
        let small = totals.partition_point(|total| *total <= SMALL);
        let (mut logs, mut of_totals) = (vec![0.0; count], vec![0.0; count]);
        slice::ln_gamma(&stages[..small], &mut logs[..small]);
        slice::ln_gamma(&totals[..small], &mut of_totals[..small]);
        for (log, of_total) in logs.iter_mut().zip(&of_totals) {
            *log = *log + self.ln_gamma_shape - of_total;
        }
        for (log, stages) in logs.iter_mut().zip(&stages).skip(small) {
            *log = ln_beta(*stages, self.shape);
        }
        logs
    }

    /// At any `m`.
    fn ln_at(&self, m: f64) -> f64 {
        let before = m - 1.0;
        let kept = ln_rising(self.stay, before) - ln_rising(self.a + self.stay, before);
        kept + self.log_leaving(before) - self.log_beta(m)
    }

    fn log_leaving(&self, before: f64) -> f64 {
        match self.weigh {
            Weigh::Purchases => 0.0,
            Weigh::Leaving => ln(self.a / (self.a + self.stay + before)),
        }
    }

    fn log_beta(&self, m: f64) -> f64 {
        let stages = self.k * m;
        if stages + self.shape > SMALL {
            return ln_beta(stages, self.shape);
        }
        ln_gamma(stages) + self.ln_gamma_shape - ln_gamma(stages + self.shape)
    }
}

/// `Σ_{m≥1} c_m ρ^m` in four interleaved Horner chains.
fn power_sum(coefficients: &[f64], ratio: f64) -> f64 {
    let square = ratio * ratio;
    let fourth = square * square;
    let mut chains = [0.0; 4];
    let (whole, tail) = coefficients.as_chunks::<4>();
    for (chain, coefficient) in chains.iter_mut().zip(tail) {
        *chain = *coefficient;
    }
    for four in whole.iter().rev() {
        for (chain, coefficient) in chains.iter_mut().zip(four) {
            *chain = *chain * fourth + coefficient;
        }
    }
    let [c0, c1, c2, c3] = chains;
    ratio * ((c0 + c1 * ratio) + (c2 + c3 * ratio) * square)
}

//! Panels of Gauss-Legendre nodes for integrals that fall from 0 like powers and exponentials.
//!
//! In `w = ln(1 + u/c)`, `c` the smaller of the two scales, one power is exactly exponential, and
//! the other's singularity lies on the lines `Im w = ±π`; a Gompertz law has its own at `π/b` from
//! the real line in `u`. So a rule of `n` nodes may span a length in `w`, and a fall of the
//! logarithm, that depend on `n` alone; one panel usually suffices.

use super::law::Law;
use super::nodes::Nodes;
use cvm_math::quadrature::GAUSS_LEGENDRE_16;
use cvm_math::{exp, expm1, log1p};

/// Longest panel in `w`.
const LONGEST: f64 = 4.0;
/// Largest change of the logarithm of the integrand within a panel.
const STEEPEST: f64 = 10.0;
/// The integrand is dropped when its logarithm has fallen by this below the largest seen.
const FORGOTTEN: f64 = 50.0;
/// More panels than this: parameters that mean nothing; the answer is NaN.
const MOST_PANELS: u32 = 2_000;

/// A panel in `w`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    pub(super) start: f64,
    pub(super) length: f64,
    pub(super) rule: &'static [(f64, f64)],
}

/// `(1 + u/A)^−p · M(u)^−k · e^{gu}`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Integrand {
    /// `A`.
    pub(super) scale: f64,
    /// `p`.
    pub(super) power: f64,
    pub(super) law: Law,
    /// `k`.
    pub(super) law_power: f64,
    /// `g`.
    pub(super) rate: f64,
}

impl Integrand {
    /// The unit `c` of `w`.
    pub(crate) fn unit(&self) -> f64 {
        self.scale.min(self.law.scale)
    }

    /// The integral from 0 to `end`, which may be infinite, in units of [`Integrand::unit`].
    pub(super) fn total(&self, end: f64) -> f64 {
        let mut nodes = Nodes::<32>::new();
        let mut sum = self.power_tail(end);
        let finished = self.plan(end, |panel| {
            nodes.push(self, panel);
            if nodes.is_full() {
                sum += nodes.sum(self);
            }
        });
        sum += nodes.sum(self);
        if finished { sum } else { f64::NAN }
    }

    /// Panels that cover `(0, end)` or as much of it as matters; whether there was room for them.
    pub(crate) fn plan(&self, end: f64, mut each: impl FnMut(Panel)) -> bool {
        let unit = self.unit();
        let length = if end == f64::INFINITY {
            self.stop() / unit
        } else {
            end / unit
        };
        let length = log1p(length).min(1500.0);
        let mut start = 0.0;
        let mut largest: f64 = 0.0;
        for _ in 0..MOST_PANELS {
            let panel = self.panel(start, length);
            each(panel);
            start = panel.start + panel.length;
            if start >= length {
                return true;
            }
            let (log, hope) = self.log_at(start);
            largest = largest.max(log);
            if log + hope < largest - FORGOTTEN {
                return true;
            }
        }
        false
    }

    /// Where an integral to infinity may stop at the latest: `e^{gu}` is gone, or all is a power.
    fn stop(&self) -> f64 {
        const FAR: f64 = 1e18;
        if self.rate < 0.0 {
            (FORGOTTEN + 10.0) / -self.rate
        } else if self.law.growth == 0.0 {
            (FAR * self.scale.max(self.law.scale)).min(f64::MAX)
        } else {
            f64::MAX
        }
    }

    /// What lies beyond [`Integrand::stop`] of an integral to infinity of powers alone.
    fn power_tail(&self, end: f64) -> f64 {
        if end < f64::INFINITY || self.rate != 0.0 || self.law.growth > 0.0 {
            return 0.0;
        }
        let (log, _) = self.log_at(log1p(self.stop() / self.unit()));
        exp(log) / (self.power + self.law_power - 1.0)
    }

    fn panel(&self, start: f64, end: f64) -> Panel {
        let unit = self.unit();
        let reached = unit + unit * expm1(start);
        let steepness = self.steepness(reached);
        // The slope grows by no more than e^length.
        let by_slope =
            (1.0f64.min(STEEPEST / (3.0 * steepness))).max(LONGEST.min(STEEPEST / self.steepest()));
        let by_law = log1p(self.longest(reached - unit) / reached);
        let rest = end - start;
        let length = rest.min(by_slope).min(by_law);
        let fall = length * steepness * (1.0 + length);
        let near_law = length * reached * self.law.growth;
        Panel {
            start,
            length: if length < rest { length } else { rest },
            rule: rule(length, fall + near_law),
        }
    }

    /// Bound of the slope of the logarithm in `w`, wherever.
    fn steepest(&self) -> f64 {
        self.power + self.law_power + 2.0
    }

    /// The same at one point.
    fn steepness(&self, reached: f64) -> f64 {
        let passed = reached - self.unit();
        let buying = self.power * (reached / (self.scale + passed));
        let leaving = if passed > self.law.exponential_from() {
            // What the hazard has grown to and `e^{gu}` are exponentials both.
            (self.law_power * self.law.growth - self.rate).abs() * reached
        } else {
            self.law_power * (reached / self.law.aged(passed).scale) + self.rate.abs() * reached
        };
        1.0 + buying + leaving
    }

    /// Longest panel in `u` that starts at `u`.
    fn longest(&self, u: f64) -> f64 {
        let by_rate = if self.rate < 0.0 {
            6.0 / -self.rate
        } else {
            f64::INFINITY
        };
        let growth = self.law.growth;
        if growth == 0.0 {
            return by_rate;
        }
        if u > self.law.exponential_from() {
            return by_rate.min(STEEPEST / (self.law.shape * growth));
        }
        // Within 1/b the hazard grows by a factor e at most; in all it stays below b·k.
        let by_hazard = 3.0 * self.law.aged(u).scale / self.law_power;
        let by_law = by_hazard.min(1.0 / growth);
        by_rate.min(by_law.max(4.0 / (growth * (self.law_power + 1.0))))
    }

    /// Logarithm of the integrand in `w`, and by how much it may still rise.
    fn log_at(&self, w: f64) -> (f64, f64) {
        let u = self.unit() * expm1(w);
        let buying = self.power * log1p(u / self.scale);
        let leaving = self.law_power * self.law.ln_growth(u);
        let hope = if self.rate > 0.0 {
            self.rate * (self.law.mode() - u).max(0.0)
        } else {
            0.0
        };
        (self.rate * u - buying - leaving + w, hope)
    }
}

/// The shortest rule for a panel: `fall` bounds the change of the logarithm in it. An exponential
/// that falls by `E` is integrated by `n` nodes with relative error `(n!)⁴ E^{2n}/((2n+1)(2n)!³)`.
fn rule(length: f64, fall: f64) -> &'static [(f64, f64)] {
    if fall <= 0.2 && length <= 0.15 {
        &FOUR
    } else if fall <= 2.0 && length <= 0.8 {
        &EIGHT
    } else {
        &SIXTEEN
    }
}

/// Nodes and weights on (0, 1) from 30-digit roots of the Legendre polynomials.
const FOUR: [(f64, f64); 4] = [
    (0.069_431_844_202_973_71, 0.173_927_422_568_726_93),
    (0.330_009_478_207_571_87, 0.326_072_577_431_273_07),
    (0.669_990_521_792_428_1, 0.326_072_577_431_273_07),
    (0.930_568_155_797_026_3, 0.173_927_422_568_726_93),
];

const EIGHT: [(f64, f64); 8] = [
    (0.019_855_071_751_231_884, 0.050_614_268_145_188_13),
    (0.101_666_761_293_186_64, 0.111_190_517_226_687_24),
    (0.237_233_795_041_835_5, 0.156_853_322_938_943_63),
    (0.408_282_678_752_175_1, 0.181_341_891_689_181),
    (0.591_717_321_247_825, 0.181_341_891_689_181),
    (0.762_766_204_958_164_5, 0.156_853_322_938_943_63),
    (0.898_333_238_706_813_4, 0.111_190_517_226_687_24),
    (0.980_144_928_248_768_1, 0.050_614_268_145_188_13),
];

pub(super) const SIXTEEN: [(f64, f64); 16] = both_halves();

const fn both_halves() -> [(f64, f64); 16] {
    let mut rule = [(0.0, 0.0); 16];
    let mut index = 0;
    while index < 8 {
        let (node, weight) = GAUSS_LEGENDRE_16[index];
        rule[7 - index] = (0.5 - 0.5 * node, 0.5 * weight);
        rule[8 + index] = (0.5 + 0.5 * node, 0.5 * weight);
        index += 1;
    }
    rule
}

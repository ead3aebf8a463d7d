//! Laws of a rate over its logarithm: a trapezoid rule where anything is left of them.
//!
//! Over `x = ln rate` a gamma law falls like `e^{shape·x}` to the left, which is slow where the shape is
//! small; over `u`, `x = centre + u − e^{−u}`, it falls like `e^{−e^{−u}}` on both sides. On equal steps
//! of `u` over what is left of it the error falls like a power of their number.

use crate::peak::Peak;
use cvm_math::{exp, softplus};

/// `e^{−x}` beyond this is nothing beside the rest.
const NOTHING: f64 = 38.0;
/// No window reaches farther.
const FARTHEST: f64 = 1e4;
/// `u` of `x = centre`.
const CENTRE: f64 = 0.567;

/// What is left of a law.
pub(super) struct Window {
    centre: f64,
    low: f64,
    high: f64,
}

/// A node: `x`, and `ln` of the step there in units of that of `u`.
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) ln_slope: f64,
}

fn place(centre: f64, u: f64) -> Place {
    Place {
        x: centre + u - exp(-u),
        ln_slope: softplus(-u),
    }
}

impl Window {
    /// Of a law near `centre`, given by `ln` of its density over `x`, and of what is asked of it, given
    /// by `ln` of a bound.
    pub(super) fn new(
        centre: f64,
        law: impl Fn(f64) -> f64,
        ln_bound: impl Fn(f64) -> f64,
    ) -> Window {
        let height = |u: f64| {
            let at = place(centre, u);
            law(at.x) + at.ln_slope
        };
        let peak = Peak::find(CENTRE, &height);
        let bound_at_peak = ln_bound(place(centre, peak.centre).x);
        let is_left = |u: f64| {
            let fallen = height(u) - peak.top;
            let asked = ln_bound(place(centre, u).x) - bound_at_peak;
            fallen + asked.max(0.0) >= -NOTHING
        };
        let reach = |side: f64| peak.reach(side, FARTHEST, is_left);
        Window {
            centre,
            low: peak.centre - reach(-1.0),
            high: peak.centre + reach(1.0),
        }
    }

    /// `count` equal steps of `u`.
    pub(super) fn places(&self, count: u32) -> impl Iterator<Item = Place> {
        let step = (self.high - self.low) / f64::from(count);
        let (centre, low) = (self.centre, self.low);
        (0..=count).map(move |index| place(centre, low + step * f64::from(index)))
    }
}

/// Logarithms of weights as shares of their sum.
pub(super) fn shares(logs: &mut [f64]) {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for log in &mut *logs {
        *log = exp(*log - most);
        total += *log;
    }
    for share in logs {
        *share /= total;
    }
}

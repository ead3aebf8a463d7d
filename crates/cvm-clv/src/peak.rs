//! The one peak of a logarithm of a density, and how far from it anything is left.

/// Where a density lives.
pub(crate) struct Peak {
    pub(crate) centre: f64,
    /// The logarithm there.
    pub(crate) top: f64,
    pub(crate) width: f64,
}

impl Peak {
    /// Uphill in steps that are halved where both sides are lower, until a step costs little.
    pub(crate) fn find(start: f64, height: &impl Fn(f64) -> f64) -> Self {
        const MOST_STEPS: u32 = 400;
        const SHALLOW: f64 = 0.7;
        let mut step = 1.0;
        let mut peak = Peak {
            centre: start,
            top: height(start),
            width: 1.0,
        };
        for _ in 0..MOST_STEPS {
            let [below, above] = [peak.centre - step, peak.centre + step].map(height);
            if below > peak.top && below >= above {
                (peak.centre, peak.top) = (peak.centre - step, below);
            } else if above > peak.top {
                (peak.centre, peak.top) = (peak.centre + step, above);
            } else {
                let fall = peak.top - 0.5 * (below + above);
                peak.width = step / (2.0 * fall.max(1e-6)).sqrt();
                if fall < SHALLOW {
                    break;
                }
                step *= 0.5;
            }
        }
        peak
    }

    /// Distance on a side, at most `farthest`, beyond which `is_left` says no.
    pub(crate) fn reach(&self, side: f64, farthest: f64, is_left: impl Fn(f64) -> bool) -> f64 {
        // A plateau seems wider than it is.
        let mut reach = 4.0 * self.width.min(1.0);
        while reach < farthest && is_left(self.centre + side * reach) {
            reach *= 1.25;
        }
        reach
    }
}

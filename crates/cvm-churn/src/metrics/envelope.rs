//! The best of many lines at every point of `[0, 1]`, averaged over a beta distribution.
//!
//! Profit at a threshold is a line in the share `γ` of churners who accept an offer; loss at a
//! threshold is a line in the cost share `c`. The best threshold at each point is the upper envelope
//! of the lines (the convex hull of the ROC curve is the same thing seen from its dual side), and an
//! expectation over a beta distribution is a sum of incomplete beta functions over its pieces:
//!
//! ```text
//! ∫ (γ a − b) h(γ) dγ over (l, u) = a · α/(α+β) · (I_u(α+1, β) − I_l(α+1, β)) − b · (I_u(α, β) − I_l(α, β))
//! ```

use super::MetricError;
use cvm_math::{exp, hyp2f1, ln, ln_beta, log1p};

/// `slope · γ + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
}

/// A piece of the envelope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Piece {
    /// Which line is best.
    pub(crate) line: usize,
    /// Probability of the piece.
    pub(crate) probability: f64,
    /// Expectation of `γ` on the piece.
    pub(crate) first_moment: f64,
}

impl Piece {
    /// Its part of the expected value.
    pub(crate) fn value(&self, lines: &[Line]) -> f64 {
        let line = lines[self.line];
        line.slope * self.first_moment + line.intercept * self.probability
    }
}

/// A beta distribution on `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaWeights {
    alpha: f64,
    beta: f64,
}

impl BetaWeights {
    /// With shapes `alpha` and `beta`.
    ///
    /// # Errors
    /// A shape that is not a number from 0.01 to 10 000.
    pub fn new(alpha: f64, beta: f64) -> Result<BetaWeights, MetricError> {
        for (name, value) in [("alpha", alpha), ("beta", beta)] {
            if !(0.01..=10_000.0).contains(&value) {
                return Err(MetricError::Argument {
                    name,
                    value,
                    allowed: "a number from 0.01 to 10000",
                });
            }
        }
        Ok(BetaWeights { alpha, beta })
    }

    /// Mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// Probability of `(0, x)`, and `E[γ; γ < x]`.
    fn below(&self, x: f64) -> (f64, f64) {
        let BetaWeights { alpha, beta } = *self;
        (
            incomplete_beta(x, alpha, beta),
            self.mean() * incomplete_beta(x, alpha + 1.0, beta),
        )
    }
}

/// Regularised incomplete beta function `I_x(a, b)`: DLMF 8.17.7 on the side where the series is
/// short, `1 − I_{1−x}(b, a)` on the other.
pub(crate) fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - lower_beta(1.0 - x, b, a);
    }
    lower_beta(x, a, b)
}

fn lower_beta(x: f64, a: f64, b: f64) -> f64 {
    let factor = exp(a * ln(x) + b * log1p(-x) - ln(a) - ln_beta(a, b));
    (factor * hyp2f1(a + b, 1.0, a + 1.0, x)).clamp(0.0, 1.0)
}

/// The pieces of the upper envelope over `[0, 1]`, left to right.
pub(crate) fn envelope(lines: &[Line], weights: &BetaWeights) -> Vec<Piece> {
    let hull = hull(lines);
    let mut pieces = Vec::with_capacity(hull.len());
    let mut start = weights.below(0.0);
    for (place, (line, _)) in hull.iter().enumerate() {
        let end = hull.get(place + 1).map_or(1.0, |(_, from)| from.min(1.0));
        let until = weights.below(end);
        pieces.push(Piece {
            line: *line,
            probability: until.0 - start.0,
            first_moment: until.1 - start.1,
        });
        start = until;
    }
    pieces
}

/// Lines of the upper envelope on `[0, 1]` with the point each begins at, in order of slope; of
/// lines that are the same, the first.
fn hull(lines: &[Line]) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&lines[*a], &lines[*b]);
        let slopes = a.slope.total_cmp(&b.slope);
        slopes.then(b.intercept.total_cmp(&a.intercept))
    });
    let mut kept: Vec<(usize, f64)> = Vec::new();
    for next in order {
        let own = &lines[next];
        loop {
            let Some((last, from)) = kept.last().copied() else {
                kept.push((next, 0.0));
                break;
            };
            let top = &lines[last];
            if own.slope <= top.slope {
                break;
            }
            let cross = (top.intercept - own.intercept) / (own.slope - top.slope);
            if cross <= from {
                kept.pop();
                continue;
            }
            if cross < 1.0 {
                kept.push((next, cross));
            }
            break;
        }
    }
    // A line that was popped down to nothing begins at 0 again.
    if let Some(first) = kept.first_mut() {
        first.1 = 0.0;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{BetaWeights, Line, envelope, hull, incomplete_beta};

    /// `I_x(a, b)` by mpmath's `betainc(a, b, 0, x, regularized=True)`, 30 digits.
    #[test]
    fn incomplete_beta_is_that_of_mpmath() {
        let cases = [
            (0.3, 6.0, 14.0, 0.526_137_475_726_485_8),
            (0.05, 6.0, 14.0, 0.000_240_689_876_760_223_7),
            (0.9, 7.0, 14.0, 0.999_999_999_784_532),
            (0.5, 2.0, 2.0, 0.5),
            (0.001, 0.5, 0.5, 0.020_135_041_633_377_49),
            (0.999, 0.5, 3.0, 0.999_999_999_687_382_7),
            (0.7, 500.0, 200.0, 0.200_379_174_826_839_4),
        ];
        for (x, a, b, want) in cases {
            let got = incomplete_beta(x, a, b);
            assert!(
                (got - want).abs() <= 1e-12 * want,
                "I_{x}({a}, {b}) = {got}, not {want}"
            );
        }
        assert_eq!(incomplete_beta(0.0, 2.0, 3.0), 0.0);
        assert_eq!(incomplete_beta(1.0, 2.0, 3.0), 1.0);
    }

    #[test]
    fn the_envelope_is_the_largest_line_everywhere() {
        let line = |i: u32| {
            let slope = f64::from((i * 17) % 41) - 20.0;
            let intercept = f64::from((i * 23) % 7) / 10.0 - slope * slope / 40.0;
            Line { slope, intercept }
        };
        let lines: Vec<Line> = (0..60).map(line).collect();
        let hull = hull(&lines);
        assert!(hull.len() > 2);
        for step in 0..=1000 {
            let x = f64::from(step) / 1000.0;
            let value = |line: &Line| line.slope * x + line.intercept;
            let best = lines.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
            let own = hull.iter().rev().find(|(_, from)| *from <= x).unwrap();
            assert!((value(&lines[own.0]) - best).abs() < 1e-12, "at {x}");
        }
    }

    #[test]
    fn the_expectation_is_that_of_a_fine_sum() {
        let lines = [
            Line {
                slope: 0.0,
                intercept: 0.0,
            },
            Line {
                slope: 3.0,
                intercept: -0.5,
            },
            Line {
                slope: 10.0,
                intercept: -4.0,
            },
        ];
        let weights = BetaWeights::new(2.0, 3.0).unwrap();
        let pieces = envelope(&lines, &weights);
        let got: f64 = pieces.iter().map(|piece| piece.value(&lines)).sum();
        let steps = 100_000;
        let mut want = 0.0;
        for step in 0..steps {
            let x = (f64::from(step) + 0.5) / f64::from(steps);
            let best = lines
                .iter()
                .map(|l| l.slope * x + l.intercept)
                .fold(f64::MIN, f64::max);
            want += best * 12.0 * x * (1.0 - x) * (1.0 - x) / f64::from(steps);
        }
        assert!((got - want).abs() < 1e-9, "{got} is not {want}");
        let all: f64 = pieces.iter().map(|piece| piece.probability).sum();
        assert!((all - 1.0).abs() < 1e-14);
    }
}

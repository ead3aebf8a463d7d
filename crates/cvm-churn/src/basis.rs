//! Natural cubic spline basis: cubic between knots, linear beyond them.
//!
//! | symbol | meaning                                                        |
//! |--------|----------------------------------------------------------------|
//! | `k_1 < … < k_K` | knots, in the unit of the column                      |
//! | `(u)₊` | `max(u, 0)`                                                    |
//!
//! ```text
//! b_0(x) = x
//! b_j(x) = [ (x−k_j)₊³ − (x−k_{K−1})₊³ (k_K−k_j)/(k_K−k_{K−1})
//!                      + (x−k_K)₊³ (k_{K−1}−k_j)/(k_K−k_{K−1}) ] / (k_K−k_1)²,   j = 1 … K−2
//! ```
//! Source: Harrell, *Regression Modeling Strategies*, 2nd ed., section 2.4.5; knot quantiles from
//! its table 2.3.
//!
//! Beyond `k_K` the cubes cancel to a line, which is evaluated as such: nothing is lost however far
//! out a value lies.

/// Quantiles of the knots by their number, 3 to 7.
pub(crate) fn knot_quantiles(count: usize) -> &'static [f64] {
    match count {
        0..=3 => &[0.1, 0.5, 0.9],
        4 => &[0.05, 0.35, 0.65, 0.95],
        5 => &[0.05, 0.275, 0.5, 0.725, 0.95],
        6 => &[0.05, 0.23, 0.41, 0.59, 0.77, 0.95],
        _ => &[0.025, 0.1833, 0.3417, 0.5, 0.6583, 0.8167, 0.975],
    }
}

/// A spline over fixed knots, or a plain line when it has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Basis {
    knots: Vec<f64>,
    bends: Vec<Bend>,
    last: f64,
}

/// One curved term `b_j`.
#[derive(Debug, Clone, PartialEq)]
struct Bend {
    knot: f64,
    before_last: f64,
    /// `(k_K−k_j)/(k_K−k_{K−1})`.
    share: f64,
    /// `(k_K−k_1)²`.
    norm: f64,
    /// Slope beyond the last knot.
    end_slope: f64,
}

impl Basis {
    /// A basis over strictly increasing finite knots: none, or at least three.
    pub(crate) fn new(knots: Vec<f64>) -> Option<Basis> {
        let increasing = knots.windows(2).all(|pair| pair[0] < pair[1]);
        let finite = knots.iter().all(|knot| knot.is_finite());
        if !increasing || !finite || matches!(knots.len(), 1 | 2) {
            return None;
        }
        let (Some(first), [.., before_last, last]) = (knots.first().copied(), &knots[..]) else {
            return Some(Basis {
                knots,
                bends: Vec::new(),
                last: f64::INFINITY,
            });
        };
        let (before_last, last) = (*before_last, *last);
        let norm = (last - first) * (last - first);
        let bend = |knot: &f64| {
            let share = (last - knot) / (last - before_last);
            let (far, near) = (last - knot, last - before_last);
            Bend {
                knot: *knot,
                before_last,
                share,
                norm,
                end_slope: 3.0 * (far * far - near * near * share) / norm,
            }
        };
        let bends: Vec<Bend> = knots[..knots.len() - 2].iter().map(bend).collect();
        // Knots too close or too far apart for f64 would put infinities into scores.
        let usable = |b: &Bend| b.share.is_finite() && b.norm > 0.0 && b.end_slope.is_finite();
        bends
            .iter()
            .all(usable)
            .then_some(Basis { knots, bends, last })
    }

    /// Number of columns: the line and the bends.
    pub(crate) fn column_count(&self) -> usize {
        1 + self.bends.len()
    }

    /// Knots, empty for a line.
    pub(crate) fn knots(&self) -> &[f64] {
        &self.knots
    }

    /// Value of column `column` (0 is the line) at `x`.
    #[inline]
    pub(crate) fn value(&self, column: usize, x: f64) -> f64 {
        match column.checked_sub(1).and_then(|j| self.bends.get(j)) {
            None => x,
            Some(bend) => bend.value(x, self.last),
        }
    }
}

impl Bend {
    #[inline]
    fn value(&self, x: f64, last: f64) -> f64 {
        let inside = if x < last { x } else { last };
        let beyond = x - inside;
        let cubes = cube(inside - self.knot) - cube(inside - self.before_last) * self.share;
        cubes / self.norm + beyond * self.end_slope
    }
}

#[inline]
fn cube(u: f64) -> f64 {
    let u = if u > 0.0 { u } else { 0.0 };
    u * u * u
}

#[cfg(test)]
mod tests {
    use super::{Basis, knot_quantiles};

    fn formula(k: &[f64], j: usize, x: f64) -> f64 {
        let n = k.len();
        let cube = |u: f64| if u > 0.0 { u * u * u } else { 0.0 };
        let gap = k[n - 1] - k[n - 2];
        let all = cube(x - k[j]) - cube(x - k[n - 2]) * (k[n - 1] - k[j]) / gap
            + cube(x - k[n - 1]) * (k[n - 2] - k[j]) / gap;
        all / ((k[n - 1] - k[0]) * (k[n - 1] - k[0]))
    }

    #[test]
    fn the_basis_is_the_published_one() {
        let knots = vec![1.0, 9.0, 29.0, 48.0, 71.0];
        let basis = Basis::new(knots.clone()).unwrap();
        assert_eq!(basis.column_count(), 4);
        for step in 0..400 {
            let x = f64::from(step) * 0.25 - 5.0;
            assert_eq!(basis.value(0, x), x);
            for j in 0..3 {
                let (got, want) = (basis.value(j + 1, x), formula(&knots, j, x));
                assert!(
                    (got - want).abs() < 1e-11 * (1.0 + want.abs()),
                    "{x} {j}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn far_beyond_the_knots_it_is_a_line() {
        let basis = Basis::new(vec![0.0, 1.0, 2.0]).unwrap();
        let (a, b) = (basis.value(1, 1e12), basis.value(1, 2e12));
        assert!((b / a - 2.0).abs() < 1e-11);
        assert_eq!(basis.value(1, -1e300), 0.0);
        assert!(basis.value(1, 1e300).is_finite());
    }

    #[test]
    fn unusable_knots_are_refused() {
        assert!(Basis::new(vec![]).is_some());
        assert!(Basis::new(vec![0.0, 1.0]).is_none());
        assert!(Basis::new(vec![0.0, 1.0, 1.0]).is_none());
        assert!(Basis::new(vec![0.0, f64::NAN, 1.0]).is_none());
        assert!(Basis::new(vec![0.0, 1e-320, 2e-320]).is_none());
        for count in 3..=7 {
            assert_eq!(knot_quantiles(count).len(), count);
        }
    }
}

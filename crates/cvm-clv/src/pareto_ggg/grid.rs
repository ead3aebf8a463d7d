//! The likelihood of one customer as a sum over regularities `k` on a grid that all customers share.
//!
//! The joint density of `ξ = ln k` and what was seen is analytic and has one peak: the trapezoid rule
//! over multiples of `2^−level/4` converges like `e^{−2π·strip/step}`. The level follows the width of
//! the peak; where the sums over even and odd nodes differ, it is raised. As the places are shared,
//! so are the Gauss rules of [`super::quiet`].

use super::gap::{Fate, Gap, Slopes};
use super::quiet::{RULES_PER_UNIT, SMALL};
use super::rhythm::Rhythm;
use super::{ParetoGgg, ln_sum};
use crate::rfm::Rfm;
use cvm_math::{exp, ln, log_add_exp};

/// Nodes per unit of `ξ` at level 0.
const COARSE: f64 = 4.0;
/// No finer.
const MOST_LEVEL: i32 = 40;
/// Nodes at most.
const MOST_NODES: usize = 4096;
/// Weights below `e^−x` of the largest are nothing.
const NOTHING: f64 = 36.0;
/// Sums over even and odd nodes that agree to this leave an error of its square.
const AGREE: f64 = 4e-6;

/// `e^ξ`.
pub(super) fn regularity(xi: f64) -> f64 {
    exp(xi)
}

/// One regularity: its share of the likelihood, and the slopes there.
pub(super) struct Node {
    /// `ln k`.
    pub(super) xi: f64,
    /// Logarithm of the density times the step.
    pub(super) log: f64,
    pub(super) slopes: Slopes,
    is_even: bool,
}

/// The grid of one customer.
struct Grid<'a> {
    rhythm: Rhythm<'a>,
    with_slopes: bool,
    level: i32,
}

/// The nodes of one customer's likelihood; `None` where they would be too many.
pub(super) fn nodes(model: &ParetoGgg, row: &Rfm, with_slopes: bool) -> Option<Vec<Node>> {
    let rhythm = Rhythm::new(model, row);
    let (centre, level) = peak(&rhythm, ln(model.t / model.gamma))?;
    let mut grid = Grid {
        rhythm,
        with_slopes,
        level,
    };
    let mut place = centre;
    while grid.level <= MOST_LEVEL {
        let nodes = grid.march(place)?;
        if settled(&nodes) {
            return Some(nodes);
        }
        grid.level += 1;
        place *= 2;
    }
    None
}

/// Where the density of the purchases has its peak, and the level its width asks for.
fn peak(rhythm: &Rhythm<'_>, start: f64) -> Option<(i64, i32)> {
    const MOST_STEPS: u32 = 400;
    const SHALLOW: f64 = 0.7;
    /// Steps over the width of a peak.
    const FINE: f64 = 1.7;
    const FIRST_LEVEL: i32 = -2;
    let mut level = FIRST_LEVEL;
    let mut place = (start / step(level)).round();
    let mut top = rhythm.ln_front_at(place * step(level));
    for _ in 0..MOST_STEPS {
        let [below, above] =
            [place - 1.0, place + 1.0].map(|at| rhythm.ln_front_at(at * step(level)));
        if below > top && below >= above {
            (place, top) = (place - 1.0, below);
        } else if above > top {
            (place, top) = (place + 1.0, above);
        } else {
            let fall = top - 0.5 * (below + above);
            if level >= 0 && fall < SHALLOW {
                let width = step(level) / (2.0 * fall.max(1e-6)).sqrt();
                let mut fine = level;
                while step(fine) * FINE > width {
                    fine += 1;
                }
                return Some(((place * step(level) / step(fine)) as i64, fine));
            }
            if level == MOST_LEVEL {
                break;
            }
            level += 1;
            place *= 2.0;
        }
    }
    None
}

/// Distance of the nodes.
fn step(level: i32) -> f64 {
    let mut step = 1.0 / COARSE;
    for _ in 0..level {
        step *= 0.5;
    }
    for _ in level..0 {
        step *= 2.0;
    }
    step
}

fn settled(nodes: &[Node]) -> bool {
    let of = |is_even: bool| {
        let own = nodes.iter().filter(|node| node.is_even == is_even);
        ln_sum(&own.map(|node| node.log).collect::<Vec<f64>>())
    };
    let (even, odd) = (of(true), of(false));
    // Also where there is nothing, or no number.
    let gap = (even - odd).abs();
    gap.is_nan() || gap <= AGREE
}

impl Grid<'_> {
    /// From the peak both ways to where nothing is left.
    fn march(&self, centre: i64) -> Option<Vec<Node>> {
        let mut nodes = vec![self.node(centre, f64::NEG_INFINITY)];
        let mut best = nodes[0].log;
        for side in [1, -1] {
            let mut last = nodes[0].log;
            let mut place = centre;
            loop {
                place += side;
                let node = self.node(place, best);
                let log = node.log;
                if log.is_nan() || nodes.len() == MOST_NODES {
                    return None;
                }
                best = best.max(log);
                let is_over = log < best - NOTHING && log <= last;
                last = log;
                nodes.push(node);
                if is_over {
                    break;
                }
            }
        }
        Some(nodes)
    }

    /// The node at a place; `best` is the largest weight so far, beside which an error may vanish.
    fn node(&self, place: i64, best: f64) -> Node {
        let step = step(self.level);
        let xi = place as f64 * step;
        let k = regularity(xi);
        let gap = self.rhythm.gap(k);
        let front = self.rhythm.ln_front_at(xi) + ln(step);
        // An error of the complement's last digit is one of `front` times that.
        let is_minor = front + ln(SMALL) <= best;
        let least = if is_minor { f64::NEG_INFINITY } else { SMALL };
        let (quiet, slopes) = gap
            .quiet(self.rule(place), least, self.with_slopes)
            .unwrap_or_else(|| by_fates(&gap, self.with_slopes));
        Node {
            xi,
            log: front + quiet,
            slopes,
            is_even: place % 2 == 0,
        }
    }

    /// The rule of a place, where the grid of the rules has it.
    fn rule(&self, place: i64) -> Option<i32> {
        let per_unit = COARSE / step(self.level) * step(0);
        let times = f64::from(RULES_PER_UNIT) / per_unit;
        (times >= 1.0)
            .then(|| i32::try_from(place).ok())
            .flatten()
            .and_then(|place| place.checked_mul(times as i32))
    }
}

/// The same from its two positive parts: where their sum is small, or the gap spread widely.
fn by_fates(gap: &Gap<'_>, with_slopes: bool) -> (f64, Slopes) {
    if !with_slopes {
        return (gap.ln_by_fates(), Slopes::default());
    }
    let none = || (f64::NEG_INFINITY, Slopes::default());
    let [silent, left] =
        [Fate::Silent, Fate::Left].map(|fate| gap.slopes(fate).unwrap_or_else(none));
    let log = log_add_exp(silent.0, left.0);
    let mut slopes = Slopes::default();
    for (part, own) in [silent, left] {
        let share = exp(part - log);
        if share > 0.0 {
            slopes.add_share(share, &own);
        }
    }
    (log, slopes)
}

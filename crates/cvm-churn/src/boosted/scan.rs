//! The search for the best split of one or several leaves by one question.
//!
//! | symbol   | meaning                                         |
//! |----------|-------------------------------------------------|
//! | `G`, `H` | summed gradient and curvature of a leaf         |
//! | `λ`      | L2 penalty                                      |
//! | gain     | `G_L²/(H_L+λ) + G_R²/(H_R+λ) − G²/(H+λ)`, added over the leaves |
//!
//! A side with less than the least curvature makes no gain: its leaf counts as not split. Putting
//! `L` levels of noise in order and cutting between them gains `2/π · L` in expectation. The best of a
//! number's many cuts gains by chance too, about what eight levels gain, so only levels beyond the
//! twelfth are charged: `level_gain` each.
//!
//! Source: Chen & Guestrin (2016), *XGBoost*, equation 7; of all leaves of a level by one question:
//! Prokhorenkova et al. (2018), *CatBoost*, section 4.

use super::bins::Field;
use super::category;
use super::gradient::Steps;
use super::histogram::Histogram;
use super::panel::Panel;

/// Gains up to this are rounding.
const LEAST_GAIN: f64 = 1e-9;

/// What splits cost and how small sides may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Penalty {
    pub(crate) l2: f64,
    pub(crate) least: f64,
    /// Least gain of a split per leaf it is asked of.
    pub(crate) gain: f64,
    pub(crate) category_smoothing: f64,
    /// Gain that each level of a category beyond the twelfth must bring.
    pub(crate) level_gain: f64,
}

/// Sides of a question, by bin.
pub(crate) type Sides = [bool; 256];

/// What a split asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cut {
    /// Bins up to this one are left; `usize::MAX`: every number is.
    Edge(usize),
    /// The sides of the bins say it all.
    Levels,
}

/// A question with its gain.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) field: usize,
    pub(crate) gain: f64,
    pub(crate) cut: Cut,
    /// Whether a bin goes right; the bin after the last value is missing.
    pub(crate) right: Sides,
}

/// A leaf to be split: its sums by slot, and their totals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'a> {
    pub(crate) histogram: &'a Histogram,
    pub(crate) gradient: i64,
    pub(crate) curvature: i64,
}

/// Room to work in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    /// Sums up to and with each place.
    gradient: Vec<f64>,
    curvature: Vec<f64>,
    gains: [Vec<f64>; 2],
    /// Curvature at or left of each place, over all leaves.
    left: Vec<f64>,
}

/// One leaf's part in the gains of a field.
struct Terms {
    gradient: f64,
    curvature: f64,
    l2: f64,
    least: f64,
    monotone: i8,
}

/// The best split by a field of `panel` that is allowed.
pub(crate) fn best(
    panel: &Panel,
    fields: &[Field],
    leaves: &[Leaf<'_>],
    steps: Steps,
    penalty: &Penalty,
    allowed: &(dyn Fn(usize) -> bool + Sync),
    scratch: &mut Scratch,
) -> Option<Split> {
    let asked = leaves.iter().filter(|leaf| leaf.curvature > 0).count();
    let threshold = (penalty.gain * asked as f64).max(LEAST_GAIN);
    let mut best: Option<Split> = None;
    for place in 0..panel.width {
        let index = panel.first + place;
        let field = &fields[index];
        if !allowed(index) {
            continue;
        }
        let scan = Scan {
            field,
            index,
            first: panel.offsets[place],
            leaves,
            steps,
            penalty,
        };
        let found = if field.is_category() {
            scan.category(scratch)
        } else {
            scan.number(scratch)
        };
        let least = best.as_ref().map_or(threshold, |best| best.gain);
        best = found.filter(|found| found.gain > least).or(best);
    }
    best
}

struct Scan<'a> {
    field: &'a Field,
    index: usize,
    /// First slot of the field.
    first: usize,
    leaves: &'a [Leaf<'a>],
    steps: Steps,
    penalty: &'a Penalty,
}

impl Scan<'_> {
    /// Sums of one slot of a leaf.
    fn at(&self, leaf: &Leaf<'_>, bin: usize) -> (i64, i64) {
        let slot = self.first + bin;
        (
            leaf.histogram.gradient[slot],
            leaf.histogram.curvature[slot],
        )
    }

    fn terms(&self, leaf: &Leaf<'_>, l2: f64) -> Terms {
        Terms {
            gradient: leaf.gradient as f64 * self.steps.gradient,
            curvature: leaf.curvature as f64 * self.steps.curvature,
            l2,
            least: self.penalty.least.max(1e-12),
            monotone: self.field.monotone,
        }
    }

    /// Running sums of a leaf over bins in the order given.
    fn run(&self, leaf: &Leaf<'_>, bins: impl Iterator<Item = usize>, scratch: &mut Scratch) {
        scratch.gradient.clear();
        scratch.curvature.clear();
        let (mut gradient, mut curvature) = (0, 0);
        for bin in bins {
            let (g, h) = self.at(leaf, bin);
            gradient += g;
            curvature += h;
            scratch.gradient.push(gradient as f64 * self.steps.gradient);
            scratch
                .curvature
                .push(curvature as f64 * self.steps.curvature);
        }
        for (left, own) in scratch.left.iter_mut().zip(&scratch.curvature) {
            *left += own;
        }
    }

    fn number(&self, scratch: &mut Scratch) -> Option<Split> {
        let count = self.field.count;
        // Without missing values there is no edge after the last bin.
        let edges = if self.field.has_missing {
            count
        } else {
            count - 1
        };
        if edges == 0 {
            return None;
        }
        scratch.start(count);
        for leaf in self.leaves.iter().filter(|leaf| leaf.curvature > 0) {
            self.run(leaf, 0..count, scratch);
            let terms = self.terms(leaf, self.penalty.l2);
            let Scratch {
                gradient,
                curvature,
                gains,
                ..
            } = &mut *scratch;
            terms.add(&gradient[..edges], &curvature[..edges], &mut gains[0]);
            if self.field.has_missing {
                let (g, h) = self.at(leaf, count);
                let (g, h) = (
                    g as f64 * self.steps.gradient,
                    h as f64 * self.steps.curvature,
                );
                gradient.iter_mut().for_each(|sum| *sum += g);
                curvature.iter_mut().for_each(|sum| *sum += h);
                terms.add(
                    &gradient[..count - 1],
                    &curvature[..count - 1],
                    &mut gains[1],
                );
            }
        }
        let (gain, side, edge) = scratch.top(edges, count - 1)?;
        let missing_left = if self.field.has_missing {
            side == 1
        } else {
            2.0 * scratch.left[edge] >= scratch.left[count - 1]
        };
        let mut right = [false; 256];
        right[edge + 1..].fill(true);
        right[count] = !missing_left;
        Some(Split {
            field: self.index,
            gain,
            cut: Cut::Edge(if edge + 1 == count { usize::MAX } else { edge }),
            right,
        })
    }

    fn category(&self, scratch: &mut Scratch) -> Option<Split> {
        let bins = 0..=self.field.count;
        let mut sums: Vec<(usize, i64, i64)> = bins.map(|bin| (bin, 0, 0)).collect();
        for leaf in self.leaves {
            for (bin, gradient, curvature) in &mut sums {
                let (g, h) = self.at(leaf, *bin);
                *gradient += g;
                *curvature += h;
            }
        }
        let smoothing = self.penalty.category_smoothing;
        let order = category::order(&sums, self.steps, smoothing);
        if order.len() < 2 {
            return None;
        }
        let cuts = order.len() - 1;
        let extra = if order.len() > category::FEW {
            smoothing
        } else {
            0.0
        };
        scratch.start(order.len());
        for leaf in self.leaves.iter().filter(|leaf| leaf.curvature > 0) {
            self.run(leaf, order.iter().copied(), scratch);
            let terms = self.terms(leaf, self.penalty.l2 + extra);
            let Scratch {
                gradient,
                curvature,
                gains,
                ..
            } = &mut *scratch;
            terms.add(&gradient[..cuts], &curvature[..cuts], &mut gains[0]);
        }
        let (gain, _, cut) = scratch.top(cuts, 0)?;
        let charged = order.len().saturating_sub(category::FREE);
        let gain = gain - self.penalty.level_gain * charged as f64;
        if gain <= 0.0 {
            return None;
        }
        // What was never seen here goes where most went.
        let others_right = 2.0 * scratch.left[cut] < scratch.left[cuts];
        let mut right = [others_right; 256];
        for (place, bin) in order.iter().enumerate() {
            right[*bin] = place > cut;
        }
        Some(Split {
            field: self.index,
            gain,
            cut: Cut::Levels,
            right,
        })
    }
}

impl Scratch {
    fn start(&mut self, count: usize) {
        for sums in self.gains.iter_mut().chain([&mut self.left]) {
            sums.clear();
            sums.resize(count, 0.0);
        }
    }

    /// Largest gain, whether it is of the second list, and its place.
    fn top(&self, first: usize, second: usize) -> Option<(f64, usize, usize)> {
        let mut best: Option<(f64, usize, usize)> = None;
        for (side, count) in [(0, first), (1, second)] {
            for (place, gain) in self.gains[side][..count].iter().enumerate() {
                if *gain > best.map_or(0.0, |best| best.0) {
                    best = Some((*gain, side, place));
                }
            }
        }
        best
    }
}

impl Terms {
    /// Adds this leaf's gains, given the sums left of every place.
    fn add(&self, gradient: &[f64], curvature: &[f64], gains: &mut [f64]) {
        match self.monotone {
            0 => self.add_if(gradient, curvature, gains, |_| true),
            // Values are −G/(H+λ): up means `G_L/(H_L+λ) >= G_R/(H_R+λ)`.
            1 => self.add_if(gradient, curvature, gains, |lean| lean >= 0.0),
            _ => self.add_if(gradient, curvature, gains, |lean| lean <= 0.0),
        }
    }

    #[inline(always)]
    fn add_if(
        &self,
        gradient: &[f64],
        curvature: &[f64],
        gains: &mut [f64],
        legal: impl Fn(f64) -> bool,
    ) {
        let whole = self.gradient * self.gradient / (self.curvature + self.l2);
        for ((left, weight), gain) in gradient.iter().zip(curvature).zip(gains) {
            let (right, other) = (self.gradient - left, self.curvature - weight);
            let (a, b) = (weight + self.l2, other + self.l2);
            let parts = (left * left * b + right * right * a) / (a * b) - whole;
            let is_legal =
                *weight >= self.least && other >= self.least && legal(left * b - right * a);
            *gain += if is_legal { parts } else { 0.0 };
        }
    }
}

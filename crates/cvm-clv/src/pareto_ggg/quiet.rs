//! The chance of silence since the last purchase at one regularity, with its derivatives, by Gauss rules.
//!
//! With the notation of [`super::gap`] a customer of regularity `k` is silent unless the gap ended in
//! life before `T`:
//!
//! ```text
//! Z = 1 − J,    J = ∫_0^s f(u) (1 + u/b)^−s du,    f the density of y = ku/(A + ku) ~ Beta(k, R)
//! ```
//!
//! In `h = ln(1 + u/B)`, `B` the smaller of `b` and `A/k`, the integrand is `h^{k−1}` times a function
//! without a singularity in the strip `|Im h| < π`: a Gauss–Jacobi rule for `v^{k−1}` on the range
//! (cut where nothing is left) has every digit; those of `k = e^{i/32}` are made once. A large `k`
//! leaves no singularity, but a peak: Gauss–Legendre where it is. Where `1 − J` would cancel, or the
//! range is too long, there is no answer: see [`super::gap`].

use super::gap::{Fate, Gap, Slopes};
use cvm_math::{digamma, expm1, gauss_jacobi, ln, log_add_exp, log1p, slice, trigamma};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Rules per unit of `ln k`.
pub(super) const RULES_PER_UNIT: i32 = 32;
/// The least and the largest `k` that have a rule: `e^{−36}`, `e^{1.97}`.
const FIRST_RULE: i32 = -1152;
const LAST_RULE: i32 = 63;
const RULES: usize = (LAST_RULE - FIRST_RULE + 1) as usize;
/// From here on there is a peak.
const PEAKED: f64 = 7.0;
/// Nodes of a short and of a long rule, and over a peak.
const SHORT: usize = 16;
const LONG: usize = 36;
const PEAK: usize = 48;
/// The integrand falls at most by `e^−fall` over a range of this length, for each rule.
const SHORT_RANGE: (f64, f64) = (18.0, 4.0);
const LONG_RANGE: (f64, f64) = (75.0, 9.0);
/// Chances below lose digits as a complement.
pub(super) const SMALL: f64 = 1e-3;
/// `e^−x` beyond this is nothing.
const NOTHING: f64 = 40.0;

/// Nodes and weights on (0, 1).
struct Rule {
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

/// A rule made for good, or kept for a while.
enum Held {
    Fixed(&'static Rule),
    Shared(Arc<Rule>),
}

impl Held {
    fn get(&self) -> &Rule {
        match self {
            Held::Fixed(rule) => rule,
            Held::Shared(rule) => rule,
        }
    }
}

impl Rule {
    fn new(count: usize, p: f64) -> Self {
        let (nodes, weights) = gauss_jacobi::rule(count, p).into_iter().unzip();
        Rule { nodes, weights }
    }

    /// For `v^{k−1}`, where the grid of `k = e^{place/32}` has the place, or between its places.
    fn at(k: f64, place: Option<i32>, is_long: bool) -> Held {
        match place.and_then(|place| Rule::of_grid(place, is_long)) {
            Some(rule) => Held::Fixed(rule),
            None => Rule::between(k, is_long),
        }
    }

    fn of_grid(place: i32, is_long: bool) -> Option<&'static Rule> {
        type Table = [OnceLock<Rule>; RULES];
        static SHORT_RULES: Table = [const { OnceLock::new() }; RULES];
        static LONG_RULES: Table = [const { OnceLock::new() }; RULES];
        let (table, count) = if is_long {
            (&LONG_RULES, LONG)
        } else {
            (&SHORT_RULES, SHORT)
        };
        let slot = table.get(usize::try_from(place.checked_sub(FIRST_RULE)?).ok()?)?;
        Some(slot.get_or_init(|| {
            let k = super::grid::regularity(f64::from(place) / f64::from(RULES_PER_UNIT));
            Rule::new(count, k)
        }))
    }

    /// Where the law of `k` is narrow, all customers meet the same few places: those are kept for a
    /// while.
    fn between(k: f64, is_long: bool) -> Held {
        const MOST_KEPT: usize = 2048;
        type Kept = RwLock<BTreeMap<(u64, bool), Arc<Rule>>>;
        static KEPT: Kept = RwLock::new(BTreeMap::new());
        let key = (k.to_bits(), is_long);
        let known = KEPT.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(rule) = known.get(&key) {
            return Held::Shared(Arc::clone(rule));
        }
        drop(known);
        let rule = Arc::new(Rule::new(if is_long { LONG } else { SHORT }, k));
        let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&rule));
        Held::Shared(rule)
    }

    /// Without a weight, over a peak.
    fn of_peak() -> &'static Rule {
        static RULE: OnceLock<Rule> = OnceLock::new();
        RULE.get_or_init(|| Rule::new(PEAK, 1.0))
    }
}

/// The range of `h` and what it is measured in.
struct Range {
    start: f64,
    length: f64,
    /// `B`.
    unit: f64,
    /// Whether `B = A/k`.
    is_own: bool,
    rule: Held,
    /// Whether the rule has the weight `v^{k−1}`.
    is_weighted: bool,
}

/// What the integrand is made of, node by node.
struct Nodes {
    weight: [f64; PEAK],
    /// `g = ln(1 + ku/A)`, `1/(A + ku)`, `L = ln(1 + u/b)`, `1/(b + u)`.
    features: [[f64; PEAK]; 4],
    count: usize,
}

impl Gap<'_> {
    /// `ln Z` and, where asked for, its slopes with those of the law of the purchases: the mean
    /// gradient and the mean of Hessian plus squared gradient of the complete log-likelihood in
    /// `(r, α, s, β)`. `None` where the rules cannot have every digit, those of chances below `least`
    /// among them; where nothing is left of `Z`, its logarithm is −∞.
    pub(super) fn quiet(
        &self,
        place: Option<i32>,
        least: f64,
        with_slopes: bool,
    ) -> Option<(f64, Slopes)> {
        if self.rest == 0.0 {
            let slopes = with_slopes.then(|| self.without_silence());
            return Some((0.0, slopes.unwrap_or_default()));
        }
        if self.k < f64::MIN_POSITIVE {
            return None;
        }
        let range = if self.k < PEAKED {
            self.range_from_zero(place)?
        } else {
            self.range_of_peak()?
        };
        let nodes = self.nodes_of(&range);
        let ended: f64 = nodes.weight[..nodes.count].iter().sum();
        let silent = 1.0 - ended;
        if silent.is_nan() || silent < least {
            return None;
        }
        if silent <= 0.0 {
            return Some((f64::NEG_INFINITY, Slopes::default()));
        }
        let slopes = with_slopes.then(|| self.complement(&nodes, ended, silent));
        Some((log1p(-ended), slopes.unwrap_or_default()))
    }

    /// `ln Z` from its two positive parts.
    pub(super) fn ln_by_fates(&self) -> f64 {
        log_add_exp(self.ln_of(Fate::Silent), self.ln_of(Fate::Left))
    }

    /// `ln Z`, whichever way has its digits.
    pub(super) fn ln_quiet(&self) -> f64 {
        let direct = self.quiet(None, SMALL, false);
        direct.map_or_else(|| self.ln_by_fates(), |(log, _)| log)
    }

    fn range_from_zero(&self, place: Option<i32>) -> Option<Range> {
        let (later, own) = (self.later(), self.scale / self.k);
        let silence = self.row.age - self.row.recency;
        let faded = (NOTHING + self.k * log1p(self.shape + self.k)) / self.shape;
        let reach = silence.min(own * expm1(faded));
        let unit = own.min(later);
        let length = log1p(reach / unit);
        let fall = (self.shape + 1.0) * log1p(reach / own) + self.model.s * log1p(reach / later);
        let fits = |(most_fall, most_length)| fall <= most_fall && length <= most_length;
        let is_long = !fits(SHORT_RANGE);
        if is_long && !fits(LONG_RANGE) {
            return None;
        }
        Some(Range {
            start: 0.0,
            length,
            unit,
            is_own: own <= later,
            rule: Rule::at(self.k, place, is_long),
            is_weighted: true,
        })
    }

    /// Around the peak of `k ln y + R ln(1−y)` in `ln τ`, or before the end of the silence.
    fn range_of_peak(&self) -> Option<Range> {
        const MOST_STEPS: u32 = 60;
        let (later, own) = (self.later(), self.scale / self.k);
        let silence = self.row.age - self.row.recency;
        let height = |stages: f64| {
            let grown = log1p(stages);
            self.k * (ln(stages) - grown) - self.shape * grown
        };
        let top = (self.k / self.shape).min(silence / own);
        let highest = height(top);
        let width = (1.0 / self.k + 1.0 / self.shape).sqrt();
        let reach = |step: f64, most: f64| {
            let mut stages = top;
            for _ in 0..MOST_STEPS {
                stages *= step;
                if stages >= most || height(stages) < highest - NOTHING {
                    return Some(stages.min(most));
                }
            }
            None
        };
        let wide = 1.0 + width;
        let low = reach(1.0 / (wide * wide), f64::INFINITY)?;
        let high = reach(wide, silence / own)?;
        let unit = own.min(later);
        let start = log1p(low * own / unit);
        let length = log1p(high * own / unit) - start;
        (length <= LONG_RANGE.1).then(|| Range {
            start,
            length,
            unit,
            is_own: own <= later,
            rule: Held::Fixed(Rule::of_peak()),
            is_weighted: false,
        })
    }

    /// Weights `f(u) (1 + u/b)^−s du`, with
    /// `f du = v^{k−1} (y/v)^{k−1} (1−y)^{R+1} dτ/B(k, R)`, `τ = ku/A = y/(1−y)`, `u = B(e^h − 1)`.
    fn nodes_of(&self, range: &Range) -> Nodes {
        let rule = range.rule.get();
        let count = rule.nodes.len();
        let (later, own) = (self.later(), self.scale / self.k);
        let mut h = [0.0; PEAK];
        for (slot, v) in h.iter_mut().zip(&rule.nodes) {
            *slot = range.start + range.length * v;
        }
        let mut up = h;
        slice::expm1_in_place(&mut up[..count]);
        let mut grown = [0.0; PEAK];
        let unit_of_other = if range.is_own { later } else { own };
        for (slot, up) in grown.iter_mut().zip(&up[..count]) {
            *slot = range.unit * up / unit_of_other;
        }
        let mut other = grown;
        slice::log1p_in_place(&mut other[..count]);
        let (gap_log, leave_log, stages) = if range.is_own {
            (h, other, up)
        } else {
            (other, h, grown)
        };
        let mut bend = [0.0; PEAK];
        for index in 0..count {
            let y = stages[index] / (1.0 + stages[index]);
            bend[index] = if range.is_weighted {
                y / rule.nodes[index]
            } else {
                y
            };
        }
        slice::ln_in_place(&mut bend[..count]);
        let constant = ln(range.length * (range.unit / own)) - self.log_beta;
        let mut weight = [0.0; PEAK];
        for index in 0..count {
            let purchase = (self.k - 1.0) * bend[index] - (self.shape + 1.0) * gap_log[index];
            weight[index] = constant + h[index] + purchase - self.model.s * leave_log[index];
        }
        slice::exp_in_place(&mut weight[..count]);
        let (mut purchase_pace, mut leave_pace) = ([0.0; PEAK], [0.0; PEAK]);
        for index in 0..count {
            weight[index] *= rule.weights[index];
            purchase_pace[index] = 1.0 / (self.scale * (1.0 + stages[index]));
            leave_pace[index] = 1.0 / (later + range.unit * up[index]);
        }
        Nodes {
            weight,
            features: [gap_log, purchase_pace, leave_log, leave_pace],
            count,
        }
    }

    /// `b`.
    fn later(&self) -> f64 {
        self.model.beta + self.row.recency
    }

    /// Slopes of `1 − J`: those without a silence less those of the gaps that ended. Of these each
    /// first derivative is linear in one feature, `c_i = base_i − rate_i φ_i`.
    fn complement(&self, nodes: &Nodes, ended: f64, silent: f64) -> Slopes {
        let (first, second) = nodes.moments();
        let (model, total, later) = (self.model, self.shape + self.k, self.later());
        let base = [
            digamma(total) - digamma(model.r) + ln(model.alpha / self.scale),
            model.r / model.alpha,
            ln(model.beta / later),
            self.scale_slope() + model.s / later,
        ];
        let rate = [1.0, total, 1.0, model.s];
        let curve = trigamma(total) - trigamma(model.r);
        let curvature = [
            [ended * curve, ended / model.alpha - first[1], 0.0, 0.0],
            [
                ended / model.alpha - first[1],
                total * second[1][1] - ended * model.r / (model.alpha * model.alpha),
                0.0,
                0.0,
            ],
            [
                0.0,
                0.0,
                0.0,
                ended * (self.stay_curve() + 1.0 / later) - first[3],
            ],
            [
                0.0,
                0.0,
                ended * (self.stay_curve() + 1.0 / later) - first[3],
                ended * (self.scale_curve() - model.s / (later * later)) + model.s * second[3][3],
            ],
        ];
        let mut slopes = self.without_silence();
        for i in 0..4 {
            let own = ended * base[i] - rate[i] * first[i];
            slopes.first[i] = (slopes.first[i] - own) / silent;
            for j in 0..4 {
                let product = ended * base[i] * base[j]
                    - base[i] * rate[j] * first[j]
                    - base[j] * rate[i] * first[i]
                    + rate[i] * rate[j] * second[i.min(j)][i.max(j)];
                slopes.second[i][j] = (slopes.second[i][j] - curvature[i][j] - product) / silent;
            }
        }
        slopes
    }
}

impl Nodes {
    /// Sums of the features and (above the diagonal) of their products.
    fn moments(&self) -> ([f64; 4], [[f64; 4]; 4]) {
        let (mut first, mut second) = ([0.0; 4], [[0.0; 4]; 4]);
        for index in 0..self.count {
            let weight = self.weight[index];
            let at = [0, 1, 2, 3].map(|feature: usize| self.features[feature][index]);
            for i in 0..4 {
                let share = weight * at[i];
                first[i] += share;
                for j in i..4 {
                    second[i][j] += share * at[j];
                }
            }
        }
        (first, second)
    }
}

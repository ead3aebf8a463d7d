//! Numbers as ranks among a model's own thresholds: comparisons of 16-bit integers that give the
//! same answer as the comparisons of floats they replace.
//!
//! With thresholds `t_0 < t_1 < …` of a field and `rank(x) = #{t < x}`, `x <= t_j` holds exactly
//! if `rank(x) <= j` (and `x < t_j` likewise with `rank(x) = #{t <= x}`). A missing value has a
//! rank of its own in each *view* of a field: 0, which is left of everything, or
//! [`RIGHT`], which is right of everything. A field has one view per rule its nodes have.

use super::forest::{Forest, LEAF};
use super::rules::{Compare, Missing, NodeRule, Rules, TINY};
use std::collections::HashMap;
use std::hint::select_unpredictable;

/// Most thresholds of a field: ranks must stay below [`RIGHT`].
const MAX_THRESHOLDS: usize = 65_534;
/// Rank right of every threshold.
pub(crate) const RIGHT: u16 = u16::MAX;
/// Category view: names no category of any set.
pub(crate) const NO_CATEGORY: u16 = u16::MAX;
/// Category view: missing.
pub(crate) const MISSING_CATEGORY: u16 = u16::MAX - 1;

/// How nodes of one rule see a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ViewRule {
    Number(Missing, bool),
    Category,
}

#[derive(Debug, Clone)]
struct FieldViews {
    field: usize,
    thresholds: Vec<f64>,
    /// Rank of zero.
    zero: u16,
    views: Vec<(ViewRule, usize)>,
}

/// Turns prepared values into ranks.
#[derive(Debug, Clone)]
pub(crate) struct Quantiser {
    fields: Vec<FieldViews>,
    view_count: usize,
    rules: Rules,
}

/// Where a split finds its value and what it compares it with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitView {
    pub(crate) view: usize,
    pub(crate) rank: u16,
}

fn view_rule(rule: NodeRule) -> ViewRule {
    if rule.is_category() {
        return ViewRule::Category;
    }
    match rule.missing() {
        // A NaN that reads 0 has no default.
        Missing::ReadsZero => ViewRule::Number(Missing::ReadsZero, false),
        missing => ViewRule::Number(missing, rule.default_left()),
    }
}

/// Thresholds of every field, sorted and distinct; the two zeros are one.
fn thresholds(splits: impl Iterator<Item = (usize, NodeRule, f64)>) -> HashMap<usize, Vec<f64>> {
    let mut found: HashMap<usize, Vec<f64>> = HashMap::new();
    for (field, rule, value) in splits {
        let own = found.entry(field).or_default();
        if !rule.is_category() {
            own.push(value + 0.0);
        }
    }
    for own in found.values_mut() {
        own.sort_unstable_by(f64::total_cmp);
        own.dedup();
    }
    found
}

impl Quantiser {
    /// The quantiser of splits given as field, rule and threshold, with the view of each split in
    /// their order; nothing if a field has too many thresholds.
    pub(crate) fn new(
        splits: &[(usize, NodeRule, f64)],
        rules: Rules,
    ) -> Option<(Quantiser, Vec<SplitView>)> {
        let mut by_field = thresholds(splits.iter().copied());
        if by_field.values().any(|own| own.len() > MAX_THRESHOLDS) {
            return None;
        }
        let mut order: Vec<usize> = by_field.keys().copied().collect();
        order.sort_unstable();
        let mut fields: Vec<FieldViews> = order
            .iter()
            .map(|field| FieldViews {
                field: *field,
                thresholds: by_field.remove(field).unwrap_or_default(),
                zero: 0,
                views: Vec::new(),
            })
            .collect();
        for own in &mut fields {
            own.zero = rank(&own.thresholds, 0.0, rules.compare);
        }
        let mut view_count = 0;
        let mut placed = Vec::with_capacity(splits.len());
        for (field, rule, value) in splits {
            let own = &mut fields[order.binary_search(field).ok()?];
            placed.push(own.place(*rule, *value, &mut view_count));
        }
        let quantiser = Quantiser {
            fields,
            view_count,
            rules,
        };
        Some((quantiser, placed))
    }

    /// Number of views; a row of ranks has one entry each.
    pub(crate) fn view_count(&self) -> usize {
        self.view_count
    }

    /// Writes ranks of `rows.len()` rows; `values` holds field after field.
    pub(crate) fn quantise<const W: usize>(&self, values: &[f64], rows: &mut [[u16; W]]) {
        let count = rows.len();
        for own in &self.fields {
            let first = own.field * count;
            let column = values.get(first..first + count).unwrap_or(&[]);
            if let [(ViewRule::Number(missing, left), view)] = own.views[..] {
                let view = view & (W - 1);
                for (x, row) in column.iter().zip(&mut *rows) {
                    let rank = rank(&own.thresholds, *x, self.rules.compare);
                    row[view] = own.see(missing, left, *x, rank);
                }
                continue;
            }
            for (x, row) in column.iter().zip(&mut *rows) {
                let rank = rank(&own.thresholds, *x, self.rules.compare);
                for (rule, view) in &own.views {
                    row[view & (W - 1)] = match rule {
                        ViewRule::Number(missing, left) => own.see(*missing, *left, *x, rank),
                        ViewRule::Category => self.category(*x),
                    };
                }
            }
        }
    }

    /// Writes ranks view after view; for numbers only.
    pub(crate) fn quantise_columns<const R: usize>(
        &self,
        values: &[f64],
        rows: usize,
        ranks: &mut [[u16; R]],
    ) {
        for own in &self.fields {
            let first = own.field * rows;
            let column = values.get(first..first + rows).unwrap_or(&[]);
            let mut found = [0_u16; R];
            for (x, rank_of) in column.iter().zip(&mut found) {
                *rank_of = rank(&own.thresholds, *x, self.rules.compare);
            }
            for (rule, view) in &own.views {
                let (ViewRule::Number(missing, left), Some(out)) = (rule, ranks.get_mut(*view))
                else {
                    continue;
                };
                for ((x, rank), out) in column.iter().zip(&found).zip(out) {
                    *out = own.see(*missing, *left, *x, *rank);
                }
            }
        }
    }

    fn category(&self, x: f64) -> u16 {
        if x.is_nan() {
            return MISSING_CATEGORY;
        }
        let code = self.rules.code(x).and_then(|code| u16::try_from(code).ok());
        code.filter(|code| *code < MISSING_CATEGORY)
            .unwrap_or(NO_CATEGORY)
    }
}

impl FieldViews {
    fn place(&mut self, rule: NodeRule, value: f64, view_count: &mut usize) -> SplitView {
        let wanted = view_rule(rule);
        let known = self.views.iter().find(|(own, _)| *own == wanted);
        let view = known.map(|(_, view)| *view).unwrap_or_else(|| {
            *view_count += 1;
            self.views.push((wanted, *view_count - 1));
            *view_count - 1
        });
        let index = self.thresholds.partition_point(|t| *t < value);
        SplitView {
            view,
            rank: if rule.is_category() { 0 } else { index as u16 },
        }
    }

    #[inline]
    fn see(&self, missing: Missing, default_left: bool, x: f64, rank: u16) -> u16 {
        let side = if default_left { 0 } else { RIGHT };
        match missing {
            Missing::Nan if x.is_nan() => side,
            Missing::ZeroOrNan if x.is_nan() || x.abs() <= TINY => side,
            Missing::ReadsZero if x.is_nan() => self.zero,
            _ => rank,
        }
    }
}

/// `#{t < x}`, or `#{t <= x}` for strict comparison, by halving without branches.
#[inline]
fn rank(thresholds: &[f64], x: f64, compare: Compare) -> u16 {
    match compare {
        Compare::LessOrEqual => halve(thresholds, |t| t < x),
        Compare::Less => halve(thresholds, |t| t <= x),
    }
}

#[inline(always)]
fn halve(thresholds: &[f64], below: impl Fn(f64) -> bool) -> u16 {
    let (mut base, mut size) = (0_usize, thresholds.len());
    if size == 0 {
        return 0;
    }
    while size > 1 {
        let half = size / 2;
        let upper = below(thresholds[base + half - 1]);
        // A conditional move: the outcome is a coin toss that no branch predictor learns.
        base = select_unpredictable(upper, base + half, base);
        size -= half;
    }
    (base + usize::from(below(thresholds[base]))) as u16
}

/// Splits of a forest as field, rule and threshold, in the order of its nodes.
pub(crate) fn splits(forest: &Forest) -> Vec<(usize, NodeRule, f64)> {
    let nodes = forest
        .features
        .iter()
        .zip(&forest.rules)
        .zip(&forest.values);
    nodes
        .filter(|((feature, _), _)| **feature != LEAF)
        .map(|((feature, rule), value)| (*feature as usize, *rule, *value))
        .collect()
}

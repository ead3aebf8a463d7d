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
/// Searches made at a time.
const SEARCHES: usize = 8;
/// Ranks of a field found before its views are written.
const FOUND: usize = 128;
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
            let mut found = [0_u16; FOUND];
            for (column, rows) in column.chunks(FOUND).zip(rows.chunks_mut(FOUND)) {
                own.ranks(column, self.rules.compare, &mut found);
                for (rule, view) in &own.views {
                    let view = view & (W - 1);
                    for ((x, rank), row) in column.iter().zip(found).zip(&mut *rows) {
                        row[view] = match rule {
                            ViewRule::Number(missing, left) => own.see(*missing, *left, *x, rank),
                            ViewRule::Category => self.category(*x),
                        };
                    }
                }
            }
        }
    }

    /// Most thresholds of any field.
    pub(crate) fn most_thresholds(&self) -> usize {
        let counts = self.fields.iter().map(|own| own.thresholds.len());
        counts.max().unwrap_or(0)
    }

    /// Writes ranks view after view, each as `of` makes it; for numbers only.
    pub(crate) fn quantise_columns<T: Copy, const R: usize>(
        &self,
        values: &[f64],
        rows: usize,
        ranks: &mut [[T; R]],
        of: impl Fn(u16) -> T,
    ) {
        for own in &self.fields {
            let first = own.field * rows;
            let column = values.get(first..first + rows).unwrap_or(&[]);
            let mut found = [0_u16; R];
            own.ranks(column, self.rules.compare, &mut found);
            for (rule, view) in &own.views {
                let (ViewRule::Number(missing, left), Some(out)) = (rule, ranks.get_mut(*view))
                else {
                    continue;
                };
                for ((x, rank), out) in column.iter().zip(&found).zip(out) {
                    *out = of(own.see(*missing, *left, *x, *rank));
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

    /// Ranks of a column, several searches at a time: each step of one waits for its last.
    fn ranks(&self, column: &[f64], compare: Compare, out: &mut [u16]) {
        let (groups, rest) = column.as_chunks::<SEARCHES>();
        let (found, last) = out.split_at_mut(groups.len() * SEARCHES);
        let (found, _) = found.as_chunks_mut::<SEARCHES>();
        for (group, found) in groups.iter().zip(found) {
            *found = match compare {
                Compare::LessOrEqual => halve(&self.thresholds, |t, lane| t < group[lane]),
                Compare::Less => halve(&self.thresholds, |t, lane| t <= group[lane]),
            };
        }
        for (x, found) in rest.iter().zip(last) {
            *found = rank(&self.thresholds, *x, compare);
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

/// `#{t < x}`, or `#{t <= x}` for strict comparison.
#[inline]
fn rank(thresholds: &[f64], x: f64, compare: Compare) -> u16 {
    let [rank] = match compare {
        Compare::LessOrEqual => halve(thresholds, |t, _| t < x),
        Compare::Less => halve(thresholds, |t, _| t <= x),
    };
    rank
}

/// Numbers of thresholds that are below, by halving without branches, for all lanes at once.
#[inline(always)]
fn halve<const L: usize>(thresholds: &[f64], below: impl Fn(f64, usize) -> bool) -> [u16; L] {
    let (mut bases, mut size) = ([0_usize; L], thresholds.len());
    if size == 0 {
        return [0; L];
    }
    while size > 1 {
        let half = size / 2;
        for (lane, base) in bases.iter_mut().enumerate() {
            let upper = below(thresholds[*base + half - 1], lane);
            // A conditional move: the outcome is a coin toss that no branch predictor learns.
            *base = select_unpredictable(upper, *base + half, *base);
        }
        size -= half;
    }
    let mut ranks = [0; L];
    for (lane, (rank, base)) in ranks.iter_mut().zip(bases).enumerate() {
        *rank = (base + usize::from(below(thresholds[base], lane))) as u16;
    }
    ranks
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

//! Grows an oblivious tree: level by level, one question for all leaves.

use super::bins::Field;
use super::executor::Executor;
use super::gradient::{Entry, Rows, Steps};
use super::histogram::Histogram;
use super::monotone;
use super::panel::{Panel, find};
use super::scan::{Leaf, Penalty, Scratch, Split, best};
use std::ops::Range;

/// Cost of adding one value to a histogram, and of one slot's gain.
const ADD_NS: f64 = 0.8;
const GAIN_NS: f64 = 3.0;
/// Cost of moving one row to its side.
const MOVE_NS: f64 = 2.5;

/// How trees grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) depth: usize,
    pub(crate) max_leaves: usize,
    pub(crate) order: usize,
    pub(crate) penalty: Penalty,
    pub(crate) learning_rate: f64,
}

impl Shape {
    /// The shape of a tree where the mean curvature is `mean`: the penalty in proportion to it.
    pub(crate) fn at(&self, mean: f64, fall: f64) -> Shape {
        let mut shape = *self;
        if fall > 0.0 {
            shape.penalty.l2 *= cvm_math::pow(4.0 * mean, fall);
        }
        shape
    }
}

/// What a panel keeps between levels and trees.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) histograms: Vec<Histogram>,
    pub(crate) packed: Vec<i64>,
    pub(crate) scratch: Scratch,
    pub(crate) found: [Option<Split>; 2],
}

impl<'a> Bench<'a> {
    pub(crate) fn all(panels: &'a [Panel]) -> Vec<Bench<'a>> {
        let bench = |panel| Bench {
            panel,
            histograms: Vec::new(),
            packed: Vec::new(),
            scratch: Scratch::default(),
            found: [None, None],
        };
        panels.iter().map(bench).collect()
    }

    /// Room for `count` histograms.
    pub(crate) fn reserve(&mut self, count: usize) {
        if self.histograms.len() < count {
            self.histograms.resize_with(count, Histogram::default);
        }
    }

    /// Histograms of two children, in place of their parent's at `left`; the smaller is added up,
    /// the other is what remains.
    pub(crate) fn part(&mut self, left: usize, right: usize, children: [&[Entry]; 2]) {
        let [left_rows, right_rows] = children;
        let left_is_smaller = left_rows.len() < right_rows.len();
        let smaller = if left_is_smaller {
            left_rows
        } else {
            right_rows
        };
        let (head, tail) = self.histograms.split_at_mut(right);
        let (parent, small) = (&mut head[left], &mut tail[0]);
        small.fill(self.panel, smaller, &mut self.packed);
        parent.subtract(small);
        if left_is_smaller {
            std::mem::swap(parent, small);
        }
    }
}

/// Rows of a leaf with their rounded sums.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) rows: Range<usize>,
    pub(crate) gradient: i64,
    pub(crate) curvature: i64,
}

impl Node {
    pub(crate) fn of(entries: &[Entry], rows: Range<usize>) -> Node {
        let own = &entries[rows.clone()];
        Node {
            gradient: own.iter().map(|entry| i64::from(entry.gradient)).sum(),
            curvature: own.iter().map(|entry| i64::from(entry.curvature)).sum(),
            rows,
        }
    }

    pub(crate) fn leaf<'h>(&self, histogram: &'h Histogram) -> Leaf<'h> {
        Leaf {
            histogram,
            gradient: self.gradient,
            curvature: self.curvature,
        }
    }
}

/// A grown tree: questions in the order of bits, and by leaf number its value and weight.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObliviousTree {
    pub(crate) splits: Vec<Split>,
    pub(crate) values: Vec<f64>,
    pub(crate) weights: Vec<f64>,
}

/// The best of all panels' candidates at `which`: the largest gain, of equals the first.
pub(crate) fn winner(benches: &mut [Bench<'_>], which: usize) -> Option<Split> {
    let mut best: Option<Split> = None;
    for bench in benches {
        let least = best.as_ref().map_or(0.0, |best| best.gain);
        best = bench.found[which]
            .take()
            .filter(|found| found.gain > least)
            .or(best);
    }
    best
}

/// What growing needs of the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) fields: &'a [Field],
    pub(crate) panels: &'a [Panel],
    /// Fields this tree may ask about.
    pub(crate) open: &'a [bool],
}

/// Grows a tree on `entries`, which end up sorted by leaf, and adds its values to the rows' scores.
pub(crate) fn grow(
    ground: Ground<'_>,
    shape: &Shape,
    benches: &mut [Bench<'_>],
    entries: &mut [Entry],
    steps: Steps,
    rows: &mut Rows,
    executor: &impl Executor,
) -> ObliviousTree {
    let mut nodes = vec![Node::of(entries, 0..entries.len())];
    let mut splits: Vec<Split> = Vec::new();
    let mut scratch = vec![Entry::default(); entries.len()];
    while splits.len() < shape.depth {
        search(
            ground, shape, benches, entries, &nodes, &splits, steps, executor,
        );
        let Some(split) = winner(benches, 0) else {
            break;
        };
        nodes = divide(ground, &split, entries, &mut scratch, &nodes, executor);
        splits.push(split);
    }
    if splits.is_empty() {
        return ObliviousTree::default();
    }
    let leaves = sum(entries, &nodes, rows, executor);
    let l2 = shape.penalty.l2;
    let mut values: Vec<f64> = leaves.iter().map(|sums| sums.step(l2)).collect();
    let curvatures: Vec<f64> = leaves.iter().map(|sums| sums.curvature).collect();
    monotone::impose(ground.fields, &splits, &mut values, &curvatures);
    values
        .iter_mut()
        .for_each(|value| *value *= shape.learning_rate);
    for (node, value) in nodes.iter().zip(&values) {
        for entry in &entries[node.rows.clone()] {
            rows.score[entry.row as usize] += value;
        }
    }
    ObliviousTree {
        splits,
        values,
        weights: leaves.iter().map(|sums| sums.weight).collect(),
    }
}

/// Makes the histograms of a level and each panel's best split of it.
#[allow(clippy::too_many_arguments)]
fn search(
    ground: Ground<'_>,
    shape: &Shape,
    benches: &mut [Bench<'_>],
    entries: &[Entry],
    nodes: &[Node],
    splits: &[Split],
    steps: Steps,
    executor: &impl Executor,
) {
    let mut used: Vec<usize> = splits.iter().map(|split| split.field).collect();
    used.sort_unstable();
    used.dedup();
    let is_full = used.len() >= shape.order;
    let allowed = |field: usize| ground.open[field] && (!is_full || used.contains(&field));
    let slots: usize = ground.panels.iter().map(Panel::slots).sum();
    let added = entries.len() * ground.fields.len() / if nodes.len() > 1 { 2 } else { 1 };
    let cost = added as f64 * ADD_NS + (nodes.len() * slots) as f64 * GAIN_NS;
    executor.for_each(benches, cost, &|_, bench| {
        bench.reserve(1 << shape.depth.saturating_sub(1));
        let half = nodes.len() / 2;
        if half == 0 {
            bench.histograms[0].fill(bench.panel, entries, &mut bench.packed);
        }
        for left in 0..half {
            let rows = |node: &Node| &entries[node.rows.clone()];
            let children = [rows(&nodes[left]), rows(&nodes[left + half])];
            bench.part(left, left + half, children);
        }
        let leaves: Vec<Leaf<'_>> = nodes
            .iter()
            .zip(&bench.histograms)
            .map(|(node, histogram)| node.leaf(histogram))
            .collect();
        let (panel, penalty) = (bench.panel, &shape.penalty);
        let scratch = &mut bench.scratch;
        bench.found[0] = best(
            panel,
            ground.fields,
            &leaves,
            steps,
            penalty,
            &allowed,
            scratch,
        );
    });
}

/// Rows to be parted.
struct Piece<'a> {
    number: usize,
    start: usize,
    entries: &'a mut [Entry],
    scratch: &'a mut [Entry],
    left: Node,
    right: Node,
}

/// Parts every leaf by `split`: leaf `j` becomes `j` and `j + count`.
fn divide(
    ground: Ground<'_>,
    split: &Split,
    entries: &mut [Entry],
    scratch: &mut [Entry],
    nodes: &[Node],
    executor: &impl Executor,
) -> Vec<Node> {
    let cost = entries.len() as f64 * MOVE_NS;
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|number| (nodes[*number].rows.start, nodes[*number].rows.end));
    let (mut entries, mut scratch) = (entries, scratch);
    let mut pieces = Vec::with_capacity(nodes.len());
    let mut start = 0;
    for number in order {
        let count = nodes[number].rows.len();
        let (own, rest) = entries.split_at_mut(count);
        let (room, other) = scratch.split_at_mut(count);
        (entries, scratch) = (rest, other);
        pieces.push(Piece {
            number,
            start,
            entries: own,
            scratch: room,
            left: Node::default(),
            right: Node::default(),
        });
        start += count;
    }
    let (panel, place) = find(ground.panels, split.field);
    executor.for_each(&mut pieces, cost, &|_, piece| {
        let middle = part(piece.entries, piece.scratch, |row| {
            split.right[usize::from(panel.bins[row * panel.width + place])]
        });
        piece.left = Node::of(piece.entries, 0..middle);
        piece.right = Node::of(piece.entries, middle..piece.entries.len());
    });
    let mut divided = vec![Node::default(); 2 * nodes.len()];
    for piece in pieces {
        let (number, start) = (piece.number, piece.start);
        for (node, at) in [(piece.left, number), (piece.right, number + nodes.len())] {
            divided[at] = Node {
                rows: node.rows.start + start..node.rows.end + start,
                ..node
            };
        }
    }
    divided
}

/// Moves entries that go right behind the others, in their order; gives the number of the others.
pub(crate) fn part(
    entries: &mut [Entry],
    scratch: &mut [Entry],
    goes_right: impl Fn(usize) -> bool,
) -> usize {
    let (mut left, mut right) = (0, 0);
    for at in 0..entries.len() {
        let entry = entries[at];
        let side = goes_right(entry.row as usize);
        // Both are written, one is kept: no branch to guess.
        entries[left] = entry;
        scratch[right] = entry;
        left += usize::from(!side);
        right += usize::from(side);
    }
    entries[left..].copy_from_slice(&scratch[..right]);
    left
}

/// Sums of a leaf, as they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) gradient: f64,
    pub(crate) curvature: f64,
    pub(crate) weight: f64,
}

impl Sums {
    /// The Newton step; nothing for an empty leaf.
    pub(crate) fn step(&self, l2: f64) -> f64 {
        let below = self.curvature + l2;
        if below > 0.0 {
            -self.gradient / below
        } else {
            0.0
        }
    }
}

/// Sums of every leaf, each in the order of its rows.
pub(crate) fn sum(
    entries: &[Entry],
    nodes: &[Node],
    rows: &Rows,
    executor: &impl Executor,
) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); nodes.len()];
    executor.for_each(&mut sums, entries.len() as f64 * MOVE_NS, &|leaf, sums| {
        for entry in &entries[nodes[leaf].rows.clone()] {
            let row = entry.row as usize;
            sums.gradient += rows.gradient[row];
            sums.curvature += rows.curvature[row];
            sums.weight += rows.cover(row);
        }
    });
    sums
}

impl ObliviousTree {
    /// Value of a row.
    pub(crate) fn value(&self, panels: &[Panel], row: usize) -> f64 {
        let mut number = 0;
        for (bit, split) in self.splits.iter().enumerate() {
            let (panel, place) = find(panels, split.field);
            let bin = panel.bins[row * panel.width + place];
            number |= usize::from(split.right[usize::from(bin)]) << bit;
        }
        self.values[number]
    }
}

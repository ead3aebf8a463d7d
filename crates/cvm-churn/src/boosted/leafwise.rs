//! Grows a binary tree leaf by leaf: the leaf whose split gains most is split next.
//!
//! A split by a monotone field bounds the values of everything below it: the left side by the
//! middle of the two sides' values from above, the right side from below.
//!
//! Source: Shi (2007), *Best-first decision tree learning*; bounds as in LightGBM's basic method.

use super::executor::Executor;
use super::gradient::{Entry, Rows, Steps};
use super::oblivious::{Bench, Ground, Node, Shape, Sums, part, sum, winner};
use super::panel::{Panel, find};
use super::scan::{Split, best};

/// A node; a leaf has no split.
#[derive(Debug, Clone)]
pub(crate) struct BinaryNode {
    pub(crate) split: Option<Split>,
    pub(crate) left: usize,
    pub(crate) right: usize,
    pub(crate) value: f64,
    pub(crate) weight: f64,
}

/// A grown tree; node 0 is its root.
#[derive(Debug, Clone, Default)]
pub(crate) struct BinaryTree {
    pub(crate) nodes: Vec<BinaryNode>,
}

/// A leaf that may be split.
struct Open {
    node: Node,
    place: usize,
    depth: usize,
    bounds: (f64, f64),
    best: Option<Split>,
}

struct Grower<'g, 'b, E> {
    ground: Ground<'g>,
    shape: &'g Shape,
    benches: &'g mut [Bench<'b>],
    steps: Steps,
    executor: &'g E,
    used: Vec<usize>,
    leaves: Vec<Open>,
    nodes: Vec<BinaryNode>,
}

fn leaf_node() -> BinaryNode {
    BinaryNode {
        split: None,
        left: 0,
        right: 0,
        value: 0.0,
        weight: 0.0,
    }
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
) -> BinaryTree {
    let mut grower = Grower {
        ground,
        shape,
        benches,
        steps,
        executor,
        used: Vec::new(),
        leaves: Vec::new(),
        nodes: vec![leaf_node()],
    };
    let mut scratch = vec![Entry::default(); entries.len()];
    grower.start(entries);
    while grower.leaves.len() < shape.max_leaves && grower.step(entries, &mut scratch) {}
    grower.finish(entries, rows)
}

impl<E: Executor> Grower<'_, '_, E> {
    fn start(&mut self, entries: &[Entry]) {
        self.leaves.push(Open {
            node: Node::of(entries, 0..entries.len()),
            place: 0,
            depth: 0,
            bounds: (f64::NEG_INFINITY, f64::INFINITY),
            best: None,
        });
        let most = self.shape.max_leaves;
        for bench in &mut *self.benches {
            bench.reserve(most);
            bench.histograms[0].fill(bench.panel, entries, &mut bench.packed);
        }
        self.search(&[0], entries, None);
    }

    fn is_allowed(&self, field: usize) -> bool {
        let is_full = self.used.len() >= self.shape.order;
        self.ground.open[field] && (!is_full || self.used.contains(&field))
    }

    /// Finds the best splits of some leaves; of two that have just been parted, first their sums.
    fn search(&mut self, which: &[usize], entries: &[Entry], parted: Option<(usize, usize)>) {
        let slots: usize = self.ground.panels.iter().map(Panel::slots).sum();
        let rows: usize = which
            .iter()
            .map(|leaf| self.leaves[*leaf].node.rows.len())
            .sum();
        let added = rows * self.ground.fields.len() / 2;
        let cost = added as f64 * 0.8 + (which.len() * slots) as f64 * 3.0;
        let mut benches = std::mem::take(&mut self.benches);
        let own = &*self;
        own.executor.for_each(benches, cost, &|_, bench| {
            if let Some((left, right)) = parted {
                let rows = |leaf: usize| &entries[own.leaves[leaf].node.rows.clone()];
                bench.part(left, right, [rows(left), rows(right)]);
            }
            for (slot, leaf) in which.iter().enumerate() {
                let open = &own.leaves[*leaf];
                let sums = [open.node.leaf(&bench.histograms[*leaf])];
                let is_deep = open.depth >= own.shape.depth;
                bench.found[slot] = if is_deep {
                    None
                } else {
                    best(
                        bench.panel,
                        own.ground.fields,
                        &sums,
                        own.steps,
                        &own.shape.penalty,
                        &|field| own.is_allowed(field),
                        &mut bench.scratch,
                    )
                };
            }
        });
        for (slot, leaf) in which.iter().enumerate() {
            self.leaves[*leaf].best = winner(benches, slot);
        }
        std::mem::swap(&mut self.benches, &mut benches);
    }

    /// Splits the leaf that gains most; whether there was one.
    fn step(&mut self, entries: &mut [Entry], scratch: &mut [Entry]) -> bool {
        let gain = |leaf: &usize| self.leaves[*leaf].best.as_ref().map_or(0.0, |s| s.gain);
        // Of equals the first.
        let top = (0..self.leaves.len())
            .rev()
            .max_by(|a, b| gain(a).total_cmp(&gain(b)));
        let Some((leaf, split)) = top.and_then(|leaf| Some((leaf, self.leaves[leaf].best.take()?)))
        else {
            return false;
        };
        if !self.is_allowed(split.field) {
            // The tree has since used up its fields.
            self.search(&[leaf], entries, None);
            return true;
        }
        if !self.used.contains(&split.field) {
            self.used.push(split.field);
        }
        self.part(leaf, split, entries, scratch);
        true
    }

    fn part(&mut self, leaf: usize, split: Split, entries: &mut [Entry], scratch: &mut [Entry]) {
        let rows = self.leaves[leaf].node.rows.clone();
        let (panel, place) = find(self.ground.panels, split.field);
        let own = &mut entries[rows.clone()];
        let middle = part(own, &mut scratch[..rows.len()], |row| {
            split.right[usize::from(panel.bins[row * panel.width + place])]
        });
        let left = Node::of(entries, rows.start..rows.start + middle);
        let right = Node::of(entries, rows.start + middle..rows.end);
        let bounds = self.leaves[leaf].bounds;
        let (below, above) = self.bounds(bounds, &split, &left, &right);
        let (place, depth) = (self.leaves[leaf].place, self.leaves[leaf].depth + 1);
        let first = self.nodes.len();
        self.nodes.extend([leaf_node(), leaf_node()]);
        let parent = &mut self.nodes[place];
        (parent.left, parent.right) = (first, first + 1);
        parent.split = Some(split);
        let open = |node, place, bounds| Open {
            node,
            place,
            depth,
            bounds,
            best: None,
        };
        self.leaves[leaf] = open(left, first, below);
        self.leaves.push(open(right, first + 1, above));
        let new = self.leaves.len() - 1;
        self.search(&[leaf, new], entries, Some((leaf, new)));
    }

    fn bounds(
        &self,
        bounds: (f64, f64),
        split: &Split,
        left: &Node,
        right: &Node,
    ) -> ((f64, f64), (f64, f64)) {
        let direction = self.ground.fields[split.field].monotone;
        if direction == 0 {
            return (bounds, bounds);
        }
        let value = |node: &Node| {
            let sums = Sums {
                gradient: node.gradient as f64 * self.steps.gradient,
                curvature: node.curvature as f64 * self.steps.curvature,
                weight: 0.0,
            };
            sums.step(self.shape.penalty.l2).clamp(bounds.0, bounds.1)
        };
        let middle = value(left) / 2.0 + value(right) / 2.0;
        let (low, high) = ((bounds.0, middle), (middle, bounds.1));
        if direction > 0 {
            (low, high)
        } else {
            (high, low)
        }
    }

    fn finish(mut self, entries: &[Entry], rows: &mut Rows) -> BinaryTree {
        if self.leaves.len() == 1 {
            return BinaryTree { nodes: self.nodes };
        }
        let spans: Vec<Node> = self.leaves.iter().map(|leaf| leaf.node.clone()).collect();
        let sums = sum(entries, &spans, rows, self.executor);
        for (leaf, sums) in self.leaves.iter().zip(sums) {
            let step = sums.step(self.shape.penalty.l2);
            let value = step.clamp(leaf.bounds.0, leaf.bounds.1) * self.shape.learning_rate;
            let node = &mut self.nodes[leaf.place];
            (node.value, node.weight) = (value, sums.weight);
            for entry in &entries[leaf.node.rows.clone()] {
                rows.score[entry.row as usize] += value;
            }
        }
        // Children follow their parents.
        for place in (0..self.nodes.len()).rev() {
            if self.nodes[place].split.is_some() {
                let (left, right) = (self.nodes[place].left, self.nodes[place].right);
                self.nodes[place].weight = self.nodes[left].weight + self.nodes[right].weight;
            }
        }
        BinaryTree { nodes: self.nodes }
    }
}

impl BinaryTree {
    /// Value of a row.
    pub(crate) fn value(&self, panels: &[Panel], row: usize) -> f64 {
        let mut node = &self.nodes[0];
        while let Some(split) = &node.split {
            let (panel, place) = find(panels, split.field);
            let bin = panel.bins[row * panel.width + place];
            let right = split.right[usize::from(bin)];
            node = &self.nodes[if right { node.right } else { node.left }];
        }
        node.value
    }
}

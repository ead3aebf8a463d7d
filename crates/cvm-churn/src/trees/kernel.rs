//! The fast walk: eight-byte nodes, ranks in place of numbers, eight walks at a time.
//!
//! The children of a split are neighbours, so a step is one addition: `child + (rank > own)`. A leaf
//! is its own child and never goes right, so walks of different lengths need no branches. One row
//! walks eight trees at a time, a block of rows walks each tree eight rows at a time; either way a
//! row's sum runs over the trees in their order, in the model's width, so the bits are the same.

use super::forest::{Forest, LEAF};
use super::link::narrow;
use super::quantise::{MISSING_CATEGORY, NO_CATEGORY, Quantiser, RIGHT, SplitView, splits};
use super::rules::{CategorySets, NodeRule, Rules, Width};

/// Walks at a time.
const LANES: usize = 8;
/// Leaves this much farther than the nearest are reached without looking.
const UNEVEN: u16 = 4;
/// Bytes of ranks that stay in the first cache beside a tree.
const BLOCK_BYTES: usize = 16 * 1024;
/// Most views: their numbers share a field with three flags.
const MAX_VIEWS: usize = 8_192;
/// View flag of a category split.
const CATEGORY: u16 = 0x8000;
/// View flag: a missing category goes left; and of a category split, members go right.
const DEFAULT_LEFT: u16 = 0x4000;
/// View flag of a category split: members go right.
const MEMBERS_RIGHT: u16 = 0x2000;

/// A node: of a leaf, `child` is itself, `rank` is [`RIGHT`], `view` the number of the leaf in its
/// tree. Of a category split, `rank` is the number of the set.
#[derive(Debug, Clone, Copy, Default)]
struct Packed {
    child: u32,
    rank: u16,
    view: u16,
}

impl Packed {
    /// The node as one word, so that a step loads it once.
    fn word(self) -> u64 {
        u64::from(self.child) | u64::from(self.rank) << 32 | u64::from(self.view) << 48
    }

    #[inline(always)]
    fn of(word: u64) -> Packed {
        Packed {
            child: word as u32,
            rank: (word >> 32) as u16,
            view: (word >> 48) as u16,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    root: u32,
    /// Of the tree's leaves in `leaves`.
    first_leaf: u32,
    output: u16,
    /// Steps to the nearest and to the farthest leaf.
    nearest: u16,
    farthest: u16,
}

/// Sums in the model's width.
trait Real: Copy + Default + std::ops::Add<Output = Self> + 'static {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Real for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}

impl Real for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

/// A forest laid out for the fast walk.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    quantiser: Quantiser,
    nodes: Vec<u64>,
    trees: Vec<Tree>,
    sets: CategorySets,
    leaves: Leaves,
    /// Values per leaf.
    width: usize,
    base: Vec<f64>,
}

/// Values of leaves, `width` each, tree after tree, in the width they are added in.
#[derive(Debug, Clone)]
enum Leaves {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Kernel {
    /// The layout of `forest`; nothing if it is beyond the limits of the packed form (or has linear
    /// leaves), and is then walked as it is.
    pub(crate) fn new(forest: &Forest, rules: Rules, base: &[f64]) -> Option<Kernel> {
        let splits = splits(forest);
        let (quantiser, views) = Quantiser::new(&splits, rules)?;
        let too_many = quantiser.view_count() > MAX_VIEWS || forest.sets.len() >= RIGHT.into();
        let far = (0..forest.sets.len()).any(|set| set_is_far(&forest.sets, set));
        if too_many || far || !forest.linear.is_empty() {
            return None;
        }
        let mut packer = Packer {
            forest,
            views: views.into_iter(),
            by_node: Vec::new(),
            nodes: Vec::with_capacity(forest.features.len() + 1),
            leaves: Vec::new(),
        };
        packer.place_views()?;
        let mut trees = Vec::with_capacity(forest.tree_sizes.len());
        for (tree, nodes) in forest.trees().enumerate() {
            let first_leaf = packer.leaves.len() / forest.width;
            let (root, nearest, farthest) = packer.pack(nodes.start)?;
            trees.push(Tree {
                root,
                nearest,
                farthest,
                first_leaf: u32::try_from(first_leaf).ok()?,
                output: forest.tree_outputs.get(tree).copied().unwrap_or(0),
            });
        }
        let words = packer.nodes.iter().map(|node| node.word());
        let (nodes, leaves) = (words.collect(), packer.leaves);
        Some(Kernel {
            quantiser,
            nodes,
            trees,
            sets: forest.sets.clone(),
            leaves: match rules.sum {
                Width::F32 => Leaves::F32(leaves.iter().map(|v| *v as f32).collect()),
                Width::F64 => Leaves::F64(leaves),
            },
            width: forest.width,
            base: base.iter().map(|b| narrow(rules.sum, *b)).collect(),
        })
    }

    /// Sums of all rows: `sums` holds `base.len()` numbers a row. `values` gives `rows` rows from
    /// `start`, field after field.
    pub(crate) fn sum(&self, values: &[f64], rows: usize, sums: &mut [f64]) {
        match self.quantiser.view_count() {
            0..=64 => self.sum_wide::<64>(values, rows, sums),
            65..=256 => self.sum_wide::<256>(values, rows, sums),
            257..=1024 => self.sum_wide::<1024>(values, rows, sums),
            _ => self.sum_wide::<MAX_VIEWS>(values, rows, sums),
        }
    }

    fn sum_wide<const W: usize>(&self, values: &[f64], rows: usize, sums: &mut [f64]) {
        match (&self.leaves, self.sets.is_empty()) {
            (Leaves::F32(leaves), true) => self.run::<W, f32, false>(leaves, values, rows, sums),
            (Leaves::F32(leaves), false) => self.run::<W, f32, true>(leaves, values, rows, sums),
            (Leaves::F64(leaves), true) => self.run::<W, f64, false>(leaves, values, rows, sums),
            (Leaves::F64(leaves), false) => self.run::<W, f64, true>(leaves, values, rows, sums),
        }
    }

    fn run<const W: usize, A: Real, const C: bool>(
        &self,
        leaves: &[A],
        values: &[f64],
        rows: usize,
        sums: &mut [f64],
    ) {
        if rows < LANES {
            // A row at a time: values of one row are every `rows`-th number.
            let mut ranks = [[0_u16; W]; 1];
            for (row, sums) in sums.chunks_exact_mut(self.base.len()).enumerate() {
                if rows == 1 {
                    self.quantiser.quantise(values, &mut ranks);
                } else {
                    let own: Vec<f64> = values.iter().skip(row).step_by(rows).copied().collect();
                    self.quantiser.quantise(&own, &mut ranks);
                }
                self.sum_row::<W, A, C>(leaves, &ranks[0], sums);
            }
            return;
        }
        let mut ranks = vec![[0_u16; W]; rows.next_multiple_of(LANES)];
        self.quantiser.quantise(values, &mut ranks[..rows]);
        self.sum_block::<W, A, C>(leaves, &ranks, sums);
    }

    /// Rows worth reading at once.
    pub(crate) fn block_rows(&self) -> usize {
        let width = match self.quantiser.view_count() {
            0..=64 => 64,
            65..=256 => 256,
            257..=1024 => 1024,
            _ => MAX_VIEWS,
        };
        (BLOCK_BYTES / 2 / width).clamp(LANES, 128)
    }

    /// One row: eight trees at a time.
    fn sum_row<const W: usize, A: Real, const C: bool>(
        &self,
        leaves: &[A],
        row: &[u16; W],
        sums: &mut [f64],
    ) {
        let mut totals = [A::default(); super::limits::MAX_CLASSES];
        let totals = &mut totals[..self.base.len()];
        self.start(totals);
        for group in self.trees.chunks(LANES) {
            // Missing lanes repeat the first: what they find is not added.
            let first = group.first().map_or(0, |tree| tree.root);
            let mut lanes = [first; LANES];
            for (lane, tree) in lanes.iter_mut().zip(group) {
                *lane = tree.root;
            }
            let nearest = group.iter().map(|tree| tree.nearest).min().unwrap_or(0);
            let farthest = group.iter().map(|tree| tree.farthest).max().unwrap_or(0);
            self.walk::<W, C>(&mut lanes, (nearest, farthest), |_| row);
            for (lane, tree) in lanes.iter().zip(group) {
                self.add(leaves, tree, *lane, totals);
            }
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = total.wide();
        }
    }

    /// A block of rows: one tree, eight rows at a time.
    fn sum_block<const W: usize, A: Real, const C: bool>(
        &self,
        leaves: &[A],
        ranks: &[[u16; W]],
        sums: &mut [f64],
    ) {
        let outputs = self.base.len();
        let mut totals = vec![A::default(); ranks.len() * outputs];
        totals
            .chunks_exact_mut(outputs)
            .for_each(|row| self.start(row));
        for tree in &self.trees {
            let (groups, _) = ranks.as_chunks::<LANES>();
            let totals = totals.chunks_exact_mut(LANES * outputs);
            for (rows, totals) in groups.iter().zip(totals) {
                let mut lanes = [tree.root; LANES];
                let span = (tree.nearest, tree.farthest);
                self.walk::<W, C>(&mut lanes, span, |lane| &rows[lane]);
                for (lane, totals) in lanes.iter().zip(totals.chunks_exact_mut(outputs)) {
                    self.add(leaves, tree, *lane, totals);
                }
            }
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = total.wide();
        }
    }

    fn start<A: Real>(&self, totals: &mut [A]) {
        for (total, base) in totals.iter_mut().zip(&self.base) {
            *total = A::of(*base);
        }
    }

    #[inline(always)]
    fn add<A: Real>(&self, leaves: &[A], tree: &Tree, node: u32, totals: &mut [A]) {
        let leaf =
            tree.first_leaf as usize + usize::from(Packed::of(self.nodes[node as usize]).view);
        if self.width == 1 {
            let output = usize::from(tree.output);
            totals[output] = totals[output] + leaves[leaf];
            return;
        }
        let own = &leaves[leaf * self.width..(leaf + 1) * self.width];
        for (total, value) in totals.iter_mut().zip(own) {
            *total = *total + *value;
        }
    }

    /// Moves every lane to its leaf. Where all leaves are within a few steps, takes them all; else
    /// as many as every lane needs, then pairs of steps until nothing moves.
    #[inline(always)]
    fn walk<'r, const W: usize, const C: bool>(
        &self,
        lanes: &mut [u32; LANES],
        (nearest, farthest): (u16, u16),
        row: impl Fn(usize) -> &'r [u16; W],
    ) {
        let is_even = farthest <= nearest + UNEVEN;
        for _ in 0..if is_even { farthest } else { nearest } {
            for (lane, node) in lanes.iter_mut().enumerate() {
                *node = self.step::<W, C>(*node, row(lane));
            }
        }
        if is_even {
            return;
        }
        loop {
            for (lane, node) in lanes.iter_mut().enumerate() {
                *node = self.step::<W, C>(*node, row(lane));
            }
            let mut moved = 0;
            for (lane, node) in lanes.iter_mut().enumerate() {
                let next = self.step::<W, C>(*node, row(lane));
                moved |= next ^ *node;
                *node = next;
            }
            if moved == 0 {
                return;
            }
        }
    }

    #[inline(always)]
    fn step<const W: usize, const C: bool>(&self, node: u32, row: &[u16; W]) -> u32 {
        let packed = Packed::of(self.nodes[node as usize]);
        let seen = row[usize::from(packed.view) & (W - 1)];
        if C && packed.view & CATEGORY != 0 {
            return packed.child + u32::from(self.category_right(packed, seen));
        }
        packed.child + u32::from(seen > packed.rank)
    }

    fn category_right(&self, packed: Packed, code: u16) -> bool {
        match code {
            MISSING_CATEGORY => packed.view & DEFAULT_LEFT == 0,
            code => {
                let member =
                    code != NO_CATEGORY && self.sets.contains(packed.rank.into(), code.into());
                member == (packed.view & MEMBERS_RIGHT != 0)
            }
        }
    }
}

/// Whether a set names a category that 16 bits cannot.
fn set_is_far(sets: &CategorySets, set: usize) -> bool {
    let words = sets.words(set);
    let last = words.iter().rposition(|word| *word != 0);
    last.is_some_and(|last| last * 32 + 31 >= usize::from(MISSING_CATEGORY))
}

struct Packer<'f> {
    forest: &'f Forest,
    views: std::vec::IntoIter<SplitView>,
    /// View and rank of every split, by node of the forest.
    by_node: Vec<(u16, u16)>,
    nodes: Vec<Packed>,
    leaves: Vec<f64>,
}

impl Packer<'_> {
    fn place_views(&mut self) -> Option<()> {
        for (node, feature) in self.forest.features.iter().enumerate() {
            let mut own = (0, RIGHT);
            if *feature != LEAF {
                let split = self.views.next()?;
                let view = u16::try_from(split.view).ok()?;
                own = self.flagged(node, view, split.rank)?;
            }
            self.by_node.push(own);
        }
        Some(())
    }

    fn flagged(&self, node: usize, view: u16, rank: u16) -> Option<(u16, u16)> {
        let rule: NodeRule = self.forest.rules[node];
        if !rule.is_category() {
            return Some((view, rank));
        }
        let mut view = view | CATEGORY;
        if rule.default_left() {
            view |= DEFAULT_LEFT;
        }
        if rule.members_right() {
            view |= MEMBERS_RIGHT;
        }
        Some((view, u16::try_from(self.forest.values[node] as usize).ok()?))
    }

    /// Packs the tree at `root`, level by level, children side by side; gives its new root, and the
    /// steps to its nearest and farthest leaf.
    fn pack(&mut self, root: usize) -> Option<(u32, u16, u16)> {
        let first = self.nodes.len();
        let first_leaf = self.leaves.len();
        self.nodes.push(Packed::default());
        let mut queue = std::collections::VecDeque::from([(root, first, 0_u16)]);
        let (mut nearest, mut farthest) = (u16::MAX, 0);
        while let Some((node, place, depth)) = queue.pop_front() {
            if self.forest.features[node] == LEAF {
                let number = (self.leaves.len() - first_leaf) / self.forest.width;
                if number >= self.most_leaves() {
                    return None;
                }
                self.push_leaf(node);
                nearest = nearest.min(depth);
                farthest = farthest.max(depth);
                self.nodes[place] = Packed {
                    child: place as u32,
                    rank: RIGHT,
                    view: number as u16,
                };
                continue;
            }
            let child = self.nodes.len();
            self.nodes.extend([Packed::default(); 2]);
            let (view, rank) = self.by_node[node];
            self.nodes[place] = Packed {
                child: child as u32,
                rank,
                view,
            };
            queue.push_back((node + 1, child, depth + 1));
            queue.push_back((self.forest.right(node), child + 1, depth + 1));
        }
        Some((first as u32, nearest, farthest))
    }

    /// Leaf numbers share the field of views, and must not look like the flags of a category.
    fn most_leaves(&self) -> usize {
        if self.forest.sets.is_empty() {
            return usize::from(u16::MAX);
        }
        usize::from(MEMBERS_RIGHT)
    }

    fn push_leaf(&mut self, node: usize) {
        match self.forest.width {
            1 => self.leaves.push(self.forest.values[node]),
            _ => self.leaves.extend_from_slice(self.forest.leaf_vector(node)),
        }
    }
}

//! Exact path-dependent TreeSHAP: what each field adds to a row's raw score, by Shapley's rule.
//!
//! A leaf with value `w` is reached in a coalition `S` with weight `w Π_{i∈S} o_i Π_{i∉S} z_i`, where
//! `o_i` is 1 if the row passes all splits on field `i` above the leaf, and `z_i` is the share of
//! training weight that passes them. The Shapley value of such a product is an integral over the
//! chance `t` that a field is in the coalition:
//!
//! ```text
//! φ_j = Σ_leaves w (o_j − z_j) ∫₀¹ Π_{i≠j} (z_i + t (o_i − z_i)) dt
//! ```
//!
//! The integrand is a polynomial of degree below the number `D` of fields on the path, so a
//! Gauss-Legendre rule of `⌈D/2⌉` nodes is exact. One sweep over the tree in preorder carries the
//! product at every node of the rule down, one in the opposite order the sum over leaves up.
//!
//! Of a split's child, with `(o, z)` after its split and `(o', z')` of the same field before it, the
//! leaves below add `∫ B (o − z)/f` and take `∫ B (o' − z')/f'` away, `f = z + t (o − z)`. Once a row
//! has failed a field (`o' = 0`), both are `−∫ B/(1−t)` and cancel, and the product changes by the
//! child's share alone: such nodes cost next to nothing. `1/f` for `o = 1` is kept per node.
//!
//! Sources: Lundberg, Erion & Lee (2018), *Consistent individualized feature attribution for tree
//! ensembles*, algorithm 2 (the game); Owen (1972), *Multilinear extensions of games*, Management
//! Science 18(5) (the integral); Yu, Xu, Zhang & Zhang (2022), *Linear TreeShap*, NeurIPS (the walk).

use super::attribution::Game;
use super::forest::{Forest, LEAF};
use super::quadrature::{Rule, gauss_legendre};
use std::borrow::Cow;
use std::ops::Range;

/// Rules there are; one of `n` nodes serves paths of `2n` distinct fields.
const RULE_SIZES: [usize; 8] = [2, 4, 6, 8, 12, 16, 32, 64];
/// Most numbers of tables kept between calls; what is beyond is made anew in each call.
const MAX_KEPT_NUMBERS: usize = 1 << 23;

/// A rule with what a sweep needs of it.
#[derive(Debug, Clone)]
struct Table<const N: usize> {
    nodes: [f64; N],
    weights: [f64; N],
    /// `1/(1 − t)`.
    complements: [f64; N],
}

impl<const N: usize> Table<N> {
    fn new() -> Table<N> {
        let Rule { nodes, weights } = gauss_legendre();
        let complements = nodes.map(|t: f64| 1.0 / (1.0 - t));
        Table {
            nodes,
            weights,
            complements,
        }
    }
}

#[derive(Debug, Clone)]
struct Tables {
    of_2: Table<2>,
    of_4: Table<4>,
    of_6: Table<6>,
    of_8: Table<8>,
    of_12: Table<12>,
    of_16: Table<16>,
    of_32: Table<32>,
    of_64: Table<64>,
}

impl Tables {
    fn new() -> Tables {
        Tables {
            of_2: Table::new(),
            of_4: Table::new(),
            of_6: Table::new(),
            of_8: Table::new(),
            of_12: Table::new(),
            of_16: Table::new(),
            of_32: Table::new(),
            of_64: Table::new(),
        }
    }

    fn nodes(&self, size: usize) -> &[f64] {
        match size {
            2 => &self.of_2.nodes,
            4 => &self.of_4.nodes,
            6 => &self.of_6.nodes,
            8 => &self.of_8.nodes,
            12 => &self.of_12.nodes,
            16 => &self.of_16.nodes,
            32 => &self.of_32.nodes,
            _ => &self.of_64.nodes,
        }
    }
}

/// Trees laid out for path-dependent attribution.
#[derive(Debug, Clone)]
pub(crate) struct PathDependent {
    trees: Vec<TreeShape>,
    /// Columns of the first trees.
    kept: Vec<Columns>,
    rules: Tables,
}

#[derive(Debug, Clone)]
struct TreeShape {
    nodes: Range<usize>,
    /// Nodes of the rule it needs, one of [`RULE_SIZES`].
    rule_size: usize,
}

impl PathDependent {
    /// The layout of `forest`, whose nodes hold `shares` of their parents' training weight.
    ///
    /// # Errors
    /// A path of more fields than the largest rule serves.
    pub(crate) fn new(forest: &Forest, shares: &[f64]) -> Result<PathDependent, String> {
        let mut trees = Vec::with_capacity(forest.tree_sizes.len());
        for nodes in forest.trees() {
            let most = most_fields(forest, &nodes);
            let size = RULE_SIZES.into_iter().find(|size| 2 * size >= most);
            let rule_size = size
                .ok_or_else(|| format!("a path asks {most} fields, at most 128 are explained"))?;
            trees.push(TreeShape { nodes, rule_size });
        }
        let rules = Tables::new();
        let mut kept = Vec::new();
        let mut numbers = 0;
        for tree in &trees {
            numbers += tree.nodes.len() * (tree.rule_size + 2);
            if numbers > MAX_KEPT_NUMBERS {
                break;
            }
            kept.push(Columns::new(forest, shares, tree, &rules));
        }
        Ok(PathDependent { trees, kept, rules })
    }

    /// Adds every tree's attributions: `values` holds `rows` rows of prepared values field after
    /// field, `out` row after row, in it output after output, in it field after field.
    pub(crate) fn add(
        &self,
        game: &Game<'_>,
        shares: &[f64],
        values: &[f64],
        rows: usize,
        out: &mut [f64],
    ) {
        let mut room = Room::default();
        for (index, tree) in self.trees.iter().enumerate() {
            let columns = match self.kept.get(index) {
                Some(columns) => Cow::Borrowed(columns),
                None => Cow::Owned(Columns::new(game.forest, shares, tree, &self.rules)),
            };
            let sweep = Sweep {
                game,
                shares,
                tree: index,
                nodes: tree.nodes.clone(),
                columns: &columns,
                values,
                rows,
            };
            let rules = &self.rules;
            match tree.rule_size {
                2 => sweep.all(&rules.of_2, &mut room, out),
                4 => sweep.all(&rules.of_4, &mut room, out),
                6 => sweep.all(&rules.of_6, &mut room, out),
                8 => sweep.all(&rules.of_8, &mut room, out),
                12 => sweep.all(&rules.of_12, &mut room, out),
                16 => sweep.all(&rules.of_16, &mut room, out),
                32 => sweep.all(&rules.of_32, &mut room, out),
                _ => sweep.all(&rules.of_64, &mut room, out),
            }
        }
    }
}

/// Parent of each place of a tree.
fn parents(forest: &Forest, nodes: &Range<usize>) -> Vec<usize> {
    let mut parents = vec![0; nodes.len()];
    for node in nodes.clone() {
        if forest.features[node] != LEAF {
            let place = node - nodes.start;
            parents[place + 1] = place;
            parents[forest.right(node) - nodes.start] = place;
        }
    }
    parents
}

/// For each place the nearest one above it whose parent splits on the same field as its own does;
/// the root if there is none.
fn previous(forest: &Forest, nodes: &Range<usize>) -> Vec<u32> {
    let parents = parents(forest, nodes);
    let field = |place: usize| forest.features[nodes.start + parents[place]];
    let above = |place: usize| {
        let mut above = parents[place];
        while above != 0 && field(above) != field(place) {
            above = parents[above];
        }
        above as u32
    };
    (0..nodes.len()).map(above).collect()
}

/// Most distinct fields on a path of a tree.
fn most_fields(forest: &Forest, nodes: &Range<usize>) -> usize {
    let (parents, previous) = (parents(forest, nodes), previous(forest, nodes));
    let mut distinct = vec![0_usize; nodes.len()];
    for place in 1..nodes.len() {
        distinct[place] = distinct[parents[place]] + usize::from(previous[place] == 0);
    }
    distinct.into_iter().max().unwrap_or(0)
}

/// What a tree's nodes keep, by place in the tree; the root stands for a field that no split above
/// has asked about: everything passes.
#[derive(Debug, Clone)]
struct Columns {
    /// See [`previous`].
    previous: Vec<u32>,
    /// `z`: share of training weight that passes all splits on the field down to the node.
    passing: Vec<f64>,
    /// `1/(z + t (1 − z))` at every node of the rule.
    inverses: Vec<f64>,
}

impl Columns {
    fn new(forest: &Forest, shares: &[f64], tree: &TreeShape, rules: &Tables) -> Columns {
        let size = tree.nodes.len();
        let previous = previous(forest, &tree.nodes);
        let mut passing = vec![1.0; size];
        let mut inverses = Vec::with_capacity(size * tree.rule_size);
        for place in 0..size {
            if place > 0 {
                passing[place] =
                    passing[previous[place] as usize] * shares[tree.nodes.start + place];
            }
            let z = passing[place];
            let nodes = rules.nodes(tree.rule_size).iter();
            inverses.extend(nodes.map(|t| 1.0 / (z + t * (1.0 - z))));
        }
        Columns {
            previous,
            passing,
            inverses,
        }
    }
}

/// Room for one row's sweep over one tree, by place.
#[derive(Debug, Default)]
struct Room {
    /// Whether the row passes all splits on the field down to the place.
    passes: Vec<bool>,
    /// The product on the way down times the weight, at every node of the rule.
    products: Vec<f64>,
    /// The sum over leaves below.
    sums: Vec<f64>,
}

/// One block of rows and one tree.
struct Sweep<'s> {
    game: &'s Game<'s>,
    shares: &'s [f64],
    tree: usize,
    nodes: Range<usize>,
    columns: &'s Columns,
    values: &'s [f64],
    rows: usize,
}

impl Sweep<'_> {
    fn all<const N: usize>(&self, rule: &Table<N>, room: &mut Room, out: &mut [f64]) {
        let size = self.nodes.len();
        if size < 2 {
            return;
        }
        room.passes.resize(size, true);
        room.products.resize(size * N, 0.0);
        room.sums.resize(size * N, 0.0);
        let (fields, outputs) = (self.game.field_count, self.game.output_count);
        for (row, out) in out.chunks_exact_mut(fields * outputs).enumerate() {
            self.down(rule, row, room);
            for output in self.game.outputs_of(self.tree) {
                let phi = &mut out[output * fields..(output + 1) * fields];
                self.up(rule, output, room, phi);
            }
        }
    }

    /// Products from the root to the leaves.
    fn down<const N: usize>(&self, rule: &Table<N>, row: usize, room: &mut Room) {
        let Room {
            passes, products, ..
        } = room;
        let (products, _) = products.as_chunks_mut::<N>();
        let (inverses, _) = self.columns.inverses.as_chunks::<N>();
        passes[0] = true;
        products[0] = rule.weights;
        for place in 0..self.nodes.len() {
            let Some((field, left, right)) = self.split(place) else {
                continue;
            };
            let value = self.values[field * self.rows + row];
            let node = self.nodes.start + place;
            let goes_left = self.game.forest.goes_left(node, value, self.game.rules);
            let product = products[place];
            for (child, passed) in [(left, goes_left), (right, !goes_left)] {
                let above = self.columns.previous[child] as usize;
                let mut own = product;
                if passes[above] {
                    let z = self.columns.passing[child];
                    let step = f64::from(u8::from(passed)) - z;
                    for q in 0..N {
                        own[q] *= (z + rule.nodes[q] * step) * inverses[above][q];
                    }
                } else {
                    let share = self.shares[self.nodes.start + child];
                    own.iter_mut().for_each(|product| *product *= share);
                }
                passes[child] = passes[above] & passed;
                products[child] = own;
            }
        }
    }

    /// Sums over leaves from the leaves to the root, and what they say about each split's field.
    fn up<const N: usize>(&self, rule: &Table<N>, output: usize, room: &mut Room, phi: &mut [f64]) {
        let Room {
            passes,
            products,
            sums,
        } = room;
        let (products, _) = products.as_chunks::<N>();
        let (sums, _) = sums.as_chunks_mut::<N>();
        for place in (0..self.nodes.len()).rev() {
            let Some((field, left, right)) = self.split(place) else {
                let value = self.game.leaf_value(self.nodes.start + place, output);
                sums[place] = products[place].map(|product| product * value);
                continue;
            };
            let (below_left, below_right) = (sums[left], sums[right]);
            phi[field] += self.said(rule, left, &below_left, passes)
                + self.said(rule, right, &below_right, passes);
            let mut sum = below_left;
            for (sum, right) in sum.iter_mut().zip(below_right) {
                *sum += right;
            }
            sums[place] = sum;
        }
    }

    /// What the leaves below a child say about its split's field beyond what the split before it on
    /// the same field was told.
    #[inline(always)]
    fn said<const N: usize>(
        &self,
        rule: &Table<N>,
        child: usize,
        below: &[f64; N],
        passes: &[bool],
    ) -> f64 {
        let above = self.columns.previous[child] as usize;
        if !passes[above] {
            return 0.0;
        }
        let (inverses, _) = self.columns.inverses.as_chunks::<N>();
        let lost = 1.0 - self.columns.passing[above];
        let mut gain = [0.0; N];
        if passes[child] {
            let own = 1.0 - self.columns.passing[child];
            for q in 0..N {
                gain[q] = own * inverses[child][q] - lost * inverses[above][q];
            }
        } else {
            for q in 0..N {
                gain[q] = -rule.complements[q] - lost * inverses[above][q];
            }
        }
        dot(below, &gain)
    }

    /// Field and children of the split at a place.
    #[inline(always)]
    fn split(&self, place: usize) -> Option<(usize, usize, usize)> {
        let node = self.nodes.start + place;
        let field = self.game.forest.features[node];
        let right = || self.game.forest.right(node) - self.nodes.start;
        (field != LEAF).then(|| (field as usize, place + 1, right()))
    }
}

/// `Σ a b`, added in two lanes and then across them: the order is fixed.
#[inline(always)]
fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    let mut lanes = [0.0; 2];
    for start in (0..N).step_by(2) {
        lanes[0] += a[start] * b[start];
        lanes[1] += a[start + 1] * b[start + 1];
    }
    lanes[0] + lanes[1]
}

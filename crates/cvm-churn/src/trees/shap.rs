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
//! Gauss-Legendre rule of `⌈D/2⌉` nodes is exact. One walk over the tree carries the product at every
//! node of the rule down and the sum over leaves up: the work is linear in nodes.
//!
//! Sources: Lundberg, Erion & Lee (2018), *Consistent individualized feature attribution for tree
//! ensembles*, algorithm 2 (the game); Owen (1972), *Multilinear extensions of games*, Management
//! Science 18(5) (the integral); Yu, Xu, Zhang & Zhang (2022), *Linear TreeShap*, NeurIPS (the walk).

use super::builder::Builder;
use super::forest::{Forest, LEAF};
use super::model::{Ensemble, Trees};
use super::rules::Rules;

/// Deepest tree that is explained: the walk is recursive.
const MAX_DEPTH: usize = 256;
/// Rules there are; one of `n` nodes serves paths of `2n` distinct fields.
const RULE_SIZES: [usize; 6] = [4, 8, 12, 16, 32, 64];

/// The rules.
#[derive(Debug)]
struct Quadratures {
    of_4: Rule<4>,
    of_8: Rule<8>,
    of_12: Rule<12>,
    of_16: Rule<16>,
    of_32: Rule<32>,
    of_64: Rule<64>,
}

impl Quadratures {
    fn new() -> Quadratures {
        Quadratures {
            of_4: gauss_legendre(),
            of_8: gauss_legendre(),
            of_12: gauss_legendre(),
            of_16: gauss_legendre(),
            of_32: gauss_legendre(),
            of_64: gauss_legendre(),
        }
    }
}

/// An ensemble laid out for explanation.
#[derive(Debug)]
pub(crate) struct Explainer<'e> {
    ensemble: &'e Ensemble,
    forest: std::borrow::Cow<'e, Forest>,
    /// Share of its parent's training weight, by node.
    shares: Vec<f64>,
    /// Nodes of the rule that each tree needs, one of [`RULE_SIZES`].
    sizes: Vec<usize>,
    rules: Quadratures,
    /// Raw score expected before anything is known, by output.
    pub(crate) base: Vec<f64>,
}

impl<'e> Explainer<'e> {
    /// The explainer of `ensemble`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn new(ensemble: &'e Ensemble) -> Result<Explainer<'e>, String> {
        let forest = match &ensemble.trees {
            Trees::Binary(forest) => std::borrow::Cow::Borrowed(forest),
            Trees::Oblivious(_) => std::borrow::Cow::Owned(expand(ensemble)?),
        };
        if forest.covers.len() != forest.features.len() {
            return Err("the model does not say how many training rows reached its nodes".into());
        }
        if !forest.linear.is_empty() {
            return Err("linear leaves have no path-dependent attribution".to_owned());
        }
        if forest.depth() > MAX_DEPTH {
            return Err(format!("a tree is deeper than {MAX_DEPTH}"));
        }
        let mut explainer = Explainer {
            shares: shares(&forest),
            sizes: Vec::new(),
            rules: Quadratures::new(),
            base: Vec::new(),
            ensemble,
            forest,
        };
        explainer.sizes = explainer.rule_sizes()?;
        explainer.base = explainer.expected();
        Ok(explainer)
    }

    fn rule_sizes(&self) -> Result<Vec<usize>, String> {
        let mut counts = vec![0_u32; self.ensemble.fields.len()];
        let size = |root: usize| {
            let most = most_fields(&self.forest, root, &mut counts, 0);
            let needed = RULE_SIZES.into_iter().find(|size| 2 * size >= most);
            needed.ok_or_else(|| format!("a path asks {most} fields, at most 128 are explained"))
        };
        let roots: Vec<usize> = self.forest.trees().map(|nodes| nodes.start).collect();
        roots.into_iter().map(size).collect()
    }

    /// Scale of attributions: raw scores are `(scale · sum + bias) / divisor`.
    fn scale(&self) -> f64 {
        self.ensemble.finish.scale / self.ensemble.finish.divisor
    }

    fn expected(&self) -> Vec<f64> {
        let finish = &self.ensemble.finish;
        let mut sums = finish.base.clone();
        for (tree, nodes) in self.forest.trees().enumerate() {
            let mut reach = vec![0.0; nodes.len()];
            for node in nodes.clone() {
                let own = if node == nodes.start {
                    1.0
                } else {
                    reach[node - nodes.start]
                };
                if self.forest.features[node] != LEAF {
                    for child in [node + 1, self.forest.right(node)] {
                        reach[child - nodes.start] = own * self.shares[child];
                    }
                    continue;
                }
                for (output, sum) in sums.iter_mut().enumerate() {
                    *sum += own * self.leaf_value(tree, node, output);
                }
            }
        }
        let raw = sums
            .iter()
            .enumerate()
            .map(|(output, sum)| finish.raw(output, *sum));
        raw.collect()
    }

    /// What a leaf adds to an output.
    fn leaf_value(&self, tree: usize, node: usize, output: usize) -> f64 {
        if self.forest.width > 1 {
            return self
                .forest
                .leaf_vector(node)
                .get(output)
                .copied()
                .unwrap_or(0.0);
        }
        let own = self.forest.tree_outputs.get(tree).copied().unwrap_or(0);
        if usize::from(own) == output {
            self.forest.values[node]
        } else {
            0.0
        }
    }

    /// Attributions of a row of prepared values: field after field, for each output.
    pub(crate) fn explain(&self, values: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let fields = self.ensemble.fields.len();
        let mut path = vec![(true, 1.0); fields];
        for (tree, nodes) in self.forest.trees().enumerate() {
            let outputs = if self.forest.width > 1 {
                0..self.forest.width
            } else {
                let own = usize::from(self.forest.tree_outputs[tree]);
                own..own + 1
            };
            for output in outputs {
                let phi = &mut out[output * fields..(output + 1) * fields];
                let mut walk = Walk {
                    explainer: self,
                    tree,
                    output,
                    values,
                    path: &mut path,
                    phi,
                };
                let (root, rules) = (nodes.start, &self.rules);
                match self.sizes[tree] {
                    4 => walk.run(root, &rules.of_4),
                    8 => walk.run(root, &rules.of_8),
                    12 => walk.run(root, &rules.of_12),
                    16 => walk.run(root, &rules.of_16),
                    32 => walk.run(root, &rules.of_32),
                    _ => walk.run(root, &rules.of_64),
                }
            }
        }
        let scale = self.scale();
        if scale != 1.0 {
            out.iter_mut().for_each(|phi| *phi *= scale);
        }
    }
}

/// Oblivious trees as binary ones.
fn expand(ensemble: &Ensemble) -> Result<Forest, String> {
    let Trees::Oblivious(trees) = &ensemble.trees else {
        return Err("not oblivious".to_owned());
    };
    let mut builder = Builder::new(trees.width);
    for tree in trees.trees() {
        let (nodes, covers) = trees.expand(tree);
        builder.push(0, 0, &nodes, &covers)?;
    }
    builder
        .finish()
        .link(ensemble.fields.len(), ensemble.output_count())
}

/// Share of the parent's cover; 0 where nothing reached the parent.
fn shares(forest: &Forest) -> Vec<f64> {
    let mut shares = vec![1.0; forest.features.len()];
    for node in 0..forest.features.len() {
        if forest.features[node] == LEAF {
            continue;
        }
        // Of the children, not of the node: shares of siblings then sum to 1 even where a library
        // counts its nodes loosely.
        let children = [node + 1, forest.right(node)];
        let total: f64 = children.iter().map(|child| forest.covers[*child]).sum();
        for child in children {
            shares[child] = if total > 0.0 {
                forest.covers[child] / total
            } else {
                0.0
            };
        }
    }
    shares
}

/// Most distinct fields on a path below `node`.
fn most_fields(forest: &Forest, node: usize, counts: &mut [u32], distinct: usize) -> usize {
    if forest.features[node] == LEAF {
        return distinct;
    }
    let field = forest.features[node] as usize;
    counts[field] += 1;
    let distinct = distinct + usize::from(counts[field] == 1);
    let left = most_fields(forest, node + 1, counts, distinct);
    let right = most_fields(forest, forest.right(node), counts, distinct);
    counts[field] -= 1;
    left.max(right)
}

/// One row's walk over one tree.
struct Walk<'w, 'e> {
    explainer: &'w Explainer<'e>,
    tree: usize,
    output: usize,
    values: &'w [f64],
    /// `(o, z)` of each field above the node; `(true, 1)` if it is not there.
    path: &'w mut [(bool, f64)],
    phi: &'w mut [f64],
}

impl Walk<'_, '_> {
    fn run<const N: usize>(&mut self, root: usize, rule: &Rule<N>) {
        self.visit(root, &[1.0; N], rule);
    }

    /// The sum over leaves below `node` of their value times their product, at every node of the
    /// rule; `product` is that of the path to `node`.
    fn visit<const N: usize>(
        &mut self,
        node: usize,
        product: &[f64; N],
        rule: &Rule<N>,
    ) -> [f64; N] {
        let forest = &self.explainer.forest;
        let feature = forest.features[node];
        if feature == LEAF {
            let value = self.explainer.leaf_value(self.tree, node, self.output);
            return product.map(|p| p * value);
        }
        let field = feature as usize;
        let rules: &Rules = &self.explainer.ensemble.rules;
        let left = forest.goes_left(node, self.values[field], rules);
        let children = [(node + 1, left), (forest.right(node), !left)];
        let above = self.path[field];
        let mut sum = [0.0; N];
        for (child, passes) in children {
            let own = (above.0 && passes, above.1 * self.explainer.shares[child]);
            if !own.0 && own.1 == 0.0 {
                // Neither the row nor any training row gets there.
                continue;
            }
            self.path[field] = own;
            let below = self.child(child, product, above, own, field, rule);
            for (sum, below) in sum.iter_mut().zip(below) {
                *sum += below;
            }
        }
        self.path[field] = above;
        sum
    }

    /// Visits a child and adds what its leaves say about `field`.
    fn child<const N: usize>(
        &mut self,
        child: usize,
        product: &[f64; N],
        above: (bool, f64),
        own: (bool, f64),
        field: usize,
        rule: &Rule<N>,
    ) -> [f64; N] {
        let factor = factors(own, rule);
        let inverse = factor.map(|f| 1.0 / f);
        let is_first = above == (true, 1.0);
        let mut down = *product;
        for (down, factor) in down.iter_mut().zip(&factor) {
            *down *= factor;
        }
        let mut before = [1.0; N];
        if !is_first {
            before = factors(above, rule).map(|f| 1.0 / f);
            for (down, before) in down.iter_mut().zip(&before) {
                *down *= before;
            }
        }
        let below = self.visit(child, &down, rule);
        self.phi[field] += chance(own) * integral(&below, &inverse, rule);
        if !is_first {
            // The split above counted these leaves with its own factor.
            self.phi[field] -= chance(above) * integral(&below, &before, rule);
        }
        below
    }
}

/// `z + t (o − z)` at every node of the rule.
#[inline(always)]
fn factors<const N: usize>((passes, share): (bool, f64), rule: &Rule<N>) -> [f64; N] {
    let step = chance((passes, share));
    rule.nodes.map(|t| share + t * step)
}

/// `o − z`.
fn chance((passes, share): (bool, f64)) -> f64 {
    f64::from(u8::from(passes)) - share
}

/// The integral of `f · g`, added in four lanes and then across them: the order is fixed.
#[inline(always)]
fn integral<const N: usize>(f: &[f64; N], g: &[f64; N], rule: &Rule<N>) -> f64 {
    let mut lanes = [0.0; 4];
    for start in (0..N).step_by(4) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let at = start + lane;
            *sum += rule.weights[at] * (f[at] * g[at]);
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

/// A quadrature rule on `[0, 1]`.
#[derive(Debug)]
struct Rule<const N: usize> {
    nodes: [f64; N],
    weights: [f64; N],
}

/// The Gauss-Legendre rule: roots of the Legendre polynomial by Newton's method, from the
/// separation of roots of successive polynomials.
///
/// Source: Abramowitz & Stegun (1964), 25.4.29 and 22.7.10.
fn gauss_legendre<const N: usize>() -> Rule<N> {
    let mut roots: Vec<f64> = vec![0.0];
    for degree in 2..=N {
        let mut next = Vec::with_capacity(degree);
        for index in 0..degree {
            // Roots of one degree separate those of the next.
            let low = index.checked_sub(1).map_or(-1.0, |before| roots[before]);
            let high = roots.get(index).copied().unwrap_or(1.0);
            next.push(root(degree, low, high));
        }
        roots = next;
    }
    let mut rule = Rule {
        nodes: [0.0; N],
        weights: [0.0; N],
    };
    for (index, x) in roots.iter().enumerate() {
        let (_, slope) = legendre(N, *x);
        rule.nodes[index] = 0.5 + 0.5 * x;
        rule.weights[index] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    rule
}

/// The root of the Legendre polynomial between `low` and `high`.
fn root(degree: usize, mut low: f64, mut high: f64) -> f64 {
    let sign = legendre(degree, low).0 > 0.0;
    let mut x = 0.5 * (low + high);
    for _ in 0..100 {
        let (value, slope) = legendre(degree, x);
        if (value > 0.0) == sign {
            low = x;
        } else {
            high = x;
        }
        let newton = x - value / slope;
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        if next == x {
            break;
        }
        x = next;
    }
    x
}

/// Value and slope of the Legendre polynomial, by its recurrence.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for n in 2..=degree {
        let n = n as f64;
        let next = ((2.0 * n - 1.0) * x * value - (n - 1.0) * before) / n;
        (before, value) = (value, next);
    }
    let slope = degree as f64 * (x * value - before) / (x * x - 1.0);
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    fn check<const N: usize>() {
        let rule = gauss_legendre::<N>();
        for degree in 0..2 * N {
            let power = |x: f64| (0..degree).fold(1.0, |product, _| product * x);
            let nodes = rule.nodes.iter().zip(&rule.weights);
            let sum: f64 = nodes.map(|(x, w)| w * power(*x)).sum();
            let exact = 1.0 / (degree as f64 + 1.0);
            assert!(
                (sum - exact).abs() < 4e-15,
                "{N} nodes, degree {degree}: {sum}"
            );
        }
    }

    #[test]
    fn rules_are_exact_up_to_their_degree() {
        check::<4>();
        check::<8>();
        check::<12>();
        check::<16>();
        check::<32>();
        check::<64>();
    }
}

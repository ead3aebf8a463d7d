//! Binary trees as flat arrays in preorder: the left child follows its parent, so there is no
//! pointer a file could get wrong, no loop, and no node reached twice.

use super::limits::{MAX_DEPTH, MAX_NODES, MAX_TREES};
use super::rules::{CategorySets, Missing, NodeRule, Rules, TINY};

/// Marks a leaf in [`Forest::features`].
pub(crate) const LEAF: u32 = u32::MAX;

/// A leaf that is a linear function of raw inputs (LightGBM's `linear_tree`).
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLeaf {
    /// Constant term.
    pub constant: f64,
    /// Field and coefficient, in the order they are added.
    pub terms: Vec<(u32, f64)>,
}

/// The nodes of all trees, tree after tree, each in preorder.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forest {
    /// Nodes per tree.
    pub tree_sizes: Vec<u32>,
    /// Output that each tree adds to; empty if leaves are vectors.
    pub tree_outputs: Vec<u16>,
    /// Field of a split, or [`LEAF`].
    pub features: Vec<u32>,
    /// Rule of a split; of a leaf only whether it is linear.
    pub rules: Vec<NodeRule>,
    /// Threshold or number of the category set of a split; value of a leaf, or the number of its
    /// vector.
    pub values: Vec<f64>,
    /// Training weight that reached each node; empty if unknown.
    pub covers: Vec<f64>,
    /// Category sets.
    pub sets: CategorySets,
    /// Linear leaves, in the order of their nodes.
    pub linear: Vec<LinearLeaf>,
    /// Values of vector leaves, `width` per leaf.
    pub vectors: Vec<f64>,
    /// Values per leaf: 1, or the number of outputs.
    pub width: usize,
    /// Right child of each split, index of the linear leaf of a linear leaf; made by `link`.
    pub(super) rights: Vec<u32>,
    /// First node of each tree; made by `link`.
    pub(super) roots: Vec<u32>,
    /// Depth of the deepest leaf; made by `link`.
    pub(super) depth: usize,
}

impl Forest {
    /// Index of the first node of each tree.
    pub(crate) fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Right child of split `node`.
    pub(crate) fn right(&self, node: usize) -> usize {
        self.rights[node] as usize
    }

    /// Depth of the deepest leaf of all trees.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Checks every node and finds right children.
    ///
    /// # Errors
    /// What is wrong and where, in words.
    pub(crate) fn link(
        mut self,
        field_count: usize,
        output_count: usize,
    ) -> Result<Forest, String> {
        self.check_lengths(output_count)?;
        self.rights = vec![0; self.features.len()];
        self.roots = Vec::with_capacity(self.tree_sizes.len());
        let (mut start, mut linear) = (0, 0);
        for tree in 0..self.tree_sizes.len() {
            let end = start + self.tree_sizes[tree] as usize;
            let at = |problem: String| format!("tree {tree}: {problem}");
            if end > self.features.len() {
                return Err(at("its nodes are missing".to_owned()));
            }
            self.roots.push(start as u32);
            self.link_tree(start..end).map_err(at)?;
            for node in start..end {
                self.check_node(node, field_count, &mut linear)
                    .map_err(|problem| at(format!("node {}: {problem}", node - start)))?;
            }
            start = end;
        }
        if start != self.features.len() || linear != self.linear.len() {
            return Err("there are nodes or linear leaves that belong to no tree".to_owned());
        }
        Ok(self)
    }

    fn check_lengths(&self, output_count: usize) -> Result<(), String> {
        let count = self.features.len();
        let trees = self.tree_sizes.len();
        if count > MAX_NODES || trees > MAX_TREES {
            return Err(format!(
                "{count} nodes in {trees} trees, at most {MAX_NODES} and {MAX_TREES} allowed"
            ));
        }
        if self.rules.len() != count || self.values.len() != count {
            return Err("rules or values are not one per node".to_owned());
        }
        if !self.covers.is_empty() && self.covers.len() != count {
            return Err("covers are not one per node".to_owned());
        }
        if self.width != 1 && self.width != output_count {
            return Err(format!(
                "leaves hold {} values for {output_count} outputs",
                self.width
            ));
        }
        let outputs = if self.width == 1 { trees } else { 0 };
        let legal = |output: &u16| usize::from(*output) < output_count;
        if self.tree_outputs.len() != outputs || !self.tree_outputs.iter().all(legal) {
            return Err("the outputs of trees are wrong".to_owned());
        }
        Ok(())
    }

    /// Finds the right children of one tree: after a leaf comes the right child of the innermost
    /// split that still lacks one.
    fn link_tree(&mut self, nodes: std::ops::Range<usize>) -> Result<(), String> {
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut depth = 0;
        let mut after_leaf = false;
        for node in nodes.clone() {
            if after_leaf {
                let (parent, level) = open.pop().ok_or("has nodes after its last leaf")?;
                self.rights[parent] = node as u32;
                depth = level + 1;
            }
            after_leaf = self.features[node] == LEAF;
            if after_leaf {
                self.depth = self.depth.max(depth);
            } else {
                open.push((node, depth));
                depth += 1;
            }
            if depth > MAX_DEPTH {
                return Err(format!("is deeper than {MAX_DEPTH}"));
            }
        }
        if !after_leaf || !open.is_empty() {
            return Err("ends before its last leaf".to_owned());
        }
        Ok(())
    }

    fn check_node(
        &mut self,
        node: usize,
        field_count: usize,
        linear: &mut usize,
    ) -> Result<(), String> {
        let (feature, rule, value) = (self.features[node], self.rules[node], self.values[node]);
        if !rule.is_known() {
            return Err(format!("rule {} is unknown", rule.0));
        }
        if self
            .covers
            .get(node)
            .is_some_and(|c| !c.is_finite() || *c < 0.0)
        {
            return Err("its cover is not a number >= 0".to_owned());
        }
        if feature == LEAF {
            return self.check_leaf(node, field_count, linear);
        }
        if feature as usize >= field_count {
            return Err(format!("field {feature} of {field_count}"));
        }
        if rule.is_category() {
            return as_index(value, self.sets.len())
                .map(|_| ())
                .ok_or_else(|| format!("category set {value} of {}", self.sets.len()));
        }
        if value.is_nan() {
            return Err("its threshold is NaN".to_owned());
        }
        Ok(())
    }

    fn check_leaf(
        &mut self,
        node: usize,
        field_count: usize,
        linear: &mut usize,
    ) -> Result<(), String> {
        let value = self.values[node];
        if self.width > 1 {
            let vectors = self.vectors.len() / self.width;
            return as_index(value, vectors)
                .map(|_| ())
                .ok_or_else(|| format!("leaf vector {value} of {vectors}"));
        }
        if !value.is_finite() {
            return Err(format!("its leaf value is {value}"));
        }
        if !self.rules[node].is_linear() {
            return Ok(());
        }
        let leaf = self
            .linear
            .get(*linear)
            .ok_or("its linear leaf is missing")?;
        let finite = leaf.constant.is_finite() && leaf.terms.iter().all(|(_, c)| c.is_finite());
        let legal = |(field, _): &(u32, f64)| (*field as usize) < field_count;
        if !finite || !leaf.terms.iter().all(legal) {
            return Err("its linear leaf is not finite or names no field".to_owned());
        }
        self.rights[node] = *linear as u32;
        *linear += 1;
        Ok(())
    }

    /// Whether `value`, prepared, goes left at split `node`.
    #[inline]
    pub(crate) fn goes_left(&self, node: usize, value: f64, rules: &Rules) -> bool {
        let (rule, own) = (self.rules[node], self.values[node]);
        if rule.is_category() {
            if value.is_nan() {
                return rule.default_left();
            }
            let code = rules.code(value);
            let member = code.is_some_and(|code| self.sets.contains(own as usize, code));
            return member != rule.members_right();
        }
        match rule.missing() {
            Missing::Nan if value.is_nan() => rule.default_left(),
            Missing::ZeroOrNan if value.is_nan() || value.abs() <= TINY => rule.default_left(),
            Missing::ReadsZero if value.is_nan() => rules.is_left(0.0, own),
            _ => rules.is_left(value, own),
        }
    }

    /// The leaf of the tree at `root` that a row falls into; `value(field)` is prepared.
    #[inline]
    pub(crate) fn leaf(&self, root: usize, rules: &Rules, value: impl Fn(usize) -> f64) -> usize {
        let mut node = root;
        while self.features[node] != LEAF {
            let left = self.goes_left(node, value(self.features[node] as usize), rules);
            node = if left { node + 1 } else { self.right(node) };
        }
        node
    }

    /// Value of a leaf of width 1 for a row.
    #[inline]
    pub(crate) fn leaf_value(&self, leaf: usize, value: impl Fn(usize) -> f64) -> f64 {
        if !self.rules[leaf].is_linear() {
            return self.values[leaf];
        }
        let linear = &self.linear[self.right(leaf)];
        let mut sum = linear.constant;
        for (field, coefficient) in &linear.terms {
            let x = value(*field as usize);
            if x.is_nan() {
                return self.values[leaf];
            }
            sum += coefficient * x;
        }
        sum
    }

    /// Values of a leaf of width above 1.
    #[inline]
    pub(crate) fn leaf_vector(&self, leaf: usize) -> &[f64] {
        let first = self.values[leaf] as usize * self.width;
        self.vectors.get(first..first + self.width).unwrap_or(&[])
    }

    /// Range of nodes of each tree.
    pub(crate) fn trees(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let sizes = self.roots.iter().zip(&self.tree_sizes);
        sizes.map(|(root, size)| *root as usize..*root as usize + *size as usize)
    }
}

/// A whole number below `end`, as an index.
pub(crate) fn as_index(value: f64, end: usize) -> Option<usize> {
    let whole = value >= 0.0 && value.fract() == 0.0 && value < end as f64;
    whole.then_some(value as usize)
}

//! From a graph with child indices, as libraries write trees, to preorder arrays.

use super::forest::{Forest, LEAF, LinearLeaf};
use super::limits::{MAX_DEPTH, MAX_NODES, MAX_SET_WORDS};
use super::rules::{Missing, NodeRule};

/// A node as a library writes it.
#[derive(Debug, Clone)]
pub(crate) enum RawNode {
    /// A split with the indices of its children.
    Split {
        feature: u32,
        test: Test,
        left: usize,
        right: usize,
    },
    /// A leaf.
    Leaf(Leaf),
}

/// What a split asks.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Number {
        threshold: f64,
        missing: Missing,
        default_left: bool,
    },
    /// Category set as words of bits.
    Category {
        words: Vec<u32>,
        members_right: bool,
        default_left: bool,
    },
}

/// What a leaf gives.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    Value(f64),
    Vector(Vec<f64>),
    Linear(LinearLeaf, f64),
}

/// Collects trees.
#[derive(Debug)]
pub(crate) struct Builder {
    forest: Forest,
}

impl Builder {
    /// For leaves of `width` values.
    pub(crate) fn new(width: usize) -> Builder {
        Builder {
            forest: Forest {
                width,
                ..Forest::default()
            },
        }
    }

    /// Adds the tree at `root`; `covers` has one entry per node, or is empty if unknown.
    ///
    /// # Errors
    /// A child that does not exist, a node reached twice, too many nodes, in words.
    pub(crate) fn push(
        &mut self,
        output: u16,
        root: usize,
        nodes: &[RawNode],
        covers: &[f64],
    ) -> Result<(), String> {
        let start = self.forest.features.len();
        let mut seen = vec![false; nodes.len()];
        let mut open = vec![(root, 0)];
        while let Some((index, depth)) = open.pop() {
            let node = nodes
                .get(index)
                .ok_or_else(|| format!("node {index} does not exist, there are {}", nodes.len()))?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(format!("node {index} is reached twice: a loop"));
            }
            if depth > MAX_DEPTH {
                return Err(format!("the tree is deeper than {MAX_DEPTH}"));
            }
            if self.forest.features.len() >= MAX_NODES {
                return Err(format!("more than {MAX_NODES} nodes"));
            }
            if self.forest.sets.word_count() > MAX_SET_WORDS {
                return Err(format!("category sets of more than {MAX_SET_WORDS} words"));
            }
            if let Some(cover) = covers.get(index) {
                self.forest.covers.push(*cover);
            }
            match node {
                RawNode::Split {
                    feature,
                    test,
                    left,
                    right,
                } => {
                    self.push_split(*feature, test);
                    open.push((*right, depth + 1));
                    open.push((*left, depth + 1));
                }
                RawNode::Leaf(leaf) => self.push_leaf(leaf),
            }
        }
        let size = self.forest.features.len() - start;
        self.forest.tree_sizes.push(size as u32);
        if self.forest.width == 1 {
            self.forest.tree_outputs.push(output);
        }
        Ok(())
    }

    fn push_split(&mut self, feature: u32, test: &Test) {
        let (rule, value) = match test {
            Test::Number {
                threshold,
                missing,
                default_left,
            } => (NodeRule::number(*missing, *default_left), *threshold),
            Test::Category {
                words,
                members_right,
                default_left,
            } => {
                let set = self.forest.sets.push(words);
                (
                    NodeRule::category(*members_right, *default_left),
                    set as f64,
                )
            }
        };
        self.forest.features.push(feature);
        self.forest.rules.push(rule);
        self.forest.values.push(value);
    }

    fn push_leaf(&mut self, leaf: &Leaf) {
        let (rule, value) = match leaf {
            Leaf::Value(value) => (NodeRule::default(), *value),
            Leaf::Vector(values) => {
                let number = self.forest.vectors.len() / self.forest.width.max(1);
                self.forest.vectors.extend_from_slice(values);
                (NodeRule::default(), number as f64)
            }
            Leaf::Linear(linear, fallback) => {
                self.forest.linear.push(linear.clone());
                (NodeRule::linear(), *fallback)
            }
        };
        self.forest.features.push(LEAF);
        self.forest.rules.push(rule);
        self.forest.values.push(value);
    }

    /// The forest; covers are kept only if every node has one.
    pub(crate) fn finish(self) -> Forest {
        let mut forest = self.forest;
        if forest.covers.len() != forest.features.len() {
            forest.covers.clear();
        }
        forest
    }
}

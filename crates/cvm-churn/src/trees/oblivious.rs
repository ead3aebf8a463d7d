//! Oblivious trees: one question per level, so a leaf's number is the bits of the answers.
//!
//! | symbol | meaning                                              |
//! |--------|------------------------------------------------------|
//! | `b_i`  | 1 if the row goes right at split `i`                 |
//! | leaf   | `Σ b_i 2^i` over the tree's splits in their order    |
//!
//! Source: Prokhorenkova et al. (2018), *CatBoost: unbiased boosting with categorical features*,
//! section 4; the leaf index of CatBoost's evaluator.

use super::builder::{Leaf, RawNode, Test};
use super::forest::as_index;
use super::limits::{MAX_NODES, MAX_OBLIVIOUS_DEPTH, MAX_TREES};
use super::link::narrow;
use super::rules::{CategorySets, Missing, NodeRule, Rules};

/// The trees of a model, tree after tree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Oblivious {
    /// Splits per tree.
    pub depths: Vec<u8>,
    /// Field of each split.
    pub features: Vec<u32>,
    /// Rule of each split; right is bit 1.
    pub rules: Vec<NodeRule>,
    /// Border, or number of the category set.
    pub values: Vec<f64>,
    /// Category sets.
    pub sets: CategorySets,
    /// Values of leaves, `width` each, in the order of leaf numbers.
    pub leaves: Vec<f64>,
    /// Training weight of each leaf; empty if unknown.
    pub weights: Vec<f64>,
    /// Values per leaf: the number of outputs.
    pub width: usize,
}

impl Oblivious {
    /// Checks every split and length.
    ///
    /// # Errors
    /// What is wrong and where, in words.
    pub(crate) fn check(&self, field_count: usize, output_count: usize) -> Result<(), String> {
        if self.depths.len() > MAX_TREES {
            return Err(format!("more than {MAX_TREES} trees"));
        }
        if let Some(deep) = self
            .depths
            .iter()
            .find(|d| usize::from(**d) > MAX_OBLIVIOUS_DEPTH)
        {
            return Err(format!(
                "a tree of depth {deep}, at most {MAX_OBLIVIOUS_DEPTH} allowed"
            ));
        }
        let splits: usize = self.depths.iter().map(|depth| usize::from(*depth)).sum();
        let leaves: usize = self.depths.iter().map(|depth| 1 << depth).sum();
        if leaves > MAX_NODES {
            return Err(format!("more than {MAX_NODES} leaves"));
        }
        let lengths = [self.features.len(), self.rules.len(), self.values.len()];
        if lengths != [splits; 3] {
            return Err(format!("{lengths:?} splits, the depths make {splits}"));
        }
        if self.width != output_count || self.leaves.len() != leaves * self.width {
            return Err(format!(
                "{} leaf values for {leaves} leaves",
                self.leaves.len()
            ));
        }
        if !self.weights.is_empty() && self.weights.len() != leaves {
            return Err(format!(
                "{} leaf weights for {leaves} leaves",
                self.weights.len()
            ));
        }
        let numbers = self.leaves.iter().chain(&self.weights);
        if numbers.into_iter().any(|value| !value.is_finite()) {
            return Err("a leaf value or weight is not finite".to_owned());
        }
        (0..splits).try_for_each(|split| self.check_split(split, field_count))
    }

    fn check_split(&self, split: usize, field_count: usize) -> Result<(), String> {
        let (feature, rule, value) = (self.features[split], self.rules[split], self.values[split]);
        if feature as usize >= field_count {
            return Err(format!("split {split}: field {feature} of {field_count}"));
        }
        if !rule.is_known() || rule.is_linear() {
            return Err(format!("split {split}: rule {} is unknown", rule.0));
        }
        if rule.is_category() && as_index(value, self.sets.len()).is_none() {
            return Err(format!(
                "split {split}: category set {value} of {}",
                self.sets.len()
            ));
        }
        if value.is_nan() {
            return Err(format!("split {split}: its border is NaN"));
        }
        Ok(())
    }

    /// First split and first leaf of each tree, with its depth.
    pub(crate) fn trees(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        let (mut split, mut leaf) = (0, 0);
        self.depths.iter().map(move |depth| {
            let own = (split, leaf, usize::from(*depth));
            split += usize::from(*depth);
            leaf += 1 << depth;
            own
        })
    }

    pub(super) fn goes_right(&self, split: usize, value: f64, rules: &Rules) -> bool {
        let (rule, own) = (self.rules[split], self.values[split]);
        if rule.is_category() {
            if value.is_nan() {
                return !rule.default_left();
            }
            let code = rules.code(value);
            let member = code.is_some_and(|code| self.sets.contains(own as usize, code));
            return member == rule.members_right();
        }
        if value.is_nan() && rule.missing() == Missing::Nan {
            return !rule.default_left();
        }
        !rules.is_left(value, own)
    }

    /// Sums of all rows: `width` numbers a row; `values` gives `rows` rows, field after field.
    pub(crate) fn sum(
        &self,
        rules: &Rules,
        base: &[f64],
        values: &[f64],
        rows: usize,
        sums: &mut [f64],
    ) {
        for (row, sums) in sums.chunks_exact_mut(self.width).enumerate() {
            sums.copy_from_slice(base);
            for (split, leaf, depth) in self.trees() {
                let mut number = 0;
                for level in 0..depth {
                    let value = values[self.features[split + level] as usize * rows + row];
                    let right = self.goes_right(split + level, value, rules);
                    number |= usize::from(right) << level;
                }
                let first = (leaf + number) * self.width;
                for (sum, value) in sums.iter_mut().zip(&self.leaves[first..]) {
                    *sum = narrow(rules.sum, *sum + *value);
                }
            }
        }
    }

    /// The nodes of a tree as a binary tree, root first, with covers if weights are known.
    pub(crate) fn expand(&self, tree: (usize, usize, usize)) -> (Vec<RawNode>, Vec<f64>) {
        let (split, leaf, depth) = tree;
        let mut nodes = Vec::with_capacity((2 << depth) - 1);
        // The last split is the root: it is the highest bit of the leaf's number.
        for level in (0..depth).rev() {
            for _ in 0..1_usize << (depth - 1 - level) {
                let own = nodes.len();
                nodes.push(RawNode::Split {
                    feature: self.features[split + level],
                    test: self.test(split + level),
                    left: 2 * own + 1,
                    right: 2 * own + 2,
                });
            }
        }
        for number in 0..1_usize << depth {
            let first = (leaf + number) * self.width;
            let values = self.leaves[first..first + self.width].to_vec();
            nodes.push(RawNode::Leaf(match values[..] {
                [value] => Leaf::Value(value),
                _ => Leaf::Vector(values),
            }));
        }
        let mut covers = Vec::new();
        if !self.weights.is_empty() {
            covers = vec![0.0; nodes.len()];
            let inner = (1 << depth) - 1;
            covers[inner..].copy_from_slice(&self.weights[leaf..leaf + (1 << depth)]);
            for node in (0..inner).rev() {
                covers[node] = covers[2 * node + 1] + covers[2 * node + 2];
            }
        }
        (nodes, covers)
    }

    fn test(&self, split: usize) -> Test {
        let (rule, value) = (self.rules[split], self.values[split]);
        if rule.is_category() {
            return Test::Category {
                words: self.sets.words(value as usize).to_vec(),
                members_right: rule.members_right(),
                default_left: rule.default_left(),
            };
        }
        Test::Number {
            threshold: value,
            missing: rule.missing(),
            default_left: rule.default_left(),
        }
    }
}

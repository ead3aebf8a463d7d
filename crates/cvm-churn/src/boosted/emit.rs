//! From grown trees to an ensemble the tree kernels score.

use super::bins::{Field, Kind};
use super::leafwise::BinaryTree;
use super::oblivious::ObliviousTree;
use super::scan::{Cut, Split};
use super::spec::BoostedSpec;
use crate::trees::{
    CategoryRule, CategorySets, Compare, Ensemble, Finish, Forest, InputWidth, Link, Missing,
    NodeRule, Oblivious, Role, Rules, Trees, Width,
};

/// Trees of one kind.
#[derive(Debug, Clone)]
pub(crate) enum Grown {
    Oblivious(Vec<ObliviousTree>),
    Binary(Vec<BinaryTree>),
}

impl Grown {
    pub(crate) fn len(&self) -> usize {
        match self {
            Grown::Oblivious(trees) => trees.len(),
            Grown::Binary(trees) => trees.len(),
        }
    }

    pub(crate) fn truncate(&mut self, count: usize) {
        match self {
            Grown::Oblivious(trees) => trees.truncate(count),
            Grown::Binary(trees) => trees.truncate(count),
        }
    }
}

/// Arithmetic of our own trees: doubles, `x <= edge` is left, missing values by node.
const RULES: Rules = Rules {
    compare: Compare::LessOrEqual,
    input: InputWidth::F64,
    accepts_infinite: false,
    category: CategoryRule::TruncateNonNegative,
    sum: Width::F64,
};

/// The ensemble of `trees` on `fields`, whose sums start from `base`.
pub(crate) fn ensemble(fields: &[Field], spec: &BoostedSpec, base: f64, trees: &Grown) -> Ensemble {
    let trees = match trees {
        Grown::Oblivious(trees) => Trees::Oblivious(oblivious(fields, trees)),
        Grown::Binary(trees) => Trees::Binary(binary(fields, trees)),
    };
    Ensemble {
        fields: fields.iter().map(|own| field(own, spec)).collect(),
        rules: RULES,
        trees,
        finish: Finish::plain(vec![base], Link::Sigmoid),
    }
}

fn field(field: &Field, spec: &BoostedSpec) -> crate::trees::Field {
    crate::trees::Field {
        name: field.name.clone(),
        role: match &field.kind {
            Kind::Number { .. } => Role::Number { missing: None },
            Kind::Category { levels, .. } => Role::Category {
                levels: levels.clone(),
                unseen: spec.unseen,
            },
        },
        accepts_missing: true,
    }
}

/// Rule and value of a split as nodes hold them; a set of levels that go right is added to `sets`.
fn node(fields: &[Field], split: &Split, sets: &mut CategorySets) -> (NodeRule, f64) {
    let field = &fields[split.field];
    let missing_left = !split.right[field.count];
    match &field.kind {
        Kind::Number { edges } => {
            let value = match split.cut {
                Cut::Edge(edge) => edges.get(edge).copied().unwrap_or(f64::INFINITY),
                Cut::Levels => f64::INFINITY,
            };
            (NodeRule::number(Missing::Nan, missing_left), value)
        }
        Kind::Category { bin_of, .. } => {
            let right = |(_, bin): &(u32, &u8)| split.right[usize::from(**bin)];
            let members: Vec<u32> = (0..)
                .zip(bin_of)
                .filter(right)
                .map(|(code, _)| code)
                .collect();
            let set = sets.push_members(&members);
            (NodeRule::category(true, missing_left), set as f64)
        }
    }
}

fn oblivious(fields: &[Field], trees: &[ObliviousTree]) -> Oblivious {
    let mut all = Oblivious {
        width: 1,
        ..Oblivious::default()
    };
    for tree in trees {
        all.depths.push(tree.splits.len() as u8);
        for split in &tree.splits {
            let (rule, value) = node(fields, split, &mut all.sets);
            all.features.push(split.field as u32);
            all.rules.push(rule);
            all.values.push(value);
        }
        all.leaves.extend_from_slice(&tree.values);
        all.weights.extend_from_slice(&tree.weights);
    }
    all
}

fn binary(fields: &[Field], trees: &[BinaryTree]) -> Forest {
    let mut forest = Forest::default();
    forest.width = 1;
    for tree in trees {
        let before = forest.features.len();
        let mut open = vec![0];
        while let Some(place) = open.pop() {
            let own = &tree.nodes[place];
            let (feature, rule, value) = match &own.split {
                Some(split) => {
                    open.extend([own.right, own.left]);
                    let (rule, value) = node(fields, split, &mut forest.sets);
                    (split.field as u32, rule, value)
                }
                None => (crate::trees::LEAF, NodeRule::default(), own.value),
            };
            forest.features.push(feature);
            forest.rules.push(rule);
            forest.values.push(value);
            forest.covers.push(own.weight);
        }
        forest
            .tree_sizes
            .push((forest.features.len() - before) as u32);
        forest.tree_outputs.push(0);
    }
    forest
}

//! One tree of LightGBM's text format: a block of `key=value` lines.

use super::ImportError;
use super::lightgbm::shown;
use crate::trees::builder::{Builder, Leaf, RawNode, Test};
use crate::trees::forest::LinearLeaf;
use crate::trees::limits::{MAX_NODES, MAX_TREES};
use crate::trees::rules::Missing;
use std::collections::BTreeMap;

const KEYS: [&str; 22] = [
    "num_leaves",
    "num_cat",
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "leaf_weight",
    "leaf_count",
    "internal_value",
    "internal_weight",
    "internal_count",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
    "shrinkage",
];

/// Lines of a text, with `\r` of foreign editors taken off, one ahead.
pub(super) struct Lines<'t> {
    lines: std::iter::Peekable<std::str::Lines<'t>>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Lines<'t> {
        Lines {
            lines: text.lines().peekable(),
        }
    }

    pub(super) fn peek(&mut self) -> Option<&'t str> {
        self.lines.peek().copied()
    }

    pub(super) fn next(&mut self) -> Option<&'t str> {
        self.lines.next()
    }
}

/// Trees in the file, and trees used.
pub(super) struct Counts {
    pub(super) found: usize,
    pub(super) used: usize,
}

/// Reads trees up to `end of trees`; adds the first `most` to `builder`.
pub(super) fn read_all(
    lines: &mut Lines<'_>,
    outputs: usize,
    most: usize,
    field_count: usize,
    builder: &mut Builder,
) -> Result<Counts, ImportError> {
    let mut counts = Counts { found: 0, used: 0 };
    loop {
        let Some(line) = lines.next() else {
            let problem = "ends before `end of trees`: it is cut off";
            return Err(ImportError::malformed("the file", problem));
        };
        if line == "end of trees" {
            return Ok(counts);
        }
        if line.is_empty() {
            continue;
        }
        let tree = counts.found;
        if line.strip_prefix("Tree=") != Some(tree.to_string().as_str()) || tree > MAX_TREES {
            let problem = format!("is {}, expected `Tree={tree}`", shown(line));
            return Err(ImportError::malformed("a line between trees", problem));
        }
        let block = Block::read(lines, tree)?;
        counts.found += 1;
        if tree < most {
            let (nodes, covers, root) = block.nodes(field_count)?;
            let output = u16::try_from(tree % outputs).unwrap_or(0);
            builder
                .push(output, root, &nodes, &covers)
                .map_err(|problem| block.wrong(problem))?;
            counts.used += 1;
        }
    }
}

/// A number.
pub(super) fn number(at: &str, text: &str) -> Result<f64, ImportError> {
    text.parse()
        .map_err(|_| ImportError::malformed(at, format!("holds {}: not a number", shown(text))))
}

struct Block<'t> {
    tree: usize,
    values: BTreeMap<&'t str, &'t str>,
}

impl<'t> Block<'t> {
    fn read(lines: &mut Lines<'t>, tree: usize) -> Result<Block<'t>, ImportError> {
        let mut values = BTreeMap::new();
        while let Some(line) = lines.peek() {
            if line.is_empty() || line == "end of trees" || line.starts_with("Tree=") {
                break;
            }
            lines.next();
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let at = format!("Tree={tree}, {}", shown(key));
            if !KEYS.contains(&key) {
                let advice = "this key of a tree is unknown; save the model with LightGBM 3 or 4";
                return Err(ImportError::refused(at, shown(value), advice));
            }
            if values.insert(key, value).is_some() {
                return Err(ImportError::malformed(at, "is given twice"));
            }
        }
        Ok(Block { tree, values })
    }

    fn at(&self, key: &str) -> String {
        format!("Tree={}, {key}", self.tree)
    }

    fn wrong(&self, problem: String) -> ImportError {
        ImportError::malformed(format!("Tree={}", self.tree), problem)
    }

    /// Exactly `count` numbers.
    fn list<T: std::str::FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>, ImportError> {
        let text = self.values.get(key).copied().unwrap_or("");
        let words = text.split_whitespace();
        let read = |word: &str| {
            let problem = || format!("holds {}: not a number of its kind", shown(word));
            word.parse::<T>()
                .map_err(|_| ImportError::malformed(self.at(key), problem()))
        };
        let found: Vec<T> = words.map(read).collect::<Result<_, _>>()?;
        if found.len() == count {
            return Ok(found);
        }
        let problem = format!("holds {} numbers, expected {count}", found.len());
        Err(ImportError::malformed(self.at(key), problem))
    }

    fn count(&self, key: &str) -> Result<usize, ImportError> {
        Ok(self.list::<usize>(key, 1)?[0])
    }

    /// Internal nodes first, then leaves; covers of all, or none; the root.
    fn nodes(&self, field_count: usize) -> Result<(Vec<RawNode>, Vec<f64>, usize), ImportError> {
        let leaves = self.count("num_leaves")?;
        if leaves == 0 || leaves > MAX_NODES {
            return Err(self.wrong(format!("num_leaves is {leaves}: must be 1 to {MAX_NODES}")));
        }
        let splits = leaves - 1;
        let mut nodes = if splits > 0 {
            self.splits(splits, field_count)?
        } else {
            Vec::new()
        };
        nodes.extend(
            self.leaves(leaves, field_count)?
                .into_iter()
                .map(RawNode::Leaf),
        );
        let covers = self.covers(splits, leaves)?;
        Ok((nodes, covers, 0))
    }

    fn splits(&self, splits: usize, field_count: usize) -> Result<Vec<RawNode>, ImportError> {
        let features: Vec<u32> = self.list("split_feature", splits)?;
        let thresholds: Vec<f64> = self.list("threshold", splits)?;
        let decisions: Vec<u8> = self.list("decision_type", splits)?;
        let lefts: Vec<i64> = self.list("left_child", splits)?;
        let rights: Vec<i64> = self.list("right_child", splits)?;
        let sets = self.category_words()?;
        let child = |index: i64| match usize::try_from(index) {
            Ok(split) if split < splits => split,
            Ok(_) => usize::MAX,
            Err(_) => {
                usize::try_from(!index).map_or(usize::MAX, |leaf| splits.saturating_add(leaf))
            }
        };
        let mut nodes = Vec::with_capacity(2 * splits + 1);
        for at in 0..splits {
            if features[at] as usize >= field_count {
                let problem = format!("holds {}, there are {field_count}", features[at]);
                return Err(ImportError::malformed(self.at("split_feature"), problem));
            }
            nodes.push(RawNode::Split {
                feature: features[at],
                test: self.test(decisions[at], thresholds[at], &sets)?,
                left: child(lefts[at]),
                right: child(rights[at]),
            });
        }
        Ok(nodes)
    }

    /// Bit 0: categorical; bit 1: default left; bits 2 and 3: what is missing.
    fn test(&self, decision: u8, value: f64, sets: &[Vec<u32>]) -> Result<Test, ImportError> {
        if decision & 1 == 1 {
            let set = crate::trees::forest::as_index(value, sets.len());
            let words = set.and_then(|set| sets.get(set)).ok_or_else(|| {
                let problem = format!("category set {value} of {}", sets.len());
                ImportError::malformed(self.at("threshold"), problem)
            })?;
            return Ok(Test::Category {
                words: words.clone(),
                members_right: false,
                default_left: false,
            });
        }
        let missing = match decision >> 2 {
            0 => Missing::ReadsZero,
            1 => Missing::ZeroOrNan,
            2 => Missing::Nan,
            _ => {
                let advice = "this decision type is unknown";
                let at = self.at("decision_type");
                return Err(ImportError::refused(at, decision.to_string(), advice));
            }
        };
        Ok(Test::Number {
            threshold: value,
            missing,
            default_left: decision & 2 != 0,
        })
    }

    /// Category sets as words, cut at the boundaries.
    fn category_words(&self) -> Result<Vec<Vec<u32>>, ImportError> {
        let count = self.count("num_cat")?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let bounds: Vec<usize> = self.list("cat_boundaries", count.saturating_add(1))?;
        let last = bounds.last().copied().unwrap_or(0);
        let words: Vec<u32> = self.list("cat_threshold", last)?;
        let cut = |pair: &[usize]| match pair {
            [start, end] => words.get(*start..*end).map(<[u32]>::to_vec),
            _ => None,
        };
        bounds
            .windows(2)
            .map(cut)
            .collect::<Option<_>>()
            .ok_or_else(|| ImportError::malformed(self.at("cat_boundaries"), "are not ascending"))
    }

    fn leaves(&self, leaves: usize, field_count: usize) -> Result<Vec<Leaf>, ImportError> {
        let values: Vec<f64> = self.list("leaf_value", leaves)?;
        let linear = self.values.get("is_linear").copied().unwrap_or("0");
        match linear {
            "0" => return Ok(values.into_iter().map(Leaf::Value).collect()),
            "1" => {}
            other => {
                let problem = format!("is {}: must be 0 or 1", shown(other));
                return Err(ImportError::malformed(self.at("is_linear"), problem));
            }
        }
        let constants: Vec<f64> = self.list("leaf_const", leaves)?;
        let sizes: Vec<usize> = self.list("num_features", leaves)?;
        let total = sizes
            .iter()
            .fold(0_usize, |all, size| all.saturating_add(*size));
        let fields: Vec<u32> = self.list("leaf_features", total)?;
        let coefficients: Vec<f64> = self.list("leaf_coeff", total)?;
        if let Some(field) = fields.iter().find(|field| **field as usize >= field_count) {
            let problem = format!("holds {field}, there are {field_count} features");
            return Err(ImportError::malformed(self.at("leaf_features"), problem));
        }
        let mut terms = fields.into_iter().zip(coefficients);
        let leaf = |((constant, size), value): ((f64, usize), f64)| {
            let terms = terms.by_ref().take(size).collect();
            Leaf::Linear(LinearLeaf { constant, terms }, value)
        };
        Ok(constants
            .into_iter()
            .zip(sizes)
            .zip(values)
            .map(leaf)
            .collect())
    }

    /// Counts of training rows, if the file has them. Before 4.6 a tree of one leaf has an empty list;
    /// nothing is shared out below it, so that any count does.
    fn covers(&self, splits: usize, leaves: usize) -> Result<Vec<f64>, ImportError> {
        match self.values.get("leaf_count") {
            None => return Ok(Vec::new()),
            Some(counts) if splits == 0 && counts.trim().is_empty() => {
                return Ok(vec![1.0; leaves]);
            }
            Some(_) => {}
        }
        let mut covers: Vec<f64> = self.list("internal_count", splits)?;
        covers.extend(self.list::<f64>("leaf_count", leaves)?);
        Ok(covers)
    }
}

//! XGBoost's model document, JSON or UBJ, of versions 1.x to 3.x.
//!
//! Scores are sums of floats over the trees in order, starting from the base margin; the base score
//! is in the space of the answer and goes through the objective's inverse link. A DART tree's
//! leaves are multiplied by its weight, in floats.
//!
//! Source: XGBoost `src/predictor/predict_fn.h`, `src/common/categorical.h`, `src/learner.cc`,
//! `src/tree/tree_model.cc`, `src/gbm/gbtree.cc` (facts, no text).

use super::document::{self, Node, Object};
use super::lightgbm::check_rounds;
use super::{ImportError, ImportOptions, Imported, ubj, xgboost_fields};
use crate::trees::builder::{Builder, Leaf, RawNode, Test};
use crate::trees::limits::{MAX_FIELDS, MAX_NODES, MAX_SET_WORDS};
use crate::trees::link::{Exponential, Finish, Link};
use crate::trees::model::{Ensemble, Trees};
use crate::trees::rules::{CategoryRule, Compare, InputWidth, Missing, Rules, Width};
use serde_json::{Map, Value};
use std::collections::HashMap;

const RULES: Rules = Rules {
    compare: Compare::Less,
    input: InputWidth::F32,
    accepts_infinite: false,
    category: CategoryRule::TruncateNonNegative,
    sum: Width::F32,
};

/// Reads a model.
pub(super) fn read(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let document = parse(bytes)?;
    let root = Node::root(&document).object(&["learner", "version"])?;
    let version = version(&root)?;
    let learner = root.get("learner")?.object(&[
        "attributes",
        "feature_names",
        "feature_types",
        "gradient_booster",
        "learner_model_param",
        "objective",
    ])?;
    let booster = Booster::read(&learner.get("gradient_booster")?)?;
    let params = Params::read(&learner, version.0)?;
    let objective = learner.get("objective")?;
    let (finish, name) = finish(&objective, &params)?;
    let rounds = Rounds::read(&learner, &booster, params.outputs, options)?;
    let mut builder = Builder::new(1);
    for tree in 0..rounds.trees {
        push(&booster, tree, &params, &mut builder)?;
    }
    let mut facts = Map::new();
    facts.insert("objective".to_owned(), Value::from(name));
    facts.insert("version".to_owned(), Value::from(version.1));
    facts.insert("rounds".to_owned(), Value::from(rounds.used));
    facts.insert("rounds_in_file".to_owned(), Value::from(rounds.found));
    Ok(Imported {
        ensemble: Ensemble {
            fields: xgboost_fields::read(&learner, &booster.model, params.features, options)?,
            rules: RULES,
            trees: Trees::Binary(builder.finish()),
            finish,
        },
        facts,
    })
}

/// JSON begins with `{"`; in UBJ a length follows the brace.
fn parse(bytes: &[u8]) -> Result<Value, ImportError> {
    let text = bytes.trim_ascii_start();
    let is_json = match text {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
        _ => {
            let problem = "is neither XGBoost JSON nor UBJ; the old binary format is not read: \
                           load it with XGBoost 3.0 or older and save it as JSON";
            return Err(ImportError::malformed("the file", problem));
        }
    };
    if is_json {
        return document::parse(bytes);
    }
    ubj::read(bytes)
}

fn version(root: &Object<'_>) -> Result<(i64, String), ImportError> {
    let node = root.get("version")?;
    let parts = node.whole(-1, 1 << 20)?;
    match parts[..] {
        [major @ 1..=3, minor, patch] => Ok((major, format!("{major}.{minor}.{patch}"))),
        _ => Err(node.refused("versions 1 to 3 are read; save the model with one of them")),
    }
}

/// The trees, wherever this version keeps them.
struct Booster<'d> {
    model: Object<'d>,
    trees: Vec<Node<'d>>,
    outputs: Vec<i64>,
    /// Weight of each tree of a DART model.
    weights: Option<Vec<f64>>,
}

impl<'d> Booster<'d> {
    fn read(node: &Node<'d>) -> Result<Booster<'d>, ImportError> {
        let outer = node.object(&["name", "model", "gbtree", "weight_drop"])?;
        let name = outer.get("name")?;
        let (inner, outer_weights) = match name.text()? {
            "gbtree" => (outer.get("model")?, None),
            // Up to 3.2: the trees are in a booster of their own, beside the weights.
            "dart" => {
                let nested = outer.get("gbtree")?.object(&["name", "model"])?;
                (nested.get("model")?, Some(outer.get("weight_drop")?))
            }
            _ => return Err(name.refused("tree boosters are imported: gbtree and dart")),
        };
        let model = inner.object(&[
            "cats",
            "gbtree_model_param",
            "iteration_indptr",
            "tree_info",
            "trees",
            "weight_drop",
        ])?;
        let weights = outer_weights.or_else(|| model.optional("weight_drop"));
        let weights = weights.map(|node| node.numbers()).transpose()?;
        let trees = model.get("trees")?.list()?;
        let outputs = model.get("tree_info")?.whole(0, i64::from(u16::MAX))?;
        // A model without dropped trees may carry an empty list.
        let weights = weights.filter(|weights| !weights.is_empty());
        let wrong = weights.as_ref().is_some_and(|w| w.len() != trees.len());
        if outputs.len() != trees.len() || wrong {
            return Err(inner.wrong("tree_info or weight_drop are not one per tree"));
        }
        Ok(Booster {
            model,
            trees,
            outputs,
            weights,
        })
    }
}

/// Sizes and base score.
struct Params {
    /// First part of the version.
    major: i64,
    outputs: usize,
    features: usize,
    base: Vec<f32>,
}

impl Params {
    fn read(learner: &Object<'_>, major: i64) -> Result<Params, ImportError> {
        let params = learner.get("learner_model_param")?.object(&[
            "base_score",
            "boost_from_average",
            "num_class",
            "num_feature",
            "num_target",
        ])?;
        if let Some(targets) = params.optional("num_target")
            && targets.count()? > 1
        {
            return Err(targets.refused("models of several targets are not imported"));
        }
        let features = params.get("num_feature")?;
        let count = features.count()?;
        if count == 0 || count > MAX_FIELDS {
            return Err(features.refused("must be 1 to 65535"));
        }
        Ok(Params {
            major,
            outputs: params.get("num_class")?.count()?.max(1),
            features: count,
            base: base_score(&params.get("base_score")?)?,
        })
    }
}

/// One number, or since 3.1 a list of numbers as text: `[5.1E-1]`.
fn base_score(node: &Node<'_>) -> Result<Vec<f32>, ImportError> {
    let text = match node.value {
        Value::Number(number) => number.to_string(),
        _ => node.text()?.to_owned(),
    };
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let number = |part: &str| {
        let value = part.trim().parse::<f32>().ok().filter(|v| v.is_finite());
        value.ok_or_else(|| node.wrong(format!("is `{text}`: must be finite numbers")))
    };
    inner.split(',').map(number).collect()
}

/// Link, and base score as a margin.
fn finish(node: &Node<'_>, params: &Params) -> Result<(Finish, String), ImportError> {
    let name = match node.value.get("name") {
        Some(value) => Node {
            path: format!("{}.name", node.path),
            value,
        },
        None => return Err(node.wrong("has no `name`")),
    };
    let (link, to_margin): (Link, fn(f32) -> f32) = match name.text()? {
        "binary:logistic" | "reg:logistic" => (Link::SigmoidF32, logit),
        // Since version 3 its base score is a margin already.
        "binary:logitraw" if params.major >= 3 => (Link::Raw, |base| base),
        "reg:squarederror"
        | "reg:linear"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:squaredlogerror"
        | "reg:quantileerror" => (Link::Identity, |base| base),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => (Link::ExpF32, ln),
        "multi:softprob" | "multi:softmax" => (Link::SoftmaxF32, |base| base),
        _ => {
            let advice = "this objective is not scored here; known: binary:logistic, \
                          binary:logitraw (since 3.0), reg:logistic, reg:squarederror and its kin, \
                          count:poisson, reg:gamma, reg:tweedie, multi:softprob, multi:softmax";
            return Err(name.refused(advice));
        }
    };
    if link.is_multiclass() != (params.outputs > 1) {
        let problem = format!("does not go with num_class {}", params.outputs);
        return Err(name.wrong(problem));
    }
    let base: Vec<f64> = match params.base[..] {
        [one] => vec![f64::from(to_margin(one)); params.outputs],
        _ => params
            .base
            .iter()
            .map(|b| f64::from(to_margin(*b)))
            .collect(),
    };
    if base.len() != params.outputs || base.iter().any(|margin| !margin.is_finite()) {
        let found = format!("{:?}", params.base);
        let advice = "must be one finite margin per output";
        let at = "learner.learner_model_param.base_score";
        return Err(ImportError::refused(at, found, advice));
    }
    let finish = Finish::plain(base, link).with(Exponential::Glibc);
    Ok((finish, name.text()?.to_owned()))
}

fn logit(p: f32) -> f32 {
    -ln(1.0 / p - 1.0)
}

/// The float nearest to the logarithm.
fn ln(x: f32) -> f32 {
    cvm_math::ln(f64::from(x)) as f32
}

/// Rounds and trees to use.
struct Rounds {
    found: usize,
    used: usize,
    trees: usize,
}

impl Rounds {
    fn read(
        learner: &Object<'_>,
        booster: &Booster<'_>,
        outputs: usize,
        options: &ImportOptions,
    ) -> Result<Rounds, ImportError> {
        let ends = round_ends(booster, outputs)?;
        let found = ends.len();
        check_rounds(options, found)?;
        if options.iterations.is_none() {
            check_best_iteration(learner, found)?;
        }
        let used = options.iterations.unwrap_or(found);
        let trees = used.checked_sub(1).and_then(|last| ends.get(last)).copied();
        Ok(Rounds {
            found,
            used,
            trees: trees.unwrap_or(0),
        })
    }
}

/// Trees up to the end of each round.
fn round_ends(booster: &Booster<'_>, outputs: usize) -> Result<Vec<usize>, ImportError> {
    let count = booster.trees.len();
    if let Some(node) = booster.model.optional("iteration_indptr") {
        let bounds = node.whole(0, MAX_NODES as i64)?;
        let sound = bounds.is_sorted()
            && bounds.first().copied().unwrap_or(0) == 0
            && bounds.last().copied().unwrap_or(0) == count as i64;
        if !sound {
            return Err(node.wrong("are not ascending bounds of rounds"));
        }
        return Ok(bounds.iter().skip(1).map(|end| *end as usize).collect());
    }
    let params = booster.model.get("gbtree_model_param")?;
    let parallel = params.object(&["num_parallel_tree", "num_trees", "size_leaf_vector"])?;
    let parallel = parallel.optional("num_parallel_tree");
    let parallel = parallel.map_or(Ok(1), |node| node.count())?.max(1);
    let per_round = parallel.saturating_mul(outputs);
    if !count.is_multiple_of(per_round) {
        return Err(params.wrong(format!("{count} trees do not make rounds of {per_round}")));
    }
    Ok((1..=count / per_round)
        .map(|round| round * per_round)
        .collect())
}

/// A file of an early-stopped model holds more rounds than the scikit-learn wrapper uses.
fn check_best_iteration(learner: &Object<'_>, rounds: usize) -> Result<(), ImportError> {
    let attributes = learner.optional("attributes");
    let Some(best) = attributes
        .as_ref()
        .and_then(|node| node.value.get("best_iteration"))
    else {
        return Ok(());
    };
    let node = Node {
        path: "learner.attributes.best_iteration".to_owned(),
        value: best,
    };
    let best = node.count()?.saturating_add(1);
    if best == rounds {
        return Ok(());
    }
    let advice = format!(
        "XGBoost itself scores this file in two ways; set the option `iterations` to {best} (what \
         the scikit-learn wrapper uses) or to {rounds} (all, what Booster.predict uses)"
    );
    Err(node.refused(&advice))
}

const TREE_KEYS: [&str; 17] = [
    "base_weights",
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
    "default_left",
    "id",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
    "tree_param",
    "leaf_weights",
];

fn push(
    booster: &Booster<'_>,
    tree: usize,
    params: &Params,
    builder: &mut Builder,
) -> Result<(), ImportError> {
    let node = &booster.trees[tree];
    let object = node.object(&TREE_KEYS)?;
    let size = object.get("tree_param")?.object(&[
        "num_deleted",
        "num_feature",
        "num_nodes",
        "size_leaf_vector",
    ])?;
    if let Some(vector) = size.optional("size_leaf_vector")
        && vector.count()? > 1
    {
        let advice = "trees of several outputs are not imported: train with \
                      multi_strategy=one_output_per_tree";
        return Err(vector.refused(advice));
    }
    let weight = booster.weights.as_ref().map(|weights| weights[tree] as f32);
    let raw = Columns::read(&object)?;
    let nodes = raw.nodes(node, params.features, weight)?;
    let output = booster.outputs[tree] as usize;
    if output >= params.outputs {
        return Err(node.wrong(format!("adds to output {output} of {}", params.outputs)));
    }
    builder
        .push(output as u16, 0, &nodes, &raw.covers)
        .map_err(|problem| node.wrong(problem))
}

/// The arrays of a tree.
struct Columns {
    lefts: Vec<i64>,
    rights: Vec<i64>,
    features: Vec<i64>,
    conditions: Vec<f64>,
    default_left: Vec<f64>,
    categorical: Vec<f64>,
    /// Category words by node.
    sets: HashMap<usize, Vec<u32>>,
    covers: Vec<f64>,
}

impl Columns {
    fn read(tree: &Object<'_>) -> Result<Columns, ImportError> {
        let most = MAX_NODES as i64;
        let lefts = tree.get("left_children")?;
        let kinds = tree.optional("split_type");
        let raw = Columns {
            rights: tree.get("right_children")?.whole(-1, most)?,
            features: tree.get("split_indices")?.whole(0, i64::from(u32::MAX))?,
            conditions: tree.get("split_conditions")?.numbers()?,
            default_left: tree.get("default_left")?.numbers()?,
            categorical: kinds.map_or(Ok(Vec::new()), |node| node.numbers())?,
            sets: category_sets(tree)?,
            covers: tree.get("sum_hessian")?.numbers()?,
            lefts: lefts.whole(-1, most)?,
        };
        let count = raw.lefts.len();
        let lengths = [
            raw.rights.len(),
            raw.features.len(),
            raw.conditions.len(),
            raw.default_left.len(),
            raw.covers.len(),
        ];
        let kinds = raw.categorical.is_empty() || raw.categorical.len() == count;
        if lengths != [count; 5] || !kinds || count == 0 {
            return Err(lefts.wrong(format!("has {count} nodes, other arrays {lengths:?}")));
        }
        Ok(raw)
    }

    fn nodes(
        &self,
        at: &Node<'_>,
        features: usize,
        weight: Option<f32>,
    ) -> Result<Vec<RawNode>, ImportError> {
        let node = |index: usize| {
            let value = self.conditions[index];
            if self.lefts[index] < 0 {
                let leaf = value as f32;
                let leaf = weight.map_or(leaf, |weight| leaf * weight);
                return Ok(RawNode::Leaf(Leaf::Value(f64::from(leaf))));
            }
            let feature = self.features[index];
            if feature as usize >= features {
                let problem = format!("node {index} splits on feature {feature} of {features}");
                return Err(at.wrong(problem));
            }
            Ok(RawNode::Split {
                feature: feature as u32,
                test: self.test(index),
                left: self.lefts[index] as usize,
                right: usize::try_from(self.rights[index]).unwrap_or(usize::MAX),
            })
        };
        (0..self.lefts.len()).map(node).collect()
    }

    fn test(&self, index: usize) -> Test {
        let default_left = self.default_left[index] != 0.0;
        if self.categorical.get(index).is_some_and(|kind| *kind == 1.0) {
            return Test::Category {
                words: self.sets.get(&index).cloned().unwrap_or_default(),
                members_right: true,
                default_left,
            };
        }
        Test::Number {
            threshold: f64::from(self.conditions[index] as f32),
            missing: Missing::Nan,
            default_left,
        }
    }
}

/// Sets of categories that go right, by node.
fn category_sets(tree: &Object<'_>) -> Result<HashMap<usize, Vec<u32>>, ImportError> {
    let Some(nodes) = tree.optional("categories_nodes") else {
        return Ok(HashMap::new());
    };
    let most = 1 << 24;
    let owners = nodes.whole(0, MAX_NODES as i64)?;
    let starts = tree
        .get("categories_segments")?
        .whole(0, MAX_NODES as i64)?;
    let sizes = tree.get("categories_sizes")?.whole(0, MAX_NODES as i64)?;
    let members = tree.get("categories")?.whole(0, most - 1)?;
    if starts.len() != owners.len() || sizes.len() != owners.len() {
        return Err(nodes.wrong("segments or sizes are not one per node"));
    }
    let mut sets = HashMap::new();
    let mut words_in_all = 0;
    for ((owner, start), size) in owners.iter().zip(&starts).zip(&sizes) {
        let end = start.saturating_add(*size);
        let own = members.get(*start as usize..end as usize);
        let own = own.ok_or_else(|| nodes.wrong("a segment lies outside the categories"))?;
        let last = own.iter().max().copied().unwrap_or(0);
        words_in_all += last as usize / 32 + 1;
        if words_in_all > MAX_SET_WORDS {
            return Err(nodes.wrong(format!("take more than {MAX_SET_WORDS} words")));
        }
        let mut words = vec![0_u32; last as usize / 32 + 1];
        for member in own {
            words[*member as usize / 32] |= 1 << (member % 32);
        }
        sets.insert(*owner as usize, words);
    }
    Ok(sets)
}

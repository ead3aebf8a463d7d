//! CatBoost's JSON export: oblivious trees, and the explicit trees of Depthwise and Lossguide.
//!
//! Inputs are cast to floats and go right if `x > border`; leaves are doubles, added in the order of
//! the trees from 0; then `scale · sum + bias`. A missing value is left of every border, or right of
//! them where the feature says `AsTrue`.
//!
//! Source: CatBoost `catboost/libs/model/cpu/quantization.h`,
//! `catboost/libs/model/model_export/json_model_helpers.cpp` (facts, no text).

use super::catboost_categories::Categories;
use super::document::{self, Node, Object};
use super::{ImportError, ImportOptions, Imported};
use crate::trees::builder::{Builder, Leaf, RawNode, Test};
use crate::trees::fields::Field;
use crate::trees::limits::{MAX_FIELDS, MAX_NODES, MAX_OBLIVIOUS_DEPTH};
use crate::trees::link::{Exponential, Finish, Link};
use crate::trees::model::{Ensemble, Trees};
use crate::trees::oblivious::Oblivious;
use crate::trees::rules::{CategoryRule, Compare, InputWidth, Missing, NodeRule, Rules, Width};
use serde_json::{Map, Value};
use std::collections::HashMap;

const RULES: Rules = Rules {
    compare: Compare::LessOrEqual,
    input: InputWidth::F32,
    accepts_infinite: true,
    category: CategoryRule::TruncateNonNegative,
    sum: Width::F64,
};

/// Reads a model.
pub(super) fn read(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let document = document::parse(bytes)?;
    let root = Node::root(&document).object(&[
        "ctr_data",
        "features_info",
        "model_info",
        "oblivious_trees",
        "scale_and_bias",
        "trees",
    ])?;
    if options.iterations.is_some() {
        let why = "is set; shrink a CatBoost model with its own `shrink` before the export";
        return Err(ImportError::option("iterations", why));
    }
    let features = Features::read(&root, options)?;
    let (link, loss) = link(&root.get("model_info")?)?;
    let (trees, width) = match (root.optional("oblivious_trees"), root.optional("trees")) {
        (Some(node), None) => read_oblivious(&node, &features)?,
        (None, Some(node)) => read_binary(&node, &features)?,
        _ => {
            let problem = "has neither or both of `oblivious_trees` and `trees`";
            return Err(ImportError::malformed("the document", problem));
        }
    };
    let mut facts = Map::new();
    facts.insert("objective".to_owned(), Value::from(loss));
    Ok(Imported {
        ensemble: Ensemble {
            fields: features.fields,
            rules: RULES,
            trees,
            finish: finish(&root.get("scale_and_bias")?, link, width)?,
        },
        facts,
    })
}

/// Inputs, how each float feature treats what is missing, and what is known of categories.
struct Features {
    fields: Vec<Field>,
    /// Field and side of missing values, by index of the float feature.
    floats: Vec<(u32, bool)>,
    categories: Categories,
}

impl Features {
    fn read(root: &Object<'_>, options: &ImportOptions) -> Result<Features, ImportError> {
        let node = root.get("features_info")?;
        let info = node.object(&["categorical_features", "ctrs", "float_features"])?;
        let list = |key: &str| {
            info.optional(key)
                .map_or(Ok(Vec::new()), |node| node.list())
        };
        let (items, categories) = (list("float_features")?, list("categorical_features")?.len());
        let count = items.len() + categories;
        if count == 0 || count > MAX_FIELDS {
            return Err(node.wrong(format!("has {count} features: must be 1 to 65535")));
        }
        let mut fields: Vec<Option<Field>> = vec![None; count];
        let mut floats = vec![(0, true); items.len()];
        let mut borders = 0;
        for item in &items {
            let own = float_feature(item, items.len(), count)?;
            if fields[own.flat].replace(own.field).is_some() {
                return Err(item.wrong("is of the same place as another"));
            }
            floats[own.index] = (own.flat as u32, own.left);
            borders += own.borders;
        }
        let categories = Categories::read(root, &info, borders, &mut fields, options)?;
        Ok(Features {
            fields: fields.into_iter().flatten().collect(),
            floats,
            categories,
        })
    }
}

/// A float feature: its index among them and among all, its field, whether missing values are left,
/// and how many borders it has.
struct FloatFeature {
    index: usize,
    flat: usize,
    field: Field,
    left: bool,
    borders: usize,
}

fn float_feature(
    item: &Node<'_>,
    floats: usize,
    count: usize,
) -> Result<FloatFeature, ImportError> {
    let feature = item.object(&[
        "borders",
        "feature_id",
        "feature_index",
        "flat_feature_index",
        "has_nans",
        "nan_value_treatment",
    ])?;
    let index = feature.get("feature_index")?.count()?;
    let flat = feature.get("flat_feature_index")?.count()?;
    if index >= floats || flat >= count {
        return Err(item.wrong(format!("has index {index} or {flat} of {count}")));
    }
    let name = feature.optional("feature_id");
    let name = name.map_or(Ok(""), |node| node.text())?;
    let field = Field::number(match name {
        "" => format!("x{flat}"),
        name => name.to_owned(),
    });
    let has_nans = feature.get("has_nans")?.value == &Value::Bool(true);
    let treatment = feature.get("nan_value_treatment")?;
    let left = match treatment.text()? {
        "AsIs" | "AsFalse" => true,
        "AsTrue" => !has_nans,
        _ => return Err(treatment.refused("known: AsIs, AsFalse, AsTrue")),
    };
    let borders = feature.optional("borders");
    let borders = borders.and_then(|node| node.value.as_array());
    Ok(FloatFeature {
        index,
        flat,
        field,
        left,
        borders: borders.map_or(0, Vec::len),
    })
}

/// Link of the loss the model was trained with.
fn link(node: &Node<'_>) -> Result<(Link, String), ImportError> {
    let loss = node.value.pointer("/params/loss_function/type");
    let at = Node {
        path: format!("{}.params.loss_function.type", node.path),
        value: loss.unwrap_or(&Value::Null),
    };
    let link = match at.text()? {
        "Logloss" | "CrossEntropy" => Link::Sigmoid,
        "MultiClass" => Link::Softmax,
        "MultiClassOneVsAll" => Link::SigmoidEach,
        "RMSE" | "MAE" | "Quantile" | "Huber" | "Expectile" | "MAPE" => Link::Identity,
        _ => {
            let advice = "this loss is not scored here; known: Logloss, CrossEntropy, MultiClass, \
                          MultiClassOneVsAll, RMSE, MAE, Quantile, Huber, Expectile, MAPE";
            return Err(at.refused(advice));
        }
    };
    Ok((link, at.text()?.to_owned()))
}

/// `[scale, [bias, …]]`.
fn finish(node: &Node<'_>, link: Link, outputs: usize) -> Result<Finish, ImportError> {
    let parts = node.list()?;
    let [scale, bias] = &parts[..] else {
        return Err(node.wrong("is not [scale, [bias, …]]"));
    };
    let bias = match bias.value {
        Value::Array(_) => bias.numbers()?,
        _ => vec![bias.number()?],
    };
    if bias.len() != outputs {
        let problem = format!("has {} biases for {outputs} outputs", bias.len());
        return Err(node.wrong(problem));
    }
    Ok(Finish {
        scale: scale.number()?,
        bias,
        ..Finish::plain(vec![0.0; outputs], link).with(match link {
            Link::Softmax => Exponential::Fmath,
            _ => Exponential::Glibc,
        })
    })
}

/// Field and test of a split.
fn split(node: &Node<'_>, features: &Features) -> Result<(u32, Test), ImportError> {
    match node.value.get("split_type").and_then(Value::as_str) {
        Some("FloatFeature") => {}
        Some("OneHotFeature") => return features.categories.one_hot(node),
        Some("OnlineCtr") => return features.categories.online(node),
        _ => {
            let known = "splits on float features, levels and statistics of levels are imported";
            return Err(node.refused(known));
        }
    }
    let object = node.object(&["border", "float_feature_index", "split_index", "split_type"])?;
    let index = object.get("float_feature_index")?.count()?;
    let feature = features.floats.get(index);
    let (field, left) = feature.ok_or_else(|| node.wrong(format!("names feature {index}")))?;
    let border = object.get("border")?.number()? as f32;
    let test = Test::Number {
        threshold: f64::from(border),
        missing: Missing::Nan,
        default_left: *left,
    };
    Ok((*field, test))
}

/// Splits of oblivious trees as they are added, each set of levels once.
#[derive(Default)]
struct Sets(HashMap<Vec<u32>, usize>);

impl Sets {
    fn push(&mut self, trees: &mut Oblivious, (field, test): (u32, Test)) {
        trees.features.push(field);
        let (rule, value) = match test {
            Test::Number {
                threshold,
                missing,
                default_left,
            } => (NodeRule::number(missing, default_left), threshold),
            Test::Category {
                words,
                members_right,
                default_left,
            } => {
                let known = self.0.get(&words).copied();
                let set = known.unwrap_or_else(|| trees.sets.push(&words));
                self.0.insert(words, set);
                (NodeRule::category(members_right, default_left), set as f64)
            }
        };
        trees.rules.push(rule);
        trees.values.push(value);
    }
}

fn read_oblivious(node: &Node<'_>, features: &Features) -> Result<(Trees, usize), ImportError> {
    let items = node.list()?;
    let (mut trees, mut sets) = (Oblivious::default(), Sets::default());
    for item in &items {
        let tree = item.object(&["leaf_values", "leaf_weights", "splits"])?;
        let splits = match tree.optional("splits") {
            Some(node) if !node.value.is_null() => node.list()?,
            _ => Vec::new(),
        };
        if splits.len() > MAX_OBLIVIOUS_DEPTH {
            return Err(item.wrong(format!("is deeper than {MAX_OBLIVIOUS_DEPTH}")));
        }
        for node in &splits {
            sets.push(&mut trees, split(node, features)?);
        }
        let values = tree.get("leaf_values")?.numbers()?;
        let leaves = 1 << splits.len();
        let width = values.len() / leaves;
        if width == 0
            || width * leaves != values.len()
            || (trees.width != 0 && trees.width != width)
        {
            return Err(item.wrong(format!("has {} values for {leaves} leaves", values.len())));
        }
        trees.width = width;
        trees.depths.push(splits.len() as u8);
        trees.leaves.extend(values);
        if let Some(weights) = tree.optional("leaf_weights") {
            trees.weights.extend(weights.numbers()?);
        }
    }
    if trees.depths.is_empty() {
        return Err(node.wrong("has no trees"));
    }
    let leaves: usize = trees.depths.iter().map(|depth| 1 << depth).sum();
    if trees.weights.len() != leaves {
        trees.weights.clear();
    }
    let width = trees.width;
    Ok((Trees::Oblivious(trees), width))
}

fn read_binary(node: &Node<'_>, features: &Features) -> Result<(Trees, usize), ImportError> {
    let items = node.list()?;
    let width = items.first().map_or(0, |item| leaf_width(item.value));
    if width == 0 {
        return Err(node.wrong("has no trees, or no leaves"));
    }
    let mut builder = Builder::new(width);
    for item in &items {
        let (nodes, covers) = nested(item, features, width)?;
        builder
            .push(0, 0, &nodes, &covers)
            .map_err(|problem| item.wrong(problem))?;
    }
    Ok((Trees::Binary(builder.finish()), width))
}

/// Values in the leftmost leaf; 0 if there is none.
fn leaf_width(tree: &Value) -> usize {
    let mut node = tree;
    while let Some(left) = node.get("left") {
        node = left;
    }
    match node.get("value") {
        Some(Value::Array(values)) => values.len(),
        Some(Value::Number(_)) => 1,
        _ => 0,
    }
}

/// Nodes of a tree written as nested objects; nesting is bounded by the JSON reader.
fn nested(
    root: &Node<'_>,
    features: &Features,
    width: usize,
) -> Result<(Vec<RawNode>, Vec<f64>), ImportError> {
    let mut nodes: Vec<RawNode> = Vec::new();
    let mut covers = Vec::new();
    let mut open = vec![(root.clone(), None)];
    while let Some((node, parent)) = open.pop() {
        let own = nodes.len();
        if own >= MAX_NODES {
            return Err(root.wrong(format!("has more than {MAX_NODES} nodes")));
        }
        let object: Object<'_> = node.object(&["left", "right", "split", "value", "weight"])?;
        covers.push(object.optional("weight").map_or(Ok(0.0), |w| w.number())?);
        if let Some(parent) = parent
            && let Some(RawNode::Split { right, .. }) = nodes.get_mut(parent)
        {
            *right = own;
        }
        let Some(test) = object.optional("split") else {
            nodes.push(RawNode::Leaf(leaf(&object.get("value")?, width)?));
            continue;
        };
        let (feature, test) = split(&test, features)?;
        nodes.push(RawNode::Split {
            feature,
            test,
            left: own + 1,
            right: usize::MAX,
        });
        open.push((object.get("right")?, Some(own)));
        open.push((object.get("left")?, None));
    }
    for own in (0..nodes.len()).rev() {
        if let RawNode::Split { left, right, .. } = nodes[own] {
            covers[own] = covers[left] + covers.get(right).copied().unwrap_or(0.0);
        }
    }
    Ok((nodes, covers))
}

fn leaf(node: &Node<'_>, width: usize) -> Result<Leaf, ImportError> {
    let values = match node.value {
        Value::Array(_) => node.numbers()?,
        _ => vec![node.number()?],
    };
    if values.len() != width {
        return Err(node.wrong(format!("has {} values, expected {width}", values.len())));
    }
    match values[..] {
        [value] => Ok(Leaf::Value(value)),
        _ => Ok(Leaf::Vector(values)),
    }
}

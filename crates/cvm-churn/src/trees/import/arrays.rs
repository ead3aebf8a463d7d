//! Trees as arrays in a JSON document of this project's own: what the Python package writes for
//! scikit-learn, whose models have no file of their own but a pickle.
//!
//! ```text
//! {"document": "cvm trees 1", "library": …, "rules": {…}, "link": …, "outputs": n, "leaf_width": w,
//!  "exponential": "own" if left out, "base": [n], "divisor": d, "slope": s,
//!  "fields": [{"name", "accepts_missing", "levels": null or [text], "unseen": missing or reject}],
//!  "trees": [{"output", "feature": [−1 is a leaf], "threshold", "left", "right", "default_left",
//!             "value": [nodes × w], "cover", "members": {"node": [codes that go left]}}]}
//! ```

use super::document::{self, Node, Object};
use super::{ImportError, ImportOptions, Imported};
use crate::trees::builder::{Builder, Leaf, RawNode, Test};
use crate::trees::fields::{Field, Role};
use crate::trees::limits::{MAX_CLASSES, MAX_NODES, MAX_SET_WORDS};
use crate::trees::link::{Finish, Link};
use crate::trees::model::{Ensemble, Trees};
use crate::trees::rules::{Missing, Rules};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

const DOCUMENT: &str = "cvm trees 1";

/// Reads a model.
pub(super) fn read(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let document = document::parse(bytes)?;
    let root = Node::root(&document).object(&[
        "base",
        "divisor",
        "document",
        "exponential",
        "fields",
        "leaf_width",
        "library",
        "link",
        "outputs",
        "rules",
        "slope",
        "trees",
    ])?;
    let kind = root.get("document")?;
    if kind.text()? != DOCUMENT {
        return Err(kind.refused("must be `cvm trees 1`"));
    }
    if options.iterations.is_some() || options.missing.is_some() {
        let why = "is set; this format has no use for it";
        return Err(ImportError::option("iterations or missing", why));
    }
    let outputs = root.get("outputs")?;
    let width = root.get("leaf_width")?.count()?;
    let count = outputs.count()?;
    if count == 0 || count > MAX_CLASSES || (width != 1 && width != count) {
        return Err(outputs.wrong(format!(
            "is {count} with leaves of {width}: 1 to {MAX_CLASSES}"
        )));
    }
    let fields = root.get("fields")?.list()?;
    let fields: Vec<Field> = fields.iter().map(field).collect::<Result<_, _>>()?;
    let mut builder = Builder::new(width);
    for tree in root.get("trees")?.list()? {
        push(&tree, width, count, fields.len(), &mut builder)?;
    }
    let link: Link = parsed(&root.get("link")?)?;
    let exponential = root.optional("exponential").map(|node| parsed(&node));
    let exponential = exponential.transpose()?.unwrap_or_default();
    let rules: Rules = parsed(&root.get("rules")?)?;
    let mut facts = Map::new();
    let library = root.get("library")?.text()?.to_owned();
    facts.insert("library".to_owned(), Value::from(library));
    Ok(Imported {
        ensemble: Ensemble {
            fields,
            rules,
            trees: Trees::Binary(builder.finish()),
            finish: Finish {
                divisor: root.get("divisor")?.number()?,
                slope: root.get("slope")?.number()?,
                exponential,
                ..Finish::plain(root.get("base")?.numbers()?, link)
            },
        },
        facts,
    })
}

fn parsed<T: DeserializeOwned>(node: &Node<'_>) -> Result<T, ImportError> {
    serde_json::from_value(node.value.clone()).map_err(|error| node.wrong(error.to_string()))
}

fn field(node: &Node<'_>) -> Result<Field, ImportError> {
    let object = node.object(&["accepts_missing", "levels", "name", "unseen"])?;
    let mut field = Field::number(object.get("name")?.text()?);
    field.accepts_missing = parsed(&object.get("accepts_missing")?)?;
    if let Some(levels) = parsed::<Option<Vec<String>>>(&object.get("levels")?)? {
        field.role = Role::Category {
            levels,
            unseen: parsed(&object.get("unseen")?)?,
        };
    }
    Ok(field)
}

fn push(
    node: &Node<'_>,
    width: usize,
    outputs: usize,
    fields: usize,
    builder: &mut Builder,
) -> Result<(), ImportError> {
    let tree = node.object(&[
        "cover",
        "default_left",
        "feature",
        "left",
        "members",
        "output",
        "right",
        "threshold",
        "value",
    ])?;
    let output = tree.get("output")?.count()?;
    if output >= outputs {
        return Err(node.wrong(format!("adds to output {output} of {outputs}")));
    }
    let nodes = nodes(node, &tree, width, fields)?;
    let covers = tree.get("cover")?.numbers()?;
    builder
        .push(output as u16, 0, &nodes, &covers)
        .map_err(|problem| node.wrong(problem))
}

fn nodes(
    node: &Node<'_>,
    tree: &Object<'_>,
    width: usize,
    fields: usize,
) -> Result<Vec<RawNode>, ImportError> {
    let most = MAX_NODES as i64;
    let features = tree.get("feature")?.whole(-1, fields as i64 - 1)?;
    let thresholds = tree.get("threshold")?.numbers()?;
    let lefts = tree.get("left")?.whole(-1, most)?;
    let rights = tree.get("right")?.whole(-1, most)?;
    let defaults = tree.get("default_left")?.numbers()?;
    let values = tree.get("value")?.numbers()?;
    let members: Map<String, Value> = parsed(&tree.get("members")?)?;
    let count = features.len();
    let lengths = [thresholds.len(), lefts.len(), rights.len(), defaults.len()];
    if lengths != [count; 4] || values.len() != count.saturating_mul(width) {
        return Err(node.wrong(format!("has {count} nodes, other arrays {lengths:?}")));
    }
    let mut nodes = Vec::with_capacity(count);
    let mut words_in_all = 0;
    for index in 0..count {
        if features[index] < 0 {
            let own = &values[index * width..(index + 1) * width];
            nodes.push(RawNode::Leaf(match own {
                [value] => Leaf::Value(*value),
                _ => Leaf::Vector(own.to_vec()),
            }));
            continue;
        }
        let default_left = defaults[index] != 0.0;
        let test = match members.get(&index.to_string()) {
            None => Test::Number {
                threshold: thresholds[index],
                missing: Missing::Nan,
                default_left,
            },
            Some(codes) => {
                let words = words(node, codes)?;
                words_in_all += words.len();
                if words_in_all > MAX_SET_WORDS {
                    return Err(node.wrong(format!("has more than {MAX_SET_WORDS} set words")));
                }
                Test::Category {
                    words,
                    members_right: false,
                    default_left,
                }
            }
        };
        nodes.push(RawNode::Split {
            feature: features[index] as u32,
            test,
            left: usize::try_from(lefts[index]).unwrap_or(usize::MAX),
            right: usize::try_from(rights[index]).unwrap_or(usize::MAX),
        });
    }
    Ok(nodes)
}

fn words(node: &Node<'_>, codes: &Value) -> Result<Vec<u32>, ImportError> {
    let codes = Node {
        path: format!("{}.members", node.path),
        value: codes,
    };
    let mut words = Vec::new();
    for code in codes.whole(0, 1 << 20)? {
        let (word, bit) = (code as usize / 32, code % 32);
        if words.len() <= word {
            words.resize(word + 1, 0_u32);
        }
        words[word] |= 1 << bit;
    }
    Ok(words)
}

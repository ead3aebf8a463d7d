//! A tree model as plain data: names, levels and rules as JSON, every number in an array.
//!
//! | array                  | length      | content                                               |
//! |------------------------|-------------|-------------------------------------------------------|
//! | `finish`               | 4           | scale, divisor, slope, link divisor                   |
//! | `base`, `bias`         | outputs     | what sums start from; what is added to them           |
//! | `sentinels`            | sentinels   | values that mean missing, in the order of the fields  |
//! | `set_sizes`, `set_words` | sets, words | category sets as 32-bit words                       |
//! | `tree_sizes`, `tree_outputs` | trees | nodes and output of each tree                         |
//! | `features`             | nodes       | field of a split, −1 for a leaf; trees in preorder    |
//! | `rules`                | nodes       | rule of a split, one byte: see `NodeRule`             |
//! | `values`               | nodes       | threshold, set, leaf value or number of leaf vector   |
//! | `covers`               | nodes or 0  | training weight that reached each node                |
//! | `leaf_vectors`         | any         | values of vector leaves                               |
//! | `linear_sizes`, `linear_constants` | linear leaves | terms and constant of each              |
//! | `linear_fields`, `linear_coefficients` | terms | of all linear leaves                        |
//! | `depths`               | trees       | of oblivious trees, in place of the node arrays       |
//! | `leaves`, `leaf_weights` | leaves    | of oblivious trees                                    |
//!
//! An infinite threshold is stored as 0 with a bit of its rule: arrays hold finite numbers.

use super::fields::{Field, Role, UnseenPolicy};
use super::forest::{Forest, LEAF, LinearLeaf, as_index};
use super::limits::MAX_NODES;
use super::link::{Exponential, Finish, Link};
use super::model::{Ensemble, KIND, Trees};
use super::oblivious::Oblivious;
use super::rules::{CategorySets, NodeRule, Rules};
use cvm_core::{Array, ModelState, StateError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum FieldState {
    Number {
        name: String,
        accepts_missing: bool,
        has_sentinel: bool,
    },
    Category {
        name: String,
        accepts_missing: bool,
        levels: Vec<String>,
        unseen: UnseenPolicy,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Binary,
    Oblivious,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    fields: Vec<FieldState>,
    rules: Rules,
    link: Link,
    #[serde(default, skip_serializing_if = "Exponential::is_own")]
    exponential: Exponential,
    shape: Shape,
    leaf_width: usize,
}

fn malformed(problem: impl Into<String>) -> StateError {
    StateError::malformed(KIND, problem)
}

/// The state of `ensemble`.
pub(crate) fn write(ensemble: &Ensemble) -> ModelState {
    let Ensemble {
        fields,
        rules,
        trees,
        finish,
    } = ensemble;
    let (shape, leaf_width) = match trees {
        Trees::Binary(forest) => (Shape::Binary, forest.width),
        Trees::Oblivious(trees) => (Shape::Oblivious, trees.width),
    };
    let settings = Settings {
        fields: fields.iter().map(field_state).collect(),
        rules: *rules,
        link: finish.link,
        exponential: finish.exponential,
        shape,
        leaf_width,
    };
    let mut state = ModelState::new(KIND);
    // Settings hold strings, flags and counts only: they always are a JSON object.
    if let Ok(Value::Object(object)) = serde_json::to_value(settings) {
        state.settings = object;
    }
    let sentinels = fields.iter().filter_map(sentinel).collect();
    state.arrays = vec![
        Array::vector("finish", finish.numbers().to_vec()),
        Array::vector("base", finish.base.clone()),
        Array::vector("bias", finish.bias.clone()),
        Array::vector("sentinels", sentinels),
    ];
    match trees {
        Trees::Binary(forest) => write_forest(forest, &mut state.arrays),
        Trees::Oblivious(trees) => write_oblivious(trees, &mut state.arrays),
    }
    state
}

fn sentinel(field: &Field) -> Option<f64> {
    match field.role {
        Role::Number { missing } => missing,
        Role::Category { .. } => None,
    }
}

fn field_state(field: &Field) -> FieldState {
    let Field {
        name,
        role,
        accepts_missing,
    } = field.clone();
    match role {
        Role::Number { missing } => FieldState::Number {
            name,
            accepts_missing,
            has_sentinel: missing.is_some(),
        },
        Role::Category { levels, unseen } => FieldState::Category {
            name,
            accepts_missing,
            levels,
            unseen,
        },
    }
}

fn numbers<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| (*value).into()).collect()
}

fn write_sets(sets: &CategorySets, arrays: &mut Vec<Array>) {
    let sizes = (0..sets.len()).map(|set| sets.words(set).len() as f64);
    let words = (0..sets.len()).flat_map(|set| numbers(sets.words(set)));
    arrays.push(Array::vector("set_sizes", sizes.collect()));
    arrays.push(Array::vector("set_words", words.collect()));
}

/// Rules and values of splits with infinities moved from the values to the rules.
fn write_splits(rules: &[NodeRule], values: &[f64], arrays: &mut Vec<Array>) {
    let rule = |(rule, value): (&NodeRule, &f64)| {
        let mark = match *value {
            f64::INFINITY => NodeRule::POSITIVE_INFINITY,
            f64::NEG_INFINITY => NodeRule::NEGATIVE_INFINITY,
            _ => 0,
        };
        f64::from(rule.0 | mark)
    };
    let finite = |value: &f64| if value.is_finite() { *value } else { 0.0 };
    let marked = rules.iter().zip(values).map(rule).collect();
    arrays.push(Array::vector("rules", marked));
    arrays.push(Array::vector("values", values.iter().map(finite).collect()));
}

fn write_forest(forest: &Forest, arrays: &mut Vec<Array>) {
    let feature = |feature: &u32| match *feature {
        LEAF => -1.0,
        field => f64::from(field),
    };
    let features = forest.features.iter().map(feature).collect();
    write_sets(&forest.sets, arrays);
    arrays.push(Array::vector("tree_sizes", numbers(&forest.tree_sizes)));
    arrays.push(Array::vector("tree_outputs", numbers(&forest.tree_outputs)));
    arrays.push(Array::vector("features", features));
    write_splits(&forest.rules, &forest.values, arrays);
    arrays.push(Array::vector("covers", forest.covers.clone()));
    arrays.push(Array::vector("leaf_vectors", forest.vectors.clone()));
    let linear = &forest.linear;
    let terms = || linear.iter().flat_map(|leaf| &leaf.terms);
    let sizes = linear.iter().map(|leaf| leaf.terms.len() as f64).collect();
    let constants = linear.iter().map(|leaf| leaf.constant).collect();
    arrays.push(Array::vector("linear_sizes", sizes));
    arrays.push(Array::vector("linear_constants", constants));
    let fields = terms().map(|(field, _)| f64::from(*field)).collect();
    arrays.push(Array::vector("linear_fields", fields));
    let coefficients = terms().map(|(_, coefficient)| *coefficient).collect();
    arrays.push(Array::vector("linear_coefficients", coefficients));
}

fn write_oblivious(trees: &Oblivious, arrays: &mut Vec<Array>) {
    write_sets(&trees.sets, arrays);
    arrays.push(Array::vector("depths", numbers(&trees.depths)));
    arrays.push(Array::vector("features", numbers(&trees.features)));
    write_splits(&trees.rules, &trees.values, arrays);
    arrays.push(Array::vector("leaves", trees.leaves.clone()));
    arrays.push(Array::vector("leaf_weights", trees.weights.clone()));
}

/// Rebuilds the data of a model.
pub(crate) fn read(state: &ModelState) -> Result<Ensemble, StateError> {
    if state.kind != KIND {
        return Err(malformed(format!("the state is of kind `{}`", state.kind)));
    }
    let settings: Settings = serde_json::from_value(Value::Object(state.settings.clone()))
        .map_err(|error| malformed(format!("settings: {error}")))?;
    let numbers = state.vector("finish", 4)?;
    let finish = Finish {
        base: vector(state, "base")?.to_vec(),
        bias: vector(state, "bias")?.to_vec(),
        link: settings.link,
        exponential: settings.exponential,
        scale: numbers[0],
        divisor: numbers[1],
        slope: numbers[2],
        link_divisor: numbers[3],
    };
    let mut sentinels = vector(state, "sentinels")?.iter().copied();
    let fields: Result<Vec<Field>, StateError> = settings
        .fields
        .into_iter()
        .map(|field| read_field(field, &mut sentinels))
        .collect();
    if sentinels.next().is_some() {
        return Err(malformed(
            "array `sentinels` is longer than the fields need",
        ));
    }
    let trees = match settings.shape {
        Shape::Binary => Trees::Binary(read_forest(state, settings.leaf_width)?),
        Shape::Oblivious => Trees::Oblivious(read_oblivious(state, settings.leaf_width)?),
    };
    Ok(Ensemble {
        fields: fields?,
        rules: settings.rules,
        trees,
        finish,
    })
}

fn read_field(
    field: FieldState,
    sentinels: &mut impl Iterator<Item = f64>,
) -> Result<Field, StateError> {
    let absent = || malformed("array `sentinels` is too short");
    Ok(match field {
        FieldState::Number {
            name,
            accepts_missing,
            has_sentinel,
        } => Field {
            name,
            role: Role::Number {
                missing: match has_sentinel {
                    true => Some(sentinels.next().ok_or_else(absent)?),
                    false => None,
                },
            },
            accepts_missing,
        },
        FieldState::Category {
            name,
            accepts_missing,
            levels,
            unseen,
        } => Field {
            name,
            role: Role::Category { levels, unseen },
            accepts_missing,
        },
    })
}

/// A one-dimensional array of any length.
fn vector<'s>(state: &'s ModelState, name: &str) -> Result<&'s [f64], StateError> {
    let array = state.array(name)?;
    state.vector(name, array.values.len())
}

/// A vector of whole numbers below `end`.
fn whole(state: &ModelState, name: &str, end: usize) -> Result<Vec<usize>, StateError> {
    let read = |value: &f64| {
        as_index(*value, end).ok_or_else(|| {
            malformed(format!(
                "array `{name}` holds {value}, expected 0 to {}",
                end - 1
            ))
        })
    };
    vector(state, name)?.iter().map(read).collect()
}

fn read_sets(state: &ModelState) -> Result<CategorySets, StateError> {
    let words = whole(state, "set_words", 1 << 32)?;
    let words: Vec<u32> = words.iter().map(|word| *word as u32).collect();
    let mut rest = words.as_slice();
    let mut sets = CategorySets::default();
    for size in whole(state, "set_sizes", MAX_NODES)? {
        let split = rest.split_at_checked(size);
        let (own, after) = split.ok_or_else(|| malformed("array `set_words` is too short"))?;
        sets.push(own);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(malformed("array `set_words` is longer than the sets need"));
    }
    Ok(sets)
}

/// Rules and values of nodes, infinities put back.
fn read_splits(state: &ModelState) -> Result<(Vec<NodeRule>, Vec<f64>), StateError> {
    const MARKS: u8 = NodeRule::POSITIVE_INFINITY | NodeRule::NEGATIVE_INFINITY;
    let rules = whole(state, "rules", 256)?;
    let values = vector(state, "values")?;
    let value = |(rule, value): (&usize, &f64)| match *rule as u8 & MARKS {
        NodeRule::POSITIVE_INFINITY => f64::INFINITY,
        NodeRule::NEGATIVE_INFINITY => f64::NEG_INFINITY,
        _ => *value,
    };
    let values = rules.iter().zip(values).map(value).collect();
    let rule = |rule: &usize| NodeRule(*rule as u8 & !MARKS);
    Ok((rules.iter().map(rule).collect(), values))
}

fn read_forest(state: &ModelState, width: usize) -> Result<Forest, StateError> {
    let feature = |value: &f64| match *value {
        -1.0 => Ok(LEAF),
        field => as_index(field, LEAF as usize)
            .map(|field| field as u32)
            .ok_or_else(|| malformed(format!("array `features` holds {field}"))),
    };
    let features: Result<Vec<u32>, StateError> =
        vector(state, "features")?.iter().map(feature).collect();
    let (rules, values) = read_splits(state)?;
    let sizes = whole(state, "tree_sizes", MAX_NODES + 1)?;
    let outputs = whole(state, "tree_outputs", 1 << 16)?;
    Ok(Forest {
        tree_sizes: sizes.iter().map(|size| *size as u32).collect(),
        tree_outputs: outputs.iter().map(|output| *output as u16).collect(),
        features: features?,
        rules,
        values,
        covers: vector(state, "covers")?.to_vec(),
        sets: read_sets(state)?,
        linear: read_linear(state)?,
        vectors: vector(state, "leaf_vectors")?.to_vec(),
        width,
        ..Forest::default()
    })
}

fn read_linear(state: &ModelState) -> Result<Vec<LinearLeaf>, StateError> {
    let fields = whole(state, "linear_fields", 1 << 16)?;
    let coefficients = vector(state, "linear_coefficients")?;
    let constants = vector(state, "linear_constants")?;
    let sizes = whole(state, "linear_sizes", MAX_NODES)?;
    let total = sizes
        .iter()
        .fold(0_usize, |all, size| all.saturating_add(*size));
    if constants.len() != sizes.len() || [fields.len(), coefficients.len()] != [total; 2] {
        return Err(malformed("the arrays of linear leaves differ in length"));
    }
    let mut terms = fields
        .iter()
        .map(|f| *f as u32)
        .zip(coefficients.iter().copied());
    let leaf = |(constant, size): (&f64, &usize)| LinearLeaf {
        constant: *constant,
        terms: terms.by_ref().take(*size).collect(),
    };
    Ok(constants.iter().zip(&sizes).map(leaf).collect())
}

fn read_oblivious(state: &ModelState, width: usize) -> Result<Oblivious, StateError> {
    let (rules, values) = read_splits(state)?;
    let depths = whole(state, "depths", 1 << 8)?;
    let features = whole(state, "features", LEAF as usize)?;
    Ok(Oblivious {
        depths: depths.iter().map(|depth| *depth as u8).collect(),
        features: features.iter().map(|field| *field as u32).collect(),
        rules,
        values,
        sets: read_sets(state)?,
        leaves: vector(state, "leaves")?.to_vec(),
        weights: vector(state, "leaf_weights")?.to_vec(),
        width,
    })
}

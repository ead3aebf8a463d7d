//! LightGBM's text format, versions 3 and 4.
//!
//! A header of `key=value` lines, the trees, then importances, parameters and the levels of pandas
//! categoricals. Numbers have 17 digits, so they come back exactly. Scores are sums of doubles over
//! the trees in order, from 0; `average_output` divides only on the way to the link.
//!
//! Source: LightGBM `src/boosting/gbdt_model_text.cpp`, `include/LightGBM/tree.h`,
//! `src/c_api.cpp` (facts, no text).

use super::lightgbm_tree::{self, Lines};
use super::{ImportError, ImportOptions, Imported};
use crate::trees::builder::Builder;
use crate::trees::fields::{Field, Role, UnseenPolicy};
use crate::trees::limits::MAX_FIELDS;
use crate::trees::link::{Exponential, Finish, Link};
use crate::trees::model::{Ensemble, Trees};
use crate::trees::rules::{CategoryRule, Compare, InputWidth, Rules, Width};
use cvm_core::number_to_level;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const KEYS: [&str; 12] = [
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "monotone_constraints",
    "feature_infos",
    "tree_sizes",
    "tree",
];

/// What the header says.
struct Header<'t> {
    values: BTreeMap<&'t str, &'t str>,
}

impl<'t> Header<'t> {
    fn read(lines: &mut Lines<'t>) -> Result<Header<'t>, ImportError> {
        let mut values = BTreeMap::new();
        while let Some(line) = lines.peek() {
            if line.starts_with("Tree=") || line == "end of trees" {
                break;
            }
            lines.next();
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if !KEYS.contains(&key) {
                let advice =
                    "this key of the header is unknown; save the model with LightGBM 3 or 4";
                return Err(ImportError::refused(key, shown(line), advice));
            }
            if values.insert(key, value).is_some() {
                return Err(ImportError::malformed(key, "is given twice"));
            }
        }
        if !values.contains_key("tree") {
            let problem = "does not begin with `tree`: not a LightGBM text model";
            return Err(ImportError::malformed("the file", problem));
        }
        Ok(Header { values })
    }

    fn get(&self, key: &str) -> Result<&'t str, ImportError> {
        let value = self.values.get(key).copied();
        value.ok_or_else(|| ImportError::malformed(key, "is missing"))
    }

    fn count(&self, key: &str) -> Result<usize, ImportError> {
        let value = self.get(key)?;
        value.parse().map_err(|_| {
            ImportError::malformed(key, format!("is {}: must be a whole number", shown(value)))
        })
    }
}

/// At most 80 characters of a value, for a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    format!("`{short}`")
}

/// Reads a model.
pub(super) fn read(bytes: &[u8], options: &ImportOptions) -> Result<Imported, ImportError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ImportError::malformed("the file", format!("is not UTF-8: {error}")))?;
    let mut lines = Lines::new(text);
    let header = Header::read(&mut lines)?;
    check_version(&header)?;
    let outputs = header.count("num_tree_per_iteration")?;
    if outputs == 0 || outputs > usize::from(u16::MAX) {
        let problem = format!("is {outputs}: must be 1 or more");
        return Err(ImportError::malformed("num_tree_per_iteration", problem));
    }
    let most = match options.iterations {
        Some(rounds) => rounds.saturating_mul(outputs),
        None => usize::MAX,
    };
    let fields = header.count("max_feature_idx")?.saturating_add(1);
    let mut builder = Builder::new(1);
    let trees = lightgbm_tree::read_all(&mut lines, outputs, most, fields, &mut builder)?;
    if trees.used == 0 || trees.used % outputs != 0 {
        let problem = format!("{} trees do not make rounds of {outputs}", trees.used);
        return Err(ImportError::malformed("trees", problem));
    }
    check_rounds(options, trees.found / outputs)?;
    let (finish, objective) = finish(&header, outputs, trees.used / outputs)?;
    let mut facts = Map::new();
    facts.insert("objective".to_owned(), Value::from(objective));
    facts.insert("rounds".to_owned(), Value::from(trees.used / outputs));
    facts.insert(
        "rounds_in_file".to_owned(),
        Value::from(trees.found / outputs),
    );
    Ok(Imported {
        ensemble: Ensemble {
            fields: read_fields(&header, &mut lines, fields, options)?,
            rules: RULES,
            trees: Trees::Binary(builder.finish()),
            finish,
        },
        facts,
    })
}

const RULES: Rules = Rules {
    compare: Compare::LessOrEqual,
    input: InputWidth::F64TinyIsZero,
    accepts_infinite: true,
    category: CategoryRule::Truncate,
    sum: Width::F64,
};

/// Rounds asked for must be there.
pub(super) fn check_rounds(options: &ImportOptions, rounds: usize) -> Result<(), ImportError> {
    match options.iterations {
        Some(wanted) if wanted == 0 || wanted > rounds => {
            let why = format!("is {wanted}: must be 1 to {rounds}, the rounds in the file");
            Err(ImportError::option("iterations", why))
        }
        _ => Ok(()),
    }
}

fn check_version(header: &Header<'_>) -> Result<(), ImportError> {
    match header.get("version")? {
        "v3" | "v4" => Ok(()),
        other => {
            let advice = "versions v3 and v4 are read; save the model anew with LightGBM 3 or 4";
            Err(ImportError::refused("version", shown(other), advice))
        }
    }
}

/// Link and slope of an objective line such as `binary sigmoid:1`.
fn finish(
    header: &Header<'_>,
    outputs: usize,
    rounds: usize,
) -> Result<(Finish, String), ImportError> {
    let line = header.values.get("objective").copied().unwrap_or("custom");
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or("custom");
    let mut slope = 1.0;
    let mut square = false;
    for word in words {
        match word.split_once(':') {
            Some(("sigmoid", value)) => slope = lightgbm_tree::number("objective", value)?,
            Some(("num_class", value)) if value.parse() == Ok(outputs) => {}
            None if word == "sqrt" => square = true,
            Some(("alpha" | "c" | "tweedie_variance_power" | "quantile" | "fair_c", _)) => {}
            _ => {
                let advice = "this part of the objective is unknown";
                return Err(ImportError::refused("objective", shown(line), advice));
            }
        }
    }
    let link = match name {
        "binary" | "cross_entropy" | "xentropy" => Link::Sigmoid,
        "multiclass" | "softmax" => Link::Softmax,
        "multiclassova" | "ova" => Link::SigmoidEach,
        "cross_entropy_lambda" | "xentlambda" => Link::Softplus,
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" if square => {
            Link::SignedSquare
        }
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => Link::Identity,
        "poisson" | "gamma" | "tweedie" => Link::Exp,
        "custom" | "none" if outputs == 1 => Link::Raw,
        _ => {
            let advice = "this objective is not scored here; known: binary, cross_entropy, \
                          cross_entropy_lambda, multiclass, multiclassova, regression and its \
                          kin, poisson, gamma, tweedie, custom with one output";
            return Err(ImportError::refused("objective", shown(line), advice));
        }
    };
    let mut finish = Finish::plain(vec![0.0; outputs], link).with(Exponential::Glibc);
    finish.slope = slope;
    if header.values.contains_key("average_output") {
        finish.link_divisor = rounds as f64;
    }
    if matches!(name, "cross_entropy" | "xentropy") {
        finish.slope = 1.0;
    }
    Ok((finish, line.to_owned()))
}

fn read_fields(
    header: &Header<'_>,
    lines: &mut Lines<'_>,
    count: usize,
    options: &ImportOptions,
) -> Result<Vec<Field>, ImportError> {
    let names: Vec<&str> = header.get("feature_names")?.split(' ').collect();
    let infos: Vec<&str> = header.get("feature_infos")?.split(' ').collect();
    if names.len() != count || infos.len() != count || count > MAX_FIELDS {
        let (names, infos) = (names.len(), infos.len());
        let problem =
            format!("{names} names and {infos} infos for max_feature_idx + 1 = {count} features");
        return Err(ImportError::malformed("feature_names", problem));
    }
    let mut fields: Vec<Field> = names.iter().map(|name| Field::number(*name)).collect();
    let levels = pandas_levels(lines)?;
    if levels.is_empty() {
        return Ok(fields);
    }
    let places = categorical_places(&names, &infos, levels.len(), options)?;
    for (place, levels) in places.into_iter().zip(levels) {
        if let Some(field) = fields.get_mut(place) {
            field.role = Role::Category {
                levels,
                unseen: options.unseen.unwrap_or(UnseenPolicy::Missing),
            };
        }
    }
    Ok(fields)
}

/// Which features were pandas categoricals: those whose info lists categories, if they are as many
/// as the levels' lists; else the author must say.
fn categorical_places(
    names: &[&str],
    infos: &[&str],
    count: usize,
    options: &ImportOptions,
) -> Result<Vec<usize>, ImportError> {
    if let Some(wanted) = &options.categorical {
        let place = |name: &String| names.iter().position(|own| own == name);
        let places: Option<Vec<usize>> = wanted.iter().map(place).collect();
        let places = places.filter(|places| places.len() == count);
        return places.ok_or_else(|| {
            let why = format!("must name {count} of the model's features, in their order");
            ImportError::option("categorical", why)
        });
    }
    let is_categorical = |info: &&str| !info.starts_with('[') && *info != "none";
    let found: Vec<usize> = (0..infos.len())
        .filter(|index| infos.get(*index).is_some_and(is_categorical))
        .collect();
    if found.len() == count {
        return Ok(found);
    }
    let advice = format!(
        "{} features were trained on categories; name the pandas categoricals in the option \
         `categorical`",
        found.len()
    );
    let at = "pandas_categorical";
    Err(ImportError::refused(
        at,
        format!("{count} lists of levels"),
        advice,
    ))
}

/// Levels in the last line, `pandas_categorical:[[…], …]`.
fn pandas_levels(lines: &mut Lines<'_>) -> Result<Vec<Vec<String>>, ImportError> {
    const KEY: &str = "pandas_categorical";
    let mut found = None;
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("pandas_categorical:") {
            found = Some(text);
        }
    }
    let text = found.unwrap_or("null");
    let value: Value = serde_json::from_str(text)
        .map_err(|error| ImportError::malformed(KEY, error.to_string()))?;
    let lists = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(lists) => lists,
        _ => return Err(ImportError::malformed(KEY, "is not a list of lists")),
    };
    let levels = |list: Value| match list {
        Value::Array(levels) => levels.iter().map(level).collect(),
        _ => Err(ImportError::malformed(KEY, "is not a list of lists")),
    };
    lists.into_iter().map(levels).collect()
}

fn level(value: &Value) -> Result<String, ImportError> {
    let text = match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Number(number) => number.as_f64().and_then(number_to_level),
        _ => None,
    };
    text.ok_or_else(|| {
        let advice = "levels must be text, numbers or booleans";
        ImportError::refused("pandas_categorical", shown(&value.to_string()), advice)
    })
}

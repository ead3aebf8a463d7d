//! CatBoost's categories: what its questions about hashes of levels mean for the levels themselves.
//!
//! A file holds hashes of levels, not the levels. Once these are named, every question about one
//! category is a set of levels, and sets are all a model needs: no hash is taken of a row.
//!
//! | symbol     | meaning                                                                    |
//! |------------|----------------------------------------------------------------------------|
//! | `h`        | low 32 bits of the level's CityHash64, as a signed number                  |
//! | `key`      | `M · (M · h)` modulo 2^64: where tables keep a level alone                 |
//! | `n`, `N`   | `Borders`: weight of the classes above the target's border, of all classes |
//! |            | `Buckets`: weight of the border's class, of all classes                    |
//! |            | `BinarizedTargetMeanValue`: sum of targets, number of rows                 |
//! |            | `Counter`, `FeatureFreq`: rows of the level, the table's denominator       |
//! | statistic  | `((n + prior) / (N + denominator) + shift) · scale`, in floats             |
//!
//! A level that a table lacks has `n = 0`, and `N = 0` but for counts. The answer to a one-hot
//! question is whether the hashes are equal; to one of a statistic whether it is above the border.
//!
//! Source: CatBoost `catboost/libs/model/ctr_value_table.h`, `catboost/libs/model/online_ctr.h`,
//! `catboost/libs/model/static_ctr_provider.cpp` (facts, no text).

use super::document::{Node, Object};
use super::{ImportError, ImportOptions, city};
use crate::trees::builder::Test;
use crate::trees::fields::{Field, Role, UnseenPolicy};
use std::collections::{HashMap, HashSet};

/// Multiplier of keys.
const MULTIPLIER: u64 = 0x4906_ba49_4954_cb65;
/// Key of an empty place of a table.
const EMPTY: u64 = u64::MAX;
const HOW: &str = "a CatBoost file holds hashes of categories, not the categories: name every level \
                   of training by the option `levels`";
const COMBINED: &str = "statistics of combined features are not scored here: train with \
                        `max_ctr_complexity=1`";

/// A categorical feature.
struct Feature {
    field: u32,
    name: String,
    /// Hash of each level.
    hashes: Vec<i32>,
}

/// A statistic of one feature: its value for each level, and for one that is not known.
struct Statistic {
    feature: usize,
    values: Vec<f32>,
    unseen: f32,
}

/// The categorical features of a file, and its questions about statistics by their number.
pub(super) struct Categories {
    features: Vec<Feature>,
    statistics: Vec<Statistic>,
    /// Number of the first question.
    first: usize,
    /// Statistic and border of each.
    questions: Vec<(usize, f32)>,
}

impl Categories {
    /// Categories of the features in `info`, whose fields go into `fields`. Questions about numbers
    /// come before theirs: there are `before`.
    pub(super) fn read(
        root: &Object<'_>,
        info: &Object<'_>,
        before: usize,
        fields: &mut [Option<Field>],
        options: &ImportOptions,
    ) -> Result<Categories, ImportError> {
        let items = match info.optional("categorical_features") {
            Some(node) => node.list()?,
            None => Vec::new(),
        };
        let mut found = Categories {
            features: Vec::with_capacity(items.len()),
            statistics: Vec::new(),
            first: before,
            questions: Vec::new(),
        };
        for item in &items {
            found.read_feature(item, fields, options)?;
        }
        check_names(&found.features, options)?;
        if let Some(node) = info.optional("ctrs") {
            found.read_statistics(root, &node)?;
        }
        Ok(found)
    }

    fn read_feature(
        &mut self,
        item: &Node<'_>,
        fields: &mut [Option<Field>],
        options: &ImportOptions,
    ) -> Result<(), ImportError> {
        let known = [
            "feature_id",
            "feature_index",
            "flat_feature_index",
            "values",
        ];
        let object = item.object(&known)?;
        let flat = object.get("flat_feature_index")?.count()?;
        if object.get("feature_index")?.count()? != self.features.len() {
            return Err(item.wrong("is not in the place its index names"));
        }
        let name = match object.optional("feature_id") {
            Some(node) if !node.text()?.is_empty() => node.text()?.to_owned(),
            _ => format!("x{flat}"),
        };
        let levels = levels(&name, flat, options)
            .ok_or_else(|| ImportError::refused(item.path.clone(), format!("`{name}`"), HOW))?;
        let place = fields.get_mut(flat).filter(|place| place.is_none());
        let place = place.ok_or_else(|| item.wrong(format!("has the place {flat} of another")))?;
        let hash = |level: &String| city::hash(level.as_bytes()) as u32 as i32;
        let hashes: Vec<i32> = levels.iter().map(hash).collect();
        let asked = match object.optional("values") {
            Some(node) => node.whole(i32::MIN.into(), i32::MAX.into())?,
            None => Vec::new(),
        };
        self.first += asked.len();
        let own: HashSet<i64> = hashes.iter().map(|hash| i64::from(*hash)).collect();
        check_covered(
            &name,
            asked.iter().filter(|hash| !own.contains(hash)).count(),
        )?;
        // CatBoost takes no missing category: one reads as a level that nobody has seen.
        *place = Some(Field {
            name: name.clone(),
            role: Role::Category {
                levels: levels.to_vec(),
                unseen: options.unseen.unwrap_or(UnseenPolicy::Missing),
            },
            accepts_missing: true,
        });
        self.features.push(Feature {
            field: flat as u32,
            name,
            hashes,
        });
        Ok(())
    }

    fn read_statistics(&mut self, root: &Object<'_>, node: &Node<'_>) -> Result<(), ImportError> {
        let mut tables = HashMap::new();
        for item in &node.list()? {
            let object = item.object(&[
                "borders",
                "ctr_type",
                "elements",
                "identifier",
                "prior_denomerator",
                "prior_numerator",
                "scale",
                "shift",
                "target_border_idx",
            ])?;
            let feature = self.only_element(&object.get("elements")?)?;
            let identifier = object.get("identifier")?.text()?;
            if !tables.contains_key(identifier) {
                tables.insert(identifier, Table::read(root, identifier)?);
            }
            let table = tables.get(identifier);
            let table = table.ok_or_else(|| item.wrong("has no table"))?;
            self.check_keys(feature, table)?;
            let statistic = self.statistic(feature, &object, table)?;
            let borders = object.get("borders")?.numbers()?;
            let number = self.statistics.len();
            self.questions
                .extend(borders.iter().map(|border| (number, *border as f32)));
            self.statistics.push(statistic);
        }
        Ok(())
    }

    /// The feature a statistic is about, if it is about one alone.
    fn only_element(&self, node: &Node<'_>) -> Result<usize, ImportError> {
        let elements = node.list()?;
        let [element] = &elements[..] else {
            return Err(node.refused(COMBINED));
        };
        let object = element.object(&["cat_feature_index", "combination_element"])?;
        if object.get("combination_element")?.text()? != "cat_feature_value" {
            return Err(node.refused(COMBINED));
        }
        let feature = object.get("cat_feature_index")?.count()?;
        if feature >= self.features.len() {
            return Err(node.wrong(format!("names feature {feature}")));
        }
        Ok(feature)
    }

    /// Every level a table knows must be named: it would be scored as unseen.
    fn check_keys(&self, feature: usize, table: &Table) -> Result<(), ImportError> {
        let own = &self.features[feature];
        let keys: HashSet<u64> = own.hashes.iter().map(|hash| key(*hash)).collect();
        let unknown = table.rows.keys().filter(|key| !keys.contains(key)).count();
        check_covered(&own.name, unknown)
    }

    fn statistic(
        &self,
        feature: usize,
        object: &Object<'_>,
        table: &Table,
    ) -> Result<Statistic, ImportError> {
        let number = |key: &str| Ok::<f32, ImportError>(object.get(key)?.number()? as f32);
        let (prior, below) = (number("prior_numerator")?, number("prior_denomerator")?);
        let (shift, scale) = (number("shift")?, number("scale")?);
        let border = object.get("target_border_idx")?.count()?;
        let kind = Counted::of(&object.get("ctr_type")?)?;
        let value = |row: Option<&[f64]>| {
            let (n, all) = kind.count(row, border, table.denominator);
            ((n + prior) / (all + below) + shift) * scale
        };
        let hashes = self.features[feature].hashes.iter();
        let of_level = |hash: &i32| value(table.rows.get(&key(*hash)).map(Vec::as_slice));
        Ok(Statistic {
            feature,
            values: hashes.map(of_level).collect(),
            unseen: value(None),
        })
    }

    /// Field and test of a split that asks for one level.
    pub(super) fn one_hot(&self, node: &Node<'_>) -> Result<(u32, Test), ImportError> {
        let known = ["cat_feature_index", "split_index", "split_type", "value"];
        let object = node.object(&known)?;
        let feature = object.get("cat_feature_index")?.count()?;
        let feature = self.features.get(feature);
        let feature = feature.ok_or_else(|| node.wrong("names a feature there is not"))?;
        let value = object.get("value")?.number()?;
        let members = feature.hashes.iter().map(|hash| f64::from(*hash) == value);
        let test = set(members, false);
        if !feature.hashes.iter().any(|hash| f64::from(*hash) == value) {
            return Err(node.wrong("asks for a level that its feature does not list"));
        }
        Ok((feature.field, test))
    }

    /// Field and test of a split on a statistic.
    pub(super) fn online(&self, node: &Node<'_>) -> Result<(u32, Test), ImportError> {
        let known = [
            "border",
            "ctr_target_border_idx",
            "split_index",
            "split_type",
        ];
        let object = node.object(&known)?;
        let number = object.get("split_index")?.count()?;
        let border = object.get("border")?.number()? as f32;
        let question = number.checked_sub(self.first);
        let question = question.and_then(|number| self.questions.get(number));
        let (statistic, own) = question.ok_or_else(|| node.wrong("names no statistic"))?;
        if own.to_bits() != border.to_bits() {
            return Err(node.wrong(format!("has border {border}, its statistic {own}")));
        }
        let statistic = &self.statistics[*statistic];
        let members = statistic.values.iter().map(|value| *value > border);
        let field = self.features[statistic.feature].field;
        Ok((field, set(members, statistic.unseen > border)))
    }
}

/// Levels named for a feature.
fn levels<'o>(name: &str, flat: usize, options: &'o ImportOptions) -> Option<&'o [String]> {
    let given = options.levels.as_ref()?;
    let renamed = options.feature_names.as_ref().and_then(|own| own.get(flat));
    let found = given.get(name).or_else(|| given.get(renamed?));
    found.map(Vec::as_slice)
}

/// Levels are named for nothing else.
fn check_names(features: &[Feature], options: &ImportOptions) -> Result<(), ImportError> {
    let given = options.levels.as_ref().map_or(0, |levels| levels.len());
    if given <= features.len() {
        return Ok(());
    }
    let why = format!(
        "name {given} columns, of which the model has {} categorical ones",
        features.len()
    );
    Err(ImportError::option("levels", why))
}

fn check_covered(name: &str, unknown: usize) -> Result<(), ImportError> {
    if unknown == 0 {
        return Ok(());
    }
    let why = format!(
        "of `{name}` lack {unknown} that the model knows by their hashes: name every level of training"
    );
    Err(ImportError::option("levels", why))
}

fn key(hash: i32) -> u64 {
    let once = (i64::from(hash) as u64).wrapping_mul(MULTIPLIER);
    once.wrapping_mul(MULTIPLIER)
}

/// The test that is right for members, and for what is not known if `unseen` says so.
fn set(members: impl Iterator<Item = bool>, unseen: bool) -> Test {
    let mut words = vec![0_u32];
    for (code, _) in members.enumerate().filter(|(_, is_member)| *is_member) {
        words.resize(words.len().max(code / 32 + 1), 0);
        words[code / 32] |= 1 << (code % 32);
    }
    Test::Category {
        words,
        members_right: true,
        default_left: !unseen,
    }
}

/// What a statistic counts.
enum Counted {
    AboveBorder,
    InBucket,
    TargetMean,
    Rows,
}

impl Counted {
    fn of(node: &Node<'_>) -> Result<Counted, ImportError> {
        match node.text()? {
            "Borders" => Ok(Counted::AboveBorder),
            "Buckets" => Ok(Counted::InBucket),
            "BinarizedTargetMeanValue" => Ok(Counted::TargetMean),
            "Counter" | "FeatureFreq" => Ok(Counted::Rows),
            _ => Err(node.refused(
                "known: Borders, Buckets, BinarizedTargetMeanValue, Counter, FeatureFreq",
            )),
        }
    }

    /// `n` and `N` of a table's row. Counts are whole and exact; each becomes a float once.
    fn count(&self, row: Option<&[f64]>, border: usize, denominator: f64) -> (f32, f32) {
        let row = row.unwrap_or(&[]);
        let at = |place: usize| row.get(place).copied().unwrap_or(0.0);
        let (n, all) = match self {
            Counted::AboveBorder => (row.iter().skip(border + 1).sum(), row.iter().sum()),
            Counted::InBucket => (at(border), row.iter().sum()),
            Counted::TargetMean => (at(0), at(1)),
            Counted::Rows => (at(0), denominator),
        };
        (n as f32, all as f32)
    }
}

/// What a file knows of each level, by key.
struct Table {
    rows: HashMap<u64, Vec<f64>>,
    denominator: f64,
}

impl Table {
    fn read(root: &Object<'_>, identifier: &str) -> Result<Table, ImportError> {
        let data = root.get("ctr_data")?;
        let value = data.value.get(identifier);
        let node = Node {
            path: format!("{}.{identifier}", data.path),
            value: value.ok_or_else(|| data.wrong(format!("lacks the table {identifier}")))?,
        };
        let object = node.object(&["counter_denominator", "hash_map", "hash_stride"])?;
        let stride = object.get("hash_stride")?.count()?;
        let map = object.get("hash_map")?;
        let items = map.value.as_array().map_or(&[][..], Vec::as_slice);
        if stride < 2 || !items.len().is_multiple_of(stride) {
            return Err(map.wrong(format!("has {} items, {stride} a row", items.len())));
        }
        let mut rows = HashMap::new();
        for row in items.chunks_exact(stride) {
            let key: Option<u64> = row[0].as_str().and_then(|text| text.parse().ok());
            let counts: Option<Vec<f64>> = row[1..].iter().map(|item| item.as_f64()).collect();
            let (Some(key), Some(counts)) = (key, counts) else {
                return Err(map.wrong("has a row that is no key with counts"));
            };
            if key != EMPTY {
                rows.insert(key, counts);
            }
        }
        let denominator = object.get("counter_denominator")?.number()?;
        Ok(Table { rows, denominator })
    }
}

//! Attributions: Shapley values by enumeration, the numbers of LightGBM and of the `shap` package,
//! additivity, and independence of rows.

mod common;

use common::{fit, table};
use cvm_churn::LogisticSpec;
use cvm_churn::trees::import::{ImportOptions, read};
use cvm_churn::trees::{
    CategoryRule, Compare, Ensemble, Field, Finish, Forest, InputWidth, Link, Missing, NodeRule,
    Rules, TreeEnsemble, Trees, Width,
};
use cvm_core::{
    Attributions, ExplainMethod, Frame, FrameColumn, Question, RowStatus, ScoreBlock, ScoreOptions,
    Scorer,
};
use serde_json::{Value, json};

const FIELDS: usize = 6;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A tree as the definition of the game sees it.
enum Node {
    Leaf {
        values: Vec<f64>,
        cover: f64,
    },
    Split {
        field: usize,
        threshold: f64,
        default_left: bool,
        children: Box<[Node; 2]>,
    },
}

impl Node {
    fn random(random: &mut Random, splits: usize, width: usize) -> Node {
        if splits == 0 {
            return Node::Leaf {
                values: (0..width).map(|_| random.unit() - 0.5).collect(),
                // One in nine leaves was never reached in training.
                cover: if random.below(9) == 0 {
                    0.0
                } else {
                    1.0 + random.below(50) as f64
                },
            };
        }
        let left = random.below(splits);
        Node::Split {
            field: random.below(FIELDS),
            threshold: (8.0 * random.unit()).round() / 4.0 - 1.0,
            default_left: random.below(2) == 0,
            children: Box::new([
                Node::random(random, left, width),
                Node::random(random, splits - 1 - left, width),
            ]),
        }
    }

    fn cover(&self) -> f64 {
        match self {
            Node::Leaf { cover, .. } => *cover,
            Node::Split { children, .. } => children[0].cover() + children[1].cover(),
        }
    }

    fn push(&self, forest: &mut Forest) -> u32 {
        forest.covers.push(self.cover());
        match self {
            Node::Leaf { values, .. } => {
                forest.features.push(u32::MAX);
                forest.rules.push(NodeRule::default());
                if values.len() == 1 {
                    forest.values.push(values[0]);
                } else {
                    forest
                        .values
                        .push((forest.vectors.len() / values.len()) as f64);
                    forest.vectors.extend(values);
                }
                1
            }
            Node::Split {
                field,
                threshold,
                default_left,
                children,
            } => {
                forest.features.push(*field as u32);
                forest
                    .rules
                    .push(NodeRule::number(Missing::Nan, *default_left));
                forest.values.push(*threshold);
                1 + children[0].push(forest) + children[1].push(forest)
            }
        }
    }

    /// What the tree expects of a row of which only the fields in `known` (bits) are known.
    fn expects(&self, row: &[f64], known: usize, output: usize) -> f64 {
        match self {
            Node::Leaf { values, .. } => values[output],
            Node::Split {
                field,
                threshold,
                default_left,
                children,
            } => {
                let value = row[*field];
                if known >> field & 1 == 1 {
                    let left = if value.is_nan() {
                        *default_left
                    } else {
                        value <= *threshold
                    };
                    return children[usize::from(!left)].expects(row, known, output);
                }
                let total = self.cover();
                let part = |child: &Node| {
                    if total == 0.0 {
                        return 0.0;
                    }
                    child.cover() / total * child.expects(row, known, output)
                };
                part(&children[0]) + part(&children[1])
            }
        }
    }
}

/// Shapley values of a game of six fields, by its definition.
fn shapley(game: impl Fn(usize) -> f64) -> Vec<f64> {
    let worth: Vec<f64> = (0..1 << FIELDS).map(game).collect();
    let factorial = |n: usize| (1..=n).product::<usize>() as f64;
    let value = |field: usize| {
        let without = (0..1_usize << FIELDS).filter(|s| s >> field & 1 == 0);
        without
            .map(|coalition| {
                let size = coalition.count_ones() as usize;
                let weight = factorial(size) * factorial(FIELDS - 1 - size) / factorial(FIELDS);
                weight * (worth[coalition | 1 << field] - worth[coalition])
            })
            .sum()
    };
    (0..FIELDS).map(value).collect()
}

fn model(trees: &[Node], width: usize) -> TreeEnsemble {
    let mut forest = Forest::default();
    forest.width = width;
    for tree in trees {
        let size = tree.push(&mut forest);
        forest.tree_sizes.push(size);
        if width == 1 {
            forest.tree_outputs.push(0);
        }
    }
    let link = if width == 1 {
        Link::Sigmoid
    } else {
        Link::Softmax
    };
    let base = (0..width).map(|output| 0.25 - output as f64).collect();
    TreeEnsemble::new(Ensemble {
        fields: (0..FIELDS)
            .map(|i| Field::number(format!("x{i}")))
            .collect(),
        rules: Rules {
            compare: Compare::LessOrEqual,
            input: InputWidth::F64,
            accepts_infinite: true,
            category: CategoryRule::Truncate,
            sum: Width::F64,
        },
        trees: Trees::Binary(forest),
        finish: Finish {
            divisor: 2.0,
            ..Finish::plain(base, link)
        },
    })
    .unwrap()
}

fn rows(random: &mut Random, count: usize) -> Vec<Vec<f64>> {
    let mut cell = || match random.below(7) {
        0 => f64::NAN,
        _ => (8.0 * random.unit()).round() / 4.0 - 1.0,
    };
    (0..count)
        .map(|_| (0..FIELDS).map(|_| cell()).collect())
        .collect()
}

fn frame(names: impl Fn(usize) -> String, rows: &[Vec<f64>]) -> Frame {
    let mut frame = Frame::new(rows.len());
    for field in 0..rows.first().map_or(0, Vec::len) {
        let values = rows.iter().map(|row| row[field]).collect();
        frame
            .columns
            .push((names(field), FrameColumn::Numbers(values)));
    }
    frame
}

fn plain(rows: &[Vec<f64>]) -> Frame {
    frame(|field| format!("x{field}"), rows)
}

fn explain(
    model: &dyn Scorer,
    frame: &Frame,
    method: ExplainMethod,
    background: Option<&Frame>,
) -> Attributions {
    let batches = (
        frame.batch().unwrap(),
        background.map(|b| b.batch().unwrap()),
    );
    let bound = batches.0.bind(model.schema()).unwrap();
    let background = batches.1.as_ref().map(|b| b.bind(model.schema()).unwrap());
    let question = Question {
        method,
        background: background.as_ref(),
    };
    model
        .explain(&bound, 0..frame.row_count, &question)
        .unwrap()
}

/// Column `name` of the scores.
fn scores(model: &dyn Scorer, frame: &Frame, name: &str) -> Vec<f64> {
    let batch = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    let place = model.outputs().iter().position(|o| o.name == name).unwrap();
    let mut values = vec![0.0; frame.row_count];
    let mut status = vec![RowStatus::OK; frame.row_count];
    let mut block = ScoreBlock {
        outputs: vec![&mut values],
        status: &mut status,
    };
    model.score_rows(&bound, 0, &[place], &ScoreOptions::default(), &mut block);
    values
}

fn assert_close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!(
            (got - want).abs() <= tolerance,
            "{what}: {got} is not {want}"
        );
    }
}

fn assert_additive(model: &dyn Scorer, frame: &Frame, found: &Attributions, tolerance: f64) {
    let (outputs, fields) = (found.outputs.len(), model.schema().fields.len());
    for (place, name) in found.outputs.iter().enumerate() {
        let raw = scores(model, frame, name);
        for (row, raw) in raw.iter().enumerate() {
            let first = (row * outputs + place) * fields;
            let sum: f64 = found.values[first..first + fields].iter().sum();
            let gap = (found.base[place] + sum - raw).abs();
            assert!(gap <= tolerance, "row {row}, {name}: {gap:e}");
        }
    }
}

#[test]
fn path_dependent_values_are_shapley_values_of_expectations() {
    for (seed, splits, width) in [(1, 3, 1), (2, 9, 1), (3, 40, 1), (4, 12, 3)] {
        let mut random = Random(seed);
        let trees: Vec<Node> = (0..4)
            .map(|_| Node::random(&mut random, splits, width))
            .collect();
        let model = model(&trees, width);
        let rows = rows(&mut random, 40);
        let frame = plain(&rows);
        let found = explain(&model, &frame, ExplainMethod::Exact, None);
        assert!(found.is_exact && found.method.contains("path-dependent"));
        assert_additive(&model, &frame, &found, 1e-13);
        for (row, values) in rows.iter().enumerate() {
            for output in 0..width {
                let worth = |known: usize| {
                    let trees = trees.iter().map(|tree| tree.expects(values, known, output));
                    trees.sum::<f64>() / 2.0
                };
                let first = (row * width + output) * FIELDS;
                let got = &found.values[first..first + FIELDS];
                assert_close(got, &shapley(worth), 1e-14, "path-dependent");
            }
        }
    }
}

/// Hybrid rows are scored by the model itself: nothing is shared with the walk over pairs.
#[test]
fn interventional_values_are_shapley_values_of_hybrid_rows() {
    for (seed, splits, width) in [(11, 5, 1), (12, 30, 1), (13, 14, 2)] {
        let mut random = Random(seed);
        let trees: Vec<Node> = (0..3)
            .map(|_| Node::random(&mut random, splits, width))
            .collect();
        let model = model(&trees, width);
        let (rows, background) = (rows(&mut random, 9), rows(&mut random, 7));
        let names: Vec<&str> = model.outputs().iter().map(|o| o.name).collect();
        let names: Vec<&str> = names
            .into_iter()
            .filter(|n| n.ends_with("raw_score"))
            .collect();
        let found = explain(
            &model,
            &plain(&rows),
            ExplainMethod::Interventional,
            Some(&plain(&background)),
        );
        assert!(found.is_exact && found.method.contains("interventional"));
        assert_additive(&model, &plain(&rows), &found, 1e-13);
        for (row, own) in rows.iter().enumerate() {
            for (output, name) in names.iter().enumerate() {
                let worth = |known: usize| {
                    let hybrid = |theirs: &Vec<f64>| {
                        let cell = |field: usize| {
                            if known >> field & 1 == 1 {
                                own[field]
                            } else {
                                theirs[field]
                            }
                        };
                        (0..FIELDS).map(cell).collect()
                    };
                    let hybrids: Vec<Vec<f64>> = background.iter().map(hybrid).collect();
                    scores(&model, &plain(&hybrids), name).iter().sum::<f64>() / 7.0
                };
                let first = (row * width + output) * FIELDS;
                let got = &found.values[first..first + FIELDS];
                assert_close(got, &shapley(worth), 1e-14, "interventional");
            }
        }
    }
}

#[test]
fn approximate_values_add_up_and_say_what_they_are() {
    let mut random = Random(5);
    let trees: Vec<Node> = (0..5).map(|_| Node::random(&mut random, 20, 1)).collect();
    let model = model(&trees, 1);
    let rows = rows(&mut random, 50);
    let found = explain(&model, &plain(&rows), ExplainMethod::Approximate, None);
    assert!(!found.is_exact && found.method.starts_with("approximate"));
    assert_additive(&model, &plain(&rows), &found, 1e-13);
    // The definition: each split's change of the expected value, along the row's own path.
    let mut want = vec![0.0; FIELDS];
    for tree in &trees {
        let mut node = tree;
        while let Node::Split {
            field,
            threshold,
            default_left,
            children,
        } = node
        {
            let value = rows[0][*field];
            let left = if value.is_nan() {
                *default_left
            } else {
                value <= *threshold
            };
            let next = &children[usize::from(!left)];
            want[*field] += (next.expects(&rows[0], 0, 0) - node.expects(&rows[0], 0, 0)) / 2.0;
            node = next;
        }
    }
    assert_close(&found.values[..FIELDS], &want, 1e-14, "approximate");
}

/// A leaf-wise chain: more distinct fields than the small rules serve, and the same field again and
/// again.
#[test]
fn long_paths_stay_additive() {
    for (count, splits) in [(40, 200), (128, 300)] {
        let mut random = Random(7);
        let mut forest = Forest::default();
        forest.width = 1;
        for level in 0..splits {
            let field = if level < count {
                level
            } else {
                random.below(count)
            };
            forest.features.extend([field as u32, u32::MAX]);
            forest
                .rules
                .extend([NodeRule::number(Missing::Nan, true), NodeRule::default()]);
            forest.values.extend([random.unit() - 2.0, random.unit()]);
            forest.covers.extend([(splits - level + 1) as f64, 1.0]);
        }
        forest.features.push(u32::MAX);
        forest.rules.push(NodeRule::default());
        forest.values.push(3.0);
        forest.covers.push(1.0);
        forest.tree_sizes.push(2 * splits as u32 + 1);
        forest.tree_outputs.push(0);
        let model = TreeEnsemble::new(Ensemble {
            fields: (0..count).map(|i| Field::number(format!("x{i}"))).collect(),
            rules: Rules {
                compare: Compare::LessOrEqual,
                input: InputWidth::F64,
                accepts_infinite: true,
                category: CategoryRule::Truncate,
                sum: Width::F64,
            },
            trees: Trees::Binary(forest),
            finish: Finish::plain(vec![0.0], Link::Raw),
        })
        .unwrap();
        let cells = |random: &mut Random| (0..count).map(|_| 2.0 * random.unit() - 1.5).collect();
        let rows: Vec<Vec<f64>> = (0..20).map(|_| cells(&mut random)).collect();
        let found = explain(&model, &plain(&rows), ExplainMethod::Exact, None);
        assert_additive(&model, &plain(&rows), &found, 1e-12);
        let background = plain(&rows[..5]);
        let method = ExplainMethod::Interventional;
        let found = explain(&model, &plain(&rows), method, Some(&background));
        assert_additive(&model, &plain(&rows), &found, 1e-12);
    }
}

#[test]
fn rows_are_explained_alone_and_bad_rows_are_nan() {
    let mut random = Random(8);
    let trees: Vec<Node> = (0..5).map(|_| Node::random(&mut random, 20, 1)).collect();
    let mut data = model(&trees, 1).ensemble().clone();
    data.fields[2].accepts_missing = false;
    let model = TreeEnsemble::new(data).unwrap();
    let rows = rows(&mut random, 100);
    let background = plain(&[vec![0.0; FIELDS], vec![1.0; FIELDS]]);
    for (method, background) in [
        (ExplainMethod::Exact, None),
        (ExplainMethod::Approximate, None),
        (ExplainMethod::Interventional, Some(&background)),
    ] {
        let whole = explain(&model, &plain(&rows), method, background);
        for (row, values) in rows.iter().enumerate() {
            let alone = explain(
                &model,
                &plain(std::slice::from_ref(values)),
                method,
                background,
            );
            let own = &whole.values[row * FIELDS..(row + 1) * FIELDS];
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&alone.values), bits(own));
            assert_eq!(whole.status[row].is_ok(), !values[2].is_nan());
            assert_eq!(own.iter().all(|v| v.is_nan()), values[2].is_nan());
        }
    }
}

#[test]
fn what_cannot_be_explained_is_refused_in_words() {
    let refusal = |model: &TreeEnsemble, method, background: Option<&Frame>| {
        let frame = plain(&[vec![0.0; FIELDS]]);
        let batches = (
            frame.batch().unwrap(),
            background.map(|b| b.batch().unwrap()),
        );
        let bound = batches.0.bind(model.schema()).unwrap();
        let background = batches.1.as_ref().map(|b| b.bind(model.schema()).unwrap());
        let question = Question {
            method,
            background: background.as_ref(),
        };
        model
            .explain(&bound, 0..1, &question)
            .unwrap_err()
            .to_string()
    };
    let mut random = Random(9);
    let trees = [Node::random(&mut random, 5, 1)];
    let sound = model(&trees, 1);
    let two = plain(&[vec![0.0; FIELDS], vec![1.0; FIELDS]]);
    let none = refusal(&sound, ExplainMethod::Interventional, None);
    assert!(none.contains("need rows to compare with"), "{none}");
    let useless = refusal(&sound, ExplainMethod::Exact, Some(&two));
    assert!(
        useless.contains("only the method `interventional`"),
        "{useless}"
    );
    let many = plain(&vec![vec![0.0; FIELDS]; 257]);
    let many = refusal(&sound, ExplainMethod::Interventional, Some(&many));
    assert!(
        many.contains("257 background rows, must be 1 to 256"),
        "{many}"
    );
    let mut data = sound.ensemble().clone();
    if let Trees::Binary(forest) = &mut data.trees {
        forest.covers.clear();
    }
    let coverless = TreeEnsemble::new(data).unwrap();
    let why = refusal(&coverless, ExplainMethod::Exact, None);
    assert!(why.contains("give background rows"), "{why}");
    let found = explain(&coverless, &two, ExplainMethod::Interventional, Some(&two));
    assert_additive(&coverless, &two, &found, 1e-14);
}

/// Numbers of LightGBM's `pred_contrib` and of `shap.TreeExplainer`, made by
/// `data/make_shap_reference.py`; the model has a category and missing values.
#[test]
fn peers_say_the_same() {
    let reference: Value = serde_json::from_str(include_str!("data/shap_reference.json")).unwrap();
    let numbers = |name: &str| -> Vec<Vec<f64>> {
        let cell = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
        let row = |row: &Value| row.as_array().unwrap().iter().map(cell).collect();
        reference[name]
            .as_array()
            .unwrap()
            .iter()
            .map(row)
            .collect()
    };
    let model = |name: &str| {
        let text = reference[name].as_str().unwrap().as_bytes();
        let options = ImportOptions::default();
        TreeEnsemble::new(read("lightgbm", text, &options).unwrap().ensemble).unwrap()
    };
    let (model, numeric) = (model("model"), model("numeric_model"));
    let names: Vec<String> = model
        .schema()
        .fields
        .iter()
        .map(|f| f.name.clone())
        .collect();
    let rows = frame(|field| names[field].clone(), &numbers("rows"));
    let clean = frame(|field| names[field].clone(), &numbers("clean_rows"));
    let background = frame(|field| names[field].clone(), &numbers("background"));
    let exact = explain(&model, &rows, ExplainMethod::Exact, None);
    let interventional = ExplainMethod::Interventional;
    let against = explain(&numeric, &clean, interventional, Some(&background));
    // `shap` keeps leaf values and sums of interventional values as 32-bit floats.
    for (found, name, tolerance) in [
        (&exact, "pred_contrib", 1e-12),
        (&exact, "shap_path_dependent", 1e-12),
        (&against, "shap_interventional", 1e-6),
    ] {
        for (row, want) in numbers(name).iter().enumerate() {
            let got = &found.values[row * names.len()..(row + 1) * names.len()];
            assert_close(got, &want[..names.len()], tolerance, name);
            assert_close(&found.base, &want[names.len()..], tolerance, name);
        }
    }
    assert_additive(&model, &rows, &exact, 1e-12);
    assert_additive(&numeric, &clean, &against, 1e-12);
}

/// Splines, levels and gaps belong to their field; against background rows the values are those of
/// the game in which absent fields take a background row's cells.
#[test]
fn linear_values_are_grouped_by_field() {
    let settings = json!({"target": "churn", "numeric_basis": "spline", "knots": 4});
    let spec = LogisticSpec::from_json(settings).unwrap();
    let table = table();
    let model = fit(&table, &spec).model;
    let fields = model.schema().fields.len();
    let found = explain(&model, &table, ExplainMethod::Exact, None);
    assert!(found.is_exact && found.outputs == ["logit"]);
    assert_eq!(found.values.len(), table.row_count * fields);
    assert_additive(&model, &table, &found, 1e-12);
    let means: Vec<f64> = (0..fields)
        .map(|field| found.values.iter().skip(field).step_by(fields).sum::<f64>())
        .collect();
    assert_close(&means, &vec![0.0; fields], 1e-9, "means over training");
    let against = explain(&model, &table, ExplainMethod::Interventional, Some(&table));
    assert_close(
        &against.values,
        &found.values,
        1e-11,
        "training rows as background",
    );
    assert_additive(&model, &table, &against, 1e-12);
    let fast = explain(&model, &table, ExplainMethod::Approximate, None);
    assert_eq!(fast, found);
}

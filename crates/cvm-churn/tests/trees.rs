//! Tree ensembles: every form of walking gives the same bits, states come back, damage is refused.

use cvm_churn::trees::{
    CategoryRule, CategorySets, Compare, Ensemble, Field, Finish, Forest, InputWidth, LinearLeaf,
    Link, Missing, NodeRule, Oblivious, Role, Rules, TreeEnsemble, Trees, UnseenPolicy, Width,
};
use cvm_core::{Array, Frame, FrameColumn, RowCode, RowStatus, ScoreBlock, ScoreOptions, Scorer};

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

const FIELDS: usize = 7;

/// Which features of the representation a random forest uses.
#[derive(Clone, Copy)]
struct Mix {
    rules: Rules,
    categories: bool,
    linear: bool,
    outputs: usize,
    vectors: bool,
}

fn rules(compare: Compare, input: InputWidth, sum: Width) -> Rules {
    Rules {
        compare,
        input,
        accepts_infinite: sum == Width::F64,
        category: if sum == Width::F64 {
            CategoryRule::Truncate
        } else {
            CategoryRule::TruncateNonNegative
        },
        sum,
    }
}

fn mixes() -> Vec<Mix> {
    let lightgbm = rules(Compare::LessOrEqual, InputWidth::F64TinyIsZero, Width::F64);
    let xgboost = rules(Compare::Less, InputWidth::F32, Width::F32);
    let sklearn = rules(Compare::LessOrEqual, InputWidth::F32, Width::F64);
    let plain = Mix {
        rules: lightgbm,
        categories: false,
        linear: false,
        outputs: 1,
        vectors: false,
    };
    vec![
        plain,
        Mix {
            categories: true,
            ..plain
        },
        Mix {
            linear: true,
            ..plain
        },
        Mix {
            outputs: 3,
            ..plain
        },
        Mix {
            rules: xgboost,
            ..plain
        },
        Mix {
            rules: xgboost,
            categories: true,
            outputs: 2,
            ..plain
        },
        Mix {
            rules: sklearn,
            outputs: 3,
            vectors: true,
            ..plain
        },
    ]
}

fn threshold(random: &mut Random, input: InputWidth) -> f64 {
    let value = match random.below(12) {
        0 => f64::INFINITY,
        1 => 0.0,
        2 => 1e-40,
        _ => (20.0 * random.unit() - 10.0).round() / 4.0 + 0.1,
    };
    if input == InputWidth::F32 {
        f64::from(value as f32)
    } else {
        value
    }
}

fn push_split(forest: &mut Forest, random: &mut Random, mix: Mix) {
    let field = random.below(FIELDS);
    // The last field holds the text category, the one before numbers that are categories.
    let is_category = mix.categories && field >= FIELDS - 2;
    forest.features.push(field as u32);
    if is_category {
        let members: Vec<u32> = (0..random.below(9))
            .map(|_| random.below(70) as u32)
            .collect();
        let set = forest.sets.push_members(&members);
        forest.rules.push(NodeRule::category(
            random.below(2) == 0,
            random.below(2) == 0,
        ));
        forest.values.push(set as f64);
        return;
    }
    let missing = match (mix.rules.input, random.below(3)) {
        (InputWidth::F64TinyIsZero, 0) => Missing::ZeroOrNan,
        (InputWidth::F64TinyIsZero, 1) => Missing::ReadsZero,
        _ => Missing::Nan,
    };
    forest
        .rules
        .push(NodeRule::number(missing, random.below(2) == 0));
    forest.values.push(threshold(random, mix.rules.input));
}

fn push_leaf(forest: &mut Forest, random: &mut Random, mix: Mix) {
    forest.features.push(u32::MAX);
    let value = if mix.rules.sum == Width::F32 {
        f64::from((random.unit() - 0.5) as f32)
    } else {
        random.unit() - 0.5
    };
    if mix.vectors {
        let number = forest.vectors.len() / mix.outputs;
        forest
            .vectors
            .extend((0..mix.outputs).map(|_| random.unit()));
        forest.rules.push(NodeRule::default());
        forest.values.push(number as f64);
    } else if mix.linear && random.below(2) == 0 {
        let terms = (0..random.below(3)).map(|_| (random.below(FIELDS) as u32, random.unit()));
        forest.linear.push(LinearLeaf {
            constant: value,
            terms: terms.collect(),
        });
        forest.rules.push(NodeRule::linear());
        forest.values.push(value);
    } else {
        forest.rules.push(NodeRule::default());
        forest.values.push(value);
    }
}

/// A tree in preorder: `splits` splits at random places.
fn push_tree(forest: &mut Forest, random: &mut Random, mix: Mix, splits: usize) -> u32 {
    if splits == 0 {
        push_leaf(forest, random, mix);
        return 1;
    }
    push_split(forest, random, mix);
    // One in three trees is a chain, as leaf-wise growth makes them.
    let left = if random.below(3) == 0 {
        splits - 1
    } else {
        random.below(splits)
    };
    1 + push_tree(forest, random, mix, left) + push_tree(forest, random, mix, splits - 1 - left)
}

fn fields(mix: Mix) -> Vec<Field> {
    let mut fields: Vec<Field> = (0..FIELDS)
        .map(|i| Field::number(format!("x{i}")))
        .collect();
    if mix.categories {
        fields[FIELDS - 1].role = Role::Category {
            levels: (0..40).map(|level| format!("level {level}")).collect(),
            unseen: UnseenPolicy::Missing,
        };
    }
    fields
}

fn finish(mix: Mix) -> Finish {
    let base = (0..mix.outputs)
        .map(|output| f64::from(output as f32 * 0.3 + 0.1))
        .collect();
    let link = match (mix.outputs, mix.rules.sum) {
        (1, Width::F64) => Link::Sigmoid,
        (1, Width::F32) => Link::SigmoidF32,
        (_, Width::F64) => Link::Softmax,
        (_, Width::F32) => Link::SoftmaxF32,
    };
    Finish::plain(base, link)
}

fn ensemble(mix: Mix, trees: usize, splits: usize, seed: u64) -> Ensemble {
    let mut random = Random(seed);
    let mut forest = Forest::default();
    forest.width = if mix.vectors { mix.outputs } else { 1 };
    for tree in 0..trees {
        let count = random.below(splits + 1);
        let size = push_tree(&mut forest, &mut random, mix, count);
        forest.tree_sizes.push(size);
        if !mix.vectors {
            forest.tree_outputs.push((tree % mix.outputs) as u16);
        }
    }
    Ensemble {
        fields: fields(mix),
        rules: mix.rules,
        trees: Trees::Binary(forest),
        finish: finish(mix),
    }
}

/// Rows with thresholds, their neighbours, and everything strange.
fn rows(count: usize, mix: Mix, seed: u64) -> Frame {
    const STRANGE: [f64; 10] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        1e-40,
        5e-324,
        1e300,
        -0.5,
        64.0,
    ];
    let mut random = Random(seed);
    let mut frame = Frame::new(count);
    for field in 0..FIELDS {
        let name = format!("x{field}");
        if mix.categories && field == FIELDS - 1 {
            let cells: Vec<Option<String>> = (0..count)
                .map(|_| match random.below(50) {
                    0 => None,
                    level => Some(format!("level {level}")),
                })
                .collect();
            let column = FrameColumn::from_strings(cells.iter().map(Option::as_deref));
            frame.columns.push((name, column));
            continue;
        }
        let mut value = || match random.below(6) {
            0 => STRANGE[random.below(STRANGE.len())],
            1 => threshold(&mut random, mix.rules.input),
            2 => threshold(&mut random, mix.rules.input).next_up(),
            3 => random.below(80) as f64,
            _ => 20.0 * random.unit() - 10.0,
        };
        let values = (0..count).map(|_| value()).collect();
        frame.columns.push((name, FrameColumn::Numbers(values)));
    }
    frame
}

/// Bits of every output, and statuses.
fn score(
    model: &TreeEnsemble,
    frame: &Frame,
    range: std::ops::Range<usize>,
) -> (Vec<u64>, Vec<RowStatus>) {
    let batch = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    let outputs = model.outputs().len();
    let mut columns = vec![vec![0.0; range.len()]; outputs];
    let mut status = vec![RowStatus::OK; range.len()];
    let wanted: Vec<usize> = (0..outputs).collect();
    let mut block = ScoreBlock {
        outputs: columns.iter_mut().map(Vec::as_mut_slice).collect(),
        status: &mut status,
    };
    model.score_rows(
        &bound,
        range.start,
        &wanted,
        &ScoreOptions::default(),
        &mut block,
    );
    (
        columns
            .iter()
            .flatten()
            .map(|value| value.to_bits())
            .collect(),
        status,
    )
}

#[test]
fn the_packed_walk_gives_the_bits_of_the_plain_one() {
    for (index, mix) in mixes().into_iter().enumerate() {
        for (trees, splits) in [(1, 0), (1, 40), (23, 31), (60, 90), (9, 400)] {
            let seed = (index * 100 + trees) as u64;
            let model = TreeEnsemble::new(ensemble(mix, trees, splits, seed)).unwrap();
            let form = if mix.linear { "plain" } else { "packed" };
            assert!(
                model.form() == form || trees == 1,
                "mix {index}: {}",
                model.form()
            );
            let frame = rows(1003, mix, seed + 1);
            let plain = score(&model.walked_plainly(), &frame, 0..1003);
            assert_eq!(
                score(&model, &frame, 0..1003),
                plain,
                "mix {index}, {trees} trees"
            );
            let good = plain.1.iter().filter(|status| status.is_ok()).count();
            assert!(good > 300, "mix {index}: only {good} rows");
        }
    }
}

#[test]
fn rows_are_independent_of_their_block() {
    for mix in mixes() {
        let model = TreeEnsemble::new(ensemble(mix, 40, 63, 5)).unwrap();
        let frame = rows(300, mix, 6);
        let (whole, status) = score(&model, &frame, 0..300);
        for (start, end) in [(0, 1), (7, 8), (3, 10), (100, 113), (150, 300)] {
            let (part, own) = score(&model, &frame, start..end);
            assert_eq!(own, status[start..end]);
            let columns = part.chunks(end - start).zip(whole.chunks(300));
            for (part, whole) in columns {
                assert_eq!(part, &whole[start..end]);
            }
        }
    }
}

fn oblivious(seed: u64, width: usize) -> Ensemble {
    let mut random = Random(seed);
    let mut trees = Oblivious {
        width,
        ..Oblivious::default()
    };
    for _ in 0..50 {
        let depth = random.below(8);
        trees.depths.push(depth as u8);
        for _ in 0..depth {
            trees.features.push(random.below(FIELDS) as u32);
            trees
                .rules
                .push(NodeRule::number(Missing::Nan, random.below(2) == 0));
            trees.values.push(threshold(&mut random, InputWidth::F32));
        }
        trees
            .leaves
            .extend((0..width << depth).map(|_| random.unit() - 0.5));
    }
    let mix = Mix {
        outputs: width,
        ..mixes()[0]
    };
    Ensemble {
        fields: fields(mix),
        rules: rules(Compare::LessOrEqual, InputWidth::F32, Width::F64),
        trees: Trees::Oblivious(trees),
        finish: Finish {
            scale: 0.5,
            bias: vec![0.25; width],
            ..finish(mix)
        },
    }
}

#[test]
fn oblivious_blocks_give_the_bits_of_the_plain_walk() {
    for width in [1, 3] {
        let model = TreeEnsemble::new(oblivious(8, width)).unwrap();
        assert_eq!(model.form(), "oblivious");
        let frame = rows(517, mixes()[0], 9);
        let whole = score(&model, &frame, 0..517);
        assert_eq!(score(&model.walked_plainly(), &frame, 0..517), whole);
        let alone = score(&model, &frame, 33..34);
        let columns = alone.0.iter().zip(whole.0.chunks(517));
        assert!(
            columns
                .into_iter()
                .all(|(alone, whole)| *alone == whole[33])
        );
    }
}

#[test]
fn states_come_back() {
    let mut all: Vec<Ensemble> = mixes()
        .into_iter()
        .map(|mix| ensemble(mix, 20, 40, 3))
        .collect();
    all.push(oblivious(4, 3));
    for ensemble in all {
        let model = TreeEnsemble::new(ensemble).unwrap();
        let state = model.state();
        for array in &state.arrays {
            assert!(
                array.values.iter().all(|value| value.is_finite()),
                "{}",
                array.name
            );
        }
        let back = TreeEnsemble::from_state(&state).unwrap();
        assert_eq!(back.ensemble(), model.ensemble());
        assert_eq!(back.state(), state);
    }
}

/// Every number of every array, replaced by something absurd, is refused or harmless: never a panic.
#[test]
fn damaged_states_are_refused_or_harmless() {
    let mix = Mix {
        linear: true,
        ..mixes()[1]
    };
    let sound = TreeEnsemble::new(ensemble(mix, 6, 12, 3)).unwrap().state();
    let frame = rows(64, mix, 2);
    let (mut refused, mut tried) = (0, 0);
    for array in 0..sound.arrays.len() {
        for at in 0..sound.arrays[array].values.len() {
            for bad in [-1.0, 0.5, 1e9, 255.0, f64::NAN, f64::INFINITY] {
                let mut state = sound.clone();
                state.arrays[array].values[at] = bad;
                tried += 1;
                match TreeEnsemble::from_state(&state) {
                    Err(_) => refused += 1,
                    Ok(model) => drop(score(&model, &frame, 0..64)),
                }
            }
        }
        let mut state = sound.clone();
        let Array { shape, values, .. } = &mut state.arrays[array];
        if values.pop().is_some() {
            *shape = vec![values.len()];
            assert!(
                TreeEnsemble::from_state(&state).is_err(),
                "a shorter {}",
                state.arrays[array].name
            );
        }
    }
    assert!(refused * 3 > tried, "only {refused} of {tried} refused");
}

#[test]
fn a_deep_chain_works_and_a_deeper_one_is_refused() {
    let chain = |depth: usize| {
        let mut forest = Forest::default();
        forest.width = 1;
        for level in 0..depth {
            forest.features.extend([0, u32::MAX]);
            forest
                .rules
                .extend([NodeRule::number(Missing::Nan, true), NodeRule::default()]);
            forest.values.extend([level as f64, level as f64]);
        }
        forest.features.push(u32::MAX);
        forest.rules.push(NodeRule::default());
        forest.values.push(-1.0);
        forest.tree_sizes.push(2 * depth as u32 + 1);
        forest.tree_outputs.push(0);
        Ensemble {
            fields: vec![Field::number("x")],
            rules: mixes()[0].rules,
            trees: Trees::Binary(forest),
            finish: Finish::plain(vec![0.0], Link::Raw),
        }
    };
    let model = TreeEnsemble::new(chain(2000)).unwrap();
    let frame = Frame::new(3).with_numbers("x", vec![1500.5, 5000.0, f64::NAN]);
    let (bits, _) = score(&model, &frame, 0..3);
    let values: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
    assert_eq!(values, [1501.0, -1.0, 0.0]);
    let error = TreeEnsemble::new(chain(3000)).unwrap_err();
    assert!(error.to_string().contains("deeper than 2048"), "{error}");
}

/// More thresholds than 16-bit ranks can tell apart: walked plainly, and right.
#[test]
fn too_many_thresholds_are_walked_plainly() {
    let mut forest = Forest::default();
    forest.width = 1;
    for tree in 0..70_000 {
        forest.features.extend([0, u32::MAX, u32::MAX]);
        forest.rules.extend([
            NodeRule::number(Missing::Nan, true),
            NodeRule::default(),
            NodeRule::default(),
        ]);
        forest.values.extend([f64::from(tree), 0.0, 1.0]);
        forest.tree_sizes.push(3);
        forest.tree_outputs.push(0);
    }
    let model = TreeEnsemble::new(Ensemble {
        fields: vec![Field::number("x")],
        rules: mixes()[0].rules,
        trees: Trees::Binary(forest),
        finish: Finish::plain(vec![0.0], Link::Raw),
    })
    .unwrap();
    assert_eq!(model.form(), "plain");
    let frame = Frame::new(2).with_numbers("x", vec![65_540.5, -3.0]);
    let (bits, _) = score(&model, &frame, 0..2);
    assert_eq!(
        [f64::from_bits(bits[0]), f64::from_bits(bits[1])],
        [65_541.0, 0.0]
    );
}

#[test]
fn rows_are_refused_as_the_fields_say() {
    let mut data = ensemble(mixes()[4], 3, 5, 1);
    data.fields[0].accepts_missing = false;
    data.fields[1].role = Role::Number {
        missing: Some(-999.0),
    };
    data.fields[2].role = Role::Category {
        levels: vec!["a".to_owned(), "7".to_owned()],
        unseen: UnseenPolicy::Reject,
    };
    let model = TreeEnsemble::new(data).unwrap();
    let mut frame = Frame::new(5)
        .with_numbers("x0", vec![1.0, f64::NAN, 1.0, 1.0, 1.0])
        .with_numbers("x1", vec![-999.0, 1.0, 1e300, 1.0, f64::NAN])
        .with_numbers("x2", vec![7.0, 7.0, 7.0, 8.0, f64::NAN]);
    for field in 3..FIELDS {
        frame = frame.with_numbers(format!("x{field}"), vec![0.0; 5]);
    }
    let codes: Vec<(RowCode, u16)> = score(&model, &frame, 0..5)
        .1
        .iter()
        .map(|status| (status.code, status.field))
        .collect();
    let want = [
        (RowCode::Ok, 0),
        (RowCode::Missing, 0),
        (RowCode::NotFinite, 1),
        (RowCode::UnseenLevel, 2),
        (RowCode::Ok, 0),
    ];
    assert_eq!(codes, want);
}

#[test]
fn a_set_is_found_by_its_number_only() {
    let mut sets = CategorySets::default();
    assert!(sets.is_empty());
    assert_eq!(sets.push_members(&[3]), 0);
    assert_eq!(sets.push(&[]), 1);
    assert_eq!(sets.len(), 2);
}

#[test]
fn probe_rows_sit_on_thresholds() {
    let model = TreeEnsemble::new(ensemble(mixes()[0], 30, 30, 7)).unwrap();
    let frame = model.probe_rows();
    assert!(frame.row_count >= 256);
    let Some(FrameColumn::Numbers(values)) = frame.get("x0") else {
        panic!("numbers");
    };
    let Trees::Binary(forest) = &model.ensemble().trees else {
        panic!("binary trees");
    };
    let own = forest
        .features
        .iter()
        .zip(&forest.values)
        .zip(&forest.rules);
    let thresholds: Vec<f64> = own
        .filter(|((feature, _), _)| **feature == 0)
        .map(|((_, value), _)| *value)
        .collect();
    assert!(!thresholds.is_empty());
    for threshold in thresholds {
        assert!(values.contains(&threshold), "{threshold}");
        if threshold.is_finite() {
            assert!(
                values.contains(&threshold.next_up()) && values.contains(&threshold.next_down())
            );
        }
    }
    assert!(values.iter().any(|value| value.is_nan()));
}

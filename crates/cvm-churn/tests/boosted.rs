//! Boosted trees: what they promise on data made for the purpose.

use cvm_churn::boosted::{
    Boosted, BoostedFit, BoostedSpec, ClassWeight, Executor, Grow, Serial, train,
};
use cvm_churn::trees::Trees;
use cvm_core::{Frame, FrameColumn, RowCode, RowStatus, ScoreBlock, ScoreOptions, Scorer};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Numbers that look random.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

/// Tenure lowers churn, complaints raise it with a short tenure, plans differ; some tenures are
/// missing, and those customers leave more often.
fn customers(count: usize, seed: u64) -> Frame {
    let mut draws = Draws(seed);
    let mut frame = Frame::new(count);
    let (mut tenure, mut complaints, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    let (mut plan, mut churned) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let months = (draws.next() * 72.0).floor();
        let calls = (draws.next() * 5.0).floor();
        let which = ["basic", "family", "pro", "team"][(draws.next() * 4.0) as usize];
        let is_missing = draws.next() < 0.05;
        let lean = match which {
            "basic" => 0.8,
            "pro" => -0.6,
            _ => 0.0,
        };
        let hurry = if months < 24.0 { 0.5 * calls } else { 0.0 };
        let logit = -1.0 - 0.03 * months + hurry + lean + if is_missing { 1.0 } else { 0.0 };
        tenure.push(if is_missing { f64::NAN } else { months });
        complaints.push(calls);
        noise.push(draws.next());
        plan.push(which);
        churned.push(f64::from(u8::from(
            draws.next() < 1.0 / (1.0 + cvm_math::exp(-logit)),
        )));
    }
    frame = frame
        .with_numbers("tenure", tenure)
        .with_numbers("complaints", complaints)
        .with_numbers("noise", noise)
        .with_numbers("churned", churned);
    let plans = FrameColumn::from_strings(plan.iter().map(|own| Some(*own)));
    frame.columns.push(("plan".to_owned(), plans));
    frame
}

fn spec() -> BoostedSpec {
    BoostedSpec {
        rounds: 40,
        learning_rate: Some(0.1),
        ..BoostedSpec::new("churned")
    }
}

fn fit(frame: &Frame, spec: &BoostedSpec) -> BoostedFit {
    let batch = frame.batch().expect("a batch");
    train(&batch, spec, &Serial, &|_| ControlFlow::Continue(())).expect("a fit")
}

fn scores(model: &Boosted, frame: &Frame, output: usize) -> (Vec<f64>, Vec<RowStatus>) {
    let batch = frame.batch().expect("a batch");
    let bound = batch.bind(model.schema()).expect("columns");
    let count = batch.row_count();
    let (mut values, mut status) = (vec![0.0; count], vec![RowStatus::OK; count]);
    let mut block = ScoreBlock {
        outputs: vec![&mut values],
        status: &mut status,
    };
    model.score_rows(&bound, 0, &[output], &ScoreOptions::default(), &mut block);
    (values, status)
}

fn labels(frame: &Frame) -> Vec<f64> {
    match frame.get("churned") {
        Some(FrameColumn::Numbers(values)) => values.clone(),
        _ => Vec::new(),
    }
}

fn log_loss(logits: &[f64], labels: &[f64]) -> f64 {
    let term = |(logit, label): (&f64, &f64)| {
        let signed = if *label > 0.5 { -logit } else { *logit };
        cvm_math::log1p(cvm_math::exp(signed))
    };
    logits.iter().zip(labels).map(term).sum::<f64>() / labels.len() as f64
}

/// Items from the last to the first, on two threads.
struct Backwards;

impl Executor for Backwards {
    fn for_each<T: Send>(&self, items: &mut [T], _: f64, work: &(dyn Fn(usize, &mut T) + Sync)) {
        let middle = items.len() / 2;
        let (low, high) = items.split_at_mut(middle);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (index, item) in high.iter_mut().enumerate().rev() {
                    work(middle + index, item);
                }
            });
            for (index, item) in low.iter_mut().enumerate().rev() {
                work(index, item);
            }
        });
    }
}

#[test]
fn bits_do_not_depend_on_who_does_the_work() {
    let frame = customers(3000, 1);
    for grow in [Grow::Oblivious, Grow::Leafwise] {
        let spec = BoostedSpec {
            grow,
            row_sample: 0.8,
            field_sample: 0.7,
            early_stopping_rounds: 10,
            ..spec()
        };
        let serial = fit(&frame, &spec);
        let batch = frame.batch().expect("a batch");
        let other = train(&batch, &spec, &Backwards, &|_| ControlFlow::Continue(()));
        let other = other.expect("a fit");
        assert_eq!(serial.model.state(), other.model.state());
        assert_eq!(serial.history, other.history);
    }
}

#[test]
fn the_scorer_gives_the_scores_training_saw() {
    let frame = customers(2000, 2);
    for grow in [Grow::Oblivious, Grow::Leafwise] {
        for row_sample in [1.0, 0.6] {
            let fit = fit(
                &frame,
                &BoostedSpec {
                    grow,
                    row_sample,
                    ..spec()
                },
            );
            let (logits, status) = scores(&fit.model, &frame, 1);
            assert!(status.iter().all(|status| status.is_ok()));
            let seen = log_loss(&logits, &labels(&frame));
            assert!((seen - fit.loss).abs() < 1e-12, "{seen} {}", fit.loss);
            assert!(fit.loss < 0.60, "{}", fit.loss);
        }
    }
}

#[test]
fn a_model_survives_its_state() {
    let frame = customers(800, 3);
    for grow in [Grow::Oblivious, Grow::Leafwise] {
        let model = fit(&frame, &BoostedSpec { grow, ..spec() }).model;
        let again = Boosted::from_state(&model.state()).expect("a model");
        assert_eq!(again.state(), model.state());
        assert_eq!((again.target(), again.positive_label()), ("churned", "1"));
        assert_eq!(scores(&again, &frame, 0).0, scores(&model, &frame, 0).0);
    }
}

#[test]
fn trees_beat_the_base_rate_on_new_customers_and_see_interactions() {
    let (old, new) = (customers(6000, 4), customers(6000, 5));
    let fit = fit(
        &old,
        &BoostedSpec {
            rounds: 100,
            ..spec()
        },
    );
    let truth = labels(&new);
    let found = log_loss(&scores(&fit.model, &new, 1).0, &truth);
    let base = log_loss(
        &vec![cvm_math::ln(fit.base_rate / (1.0 - fit.base_rate)); 6000],
        &truth,
    );
    assert!(found < base - 0.05, "{found} {base}");
    let noise = fit
        .model
        .schema()
        .fields
        .iter()
        .position(|field| field.name == "noise");
    let share = noise.map(|at| fit.gains[at] / fit.gains.iter().sum::<f64>());
    assert!(share.is_some_and(|share| share < 0.1), "{share:?}");
}

/// Levels that say nothing gain from being put in order, about `2/π` each: charged that, they are
/// hardly ever asked for, and what speaks is found all the same.
#[test]
fn levels_of_noise_pay_for_being_put_in_order() {
    let mut frame = customers(3000, 11);
    let mut draws = Draws(12);
    let states: Vec<String> = (0..3000)
        .map(|_| format!("state {}", (draws.next() * 50.0) as usize))
        .collect();
    let column = FrameColumn::from_strings(states.iter().map(|own| Some(own.as_str())));
    frame.columns.push(("state".to_owned(), column));
    let share = |level_gain: f64| {
        let spec = BoostedSpec {
            level_gain,
            ..spec()
        };
        let gains = fit(&frame, &spec).gains;
        let total = gains.iter().fold(0.0, |sum, gain| sum + gain);
        gains.last().map_or(f64::NAN, |last| last / total)
    };
    let (free, charged) = (share(0.0), share(BoostedSpec::default().level_gain));
    assert!(free > 0.04, "{free}");
    assert!(charged < 0.01, "{charged}");
}

#[test]
fn a_weight_counts_as_rows() {
    let frame = customers(600, 6);
    let doubled = frame.clone().with_numbers("weight", vec![2.0; 600]);
    let mut twice = Frame::new(1200);
    for (name, column) in &frame.columns {
        let column = match column {
            FrameColumn::Numbers(values) => FrameColumn::Numbers(values.repeat(2)),
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary: dictionary.clone(),
                codes: codes.repeat(2),
            },
        };
        twice.columns.push((name.clone(), column));
    }
    let weighted = BoostedSpec {
        weight: Some("weight".to_owned()),
        ..spec()
    };
    let (one, other) = (fit(&doubled, &weighted), fit(&twice, &spec()));
    assert_eq!(one.weight, other.weight);
    // Rounding draws differ, splits of nearly equal gain may too: losses agree, bits need not.
    assert!(
        (one.loss - other.loss).abs() < 2e-3,
        "{} {}",
        one.loss,
        other.loss
    );
}

#[test]
fn monotone_fields_are_monotone_everywhere() {
    let frame = customers(3000, 7);
    for grow in [Grow::Oblivious, Grow::Leafwise] {
        let monotone = BTreeMap::from([("noise".to_owned(), 1), ("tenure".to_owned(), -1)]);
        let model = fit(
            &frame,
            &BoostedSpec {
                grow,
                monotone,
                rounds: 80,
                ..spec()
            },
        )
        .model;
        for (field, sign) in [("noise", 1.0), ("tenure", -1.0)] {
            for start in 0..40 {
                let steps = 60;
                let mut grid = Frame::new(steps);
                for (name, column) in &frame.columns {
                    let moved = |at: usize| match field {
                        "noise" => at as f64 / steps as f64,
                        _ => at as f64 * 1.3,
                    };
                    let column = match column {
                        _ if name == field => FrameColumn::Numbers((0..steps).map(moved).collect()),
                        FrameColumn::Numbers(values) => {
                            FrameColumn::Numbers(vec![values[start]; steps])
                        }
                        FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                            dictionary: dictionary.clone(),
                            codes: vec![codes[start]; steps],
                        },
                    };
                    grid.columns.push((name.clone(), column));
                }
                let logits = scores(&model, &grid, 1).0;
                let rising = logits
                    .windows(2)
                    .all(|pair| sign * (pair[1] - pair[0]) >= -1e-12);
                assert!(rising, "{field} {grow:?}: {logits:?}");
            }
        }
    }
}

#[test]
fn a_class_weight_does_not_move_probabilities() {
    let frame = customers(6000, 8);
    let plain = fit(&frame, &spec());
    for weight in [
        ClassWeight::Ratio(5.0),
        serde_json::from_str("\"balanced\"").expect("a name"),
    ] {
        let weighted = fit(
            &frame,
            &BoostedSpec {
                class_weight: Some(weight),
                ..spec()
            },
        );
        assert!(weighted.correction != 0.0);
        let mean = |fit: &BoostedFit| scores(&fit.model, &frame, 0).0.iter().sum::<f64>() / 6000.0;
        assert!(
            (mean(&plain) - mean(&weighted)).abs() < 0.01,
            "{}",
            mean(&weighted)
        );
        assert!((plain.loss - weighted.loss).abs() < 0.01);
    }
}

#[test]
fn additive_trees_ask_about_one_field_and_pairs_about_two() {
    let frame = customers(3000, 9);
    for grow in [Grow::Oblivious, Grow::Leafwise] {
        for order in [1, 2] {
            let spec = BoostedSpec {
                grow,
                interaction_order: Some(order),
                ..spec()
            };
            let model = fit(&frame, &spec).model;
            let mut most = 0;
            match &model.trees().ensemble().trees {
                Trees::Oblivious(trees) => {
                    let mut rest = trees.features.as_slice();
                    for depth in &trees.depths {
                        let (own, after) = rest.split_at(usize::from(*depth));
                        rest = after;
                        most = most.max(distinct(own));
                    }
                }
                Trees::Binary(trees) => {
                    let mut rest = trees.features.as_slice();
                    for size in &trees.tree_sizes {
                        let (own, after) = rest.split_at(*size as usize);
                        rest = after;
                        let own: Vec<u32> =
                            own.iter().copied().filter(|f| *f != u32::MAX).collect();
                        most = most.max(distinct(&own));
                    }
                }
            }
            assert_eq!(most, order);
        }
    }
}

fn distinct(fields: &[u32]) -> usize {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    fields.dedup();
    fields.len()
}

#[test]
fn held_out_rows_are_whole_groups_or_the_last_ones() {
    let count = 2000;
    let group: Vec<f64> = (0..count).map(|row| f64::from(row / 20)).collect();
    let frame = customers(count as usize, 10).with_numbers("firm", group);
    let base = BoostedSpec {
        early_stopping_rounds: 5,
        validation_fraction: 0.3,
        rounds: 500,
        ..spec()
    };
    let by_group = fit(
        &frame,
        &BoostedSpec {
            group: Some("firm".to_owned()),
            ..base.clone()
        },
    );
    assert_eq!(by_group.held_out_count % 20, 0);
    assert!(
        (400..800).contains(&by_group.held_out_count),
        "{}",
        by_group.held_out_count
    );
    assert!(
        by_group
            .model
            .schema()
            .fields
            .iter()
            .all(|field| field.name != "firm")
    );
    let by_time = fit(
        &frame,
        &BoostedSpec {
            time: Some("firm".to_owned()),
            ..base.clone()
        },
    );
    assert_eq!(by_time.held_out_count, 600);
    assert!(by_time.tree_count < 500 && by_time.tree_count == by_time.history.len() - 5);
    let best = by_time
        .history
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min);
    assert_eq!(by_time.held_out_loss, Some(best));
    let refit = fit(
        &frame,
        &BoostedSpec {
            refit: true,
            time: Some("firm".to_owned()),
            ..base
        },
    );
    assert_eq!(refit.tree_count, by_time.tree_count);
    assert_ne!(refit.model.state(), by_time.model.state());
}

#[test]
fn a_watcher_sees_every_tree_and_may_stop() {
    let frame = customers(500, 11);
    let batch = frame.batch().expect("a batch");
    let fit = train(&batch, &spec(), &Serial, &|round| {
        assert_eq!(round.total, 40);
        if round.done == 7 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let fit = fit.expect("a fit");
    assert!(fit.cancelled);
    assert_eq!(fit.tree_count, 7);
}

/// Specs that are wrong for [`customers`], with what is told.
fn wrong() -> Vec<(BoostedSpec, &'static str)> {
    let field = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    vec![
        (BoostedSpec::new("gone"), "columns.gone"),
        (
            BoostedSpec {
                depth: 11,
                ..spec()
            },
            "settings.depth",
        ),
        (
            BoostedSpec {
                learning_rate: Some(0.0),
                ..spec()
            },
            "settings.learning_rate",
        ),
        (
            BoostedSpec {
                numeric: field(&["plan"]),
                ..spec()
            },
            "columns.plan",
        ),
        (
            BoostedSpec {
                numeric: field(&["age"]),
                ..spec()
            },
            "columns.age",
        ),
        (
            BoostedSpec {
                monotone: BTreeMap::from([("plan".to_owned(), 1)]),
                ..spec()
            },
            "monotone.plan",
        ),
        (
            BoostedSpec {
                monotone: BTreeMap::from([("age".to_owned(), 1)]),
                ..spec()
            },
            "columns.age",
        ),
        (
            BoostedSpec {
                group: Some("firm".to_owned()),
                ..spec()
            },
            "columns.firm",
        ),
        (
            BoostedSpec {
                max_levels: 3,
                ..spec()
            },
            "columns.plan",
        ),
    ]
}

#[test]
fn mistakes_are_told_by_name() {
    let frame = customers(200, 12);
    let told = |spec: BoostedSpec| {
        let batch = frame.batch().expect("a batch");
        let found = train(&batch, &spec, &Serial, &|_| ControlFlow::Continue(()));
        found
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    for (spec, wanted) in wrong() {
        let message = told(spec);
        assert!(message.contains(wanted), "{wanted}: {message}");
    }
    let mut wild = frame.clone();
    if let Some((_, FrameColumn::Numbers(values))) = wild.columns.first_mut() {
        values[7] = 1e300;
    }
    let batch = wild.batch().expect("a batch");
    let found = train(&batch, &spec(), &Serial, &|_| ControlFlow::Continue(()));
    let message = found
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(message.contains("columns.tenure: row 7"), "{message}");
}

#[test]
fn what_training_never_saw_is_missing_or_refused() {
    let frame = customers(1000, 13);
    let strange = Frame::new(3)
        .with_numbers("tenure", vec![1.0, 1.0, f64::INFINITY])
        .with_numbers("complaints", vec![1.0; 3])
        .with_numbers("noise", vec![0.5; 3]);
    let mut strange = strange;
    let plans = [Some("gold"), None, Some("pro")];
    strange
        .columns
        .push(("plan".to_owned(), FrameColumn::from_strings(plans)));
    let model = fit(&frame, &spec()).model;
    let (values, status) = scores(&model, &strange, 0);
    assert_eq!(values[0].to_bits(), values[1].to_bits());
    assert!(status[0].is_ok() && status[1].is_ok());
    assert_eq!(status[2].code, RowCode::NotFinite);
    let reject =
        serde_json::from_str("{\"target\":\"churned\",\"unseen\":\"reject\",\"rounds\":5}");
    let model = fit(&frame, &reject.expect("settings")).model;
    assert_eq!(scores(&model, &strange, 0).1[0].code, RowCode::UnseenLevel);
}

/// One split of two groups: 30 of 50 and 5 of 40 churned.
fn contracts() -> Frame {
    Frame::new(4)
        .with_numbers("yearly", vec![0.0, 0.0, 1.0, 1.0])
        .with_numbers("customers", vec![30.0, 20.0, 5.0, 35.0])
        .with_numbers("churned", vec![1.0, 0.0, 1.0, 0.0])
}

#[test]
fn the_penalty_is_in_proportion_to_the_mean_curvature() {
    let one_step = BoostedSpec {
        rounds: 1,
        learning_rate: Some(1.0),
        weight: Some("customers".to_owned()),
        ..BoostedSpec::new("churned")
    };
    for (l2, l2_fall) in [(4.0, 1.5), (4.0, 0.0), (2.0, 1.0)] {
        let spec = BoostedSpec {
            l2,
            l2_fall,
            ..one_step.clone()
        };
        let (found, _) = scores(&fit(&contracts(), &spec).model, &contracts(), 1);
        let p: f64 = 35.0 / 90.0;
        let mean = p * (1.0 - p);
        let penalty = l2 * cvm_math::pow(4.0 * mean, l2_fall);
        let step = |left: f64, all: f64| (left - all * p) / (all * mean + penalty);
        let base = cvm_math::ln(35.0 / 55.0);
        let expected = [step(30.0, 50.0), step(5.0, 40.0)].map(|step| base + step);
        for (found, expected) in [(found[0], expected[0]), (found[2], expected[1])] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}

#[test]
fn few_rows_split_as_if_all_curved_alike_and_many_as_they_curve() {
    let losses = |frame: &Frame, even: Option<f64>, grow: Grow| {
        let spec = BoostedSpec {
            even_curvature: even,
            grow,
            ..spec()
        };
        fit(frame, &spec).loss
    };
    let few = customers(3000, 5);
    let (own, alike) = (Some(0.0), Some(1.0));
    let is = |even, grow| losses(&few, None, grow).to_bits() == losses(&few, even, grow).to_bits();
    assert!(is(alike, Grow::Oblivious) && !is(own, Grow::Oblivious));
    assert!(is(own, Grow::Leafwise) && !is(alike, Grow::Leafwise));
    let more = customers(10_000, 5);
    let sixteenth = losses(&more, Some(1.0 / 16.0), Grow::Oblivious);
    assert_eq!(
        losses(&more, None, Grow::Oblivious).to_bits(),
        sixteenth.to_bits()
    );
    for wrong in [-0.1, 1.1, f64::NAN] {
        let spec = BoostedSpec {
            even_curvature: Some(wrong),
            ..spec()
        };
        let batch = few.batch().unwrap();
        let refused = train(&batch, &spec, &Serial, &|_| ControlFlow::Continue(()));
        assert!(refused.unwrap_err().to_string().contains("even_curvature"));
    }
}

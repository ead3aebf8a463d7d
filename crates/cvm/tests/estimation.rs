//! Covariates, penalties, priors, bounds and intervals through the door.

use cvm::{
    ErrorKind, FitOptions, FitProgress, Fitted, Frame, IntervalMethod, Model, ScoreOptions,
    param_intervals, partial_objective,
};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

const KIND: &str = "clv.bg_nbd";
const TRUTH: [f64; 4] = [0.6, 5.0, 0.9, 2.5];

/// Customers of whom those with `z = 1` buy `e^gamma` as often as the others.
fn customers(count: usize, gamma: f64, seed: u64) -> Frame {
    let harness = cvm::entry(KIND).unwrap().harness.unwrap();
    let templates = vec![vec![0.0, 0.0, 40.0]; count];
    let mut columns = vec![Vec::new(); 4];
    for z in [0.0, 1.0] {
        let mut params = TRUTH;
        params[1] *= cvm_math::exp(-gamma * z);
        let rows = (harness.simulate)(&params, &templates, seed + z as u64).unwrap();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row.iter().chain([&z])) {
                column.push(*value);
            }
        }
    }
    let names = ["frequency", "recency", "T", "z"];
    let pairs = names.into_iter().zip(columns);
    pairs.fold(Frame::new(2 * count), |frame, (name, values)| {
        frame.with_numbers(name, values)
    })
}

fn fit(frame: &Frame, settings: Value) -> Fitted {
    let options = FitOptions {
        settings: settings.as_object().cloned().unwrap_or_default(),
        ..FitOptions::default()
    };
    cvm::fit(KIND, &frame.batch().unwrap(), &options).unwrap()
}

fn horizon(periods: f64) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(periods),
        ..ScoreOptions::default()
    }
}

#[test]
fn a_covariate_is_found_and_scores_as_scaled_parameters_do() {
    let gamma = 0.7;
    let frame = customers(6_000, gamma, 3);
    let plain = fit(&frame, json!({}));
    let Fitted { model, report } = fit(&frame, json!({ "purchase_covariates": ["z"] }));
    assert_eq!(report.param_names[4], "purchase.z");
    let error = report.standard_errors[4].unwrap();
    assert!((report.params[4] - gamma).abs() < 4.0 * error, "{report:?}");
    assert!(report.log_likelihood > plain.report.log_likelihood + 50.0);

    // A row with z = 1 is a row of the model with alpha times exp(-gamma).
    let [r, alpha, a, b, found] = report.params[..] else {
        panic!("five parameters")
    };
    let alpha = alpha * cvm_math::exp(-found);
    let params = [("r", r), ("alpha", alpha), ("a", a), ("b", b)];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    let scaled = cvm::from_params(KIND, &params, None).unwrap();
    let row = Frame::new(2)
        .with_numbers("frequency", vec![3.0, 0.0])
        .with_numbers("recency", vec![20.0, 0.0])
        .with_numbers("T", vec![40.0, 40.0])
        .with_numbers("z", vec![1.0, 1.0]);
    let score = |model: &Model| model.score(&row.batch().unwrap(), &horizon(26.0)).unwrap();
    let (ours, theirs) = (score(&model), score(&scaled));
    for ((_, ours), (_, theirs)) in ours.outputs.iter().zip(&theirs.outputs) {
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours / theirs - 1.0).abs() < 1e-11, "{ours} {theirs}");
        }
    }

    let back = Model::open(&model.encode().unwrap()).unwrap();
    assert_eq!(score(&back).outputs, ours.outputs);
    assert_eq!(back.fingerprint(), model.fingerprint());
}

#[test]
fn a_useless_covariate_is_zeroed_by_l1_and_left_alone_without() {
    let frame = customers(2_000, 0.0, 5);
    let plain = fit(&frame, json!({})).report;
    let both = json!({ "purchase_covariates": ["z"], "dropout_covariates": ["z"] });
    let full = fit(&frame, both.clone()).report;
    assert_eq!(
        full.param_names[4..],
        ["purchase.z", "dropout.a.z", "dropout.b.z"]
    );
    assert!(full.log_likelihood >= plain.log_likelihood);
    let mut settings = both;
    settings["covariate_l1"] = json!(1e4);
    let zeroed = fit(&frame, settings).report;
    assert_eq!(zeroed.params[4..], [0.0, 0.0, 0.0]);
    assert_eq!(zeroed.free_params, 4);
    assert!((zeroed.log_likelihood - plain.log_likelihood).abs() < 1e-6);
    assert!(
        zeroed
            .findings
            .iter()
            .any(|finding| finding.kind == "zeroed")
    );
}

#[test]
fn settings_that_do_not_exist_are_named() {
    let frame = customers(50, 0.0, 1);
    let refused = |settings: Value| {
        let options = FitOptions {
            settings: settings.as_object().cloned().unwrap(),
            ..FitOptions::default()
        };
        let error = cvm::fit(KIND, &frame.batch().unwrap(), &options).unwrap_err();
        error.violations[0].field.clone()
    };
    let cases = [
        (
            json!({ "puchase_covariates": ["z"] }),
            "options.settings.puchase_covariates",
        ),
        (
            json!({ "purchase_covariates": "z" }),
            "options.settings.purchase_covariates",
        ),
        (
            json!({ "purchase_covariates": ["z", "z"] }),
            "options.settings.purchase_covariates",
        ),
        (
            json!({ "purchase_covariates": ["T"] }),
            "options.settings.covariates",
        ),
        (
            json!({ "purchase_covariates": ["income"] }),
            "columns.income",
        ),
        (
            json!({ "priors": { "q": { "gamma": { "shape": 2, "rate": 1 } } } }),
            "options.settings.priors.q",
        ),
        (
            json!({ "priors": { "r": { "gamma": { "shape": 2 } } } }),
            "options.settings.priors.r",
        ),
        (
            json!({ "bounds": { "a": [2, 1] } }),
            "options.settings.bounds.a",
        ),
        (
            json!({ "covariate_l2": -1 }),
            "options.settings.covariate_l2",
        ),
    ];
    for (settings, field) in cases {
        assert_eq!(refused(settings.clone()), field, "{settings}");
    }
}

#[test]
fn priors_pull_and_bounds_hold() {
    let frame = customers(300, 0.0, 9);
    let free = fit(&frame, json!({})).report;
    let prior = json!({ "priors": { "a": { "log_normal": { "mu": 0.0, "sigma": 0.01 } } } });
    let pulled = fit(&frame, prior).report;
    assert!((pulled.params[2] - 1.0).abs() < 0.03, "{:?}", pulled.params);
    assert!(pulled.log_likelihood < free.log_likelihood);
    assert!(pulled.log_posterior != pulled.log_likelihood);
    let held = fit(&frame, json!({ "bounds": { "b": [2.5, 2.5] } })).report;
    assert_eq!(held.params[3], 2.5);
    assert_eq!(held.standard_errors[3], None);
    assert_eq!(held.free_params, 3);
}

#[test]
fn intervals_of_parameters_by_three_methods_agree_on_many_customers() {
    let frame = customers(3_000, 0.0, 21);
    let batch = frame.batch().unwrap();
    let options = FitOptions::default();
    let calls = std::cell::Cell::new(0);
    let progress = |_, _| {
        calls.set(calls.get() + 1);
        ControlFlow::Continue(())
    };
    let by = |method| param_intervals(KIND, &batch, &options, method, 0.9, &progress).unwrap();
    let wald = by(IntervalMethod::Wald);
    let profile = by(IntervalMethod::Profile);
    let (replicates, seed) = (60, 4);
    let bootstrap = by(IntervalMethod::Bootstrap { replicates, seed });
    assert!(calls.get() >= 60, "{}", calls.get());
    for ((wald, profile), bootstrap) in wald.iter().zip(&profile).zip(&bootstrap) {
        let width = wald.upper.unwrap() - wald.lower.unwrap();
        for other in [profile, bootstrap] {
            assert_eq!(other.name, wald.name);
            let (low, high) = (other.lower.unwrap(), other.upper.unwrap());
            assert!(low < wald.estimate && wald.estimate < high, "{other:?}");
            assert!(
                (0.5..2.0).contains(&((high - low) / width)),
                "{wald:?} {other:?}"
            );
        }
    }
    let again = by(IntervalMethod::Bootstrap { replicates, seed });
    assert_eq!(again, bootstrap);
    let stop = |_, _| ControlFlow::Break(());
    let method = IntervalMethod::Bootstrap { replicates, seed };
    let error = param_intervals(KIND, &batch, &options, method, 0.9, &stop).unwrap_err();
    assert_eq!(error.kind, cvm::ErrorKind::NotConverged);
}

/// A bootstrap of fits, each scored, is an interval of the score made without any derivative.
#[test]
fn intervals_of_scores_agree_with_refits_on_new_samples() {
    let frame = customers(1_500, 0.0, 33);
    let model = fit(&frame, json!({})).model;
    let rows = Frame::new(3)
        .with_numbers("frequency", vec![0.0, 2.0, 9.0])
        .with_numbers("recency", vec![0.0, 30.0, 39.0])
        .with_numbers("T", vec![40.0, 40.0, 40.0]);
    let batch = rows.batch().unwrap();
    let mut options = horizon(26.0);
    options.interval_level = Some(0.95);
    let scores = model.score(&batch, &options).unwrap();
    let names: Vec<&str> = scores.outputs.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "p_alive",
            "p_alive_lower",
            "p_alive_upper",
            "expected_purchases",
            "expected_purchases_lower",
            "expected_purchases_upper"
        ]
    );
    let refit = |seed: u64| {
        let other = fit(&customers(1_500, 0.0, 1_000 + 2 * seed), json!({})).model;
        let scores = other.score(&batch, &horizon(26.0)).unwrap();
        scores.get("expected_purchases").unwrap().to_vec()
    };
    let refits: Vec<Vec<f64>> = (0..40).map(refit).collect();
    let column = |name: &str| scores.get(name).unwrap();
    for row in 0..3 {
        let logs: Vec<f64> = refits
            .iter()
            .map(|values| cvm_math::ln(values[row]))
            .collect();
        let mean = logs.iter().sum::<f64>() / 40.0;
        let variance = logs
            .iter()
            .map(|log| (log - mean) * (log - mean))
            .sum::<f64>()
            / 39.0;
        let ends =
            column("expected_purchases_upper")[row] / column("expected_purchases_lower")[row];
        let told = cvm_math::ln(ends) / (2.0 * 1.959_963_984_540_054);
        // 40 refits know a standard deviation within a factor of 1.5, nearly surely.
        let ratio = told / variance.sqrt();
        assert!((1.0 / 1.5..1.5).contains(&ratio), "row {row}: {ratio}");
    }
    assert_eq!(column("p_alive_lower")[0], 1.0);
}

#[test]
fn totals_know_that_customers_share_their_parameters() {
    let frame = customers(1_000, 0.0, 41);
    let model = fit(&frame, json!({})).model;
    let totals = model
        .portfolio(&frame.batch().unwrap(), &horizon(26.0), 1)
        .unwrap();
    let total = &totals[1];
    assert_eq!(
        (total.output, total.row_count),
        ("expected_purchases", 2_000)
    );
    assert!(total.lower < total.total && total.total < total.upper);
    assert!(
        total.standard_error > 10.0 * total.independent_standard_error,
        "{total:?}"
    );
    let known = cvm::from_params(
        KIND,
        &[("r", 0.2), ("alpha", 4.0), ("a", 0.8), ("b", 2.0)].map(|(n, v)| (n.to_owned(), v)),
        None,
    );
    let error = known
        .unwrap()
        .portfolio(&frame.batch().unwrap(), &horizon(26.0), 1)
        .unwrap_err();
    assert_eq!(error.violations[0].field, "options.interval_level");
}

/// The objective of the whole is the sum over partitions, and what a fit maximised.
#[test]
fn partial_objectives_add_up() {
    let frame = customers(500, 0.0, 55);
    let report = fit(&frame, json!({})).report;
    let options = FitOptions {
        settings: Map::new(),
        ..FitOptions::default()
    };
    let part = |range: std::ops::Range<usize>| {
        let columns = frame.columns.iter();
        let cut = columns.fold(
            Frame::new(range.len()),
            |cut, (name, column)| match column {
                cvm::FrameColumn::Numbers(values) => {
                    cut.with_numbers(name.clone(), values[range.clone()].to_vec())
                }
                cvm::FrameColumn::Text { .. } => cut,
            },
        );
        partial_objective(KIND, &cut.batch().unwrap(), &options, &report.params).unwrap()
    };
    let whole = part(0..1_000);
    assert_eq!(whole.len(), 1 + 4 + 16);
    let parts = [part(0..300), part(300..301), part(301..1_000)];
    for (index, number) in whole.iter().enumerate() {
        let sum: f64 = parts.iter().map(|part| part[index]).sum();
        assert!(
            (sum - number).abs() <= 1e-9 * (1.0 + number.abs()),
            "{index}"
        );
    }
    assert!((whole[0] - report.log_likelihood).abs() < 1e-9 * whole[0].abs());
    assert!(
        whole[1..5].iter().all(|slope| slope.abs() < 1e-3),
        "{whole:?}"
    );
}

/// The row named is the row given, past rows left out and among more rows than are looked at; also
/// with weights and covariates.
#[test]
fn an_influential_row_is_named_by_its_place_in_the_data() {
    let mut frequency = vec![2.0; 8_000];
    let mut value: Vec<f64> = (0..8_000)
        .map(|i| 5.0 + f64::from(i * 7_919 % 101))
        .collect();
    for row in (0..8_000).step_by(3) {
        frequency[row] = 0.0;
        value[row] = 0.0;
    }
    (frequency[7_001], value[7_001]) = (40.0, 5e4);
    let z = (0..8_000).map(|i| f64::from(i % 2)).collect();
    let frame = Frame::new(8_000)
        .with_numbers("frequency", frequency)
        .with_numbers("monetary_value", value)
        .with_numbers("weight", vec![2.0; 8_000])
        .with_numbers("z", z);
    for (weight, settings) in [
        (None, json!({})),
        (Some("weight"), json!({ "spend_covariates": ["z"] })),
    ] {
        let options = FitOptions {
            allow_not_converged: true,
            weight_column: weight.map(str::to_owned),
            settings: settings.as_object().cloned().unwrap(),
            ..FitOptions::default()
        };
        let fitted = cvm::fit("clv.gamma_gamma", &frame.batch().unwrap(), &options).unwrap();
        let found = fitted.report.findings.iter();
        let sentences: Vec<&str> = found.map(|finding| finding.sentence.as_str()).collect();
        assert!(
            sentences
                .iter()
                .any(|said| said.contains("row 7001 carries")),
            "{sentences:?}"
        );
    }
}

#[test]
fn a_fit_is_told_of_step_by_step_and_ends_when_asked() {
    let frame = customers(400, 0.5, 3);
    let batch = frame.batch().unwrap();
    let settings = json!({ "purchase_covariates": ["z"] });
    let options = FitOptions {
        allow_not_converged: true,
        settings: settings.as_object().cloned().unwrap(),
        ..FitOptions::default()
    };
    let seen = std::cell::RefCell::new(Vec::new());
    let watch = |progress: FitProgress| {
        let FitProgress::Search {
            steps,
            log_likelihood,
            ..
        } = progress
        else {
            panic!("{progress:?}");
        };
        seen.borrow_mut().push((steps, log_likelihood));
        ControlFlow::Continue(())
    };
    let fitted = cvm::fit_watched(KIND, &batch, &options, &watch).unwrap();
    let told = seen.take();
    assert!(told.len() > 4, "{told:?}");
    let last = told.last().unwrap().1;
    let reached = fitted.report.log_likelihood;
    assert!(
        (last - reached).abs() < 1e-3 && told[0].1 < reached,
        "{told:?}"
    );

    for end in [1, 3] {
        let seen = std::cell::Cell::new(0);
        let stop = |_: FitProgress| {
            seen.set(seen.get() + 1);
            if seen.get() == end {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let error = cvm::fit_watched(KIND, &batch, &options, &stop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotConverged, "{error:?}");
        assert!(error.message.contains("cancelled"), "{error:?}");
        assert_eq!(seen.get(), end);
    }
}

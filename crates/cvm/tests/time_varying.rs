//! Kinds whose rows carry paths of covariates, through the door: fits against an independent one,
//! simulated coefficients found again, refusals in words, independence of rows and steps.
#![allow(clippy::unwrap_used)]

use cvm::{FitOptions, Fitted, Frame, FrameColumn, Model, RowCode, ScoreOptions};
use serde_json::json;
use std::path::Path;

fn sample(name: &str) -> Frame {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../cvm-clv/tests/data");
    let source = cvm::table::CsvSource::path(Path::new(folder).join(name)).unwrap();
    cvm::table::read_csv(&source, &cvm::table::CsvOptions::default()).unwrap()
}

fn fit(kind: &str, frame: &Frame, settings: serde_json::Value) -> Result<Fitted, cvm::Error> {
    let options = FitOptions {
        settings: settings.as_object().unwrap().clone(),
        ..FitOptions::default()
    };
    cvm::fit(kind, &frame.batch().unwrap(), &options)
}

fn set(frame: &mut Frame, name: &str, row: usize, value: f64) {
    for (own, column) in &mut frame.columns {
        if let (true, FrameColumn::Numbers(values)) = (own == name, column) {
            values[row] = value;
        }
    }
}

#[test]
fn a_fit_tests_its_covariates_and_does_not_depend_on_threads() {
    let frame = sample("pareto_nbd_tv_sample.csv");
    let settings = json!({ "purchase_covariates": ["season"], "dropout_covariates": ["mailed"] });
    let Fitted { model, report } = fit("clv.pareto_nbd_tv", &frame, settings.clone()).unwrap();
    let names = [
        "r",
        "alpha",
        "s",
        "beta",
        "purchase.season",
        "dropout.mailed",
    ];
    assert_eq!(report.param_names, names);
    assert!(report.converged);
    let test = &report.nested[0];
    assert_eq!(test.df, 2);
    assert!(test.p_value < 1e-4, "{test:?}");
    let plain = fit("clv.pareto_nbd", &frame, json!({})).unwrap().report;
    assert!((plain.log_likelihood - test.log_likelihood).abs() < 1e-8);
    let alone = FitOptions {
        settings: settings.as_object().unwrap().clone(),
        threads: 1,
        ..FitOptions::default()
    };
    let again = cvm::fit("clv.pareto_nbd_tv", &frame.batch().unwrap(), &alone).unwrap();
    assert_eq!(again.model.fingerprint(), model.fingerprint());
    let back = Model::open(&model.encode().unwrap()).unwrap();
    assert_eq!(back.schema(), model.schema());
}

/// Intervals and totals move the coefficients, too.
#[test]
fn scores_have_intervals() {
    let frame = sample("pareto_nbd_tv_sample.csv");
    let settings = json!({ "purchase_covariates": ["season"], "dropout_covariates": ["mailed"] });
    let model = fit("clv.pareto_nbd_tv", &frame, settings).unwrap().model;
    let options = ScoreOptions {
        outputs: vec!["p_alive".to_owned()],
        interval_level: Some(0.9),
        ..ScoreOptions::default()
    };
    let scores = model.score(&frame.batch().unwrap(), &options).unwrap();
    let column = |name: &str| scores.get(name).unwrap();
    let lower = column("p_alive_lower").iter();
    let ends = lower.zip(column("p_alive_upper"));
    let inside = column("p_alive").iter().zip(ends);
    assert!(inside.clone().all(|(p, (low, high))| low <= p && p <= high));
    assert!(inside.filter(|(_, (low, high))| high > low).count() > 200);
}

/// Steps that change nothing, and steps after the end of the forecast, do not matter.
#[test]
fn the_same_path_in_other_steps_scores_the_same() {
    let params = [
        ("r", 0.9),
        ("alpha", 6.0),
        ("s", 1.2),
        ("beta", 15.0),
        ("purchase.season", 0.8),
    ];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    let model = cvm::from_params("clv.pareto_nbd_tv", &params, None).unwrap();
    let base = || {
        Frame::new(1)
            .with_numbers("frequency", vec![2.0])
            .with_numbers("recency", vec![9.0])
            .with_numbers("T", vec![12.0])
            .with_numbers("covariates_until", vec![40.0])
            .with_numbers("covariates_from_0", vec![0.0])
            .with_numbers("season_0", vec![0.0])
            .with_numbers("covariates_from_1", vec![14.0])
            .with_numbers("season_1", vec![1.0])
    };
    let more = base()
        .with_numbers("covariates_from_2", vec![16.0])
        .with_numbers("season_2", vec![1.0])
        .with_numbers("covariates_from_3", vec![30.0])
        .with_numbers("season_3", vec![-7.0]);
    let options = ScoreOptions {
        horizon_periods: Some(10.0),
        outputs: ["p_alive", "expected_purchases", "p_at_least"]
            .map(str::to_owned)
            .to_vec(),
        ..ScoreOptions::default()
    };
    let score = |frame: &Frame| model.score(&frame.batch().unwrap(), &options).unwrap();
    assert_eq!(score(&base()).outputs, score(&more).outputs);
    let mut short = base();
    set(&mut short, "covariates_until", 0, 21.5);
    let scores = score(&short);
    assert_eq!(scores.status[0].code, RowCode::NotCovered);
    let words = &scores.issues[0].message;
    assert!(
        words.contains("covariates_until is 21.5: covariates must be known"),
        "{words}"
    );
    let without = Frame {
        columns: base()
            .columns
            .into_iter()
            .filter(|(name, _)| name != "season_1")
            .collect(),
        row_count: 1,
    };
    let error = model
        .score(&without.batch().unwrap(), &options)
        .unwrap_err();
    assert!(error.to_string().contains("columns.season_1"), "{error}");
}

#[test]
fn a_fit_refuses_paths_that_end_before_the_observation() {
    let mut frame = sample("bdw_tv_sample.csv");
    let settings = json!({ "contract_covariates": ["price"], "bounds": { "c": [1.0, 1.0] } });
    let held = fit("clv.bdw_tv", &frame, settings.clone()).unwrap().report;
    assert_eq!(held.params[2], 1.0);
    set(&mut frame, "covariates_until", 3, 0.5);
    let error = fit("clv.bdw_tv", &frame, settings.clone()).unwrap_err();
    assert!(
        error.to_string().contains("row 3: covariates_until is 0.5"),
        "{error}"
    );
    set(&mut frame, "covariates_until", 3, 12.0);
    set(&mut frame, "price_0", 5, f64::NAN);
    let error = fit("clv.bdw_tv", &frame, settings).unwrap_err();
    assert!(
        error.to_string().contains("row 5: price_0 is missing"),
        "{error}"
    );
}

/// Coefficients by name make a model of any kind that takes covariates.
#[test]
fn known_coefficients_are_parameters() {
    let make = |kind: &str, params: &[(&str, f64)]| {
        let owned: Vec<_> = params.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        cvm::from_params(kind, &owned, None)
    };
    let own = [("r", 0.243), ("alpha", 4.414), ("a", 0.793), ("b", 2.426)];
    let with = |more: &[(&'static str, f64)]| [&own[..], more].concat();
    let effects = [
        ("purchase.z", 0.4),
        ("dropout.a.z", 0.1),
        ("dropout.b.z", 0.2),
    ];
    let model = make("clv.bg_nbd", &with(&effects)).unwrap();
    assert_eq!(model.schema().fields[3].name, "z");
    for (more, field) in [
        (&effects[..2], "params.dropout.b.z"),
        (&[("purchase", 1.0)][..], "params.purchase"),
        (&[("dropout.r.z", 1.0)][..], "params.dropout.r.z"),
        (&[("purchase.z", f64::NAN)][..], "params.purchase.z"),
    ] {
        let error = make("clv.bg_nbd", &with(more)).unwrap_err();
        assert!(
            error.violations.iter().any(|v| v.field == field),
            "{error:?}"
        );
    }
}

fn made(kind: &str, params: &[(&str, f64)]) -> Model {
    let owned: Vec<_> = params.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
    cvm::from_params(kind, &owned, Some(cvm::TimeUnit::Week)).unwrap()
}

/// Lifetime values take models with paths: with coefficients of zero they are the plain model's, and a
/// path that ends before the horizon is not covered, now and in a file.
#[test]
fn values_are_composed_with_paths() {
    let own = [("r", 0.9), ("alpha", 6.0), ("s", 1.2), ("beta", 15.0)];
    let effects = [("purchase.season", 0.0), ("dropout.mailed", 0.0)];
    let spend = made("clv.gamma_gamma", &[("p", 6.25), ("q", 3.74), ("v", 15.44)]);
    let timed = made("clv.pareto_nbd_tv", &[&own[..], &effects].concat());
    let timed = cvm::lifetime_value(&timed, &spend, None).unwrap();
    let timed = Model::open(&timed.encode().unwrap()).unwrap();
    let plain = made("clv.pareto_nbd", &own);
    let plain = cvm::lifetime_value(&plain, &spend, None).unwrap();
    let mut frame = sample("pareto_nbd_tv_sample.csv");
    let FrameColumn::Numbers(ages) = frame.get("T").unwrap().clone() else {
        panic!("ages are numbers");
    };
    for (row, age) in ages.iter().enumerate() {
        set(&mut frame, "covariates_until", row, age + 26.0);
    }
    let spends = (0..frame.row_count).map(|row| 10.0 + row as f64);
    let frame = frame.with_numbers("monetary_value", spends.collect());
    let ask = |horizon: f64| ScoreOptions {
        horizon_periods: Some(horizon),
        discount_rate_per_year: Some(0.1),
        margin: Some(0.3),
        cost_per_period: Some(0.01),
        outputs: ["lifetime_value", "undiscounted_value_sd"]
            .map(str::to_owned)
            .to_vec(),
        ..ScoreOptions::default()
    };
    let batch = frame.batch().unwrap();
    let got = timed.score(&batch, &ask(26.0)).unwrap();
    let want = plain.score(&batch, &ask(26.0)).unwrap();
    assert_eq!(got.status, want.status);
    for ((_, got), (name, want)) in got.outputs.iter().zip(&want.outputs) {
        for (got, want) in got.iter().zip(want) {
            let close = (got - want).abs() <= 1e-9 * want.abs();
            assert!(
                close || got.is_nan() && want.is_nan(),
                "{name}: {got} {want}"
            );
        }
    }
    let short = timed.score(&batch, &ask(26.5)).unwrap().status;
    assert!(
        short
            .iter()
            .all(|status| status.code == RowCode::NotCovered)
    );
}

#[test]
fn contracts_are_valued_with_paths() {
    let own = [("alpha", 0.8), ("beta", 3.0), ("c", 1.3)];
    let timed = made(
        "clv.bdw_tv",
        &[&own[..], &[("contract.price", 0.0)]].concat(),
    );
    let timed = cvm::contract_value(&timed, None).unwrap();
    let plain = cvm::contract_value(&made("clv.bdw", &own), None).unwrap();
    let frame = sample("bdw_tv_sample.csv");
    let fees = (0..frame.row_count).map(|row| 5.0 + row as f64);
    let mut frame = frame.with_numbers("value_per_period", fees.collect());
    for row in 0..frame.row_count {
        set(&mut frame, "covariates_until", row, 60.0);
    }
    let ask = |horizon: f64| ScoreOptions {
        horizon_periods: Some(horizon),
        discount_rate_per_year: Some(0.1),
        outputs: ["lifetime_value", "undiscounted_value_sd", "residual_value"]
            .map(str::to_owned)
            .to_vec(),
        ..ScoreOptions::default()
    };
    let batch = frame.batch().unwrap();
    let got = timed.score(&batch, &ask(24.0)).unwrap();
    let want = plain.score(&batch, &ask(24.0)).unwrap();
    for ((_, got), (name, want)) in got.outputs.iter().zip(&want.outputs) {
        for (got, want) in got.iter().zip(want) {
            assert!((got / want - 1.0).abs() < 1e-9, "{name}: {got} {want}");
        }
    }
    let short = timed.score(&batch, &ask(60.0)).unwrap().status;
    assert!(
        short
            .iter()
            .all(|status| status.code == RowCode::NotCovered)
    );
}

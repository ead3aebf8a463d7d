//! A model that contains another is not reported below it, and is tested against it.

use cvm::{FitOptions, Frame, NestedTest, TimeUnit};
use serde_json::{Value, json};

/// Draws `count` customers of `kind` at `params`, in columns by name.
fn simulated(kind: &str, params: &[f64], template: &[f64], count: usize, seed: u64) -> Frame {
    let harness = cvm::entry(kind).unwrap().harness.unwrap();
    let names = (harness.columns)();
    let rows = (harness.simulate)(params, &vec![template.to_vec(); count], seed).unwrap();
    let column = |at: usize| rows.iter().map(|row| row[at]).collect();
    let named = names.iter().enumerate();
    named.fold(Frame::new(count), |frame, (at, name)| {
        frame.with_numbers(name, column(at))
    })
}

fn fit(kind: &str, frame: &Frame, settings: Value) -> cvm::FitReport {
    let options = FitOptions {
        time_unit: Some(TimeUnit::Week),
        allow_not_converged: true,
        settings: settings.as_object().cloned().unwrap_or_default(),
        ..FitOptions::default()
    };
    let batch = frame.batch().unwrap();
    cvm::fit(kind, &batch, &options).unwrap().report
}

/// The only test of a report.
fn test(report: &cvm::FitReport) -> &NestedTest {
    let [test] = &report.nested[..] else {
        panic!("{report:?}");
    };
    test
}

struct Pair {
    smaller: &'static str,
    larger: &'static str,
    params: &'static [f64],
    template: &'static [f64],
}

const PAIRS: &[Pair] = &[
    Pair {
        smaller: "clv.sbg",
        larger: "clv.bdw",
        params: &[0.7, 1.8],
        template: &[8.0, 0.0],
    },
    Pair {
        smaller: "clv.geometric",
        larger: "clv.discrete_weibull",
        params: &[0.2],
        template: &[8.0, 0.0],
    },
    Pair {
        smaller: "clv.pareto_nbd",
        larger: "clv.pareto_nbd_correlated",
        params: &[0.55, 10.6, 0.6, 11.7],
        template: &[0.0, 0.0, 39.0],
    },
];

#[test]
fn a_true_smaller_model_is_not_rejected_nor_above() {
    for pair in PAIRS {
        let frame = simulated(pair.smaller, pair.params, pair.template, 2_000, 11);
        let small = fit(pair.smaller, &frame, json!({}));
        let large = fit(pair.larger, &frame, json!({}));
        let test = test(&large);
        assert_eq!(test.kind, pair.smaller);
        assert_eq!(
            test.log_likelihood.to_bits(),
            small.log_likelihood.to_bits()
        );
        assert!(large.log_likelihood >= small.log_likelihood - 1e-9 * small.log_likelihood.abs());
        assert_eq!(test.df, 1);
        assert!(test.p_value > 1e-3 && test.p_value <= 1.0, "{test:?}");
        let statistic = 2.0 * (large.log_likelihood - small.log_likelihood);
        assert!(
            (test.statistic - statistic.max(0.0)).abs() < 1e-9,
            "{test:?}"
        );
    }
}

#[test]
fn a_false_smaller_model_is_rejected() {
    let frame = simulated("clv.bdw", &[0.7, 1.8, 1.6], &[8.0, 0.0], 4_000, 12);
    let report = fit("clv.bdw", &frame, json!({}));
    assert!(test(&report).p_value < 1e-6, "{report:?}");
    let frame = simulated(
        "clv.mbg_cnbd_k",
        &[0.8, 4.0, 0.9, 2.0, 3.0],
        &[0.0, 0.0, 40.0, 0.0],
        1_500,
        13,
    );
    let report = fit("clv.mbg_cnbd_k", &frame, json!({}));
    assert_eq!(test(&report).kind, "clv.mbg_nbd");
    assert!(test(&report).p_value < 1e-6, "{report:?}");
}

#[test]
fn penalties_priors_and_bounds_leave_no_test() {
    let frame = simulated("clv.bdw", &[0.7, 1.8, 1.6], &[8.0, 0.0], 1_000, 14);
    let prior = json!({ "priors": { "c": { "log_normal": { "mu": 0, "sigma": 1 } } } });
    for settings in [prior, json!({ "bounds": { "c": [0.5, 3.0] } })] {
        assert!(fit("clv.bdw", &frame, settings).nested.is_empty());
    }
}

/// GGompertz/NBD on data of a Pareto/NBD: the smaller model is its limit.
#[test]
fn a_limit_is_a_floor_without_a_test() {
    let params = [0.55, 10.6, 0.6, 11.7];
    let frame = simulated("clv.pareto_nbd", &params, &[0.0, 0.0, 39.0], 3_000, 15);
    let small = fit("clv.pareto_nbd", &frame, json!({}));
    let large = fit("clv.ggompertz_nbd", &frame, json!({}));
    assert!(large.nested.is_empty());
    assert!(large.log_likelihood >= small.log_likelihood - 1e-8 * small.log_likelihood.abs());
}

/// Samples without the heterogeneity or the dropout that the larger model looks for: where it has no
/// maximum inside its range, what it reaches is not below the smaller model's.
#[test]
fn models_in_a_limit_are_floors_of_the_simple_kinds_too() {
    let renewals = simulated("clv.geometric", &[0.2], &[8.0, 0.0], 3_000, 17);
    let buyers = simulated("clv.nbd", &[0.8, 6.0], &[0.0, 0.0, 39.0], 2_000, 18);
    let pairs = [
        ("clv.geometric", "clv.sbg", &renewals),
        ("clv.nbd", "clv.pareto_nbd", &buyers),
        ("clv.nbd", "clv.bg_nbd", &buyers),
        ("clv.nbd", "clv.mbg_nbd", &buyers),
    ];
    for (smaller, larger, frame) in pairs {
        let small = fit(smaller, frame, json!({}));
        let large = fit(larger, frame, json!({}));
        let lost = small.log_likelihood - large.log_likelihood;
        assert!(
            lost <= 1e-8 * small.log_likelihood.abs(),
            "{larger}: {lost}"
        );
        assert!(large.nested.is_empty());
    }
}

#[test]
fn covariates_are_tested_against_none() {
    let frame = simulated(
        "clv.pareto_nbd",
        &[0.55, 10.6, 0.6, 11.7],
        &[0.0, 0.0, 39.0],
        2_000,
        16,
    );
    let z: Vec<f64> = (0..2_000).map(|row| f64::from(row % 2)).collect();
    let frame = frame.with_numbers("z", z);
    let report = fit(
        "clv.pareto_nbd",
        &frame,
        json!({ "purchase_covariates": ["z"] }),
    );
    let found = test(&report);
    assert_eq!((found.kind.as_str(), found.df), ("clv.pareto_nbd", 1));
    assert!(found.p_value > 1e-3, "{found:?}");
    let settings = json!({ "purchase_covariates": ["z"], "covariate_l2": 1.0 });
    assert!(fit("clv.pareto_nbd", &frame, settings).nested.is_empty());
}

/// Where all customers share one rhythm the likelihood of the Pareto/GGG rises for ever with `t`: the fit
/// ends on the way, no lower, and says what to do.
#[test]
fn a_maximum_at_infinity_is_told() {
    let truth = [1e4, 1e4 / 3.0, 1.0, 5.0, 1.0, 40.0];
    let template = [0.0, 0.0, 60.0, 0.0];
    let frame = simulated("clv.pareto_ggg", &truth, &template, 40, 17);
    let report = fit("clv.pareto_ggg", &frame, json!({}));
    assert!(report.converged, "{report:?}");
    assert!((report.params[0] - 1e4).abs() < 1e-8, "{report:?}");
    assert!(
        (report.params[0] / report.params[1] / 3.0 - 1.0).abs() < 0.3,
        "{report:?}"
    );
    let found = |kind: &str| report.findings.iter().find(|finding| finding.kind == kind);
    let told = found("at_infinity").expect("the finding");
    assert!(found("at_bound").is_some());
    assert!(
        told.sentence
            .contains("`t` for ever: held at 10000; all customers share"),
        "{told:?}"
    );
    let pareto = fit("clv.pareto_nbd", &frame, json!({}));
    assert!(report.log_likelihood > pareto.log_likelihood);
}

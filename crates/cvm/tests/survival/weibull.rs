//! The Weibull regression against lifelines, published numbers and itself.

use super::*;
use cvm_churn::survival::{WeibullDesign, WeibullSpec};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{exp, ln};

const KIND: &str = "churn.weibull";

fn param(fitted: &Fitted, name: &str) -> (f64, f64) {
    let report = &fitted.report;
    let place = report.param_names.iter().position(|own| own == name);
    let place = place.unwrap_or_else(|| panic!("no {name} in {:?}", report.param_names));
    (report.params[place], report.standard_errors[place].unwrap())
}

/// Coefficients as log ratios of time, with errors by the delta method.
fn accelerated(fitted: &Fitted) -> (Vec<f64>, Vec<f64>) {
    let report = &fitted.report;
    let dim = report.params.len();
    let place = |name: &str| report.param_names.iter().position(|own| own == name);
    let shape = place("baseline[ln shape]").unwrap();
    let k = exp(report.params[shape]);
    let cov = |i: usize, j: usize| report.covariance[i * dim + j].unwrap();
    INPUTS
        .iter()
        .map(|name| {
            let j = place(name).unwrap();
            let ratio = -report.params[j] / k;
            // d ratio = −dβ/k − ratio d ln k
            let variance = cov(j, j) / (k * k)
                + 2.0 * ratio * cov(j, shape) / k
                + ratio * ratio * cov(shape, shape);
            (ratio, variance.sqrt())
        })
        .unzip()
}

#[test]
fn rossi_is_as_published_and_as_lifelines_has_it() {
    let fitted = fit(KIND, &rossi(), rossi_settings(json!({})));
    let (ratios, errors) = accelerated(&fitted);
    // The table of "Accelerated failure time models" in lifelines' documentation.
    let published = [0.272, 0.041, -0.225, 0.107, 0.311, 0.059, -0.066];
    let published_errors = [0.138, 0.016, 0.220, 0.152, 0.273, 0.140, 0.021];
    for i in 0..INPUTS.len() {
        assert!((ratios[i] - published[i]).abs() < 6e-4, "{}", INPUTS[i]);
        assert!(
            (errors[i] - published_errors[i]).abs() < 6e-4,
            "{}",
            INPUTS[i]
        );
    }
    let known_all = known("weibull.coefficients");
    let errors_all = known("weibull.errors");
    // lifelines stops at a gradient of its own.
    near(&ratios, &known_all[..7], 2e-4, "ratios of lifelines");
    near(&errors, &errors_all[..7], 2e-4, "errors of lifelines");
    let (ln_shape, shape_error) = param(&fitted, "baseline[ln shape]");
    near(&[ln_shape], &known_all[8..], 1e-4, "shape");
    near(&[shape_error], &errors_all[8..], 1e-4, "error of the shape");
    let frame = rossi();
    let mean = |name: &str| column(&frame, name).iter().sum::<f64>() / 432.0;
    let at_mean = INPUTS.iter().zip(&ratios).map(|(name, r)| r * mean(name));
    let intercept = param(&fitted, "baseline[ln scale]").0 - at_mean.sum::<f64>();
    near(&[intercept], &known_all[7..8], 1e-4, "intercept");
    let log_likelihood = fitted.report.log_likelihood;
    assert!((log_likelihood - known("weibull.log_likelihood")[0]).abs() < 1e-6);
}

#[test]
fn the_remission_data_give_the_textbook_numbers() {
    let settings = json!({ "duration": "weeks", "event": "relapsed", "numeric_basis": "linear" });
    let fitted = fit(KIND, &super::cox::leukemia(), settings);
    // Venables & Ripley (2002), Modern Applied Statistics with S, section 13.2: `survreg` on the
    // same data: intercept (drug) 3.516 (0.252), control -1.267 (0.311), Log(scale) -0.312 (0.147),
    // log-likelihood -106.6.
    let (ln_shape, shape_error) = param(&fitted, "baseline[ln shape]");
    let (effect, _) = param(&fitted, "treated");
    let ratio = -effect / exp(ln_shape);
    assert!((ratio - 1.267).abs() < 6e-4, "{ratio}");
    assert!((ln_shape - 0.312).abs() < 6e-4 && (shape_error - 0.147).abs() < 6e-4);
    let drug = param(&fitted, "baseline[ln scale]").0 + 0.5 * ratio;
    assert!((drug - 3.516).abs() < 6e-4, "{drug}");
    assert!((fitted.report.log_likelihood + 106.6).abs() < 0.05);
}

#[test]
fn without_inputs_and_at_shape_one_it_is_events_by_time() {
    // Lifetimes whose logarithms balance: the score of the shape is zero at one.
    let fitted = fit(
        KIND,
        &super::cox::leukemia(),
        json!({
            "duration": "weeks", "event": "relapsed", "numeric": [], "categorical": [],
        }),
    );
    let facts = &fitted.model.training()["data"];
    let (k, scale) = (
        facts["shape"].as_f64().unwrap(),
        facts["scale"].as_f64().unwrap(),
    );
    assert_eq!(facts["event_weight"], 30.0);
    assert!((facts["time_at_risk"].as_f64().unwrap() - 541.0).abs() < 1e-9);
    // The likelihood equations: Σ (t/λ)^k = events, Σ (t/λ)^k ln t − Σ_events ln t = events/k.
    let frame = super::cox::leukemia();
    let (t, left) = (column(&frame, "weeks"), column(&frame, "relapsed"));
    let passed: Vec<f64> = t.iter().map(|t| exp(k * (ln(*t) - ln(scale)))).collect();
    assert!((passed.iter().sum::<f64>() - 30.0).abs() < 1e-7);
    let tilted: f64 = passed.iter().zip(&t).map(|(p, t)| p * ln(*t)).sum();
    let events: f64 = t.iter().zip(&left).map(|(t, d)| d * ln(*t)).sum();
    assert!((tilted - events - 30.0 / k).abs() < 1e-6);
}

#[test]
fn a_row_in_stretches_counts_as_one_and_weights_as_copies() {
    let whole = fit(KIND, &rossi(), rossi_settings(json!({})));
    // Every man seen twice: up to half of his time, and from there on.
    let frame = rossi();
    let week = column(&frame, "week");
    let half: Vec<f64> = week.iter().map(|w| w / 2.0).collect();
    let mut split = Frame::new(864);
    for name in INPUTS {
        let values = column(&frame, name);
        split = split.with_numbers(name, [values.clone(), values].concat());
    }
    let arrest = [vec![0.0; 432], column(&frame, "arrest")].concat();
    let split = split
        .with_numbers("from", [vec![0.0; 432], half.clone()].concat())
        .with_numbers("to", [half, week].concat())
        .with_numbers("arrest", arrest);
    let settings = json!({
        "start": "from", "stop": "to", "event": "arrest", "numeric_basis": "linear",
    });
    let stretches = fit(KIND, &split, settings);
    near(
        &stretches.report.params,
        &whole.report.params,
        1e-6,
        "stretches",
    );
    let value = |fitted: &Fitted| fitted.report.log_likelihood;
    assert!((value(&stretches) - value(&whole)).abs() < 1e-8);
    let weighted = rossi().with_numbers("w", vec![3.0; 432]);
    let weighted = fit(KIND, &weighted, rossi_settings(json!({ "weight": "w" })));
    near(
        &of_inputs(&weighted).0,
        &of_inputs(&whole).0,
        1e-6,
        "weights",
    );
    let thirds: Vec<f64> = of_inputs(&whole)
        .1
        .iter()
        .map(|e| e / ln(exp(3.0)).sqrt())
        .collect();
    near(&of_inputs(&weighted).1, &thirds, 1e-6, "errors of weights");
}

#[test]
fn curves_lifetimes_and_intervals_answer() {
    let fitted = fit(KIND, &rossi(), rossi_settings(json!({ "penalty": 0.1 })));
    let facts = &fitted.model.training()["data"];
    let k = facts["shape"].as_f64().unwrap();
    let scale = facts["scale"].as_f64().unwrap();
    let eta = score(
        &fitted.model,
        &at_tenure(rossi(), 0.0),
        "linear_predictor",
        None,
    );
    for (tenure, horizon) in [(0.0, 10.0), (13.5, 1e-6), (52.0, 300.0)] {
        let rows = at_tenure(rossi(), tenure);
        let survival = score(&fitted.model, &rows, "survival_probability", Some(horizon));
        for (row, survival) in survival.iter().enumerate() {
            let hazard = |t: f64| exp(eta[row] + k * (ln(t) - ln(scale)));
            let want = exp(hazard(tenure) - hazard(tenure + horizon));
            assert!((survival - want).abs() < 1e-12, "{row} {tenure} {horizon}");
        }
        let lifetime = score(
            &fitted.model,
            &rows,
            "expected_remaining_periods",
            Some(horizon),
        );
        assert!(lifetime.iter().all(|t| *t > 0.0 && *t <= horizon));
    }
    let options = ScoreOptions {
        horizon_periods: Some(20.0),
        outputs: vec!["survival_probability".to_owned()],
        interval_level: Some(0.95),
        ..ScoreOptions::default()
    };
    let rows = at_tenure(rossi(), 5.0);
    let scores = fitted
        .model
        .score(&rows.batch().unwrap(), &options)
        .unwrap();
    let get = |name: &str| scores.get(name).unwrap()[7];
    assert!(get("survival_probability_lower") < get("survival_probability"));
    assert!(get("survival_probability") < get("survival_probability_upper"));
}

#[test]
fn simulated_effects_are_recovered_and_intervals_cover_them() {
    let settings = json!({ "duration": "t", "event": "left", "numeric_basis": "linear" });
    let mut covered = [0; 2];
    for seed in 0..100_u64 {
        let mut random = Uniform(seed * 6007 + 5);
        let (mut x, mut t, mut left) = (vec![], vec![], vec![]);
        for _ in 0..300 {
            let effect = random.next() * 2.0 - 1.0;
            // Shape 1/0.7, log hazard ratio 0.7.
            let life = cvm_math::pow(-ln(random.next()) * exp(-0.7 * effect), 0.7) * 10.0;
            let look = random.next() * 25.0;
            x.push(effect);
            t.push(life.min(look));
            left.push(f64::from(u8::from(life <= look)));
        }
        let frame = Frame::new(300)
            .with_numbers("x", x)
            .with_numbers("t", t)
            .with_numbers("left", left);
        let report = fit(KIND, &frame, settings.clone()).report;
        for (count, (name, truth)) in covered
            .iter_mut()
            .zip([("x", 0.7), ("baseline[ln shape]", -ln(0.7))])
        {
            let place = report.param_names.iter().position(|own| own == name);
            let (low, high) = report.interval_95(place.unwrap()).unwrap();
            *count += usize::from(low <= truth && truth <= high);
        }
    }
    // 95 expected, four binomial deviations are 9.
    assert!(covered.iter().all(|count| *count >= 86), "{covered:?}");
}

#[test]
fn the_derivatives_are_those_of_the_value() {
    let frame = rossi().with_numbers("entry", (0..432).map(|i| f64::from(i % 3) * 0.3).collect());
    let settings = rossi_settings(json!({ "entry": "entry" }));
    let spec = WeibullSpec::from_settings(settings.as_object().cloned().unwrap()).unwrap();
    let prepared = WeibullDesign::prepare(&frame.batch().unwrap(), &spec).unwrap();
    let at = |theta: &[f64]| {
        let mut sum = Derivatives::zero(9);
        for block in 0..prepared.likelihood.block_count() {
            prepared
                .likelihood
                .accumulate(theta, block, Order::Hessian, &mut sum);
        }
        sum
    };
    let theta = [-1.4, 1.3, 0.3, -0.2, 0.5, 0.1, -0.4, 0.2, 0.6];
    let here = at(&theta);
    for i in 0..9 {
        let moved = |step: f64| {
            let mut theta = theta;
            theta[i] += step;
            at(&theta)
        };
        let (up, down) = (moved(1e-5), moved(-1e-5));
        let slope = (up.value - down.value) / 2e-5;
        assert!(
            (slope - here.gradient[i]).abs() < 1e-4 * (1.0 + slope.abs()),
            "{i}"
        );
        for j in 0..9 {
            let bend = (up.gradient[j] - down.gradient[j]) / 2e-5;
            let own = here.hessian[i * 9 + j];
            assert!((bend - own).abs() < 1e-5 * (1.0 + own.abs()), "{i} {j}");
        }
    }
}

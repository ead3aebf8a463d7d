//! The discrete-time hazard against statsmodels, life tables and itself.

use super::*;
use cvm_math::{exp, ln, sigmoid};

#[test]
fn one_baseline_is_a_regression_on_person_periods() {
    for link in ["logit", "cloglog"] {
        let settings = json!({ "baseline": "constant", "link": link });
        let fitted = fit("churn.hazard", &rossi(), rossi_settings(settings));
        let report = &fitted.report;
        assert_eq!(report.param_names[0], "baseline[1-52]");
        near(
            &report.params,
            &known(&format!("{link}.params")),
            1e-7,
            link,
        );
        let errors: Vec<f64> = report.standard_errors.iter().map(|e| e.unwrap()).collect();
        near(&errors, &known(&format!("{link}.errors")), 1e-6, link);
        let wanted = known(&format!("{link}.log_likelihood"))[0];
        assert!((report.log_likelihood - wanted).abs() < 1e-7, "{link}");
    }
}

/// Rows of a retention table: how many of a thousand left in each year, how many never did.
fn cohort() -> Frame {
    let left = [369.0, 163.0, 86.0, 56.0, 37.0, 27.0, 21.0];
    let mut weights = left.to_vec();
    weights.push(241.0);
    let years = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.0];
    let churned = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
    Frame::new(8)
        .with_numbers("years", years.to_vec())
        .with_numbers("churned", churned.to_vec())
        .with_numbers("customers", weights)
}

fn cohort_settings(more: Value) -> Value {
    let mut settings = json!({ "duration": "years", "event": "churned", "weight": "customers" });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        settings[name] = value;
    }
    settings
}

fn now(tenure: f64) -> Frame {
    Frame::new(1).with_numbers("tenure", vec![tenure])
}

#[test]
fn a_saturated_curve_is_the_life_table() {
    let settings = json!({ "baseline": "saturated", "min_period_events": 1.0 });
    for link in ["logit", "cloglog"] {
        let mut settings = cohort_settings(settings.clone());
        settings["link"] = json!(link);
        let model = fit("churn.hazard", &cohort(), settings).model;
        let at = |t: f64| score(&model, &now(0.0), "survival_probability", Some(t))[0];
        let shares = [0.631, 0.468, 0.382, 0.326, 0.289, 0.262, 0.241];
        for (year, share) in (1..).zip(shares) {
            assert!((at(f64::from(year)) - share).abs() < 1e-9, "{link} {year}");
        }
        // Half a year at the year's constant rate.
        assert!((at(0.5) - 0.631_f64.sqrt()).abs() < 1e-9);
        // The tail keeps the last year's hazard.
        assert!((at(9.0) - 0.241 * (0.241 / 0.262) * (0.241 / 0.262)).abs() < 1e-9);
        let hazard = score(&model, &now(0.0), "hazard", Some(2.0))[0];
        assert!((hazard - 163.0 / 631.0).abs() < 1e-9);
        let later = score(&model, &now(1.0), "survival_probability", Some(2.0))[0];
        assert!((later - 0.382 / 0.631).abs() < 1e-9);
    }
}

#[test]
fn lifetimes_are_areas_under_the_curve() {
    let settings = cohort_settings(json!({ "baseline": "saturated", "min_period_events": 1.0 }));
    let mut options = options(settings.clone());
    options.time_unit = Some(cvm::TimeUnit::Year);
    let frame = cohort();
    let model = cvm::fit("churn.hazard", &frame.batch().unwrap(), &options)
        .unwrap()
        .model;
    let ask = |horizon: f64, rate: f64, tenure: f64| {
        let options = ScoreOptions {
            horizon_periods: Some(horizon),
            discount_rate_per_year: Some(rate),
            outputs: vec!["expected_remaining_periods".to_owned()],
            ..ScoreOptions::default()
        };
        let rows = now(tenure);
        let scores = model.score(&rows.batch().unwrap(), &options).unwrap();
        (scores.outputs[0].1[0], scores.status[0].code)
    };
    // Against sums over fine steps of the curve itself.
    for (horizon, rate, tenure) in [(3.0, 0.0, 0.0), (10.0, 0.12, 0.0), (4.7, 0.05, 2.3)] {
        let steps = 20_000;
        let width = horizon / f64::from(steps);
        let curve = |i: u32| {
            let t = (f64::from(i) + 0.5) * width;
            score(&model, &now(tenure), "survival_probability", Some(t))[0]
                * exp(-ln(1.0 + rate) * t)
        };
        // Every hundredth step is enough to see a wrong formula: the curve is smooth in a period.
        let coarse: f64 = (0..steps).step_by(100).map(|i| curve(i + 49)).sum::<f64>();
        let area = coarse * width * 100.0;
        let got = ask(horizon, rate, tenure).0;
        assert!(
            (got - area).abs() < 2e-4 * area,
            "{horizon} {rate} {tenure}: {got} {area}"
        );
    }
    let rate = -ln(0.241 / 0.262);
    assert!((ask(f64::INFINITY, 0.0, 100.0).0 - 1.0 / rate).abs() < 1e-9);
    let mut endless = settings;
    endless["tail"] = json!("zero");
    let model = fit("churn.hazard", &cohort(), endless).model;
    let options = ScoreOptions {
        horizon_periods: Some(f64::INFINITY),
        outputs: vec![
            "expected_remaining_periods".into(),
            "remaining_quantile_periods".into(),
        ],
        quantile: Some(0.76),
        ..ScoreOptions::default()
    };
    let rows = now(0.0);
    let scores = model.score(&rows.batch().unwrap(), &options).unwrap();
    assert_eq!(scores.status[0].code, cvm::RowCode::Infinite);
    assert!(
        scores
            .outputs
            .iter()
            .all(|(_, values)| values[0] == f64::INFINITY)
    );
}

#[test]
fn the_median_halves_the_curve() {
    let model = fit(
        "churn.hazard",
        &rossi(),
        rossi_settings(json!({ "penalty": 1.0 })),
    )
    .model;
    for tenure in [0.0, 7.25, 51.0, 400.0] {
        let rows = at_tenure(rossi(), tenure);
        let medians = score(&model, &rows, "remaining_quantile_periods", None);
        for median in medians.iter().step_by(100) {
            let survival = score(&model, &rows, "survival_probability", Some(*median));
            let hits = survival
                .iter()
                .filter(|s| (**s - 0.5).abs() < 1e-12)
                .count();
            assert!(hits >= 1, "{tenure}: nobody has the median {median}");
        }
    }
}

/// Rows split into stretches, or into single periods, are the same rows.
#[test]
fn the_three_layouts_of_time_agree() {
    let frame = rossi();
    let whole = fit("churn.hazard", &frame, rossi_settings(json!({})));
    let (weeks, arrests) = (column(&frame, "week"), column(&frame, "arrest"));
    let mut source: Vec<usize> = Vec::new();
    let (mut start, mut stop, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for (row, (week, arrest)) in weeks.iter().zip(&arrests).enumerate() {
        let mut at = 0.0;
        while at < *week {
            let end = if row % 2 == 0 {
                at + 1.0
            } else {
                (at + 10.0).min(*week)
            };
            source.push(row);
            start.push(at);
            stop.push(end);
            left.push(if end == *week { *arrest } else { 0.0 });
            at = end;
        }
    }
    let mut split = Frame::new(source.len())
        .with_numbers("from", start)
        .with_numbers("to", stop)
        .with_numbers("arrest", left);
    for name in INPUTS {
        let values = column(&frame, name);
        split = split.with_numbers(name, source.iter().map(|row| values[*row]).collect());
    }
    let settings = json!({
        "start": "from", "stop": "to", "event": "arrest", "numeric_basis": "linear", "penalty": 0.0,
    });
    let pieces = fit("churn.hazard", &split, settings.clone());
    assert!((pieces.report.log_likelihood - whole.report.log_likelihood).abs() < 1e-9);
    near(
        &of_inputs(&pieces).0,
        &of_inputs(&whole).0,
        1e-8,
        "stretches",
    );
    let cox = fit("churn.cox", &split, settings);
    let cox_whole = fit("churn.cox", &frame, rossi_settings(json!({})));
    near(
        &of_inputs(&cox).0,
        &of_inputs(&cox_whole).0,
        1e-9,
        "stretches of a Cox model",
    );
    near(
        &of_inputs(&cox).1,
        &of_inputs(&cox_whole).1,
        1e-9,
        "their errors",
    );
}

/// Simulates discrete lifetimes: baseline −2.5 falling to −3.5 after period 6, effects 0.8 and −0.5.
fn simulated(rows: usize, seed: u64) -> Frame {
    let mut random = Uniform(seed);
    let mut columns = [vec![], vec![], vec![], vec![], vec![]];
    for _ in 0..rows {
        let x = random.next() * 4.0 - 2.0;
        let z = f64::from(u8::from(random.next() < 0.4));
        // Half of the customers come under observation late.
        let entry = if random.next() < 0.5 {
            0.0
        } else {
            (random.next() * 6.0).floor()
        };
        let end = entry + 1.0 + (random.next() * 18.0).floor();
        let (mut period, mut left) = (1.0, false);
        while period <= end {
            let level = if period <= 6.0 { -2.5 } else { -3.5 };
            left = random.next() < sigmoid(level + 0.8 * x - 0.5 * z);
            if left {
                break;
            }
            period += 1.0;
        }
        // Who left before entry is never seen.
        if left && period <= entry {
            continue;
        }
        let row = [x, z, entry, period.min(end), f64::from(u8::from(left))];
        columns
            .iter_mut()
            .zip(row)
            .for_each(|(column, v)| column.push(v));
    }
    let [x, z, entry, duration, left] = columns;
    Frame::new(x.len())
        .with_numbers("x", x)
        .with_numbers("z", z)
        .with_numbers("entry", entry)
        .with_numbers("duration", duration)
        .with_numbers("left", left)
}

#[test]
fn simulated_effects_are_recovered_and_intervals_cover_them() {
    let settings = json!({
        "duration": "duration", "entry": "entry", "event": "left", "numeric_basis": "linear",
        "penalty": 0.0,
    });
    let (mut covered, mut all) = (0, 0);
    let samples = 60;
    for seed in 0..samples {
        let fitted = fit(
            "churn.hazard",
            &simulated(1500, seed * 7919 + 1),
            settings.clone(),
        );
        for (name, truth) in [("x", 0.8), ("z", -0.5)] {
            let i = fitted
                .report
                .param_names
                .iter()
                .position(|n| n == name)
                .unwrap();
            let (low, high) = fitted.report.interval_95(i).unwrap();
            let distance = (fitted.report.params[i] - truth).abs();
            assert!(
                distance < 4.5 * fitted.report.standard_errors[i].unwrap(),
                "{seed} {name}"
            );
            covered += usize::from(low <= truth && truth <= high);
            all += 1;
        }
    }
    // 120 intervals: 114 expected, four binomial deviations are 9.5.
    assert!(covered >= 104, "{covered} of {all}");
}

#[test]
fn intervals_of_the_curve_hold_the_truth() {
    let settings = json!({
        "duration": "duration", "entry": "entry", "event": "left", "numeric_basis": "linear",
        "penalty": 0.0, "baseline": "saturated",
    });
    let rows = Frame::new(1)
        .with_numbers("x", vec![1.0])
        .with_numbers("z", vec![1.0])
        .with_numbers("tenure", vec![2.0]);
    let stay = |level: f64| 1.0 - sigmoid(level + 0.8 - 0.5);
    let truth = cvm_math::pow(stay(-2.5), 4.0) * cvm_math::pow(stay(-3.5), 3.0);
    let samples = 40;
    let covers = (0..samples).filter(|seed| {
        let frame = simulated(1200, seed * 104_729 + 3);
        let model = fit("churn.hazard", &frame, settings.clone()).model;
        let options = ScoreOptions {
            horizon_periods: Some(7.0),
            outputs: vec!["survival_probability".to_owned()],
            interval_level: Some(0.95),
            ..ScoreOptions::default()
        };
        let scores = model.score(&rows.batch().unwrap(), &options).unwrap();
        scores.outputs[1].1[0] <= truth && truth <= scores.outputs[2].1[0]
    });
    let covers = covers.count();
    assert!(covers >= 33, "{covers} of {samples}");
}

#[test]
fn the_gradient_is_that_of_the_value() {
    use cvm_churn::survival::{HazardDesign, HazardSpec};
    use cvm_core::{Derivatives, Likelihood, Order};
    let frame = simulated(300, 5);
    for link in ["logit", "cloglog"] {
        let settings = json!({
            "duration": "duration", "entry": "entry", "event": "left", "link": link,
            "min_period_events": 8.0,
        });
        let spec = HazardSpec::from_settings(settings.as_object().cloned().unwrap()).unwrap();
        let prepared = HazardDesign::prepare(&frame.batch().unwrap(), &spec).unwrap();
        let dim = prepared.names.len();
        let at = |theta: &[f64]| {
            let mut sum = Derivatives::zero(dim);
            for block in 0..prepared.likelihood.block_count() {
                prepared
                    .likelihood
                    .accumulate(theta, block, Order::Hessian, &mut sum);
            }
            sum
        };
        let mut random = Uniform(11);
        let theta: Vec<f64> = prepared.starts[0]
            .iter()
            .map(|v| v + random.next() - 0.5)
            .collect();
        let here = at(&theta);
        for i in 0..dim {
            let moved = |step: f64| {
                let mut theta = theta.clone();
                theta[i] += step;
                at(&theta)
            };
            let (up, down) = (moved(1e-5), moved(-1e-5));
            let slope = (up.value - down.value) / 2e-5;
            assert!(
                (slope - here.gradient[i]).abs() < 1e-5 * (1.0 + slope.abs()),
                "{link} {i}"
            );
            for j in 0..dim {
                let bend = (up.gradient[j] - down.gradient[j]) / 2e-5;
                let own = here.hessian[i * dim + j];
                assert!(
                    (bend - own).abs() < 1e-5 * (1.0 + own.abs()),
                    "{link} {i} {j}"
                );
            }
        }
    }
}

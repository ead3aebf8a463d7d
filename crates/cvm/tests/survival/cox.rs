//! The Cox model against lifelines, statsmodels, published numbers and itself.

use super::*;
use cvm_math::{exp, ln};

#[test]
fn rossi_is_as_published_and_as_others_have_it() {
    let fitted = fit("churn.cox", &rossi(), rossi_settings(json!({})));
    let (coefficients, errors) = of_inputs(&fitted);
    // Fox & Weisberg, appendix "Cox Proportional-Hazards Regression", first table.
    let published = [-0.379, -0.057, 0.314, -0.150, -0.434, -0.085, 0.091];
    for (got, want) in coefficients.iter().zip(published) {
        assert!((got - want).abs() < 6e-4, "{got} {want}");
    }
    // Newton's method on the sums as written, in plain numpy; lifelines stops a little earlier.
    let exact = known("exact.coefficients");
    near(&coefficients, &exact, 1e-10, "coefficients");
    near(&errors, &known("exact.errors"), 1e-10, "errors");
    let peers = known("efron.coefficients");
    near(&coefficients, &peers, 1e-6, "coefficients of lifelines");
    near(&errors, &known("efron.errors"), 1e-6, "errors of lifelines");
    let wanted = known("exact.log_likelihood")[0];
    assert!((fitted.report.log_likelihood - wanted).abs() < 1e-9);
    let facts = &fitted.model.training()["data"];
    let concordance = facts["concordance"].as_f64().unwrap();
    // lifelines counts tied predictors by a tolerance of its own.
    assert!(
        (concordance - known("efron.concordance")[0]).abs() < 1e-3,
        "{concordance}"
    );
}

#[test]
fn curves_are_those_of_efrons_increments() {
    let model = fit("churn.cox", &rossi(), rossi_settings(json!({}))).model;
    let rows = at_tenure(rossi(), 0.0);
    let wanted = reference()["survival"].as_array().cloned().unwrap();
    for (place, t) in [1.0, 10.0, 26.0, 52.0].into_iter().enumerate() {
        let survival = score(&model, &rows, "survival_probability", Some(t));
        for (row, wanted) in [0, 5, 100].into_iter().zip(&wanted) {
            let want = wanted[place].as_f64().unwrap();
            assert!(
                (survival[row] - want).abs() < 1e-11,
                "{row} {t}: {} {want}",
                survival[row]
            );
        }
    }
    let halfway = score(
        &model,
        &at_tenure(rossi(), 26.0),
        "survival_probability",
        Some(26.0),
    );
    let (early, late) = (
        &wanted[0][2].as_f64().unwrap(),
        &wanted[0][3].as_f64().unwrap(),
    );
    assert!((halfway[0] - late / early).abs() < 1e-11);
}

const ERROR: &str = "log_cumulative_hazard_error";

#[test]
fn errors_of_curves_are_those_of_the_sums_as_written() {
    let model = fit("churn.cox", &rossi(), rossi_settings(json!({}))).model;
    let reference = reference();
    for (tenure, wanted) in [0.0, 26.0]
        .into_iter()
        .zip(reference["curve_errors"].as_array().unwrap())
    {
        let rows = at_tenure(rossi(), tenure);
        for (place, horizon) in [1.0, 10.0, 26.0].into_iter().enumerate() {
            let got = score(&model, &rows, ERROR, Some(horizon));
            for (row, wanted) in [0, 5, 100].into_iter().zip(wanted.as_array().unwrap()) {
                let want = wanted[place].as_f64().unwrap();
                let near = (got[row] - want).abs() < 1e-6 * want;
                assert!(near, "{tenure} {horizon} {row}: {} {want}", got[row]);
            }
        }
    }
    // What follows the last look: one rate, so one error, and none where nobody leaves.
    let late = at_tenure(rossi(), 60.0);
    let short = score(&model, &late, ERROR, Some(1.0));
    let forever = score(&model, &late, ERROR, Some(f64::INFINITY));
    for (a, b) in short.iter().zip(&forever) {
        assert!((a - b).abs() < 1e-12 * a && *a > 0.1, "{a} {b}");
    }
    let zero = rossi_settings(json!({ "tail": "zero" }));
    let zero = fit("churn.cox", &rossi(), zero).model;
    assert!(
        score(&zero, &late, ERROR, Some(9.0))
            .iter()
            .all(|error| *error == 0.0)
    );
}

#[test]
fn intervals_of_curves_hold_the_truth_and_come_back_from_the_file() {
    let settings = json!({ "duration": "t", "event": "left", "numeric_basis": "linear" });
    let rows = Frame::new(1)
        .with_numbers("x", vec![0.5])
        .with_numbers("tenure", vec![2.0]);
    // Weibull lifetimes of shape 1/0.7: the hazard summed to t is e^(0.7x) (t/10)^(1/0.7).
    let summed = |t: f64| exp(0.35) * cvm_math::pow(t / 10.0, 1.0 / 0.7);
    let truth = exp(summed(2.0) - summed(10.0));
    let asked = |outputs: &[&str]| ScoreOptions {
        horizon_periods: Some(8.0),
        outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        interval_level: Some(0.95),
        ..ScoreOptions::default()
    };
    let (mut covers, samples) = (0, 60);
    for seed in 0..samples {
        let frame = lifetimes(300, seed * 104_729 + 5);
        let model = fit("churn.cox", &frame, settings.clone()).model;
        let batch = rows.batch().unwrap();
        let scores = model.score(&batch, &asked(&[])).unwrap();
        let names: Vec<&str> = scores.outputs.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names[..3],
            [
                "survival_probability",
                "survival_probability_lower",
                "survival_probability_upper"
            ]
        );
        let (low, high) = (scores.outputs[1].1[0], scores.outputs[2].1[0]);
        covers += usize::from(low <= truth && truth <= high);
        assert!(
            (scores.outputs[4].1[0] + high - 1.0).abs() < 1e-15,
            "churn is the rest"
        );
        let again = Model::open(&model.encode().unwrap()).unwrap();
        assert_eq!(again.score(&batch, &asked(&[])).unwrap(), scores);
        let refused = model
            .score(&batch, &asked(&["linear_predictor"]))
            .unwrap_err();
        assert!(refused.to_string().contains("no interval"), "{refused}");
    }
    // 57 expected, four binomial deviations are 7.
    assert!(covers >= 50, "{covers} of {samples}");
}

#[test]
fn elastic_nets_are_optima_found_another_way() {
    for net in reference()["cox_nets"].as_array().expect("nets") {
        let more = json!({ "penalty": net["penalty"], "l1_ratio": net["l1_ratio"] });
        let fitted = fit("churn.cox", &rossi(), rossi_settings(more));
        let wanted = net["coefficients"].as_array().expect("coefficients");
        for (got, want) in of_inputs(&fitted).0.iter().zip(wanted) {
            let want = want.as_f64().expect("a number");
            assert!((got - want).abs() < 1e-8, "{net}: {got} {want}");
            assert_eq!(*got == 0.0, want == 0.0, "{net}: {got}");
        }
    }
}

#[test]
fn an_l1_penalty_leaves_out_what_does_not_earn_it_in_every_kind() {
    for kind in ["churn.cox", "churn.hazard", "churn.weibull"] {
        let zeros = |l1_ratio: f64, penalty: f64| {
            let more = json!({ "penalty": penalty, "l1_ratio": l1_ratio });
            let fitted = fit(kind, &rossi(), rossi_settings(more));
            let coefficients = of_inputs(&fitted).0;
            coefficients.iter().filter(|value| **value == 0.0).count()
        };
        assert_eq!(zeros(0.0, 15.0), 0, "{kind}");
        assert!((1..INPUTS.len()).contains(&zeros(1.0, 15.0)), "{kind}");
        assert_eq!(zeros(1.0, 1e4), INPUTS.len(), "{kind}");
    }
}

#[test]
fn ties_robust_errors_and_weights_agree_with_others() {
    let breslow = fit(
        "churn.cox",
        &rossi(),
        rossi_settings(json!({ "ties": "breslow" })),
    );
    near(
        &of_inputs(&breslow).0,
        &known("breslow.coefficients"),
        1e-6,
        "breslow",
    );
    near(
        &of_inputs(&breslow).1,
        &known("breslow.errors"),
        1e-6,
        "breslow's errors",
    );
    let robust = fit(
        "churn.cox",
        &rossi(),
        rossi_settings(json!({ "robust": true })),
    );
    near(
        &of_inputs(&robust).1,
        &known("robust"),
        1e-10,
        "robust errors",
    );
    let frame = rossi();
    #[allow(clippy::cast_precision_loss)]
    let weights = (0..frame.row_count).map(|i| 1.0 + (i % 3) as f64).collect();
    let frame = frame.with_numbers("w", weights);
    let weighted = fit(
        "churn.cox",
        &frame,
        rossi_settings(json!({ "weight": "w" })),
    );
    near(
        &of_inputs(&weighted).0,
        &known("weighted.coefficients"),
        1e-6,
        "weighted",
    );
    near(
        &of_inputs(&weighted).1,
        &known("weighted.errors"),
        1e-6,
        "weighted errors",
    );
}

#[test]
fn late_entry_agrees_with_lifelines() {
    // Everyone watched from week 5 on: those who left before are not there.
    let frame = rossi();
    let kept: Vec<usize> = (0..frame.row_count)
        .filter(|row| column(&frame, "week")[*row] > 5.0)
        .collect();
    let mut late = Frame::new(kept.len()).with_numbers("entry", vec![5.0; kept.len()]);
    for name in INPUTS.iter().chain(&["week", "arrest"]) {
        let values = column(&frame, name);
        late = late.with_numbers(*name, kept.iter().map(|row| values[*row]).collect());
    }
    let truncated = fit(
        "churn.cox",
        &late,
        rossi_settings(json!({ "entry": "entry" })),
    );
    near(
        &of_inputs(&truncated).0,
        &known("truncated.coefficients"),
        1e-6,
        "truncated",
    );
    near(
        &of_inputs(&truncated).1,
        &known("truncated.errors"),
        1e-6,
        "truncated errors",
    );
}

#[test]
fn the_test_of_proportional_hazards_is_the_score_test() {
    let settings = json!({ "ties": "breslow", "time_scale": "identity" });
    let fitted = fit("churn.cox", &rossi(), rossi_settings(settings));
    let facts = fitted.model.training()["data"]["proportional_hazards"].clone();
    let tests = facts["tests"].as_array().unwrap();
    let mut names: Vec<&str> = INPUTS.to_vec();
    names.push("GLOBAL");
    for (name, want) in names.iter().zip(known("breslow_ph_identity")) {
        let test = tests.iter().find(|test| test["name"] == *name).unwrap();
        let got = test["statistic"].as_f64().unwrap();
        assert!(
            (got - want).abs() < 1e-6 * (1.0 + want),
            "{name}: {got} {want}"
        );
    }
    // Age and work experience are known to break the assumption (Fox & Weisberg).
    let p = |name: &str| {
        let test = tests.iter().find(|test| test["name"] == name).unwrap();
        test["p_value"].as_f64().unwrap()
    };
    assert!(p("age") < 0.02 && p("wexp") < 0.06 && p("fin") > 0.5);
}

/// Freireich's remission times: Cox's own example.
pub(crate) fn leukemia() -> Frame {
    let drug = [
        6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35,
    ];
    let kept = [
        0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1,
    ];
    let placebo = [
        1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23,
    ];
    let weeks = drug.iter().chain(&placebo).map(|w| f64::from(*w)).collect();
    let relapsed = kept.iter().map(|k| 1.0 - f64::from(*k)).chain([1.0; 21]);
    let treated = [1.0; 21].into_iter().chain([0.0; 21]);
    Frame::new(42)
        .with_numbers("weeks", weeks)
        .with_numbers("relapsed", relapsed.collect())
        .with_numbers("treated", treated.collect())
}

#[test]
fn the_remission_data_give_the_textbook_numbers() {
    let settings = |ties: &str| {
        json!({
            "duration": "weeks", "event": "relapsed", "ties": ties, "numeric_basis": "linear",
        })
    };
    // Kalbfleisch & Prentice, and every textbook since: 1.572 (0.412) by Efron, 1.509 (0.410) by
    // Breslow.
    for (ties, effect, error) in [("efron", 1.572, 0.412), ("breslow", 1.509, 0.410)] {
        let report = fit("churn.cox", &leukemia(), settings(ties)).report;
        assert!(
            (report.params[0] + effect).abs() < 5e-4,
            "{ties} {}",
            report.params[0]
        );
        assert!(
            (report.standard_errors[0].unwrap() - error).abs() < 5e-4,
            "{ties}"
        );
    }
}

#[test]
fn lifetimes_are_areas_under_the_steps() {
    let model = fit("churn.cox", &rossi(), rossi_settings(json!({}))).model;
    for (tenure, horizon) in [(0.0, 20.0), (13.5, 30.0), (50.0, 9.0), (70.0, 4.0)] {
        let rows = at_tenure(rossi(), tenure);
        let got = score(&model, &rows, "expected_remaining_periods", Some(horizon));
        let steps = 2000;
        let mut area = vec![0.0; rows.row_count];
        for step in 0..steps {
            let t = (f64::from(step) + 0.5) * horizon / f64::from(steps);
            let survival = score(&model, &rows, "survival_probability", Some(t));
            area.iter_mut()
                .zip(survival)
                .for_each(|(a, s)| *a += s * horizon / f64::from(steps));
        }
        for (got, area) in got.iter().zip(area) {
            assert!(
                (got - area).abs() < 1e-3 * horizon,
                "{tenure} {horizon}: {got} {area}"
            );
        }
    }
    let endless = score(
        &model,
        &at_tenure(rossi(), 0.0),
        "expected_remaining_periods",
        Some(f64::INFINITY),
    );
    assert!(endless.iter().all(|t| t.is_finite() && *t > 20.0));
}

/// Weibull lifetimes, rounded so that ties occur, against uniform censoring.
fn lifetimes(rows: usize, seed: u64) -> Frame {
    let mut random = Uniform(seed);
    let (mut x, mut t, mut left) = (vec![], vec![], vec![]);
    for _ in 0..rows {
        let effect = random.next() * 2.0 - 1.0;
        let life = cvm_math::pow(-ln(random.next()) * exp(-0.7 * effect), 0.7) * 10.0;
        let look = random.next() * 25.0;
        x.push(effect);
        t.push((life.min(look) * 4.0).ceil() / 4.0);
        left.push(f64::from(u8::from(life <= look)));
    }
    Frame::new(rows)
        .with_numbers("x", x)
        .with_numbers("t", t)
        .with_numbers("left", left)
}

#[test]
fn simulated_effects_are_recovered_and_intervals_cover_them() {
    let settings = json!({ "duration": "t", "event": "left", "numeric_basis": "linear" });
    let robust = json!({
        "duration": "t", "event": "left", "numeric_basis": "linear", "robust": true,
    });
    let mut covered = [0, 0];
    let samples: u64 = 100;
    for seed in 0..samples {
        let frame = lifetimes(300, seed * 7919 + 17);
        for (count, settings) in covered.iter_mut().zip([&settings, &robust]) {
            let report = fit("churn.cox", &frame, settings.clone()).report;
            let (low, high) = report.interval_95(0).unwrap();
            *count += usize::from(low <= 0.7 && 0.7 <= high);
        }
    }
    // 95 expected, four binomial deviations are 9.
    assert!(
        covered.iter().all(|count| *count >= 86),
        "{covered:?} of {samples}"
    );
}

#[test]
fn the_gradient_is_that_of_the_value() {
    use cvm_churn::survival::{CoxDesign, CoxSpec};
    use cvm_core::{Derivatives, Likelihood, Order};
    let frame = rossi().with_numbers("entry", (0..432).map(|i| f64::from(i % 3) * 0.3).collect());
    for ties in ["efron", "breslow"] {
        let mut settings = rossi_settings(json!({ "ties": ties, "entry": "entry" }));
        settings["weight"] = json!("w");
        let weights = (0..432).map(|i| 0.5 + f64::from(i % 5)).collect();
        let frame = frame.clone().with_numbers("w", weights);
        let spec = CoxSpec::from_settings(settings.as_object().cloned().unwrap()).unwrap();
        let prepared = CoxDesign::prepare(&frame.batch().unwrap(), &spec).unwrap();
        let at = |theta: &[f64]| {
            let mut sum = Derivatives::zero(theta.len());
            prepared
                .likelihood
                .accumulate(theta, 0, Order::Hessian, &mut sum);
            sum
        };
        let theta = [0.3, -0.2, 0.5, 0.1, -0.4, 0.2, 0.6];
        let here = at(&theta);
        for i in 0..7 {
            let moved = |step: f64| {
                let mut theta = theta;
                theta[i] += step;
                at(&theta)
            };
            let (up, down) = (moved(1e-5), moved(-1e-5));
            let slope = (up.value - down.value) / 2e-5;
            assert!(
                (slope - here.gradient[i]).abs() < 1e-4 * (1.0 + slope.abs()),
                "{ties} {i}"
            );
            for j in 0..7 {
                let bend = (up.gradient[j] - down.gradient[j]) / 2e-5;
                let own = here.hessian[i * 7 + j];
                assert!(
                    (bend - own).abs() < 1e-5 * (1.0 + own.abs()),
                    "{ties} {i} {j}"
                );
            }
        }
    }
}

/// Coefficients, errors and likelihood with a baseline for each level of work experience are those
/// in lifelines' documentation of `strata` (-0.38, -0.06, 0.31, -0.45, -0.08, 0.09; -580.89), and those
/// of the sums as written; so are the curves and their errors. A file keeps all of it.
#[test]
fn strata_have_a_baseline_each() {
    let fitted = fit(
        "churn.cox",
        &rossi(),
        rossi_settings(json!({ "strata": "wexp" })),
    );
    let report = &fitted.report;
    let names: Vec<&str> = INPUTS.into_iter().filter(|name| *name != "wexp").collect();
    assert_eq!(report.param_names, names);
    near(
        &report.params,
        &known("stratified.coefficients"),
        1e-10,
        "coefficients",
    );
    let errors: Vec<f64> = report.standard_errors.iter().flatten().copied().collect();
    near(&errors, &known("stratified.errors"), 1e-10, "errors");
    near(
        &report.params,
        &known("stratified.peer_coefficients"),
        1e-6,
        "lifelines",
    );
    near(
        &errors,
        &known("stratified.peer_errors"),
        1e-6,
        "errors of lifelines",
    );
    assert!((report.log_likelihood - known("stratified.log_likelihood")[0]).abs() < 1e-9);
    let facts = &fitted.model.training()["data"];
    assert_eq!(facts["strata"]["levels"], json!(["0", "1"]));
    let concordance = facts["concordance"].as_f64().unwrap();
    assert!((concordance - known("stratified.peer_concordance")[0]).abs() < 1e-3);

    let file = fitted.model.encode().unwrap();
    let reference = reference();
    for model in [fitted.model, Model::open(&file).unwrap()] {
        let rows = at_tenure(rossi(), 0.0);
        for (place, t) in [1.0, 10.0, 26.0, 52.0].into_iter().enumerate() {
            let survival = score(&model, &rows, "survival_probability", Some(t));
            let errors = score(&model, &rows, ERROR, Some(t));
            for (number, row) in [0, 1, 100].into_iter().enumerate() {
                let own = &reference["stratified"];
                let want = own["survival"][number][place].as_f64().unwrap();
                assert!((survival[row] - want).abs() < 1e-11, "{row} {t}: {want}");
                if let Some(place) = place.checked_sub(1) {
                    let want = own["curve_errors"][number][place].as_f64().unwrap();
                    assert!(
                        (errors[row] - want).abs() < 1e-6 * want,
                        "{row} {t}: {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_stratum_that_was_never_seen_is_a_row_told_by_name() {
    let mut frame = rossi();
    let plan = column(&frame, "wexp");
    let plans = plan
        .iter()
        .map(|v| Some(if *v > 0.0 { "gold" } else { "basic" }));
    let plans = FrameColumn::from_strings(plans);
    frame.columns.retain(|(name, _)| name != "wexp");
    frame.columns.push(("plan".to_owned(), plans));
    let model = fit(
        "churn.cox",
        &frame,
        rossi_settings(json!({ "strata": "plan" })),
    )
    .model;
    let mut rows = at_tenure(frame, 3.0);
    let strange = [Some("basic"), Some("silver"), None].into_iter();
    let strange = strange
        .chain(std::iter::repeat(Some("gold")))
        .take(rows.row_count);
    rows.columns.retain(|(name, _)| name != "plan");
    rows.columns
        .push(("plan".to_owned(), FrameColumn::from_strings(strange)));
    let options = ScoreOptions {
        horizon_periods: Some(9.0),
        ..ScoreOptions::default()
    };
    let scores = model.score(&rows.batch().unwrap(), &options).unwrap();
    let codes: Vec<&str> = scores.status[..4].iter().map(|s| s.code.name()).collect();
    assert_eq!(codes, ["ok", "unseen_level", "missing", "ok"]);
    assert!(
        scores.issues[0].message.contains("plan"),
        "{}",
        scores.issues[0].message
    );
    assert!(
        scores.issues[0].message.contains("silver"),
        "{}",
        scores.issues[0].message
    );
    assert!(scores.outputs[0].1[1].is_nan() && scores.outputs[0].1[3] < 1.0);
}

#[test]
fn strata_that_teach_nothing_are_refused_by_name() {
    let refused = |more: Value| refusal("churn.cox", &rossi(), rossi_settings(more));
    let of = |message: String, words: &[&str]| {
        let all = words.iter().all(|word| message.contains(word));
        assert!(all, "{message}");
    };
    of(refused(json!({ "strata": "nobody" })), &["nobody"]);
    of(refused(json!({ "strata": "week" })), &["week"]);
    of(
        refused(json!({ "strata": "race", "numeric": ["race"] })),
        &["race"],
    );
    let mut frame = rossi();
    let alone = vec![1.0; frame.row_count];
    frame
        .columns
        .push(("alone".to_owned(), FrameColumn::Numbers(alone)));
    let message = refusal(
        "churn.cox",
        &frame,
        rossi_settings(json!({ "strata": "alone" })),
    );
    of(message, &["strata", "two or more"]);
    // A stratum in which nobody left.
    let left = column(&frame, "arrest");
    let group = FrameColumn::Numbers(left);
    frame.columns.push(("group".to_owned(), group));
    let message = refusal(
        "churn.cox",
        &frame,
        rossi_settings(json!({ "strata": "group" })),
    );
    of(message, &["no event", "stratum `0`", "group"]);
}

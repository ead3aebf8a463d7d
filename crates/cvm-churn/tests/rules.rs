//! The rules inside a model: targets, columns, levels, gaps, unseen levels, refusals, state, probes.

mod common;

use common::{fit, frame, numbers, prepare, score, table, texts};
use cvm_churn::{ChurnError, Logistic, LogisticDesign, LogisticSpec};
use cvm_core::{Frame, FrameColumn, Likelihood, RowCode, Scorer};
use serde_json::json;

fn spec(settings: serde_json::Value) -> LogisticSpec {
    LogisticSpec::from_json(settings).unwrap()
}

fn refusal(frame: &Frame, settings: serde_json::Value) -> String {
    let spec = match LogisticSpec::from_json(settings) {
        Ok(spec) => spec,
        Err(error) => return error.to_string(),
    };
    let result = LogisticDesign::prepare(&frame.batch().unwrap(), &spec);
    result.map(|p| p.names).unwrap_err().to_string()
}

const NAN: f64 = f64::NAN;

/// Ten customers: a number with a gap, a category with a gap, a numeric category.
fn small() -> Frame {
    frame(vec![
        (
            "id",
            texts(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]),
        ),
        (
            "x",
            numbers(&[1.0, 2.0, NAN, 4.0, 5.0, 6.0, 3.0, 2.5, 8.0, 4.5]),
        ),
        (
            "c",
            texts(&["lo", "hi", "lo", "", "mid", "hi", "lo", "mid", "hi", "lo"]),
        ),
        (
            "n",
            numbers(&[1.0, 2.0, 10.0, 2.0, 1.0, -0.0, 0.0, 2.0, 1.0, 2.0]),
        ),
        (
            "y",
            texts(&[
                "Yes", "No", "No", "Yes", "No", "Yes", "No", "Yes", "No", "No",
            ]),
        ),
    ])
}

fn settings() -> serde_json::Value {
    json!({"target": "y", "ignore": ["id"], "categorical": ["c", "n"], "numeric_basis": "linear"})
}

fn with(extra: serde_json::Value) -> serde_json::Value {
    let mut settings = settings();
    let object = settings.as_object_mut().unwrap();
    object.extend(extra.as_object().unwrap().clone());
    settings
}

#[test]
fn columns_are_inferred_and_levels_sorted() {
    let inferred = prepare(
        &small(),
        &spec(json!({"target": "y", "ignore": ["id"],
        "numeric_basis": "linear"})),
    );
    let names = [
        "intercept",
        "x",
        "x[missing]",
        "c=lo",
        "c=mid",
        "c=__missing__",
        "n",
    ];
    assert_eq!(inferred.names, names);
    let listed = prepare(&small(), &spec(settings()));
    let names = [
        "intercept",
        "x",
        "x[missing]",
        "c=lo",
        "c=mid",
        "c=__missing__",
        "n=1",
        "n=10",
        "n=2",
    ];
    assert_eq!(listed.names, names);
    let only = spec(json!({"target": "y", "numeric": ["x"], "categorical": []}));
    assert!(
        prepare(&small(), &only)
            .names
            .iter()
            .all(|n| n == "intercept" || n.starts_with('x'))
    );
}

/// Scores rows that differ from `(x, c, n)` in the cells given.
fn one(model: &Logistic, x: f64, c: &str, n: f64) -> Result<f64, RowCode> {
    let frame = frame(vec![
        ("x", numbers(&[x])),
        ("c", texts(&[c])),
        ("n", numbers(&[n])),
    ]);
    let (p, logit, status) = score(model, &frame.batch().unwrap(), 1);
    assert_eq!(p[0].is_nan(), !status[0].is_ok());
    assert_eq!(logit[0].is_nan(), !status[0].is_ok());
    if status[0].is_ok() {
        Ok(p[0])
    } else {
        Err(status[0].code)
    }
}

#[test]
fn gaps_and_unseen_levels_follow_the_rules() {
    let model = fit(&small(), &spec(settings())).model;
    let usual = one(&model, 3.0, "hi", 0.0).unwrap();
    // The reference level is the first: an unseen one scores like it.
    assert_eq!(one(&model, 3.0, "new", 0.0), Ok(usual));
    assert_eq!(one(&model, 3.0, "hi", 77.0), Ok(usual));
    assert_eq!(one(&model, 3.0, "hi", -0.0), Ok(usual));
    assert_ne!(one(&model, 3.0, "", 0.0), Ok(usual));
    // `n` had no gap in training: a gap takes the most frequent level, 2.
    assert_eq!(one(&model, 3.0, "hi", NAN), one(&model, 3.0, "hi", 2.0));
    // `x` had one: the mean stands in, and missing has its own effect.
    let filled = one(&model, NAN, "hi", 0.0).unwrap();
    assert_ne!(Ok(filled), one(&model, 4.0, "hi", 0.0));
    assert_eq!(
        one(&model, f64::INFINITY, "hi", 0.0),
        Err(RowCode::NotFinite)
    );
    assert_eq!(
        one(&model, 3.0, "hi", f64::NEG_INFINITY),
        Err(RowCode::NotFinite)
    );
    assert_eq!(
        one(&model, f64::MAX, "hi", 0.0).map(|p| p == 0.0 || p == 1.0),
        Ok(true)
    );

    let as_missing = fit(&small(), &spec(with(json!({"unseen": "as_missing"})))).model;
    assert_eq!(
        one(&as_missing, 3.0, "new", 0.0),
        one(&as_missing, 3.0, "", 0.0)
    );
    let imputing = with(json!({"missing_categorical": "impute"}));
    let imputing = fit(&small(), &spec(imputing)).model;
    assert_eq!(one(&imputing, 3.0, "", 0.0), one(&imputing, 3.0, "lo", 0.0));
    let strict = with(json!({"unseen": "reject"}));
    let strict = fit(&small(), &spec(strict)).model;
    assert_eq!(one(&strict, 3.0, "new", 0.0), Err(RowCode::UnseenLevel));
    assert_eq!(one(&strict, 3.0, "hi", 77.0), Err(RowCode::UnseenLevel));
}

#[test]
fn rejecting_gaps_works_in_training_and_scoring() {
    let told = refusal(&small(), with(json!({"missing_numeric": "reject"})));
    assert!(told.starts_with("columns.x: row 2 is missing"), "{told}");
    let told = refusal(&small(), with(json!({"missing_categorical": "reject"})));
    assert!(told.starts_with("columns.c: row 3 is missing"), "{told}");
    let full = frame(vec![
        ("x", numbers(&[1.0, 2.0, 3.0, 4.0])),
        ("c", texts(&["a", "b", "b", "a"])),
        ("y", numbers(&[0.0, 1.0, 0.0, 1.0])),
    ]);
    let reject = json!({"target": "y", "missing_numeric": "reject",
        "missing_categorical": "reject"});
    let model = fit(&full, &spec(reject)).model;
    let gaps = frame(vec![
        ("x", numbers(&[NAN, 1.0, NAN])),
        ("c", texts(&["a", "", ""])),
    ]);
    let (_, _, status) = score(&model, &gaps.batch().unwrap(), 8);
    let blamed: Vec<(RowCode, u16)> = status.iter().map(|s| (s.code, s.field)).collect();
    let missing = RowCode::Missing;
    // The first field at fault is blamed.
    assert_eq!(blamed, [(missing, 0), (missing, 1), (missing, 0)]);
}

#[test]
fn a_number_that_only_goes_missing_keeps_its_indicator() {
    let column = numbers(&[5.0, NAN, 5.0, NAN, 5.0, NAN]);
    let only = frame(vec![
        ("x", column),
        ("y", numbers(&[0.0, 1.0, 0.0, 0.0, 1.0, 1.0])),
    ]);
    let prepared = prepare(&only, &spec(json!({"target": "y"})));
    assert_eq!(prepared.names, ["intercept", "x[missing]"]);
    assert!(
        prepared.warnings[0].contains("column x does not vary"),
        "{:?}",
        prepared.warnings
    );
    let model = fit(&only, &spec(json!({"target": "y"}))).model;
    let rows = frame(vec![("x", numbers(&[5.0, 9.0, NAN]))]);
    let (p, _, _) = score(&model, &rows.batch().unwrap(), 3);
    assert!(p[0] == p[1] && p[2] > p[0], "{p:?}");
}

#[test]
fn columns_far_from_zero_lose_nothing() {
    // Seconds since 1970, days apart: the same model as days, to rounding.
    let days: Vec<f64> = (0..40).map(|i| f64::from((i * 17) % 40)).collect();
    let y: Vec<f64> = (0..40)
        .map(|i| f64::from(u8::from(i % 3 == 0 || i > 30)))
        .collect();
    let probabilities = |values: &[f64]| {
        let frame = frame(vec![("x", numbers(values)), ("y", numbers(&y))]);
        let model = fit(&frame, &spec(json!({"target": "y"}))).model;
        score(&model, &frame.batch().unwrap(), 40).0
    };
    let seconds: Vec<f64> = days.iter().map(|d| 1.7e9 + 86_400.0 * d).collect();
    for (a, b) in probabilities(&days).iter().zip(probabilities(&seconds)) {
        assert!((a - b).abs() < 1e-10, "{a} {b}");
    }
}

#[test]
fn rare_levels_share_a_group() {
    let prepared = prepare(&small(), &spec(with(json!({"min_level_count": 3.0}))));
    let names: Vec<&str> = prepared.names[3..].iter().map(String::as_str).collect();
    assert_eq!(
        names,
        ["c=lo", "c=__other__", "c=__missing__", "n=2", "n=__other__"]
    );
    let model = fit(&small(), &spec(with(json!({"min_level_count": 3.0})))).model;
    assert_eq!(one(&model, 3.0, "hi", 10.0), one(&model, 3.0, "hi", 0.0));
    assert_ne!(one(&model, 3.0, "hi", 10.0), one(&model, 3.0, "hi", 2.0));
    assert_ne!(one(&model, 3.0, "mid", 2.0), one(&model, 3.0, "new", 2.0));
}

#[test]
fn numbers_and_texts_name_the_same_levels() {
    let model = fit(&small(), &spec(settings())).model;
    let rows = [1.0, 2.0, 10.0, 0.0, 3.0];
    let x = || numbers(&[2.0; 5]);
    let c = || texts(&["hi", "lo", "mid", "lo", "hi"]);
    let as_numbers = frame(vec![("x", x()), ("c", c()), ("n", numbers(&rows))]);
    let as_text = frame(vec![
        ("x", x()),
        ("c", c()),
        ("n", texts(&["1", "2", "10", "0", "3"])),
    ]);
    let a = score(&model, &as_numbers.batch().unwrap(), 5);
    let b = score(&model, &as_text.batch().unwrap(), 5);
    assert_eq!(a, b);
}

#[test]
fn targets_are_understood_or_refused() {
    let target = |column: FrameColumn, extra: serde_json::Value| {
        let x = (0..column.len()).map(|i| i as f64 % 3.0).collect();
        let frame = frame(vec![("y", column)]).with_numbers("x", x);
        let mut settings = json!({"target": "y"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let spec = LogisticSpec::from_json(settings)?;
        let prepared = LogisticDesign::prepare(&frame.batch().unwrap(), &spec)?;
        // Churn weight through the base rate of the start.
        let rate = cvm_math::sigmoid(prepared.starts[0][0]);
        Ok::<f64, ChurnError>((rate * prepared.likelihood.weight()).round())
    };
    let texts3 = |a: &str, b: &str| texts(&[a, b, b, b]);
    let none = || json!({});
    assert_eq!(target(numbers(&[1.0, 0.0, 0.0, 0.0]), none()), Ok(1.0));
    assert_eq!(target(texts3("Yes", "No"), none()), Ok(1.0));
    assert_eq!(target(texts3("no", "yes"), none()), Ok(3.0));
    assert_eq!(target(texts3("TRUE", "FALSE"), none()), Ok(1.0));
    assert_eq!(
        target(texts3("left", "stayed"), json!({"positive": "stayed"})),
        Ok(3.0)
    );
    assert_eq!(
        target(numbers(&[2.0, 1.0, 1.0, 1.0]), json!({"positive": 2})),
        Ok(1.0)
    );
    assert_eq!(target(texts3("1", "0"), json!({"positive": true})), Ok(1.0));
    let told = |column, extra| target(column, extra).unwrap_err().to_string();
    let message = told(texts3("left", "stayed"), none());
    assert!(message.contains("set `positive`"), "{message}");
    let message = told(numbers(&[2.0, 1.0, 1.0]), none());
    assert!(
        message.contains("labels [1, 2]: set `positive`"),
        "{message}"
    );
    let message = told(texts3("a", "b"), json!({"positive": "c"}));
    assert!(message.contains("none of which is `c`"), "{message}");
    let message = told(texts(&["a", "b", "c"]), none());
    assert!(message.contains("must have exactly two"), "{message}");
    assert!(told(texts(&["a", "a"]), none()).contains("nothing to separate"));
    assert!(told(texts(&["Yes", "", "No"]), none()).contains("row 1 is null"));
    assert!(told(numbers(&[0.0, 1.0, NAN]), none()).contains("row 2 is NaN"));
    let many: Vec<f64> = (0..100).map(f64::from).collect();
    assert!(told(numbers(&many), none()).contains("more than 32"));
}

#[test]
fn bad_settings_and_columns_are_named() {
    let told = |extra| refusal(&small(), with(extra));
    assert!(told(json!({"penality": 1})).contains("unknown field `penality`"));
    assert_eq!(
        told(json!({"penalty": -1.0})),
        "settings.penalty is -1: must be a finite number >= 0"
    );
    assert!(told(json!({"knots": 2})).contains("settings.knots is 2"));
    assert!(told(json!({"numeric": ["c"], "categorical": []})).contains("columns.c: holds text"));
    assert!(told(json!({"numeric": ["zz"]})).contains("columns.zz: is missing"));
    assert!(told(json!({"target": "zz"})).contains("the batch has [id, x, c, n, y]"));
    assert!(told(json!({"numeric": ["y"]})).contains("settings.columns is y"));
    assert!(
        told(json!({"ignore": [], "categorical": null, "max_levels": 5}))
            .contains("columns.id: has 10 levels, at most 5")
    );
    assert!(told(json!({"weight": "x"})).contains("columns.x: row 2 is NaN"));
    let infinite = frame(vec![
        ("x", numbers(&[1.0, f64::INFINITY])),
        ("y", numbers(&[0.0, 1.0])),
    ]);
    assert!(refusal(&infinite, json!({"target": "y"})).contains("columns.x: row 1 is inf"));
    let flat = frame(vec![
        ("x", numbers(&[1.0, 1.0])),
        ("y", numbers(&[0.0, 1.0])),
    ]);
    assert!(refusal(&flat, json!({"target": "y"})).contains("single value"));
    let empty = frame(vec![("x", numbers(&[])), ("y", numbers(&[]))]);
    assert!(refusal(&empty, json!({"target": "y"})).contains("no rows"));
}

#[test]
fn scores_do_not_depend_on_the_neighbours() {
    let frame = table();
    let model = fit(&frame, &LogisticSpec::new("churn")).model;
    let batch = frame.batch().unwrap();
    let whole = score(&model, &batch, 400);
    for chunk in [1, 3, 64, 399] {
        let parts = score(&model, &batch, chunk);
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&whole.0), bits(&parts.0), "{chunk}");
        assert_eq!(bits(&whole.1), bits(&parts.1), "{chunk}");
    }
    let (p, logit, _) = whole;
    for (p, logit) in p.iter().zip(logit) {
        assert_eq!(p.to_bits(), cvm_math::sigmoid(logit).to_bits());
    }
}

#[test]
fn a_state_comes_back_with_the_same_scores() {
    for settings in [
        settings(),
        with(json!({"unseen": "reject", "min_level_count": 3.0})),
    ] {
        let model = fit(&small(), &spec(settings)).model;
        let state = model.state();
        let back = Logistic::from_state(&state).unwrap();
        assert_eq!(back.state(), state);
        assert_eq!(back.schema(), model.schema());
        let probes = model.probe_rows();
        let batch = probes.batch().unwrap();
        let (a, b) = (score(&model, &batch, 7), score(&back, &batch, 100));
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&a.1), bits(&b.1));
        assert_eq!(a.2, b.2);
    }
}

#[test]
fn probes_reach_every_rule() {
    let frame = table();
    let model = fit(&frame, &LogisticSpec::new("churn")).model;
    let probes = model.probe_rows();
    let (_, _, status) = score(&model, &probes.batch().unwrap(), 50);
    let refused = status
        .iter()
        .filter(|s| s.code == RowCode::NotFinite)
        .count();
    // Two infinities for each of three numbers; every gap and level is accepted.
    assert_eq!(refused, 6);
    assert_eq!(status.iter().filter(|s| !s.is_ok()).count(), 6);
    // Moving any number of the state moves some probe score.
    let state = model.state();
    let (_, before, _) = score(&model, &probes.batch().unwrap(), 50);
    for (which, array) in state.arrays.iter().enumerate() {
        for place in 0..array.values.len() {
            let mut moved = state.clone();
            let value = &mut moved.arrays[which].values[place];
            *value += 1e-6 * value.abs().max(1e-3);
            let moved = Logistic::from_state(&moved).unwrap();
            let (_, after, _) = score(&moved, &probes.batch().unwrap(), 50);
            let same = before
                .iter()
                .zip(&after)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            assert_eq!(same, array.name == "scales", "{} {place}", array.name);
        }
    }
}

#[test]
fn malformed_states_are_refused() {
    let good = fit(&small(), &spec(settings())).model.state();
    let told = |change: &dyn Fn(&mut cvm_core::ModelState)| {
        let mut state = good.clone();
        change(&mut state);
        Logistic::from_state(&state)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    let field = |state: &mut cvm_core::ModelState, place: usize, name: &str, value| {
        state.settings["fields"][place][name] = value;
    };
    assert!(told(&|s| s.kind = "churn.tree".into()).contains("churn.tree"));
    assert!(told(&|s| s.settings.clear()).contains("missing field"));
    assert!(told(&|s| s.arrays.truncate(2)).contains("missing"));
    assert!(told(&|s| s.arrays[1].values[0] = NAN).contains("NaN"));
    assert!(told(&|s| s.arrays[3].values[0] = 0.0).contains("scales hold 0"));
    assert!(told(&|s| s.arrays[4].values.clear()).contains("imputed"));
    assert!(told(&|s| s.arrays[5].values.push(1.0)).contains("longer"));
    assert!(told(&|s| field(s, 0, "knot_count", json!(65))).contains("64 knots"));
    assert!(told(&|s| field(s, 0, "knot_count", json!(3))).contains("too short"));
    assert!(told(&|s| field(s, 1, "groups", json!([0, 1, 9]))).contains("does not exist"));
    assert!(told(&|s| field(s, 1, "groups", json!([0]))).contains("one group per level"));
    assert!(told(&|s| field(s, 1, "levels", json!(["b", "a", "c"]))).contains("sorted"));
    assert!(told(&|s| field(s, 1, "missing_group", json!(null))).contains("disagree"));
    assert!(told(&|s| field(s, 1, "name", json!("x"))).contains("twice"));
    assert!(told(&|s| field(s, 1, "extra", json!(1))).contains("extra"));
    assert!(told(&|s| field(s, 1, "group_names", json!(["a"]))).contains("two groups"));
}

//! Elastic nets, offsets and chosen penalties of the logistic model, beside scikit-learn and
//! statsmodels.

use cvm::table::{CsvOptions, CsvSource, read_csv};
use cvm::{FitOptions, Fitted, Frame, FrameColumn};
use serde_json::{Value, json};
use std::path::Path;

const INPUTS: [&str; 7] = ["fin", "age", "race", "wexp", "mar", "paro", "prio"];

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cvm-churn/tests/data");
    std::fs::read(folder.join(name)).expect("a file of tests/data")
}

fn rossi() -> Frame {
    let source = CsvSource::bytes("rossi.csv", data("rossi.csv"));
    read_csv(&source, &CsvOptions::default()).expect("rossi.csv")
}

fn reference() -> Value {
    serde_json::from_slice(&data("elastic_reference.json")).expect("elastic_reference.json")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn settings(more: Value) -> FitOptions {
    let mut settings = json!({
        "target": "arrest", "numeric_basis": "linear", "ignore": ["week"],
    });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        settings[name] = value;
    }
    FitOptions {
        settings: settings.as_object().cloned().unwrap_or_default(),
        ..FitOptions::default()
    }
}

fn fit(frame: &Frame, more: Value) -> Fitted {
    let batch = frame.batch().expect("columns");
    cvm::fit("churn.logistic", &batch, &settings(more)).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(frame: &Frame, more: Value) -> String {
    let batch = frame.batch().expect("columns");
    match cvm::fit("churn.logistic", &batch, &settings(more)) {
        Ok(_) => panic!("a fit that should be refused"),
        Err(error) => error.to_string(),
    }
}

fn estimate(fitted: &Fitted, name: &str) -> f64 {
    let names = &fitted.report.param_names;
    let place = names.iter().position(|own| own == name);
    fitted.report.params[place.unwrap_or_else(|| panic!("no {name}"))]
}

#[test]
fn elastic_nets_are_those_of_scikit_learn() {
    for net in reference()["nets"].as_array().expect("nets") {
        let fitted = fit(
            &rossi(),
            json!({ "penalty": net["penalty"], "l1_ratio": net["l1_ratio"] }),
        );
        for (name, want) in INPUTS.iter().zip(numbers(&net["coefficients"])) {
            let got = estimate(&fitted, name);
            assert!((got - want).abs() < 1e-6, "{net}: {name} {got}");
            assert_eq!(got == 0.0, want == 0.0, "{net}: {name} {got}");
        }
    }
}

#[test]
fn an_offset_is_added_as_it_is_in_fit_and_score() {
    let frame = rossi();
    let Some(FrameColumn::Numbers(prio)) = frame.get("prio").cloned() else {
        panic!("prio")
    };
    let shift: Vec<f64> = prio.iter().map(|v| 0.1 * v).collect();
    let frame = frame.with_numbers("shift", shift.clone());
    let more = json!({ "penalty": 0.0, "offset": "shift", "ignore": ["week", "prio"] });
    let fitted = fit(&frame, more.clone());
    let known = &reference()["offset"];
    for (name, want) in INPUTS.iter().zip(numbers(&known["coefficients"])) {
        let got = estimate(&fitted, name);
        assert!((got - want).abs() < 1e-8, "{name}: {got} {want}");
    }
    let intercept = estimate(&fitted, "intercept");
    assert!(
        (intercept - known["intercept"].as_f64().unwrap()).abs() < 1e-7,
        "{intercept}"
    );
    let wanted = known["log_likelihood"].as_f64().unwrap();
    assert!((fitted.report.log_likelihood - wanted).abs() < 1e-8);
    assert_eq!(estimate(&fitted, "shift"), 1.0);
    let logits = |frame: &Frame| {
        let options = cvm::ScoreOptions {
            outputs: vec!["logit".to_owned()],
            ..cvm::ScoreOptions::default()
        };
        let scores = fitted
            .model
            .score(&frame.batch().unwrap(), &options)
            .unwrap();
        scores.outputs[0].1.clone()
    };
    let zero = rossi().with_numbers("shift", vec![0.0; frame.row_count]);
    for ((with, without), shift) in logits(&frame).iter().zip(logits(&zero)).zip(&shift) {
        assert!((with - without - shift).abs() < 1e-12);
    }
    let mut gap = shift;
    gap[3] = f64::NAN;
    let frame = rossi().with_numbers("shift", gap);
    let message = refusal(&frame, more);
    assert!(message.contains("columns.shift[3]"), "{message}");
}

#[test]
fn a_path_chooses_a_penalty_and_says_how() {
    for l1_ratio in [0.0, 0.5, 1.0] {
        let path =
            |rule: &str| json!({ "l1_ratio": l1_ratio, "path": { "rule": rule, "count": 25 } });
        let best = fit(&rossi(), path("best"));
        let sparse = fit(&rossi(), path("one_standard_error"));
        let facts = &best.model.training()["data"]["penalty_path"];
        let (penalties, losses) = (numbers(&facts["penalties"]), numbers(&facts["log_loss"]));
        assert_eq!((penalties.len(), losses.len()), (25, 25));
        assert!(penalties.windows(2).all(|pair| pair[0] > pair[1]));
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let chosen = usize::try_from(facts["chosen"].as_u64().unwrap()).unwrap();
        assert_eq!(losses[chosen], least);
        assert_eq!(best.report.penalty, penalties[chosen]);
        assert!(sparse.report.penalty >= best.report.penalty);
        // The largest penalty leaves nothing but the base rate, whose log-loss is the entropy.
        if l1_ratio > 0.0 {
            let none = fit(
                &rossi(),
                json!({ "l1_ratio": l1_ratio, "penalty": penalties[0] * 1.0001 }),
            );
            assert!(INPUTS.iter().all(|name| estimate(&none, name) == 0.0));
            let some = fit(
                &rossi(),
                json!({ "l1_ratio": l1_ratio, "penalty": penalties[0] * 0.9 }),
            );
            assert!(INPUTS.iter().any(|name| estimate(&some, name) != 0.0));
        }
        // The same folds, the same choice.
        assert_eq!(
            fit(&rossi(), path("best")).model.fingerprint(),
            best.model.fingerprint()
        );
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let cases = [
        (json!({ "l1_ratio": 1.5 }), "l1_ratio"),
        (json!({ "path": { "folds": 1 } }), "path.folds"),
        (json!({ "path": { "count": 1 } }), "path.count"),
        (
            json!({ "path": { "smallest_ratio": 1.0 } }),
            "path.smallest_ratio",
        ),
        (json!({ "path": { "depth": 3 } }), "depth"),
        (json!({ "offset": "shift" }), "columns.shift"),
        (json!({ "offset": "age", "numeric": ["age"] }), "age"),
    ];
    for (more, word) in cases {
        let message = refusal(&rossi(), more.clone());
        assert!(message.contains(word), "{more}: {message}");
    }
}

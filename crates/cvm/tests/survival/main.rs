//! Duration models through the door: numbers of other libraries, curves, recovery, refusals.

mod cox;
mod hazard;
mod refusals;
mod weibull;

use cvm::table::{CsvOptions, CsvSource, read_csv};
use cvm::{FitOptions, Fitted, Frame, FrameColumn, Model, ScoreOptions};
use serde_json::{Map, Value, json};
use std::path::Path;

const INPUTS: [&str; 7] = ["fin", "age", "race", "wexp", "mar", "paro", "prio"];

fn data(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cvm-churn/tests/data");
    std::fs::read(folder.join(name)).expect("a file of tests/data")
}

/// 432 men released from prison: weeks to re-arrest.
fn rossi() -> Frame {
    let source = CsvSource::bytes("rossi.csv", data("rossi.csv"));
    read_csv(&source, &CsvOptions::default()).expect("rossi.csv")
}

fn reference() -> Value {
    serde_json::from_slice(&data("survival_reference.json")).expect("survival_reference.json")
}

/// Numbers of the reference at `path`, such as `efron.errors`.
fn known(path: &str) -> Vec<f64> {
    let mut value = reference();
    for part in path.split('.') {
        value = value[part].clone();
    }
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    list.iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn options(settings: Value) -> FitOptions {
    let Value::Object(settings) = settings else {
        panic!("settings are an object")
    };
    FitOptions {
        settings,
        ..FitOptions::default()
    }
}

/// Settings of rossi with `more` on top.
fn rossi_settings(more: Value) -> Value {
    let mut settings: Map<String, Value> = Map::new();
    settings.insert("duration".into(), json!("week"));
    settings.insert("event".into(), json!("arrest"));
    settings.insert("numeric_basis".into(), json!("linear"));
    settings.insert("penalty".into(), json!(0.0));
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        settings.insert(name, value);
    }
    Value::Object(settings)
}

fn fit(kind: &str, frame: &Frame, settings: Value) -> Fitted {
    let batch = frame.batch().expect("columns of a frame");
    cvm::fit(kind, &batch, &options(settings)).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn refusal(kind: &str, frame: &Frame, settings: Value) -> String {
    let batch = frame.batch().expect("columns of a frame");
    match cvm::fit(kind, &batch, &options(settings)) {
        Ok(_) => panic!("{kind}: a fit that should be refused"),
        Err(error) => error.to_string(),
    }
}

fn score(model: &Model, frame: &Frame, output: &str, horizon: Option<f64>) -> Vec<f64> {
    let options = ScoreOptions {
        horizon_periods: horizon,
        outputs: vec![output.to_owned()],
        ..ScoreOptions::default()
    };
    let batch = frame.batch().expect("columns of a frame");
    let scores = model.score(&batch, &options).expect("scores");
    scores.get(output).expect("the output").to_vec()
}

/// The frame with a tenure.
fn at_tenure(mut frame: Frame, tenure: f64) -> Frame {
    let values = vec![tenure; frame.row_count];
    frame
        .columns
        .push(("tenure".to_owned(), FrameColumn::Numbers(values)));
    frame
}

fn column(frame: &Frame, name: &str) -> Vec<f64> {
    match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => values.clone(),
        _ => panic!("no numbers {name}"),
    }
}

fn near(got: &[f64], want: &[f64], rel: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let close = (got - want).abs() <= rel * (1e-3 + want.abs());
        assert!(close, "{what} {i}: {got} and {want}");
    }
}

/// Estimates and errors of the inputs in the order of `INPUTS`.
fn of_inputs(fitted: &Fitted) -> (Vec<f64>, Vec<f64>) {
    let report = &fitted.report;
    let place = |name: &&str| report.param_names.iter().position(|own| own == name);
    let places: Vec<usize> = INPUTS
        .iter()
        .map(|n| place(n).expect("a parameter"))
        .collect();
    let error = |i: &usize| report.standard_errors[*i].unwrap_or(f64::NAN);
    (
        places.iter().map(|i| report.params[*i]).collect(),
        places.iter().map(error).collect(),
    )
}

/// SplitMix64: uniform numbers, the same everywhere.
struct Uniform(u64);

impl Uniform {
    #[allow(clippy::cast_precision_loss)]
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

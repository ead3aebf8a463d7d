//! Bad input to churn models, plain and calibrated: matched by name, answered by stated policy.

use cvm::{
    CalibrationMethod, CalibrationRows, Column, FitOptions, Frame, FrameColumn, ImportOptions,
    Model, RowCode, ScoreOptions, Scores,
};
use serde_json::json;

const ROWS: usize = 400;

/// A number, a flag, a plan, and who left.
fn training() -> Frame {
    let fee = (0..ROWS).map(|i| ((i * 37) % 101) as f64).collect();
    let flag = (0..ROWS).map(|i| ((i * 7) % 2) as f64).collect();
    let plan = |i: usize| ["basic", "gold", "plus"][(i * 11) % 3];
    let left = |i: usize| (i * 61) % 97 < (i * 37) % 101;
    let mut frame = Frame::new(ROWS)
        .with_numbers("fee", fee)
        .with_numbers("flag", flag);
    let plans = FrameColumn::from_strings((0..ROWS).map(|i| Some(plan(i))));
    frame.columns.push(("plan".to_owned(), plans));
    let left = (0..ROWS).map(|i| f64::from(u8::from(left(i)))).collect();
    frame.with_numbers("left", left)
}

fn logistic(unseen: &str) -> Model {
    let settings = json!({ "target": "left", "categorical": ["flag", "plan"], "unseen": unseen });
    let options = FitOptions {
        settings: settings.as_object().cloned().unwrap_or_default(),
        ..FitOptions::default()
    };
    let frame = training();
    let batch = frame.batch().expect("columns");
    cvm::fit("churn.logistic", &batch, &options)
        .expect("a fit")
        .model
}

fn trees() -> Model {
    let text = include_bytes!("../../../tests/golden/sources/lightgbm_binary.txt");
    cvm::import("lightgbm", text, &ImportOptions::default()).expect("a model of LightGBM")
}

/// The model with a calibrator that asks nothing of its rows.
fn calibrated(model: &Model) -> Model {
    let probabilities: Vec<f64> = (0..ROWS).map(|i| ((i * 37) % 101) as f64 / 101.0).collect();
    let churned: Vec<bool> = (0..ROWS).map(|i| (i * 61) % 97 < (i * 37) % 101).collect();
    let rows = CalibrationRows {
        churned: &churned,
        weights: None,
    };
    let method = Some(CalibrationMethod::Isotonic);
    model
        .calibrated_on(&probabilities, rows, method)
        .expect("a calibrator")
}

fn score(model: &Model, frame: &Frame) -> Result<Scores, cvm::Error> {
    let batch = frame.batch().expect("columns");
    model.score(&batch, &ScoreOptions::default())
}

/// Bits of every output.
fn bits(scores: &Scores) -> Vec<Vec<u64>> {
    let of = |values: &Vec<f64>| values.iter().map(|v| v.to_bits()).collect();
    scores
        .outputs
        .iter()
        .map(|(_, values)| of(values))
        .collect()
}

fn codes(scores: &Scores) -> Vec<RowCode> {
    scores.status.iter().map(|status| status.code).collect()
}

/// A row has a score or a reason, never neither and never both.
fn check_rows(scores: &Scores) {
    for (row, status) in scores.status.iter().enumerate() {
        for (name, values) in &scores.outputs {
            assert_eq!(
                values[row].is_nan(),
                !status.is_ok(),
                "{name} of row {row}: {status:?}"
            );
        }
    }
}

fn texts(values: &[Option<&str>]) -> FrameColumn {
    FrameColumn::from_strings(values.iter().copied())
}

fn rows_of(fee: &[f64], flag: &[f64], plan: &[Option<&str>]) -> Frame {
    let mut frame = Frame::new(fee.len())
        .with_numbers("fee", fee.to_vec())
        .with_numbers("flag", flag.to_vec());
    frame.columns.push(("plan".to_owned(), texts(plan)));
    frame
}

fn both(unseen: &str) -> [Model; 2] {
    let plain = logistic(unseen);
    let after = calibrated(&plain);
    [plain, after]
}

#[test]
fn missing_columns_are_all_named_and_wrong_types_too() {
    let frame = Frame::new(1).with_numbers("flag", vec![1.0]);
    for model in both("reference") {
        let error = score(&model, &frame).expect_err("columns are missing");
        let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["columns.fee", "columns.plan"]);
        let mut text = rows_of(&[1.0], &[1.0], &[Some("gold")]);
        text.columns[0].1 = texts(&[Some("12")]);
        let error = score(&model, &text).expect_err("text for a number");
        assert!(error.message.contains("columns.fee: holds text"), "{error}");
    }
}

#[test]
fn columns_go_by_name_and_levels_by_text() {
    let plans = [Some("plus"), Some("basic"), Some("gold")];
    let frame = rows_of(&[5.0, 50.0, 95.0], &[0.0, 1.0, 1.0], &plans);
    let mut other = frame.clone();
    other.columns.reverse();
    other = other.with_numbers("unknown", vec![f64::NAN; 3]);
    for (_, column) in &mut other.columns {
        if let FrameColumn::Text { dictionary, codes } = column {
            // Another order of levels, as another table would code them; one is not used.
            *dictionary = ["gold", "never", "plus", "basic"]
                .map(str::to_owned)
                .to_vec();
            *codes = vec![2, 3, 0];
        }
    }
    for model in both("reference") {
        let (one, two) = (score(&model, &frame), score(&model, &other));
        assert_eq!(bits(&one.expect("scores")), bits(&two.expect("scores")));
    }
}

#[test]
fn a_flag_may_be_a_number_or_its_text_but_not_another_word() {
    let numbers = rows_of(&[5.0, 50.0], &[0.0, 1.0], &[Some("plus"), Some("gold")]);
    let mut as_text = numbers.clone();
    as_text.columns[1].1 = texts(&[Some("0"), Some("1")]);
    let mut as_words = numbers.clone();
    as_words.columns[1].1 = texts(&[Some("False"), Some("True")]);
    for model in both("reject") {
        let want = score(&model, &numbers).expect("scores");
        assert_eq!(bits(&want), bits(&score(&model, &as_text).expect("scores")));
        let words = score(&model, &as_words).expect("statuses");
        assert_eq!(codes(&words), [RowCode::UnseenLevel; 2]);
        assert!(
            words.issues[0].message.contains("False"),
            "{:?}",
            words.issues
        );
        check_rows(&words);
    }
}

#[test]
fn gaps_unseen_levels_and_huge_numbers_go_by_rule() {
    let fee = [f64::NAN, 1e300, -1e300, f64::INFINITY, 50.0, 50.0, f64::MAX];
    let plan = [
        Some("gold"),
        Some("gold"),
        Some("gold"),
        Some("gold"),
        None,
        Some("new"),
        Some("gold"),
    ];
    let frame = rows_of(&fee, &[1.0; 7], &plan);
    for model in both("reference") {
        let scores = score(&model, &frame).expect("scores");
        check_rows(&scores);
        let codes = codes(&scores);
        assert_eq!(codes[0], RowCode::Ok, "the stand-in");
        assert!(matches!(codes[1], RowCode::Ok | RowCode::Undefined));
        assert_eq!(codes[3], RowCode::NotFinite);
        assert_eq!((codes[4], codes[5]), (RowCode::Ok, RowCode::Ok));
        let p = scores.get("churn_probability").expect("a probability");
        let sound = p
            .iter()
            .filter(|p| !p.is_nan())
            .all(|p| (0.0..=1.0).contains(p));
        assert!(sound, "{p:?}");
    }
    for model in both("reject") {
        assert_eq!(
            codes(&score(&model, &frame).expect("scores"))[5],
            RowCode::UnseenLevel
        );
    }
}

#[test]
fn imported_trees_answer_as_their_library_and_keep_it_when_calibrated() {
    let plain = trees();
    let names: Vec<String> = plain
        .schema()
        .fields
        .iter()
        .map(|f| f.name.clone())
        .collect();
    let strange = [0.0, -0.0, 1e300, -1e300, f64::NAN, 5e-324, f64::MAX];
    let mut frame = Frame::new(strange.len());
    for name in &names {
        frame = frame.with_numbers(name.clone(), strange.to_vec());
    }
    let after = calibrated(&plain);
    let (one, two) = (score(&plain, &frame), score(&after, &frame));
    let (one, two) = (one.expect("scores"), two.expect("scores"));
    assert_eq!(codes(&one), codes(&two));
    check_rows(&one);
    check_rows(&two);
    let raw = |scores: &Scores| scores.get("raw_score").map(<[f64]>::to_vec);
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    let (one, two) = (
        raw(&one).expect("raw scores"),
        raw(&two).expect("raw scores"),
    );
    assert!(one.iter().zip(&two).all(|(a, b)| same(a, b)));
    frame.columns.pop();
    let error = score(&after, &frame).expect_err("one column less");
    assert_eq!(error.violations.len(), 1);
    assert!(error.message.contains(&names[names.len() - 1]), "{error}");
}

/// The file of a calibrated model is opened by the one way there is, and gives its bits again.
#[test]
fn a_calibrated_file_opens_and_damage_to_its_calibrator_is_refused() {
    let model = calibrated(&logistic("reference"));
    let bytes = model.encode().expect("bytes");
    let again = Model::open(&bytes).expect("its own file");
    assert_eq!(again.fingerprint(), model.fingerprint());
    let plans = [Some("plus"), Some("basic")];
    let frame = rows_of(&[5.0, 50.0], &[0.0, 1.0], &plans);
    let (one, two) = (score(&model, &frame), score(&again, &frame));
    assert_eq!(bits(&one.expect("scores")), bits(&two.expect("scores")));
    let probe = again.probe();
    let stored: Vec<&str> = probe.scores.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        stored,
        ["churn_probability", "logit", "uncalibrated_probability"]
    );
    let plain = again.uncalibrated().expect("the model within");
    assert_eq!(plain.outputs().len(), 2);
    assert!(plain.calibration().is_none() && again.calibration().is_some());
    let mut columns = again
        .schema()
        .fields
        .iter()
        .map(|field| field.name.as_str());
    assert!(columns.all(|name| frame.get(name).is_some()));
    assert!(matches!(
        frame.get("plan").map(FrameColumn::view),
        Some(Column::Text(_))
    ));
}

/// A fitted churn model knows what its training rows looked like, and nothing of single ones.
#[test]
fn drift_is_told_by_field() {
    let model = logistic("reference");
    let frame = training();
    let batch = frame.batch().expect("columns");
    let same = model.drift(&batch).expect("a report");
    assert_eq!(same.fields.len(), 3);
    assert!(
        same.fields
            .iter()
            .all(|field| field.psi == 0.0 && field.level.name() == "stable")
    );
    let mut moved = frame.clone();
    if let FrameColumn::Numbers(fee) = &mut moved.columns[0].1 {
        fee.iter_mut().for_each(|fee| *fee = f64::NAN);
    }
    let batch = moved.batch().expect("columns");
    let report = model.drift(&batch).expect("a report");
    assert_eq!(report.fields[0].level.name(), "alarm");
    assert_eq!(report.fields[0].missing_now, 1.0);
    assert_eq!(report.fields[1].level.name(), "stable");
    let error = trees().drift(&batch).expect_err("no profile");
    assert!(error.message.contains("has no profile"), "{error}");
}

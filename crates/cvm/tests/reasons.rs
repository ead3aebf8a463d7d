//! Reasons beside scores: they are the largest attributions, in the words of the dictionary.

use cvm::{
    Batch, Error, ExplainMethod, ExplainOptions, FeatureDictionary, Frame, FrameColumn,
    ImportOptions, Model, ReasonDirection, ReasonOptions, Reasons, ScoreOptions,
};
use serde_json::{Map, json};

/// A LightGBM model over fee, tenure and calls of the golden corpus.
fn model() -> Model {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/sources/lightgbm_binary.txt"
    );
    let text = std::fs::read(source).expect("a model of the golden corpus");
    cvm::import("lightgbm", &text, &ImportOptions::default()).expect("an import")
}

fn rows(model: &Model, count: usize) -> Frame {
    let mut frame = Frame::new(count);
    for (place, field) in model.schema().fields.iter().enumerate() {
        let cell = |row: usize| match (row * 7 + place) % 11 {
            0 => f64::NAN,
            step => (step * (place + 1) * 9) as f64 - 20.0 + (row % 13) as f64,
        };
        let values = (0..count).map(cell).collect();
        frame
            .columns
            .push((field.name.clone(), FrameColumn::Numbers(values)));
    }
    frame
}

fn told(model: &Model, batch: &Batch<'_>, asked: ReasonOptions) -> Result<Reasons, Error> {
    let options = ScoreOptions {
        reasons: Some(asked),
        ..ScoreOptions::default()
    };
    let scores = model.score(batch, &options)?;
    let plain = model.score(batch, &ScoreOptions::default())?;
    let bits = |scores: &cvm::Scores| -> Vec<u64> {
        scores
            .outputs
            .iter()
            .flat_map(|(_, v)| v.iter().map(|v| v.to_bits()))
            .collect()
    };
    assert_eq!(bits(&scores), bits(&plain), "reasons change no score");
    assert_eq!(plain.reasons, None);
    Ok(scores.reasons.expect("reasons were asked for"))
}

fn asked(count: u32) -> ReasonOptions {
    ReasonOptions {
        count,
        ..ReasonOptions::default()
    }
}

#[test]
fn reasons_are_the_largest_attributions() {
    let model = model();
    let frame = rows(&model, 60);
    let batch = frame.batch().unwrap();
    let found = model.explain(&batch, &ExplainOptions::default()).unwrap();
    let fields = model.schema().fields.len();
    let reasons = told(&model, &batch, asked(2)).unwrap();
    assert!(reasons.method.contains("TreeSHAP"), "{}", reasons.method);
    assert_eq!(reasons.rows.len(), 60);
    for (row, own) in reasons.rows.iter().enumerate() {
        let values = &found.values[row * fields..(row + 1) * fields];
        let mut sizes: Vec<f64> = values.iter().copied().filter(|v| *v != 0.0).collect();
        sizes.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
        sizes.truncate(2);
        let got: Vec<f64> = own.iter().map(|reason| reason.contribution).collect();
        assert_eq!(got, sizes, "row {row}");
        for reason in own {
            let place = model.schema().position(&reason.name).expect("a field");
            assert_eq!(reason.contribution, values[place]);
            let verb = if reason.contribution > 0.0 {
                "raises"
            } else {
                "lowers"
            };
            assert!(reason.text.starts_with(&reason.name), "{}", reason.text);
            assert!(
                reason.text.ends_with(&format!("{verb} the risk")),
                "{}",
                reason.text
            );
        }
    }
    let raises = told(
        &model,
        &batch,
        ReasonOptions {
            direction: ReasonDirection::Raises,
            ..asked(9)
        },
    );
    let all = raises.unwrap().rows.concat();
    assert!(!all.is_empty() && all.iter().all(|reason| reason.contribution > 0.0));
}

/// Words for the first field, and a group of the two others.
fn words(names: &[String]) -> FeatureDictionary {
    FeatureDictionary::from_json(json!({
        "fields": {
            &names[0]: {"label": "First", "raises": "{label} up: {value}", "lowers": "{field} down",
                        "actionable": false},
            &names[1]: {"group": "rest"},
            &names[2]: {"group": "rest"},
        },
        "groups": {"rest": {"label": "The rest", "raises": "{label} through {field}"}},
    }))
    .unwrap()
}

#[test]
fn the_dictionary_names_groups_and_filters() {
    let names: Vec<String> = model()
        .schema()
        .fields
        .iter()
        .map(|f| f.name.clone())
        .collect();
    let words = words(&names);
    let plain = model();
    let print = plain.fingerprint();
    let worded = plain.with_dictionary(&words).unwrap();
    assert_ne!(worded.fingerprint(), print);
    // It is in the file, and other facts do not push it out.
    let bytes = worded.with_metadata(Map::new()).unwrap().encode().unwrap();
    let worded = Model::open(&bytes).unwrap();
    assert_eq!(
        worded.dictionary(),
        Some(&serde_json::to_value(&words).unwrap())
    );

    let frame = rows(&worded, 200);
    let batch = frame.batch().unwrap();
    let found = worded.explain(&batch, &ExplainOptions::default()).unwrap();
    let reasons = told(&worded, &batch, asked(9)).unwrap();
    let mut seen = [0; 4];
    for (own, values) in reasons
        .rows
        .iter()
        .zip(found.values.chunks_exact(names.len()))
    {
        for reason in own {
            let raises = reason.contribution > 0.0;
            let text = reason.text.as_str();
            if reason.name == "rest" {
                let sum: f64 = values[1..].iter().sum();
                assert_eq!(reason.contribution, sum);
                let most = if (values[1] >= values[2]) == raises || values[1] == values[2] {
                    1
                } else {
                    2
                };
                match raises {
                    true => assert_eq!(text, format!("The rest through {}", names[most])),
                    false => assert_eq!(text, "The rest lowers the risk"),
                }
                seen[usize::from(raises)] += 1;
            } else {
                assert_eq!(reason.contribution, values[0]);
                match raises {
                    true => assert!(text.starts_with("First up: "), "{text}"),
                    false => assert_eq!(text, format!("{} down", names[0])),
                }
                seen[2 + usize::from(raises)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    let options = ReasonOptions {
        only_actionable: true,
        ..asked(9)
    };
    let actionable = told(&worded, &batch, options).unwrap().rows.concat();
    assert!(!actionable.is_empty() && actionable.iter().all(|reason| reason.name == "rest"));
}

#[test]
fn a_missing_value_is_said_to_be_missing() {
    let model = model();
    let frame = rows(&model, 200);
    let batch = frame.batch().unwrap();
    let reasons = told(&model, &batch, asked(3)).unwrap().rows.concat();
    let missing = reasons
        .iter()
        .filter(|reason| reason.text.contains(" is missing: "))
        .count();
    assert!(missing > 0 && missing < reasons.len(), "{missing}");
}

#[test]
fn threads_and_ways_do_not_change_what_adds_up() {
    let model = model();
    let frame = rows(&model, 700);
    let batch = frame.batch().unwrap();
    let background = rows(&model, 30);
    let background = background.batch().unwrap();
    for (method, background) in [
        (ExplainMethod::Exact, None),
        (ExplainMethod::Approximate, None),
        (ExplainMethod::Interventional, Some(&background)),
    ] {
        let explain = |threads| {
            let options = ExplainOptions {
                method,
                background,
                threads,
            };
            model.explain(&batch, &options).unwrap()
        };
        let (one, four) = (explain(1), explain(4));
        assert_eq!(one.status, four.status);
        let same = one
            .values
            .iter()
            .zip(&four.values)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same && one.base == four.base, "{method:?}");
        let raw = model.score(&batch, &ScoreOptions::default()).unwrap();
        let raw = raw.get("raw_score").unwrap();
        let rows = one.values.chunks_exact(model.schema().fields.len());
        for (values, raw) in rows.zip(raw) {
            let sum = one.base[0] + values.iter().sum::<f64>();
            assert!((sum - raw).abs() < 1e-12, "{method:?}: {sum} is not {raw}");
        }
    }
}

#[test]
fn what_cannot_be_told_is_refused() {
    let frame = rows(&model(), 3);
    let batch = frame.batch().unwrap();
    let error = told(&model(), &batch, asked(0)).unwrap_err();
    assert_eq!(error.violations[0].field, "options.reasons.count");
    let words = json!({"fields": {"no such field": {}}});
    let words = FeatureDictionary::from_json(words).unwrap();
    let error = model().with_dictionary(&words).unwrap_err();
    assert!(
        error.message.contains("is no field of the model"),
        "{error}"
    );
    let params = [("r", 0.243), ("alpha", 4.414), ("a", 0.793), ("b", 2.426)];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    let buys = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
    let frame = Frame::new(1)
        .with_numbers("frequency", vec![2.0])
        .with_numbers("recency", vec![3.0])
        .with_numbers("T", vec![9.0]);
    let options = ScoreOptions {
        horizon_periods: Some(4.0),
        reasons: Some(asked(1)),
        ..ScoreOptions::default()
    };
    let error = buys.score(&frame.batch().unwrap(), &options).unwrap_err();
    assert!(error.message.contains("has no attributions"), "{error}");
}

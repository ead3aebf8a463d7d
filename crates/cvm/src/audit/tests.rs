//! Records come back in every bit, say what changed, and a log is read past what is broken in it.

use super::{AuditLine, AuditParts, AuditReader, AuditRecord, Expected, Sample, inputs_digest};
use crate::{Model, from_params};
use cvm_core::{ErrorKind, Frame, FrameColumn, RowCode, ScoreOptions, TimeUnit};

fn model(r: f64) -> Model {
    let params = [("r", r), ("alpha", 4.4136), ("a", 0.7929), ("b", 2.4259)];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    from_params("clv.bg_nbd", &params, Some(TimeUnit::Week)).unwrap()
}

/// Rows of which one is missing a value, with a column of text that the model does not ask for.
fn frame() -> Frame {
    let mut frame = Frame::new(3)
        .with_numbers("frequency", vec![2.0, 0.0, f64::NAN])
        .with_numbers("recency", vec![30.43, -0.0, 1.0])
        .with_numbers(
            "T",
            vec![38.86, 38.86, f64::from_bits(0x7ff8_0000_0000_0001)],
        );
    let dictionary = ["never", "b", "a"].map(str::to_owned).to_vec();
    let codes = vec![2, -1, 1];
    let text = FrameColumn::Text { dictionary, codes };
    frame.columns.push(("plan".to_owned(), text));
    frame
}

fn parts(model: &Model) -> AuditParts {
    let options = ScoreOptions {
        horizon_periods: Some(f64::INFINITY),
        discount_rate_per_year: Some(0.1),
        outputs: ["p_alive", "expected_purchases"]
            .map(str::to_owned)
            .to_vec(),
        ..Default::default()
    };
    let frame = frame();
    let scores = model.score(&frame.batch().unwrap(), &options).unwrap();
    let outputs = scores.outputs.into_iter();
    AuditParts {
        time: "2026-11-27T10:49:49.123Z".to_owned(),
        model_version: "models/retail/versions/7".to_owned(),
        fingerprint: model.fingerprint().to_string(),
        kind: model.kind().to_owned(),
        request_id: "nightly".to_owned(),
        rows: vec![4, 17, 18],
        row_keys: ["c1", "c2", "c3"].map(str::to_owned).to_vec(),
        options,
        frame,
        scores: Expected {
            outputs: outputs
                .map(|(name, values)| (name.to_owned(), values))
                .collect(),
            statuses: scores.status.iter().map(|status| status.code).collect(),
        },
    }
}

#[test]
fn a_record_comes_back_from_its_line_and_replays_in_every_bit() {
    let model = model(0.2426);
    let parts = parts(&model);
    assert!(parts.scores.statuses.contains(&RowCode::Missing));
    let (options, frame) = (parts.options.clone(), parts.frame.clone());
    let record = AuditRecord::new(parts, true);
    let line = record.to_line().unwrap();
    assert!(!line.contains("never"), "a text that no row has: {line}");
    let back = AuditRecord::parse(&line).unwrap();
    assert_eq!(back.to_line().unwrap(), line);
    assert_eq!(back.options().unwrap(), options);
    assert_eq!(
        inputs_digest(&back.frame(None).unwrap()),
        inputs_digest(&frame)
    );
    let replay = back.replay(&model, None).unwrap();
    assert_eq!((replay.row_count, replay.differing_row_count), (3, 0));
}

#[test]
fn one_bit_of_a_score_or_another_status_is_a_difference() {
    let model = model(0.2426);
    let mut parts = parts(&model);
    let score = &mut parts.scores.outputs[0].1[1];
    *score = f64::from_bits(score.to_bits() ^ 1);
    parts.scores.statuses[0] = RowCode::NotCovered;
    let replay = AuditRecord::new(parts, true).replay(&model, None).unwrap();
    assert_eq!(
        (replay.differing_row_count, replay.differences.len()),
        (2, 2)
    );
    let told = &replay.differences[0];
    assert_eq!((told.row, told.output.as_str()), (1, "p_alive"));
    assert_ne!(told.expected, told.found);
    assert_eq!(replay.differences[1].expected, "not_covered");
}

#[test]
fn inputs_are_held_against_their_digest() {
    let model = model(0.2426);
    let record = AuditRecord::new(parts(&model), false);
    let line = record.to_line().unwrap();
    assert!(
        !line.contains("row_keys") && !line.contains("plan"),
        "{line}"
    );
    assert_eq!(
        record.replay(&model, None).unwrap_err().kind,
        ErrorKind::InvalidInput
    );
    assert_eq!(
        record
            .replay(&model, Some(frame()))
            .unwrap()
            .differing_row_count,
        0
    );
    let mut other = frame();
    if let FrameColumn::Text { codes, .. } = &mut other.columns[3].1 {
        codes[1] = 0;
    }
    assert_eq!(
        record.replay(&model, Some(other)).unwrap_err().kind,
        ErrorKind::Corrupt
    );
    let whole = AuditRecord::new(parts(&model), true);
    let changed = whole
        .to_line()
        .unwrap()
        .replacen("4000000000000000", "4000000000000001", 1);
    let changed = AuditRecord::parse(&changed).unwrap();
    assert_eq!(
        changed.replay(&model, None).unwrap_err().kind,
        ErrorKind::Corrupt
    );
    let error = whole.replay(&self::model(0.3), None).unwrap_err();
    assert!(error.message.contains("fingerprint"), "{error}");
}

/// The digest as the module says it is, computed by other means (Python's hashlib):
/// `sha256(b"".join([n(1), n(1), b"T", b"n", struct.pack(">d", 38.86), n(4), b"plan", b"t", n(1), b"a"]))`
/// with `n = lambda count: count.to_bytes(8, "big")`.
#[test]
fn the_digest_of_inputs_is_the_documented_one() {
    let mut frame = Frame::new(1);
    let text = FrameColumn::from_strings([Some("a")]);
    frame.columns.push(("plan".to_owned(), text));
    let frame = frame.with_numbers("T", vec![38.86]);
    assert_eq!(inputs_digest(&frame), DIGEST);
}

const DIGEST: &str = "bd52ea3e901711f6aea747f38bbac8c88085a514e691f32b54385c235261e536";

#[test]
fn what_is_no_record_is_told_and_the_rest_is_read() {
    let line = AuditRecord::new(parts(&model(0.2426)), true)
        .to_line()
        .unwrap();
    let torn = &line[..line.len() / 2];
    let whole = line.trim_end();
    let of = |text: &str| -> Vec<AuditLine> {
        let lines = AuditReader::new(text.as_bytes());
        lines.map(Result::unwrap).collect()
    };
    let log = of(&format!("{line}{torn}\n{line}{torn}"));
    assert!(matches!(
        log.as_slice(),
        [
            AuditLine::Record(_),
            AuditLine::Unreadable(_),
            AuditLine::Record(_),
            AuditLine::Torn
        ]
    ));
    assert!(matches!(of(whole).as_slice(), [AuditLine::Record(_)]));
    for wrong in [
        line.replace("cvm-audit/1", "cvm-audit/2"),
        line.replace("\"rows\":[4,17,18]", "\"rows\":[4]"),
        line.replace("\"row_count\":3", "\"row_count\":2"),
        line.replacen("\"numbers\":\"", "\"numbers\":\"+", 1),
        "{}\n".to_owned(),
        "\n".to_owned(),
    ] {
        assert!(
            matches!(of(&wrong).as_slice(), [AuditLine::Unreadable(_)]),
            "{wrong}"
        );
    }
    for (text, wrong) in [("39", "\"x\""), ("0.1", "[]")] {
        let record = line
            .replace("\"inf\"", text)
            .replace(&format!(":{text}"), &format!(":{wrong}"));
        assert!(
            AuditRecord::parse(&record).unwrap().options().is_err(),
            "{record}"
        );
    }
}

/// Places by the same steps in Python, see docs/guide/serving.md.
#[test]
fn a_sample_is_the_documented_share_and_always_the_same() {
    let share = Sample::new(0.01).unwrap();
    let taken: Vec<usize> = (0..1_000)
        .filter(|n| share.has(&format!("c-{n}")))
        .collect();
    assert_eq!(taken, TAKEN);
    let all = Sample::new(1.0).unwrap();
    assert!(all.is_all() && all.has("x") && all.has_number(3));
    let half = Sample::new(0.5).unwrap();
    let count = (0..10_000).filter(|n| half.has_number(*n)).count();
    assert!((4_800..5_200).contains(&count), "{count}");
    for wrong in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert!(Sample::new(wrong).is_err(), "{wrong}");
    }
}

const TAKEN: &[usize] = &[
    6, 77, 168, 258, 350, 352, 451, 582, 617, 670, 705, 806, 839, 900, 957,
];

//! What duration models refuse, by name.

use super::*;

const KINDS: [&str; 3] = ["churn.hazard", "churn.cox", "churn.weibull"];

fn with(frame: Frame, name: &str, row: usize, value: f64) -> Frame {
    let mut frame = frame;
    for (own, column) in &mut frame.columns {
        if let (true, FrameColumn::Numbers(values)) = (own == name, column) {
            values[row] = value;
        }
    }
    frame
}

fn names(message: &str, words: &[&str], what: &str) {
    for word in words {
        assert!(message.contains(word), "{what}: `{word}` in: {message}");
    }
}

#[test]
fn times_that_are_none_are_refused_by_row() {
    for kind in KINDS {
        for value in [f64::NAN, -1.0, f64::INFINITY, 1e13] {
            let frame = with(rossi(), "week", 3, value);
            let message = refusal(kind, &frame, rossi_settings(json!({})));
            names(&message, &["columns.week[3]", "from 0 to 1e12"], kind);
        }
        let frame = with(with(rossi(), "week", 4, 0.0), "arrest", 4, 1.0);
        let message = refusal(kind, &frame, rossi_settings(json!({})));
        names(&message, &["columns.week[4]", "no time at risk"], kind);
        let late = rossi().with_numbers("entry", vec![60.0; 432]);
        let message = refusal(kind, &late, rossi_settings(json!({ "entry": "entry" })));
        names(
            &message,
            &["columns.week[0]", "not before the row's entry"],
            kind,
        );
    }
    let half = rossi().with_numbers("entry", vec![0.5; 432]);
    let message = refusal(
        "churn.hazard",
        &half,
        rossi_settings(json!({ "entry": "entry" })),
    );
    names(
        &message,
        &["columns.entry[0]", "whole number of periods"],
        "entry",
    );
    let long = with(rossi(), "week", 0, 2e4);
    let message = refusal("churn.hazard", &long, rossi_settings(json!({})));
    names(&message, &["columns.week[0]", "period_length"], "long");
}

#[test]
fn layouts_and_roles_that_clash_are_refused() {
    let cases = [
        (
            json!({ "stop": "week" }),
            vec!["settings.times", "duration, stop"],
        ),
        (json!({ "duration": null }), vec!["settings.times"]),
        (
            json!({ "duration": "arrest" }),
            vec!["settings.columns", "arrest"],
        ),
        (
            json!({ "numeric": ["week", "age"] }),
            vec!["settings.columns", "week"],
        ),
        (
            json!({ "duration": "weeks" }),
            vec!["columns.weeks", "is missing"],
        ),
        (json!({ "event": null }), vec!["settings.event"]),
        (
            json!({ "target": "arrest" }),
            vec!["settings.target", "event"],
        ),
        (json!({ "colour": 1 }), vec!["unknown field `colour`"]),
        (json!({ "penalty": -1.0 }), vec!["settings.penalty"]),
    ];
    for kind in KINDS {
        for (more, words) in &cases {
            let message = refusal(kind, &rossi(), rossi_settings(more.clone()));
            names(&message, words, kind);
        }
        // A Weibull law has no end of its data to go on from.
        let word = match kind {
            "churn.weibull" => "unknown field `tail`",
            _ => "unknown variant `rising`",
        };
        let rising = rossi_settings(json!({ "tail": "rising" }));
        names(&refusal(kind, &rossi(), rising), &[word], kind);
    }
    let message = refusal(
        "churn.cox",
        &rossi(),
        rossi_settings(json!({ "id": "prio" })),
    );
    names(&message, &["settings.id", "robust"], "id");
    for (name, value) in [
        ("period_length", 0.0),
        ("min_period_events", -2.0),
        ("baseline_knots", 9.0),
    ] {
        #[allow(clippy::cast_possible_truncation)]
        let value = if name == "baseline_knots" {
            json!(value as i64)
        } else {
            json!(value)
        };
        let message = refusal(
            "churn.hazard",
            &rossi(),
            rossi_settings(json!({ name: value })),
        );
        names(&message, &[&format!("settings.{name}")], name);
    }
}

#[test]
fn events_that_teach_nothing_are_refused() {
    for kind in KINDS {
        let mut frame = rossi();
        for row in 0..frame.row_count {
            frame = with(frame, "arrest", row, 0.0);
        }
        let message = refusal(kind, &frame, rossi_settings(json!({})));
        names(&message, &["arrest", "event"], kind);
        let frame = with(rossi(), "arrest", 7, 2.0);
        let message = refusal(kind, &frame, rossi_settings(json!({})));
        names(&message, &["arrest", "at most two"], kind);
        let frame = with(rossi(), "arrest", 7, f64::NAN);
        let message = refusal(kind, &frame, rossi_settings(json!({})));
        names(&message, &["columns.arrest[7]"], kind);
    }
    let bare = Frame::new(3)
        .with_numbers("week", vec![1.0, 2.0, 3.0])
        .with_numbers("arrest", vec![1.0, 0.0, 1.0]);
    let message = refusal("churn.cox", &bare, rossi_settings(json!({})));
    names(
        &message,
        &["no usable input column", "churn.hazard"],
        "no inputs",
    );
}

/// In scoring `tenure` is the time already survived: it cannot be an input as well.
#[test]
fn an_input_called_tenure_is_refused() {
    for kind in KINDS {
        let frame = rossi().with_numbers("tenure", vec![1.0; 432]);
        let message = refusal(kind, &frame, rossi_settings(json!({})));
        names(&message, &["tenure", "already survived"], kind);
    }
}

#[test]
fn rows_at_tenures_that_are_none_keep_their_place() {
    for kind in KINDS {
        let model = fit(kind, &rossi(), rossi_settings(json!({ "penalty": 1.0 }))).model;
        let mut rows = at_tenure(rossi(), 3.0);
        for (row, value) in [(0, f64::NAN), (1, -1.0), (2, f64::INFINITY)] {
            rows = with(rows, "tenure", row, value);
        }
        let options = ScoreOptions {
            horizon_periods: Some(4.0),
            ..ScoreOptions::default()
        };
        let scores = model.score(&rows.batch().unwrap(), &options).unwrap();
        let codes: Vec<&str> = scores.status[..4].iter().map(|s| s.code.name()).collect();
        assert_eq!(
            codes,
            ["missing", "out_of_range", "not_finite", "ok"],
            "{kind}"
        );
        let message = &scores.issues[1].message;
        assert!(message.contains("tenure"), "{message}");
        let bare = rossi();
        let error = model.score(&bare.batch().unwrap(), &options).unwrap_err();
        names(&error.to_string(), &["columns.tenure", "is missing"], kind);
        let priced = ScoreOptions {
            discount_rate_per_year: Some(0.1),
            ..options
        };
        let error = model.score(&rows.batch().unwrap(), &priced).unwrap_err();
        names(
            &error.to_string(),
            &["discount_rate_per_year", "time unit"],
            kind,
        );
    }
}

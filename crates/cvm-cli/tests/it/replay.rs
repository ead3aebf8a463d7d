//! Replaying an audit log: what is equal, what differs, what cannot be replayed, and the exit codes.

use crate::support::Workspace;
use cvm::audit::{AuditParts, AuditRecord, Expected};
use cvm::{Frame, ScoreOptions};
use std::path::Path;

fn model(at: &Workspace, name: &str, r: &str) {
    let params = ["alpha=4.414", "a=0.793", "b=2.426"];
    let line = ["new", "clv.bg_nbd", r, "-o", name];
    at.run(&[&line[..3], &params[..], &line[3..]].concat()).ok();
}

/// A line of a log, its first score `off` bits away from the model's.
fn line(model: &Path, with_inputs: bool, off: u64) -> String {
    let model = cvm::Model::open_file(model).expect("a model").model;
    let frame = Frame::new(2)
        .with_numbers("frequency", vec![2.0, 0.0])
        .with_numbers("recency", vec![30.43, 0.0])
        .with_numbers("T", vec![38.86, 12.0]);
    let options = ScoreOptions {
        horizon_periods: Some(39.0),
        ..Default::default()
    };
    let scores = model.score(&frame.batch().expect("a batch"), &options);
    let scores = scores.expect("scores");
    let outputs = scores.outputs.into_iter();
    let mut outputs: Vec<(String, Vec<f64>)> = outputs
        .map(|(name, values)| (name.to_owned(), values))
        .collect();
    let first = &mut outputs[0].1[0];
    *first = f64::from_bits(first.to_bits() ^ off);
    let parts = AuditParts {
        time: "2026-11-27T10:49:49Z".to_owned(),
        model_version: "models/retail/versions/1".to_owned(),
        fingerprint: model.fingerprint().to_string(),
        kind: model.kind().to_owned(),
        request_id: "nightly".to_owned(),
        rows: Vec::new(),
        row_keys: Vec::new(),
        options,
        frame,
        scores: Expected {
            outputs,
            statuses: Vec::new(),
        },
    };
    AuditRecord::new(parts, with_inputs)
        .to_line()
        .expect("a line")
}

#[test]
fn a_log_is_replayed_and_its_findings_are_exit_codes() {
    let at = Workspace::new();
    model(&at, "m.cvm", "r=0.243");
    at.run(&["publish", "m.cvm", "models/retail", "--version", "1"])
        .ok();
    model(&at, "models/other.cvm", "r=0.3");
    at.write("models/broken.cvm", "no model");
    let file = at.path().join("m.cvm");
    let (equal, digest) = (line(&file, true, 0), line(&file, false, 0));
    let torn = &equal[..200];
    std::fs::create_dir(at.path().join("log")).expect("a folder");
    at.write("log/audit-1.jsonl", &format!("{equal}{digest}{torn}"));
    at.write("log/audit-2.jsonl", &equal);
    let replay = ["replay", "log", "--models", "models"];
    let said = at.run(&replay).ok();
    assert!(
        said.stdout.contains("audit-1.jsonl:3: torn"),
        "{}",
        said.stdout
    );
    let told = "3 records: 2 replayed (4 rows), 2 equal in every bit";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    assert!(
        said.stderr.contains("broken.cvm: left out"),
        "{}",
        said.stderr
    );

    model(&at, "gone.cvm", "r=0.5");
    let gone = line(&at.path().join("gone.cvm"), true, 0);
    at.write("gone.jsonl", &format!("{equal}{gone}"));
    let told = at
        .run(&["replay", "gone.jsonl", "--models", "models"])
        .fails(3);
    assert!(
        told.stdout.contains("no model of fingerprint"),
        "{}",
        told.stdout
    );
    at.write("digest.jsonl", &digest);
    at.run(&["replay", "digest.jsonl", "--models", "models"])
        .fails(3);

    let wrong = line(&file, true, 1);
    at.write("wrong.jsonl", &format!("{wrong}{gone}{equal}"));
    let told = at
        .run(&["replay", "wrong.jsonl", "--models", "models"])
        .fails(4);
    assert!(
        told.stdout
            .contains("wrong.jsonl:1: nightly of models/retail"),
        "{}",
        told.stdout
    );
    let json = at
        .run(&["replay", "wrong.jsonl", "--models", "models", "--json"])
        .fails(4);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (&report["differing"], &report["equal"]),
        (&1.into(), &1.into())
    );
    at.write("cut.jsonl", &format!("{torn}\n{equal}"));
    at.run(&["replay", "cut.jsonl", "--models", "models"])
        .fails(4);
    at.run(&["replay", "absent", "--models", "models"]).fails(3);
    at.run(&["replay", "models", "--models", "models"]).fails(3);
}

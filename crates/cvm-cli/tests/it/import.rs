//! `cvm import`: a file of another library becomes a model that scores, or is refused by key.

use crate::support::Workspace;
use cvm_testkit::golden::folder;
use std::fs;

/// The text of a LightGBM model of the golden corpus.
fn lightgbm() -> String {
    let path = folder().join("sources").join("lightgbm_binary.txt");
    fs::read_to_string(path).expect("a model of LightGBM")
}

#[test]
fn an_imported_model_verifies_and_scores() {
    let at = Workspace::new();
    at.write("churn.txt", &lightgbm());
    let said = at
        .run(&["import", "lightgbm", "churn.txt", "-o", "churn.cvm"])
        .ok();
    assert!(said.stderr.contains("\"rounds\":8"), "{}", said.stderr);
    at.run(&["verify", "churn.cvm"]).ok();
    at.write("rows.csv", "fee,tenure,calls\n80,1,4\n,90,1\n");
    let said = at.run(&["score", "churn.cvm", "rows.csv", "-o", "-"]).ok();
    // By name, whatever the order of columns: LightGBM's own number for the first customer.
    assert!(
        said.stdout.contains("1.2566869209045584"),
        "{}",
        said.stdout
    );
}

#[test]
fn what_is_not_understood_is_refused_by_key() {
    let at = Workspace::new();
    let sound = lightgbm();
    at.write(
        "objective.txt",
        &sound.replace("objective=binary", "objective=lambdarank"),
    );
    let said = at
        .run(&["import", "lightgbm", "objective.txt", "-o", "x.cvm"])
        .fails(4);
    assert!(said.stderr.contains("lambdarank"), "{}", said.stderr);
    at.write("cut.txt", &sound[..sound.len() / 2]);
    let said = at
        .run(&["import", "lightgbm", "cut.txt", "-o", "x.cvm"])
        .fails(2);
    assert!(said.stderr.contains("cut.txt"), "{}", said.stderr);
    at.write("churn.txt", &sound);
    let rounds = ["--set", "iterations=99", "-o", "x.cvm"];
    at.run(&[&["import", "lightgbm", "churn.txt"], &rounds[..]].concat())
        .fails(2);
    at.run(&["import", "onnx", "churn.txt", "-o", "x.cvm"])
        .fails(2);
    at.run(&["import", "lightgbm", "absent.txt", "-o", "x.cvm"])
        .fails(3);
    assert!(!at.path().join("x.cvm").exists(), "nothing is written");
}

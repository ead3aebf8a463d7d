//! The golden corpus through the command line: CSV and Parquet give the pinned bits.

use crate::support::Workspace;
use cvm::table::{CsvOptions, CsvSource, read_csv, read_parquet, write_csv, write_parquet};
use cvm::{Frame, FrameColumn};
use cvm_testkit::golden::Case;
use cvm_testkit::{Corpus, Pinned};

/// Options of a case as arguments.
fn arguments(case: &Case) -> Vec<String> {
    let cvm::ScoreOptions {
        horizon_periods,
        discount_rate_per_year,
        margin,
        outputs,
        purchases,
        quantile,
        cost_per_period,
        cost_per_order,
        interval_level,
        elapsed_periods,
        reasons: _,
    } = &case.options;
    let numbers = [
        ("--horizon", horizon_periods),
        ("--discount-rate", discount_rate_per_year),
        ("--margin", margin),
        ("--purchases", purchases),
        ("--quantile", quantile),
        ("--cost-per-period", cost_per_period),
        ("--cost-per-order", cost_per_order),
        ("--interval", interval_level),
        ("--elapsed", elapsed_periods),
    ];
    let mut found = Vec::new();
    for (name, value) in numbers {
        if let Some(value) = value {
            found.extend([name.to_owned(), value.to_string()]);
        }
    }
    if !outputs.is_empty() {
        found.extend(["--outputs".to_owned(), outputs.join(",")]);
    }
    found
}

/// Statuses and outputs of a table that `cvm score` wrote.
fn parse(frame: &Frame) -> (Vec<String>, Vec<(String, Vec<f64>)>) {
    let mut status = Vec::new();
    let mut outputs = Vec::new();
    for (name, column) in &frame.columns {
        match column {
            FrameColumn::Numbers(values) => outputs.push((name.clone(), values.clone())),
            FrameColumn::Text { dictionary, codes } => {
                assert_eq!(name, "status");
                let text =
                    |code: &i32| dictionary[usize::try_from(*code).expect("a status")].clone();
                status = codes.iter().map(text).collect();
            }
        }
    }
    (status, outputs)
}

fn run(at: &Workspace, corpus: &Corpus, case: &Case, input: &str, output: &str) {
    let model = corpus.model_path(&case.model).display().to_string();
    let options = arguments(case);
    let mut args = vec!["score", &model, input, "-o", output];
    args.extend(options.iter().map(String::as_str));
    at.run(&args).ok();
}

#[test]
fn the_command_line_gives_the_pinned_bits() {
    let at = Workspace::new();
    let mut compared = 0;
    for corpus in Corpus::all() {
        let pinned = Pinned::load(&corpus.kind);
        for case in &corpus.cases {
            let frame = case.frame();
            write_csv(at.path().join("in.csv"), &frame).expect("CSV");
            write_parquet(at.path().join("in.parquet"), &frame).expect("Parquet");
            run(&at, &corpus, case, "in.csv", "from_csv.parquet");
            run(&at, &corpus, case, "in.parquet", "from_parquet.csv");
            let parquet = read_parquet(at.path().join("from_csv.parquet"), &Default::default());
            let source = CsvSource::path(at.path().join("from_parquet.csv")).expect("CSV");
            let csv = read_csv(&source, &CsvOptions::default());
            for scored in [parquet.expect("scores"), csv.expect("scores")] {
                let (status, outputs) = parse(&scored);
                let found = pinned.cases[&case.name].differences(&status, &outputs);
                assert!(
                    found.is_empty(),
                    "{}: {}:\n{}",
                    corpus.kind,
                    case.name,
                    found.join("\n")
                );
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "only {compared} tables compared");
}

//! `cvm score --reasons` and `cvm explain`: the same numbers as the engine, with words from a file.

use crate::support::Workspace;
use cvm_testkit::golden::folder;
use std::fs;

const ROWS: &str = "id,fee,tenure,calls\na,80,1,4\nb,,90,1\n";

/// A workspace with an imported model in the words of a dictionary, and rows.
fn workspace() -> Workspace {
    let at = Workspace::new();
    let path = folder().join("sources").join("lightgbm_binary.txt");
    at.write(
        "churn.txt",
        &fs::read_to_string(path).expect("a model of LightGBM"),
    );
    at.write("rows.csv", ROWS);
    let words = "[fields.tenure]\nlabel = \"Months\"\nraises = \"only {value} months with us\"\n\
                 actionable = false\n";
    at.write("words.toml", words);
    at.run(&[
        "import",
        "lightgbm",
        "churn.txt",
        "--dictionary",
        "words.toml",
        "-o",
        "churn.cvm",
    ])
    .ok();
    at
}

#[test]
fn reasons_stand_beside_the_scores() {
    let at = workspace();
    let score = [
        "score",
        "churn.cvm",
        "rows.csv",
        "--keep",
        "id",
        "--reasons",
        "2",
        "-o",
        "-",
    ];
    let said = at.run(&score).ok();
    let mut lines = said.stdout.lines();
    assert_eq!(
        lines.next(),
        Some(
            "id,churn_probability,raw_score,reason_1,reason_1_name,reason_1_contribution,reason_2,\
             reason_2_name,reason_2_contribution,status"
        )
    );
    let first = lines.next().expect("a row");
    assert!(first.starts_with("a,"), "{first}");
    let all = at
        .run(&[
            "score",
            "churn.cvm",
            "rows.csv",
            "--reasons",
            "9",
            "-o",
            "-",
        ])
        .ok();
    assert!(
        all.stdout.contains("only 1 months with us"),
        "{}",
        all.stdout
    );
    let narrow = [
        &score[..],
        &["--only-actionable", "--reason-direction", "raises"],
    ]
    .concat();
    let said = at.run(&narrow).ok();
    assert!(!said.stdout.contains("tenure"), "{}", said.stdout);
    assert!(!said.stdout.contains("lowers"), "{}", said.stdout);
    at.run(&[&score[..], &["--reason-direction", "up"]].concat())
        .fails(2);
    at.run(&[
        "score",
        "churn.cvm",
        "rows.csv",
        "--reasons",
        "0",
        "-o",
        "-",
    ])
    .fails(2);
}

#[test]
fn attributions_add_up() {
    let at = workspace();
    let raw = at
        .run(&[
            "score",
            "churn.cvm",
            "rows.csv",
            "--outputs",
            "raw_score",
            "-o",
            "-",
        ])
        .ok();
    let raw: Vec<f64> = raw.stdout.lines().skip(1).map(first_number).collect();
    at.write("background.csv", "fee,tenure,calls\n50,12,2\n70,30,0\n");
    for extra in [
        &[][..],
        &["--approximate"],
        &["--background", "background.csv"],
    ] {
        let explain = ["explain", "churn.cvm", "rows.csv", "-o", "-"];
        let said = at.run(&[&explain[..], extra].concat()).ok();
        let mut lines = said.stdout.lines();
        let head = lines.next().expect("a header");
        assert!(head.starts_with("expected,contribution_"), "{head}");
        assert_eq!(
            said.stderr.contains("approximate"),
            extra == ["--approximate"]
        );
        for (line, raw) in lines.zip(&raw) {
            let cells = line.split(',').filter_map(|cell| cell.parse::<f64>().ok());
            let sum: f64 = cells.sum();
            assert!((sum - raw).abs() < 1e-12, "{extra:?}: {sum} is not {raw}");
        }
    }
    let long = format!("fee,tenure,calls\n{}", "50,12,2\n".repeat(300));
    at.write("long.csv", &long);
    let explain = [
        "explain",
        "churn.cvm",
        "rows.csv",
        "--background",
        "long.csv",
        "-o",
        "-",
    ];
    let said = at.run(&explain).fails(2);
    assert!(said.stderr.contains("must be 1 to 256"), "{}", said.stderr);
}

fn first_number(line: &str) -> f64 {
    line.split(',')
        .next()
        .and_then(|cell| cell.parse().ok())
        .expect("a number")
}

#[test]
fn a_dictionary_that_does_not_fit_is_refused() {
    let at = workspace();
    at.write("words.json", r#"{"fields": {"tenur": {"label": "x"}}}"#);
    let import = [
        "import",
        "lightgbm",
        "churn.txt",
        "--dictionary",
        "words.json",
        "-o",
        "x.cvm",
    ];
    let said = at.run(&import).fails(2);
    assert!(said.stderr.contains("tenur"), "{}", said.stderr);
    at.write("words.json", "{");
    at.run(&import).fails(2);
    let absent = [
        "import",
        "lightgbm",
        "churn.txt",
        "--dictionary",
        "no.json",
        "-o",
        "x.cvm",
    ];
    at.run(&absent).fails(3);
}

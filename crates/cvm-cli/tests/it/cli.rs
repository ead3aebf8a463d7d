//! The built binary, as a script sees it: files in, files out, exit codes, messages.

use crate::support::{Workspace, cvm};
use std::fs;

const CUSTOMERS: &str = "\
customer_id,frequency,recency,T,monetary_value
007,2,30.43,38.86,22.5
ann,0,0,38.86,0
bob,nan,1,2,3
eve,1,9,5,4
";

/// A purchase model, a spend model and the two joined, at published parameters.
fn models(at: &Workspace) {
    let unit = ["--time-unit", "week"];
    let purchase = [
        "new",
        "clv.bg_nbd",
        "r=0.243",
        "alpha=4.414",
        "a=0.793",
        "b=2.426",
    ];
    at.run(&[&purchase[..], &unit, &["-o", "purchase.cvm"]].concat())
        .ok();
    let spend = [
        "new",
        "clv.gamma_gamma",
        "p=6.25",
        "q=3.74",
        "v=15.44",
        "-o",
        "spend.cvm",
    ];
    at.run(&spend).ok();
    let parts = [
        "compose",
        "--purchase",
        "purchase.cvm",
        "--spend",
        "spend.cvm",
    ];
    at.run(
        &[
            &parts[..],
            &["-o", "value.cvm", "--name", "shop", "--version", "7"],
        ]
        .concat(),
    )
    .ok();
}

#[test]
fn a_log_becomes_scores() {
    let at = Workspace::new();
    let log = cvm_testkit::golden::root().join("python/cvm/datasets/data/cdnow_sample.csv");
    let log = log.display().to_string();
    let columns = [
        "--amount",
        "amount",
        "--unit",
        "week",
        "--calibration-end",
        "1997-09-30",
    ];
    let output = ["-o", "customers.parquet", "--report-json", "report.json"];
    let said = at
        .run(&[&["summarize", &log], &columns[..], &output].concat())
        .ok();
    assert!(said.stderr.contains("2357 customers"), "{}", said.stderr);
    let report: serde_json::Value =
        serde_json::from_str(&at.read("report.json")).expect("a report in JSON");
    assert_eq!(report["rows_read"], 6919);
    assert_eq!(report["holdout_purchases"], 1882, "as published");

    let save = ["-o", "m.cvm", "--report-json", "fit.json"];
    let fitted = at
        .run(&[&["fit", "clv.gamma_gamma", "customers.parquet"], &save[..]].concat())
        .ok();
    assert!(
        fitted.stdout.contains("log-likelihood"),
        "{}",
        fitted.stdout
    );
    for name in ["p", "q", "v"] {
        assert!(
            fitted.stdout.contains(&format!("\n  {name} ")),
            "{}",
            fitted.stdout
        );
    }
    let fit: serde_json::Value = serde_json::from_str(&at.read("fit.json")).expect("JSON");
    assert_eq!(fit["converged"], true);

    at.run(&[
        "score",
        "m.cvm",
        "customers.parquet",
        "--keep-all",
        "-o",
        "scores.csv",
    ])
    .ok();
    let scores = at.read("scores.csv");
    assert_eq!(scores.lines().count(), 2358);
    let header = scores.lines().next().unwrap_or_default();
    assert!(header.starts_with("customer_id,frequency"), "{header}");
    assert!(header.ends_with("expected_spend,status"), "{header}");
}

#[test]
fn bad_rows_keep_their_place_and_are_counted() {
    let at = Workspace::new();
    models(&at);
    at.write("in.csv", CUSTOMERS);
    let args = [
        "score",
        "value.cvm",
        "in.csv",
        "--horizon",
        "39",
        "--keep",
        "customer_id",
    ];
    let said = at.run(&[&args[..], &["-o", "out.csv"]].concat()).ok();
    assert!(
        said.stderr
            .contains("4 rows: 2 ok, 1 missing, 1 inconsistent"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("row 2: frequency is missing"),
        "{}",
        said.stderr
    );
    let out = at.read("out.csv");
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[1].starts_with("007,0.72657857"),
        "identifiers come back: {}",
        lines[1]
    );
    assert_eq!(lines[3], "bob,,,,,missing");
    assert_eq!(lines[4], "eve,,,,,inconsistent");
}

#[test]
fn chunks_and_threads_do_not_show_in_the_output() {
    let at = Workspace::new();
    models(&at);
    let row = |i: usize| {
        format!(
            "{},{},{},40\n",
            i % 7,
            (i % 7) * 2,
            (i % 7) * 2 + 20 + i % 3
        )
    };
    let rows: String = (0..150_000).map(row).collect();
    at.write(
        "in.csv",
        &format!("frequency,recency,T,monetary_value\n{rows}"),
    );
    let mut outputs = Vec::new();
    for threads in ["1", "2", "5"] {
        let args = [
            "score",
            "value.cvm",
            "in.csv",
            "--horizon",
            "13",
            "--threads",
            threads,
        ];
        at.run(&[&args[..], &["-o", "out.csv"]].concat()).ok();
        outputs.push(at.read("out.csv"));
    }
    assert_eq!(outputs[0].lines().count(), 150_001);
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    // The same row scores the same in whichever chunk it is.
    let lines: Vec<&str> = outputs[0].lines().skip(1).collect();
    assert_eq!(lines[5], lines[5 + 21 * 7000]);
}

#[test]
fn standard_output_takes_scores_and_a_reader_may_leave() {
    let at = Workspace::new();
    models(&at);
    at.write("in.csv", CUSTOMERS);
    let said = at.run(&["score", "spend.cvm", "in.csv", "-o", "-"]).ok();
    assert!(
        said.stdout.starts_with("expected_spend,status\n24.7867"),
        "{}",
        said.stdout
    );

    let rows = "1,9,5,4\n".repeat(200_000);
    at.write(
        "long.csv",
        &format!("frequency,recency,T,monetary_value\n{rows}"),
    );
    let mut child = cvm()
        .current_dir(at.path())
        .args(["score", "spend.cvm", "long.csv", "-o", "-"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("the binary ends");
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        ended.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn a_model_tells_what_it_is() {
    let at = Workspace::new();
    models(&at);
    let told = at.run(&["inspect", "value.cvm"]).ok().stdout;
    for word in [
        "clv.lifetime_value",
        "fingerprint",
        "shop",
        "monetary_value",
        "week",
        "crc-32",
    ] {
        assert!(told.contains(word), "`{word}` in {told}");
    }
    let told = at.run(&["inspect", "purchase.cvm", "--json"]).ok().stdout;
    let value: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(value["sound"], true);
    assert_eq!(value["model"]["kind"], "clv.bg_nbd");
    assert_eq!(value["model"]["parameters"][0]["value"], 0.243);
    let said = at
        .run(&["verify", "purchase.cvm", "spend.cvm", "value.cvm"])
        .ok();
    assert_eq!(said.stdout.matches(": ok: ").count(), 3, "{}", said.stdout);
    let kinds = at.run(&["kinds"]).ok().stdout;
    for entry in cvm::catalog() {
        assert!(kinds.contains(entry.kind), "{kinds}");
    }
}

#[test]
fn a_damaged_model_is_shown_as_far_as_it_goes_and_refused() {
    let at = Workspace::new();
    models(&at);
    let mut bytes = fs::read(at.path().join("value.cvm")).expect("a model");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(at.path().join("damaged.cvm"), &bytes).expect("a file");
    let told = at.run(&["inspect", "damaged.cvm"]).fails(4);
    assert!(
        told.stdout.contains("DAMAGED") && told.stdout.contains("problem:"),
        "{}",
        told.stdout
    );
    let told = at.run(&["verify", "value.cvm", "damaged.cvm"]).fails(4);
    assert!(told.stdout.contains("value.cvm: ok"), "{}", told.stdout);
    assert!(told.stderr.contains("damaged.cvm"), "{}", told.stderr);
}

/// Exit code, arguments, and what the message must say.
const FAILURES: &str = r#"
2 | score value.cvm empty.csv -o o.csv | empty.csv is empty
2 | score value.cvm header.csv -o o.csv | no rows
2 | score value.cvm word.csv -o o.csv | `T`, line 2: is "three"
2 | score value.cvm ragged.csv -o o.csv | line 2: has 3 cells
2 | score value.cvm other.csv -o o.csv | no column `frequency`
2 | score value.cvm in.csv --outputs lifetime_value -o o.csv | options.horizon_periods
2 | score value.cvm in.csv --horizon -1 -o o.csv | options.horizon_periods: is -1
2 | score value.cvm in.csv --horizon NaN -o o.csv | options.horizon_periods: is NaN
2 | score value.cvm in.csv --outputs clv -o o.csv | `clv` is unknown
2 | score value.cvm in.csv --keep nobody -o o.csv | no column `nobody`
2 | score value.cvm in.csv --horizon 9 --keep T,T -o o.csv | names `T` twice
2 | score value.cvm rows.xlsx -o o.csv | unknown ending
2 | score value.cvm garbage.parquet -o o.csv | garbage.parquet
2 | score value.cvm folder.csv -o o.csv | folder.csv
3 | score value.cvm in.csv --horizon 9 -o absent/o.csv | absent/o.csv
3 | score value.cvm absent.csv -o o.csv | absent.csv
3 | score absent.cvm in.csv -o o.csv | absent.cvm
4 | score text.cvm in.csv -o o.csv | not a cvm model file
4 | verify empty.cvm | an empty file
4 | verify huge.cvm | 268435456
2 | verify . | cannot read .
3 | inspect absent.cvm | absent.cvm
3 | fit clv.nothing in.csv -o m.cvm | clv.bg_nbd
2 | fit clv.lifetime_value in.csv -o m.cvm | composed, not fitted
2 | fit clv.bg_nbd in.csv -o m.cvm | columns.frequency[2]
2 | fit clv.bg_nbd in.csv --time-unit fortnight -o m.cvm | --time-unit
2 | fit clv.gamma_gamma in.csv --penalty -1 -o m.cvm | options.penalty: is -1
2 | new clv.bg_nbd r=-1 alpha=1 a=1 b=1 -o m.cvm | params.r: is -1
2 | new clv.bg_nbd r=x alpha=1 a=1 b=1 -o m.cvm | must be a number
2 | compose --purchase spend.cvm --spend spend.cvm -o m.cvm | purchase
2 | compose --purchase purchase.cvm -o m.cvm | --spend
2 | compose --contract spend.cvm -o m.cvm | contract
2 | compose --contract purchase.cvm --spend spend.cvm -o m.cvm | --contract
2 | compose -o m.cvm | --contract
2 | summarize other.csv --set grian="day" -o o.csv | grian
2 | summarize empty.csv -o o.csv | empty.csv is empty
2 | summarize other.csv -o o.csv | date
"#;

fn bad_files(at: &Workspace) {
    at.write("in.csv", CUSTOMERS);
    at.write("empty.csv", "");
    at.write("header.csv", "frequency,recency,T,monetary_value\n");
    at.write(
        "word.csv",
        "frequency,recency,T,monetary_value\n1,2,three,4\n",
    );
    at.write("ragged.csv", "frequency,recency,T,monetary_value\n1,2,3\n");
    at.write("other.csv", "customer_id,age\n1,2\n");
    at.write("text.cvm", "customer_id,date\n");
    at.write("empty.cvm", "");
    at.write("rows.xlsx", "PK");
    at.write("garbage.parquet", "PAR1 garbage PAR1");
    fs::create_dir(at.path().join("folder.csv")).expect("a folder");
    let huge = fs::File::create(at.path().join("huge.cvm")).expect("a file");
    huge.set_len(10 << 30).expect("a sparse file of 10 GiB");
}

/// Wrong arguments and files: the exit code says whose fault it is, the message which field.
#[test]
fn exit_codes_and_messages() {
    let at = Workspace::new();
    models(&at);
    bad_files(&at);
    let mut tried = 0;
    for line in FAILURES.lines().filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let args: Vec<&str> = parts[1].split(' ').collect();
        let said = at.run(&args).fails(parts[0].parse().expect("a code"));
        assert!(said.stderr.contains("error: "), "{line}: {}", said.stderr);
        assert!(said.stderr.contains(parts[2]), "{line}: {}", said.stderr);
        assert!(!at.path().join("o.csv").exists(), "{line} left an output");
        assert!(!at.path().join("m.cvm").exists(), "{line} left a model");
        tried += 1;
    }
    assert!(tried > 30, "only {tried} lines of the table");
    let left = fs::read_dir(at.path()).expect("a folder").flatten();
    let partial = left.filter(|file| file.file_name().to_string_lossy().contains("partial"));
    assert_eq!(partial.count(), 0, "working files are removed");
}

#[test]
fn a_fit_that_does_not_converge_has_a_code_of_its_own() {
    let at = Workspace::new();
    let rows: String = (0..40)
        .map(|i| format!("{},{},30\n", i % 5, (i % 5) * 3))
        .collect();
    at.write("in.csv", &format!("frequency,recency,T\n{rows}"));
    let args = [
        "fit",
        "clv.bg_nbd",
        "in.csv",
        "--max-iterations",
        "1",
        "-o",
        "m.cvm",
    ];
    let said = at.run(&args).fails(5);
    assert!(said.stderr.contains("did not converge"), "{}", said.stderr);
    let said = at
        .run(&[&args[..], &["--allow-not-converged"]].concat())
        .ok();
    assert!(said.stdout.contains("NOT CONVERGED"), "{}", said.stdout);
    assert!(at.path().join("m.cvm").is_file());
}

#[test]
fn every_command_explains_itself() {
    let at = Workspace::new();
    let top = at.run(&["--help"]).ok().stdout;
    assert!(top.contains("Exit codes:"), "{top}");
    for name in [
        "summarize",
        "fit",
        "new",
        "compose",
        "score",
        "inspect",
        "verify",
        "kinds",
    ] {
        assert!(top.contains(name), "{top}");
        let help = at.run(&[name, "--help"]).ok().stdout;
        assert!(help.contains("Usage: cvm"), "{help}");
    }
    assert!(at.run(&["--version"]).ok().stdout.starts_with("cvm 0."));
}

/// Regular buyers: log_gap_sum on request, a model fitted on it, tested against k = 1, and intervals
/// by refits.
#[test]
fn regularity_is_summarized_fitted_tested_and_bracketed() {
    let at = Workspace::new();
    let log = cvm_testkit::golden::root().join("python/cvm/datasets/data/cdnow_sample.csv");
    let log = log.display().to_string();
    let columns = [
        "--amount",
        "amount",
        "--unit",
        "week",
        "--regularity",
        "--log-spend",
    ];
    at.run(&[&["summarize", &log], &columns[..], &["-o", "c.csv"]].concat())
        .ok();
    let head = at.read("c.csv");
    let head = head.lines().next().unwrap_or_default();
    for column in ["log_gap_sum", "log_spend_mean", "log_spend_sd"] {
        assert!(head.contains(column), "{head}");
    }
    let fit = ["fit", "clv.mbg_cnbd_k", "c.csv", "--time-unit", "week"];
    let said = at.run(&[&fit[..], &["-o", "k.cvm"]].concat()).ok();
    let against = "against MBG/NBD (log-likelihood";
    assert!(said.stdout.contains(against), "{}", said.stdout);

    let fit = [
        "fit",
        "clv.bg_nbd",
        "c.csv",
        "--time-unit",
        "week",
        "-o",
        "b.cvm",
    ];
    let said = at
        .run(&[&fit[..], &["--intervals", "profile"]].concat())
        .ok();
    let table = "95 % intervals by profile";
    assert!(said.stdout.contains(table), "{}", said.stdout);
    let refits = [
        "--intervals",
        "bootstrap",
        "--replicates",
        "200",
        "--level",
        "0.9",
    ];
    let said = at.run(&[&fit[..], &refits].concat()).ok();
    let table = "90 % intervals by bootstrap";
    assert!(said.stdout.contains(table), "{}", said.stdout);
    at.run(&[&fit[..], &["--intervals", "jackknife"]].concat())
        .fails(2);
    at.run(&[&fit[..], &["--intervals", "wald", "--level", "1.5"]].concat())
        .fails(2);
}

/// Paths of covariates are numbered columns: a fit and a score take as many as the table has.
#[test]
fn paths_of_covariates_are_read_from_numbered_columns() {
    let at = Workspace::new();
    let sample = "crates/cvm-clv/tests/data/pareto_nbd_tv_sample.csv";
    let sample = cvm_testkit::golden::root().join(sample);
    let sample = sample.display().to_string();
    let settings = [
        "--set",
        "purchase_covariates=[\"season\"]",
        "--set",
        "dropout_covariates=[\"mailed\"]",
    ];
    let fit = ["fit", "clv.pareto_nbd_tv", &sample];
    let fitted = at.run(&[&fit[..], &settings, &["-o", "m.cvm"]].concat());
    let said = fitted.ok().stdout;
    assert!(said.contains("purchase.season"), "{said}");
    let score = |horizon: &[&str], output: &str| {
        let ask = ["score", "m.cvm", &sample, "-o", output];
        at.run(&[&ask[..], horizon].concat()).ok().stderr
    };
    let now = score(&["--outputs", "p_alive"], "now.csv");
    assert!(now.starts_with("300 rows: 300 ok"), "{now}");
    let ahead = score(&["--horizon", "4"], "ahead.csv");
    assert!(ahead.starts_with("300 rows: 300 not_covered"), "{ahead}");
    assert!(
        ahead.contains("covariates must be known from the first purchase"),
        "{ahead}"
    );
    let inspected = at.run(&["inspect", "m.cvm"]).ok().stdout;
    assert!(inspected.contains("covariates_from_0"), "{inspected}");
}

/// The sample of numbered columns taken apart: customers, and one row per customer and step.
fn long_tables(sample: &str) -> (String, String) {
    let mut lines = sample.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let mut customers = "customer_id,frequency,recency,T,season_at_purchases\n".to_owned();
    let mut periods = "mailed,start,customer_id,season,end\n".to_owned();
    for (row, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &str| {
            let place = header.iter().position(|own| *own == name);
            place.map_or("", |place| cells[place])
        };
        let own = ["frequency", "recency", "T", "season_at_purchases"].map(cell);
        customers.push_str(&format!("c{row},{}\n", own.join(",")));
        let start = |step: usize| cell(&format!("covariates_from_{step}"));
        for step in (0..).take_while(|step| !start(*step).is_empty()) {
            let end = Some(start(step + 1)).filter(|next| !next.is_empty());
            let end = end.unwrap_or_else(|| cell("covariates_until"));
            let [season, mailed] = ["season", "mailed"].map(|name| cell(&format!("{name}_{step}")));
            periods.push_str(&format!("{mailed},{},c{row},{season},{end}\n", start(step)));
        }
    }
    (customers, periods)
}

/// A long table gives the model and the scores of the numbered columns it stands for, in every bit.
#[test]
fn long_tables_of_covariates_are_joined() {
    let at = Workspace::new();
    let sample = "crates/cvm-clv/tests/data/pareto_nbd_tv_sample.csv";
    let sample = cvm_testkit::golden::root().join(sample);
    let (customers, periods) = long_tables(&std::fs::read_to_string(&sample).expect("the sample"));
    at.write("customers.csv", &customers);
    at.write("periods.csv", &periods);
    let sample = sample.display().to_string();
    let covariates = [
        "--set",
        "purchase_covariates=[\"season\"]",
        "--set",
        "dropout_covariates=[\"mailed\"]",
    ];
    let wide = ["fit", "clv.pareto_nbd_tv", &sample, "-o", "wide.cvm"];
    let wide = at.run(&[&wide[..], &covariates].concat()).ok().stdout;
    let long = [
        "fit",
        "clv.pareto_nbd_tv",
        "customers.csv",
        "-o",
        "long.cvm",
    ];
    let join = ["--covariates", "periods.csv"];
    let long = at
        .run(&[&long[..], &covariates, &join].concat())
        .ok()
        .stdout;
    assert_eq!(wide, long);
    let outputs = ["--outputs", "p_alive"];
    let of_wide = ["score", "wide.cvm", &sample, "-o", "wide.csv"];
    at.run(&[&of_wide[..], &outputs].concat()).ok();
    let of_long = ["score", "long.cvm", "customers.csv", "-o", "long.csv"];
    at.run(&[&of_long[..], &outputs, &join].concat()).ok();
    assert_eq!(at.read("wide.csv"), at.read("long.csv"));

    let bare = ["fit", "clv.pareto_nbd_tv", "customers.csv", "-o", "no.cvm"];
    at.run(&[&bare[..], &join].concat()).fails(2);
    let other = ["fit", "clv.pareto_nbd", "customers.csv", "-o", "no.cvm"];
    at.run(&[&other[..], &join].concat()).fails(2);
}

//! The CDNOW purchase log reduces to its published summary, customer by customer.

use cvm_core::{Column, Frame, FrameColumn, TimeUnit};
use cvm_record::{
    CsvOptions, CsvSource, Delimiter, Summary, SummaryOptions, read_csv, summarize_csv,
    summarize_frame, summarize_parquet, write_parquet,
};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn log() -> CsvSource {
    CsvSource::path(format!("{DATA}/CDNOW_sample.txt")).unwrap()
}

fn blanks() -> CsvOptions {
    let names = ["master_id", "id", "day", "quantity", "value"];
    CsvOptions {
        delimiter: Delimiter::Whitespace,
        has_header: false,
        names: Some(names.map(str::to_owned).to_vec()),
        ..CsvOptions::default()
    }
}

fn weekly() -> SummaryOptions {
    SummaryOptions {
        customer_id: "id".to_owned(),
        date: "day".to_owned(),
        amount: Some("value".to_owned()),
        time_unit: TimeUnit::Week,
        calibration_end: Some("1997-09-30".to_owned()),
        observation_end: Some("1998-06-30".to_owned()),
        ..SummaryOptions::default()
    }
}

fn summary() -> Summary {
    summarize_csv(&log(), &blanks(), &weekly()).unwrap()
}

fn published(file: &str) -> Frame {
    let source = CsvSource::path(format!("{DATA}/{file}")).unwrap();
    read_csv(&source, &CsvOptions::default()).unwrap()
}

fn numbers<'a>(frame: &'a Frame, name: &str) -> &'a [f64] {
    match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => values,
        other => panic!("{name} is {other:?}"),
    }
}

fn ids(frame: &Frame) -> Vec<f64> {
    match frame.get("customer_id").unwrap().view() {
        Column::Text(text) => (0..frame.row_count)
            .map(|row| text.get(row).unwrap().parse().unwrap())
            .collect(),
        Column::Numbers(values) => values.to_vec(),
    }
}

/// The published values are rounded to cents and to hundredths of a week.
fn rounded(value: f64) -> String {
    format!("{value:.2}")
}

#[test]
fn every_customer_has_the_published_frequency_recency_and_age() {
    let ours = summary().frame;
    let theirs = published("cdnow_customers_summary.csv");
    assert_eq!((ours.row_count, theirs.row_count), (2_357, 2_357));
    assert_eq!(ids(&ours), numbers(&theirs, "ID"));
    assert_eq!(numbers(&ours, "frequency"), numbers(&theirs, "frequency"));
    for name in ["recency", "T"] {
        for (ours, theirs) in numbers(&ours, name).iter().zip(numbers(&theirs, name)) {
            assert_eq!(rounded(*ours), rounded(*theirs), "{name}");
        }
    }
}

#[test]
fn weeks_are_days_over_seven_in_every_bit() {
    let ours = summary().frame;
    for age in numbers(&ours, "T") {
        let days = (age * 7.0).round();
        assert_eq!(age.to_bits(), (days / 7.0).to_bits());
    }
}

#[test]
fn every_customer_has_the_published_mean_spend() {
    let ours = summary().frame;
    let theirs = published("cdnow_customers_summary_with_transactions.csv");
    assert_eq!(ids(&ours), numbers(&theirs, "ID"));
    assert_eq!(numbers(&ours, "frequency"), numbers(&theirs, "x"));
    let pairs = numbers(&ours, "monetary_value")
        .iter()
        .zip(numbers(&theirs, "zbar"));
    let worst = pairs
        .map(|(ours, theirs)| (ours - theirs).abs())
        .fold(0.0, f64::max);
    // Half a cent of rounding; ties are binary neighbours of the half.
    assert!(worst <= 0.005 + 1e-9, "{worst}");
}

#[test]
fn the_holdout_has_the_published_total() {
    let summary = summary();
    assert_eq!(summary.report.holdout_purchases, Some(1_882));
    let total: f64 = numbers(&summary.frame, "holdout_frequency").iter().sum();
    assert_eq!(total, 1_882.0);
    let duration = numbers(&summary.frame, "holdout_duration");
    assert!(duration.iter().all(|weeks| *weeks == 39.0));
}

#[test]
fn the_report_accounts_for_every_row() {
    let report = summary().report;
    assert_eq!(report.rows_read, 6_919);
    assert_eq!(report.rows_used, 6_919);
    assert_eq!(report.bad_row_count, 0);
    assert_eq!((report.customers, report.repeat_customers), (2_357, 946));
    let file = std::fs::read_to_string(format!("{DATA}/CDNOW_sample.txt")).unwrap();
    let zeros = file
        .lines()
        .filter(|line| line.trim_end().ends_with(" 0.00"))
        .count();
    assert_eq!(report.zero_amount_rows, zeros as u64);
    let mut days: Vec<(&str, &str)> = Vec::new();
    for line in file.lines() {
        let cells: Vec<&str> = line.split_whitespace().collect();
        days.push((cells[1], cells[2]));
    }
    days.sort_unstable();
    days.dedup();
    assert_eq!(report.rows_merged, 6_919 - days.len() as u64);
    assert_eq!(report.first_date, "1997-01-01");
    assert_eq!(report.observation_end, "1998-06-30");
}

/// The same log through every door: as text, as a typed frame (dates are numbers `YYYYMMDD`), as
/// Parquet.
#[test]
fn csv_frame_and_parquet_give_the_same_numbers() {
    let by_csv = summary();
    let frame = read_csv(&log(), &blanks()).unwrap();
    let by_frame = summarize_frame(&frame, &weekly()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.parquet");
    write_parquet(&path, &frame).unwrap();
    let by_parquet = summarize_parquet(&path, &weekly()).unwrap();
    assert_eq!(by_frame, by_parquet);
    assert_eq!(by_csv.frame, by_frame.frame);
    assert!(matches!(frame.get("day"), Some(FrameColumn::Numbers(_))));
}

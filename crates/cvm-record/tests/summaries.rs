//! The rules of a summary on logs small enough to work out by hand.

use cvm_core::{Column, Frame, FrameColumn, TimeUnit};
use cvm_record::{
    CalendarPeriod, Cause, CsvOptions, CsvSource, EpochUnit, NegativeAmounts, RecordError,
    RowNumbering, Summary, SummaryOptions, summarize_batches, summarize_csv, summarize_frame,
};

fn options() -> SummaryOptions {
    SummaryOptions {
        amount: Some("amount".to_owned()),
        ..SummaryOptions::default()
    }
}

/// Rows `id date amount`, blanks between.
fn log(rows: &[&str]) -> CsvSource {
    let rows: Vec<String> = rows.iter().map(|row| row.replace(' ', ",")).collect();
    CsvSource::bytes(
        "log",
        format!("customer_id,date,amount\n{}\n", rows.join("\n")).into_bytes(),
    )
}

fn summarize(rows: &[&str], options: &SummaryOptions) -> Result<Summary, RecordError> {
    summarize_csv(&log(rows), &CsvOptions::default(), options)
}

fn row(summary: &Summary, customer: &str) -> Vec<f64> {
    let ids = ids(&summary.frame);
    let at = ids.iter().position(|id| id == customer).unwrap();
    let columns = summary
        .frame
        .columns
        .iter()
        .filter_map(|(_, column)| match column {
            FrameColumn::Numbers(values) => Some(values[at]),
            FrameColumn::Text { .. } => None,
        });
    columns.collect()
}

fn ids(frame: &Frame) -> Vec<String> {
    match frame.get("customer_id").unwrap().view() {
        Column::Text(text) => (0..frame.row_count)
            .map(|row| text.get(row).unwrap().to_owned())
            .collect(),
        Column::Numbers(values) => values.iter().map(f64::to_string).collect(),
    }
}

#[test]
fn one_customer_by_hand() {
    let rows = [
        "a 2024-01-01 10",
        "a 2024-01-05T23:00:00 20",
        "a 2024-01-05 1",
        "a 2024-01-08 0",
        "b 2024-01-11 5",
    ];
    let summary = summarize(&rows, &options()).unwrap();
    assert_eq!(ids(&summary.frame), ["a", "b"]);
    // Purchases on days 0, 4 (20 + 1) and 7 (0): two repeats, mean 10.5; ten days to the last date.
    assert_eq!(row(&summary, "a"), [2.0, 7.0, 10.0, 10.5]);
    assert_eq!(row(&summary, "b"), [0.0, 0.0, 0.0, 0.0]);
    let report = &summary.report;
    assert_eq!((report.rows_merged, report.zero_amount_rows), (1, 1));
    assert_eq!(
        (
            report.customers,
            report.repeat_customers,
            report.repeat_purchases
        ),
        (2, 1, 2)
    );
    assert_eq!(report.customers_of_age_zero, 1);
    assert_eq!(report.observation_end, "2024-01-11");

    let all = SummaryOptions {
        include_first_purchase: true,
        ..options()
    };
    let summary = summarize(&rows, &all).unwrap();
    assert_eq!(row(&summary, "a")[3], 31.0 / 3.0);
    assert_eq!(row(&summary, "b")[3], 5.0);

    let without = SummaryOptions::default();
    let names: Vec<String> = summarize(&rows, &without)
        .unwrap()
        .frame
        .columns
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["customer_id", "frequency", "recency", "T"]);
}

/// What the CNBD-k models are fitted on: beside the other columns, which it does not change.
#[test]
fn gaps_between_purchases_on_request() {
    let rows = [
        "a 2024-01-01 10",
        "a 2024-01-03 20",
        "a 2024-01-03 5",
        "a 2024-01-11 1",
        "b 2024-01-11 5",
    ];
    let asked = SummaryOptions {
        regularity: true,
        time_unit: TimeUnit::Week,
        ..options()
    };
    let summary = summarize(&rows, &asked).unwrap();
    let names: Vec<&str> = summary
        .frame
        .columns
        .iter()
        .map(|(n, _)| n.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "customer_id",
            "frequency",
            "recency",
            "T",
            "log_gap_sum",
            "monetary_value"
        ]
    );
    // Two days, then eight; purchases of one day are one.
    let expected = cvm_math::ln(2.0 / 7.0) + cvm_math::ln(8.0 / 7.0);
    assert_eq!(row(&summary, "a")[3], expected);
    assert_eq!(row(&summary, "b")[3], 0.0);
    let plain = SummaryOptions {
        regularity: false,
        ..asked
    };
    let mut kept = summary.frame.clone();
    kept.columns.remove(4);
    assert_eq!(summarize(&rows, &plain).unwrap().frame, kept);
}

#[test]
fn units_are_exact_durations() {
    let rows = ["a 2024-01-01 1", "a 2024-03-01 1", "b 2024-12-31 1"];
    for (unit, days) in [
        (TimeUnit::Week, 7.0),
        (TimeUnit::Month, 30.4375),
        (TimeUnit::Year, 365.25),
    ] {
        let options = SummaryOptions {
            time_unit: unit,
            ..options()
        };
        let a = row(&summarize(&rows, &options).unwrap(), "a");
        assert_eq!((a[1], a[2]), (60.0 / days, 365.0 / days), "{unit}");
    }
}

#[test]
fn grains_merge_by_their_own_rule() {
    let rows = [
        "a 2024-01-01T10:59:59 1",
        "a 2024-01-01T11:00:00 2",
        "a 2024-01-01T11:59:59 3",
        "a 2024-01-09T00:00:00 4",
    ];
    let with = |grain| {
        let options = SummaryOptions {
            grain,
            time_unit: TimeUnit::Hour,
            ..options()
        };
        row(&summarize(&rows, &options).unwrap(), "a")
    };
    // 10 h and 11 h of the first day, midnight of the ninth: hours 10, 11 and 192.
    assert_eq!(with(TimeUnit::Hour), [2.0, 182.0, 182.0, 4.5]);
    assert_eq!(with(TimeUnit::Second)[0], 3.0);
    assert_eq!(with(TimeUnit::Day), [1.0, 192.0, 192.0, 4.0]);
    // Weeks from the first purchase: days 0–6 and 7–13; the second bucket starts on day 7.
    assert_eq!(with(TimeUnit::Week), [1.0, 168.0, 192.0, 4.0]);
    assert_eq!(with(TimeUnit::Month), [0.0, 0.0, 192.0, 0.0]);
}

#[test]
fn refunds_follow_the_policy() {
    let rows = [
        "a 2024-01-01 10",
        "a 2024-01-02 30",
        "a 2024-01-02 -10",
        "a 2024-01-03 0.1",
        "a 2024-01-03 0.2",
        "a 2024-01-03 -0.3",
        "a 2024-01-04 -5",
        "b 2024-01-05 -1",
        "c 2024-01-06 1",
    ];
    let with = |negative_amounts| {
        summarize(
            &rows,
            &SummaryOptions {
                negative_amounts,
                ..options()
            },
        )
        .unwrap()
    };
    let exclude = with(NegativeAmounts::Exclude);
    assert_eq!(
        row(&exclude, "a"),
        [2.0, 2.0, 5.0, (30.0 + (0.1 + 0.2)) / 2.0]
    );
    assert_eq!(ids(&exclude.frame), ["a", "c"]);
    assert_eq!(
        (
            exclude.report.refund_rows,
            exclude.report.refund_rows_excluded
        ),
        (4, 4)
    );
    assert_eq!(
        (exclude.report.rows_used, exclude.report.bad_row_count),
        (5, 0)
    );

    let net = with(NegativeAmounts::Net);
    assert_eq!(row(&net, "a"), [1.0, 1.0, 5.0, 20.0]);
    assert_eq!(
        (net.report.refund_rows, net.report.refund_rows_excluded),
        (4, 0)
    );
    assert_eq!(
        (net.report.purchases_cancelled, net.report.refunds_unmatched),
        (1, 2)
    );
    assert_eq!(net.report.customers_without_purchase, 1);

    let reject = with(NegativeAmounts::Reject);
    assert_eq!(reject.frame, exclude.frame);
    assert_eq!(reject.report.bad_row_count, 4);
    let bad = &reject.report.bad_rows[0];
    assert_eq!(
        (
            bad.cause,
            bad.examples[0].row,
            bad.examples[0].value.as_str()
        ),
        (Cause::NegativeAmount, 4, "\"-10\"")
    );
}

#[test]
fn calibration_and_holdout_part_at_the_end_of_a_day() {
    let rows = [
        "a 2024-01-01 1",
        "a 2024-01-10T23:59:59 2",
        "a 2024-01-11T00:00:00 4",
        "a 2024-01-12 6",
        "b 2024-01-15 9",
        "c 2024-01-02 7",
    ];
    let options = SummaryOptions {
        calibration_end: Some("2024-01-10".to_owned()),
        observation_end: Some("2024-01-20".to_owned()),
        ..options()
    };
    let summary = summarize(&rows, &options).unwrap();
    assert_eq!(row(&summary, "a"), [1.0, 9.0, 9.0, 2.0, 2.0, 10.0, 5.0]);
    assert_eq!(row(&summary, "c"), [0.0, 0.0, 8.0, 0.0, 0.0, 10.0, 0.0]);
    assert_eq!(ids(&summary.frame), ["a", "c"]);
    let report = &summary.report;
    assert_eq!(
        (report.customers_only_in_holdout, report.holdout_purchases),
        (1, Some(2))
    );
    let names: Vec<&str> = summary
        .frame
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names[5..],
        [
            "holdout_frequency",
            "holdout_duration",
            "holdout_monetary_value"
        ]
    );
}

#[test]
fn bad_rows_are_counted_by_cause_with_lines() {
    let rows = [
        "a 2024-01-01 1",
        "NA 2024-01-01 1",
        "a 2024-13-01 1",
        "a 2024-02-01 NA",
        "a 2024-02-01 nan",
        "a 2024-02-01 inf",
        "a 2024-02-01 ten",
        "a 2025-01-01 1",
        "a  1",
        "a 2024-02-01 -inf",
    ];
    let options = SummaryOptions {
        observation_end: Some("2024-12-31".to_owned()),
        ..options()
    };
    let report = summarize(&rows, &options).unwrap().report;
    assert_eq!(
        (report.rows_read, report.rows_used, report.bad_row_count),
        (10, 1, 9)
    );
    assert_eq!(report.row_numbering, RowNumbering::LineFromOne);
    let found: Vec<(Cause, u64, u64, &str)> = report
        .bad_rows
        .iter()
        .map(|bad| {
            (
                bad.cause,
                bad.count,
                bad.examples[0].row,
                bad.examples[0].value.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Cause::MissingCustomerId, 1, 3, "\"NA\""),
            (Cause::MissingDate, 1, 10, "\"\""),
            (Cause::UnparsableDate, 1, 4, "\"2024-13-01\""),
            (Cause::DateAfterEnd, 1, 9, "\"2025-01-01\""),
            (Cause::MissingAmount, 2, 5, "\"NA\""),
            (Cause::UnparsableAmount, 1, 8, "\"ten\""),
            (Cause::NotFiniteAmount, 2, 7, "\"inf\""),
        ]
    );
    let words = report.to_string();
    assert!(words.contains("10 rows read, 1 used"), "{words}");
    assert!(
        words.contains("1 bad: date is after the end of observation (line 9: \"2025-01-01\")"),
        "{words}"
    );
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<cvm_record::SummaryReport>(&json).unwrap(),
        report
    );
}

#[test]
fn examples_are_few_however_many_rows_are_bad() {
    let mut rows = vec!["a 2024-01-01 1"];
    rows.extend(["a x 1"; 100]);
    let report = summarize(&rows, &options()).unwrap().report;
    assert_eq!(
        (report.bad_rows[0].count, report.bad_rows[0].examples.len()),
        (100, 5)
    );
}

#[test]
fn nothing_left_is_an_error_that_says_why() {
    let error = summarize(&["a x 1", "b y 1"], &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of the 2 rows can be used: 2 rows: date is not in the form expected (such as \"x\", row 2)"
    );
    let error = summarize(&["a 2024-01-01 -1"], &options()).unwrap_err();
    assert!(matches!(error, RecordError::NoCustomers { .. }), "{error}");
    let late = SummaryOptions {
        calibration_end: Some("2023-01-01".to_owned()),
        ..options()
    };
    let error = summarize(&["a 2024-01-01 1"], &late).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no customer has a purchase up to 2023-01-01"),
        "{error}"
    );
}

#[test]
fn wrong_options_name_the_option() {
    let check = |options: SummaryOptions, words: &str| {
        let error = summarize(&["a 2024-01-01 1"], &options)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    };
    check(
        SummaryOptions {
            observation_end: Some("soon".to_owned()),
            ..options()
        },
        "options.observation_end: is \"soon\"",
    );
    check(
        SummaryOptions {
            calibration_end: Some("2024-01-01".to_owned()),
            ..options()
        },
        "options.calibration_end: is 2024-01-01: must be before the end of observation, 2024-01-01",
    );
    check(
        SummaryOptions {
            date: "customer_id".to_owned(),
            ..options()
        },
        "options.date",
    );
    check(
        SummaryOptions {
            amount: Some("value".to_owned()),
            ..options()
        },
        "log has no column `value`: it has [customer_id, date, amount]",
    );
    let both = SummaryOptions {
        date_format: Some("%Y".to_owned()),
        epoch_unit: Some(EpochUnit::Days),
        ..options()
    };
    check(both, "options.epoch_unit");
    let typo = r#"{"time_unit": "week", "grian": "day"}"#;
    assert!(serde_json::from_str::<SummaryOptions>(typo).is_err());
}

#[test]
fn whole_number_ids_stay_numbers_and_exact() {
    use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, UInt64Array};
    use std::sync::Arc;
    let batch = |ids: ArrayRef| {
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(1), None]));
        RecordBatch::try_from_iter([("customer_id", ids), ("date", dates)]).unwrap()
    };
    let plain = batch(Arc::new(Int64Array::from(vec![7, -8, 9])));
    let summary = summarize_batches([&plain], &SummaryOptions::default()).unwrap();
    assert_eq!(
        summary.frame.get("customer_id"),
        Some(&FrameColumn::Numbers(vec![7.0, -8.0]))
    );
    assert_eq!(summary.report.bad_rows[0].cause, Cause::MissingDate);
    let wide = batch(Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX - 1, 9])));
    let summary = summarize_batches([&wide], &SummaryOptions::default()).unwrap();
    assert_eq!(
        ids(&summary.frame),
        ["18446744073709551615", "18446744073709551614"]
    );
    let error = summarize_batches([&plain, &mixed_ids()], &SummaryOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("must be a whole number, as in earlier rows"),
        "{error}"
    );
}

fn mixed_ids() -> arrow_array::RecordBatch {
    use arrow_array::{ArrayRef, Date32Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![0]));
    RecordBatch::try_from_iter([("customer_id", ids), ("date", dates)]).unwrap()
}

#[test]
fn float_ids_must_be_whole() {
    let frame = Frame::new(3)
        .with_numbers("customer_id", vec![1.0, 1.5, f64::NAN])
        .with_numbers("date", vec![20_240_101.0; 3]);
    let report = summarize_frame(&frame, &SummaryOptions::default())
        .unwrap()
        .report;
    let causes: Vec<Cause> = report.bad_rows.iter().map(|bad| bad.cause).collect();
    assert_eq!(causes, [Cause::MissingCustomerId, Cause::BadCustomerId]);
    assert_eq!(report.row_numbering, RowNumbering::RowFromZero);
    assert_eq!(report.bad_rows[1].examples[0].row, 1);
}

#[test]
fn logarithms_of_spend_by_hand() {
    let rows = [
        "a 2024-01-01 10",
        "a 2024-01-05 20",
        "a 2024-01-05 1",
        "a 2024-01-08 0",
        "a 2024-01-09 8",
        "b 2024-01-02 7",
        "c 2024-01-02 7",
        "c 2024-01-03 0",
    ];
    let options = SummaryOptions {
        log_spend: true,
        ..options()
    };
    let summary = summarize(&rows, &options).unwrap();
    let names: Vec<&str> = summary.frame.columns.iter().map(|c| c.0.as_str()).collect();
    assert_eq!(
        names[4..],
        ["monetary_value", "log_spend_mean", "log_spend_sd"]
    );
    // Repeats of a: 21, 0 and 8; the free one has no logarithm.
    let (one, two) = (cvm_math::ln(21.0), cvm_math::ln(8.0));
    let got = row(&summary, "a");
    assert!((got[4] - 0.5 * (one + two)).abs() < 1e-15, "{got:?}");
    assert!(
        (got[5] - (one - two) / 2.0_f64.sqrt()).abs() < 1e-15,
        "{got:?}"
    );
    assert_eq!(row(&summary, "b")[3..], [0.0, 0.0, 0.0]);
    // All repeats of c were free.
    let got = row(&summary, "c");
    assert!(got[3] == 0.0 && got[4].is_nan() && got[5] == 0.0, "{got:?}");
    assert_eq!(summary.report.purchases_without_log_spend, 2);
    assert!(
        summary
            .report
            .to_string()
            .contains("2 purchases of amount zero")
    );
    let all = SummaryOptions {
        include_first_purchase: true,
        ..options.clone()
    };
    let summary = summarize(&rows, &all).unwrap();
    assert_eq!(row(&summary, "b")[4], cvm_math::ln(7.0));
    let none = SummaryOptions {
        amount: None,
        ..options
    };
    let error = summarize(&rows, &none).unwrap_err().to_string();
    assert!(error.contains("log_spend"), "{error}");
}

#[test]
fn periods_of_the_calendar_are_counted() {
    let rows = [
        "a 2019-11-30 10",
        "a 2019-12-31 3",
        "a 2020-01-01 20",
        "a 2020-12-31 1",
        "a 2022-06-15 5",
        "b 2021-03-01 7",
        "c 2023-05-05 7",
    ];
    let yearly = SummaryOptions {
        calendar: Some(CalendarPeriod::Year),
        ..options()
    };
    let summary = summarize(&rows, &yearly).unwrap();
    let names: Vec<&str> = summary
        .frame
        .columns
        .iter()
        .map(|(n, _)| n.as_str())
        .collect();
    assert_eq!(names[3], "n_periods");
    // Years 2019, 2020, 2022; observed to the end of 2023, since the last date lies in it.
    assert_eq!(row(&summary, "a"), [2.0, 3.0, 4.0, 13.0]);
    assert_eq!(row(&summary, "b"), [0.0, 0.0, 2.0, 0.0]);
    assert_eq!(row(&summary, "c"), [0.0, 0.0, 0.0, 0.0]);
    assert_eq!(summary.report.observation_end, "2023-12-31");
    assert_eq!(summary.report.time_unit, TimeUnit::Year);

    let split = SummaryOptions {
        calibration_end: Some("2020-12-31".to_owned()),
        ..yearly.clone()
    };
    let summary = summarize(&rows, &split).unwrap();
    // Hold-out: one year with a purchase of three.
    assert_eq!(row(&summary, "a"), [1.0, 1.0, 1.0, 21.0, 1.0, 3.0, 5.0]);
    assert_eq!(summary.report.customers_only_in_holdout, 2);

    let monthly = SummaryOptions {
        calendar: Some(CalendarPeriod::Month),
        observation_end: Some("2023-05-31".to_owned()),
        ..options()
    };
    let summary = summarize(&rows, &monthly).unwrap();
    assert_eq!(row(&summary, "a")[..3], [4.0, 31.0, 42.0]);
}

#[test]
fn half_periods_and_exact_times_are_refused() {
    let rows = ["a 2019-11-30 10"];
    let refused = |change: fn(&mut SummaryOptions)| {
        let mut options = SummaryOptions {
            calendar: Some(CalendarPeriod::Quarter),
            ..options()
        };
        change(&mut options);
        summarize(&rows, &options).unwrap_err().to_string()
    };
    let half = refused(|options| options.observation_end = Some("2019-12-30".to_owned()));
    assert!(half.contains("2019-09-30 or 2019-12-31"), "{half}");
    let half = refused(|options| options.calibration_end = Some("2019-11-30".to_owned()));
    assert!(half.contains("calibration_end"), "{half}");
    assert!(refused(|options| options.regularity = true).contains("regularity"));
    assert!(refused(|options| options.grain = TimeUnit::Week).contains("grain"));
    assert!(refused(|options| options.time_unit = TimeUnit::Year).contains("quarter"));
}

//! What must not change a summary: the order of the log, its pieces, its container, other customers.

use cvm_core::{Column, Frame, FrameColumn, TimeUnit};
use cvm_record::{
    CsvOptions, CsvSource, NegativeAmounts, Summarizer, Summary, SummaryOptions, summarize_csv,
    summarize_frame, to_record_batch, write_csv,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Customer, seconds after 2024-01-01, amount in cents.
type Row = (u16, i64, i64);

fn rows(customers: std::ops::Range<u16>) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((customers, 0..40 * 86_400_i64, -500..3_000_i64), 1..200)
}

fn frame(rows: &[Row]) -> Frame {
    let ids: Vec<String> = rows.iter().map(|(id, ..)| format!("c{id}")).collect();
    let dates: Vec<String> = rows
        .iter()
        .map(|(_, seconds, _)| {
            let (day, second) = (seconds / 86_400, seconds % 86_400);
            let month = if day < 31 { 1 } else { 2 };
            let (hour, minute) = (second / 3_600, second / 60 % 60);
            format!(
                "2024-0{month}-{:02}T{hour:02}:{minute:02}:{:02}",
                day % 31 + 1,
                second % 60
            )
        })
        .collect();
    let text =
        |values: &[String]| FrameColumn::from_strings(values.iter().map(|v| Some(v.as_str())));
    let mut frame = Frame::new(rows.len());
    frame.columns.push(("customer_id".to_owned(), text(&ids)));
    frame.columns.push(("date".to_owned(), text(&dates)));
    #[allow(clippy::cast_precision_loss)]
    frame.with_numbers(
        "amount",
        rows.iter()
            .map(|(.., cents)| *cents as f64 / 100.0)
            .collect(),
    )
}

fn any_options() -> impl Strategy<Value = SummaryOptions> {
    let grains = [
        TimeUnit::Second,
        TimeUnit::Hour,
        TimeUnit::Day,
        TimeUnit::Week,
        TimeUnit::Month,
    ];
    let policies = [
        NegativeAmounts::Net,
        NegativeAmounts::Exclude,
        NegativeAmounts::Reject,
    ];
    (
        prop::sample::select(grains.to_vec()),
        prop::sample::select(policies.to_vec()),
        any::<[bool; 4]>(),
    )
        .prop_map(
            |(grain, negative_amounts, [split, include_first_purchase, log_spend, regularity])| {
                SummaryOptions {
                    amount: Some("amount".to_owned()),
                    time_unit: TimeUnit::Week,
                    grain,
                    negative_amounts,
                    include_first_purchase,
                    log_spend,
                    regularity,
                    calibration_end: split.then(|| "2024-01-20".to_owned()),
                    observation_end: Some("2024-02-20".to_owned()),
                    ..SummaryOptions::default()
                }
            },
        )
}

/// Bits of every number by customer.
fn by_customer(summary: &Summary) -> BTreeMap<String, Vec<u64>> {
    in_order(summary).into_iter().collect()
}

/// Bits of every number of every customer, in their order; a missing number equals itself.
fn in_order(summary: &Summary) -> Vec<(String, Vec<u64>)> {
    let frame = &summary.frame;
    let Some(Column::Text(ids)) = frame.get("customer_id").map(FrameColumn::view) else {
        panic!("ids are text");
    };
    let bits = |row: usize| {
        let columns = frame
            .columns
            .iter()
            .filter_map(move |(_, column)| match column {
                FrameColumn::Numbers(values) => Some(values[row].to_bits()),
                FrameColumn::Text { .. } => None,
            });
        columns.collect()
    };
    (0..frame.row_count)
        .map(|row| (ids.get(row).unwrap().to_owned(), bits(row)))
        .collect()
}

/// A log of refunds alone has no summary; everything else must.
fn summarize(rows: &[Row], options: &SummaryOptions) -> Option<Summary> {
    summarize_frame(&frame(rows), options).ok()
}

proptest! {
    #[test]
    fn the_order_of_the_rows_does_not_matter(
        (rows, shuffled) in rows(0..20).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        options in any_options(),
    ) {
        let (a, b) = (summarize(&rows, &options), summarize(&shuffled, &options));
        prop_assert_eq!(a.as_ref().map(by_customer), b.as_ref().map(by_customer));
        if let (Some(a), Some(mut b)) = (a, b) {
            b.report.bad_rows.clone_from(&a.report.bad_rows); // examples are the first in the log
            prop_assert_eq!(a.report, b.report);
        }
    }

    #[test]
    fn pieces_frames_batches_and_csv_agree(
        rows in rows(0..20),
        cut in 0.0..1.0_f64,
        options in any_options(),
    ) {
        let Some(whole) = summarize(&rows, &options) else { return Ok(()); };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (cut * rows.len() as f64) as usize;
        let (head, tail) = rows.split_at(at);
        let mut pieces = Summarizer::new(&options).unwrap();
        pieces.push_frame(&frame(head)).unwrap();
        pieces.push_batch(&to_record_batch(&frame(tail)).unwrap()).unwrap();
        let pieces = pieces.finish().unwrap();
        prop_assert_eq!(in_order(&pieces), in_order(&whole));
        prop_assert_eq!(&pieces.report, &whole.report);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        write_csv(&path, &frame(&rows)).unwrap();
        let source = CsvSource::path(&path).unwrap();
        let by_csv = summarize_csv(&source, &CsvOptions::default(), &options).unwrap();
        prop_assert_eq!(in_order(&by_csv), in_order(&whole));
        prop_assert_eq!(by_csv.report.bad_row_count, whole.report.bad_row_count);
    }

    #[test]
    fn customers_do_not_see_each_other(
        a in rows(0..10),
        b in rows(10..20),
        options in any_options(),
    ) {
        let both: Vec<Row> = a.iter().chain(&b).copied().collect();
        let parts = [summarize(&a, &options), summarize(&b, &options)];
        let union: BTreeMap<_, _> = parts.iter().flatten().flat_map(by_customer).collect();
        let joint = summarize(&both, &options).as_ref().map(by_customer).unwrap_or_default();
        prop_assert_eq!(joint, union);
    }

    /// The columns of log spend are additions: the others keep their bits and their order, and the
    /// logarithm of the mean bounds the mean of the logarithms.
    #[test]
    fn log_spend_only_adds_columns(rows in rows(0..20), options in any_options()) {
        let without = SummaryOptions { log_spend: false, ..options.clone() };
        let with = SummaryOptions { log_spend: true, ..options };
        let (Some(a), Some(b)) = (summarize(&rows, &without), summarize(&rows, &with)) else {
            return Ok(());
        };
        let column = |name: &str| match b.frame.get(name) {
            Some(FrameColumn::Numbers(values)) => values.clone(),
            _ => panic!("no column {name}"),
        };
        let (means, deviations) = (column("log_spend_mean"), column("log_spend_sd"));
        for (row, mean) in column("monetary_value").iter().enumerate() {
            prop_assert!(deviations[row] >= 0.0);
            let free = b.report.purchases_without_log_spend > 0;
            prop_assert!(free || *mean == 0.0 || means[row] <= cvm_math::ln(*mean) + 1e-12);
        }
        let mut rest = b;
        rest.frame.columns.retain(|(name, _)| !name.starts_with("log_spend"));
        prop_assert_eq!(by_customer(&a), by_customer(&rest));
        rest.report.purchases_without_log_spend = 0;
        prop_assert_eq!(&a.report, &rest.report);
    }

    #[test]
    fn every_summary_is_one_the_models_accept(rows in rows(0..20), options in any_options()) {
        let Some(summary) = summarize(&rows, &options) else { return Ok(()); };
        let report = &summary.report;
        prop_assert_eq!(
            report.rows_read,
            report.rows_used + report.bad_row_count + report.refund_rows_excluded
        );
        for bits in by_customer(&summary).values() {
            let row: Vec<f64> = bits.iter().map(|bits| f64::from_bits(*bits)).collect();
            let (frequency, recency, age) = (row[0], row[1], row[2]);
            let monetary_value = row[3 + usize::from(options.regularity)];
            if options.regularity && frequency > 0.0 {
                // The mean of logarithms is at most the logarithm of the mean.
                let most = frequency * cvm_math::ln(recency / frequency);
                prop_assert!(row[3] <= most + 1e-9, "{} {most}", row[3]);
            }
            prop_assert!(frequency >= 0.0 && frequency.fract() == 0.0);
            prop_assert!(0.0 <= recency && recency <= age && age <= 51.0 / 7.0);
            prop_assert_eq!(frequency == 0.0, recency == 0.0);
            prop_assert!(monetary_value >= 0.0);
        }
    }
}

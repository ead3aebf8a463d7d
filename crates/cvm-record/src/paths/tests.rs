//! Long tables to numbered columns: periods, dates, seasons, logs, and what is refused.

use super::{PathOptions, covariate_path_columns};
use cvm_core::{Frame, FrameColumn, TimeUnit};

fn text(frame: Frame, name: &str, values: &[&str]) -> Frame {
    let mut frame = frame;
    let column = FrameColumn::from_strings(values.iter().copied().map(Some));
    frame.columns.push((name.to_owned(), column));
    frame
}

fn customers() -> Frame {
    let frame = text(Frame::new(2), "customer_id", &["a", "b"]);
    frame
        .with_numbers("frequency", vec![2.0, 0.0])
        .with_numbers("recency", vec![3.0, 0.0])
        .with_numbers("T", vec![4.0, 2.0])
}

fn options() -> PathOptions {
    PathOptions {
        covariates: vec!["price".to_owned()],
        ..PathOptions::default()
    }
}

fn column(frame: &Frame, name: &str) -> Vec<f64> {
    match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => values.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn error(customers: &Frame, paths: &Frame, log: Option<&Frame>, options: &PathOptions) -> String {
    covariate_path_columns(customers, paths, log, options)
        .expect_err("must be refused")
        .to_string()
}

/// In any order; the second step of `a` changes nothing, the first of `b` is over before its start.
#[test]
fn periods_of_each_customer_become_steps() {
    let ids = ["a", "b", "a", "a", "b"];
    let paths = text(Frame::new(5), "customer_id", &ids)
        .with_numbers("start", vec![2.0, -3.0, 0.0, 1.0, -1.0])
        .with_numbers("end", vec![9.0, -1.0, 1.0, 2.0, 6.0])
        .with_numbers("price", vec![7.0, 1.0, 5.0, 5.0, 2.0]);
    let log = text(Frame::new(4), "customer_id", &["a", "a", "a", "b"])
        .with_numbers("date", vec![0.0, 1.5, 3.0, 0.0]);
    let wide = covariate_path_columns(&customers(), &paths, Some(&log), &options()).unwrap();
    assert_eq!(column(&wide, "covariates_until"), [9.0, 6.0]);
    assert_eq!(column(&wide, "covariates_from_0"), [0.0, -1.0]);
    assert_eq!(column(&wide, "price_0"), [5.0, 2.0]);
    assert_eq!(column(&wide, "covariates_from_1")[0], 2.0);
    assert_eq!(column(&wide, "price_1")[0], 7.0);
    assert!(column(&wide, "price_1")[1].is_nan());
    assert!(wide.get("price_2").is_none());
    assert_eq!(column(&wide, "price_at_purchases"), [12.0, 0.0]);
}

/// Weeks of a season that all share; `a` began on 2024-01-01, `b` two weeks later.
#[test]
fn dates_count_from_each_customer_s_start() {
    let dates = ["2024-01-01", "2024-01-15", "2024-01-29"];
    let paths = text(Frame::new(3), "start", &dates).with_numbers("price", vec![1.0, 2.0, 3.0]);
    let dated = PathOptions {
        unit: Some(TimeUnit::Week),
        observation_end: Some("2024-01-29".to_owned()),
        ..options()
    };
    let wide = covariate_path_columns(&customers(), &paths, None, &dated).unwrap();
    assert_eq!(column(&wide, "covariates_from_0"), [0.0, 0.0]);
    assert_eq!(column(&wide, "price_0"), [1.0, 2.0]);
    assert_eq!(column(&wide, "covariates_from_1"), [2.0, 2.0]);
    assert_eq!(column(&wide, "covariates_until"), [6.0, 4.0]);
    let by_origin = PathOptions {
        observation_end: None,
        origin: Some("first".to_owned()),
        ..dated.clone()
    };
    let frame = text(
        customers(),
        "first",
        &["2024-01-01", "2024-01-15T00:00:00Z"],
    );
    let same = covariate_path_columns(&frame, &paths, None, &by_origin).unwrap();
    for name in ["covariates_from_1", "price_1", "covariates_until"] {
        let bits = |frame: &Frame| column(frame, name).iter().map(|v| v.to_bits()).collect();
        let (a, b): (Vec<u64>, Vec<u64>) = (bits(&wide), bits(&same));
        assert_eq!(a, b, "{name}");
    }
    let no_unit = PathOptions {
        unit: None,
        ..dated.clone()
    };
    assert!(error(&customers(), &paths, None, &no_unit).contains("time_unit"));
    let no_end = PathOptions {
        observation_end: None,
        ..dated
    };
    assert!(error(&customers(), &paths, None, &no_end).contains("observation_end"));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let base = |ids: &[&str], starts: &[f64], ends: &[f64]| {
        text(Frame::new(ids.len()), "customer_id", ids)
            .with_numbers("start", starts.to_vec())
            .with_numbers("end", ends.to_vec())
            .with_numbers("price", vec![1.0; ids.len()])
    };
    let lacks = base(&["a"], &[0.0], &[9.0]);
    assert!(error(&customers(), &lacks, None, &options()).contains("customer \"b\""));
    let gap = base(&["a", "a", "b"], &[0.0, 2.0, 0.0], &[1.0, 9.0, 9.0]);
    assert!(
        error(&customers(), &gap, None, &options()).contains("ends at 1, the next starts at 2")
    );
    let whole = base(&["a", "b"], &[0.0, 0.0], &[9.0, 9.0]);
    let log = text(Frame::new(1), "customer_id", &["a"]).with_numbers("date", vec![1.0]);
    let told = error(&customers(), &whole, Some(&log), &options());
    assert!(
        told.contains("1 times of purchase of customer \"a\""),
        "{told}"
    );
    let other = PathOptions {
        covariates: vec!["rain".to_owned()],
        ..options()
    };
    assert!(error(&customers(), &whole, None, &other).contains("`rain`"));
    let nameless = Frame::new(1).with_numbers("T", vec![1.0]);
    assert!(error(&nameless, &whole, None, &options()).contains("`customer_id`"));
    let missing = base(&["a", "b"], &[0.0, f64::NAN], &[9.0, 9.0]);
    assert!(error(&customers(), &missing, None, &options()).contains("is missing in row 1"));
}

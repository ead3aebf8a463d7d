//! Metrics against hand-worked values.

use cvm_churn::metrics::{LiftPoint, MetricError, auc, brier, ece, lift_curve, log_loss};

const CHURNED: [bool; 6] = [true, false, true, false, false, true];
const SCORES: [f64; 6] = [0.9, 0.9, 0.6, 0.4, 0.1, 0.4];

#[test]
fn auc_counts_ties_half() {
    // 9 pairs: .9 against .9 ½, .4, .1 → 2.5; .6 against .9 0, .4, .1 → 2; .4: 0, ½, 1 → 1.5.
    assert_eq!(auc(&CHURNED, &SCORES, None), Ok(6.0 / 9.0));
    assert_eq!(auc(&CHURNED, &[0.5; 6], None), Ok(0.5));
    assert_eq!(auc(&[true, false], &[-0.0, 0.0], None), Ok(0.5));
    assert_eq!(auc(&[true, false], &[f64::INFINITY, -1e300], None), Ok(1.0));
}

#[test]
fn a_weight_is_a_number_of_rows() {
    let weights = [1.0, 2.0, 0.0, 1.0, 3.0, 2.0];
    let expand = |row: usize| std::iter::repeat_n(row, [1, 2, 0, 1, 3, 2][row]);
    let rows: Vec<usize> = (0..6).flat_map(expand).collect();
    let churned: Vec<bool> = rows.iter().map(|r| CHURNED[*r]).collect();
    let scores: Vec<f64> = rows.iter().map(|r| SCORES[*r]).collect();
    let weights = Some(weights.as_slice());
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
    near(
        auc(&CHURNED, &SCORES, weights).unwrap(),
        auc(&churned, &scores, None).unwrap(),
    );
    near(
        brier(&CHURNED, &SCORES, weights).unwrap(),
        brier(&churned, &scores, None).unwrap(),
    );
    let (a, b) = (
        log_loss(&CHURNED, &SCORES, weights),
        log_loss(&churned, &scores, None),
    );
    near(a.unwrap(), b.unwrap());
    let (a, b) = (
        ece(&CHURNED, &SCORES, weights, 5),
        ece(&churned, &scores, None, 5),
    );
    near(a.unwrap(), b.unwrap());
    let curve = lift_curve(&CHURNED, &SCORES, weights, 7).unwrap();
    for (a, b) in curve
        .iter()
        .zip(lift_curve(&churned, &scores, None, 7).unwrap())
    {
        near(a.captured_share, b.captured_share);
    }
}

#[test]
fn errors_of_probability_are_the_hand_worked_ones() {
    // (.01 + .81 + .16 + .16 + .01 + .36) / 6
    let value = brier(&CHURNED, &SCORES, None).unwrap();
    assert!((value - 1.51 / 6.0).abs() < 1e-15, "{value}");
    // −ln of .9 · .1 · .6 · .6 · .9 · .4 = .0116640, over 6
    let value = log_loss(&CHURNED, &SCORES, None).unwrap();
    assert!(
        (value - -cvm_math::ln(0.011_664) / 6.0).abs() < 1e-15,
        "{value}"
    );
    assert_eq!(log_loss(&[true], &[0.0], None), Ok(f64::INFINITY));
    assert_eq!(log_loss(&[true, false], &[1.0, 0.0], None), Ok(0.0));
    // Bins of .2: [.1] gap .1; [.4 .4] 1 − .8 = .2; [.6] .4 (0.6*5 = 3.0); [.9 .9] 1 − 1.8 = .8.
    let value = ece(&CHURNED, &SCORES, None, 5).unwrap();
    assert!((value - 1.5 / 6.0).abs() < 1e-15, "{value}");
    assert_eq!(ece(&[true], &[1.0], None, 10), Ok(0.0));
}

#[test]
fn lift_is_straight_within_ties_and_ends_at_everyone() {
    let curve = lift_curve(&CHURNED, &SCORES, None, 6).unwrap();
    // Contacted 1..6: half of the tied pair, the pair, .6, then the pair at .4, then the rest.
    let captured: Vec<f64> = curve.iter().map(|p| p.captured_share * 3.0).collect();
    for (got, want) in captured.iter().zip([0.5, 1.0, 2.0, 2.5, 3.0, 3.0]) {
        assert!((got - want).abs() < 1e-14, "{captured:?}");
    }
    let last = LiftPoint {
        contacted_share: 1.0,
        captured_share: 1.0,
        lift: 1.0,
    };
    assert_eq!(curve.last(), Some(&last));
}

#[test]
fn bad_input_is_named() {
    let short = auc(&CHURNED, &[0.5], None).unwrap_err();
    assert_eq!(short.to_string(), "scores has 1 rows, expected 6");
    let above = brier(&[true], &[1.5], None).unwrap_err();
    assert_eq!(
        above.to_string(),
        "scores: row 0 is 1.5: must be a number from 0 to 1"
    );
    assert!(auc(&[true, false], &[f64::NAN, 0.0], None).is_err());
    assert!(brier(&[true], &[0.5], Some(&[-1.0])).is_err());
    assert_eq!(
        auc(&[true, true], &[0.1, 0.2], None),
        Err(MetricError::SingleClass)
    );
    assert_eq!(brier(&[], &[], None), Err(MetricError::SingleClass));
    assert!(ece(&[true], &[0.5], None, 0).is_err());
    assert!(lift_curve(&[true], &[0.5], None, 3).is_err());
}

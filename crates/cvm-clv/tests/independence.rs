//! Independence of spend and frequency: known correlations, permutations, refusals.

mod common;

use common::{cdnow, close};
use cvm_clv::{IndependenceSettings, Random, independence};

fn columns() -> (Vec<f64>, Vec<f64>) {
    let (rows, spends) = cdnow();
    (
        rows.iter().map(|row| row.frequency).collect(),
        spends.iter().map(|row| row.monetary_value).collect(),
    )
}

/// scipy.stats on the same 946 repeat buyers: `pearsonr`, `spearmanr`, `kendalltau(method="asymptotic")`.
#[test]
fn cdnow_as_scipy_finds_it() {
    let (x, m) = columns();
    let found = independence(&x, &m, &IndependenceSettings::default()).unwrap();
    assert_eq!((found.customers, found.excluded), (946, 1411));
    close(found.pearson.coefficient, 0.113_883_910_486_004_55, 1e-12);
    close(found.pearson.p_value, 0.000_448_894_778_757_093_5, 1e-9);
    close(found.spearman.coefficient, 0.206_393_954_817_488_7, 1e-12);
    close(found.spearman.p_value, 1.466_555_558_578_253_4e-10, 1e-9);
    close(found.kendall.coefficient, 0.155_222_513_671_313_3, 1e-12);
    close(found.kendall.p_value, 1.428_537_402_604_043_8e-10, 1e-9);
    assert!(
        found.verdict.contains("some correlation"),
        "{}",
        found.verdict
    );
    assert!(found.verdict.contains("too low"), "{}", found.verdict);
    assert!(found.bins.len() >= 3 && found.bins.len() <= 10);
    assert_eq!(
        found.bins.iter().map(|bin| bin.customers).sum::<usize>(),
        946
    );
    println!("{}", found.verdict);
}

#[test]
fn permutations_agree_with_the_asymptotic_value_and_with_themselves() {
    let mut random = Random::new(4);
    let x: Vec<f64> = (0..300).map(|_| 1.0 + random.poisson(3.0)).collect();
    let m: Vec<f64> = (0..300).map(|_| 10.0 * random.exponential()).collect();
    let drawn = IndependenceSettings {
        permutations: 2_000,
        seed: 9,
        bins: 4,
    };
    let plain = independence(&x, &m, &IndependenceSettings::default()).unwrap();
    let permuted = independence(&x, &m, &drawn).unwrap();
    assert_eq!(permuted, independence(&x, &m, &drawn).unwrap());
    // Four standard errors of a share of 2000 draws.
    let slack = 4.0 * (0.25f64 / 2_000.0).sqrt();
    assert!((plain.spearman.p_value - permuted.spearman.p_value).abs() < slack);
    assert!((plain.pearson.p_value - permuted.pearson.p_value).abs() < slack + 0.02);
    assert!(plain.verdict.starts_with("No sign"), "{}", plain.verdict);
}

#[test]
fn strong_constant_and_wrong_data() {
    let x: Vec<f64> = (1..=40).map(f64::from).collect();
    let m: Vec<f64> = x.iter().map(|x| 100.0 - x).collect();
    let default = IndependenceSettings::default();
    let found = independence(&x, &m, &default).unwrap();
    assert!(found.spearman.coefficient < -1.0 + 1e-14 && found.spearman.p_value < 1e-100);
    assert_eq!(found.kendall.coefficient, -1.0);
    assert!(found.verdict.contains("strong") && found.verdict.contains("too high"));
    let same = independence(&[2.0; 40], &m, &default).unwrap();
    assert!(same.pearson.coefficient.is_nan() && same.kendall.p_value.is_nan());
    assert!(same.verdict.contains("cannot be judged"));

    let field = |x: &[f64], m: &[f64], settings: &IndependenceSettings| {
        let error = independence(x, m, settings).unwrap_err();
        error.violations[0].field.clone()
    };
    assert_eq!(field(&x, &m[1..], &default), "columns.monetary_value");
    assert_eq!(
        field(&[1.5; 4], &[1.0; 4], &default),
        "columns.frequency[0]"
    );
    let gap = [1.0, f64::NAN, 2.0, 3.0];
    assert_eq!(
        field(&[1.0; 4], &gap, &default),
        "columns.monetary_value[1]"
    );
    assert_eq!(field(&[0.0; 9], &[f64::NAN; 9], &default), "columns");
    let no_bins = IndependenceSettings { bins: 0, ..default };
    assert_eq!(field(&x, &m, &no_bins), "bins");
    let endless = IndependenceSettings {
        permutations: u32::MAX,
        ..default
    };
    assert_eq!(field(&x, &m, &endless), "permutations");
}

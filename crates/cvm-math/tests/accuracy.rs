//! Errors against 60-digit references: the limits that the documentation promises.
mod common;

use common::{Record, table};

/// Largest error in ulp over the records that `keep` admits, with where it occurs.
fn worst<const N: usize>(
    name: &str,
    f: impl Fn([f64; N]) -> f64,
    keep: impl Fn(&Record<N>) -> bool,
) -> f64 {
    let records = table::<N>(name);
    let mut worst = (0.0, [0.0; N]);
    let mut kept = 0;
    for record in records.iter().filter(|r| keep(r)) {
        kept += 1;
        let error = record.error_ulp(f(record.args));
        if error > worst.0 {
            worst = (error, record.args);
        }
    }
    assert!(kept > 0, "{name}: no record");
    println!(
        "{name}: {kept} of {} records, max {:.3} ulp at {:?}",
        records.len(),
        worst.0,
        worst.1
    );
    worst.0
}

/// Largest absolute error over the records that `keep` admits.
fn worst_abs<const N: usize>(
    name: &str,
    f: impl Fn([f64; N]) -> f64,
    keep: impl Fn(&Record<N>) -> bool,
) -> f64 {
    let records = table::<N>(name);
    let kept: Vec<_> = records.iter().filter(|r| keep(r)).collect();
    assert!(!kept.is_empty(), "{name}: no record");
    let worst = kept
        .iter()
        .map(|r| r.error_abs(f(r.args)))
        .fold(0.0, f64::max);
    println!(
        "{name}: {} records near zeros, max abs {worst:.3e}",
        kept.len()
    );
    worst
}

#[test]
fn elementary_functions_of_one_argument() {
    type Named = (&'static str, fn(f64) -> f64);
    let functions: [Named; 6] = [
        ("ln", cvm_math::ln),
        ("exp", cvm_math::exp),
        ("log1p", cvm_math::log1p),
        ("expm1", cvm_math::expm1),
        ("sigmoid", cvm_math::sigmoid),
        ("softplus", cvm_math::softplus),
    ];
    for (name, f) in functions {
        assert!(worst(name, |[x]| f(x), |_| true) <= 1.0, "{name}");
    }
}

#[test]
fn pow_to_the_ends_of_the_range() {
    assert!(worst("pow", |[x, y]| cvm_math::pow(x, y), |_| true) <= 1.0);
}

#[test]
fn log_add_exp_also_near_its_zeros() {
    let f = |[x, y]: [f64; 2]| cvm_math::log_add_exp(x, y);
    let size = |r: &Record<2>| r.args[0].abs().max(r.args[1].abs());
    assert!(worst("log_add_exp", f, |r| r.value.abs() >= 0.02 * size(r)) <= 1.0);
    assert!(worst_abs("log_add_exp", f, |r| r.value.abs() < 0.02 * size(r)) <= 1e-16);
}

#[test]
fn gamma_family() {
    let f = |[x]: [f64; 1]| cvm_math::ln_gamma(x);
    assert!(worst("ln_gamma", f, |r| r.args[0] > 0.0) <= 4.0);
    assert!(worst_abs("ln_gamma", f, |r| r.args[0] > 0.0 && r.value.abs() < 0.1) <= 1e-16);
    let f = |[x]: [f64; 1]| cvm_math::digamma(x);
    assert!(worst("digamma", f, |r| r.args[0] > 0.0 && r.value.abs() > 0.1) <= 4.0);
    assert!(worst_abs("digamma", f, |r| r.args[0] > 0.0 && r.value.abs() <= 0.1) <= 1e-16);
    let f = |[x]: [f64; 1]| cvm_math::trigamma(x);
    assert!(worst("trigamma", f, |r| r.args[0] > 0.0) <= 4.0);
}

#[test]
fn ln_beta_without_cancellation() {
    let f = |[a, b]: [f64; 2]| cvm_math::ln_beta(a, b);
    let huge = |r: &Record<2>| r.args[0].max(r.args[1]) > 1e290;
    assert!(worst("ln_beta", f, |r| r.value.abs() > 0.1 && !huge(r)) <= 4.0);
    assert!(worst("ln_beta", f, huge) <= 8.0);
    assert!(worst_abs("ln_beta", f, |r| r.value.abs() <= 0.1) <= 1e-16);
}

#[test]
fn gamma_family_on_the_negative_axis() {
    let check = |name: &str, f: fn(f64) -> f64, mirror: fn(f64) -> f64| {
        let records = table::<1>(name);
        let negative: Vec<_> = records.iter().filter(|r| r.args[0] < 0.0).collect();
        assert!(negative.len() >= 100, "{name}");
        let worst = negative
            .iter()
            .map(|r| {
                r.error_abs(f(r.args[0])) / r.value.abs().max(mirror(-r.args[0]).abs()).max(1.0)
            })
            .fold(0.0, f64::max);
        println!(
            "{name}: {} negative arguments, max {worst:.2e} of the larger term",
            negative.len()
        );
        assert!(worst <= 2e-15, "{name}");
    };
    check("ln_gamma", cvm_math::ln_gamma, cvm_math::ln_gamma);
    check("digamma", cvm_math::digamma, cvm_math::digamma);
    check("trigamma", cvm_math::trigamma, cvm_math::trigamma);
}

#[test]
fn median_of_a_gamma_distribution() {
    let f = |[shape]: [f64; 1]| cvm_math::ln_gamma_median(shape);
    let records = table::<1>("gamma_median");
    assert!(records.len() > 5_000, "{}", records.len());
    let error = |r: &Record<1>| r.error_abs(f(r.args)) / r.value.abs().max(1.0);
    let worst = records.iter().map(error).fold(0.0, f64::max);
    println!("gamma_median: {} records, max {worst:.3e}", records.len());
    assert!(worst <= 2e-14, "{worst:e}");
}

//! Pareto/NBD and GGompertz/NBD against proven references: likelihood and every forecast, published
//! traps included.

mod common;

use common::records;
use cvm_clv::{Formulas, GGompertzNbd, ParetoNbd, PurchaseFormulas, Rfm};

/// `r, alpha, b, s, beta, x, t_x, T, t, n, delta` and six answers.
type Record = [f64; 17];

/// Error relative to the size of the answer; of a logarithm of a probability near 1, to the
/// logarithm.
fn error(got: f64, expected: f64) -> f64 {
    if got == expected {
        return 0.0;
    }
    (got - expected).abs() / expected.abs()
}

/// A log-likelihood is a sum of terms that may cancel: relative to 1 where it is smaller, unless
/// there is no repeat purchase, where it is one logarithm.
fn log_lik_error(got: f64, expected: f64, x: f64) -> f64 {
    if x == 0.0 {
        return error(got, expected);
    }
    (got - expected).abs() / expected.abs().max(1.0)
}

fn check<F: PurchaseFormulas>(name: &str, records: &[Record], model: impl Fn(&Record) -> F) {
    let names = [
        "log_lik",
        "ln_p_alive",
        "p_alive",
        "purchases",
        "ln_pmf",
        "ln_tail",
        "discounted",
    ];
    let mut worst = [(0.0, 0); 7];
    for (index, record) in records.iter().enumerate() {
        let [.., x, t_x, age, t, n, delta, _, _, _, _, _, _] = *record;
        let [.., log_lik, ln_alive, purchases, pmf, tail, discounted] = *record;
        let model = model(record);
        let row = Rfm::new(x, t_x, age).unwrap();
        let errors = [
            log_lik_error(model.log_lik(&row), log_lik, x),
            error(model.ln_p_alive(&row), ln_alive),
            // Beyond, doubles lose digits.
            if ln_alive > -700.0 {
                error(model.p_alive(&row), cvm_math::exp(ln_alive))
            } else {
                model.p_alive(&row)
            },
            error(model.purchases(&row, t), purchases),
            // Logarithms: the probability's relative error is the logarithm's absolute one.
            (model.ln_pmf(&row, t, n) - pmf)
                .abs()
                .min(error(model.ln_pmf(&row, t, n), pmf)),
            (model.ln_tail(&row, t, n) - tail)
                .abs()
                .min(error(model.ln_tail(&row, t, n), tail)),
            error(model.discounted(&row, t, delta), discounted),
        ];
        for (slot, own) in worst.iter_mut().zip(errors) {
            if own.is_nan() || own > slot.0 {
                *slot = (own, index);
            }
        }
    }
    for (what, (error, index)) in names.iter().zip(worst) {
        println!("{name} {what}: {error:.1e} at {:?}", records[index]);
    }
    for (what, (error, index)) in names.iter().zip(worst) {
        assert!(
            error < 1e-10,
            "{name} {what}: {error:e} at {:?}",
            records[index]
        );
    }
}

#[test]
fn pareto_nbd_holds_ten_digits_everywhere() {
    let records = records::<17>(include_bytes!("data/pareto_nbd_reference.bin"));
    assert!(records.len() >= 20, "{}", records.len());
    check("Pareto/NBD", &records, |record| {
        ParetoNbd::new(record[0], record[1], record[3], record[4]).unwrap()
    });
}

#[test]
fn ggompertz_nbd_holds_ten_digits_everywhere() {
    let records = records::<17>(include_bytes!("data/ggompertz_nbd_reference.bin"));
    assert!(records.len() >= 5000, "{}", records.len());
    check("GGompertz/NBD", &records, |record| {
        GGompertzNbd::at(&record[..5])
    });
}

/// `r, alpha, b, s, beta, x, T, t, delta`, and `ln P(alive ahead)`, lifetime to `t` and for ever, DERT,
/// and the probability whose quantile is `t` (data/attrition_lifetimes.py).
fn check_lifetimes<F: PurchaseFormulas>(
    name: &str,
    table: &[[f64; 14]],
    model: impl Fn(&[f64]) -> F,
) {
    assert!(table.len() >= 5000, "{}", table.len());
    let names = [
        "alive ahead",
        "lifetime",
        "lifetime for ever",
        "DERT",
        "next purchase",
    ];
    let mut worst = [0.0f64; 5];
    for record in table {
        let [.., x, age, t, delta, ahead, lifetime, ever, dert, p] = *record;
        let model = model(&record[..5]);
        // Forecasts of the living do not depend on the recency.
        let row = Rfm::new(x, if x > 0.0 { age } else { 0.0 }, age).unwrap();
        let survival = if ahead > -700.0 {
            error(model.p_alive_ahead(&row, t), cvm_math::exp(ahead))
        } else {
            model.p_alive_ahead(&row, t)
        };
        let quantile = if p.is_nan() {
            0.0
        } else {
            error(model.next_purchase(&row, p), t)
        };
        let errors = [
            survival,
            error(model.lifetime(&row, t, delta), lifetime),
            error(model.lifetime(&row, f64::INFINITY, delta), ever),
            error(model.discounted(&row, f64::INFINITY, delta), dert),
            quantile,
        ];
        for ((worst, own), what) in worst.iter_mut().zip(errors).zip(names) {
            assert!(own < 1e-10, "{name} {what}: {own:e} at {record:?}");
            *worst = worst.max(own);
        }
    }
    println!("{name}: {names:?} {worst:?}");
}

#[test]
fn pareto_nbd_lifetimes_hold_ten_digits() {
    let table = records::<14>(include_bytes!("data/pareto_nbd_lifetimes.bin"));
    check_lifetimes("Pareto/NBD", &table, |p| {
        ParetoNbd::new(p[0], p[1], p[3], p[4]).unwrap()
    });
}

#[test]
fn ggompertz_nbd_lifetimes_hold_ten_digits() {
    let table = records::<14>(include_bytes!("data/ggompertz_nbd_lifetimes.bin"));
    check_lifetimes("GGompertz/NBD", &table, GGompertzNbd::at);
}

//! MBG/NBD: known fit, reference grid, traps, merging, counts.

mod common;

use common::{binary, cdnow_exact, check_derivatives, check_table, close, evaluate, newton};
use cvm_clv::{MbgNbd, Purchase, PurchaseFormulas, Rfm};
use cvm_core::{Derivatives, Likelihood, Order, ParametricModel, TimeUnit};
use cvm_math::exp;

type Model = Purchase<MbgNbd>;

/// BTYDplus on the day-exact CDNOW sample.
const CDNOW_FIT: [f64; 4] = [0.524_843_6, 6.183_092_8, 0.891_387_8, 1.614_048_3];

fn model(row: &[f64]) -> Model {
    Model::new(MbgNbd::new(row[0], row[1], row[2], row[3]).unwrap(), None)
}

#[test]
fn every_start_reaches_the_known_fit() {
    let likelihood = Model::likelihood(&cdnow_exact(), None);
    for start in Model::starts(&likelihood) {
        let (theta, at) = newton(&likelihood, &start);
        for (got, expected) in theta.iter().zip(CDNOW_FIT) {
            // BTYDplus stops a few 1e-5 before the maximum.
            close(*got, expected, 5e-5);
        }
        assert!((at.value - -9_582.135_716).abs() < 2e-6, "{}", at.value);
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let mut rows = cdnow_exact();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(500.0, 38.0, 39.0).unwrap());
    let likelihood = Model::likelihood(&rows, None);
    for theta in [
        CDNOW_FIT,
        [1.0, 1.0, 1.0, 1.0],
        [3.0, 20.0, 0.1, 0.2],
        [0.05, 60.0, 5.0, 9.0],
    ] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

#[test]
fn merged_rows_sum_to_the_rows_themselves() {
    let rows = cdnow_exact();
    let likelihood = Model::likelihood(&rows, None);
    let merged = evaluate(&likelihood, &CDNOW_FIT, Order::Hessian);
    let model = Model::from_params(&CDNOW_FIT, Some(TimeUnit::Week)).unwrap();
    let (mut direct, mut one) = (Derivatives::zero(4), Derivatives::zero(4));
    for row in &rows {
        cvm_clv::Formulas::derivatives(&*model, row, Order::Hessian, &mut one);
        direct.add(&one);
    }
    assert_eq!(likelihood.weight(), 2357.0);
    close(merged.value, direct.value, 1e-12);
    for (got, expected) in merged.gradient.iter().zip(&direct.gradient) {
        assert!((got - expected).abs() < 1e-8, "{got} {expected}");
    }
    for (got, expected) in merged.hessian.iter().zip(&direct.hessian) {
        close(*got, *expected, 1e-9);
    }
}

/// r, alpha, a, b, x, t_x, T, t, delta, n, p and nine answers; see data/mbg_nbd_reference.py.
#[test]
fn everything_holds_ten_digits_everywhere() {
    let table = binary(include_bytes!("data/mbg_nbd.bin"), 20);
    assert_eq!(table.len(), 5000);
    let row = |v: &[f64]| Rfm::new(v[4], v[5], v[6]).unwrap();
    let check = |name, column: usize, slack: (f64, f64), got: fn(&Model, &Rfm, &[f64]) -> f64| {
        check_table(name, &table, slack, |v| {
            (got(&model(v), &row(v), v), v[11 + column])
        });
    };
    // A log-likelihood near zero is a sum of larger terms.
    check("log_lik", 0, (1e-10, 1e-12), |m, row, _| m.log_lik(row));
    check("p_alive", 1, (1e-10, 0.0), |m, row, _| m.p_alive(row));
    check("ln_p_alive", 1, (1e-10, 0.0), |m, row, _| {
        exp(m.ln_p_alive(row))
    });
    check("purchases", 2, (1e-10, 0.0), |m, row, v| {
        m.purchases(row, v[7])
    });
    check("p_alive_ahead", 3, (1e-10, 0.0), |m, row, v| {
        m.p_alive_ahead(row, v[7])
    });
    check("ln_pmf", 4, (1e-10, 1e-12), |m, row, v| {
        m.ln_pmf(row, v[7], v[9])
    });
    check("ln_tail", 5, (1e-10, 1e-12), |m, row, v| {
        m.ln_tail(row, v[7], v[9])
    });
    check("discounted", 6, (1e-10, 0.0), |m, row, v| {
        m.discounted(row, v[7], v[8])
    });
    check("lifetime", 7, (1e-10, 0.0), |m, row, v| {
        m.lifetime(row, v[7], v[8])
    });
    check("next_purchase", 8, (1e-10, 0.0), |m, row, v| {
        m.next_purchase(row, v[10])
    });
}

/// The trap `a = 1` of the textbook form (50-digit mpmath; lifetimes and PyMC-Marketing give inf).
#[test]
fn a_is_one() {
    let model = model(&[0.525, 6.183, 1.0, 1.614]);
    let row = Rfm::new(2.0, 30.43, 38.86).unwrap();
    close(
        model.expected_purchases(&row, 39.0),
        1.195_313_320_848_783_6,
        1e-12,
    );
}

#[test]
fn counts_of_a_customer_sum_to_one_and_to_their_mean() {
    let model = model(&CDNOW_FIT);
    for (x, t_x, age) in [(0.0, 0.0, 0.0), (0.0, 0.0, 30.0), (4.0, 20.0, 30.0)] {
        let row = Rfm::new(x, t_x, age).unwrap();
        let (mut total, mut mean, mut tails) = (0.0, 0.0, 0.0);
        for n in 0..3000u32 {
            let n = f64::from(n);
            let probability = exp(model.ln_pmf(&row, 39.0, n));
            total += probability;
            mean += n * probability;
            tails += exp(model.ln_tail(&row, 39.0, n + 1.0));
        }
        close(total, 1.0, 1e-12);
        close(mean, model.purchases(&row, 39.0), 1e-11);
        close(tails, mean, 1e-11);
    }
}

/// For ever: `E[1/p]` purchases and a finite lifetime only if both have means.
#[test]
fn for_ever() {
    let row = Rfm::new(2.0, 10.0, 12.0).unwrap();
    let light = model(&[0.5, 6.0, 0.9, 1.6]);
    assert_eq!(light.purchases(&row, f64::INFINITY), f64::INFINITY);
    assert_eq!(light.lifetime(&row, f64::INFINITY, 0.0), f64::INFINITY);
    assert_eq!(light.p_alive_ahead(&row, f64::INFINITY), 0.0);
    let heavy = model(&[0.5, 6.0, 1.5, 1.6]);
    // B = b + x + 1.
    close(heavy.purchases(&row, f64::INFINITY), 1.0 + 4.6 / 0.5, 1e-14);
    close(heavy.purchases(&row, 1e12), 1.0 + 4.6 / 0.5, 1e-4);
}

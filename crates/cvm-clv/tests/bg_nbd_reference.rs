//! BG/NBD predictions and likelihood against 60-digit references, published traps included.

mod common;

use common::{binary, check_table, close, numbers};
use cvm_clv::{BgNbd, Purchase, PurchaseFormulas, Rfm};
use cvm_core::ParametricModel;

type Model = Purchase<BgNbd>;

/// At rate 0, as scoring has it.
fn discounted(model: &Model, row: &Rfm, t: f64, delta: f64) -> f64 {
    if delta == 0.0 {
        model.purchases(row, t)
    } else {
        model.discounted(row, t, delta)
    }
}

fn ln_pmf_new(model: &Model, n: f64, t: f64) -> f64 {
    model.ln_pmf(&Rfm::new(0.0, 0.0, 0.0).unwrap(), t, n)
}

fn model(row: &[f64]) -> Model {
    Model::new(BgNbd::new(row[0], row[1], row[2], row[3]).unwrap(), None)
}

/// The largest relative error of `got` over a table, with the row it occurs in. A log-likelihood of
/// exactly zero (no time, no purchase) must be met exactly.
fn worst(table: &[Vec<f64>], pairs: impl Fn(&[f64]) -> (f64, f64)) -> (f64, Vec<f64>) {
    let mut worst = (0.0, Vec::new());
    for row in table {
        let (got, expected) = pairs(row);
        let error = if got == expected {
            0.0
        } else {
            (got - expected).abs() / expected.abs()
        };
        assert!(error.is_finite(), "{got} for {row:?}");
        if error > worst.0 {
            worst = (error, row.clone());
        }
    }
    worst
}

#[test]
fn forecasts_and_likelihood_hold_ten_digits_everywhere() {
    let table = numbers(include_str!("data/bg_nbd_reference.csv"));
    assert_eq!(table.len(), 600);
    let summary = |row: &[f64]| Rfm::new(row[4], row[5], row[6]).unwrap();
    let expected = worst(&table, |row| {
        (model(row).expected_purchases(&summary(row), row[7]), row[8])
    });
    let alive = worst(&table, |row| (model(row).p_alive(&summary(row)), row[9]));
    let log_lik = worst(&table, |row| (model(row).log_lik(&summary(row)), row[10]));
    println!("expected {:e} {:?}", expected.0, expected.1);
    println!("p_alive {:e} {:?}", alive.0, alive.1);
    println!("log_lik {:e} {:?}", log_lik.0, log_lik.1);
    assert!(expected.0 < 1e-10, "expected purchases: {expected:?}");
    assert!(alive.0 < 1e-10, "p_alive: {alive:?}");
    assert!(log_lik.0 < 1e-10, "log-likelihood: {log_lik:?}");
}

#[test]
fn discounted_purchases_hold_ten_digits() {
    let table = numbers(include_str!("data/bg_nbd_discounted.csv"));
    assert_eq!(table.len(), 120);
    let got = |row: &[f64]| {
        let summary = Rfm::new(row[4], row[5], row[6]).unwrap();
        model(row).p_alive(&summary) * discounted(&model(row), &summary, row[7], row[8])
    };
    let worst = worst(&table, |row| (got(row), row[9]));
    println!("discounted {:e} {:?}", worst.0, worst.1);
    assert!(worst.0 < 1e-10, "{worst:?}");
}

/// Published figures of Fader, Hardie & Lee's spreadsheet, as kept in the tests of the lifetimes
/// and BTYD packages.
#[test]
fn published_predictions() {
    let model = Model::new(BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap(), None);
    let first = Rfm::new(2.0, 30.43, 38.86).unwrap();
    assert!((model.expected_purchases(&first, 39.0) - 1.226).abs() < 1e-3);
    let new = [
        (0.1429, 0.0078),
        (1.0, 0.0532),
        (3.0, 0.1506),
        (31.8571, 1.0405),
        (32.0, 1.0437),
        (78.0, 1.8576),
    ];
    // At the unrounded maximum; the sheet's last digits are its own.
    let model = Model::new(
        BgNbd::new(0.242_594_5, 4.413_601_9, 0.792_919_9, 2.425_888_1).unwrap(),
        None,
    );
    for (t, expected) in new {
        let got = model.expected_purchases_new(t);
        assert!((got - expected).abs() < 5e-4, "{t}: {got}");
    }
    let model = Model::new(BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap(), None);
    close(
        cvm_math::exp(ln_pmf_new(&model, 10.0, 2.0)),
        1.07869e-07,
        1e-5,
    );
    close(
        cvm_math::exp(ln_pmf_new(&model, 0.0, 39.0)),
        0.573_786_4,
        1e-6,
    );
}

/// Counts of a new customer: a far tail (200 purchases; 50-digit reference) and a total of one.
#[test]
fn counts_of_a_new_customer() {
    let model = Model::new(BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap(), None);
    let tail = cvm_math::exp(ln_pmf_new(&model, 200.0, 1000.0));
    close(tail, 2.460_102_162_991_919e-5, 1e-12);
    let mut total = 0.0;
    let mut mean = 0.0;
    for n in 0..3000u32 {
        let probability = cvm_math::exp(ln_pmf_new(&model, f64::from(n), 39.0));
        total += probability;
        mean += f64::from(n) * probability;
    }
    close(total, 1.0, 1e-12);
    close(mean, model.expected_purchases_new(39.0), 1e-11);
}

/// r, alpha, a, b, x, t_x, T, t, delta, n, p and nine answers; see data/bg_nbd_grid.py.
#[test]
fn everything_holds_ten_digits_everywhere() {
    let table = binary(include_bytes!("data/bg_nbd.bin"), 20);
    assert_eq!(table.len(), 5000);
    let row = |v: &[f64]| Rfm::new(v[4], v[5], v[6]).unwrap();
    let check = |name, column: usize, slack, got: fn(&Model, &Rfm, &[f64]) -> f64| {
        check_table(name, &table, slack, |v| {
            (got(&model(v), &row(v), v), v[11 + column])
        });
    };
    // A log-likelihood near zero is a sum of larger terms, and a logarithm of nearly 1 is known
    // as the probability is.
    let (plain, logs) = ((1e-10, 0.0), (1e-10, 1e-12));
    check("log_lik", 0, logs, |m, row, _| m.log_lik(row));
    check("p_alive", 1, plain, |m, row, _| m.p_alive(row));
    check("ln_p_alive", 1, plain, |m, row, _| {
        cvm_math::exp(m.ln_p_alive(row))
    });
    check("purchases", 2, plain, |m, row, v| m.purchases(row, v[7]));
    check("p_alive_ahead", 3, plain, |m, row, v| {
        m.p_alive_ahead(row, v[7])
    });
    check("ln_pmf", 4, logs, |m, row, v| m.ln_pmf(row, v[7], v[9]));
    check("ln_tail", 5, logs, |m, row, v| m.ln_tail(row, v[7], v[9]));
    let with_horizon = |(index, v): (usize, &Vec<f64>)| {
        let horizon = if index % 5 == 4 { f64::INFINITY } else { v[7] };
        [&v[..], &[horizon]].concat()
    };
    let timed: Vec<Vec<f64>> = table.iter().enumerate().map(with_horizon).collect();
    check_table("discounted", &timed, plain, |v| {
        (model(v).discounted(&row(v), v[20], v[8]), v[17])
    });
    check_table("lifetime", &timed, plain, |v| {
        (model(v).lifetime(&row(v), v[20], v[8]), v[18])
    });
    check("next_purchase", 8, plain, |m, row, v| {
        m.next_purchase(row, v[10])
    });
}

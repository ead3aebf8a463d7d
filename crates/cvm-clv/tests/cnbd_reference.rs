//! BG/CNBD-k and MBG/CNBD-k against ball arithmetic.

mod common;

use common::{binary, check_table};
use cvm_clv::{BgCnbdK, Formulas, MbgCnbdK, PurchaseFormulas, Rfm};

fn row(v: &[f64]) -> Rfm {
    let mut row = Rfm::new(v[5], v[6], v[7]).unwrap();
    row.log_gap_sum = v[8];
    row
}

/// r, alpha, a, b, k, x, t_x, T, G, t, n and eight answers; see data/cnbd_reference.py.
#[test]
fn whole_regularities_hold_ten_digits() {
    let table = binary(include_bytes!("data/cnbd.bin"), 19);
    assert_eq!(table.len(), 5000);
    let bg = |v: &[f64]| BgCnbdK::at(&v[..5]);
    let mbg = |v: &[f64]| MbgCnbdK::at(&v[..5]);
    // A log-likelihood near zero is a sum of larger terms.
    let logs = (1e-10, 1e-11);
    check_table("bg log_lik", &table, logs, |v| {
        (bg(v).log_lik(&row(v)), v[11])
    });
    check_table("mbg log_lik", &table, logs, |v| {
        (mbg(v).log_lik(&row(v)), v[12])
    });
    let plain = (1e-10, 0.0);
    check_table("bg p_alive", &table, plain, |v| {
        (bg(v).p_alive(&row(v)), v[13])
    });
    check_table("mbg p_alive", &table, plain, |v| {
        (mbg(v).p_alive(&row(v)), v[14])
    });
    forecasts(&table, 15);
}

/// The same inputs and four answers, at regularities that are no whole numbers.
#[test]
fn other_regularities_hold_ten_digits() {
    let table = binary(include_bytes!("data/cnbd_fractional.bin"), 15);
    assert_eq!(table.len(), 60);
    forecasts(&table, 11);
}

fn forecasts(table: &[Vec<f64>], first: usize) {
    let model = |v: &[f64]| MbgCnbdK::at(&v[..5]);
    check_table("purchases", table, (1e-10, 0.0), |v| {
        (model(v).purchases(&row(v), v[9]), v[first])
    });
    check_table("p_alive_ahead", table, (1e-10, 1e-14), |v| {
        (model(v).p_alive_ahead(&row(v), v[9]), v[first + 1])
    });
    check_table("ln_tail", table, (1e-10, 1e-11), |v| {
        (model(v).ln_tail(&row(v), v[9], v[10]), v[first + 2])
    });
    check_table("ln_pmf", table, (1e-10, 1e-11), |v| {
        (model(v).ln_pmf(&row(v), v[9], v[10]), v[first + 3])
    });
}

/// Within ten digits of a column of data/cnbd_forecasts.bin, whose script says what is in it: any
/// regularity, whole or not.
fn check_forecast(
    name: &str,
    column: usize,
    slack: (f64, f64),
    got: fn(&MbgCnbdK, &Rfm, &[f64]) -> f64,
) {
    let table = binary(include_bytes!("data/cnbd_forecasts.bin"), 21);
    assert_eq!(table.len(), 5000);
    check_table(name, &table, slack, |v| {
        let row = Rfm::new(v[5], v[6], v[7]).unwrap();
        (got(&MbgCnbdK::at(&v[..5]), &row, v), v[12 + column])
    });
}

const PLAIN: (f64, f64) = (1e-10, 0.0);
const LOGS: (f64, f64) = (1e-10, 1e-11);

#[test]
fn purchases_hold_ten_digits_at_any_regularity() {
    check_forecast("purchases", 0, PLAIN, |m, row, v| m.purchases(row, v[8]));
    check_forecast("p_alive_ahead", 1, PLAIN, |m, row, v| {
        m.p_alive_ahead(row, v[8])
    });
}

#[test]
fn counts_hold_ten_digits_at_any_regularity() {
    check_forecast("ln_tail", 2, LOGS, |m, row, v| m.ln_tail(row, v[8], v[9]));
    check_forecast("ln_pmf", 3, LOGS, |m, row, v| m.ln_pmf(row, v[8], v[9]));
}

#[test]
fn discounted_sums_hold_ten_digits_at_any_regularity() {
    check_forecast("discounted", 4, PLAIN, |m, row, v| {
        m.discounted(row, v[8], v[10])
    });
    check_forecast("lifetime", 5, PLAIN, |m, row, v| {
        m.lifetime(row, v[8], v[10])
    });
}

#[test]
fn sums_for_ever_hold_ten_digits_at_any_regularity() {
    check_forecast("discounted for ever", 6, PLAIN, |m, row, v| {
        m.discounted(row, f64::INFINITY, v[10])
    });
    check_forecast("lifetime for ever", 7, PLAIN, |m, row, v| {
        m.lifetime(row, f64::INFINITY, v[10])
    });
}

/// `p` is rounded: what that moves is no error; a `p` that is 1 when rounded tells no time.
#[test]
fn next_purchase_holds_ten_digits_at_any_regularity() {
    let table = binary(include_bytes!("data/cnbd_forecasts.bin"), 21);
    let mut worst = 0.0f64;
    let told: Vec<&Vec<f64>> = table.iter().filter(|v| v[11] < 1.0).collect();
    assert!(told.len() > 4800, "{}", told.len());
    for v in &told {
        let row = Rfm::new(v[5], v[6], v[7]).unwrap();
        let got = MbgCnbdK::at(&v[..5]).next_purchase(&row, v[11]);
        let error = (got / v[8] - 1.0).abs() - 2e-16 * v[11] / v[20];
        assert!(error < 1e-10, "{error:e} {got} {v:?}");
        worst = worst.max(error);
    }
    println!("next_purchase: {} rows, worst {worst:e}", told.len());
}

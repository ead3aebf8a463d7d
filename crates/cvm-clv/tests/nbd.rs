//! NBD: known fit, reference grid, edges.

mod common;

use common::{binary, cdnow_exact, check_derivatives, check_table, close, newton};
use cvm_clv::{Nbd, Purchase, PurchaseFormulas, Rfm};
use cvm_core::{Likelihood, ParametricModel};
use cvm_math::exp;

type Model = Purchase<Nbd>;

fn model(row: &[f64]) -> Model {
    Model::new(Nbd::new(row[0], row[1]).unwrap(), None)
}

/// BTYDplus on the day-exact CDNOW sample.
#[test]
fn every_start_reaches_the_known_fit() {
    let likelihood = Model::likelihood(&cdnow_exact(), None);
    assert_eq!(likelihood.dim(), 2);
    for start in Model::starts(&likelihood) {
        let (theta, at) = newton(&likelihood, &start);
        close(theta[0], 0.384_765_9, 1e-6);
        close(theta[1], 12.072_013_7, 1e-6);
        assert!((at.value - -9_763.657_615).abs() < 2e-6, "{}", at.value);
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let mut rows = cdnow_exact();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(500.0, 38.0, 39.0).unwrap());
    let likelihood = Model::likelihood(&rows, None);
    for theta in [[0.385, 12.07], [1.0, 1.0], [20.0, 0.1], [0.01, 900.0]] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

/// r, alpha, x, T, t, delta, n and four answers; see data/nbd_reference.py.
#[test]
fn everything_holds_ten_digits_everywhere() {
    let table = binary(include_bytes!("data/nbd.bin"), 11);
    assert_eq!(table.len(), 5000);
    let row = |v: &[f64]| Rfm::new(v[2], if v[2] > 0.0 { v[3] } else { 0.0 }, v[3]).unwrap();
    let tight = (1e-10, 1e-12);
    check_table("log_lik", &table, tight, |v| {
        (model(v).log_lik(&row(v)), v[7])
    });
    check_table("ln_pmf", &table, tight, |v| {
        (model(v).ln_pmf(&row(v), v[4], v[6]), v[8])
    });
    check_table("ln_tail", &table, tight, |v| {
        (model(v).ln_tail(&row(v), v[4], v[6]), v[9])
    });
    check_table("discounted", &table, (1e-10, 0.0), |v| {
        (model(v).discounted(&row(v), v[4], v[5]), v[10])
    });
    check_table("next_purchase", &table, (1e-10, 0.0), |v| {
        let t = model(v).next_purchase(&row(v), 0.3);
        if t == f64::INFINITY {
            // Beyond the doubles: at r = 1e-4 the quantile is (1/0.7)^10000 periods.
            return (0.3, 0.3);
        }
        (exp(model(v).ln_tail(&row(v), t, 1.0)), 0.3)
    });
}

#[test]
fn edges() {
    let model = model(&[0.385, 12.07]);
    let row = Rfm::new(2.0, 10.0, 12.0).unwrap();
    let inf = f64::INFINITY;
    assert_eq!(model.p_alive(&row), 1.0);
    assert_eq!(model.p_alive_ahead(&row, inf), 1.0);
    assert_eq!(model.purchases(&row, inf), inf);
    assert_eq!(model.lifetime(&row, inf, 0.0), inf);
    close(model.lifetime(&row, inf, 0.01), 100.0, 1e-15);
    close(model.lifetime(&row, 7.0, 0.0), 7.0, 0.0);
    close(
        model.discounted(&row, inf, 0.01),
        100.0 * 2.385 / 24.07,
        1e-14,
    );
    assert_eq!(model.ln_pmf(&row, 0.0, 0.0), 0.0);
    assert_eq!(model.ln_pmf(&row, 0.0, 1.0), -inf);
    assert_eq!(model.ln_pmf(&row, inf, 5.0), -inf);
    assert_eq!(model.ln_tail(&row, 0.0, 1.0), -inf);
    assert_eq!(model.ln_tail(&row, inf, 5.0), 0.0);
}

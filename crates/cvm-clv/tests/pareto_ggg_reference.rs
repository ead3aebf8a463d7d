//! Pareto/GGG against trapezoid rules over other variables: see data/pareto_ggg_reference.py.

mod common;

use common::{binary, check_table};
use cvm_clv::{Formulas, ParetoGgg, PurchaseFormulas, Rfm};

/// t, gamma, r, alpha, s, beta, x, t_x, T, G, delta.
const INPUTS: usize = 11;

fn model(v: &[f64]) -> ParetoGgg {
    ParetoGgg::at(&v[..6])
}

fn row(v: &[f64]) -> Rfm {
    let mut row = Rfm::new(v[6], v[7], v[8]).unwrap();
    row.log_gap_sum = v[9];
    row
}

#[test]
fn likelihood_and_p_alive_hold_ten_digits() {
    let table = binary(include_bytes!("data/pareto_ggg.bin"), INPUTS + 2);
    // A log-likelihood near zero is a sum of larger terms.
    check_table("log_lik", &table, (1e-10, 1e-11), |v| {
        (model(v).log_lik(&row(v)), v[INPUTS])
    });
    check_table("p_alive", &table, (1e-10, 0.0), |v| {
        (model(v).p_alive(&row(v)), v[INPUTS + 1])
    });
}

#[test]
fn discounted_purchases_hold_ten_digits() {
    let table = whole(include_bytes!("data/pareto_ggg_dert.bin"), INPUTS + 1, 200);
    // The reference itself is off by 1.1e-10 at the worst, where more nodes were tried.
    check_table("DERT", &table, (2e-10, 0.0), |v| {
        let got = model(v).discounted(&row(v), f64::INFINITY, v[10]);
        (got, v[INPUTS])
    });
}

#[test]
fn purchases_to_a_horizon_hold_nine_digits() {
    let table = binary(include_bytes!("data/pareto_ggg_purchases.bin"), INPUTS + 1);
    assert!(table.len() >= 200, "{}", table.len());
    // The reference ends its sums where a term is 1e-13 of them, and terms may fall slowly.
    check_table("E[X(t)]", &table, (1e-9, 0.0), |v| {
        (model(v).purchases(&row(v), v[10]), v[INPUTS])
    });
}

/// A grid, of which `make test` takes one row in so many: each takes a tenth of a second or more
/// unoptimized; `make test-slow` goes through all.
fn whole(bytes: &[u8], columns: usize, one_in: usize) -> Vec<Vec<f64>> {
    let table = binary(bytes, columns);
    assert!(table.len() >= 5_000, "{}", table.len());
    if std::env::var_os("CVM_SLOW").is_some() {
        return table;
    }
    table.into_iter().step_by(one_in).collect()
}

#[test]
fn counts_hold_ten_digits() {
    let table = whole(include_bytes!("data/pareto_ggg_counts.bin"), INPUTS + 3, 25);
    // Relative errors of probabilities.
    let ratio = |got: f64, want: f64| (cvm_math::exp(got - want), 1.0);
    let exactly = |v: &[f64]| ratio(model(v).ln_pmf(&row(v), v[10], v[11]), v[12]);
    let at_least = |v: &[f64]| ratio(model(v).ln_tail(&row(v), v[10], v[11]), v[13]);
    check_table("P(X = n)", &table, (1e-10, 0.0), exactly);
    check_table("P(X >= n)", &table, (1e-10, 0.0), at_least);
}

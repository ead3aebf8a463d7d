//! The correlated Pareto/NBD against ball arithmetic.

mod common;

use common::{binary, check_table};
use cvm_clv::{Formulas, ParetoNbdCorrelated, PurchaseFormulas, Rfm};

/// r, alpha, s, beta, z, x, t_x, T, t, n, delta and eight answers; see data/correlated_reference.py.
#[test]
fn everything_holds_ten_digits_everywhere() {
    let table = binary(include_bytes!("data/pareto_nbd_correlated.bin"), 19);
    assert_eq!(table.len(), 5000);
    let check = |name,
                 column: usize,
                 slack: (f64, f64),
                 got: fn(&ParetoNbdCorrelated, &Rfm, &[f64]) -> f64| {
        check_table(name, &table, slack, |v| {
            let row = Rfm::new(v[5], v[6], v[7]).unwrap();
            let model = ParetoNbdCorrelated::at(&v[..5]);
            (got(&model, &row, v), v[11 + column])
        });
    };
    // A log-likelihood near zero is a sum of larger terms; a logarithm is known as the probability is.
    let (plain, logs) = ((1e-10, 0.0), (1e-10, 1e-10));
    check("log_lik", 0, logs, |m, row, _| m.log_lik(row));
    check("ln_p_alive", 1, logs, |m, row, _| m.ln_p_alive(row));
    check("purchases", 2, plain, |m, row, v| m.purchases(row, v[8]));
    check("p_alive_ahead", 3, plain, |m, row, v| {
        m.p_alive_ahead(row, v[8])
    });
    check("ln_pmf", 4, logs, |m, row, v| m.ln_pmf(row, v[8], v[9]));
    check("ln_tail", 5, logs, |m, row, v| m.ln_tail(row, v[8], v[9]));
    check("discounted", 6, plain, |m, row, v| {
        m.discounted(row, v[8], v[10])
    });
    check("lifetime", 7, plain, |m, row, v| {
        m.lifetime(row, v[8], v[10])
    });
}

//! The log-likelihood of a tenure from cumulative hazards, the same for every contract model.
//!
//! ```text
//! stayed through T:        ln S(T)           = −H(0, T)
//! left at renewal T:       ln[S(T−1) − S(T)] = −H(0, T−1) + ln(1 − e^{−H(T−1, 1)})
//! ```
//!
//! With `D = H(T−1, 1)` and `g(D) = ln(1 − e^{−D})`: `g' = 1/(e^D − 1)`, `g'' = −g'(1 + g')`.

use super::{ContractFormulas, Hazard, Tenure};
use crate::merged::MergedRows;
use cvm_core::{Derivatives, Order};
use cvm_math::{exp, expm1, ln, log1p};

/// Log-likelihood of one row.
pub(crate) fn censored_or_churned<F: ContractFormulas>(model: &F, row: &Tenure) -> f64 {
    if row.churned == 0.0 {
        return -model.hazard(0.0, row.tenure);
    }
    let before = row.tenure - 1.0;
    -model.hazard(0.0, before) + ln_churn(model.hazard(before, 1.0))
}

/// `ln(1 − e^{−hazard})`, without cancellation at either end (Mächler 2012).
pub(crate) fn ln_churn(hazard: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    if hazard < LN_2 {
        ln(-expm1(-hazard))
    } else {
        log1p(-exp(-hazard))
    }
}

/// Log-likelihood of one row with derivatives: overwrites `out`.
pub(crate) fn renewal_derivatives<F: ContractFormulas>(
    model: &F,
    row: &Tenure,
    order: Order,
    out: &mut Derivatives,
) {
    out.gradient.fill(0.0);
    out.hessian.fill(0.0);
    out.value = 0.0;
    let stayed = row.tenure - row.churned;
    if stayed > 0.0 {
        let hazard = model.hazard_derivatives(0.0, stayed);
        out.value -= hazard.value;
        add(&hazard, -1.0, 0.0, order, out);
    }
    if row.churned == 1.0 {
        let hazard = model.hazard_derivatives(stayed, 1.0);
        let first = 1.0 / expm1(hazard.value);
        out.value += ln_churn(hazard.value);
        add(&hazard, first, -first * (1.0 + first), order, out);
    }
}

/// Adds the derivatives of `f(H)` with `f' = first` and `f'' = second`.
fn add(hazard: &Hazard, first: f64, second: f64, order: Order, out: &mut Derivatives) {
    let dim = out.gradient.len();
    for i in 0..dim {
        out.gradient[i] += first * hazard.gradient[i];
        if order < Order::Hessian {
            continue;
        }
        for j in 0..dim {
            let outer = second * hazard.gradient[i] * hazard.gradient[j];
            out.hessian[i * dim + j] += first * hazard.hessian[i][j] + outer;
        }
    }
}

/// Renewals refused, and renewals made, by all customers together.
pub(crate) fn exposure<F: ContractFormulas>(likelihood: &MergedRows<F>) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (row, weight) in likelihood.weighted() {
        sums.0 += weight * row.churned;
        sums.1 += weight * (row.tenure - row.churned);
    }
    sums
}

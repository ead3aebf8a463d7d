//! Pareto/GGG: limits, closed forms, gradients, and forecasts that must agree with each other.

use cvm_clv::{Formulas, ParetoGgg, ParetoNbd, PurchaseFormulas, Rfm};
use cvm_core::{Derivatives, Order};
use cvm_math::exp;
use cvm_math::tanh_sinh::{Extent, rule};

fn row(frequency: f64, recency: f64, age: f64, spread: f64) -> Rfm {
    let mut row = Rfm::new(frequency, recency, age).expect("a legal row");
    if frequency > 0.0 {
        row.log_gap_sum = frequency * (cvm_math::ln(recency / frequency) - spread);
    }
    row
}

fn rows() -> Vec<Rfm> {
    vec![
        row(0.0, 0.0, 0.0, 0.0),
        row(0.0, 0.0, 38.0, 0.0),
        row(1.0, 3.0, 38.0, 0.0),
        row(1.0, 38.0, 38.0, 0.0),
        row(4.0, 30.0, 38.0, 0.05),
        row(4.0, 10.0, 38.0, 1.5),
        row(26.0, 30.0, 39.0, 0.4),
        row(150.0, 100.0, 101.0, 0.1),
    ]
}

fn close(got: f64, want: f64, tolerance: f64, what: &str) {
    let error = (got - want).abs() / want.abs().max(1e-300);
    assert!(
        error <= tolerance,
        "{what}: {got:e} and {want:e}: {error:e}"
    );
}

/// `k = 1` for all: `Var k = t/γ² = 1e−12`.
#[test]
fn without_a_spread_of_rhythms_it_is_the_pareto_nbd() {
    let model = ParetoGgg::new(1e11, 1e11, 0.55, 10.58, 0.61, 11.67).unwrap();
    let pareto = ParetoNbd::new(0.55, 10.58, 0.61, 11.67).unwrap();
    for row in rows() {
        let what = |name: &str| format!("{name} of {row:?}");
        let gap = model.log_lik(&row) - pareto.log_lik(&row);
        assert!(gap.abs() < 1e-7, "{}: {gap:e}", what("log_lik"));
        close(
            model.p_alive(&row),
            pareto.p_alive(&row),
            1e-8,
            &what("p_alive"),
        );
        for t in [0.1, 10.0, 300.0] {
            close(
                model.purchases(&row, t),
                pareto.purchases(&row, t),
                1e-9,
                &what("purchases"),
            );
            for n in [1.0, 2.0, 5.0] {
                let (got, want) = (model.ln_tail(&row, t, n), pareto.ln_tail(&row, t, n));
                close(exp(got), exp(want), 1e-8, &what("tail"));
            }
            let (got, want) = (model.ln_pmf(&row, t, 0.0), pareto.ln_pmf(&row, t, 0.0));
            close(exp(got), exp(want), 1e-9, &what("none"));
        }
        let (got, want) = (
            model.discounted(&row, f64::INFINITY, 0.002),
            pareto.discounted(&row, f64::INFINITY, 0.002),
        );
        close(got, want, 1e-9, &what("DERT"));
    }
}

fn regular() -> ParetoGgg {
    ParetoGgg::new(2.5, 1.2, 0.9, 12.0, 1.4, 40.0).unwrap()
}

/// `∫_0^∞ δ e^{−δτ} E[X(τ)] dτ` is what is expected for ever, discounted at `δ`.
#[test]
fn purchases_to_a_horizon_have_the_transform_of_those_for_ever() {
    const DELTA: f64 = 0.1;
    let model = regular();
    let points = rule(Extent {
        left: 36.0,
        right: 5.0,
        density: 18.0,
        most_nodes: 400,
    });
    for row in [row(4.0, 30.0, 38.0, 0.05), row(1.0, 3.0, 38.0, 0.0)] {
        let mean = points.iter().map(|(at, weight)| {
            // τ = u/(1−u)/δ
            let discounted = at.u / at.rest;
            let expected = model.purchases(&row, discounted / DELTA);
            exp(weight - discounted - 2.0 * at.ln_rest) * expected
        });
        let got: f64 = mean.sum();
        let want = model.discounted(&row, f64::INFINITY, DELTA);
        close(got, want, 1e-10, "transform");
    }
}

#[test]
fn tails_sum_to_the_mean_and_to_one() {
    // Without the clumps of small `k`, whose tails are long.
    let model = ParetoGgg::new(40.0, 16.0, 0.9, 12.0, 1.4, 40.0).unwrap();
    for row in [row(0.0, 0.0, 0.0, 0.0), row(4.0, 30.0, 38.0, 0.05)] {
        let tails = (1..=40).map(|n| exp(model.ln_tail(&row, 6.0, f64::from(n))));
        let mut sum = 0.0;
        for tail in tails {
            sum += tail;
            if tail < 1e-12 * sum {
                break;
            }
        }
        close(sum, model.purchases(&row, 6.0), 1e-9, "sum of tails");
        let none = exp(model.ln_pmf(&row, 6.0, 0.0));
        let some = exp(model.ln_tail(&row, 6.0, 1.0));
        close(none + some, 1.0, 1e-12, "none and some");
    }
}

/// The mean of simulated purchases, within four standard errors.
#[test]
fn simulated_customers_buy_as_often_as_expected() {
    let model = ParetoGgg::new(4.0, 2.0, 0.9, 12.0, 1.4, 40.0).unwrap();
    let template = row(0.0, 0.0, 60.0, 0.0);
    let drawn = model.simulate(&vec![template; 40_000], 7);
    let count = drawn.len() as f64;
    let mean = drawn.iter().map(|row| row.frequency).sum::<f64>() / count;
    let square = drawn
        .iter()
        .map(|row| row.frequency * row.frequency)
        .sum::<f64>()
        / count;
    let error = ((square - mean * mean) / count).sqrt();
    let want = model.purchases(&Rfm::new(0.0, 0.0, 0.0).unwrap(), 60.0);
    assert!((mean - want).abs() < 4.0 * error, "{mean} {want} {error}");
    for row in &drawn {
        assert!(
            <ParetoGgg as PurchaseFormulas>::check(row).is_ok(),
            "{row:?}"
        );
    }
}

#[test]
fn hessians_agree_with_differences() {
    let theta = [2.5, 1.2, 0.9, 12.0, 1.4, 40.0];
    let at = |theta: &[f64], row: &Rfm| {
        let mut out = Derivatives::zero(6);
        ParetoGgg::at(theta).derivatives(row, Order::Hessian, &mut out);
        out
    };
    for row in rows().into_iter().take(7) {
        let exact = at(&theta, &row);
        for i in 0..6 {
            let step = 1e-4 * theta[i];
            let beside = |sign: f64| {
                let mut theta = theta;
                theta[i] += sign * step;
                at(&theta, &row)
            };
            let (up, down) = (beside(1.0), beside(-1.0));
            let slope = (up.value - down.value) / (2.0 * step);
            let gap = (slope - exact.gradient[i]).abs() * theta[i];
            assert!(gap < 1e-6, "{row:?} {i}: {slope} {}", exact.gradient[i]);
            for j in 0..6 {
                let curve = (up.gradient[j] - down.gradient[j]) / (2.0 * step);
                let gap = (curve - exact.hessian[i * 6 + j]).abs() * theta[i] * theta[j];
                assert!(
                    gap < 1e-6,
                    "{row:?} {i} {j}: {curve} {}",
                    exact.hessian[i * 6 + j]
                );
            }
        }
    }
}

/// Clumps without bound: a new customer of `t ≤ 1` expects infinitely many purchases, an old one not.
#[test]
fn clumps_make_the_mean_infinite() {
    let model = ParetoGgg::new(0.9, 1.5, 0.6, 10.0, 0.7, 12.0).unwrap();
    assert_eq!(
        model.purchases(&row(0.0, 0.0, 0.0, 0.0), 1.0),
        f64::INFINITY
    );
    let silent = model.purchases(&row(0.0, 0.0, 9.0, 0.0), 1.0);
    assert!(silent.is_finite(), "{silent}");
    assert!(model.purchases(&row(2.0, 9.0, 9.0, 0.1), 1.0).is_finite());
    // A lifetime without a mean.
    let forever = model.purchases(&row(2.0, 9.0, 9.0, 0.1), f64::INFINITY);
    assert_eq!(forever, f64::INFINITY);
    assert!(ParetoGgg::check(&row(2.0, 9.0, 9.0, -0.1)).is_err());
}

/// Without dropout, by `clumps` of data/pareto_ggg_reference.py: sums over purchases, or by Euler and
/// Maclaurin, at each `k`.
#[test]
fn means_of_new_customers_hold_ten_digits_as_they_become_infinite() {
    let new = row(0.0, 0.0, 0.0, 0.0);
    for ([t, gamma, r, alpha, horizon], want) in [
        ([1.01, 1.5, 0.6, 10.0, 39.0], 7.639962365223387),
        ([1.1, 1.5, 0.6, 10.0, 39.0], 4.512789720299921),
        ([1.3, 1.5, 2.0, 10.0, 5.0], 1.951305477496126),
        ([1.59, 0.8, 0.6, 10.0, 39.0], 2.421383372317028),
    ] {
        let model = ParetoGgg::new(t, gamma, r, alpha, 1e-14, 1e3).unwrap();
        close(model.purchases(&new, horizon), want, 3e-12, "purchases");
    }
}

/// At `t = 2` the mean is taken in another way: both sides agree, with dropout, discount and for ever.
#[test]
fn means_of_new_customers_have_no_step() {
    const APART: f64 = 1e-12;
    let new = row(0.0, 0.0, 0.0, 0.0);
    for (horizon, delta) in [
        (39.0, 0.0),
        (0.5, 0.1),
        (3900.0, 1e-3),
        (f64::INFINITY, 0.0),
        (f64::INFINITY, 0.01),
    ] {
        let at = |t: f64| {
            let model = ParetoGgg::new(t, 3.0, 0.6, 10.0, 1.7, 12.0).unwrap();
            model.discounted(&new, horizon, delta)
        };
        close(at(2.0 - APART), at(2.0), 1e-11, "discounted");
    }
}

/// A count far below its tail is no difference of tails: with the ones below it sums to one.
#[test]
fn rare_small_counts_have_their_digits() {
    let model = ParetoGgg::new(12.0, 4.0, 9.0, 1.2, 1.6, 60.0).unwrap();
    for row in [row(36.0, 30.0, 30.0, 0.1), row(36.0, 29.9, 30.0, 0.1)] {
        let pmf = |n: u32| exp(model.ln_pmf(&row, 60.0, f64::from(n)));
        let few: f64 = (0..4).map(pmf).sum();
        assert!(pmf(2) < 0.05, "{}", pmf(2));
        let more = exp(model.ln_tail(&row, 60.0, 4.0));
        close(few + more, 1.0, 1e-12, "all counts");
    }
}

//! Correlated Pareto/NBD: independence, quadrature over both rates, derivatives, simulation.

mod common;

use common::{cdnow, check_derivatives, close, evaluate, newton};
use cvm_clv::{Formulas, ParetoNbd, ParetoNbdCorrelated, PurchaseFormulas, Rfm};
use cvm_core::Order;
use cvm_math::quadrature::gauss_legendre_32;
use cvm_math::{exp, expm1, ln, ln_gamma};

const PLAIN: [f64; 4] = [0.553, 10.578, 0.606, 11.669];

fn with_z([r, alpha, s, beta]: [f64; 4], z: f64) -> ParetoNbdCorrelated {
    ParetoNbdCorrelated::new(r, alpha, s, beta, z).unwrap()
}

#[test]
fn no_dependence_is_the_pareto_nbd() {
    let (rows, _) = cdnow();
    let (plain, model) = (ParetoNbd::at(&PLAIN), with_z(PLAIN, 0.0));
    assert_eq!(model.m(), 0.0);
    for row in rows.iter().take(300) {
        close(model.log_lik(row), plain.log_lik(row), 1e-14);
        close(model.p_alive(row), plain.p_alive(row), 1e-12);
        close(
            model.purchases(row, 39.0),
            plain.purchases(row, 39.0),
            1e-13,
        );
        close(
            model.ln_tail(row, 39.0, 2.0),
            plain.ln_tail(row, 39.0, 2.0),
            1e-12,
        );
    }
}

/// Posterior means by brute force over `ln λ` and `ln μ`: the density of the Sarmanov law times that
/// of one customer's purchases, `λ^x/(λ+μ) · (μ e^{−(λ+μ)t_x} + λ e^{−(λ+μ)T})`.
struct Posterior {
    likelihood: f64,
    alive: f64,
    bought: f64,
}

fn brute_force([r, alpha, s, beta]: [f64; 4], m: f64, row: &Rfm, t: f64) -> Posterior {
    let a = exp(r * ln(alpha / (alpha + 1.0)));
    let c = exp(s * ln(beta / (beta + 1.0)));
    let gamma = |shape: f64, scale: f64, x: f64| {
        exp(shape * (ln(scale) + ln(x)) - scale * x - ln_gamma(shape))
    };
    let (x, t_x, age) = (row.frequency, row.recency, row.age);
    let integral = |value: &dyn Fn(f64, f64) -> f64| {
        let over = |f: &dyn Fn(f64) -> f64, low: f64, high: f64| {
            let panels = 24;
            let width = (high - low) / f64::from(panels);
            let panel = |i: i32| {
                let start = low + width * f64::from(i);
                gauss_legendre_32(f, start, start + width)
            };
            (0..panels).map(panel).sum::<f64>()
        };
        let outer = |u: f64| {
            let rate = exp(u);
            let inner = |v: f64| {
                let hazard = exp(v);
                let joint = 1.0 + m * (exp(-rate) - a) * (exp(-hazard) - c);
                gamma(r, alpha, rate) * gamma(s, beta, hazard) * joint * value(rate, hazard)
            };
            over(&inner, -60.0, 5.0)
        };
        over(&outer, -60.0, 5.0)
    };
    let power = |rate: f64| exp(x * ln(rate));
    let alive = |rate: f64, hazard: f64| power(rate) * exp(-(rate + hazard) * age);
    let left = |rate: f64, hazard: f64| {
        let both = rate + hazard;
        power(rate) * hazard / both * exp(-both * t_x) * -expm1(-both * (age - t_x))
    };
    let later = |rate: f64, hazard: f64| rate * -expm1(-hazard * t) / hazard;
    let likelihood = integral(&|rate, hazard| alive(rate, hazard) + left(rate, hazard));
    Posterior {
        likelihood,
        alive: integral(&alive) / likelihood,
        bought: integral(&|rate, hazard| alive(rate, hazard) * later(rate, hazard)) / likelihood,
    }
}

#[test]
fn likelihood_and_forecasts_agree_with_quadrature_over_both_rates() {
    let rows = [(2.0, 30.43, 38.86), (0.0, 0.0, 38.86), (6.0, 20.0, 25.0)];
    for (params, z) in [
        (PLAIN, 2.0),
        (PLAIN, -2.0),
        ([0.9, 1.5, 1.2, 2.0], 0.7),
        ([0.9, 1.5, 1.2, 2.0], -0.7),
    ] {
        let model = with_z(params, z);
        for (x, t_x, age) in rows {
            let row = Rfm::new(x, t_x, age).unwrap();
            let truth = brute_force(params, model.m(), &row, 39.0);
            close(exp(model.log_lik(&row)), truth.likelihood, 1e-9);
            close(model.p_alive(&row), truth.alive, 1e-9);
            close(model.expected_purchases(&row, 39.0), truth.bought, 1e-9);
        }
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let (rows, _) = cdnow();
    let likelihood = ParetoNbdCorrelated::likelihood(&rows[..400], None);
    for theta in [
        [0.553, 10.578, 0.606, 11.669, 0.5],
        [0.553, 10.578, 0.606, 11.669, -1.0],
        [1.0, 1.0, 1.0, 1.0, 0.3],
        [0.3, 2.0, 3.0, 20.0, 2.0],
    ] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

/// A model is never below the one nested in it.
#[test]
fn the_fit_is_not_below_independence() {
    let (rows, _) = cdnow();
    let plain = ParetoNbd::likelihood(&rows, None);
    let (theta, parent) = newton(&plain, &ParetoNbd::starts(&plain)[0]);
    let likelihood = ParetoNbdCorrelated::likelihood(&rows, None);
    let mut at = theta.clone();
    at.push(0.0);
    let independent = evaluate(&likelihood, &at, Order::Gradient);
    close(independent.value, parent.value, 1e-12);
    // A step along the slope of `z` gains.
    at[4] = 0.01 * independent.gradient[4].signum();
    assert!(evaluate(&likelihood, &at, Order::Value).value > parent.value);
}

#[test]
fn simulation_has_the_models_moments() {
    for z in [-1.5, 1.5] {
        let model = with_z([0.9, 1.5, 1.2, 2.0], z);
        let template = Rfm::new(0.0, 0.0, 3.0).unwrap();
        let rows = model.simulate(&vec![template; 100_000], 3);
        let count = rows.len() as f64;
        let mean = rows.iter().map(|row| row.frequency).sum::<f64>() / count;
        let square = rows
            .iter()
            .map(|row| row.frequency * row.frequency)
            .sum::<f64>()
            / count;
        let error = ((square - mean * mean) / count).sqrt();
        let expected = model.expected_purchases_new(3.0);
        assert!(
            (mean - expected).abs() < 4.0 * error,
            "{z}: {mean} {expected}"
        );
        let new = Rfm::new(0.0, 0.0, 0.0).unwrap();
        for n in [0.0, 1.0, 4.0] {
            let share = rows.iter().filter(|row| row.frequency == n).count() as f64 / count;
            let probability = exp(model.ln_pmf(&new, 3.0, n));
            let error = (probability * (1.0 - probability) / count).sqrt();
            let gap = (share - probability).abs();
            assert!(gap < 4.0 * error, "{n}: {share} {probability}");
        }
        assert_eq!(model.correlation() > 0.0, z > 0.0);
    }
    // Dependence matters for the count: else the test above would pass without it.
    let new = Rfm::new(0.0, 0.0, 0.0).unwrap();
    let none = |z: f64| exp(with_z([0.9, 1.5, 1.2, 2.0], z).ln_pmf(&new, 3.0, 4.0));
    assert!(
        (none(1.5) - none(-1.5)).abs() > 0.004,
        "{} {}",
        none(1.5),
        none(-1.5)
    );
}

//! BdW with covariates that change with time: special cases, sums from first principles, derivatives,
//! simulation.

mod common;

use common::{close, evaluate};
use cvm_clv::{
    Bdw, BdwTv, ContractFormulas, CovariatePath, Random, Tenure, TimedTenure, TimedTenureLikelihood,
};
use cvm_core::{Likelihood, Order};
use cvm_math::{exp, ln_beta, pow};

const PARAMS: [f64; 3] = [0.8, 3.0, 1.3];
const GAMMA: [f64; 2] = [0.7, -0.3];

/// A price that moves every five periods, and an event.
fn path() -> CovariatePath {
    let starts: Vec<f64> = (0..8).map(|step| f64::from(step) * 5.0 - 1.0).collect();
    let values = |step: usize| [f64::from(u8::from(step % 3 == 1)), 0.4 * step as f64 - 1.0];
    let values: Vec<f64> = (0..8).flat_map(values).collect();
    CovariatePath::new(&starts, &[], 0, &values, 2).unwrap()
}

/// The clock at a whole time, renewal by renewal; steps start at 4, 9, …
fn clock(t: usize) -> f64 {
    let step = |k: usize| ((k + 1) / 5).min(7);
    let speed = |k: usize| {
        let raised = f64::from(u8::from(step(k) % 3 == 1));
        exp(GAMMA[0] * raised + GAMMA[1] * (0.4 * step(k) as f64 - 1.0))
    };
    let piece = |k: usize| speed(k) * (pow(k as f64 + 1.0, PARAMS[2]) - pow(k as f64, PARAMS[2]));
    (0..t).map(piece).sum()
}

fn survival(t: usize) -> f64 {
    let [alpha, beta, _] = PARAMS;
    exp(ln_beta(alpha, beta + clock(t)) - ln_beta(alpha, beta))
}

fn model() -> BdwTv {
    BdwTv::new(PARAMS, &GAMMA).unwrap()
}

#[test]
fn survival_and_sums_are_those_of_first_principles() {
    let (model, path) = (model(), path());
    for tenure in [0_usize, 1, 4, 12, 40] {
        let at = tenure as f64;
        for ahead in [1_usize, 3, 17, 60] {
            let kept = survival(tenure + ahead) / survival(tenure);
            close(exp(-model.hazard(&path, at, ahead as f64)), kept, 1e-12);
            let left = (survival(tenure + ahead - 1) - survival(tenure + ahead)) / survival(tenure);
            close(model.churned_at(&path, at, ahead as f64), left, 1e-10);
            for delta in [0.0, 0.02] {
                let term = |k: usize| exp(-delta * k as f64) * survival(tenure + k);
                let paid = (0..ahead).map(term).sum::<f64>() / survival(tenure);
                close(model.lifetime(&path, at, ahead as f64, delta), paid, 1e-12);
                let renewals = |k: usize| exp(delta) * term(k);
                let made = (1..=ahead).map(renewals).sum::<f64>() / survival(tenure);
                close(model.residual(&path, at, ahead as f64, delta), made, 1e-12);
            }
        }
        let median = model.quantile(&path, at, 0.5) as usize;
        assert!(survival(tenure + median) <= 0.5 * survival(tenure) * (1.0 + 1e-12));
        assert!(survival(tenure + median - 1) > 0.5 * survival(tenure));
    }
    // For ever: S falls as t^−1.04, so three decades add 10^−0.12 of what the three before added.
    let to = |t: f64| model.lifetime(&path, 0.0, t, 0.0);
    let (near, far) = (to(1e12), to(1e15));
    let share = pow(10.0, -0.12);
    close(
        to(f64::INFINITY),
        far + (far - near) * share / (1.0 - share),
        1e-8,
    );
    let heavy = BdwTv::new([0.5, 3.0, 1.3], &GAMMA).unwrap();
    assert_eq!(
        heavy.lifetime(&path, 3.0, f64::INFINITY, 0.0),
        f64::INFINITY
    );
}

/// Without coefficients the path does not matter, wherever its steps begin; constant covariates of the
/// sBG (`c = 1`) make periods longer.
#[test]
fn special_cases_are_the_static_models() {
    let none = BdwTv::new(PARAMS, &[0.0, 0.0]).unwrap();
    let plain = Bdw::new(PARAMS[0], PARAMS[1], PARAMS[2]).unwrap();
    let odd = CovariatePath::new(
        &[-0.5, 2.25, 7.5, 31.125],
        &[],
        0,
        &[0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 0.0, 0.0],
        2,
    );
    for path in [path(), odd.unwrap()] {
        for tenure in [0.0, 2.0, 30.0, 1e4] {
            for (t, delta) in [
                (1.0, 0.0),
                (9.0, 0.01),
                (200.0, 0.0),
                (f64::INFINITY, 0.0),
                (f64::INFINITY, 0.01),
            ] {
                if t.is_finite() {
                    close(
                        none.hazard(&path, tenure, t),
                        plain.hazard(tenure, t),
                        1e-12,
                    );
                }
                let pairs = [
                    (
                        none.lifetime(&path, tenure, t, delta),
                        plain.lifetime(tenure, t, delta),
                    ),
                    (
                        none.residual(&path, tenure, t, delta),
                        plain.residual(tenure, t, delta),
                    ),
                ];
                for (got, want) in pairs {
                    close(got, want, 1e-12);
                }
            }
            let p = 0.3;
            assert_eq!(none.quantile(&path, tenure, p), plain.quantile(tenure, p));
        }
    }
    let fast = BdwTv::new([0.8, 3.0, 1.0], &[cvm_math::ln(2.0)]).unwrap();
    let constant = CovariatePath::new(&[0.0], &[], 0, &[1.0], 1).unwrap();
    let sbg = cvm_clv::Sbg::new(0.8, 3.0).unwrap();
    close(
        fast.hazard(&constant, 3.0, 5.0),
        sbg.hazard(6.0, 10.0),
        1e-13,
    );
}

fn rows() -> Vec<TimedTenure> {
    let each = [(1.0, 1.0), (1.0, 0.0), (6.0, 1.0), (13.0, 0.0), (38.0, 1.0)];
    let row = |(tenure, churned)| TimedTenure {
        tenure: Tenure::new(tenure, churned).unwrap(),
        path: path(),
    };
    each.map(row).to_vec()
}

#[test]
fn derivatives_agree_with_differences() {
    let likelihood = TimedTenureLikelihood::new(rows(), Some(&[1.0, 2.0, 1.0, 0.5, 3.0])).unwrap();
    for theta in [
        [0.8, 3.0, 1.3, 0.7, -0.3],
        [5.0, 0.4, 0.6, -1.0, 0.5],
        [1.0, 60.0, 1.0, 0.0, 0.0],
    ] {
        let at = evaluate(&likelihood, &theta, Order::Hessian);
        let value = evaluate(&likelihood, &theta, Order::Value).value;
        close(value, at.value, 1e-12);
        for j in 0..5 {
            let step = 1e-5 * theta[j].abs().max(0.1);
            let shifted = |sign: f64| {
                let mut moved = theta;
                moved[j] += sign * step;
                evaluate(&likelihood, &moved, Order::Gradient)
            };
            let (up, down) = (shifted(1.0), shifted(-1.0));
            let slope = (up.value - down.value) / (2.0 * step);
            let gap = (slope - at.gradient[j]).abs();
            assert!(
                gap < 1e-7 * (1.0 + slope.abs()),
                "{j}: {slope} {}",
                at.gradient[j]
            );
            for i in 0..5 {
                let second = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
                let gap = (second - at.hessian[i * 5 + j]).abs();
                assert!(gap < 1e-6 * (1.0 + second.abs()), "{i} {j}: {second}");
            }
        }
    }
}

#[test]
fn likelihood_is_of_the_shares_that_survive() {
    let model = model();
    for row in rows() {
        let (tenure, left) = (row.tenure.tenure as usize, row.tenure.churned == 1.0);
        let share = if left {
            survival(tenure - 1) - survival(tenure)
        } else {
            survival(tenure)
        };
        close(exp(model.log_lik(&row)), share, 1e-10);
    }
    let narrow = BdwTv::new(PARAMS, &[0.1]).unwrap();
    assert!(narrow.log_lik(&rows()[0]).is_nan());
    assert!(BdwTv::new([1.0, 0.0, 1.0], &[]).is_err());
    assert!(BdwTv::new(PARAMS, &[f64::INFINITY]).is_err());
    assert_eq!(
        TimedTenureLikelihood::new(Vec::new(), None)
            .unwrap()
            .weight(),
        0.0
    );
}

/// Drawn customers leave as often as they should, renewal by renewal.
#[test]
fn simulated_tenures_follow_the_survival_function() {
    const DRAWS: u64 = 40_000;
    let model = model();
    let template = TimedTenure {
        tenure: Tenure::new(20.0, 0.0).unwrap(),
        path: path(),
    };
    let mut counts = [0.0; 22];
    for row in 0..DRAWS {
        let drawn = model.simulate_one(&template, &mut Random::for_row(9, row));
        let place = drawn.tenure.tenure + 1.0 - drawn.tenure.churned;
        counts[place as usize] += 1.0;
    }
    let share = |k: usize| match k {
        21 => survival(20),
        _ => survival(k - 1) - survival(k),
    };
    let total = DRAWS as f64;
    let chi: f64 = (1..22)
        .map(|k| {
            let gap = counts[k] - total * share(k);
            gap * gap / (total * share(k))
        })
        .sum();
    // Chi-squared with 20 degrees of freedom: below 45.3 with probability 0.999.
    assert!(chi < 45.3, "{chi}");
}

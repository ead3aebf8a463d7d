//! Pareto/NBD with covariates that change with time: quadrature over both rates, its special cases,
//! derivatives, paths.

mod common;

use common::{close, evaluate};
use cvm_clv::{
    CovariatePath, Formulas, ParetoNbd, ParetoNbdTv, PurchaseFormulas, Random, Rfm,
    TimedLikelihood, TimedRow, paths_of_long_table,
};
use cvm_core::{Likelihood, Order, RowCode};
use cvm_math::quadrature::gauss_legendre_32;
use cvm_math::{exp, expm1, ln, ln_gamma};

const PARAMS: [f64; 4] = [0.9, 6.0, 1.2, 15.0];

/// Two purchase covariates and one dropout covariate; steps of two weeks.
fn path() -> CovariatePath {
    let starts: Vec<f64> = (0..20).map(|step| f64::from(step) * 2.0).collect();
    let season = |step: usize| [f64::from(u8::from(step % 5 == 2)), 0.1 * step as f64 - 1.0];
    let purchase: Vec<f64> = (0..20).flat_map(season).collect();
    let dropout: Vec<f64> = (0..20).map(|step| f64::from(u8::from(step > 7))).collect();
    CovariatePath::new(&starts, &purchase, 2, &dropout, 1).unwrap()
}

fn rows() -> Vec<TimedRow> {
    let purchases: [&[f64]; 5] = [
        &[],
        &[3.0],
        &[0.5, 4.5, 9.1, 9.1, 21.0],
        &[30.0],
        &[1.0, 31.9],
    ];
    let age = [25.0, 31.0, 30.0, 30.0, 32.0];
    let row = |(purchases, age): (&&[f64], f64)| TimedRow::new(purchases, age, path()).unwrap();
    purchases.iter().zip(age).map(row).collect()
}

/// Speeds of both clocks at `t`, from first principles.
fn speeds(t: f64, gamma: &[f64], kappa: &[f64]) -> (f64, f64) {
    let step = ((t / 2.0) as usize).min(19);
    let season = f64::from(u8::from(step % 5 == 2));
    let trend = 0.1 * step as f64 - 1.0;
    let late = f64::from(u8::from(step > 7));
    (
        exp(gamma[0] * season + gamma[1] * trend),
        exp(kappa[0] * late),
    )
}

/// `∫ f` over `[from, until]`, whose kinks are at even times.
fn over_time(f: impl Fn(f64) -> f64, from: f64, until: f64) -> f64 {
    let (mut start, mut sum) = (from, 0.0);
    while start < until {
        let end = until.min((start / 2.0).floor() * 2.0 + 2.0);
        sum += gauss_legendre_32(&f, start, end);
        start = end;
    }
    sum
}

/// Over `ln λ` and `ln μ`.
fn over_rates(value: &dyn Fn(f64, f64) -> f64) -> f64 {
    let [r, alpha, s, beta] = PARAMS;
    let density = |shape: f64, scale: f64, x: f64| {
        exp(shape * (ln(scale) + ln(x)) - scale * x - ln_gamma(shape))
    };
    let axis = |f: &dyn Fn(f64) -> f64| {
        let panel = |i: i32| {
            let start = -38.0 + 2.5 * f64::from(i);
            gauss_legendre_32(f, start, start + 2.5)
        };
        (0..17).map(panel).sum::<f64>()
    };
    axis(&|u| {
        let rate = exp(u);
        let inner = |v: f64| {
            let hazard = exp(v);
            density(s, beta, hazard) * value(rate, hazard)
        };
        density(r, alpha, rate) * axis(&inner)
    })
}

#[test]
fn likelihood_and_forecasts_agree_with_quadrature_over_both_rates() {
    let (gamma, kappa) = ([0.8, -0.4], [0.6]);
    let model = ParetoNbdTv::new(PARAMS, &gamma, &kappa).unwrap();
    let purchases: [&[f64]; 3] = [&[], &[3.0], &[0.5, 4.5, 9.1]];
    let age = 21.0;
    for times in purchases {
        let row = TimedRow::new(times, age, path()).unwrap();
        let last = times.last().copied().unwrap_or(0.0);
        let bought: f64 = times.iter().map(|t| speeds(*t, &gamma, &kappa).0).product();
        let clocks = |until: f64| {
            let purchase = over_time(|t| speeds(t, &gamma, &kappa).0, 0.0, until);
            (
                purchase,
                over_time(|t| speeds(t, &gamma, &kappa).1, 0.0, until),
            )
        };
        let at_end = clocks(age);
        let power = |rate: f64| bought * exp(times.len() as f64 * ln(rate));
        let alive =
            |rate: f64, hazard: f64| power(rate) * exp(-rate * at_end.0 - hazard * at_end.1);
        // Leaving, stretch by stretch: both speeds are constant there.
        let mut stretches = Vec::new();
        let mut start = last;
        while start < age {
            let end = age.min((start / 2.0).floor() * 2.0 + 2.0);
            stretches.push((end - start, clocks(start), speeds(start, &gamma, &kappa)));
            start = end;
        }
        let left = |rate: f64, hazard: f64| {
            let stretch = |&(length, before, speed): &(f64, (f64, f64), (f64, f64))| {
                let both = rate * speed.0 + hazard * speed.1;
                let kept = exp(-rate * before.0 - hazard * before.1);
                kept * hazard * speed.1 / both * -expm1(-both * length)
            };
            power(rate) * stretches.iter().map(stretch).sum::<f64>()
        };
        let likelihood = over_rates(&|rate, hazard| alive(rate, hazard) + left(rate, hazard));
        let still = over_rates(&alive);
        close(exp(model.log_lik(&row)), likelihood, 1e-9);
        close(model.p_alive(&row), still / likelihood, 1e-9);
        let horizon = 12.5;
        let later = |hazard: f64| {
            let rate = |t: f64| {
                let speed = speeds(t, &gamma, &kappa);
                // The last step of `speeds` is reached at 38: within the horizon nothing ends.
                speed.0 * exp(-hazard * speed.1 * (t - age))
            };
            over_time(rate, age, age + horizon)
        };
        let expected = over_rates(&|rate, hazard| alive(rate, hazard) * rate * later(hazard));
        close(
            model.expected_purchases(&row, horizon),
            expected / likelihood,
            1e-9,
        );
    }
}

/// Constant covariates are those of the static model: `α·exp(−γᵀx)`, `β·exp(−κᵀz)`; and without
/// coefficients a path does not matter.
#[test]
fn constant_covariates_are_static_and_no_coefficients_are_none() {
    let (gamma, kappa) = ([0.8, -0.4], [0.6]);
    let constant =
        CovariatePath::new(&[0.0, 7.0], &[1.0, 2.0, 1.0, 2.0], 2, &[-1.0, -1.0], 1).unwrap();
    assert_eq!(constant.step_count(), 1);
    let [r, alpha, s, beta] = PARAMS;
    let fixed = ParetoNbd::new(r, alpha * exp(-(0.8 - 0.8)), s, beta * exp(0.6)).unwrap();
    let plain = ParetoNbd::at(&PARAMS);
    let model = ParetoNbdTv::new(PARAMS, &gamma, &kappa).unwrap();
    let none = ParetoNbdTv::new(PARAMS, &[0.0, 0.0], &[0.0]).unwrap();
    let purchases: [&[f64]; 4] = [&[], &[3.0], &[0.5, 4.5, 9.1, 21.0], &[30.0]];
    for times in purchases {
        let last = times.last().copied().unwrap_or(0.0);
        let row = Rfm::new(times.len() as f64, last, 30.0).unwrap();
        let timed = TimedRow::new(times, 30.0, constant.clone()).unwrap();
        // The static model's likelihood is in the clock of its own scale: the same, as the sum of the
        // purchase covariates' effects is zero here.
        close(model.log_lik(&timed), fixed.log_lik(&row), 1e-13);
        close(model.p_alive(&timed), fixed.p_alive(&row), 1e-12);
        let got = model.purchases(&timed, 39.0);
        close(got, fixed.purchases(&row, 39.0), 1e-13);
        let timed = TimedRow::new(times, 30.0, path()).unwrap();
        close(none.log_lik(&timed), plain.log_lik(&row), 1e-12);
        close(none.p_alive(&timed), plain.p_alive(&row), 1e-12);
        close(
            none.purchases(&timed, 39.0),
            plain.purchases(&row, 39.0),
            1e-12,
        );
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let likelihood = TimedLikelihood::new(rows(), Some(&[1.0, 2.0, 1.0, 0.5, 3.0])).unwrap();
    for theta in [
        [0.9, 6.0, 1.2, 15.0, 0.8, -0.4, 0.6],
        [3.0, 1.0, 0.3, 4.0, -1.0, 0.5, -2.0],
        [0.4, 60.0, 2.0, 200.0, 0.0, 0.0, 0.0],
    ] {
        let at = evaluate(&likelihood, &theta, Order::Hessian);
        for j in 0..7 {
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
                gap < 1e-6 * (1.0 + slope.abs()),
                "{j}: {slope} {}",
                at.gradient[j]
            );
            for i in 0..7 {
                let second = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
                let gap = (second - at.hessian[i * 7 + j]).abs();
                assert!(gap < 1e-4 * (1.0 + second.abs()), "{i} {j}: {second}");
            }
        }
        let value = evaluate(&likelihood, &theta, Order::Value).value;
        close(value, at.value, 1e-13);
    }
}

/// Without coefficients a path of many steps changes no forecast of the plain model, however it cuts
/// the integrals.
#[test]
fn forecasts_without_coefficients_are_the_plain_models() {
    let none = ParetoNbdTv::new(PARAMS, &[0.0, 0.0], &[0.0]).unwrap();
    let plain = ParetoNbd::at(&PARAMS);
    let purchases: [&[f64]; 4] = [&[], &[3.0], &[0.5, 4.5, 9.1, 21.0], &[28.0]];
    for times in purchases {
        let last = times.last().copied().unwrap_or(0.0);
        let row = Rfm::new(times.len() as f64, last, 28.5).unwrap();
        let timed = TimedRow::new(times, 28.5, path()).unwrap();
        close(none.ln_p_alive(&timed), plain.ln_p_alive(&row), 1e-12);
        for t in [0.01, 7.25, 60.0, f64::INFINITY] {
            let pairs = [
                (none.p_alive_ahead(&timed, t), plain.p_alive_ahead(&row, t)),
                (
                    none.discounted(&timed, t, 0.01),
                    plain.discounted(&row, t, 0.01),
                ),
                (
                    none.lifetime(&timed, t, 0.01),
                    plain.lifetime(&row, t, 0.01),
                ),
            ];
            for (got, want) in pairs {
                close(got, want, 1e-12);
            }
            for n in [0.0, 1.0, 2.0, 7.0, 60.0] {
                close(none.ln_pmf(&timed, t, n), plain.ln_pmf(&row, t, n), 1e-11);
                if n > 0.0 {
                    close(none.ln_tail(&timed, t, n), plain.ln_tail(&row, t, n), 1e-11);
                }
            }
        }
        for p in [0.05, 0.4] {
            let got = none.next_purchase(&timed, p, f64::INFINITY);
            close(got, plain.next_purchase(&row, p), 1e-12);
        }
        assert!(none.next_purchase(&timed, 0.4, 0.1).is_nan());
        assert_eq!(
            none.next_purchase(&timed, 0.999_999, f64::INFINITY),
            plain.next_purchase(&row, 0.999_999)
        );
    }
}

/// What the forecasts must be to each other along a path that matters.
#[test]
fn forecasts_agree_among_themselves() {
    let model = ParetoNbdTv::new(PARAMS, &[0.8, -0.4], &[0.6]).unwrap();
    for row in rows() {
        for t in [0.7, 6.3] {
            let mass = |n: u32| exp(model.ln_pmf(&row, t, f64::from(n)));
            let tail = |n: u32| exp(model.ln_tail(&row, t, f64::from(n)));
            close((0..90).map(mass).sum(), 1.0, 1e-11);
            close((1..90).map(tail).sum(), model.purchases(&row, t), 1e-10);
            close(tail(3) - tail(4), mass(3), 1e-9);
            // By parts: ∫ e^{−δs} dE(s).
            let delta = 0.2;
            let inner = over_time(
                |s| exp(-delta * (s - 100.0)) * model.purchases(&row, s - 100.0),
                100.0,
                100.0 + t,
            );
            let shifted = over_time(
                |s| exp(-delta * (s - 101.0)) * model.purchases(&row, s - 101.0),
                101.0,
                101.0 + t,
            );
            let odd = (row.summary()[2] % 2.0) == 1.0;
            let parts = exp(-delta * t) * model.purchases(&row, t)
                + delta * if odd { shifted } else { inner };
            close(model.discounted(&row, t, delta), parts, 1e-11);
        }
        let p = exp(model.ln_tail(&row, 5.0, 1.0));
        close(model.next_purchase(&row, p, 12.0), 5.0, 1e-12);
        assert_eq!(model.p_alive_ahead(&row, f64::INFINITY), 0.0);
        assert!(model.purchases(&row, f64::INFINITY).is_finite());
    }
    let immortal = ParetoNbdTv::new([0.9, 6.0, 0.9, 15.0], &[0.8, -0.4], &[0.6]).unwrap();
    let row = &rows()[2];
    assert_eq!(immortal.purchases(row, f64::INFINITY), f64::INFINITY);
}

/// Customers drawn in operational time have the likelihood's law.
#[test]
fn simulated_customers_follow_the_likelihood() {
    let truth = [0.9, 6.0, 1.2, 15.0, 0.8, -0.4, 0.6];
    let model = ParetoNbdTv::new(PARAMS, &truth[4..6], &truth[6..]).unwrap();
    let draw = |row: u64| {
        let random = &mut Random::for_row(3, row);
        model.simulate_one(path(), 36.0, random).unwrap()
    };
    let drawn: Vec<TimedRow> = (0..2000).map(draw).collect();
    let likelihood = TimedLikelihood::new(drawn, None).unwrap();
    let at = evaluate(&likelihood, &truth, Order::Hessian);
    let step = solve(&at.hessian, &at.gradient);
    let score: f64 = step.iter().zip(&at.gradient).map(|(s, g)| -s * g).sum();
    // Chi-squared with 7 degrees of freedom: below 24.3 with probability 0.999.
    assert!((0.0..24.3).contains(&score), "{score}");
}

/// Customers drawn step by step give their coefficients back.
#[test]
fn drawn_customers_give_their_coefficients_back() {
    let truth = [0.9, 6.0, 1.2, 15.0, 0.8, -0.4, 0.6];
    let mut random = Random::new(5);
    let mut drawn = Vec::new();
    for _ in 0..1500 {
        let rate = random.gamma(truth[0]) / truth[1];
        let hazard = random.gamma(truth[2]) / truth[3];
        let (mut purchases, mut t) = (Vec::new(), 0.0);
        // Thinning over tenths of a period: the speeds are constant there.
        let mut lifetime = random.exponential();
        while t < 36.0 && lifetime > 0.0 {
            let (bought, left) = speeds(t + 1e-9, &truth[4..6], &truth[6..]);
            lifetime -= hazard * left * 0.1;
            if lifetime > 0.0 {
                let count = random.poisson(rate * bought * 0.1);
                purchases.extend((0..count as u32).map(|_| t + 0.1 * random.uniform()));
            }
            t += 0.1;
        }
        purchases.sort_by(f64::total_cmp);
        drawn.push(TimedRow::new(&purchases, 36.0, path()).unwrap());
    }
    let likelihood = TimedLikelihood::new(drawn, None).unwrap();
    let at = evaluate(&likelihood, &truth, Order::Hessian);
    // The score at the truth, g·(−H)^−1·g, is chi-squared with 7 degrees of freedom: below 24.3 with
    // probability 0.999; coefficients of zero are far off.
    let step = solve(&at.hessian, &at.gradient);
    let score: f64 = step.iter().zip(&at.gradient).map(|(s, g)| -s * g).sum();
    assert!((0.0..24.3).contains(&score), "{score}");
    let none = [0.9, 6.0, 1.2, 15.0, 0.0, 0.0, 0.0];
    assert!(evaluate(&likelihood, &none, Order::Value).value < at.value - 50.0);
}

/// Solves a small symmetric system by elimination.
fn solve(matrix: &[f64], right: &[f64]) -> Vec<f64> {
    let n = right.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            matrix[i * n..(i + 1) * n]
                .iter()
                .copied()
                .chain([right[i]])
                .collect()
        })
        .collect();
    for i in 0..n {
        let pivot = (i..n)
            .max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs()))
            .unwrap();
        rows.swap(i, pivot);
        for k in (0..n).filter(|k| *k != i) {
            let factor = rows[k][i] / rows[i][i];
            let pivot_row = rows[i].clone();
            for (slot, value) in rows[k].iter_mut().zip(&pivot_row).skip(i) {
                *slot -= factor * value;
            }
        }
    }
    (0..n).map(|i| rows[i][n] / rows[i][i]).collect()
}

#[test]
fn long_tables_become_paths() {
    // Two customers on a calendar; the second's first purchase is at 10.
    let customers = [1, 0, 0, 1, 0];
    let starts = [9.0, 7.0, 0.0, 14.0, 14.0];
    let purchase = [5.0, 2.0, 1.0, 6.0, 2.0];
    let paths =
        paths_of_long_table(&customers, &starts, &purchase, 1, &[], 0, &[0.0, 10.0]).unwrap();
    let expected = CovariatePath::new(&[0.0, 7.0], &[1.0, 2.0], 1, &[], 0).unwrap();
    assert_eq!(paths[0], expected);
    assert_eq!(
        paths[1],
        CovariatePath::new(&[-1.0, 4.0], &[5.0, 6.0], 1, &[], 0).unwrap()
    );
    let bad = |customers: &[usize], starts: &[f64]| {
        paths_of_long_table(customers, starts, &[1.0, 1.0], 1, &[], 0, &[0.0, 0.0]).unwrap_err()
    };
    assert_eq!(bad(&[0, 0], &[0.0, 1.0]).0, 1);
    assert_eq!(bad(&[0, 7], &[0.0, 1.0]).0, 7);
    let twice = paths_of_long_table(&[0, 0], &[1.0, 1.0], &[1.0, 2.0], 1, &[], 0, &[0.0]);
    assert_eq!(twice.unwrap_err().1.code, RowCode::Inconsistent);
}

#[test]
fn bad_input_is_refused() {
    let code =
        |purchases: &[f64], age: f64| TimedRow::new(purchases, age, path()).unwrap_err().code;
    assert_eq!(code(&[3.0, 2.0], 9.0), RowCode::Inconsistent);
    assert_eq!(code(&[3.0, 12.0], 9.0), RowCode::Inconsistent);
    assert_eq!(code(&[0.0], 9.0), RowCode::OutOfRange);
    assert_eq!(code(&[f64::NAN], 9.0), RowCode::Missing);
    assert_eq!(code(&[], f64::INFINITY), RowCode::NotFinite);
    let path = CovariatePath::new(&[0.0], &[f64::NAN], 1, &[], 0);
    assert_eq!(path.unwrap_err().code, RowCode::Missing);
    assert!(CovariatePath::new(&[], &[], 0, &[], 0).is_err());
    assert!(ParetoNbdTv::new([1.0, 1.0, -1.0, 1.0], &[], &[]).is_err());
    assert!(ParetoNbdTv::new(PARAMS, &[f64::NAN], &[]).is_err());
    let narrow = ParetoNbdTv::new(PARAMS, &[0.1], &[]).unwrap();
    assert!(narrow.log_lik(&rows()[0]).is_nan());
    assert!(narrow.p_alive(&rows()[0]).is_nan());
    assert_eq!(
        TimedLikelihood::new(Vec::new(), None).unwrap().weight(),
        0.0
    );
}

//! Fits whose optimum lies on a face: exact zeros of the L1 penalty, parameters at their bounds.

mod common;

use common::{FREE, POSITIVE, RATE, SHAPE, close, gamma, quadratic, single, unconverged};
use cvm_core::{Likelihood, Transform};
use cvm_fit::{Finding, Fit, FitError, ParamState, Settings, maximize};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn l1(weights: &[f64]) -> Settings {
    Settings {
        l1: weights.to_vec(),
        ..Settings::default()
    }
}

fn bounded(bounds: &[Option<(f64, f64)>]) -> Settings {
    Settings {
        bounds: bounds.to_vec(),
        ..Settings::default()
    }
}

fn identity(dim: usize) -> Vec<Transform> {
    vec![Transform::Identity; dim]
}

/// `sign(t) max(|t| − λ, 0)`: the minimum of `½ (x − t)² + λ |x|`.
fn soft(t: f64, threshold: f64) -> f64 {
    t.signum() * (t.abs() - threshold).max(0.0)
}

#[test]
fn l1_of_a_diagonal_quadratic_is_the_soft_threshold() {
    // ½ a (θ − μ)² + λ |θ|: soft(μ, λ/a).
    let (curvature, mean) = ([4.0, 1.0, 0.5, 2.0], vec![3.0, -0.4, 5.0, -2.0]);
    let weights = [1.0, 0.5, 0.0, 3.9];
    let a = Array2::from_diag(&array![4.0, 1.0, 0.5, 2.0]);
    let fit = maximize(
        &quadratic(a, mean.clone()),
        &identity(4),
        &[vec![1.0; 4]],
        &l1(&weights),
    )
    .unwrap();
    for i in 0..4 {
        let want = soft(mean[i], weights[i] / curvature[i]);
        close(fit.params[i], want, 1e-14);
    }
    assert_eq!(fit.params[1], 0.0);
    assert!(fit.standard_errors[1].is_nan());
    close(fit.standard_errors[0], 0.5, 1e-15);
    assert_eq!(fit.states[1], ParamState::Zero);
    assert_eq!(fit.free_count(), 3);
    assert!(fit.diagnosis.contains(&Finding::Zeroed {
        parameters: vec![1]
    }));
    assert!(fit.warnings[0].contains("L1"), "{:?}", fit.warnings);
    let penalty: f64 = (0..4).map(|i| weights[i] * fit.params[i].abs()).sum();
    close(
        fit.penalized_log_likelihood,
        fit.log_likelihood - penalty,
        1e-14,
    );
}

#[test]
fn l1_works_together_with_l2() {
    // Elastic net: soft(a μ, λ) / (a + penalty).
    let likelihood = quadratic(array![[2.0, 0.0], [0.0, 2.0]], vec![3.0, 0.1]);
    let settings = Settings {
        penalty: vec![1.0, 1.0],
        ..l1(&[0.5, 0.5])
    };
    let fit = maximize(&likelihood, &FREE, &[vec![0.0, 0.0]], &settings).unwrap();
    close(fit.params[0], 5.5 / 3.0, 1e-15);
    assert_eq!(fit.params[1], 0.0);
    close(fit.covariance[[0, 0]], 1.0 / 3.0, 1e-15);
}

#[test]
fn a_saturating_l1_weight_sets_everything_to_zero() {
    let likelihood = quadratic(array![[2.0, 0.3], [0.3, 1.0]], vec![3.0, 0.1]);
    let fit = maximize(&likelihood, &FREE, &[vec![5.0, 5.0]], &l1(&[1e3, 1e3])).unwrap();
    assert_eq!(fit.params, vec![0.0, 0.0]);
    assert!(fit.converged && fit.gradient_norm == 0.0);
    assert_eq!((fit.free_count(), fit.condition_number), (0, 1.0));
}

/// Logistic regression over fixed pseudo-random rows, `dim` columns.
fn logistic(rows: usize, dim: usize) -> impl Likelihood {
    let mut state = 12345_u64;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / 4_294_967_296.0 - 0.5
    };
    let x: Vec<Vec<f64>> = (0..rows)
        .map(|_| (0..dim).map(|_| 4.0 * draw()).collect())
        .collect();
    let odds = |x: &[f64]| x[0] - 0.7 * x[1];
    let y: Vec<f64> = x
        .iter()
        .map(|x| f64::from(u8::from(cvm_math::sigmoid(odds(x)) > draw() + 0.5)))
        .collect();
    single(dim, move |theta| {
        let (mut value, mut gradient, mut hessian) = (0.0, vec![0.0; dim], vec![0.0; dim * dim]);
        for (x, y) in x.iter().zip(&y) {
            let score = (0..dim).fold(0.0, |sum, i| sum + theta[i] * x[i]);
            let p = cvm_math::sigmoid(score);
            value += y * score - cvm_math::softplus(score);
            for i in 0..dim {
                gradient[i] += (y - p) * x[i];
                (0..dim).for_each(|j| hessian[i * dim + j] -= p * (1.0 - p) * x[i] * x[j]);
            }
        }
        (value, gradient, hessian)
    })
}

#[test]
fn a_lasso_of_a_logistic_model_satisfies_the_optimality_conditions() {
    let dim = 12;
    let likelihood = logistic(300, dim);
    let weight = 8.0;
    let fit = maximize(
        &likelihood,
        &identity(dim),
        &[vec![0.0; dim]],
        &l1(&vec![weight; dim]),
    )
    .unwrap();
    let mut sum = cvm_core::Derivatives::zero(dim);
    likelihood.accumulate(&fit.params, 0, cvm_core::Order::Hessian, &mut sum);
    for i in 0..dim {
        // |∂ℓ| = λ with the sign of θ off zero, |∂ℓ| <= λ at zero.
        if fit.params[i] == 0.0 {
            assert!(sum.gradient[i].abs() <= weight, "{i}");
        } else {
            close(sum.gradient[i], weight * fit.params[i].signum(), 1e-10);
        }
    }
    let zeros = fit.params.iter().filter(|v| **v == 0.0).count();
    assert!((4..11).contains(&zeros), "{:?}", fit.params);
    assert!(
        fit.params[0] > 0.2 && fit.params[1] < -0.1,
        "{:?}",
        fit.params
    );
    assert!(fit.iterations < 15, "{}", fit.iterations);
    assert_eq!(fit.method, "active-set newton");
}

#[test]
fn faces_without_a_hessian_are_found_too() {
    let reference = |factor: f64| {
        let settings = Settings {
            bounds: vec![None, Some((1.0, 5.0))],
            ..Settings::default()
        };
        maximize(&gamma(factor), &POSITIVE, &[vec![1.0, 2.0]], &settings).unwrap()
    };
    let (with, without) = (reference(1.0), reference(f64::NAN));
    close(without.params[0], with.params[0], 1e-7);
    assert_eq!(without.params[1], 1.0);
    close(without.standard_errors[0], with.standard_errors[0], 1e-5);
}

#[test]
fn a_bound_that_binds_is_met_exactly_and_told() {
    // RATE = 0.7045 is below the bound; given it, the shape solves ψ(k) = ln b + mean ln x.
    let settings = bounded(&[None, Some((0.9, f64::INFINITY))]);
    let fit = maximize(&gamma(1.0), &POSITIVE, &[vec![1.0, 1.0]], &settings).unwrap();
    assert_eq!(fit.params[1], 0.9);
    assert_eq!(fit.states[1], ParamState::AtLower);
    assert_eq!(
        fit.at_bound().collect::<Vec<_>>(),
        vec![(1, ParamState::AtLower)]
    );
    assert!(fit.standard_errors[1].is_nan() && fit.standard_errors[0] > 0.0);
    let upper = Finding::AtBound {
        parameter: 1,
        value: 0.9,
        upper: false,
    };
    assert_eq!(fit.diagnosis, vec![upper]);
    assert!(
        fit.warnings[0].contains("lower bound 0.9"),
        "{:?}",
        fit.warnings
    );
    // The conditional variance: 1 / (n ψ'(k)).
    let variance = 1.0 / (1000.0 * cvm_math::trigamma(fit.params[0]));
    close(fit.standard_errors[0], variance.sqrt(), 1e-12);
    close(fit.params[0], conditional_shape(0.9), 1e-12);
}

/// Root of `ψ(k) = ln b + mean ln x` by bisection.
fn conditional_shape(rate: f64) -> f64 {
    let rows = common::gamma_rows();
    let logs: f64 = rows.iter().map(|x| cvm_math::ln(*x)).sum::<f64>() / 1000.0;
    let (mut low, mut high) = (0.1, 10.0);
    for _ in 0..200 {
        let k = 0.5 * (low + high);
        if cvm_math::digamma(k) < cvm_math::ln(rate) + logs {
            low = k;
        } else {
            high = k;
        }
    }
    0.5 * (low + high)
}

#[test]
fn slack_bounds_change_nothing_and_starts_are_moved_inside() {
    let settings = bounded(&[Some((0.5, 4.0)), Some((0.0, 3.0))]);
    for start in [[1.0, 1.0], [100.0, 1e-6], [1e-3, 50.0]] {
        let fit = maximize(&gamma(1.0), &POSITIVE, &[start.to_vec()], &settings).unwrap();
        close(fit.params[0], SHAPE, 1e-11);
        close(fit.params[1], RATE, 1e-11);
        common::check_gamma(&fit, 1e-10);
        assert!(fit.diagnosis.is_empty(), "{:?}", fit.diagnosis);
    }
}

#[test]
fn equal_bounds_hold_a_parameter() {
    let settings = bounded(&[Some((2.0, 2.0)), None]);
    let fit = maximize(&gamma(1.0), &POSITIVE, &[vec![1.0, 1.0]], &settings).unwrap();
    assert_eq!((fit.params[0], fit.states[0]), (2.0, ParamState::Held));
    let total: f64 = common::gamma_rows().iter().sum();
    close(fit.params[1], 2000.0 / total, 1e-13);
    assert!(fit.diagnosis.is_empty(), "{:?}", fit.diagnosis);
    let all = bounded(&[Some((2.0, 2.0)), Some((1.0, 1.0))]);
    let none = maximize(&gamma(1.0), &POSITIVE, &[vec![1.0, 1.0]], &all).unwrap();
    assert_eq!((none.params, none.iterations), (vec![2.0, 1.0], 0));
}

#[test]
fn a_saddle_inside_bounds_is_left_for_a_bound() {
    // x² − y² has no maximum but on the bounds of x; the start is the saddle's neighbour.
    let saddle = single(2, |t| {
        (
            t[0] * t[0] - t[1] * t[1],
            vec![2.0 * t[0], -2.0 * t[1]],
            vec![2.0, 0.0, 0.0, -2.0],
        )
    });
    let settings = bounded(&[Some((-3.0, 2.0)), Some((-1.0, 1.0))]);
    let fit = maximize(&saddle, &FREE, &[vec![0.01, 0.9]], &settings).unwrap();
    assert_eq!(fit.params[0], 2.0);
    assert!(fit.params[1].abs() < 1e-12);
    assert_eq!(fit.states[0], ParamState::AtUpper);
}

#[test]
fn a_bound_stops_what_would_run_away() {
    let rising = single(1, |t| {
        let x = t[0];
        (-1.0 / x, vec![1.0 / (x * x)], vec![-2.0 / (x * x * x)])
    });
    let settings = bounded(&[Some((0.0, 1e3))]);
    let fit = maximize(&rising, &[Transform::Log], &[vec![1.0]], &settings).unwrap();
    assert_eq!((fit.params[0], fit.states[0]), (1e3, ParamState::AtUpper));
}

#[test]
fn coordinates_of_intervals_keep_to_them() {
    // Binomial 30 of 40: p = 3/4, se = √(p q / n); correlation-like: −(z(θ) − 1)².
    let binomial = single(1, |t| {
        let p = t[0];
        let value = 30.0 * cvm_math::ln(p) + 10.0 * cvm_math::log1p(-p);
        let bend = -30.0 / (p * p) - 10.0 / ((1.0 - p) * (1.0 - p));
        (value, vec![30.0 / p - 10.0 / (1.0 - p)], vec![bend])
    });
    for start in [1e-9, 0.5, 1.0 - 1e-9] {
        let fit = maximize(
            &binomial,
            &[Transform::Logit],
            &[vec![start]],
            &Settings::default(),
        )
        .unwrap();
        close(fit.params[0], 0.75, 1e-14);
        close(
            fit.standard_errors[0],
            (0.75 * 0.25 / 40.0_f64).sqrt(),
            1e-12,
        );
    }
    let peaked = single(1, |t| {
        let gap = 0.995 - t[0];
        (-0.5 * gap * gap, vec![gap], vec![-1.0])
    });
    for start in [-0.999, 0.0, 0.999_999] {
        let fit = maximize(
            &peaked,
            &[Transform::FisherZ],
            &[vec![start]],
            &Settings::default(),
        )
        .unwrap();
        close(fit.params[0], 0.995, 1e-12);
        close(fit.standard_errors[0], 1.0, 1e-9);
    }
    let up = single(1, |t| (t[0], vec![1.0], vec![0.0]));
    let away = unconverged(maximize(
        &up,
        &[Transform::FisherZ],
        &[vec![0.0]],
        &Settings::default(),
    ));
    assert!(
        matches!(
            away.diagnosis[0],
            Finding::Escaped { parameter: 0, .. } | Finding::Flat { .. }
        ),
        "{:?}",
        away.diagnosis
    );
    let outside = maximize(
        &up,
        &[Transform::FisherZ],
        &[vec![1.0]],
        &Settings::default(),
    );
    assert!(matches!(outside, Err(FitError::Invalid { .. })));
}

#[test]
fn bad_faces_are_named() {
    let told = |settings: &Settings| {
        maximize(&gamma(1.0), &POSITIVE, &[vec![1.0, 1.0]], settings)
            .unwrap_err()
            .to_string()
    };
    assert!(told(&l1(&[1.0])).starts_with("settings.l1 is of length 1"));
    assert!(told(&l1(&[1.0, f64::NAN])).starts_with("settings.l1[1] is NaN"));
    let pair = |low, high| bounded(&[None, Some((low, high))]);
    assert!(told(&pair(2.0, 1.0)).starts_with("settings.bounds[1] is (2, 1)"));
    assert!(told(&pair(-2.0, -1.0)).starts_with("settings.bounds[1]"));
    assert!(told(&pair(f64::NAN, 1.0)).starts_with("settings.bounds[1]"));
    assert!(told(&pair(f64::INFINITY, f64::INFINITY)).starts_with("settings.bounds[1]"));
}

/// Violation of the optimality conditions of `½ (θ−μ)ᵀA(θ−μ) + Σ λ|θ|` inside bounds.
fn kkt(a: &Array2<f64>, mean: &[f64], weights: &[f64], bounds: &[(f64, f64)], fit: &Fit) -> f64 {
    let dim = mean.len();
    let slope = |i: usize| {
        (0..dim)
            .map(|j| a[[i, j]] * (fit.params[j] - mean[j]))
            .sum::<f64>()
    };
    let each = |i: usize| {
        let (theta, g) = (fit.params[i], slope(i));
        let left = g + if theta > 0.0 { weights[i] } else { -weights[i] };
        let right = g + if theta < 0.0 { -weights[i] } else { weights[i] };
        let up = if theta < bounds[i].1 {
            (-right).max(0.0)
        } else {
            0.0
        };
        let down = if theta > bounds[i].0 {
            left.max(0.0)
        } else {
            0.0
        };
        up.max(down)
    };
    (0..dim).map(each).fold(0.0, f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Random convex quadratics, correlated, with L1 and bounds: the answer is the unique point
    /// that satisfies the optimality conditions.
    #[test]
    fn random_quadratics_are_solved_to_their_conditions(
        factors in prop::collection::vec(-1.0..1.0f64, 25),
        mean in prop::collection::vec(-3.0..3.0f64, 5),
        weights in prop::collection::vec(0.0..4.0f64, 5),
        ends in prop::collection::vec((-2.0..2.0f64, 0.0..2.0f64), 5),
        start in prop::collection::vec(-2.0..2.0f64, 5),
    ) {
        let root = Array2::from_shape_vec((5, 5), factors).unwrap();
        let a = root.t().dot(&root) + Array2::<f64>::eye(5) * 0.05;
        let bounds: Vec<(f64, f64)> = ends.iter().map(|(low, width)| (*low, low + width)).collect();
        let settings = Settings {
            l1: weights.clone(),
            bounds: bounds.iter().map(|pair| Some(*pair)).collect(),
            ..Settings::default()
        };
        let fit = maximize(&quadratic(a.clone(), mean.clone()), &identity(5), &[start], &settings).unwrap();
        let violation = kkt(&a, &mean, &weights, &bounds, &fit);
        prop_assert!(violation < 1e-11, "{}", violation);
        for (theta, (low, high)) in fit.params.iter().zip(&bounds) {
            prop_assert!(low <= theta && theta <= high);
        }
    }

    /// The gamma log-likelihood is concave: inside a box there is one answer from any start.
    #[test]
    fn gamma_fits_in_random_boxes_satisfy_their_conditions(
        shape in (0.01..3.0f64, 0.0..4.0f64),
        rate in (0.01..2.0f64, 0.0..4.0f64),
        start in (-9.0..9.0f64, -9.0..9.0f64),
        weight in 0.0..300.0f64,
    ) {
        let bounds = [(shape.0, shape.0 + shape.1), (rate.0, rate.0 + rate.1)];
        let settings = Settings {
            l1: vec![0.0, weight],
            ..bounded(&bounds.map(Some))
        };
        let likelihood = gamma(1.0);
        let start = [vec![cvm_math::exp(start.0), cvm_math::exp(start.1)]];
        let fit = maximize(&likelihood, &POSITIVE, &start, &settings).unwrap();
        let sum = cvm_fit::partial_objective(&likelihood, &fit.params, cvm_core::Order::Gradient, 1);
        for (i, (low, high)) in bounds.iter().enumerate() {
            // In logs; the kink of the L1 penalty is at θ = 1.
            let (theta, slope) = (fit.params[i], sum.gradient[i] * fit.params[i]);
            let l1 = settings.l1[i];
            let up = slope - if theta < 1.0 { -l1 } else { l1 };
            let down = slope - if theta > 1.0 { l1 } else { -l1 };
            prop_assert!(theta >= *high || up < 1e-7, "{} {:?}", up, fit);
            prop_assert!(theta <= *low || down > -1e-7, "{} {:?}", down, fit);
            prop_assert!((*low..=*high).contains(&theta));
        }
    }
}

/// A hundred and fifty correlated coefficients, most of them zero: the model is solved in few steps.
#[test]
fn a_wide_lasso_is_solved_in_few_evaluations() {
    let dim: usize = 150;
    let tie = |i: usize, j: usize| (0..i.abs_diff(j)).fold(1.0, |product, _| 0.9 * product);
    let a = Array2::from_shape_fn((dim, dim), |(i, j)| 100.0 * tie(i, j));
    let mean: Vec<f64> = (0..dim)
        .map(|i| if i % 10 == 0 { 2.0 } else { 0.0 })
        .collect();
    let weights = vec![30.0; dim];
    let likelihood = quadratic(a.clone(), mean.clone());
    let fit = maximize(
        &likelihood,
        &identity(dim),
        &[vec![0.0; dim]],
        &l1(&weights),
    )
    .unwrap();
    let everywhere = vec![(f64::NEG_INFINITY, f64::INFINITY); dim];
    let violation = kkt(&a, &mean, &weights, &everywhere, &fit);
    assert!(violation < 1e-9, "{violation}");
    assert!(
        (10..100).contains(&fit.free_count()),
        "{}",
        fit.free_count()
    );
    assert!(fit.evaluations <= 5, "{}", fit.evaluations);
}

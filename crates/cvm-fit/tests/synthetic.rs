//! Fits of likelihoods whose maximum is known, and of those that have none.

#![allow(clippy::cast_precision_loss)]

mod common;

use common::{
    FREE, POSITIVE, SHAPE, Synthetic, check_gamma, close, gamma, quadratic, single, unconverged,
    valley,
};
use cvm_core::Transform;
use cvm_fit::{FitError, Settings, maximize};
use ndarray::array;

#[test]
fn gamma_matches_the_closed_form() {
    let fit = maximize(
        &gamma(1.0),
        &POSITIVE,
        &[vec![1.0, 1.0]],
        &Settings::default(),
    )
    .unwrap();
    check_gamma(&fit, 1e-11);
    assert_eq!(fit.method, "trust-region newton");
    assert!(fit.gradient_norm < 1e-13, "{}", fit.gradient_norm);
    assert!(fit.evaluations < 15, "{}", fit.evaluations);
    assert!(fit.warnings.is_empty(), "{:?}", fit.warnings);
}

#[test]
fn far_starts_reach_the_same_maximum() {
    for start in [[1e-6, 1e6], [1e5, 1e-5], [1e-8, 1e-8], [3e4, 3e4]] {
        let fit = maximize(
            &gamma(1.0),
            &POSITIVE,
            &[start.to_vec()],
            &Settings::default(),
        );
        check_gamma(&fit.unwrap(), 1e-10);
    }
}

#[test]
fn without_a_hessian_lbfgs_reaches_the_same_maximum() {
    let start = [vec![1.0, 1.0]];
    let fit = maximize(&gamma(f64::NAN), &POSITIVE, &start, &Settings::default()).unwrap();
    assert_eq!(fit.method, "l-bfgs");
    // Curvature by differences of the gradient.
    check_gamma(&fit, 3e-7);
}

#[test]
fn a_misleading_hessian_does_not_prevent_the_maximum() {
    // A Hessian of the wrong sign: every step is a gradient-like one on the trust boundary.
    let start = [vec![1.0, 1.0]];
    let settings = Settings {
        max_iterations: 2000,
        ..Settings::default()
    };
    let fit = unconverged(maximize(&gamma(-1.0), &POSITIVE, &start, &settings));
    close(fit.params[0], SHAPE, 1e-4);
    assert!(!fit.converged);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let bits = |threads| {
        let settings = Settings {
            threads,
            ..Settings::default()
        };
        let fit = maximize(&gamma(1.0), &POSITIVE, &[vec![1.0, 1.0]], &settings).unwrap();
        let numbers = fit.params.iter().chain(fit.covariance.iter());
        let bits: Vec<u64> = numbers.map(|x| x.to_bits()).collect();
        (bits, fit.log_likelihood.to_bits(), fit.evaluations)
    };
    let one = bits(1);
    for threads in [0, 2, 3, 7, 64] {
        assert_eq!(bits(threads), one, "{threads} threads");
    }
}

#[test]
fn wide_problems_are_added_in_waves_with_the_same_bits() {
    // 300 parameters and 70 blocks: several waves of records, whose sums round differently in any
    // other order.
    let wide = Synthetic {
        dim: 300,
        blocks: 70,
        weight: 70.0,
        block: |theta: &[f64], block| {
            let pull = |i: usize| 0.1 + 1.0 / (1.0 + (i * 7 + block * 13) as f64);
            let gap = |i: usize| theta[i] - pull(i);
            let value = (0..300).map(|i| -0.5 * pull(i) * gap(i) * gap(i)).sum();
            let gradient = (0..300).map(|i| -pull(i) * gap(i)).collect();
            let mut hessian = vec![0.0; 300 * 300];
            (0..300).for_each(|i| hessian[i * 301] = -pull(i));
            (value, gradient, hessian)
        },
    };
    let transforms = [Transform::Identity; 300];
    let bits = |threads| {
        let settings = Settings {
            threads,
            ..Settings::default()
        };
        let fit = maximize(&wide, &transforms, &[vec![0.0; 300]], &settings).unwrap();
        fit.params.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert_eq!(bits(2), one);
    assert_eq!(bits(3), one);
}

#[test]
fn quadratic_takes_one_step_and_inverts_its_curvature() {
    let a = array![[3.0, 1.0], [1.0, 2.0]];
    let likelihood = quadratic(a, vec![5.0, -7.0]);
    let fit = maximize(&likelihood, &FREE, &[vec![0.0, 0.0]], &Settings::default()).unwrap();
    close(fit.params[0], 5.0, 1e-15);
    close(fit.params[1], -7.0, 1e-15);
    // Inverse by hand: [2, −1; −1, 3] / 5.
    close(fit.covariance[[0, 0]], 0.4, 1e-15);
    close(fit.covariance[[0, 1]], -0.2, 1e-15);
    close(fit.standard_errors[1] * fit.standard_errors[1], 0.6, 1e-15);
    assert!(fit.iterations <= 2, "{}", fit.iterations);
}

#[test]
fn scales_twenty_four_decades_apart_are_no_obstacle() {
    let a = array![[1e12, 0.0], [0.0, 1e-12]];
    let likelihood = quadratic(a, vec![3e-6, 2e6]);
    let fit = maximize(&likelihood, &FREE, &[vec![0.0, 0.0]], &Settings::default()).unwrap();
    close(fit.params[0], 3e-6, 1e-12);
    close(fit.params[1], 2e6, 1e-12);
    close(fit.standard_errors[0], 1e-6, 1e-12);
    close(fit.condition_number, 1.0, 1e-6);
}

#[test]
fn a_curved_valley_is_followed() {
    let fit = maximize(&valley(), &FREE, &[vec![-1.2, 1.0]], &Settings::default()).unwrap();
    close(fit.params[0], 1.0, 1e-12);
    close(fit.params[1], 1.0, 1e-12);
    assert!(fit.iterations < 40, "{}", fit.iterations);
}

#[test]
fn steps_into_minus_infinity_are_taken_back() {
    // 3 ln θ + ln(1 − θ): minus infinity outside (0, 1), maximum at 3/4.
    let bounded = single(1, |t| {
        let x = t[0];
        if x <= 0.0 || x >= 1.0 {
            return (f64::NEG_INFINITY, vec![f64::NAN], vec![f64::NAN]);
        }
        let value = 3.0 * cvm_math::ln(x) + cvm_math::ln(1.0 - x);
        let bend = -3.0 / (x * x) - 1.0 / ((1.0 - x) * (1.0 - x));
        (value, vec![3.0 / x - 1.0 / (1.0 - x)], vec![bend])
    });
    for start in [1e-6, 0.5, 0.999_999] {
        let transforms = [Transform::Identity];
        let fit = maximize(&bounded, &transforms, &[vec![start]], &Settings::default()).unwrap();
        close(fit.params[0], 0.75, 1e-14);
    }
    let outside = maximize(
        &bounded,
        &[Transform::Identity],
        &[vec![2.0]],
        &Settings::default(),
    );
    assert!(matches!(
        outside,
        Err(FitError::NoFiniteStart { starts: 1 })
    ));
}

#[test]
fn an_unidentified_direction_is_told_not_hidden() {
    // Only the product of the two parameters matters.
    let product = single(2, |t| {
        let gap = t[0] * t[1] - 2.0;
        let gradient = vec![-gap * t[1], -gap * t[0]];
        let cross = -gap - t[0] * t[1];
        (
            -0.5 * gap * gap,
            gradient,
            vec![-t[1] * t[1], cross, cross, -t[0] * t[0]],
        )
    });
    let result = maximize(&product, &POSITIVE, &[vec![1.0, 1.0]], &Settings::default());
    let fit = unconverged(result);
    assert!(fit.message.contains("not identified"), "{}", fit.message);
    close(fit.params[0] * fit.params[1], 2.0, 1e-6);
    assert!(
        fit.standard_errors
            .iter()
            .all(|se| se.is_nan() || *se > 1e3)
    );
}

#[test]
fn a_nearly_flat_ridge_is_fitted_with_advice() {
    // Correlation 1 − 5e-11 between the two: identified, but only just.
    let c = 1.0 - 5e-11;
    let likelihood = quadratic(array![[1.0, c], [c, 1.0]], vec![1.0, 2.0]);
    let fit = maximize(&likelihood, &FREE, &[vec![0.0, 0.0]], &Settings::default()).unwrap();
    assert!(fit.condition_number > 1e10);
    assert!(
        fit.warnings.iter().any(|w| w.contains("ridge")),
        "{:?}",
        fit.warnings
    );
}

#[test]
fn a_parameter_that_runs_away_is_not_called_converged() {
    // −1/θ rises for ever: the gradient in ln θ dies out while the Newton step stays one.
    let rising = single(1, |t| {
        let x = t[0];
        (-1.0 / x, vec![1.0 / (x * x)], vec![-2.0 / (x * x * x)])
    });
    let result = maximize(
        &rising,
        &[Transform::Log],
        &[vec![1.0]],
        &Settings::default(),
    );
    let fit = unconverged(result);
    assert!(fit.message.contains("ran away"), "{}", fit.message);
}

#[test]
fn a_maximum_at_infinity_of_a_free_parameter_is_not_called_converged() {
    // ln sigmoid(θ): a perfectly separated class.
    let separated = single(1, |t| {
        let p = cvm_math::sigmoid(-t[0]);
        (-cvm_math::softplus(-t[0]), vec![p], vec![-p * (1.0 - p)])
    });
    let transforms = [Transform::Identity];
    let result = maximize(&separated, &transforms, &[vec![0.0]], &Settings::default());
    let fit = unconverged(result);
    assert!(fit.params[0] > 15.0);
    assert!(fit.message.contains("infinity"), "{}", fit.message);
}

#[test]
fn later_starts_are_tried_only_when_needed() {
    // −(x² − 1)²: a minimum at 0 that is stationary, maxima at ±1.
    let double = single(1, |t| {
        let (x, gap) = (t[0], t[0] * t[0] - 1.0);
        (-gap * gap, vec![-4.0 * x * gap], vec![4.0 - 12.0 * x * x])
    });
    let fitted = |starts: &[Vec<f64>]| {
        maximize(
            &double,
            &[Transform::Identity],
            starts,
            &Settings::default(),
        )
    };
    let second = fitted(&[vec![0.0], vec![3.0], vec![-3.0]]).unwrap();
    assert_eq!((second.starts_tried, second.params[0].round()), (2, 1.0));
    assert_eq!(fitted(&[vec![-2.0], vec![3.0]]).unwrap().starts_tried, 1);
    let none = unconverged(fitted(&[vec![0.0]]));
    assert!(
        none.message.contains("not a strict maximum"),
        "{}",
        none.message
    );
    let late = fitted(&[vec![f64::MAX], vec![3.0]]).unwrap();
    assert_eq!(late.starts_tried, 2);
}

#[test]
fn the_penalty_shrinks_the_total_likelihood() {
    // A (μ − θ) = penalty θ  ⇒  θ = A μ / (A + penalty); information A + penalty.
    let heavy = Synthetic {
        dim: 2,
        blocks: 4,
        weight: 1000.0,
        block: |t: &[f64], _| {
            let (a, b) = (3.0 - t[0], 5.0 - t[1]);
            (
                -0.5 * (a * a + b * b),
                vec![a, b],
                vec![-1.0, 0.0, 0.0, -1.0],
            )
        },
    };
    let settings = Settings {
        penalty: vec![2.0, 0.0],
        ..Settings::default()
    };
    let fit = maximize(&heavy, &FREE, &[vec![0.0, 0.0]], &settings).unwrap();
    close(fit.params[0], 12.0 / 6.0, 1e-14);
    close(fit.params[1], 5.0, 1e-14);
    close(fit.covariance[[0, 0]], 1.0 / 6.0, 1e-14);
    close(fit.log_likelihood, -2.0, 1e-14);
    close(fit.penalized_log_likelihood, -6.0, 1e-14);
}

#[test]
fn the_step_limit_is_respected_and_told() {
    let settings = Settings {
        max_iterations: 2,
        ..Settings::default()
    };
    let fit = unconverged(maximize(
        &gamma(1.0),
        &POSITIVE,
        &[vec![1e-6, 1e6]],
        &settings,
    ));
    assert_eq!(fit.iterations, 2);
    assert!(fit.message.contains("max_iterations"), "{}", fit.message);
    assert!(fit.log_likelihood.is_finite());
}

#[test]
fn bad_arguments_are_named() {
    let told = |start: Vec<f64>, settings: &Settings| {
        let error = maximize(&gamma(1.0), &POSITIVE, &[start], settings).unwrap_err();
        error.to_string()
    };
    let fine = Settings::default();
    assert_eq!(
        told(vec![1.0, -2.0], &fine),
        "starts[0][1] is -2: must be finite and > 0"
    );
    assert!(told(vec![1.0], &fine).contains("starts[0] is of length 1"));
    let settings = |penalty: Vec<f64>, gradient_tolerance: f64| Settings {
        penalty,
        gradient_tolerance,
        ..Settings::default()
    };
    let start = || vec![1.0, 1.0];
    let negative = settings(vec![0.0, -1.0], 1e-8);
    assert!(told(start(), &negative).starts_with("settings.penalty[1] is -1"));
    let short = settings(vec![1.0], 1e-8);
    assert!(told(start(), &short).starts_with("settings.penalty is of length 1"));
    let nan = settings(vec![], f64::NAN);
    assert!(told(start(), &nan).starts_with("settings.gradient_tolerance is NaN"));
    let empty = Synthetic {
        dim: 1,
        blocks: 0,
        weight: 0.0,
        block: |_: &[f64], _| (0.0, vec![0.0], vec![0.0]),
    };
    let nothing = maximize(&empty, &[Transform::Log], &[vec![1.0]], &fine);
    assert!(matches!(nothing, Err(FitError::NoData)));
}

/// Bits recorded before bounds, L1 and priors existed: what does not use them must not feel them.
#[test]
fn bits_of_plain_fits_are_pinned() {
    let start = [vec![1.0, 1.0]];
    let plain = maximize(&gamma(1.0), &POSITIVE, &start, &Settings::default()).unwrap();
    assert_eq!(
        plain.params,
        [1.315_075_376_949_472_5, 0.704_513_016_443_615_5]
    );
    assert_eq!(plain.log_likelihood, -1_602.689_429_292_219_8);
    assert_eq!(plain.covariance[[1, 1]], 0.001_183_496_352_501_845_7);
    assert_eq!(plain.gradient_norm, 1.067_751_230_773_859_6e-14);
    assert_eq!((plain.iterations, plain.evaluations), (7, 8));
    let settings = Settings {
        penalty: vec![3.0, 0.5],
        ..Settings::default()
    };
    let shrunk = maximize(&gamma(1.0), &POSITIVE, &start, &settings).unwrap();
    assert_eq!(
        shrunk.params,
        [1.313_702_256_351_446_2, 0.703_871_469_102_836_6]
    );
    assert_eq!(shrunk.penalized_log_likelihood, -1_602.832_275_291_271_3);
    let rough = maximize(&gamma(f64::NAN), &POSITIVE, &start, &Settings::default()).unwrap();
    assert_eq!(
        rough.params,
        [1.315_075_376_544_128, 0.704_513_016_406_905_8]
    );
    assert_eq!(rough.condition_number, 10.447_225_812_954_358);
}

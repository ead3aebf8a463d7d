//! Profile intervals, bootstrap and Wald intervals: closed forms, coverage, same bits for any threads.

mod common;

use common::{FREE, POSITIVE, close, gamma, gamma_rows, quadratic, single};
use cvm_core::{Likelihood, Transform};
use cvm_fit::{
    Bootstrap, BootstrapSettings, Fit, FitError, ProfileEnd, Resampling, Settings, bootstrap,
    maximize, profile_interval, wald_interval,
};
use ndarray::array;
use std::cell::Cell;
use std::ops::ControlFlow;

const IDENTITY: [Transform; 1] = [Transform::Identity];
/// χ²_1 at 0.95: the square of the normal quantile at 0.975.
const CHI_95: f64 = 3.841_458_820_694_124;

fn plain() -> Settings {
    Settings::default()
}

fn fitted(likelihood: &dyn Likelihood, transforms: &[Transform]) -> Fit {
    let start = vec![0.9; transforms.len()];
    maximize(likelihood, transforms, &[start], &plain()).unwrap()
}

fn at(end: &ProfileEnd) -> f64 {
    match end {
        ProfileEnd::At(value) => *value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_profile_of_a_quadratic_is_the_wald_interval() {
    let likelihood = quadratic(array![[3.0, 1.0], [1.0, 2.0]], vec![5.0, -7.0]);
    let fit = fitted(&likelihood, &FREE);
    for level in [0.5, 0.95, 0.999] {
        for (index, transform) in FREE.iter().enumerate() {
            let profile =
                profile_interval(&likelihood, &FREE, &fit, index, level, &plain()).unwrap();
            let error = fit.standard_errors[index];
            let (low, high) = wald_interval(*transform, fit.params[index], error, level).unwrap();
            close(at(&profile.lower), low, 1e-8);
            close(at(&profile.upper), high, 1e-8);
            assert!(profile.fits <= 8, "{}", profile.fits);
        }
    }
}

#[test]
fn the_profile_of_a_gamma_shape_solves_its_equation() {
    let likelihood = gamma(1.0);
    let fit = fitted(&likelihood, &POSITIVE);
    let profile = profile_interval(&likelihood, &POSITIVE, &fit, 0, 0.95, &plain()).unwrap();
    let rows = gamma_rows();
    let total: f64 = rows.iter().sum();
    let logs: f64 = rows.iter().map(|x| cvm_math::ln(*x)).sum();
    // Given the shape k the rate is n k / Σx.
    let log_likelihood = |k: f64| {
        let rate = 1000.0 * k / total;
        1000.0 * (k * cvm_math::ln(rate) - cvm_math::ln_gamma(k)) + (k - 1.0) * logs - rate * total
    };
    for end in [&profile.lower, &profile.upper] {
        let deviance = 2.0 * (fit.log_likelihood - log_likelihood(at(end)));
        close(deviance, CHI_95, 1e-7);
    }
    assert!(profile.fits <= 12, "{}", profile.fits);
    assert!(at(&profile.lower) < fit.params[0] && fit.params[0] < at(&profile.upper));
}

/// `−height w²/(1 + w²)` of the working coordinate: the deviance never exceeds twice the height.
fn shallow(height: f64) -> impl Likelihood {
    single(1, move |t| {
        let w = cvm_math::ln(t[0]);
        let s = 1.0 + w * w;
        let (first, second) = (
            -2.0 * height * w / (s * s),
            -2.0 * height * (1.0 - 3.0 * w * w) / (s * s * s),
        );
        let x = t[0];
        (
            -height * w * w / s,
            vec![first / x],
            vec![(second - first) / (x * x)],
        )
    })
}

#[test]
fn sides_without_a_limit_are_told() {
    let fit = maximize(&shallow(1.5), &[Transform::Log], &[vec![1.1]], &plain()).unwrap();
    let open = profile_interval(&shallow(1.5), &[Transform::Log], &fit, 0, 0.95, &plain()).unwrap();
    assert_eq!(
        (open.lower, open.upper),
        (ProfileEnd::Unbounded, ProfileEnd::Unbounded)
    );
    // Twice the height 3 exceeds 3.84: closed at w² = q/(6 − q).
    let fit = maximize(&shallow(3.0), &[Transform::Log], &[vec![1.1]], &plain()).unwrap();
    let closed =
        profile_interval(&shallow(3.0), &[Transform::Log], &fit, 0, 0.95, &plain()).unwrap();
    let w = (CHI_95 / (6.0 - CHI_95)).sqrt();
    close(at(&closed.upper), cvm_math::exp(w), 1e-7);
    close(at(&closed.lower), cvm_math::exp(-w), 1e-7);
    // A bound is nearer.
    let settings = Settings {
        bounds: vec![Some((0.5, f64::INFINITY))],
        ..plain()
    };
    let held =
        profile_interval(&shallow(3.0), &[Transform::Log], &fit, 0, 0.95, &settings).unwrap();
    assert_eq!(held.lower, ProfileEnd::AtBound(0.5));
    close(at(&held.upper), cvm_math::exp(w), 1e-7);
}

#[test]
fn an_estimate_at_its_bound_has_one_open_side() {
    let likelihood = quadratic(array![[4.0]], vec![1.0]);
    let settings = Settings {
        bounds: vec![Some((1.5, 9.0))],
        ..plain()
    };
    let fit = maximize(&likelihood, &IDENTITY, &[vec![2.0]], &settings).unwrap();
    let profile = profile_interval(&likelihood, &IDENTITY, &fit, 0, 0.95, &settings).unwrap();
    assert_eq!(profile.lower, ProfileEnd::AtBound(1.5));
    // ½·4·((θ−1)² − ½²) = χ²/2.
    close(at(&profile.upper), 1.0 + (0.25 + CHI_95 / 4.0).sqrt(), 1e-8);
}

#[test]
fn a_profile_that_rises_above_the_fit_is_an_error() {
    let two_hills = single(1, |t| {
        let (x, gap) = (t[0], t[0] * t[0] - 1.0);
        (
            0.3 * x - gap * gap,
            vec![0.3 - 4.0 * x * gap],
            vec![4.0 - 12.0 * x * x],
        )
    });
    let fit = maximize(&two_hills, &IDENTITY, &[vec![-2.0]], &plain()).unwrap();
    match profile_interval(&two_hills, &IDENTITY, &fit, 0, 0.95, &plain()) {
        Err(FitError::NotTheMaximum {
            index: 0,
            value,
            params,
            gain,
        }) => {
            assert!(value > 0.5 && params[0] == value && gain > 0.0);
        }
        other => panic!("{other:?}"),
    }
    let error =
        |index, level| profile_interval(&two_hills, &IDENTITY, &fit, index, level, &plain());
    assert!(matches!(error(1, 0.95), Err(FitError::Invalid { .. })));
    assert!(matches!(error(0, 1.0), Err(FitError::Invalid { .. })));
}

#[test]
fn wald_intervals_stay_in_range() {
    let (low, high) = wald_interval(Transform::Identity, 2.0, 0.5, 0.95).unwrap();
    close(high - 2.0, 0.979_981_992_270_027, 1e-14);
    close(2.0 - low, 0.979_981_992_270_027, 1e-14);
    let (low, high) = wald_interval(Transform::Log, 2.0, 4.0, 0.95).unwrap();
    close(low * high, 4.0, 1e-14);
    for (transform, estimate) in [(Transform::Logit, 0.99), (Transform::FisherZ, -0.98)] {
        let (low, high) = wald_interval(transform, estimate, 0.01, 0.999).unwrap();
        assert!(-1.0 < low && low < estimate && estimate < high && high < 1.0);
    }
    assert_eq!(wald_interval(Transform::Log, 2.0, f64::NAN, 0.95), None);
}

/// Normal mean with unit variance under row weights.
fn mean_of<'a>(rows: &'a [f64]) -> impl Fn(&[f64]) -> Box<dyn Likelihood> + Sync + 'a {
    move |weights| {
        let total: f64 = weights.iter().sum();
        let mean = rows.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / total;
        Box::new(quadratic(array![[total]], vec![mean]))
    }
}

/// Uniform numbers of a fixed generator, for data.
fn uniforms(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(f64::from(u32::try_from(state >> 32).unwrap()) / 4_294_967_296.0 + 1e-10)
    })
}

fn resample(rows: &[f64], settings: &BootstrapSettings) -> Bootstrap {
    let make = mean_of(rows);
    let fit = fitted(make(&vec![1.0; rows.len()]).as_ref(), &IDENTITY);
    let go = |_, _| ControlFlow::Continue(());
    bootstrap(&make, rows.len(), &IDENTITY, &fit, &plain(), settings, &go).unwrap()
}

#[test]
fn the_bootstrap_error_of_a_mean_is_known() {
    let rows: Vec<f64> = uniforms(1).take(300).map(|u| -cvm_math::ln(u)).collect();
    let mean = rows.iter().sum::<f64>() / 300.0;
    let error = (rows.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 9e4).sqrt();
    for resampling in [
        Resampling::Bayesian,
        Resampling::Multinomial,
        Resampling::Poisson,
    ] {
        let settings = BootstrapSettings {
            replicates: 4000,
            seed: 5,
            resampling,
            threads: 2,
        };
        let found = resample(&rows, &settings);
        // Relative standard error 1/√8000 = 1.1 %; five of them.
        close(found.standard_errors()[0], error, 0.056);
        let (low, high) = found.interval(0, 0.95).unwrap();
        close(low, mean - 1.96 * error, 0.03);
        close(high, mean + 1.96 * error, 0.03);
        assert_eq!((found.replicates.len(), found.failed), (4000, 0));
        assert_eq!(
            found.map(|theta| 2.0 * theta[0])[7],
            2.0 * found.replicates[7][0]
        );
        assert_eq!(found.interval(1, 0.95), None);
    }
}

#[test]
fn the_bootstrap_has_the_same_bits_for_any_threads() {
    let rows: Vec<f64> = uniforms(2).take(40).collect();
    let bits = |threads, seed| {
        let settings = BootstrapSettings {
            replicates: 60,
            seed,
            threads,
            ..BootstrapSettings::default()
        };
        let found = resample(&rows, &settings);
        found
            .replicates
            .iter()
            .map(|r| r[0].to_bits())
            .collect::<Vec<u64>>()
    };
    let one = bits(1, 9);
    for threads in [0, 2, 5, 100] {
        assert_eq!(bits(threads, 9), one, "{threads} threads");
    }
    assert_ne!(bits(1, 10), one);
}

#[test]
fn failed_replicates_are_counted_and_many_are_an_error() {
    let rows: Vec<f64> = uniforms(3).take(20).collect();
    let run = |broken_above: f64| {
        let make = |weights: &[f64]| -> Box<dyn Likelihood> {
            let curvature = if weights[0] > broken_above {
                f64::NAN
            } else {
                1.0
            };
            Box::new(quadratic(array![[curvature]], vec![rows[0] * weights[1]]))
        };
        let fit = fitted(&quadratic(array![[1.0]], vec![0.0]), &IDENTITY);
        let settings = BootstrapSettings {
            replicates: 200,
            threads: 2,
            ..BootstrapSettings::default()
        };
        let go = |_, _| ControlFlow::Continue(());
        bootstrap(&make, 20, &IDENTITY, &fit, &plain(), &settings, &go)
    };
    // An exponential weight exceeds 2 with probability e^-2 = 0.135: 27 ± 5 of 200.
    let found = run(2.0).unwrap();
    assert!((8..50).contains(&found.failed), "{}", found.failed);
    assert_eq!(found.replicates.len() + found.failed, 200);
    assert!(found.first_failure.unwrap().contains("no start"));
    match run(-1.0) {
        Err(FitError::TooFewReplicates {
            failed: 200,
            total: 200,
            first,
        }) => {
            assert!(first.contains("no start"), "{first}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bootstrap_can_be_watched_and_cancelled() {
    let rows: Vec<f64> = uniforms(4).take(20).collect();
    let make = mean_of(&rows);
    let fit = fitted(make(&[1.0; 20]).as_ref(), &IDENTITY);
    for threads in [1, 3] {
        let settings = BootstrapSettings {
            replicates: 30,
            threads,
            ..BootstrapSettings::default()
        };
        let highest = Cell::new(0);
        let watch = |done, total| {
            assert!(total == 30 && done >= highest.get());
            highest.set(done);
            ControlFlow::Continue(())
        };
        let run = |watch: &dyn Fn(usize, usize) -> ControlFlow<()>| {
            bootstrap(&make, 20, &IDENTITY, &fit, &plain(), &settings, watch)
        };
        assert!(run(&watch).is_ok());
        assert_eq!(highest.get(), 30);
        let stop = |done, _| {
            if done >= 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match run(&stop) {
            Err(FitError::ResamplingCancelled { done: 5, total: 30 }) => {}
            other => panic!("{other:?}"),
        }
    }
    let none = BootstrapSettings {
        replicates: 1,
        ..BootstrapSettings::default()
    };
    let go = |_, _| ControlFlow::Continue(());
    assert!(bootstrap(&make, 20, &IDENTITY, &fit, &plain(), &none, &go).is_err());
}

/// Exponential rate: `n ln b − b Σ x`.
fn exponential(n: f64, total: f64) -> impl Likelihood {
    single(1, move |t| {
        let b = t[0];
        (
            n * cvm_math::ln(b) - b * total,
            vec![n / b - total],
            vec![-n / (b * b)],
        )
    })
}

/// Of 600 samples of 15 exponentials, how many intervals hold the true rate 2.
fn coverage(interval: impl Fn(&dyn Likelihood, &Fit) -> (f64, f64)) -> f64 {
    let covers = |seed: &u64| {
        let total: f64 = uniforms(*seed)
            .skip(20)
            .take(15)
            .map(|u| -0.5 * cvm_math::ln(u))
            .sum();
        let likelihood = exponential(15.0, total);
        let fit = fitted(&likelihood, &[Transform::Log]);
        let (low, high) = interval(&likelihood, &fit);
        low <= 2.0 && 2.0 <= high
    };
    f64::from(u32::try_from((1..=600_u64).filter(covers).count()).unwrap()) / 600.0
}

#[test]
fn intervals_cover_as_often_as_they_say() {
    // Standard error of a coverage of 0.95 over 600 samples: 0.009; three of them.
    let profile = coverage(|likelihood, fit| {
        let found =
            profile_interval(likelihood, &[Transform::Log], fit, 0, 0.95, &plain()).unwrap();
        (at(&found.lower), at(&found.upper))
    });
    assert!((0.923..0.977).contains(&profile), "{profile}");
    let wald = coverage(|_, fit| {
        wald_interval(Transform::Log, fit.params[0], fit.standard_errors[0], 0.95).unwrap()
    });
    assert!((0.923..0.977).contains(&wald), "{wald}");
}

#[test]
fn bootstrap_intervals_cover_as_often_as_they_say() {
    // Means of 40 uniforms, 90 % intervals of 200 replicates. The Bayesian variance is (n−1)/(n+1) of
    // the unbiased one, so Student's t gives 0.883; three standard errors over 1000 samples.
    let covers = |seed: &u64| {
        let rows: Vec<f64> = uniforms(*seed + 1000).skip(20).take(40).collect();
        let settings = BootstrapSettings {
            replicates: 200,
            seed: *seed,
            ..BootstrapSettings::default()
        };
        let (low, high) = resample(&rows, &settings).interval(0, 0.9).unwrap();
        low <= 0.5 && 0.5 <= high
    };
    let share = f64::from(u32::try_from((1..=1000_u64).filter(covers).count()).unwrap()) / 1000.0;
    assert!((0.852..0.914).contains(&share), "{share}");
}

//! Maximum a posteriori fits: known modes, derivatives, refusals.

mod common;

use common::{POSITIVE, close, gamma, gamma_rows, quadratic, single};
use cvm_core::Transform;
use cvm_fit::{Prior, Settings, maximize};
use ndarray::array;

fn with(priors: Vec<Prior>) -> Settings {
    Settings {
        priors,
        ..Settings::default()
    }
}

const ALL: [Prior; 6] = [
    Prior::None,
    Prior::Normal { mean: 0.3, sd: 0.7 },
    Prior::HalfNormal { sd: 1.5 },
    Prior::LogNormal {
        mu: -0.5,
        sigma: 0.8,
    },
    Prior::Gamma {
        shape: 2.5,
        rate: 3.0,
    },
    Prior::Beta {
        alpha: 2.2,
        beta: 0.7,
    },
];

#[test]
fn derivatives_match_differences() {
    for prior in ALL {
        for theta in [0.05, 0.4, 0.93] {
            let h = 1e-5;
            let at = |x: f64| prior.log_density(x)[0];
            let [value, first, second] = prior.log_density(theta);
            let slope = (at(theta + h) - at(theta - h)) / (2.0 * h);
            let [_, above, _] = prior.log_density(theta + h);
            let [_, below, _] = prior.log_density(theta - h);
            let bend = (above - below) / (2.0 * h);
            assert!(value.is_finite());
            assert!(
                (first - slope).abs() < 1e-5 * (1.0 + first.abs()),
                "{prior:?} {theta}"
            );
            assert!(
                (second - bend).abs() < 1e-5 * (1.0 + second.abs()),
                "{prior:?} {theta}"
            );
        }
    }
}

#[test]
fn densities_integrate_to_one() {
    for prior in &ALL[1..] {
        let (from, to) = prior.support();
        let (from, to) = (from.max(-12.0), to.min(24.0));
        let n = 200_000;
        let width = (to - from) / f64::from(n);
        let middle = |i: i32| from + (f64::from(i) + 0.5) * width;
        let mass: f64 = (0..n)
            .map(|i| cvm_math::exp(prior.log_density(middle(i))[0]) * width)
            .sum();
        // Beta with shape 0.7 has an integrable pole, which the midpoint rule meets to 1e-3.
        assert!((mass - 1.0).abs() < 2e-3, "{prior:?} {mass}");
    }
}

#[test]
fn a_normal_prior_on_a_normal_mean_is_the_weighted_average() {
    // Likelihood precision 4 around 3, prior precision 1/0.25 around −1: mode 1, variance 1/8.
    let likelihood = quadratic(array![[4.0]], vec![3.0]);
    let prior = Prior::Normal {
        mean: -1.0,
        sd: 0.5,
    };
    let fit = maximize(
        &likelihood,
        &[Transform::Identity],
        &[vec![0.0]],
        &with(vec![prior]),
    )
    .unwrap();
    close(fit.params[0], 1.0, 1e-15);
    close(fit.covariance[[0, 0]], 0.125, 1e-15);
    close(fit.log_likelihood, -8.0, 1e-14);
    close(fit.log_posterior, -8.0 + prior.log_density(1.0)[0], 1e-14);
    assert_eq!(
        fit.log_posterior.to_bits(),
        fit.penalized_log_likelihood.to_bits()
    );
}

#[test]
fn the_mode_is_that_of_natural_coordinates() {
    // Poisson rate with x events in t: Gamma(s, r) prior → natural mode (s − 1 + x)/(r + t), not the
    // (s + x)/(r + t) of log coordinates.
    let poisson = single(1, |t| {
        (
            7.0 * cvm_math::ln(t[0]) - 2.0 * t[0],
            vec![7.0 / t[0] - 2.0],
            vec![-7.0 / (t[0] * t[0])],
        )
    });
    let settings = with(vec![Prior::Gamma {
        shape: 3.0,
        rate: 1.5,
    }]);
    let fit = maximize(&poisson, &[Transform::Log], &[vec![1.0]], &settings).unwrap();
    close(fit.params[0], 9.0 / 3.5, 1e-14);
    // The information in natural coordinates: (s − 1 + x)/θ².
    close(fit.standard_errors[0], fit.params[0] / 3.0, 1e-12);
}

#[test]
fn a_beta_prior_adds_its_counts() {
    let binomial = single(1, |t| {
        let p = t[0];
        let value = 30.0 * cvm_math::ln(p) + 10.0 * cvm_math::log1p(-p);
        let bend = -30.0 / (p * p) - 10.0 / ((1.0 - p) * (1.0 - p));
        (value, vec![30.0 / p - 10.0 / (1.0 - p)], vec![bend])
    });
    let settings = with(vec![Prior::Beta {
        alpha: 3.0,
        beta: 6.0,
    }]);
    let fit = maximize(&binomial, &[Transform::Logit], &[vec![0.5]], &settings).unwrap();
    close(fit.params[0], 32.0 / 47.0, 1e-14);
}

#[test]
fn a_strong_log_normal_prior_wins_and_a_weak_one_does_not_matter() {
    let plain = maximize(
        &gamma(1.0),
        &POSITIVE,
        &[vec![1.0, 1.0]],
        &Settings::default(),
    )
    .unwrap();
    let pulled = |sigma: f64| {
        let prior = Prior::LogNormal {
            mu: cvm_math::ln(4.0),
            sigma,
        };
        maximize(
            &gamma(1.0),
            &POSITIVE,
            &[vec![1.0, 1.0]],
            &with(vec![prior, Prior::None]),
        )
        .unwrap()
    };
    assert!((pulled(1e-4).params[0] - 4.0).abs() < 1e-3);
    assert!((pulled(1e3).params[0] - plain.params[0]).abs() < 5e-3);
    let total: f64 = gamma_rows().iter().sum();
    // The rate given the shape has no prior: k n / Σ x.
    close(
        pulled(1e-4).params[1],
        pulled(1e-4).params[0] * 1000.0 / total,
        1e-12,
    );
}

#[test]
fn priors_that_do_not_fit_are_named() {
    let told = |priors: Vec<Prior>, transform: Transform| {
        let likelihood = quadratic(array![[1.0]], vec![0.5]);
        maximize(&likelihood, &[transform], &[vec![0.5]], &with(priors))
            .unwrap_err()
            .to_string()
    };
    let half = Prior::HalfNormal { sd: 1.0 };
    assert!(told(vec![half, half], Transform::Log).starts_with("settings.priors is of length 2"));
    assert!(told(vec![half], Transform::Identity).contains("defined wherever"));
    assert!(
        told(
            vec![Prior::Beta {
                alpha: 1.0,
                beta: 1.0
            }],
            Transform::Log
        )
        .contains("(0, 1)")
    );
    assert!(told(vec![Prior::Normal { mean: 0.0, sd: 0.0 }], Transform::Log).contains("constants"));
    // A bound brings an untransformed parameter into the support.
    let settings = Settings {
        bounds: vec![Some((0.0, f64::INFINITY))],
        ..with(vec![half])
    };
    let likelihood = quadratic(array![[1.0]], vec![0.5]);
    let fit = maximize(&likelihood, &[Transform::Identity], &[vec![0.5]], &settings).unwrap();
    close(fit.params[0], 0.25, 1e-14);
}

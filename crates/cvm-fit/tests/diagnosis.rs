//! Degenerate fits are told by kind, with the parameters and the advice; fits can be watched.

mod common;

use common::{FREE, POSITIVE, close, gamma, quadratic, single, unconverged, valley};
use cvm_core::Transform;
use cvm_fit::{
    Finding, FitError, INFLUENCE_THRESHOLD, Progress, RowContributions, Settings,
    diagnose_influence, largest_influence, maximize, maximize_at_least, maximize_with,
};
use ndarray::array;
use std::cell::Cell;
use std::ops::ControlFlow;

fn plain() -> Settings {
    Settings::default()
}

#[test]
fn a_ridge_names_its_parameters_and_direction() {
    // The third parameter takes no part.
    let c = 1.0 - 5e-11;
    let a = array![[1.0, c, 0.0], [c, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let likelihood = quadratic(a, vec![1.0, 2.0, 3.0]);
    let transforms = [Transform::Identity; 3];
    let fit = maximize(&likelihood, &transforms, &[vec![0.0; 3]], &plain()).unwrap();
    let [
        Finding::Ridge {
            condition_number,
            parameters,
            direction,
        },
    ] = &fit.diagnosis[..]
    else {
        panic!("{:?}", fit.diagnosis);
    };
    assert_eq!(parameters, &[0, 1]);
    assert_eq!(*condition_number, fit.condition_number);
    close(direction[0], -direction[1], 1e-6);
    close(direction[0].abs(), 0.5_f64.sqrt(), 1e-6);
    assert!(direction[2].abs() < 1e-6);
    assert_eq!(fit.warnings, vec![fit.diagnosis[0].to_string()]);
    let named = fit.diagnosis[0].sentence(&["r", "alpha"]);
    assert!(named.contains("`r`, `alpha`"), "{named}");
}

#[test]
fn a_flat_direction_is_found() {
    // Only the product matters: in logs, w0 + w1; flat along (1, −1)/√2.
    let product = single(2, |t| {
        let gap = t[0] * t[1] - 2.0;
        let cross = -gap - t[0] * t[1];
        let hessian = vec![-t[1] * t[1], cross, cross, -t[0] * t[0]];
        (-0.5 * gap * gap, vec![-gap * t[1], -gap * t[0]], hessian)
    });
    let fit = unconverged(maximize(&product, &POSITIVE, &[vec![1.0, 1.0]], &plain()));
    let Finding::Flat {
        parameters,
        direction,
    } = &fit.diagnosis[0]
    else {
        panic!("{:?}", fit.diagnosis);
    };
    assert_eq!(parameters, &[0, 1]);
    close(direction[0], -direction[1], 1e-4);
    assert_eq!(fit.diagnosis.len(), fit.warnings.len());
    assert!(fit.diagnosis.contains(&Finding::NoStandardErrors) || fit.condition_number > 1e10);
}

#[test]
fn escapes_limits_and_immobility_are_told_apart() {
    let rising = single(1, |t| {
        let x = t[0];
        (-1.0 / x, vec![1.0 / (x * x)], vec![-2.0 / (x * x * x)])
    });
    let away = unconverged(maximize(&rising, &[Transform::Log], &[vec![1.0]], &plain()));
    assert_eq!(
        (away.diagnosis[0].kind(), away.diagnosis[0].parameters()),
        ("escaped", vec![0])
    );
    assert!(away.warnings[0].contains("bound"), "{:?}", away.warnings);

    let few = Settings {
        max_iterations: 2,
        ..plain()
    };
    let short = unconverged(maximize(&gamma(1.0), &POSITIVE, &[vec![1e-6, 1e6]], &few));
    assert_eq!(short.diagnosis[0], Finding::StepLimit { iterations: 2 });

    // A gradient that promises what the value does not keep: no step is ever accepted.
    let lying = single(1, |t| (-t[0] * t[0], vec![3.0 + t[0]], vec![-1.0]));
    let stuck = unconverged(maximize(
        &lying,
        &[Transform::Identity],
        &[vec![0.0]],
        &plain(),
    ));
    assert_eq!(stuck.diagnosis[0], Finding::NotMoved { gradient_norm: 3.0 });
    assert!(
        stuck.warnings[0].contains("did not move"),
        "{:?}",
        stuck.warnings
    );
}

#[test]
fn a_log_likelihood_above_the_saturated_one_is_an_artefact() {
    let likelihood = quadratic(array![[1.0]], vec![0.5]);
    let limit = |bound| Settings {
        log_likelihood_bound: Some(bound),
        ..plain()
    };
    let start = [vec![0.0]];
    let fit = |bound| maximize(&likelihood, &[Transform::Identity], &start, &limit(bound));
    assert!(fit(0.0).unwrap().diagnosis.is_empty());
    let above = unconverged(fit(-3.0));
    assert_eq!(above.diagnosis[0].kind(), "above_saturated");
    assert!(above.message.contains("exceeds -3"), "{}", above.message);
    assert!(matches!(fit(f64::NAN), Err(FitError::Invalid { .. })));
}

/// Normal mean with known unit variance.
struct Means(Vec<f64>);

impl RowContributions for Means {
    fn row_count(&self) -> usize {
        self.0.len()
    }
    fn row_gradient(&self, theta: &[f64], row: usize, gradient: &mut [f64]) {
        gradient[0] = self.0[row] - theta[0];
    }
}

#[test]
fn the_customer_that_carries_the_likelihood_is_found() {
    let fitted = |rows: &[f64]| {
        let n = f64::from(u32::try_from(rows.len()).unwrap());
        let mean = rows.iter().sum::<f64>() / n;
        maximize(
            &quadratic(array![[n]], vec![mean]),
            &FREE[..1],
            &[vec![0.0]],
            &plain(),
        )
        .unwrap()
    };
    let mut rows: Vec<f64> = (0..50).map(|i| f64::from(i % 7) - 3.0).collect();
    let mut calm = fitted(&rows);
    let none = diagnose_influence(&mut calm, &Means(rows.clone()), INFLUENCE_THRESHOLD).unwrap();
    assert!(
        none.shift.abs() < 0.6 && calm.diagnosis.is_empty(),
        "{none:?}"
    );
    rows[17] = 200.0;
    let mut fit = fitted(&rows);
    let found = diagnose_influence(&mut fit, &Means(rows.clone()), INFLUENCE_THRESHOLD).unwrap();
    // −(x − mean)/n in units of 1/√n.
    close(
        found.shift,
        -(200.0 - fit.params[0]) / 50.0_f64.sqrt(),
        1e-12,
    );
    assert_eq!((found.row, found.parameter), (17, 0));
    assert_eq!(fit.diagnosis[0].kind(), "influential");
    assert!(fit.warnings[0].contains("row 17"), "{:?}", fit.warnings);
    fit.standard_errors[0] = f64::NAN;
    assert_eq!(largest_influence(&Means(rows), &fit), None);
}

/// −(x² − 1)² + 0.3 x: the higher maximum is near 1, the lower near −1.
fn two_hills() -> impl cvm_core::Likelihood {
    single(1, |t| {
        let (x, gap) = (t[0], t[0] * t[0] - 1.0);
        (
            0.3 * x - gap * gap,
            vec![0.3 - 4.0 * x * gap],
            vec![4.0 - 12.0 * x * x],
        )
    })
}

#[test]
fn a_parent_is_never_below_its_nested_model() {
    let transforms = [Transform::Identity];
    let starts = [vec![-2.0]];
    let alone = maximize(&two_hills(), &transforms, &starts, &plain()).unwrap();
    assert!(alone.params[0] < 0.0);
    let fit = maximize_at_least(&two_hills(), &transforms, &starts, &plain(), &[0.9]).unwrap();
    assert!(fit.params[0] > 1.0 && fit.log_likelihood > alone.log_likelihood);
    // A nested optimum that is lower changes no bit.
    let same = maximize_at_least(&two_hills(), &transforms, &starts, &plain(), &[-0.5]).unwrap();
    assert_eq!(same.params[0].to_bits(), alone.params[0].to_bits());
    let bad = maximize_at_least(&two_hills(), &transforms, &starts, &plain(), &[f64::NAN]);
    assert!(matches!(bad, Err(FitError::Invalid { .. })));
}

#[test]
fn a_nested_model_at_infinity_of_its_parent_is_told() {
    // In w = ln θ: a hill of height 1/2 at 0 and a plateau of height 1 beyond 8.
    let plateau = single(1, |t| {
        let w = cvm_math::ln(t[0]);
        let hill = 0.5 * cvm_math::exp(-0.5 * w * w);
        let p = cvm_math::sigmoid(w - 8.0);
        let slope = p * (1.0 - p);
        let (first, second) = (
            slope - w * hill,
            slope * (1.0 - 2.0 * p) + (w * w - 1.0) * hill,
        );
        let x = t[0];
        (hill + p, vec![first / x], vec![(second - first) / (x * x)])
    });
    let nested = [cvm_math::exp(20.0)];
    let start = [vec![1.2]];
    let alone = maximize(&plateau, &[Transform::Log], &start, &plain()).unwrap();
    close(alone.log_likelihood, 0.5, 1e-2);
    let fit = unconverged(maximize_at_least(
        &plateau,
        &[Transform::Log],
        &start,
        &plain(),
        &nested,
    ));
    assert!(fit.log_likelihood > 0.99, "{}", fit.log_likelihood);
    let kinds: Vec<&str> = fit.diagnosis.iter().map(Finding::kind).collect();
    assert!(kinds.contains(&"below_nested"), "{kinds:?}");
}

#[test]
fn every_step_is_watched_and_can_be_the_last() {
    let seen = Cell::new(0);
    let last = Cell::new(f64::NEG_INFINITY);
    let watch = |progress: &Progress<'_>| {
        assert_eq!(progress.iteration, seen.get());
        assert!(progress.evaluations > progress.iteration && progress.start == 0);
        assert!(progress.log_likelihood >= last.get() && progress.params.len() == 2);
        seen.set(seen.get() + 1);
        last.set(progress.log_likelihood);
        ControlFlow::Continue(())
    };
    let start = [vec![-1.2, 1.0]];
    let fit = maximize_with(&valley(), &FREE, &start, &plain(), &watch).unwrap();
    assert_eq!(seen.get(), fit.iterations + 1);
    let silent = maximize(&valley(), &FREE, &start, &plain()).unwrap();
    assert_eq!(silent.params, fit.params);

    let third = |progress: &Progress<'_>| match progress.iteration {
        3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let bounds = vec![Some((-2.0, 2.0)), None];
    for settings in [plain(), Settings { bounds, ..plain() }] {
        match maximize_with(&valley(), &FREE, &start, &settings, &third) {
            Err(FitError::Cancelled { fit }) => {
                assert_eq!(fit.iterations, 3);
                assert!(!fit.converged && fit.log_likelihood.is_finite());
                assert!(fit.message.contains("cancelled"), "{}", fit.message);
            }
            other => panic!("{other:?}"),
        }
    }
    let rough = maximize_with(
        &gamma(f64::NAN),
        &POSITIVE,
        &[vec![1.0, 1.0]],
        &plain(),
        &third,
    );
    assert!(matches!(rough, Err(FitError::Cancelled { .. })));
}

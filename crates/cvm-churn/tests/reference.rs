//! Fits against scikit-learn 1.9.1 and statsmodels 0.15.0 (values recorded by
//! `tests/data/make_reference.py`), derivatives against differences, merging, aliases, separation.

mod common;

use common::{churned, fit, frame, newton, numbers, prepare, score, table, texts, total};
use cvm_churn::{LogisticFit, LogisticSpec, NumericBasis, metrics};
use cvm_core::{FrameColumn, Likelihood, Order};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/reference.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap().iter();
    items.map(|item| item.as_f64().unwrap()).collect()
}

fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}

fn near(got: f64, want: f64, relative: f64, what: &str) {
    let error = (got - want).abs();
    assert!(
        error <= relative * want.abs().max(1e-3),
        "{what}: {got} is not {want}"
    );
}

fn spec(basis: &str, penalty: f64) -> LogisticSpec {
    LogisticSpec {
        penalty,
        numeric_basis: match basis {
            "spline" => NumericBasis::Spline,
            _ => NumericBasis::Linear,
        },
        ..LogisticSpec::new("churn")
    }
}

#[test]
fn penalised_fits_are_scikit_learns() {
    let frame = table();
    let reference = reference();
    for case in reference["scikit_learn"].as_array().unwrap() {
        let spec = spec(
            case["basis"].as_str().unwrap(),
            case["penalty"].as_f64().unwrap(),
        );
        let fit = fit(&frame, &spec);
        let names: Vec<&str> = fit.coefficients.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names[1..], strings(&case["names"]));
        for (line, want) in fit.coefficients.iter().zip(floats(&case["standardised"])) {
            near(line.standardised, want, 1e-8, &line.name);
        }
        let (p, _, status) = score(&fit.model, &frame.batch().unwrap(), 400);
        assert!(status.iter().all(|s| s.is_ok()));
        for (got, want) in p.iter().zip(floats(&case["probabilities"])) {
            near(*got, want, 1e-9, "probability");
        }
        let y = churned(&frame);
        let want = |name: &str| case[name].as_f64().unwrap();
        near(
            metrics::auc(&y, &p, None).unwrap(),
            want("auc"),
            1e-14,
            "auc",
        );
        near(
            metrics::brier(&y, &p, None).unwrap(),
            want("brier"),
            1e-9,
            "brier",
        );
        near(
            metrics::log_loss(&y, &p, None).unwrap(),
            want("log_loss"),
            1e-9,
            "log loss",
        );
    }
}

#[test]
fn unpenalised_fits_have_statsmodels_standard_errors() {
    let frame = table();
    let prepared = prepare(&frame, &spec("linear", 0.0));
    let (theta, covariance) = newton(&prepared);
    let fit = prepared.finish(&theta, covariance.view()).unwrap();
    let reference = &reference()["statsmodels"];
    let log_likelihood = total(&prepared.likelihood, &theta, Order::Value).value;
    near(
        log_likelihood,
        reference["log_likelihood"].as_f64().unwrap(),
        1e-12,
        "ll",
    );
    let (values, errors) = (floats(&reference["per_unit"]), floats(&reference["errors"]));
    for (i, name) in strings(&reference["names"]).iter().enumerate() {
        let place = fit
            .coefficients
            .iter()
            .position(|line| line.name == *name)
            .unwrap();
        let line = &fit.coefficients[place];
        near(line.per_unit, values[i], 1e-9, name);
        near(line.per_unit_error, errors[i], 1e-9, name);
        near(fit.covariance[[place, place]].sqrt(), errors[i], 1e-9, name);
    }
}

#[test]
fn an_aliased_column_is_named_and_left_out() {
    let fit = fit(&table(), &spec("linear", 0.0));
    let left_out: Vec<&str> = fit
        .coefficients
        .iter()
        .filter(|line| line.per_unit_error.is_nan())
        .map(|line| line.name.as_str())
        .collect();
    assert_eq!(left_out, ["backup=No internet"]);
    let line = fit
        .coefficients
        .iter()
        .find(|line| line.name == "backup=No internet");
    assert_eq!(line.unwrap().per_unit, 0.0);
    assert!(
        fit.warnings
            .iter()
            .any(|w| w.contains("column backup=No internet is determined"))
    );
    // With a penalty the two columns share the effect and nothing is left out.
    let shared = common::fit(&table(), &spec("linear", 1.0));
    assert!(shared.warnings.is_empty(), "{:?}", shared.warnings);
    let effect = |name: &str| {
        let line = shared
            .coefficients
            .iter()
            .find(|line| line.name == name)
            .unwrap();
        line.standardised
    };
    near(
        effect("internet=No"),
        effect("backup=No internet"),
        1e-12,
        "shared",
    );
}

#[test]
fn derivatives_agree_with_differences() {
    let prepared = prepare(&table(), &spec("spline", 1.0));
    let likelihood = &prepared.likelihood;
    let dim = likelihood.dim();
    let theta: Vec<f64> = (0..dim).map(|i| 0.3 - 0.07 * i as f64).collect();
    let exact = total(likelihood, &theta, Order::Hessian);
    for i in 0..dim {
        let side = |sign: f64, order: Order| {
            let mut moved = theta.clone();
            moved[i] += sign * 1e-5;
            total(likelihood, &moved, order)
        };
        let (above, below) = (side(1.0, Order::Gradient), side(-1.0, Order::Gradient));
        near(
            exact.gradient[i],
            (above.value - below.value) / 2e-5,
            1e-6,
            "gradient",
        );
        for j in 0..dim {
            let slope = (above.gradient[j] - below.gradient[j]) / 2e-5;
            let error = (exact.hessian[i * dim + j] - slope).abs();
            assert!(error < 1e-6 * 400.0, "{i} {j}: {error}");
        }
    }
}

/// The table `times` over, rows interleaved, with a weight column.
fn repeated(times: usize, weight: f64) -> cvm_core::Frame {
    let once = table();
    let mut frame = cvm_core::Frame::new(once.row_count * times);
    for (name, column) in &once.columns {
        let column = match column {
            FrameColumn::Numbers(values) => FrameColumn::Numbers(values.repeat(times)),
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary: dictionary.clone(),
                codes: codes.repeat(times),
            },
        };
        frame.columns.push((name.clone(), column));
    }
    let weights = vec![weight; frame.row_count];
    frame.with_numbers("weight", weights)
}

fn standardised(fit: &LogisticFit) -> Vec<f64> {
    fit.coefficients
        .iter()
        .map(|line| line.standardised)
        .collect()
}

#[test]
fn identical_rows_are_merged_and_weights_are_counts() {
    let weighted = LogisticSpec {
        weight: Some("weight".to_owned()),
        ..spec("spline", 1.0)
    };
    let (thrice, single) = (repeated(3, 1.0), repeated(1, 3.0));
    let (a, b) = (prepare(&thrice, &weighted), prepare(&single, &weighted));
    assert!(a.likelihood.row_count() <= 400);
    assert_eq!(a.likelihood.row_count(), b.likelihood.row_count());
    assert_eq!(a.likelihood.weight(), 1200.0);
    assert_eq!(a.row_count, 1200);
    let (a, b) = (fit(&thrice, &weighted), fit(&single, &weighted));
    for (got, want) in standardised(&a).iter().zip(standardised(&b)) {
        near(*got, want, 1e-11, "weighted");
    }
    // Rows of weight zero do not exist: they cannot even bring a level.
    let mut ghost = frame(vec![
        ("x", numbers(&[0.0, 1.0, 2.0, 3.0, 4.0, 9.0])),
        ("c", texts(&["a", "b", "a", "b", "a", "ghost"])),
        ("y", numbers(&[0.0, 1.0, 0.0, 0.0, 1.0, 1.0])),
    ]);
    ghost = ghost.with_numbers("w", vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    let spec = LogisticSpec {
        weight: Some("w".to_owned()),
        ..LogisticSpec::new("y")
    };
    let prepared = prepare(&ghost, &spec);
    assert_eq!(prepared.row_count, 5);
    assert!(
        prepared.names.iter().all(|name| !name.contains("ghost")),
        "{:?}",
        prepared.names
    );
}

#[test]
fn separation_without_a_penalty_is_told() {
    let separated = frame(vec![
        ("x", numbers(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])),
        ("y", numbers(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])),
    ]);
    let prepared = prepare(
        &separated,
        &LogisticSpec {
            penalty: 0.0,
            numeric_basis: NumericBasis::Linear,
            ..LogisticSpec::new("y")
        },
    );
    // Along the separating direction the log-likelihood rises to 0 without end.
    let value = |slope: f64| total(&prepared.likelihood, &[0.0, slope], Order::Value).value;
    assert!(value(10.0) < value(100.0) && value(100.0) > -1e-9);
    let covariance = ndarray::Array2::eye(2);
    let fit = prepared.finish(&[0.0, 100.0], covariance.view()).unwrap();
    assert!(
        fit.warnings.iter().any(|w| w.contains("separate")),
        "{:?}",
        fit.warnings
    );
    let calm = prepared.finish(&[0.0, 1.0], covariance.view()).unwrap();
    assert!(calm.warnings.is_empty(), "{:?}", calm.warnings);
}

#[test]
fn per_unit_and_standardised_scales_are_one_map_apart() {
    let prepared = prepare(&table(), &spec("linear", 1.0));
    let (theta, covariance) = newton(&prepared);
    let fit = prepared.finish(&theta, covariance.view()).unwrap();
    let map = prepared.to_per_unit();
    let want = map.dot(&covariance).dot(&map.t());
    for ((i, j), value) in want.indexed_iter() {
        near(fit.covariance[[i, j]], *value, 1e-10, "covariance");
        assert_eq!(
            fit.covariance[[i, j]].to_bits(),
            fit.covariance[[j, i]].to_bits()
        );
    }
    // A logit by hand, from the per-unit scale: tenure 32, charge 125.07, senior, one year, fiber.
    let (_, logit, _) = score(&fit.model, &table().batch().unwrap(), 400);
    let per_unit = |name: &str| {
        fit.coefficients
            .iter()
            .find(|line| line.name == name)
            .unwrap()
            .per_unit
    };
    let by_hand = per_unit("intercept")
        + 32.0 * per_unit("tenure")
        + 125.07 * per_unit("charge")
        + per_unit("senior")
        + per_unit("contract=One year")
        + per_unit("internet=Fiber");
    near(logit[0], by_hand, 1e-12, "logit");
}

#[test]
fn wrong_parameters_are_refused() {
    let prepared = prepare(&table(), &spec("linear", 1.0));
    let dim = prepared.names.len();
    let square = ndarray::Array2::eye(dim);
    assert!(prepared.finish(&vec![0.0; dim - 1], square.view()).is_err());
    assert!(
        prepared
            .finish(&vec![0.0; dim], ndarray::Array2::eye(2).view())
            .is_err()
    );
    let mut bad = vec![0.0; dim];
    bad[1] = f64::NAN;
    let error = prepared.finish(&bad, square.view()).unwrap_err();
    assert!(error.to_string().contains("tenure = NaN"), "{error}");
}

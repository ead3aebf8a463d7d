//! Gamma-Gamma: known fit and predictions, derivatives, merging, refusals.

mod common;

use common::{bits, cdnow, check_derivatives, close, evaluate, newton, score};
use cvm_clv::{GammaGamma, Spend, SpendFormulas, Spending};
use cvm_core::{Frame, Likelihood, Order, ParametricModel, RowCode, RowStatus, Scorer};

type Model = Spending<GammaGamma>;

fn model(p: f64, q: f64, v: f64) -> Model {
    Model::new(GammaGamma::new(p, q, v).unwrap(), None)
}

fn repeat_buyers() -> Vec<Spend> {
    let (_, spends) = cdnow();
    spends
        .into_iter()
        .filter(|row| row.frequency > 0.0)
        .collect()
}

/// Fader & Hardie, note 025: p 6.25 q 3.74 γ 15.44 on the 946 repeat buyers of CDNOW; the
/// maximum and its value as CLVTools and BTYD find them on unrounded means.
#[test]
fn cdnow_fit() {
    let rows = repeat_buyers();
    assert_eq!(rows.len(), 946);
    let likelihood = Model::likelihood(&rows, None);
    let starts = Model::starts(&likelihood);
    assert!(starts.len() >= 3);
    for start in starts {
        let (theta, at) = newton(&likelihood, &start);
        println!("{theta:?} {}", at.value);
        close(theta[0], 6.2494, 5e-4);
        close(theta[1], 3.7443, 5e-4);
        close(theta[2], 15.4443, 1e-3);
        assert!((at.value - -4_055.917_7).abs() < 0.006, "{}", at.value);
    }
}

/// Known answers of the lifetimes test suite (`test_conditional_expected_average_profit`).
#[test]
fn expected_spend_of_the_first_ten_customers() {
    let (_, spends) = cdnow();
    let model = model(6.25, 3.74, 15.44);
    let expected = [
        24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17,
    ];
    for (row, expected) in spends.iter().zip(expected) {
        let got = model.expected_spend(row);
        assert!((got - expected).abs() < 0.11, "{row:?}: {got} {expected}");
    }
    close(model.expected_spend_new(), 6.25 * 15.44 / 2.74, 1e-14);
}

#[test]
fn derivatives_agree_with_differences() {
    let likelihood = Model::likelihood(&repeat_buyers(), None);
    for theta in [[6.25, 3.74, 15.44], [1.0, 0.5, 40.0], [30.0, 9.0, 3.0]] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

#[test]
fn merged_rows_sum_to_the_rows_themselves() {
    let (_, rows) = cdnow();
    let model = model(6.25, 3.74, 15.44);
    let weights: Vec<f64> = (0..rows.len()).map(|row| (row % 5) as f64 * 0.5).collect();
    for weights in [None, Some(weights.as_slice())] {
        let likelihood = Model::likelihood(&rows, weights);
        let merged = evaluate(&likelihood, &model.params(), Order::Gradient);
        let (mut value, mut total, mut slopes) = (0.0, 0.0, [0.0; 3]);
        for (index, row) in rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.frequency > 0.0)
        {
            let weight = weights.map_or(1.0, |weights| weights[index]);
            let mut gradient = [0.0; 3];
            value += weight * model.log_lik_grad(row, &mut gradient);
            total += weight;
            for (sum, term) in slopes.iter_mut().zip(gradient) {
                *sum += weight * term;
            }
        }
        assert_eq!(likelihood.weight(), total);
        close(merged.value, value, 1e-11);
        for (got, expected) in merged.gradient.iter().zip(slopes) {
            assert!((got - expected).abs() < 1e-8, "{got} {expected}");
        }
    }
}

#[test]
fn simulated_customers_give_their_parameters_back() {
    let truth = [4.0, 5.0, 30.0];
    let model = Model::from_params(&truth, None).unwrap();
    let template = |index: u32| Spend::of_mean(f64::from(index % 9), 0.0);
    let templates: Vec<Spend> = (0..50_000).map(template).collect();
    let rows = model.simulate(&templates, 5);
    assert_eq!(rows, model.simulate(&templates, 5));
    let likelihood = Model::likelihood(&rows, None);
    let (theta, at) = newton(&likelihood, &Model::starts(&likelihood)[0]);
    let gain = at.value - evaluate(&likelihood, &truth, Order::Value).value;
    // Twice the gain is chi-squared with 3 degrees of freedom: 16.3 is its 99.9 % point.
    assert!((0.0..8.15).contains(&gain), "{gain} at {theta:?}");
}

#[test]
fn rows_that_say_nothing_and_rows_that_are_wrong() {
    assert_eq!(Model::row(&[0.0, f64::NAN]), Ok(None));
    assert_eq!(Model::row(&[0.0, -3.0]), Ok(None));
    assert!(Model::row(&[2.0, 3.0]).unwrap().is_some());
    let cases = [
        ([1.0, 0.0], RowCode::OutOfRange, 1),
        ([1.0, f64::NAN], RowCode::Missing, 1),
        ([1.0, f64::INFINITY], RowCode::NotFinite, 1),
        ([100.0, 1e307], RowCode::OutOfRange, 1),
        ([0.5, 1.0], RowCode::OutOfRange, 0),
        ([f64::NAN, 1.0], RowCode::Missing, 0),
    ];
    for (values, code, field) in cases {
        assert_eq!(Model::row(&values), Err(RowStatus::bad(code, field)));
    }
}

/// With `q <= 1` the population mean is infinite: peers answer -482.5 here.
#[test]
fn a_mean_that_does_not_exist_is_infinite() {
    let heavy = model(6.25, 0.8, 15.44);
    assert_eq!(heavy.expected_spend_new(), f64::INFINITY);
    let frame = Frame::new(2)
        .with_numbers("frequency", vec![0.0, 3.0])
        .with_numbers("monetary_value", vec![0.0, 30.0]);
    let (scores, status) = score(&heavy, &frame, &heavy.probe_options(), 2);
    assert_eq!(status[0], RowStatus::bad(RowCode::Infinite, 0));
    assert_eq!(scores[0][0], f64::INFINITY);
    // The median says something where the mean does not.
    assert!(scores[3][0] > 0.0 && scores[3][0].is_finite());
    assert!(status[1].is_ok() && scores[0][1] > 0.0);
    // q = 1 exactly, x = 3 (reference value at 50 digits).
    let model = model(6.25, 1.0, 15.44);
    let row = Spend::of_mean(3.0, 30.0);
    close(model.expected_spend(&row), 35.146_666_666_666_67, 1e-14);
}

#[test]
fn probes_cover_and_chunking_changes_nothing() {
    let model = model(6.25, 3.74, 15.44);
    let frame = model.probe_rows();
    assert!(frame.row_count >= 32);
    let options = model.probe_options();
    let (whole, status) = score(&model, &frame, &options, frame.row_count);
    let (pieces, pieces_status) = score(&model, &frame, &options, 5);
    assert_eq!(bits(&whole), bits(&pieces));
    assert_eq!(status, pieces_status);
    let good = status.iter().filter(|status| status.is_ok()).count();
    assert!(good >= 30 && frame.row_count - good >= 6);
    let back = Model::from_state(&model.state()).unwrap();
    assert_eq!(back.state(), model.state());
    let (again, _) = score(&back, &frame, &options, 64);
    assert_eq!(bits(&whole), bits(&again));
}

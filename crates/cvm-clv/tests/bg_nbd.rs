//! BG/NBD: known fits, derivatives, merging, simulation, scoring.

mod common;

use common::{bits, cdnow, check_derivatives, close, evaluate, newton, score};
use cvm_clv::{BgNbd, Purchase, PurchaseFormulas, PurchaseModel, Rfm};
use cvm_core::{
    Derivatives, Frame, Likelihood, Order, ParametricModel, RowCode, Scorer, StateError, TimeUnit,
};

type Model = Purchase<BgNbd>;

/// Maximum on the two-decimal CDNOW summary: lifetimes, btyd and clvkit agree on these digits.
const CDNOW_FIT: [f64; 4] = [0.242_592_93, 4.413_532_27, 0.792_885_97, 2.425_752_38];

fn cdnow_model() -> Model {
    Model::from_params(&CDNOW_FIT, Some(TimeUnit::Week)).unwrap()
}

#[test]
fn cdnow_log_likelihood_at_known_parameters() {
    let (rows, _) = cdnow();
    let likelihood = Model::likelihood(&rows, None);
    assert_eq!(likelihood.weight(), 2357.0);
    let known = evaluate(&likelihood, &CDNOW_FIT, Order::Hessian);
    assert!(
        (known.value - -9_582.425_561).abs() < 1e-6,
        "{}",
        known.value
    );
    for slope in &known.gradient {
        assert!(slope.abs() < 2e-2, "{:?}", known.gradient);
    }
    // Fader, Hardie & Lee (2005), table 2, three decimals.
    let published = evaluate(&likelihood, &[0.243, 4.414, 0.793, 2.426], Order::Value);
    assert!(
        (published.value - -9_582.4).abs() < 0.05,
        "{}",
        published.value
    );
}

#[test]
fn every_start_reaches_the_known_fit() {
    let (rows, _) = cdnow();
    let likelihood = Model::likelihood(&rows, None);
    let starts = Model::starts(&likelihood);
    assert!(starts.len() >= 3);
    for start in starts {
        let (theta, at) = newton(&likelihood, &start);
        for (got, expected) in theta.iter().zip(CDNOW_FIT) {
            close(*got, expected, 5e-7);
        }
        assert!((at.value - -9_582.425_561).abs() < 1e-6, "{}", at.value);
        assert!(
            at.gradient.iter().all(|slope| slope.abs() < 1e-5),
            "{:?}",
            at.gradient
        );
    }
}

/// The same customers with exact days (the two decimals round a whole number of days): CLVTools'
/// maximum, and BTYDplus' forecast of 39 weeks.
#[test]
fn cdnow_in_exact_days() {
    let (rows, _) = cdnow();
    let weeks = |value: f64| (value * 7.0).round() / 7.0;
    let exact = |row: &Rfm| Rfm::new(row.frequency, weeks(row.recency), weeks(row.age)).unwrap();
    let rows: Vec<Rfm> = rows.iter().map(exact).collect();
    let likelihood = Model::likelihood(&rows, None);
    let (theta, at) = newton(&likelihood, &Model::starts(&likelihood)[0]);
    let expected = [0.242_594_5, 4.413_601_9, 0.792_919_9, 2.425_888_1];
    for (got, expected) in theta.iter().zip(expected) {
        close(*got, expected, 1e-5);
    }
    assert!((at.value - -9_582.429_207).abs() < 1e-6, "{}", at.value);
    let model = Model::from_params(&theta, None).unwrap();
    let forecasts = rows.iter().map(|row| model.expected_purchases(row, 39.0));
    let total: f64 = forecasts.sum();
    assert!((total - 1_653.4).abs() < 0.05, "{total}");
}

/// Whatever the parameters, a forecast ends, and is either absent or within its bounds: no more
/// than a customer who never leaves, `(r+x)·t/(α+T)`.
#[test]
fn absurd_parameters_end_within_bounds() {
    let values = [1e-300, 1e-9, 0.3, 40.0, 1e9, 1e300];
    let (mut answered, mut absent) = (0, 0);
    for r in values {
        for alpha in values {
            for (a, b) in values.iter().flat_map(|a| values.map(|b| (*a, b))) {
                let model = Model::new(BgNbd::new(r, alpha, a, b).unwrap(), None);
                for (x, t_x) in [(0.0, 0.0), (3.0, 2.0), (1e6, 2.0)] {
                    let row = Rfm::new(x, t_x, 5.0).unwrap();
                    let forecast = model.expected_purchases(&row, 7.0);
                    let bound = (r + x) * 7.0 / (alpha + 5.0) * (1.0 + 1e-9);
                    let fine = (0.0..=bound).contains(&forecast);
                    assert!(
                        fine || !forecast.is_finite(),
                        "{r:e} {alpha:e} {a:e} {b:e} {x:e}: {forecast:e}"
                    );
                    // The discounted sum takes thousands of forecasts here: a sample of them.
                    if (answered + absent) % 23 == 0 {
                        let worth = model.p_alive(&row) * model.discounted(&row, 7.0, 0.01);
                        let less = worth <= forecast * (1.0 + 1e-9);
                        assert!(less || !worth.is_finite(), "{worth:e} of {forecast:e}");
                    }
                    answered += u32::from(fine);
                    absent += u32::from(!fine);
                }
            }
        }
    }
    println!("{answered} answered, {absent} absent");
    assert!(
        absent * 20 < answered,
        "{answered} answered, {absent} absent"
    );
}

#[test]
fn derivatives_agree_with_differences() {
    let (rows, _) = cdnow();
    let likelihood = Model::likelihood(&rows, None);
    for theta in [
        CDNOW_FIT,
        [1.0, 1.0, 1.0, 1.0],
        [3.0, 20.0, 0.1, 0.2],
        [0.05, 60.0, 5.0, 9.0],
    ] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

#[test]
fn merged_rows_sum_to_the_rows_themselves() {
    let (mut rows, _) = cdnow();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(500.0, 38.0, 39.0).unwrap());
    let weights: Vec<f64> = (0..rows.len()).map(|row| (row % 4) as f64 * 0.5).collect();
    let model = cdnow_model();
    for weights in [None, Some(weights.as_slice())] {
        let likelihood = Model::likelihood(&rows, weights);
        let merged = evaluate(&likelihood, &CDNOW_FIT, Order::Gradient);
        let mut direct = Derivatives::zero(4);
        for (index, row) in rows.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[index]);
            let mut gradient = [0.0; 4];
            direct.value += weight * model.log_lik_grad(row, &mut gradient);
            for (sum, term) in direct.gradient.iter_mut().zip(gradient) {
                *sum += weight * term;
            }
        }
        close(merged.value, direct.value, 1e-11);
        for (got, expected) in merged.gradient.iter().zip(&direct.gradient) {
            assert!((got - expected).abs() < 1e-7, "{got} {expected}");
        }
        let value_only = evaluate(&likelihood, &CDNOW_FIT, Order::Value);
        close(value_only.value, merged.value, 1e-13);
    }
}

#[test]
fn row_order_does_not_matter() {
    let (mut rows, _) = cdnow();
    let forward = Model::likelihood(&rows, None);
    rows.reverse();
    let backward = Model::likelihood(&rows, None);
    assert_eq!(forward.merged_rows(), backward.merged_rows());
    assert!(forward.merged_rows() < rows.len());
    let at = |likelihood| evaluate(likelihood, &CDNOW_FIT, Order::Hessian);
    assert_eq!(at(&forward), at(&backward));
}

#[test]
fn many_distinct_rows_fill_several_blocks() {
    let template = |index: u32| Rfm {
        log_gap_sum: 0.0,
        frequency: 0.0,
        recency: 0.0,
        age: 10.0 + f64::from(index) * 1e-3,
    };
    let templates: Vec<Rfm> = (0..30_000).map(template).collect();
    let model = cdnow_model();
    let rows = model.simulate(&templates, 4);
    let likelihood = Model::likelihood(&rows, None);
    assert!(
        likelihood.block_count() >= 6,
        "{}",
        likelihood.block_count()
    );
    let merged = evaluate(&likelihood, &CDNOW_FIT, Order::Value);
    let direct: f64 = rows.iter().map(|row| model.log_lik(row)).sum();
    close(merged.value, direct, 1e-11);
}

#[test]
fn no_rows_are_an_empty_sum() {
    let likelihood = Model::likelihood(&[], None);
    assert_eq!(likelihood.weight(), 0.0);
    assert_eq!(evaluate(&likelihood, &CDNOW_FIT, Order::Hessian).value, 0.0);
    for start in Model::starts(&likelihood) {
        assert!(Model::from_params(&start, None).is_ok(), "{start:?}");
    }
}

#[test]
fn simulation_has_the_models_moments() {
    let model = Model::new(BgNbd::new(0.8, 6.0, 0.9, 2.5).unwrap(), None);
    let template = Rfm::new(0.0, 0.0, 30.0).unwrap();
    let rows = model.simulate(&vec![template; 200_000], 1);
    assert_eq!(rows, model.simulate(&vec![template; 200_000], 1));
    assert_ne!(rows, model.simulate(&vec![template; 200_000], 2));
    for row in &rows {
        assert_eq!(Rfm::new(row.frequency, row.recency, row.age), Ok(*row));
    }
    let count = rows.len() as f64;
    let mean = rows.iter().map(|row| row.frequency).sum::<f64>() / count;
    let square = rows
        .iter()
        .map(|row| row.frequency * row.frequency)
        .sum::<f64>()
        / count;
    let error = ((square - mean * mean) / count).sqrt();
    let expected = model.expected_purchases_new(30.0);
    assert!((mean - expected).abs() < 4.0 * error, "{mean} {expected}");
    for n in [0.0, 1.0, 4.0] {
        let share = rows.iter().filter(|row| row.frequency == n).count() as f64 / count;
        let probability = cvm_math::exp(model.ln_pmf(&Rfm::new(0.0, 0.0, 0.0).unwrap(), 30.0, n));
        assert!(
            (share - probability).abs() < 0.006,
            "{n}: {share} {probability}"
        );
    }
}

#[test]
fn simulated_customers_give_their_parameters_back() {
    let truth = [0.8, 6.0, 0.9, 2.5];
    let model = Model::from_params(&truth, None).unwrap();
    let template = |index: u32| Rfm {
        log_gap_sum: 0.0,
        frequency: 0.0,
        recency: 0.0,
        age: 20.0 + f64::from(index % 60),
    };
    let templates: Vec<Rfm> = (0..60_000).map(template).collect();
    let likelihood = Model::likelihood(&model.simulate(&templates, 99), None);
    let (theta, at) = newton(&likelihood, &Model::starts(&likelihood)[0]);
    let true_value = evaluate(&likelihood, &truth, Order::Value).value;
    // Twice the gain is chi-squared with 4 degrees of freedom: 18.5 is its 99.9 % point.
    let gain = at.value - true_value;
    assert!((0.0..9.25).contains(&gain), "{gain} at {theta:?}");
}

#[test]
fn scores_do_not_depend_on_chunking_and_agree_with_the_row_functions() {
    let model = cdnow_model();
    let frame = model.probe_rows();
    assert!(frame.row_count >= 32);
    let options = model.probe_options();
    let (whole, status) = score(&model, &frame, &options, frame.row_count);
    for piece in [1, 3, 17] {
        let (pieces, pieces_status) = score(&model, &frame, &options, piece);
        assert_eq!(bits(&whole), bits(&pieces));
        assert_eq!(status, pieces_status);
    }
    let column = |name: &str| match frame.get(name) {
        Some(cvm_core::FrameColumn::Numbers(values)) => values.clone(),
        _ => panic!("{name}"),
    };
    let (x, t_x, age) = (column("frequency"), column("recency"), column("T"));
    let horizon = options.horizon_periods.unwrap();
    let mut good = 0;
    for index in 0..frame.row_count {
        match Rfm::new(x[index], t_x[index], age[index]) {
            Ok(row) => {
                good += 1;
                assert!(status[index].is_ok());
                assert_eq!(whole[0][index], model.p_alive(&row));
                assert_eq!(whole[1][index], model.expected_purchases(&row, horizon));
            }
            Err(bad) => {
                assert_eq!(status[index], bad);
                assert!(whole.iter().all(|column| column[index].is_nan()));
            }
        }
    }
    assert!(good >= 25 && frame.row_count - good >= 8);
}

#[test]
fn large_batches_are_their_rows() {
    let (rows, _) = cdnow();
    let model = cdnow_model();
    let frame = Frame::new(rows.len())
        .with_numbers("frequency", rows.iter().map(|row| row.frequency).collect())
        .with_numbers("recency", rows.iter().map(|row| row.recency).collect())
        .with_numbers("T", rows.iter().map(|row| row.age).collect());
    let options = model.probe_options();
    let (whole, _) = score(&model, &frame, &options, rows.len());
    let (pieces, _) = score(&model, &frame, &options, 100);
    assert_eq!(bits(&whole), bits(&pieces));
}

#[test]
fn a_forecast_that_overflows_is_undefined_not_a_number() {
    let model = Model::new(BgNbd::new(1e300, 1e-300, 1e-5, 1e-5).unwrap(), None);
    let frame = Frame::new(1)
        .with_numbers("frequency", vec![0.0])
        .with_numbers("recency", vec![0.0])
        .with_numbers("T", vec![0.0]);
    let mut options = model.probe_options();
    options.horizon_periods = Some(1e10);
    let (scores, status) = score(&model, &frame, &options, 1);
    assert_eq!(status[0].code, RowCode::Undefined);
    assert!(scores.iter().all(|column| column[0].is_nan()));
}

#[test]
fn state_round_trip_and_refusals() {
    let model = cdnow_model();
    let state = model.state();
    let back = Model::from_state(&state).unwrap();
    assert_eq!(back.params(), model.params());
    assert_eq!(back.time_unit(), Some(TimeUnit::Week));
    assert_eq!(back.state(), state);
    assert_eq!(back.schema().time_unit, Some(TimeUnit::Week));

    let mut negative = state.clone();
    negative.arrays[0].values[2] = -0.5;
    let error = Model::from_state(&negative).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameter `a` is -0.5: must be a finite number > 0"
    );
    let mut short = state.clone();
    short.arrays[0] = cvm_core::Array::vector("params", vec![1.0; 3]);
    assert!(matches!(
        Model::from_state(&short),
        Err(StateError::Malformed { .. })
    ));
    let mut unit = state.clone();
    unit.settings
        .insert("time_unit".to_owned(), "fortnight".into());
    assert!(
        Model::from_state(&unit)
            .unwrap_err()
            .to_string()
            .contains("fortnight")
    );
    let mut kind = state;
    kind.kind = "clv.other".to_owned();
    assert!(Model::from_state(&kind).is_err());
    assert_eq!(Model::from_params(&[1.0], None).unwrap_err().name, "len");
    assert!(BgNbd::new(f64::NAN, 1.0, 1.0, 1.0).is_err());
}

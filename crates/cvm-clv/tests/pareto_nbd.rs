//! Pareto/NBD: known fits and forecasts, derivatives, merging, simulation.

mod common;

use common::{cdnow, check_derivatives, close, evaluate, newton};
use cvm_clv::{ParetoNbd, Purchase, PurchaseFormulas, Rfm};
use cvm_core::{Derivatives, Likelihood, Order, ParametricModel};

type Model = Purchase<ParetoNbd>;

/// Maximum on day-exact weeks by CLVTools, `test_correctness_pnbd_nocovstaticcov.R`, run.
const CDNOW_FIT: [f64; 4] = [0.553_270_0, 10.577_800_7, 0.606_020_0, 11.663_914_5];

/// Fader, Hardie & Lee (2005), table 2.
const PUBLISHED: [f64; 4] = [0.553, 10.578, 0.606, 11.669];

fn model(params: [f64; 4]) -> Model {
    Model::from_params(&params, None).unwrap()
}

/// CDNOW with times in whole days: two decimals of a week round them.
fn cdnow_days() -> Vec<Rfm> {
    let (rows, _) = cdnow();
    let weeks = |value: f64| (value * 7.0).round() / 7.0;
    let exact = |row: &Rfm| Rfm::new(row.frequency, weeks(row.recency), weeks(row.age)).unwrap();
    rows.iter().map(exact).collect()
}

#[test]
fn every_start_reaches_the_known_fit() {
    let rows = cdnow_days();
    let likelihood = Model::likelihood(&rows, None);
    assert_eq!(likelihood.weight(), 2357.0);
    let known = evaluate(&likelihood, &CDNOW_FIT, Order::Value).value;
    assert!((known - -9_594.976_181).abs() < 1e-6, "{known}");
    for start in Model::starts(&likelihood) {
        let (theta, at) = newton(&likelihood, &start);
        // CLVTools stops 2e-6 short of the maximum.
        let gain = at.value - known;
        assert!((0.0..5e-6).contains(&gain), "{gain}");
        for (got, expected) in theta.iter().zip(CDNOW_FIT) {
            close(*got, expected, 5e-4);
        }
        let slopes = at.gradient.iter().all(|slope| slope.abs() < 1e-4);
        assert!(slopes, "{:?}", at.gradient);
    }
}

#[test]
fn derivatives_agree_with_differences() {
    let mut rows = cdnow_days();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(300.0, 20.0, 39.0).unwrap());
    let likelihood = Model::likelihood(&rows, None);
    for theta in [
        CDNOW_FIT,
        [1.0, 1.0, 1.0, 1.0],
        [3.0, 20.0, 0.1, 0.2],
        [0.05, 60.0, 5.0, 900.0],
    ] {
        check_derivatives(&likelihood, &theta, 1e-6);
    }
}

/// Tables over times and row by row are two ways to the same sum.
#[test]
fn merged_rows_sum_to_the_rows_themselves() {
    let mut rows = cdnow_days();
    rows.push(Rfm::new(0.0, 0.0, 0.0).unwrap());
    rows.push(Rfm::new(500.0, 38.0, 39.0).unwrap());
    rows.push(Rfm::new(500.0, 39.0, 39.0).unwrap());
    let weights: Vec<f64> = (0..rows.len()).map(|row| (row % 4) as f64 * 0.5).collect();
    for (params, weights) in [
        (CDNOW_FIT, None),
        (CDNOW_FIT, Some(weights.as_slice())),
        ([2.0, 0.3, 3.0, 300.0], None),
        ([0.1, 300.0, 9.0, 0.1], None),
    ] {
        let model = model(params);
        let likelihood = Model::likelihood(&rows, weights);
        let merged = evaluate(&likelihood, &params, Order::Hessian);
        let mut direct = Derivatives::zero(4);
        let mut own = Derivatives::zero(4);
        for (index, row) in rows.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[index]);
            cvm_clv::Formulas::derivatives(&*model, row, Order::Hessian, &mut own);
            direct.value += weight * own.value;
            for (sum, term) in direct.gradient.iter_mut().zip(&own.gradient) {
                *sum += weight * term;
            }
            for (sum, term) in direct.hessian.iter_mut().zip(&own.hessian) {
                *sum += weight * term;
            }
        }
        close(merged.value, direct.value, 1e-12);
        for (got, expected) in merged.gradient.iter().zip(&direct.gradient) {
            assert!(
                (got - expected).abs() < 1e-9 * merged.value.abs(),
                "{got} {expected}"
            );
        }
        for (got, expected) in merged.hessian.iter().zip(&direct.hessian) {
            assert!(
                (got - expected).abs() < 1e-9 * (expected.abs() + 1e4),
                "{got} {expected}"
            );
        }
        let value_only = evaluate(&likelihood, &params, Order::Value).value;
        close(value_only, merged.value, 1e-13);
    }
}

/// BTYD's walkthrough and lifetimes' tests of it: a new customer week by week, customer 1516, and two
/// heavy buyers next to where a scaled 2F1 underflows.
#[test]
fn published_forecasts() {
    let new = [
        0.0,
        0.050_778_21,
        0.099_160_88,
        0.145_425_07,
        0.189_799_30,
        0.232_474_66,
        0.273_612_74,
        0.313_351_59,
        0.351_810_24,
        0.389_092_11,
    ];
    let manual = model([0.55, 10.56, 0.61, 11.64]);
    let rounded = model([0.55, 10.58, 0.61, 11.67]);
    let fitted = model(CDNOW_FIT);
    for (week, expected) in (0u32..).zip(new) {
        let got = manual.expected_purchases_new(f64::from(week));
        assert!((got - expected).abs() < 6e-9, "{week}: {got}");
    }
    let row = Rfm::new(26.0, 30.857_142_857_142_858, 31.0).unwrap();
    assert!((fitted.expected_purchases(&row, 52.0) - 25.46).abs() < 5e-3);
    for (x, expected) in [
        (132.0, 6.206_051_788_963_242),
        (133.0, 6.252_872_247_574_811),
    ] {
        let row = Rfm::new(x, 200.0, 200.0).unwrap();
        close(rounded.expected_purchases(&row, 10.0), expected, 1e-12);
    }
}

/// Inputs on which published implementations return NaN, infinity or a wrong number; values from
/// 50-digit arithmetic.
#[test]
fn traps_of_other_implementations() {
    let steep = model([
        2.730_882_851_775_5,
        1.548_542_556_738_16,
        0.537_396_964_002_445,
        46.453_803_813_206_7,
    ]);
    let row = Rfm::new(388.0, 4.883_910_081_935_15, 5.009_815_211_760_25).unwrap();
    close(steep.p_alive(&row), 0.748_228_999_233_775, 1e-12);
    close(steep.log_lik(&row), 1_205.199_940_066_568_4, 1e-13);
    let cases = [
        (
            [0.5143, 2.8845, 0.2856, 14.1087],
            [254.0, 97.14286, 97.28571],
            -19.623_292_217_511_76,
        ),
        (
            [0.4, 150.0, 0.3, 1e-7],
            [0.0, 0.0, 52.0],
            -0.000_404_506_491_806_652,
        ),
        (
            [0.553, 11.0, 0.606, 11.0],
            [2.0, 30.43, 38.86],
            -9.580_305_975_297_334,
        ),
        (
            [0.553, 10.578, 0.606, 11.669],
            [2.0, 38.86, 38.86],
            -9.694_502_599_096_326,
        ),
        (
            [0.553, 10.578, 0.606, 11.669],
            [2000.0, 99.0, 100.0],
            3_798.610_281_557_705,
        ),
        (
            [0.4, 1e-7, 0.3, 150.0],
            [40.0, 1.0, 52.0],
            90.963_153_645_535_24,
        ),
        (
            [0.553, 10.578, 0.606, 11.669],
            [600.0, 51.9, 52.0],
            755.082_920_753_241_3,
        ),
    ];
    for (params, [x, t_x, age], expected) in cases {
        let row = Rfm::new(x, t_x, age).unwrap();
        close(model(params).log_lik(&row), expected, 1e-11);
    }
}

#[test]
fn traps_of_forecasts_in_other_implementations() {
    let fitted = model(PUBLISHED);
    let row = Rfm::new(3.0, 38.859_999_999_999, 38.86).unwrap();
    close(fitted.p_alive(&row), 0.999_999_999_999_988, 1e-14);
    let one = model([0.553, 10.578, 1.0, 11.669]);
    let row = Rfm::new(2.0, 30.43, 38.86).unwrap();
    close(
        one.expected_purchases(&row, 39.0),
        1.186_052_282_279_343_8,
        1e-12,
    );
    let two = model([0.55, 10.58, 2.0, 11.66]);
    let row = Rfm::new(2.0, 30.0, 38.0).unwrap();
    let worth = two.p_alive(&row) * two.discounted(&row, f64::INFINITY, 0.0027);
    close(worth, 1.286_327_610_960_147, 1e-12);
    let row = Rfm::new(133.0, 200.0, 200.0).unwrap();
    let heavy = model([0.553, 10.578, 0.606, 11.669]);
    close(
        heavy.expected_purchases(&row, 10.0),
        6.253_650_757_949_459,
        1e-12,
    );
}

/// A mean number of purchases for ever exists when the lifetime has a mean: `s > 1`.
#[test]
fn forever_is_finite_above_one() {
    let row = Rfm::new(2.0, 30.0, 38.0).unwrap();
    for (s, finite) in [(0.6, false), (1.0, false), (1.000_001, true), (2.0, true)] {
        let model = model([0.55, 10.58, s, 11.66]);
        let forever = model.purchases(&row, f64::INFINITY);
        assert_eq!(forever.is_finite(), finite, "{s}: {forever}");
        assert_eq!(model.lifetime(&row, f64::INFINITY, 0.0).is_finite(), finite);
        if finite {
            let closed = 2.55 / 48.58 * 49.66 / (s - 1.0);
            close(forever, closed, 1e-9);
        }
        assert!(model.discounted(&row, f64::INFINITY, 0.01).is_finite());
    }
}

#[test]
fn counts_add_up_and_agree_with_their_tails() {
    let row = Rfm::new(4.0, 20.0, 25.0).unwrap();
    for params in [PUBLISHED, [2.0, 3.0, 1.0, 40.0], [0.1, 50.0, 4.0, 5.0]] {
        let model = model(params);
        for t in [0.01, 39.0, 4000.0] {
            let (mut total, mut mean, mut tails) = (0.0, 0.0, 0.0);
            let expected = model.purchases(&row, t);
            for n in 0..(30.0 * expected + 50.0).min(1000.0) as u32 {
                let n = f64::from(n);
                let probability = cvm_math::exp(model.ln_pmf(&row, t, n));
                total += probability;
                mean += n * probability;
                let beyond = cvm_math::exp(model.ln_tail(&row, t, n + 1.0));
                tails += beyond;
                assert!(
                    (total + beyond - 1.0).abs() < 1e-11,
                    "{params:?} {t} {n}: {total} {beyond}"
                );
            }
            if t < 100.0 {
                close(mean, expected, 1e-6);
                close(tails, expected, 1e-6);
            }
        }
    }
}

#[test]
fn the_next_purchase_is_the_quantile_of_the_first() {
    for params in [PUBLISHED, [2.0, 3.0, 1.0, 40.0], [0.1, 50.0, 4.0, 5.0]] {
        let model = model(params);
        for row in [
            Rfm::new(0.0, 0.0, 38.86).unwrap(),
            Rfm::new(40.0, 30.0, 38.86).unwrap(),
        ] {
            let limit = cvm_math::exp(model.ln_tail(&row, f64::INFINITY, 1.0));
            for share in [1e-9, 0.01, 0.5, 0.99] {
                let p = limit * share;
                let t = model.next_purchase(&row, p);
                close(cvm_math::exp(model.ln_tail(&row, t, 1.0)), p, 1e-12);
            }
            assert_eq!(model.next_purchase(&row, limit * 1.001), f64::INFINITY);
        }
    }
}

/// Whatever the parameters, a forecast ends, and is either absent or within its bounds: no more than
/// a customer who never leaves, `(r+x)·t/(α+T)`.
#[test]
fn absurd_parameters_end_within_bounds() {
    let values = [1e-300, 1e-9, 0.3, 40.0, 1e9, 1e300];
    let (mut answered, mut absent) = (0, 0);
    for r in values {
        for alpha in values {
            for (s, beta) in values.iter().flat_map(|s| values.map(|beta| (*s, beta))) {
                let model = model([r, alpha, s, beta]);
                for (x, t_x) in [(0.0, 0.0), (3.0, 2.0), (1e6, 2.0)] {
                    let row = Rfm::new(x, t_x, 5.0).unwrap();
                    let forecast = model.expected_purchases(&row, 7.0);
                    let bound = (r + x) * 7.0 / (alpha + 5.0) * (1.0 + 1e-9);
                    let fine = (0.0..=bound).contains(&forecast);
                    let what = format!("{r:e} {alpha:e} {s:e} {beta:e} {x:e}: {forecast:e}");
                    assert!(fine || !forecast.is_finite(), "{what}");
                    let log_lik = model.log_lik(&row);
                    assert!(
                        log_lik < f64::INFINITY || log_lik.is_nan(),
                        "{what} {log_lik}"
                    );
                    if fine && answered % 7 == 0 {
                        let worth = model.p_alive(&row) * model.discounted(&row, 7.0, 0.01);
                        let less = worth <= forecast * (1.0 + 1e-9);
                        assert!(less || !worth.is_finite(), "{worth:e} of {forecast:e}");
                        let tail = model.ln_tail(&row, 7.0, 3.0);
                        assert!(tail <= 0.0 || tail.is_nan(), "{what} {tail}");
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
fn simulation_has_the_models_moments() {
    let model = model([0.8, 6.0, 0.9, 12.0]);
    let template = Rfm::new(0.0, 0.0, 30.0).unwrap();
    let rows = model.simulate(&vec![template; 200_000], 1);
    assert_eq!(rows, model.simulate(&vec![template; 200_000], 1));
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
        let new = Rfm::new(0.0, 0.0, 0.0).unwrap();
        let probability = cvm_math::exp(model.ln_pmf(&new, 30.0, n));
        assert!(
            (share - probability).abs() < 0.005,
            "{n}: {share} {probability}"
        );
    }
}

#[test]
fn simulated_customers_give_their_parameters_back() {
    let truth = [0.8, 6.0, 0.9, 12.0];
    let model = model(truth);
    let template = |index: u32| Rfm {
        log_gap_sum: 0.0,
        frequency: 0.0,
        recency: 0.0,
        age: 20.0 + f64::from(index % 60),
    };
    let templates: Vec<Rfm> = (0..40_000).map(template).collect();
    let likelihood = Model::likelihood(&model.simulate(&templates, 99), None);
    assert!(
        likelihood.block_count() >= 3,
        "{}",
        likelihood.block_count()
    );
    let (theta, at) = newton(&likelihood, &Model::starts(&likelihood)[0]);
    let true_value = evaluate(&likelihood, &truth, Order::Value).value;
    // Twice the gain is chi-squared with 4 degrees of freedom: 18.5 is its 99.9 % point.
    let gain = at.value - true_value;
    assert!((0.0..9.25).contains(&gain), "{gain} at {theta:?}");
}

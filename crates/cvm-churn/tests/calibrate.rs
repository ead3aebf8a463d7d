//! Calibrators against independent solvers, their order-keeping, their choice, and their files.
//!
//! Reference numbers: `data/make_calibration_reference.py` (scipy's BFGS, scikit-learn's isotonic
//! regression and sigmoid calibration).

mod common;

use cvm_churn::LogisticSpec;
use cvm_churn::calibrate::{
    Calibrated, Calibrator, MIN_CHURNERS_AUTO_ISOTONIC, Method, Sample, choose, fit,
    pool_adjacent_violators, take,
};
use cvm_core::{ModelState, RowStatus, ScoreBlock, ScoreOptions, Scorer};
use cvm_math::sigmoid;

/// The rows of the script.
fn rows() -> (Vec<f64>, Vec<bool>, Vec<f64>) {
    let eta: Vec<f64> = (0..400)
        .map(|i| f64::from((i * 37) % 101) / 20.0 - 2.5)
        .collect();
    let churned = (0..400)
        .zip(&eta)
        .map(|(i, eta)| f64::from((i * 61) % 97) / 97.0 < sigmoid(0.6 * eta - 0.4))
        .collect();
    let weights = (0..400).map(|i| 1.0 + f64::from(i % 3)).collect();
    (eta, churned, weights)
}

fn sample(weighted: bool) -> Sample {
    let (eta, churned, weights) = rows();
    assert_eq!(
        churned.iter().filter(|c| **c).count(),
        167,
        "the script's rows"
    );
    Sample::new(&eta, &churned, weighted.then_some(&weights)).unwrap()
}

fn close(got: f64, want: f64, within: f64) {
    assert!((got - want).abs() <= within, "{got} is not {want}");
}

#[test]
fn platt_is_the_maximum_scipy_finds() {
    let want = [
        (false, 0.544_417_787_774_969_2, -0.380_957_200_221_582_36),
        (true, 0.549_008_707_453_979_1, -0.378_565_296_513_339_87),
    ];
    for (weighted, slope_wanted, intercept_wanted) in want {
        let Calibrator::Platt { slope, intercept } = fit(Method::Platt, &sample(weighted)).unwrap()
        else {
            panic!("another method");
        };
        close(slope, slope_wanted, 1e-7);
        close(intercept, intercept_wanted, 1e-7);
    }
}

#[test]
fn temperature_is_the_maximum_scipy_finds() {
    for (weighted, want) in [
        (false, 0.527_441_193_913_580_6),
        (true, 0.532_059_263_411_155_7),
    ] {
        let Calibrator::Temperature { slope } =
            fit(Method::Temperature, &sample(weighted)).unwrap()
        else {
            panic!("another method");
        };
        close(slope, want, 1e-7);
    }
}

#[test]
fn beta_is_the_maximum_scipy_finds() {
    let want = [
        (
            false,
            [
                0.546_414_280_572_601_8,
                0.542_546_665_030_202_7,
                -0.377_473_845_451_564_15,
            ],
        ),
        (
            true,
            [
                0.604_458_383_379_595_1,
                0.496_970_973_955_317,
                -0.281_919_462_465_766_4,
            ],
        ),
    ];
    for (weighted, [a, b, c]) in want {
        let Calibrator::Beta {
            low,
            high,
            intercept,
        } = fit(Method::Beta, &sample(weighted)).unwrap()
        else {
            panic!("another method");
        };
        close(low, a, 1e-6);
        close(high, b, 1e-6);
        close(intercept, c, 1e-6);
    }
}

#[test]
fn violators_are_pooled_as_scikit_learn_pools_them() {
    let values = [0.3, 0.1, 0.2, 0.6, 0.5, 0.4, 0.9, 0.9, 0.8, 1.0];
    let weights = [1.0, 2.0, 1.5, 1.0, 0.5, 3.0, 1.0, 2.0, 4.0, 1.0];
    let want = [
        1.0 / 6.0,
        1.0 / 6.0,
        0.2,
        0.455_555_555_555_555_6,
        0.455_555_555_555_555_6,
        0.455_555_555_555_555_6,
        0.842_857_142_857_142_9,
        0.842_857_142_857_142_9,
        0.842_857_142_857_142_9,
        1.0,
    ];
    for (got, want) in pool_adjacent_violators(&values, &weights).iter().zip(want) {
        close(*got, want, 1e-15);
    }
    assert!(pool_adjacent_violators(&[], &[]).is_empty());
}

/// By its definition: the customer is added to the rows with each outcome, and isotonic regression
/// fitted by scikit-learn. Scores repeat often enough for each to be a bin.
#[test]
fn venn_abers_brackets_are_those_of_its_definition() {
    let eta: Vec<f64> = (0..400).map(|i| f64::from((i * 29) % 13) - 6.0).collect();
    let churned: Vec<bool> = (0..400)
        .zip(&eta)
        .map(|(i, eta)| f64::from((i * 53) % 89) / 89.0 < sigmoid(0.7 * eta - 0.3))
        .collect();
    let calibrator = fit(
        Method::VennAbers,
        &Sample::new(&eta, &churned, None).unwrap(),
    )
    .unwrap();
    let want = [
        (-6.0, 0.03125, 0.047_619_047_619_047_616),
        (-2.0, 0.161_290_322_580_645_16, 0.193_548_387_096_774_2),
        (0.0, 0.40625, 0.4375),
        (3.0, 0.84375, 0.875),
        (6.0, 0.952_380_952_380_952_3, 0.96875),
    ];
    for (at, p0, p1) in want {
        let [low, high] = calibrator.bracket(at);
        close(low, p0, 1e-14);
        close(high, p1, 1e-14);
        close(calibrator.probability(at), p1 / (1.0 - p0 + p1), 1e-14);
    }
}

#[test]
fn no_method_reverses_two_customers() {
    let sample = sample(true);
    for method in Method::ALL {
        let calibrator = fit(method, &sample).unwrap();
        assert_eq!(calibrator.method(), method);
        let mut last = 0.0;
        let mut distinct = 0;
        for step in -4000..=4000 {
            let eta = f64::from(step) / 200.0;
            let p = calibrator.probability(eta);
            assert!(
                p >= last && p < 1.0,
                "{method:?} at {eta}: {p} after {last}"
            );
            distinct += usize::from(p > last);
            last = p;
            let [low, high] = calibrator.bracket(eta);
            assert!(
                low <= p && p <= high,
                "{method:?} at {eta}: {p} in [{low}, {high}]"
            );
        }
        // All but Venn-Abers, which is level beyond the rows it has seen, keep every customer apart.
        let least = match method {
            Method::VennAbers => 300,
            _ => 8000,
        };
        assert!(distinct > least, "{method:?}: {distinct}");
        for end in [-745.0, -1e3, 1e300, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                (0.0..=1.0).contains(&calibrator.probability(end)),
                "{method:?} at {end}"
            );
        }
        assert!(calibrator.probability(f64::NAN).is_nan());
    }
}

#[test]
fn curves_want_enough_rows_of_both_outcomes() {
    let (eta, mut churned, _) = rows();
    let mut left = 0;
    for own in &mut churned {
        left += usize::from(*own);
        *own &= left <= 99;
    }
    let few = Sample::new(&eta, &churned, None).unwrap();
    for method in [Method::Isotonic, Method::VennAbers] {
        let error = fit(method, &few).unwrap_err().to_string();
        assert!(
            error.contains("99 rows") && error.contains("100 or more"),
            "{error}"
        );
    }
    assert!(few.rarer() < MIN_CHURNERS_AUTO_ISOTONIC);
    let tried: Vec<Method> = choose(&few)
        .unwrap()
        .candidates
        .iter()
        .map(|c| c.method)
        .collect();
    assert_eq!(
        tried,
        [
            Method::None,
            Method::Temperature,
            Method::Platt,
            Method::Beta
        ]
    );
}

#[test]
fn scores_that_fall_with_churn_are_refused() {
    let (eta, churned, _) = rows();
    let turned: Vec<f64> = eta.iter().map(|eta| -eta).collect();
    let sample = Sample::new(&turned, &churned, None).unwrap();
    for method in [Method::Temperature, Method::Platt, Method::Beta] {
        let error = fit(method, &sample).unwrap_err().to_string();
        assert!(error.contains("do not rise with churn"), "{error}");
    }
    let level = Sample::new(&[0.3; 400], &churned, None).unwrap();
    assert!(fit(Method::Platt, &level).is_err());
}

#[test]
fn rows_without_score_or_weight_are_left_out_and_bad_ones_named() {
    let (mut eta, churned, mut weights) = rows();
    eta[3] = f64::NAN;
    weights[5] = 0.0;
    let sample = Sample::new(&eta, &churned, Some(&weights)).unwrap();
    assert_eq!((sample.len(), sample.excluded), (398, 2));
    weights[7] = -1.0;
    let error = Sample::new(&eta, &churned, Some(&weights))
        .unwrap_err()
        .to_string();
    assert!(error.contains("row 7 is -1"), "{error}");
    assert!(
        Sample::new(&eta, &[true; 400], None).is_err(),
        "one outcome"
    );
    assert!(Sample::new(&eta, &churned[1..], None).is_err(), "ragged");
    assert!(Sample::new(&[], &[], None).is_err(), "no rows");
}

/// Rows whose log-odds are right, and the same with log-odds doubled and moved.
#[test]
fn the_choice_is_the_simplest_that_is_needed() {
    let count = 6000;
    let truth: Vec<f64> = (0..count)
        .map(|i| f64::from((i * 7919) % 6007) / 1000.0 - 4.0)
        .collect();
    let churned: Vec<bool> = (0..count)
        .zip(&truth)
        .map(|(i, eta)| f64::from((i * 104_729) % 5003) / 5003.0 < sigmoid(*eta))
        .collect();
    let right = choose(&Sample::new(&truth, &churned, None).unwrap()).unwrap();
    assert_eq!(
        right.calibrator.method(),
        Method::None,
        "{:?}",
        right.candidates
    );
    assert_eq!(
        right.candidates.len(),
        5,
        "isotonic takes part: {:?}",
        right.candidates
    );
    let moved: Vec<f64> = truth.iter().map(|eta| 2.0 * eta + 1.0).collect();
    let wrong = choose(&Sample::new(&moved, &churned, None).unwrap()).unwrap();
    let Calibrator::Platt { slope, intercept } = wrong.calibrator else {
        panic!("{:?}", wrong.candidates);
    };
    close(slope, 0.5, 0.03);
    close(intercept, -0.5, 0.06);
}

fn logistic() -> Box<dyn Scorer> {
    let spec = LogisticSpec {
        target: "churn".into(),
        ..LogisticSpec::default()
    };
    Box::new(common::fit(&common::table(), &spec).model)
}

fn scores(scorer: &dyn Scorer) -> Vec<Vec<f64>> {
    let frame = scorer.probe_rows();
    let batch = frame.batch().unwrap();
    let bound = batch.bind(scorer.schema()).unwrap();
    let wanted: Vec<usize> = (0..scorer.outputs().len()).collect();
    let mut columns = vec![vec![0.0; frame.row_count]; wanted.len()];
    let mut status = vec![RowStatus::OK; frame.row_count];
    let mut block = ScoreBlock {
        outputs: columns.iter_mut().map(Vec::as_mut_slice).collect(),
        status: &mut status,
    };
    scorer.score_rows(&bound, 0, &wanted, &ScoreOptions::default(), &mut block);
    columns
}

#[test]
fn a_calibrated_model_keeps_its_scores_and_comes_back_from_its_state() {
    let plain = scores(logistic().as_ref());
    for method in Method::ALL {
        let calibrator = fit(method, &sample(true)).unwrap();
        let model = Calibrated::new(logistic(), calibrator.clone()).unwrap();
        let names: Vec<&str> = model.outputs().iter().map(|output| output.name).collect();
        let extra: &[&str] = match method {
            Method::VennAbers => &["venn_abers_p0", "venn_abers_p1"],
            _ => &[],
        };
        let want = [
            &["churn_probability"],
            extra,
            &["logit", "uncalibrated_probability"],
        ]
        .concat();
        assert_eq!(names, want);
        let own = scores(&model);
        let (logit, before) = (&own[names.len() - 2], &own[names.len() - 1]);
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(logit), bits(&plain[1]), "the logit is what it was");
        assert_eq!(bits(before), bits(&plain[0]));
        for (p, eta) in own[0].iter().zip(logit) {
            let want = calibrator.probability(*eta);
            assert!(p.to_bits() == want.to_bits() || p.is_nan() && eta.is_nan());
        }
        let (inner, nested) = take(model.state()).unwrap();
        assert_eq!(inner, logistic().state());
        let again = Calibrated::from_state(logistic(), &nested.unwrap()).unwrap();
        assert_eq!(again.calibrator(), &calibrator);
        assert_eq!(again.state(), model.state());
    }
}

#[test]
fn hostile_calibrators_are_refused() {
    let calibrator = fit(Method::Isotonic, &sample(false)).unwrap();
    let sound = Calibrated::new(logistic(), calibrator).unwrap().state();
    let nested = |change: &dyn Fn(&mut ModelState)| {
        let mut state = take(sound.clone()).unwrap().1.unwrap();
        change(&mut state);
        Calibrated::from_state(logistic(), &state)
    };
    assert!(nested(&|_| ()).is_ok());
    let changes: [&dyn Fn(&mut ModelState); 8] = [
        &|state| state.kind = "magic".to_owned(),
        &|state| state.kind = "platt".to_owned(),
        &|state| state.arrays.clear(),
        &|state| state.settings.clear(),
        &|state| state.arrays[0].values[0] = f64::NAN,
        &|state| state.arrays[0].values.reverse(),
        &|state| state.arrays[1].values[0] = 0.0,
        &|state| {
            state.arrays[1].values.pop();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(nested(change).is_err(), "change {number}");
    }
}

//! Decision metrics against their definitions and other libraries.
//!
//! Reference numbers: `data/make_metrics_reference.py` (scikit-learn, scipy, sums over every pair or
//! a fine grid), and the published unit vectors of EMPC.

use cvm_churn::metrics::{
    Binning, Measure, ProfitSettings, Ranked, auc_estimate, average_precision, brier_parts,
    calibration_bins, calibration_error, empc, h_measure, ks, lift_at, lift_curve, mpc,
    profit_curve, psi, psi_noise,
};
use cvm_math::sigmoid;

/// The rows of the script.
fn rows() -> (Vec<bool>, Vec<f64>, Vec<f64>, Vec<f64>) {
    let score: Vec<f64> = (0..300)
        .map(|i| (100.0 * sigmoid(f64::from((i * 37) % 101) / 20.0 - 2.5)).round() / 100.0)
        .collect();
    let churned: Vec<bool> = (0..300)
        .zip(&score)
        .map(|(i, score)| f64::from((i * 61) % 97) / 97.0 < score * 0.7 + 0.1)
        .collect();
    assert_eq!(
        churned.iter().filter(|c| **c).count(),
        133,
        "the script's rows"
    );
    let weights = (0..300).map(|i| 1.0 + f64::from(i % 3)).collect();
    let values = (0..300)
        .map(|i| 50.0 + f64::from((i * 41) % 211) * 2.0)
        .collect();
    (churned, score, weights, values)
}

fn close(got: f64, want: f64, within: f64) {
    assert!((got - want).abs() <= within, "{got} is not {want}");
}

#[test]
fn ranking_is_that_of_scikit_learn() {
    let (churned, score, weights, _) = rows();
    let plain = auc_estimate(&churned, &score, None).unwrap();
    close(plain.auc, 0.713_070_100_400_702_3, 1e-14);
    close(plain.standard_error, 0.029_989_801_457_375_25, 1e-14);
    let weighted = auc_estimate(&churned, &score, Some(&weights)).unwrap();
    close(weighted.auc, 0.716_451_627_405_143, 1e-14);
    let ap = |weights: Option<&[f64]>| average_precision(&churned, &score, weights).unwrap();
    close(ap(None), 0.599_602_434_083_145_8, 1e-14);
    close(ap(Some(&weights)), 0.608_511_036_207_585_7, 1e-14);
    let distance = |weights: Option<&[f64]>| ks(&churned, &score, weights).unwrap().distance;
    close(distance(None), 0.406_375_219_485_840_4, 1e-14);
    close(distance(Some(&weights)), 0.413_414_853_443_625_3, 1e-14);
    close(
        h_measure(&churned, &score, None, 2.0, 2.0).unwrap(),
        0.203_895_120_116_446_06,
        1e-8,
    );
}

/// Equal weights of any size are no weights.
#[test]
fn the_error_of_the_auc_does_not_depend_on_the_unit_of_weight() {
    let (churned, score, _, _) = rows();
    let plain = auc_estimate(&churned, &score, None).unwrap();
    let scaled = auc_estimate(&churned, &score, Some(&[0.25; 300])).unwrap();
    close(scaled.standard_error, plain.standard_error, 1e-15);
}

/// Published vectors of estripling/proflogit-python, tests/test_empc.py (numbers only): α = 6, β =
/// 14, value 200, offer 10, contact 1.
#[test]
fn empc_is_the_published_one() {
    let churned = [
        true, true, false, false, false, true, true, true, true, false,
    ];
    let score = [
        0.612_547_8,
        0.364_271,
        0.432_136_1,
        0.140_291_1,
        0.384_895_9,
        0.244_415_5,
        0.970_641_3,
        0.890_172_8,
        0.781_781_4,
        0.868_751_8,
    ];
    let settings = ProfitSettings::default();
    let of = |churned: &[bool], score: &[f64]| empc(churned, score, None, None, &settings).unwrap();
    close(of(&churned, &score).profit, 30.300_322_262_984_8, 1e-10);
    close(of(&[false, true], &[0.0, 1.0]).profit, 28.0, 1e-10);
    close(
        of(&[false, true], &[1.0, 0.0]).profit,
        22.500_791_224_4,
        1e-9,
    );
}

#[test]
fn profits_are_those_of_a_fine_grid() {
    let (churned, score, weights, values) = rows();
    let settings = ProfitSettings::default();
    let cases = [
        (
            None,
            None,
            19.157_408_170_012_467,
            0.819_199_336_399_496,
            18.896_666_666_666_67,
        ),
        (
            Some(&weights),
            None,
            19.406_485_007_345_065,
            0.819_571_220_682_656_2,
            19.231_666_666_666_66,
        ),
        (
            None,
            Some(&values),
            27.361_236_114_966_53,
            0.849_262_814_423_870_5,
            27.160_666_666_666_67,
        ),
    ];
    for (weights, values, expected, share, best) in cases {
        let (weights, values) = (weights.map(Vec::as_slice), values.map(Vec::as_slice));
        let found = empc(&churned, &score, weights, values, &settings).unwrap();
        close(found.profit, expected, 1e-7);
        close(found.contacted_share, share, 1e-5);
        let found = mpc(&churned, &score, weights, values, &settings).unwrap();
        close(found.profit, best, 1e-12);
        close(found.contacted_share, 0.82, 1e-12);
        assert_eq!(found.threshold, 0.17);
        let curve = profit_curve(&churned, &score, weights, values, &settings).unwrap();
        assert_eq!(curve.len(), 80, "nobody, and 79 scores");
        let top = curve
            .iter()
            .map(|point| point.profit)
            .fold(f64::MIN, f64::max);
        assert_eq!(top, found.profit);
    }
    let costly = ProfitSettings {
        contact_cost: 1e6,
        ..settings
    };
    let nobody = mpc(&churned, &score, None, None, &costly).unwrap();
    assert_eq!((nobody.profit, nobody.contacted_share), (0.0, 0.0));
    assert!(nobody.threshold.is_infinite());
    assert!(empc(&churned, &score, None, Some(&values[1..]), &settings).is_err());
    let bad = ProfitSettings {
        alpha: 0.0,
        ..settings
    };
    assert!(empc(&churned, &score, None, None, &bad).is_err());
}

#[test]
fn the_brier_score_falls_apart_as_murphy_says() {
    let (churned, score, weights, _) = rows();
    let parts = brier_parts(&churned, &score, None, None).unwrap();
    close(parts.brier, 0.224_456_666_666_666_64, 1e-14);
    close(parts.reliability, 0.050_456_666_666_666_67, 1e-14);
    close(parts.resolution, 0.072_788_888_888_889_01, 1e-14);
    close(parts.uncertainty, 0.246_788_888_888_888_9, 1e-14);
    for bins in [None, Some(1), Some(7), Some(1000)] {
        let parts = brier_parts(&churned, &score, Some(&weights), bins).unwrap();
        let sum = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins;
        close(sum, parts.brier, 1e-14);
    }
}

#[test]
fn calibration_error_is_the_scripts() {
    let (churned, score, _, _) = rows();
    let of = |squared, debiased| {
        let width = Binning::Width;
        calibration_error(&churned, &score, None, 5, width, squared, debiased).unwrap()
    };
    close(of(false, false), 0.095_600_000_000_000_06, 1e-14);
    close(of(false, true), 0.081_407_475_891_769_3, 1e-8);
    close(of(true, false), 0.141_081_453_359_999_3, 1e-14);
    close(of(true, true), 0.128_031_393_197_445_86, 1e-14);
}

#[test]
fn bins_of_equal_mass_hold_equal_mass_and_keep_ties() {
    let churned: Vec<bool> = (0..20).map(|i| i < 7).collect();
    let one = calibration_bins(
        &churned,
        &[0.4; 20],
        None,
        5,
        Binning::Mass,
        1.959_963_984_540_054,
    );
    let one = one.unwrap();
    assert_eq!(one.len(), 1, "equal probabilities are one bin");
    // scipy's binomtest(7, 20).proportion_ci(method="wilson").
    close(one[0].lower, 0.181_191_824_101_082_1, 1e-12);
    close(one[0].upper, 0.567_145_723_314_763_7, 1e-12);
    let spread: Vec<f64> = (0..20).map(|i| f64::from(i) / 100.0).collect();
    let bins = calibration_bins(&churned, &spread, None, 5, Binning::Mass, 1.0).unwrap();
    assert_eq!(
        bins.iter().map(|bin| bin.weight).collect::<Vec<_>>(),
        [4.0; 5]
    );
    assert!(
        bins.windows(2)
            .all(|pair| pair[0].mean_probability < pair[1].mean_probability)
    );
}

#[test]
fn lift_at_a_share_is_a_point_of_the_curve() {
    let (churned, score, weights, _) = rows();
    let curve = lift_curve(&churned, &score, Some(&weights), 10).unwrap();
    for point in curve {
        let lift = lift_at(&churned, &score, Some(&weights), point.contacted_share).unwrap();
        close(lift, point.lift, 1e-12);
    }
    assert!(lift_at(&churned, &score, None, 0.0).is_err());
    assert!(lift_at(&churned, &score, None, 1.1).is_err());
}

/// A measure under weights is the metric of rows repeated.
#[test]
fn measures_take_weights_as_numbers_of_rows() {
    let (churned, score, weights, values) = rows();
    let repeat = |row: usize| std::iter::repeat_n(row, weights[row] as usize);
    let long: Vec<usize> = (0..300).flat_map(repeat).collect();
    let churned_long: Vec<bool> = long.iter().map(|row| churned[*row]).collect();
    let score_long: Vec<f64> = long.iter().map(|row| score[*row]).collect();
    let values_long: Vec<f64> = long.iter().map(|row| values[*row]).collect();
    let (ranked, ranked_long) = (
        Ranked::new(&churned, &score).unwrap(),
        Ranked::new(&churned_long, &score_long).unwrap(),
    );
    let measures = [
        Measure::Auc,
        Measure::AveragePrecision,
        Measure::LogLoss,
        Measure::Brier,
        Measure::Ece,
        Measure::Ks,
        Measure::Lift { share: 0.1 },
        Measure::HMeasure,
        Measure::Empc(ProfitSettings::default()),
        Measure::Mpc(ProfitSettings::default()),
    ];
    for measure in measures {
        let short = measure.of(&ranked, Some(&weights), Some(&values)).unwrap();
        let long = measure.of(&ranked_long, None, Some(&values_long)).unwrap();
        close(short, long, 1e-12 * long.abs().max(1.0));
        assert!(
            measure.of(&ranked, Some(&[0.0; 300]), None).is_err(),
            "{measure:?}: no weight"
        );
    }
}

#[test]
fn the_stability_index_is_worked_by_hand() {
    // Shares (1.5, 3.5)/5 and (3.5, 1.5)/5: (0.4) ln(7/3) twice.
    let want = 0.8 * cvm_math::ln(7.0 / 3.0);
    close(psi(&[1.0, 3.0], &[3.0, 1.0]).unwrap(), want, 1e-14);
    assert_eq!(psi(&[5.0, 0.0, 7.0], &[5.0, 0.0, 7.0]).unwrap(), 0.0);
    assert!(psi(&[1.0], &[1.0, 2.0]).is_err());
    assert!(psi(&[-1.0], &[1.0]).is_err());
    // χ²(9) at 0.95 is 16.919; Wilson–Hilferty is right to a percent.
    let noise = psi_noise(10, 1000.0, 500.0, 1.644_853_626_951_472);
    close(noise, 16.919 * 0.003, 5e-4);
}

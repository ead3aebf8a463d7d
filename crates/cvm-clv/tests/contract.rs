//! Contract models: published tables, derivatives, nesting, simulation, scoring, covariates.

mod common;

use common::{bits, check_derivatives, close, evaluate, newton, score};
use cvm_clv::{
    Bdw, Contract, ContractForecast, ContractFormulas, ContractModel, DiscreteWeibull, Formulas,
    Geometric, MergedRows, Sbg, Subscribers, Tenure, cohort_tenures, contract_from_state,
};
use cvm_core::{
    Covariates, Frame, Likelihood, Order, ParametricModel, RowCode, ScoreOptions, Scorer, TimeUnit,
};

/// Customers remaining of 1000, by year: Fader & Hardie (2007), table 1.
const REGULAR: [f64; 13] = [
    1000.0, 631.0, 468.0, 382.0, 326.0, 289.0, 262.0, 241.0, 223.0, 207.0, 194.0, 183.0, 173.0,
];
const HIGH_END: [f64; 13] = [
    1000.0, 869.0, 743.0, 653.0, 593.0, 551.0, 517.0, 491.0, 468.0, 445.0, 427.0, 409.0, 394.0,
];

fn merged<F: ContractFormulas>(remaining: &[f64]) -> MergedRows<F> {
    let (rows, weights) = cohort_tenures(remaining).unwrap();
    MergedRows::new(&rows, Some(&weights))
}

/// The best maximum over all starts.
fn fit<F: ContractFormulas<Likelihood = MergedRows<F>>>(remaining: &[f64]) -> (Vec<f64>, f64) {
    let likelihood = merged::<F>(remaining);
    let reached = F::starts(&likelihood).into_iter().map(|start| {
        let (theta, at) = newton(&likelihood, &start);
        (theta, at.value)
    });
    reached.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// Fader & Hardie (2007): seven years of calibration give α .704, β 1.182 (Regular; log-likelihood
/// −1680.2652 by an independent fit) and .668, 3.806 (High End); the forecasts for years 8 to 12.
#[test]
fn sbg_on_the_published_segments() {
    let (regular, log_lik) = fit::<Sbg>(&REGULAR[..8]);
    assert!((log_lik - -1680.2652).abs() < 5e-5, "{log_lik}");
    close(regular[0], 0.7041, 1e-4);
    close(regular[1], 1.1820, 1e-4);
    let (high_end, _) = fit::<Sbg>(&HIGH_END[..8]);
    close(high_end[0], 0.668, 1e-3);
    close(high_end[1], 3.806, 1e-3);
    for (theta, last) in [(regular, 17.00), (high_end, 37.80)] {
        let survival = cvm_math::exp(-Sbg::at(&theta).hazard(0.0, 12.0));
        assert!((100.0 * survival - last).abs() < 6e-3, "{survival}");
    }
}

/// The whole curve, percent alive after 1 to 12 years (an independent computation at the same
/// estimates).
#[test]
fn sbg_curve_and_lifetimes() {
    let model = Sbg::at(&fit::<Sbg>(&REGULAR[..8]).0);
    let curve = [
        62.67, 47.38, 38.80, 33.21, 29.23, 26.25, 23.90, 22.01, 20.44, 19.12, 17.99, 17.00,
    ];
    for (year, percent) in (1..).zip(curve) {
        let survival = cvm_math::exp(-model.hazard(0.0, f64::from(year)));
        assert!(
            (100.0 * survival - percent).abs() < 6e-3,
            "{year}: {survival}"
        );
    }
    // Fader & Hardie (2010), eqs. 6 and 7, at 10 % a year: DERL after 0, 2 and 4 renewals, and DEL.
    let delta = cvm_math::log1p(0.1);
    let forever = f64::INFINITY;
    for (renewals, derl) in [(0.0, 2.9644), (2.0, 4.8698), (4.0, 5.8941)] {
        let got = model.residual(renewals, forever, delta);
        assert!((got - derl).abs() < 6e-5, "{renewals}: {got}");
        let with_payment = model.lifetime(renewals, forever, delta);
        close(with_payment, 1.0 + got / 1.1, 1e-13);
    }
    let del = model.lifetime(0.0, forever, delta);
    assert!((del - 3.6949).abs() < 6e-5, "{del}");
}

/// A ratio of beta functions that both underflow (retenmod gives NaN); 50-digit reference.
#[test]
fn narrow_shapes_do_not_underflow() {
    let want = 0.306_897_101_086_065_1;
    let sbg = Sbg::new(800.0, 3000.0).unwrap();
    close(cvm_math::exp(-sbg.hazard(0.0, 5.0)), want, 1e-14);
    let bdw = Bdw::new(800.0, 3000.0, 1.0).unwrap();
    close(cvm_math::exp(-bdw.hazard(0.0, 5.0)), want, 1e-14);
}

/// Four years of the High End segment: α .259336, β 1.722552, c 1.584361, log-likelihood −1222.7493
/// (README example of retenmod; an independent fit agrees).
#[test]
fn bdw_on_the_high_end_segment() {
    let (theta, log_lik) = fit::<Bdw>(&HIGH_END[..5]);
    for (got, want) in theta.iter().zip([0.259_336, 1.722_552, 1.584_361]) {
        close(*got, want, 2e-5);
    }
    assert!((log_lik - -1222.7493).abs() < 5e-5, "{log_lik}");
}

/// The sBG is the BdW at `c = 1`, the baselines are its limits without heterogeneity; a richer model
/// never fits worse.
#[test]
fn models_are_nested() {
    let sbg = Contract::new(Sbg::new(0.7, 1.2).unwrap(), None);
    let bdw = Contract::new(Bdw::new(0.7, 1.2, 1.0).unwrap(), None);
    let narrow = Bdw::new(2e9, 6e9, 1.3).unwrap();
    let weibull = DiscreteWeibull::new(1.0 / 3.0, 1.3).unwrap();
    let flat = DiscreteWeibull::new(1.0 / 3.0, 1.0).unwrap();
    let geometric = Geometric::new(1.0 / 3.0).unwrap();
    for (tenure, t) in [(0.0, 1.0), (0.0, 9.0), (3.0, 2.0), (40.0, 100.0)] {
        close(bdw.hazard(tenure, t), sbg.hazard(tenure, t), 1e-14);
        close(narrow.hazard(tenure, t), weibull.hazard(tenure, t), 1e-6);
        close(flat.hazard(tenure, t), geometric.hazard(tenure, t), 1e-14);
        for delta in [0.0, 0.01] {
            let sum = bdw.lifetime(tenure, 900.0, delta);
            close(sum, sbg.lifetime(tenure, 900.0, delta), 1e-12);
            let sum = flat.lifetime(tenure, 900.0, delta);
            close(sum, geometric.lifetime(tenure, 900.0, delta), 1e-12);
        }
    }
    let bdw_fit = fit::<Bdw>(&REGULAR).1;
    let sbg_fit = fit::<Sbg>(&REGULAR).1;
    let weibull_fit = fit::<DiscreteWeibull>(&REGULAR).1;
    let geometric_fit = fit::<Geometric>(&REGULAR).1;
    assert!(geometric_fit < weibull_fit && weibull_fit < bdw_fit);
    assert!(geometric_fit < sbg_fit && sbg_fit <= bdw_fit);
    println!("{geometric_fit} {weibull_fit} {sbg_fit} {bdw_fit}");
}

/// The estimate is refused over made renewals; the first start is it.
#[test]
fn geometric_estimate_is_a_ratio() {
    let likelihood = merged::<Geometric>(&REGULAR);
    let made: f64 = REGULAR[1..].iter().sum();
    let odds = (REGULAR[0] - REGULAR[12]) / made;
    let start = Geometric::starts(&likelihood)[0][0];
    close(start, odds, 1e-14);
    let at = evaluate(&likelihood, &[start], Order::Gradient);
    assert!(at.gradient[0].abs() < 1e-8, "{:?}", at.gradient);
    close(
        Geometric::new(odds).unwrap().theta(),
        odds / (1.0 + odds),
        1e-15,
    );
}

#[test]
fn derivatives_agree_with_differences() {
    for theta in [[0.7, 1.2], [0.05, 0.1], [30.0, 80.0]] {
        check_derivatives(&merged::<Sbg>(&REGULAR), &theta, 1e-6);
        check_derivatives(&merged::<DiscreteWeibull>(&REGULAR), &theta, 1e-6);
        check_derivatives(&merged::<Geometric>(&REGULAR), &theta[..1], 1e-6);
    }
    for theta in [
        [0.7, 1.2, 1.0],
        [0.26, 1.7, 1.6],
        [9.0, 20.0, 0.4],
        [0.1, 0.2, 2.5],
    ] {
        check_derivatives(&merged::<Bdw>(&HIGH_END), &theta, 1e-6);
    }
}

/// Probabilities of all lifetimes sum to one, and their sums are the survival function.
#[test]
fn probabilities_add_up() {
    fn check<F: ContractFormulas>(formulas: F) {
        let model = Contract::new(formulas, None);
        let row = Tenure::new(2.0, 0.0).unwrap();
        let ask = |what| {
            let customers = Subscribers {
                rows: &[row],
                covariates: &[],
            };
            let mut out = [0.0];
            model.forecast(what, customers, &mut out);
            out[0]
        };
        let mut left = 0.0;
        for t in 1..=40 {
            let t = f64::from(t);
            left += ask(ContractForecast::ChurnedAt { t });
            let churned = ask(ContractForecast::Churned { t });
            close(left, churned, 1e-12);
            let retained = ask(ContractForecast::Retained { t });
            assert!((churned + retained - 1.0).abs() < 1e-15);
            close(
                cvm_math::exp(ask(ContractForecast::LnRetained { t })),
                retained,
                1e-15,
            );
            // The quantile at the probability reached is the time itself.
            assert_eq!(
                ask(ContractForecast::Quantile { p: churned }),
                t,
                "{}",
                F::KIND
            );
            assert_eq!(
                ask(ContractForecast::Quantile {
                    p: churned * 1.000_001
                }),
                t + 1.0
            );
        }
        let t = f64::INFINITY;
        assert_eq!(ask(ContractForecast::Retained { t }), 0.0);
        assert_eq!(ask(ContractForecast::Churned { t }), 1.0);
        assert_eq!(ask(ContractForecast::ChurnedAt { t }), 0.0);
        assert_eq!(ask(ContractForecast::Lifetime { t: 0.0, delta: 0.1 }), 0.0);
        let mut terms = 0.0;
        for k in 0..25 {
            let t = f64::from(k);
            terms += cvm_math::exp(-0.1 * t) * ask(ContractForecast::Retained { t });
        }
        close(
            ask(ContractForecast::Lifetime {
                t: 25.0,
                delta: 0.1,
            }),
            terms,
            1e-13,
        );
    }
    check(Sbg::new(0.7, 1.2).unwrap());
    check(Bdw::new(0.26, 1.7, 1.6).unwrap());
    check(Geometric::new(0.11).unwrap());
    check(DiscreteWeibull::new(0.11, 0.8).unwrap());
}

/// Infinite where the mean is, finite just above.
#[test]
fn infinite_lifetimes_are_infinite() {
    let forever = f64::INFINITY;
    assert_eq!(
        Sbg::new(1.0, 3.0).unwrap().lifetime(0.0, forever, 0.0),
        forever
    );
    close(
        Sbg::new(1.0 + 1e-9, 3.0)
            .unwrap()
            .lifetime(0.0, forever, 0.0),
        3e9,
        1e-6,
    );
    assert_eq!(
        Bdw::new(0.5, 3.0, 2.0).unwrap().lifetime(5.0, forever, 0.0),
        forever
    );
    let barely = Bdw::new(0.5 + 1e-6, 3.0, 2.0)
        .unwrap()
        .lifetime(5.0, forever, 0.0);
    assert!(barely.is_finite() && barely > 1e5, "{barely}");
    assert!(
        Bdw::new(0.1, 3.0, 0.5)
            .unwrap()
            .lifetime(5.0, forever, 1e-9)
            .is_finite()
    );
    assert!(
        DiscreteWeibull::new(0.1, 0.05)
            .unwrap()
            .lifetime(0.0, forever, 0.0)
            .is_finite()
    );
}

/// Whatever the parameters, every forecast ends, within its bounds or absent.
#[test]
fn absurd_parameters_end_within_bounds() {
    let values = [1e-300, 1e-9, 0.3, 40.0, 1e9, 1e300];
    let (mut answered, mut absent) = (0, 0);
    for alpha in values {
        for (beta, c) in values
            .iter()
            .flat_map(|b| [0.01, 1.0, 30.0].map(|c| (*b, c)))
        {
            let model = Bdw::new(alpha, beta, c).unwrap();
            for tenure in [0.0, 7.0, 1e6] {
                for t in [1.0, 1000.0, f64::INFINITY] {
                    let kept = cvm_math::exp(-model.hazard(tenure, t));
                    let paid = model.lifetime(tenure, t, 0.01);
                    let fine = (0.0..=1.0).contains(&kept)
                        && (1.0 - 1e-12..=101.0_f64.min(t + 1e-9)).contains(&paid);
                    assert!(
                        fine || kept.is_nan() || paid.is_nan(),
                        "{alpha:e} {beta:e} {c} {tenure} {t}: {kept} {paid}"
                    );
                    answered += u32::from(fine);
                    absent += u32::from(!fine);
                }
            }
        }
    }
    println!("{answered} answered, {absent} absent");
    assert!(
        absent * 8 < answered,
        "{answered} answered, {absent} absent"
    );
}

#[test]
fn simulated_customers_come_back() {
    let templates: Vec<Tenure> = (0..4000u32)
        .map(|index| Tenure::new(f64::from(3 + index % 20), 0.0).unwrap())
        .collect();
    let recover = |rows: Vec<Tenure>, truth: &[f64], likelihood: &dyn Fn(&[Tenure]) -> Vec<f64>| {
        assert!(rows.iter().all(|row| row.tenure >= 1.0));
        let theta = likelihood(&rows);
        for (got, want) in theta.iter().zip(truth) {
            assert!((got / want - 1.0).abs() < 0.35, "{theta:?} for {truth:?}");
        }
    };
    fn maximum<F: ContractFormulas<Likelihood = MergedRows<F>>>(rows: &[Tenure]) -> Vec<f64> {
        let likelihood = MergedRows::<F>::new(rows, None);
        newton(&likelihood, &F::starts(&likelihood)[0]).0
    }
    let sbg = Sbg::new(0.7, 1.2).unwrap();
    recover(sbg.simulate(&templates, 5), &[0.7, 1.2], &maximum::<Sbg>);
    let bdw = Bdw::new(0.5, 1.7, 1.6).unwrap();
    recover(
        bdw.simulate(&templates, 6),
        &[0.5, 1.7, 1.6],
        &maximum::<Bdw>,
    );
    let geometric = Geometric::new(0.08).unwrap();
    recover(
        geometric.simulate(&templates, 7),
        &[0.08],
        &maximum::<Geometric>,
    );
    let weibull = DiscreteWeibull::new(0.2, 0.7).unwrap();
    recover(
        weibull.simulate(&templates, 8),
        &[0.2, 0.7],
        &maximum::<DiscreteWeibull>,
    );
    assert_eq!(sbg.simulate(&templates, 9), sbg.simulate(&templates, 9));
}

fn options(model: &dyn Scorer) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(10.0),
        ..model.probe_options()
    }
}

#[test]
fn scoring_in_any_pieces_gives_the_same_bits_and_bad_rows_keep_their_place() {
    let model = Contract::new(Sbg::new(0.7041, 1.182).unwrap(), Some(TimeUnit::Year));
    let frame = model.probe_rows();
    let (whole, status) = score(&model, &frame, &options(&model), frame.row_count);
    for piece in [1, 5] {
        let (pieces, same) = score(&model, &frame, &options(&model), piece);
        assert_eq!(bits(&pieces), bits(&whole));
        assert_eq!(same, status);
    }
    let codes: Vec<RowCode> = status[13..].iter().map(|status| status.code).collect();
    let expected = [
        RowCode::Missing,
        RowCode::OutOfRange,
        RowCode::OutOfRange,
        RowCode::NotFinite,
        RowCode::Ok,
    ];
    assert_eq!(codes, expected);
    // Retention rate of a customer with two renewals: (β + 2)/(α + β + 2).
    close(whole[0][2], 3.182 / 3.8861, 1e-14);
    // -0.0 is 0.0.
    assert_eq!(whole[3][17].to_bits(), whole[3][0].to_bits());
}

#[test]
fn an_infinite_mean_is_told_and_the_rest_stands() {
    let model = Contract::new(Sbg::new(0.7, 1.2).unwrap(), None);
    let frame = Frame::new(1).with_numbers("tenure", vec![1.0]);
    let forever = ScoreOptions {
        horizon_periods: Some(f64::INFINITY),
        ..ScoreOptions::default()
    };
    let (columns, status) = score(&model, &frame, &forever, 1);
    assert_eq!(status[0].code, RowCode::Infinite);
    close(columns[0][0], 2.2 / 2.9, 1e-14);
    assert_eq!(columns[3][0], f64::INFINITY);
    assert_eq!(columns[4][0], f64::INFINITY);
}

#[test]
fn states_come_back_as_their_kind() {
    fn check<F: ContractFormulas>(formulas: F) {
        let model = Contract::new(formulas, Some(TimeUnit::Month));
        let covariates = Covariates {
            coefficients: vec![0.25; F::PROCESSES[0].effects.len()],
            ..Covariates::new(F::PROCESSES, F::PARAMS, &|_| vec!["income".to_owned()])
        };
        for model in [model.clone(), model.with_covariates(covariates)] {
            let back = contract_from_state(&model.state()).unwrap();
            assert_eq!(back.kind(), F::KIND);
            assert_eq!(back.time_unit(), Some(TimeUnit::Month));
            let frame = model.probe_rows();
            let options = model.probe_options();
            let (own, status) = score(&model, &frame, &options, 7);
            let (other, same) = score(back.as_ref(), &frame, &options, 7);
            assert_eq!(bits(&own), bits(&other));
            assert_eq!(status, same);
        }
    }
    check(Sbg::new(0.7, 1.2).unwrap());
    check(Bdw::new(0.26, 1.7, 1.6).unwrap());
    check(Geometric::new(0.11).unwrap());
    check(DiscreteWeibull::new(0.11, 0.8).unwrap());
    let mut state = Contract::new(Geometric::new(0.1).unwrap(), None).state();
    state.kind = "clv.bg_nbd".to_owned();
    assert!(contract_from_state(&state).is_err());
}

/// A covariate is a change of the parameters of a row; its derivatives agree with differences.
#[test]
fn covariates_scale_the_shapes() {
    let names = |_: &str| vec!["income".to_owned()];
    let mut covariates = Covariates::new(Sbg::PROCESSES, Sbg::PARAMS, &names);
    let terms: Vec<&str> = covariates
        .terms
        .iter()
        .map(|term| term.name.as_str())
        .collect();
    assert_eq!(terms, ["contract.alpha.income", "contract.beta.income"]);
    covariates.coefficients = vec![0.4, -0.3];
    let model =
        Contract::new(Sbg::new(0.7, 1.2).unwrap(), None).with_covariates(covariates.clone());
    let frame = Frame::new(2)
        .with_numbers("tenure", vec![3.0, 3.0])
        .with_numbers("income", vec![0.0, 1.5]);
    let (columns, _) = score(&model, &frame, &options(&model), 2);
    let shifted = Sbg::new(0.7 * cvm_math::exp(0.6), 1.2 * cvm_math::exp(-0.45)).unwrap();
    close(
        columns[1][0],
        cvm_math::exp(-Sbg::new(0.7, 1.2).unwrap().hazard(3.0, 10.0)),
        1e-14,
    );
    close(
        columns[1][1],
        cvm_math::exp(-shifted.hazard(3.0, 10.0)),
        1e-14,
    );

    let rows: Vec<Tenure> = [(1.0, 1.0), (4.0, 0.0), (2.0, 1.0), (7.0, 1.0)]
        .map(|(tenure, churned)| Tenure::new(tenure, churned).unwrap())
        .to_vec();
    let values = [0.5, -1.0, 0.0, 2.0];
    let merged = MergedRows::<Sbg>::with_covariates(&rows, &values, None, &covariates);
    assert_eq!(merged.dim(), 4);
    check_derivatives(&merged, &[0.7, 1.2, 0.4, 0.3], 1e-6);
}

#[test]
fn rows_without_a_renewal_tell_nothing() {
    type Model = Contract<Sbg>;
    assert_eq!(Model::row(&[0.0, 0.0]), Ok(None));
    let row = Model::row(&[3.0, 1.0]).unwrap().unwrap();
    let mut values = [0.0; 2];
    Model::row_values(&row, &mut values);
    assert_eq!(values, [3.0, 1.0]);
    assert!(Model::row(&[0.0, 1.0]).is_err());
    assert!(Model::row(&[3.0]).is_err());
}

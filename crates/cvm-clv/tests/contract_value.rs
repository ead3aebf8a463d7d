//! Contract value: identities with sums, published numbers, costs, infinities, refusals, state.

mod common;

use common::{bits, close, score};
use cvm_clv::{
    Bdw, Contract, ContractFormulas, ContractModel, ContractValue, DiscreteWeibull, Formulas,
    Geometric, LifetimeValue, Sbg, Subscription,
};
use cvm_core::{
    Covariates, Frame, ModelState, ParametricModel, RowCode, RowStatus, ScoreOptions, Scorer,
    TimeUnit,
};

const P_RETAINED: usize = 0;
const LIFETIME: usize = 1;
const SPEND: usize = 2;
const VALUE: usize = 3;
const RESIDUAL_LIFETIME: usize = 4;
const RESIDUAL_VALUE: usize = 5;
const SD: usize = 6;

fn regular(unit: Option<TimeUnit>) -> Contract<Sbg> {
    Contract::new(Sbg::new(0.7041, 1.182).unwrap(), unit)
}

fn value_of(contract: impl ContractModel + 'static) -> ContractValue {
    ContractValue::new(Box::new(contract))
}

fn customers(tenures: &[f64], values: &[f64]) -> Frame {
    Frame::new(tenures.len())
        .with_numbers("tenure", tenures.to_vec())
        .with_numbers("value_per_period", values.to_vec())
}

fn options(horizon: f64, rate: Option<f64>) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(horizon),
        discount_rate_per_year: rate,
        ..ScoreOptions::default()
    }
}

/// What every output is, from probabilities of renewal alone, payment by payment.
fn check_sums<F: ContractFormulas>(formulas: F) {
    let (rate, margin, cost, horizon) = (0.12, 0.4, 3.0, 30);
    let monthly = cvm_math::pow(1.0 + rate, -1.0 / 12.0);
    let model = value_of(Contract::new(formulas.clone(), Some(TimeUnit::Month)));
    let with = ScoreOptions {
        margin: Some(margin),
        cost_per_period: Some(cost),
        ..options(f64::from(horizon), Some(rate))
    };
    let (tenures, values) = ([0.0, 1.0, 9.0, 40.0], [10.0, 25.0, -4.0, 7.5]);
    let (scores, status) = score(&model, &customers(&tenures, &values), &with, 4);
    assert!(status.iter().all(|status| status.is_ok()));
    for (row, (tenure, value)) in tenures.into_iter().zip(values).enumerate() {
        let kept = |k: i32| cvm_math::exp(-formulas.hazard(tenure, f64::from(k)));
        let worth = |k: i32| cvm_math::pow(monthly, f64::from(k));
        let paid: f64 = (0..horizon).map(|k| worth(k) * kept(k)).sum();
        let renewed: f64 = (1..=horizon).map(|k| worth(k - 1) * kept(k)).sum();
        let mean: f64 = (0..horizon).map(kept).sum();
        let square: f64 = (0..horizon).map(|k| f64::from(2 * k + 1) * kept(k)).sum();
        let gain = margin * value - cost;
        close(scores[P_RETAINED][row], kept(horizon), 1e-12);
        close(scores[LIFETIME][row], paid, 1e-12);
        assert_eq!(scores[SPEND][row].to_bits(), value.to_bits());
        close(scores[VALUE][row], gain * paid, 1e-12);
        close(scores[RESIDUAL_LIFETIME][row], renewed, 1e-12);
        close(scores[RESIDUAL_VALUE][row], gain * renewed, 1e-12);
        let sd = gain.abs() * (square - mean * mean).sqrt();
        close(scores[SD][row], sd, 1e-10);
    }
}

#[test]
fn value_is_what_a_period_brings_times_payments_summed_one_by_one() {
    check_sums(Sbg::new(0.7041, 1.182).unwrap());
    check_sums(Bdw::new(0.26, 1.7, 1.6).unwrap());
    check_sums(Geometric::new(0.11).unwrap());
    check_sums(DiscreteWeibull::new(0.11, 0.8).unwrap());
}

/// Fader & Hardie (2010), eqs. 6 and 7, at 10 % a year: DERL after 0, 2 and 4 renewals, and DEL,
/// at rounded and at full estimates of the Regular segment; and what joins the two.
#[test]
fn del_and_derl_times_the_payment() {
    let model = value_of(regular(Some(TimeUnit::Year)));
    let frame = customers(&[0.0, 2.0, 4.0], &[50.0, 50.0, 80.0]);
    let (scores, status) = score(&model, &frame, &options(f64::INFINITY, Some(0.1)), 3);
    // The undiscounted spread has no bound; what is discounted stands beside it.
    assert!(status.iter().all(|status| status.code == RowCode::Infinite));
    assert_eq!(scores[SD], [f64::INFINITY; 3]);
    let derl = [
        2.964_241_201_924_639_4,
        4.869_670_639_524_319,
        5.893_976_561_582_678,
    ];
    for (row, payment) in [50.0, 50.0, 80.0].into_iter().enumerate() {
        close(scores[RESIDUAL_VALUE][row], payment * derl[row], 1e-12);
        close(scores[VALUE][row], payment * (1.0 + derl[row] / 1.1), 1e-12);
    }
    close(scores[VALUE][0], 50.0 * 3.694_764_729_022_399_4, 1e-12);

    let published = Contract::new(
        Sbg::new(0.704_077_3, 1.182_043).unwrap(),
        Some(TimeUnit::Year),
    );
    let model = value_of(published);
    let frame = customers(&[0.0, 2.0, 4.0], &[1.0; 3]);
    let (scores, _) = score(&model, &frame, &options(f64::INFINITY, Some(0.1)), 3);
    for (got, want) in scores[RESIDUAL_VALUE].iter().zip([2.9644, 4.8698, 5.8941]) {
        assert!((got - want).abs() < 6e-5, "{got} {want}");
    }
    assert!(
        (scores[VALUE][0] - 3.6949).abs() < 6e-5,
        "{}",
        scores[VALUE][0]
    );
}

/// A fifth leaves at every renewal: without a rate 5 payments are expected, and 20 of variance.
#[test]
fn a_geometric_customer_by_hand() {
    let model = value_of(Contract::new(Geometric::new(0.25).unwrap(), None));
    let with = ScoreOptions {
        margin: Some(0.5),
        cost_per_period: Some(5.0),
        ..options(f64::INFINITY, None)
    };
    let (scores, _) = score(&model, &customers(&[0.0, 63.0], &[40.0, 6.0]), &with, 2);
    for (row, gain) in [15.0, -2.0].into_iter().enumerate() {
        close(scores[VALUE][row], gain * 5.0, 1e-13);
        close(scores[RESIDUAL_VALUE][row], gain * 4.0, 1e-13);
        close(scores[SD][row], f64::abs(gain) * f64::sqrt(20.0), 1e-12);
    }
}

/// A horizon is cut to whole periods; none of them, nothing paid.
#[test]
fn horizons_are_whole() {
    let model = value_of(regular(None));
    let frame = customers(&[2.0], &[30.0]);
    let at = |horizon| bits(&score(&model, &frame, &options(horizon, None), 1).0);
    assert_eq!(at(5.99), at(5.0));
    assert_ne!(at(6.0), at(5.0));
    let (scores, _) = score(&model, &frame, &options(0.5, None), 1);
    assert_eq!([scores[VALUE][0], scores[SD][0]], [0.0, 0.0]);
    let (scores, _) = score(&model, &frame, &options(1.0, None), 1);
    assert_eq!([scores[VALUE][0], scores[SD][0]], [30.0, 0.0]);
}

/// The seam of lifetime value takes the stream: the same payments at the same value.
#[test]
fn the_stream_is_one_of_lifetime_value() {
    let stream = Subscription::new(Box::new(regular(Some(TimeUnit::Year))));
    assert_eq!(stream.contract().kind(), "clv.sbg");
    let by_seam = LifetimeValue::of_stream(Box::new(stream));
    let model = value_of(regular(Some(TimeUnit::Year)));
    let frame = customers(&[0.0, 3.0, 700.0], &[50.0, 0.0, -8.0]);
    let with = ScoreOptions {
        margin: Some(0.3),
        ..options(12.0, Some(0.1))
    };
    let (ours, _) = score(&model, &frame, &with, 3);
    let (seam, status) = score(&by_seam, &frame, &with, 3);
    assert!(status.iter().all(|status| status.is_ok()));
    assert_eq!(seam[0], [1.0; 3], "who is scored has just renewed");
    assert_eq!(bits(&ours[VALUE..=VALUE]), bits(&seam[3..4]));
    assert_eq!(bits(&ours[SD..=SD]), bits(&seam[5..6]));
    let costly = ScoreOptions {
        cost_per_period: Some(2.0),
        ..with
    };
    let (ours, _) = score(&model, &frame, &costly, 3);
    let (seam, _) = score(&by_seam, &frame, &costly, 3);
    for (ours, seam) in ours[VALUE].iter().zip(&seam[3]) {
        close(*seam, *ours, 1e-13);
    }
}

/// `α < 1`: the sum diverges without a rate; of nothing it is nothing, of a loss a loss.
#[test]
fn an_infinite_lifetime_is_told_and_the_rest_stands() {
    let model = value_of(regular(Some(TimeUnit::Year)));
    let frame = customers(&[1.0, 1.0, 1.0], &[100.0, 4.0, 20.0]);
    let with = ScoreOptions {
        margin: Some(0.25),
        cost_per_period: Some(5.0),
        ..options(f64::INFINITY, None)
    };
    let batch = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    let ask = |output: usize| {
        let (mut values, mut status) = ([0.0; 3], [RowStatus::OK; 3]);
        let mut block = cvm_core::ScoreBlock {
            outputs: vec![&mut values],
            status: &mut status,
        };
        model.score_rows(&bound, 0, &[output], &with, &mut block);
        (values, status.map(|status| status.code))
    };
    let infinite = f64::INFINITY;
    let codes = [RowCode::Infinite, RowCode::Infinite, RowCode::Ok];
    assert_eq!(ask(VALUE), ([infinite, -infinite, 0.0], codes));
    assert_eq!(ask(RESIDUAL_VALUE), ([infinite, -infinite, 0.0], codes));
    assert_eq!(ask(SD), ([infinite, infinite, 0.0], codes));
    assert_eq!(ask(P_RETAINED), ([0.0; 3], [RowCode::Ok; 3]));
    assert_eq!(ask(SPEND), ([100.0, 4.0, 20.0], [RowCode::Ok; 3]));
    // A mean without a bound on what it may be: α = 1.5 sums S(t), not t·S(t).
    let heavy = value_of(Contract::new(Sbg::new(1.5, 3.0).unwrap(), None));
    let (scores, status) = score(&heavy, &frame, &options(infinite, None), 3);
    assert!(
        status
            .iter()
            .all(|status| status.code == RowCode::Undefined)
    );
    assert!(scores.iter().flatten().all(|value| value.is_nan()));
}

#[test]
fn each_fault_blames_its_column() {
    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    let model = value_of(regular(None));
    assert_eq!(model.schema().position("value_per_period"), Some(1));
    let tenures = [2.0, NAN, INF, 1.5, -1.0, 2.0, 2.0, NAN, 2.0, 2.0];
    let values = [10.0, 10.0, 10.0, 10.0, 10.0, NAN, INF, NAN, -INF, -0.0];
    let (scores, status) = score(
        &model,
        &customers(&tenures, &values),
        &options(5.0, None),
        10,
    );
    let expected = [
        RowStatus::OK,
        RowStatus::bad(RowCode::Missing, 0),
        RowStatus::bad(RowCode::NotFinite, 0),
        RowStatus::bad(RowCode::OutOfRange, 0),
        RowStatus::bad(RowCode::OutOfRange, 0),
        RowStatus::bad(RowCode::Missing, 1),
        RowStatus::bad(RowCode::NotFinite, 1),
        RowStatus::bad(RowCode::Missing, 0),
        RowStatus::bad(RowCode::NotFinite, 1),
        RowStatus::OK,
    ];
    assert_eq!(status, expected);
    for column in &scores {
        for (value, status) in column.iter().zip(&status) {
            assert_eq!(value.is_finite(), status.is_ok());
        }
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let refused = |model: &ContractValue, options: ScoreOptions| {
        let error = model.check_options(&options).unwrap_err();
        (
            error.violations[0].field.clone(),
            error.violations[0].description.clone(),
        )
    };
    let orders = ScoreOptions {
        cost_per_order: Some(2.0),
        ..options(5.0, None)
    };
    let (field, why) = refused(&value_of(regular(None)), orders.clone());
    assert_eq!(field, "options.cost_per_order");
    assert!(why.contains("cost_per_period"), "{why}");
    let free = ScoreOptions {
        cost_per_order: Some(0.0),
        ..orders
    };
    assert!(value_of(regular(None)).check_options(&free).is_ok());
    let (field, why) = refused(&value_of(regular(None)), options(5.0, Some(0.1)));
    assert_eq!(field, "options.discount_rate_per_year");
    assert!(why.contains("time unit"), "{why}");
    let with_unit = value_of(regular(Some(TimeUnit::Year)));
    assert!(with_unit.check_options(&options(5.0, Some(0.1))).is_ok());
}

/// Covariates of the contract model, one of them the payment itself, stay where that reads them.
#[test]
fn covariates_come_along() {
    for name in ["income", "value_per_period"] {
        let names = |_: &str| vec![name.to_owned()];
        let mut covariates = Covariates::new(Sbg::PROCESSES, Sbg::PARAMS, &names);
        covariates.coefficients = vec![0.04, -0.03];
        let contract = regular(None).with_covariates(covariates);
        let model = value_of(contract.clone());
        let paid = 12.5;
        let mut frame = Frame::new(1).with_numbers("tenure", vec![3.0]);
        frame = frame.with_numbers(name, vec![paid]);
        let (alone, _) = score(&contract, &frame, &options(9.0, None), 1);
        if name == "income" {
            frame = frame.with_numbers("value_per_period", vec![paid]);
        }
        assert_eq!(model.schema().fields.len(), frame.columns.len());
        let (scores, status) = score(&model, &frame, &options(9.0, None), 1);
        assert!(status[0].is_ok());
        assert_eq!(scores[LIFETIME][0].to_bits(), alone[3][0].to_bits());
        assert_eq!(scores[VALUE][0].to_bits(), (alone[3][0] * paid).to_bits());
        let back = ContractValue::from_state(&model.state()).unwrap();
        assert_eq!(back.schema(), model.schema());
    }
}

#[test]
fn state_and_probes_come_back() {
    for unit in [None, Some(TimeUnit::Month)] {
        let model = value_of(regular(unit)).with_currency("EUR").unwrap();
        let back = ContractValue::from_state(&model.state()).unwrap();
        assert_eq!(back.state(), model.state());
        assert_eq!(back.currency(), Some("EUR"));
        assert_eq!(back.subscription().contract().kind(), "clv.sbg");
        let (frame, options) = (model.probe_rows(), model.probe_options());
        model.check_options(&options).unwrap();
        let (whole, status) = score(&model, &frame, &options, frame.row_count);
        for piece in [1, 7] {
            let (again, again_status) = score(&back, &frame, &options, piece);
            assert_eq!(bits(&whole), bits(&again));
            assert_eq!(status, again_status);
        }
        let good = status.iter().filter(|status| status.is_ok()).count();
        assert!(good >= 10 && frame.row_count - good >= 5, "{good}");
    }
}

#[test]
fn states_of_something_else_are_refused() {
    let mut state = value_of(regular(None)).state();
    state.settings["contract"]["kind"] = "clv.bg_nbd".into();
    let error = ContractValue::from_state(&state).unwrap_err().to_string();
    assert!(error.contains("not a contract model"), "{error}");
    assert!(ContractValue::from_state(&ModelState::new(ContractValue::KIND)).is_err());
    let other = regular(None).state();
    let error = ContractValue::from_state(&other).unwrap_err().to_string();
    assert!(error.contains("clv.contract_value"), "{error}");
    for code in ["eur", "EURO", "", "€"] {
        assert!(value_of(regular(None)).with_currency(code).is_err());
    }
    let mut state = value_of(regular(None)).state();
    state.settings.insert("currency".to_owned(), 7.into());
    assert!(ContractValue::from_state(&state).is_err());
}

//! Lifetime value: discounting, margin, refusals, state.

mod common;

use common::{bits, cdnow, close, score};
use cvm_clv::{
    BgNbd, Customers, Forecast, GammaGamma, LifetimeValue, ParetoNbd, Purchase, PurchaseModel, Rfm,
    SpendModel, Spending, TimedPurchases,
};
use cvm_core::{
    Covariates, Frame, FrameColumn, ModelState, ParametricModel, RowCode, RowStatus, ScoreOptions,
    Scorer, TimeUnit,
};

type Model = Purchase<BgNbd>;

fn gamma_gamma(p: f64, q: f64, v: f64) -> Box<dyn SpendModel> {
    Box::new(Spending::new(GammaGamma::new(p, q, v).unwrap(), None))
}

fn model(unit: Option<TimeUnit>) -> LifetimeValue {
    let purchase = Model::new(BgNbd::new(0.2426, 4.4136, 0.7929, 2.4259).unwrap(), unit);
    LifetimeValue::new(Box::new(purchase), gamma_gamma(6.2494, 3.7443, 15.4443))
}

fn cdnow_frame() -> Frame {
    let (rows, spends) = cdnow();
    Frame::new(rows.len())
        .with_numbers("frequency", rows.iter().map(|row| row.frequency).collect())
        .with_numbers("recency", rows.iter().map(|row| row.recency).collect())
        .with_numbers("T", rows.iter().map(|row| row.age).collect())
        .with_numbers(
            "monetary_value",
            spends.iter().map(|row| row.monetary_value).collect(),
        )
}

fn options(horizon: f64, rate: Option<f64>, margin: Option<f64>) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(horizon),
        discount_rate_per_year: rate,
        margin,
        outputs: Vec::new(),
        ..ScoreOptions::default()
    }
}

#[test]
fn without_a_rate_value_is_exactly_margin_spend_and_purchases() {
    let model = model(None);
    let frame = cdnow_frame();
    for (rate, margin) in [(None, None), (Some(0.0), Some(0.3))] {
        let options = options(52.0, rate, margin);
        model.check_options(&options).unwrap();
        let (scores, status) = score(&model, &frame, &options, 1000);
        assert!(status.iter().all(|status| status.is_ok()));
        let parts = scores[1].iter().zip(&scores[2]);
        for ((purchases, spend), value) in parts.zip(&scores[3]) {
            let expected = purchases * (margin.unwrap_or(1.0) * spend);
            assert_eq!(value.to_bits(), expected.to_bits());
        }
    }
}

/// A rate takes value away, a little more than nothing and less than `(1+i)^−H`; the discounted
/// count itself is held to 1e-10 in `bg_nbd_reference.rs`.
#[test]
fn a_rate_discounts_within_its_bounds() {
    let model = model(Some(TimeUnit::Week));
    let frame = cdnow_frame();
    let horizon = 104.0;
    let plain = score(&model, &frame, &options(horizon, None, None), 4000).0;
    let rate = 0.15;
    let discounted = score(&model, &frame, &options(horizon, Some(rate), None), 4000).0;
    let years = horizon / TimeUnit::Week.periods_per_year();
    let floor = cvm_math::pow(1.0 + rate, -years);
    for row in 0..frame.row_count {
        let share = discounted[3][row] / plain[3][row];
        assert!(share < 1.0 && share > floor, "{share}");
        for same in 0..3 {
            assert_eq!(discounted[same][row].to_bits(), plain[same][row].to_bits());
        }
    }
}

/// The same customers and money with time in days instead of weeks are worth the same.
#[test]
fn the_time_unit_does_not_matter() {
    let by_week = model(Some(TimeUnit::Week));
    let purchase = Model::new(
        BgNbd::new(0.2426, 4.4136 * 7.0, 0.7929, 2.4259).unwrap(),
        Some(TimeUnit::Day),
    );
    let by_day = LifetimeValue::new(Box::new(purchase), gamma_gamma(6.2494, 3.7443, 15.4443));
    let frame = cdnow_frame();
    let mut days = frame.clone();
    for (name, column) in &mut days.columns {
        if let (true, cvm_core::FrameColumn::Numbers(values)) =
            (name == "recency" || name == "T", column)
        {
            values.iter_mut().for_each(|value| *value *= 7.0);
        }
    }
    let weekly = score(&by_week, &frame, &options(52.0, Some(0.1), None), 4000).0;
    let daily = score(&by_day, &days, &options(364.0, Some(0.1), None), 4000).0;
    for (week, day) in weekly[3].iter().zip(&daily[3]) {
        close(*day, *week, 1e-11);
    }
}

#[test]
fn a_rate_needs_a_time_unit() {
    let error = model(None).check_options(&options(52.0, Some(0.1), None));
    let violation = &error.unwrap_err().violations[0];
    assert_eq!(violation.field, "options.discount_rate_per_year");
    assert!(violation.description.contains("time unit"));
    let with_unit = model(Some(TimeUnit::Week));
    assert!(
        with_unit
            .check_options(&options(52.0, Some(0.1), None))
            .is_ok()
    );
}

#[test]
fn each_part_refuses_its_own_rows() {
    let model = model(Some(TimeUnit::Week));
    assert_eq!(model.schema().position("monetary_value"), Some(3));
    let frame = Frame::new(5)
        .with_numbers("frequency", vec![0.0, 2.0, 2.0, 2.0, f64::NAN])
        .with_numbers("recency", vec![0.0, 5.0, 5.0, 9.0, 1.0])
        .with_numbers("T", vec![8.0, 8.0, 8.0, 8.0, 8.0])
        .with_numbers("monetary_value", vec![f64::NAN, f64::NAN, 0.0, 5.0, 5.0]);
    let (scores, status) = score(&model, &frame, &options(10.0, None, None), 5);
    let expected = [
        RowStatus::OK,
        RowStatus::bad(RowCode::Missing, 3),
        RowStatus::bad(RowCode::OutOfRange, 3),
        RowStatus::bad(RowCode::Inconsistent, 1),
        RowStatus::bad(RowCode::Missing, 0),
    ];
    assert_eq!(status, expected);
    for column in &scores {
        assert!(column[0].is_finite() && column[1..].iter().all(|value| value.is_nan()));
    }
}

/// P(alive) needs no spend: a mean that is infinite only spoils what is made of it.
#[test]
fn an_infinite_spend_spoils_only_what_needs_it() {
    let purchase = Model::new(BgNbd::new(0.2426, 4.4136, 0.7929, 2.4259).unwrap(), None);
    let model = LifetimeValue::new(Box::new(purchase), gamma_gamma(6.0, 0.9, 15.0));
    let frame = Frame::new(1)
        .with_numbers("frequency", vec![0.0])
        .with_numbers("recency", vec![0.0])
        .with_numbers("T", vec![8.0])
        .with_numbers("monetary_value", vec![0.0]);
    let batch = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    for (output, code) in [(0, RowCode::Ok), (1, RowCode::Ok), (3, RowCode::Infinite)] {
        let (mut value, mut status) = ([0.0], [RowStatus::OK]);
        let mut block = cvm_core::ScoreBlock {
            outputs: vec![&mut value],
            status: &mut status,
        };
        model.score_rows(&bound, 0, &[output], &options(10.0, None, None), &mut block);
        assert_eq!(status[0].code, code);
        assert_eq!(value[0].is_infinite(), code != RowCode::Ok);
    }
}

#[test]
fn state_and_probes_come_back() {
    for unit in [None, Some(TimeUnit::Week)] {
        let model = model(unit);
        let back = LifetimeValue::from_state(&model.state()).unwrap();
        assert_eq!(back.state(), model.state());
        let frame = model.probe_rows();
        let options = model.probe_options();
        model.check_options(&options).unwrap();
        let (whole, status) = score(&model, &frame, &options, frame.row_count);
        for piece in [1, 7] {
            let (again, again_status) = score(&back, &frame, &options, piece);
            assert_eq!(bits(&whole), bits(&again));
            assert_eq!(status, again_status);
        }
        let good = status.iter().filter(|status| status.is_ok()).count();
        assert!(good >= 15 && frame.row_count - good >= 8, "{good}");
    }
    assert!(LifetimeValue::from_state(&ModelState::new("clv.lifetime_value")).is_err());
    let mut wrong = model(None).state();
    wrong.settings["purchase"]["kind"] = "clv.gamma_gamma".into();
    let error = LifetimeValue::from_state(&wrong).unwrap_err();
    assert!(
        error.to_string().contains("not a purchase model"),
        "{error}"
    );
}

/// Many probabilities of one customer have the bits that each has alone.
#[test]
fn counts_of_one_customer_have_the_bits_of_single_answers() {
    let pareto = [0.9, 6.0, 1.2, 15.0];
    let timed = TimedPurchases::from_params(&pareto, None).unwrap();
    let models: [Box<dyn PurchaseModel>; 4] = [
        Box::new(Model::from_params(&[0.2426, 4.4136, 0.7929, 2.4259], None).unwrap()),
        Box::new(Purchase::<ParetoNbd>::from_params(&pareto, None).unwrap()),
        Box::new(timed.clone()),
        Box::new(timed.with_covariates(season())),
    ];
    let row = Rfm::new(3.0, 9.1, 21.0).unwrap();
    let path = [60.0, -1.0, 0.0, 22.5, 1.0, 30.0, 0.5];
    for (place, model) in models.iter().enumerate() {
        let customers = Customers {
            rows: &[row],
            covariates: if place == 3 { &path } else { &[] },
        };
        let tails = model.ln_tails(customers, 26.0);
        for n in [0.0, 1.0, 2.0, 3.0, 7.0, 7.0, 30.0] {
            let mut alone = [0.0];
            model.forecast(Forecast::LnTail { t: 26.0, n }, customers, &mut alone);
            assert!(alone[0] <= 0.0, "{place} {n}");
            assert_eq!(tails(n).to_bits(), alone[0].to_bits(), "{place} {n}");
        }
    }
}

fn season() -> Covariates {
    let names = |process: &str| match process {
        "purchase" => vec!["season".to_owned()],
        _ => Vec::new(),
    };
    let mut season = Covariates::new(TimedPurchases::PROCESSES, TimedPurchases::PARAMS, &names);
    season.coefficients[0] = 0.8;
    season
}

/// Where counts are quadratures a file holds few customers of many orders; every refusal stays.
#[test]
fn probe_rows_are_what_the_kind_can_afford() {
    let params = [0.9, 6.0, 1.2, 15.0];
    let count = |purchase: Box<dyn PurchaseModel>| {
        let (all, own) = (purchase.probe_rows(), purchase.schema().fields.len());
        let part = LifetimeValue::new(purchase, gamma_gamma(6.25, 3.74, 15.44)).probe_rows();
        let bad = |frame: &Frame| {
            let columns = frame.columns[..own].iter().map(|(_, column)| column);
            let rows = columns.map(|column| match column {
                FrameColumn::Numbers(values) => values.iter().filter(|v| !v.is_finite()).count(),
                FrameColumn::Text { .. } => 0,
            });
            rows.sum::<usize>()
        };
        assert_eq!(bad(&all), bad(&part));
        (all.row_count, part.row_count)
    };
    let (all, part) = count(Box::new(
        Purchase::<ParetoNbd>::from_params(&params, None).unwrap(),
    ));
    assert_eq!(all, part);
    let timed = TimedPurchases::from_params(&params, None).unwrap();
    let (all, part) = count(Box::new(timed));
    assert!(part < all && part > 15, "{part} of {all}");
}

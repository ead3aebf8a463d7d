//! Contract value through the door: composed from a fit with its covariance, saved and opened.

use cvm::{FitOptions, Frame, Model, ScoreOptions, TimeUnit};

/// The Regular segment of Fader & Hardie (2007): customers remaining after each renewal.
const REGULAR: [f64; 8] = [1000.0, 631.0, 468.0, 382.0, 326.0, 289.0, 262.0, 241.0];

fn regular() -> Model {
    let left = REGULAR.windows(2).map(|pair| pair[0] - pair[1]);
    let tenures = (1..8).map(f64::from).chain([7.0]);
    let frame = Frame::new(8)
        .with_numbers("tenure", tenures.collect())
        .with_numbers("churned", [vec![1.0; 7], vec![0.0]].concat())
        .with_numbers("weight", left.chain([REGULAR[7]]).collect());
    let options = FitOptions {
        time_unit: Some(TimeUnit::Year),
        weight_column: Some("weight".to_owned()),
        ..FitOptions::default()
    };
    let fitted = cvm::fit("clv.sbg", &frame.batch().unwrap(), &options);
    fitted.unwrap().model
}

fn customers() -> Frame {
    Frame::new(2)
        .with_numbers("tenure", vec![0.0, 4.0])
        .with_numbers("value_per_period", vec![50.0, 80.0])
}

fn forever(interval: Option<f64>) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(f64::INFINITY),
        discount_rate_per_year: Some(0.1),
        interval_level: interval,
        ..ScoreOptions::default()
    }
}

/// DEL 3.6949 and, after four renewals, 1 + DERL/1.1 with DERL 5.8941 (Fader & Hardie 2010); the
/// interval of the value is that of the lifetime, in money.
#[test]
fn the_fit_of_a_contract_gives_value_with_intervals() {
    let contract = regular();
    let value = cvm::contract_value(&contract, Some("EUR")).unwrap();
    assert_eq!(value.kind(), "clv.contract_value");
    let frame = customers();
    let batch = frame.batch().unwrap();
    let scores = value.score(&batch, &forever(Some(0.95))).unwrap();
    assert!(scores.status.iter().all(|status| status.is_ok()));
    let column = |name: &str| scores.get(name).unwrap().to_vec();
    let got = column("lifetime_value");
    for (got, want) in got.iter().zip([50.0 * 3.6949, 80.0 * (1.0 + 5.8941 / 1.1)]) {
        assert!((got - want).abs() < 5e-3, "{got} {want}");
    }
    let lifetimes = contract.score(&batch, &forever(Some(0.95))).unwrap();
    let lower = lifetimes.get("expected_lifetime_periods_lower").unwrap();
    let mean = lifetimes.get("expected_lifetime_periods").unwrap();
    let ends = column("lifetime_value_lower")
        .into_iter()
        .zip(column("lifetime_value_upper"));
    for (row, (low, high)) in ends.enumerate() {
        // Both have one standard error; the lifetime's interval is symmetric in its logarithm.
        let half = 0.5 * (high - low) / got[row];
        let log_half = cvm_math::ln(mean[row] / lower[row]);
        assert!(
            half > 0.01 && (half / log_half - 1.0).abs() < 1e-6,
            "{half} {log_half}"
        );
    }
    assert_eq!(
        column("expected_spend_lower"),
        column("expected_spend_upper")
    );
    let opened = Model::open(&value.encode().unwrap()).unwrap();
    assert_eq!(opened.fingerprint(), value.fingerprint());
    let again = opened.score(&batch, &forever(Some(0.95))).unwrap();
    assert_eq!(again, scores);
}

#[test]
fn a_model_of_another_family_and_a_word_are_refused() {
    let params = [("p", 6.25), ("q", 3.74), ("v", 15.44)].map(|(name, v)| (name.to_owned(), v));
    let spend = cvm::from_params("clv.gamma_gamma", &params, None).unwrap();
    let error = cvm::contract_value(&spend, None).unwrap_err();
    assert!(
        error.message.contains("not a contract model"),
        "{}",
        error.message
    );
    let odds = [("odds".to_owned(), 0.25)];
    let contract = cvm::from_params("clv.geometric", &odds, None).unwrap();
    assert!(cvm::contract_value(&contract, Some("euro")).is_err());
    // Without a fit there is nothing to make an interval of.
    let value = cvm::contract_value(&contract, None).unwrap();
    let options = ScoreOptions {
        discount_rate_per_year: None,
        ..forever(Some(0.9))
    };
    assert!(
        value
            .score(&customers().batch().unwrap(), &options)
            .is_err()
    );
}

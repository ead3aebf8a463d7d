//! Lifetime value of any models: shared columns, covariates of both, infinity, costs, spread, currency.

mod common;

use common::{bits, close, score};
use cvm_clv::{
    BgNbd, Flow, GammaGamma, LifetimeValue, LogNormalSpend, Purchase, PurchaseFormulas, Rfm, Spend,
    SpendFormulas, SpendPolicy, Spending, StreamChunk, ValueStream,
};
use cvm_core::{
    BoundBatch, Covariates, Domain, Frame, InputField, InputSchema, ModelState, ParametricModel,
    RowCode, RowStatus, ScoreOptions, Scorer, TimeUnit,
};

type Buying = Purchase<BgNbd>;
type Gamma = Spending<GammaGamma>;
type Logs = Spending<LogNormalSpend>;

fn bg_nbd() -> BgNbd {
    BgNbd::new(0.2426, 4.4136, 0.7929, 2.4259).unwrap()
}

fn buying() -> Buying {
    Buying::new(bg_nbd(), Some(TimeUnit::Week))
}

fn gamma() -> Gamma {
    Gamma::new(GammaGamma::new(6.25, 3.74, 15.44).unwrap(), None)
}

fn with_covariate<M: ParametricModel>(model: M, process: &'static str, column: &str, b: f64) -> M {
    let names = |own: &str| {
        let here = own == process;
        here.then(|| column.to_owned()).into_iter().collect()
    };
    let mut covariates = Covariates::new(M::PROCESSES, M::PARAMS, &names);
    covariates.coefficients.fill(b);
    model.with_covariates(covariates)
}

fn options(horizon: f64) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(horizon),
        ..ScoreOptions::default()
    }
}

fn customers() -> Frame {
    Frame::new(3)
        .with_numbers("frequency", vec![0.0, 2.0, 7.0])
        .with_numbers("recency", vec![0.0, 30.43, 29.43])
        .with_numbers("T", vec![38.86, 38.86, 38.86])
        .with_numbers("monetary_value", vec![f64::NAN, 22.35, 73.74])
        .with_numbers("log_spend_mean", vec![f64::NAN, 3.0, 4.2])
        .with_numbers("income", vec![0.5, -1.0, 2.0])
        .with_numbers("size", vec![1.0, 0.0, -0.5])
}

const ROWS: [(f64, f64, f64, f64); 3] = [
    (0.0, 0.0, 0.5, 1.0),
    (2.0, 30.43, -1.0, 0.0),
    (7.0, 29.43, 2.0, -0.5),
];

/// Every part by hand: covariates of both scale their parameters, a shared column is there once.
#[test]
fn covariates_of_both_models_reach_their_own_parameters() {
    let purchase = with_covariate(buying(), "purchase", "income", 0.3);
    let own = with_covariate(gamma(), "spend", "size", 0.2);
    let shared = with_covariate(gamma(), "spend", "income", 0.2);
    for (spend, name, share) in [(own, "size", false), (shared, "income", true)] {
        let model = LifetimeValue::new(Box::new(purchase.clone()), Box::new(spend));
        let names: Vec<&str> = model
            .schema()
            .fields
            .iter()
            .map(|f| f.name.as_str())
            .collect();
        let mut expected = vec!["frequency", "recency", "T", "income", "monetary_value"];
        if !share {
            expected.push(name);
        }
        assert_eq!(names, expected);
        let (scores, status) = score(&model, &customers(), &options(39.0), 2);
        assert!(status.iter().all(|status| status.is_ok()), "{status:?}");
        for (row, (x, recency, income, size)) in ROWS.into_iter().enumerate() {
            let shift = if share { income } else { size };
            let alpha = 4.4136 * cvm_math::exp(-0.3 * income);
            let v = 15.44 * cvm_math::exp(0.2 * shift);
            let buys = BgNbd::new(0.2426, alpha, 0.7929, 2.4259).unwrap();
            let worth = GammaGamma::new(6.25, 3.74, v).unwrap();
            let customer = Rfm::new(x, recency, 38.86).unwrap();
            let mean = [0.0, 22.35, 73.74][row];
            let orders = buys.p_alive(&customer) * buys.purchases(&customer, 39.0);
            let spend = worth.expected_spend(&Spend::of_mean(x, mean));
            close(scores[1][row], orders, 1e-13);
            close(scores[2][row], spend, 1e-14);
            close(scores[3][row], orders * spend, 1e-13);
        }
        let back = LifetimeValue::from_state(&model.state()).unwrap();
        assert_eq!(back.state(), model.state());
        assert_eq!(
            bits(&scores),
            bits(&score(&back, &customers(), &options(39.0), 3).0)
        );
        let (frame, probe) = (model.probe_rows(), model.probe_options());
        let (_, status) = score(&model, &frame, &probe, 64);
        let good = status.iter().filter(|status| status.is_ok()).count();
        assert!(good >= 8 && frame.row_count - good >= 8, "{good}");
    }
}

#[test]
fn log_normal_spend_composes_too() {
    let spend = LogNormalSpend::new(3.29, 0.47, 0.56).unwrap();
    let model = LifetimeValue::new(Box::new(buying()), Box::new(Logs::new(spend.clone(), None)));
    assert_eq!(model.schema().position("log_spend_mean"), Some(3));
    let (scores, status) = score(&model, &customers(), &options(39.0), 1);
    assert!(status.iter().all(|status| status.is_ok()));
    for (row, (x, ..)) in ROWS.into_iter().enumerate() {
        let mean = [0.0, 3.0, 4.2][row];
        let want = spend.expected_spend(&Spend::of_logs(x, mean, 0.0));
        assert_eq!(scores[2][row].to_bits(), want.to_bits());
        assert_eq!(scores[3][row].to_bits(), (scores[1][row] * want).to_bits());
    }
    let back = LifetimeValue::from_state(&model.state()).unwrap();
    assert_eq!(
        bits(&score(&back, &customers(), &options(39.0), 3).0),
        bits(&scores)
    );
    let mut wrong = model.state();
    wrong.settings["spend"]["kind"] = "clv.bg_nbd".into();
    let error = LifetimeValue::from_state(&wrong).unwrap_err().to_string();
    assert!(error.contains("not a spend model"), "{error}");
}

/// Under `all` a one-time buyer has one purchase, and a missing value of it is missed.
#[test]
fn the_policy_of_purchases_travels_with_the_model() {
    let settings = serde_json::json!({"policy": "all"});
    let settings = settings.as_object().unwrap();
    let spend = gamma().with_settings(settings).unwrap();
    assert!(spend.policy().first_purchase);
    let model = LifetimeValue::new(Box::new(buying()), Box::new(spend.clone()));
    let model = LifetimeValue::from_state(&model.state()).unwrap();
    let frame = Frame::new(3)
        .with_numbers("frequency", vec![0.0, 0.0, 2.0])
        .with_numbers("recency", vec![0.0, 0.0, 5.0])
        .with_numbers("T", vec![9.0, 9.0, 9.0])
        .with_numbers("monetary_value", vec![50.0, f64::NAN, 20.0]);
    let (scores, status) = score(&model, &frame, &options(39.0), 3);
    let formulas = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
    close(
        scores[2][0],
        formulas.expected_spend(&Spend::of_mean(1.0, 50.0)),
        1e-15,
    );
    close(
        scores[2][2],
        formulas.expected_spend(&Spend::of_mean(3.0, 20.0)),
        1e-15,
    );
    assert_eq!(status[1], RowStatus::bad(RowCode::Missing, 3));

    let read = Gamma::reader(settings).unwrap();
    assert!(matches!(read(&[0.0, 50.0]), Ok(cvm_core::Reading::Used(row)) if row.frequency == 1.0));
    let read = Gamma::reader(&serde_json::Map::new()).unwrap();
    assert!(matches!(
        read(&[0.0, 50.0]),
        Ok(cvm_core::Reading::Excluded(why)) if why.contains("one-time")
    ));
    assert_eq!(
        read(&[2.0, 0.0]),
        Err(RowStatus::bad(RowCode::OutOfRange, 1))
    );
    let exclude = serde_json::json!({"zero_amounts": "exclude"});
    let read = Gamma::reader(exclude.as_object().unwrap()).unwrap();
    assert!(matches!(
        read(&[2.0, 0.0]),
        Ok(cvm_core::Reading::Excluded(why)) if why.contains("free")
    ));
    assert_eq!(
        read(&[2.0, -1.0]),
        Err(RowStatus::bad(RowCode::OutOfRange, 1))
    );
    assert!(Buying::reader(settings).is_err());
    // Nothing of it in the file by default.
    assert_eq!(gamma().state().settings.get("policy"), None);
    let default = gamma().with_policy(SpendPolicy::default());
    assert_eq!(default.state(), gamma().state());
}

/// Costs by hand; without a horizon's end a living customer costs for ever.
#[test]
fn costs_are_taken_off_and_infinity_is_said() {
    let model = LifetimeValue::new(Box::new(buying()), Box::new(gamma()));
    let with = ScoreOptions {
        margin: Some(0.3),
        cost_per_order: Some(2.0),
        cost_per_period: Some(0.05),
        discount_rate_per_year: Some(0.1),
        ..options(39.0)
    };
    let (scores, _) = score(&model, &customers(), &with, 3);
    let delta = cvm_math::log1p(0.1) / TimeUnit::Week.periods_per_year();
    for (row, (x, recency, ..)) in ROWS.into_iter().enumerate() {
        let customer = Rfm::new(x, recency, 38.86).unwrap();
        let periods = bg_nbd().p_alive(&customer) * bg_nbd().lifetime(&customer, 39.0, delta);
        let want = scores[4][row] * (0.3 * scores[2][row] - 2.0) - 0.05 * periods;
        close(scores[3][row], want, 1e-13);
    }
    let forever = ScoreOptions {
        discount_rate_per_year: Some(0.1),
        outputs: vec!["lifetime_value".to_owned()],
        ..options(f64::INFINITY)
    };
    let value = only(&model, &customers(), &forever, 3);
    assert!(
        value
            .iter()
            .all(|(value, status)| value.is_finite() && status.is_ok())
    );
    let longer = only(
        &model,
        &customers(),
        &ScoreOptions {
            horizon_periods: Some(1e5),
            ..forever
        },
        3,
    );
    for (a, b) in value.iter().zip(&longer) {
        close(a.0, b.0, 1e-8);
    }

    let heavy = Gamma::new(GammaGamma::new(6.25, 0.8, 15.44).unwrap(), None);
    let model = LifetimeValue::new(Box::new(buying()), Box::new(heavy));
    let infinite = only(&model, &customers(), &options(39.0), 3);
    assert_eq!(infinite[0].0, f64::INFINITY);
    assert_eq!(infinite[0].1.code, RowCode::Infinite);
    assert!(infinite[1].1.is_ok());
    let loss = ScoreOptions {
        margin: Some(-1.0),
        ..options(39.0)
    };
    assert_eq!(only(&model, &customers(), &loss, 3)[0].0, f64::NEG_INFINITY);
    // A margin of nothing leaves the cost alone.
    let nothing = ScoreOptions {
        margin: Some(0.0),
        cost_per_order: Some(2.0),
        ..options(39.0)
    };
    let cost = only(&model, &customers(), &nothing, 3)[0];
    assert!(cost.1.is_ok() && cost.0 < 0.0 && cost.0.is_finite());
}

/// One output alone, with its statuses.
fn only(
    model: &LifetimeValue,
    frame: &Frame,
    options: &ScoreOptions,
    output: usize,
) -> Vec<(f64, RowStatus)> {
    let batch = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    let mut values = vec![0.0; frame.row_count];
    let mut status = vec![RowStatus::OK; frame.row_count];
    let mut block = cvm_core::ScoreBlock {
        outputs: vec![&mut values],
        status: &mut status,
    };
    model.score_rows(&bound, 0, &[output], options, &mut block);
    values.into_iter().zip(status).collect()
}

/// Against the sum over counts, and against simulated customers' second moments in closed form:
/// with `N ≤ 1` the variance is that of a Bernoulli count.
#[test]
fn the_spread_is_that_of_a_compound_sum() {
    let model = LifetimeValue::new(Box::new(buying()), Box::new(gamma()));
    let with = ScoreOptions {
        margin: Some(0.4),
        cost_per_order: Some(3.0),
        ..options(26.0)
    };
    let got = only(&model, &customers(), &with, 5);
    let formulas = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
    for (row, (x, recency, ..)) in ROWS.into_iter().enumerate() {
        let customer = Rfm::new(x, recency, 38.86).unwrap();
        let alive = bg_nbd().p_alive(&customer);
        let (mut first, mut second) = (0.0, 0.0);
        for n in 1..600 {
            let n = f64::from(n);
            let p = alive * cvm_math::exp(bg_nbd().ln_pmf(&customer, 26.0, n));
            first += n * p;
            second += n * n * p;
        }
        let spend = Spend::of_mean(x, [0.0, 22.35, 73.74][row]);
        let gain = 0.4 * formulas.expected_spend(&spend) - 3.0;
        let share = 0.16;
        let variance = share * first * formulas.variance_within(&spend)
            + second * (share * formulas.variance_of_mean(&spend) + gain * gain)
            - first * first * gain * gain;
        assert!(got[row].1.is_ok());
        close(got[row].0, variance.sqrt(), 1e-9);
    }
}

#[test]
fn currency_is_three_capital_letters() {
    let model = LifetimeValue::new(Box::new(buying()), Box::new(gamma()));
    assert_eq!(model.currency(), None);
    assert_eq!(model.state().settings.get("currency"), None);
    let euro = model.clone().with_currency("EUR").unwrap();
    let back = LifetimeValue::from_state(&euro.state()).unwrap();
    assert_eq!(back.currency(), Some("EUR"));
    for bad in ["eur", "EURO", "", "E1R", "ÉU"] {
        let error = model.clone().with_currency(bad).unwrap_err();
        assert_eq!(error.violations[0].field, "currency");
        let mut state = euro.state();
        state.settings["currency"] = bad.into();
        assert!(LifetimeValue::from_state(&state).is_err(), "{bad}");
    }
}

/// A fee paid at the end of every period by a customer who stays with probability 0.9: the seam a
/// contract model uses, on a discrete clock.
#[derive(Debug, Clone)]
struct Subscription {
    schema: InputSchema,
}

#[derive(Debug)]
struct Fees(Vec<f64>);

impl ValueStream for Subscription {
    fn schema(&self) -> &InputSchema {
        &self.schema
    }
    fn age(&self) -> Option<&'static str> {
        None
    }
    fn time_unit(&self) -> Option<TimeUnit> {
        Some(TimeUnit::Year)
    }
    fn clock(&self) -> cvm_clv::Clock {
        cvm_clv::Clock::Discrete
    }
    fn store(&self, _state: &mut ModelState) {}
    fn probe_rows(&self) -> Frame {
        Frame::new(0)
    }
    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions::default()
    }
    fn chunk(&self) -> Box<dyn StreamChunk + '_> {
        Box::new(Fees(Vec::new()))
    }
    fn clone_box(&self) -> Box<dyn ValueStream> {
        Box::new(self.clone())
    }
}

impl StreamChunk for Fees {
    fn read(&mut self, batch: &BoundBatch<'_, '_>, start: usize, status: &mut [RowStatus]) {
        self.0 = vec![0.0; status.len()];
        batch.read_numbers(0, start, &mut self.0);
        status.fill(RowStatus::OK);
    }
    fn flow(&self, what: Flow, out: &mut [f64]) {
        let (t, delta) = match what {
            Flow::Payments { t, delta } | Flow::Periods { t, delta } => (t, delta),
            Flow::PaymentValue => return out.copy_from_slice(&self.0),
            Flow::PAlive | Flow::Variance { .. } => return out.fill(1.0),
        };
        let factor = 0.9 * cvm_math::exp(-delta);
        let sum = factor * (1.0 - cvm_math::pow(factor, t)) / (1.0 - factor);
        out.fill(sum);
    }
}

#[test]
fn any_stream_is_valued_and_a_discrete_horizon_is_cut() {
    let fee = InputField::number("fee", "currency", Domain::Positive);
    let schema = InputSchema {
        fields: vec![fee],
        time_unit: Some(TimeUnit::Year),
    };
    let model = LifetimeValue::of_stream(Box::new(Subscription { schema }));
    let frame = Frame::new(2).with_numbers("fee", vec![10.0, 30.0]);
    let with = |horizon: f64| ScoreOptions {
        discount_rate_per_year: Some(0.1),
        cost_per_period: Some(1.0),
        ..options(horizon)
    };
    // 0.9/1.1 + (0.9/1.1)² = 1.487603…
    let factor = 0.9 / 1.1;
    let want = factor + factor * factor;
    for horizon in [2.0, 2.7] {
        let got = only(&model, &frame, &with(horizon), 3);
        close(got[0].0, 9.0 * want, 1e-14);
        close(got[1].0, 29.0 * want, 1e-14);
    }
    let forever = only(&model, &frame, &with(f64::INFINITY), 3);
    close(forever[0].0, 9.0 * factor / (1.0 - factor), 1e-13);
}

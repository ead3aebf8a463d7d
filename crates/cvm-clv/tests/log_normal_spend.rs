//! Log-normal spend: derivatives, grouping, simulation, shrinkage, refusals, scoring.

mod common;

use common::{bits, check_derivatives, close, evaluate, score};
use cvm_clv::{LogNormalSpend, MergedRows, Spend, SpendFormulas, Spending};
use cvm_core::{
    Covariates, Derivatives, Likelihood, Order, ParametricModel, RowCode, RowStatus, Scorer,
};

type Model = Spending<LogNormalSpend>;

const TRUTH: [f64; 3] = [3.2, 0.7, 0.5];

fn model() -> Model {
    Model::from_params(&TRUTH, None).unwrap()
}

fn customers(count: u32, seed: u64) -> Vec<Spend> {
    let template = |index: u32| Spend::of_mean(f64::from(1 + index % 9), 0.0);
    let templates: Vec<Spend> = (0..count).map(template).collect();
    model().simulate(&templates, seed)
}

/// Newton on `(m, ln τ, ln σ)` would be the fit's; here plain damped Newton on the parameters.
fn fit(likelihood: &impl Likelihood, start: &[f64]) -> (Vec<f64>, Derivatives) {
    let mut theta = start.to_vec();
    let mut at = evaluate(likelihood, &theta, Order::Hessian);
    for _ in 0..100 {
        let step = solve(&at);
        let mut scale = 1.0;
        loop {
            let next: Vec<f64> = theta
                .iter()
                .zip(&step)
                .map(|(t, s)| t + scale * s)
                .collect();
            let there = evaluate(likelihood, &next, Order::Hessian);
            if next[1] > 0.0 && next[2] > 0.0 && there.value >= at.value {
                (theta, at) = (next, there);
                break;
            }
            scale *= 0.5;
            if scale < 1e-12 {
                return (theta, at);
            }
        }
    }
    (theta, at)
}

/// Cramer's rule on the diagonal part where the Hessian is not negative definite.
fn solve(at: &Derivatives) -> Vec<f64> {
    let h = |i: usize, j: usize| -at.hessian[i * 3 + j];
    let minor = h(1, 1) * h(2, 2) - h(1, 2) * h(1, 2);
    let determinant = h(0, 0) * minor - h(0, 1) * (h(0, 1) * h(2, 2) - h(1, 2) * h(0, 2))
        + h(0, 2) * (h(0, 1) * h(1, 2) - h(1, 1) * h(0, 2));
    if h(0, 0) <= 0.0 || h(0, 0) * h(1, 1) - h(0, 1) * h(0, 1) <= 0.0 || determinant <= 0.0 {
        return (0..3)
            .map(|i| at.gradient[i] / (h(i, i).abs() + 1.0))
            .collect();
    }
    let column = |k: usize| {
        let entry = |i: usize, j: usize| if j == k { at.gradient[i] } else { h(i, j) };
        let e = |i, j| entry(i, j);
        (e(0, 0) * (e(1, 1) * e(2, 2) - e(1, 2) * e(2, 1))
            - e(0, 1) * (e(1, 0) * e(2, 2) - e(1, 2) * e(2, 0))
            + e(0, 2) * (e(1, 0) * e(2, 1) - e(1, 1) * e(2, 0)))
            / determinant
    };
    (0..3).map(column).collect()
}

#[test]
fn derivatives_agree_with_differences() {
    let rows = customers(300, 1);
    let grouped = Model::likelihood(&rows, None);
    let merged = MergedRows::<LogNormalSpend>::new(&rows, None);
    for theta in [[3.2, 0.7, 0.5], [2.0, 0.1, 1.5], [4.5, 2.0, 0.3]] {
        check_derivatives(&grouped, &theta, 1e-5);
        let (a, b) = (
            evaluate(&grouped, &theta, Order::Hessian),
            evaluate(&merged, &theta, Order::Hessian),
        );
        close(a.value, b.value, 1e-12);
        let pairs = a.gradient.iter().zip(&b.gradient);
        for (x, y) in pairs.chain(a.hessian.iter().zip(&b.hessian)) {
            assert!((x - y).abs() < 1e-10 * (1.0 + x.abs()), "{x} {y}");
        }
    }
}

#[test]
fn weights_count_and_order_does_not() {
    let rows = customers(500, 2);
    let weights: Vec<f64> = (0..rows.len()).map(|row| (row % 4) as f64 * 0.5).collect();
    let weighted = Model::likelihood(&rows, Some(&weights));
    let by_hand: f64 = rows
        .iter()
        .zip(&weights)
        .map(|(row, weight)| weight * model().log_lik(row))
        .sum();
    close(
        evaluate(&weighted, &TRUTH, Order::Value).value,
        by_hand,
        1e-12,
    );
    assert_eq!(weighted.weight(), weights.iter().sum::<f64>());
    let mut reversed = rows.clone();
    reversed.reverse();
    let value = |rows: &[Spend]| {
        let likelihood = Model::likelihood(rows, None);
        evaluate(&likelihood, &TRUTH, Order::Value).value.to_bits()
    };
    assert_eq!(value(&rows), value(&reversed));
}

#[test]
fn simulated_customers_give_their_parameters_back() {
    let rows = customers(60_000, 5);
    assert_eq!(rows, customers(60_000, 5));
    let likelihood = Model::likelihood(&rows, None);
    let starts = Model::starts(&likelihood);
    assert!(starts.len() >= 3);
    for start in starts {
        let (theta, at) = fit(&likelihood, &start);
        let gain = at.value - evaluate(&likelihood, &TRUTH, Order::Value).value;
        // Twice the gain is chi-squared with 3 degrees of freedom: 16.3 is its 99.9 % point.
        assert!((0.0..8.15).contains(&gain), "{gain} at {theta:?}");
    }
}

/// A covariate shifts `m`: on the currency's scale it multiplies spend, as it does Gamma-Gamma's.
#[test]
fn a_covariate_multiplies_spend() {
    let named = |process: &str| match process {
        "spend" => vec!["size".to_owned()],
        _ => Vec::new(),
    };
    let mut covariates = Covariates::new(Model::PROCESSES, Model::PARAMS, &named);
    assert_eq!(covariates.terms[0].name, "spend.size");
    covariates.coefficients = vec![0.4];
    let plain = model();
    let moved = model().with_covariates(covariates.clone());
    assert_eq!(moved.schema().position("size"), Some(2));
    let frame = cvm_core::Frame::new(2)
        .with_numbers("frequency", vec![0.0, 0.0])
        .with_numbers("log_spend_mean", vec![f64::NAN, f64::NAN])
        .with_numbers("size", vec![0.0, 2.0]);
    let (scores, status) = score(&moved, &frame, &moved.probe_options(), 1);
    assert!(status.iter().all(|status| status.is_ok()));
    close(scores[0][0], plain.expected_spend_new(), 1e-15);
    close(scores[0][1] / scores[0][0], cvm_math::exp(0.8), 1e-14);
    let back = Model::from_state(&moved.state()).unwrap();
    assert_eq!(back.state(), moved.state());

    let rows = customers(400, 3);
    let values: Vec<f64> = (0..rows.len()).map(|row| (row % 5) as f64 - 2.0).collect();
    let boxed = Model::covariate_likelihood(&rows, &values, None, &covariates).unwrap();
    let theta = [3.1, 0.6, 0.55, 0.1];
    let at = |theta: &[f64], order| {
        let mut sum = Derivatives::zero(4);
        for block in 0..boxed.block_count() {
            boxed.accumulate(theta, block, order, &mut sum);
        }
        sum
    };
    let own = at(&theta, Order::Hessian);
    for j in 0..4 {
        let step = 1e-5;
        let shifted = |sign: f64| {
            let mut moved = theta;
            moved[j] += sign * step;
            at(&moved, Order::Gradient)
        };
        let (up, down) = (shifted(1.0), shifted(-1.0));
        let slope = (up.value - down.value) / (2.0 * step);
        assert!(
            (slope - own.gradient[j]).abs() < 1e-5 * (1.0 + slope.abs()),
            "{j}"
        );
        for i in 0..4 {
            let second = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
            let error = (second - own.hessian[i * 4 + j]).abs();
            assert!(error < 1e-5 * (1.0 + second.abs()), "{i} {j}: {second}");
        }
    }
}

/// Between the customer's own mean and the population's, closer to the own with every purchase.
#[test]
fn spend_is_shrunk() {
    let model = model();
    let mut before = model.expected_spend_new();
    for x in [1.0, 2.0, 5.0, 50.0, 1e6] {
        let now = model.median_spend(&Spend::of_logs(x, 5.0, 0.4));
        assert!(now > before * 0.99, "{x}: {now} {before}");
        before = now;
    }
    close(before, cvm_math::exp(5.0 + 0.5 * TRUTH[2] * TRUTH[2]), 1e-4);
}

#[test]
fn rows_that_say_nothing_and_rows_that_are_wrong() {
    const NAN: f64 = f64::NAN;
    assert_eq!(Model::row(&[0.0, NAN, NAN]), Ok(None));
    let one = Model::row(&[1.0, 2.5, NAN]).unwrap().unwrap();
    assert_eq!((one.log_mean, one.log_sd), (2.5, 0.0));
    assert!(Model::row(&[1.0, -3.0, 0.0]).unwrap().is_some());
    let cases = [
        ([1.0, NAN, 0.0], RowCode::Missing, 1),
        ([1.0, f64::NEG_INFINITY, 0.0], RowCode::NotFinite, 1),
        ([1.0, 800.0, 0.0], RowCode::OutOfRange, 1),
        ([2.0, 1.0, NAN], RowCode::Missing, 2),
        ([2.0, 1.0, -0.1], RowCode::OutOfRange, 2),
        ([2.0, 1.0, 1e9], RowCode::OutOfRange, 2),
        ([0.5, 1.0, 0.0], RowCode::OutOfRange, 0),
    ];
    for (values, code, field) in cases {
        assert_eq!(
            Model::row(&values),
            Err(RowStatus::bad(code, field)),
            "{values:?}"
        );
    }
    let settings = serde_json::json!({"zero_amounts": "exclude"});
    let reader = Model::reader(settings.as_object().unwrap()).unwrap();
    assert!(matches!(
        reader(&[2.0, NAN, 0.0]),
        Ok(cvm_core::Reading::Excluded(why)) if why.contains("free")
    ));
}

#[test]
fn probes_cover_and_chunking_changes_nothing() {
    let model = model();
    let frame = model.probe_rows();
    let options = model.probe_options();
    let (whole, status) = score(&model, &frame, &options, frame.row_count);
    let (pieces, pieces_status) = score(&model, &frame, &options, 5);
    assert_eq!(bits(&whole), bits(&pieces));
    assert_eq!(status, pieces_status);
    let good = status.iter().filter(|status| status.is_ok()).count();
    assert!(good >= 30 && frame.row_count - good >= 6, "{good}");
    let back = Model::from_state(&model.state()).unwrap();
    assert_eq!(back.state(), model.state());
    assert_eq!(model.kind(), "clv.log_normal_spend");
}

//! Parameters and rows at the ends of what is legal: every score is a number or a refusal with its reason.

use cvm_clv::{
    Bdw, BgBb, BgCnbdK, BgNbd, Contract, DiscreteWeibull, GGompertzNbd, GammaGamma, Geometric,
    LogNormalSpend, MbgCnbdK, MbgNbd, Nbd, ParetoNbd, ParetoNbdCorrelated, Purchase, Random, Sbg,
    Spending,
};
use cvm_core::{Frame, ParametricModel, RowCode, ScoreOptions, Scorer, TimeUnit};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Twelve rows take no longer, whatever the parameters, also on a busy machine without optimization.
const BOUND: Duration = Duration::from_secs(60);

/// What parameters are drawn from; 0.5 where a value is not legal.
const ENDS: [f64; 12] = [
    1e-300, 1e-100, 1e-20, 1e-8, 1e-3, 0.5, 1.0, 7.0, 1e3, 1e8, 1e20, 1e300,
];

/// Rows at the edges: `x`, `t_x`, `T`.
const ROWS: [[f64; 3]; 12] = [
    [0.0, 0.0, 0.0],
    [0.0, 0.0, 1e-12],
    [0.0, 0.0, 40.0],
    [0.0, 0.0, 1e12],
    [1.0, 1.0, 1.0],
    [1.0, 1.0, 40.0],
    [1.0, 1e-9, 1e-9],
    [3.0, 38.0, 40.0],
    [20.0, 40.0, 40.0],
    [400.0, 390.0, 1000.0],
    [10_000.0, 20_000.0, 20_000.0],
    [10_000.0, 10_001.0, 20_000.0],
];

fn frame(model: &dyn Scorer) -> Frame {
    let mut frame = Frame::new(ROWS.len());
    for field in &model.schema().fields {
        let cell = |[x, recency, age]: &[f64; 3]| match field.name.as_str() {
            "frequency" => *x,
            "recency" => recency.ceil().min(age.ceil()).max(*x),
            "T" => *age,
            "n_periods" | "tenure" => age.ceil(),
            "log_gap_sum" if *x > 0.0 => x * cvm_math::ln(recency / x) - 0.3 * (x - 1.0),
            "log_gap_sum" | "churned" => 0.0,
            "monetary_value" if *x > 0.0 => 30.0,
            "monetary_value" | "log_spend_sd" => 0.0,
            "log_spend_mean" => 3.4,
            other => panic!("column {other} of {}", model.kind()),
        };
        let continuous = model.schema().fields.iter().any(|field| field.name == "T");
        let cell = |row: &[f64; 3]| {
            if field.name == "recency" && continuous {
                row[1]
            } else {
                cell(row)
            }
        };
        frame = frame.with_numbers(
            field.name.clone(),
            ROWS.iter().map(cell).collect::<Vec<_>>(),
        );
    }
    frame
}

/// What was found about one kind: NaN by output, with the first place.
#[derive(Default)]
struct Found {
    scores: usize,
    undefined: BTreeMap<String, (usize, String)>,
    slowest: (Duration, String),
}

impl Found {
    fn see(&mut self, model: &dyn Scorer, params: &[f64]) {
        let frame = frame(model);
        for (index, output) in model.outputs().iter().enumerate() {
            for horizon in [1e-9, 1.0, 50.0, 1e9, f64::INFINITY] {
                for rate in [0.0, 0.1] {
                    let options = ScoreOptions {
                        horizon_periods: Some(horizon),
                        discount_rate_per_year: Some(rate),
                        purchases: Some(if rate == 0.0 { 1.0 } else { 30.0 }),
                        quantile: Some(0.5),
                        outputs: vec![output.name.to_owned()],
                        ..ScoreOptions::default()
                    };
                    self.one(model, &frame, (index, &options), &|row| {
                        format!("{params:?} {:?} {horizon:e} {rate}", ROWS[row])
                    });
                }
            }
        }
    }

    fn one(
        &mut self,
        model: &dyn Scorer,
        frame: &Frame,
        (index, options): (usize, &ScoreOptions),
        place: &dyn Fn(usize) -> String,
    ) {
        let start = Instant::now();
        let batch = frame.batch().unwrap();
        let bound = batch.bind(model.schema()).unwrap();
        let mut values = vec![0.0; frame.row_count];
        let mut status = vec![cvm_core::RowStatus::OK; frame.row_count];
        let mut block = cvm_core::ScoreBlock {
            outputs: vec![&mut values],
            status: &mut status,
        };
        model.score_rows(&bound, 0, &[index], options, &mut block);
        let name = model.outputs()[index].name;
        if start.elapsed() > self.slowest.0 {
            self.slowest = (start.elapsed(), format!("{name} {}", place(0)));
        }
        for (row, (value, status)) in values.iter().zip(&status).enumerate() {
            let is_scored = matches!(status.code, RowCode::Ok | RowCode::Infinite);
            self.scores += usize::from(is_scored);
            if status.code == RowCode::Undefined || (is_scored && value.is_nan()) {
                let entry = self.undefined.entry(name.to_owned());
                entry.or_insert_with(|| (0, place(row))).0 += 1;
            }
        }
    }
}

/// Kinds whose every score is a number with parameters drawn from these.
fn scan<M: ParametricModel + Scorer>(ends: &[f64], most: usize) {
    scan_where::<M>(ends, most, |_| true);
}

/// The same for those parameters among them that mean something.
fn scan_where<M: ParametricModel + Scorer>(
    ends: &[f64],
    most: usize,
    means_something: fn(&[f64]) -> bool,
) {
    let many = if std::env::var_os("CVM_SLOW").is_some() {
        20
    } else {
        1
    };
    let mut random = Random::new(3);
    let mut found = Found::default();
    for _ in 0..most * many {
        let mut params = Vec::new();
        for spec in M::PARAMS {
            let value = ends[(random.uniform() * ends.len() as f64) as usize];
            params.push(if spec.check(value).is_ok() {
                value
            } else {
                0.5
            });
        }
        if let Ok(model) = M::from_params(&params, Some(TimeUnit::Week))
            && means_something(&params)
        {
            found.see(&model, &params);
        }
    }
    println!(
        "{}: {} scores, slowest {:?}",
        M::KIND,
        found.scores,
        found.slowest
    );
    for (output, (count, place)) in &found.undefined {
        println!("    {output}: {count}, as {place}");
    }
    assert!(
        found.undefined.is_empty(),
        "{}: {:?}",
        M::KIND,
        found.undefined
    );
    assert!(found.scores > most * 400, "{}: {}", M::KIND, found.scores);
    assert!(found.slowest.0 < BOUND, "{}: {:?}", M::KIND, found.slowest);
}

#[test]
fn contracts_and_spend_at_the_ends_of_the_doubles() {
    scan::<Contract<Sbg>>(&ENDS, 6);
    scan::<Contract<Bdw>>(&ENDS, 5);
    scan::<Contract<Geometric>>(&ENDS, 12);
    scan::<Contract<DiscreteWeibull>>(&ENDS, 5);
    scan::<Spending<GammaGamma>>(&ENDS, 20);
    scan::<Spending<LogNormalSpend>>(&ENDS[2..9], 6);
}

#[test]
fn purchases_at_extreme_parameters() {
    let ends = &ENDS[2..9];
    scan::<Purchase<Nbd>>(ends, 8);
    scan::<Purchase<BgNbd>>(ends, 2);
    scan::<Purchase<MbgNbd>>(ends, 2);
    scan::<Purchase<ParetoNbd>>(ends, 2);
    scan::<Purchase<ParetoNbdCorrelated>>(&ends[2..], 4);
}

#[test]
fn hazards_that_grow_and_counted_periods_at_extreme_parameters() {
    scan::<Purchase<GGompertzNbd>>(&ENDS[3..9], 3);
    scan::<Purchase<BgBb>>(&ENDS[2..9], 2);
}

#[test]
fn regular_purchases_at_extreme_parameters() {
    // 10,000 purchases of more than 15 stages are refused, as too long.
    let few_stages = |params: &[f64]| params[4] < 15.0;
    scan_where::<Purchase<BgCnbdK>>(&ENDS[5..9], 2, few_stages);
    scan_where::<Purchase<MbgCnbdK>>(&ENDS[5..9], 2, few_stages);
}

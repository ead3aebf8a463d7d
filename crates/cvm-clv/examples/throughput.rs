//! Rows per second of BG/NBD scoring and the cost of a likelihood over a million simulated
//! customers, in CPU seconds of one thread: `cargo run --release -p cvm-clv --example throughput`.

use cvm_clv::{BgNbd, GammaGamma, LifetimeValue, Purchase, Rfm, Spending};
use cvm_core::{
    Derivatives, Frame, Likelihood, Order, ParametricModel, RowStatus, ScoreBlock, ScoreOptions,
    Scorer, TimeUnit,
};
use std::hint::black_box;
use std::time::Instant;

type Model = Purchase<BgNbd>;

/// CPU seconds of this thread where the kernel tells them, else wall seconds.
fn seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

/// Best of five runs, in CPU seconds: other work on the machine only ever adds. A short run is
/// repeated, as the kernel counts in ticks of milliseconds.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    const LONGEST_TICK_SECONDS: f64 = 0.01;
    let start = Instant::now();
    let mut repeated = |times: u32| {
        let before = seconds(start);
        for _ in 0..times {
            black_box(run());
        }
        seconds(start) - before
    };
    let mut times = 1;
    while repeated(times) < 5.0 * LONGEST_TICK_SECONDS && times < 1 << 20 {
        times *= 2;
    }
    let once = |_| repeated(times) / f64::from(times);
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

fn score(model: &dyn Scorer, frame: &Frame, output: usize, options: &ScoreOptions) -> f64 {
    let Ok(batch) = frame.batch() else {
        return f64::NAN;
    };
    let Ok(bound) = batch.bind(model.schema()) else {
        return f64::NAN;
    };
    let mut values = vec![0.0; frame.row_count];
    let mut status = vec![RowStatus::OK; frame.row_count];
    let seconds = best(|| {
        let mut block = ScoreBlock {
            outputs: vec![&mut values],
            status: &mut status,
        };
        model.score_rows(&bound, 0, &[output], options, &mut block);
    });
    frame.row_count as f64 / seconds / 1e6
}

fn main() {
    let truth = [0.2454, 4.612, 0.802, 2.476];
    let Ok(model) = Model::from_params(&truth, Some(TimeUnit::Week)) else {
        return;
    };
    // A year of daily cohorts, in weeks.
    let template = |index: u32| Rfm {
        log_gap_sum: 0.0,
        frequency: 0.0,
        recency: 0.0,
        age: f64::from(26 * 7 + index % 364) / 7.0,
    };
    let templates: Vec<Rfm> = (0..1_000_000).map(template).collect();
    let simulating = best(|| model.simulate(&templates, 1));
    println!("simulate {simulating:.3} s");
    let mut rows = model.simulate(&templates, 1);
    for row in &mut rows {
        // To days, as a transaction log has them.
        row.recency = (row.recency * 7.0).ceil() / 7.0;
    }
    let merging = best(|| Model::likelihood(&rows, None));
    let likelihood = Model::likelihood(&rows, None);
    println!("merge {merging:.3} s to {} rows", likelihood.merged_rows());
    for order in [Order::Value, Order::Gradient, Order::Hessian] {
        let seconds = best(|| {
            let mut sum = Derivatives::zero(4);
            for block in 0..likelihood.block_count() {
                likelihood.accumulate(&truth, block, order, &mut sum);
            }
            sum
        });
        println!("{order:?} {:.2} ms", seconds * 1e3);
    }
    let frame = frame_of(&rows);
    let heavy = |row: &Rfm| Rfm {
        frequency: row.frequency + 200.0,
        recency: row.age,
        ..*row
    };
    let heavy = frame_of(&rows.iter().take(20_000).map(heavy).collect::<Vec<Rfm>>());
    let Ok(spend) = GammaGamma::new(6.25, 3.74, 15.44) else {
        return;
    };
    let spend = Spending::new(spend, None);
    let value = LifetimeValue::new(Box::new(model.clone()), Box::new(spend.clone()));
    let options = ScoreOptions {
        horizon_periods: Some(39.0),
        discount_rate_per_year: Some(0.1),
        ..ScoreOptions::default()
    };
    for (name, frame) in [("typical", &frame), ("200 purchases and more", &heavy)] {
        println!("M rows/s, {name}:");
        println!(
            "  p_alive            {:.2}",
            score(&model, frame, 0, &options)
        );
        println!(
            "  expected_purchases {:.2}",
            score(&model, frame, 1, &options)
        );
        println!(
            "  expected_spend     {:.2}",
            score(&spend, frame, 0, &options)
        );
        println!(
            "  lifetime_value     {:.2}",
            score(&value, frame, 3, &options)
        );
    }
}

fn frame_of(rows: &[Rfm]) -> Frame {
    Frame::new(rows.len())
        .with_numbers("frequency", rows.iter().map(|row| row.frequency).collect())
        .with_numbers("recency", rows.iter().map(|row| row.recency).collect())
        .with_numbers("T", rows.iter().map(|row| row.age).collect())
        .with_numbers("monetary_value", vec![30.0; rows.len()])
}

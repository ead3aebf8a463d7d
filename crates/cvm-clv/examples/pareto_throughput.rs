//! Rows per second of Pareto/NBD scoring and the cost of a likelihood over a million simulated
//! customers, in CPU seconds of one thread: `cargo run --release -p cvm-clv --example pareto_throughput`.

use cvm_clv::{Formulas, GGompertzNbd, ParetoNbd, PurchaseFormulas, Rfm};
use cvm_core::{Derivatives, Likelihood, Order};
use std::hint::black_box;
use std::time::Instant;

/// CPU seconds of this thread where the kernel tells them, else wall seconds.
fn seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

/// Best of five runs, in CPU seconds: other work on the machine only ever adds.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let once = |_| {
        let before = seconds(start);
        black_box(run());
        seconds(start) - before
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

fn likelihood<F: Formulas<Row = Rfm>>(rows: &[Rfm], theta: &[f64]) {
    let merging = best(|| F::likelihood(rows, None));
    let likelihood = F::likelihood(rows, None);
    println!("{}: {} rows merged in {merging:.3} s", F::TITLE, rows.len());
    for order in [Order::Value, Order::Gradient, Order::Hessian] {
        let seconds = best(|| {
            let mut sum = Derivatives::zero(theta.len());
            for block in 0..likelihood.block_count() {
                likelihood.accumulate(theta, block, order, &mut sum);
            }
            sum
        });
        println!("  {order:?} {:.2} ms", seconds * 1e3);
    }
}

fn forecasts<F: PurchaseFormulas>(model: &F, rows: &[Rfm]) {
    let mut out = vec![0.0; rows.len()];
    let mut rate = |name: &str, rows: &[Rfm], fill: &dyn Fn(&[Rfm], &mut [f64])| {
        let out = &mut out[..rows.len()];
        let seconds = best(|| fill(rows, out));
        println!(
            "  {name:<12} {:.2} M rows/s",
            rows.len() as f64 / seconds / 1e6
        );
    };
    println!("{} forecasts", F::TITLE);
    rate("p_alive", rows, &|rows, out| model.p_alive_rows(rows, out));
    rate("purchases", rows, &|rows, out| {
        model.purchases_rows(rows, 39.0, out);
    });
    rate("both", rows, &|rows, out| {
        let mut alive = [0.0; 256];
        for (rows, out) in rows.chunks(256).zip(out.chunks_mut(256)) {
            model.p_alive_rows(rows, &mut alive[..rows.len()]);
            model.purchases_rows(rows, 39.0, out);
            for (slot, alive) in out.iter_mut().zip(&alive) {
                *slot *= alive;
            }
        }
    });
    let few = &rows[..rows.len().min(20_000)];
    let mut each = |name: &str, formula: &dyn Fn(&Rfm) -> f64| {
        rate(name, few, &|rows, out| {
            for (row, slot) in rows.iter().zip(out) {
                *slot = formula(row);
            }
        });
    };
    each("ln_p_alive", &|row| model.ln_p_alive(row));
    each("discounted", &|row| {
        model.discounted(row, f64::INFINITY, 0.002)
    });
    each("ln_pmf(2)", &|row| model.ln_pmf(row, 39.0, 2.0));
    each("ln_tail(1)", &|row| model.ln_tail(row, 39.0, 1.0));
    each("next", &|row| model.next_purchase(row, 0.1));
}

fn main() {
    let truth = [0.553, 10.578, 0.606, 11.669];
    let model = ParetoNbd::at(&truth);
    let template = |index: u32| Rfm {
        log_gap_sum: 0.0,
        frequency: 0.0,
        recency: 0.0,
        age: f64::from(52 * 7 + index % 364) / 7.0,
    };
    let templates: Vec<Rfm> = (0..1_000_000).map(template).collect();
    let mut rows = model.simulate(&templates, 1);
    for row in &mut rows {
        // To days, as a transaction log has them.
        row.recency = (row.recency * 7.0).ceil() / 7.0;
    }
    let compound = [0.553, 10.578, 0.002, 0.603, 0.026];
    for rows in [&rows[..100_000], &rows[..]] {
        likelihood::<ParetoNbd>(rows, &truth);
        likelihood::<GGompertzNbd>(rows, &compound);
    }
    forecasts(&model, &rows);
    forecasts(&GGompertzNbd::at(&compound), &rows[..100_000]);
}

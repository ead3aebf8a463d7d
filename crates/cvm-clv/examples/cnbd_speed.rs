//! Microseconds per forecast of the MBG/CNBD-k: `cargo run --release -p cvm-clv --example cnbd_speed [k]`.
//!
//! CPU time where `/proc/self/schedstat` tells it, so that a busy machine does not matter; else wall.

use cvm_clv::{Formulas, MbgCnbdK, PurchaseFormulas, Rfm};
use cvm_core::{Derivatives, Order};
use std::hint::black_box;
use std::time::Instant;

/// CPU seconds of this process, or wall seconds since `start`.
fn seconds(start: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let cpu = stat
        .split(' ')
        .next()
        .and_then(|text| text.parse::<f64>().ok());
    cpu.map_or_else(
        || start.elapsed().as_secs_f64(),
        |nanoseconds| nanoseconds * 1e-9,
    )
}

fn main() {
    let rows = [
        (0.0, 0.0, 38.0),
        (1.0, 10.0, 38.0),
        (3.0, 30.0, 38.0),
        (8.0, 36.0, 38.0),
        (30.0, 37.0, 38.0),
    ];
    let asked = std::env::args().nth(1);
    for k in [1.0, 2.0, 2.5, 6.0] {
        if asked.as_ref().is_some_and(|asked| *asked != k.to_string()) {
            continue;
        }
        for (x, t_x, age) in rows {
            let row = Rfm::new(x, t_x, age).unwrap_or_else(|status| panic!("{status:?}"));
            let model = MbgCnbdK::at(&[0.6, 7.0 / k, 0.8, 2.4, k]);
            let time = |name: &str, f: &dyn Fn() -> f64| {
                let wall = Instant::now();
                let (mut count, mut spent) = (0u32, 0.0);
                let start = seconds(wall);
                // The clock may tick in hundredths of a second.
                while spent < 0.04 {
                    for _ in 0..200 {
                        black_box(f());
                    }
                    count += 200;
                    spent = seconds(wall) - start;
                }
                print!(" {name} {:.1}", spent * 1e6 / f64::from(count));
            };
            print!("k {k} x {x}:");
            time("alive", &|| model.p_alive(&row));
            time("purchases", &|| model.purchases(&row, 39.0));
            time("ahead", &|| model.p_alive_ahead(&row, 39.0));
            time("tail", &|| model.ln_tail(&row, 39.0, 3.0));
            time("pmf", &|| model.ln_pmf(&row, 39.0, 3.0));
            time("next", &|| model.next_purchase(&row, 0.5));
            time("discounted", &|| model.discounted(&row, 39.0, 0.002));
            time("dert", &|| model.discounted(&row, f64::INFINITY, 0.002));
            time("lifetime", &|| model.lifetime(&row, 39.0, 0.002));
            time("hessian", &|| {
                let mut out = Derivatives::zero(5);
                model.derivatives(&row, Order::Hessian, &mut out);
                out.value
            });
            println!();
        }
    }
}

//! Rows a second and CPU seconds of summarizing a log in memory: 10 million purchases of 1 million
//! customers, unsorted, with whole-number and with text identifiers. Run with
//! `cargo bench -p cvm-record`, or with a number of rows as argument.

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use cvm_core::TimeUnit;
use cvm_record::{Summarizer, SummaryOptions};
use std::sync::Arc;
use std::time::Instant;

const BATCH_ROWS: usize = 65_536;
const ROWS_PER_CUSTOMER: u64 = 10;
const FIRST_DAY: i32 = 18_262; // 2020-01-01
const DAY_COUNT: u64 = 730;

/// splitmix64: one draw per row is a function of its number.
fn draw(row: u64) -> u64 {
    let mut z = row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss
)]
fn batch(first: u64, row_count: u64, customers: u64, text_ids: bool) -> RecordBatch {
    let rows = || (first..first + row_count).map(draw);
    let id = |z: u64| z % customers;
    let ids: ArrayRef = if text_ids {
        Arc::new(StringArray::from_iter_values(
            rows().map(|z| format!("customer-{:08}", id(z))),
        ))
    } else {
        Arc::new(Int64Array::from_iter_values(rows().map(|z| id(z) as i64)))
    };
    let dates = rows().map(|z| FIRST_DAY + ((z >> 32) % DAY_COUNT) as i32);
    let amounts = rows().map(|z| ((z >> 20) % 1_000_000) as f64 / 100.0);
    RecordBatch::try_from_iter([
        ("customer_id", ids),
        (
            "date",
            Arc::new(Date32Array::from_iter_values(dates)) as ArrayRef,
        ),
        (
            "amount",
            Arc::new(Float64Array::from_iter_values(amounts)) as ArrayRef,
        ),
    ])
    .expect("columns of one length")
}

/// User and system time of this process, from the kernel; `None` where there is no such file.
fn cpu_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

#[allow(clippy::cast_precision_loss)]
fn run(name: &str, rows: u64, text_ids: bool) {
    let customers = (rows / ROWS_PER_CUSTOMER).max(1);
    let options = SummaryOptions {
        amount: Some("amount".to_owned()),
        time_unit: TimeUnit::Week,
        ..SummaryOptions::default()
    };
    let mut summarizer = Summarizer::new(&options).expect("options");
    let (mut wall, mut cpu) = (0.0, 0.0);
    let mut timed = |work: &mut dyn FnMut()| {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        work();
        wall += start.elapsed().as_secs_f64();
        cpu += cpu_seconds()
            .zip(cpu_start)
            .map_or(f64::NAN, |(end, start)| end - start);
    };
    for first in (0..rows).step_by(BATCH_ROWS) {
        let piece = batch(
            first,
            (rows - first).min(BATCH_ROWS as u64),
            customers,
            text_ids,
        );
        timed(&mut || summarizer.push_batch(&piece).expect("rows"));
    }
    let mut summary = None;
    let mut last = Some(summarizer);
    timed(&mut || summary = last.take().map(|all| all.finish().expect("summary")));
    let report = summary.expect("finished").report;
    println!(
        "{name}: {rows} rows, {} customers: wall {wall:.2} s, CPU {cpu:.2} s, {:.2} M rows/s; peak so far {}",
        report.customers,
        rows as f64 / wall / 1e6,
        peak_memory().unwrap_or_default()
    );
}

fn main() {
    let rows = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(10_000_000);
    run("whole-number ids", rows, false);
    run("text ids", rows, true);
}

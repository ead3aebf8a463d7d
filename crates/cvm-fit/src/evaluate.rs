//! Evaluates a likelihood block by block, on several threads, with the same bits for any number.
//!
//! Each block is summed on its own into a zeroed record, and the records are added in ascending
//! block order; which thread computed one does not matter. Threads live for one evaluation only,
//! so nothing has to survive a `fork`.

use cvm_core::{Derivatives, Likelihood, Order};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, scope};

/// Below this cost of one evaluation, starting threads costs more than it saves.
const SERIAL_BELOW_NS: f64 = 200_000.0;
/// Work that pays for one more thread.
const PER_THREAD_NS: f64 = 50_000.0;
/// Bytes of block records held at once; more blocks are done in waves.
const WAVE_BYTES: usize = 16 << 20;

/// Sum over all blocks at `theta` (natural parameters).
pub(crate) fn evaluate(
    likelihood: &dyn Likelihood,
    theta: &[f64],
    order: Order,
    threads: usize,
) -> Derivatives {
    let workers = worker_count(likelihood, threads);
    if workers <= 1 {
        return serial(likelihood, theta, order);
    }
    let dim = likelihood.dim();
    let wave = (WAVE_BYTES / (8 * (dim * dim + dim + 8))).max(2 * workers);
    let mut sum = Derivatives::zero(dim);
    let mut start = 0;
    while start < likelihood.block_count() {
        let end = (start + wave).min(likelihood.block_count());
        let mut records = parallel(likelihood, theta, order, start..end, workers);
        records.sort_by_key(|(block, _)| *block);
        records.iter().for_each(|(_, record)| sum.add(record));
        start = end;
    }
    sum
}

fn worker_count(likelihood: &dyn Likelihood, threads: usize) -> usize {
    let cost = likelihood.cost_hint_ns();
    if threads <= 1 || cost.is_nan() || cost < SERIAL_BELOW_NS {
        return 1;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let worthwhile = (cost / PER_THREAD_NS).min(1e6) as usize;
    threads.min(worthwhile).min(likelihood.block_count())
}

fn serial(likelihood: &dyn Likelihood, theta: &[f64], order: Order) -> Derivatives {
    let mut sum = Derivatives::zero(likelihood.dim());
    let mut record = Derivatives::zero(likelihood.dim());
    for block in 0..likelihood.block_count() {
        record.value = 0.0;
        record.gradient.fill(0.0);
        record.hessian.fill(0.0);
        likelihood.accumulate(theta, block, order, &mut record);
        sum.add(&record);
    }
    sum
}

type Records = Vec<(usize, Derivatives)>;

fn parallel(
    likelihood: &dyn Likelihood,
    theta: &[f64],
    order: Order,
    blocks: std::ops::Range<usize>,
    workers: usize,
) -> Records {
    let next = AtomicUsize::new(blocks.start);
    let work = || {
        let mut records = Records::new();
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks.end {
                return records;
            }
            let mut record = Derivatives::zero(likelihood.dim());
            likelihood.accumulate(theta, block, order, &mut record);
            records.push((block, record));
        }
    };
    scope(|scope| {
        // A thread that cannot be started is no error: this one takes its blocks.
        let spawn = |_| Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (1..workers).filter_map(spawn).collect();
        let mut records = work();
        for helper in helpers {
            records.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        records
    })
}

//! Rows that reach every formula and refusal of a purchase model.

use cvm_core::{Frame, FrameColumn};

/// Rows that reach every formula and refusal of a purchase model, in multiples of its time scale.
/// Of a costly model one legal row in `every` stands for all.
pub(crate) fn continuous(scale_periods: f64, every: usize) -> Frame {
    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    /// `(frequency, recency, T)`, times in multiples of the scale.
    const ROWS: [(f64, f64, f64); 40] = [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 1e-6),
        (0.0, 0.0, 0.3),
        (0.0, 0.0, 8.0),
        (0.0, 0.0, 300.0),
        (1.0, 1e-6, 1e-6),
        (1.0, 0.1, 0.1),
        (1.0, 0.1, 9.0),
        (1.0, 8.9, 9.0),
        (1.0, 9.0, 9.0),
        (2.0, 6.9, 8.8),
        (2.0, 1.2, 8.8),
        (3.0, 4.4, 8.8),
        (4.0, 8.7, 8.8),
        (5.0, 2.0, 70.0),
        (7.0, 8.8, 8.8),
        (8.0, 3.0, 10.0),
        (12.0, 11.0, 12.0),
        (16.0, 30.0, 31.0),
        (23.0, 5.0, 9.0),
        (31.0, 40.0, 41.0),
        (40.0, 80.0, 90.0),
        (63.0, 20.0, 20.5),
        (64.0, 20.0, 20.5),
        (65.0, 20.0, 20.5),
        (150.0, 100.0, 100.0),
        (400.0, 99.0, 100.0),
        (3000.0, 500.0, 501.0),
        (100_000.0, 1000.0, 1000.0),
        (NAN, 1.0, 2.0),
        (1.0, NAN, 2.0),
        (1.0, 1.0, NAN),
        (1.0, 1.0, INF),
        (-1.0, 1.0, 2.0),
        (1.5, 1.0, 2.0),
        (1.0, -1.0, 2.0),
        (1.0, 3.0, 2.0),
        (1.0, 0.0, 2.0),
        (0.0, 1.0, 2.0),
        (INF, 1.0, 2.0),
    ];
    /// Legal rows come first.
    const LEGAL: usize = 29;
    let kept = |index: &usize| index.is_multiple_of(every) || *index >= LEGAL;
    let rows: Vec<&(f64, f64, f64)> = (0..ROWS.len()).filter(kept).map(|i| &ROWS[i]).collect();
    let column =
        |pick: fn(&(f64, f64, f64)) -> f64| rows.iter().map(|row| pick(row)).collect::<Vec<f64>>();
    let scaled = |values: Vec<f64>| values.iter().map(|v| v * scale_periods).collect();
    Frame::new(rows.len())
        .with_numbers("frequency", column(|row| row.0))
        .with_numbers("recency", scaled(column(|row| row.1)))
        .with_numbers("T", scaled(column(|row| row.2)))
}

/// The rows with times between purchases a little less equal than they could be.
pub(super) fn with_log_gap_sums(frame: Frame) -> Frame {
    let column = |name: &str| match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => values.clone(),
        _ => Vec::new(),
    };
    let times = column("frequency").into_iter().zip(column("recency"));
    let sums = times.map(|(x, recency)| {
        if x > 0.0 {
            x * (cvm_math::ln(recency / x) - 0.2)
        } else {
            0.0
        }
    });
    let sums: Vec<f64> = sums.collect();
    frame.with_numbers("log_gap_sum", sums)
}

/// The same for a model that counts whole periods.
pub(super) fn discrete() -> Frame {
    const NAN: f64 = f64::NAN;
    /// `(frequency, recency, n_periods)`.
    const ROWS: [(f64, f64, f64); 28] = [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 6.0),
        (0.0, 0.0, 60.0),
        (0.0, 0.0, 2000.0),
        (1.0, 1.0, 1.0),
        (1.0, 1.0, 6.0),
        (1.0, 6.0, 6.0),
        (2.0, 2.0, 6.0),
        (2.0, 4.0, 6.0),
        (3.0, 6.0, 6.0),
        (5.0, 5.0, 6.0),
        (6.0, 6.0, 6.0),
        (7.0, 30.0, 52.0),
        (40.0, 41.0, 52.0),
        (52.0, 52.0, 52.0),
        (50.0, 60.0, 100.0),
        (300.0, 400.0, 1000.0),
        (1000.0, 1000.0, 1000.0),
        (NAN, 1.0, 2.0),
        (1.0, NAN, 2.0),
        (1.0, 1.0, NAN),
        (-1.0, 1.0, 2.0),
        (1.5, 2.0, 2.0),
        (1.0, 1.5, 2.0),
        (1.0, 3.0, 2.0),
        (3.0, 2.0, 6.0),
        (0.0, 1.0, 2.0),
    ];
    let column = |pick: fn(&(f64, f64, f64)) -> f64| ROWS.iter().map(pick).collect::<Vec<f64>>();
    Frame::new(ROWS.len())
        .with_numbers("frequency", column(|row| row.0))
        .with_numbers("recency", column(|row| row.1))
        .with_numbers("n_periods", column(|row| row.2))
}

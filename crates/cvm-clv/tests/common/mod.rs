//! What several test files share: reading tables, summing blocks, a small Newton.
#![allow(dead_code)]

use cvm_clv::{Rfm, Spend};
use cvm_core::{
    Batch, Derivatives, Frame, Likelihood, Order, RowStatus, ScoreBlock, ScoreOptions, Scorer,
};

/// Rows of a CSV of numbers, without its header.
pub fn numbers(text: &str) -> Vec<Vec<f64>> {
    let cell = |cell: &str| cell.trim().parse::<f64>().expect(cell);
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| line.split(',').map(cell).collect())
        .collect()
}

/// The CDNOW sample, two decimals: summaries and mean spend.
pub fn cdnow() -> (Vec<Rfm>, Vec<Spend>) {
    let table = numbers(include_str!(
        "../data/cdnow_customers_summary_with_transactions.csv"
    ));
    assert_eq!(table.len(), 2357);
    let rfm = |row: &Vec<f64>| Rfm::new(row[1], row[2], row[3]).unwrap();
    let spend = |row: &Vec<f64>| Spend::of_mean(row[1], row[4]);
    (
        table.iter().map(rfm).collect(),
        table.iter().map(spend).collect(),
    )
}

/// Value and derivatives over all blocks.
pub fn evaluate(likelihood: &impl Likelihood, theta: &[f64], order: Order) -> Derivatives {
    let mut total = Derivatives::zero(likelihood.dim());
    for block in 0..likelihood.block_count() {
        let mut part = Derivatives::zero(likelihood.dim());
        likelihood.accumulate(theta, block, order, &mut part);
        total.add(&part);
    }
    total
}

/// A maximum by damped Newton steps on the logarithms of the parameters; 200 steps at most.
pub fn newton(likelihood: &impl Likelihood, start: &[f64]) -> (Vec<f64>, Derivatives) {
    let mut theta = start.to_vec();
    let mut at = evaluate(likelihood, &theta, Order::Hessian);
    let mut damping = 1e-3;
    for _ in 0..200 {
        let step = log_step(&theta, &at, damping);
        let scale = step
            .iter()
            .fold(1.0f64, |scale, s| scale.max(s.abs() / 2.0));
        let next: Vec<f64> = theta
            .iter()
            .zip(&step)
            .map(|(value, step)| value * cvm_math::exp(step / scale))
            .collect();
        let there = evaluate(likelihood, &next, Order::Hessian);
        if there.value >= at.value {
            (theta, at) = (next, there);
            damping *= 0.1;
        } else {
            damping = (damping * 10.0).max(1e-9);
        }
        let steepest = at.gradient.iter().zip(&theta).map(|(g, t)| (g * t).abs());
        if steepest.fold(0.0, f64::max) < 1e-9 * likelihood.weight() || damping > 1e12 {
            break;
        }
    }
    (theta, at)
}

/// Solves `(H + damping·D) s = −g` in the logarithms by Gaussian elimination.
fn log_step(theta: &[f64], at: &Derivatives, damping: f64) -> Vec<f64> {
    let dim = theta.len();
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for i in 0..dim {
        let mut row: Vec<f64> = (0..dim)
            .map(|j| -at.hessian[i * dim + j] * theta[i] * theta[j])
            .collect();
        row[i] -= at.gradient[i] * theta[i];
        row[i] += damping * (row[i].abs() + 1.0);
        row.push(at.gradient[i] * theta[i]);
        rows.push(row);
    }
    for i in 0..dim {
        let pivot = (i..dim).max_by(|a, b| rows[*a][i].abs().total_cmp(&rows[*b][i].abs()));
        rows.swap(i, pivot.unwrap());
        for k in 0..dim {
            let factor = if k == i { 0.0 } else { rows[k][i] / rows[i][i] };
            let pivot_row = rows[i].clone();
            for (slot, value) in rows[k].iter_mut().zip(&pivot_row) {
                *slot -= factor * value;
            }
        }
    }
    (0..dim).map(|i| rows[i][dim] / rows[i][i]).collect()
}

/// Scores `frame` in pieces of `piece` rows; one column per output, and the statuses.
pub fn score(
    model: &dyn Scorer,
    frame: &Frame,
    options: &ScoreOptions,
    piece: usize,
) -> (Vec<Vec<f64>>, Vec<RowStatus>) {
    let batch: Batch<'_> = frame.batch().unwrap();
    let bound = batch.bind(model.schema()).unwrap();
    let wanted: Vec<usize> = (0..model.outputs().len()).collect();
    let mut columns = vec![vec![0.0; frame.row_count]; wanted.len()];
    let mut status = vec![RowStatus::OK; frame.row_count];
    for start in (0..frame.row_count).step_by(piece) {
        let end = frame.row_count.min(start + piece);
        let mut block = ScoreBlock {
            outputs: columns.iter_mut().map(|c| &mut c[start..end]).collect(),
            status: &mut status[start..end],
        };
        model.score_rows(&bound, start, &wanted, options, &mut block);
    }
    (columns, status)
}

/// Bits of columns, for comparisons that must not forgive anything.
pub fn bits(columns: &[Vec<f64>]) -> Vec<Vec<u64>> {
    let column = |column: &Vec<f64>| column.iter().map(|v| v.to_bits()).collect();
    columns.iter().map(column).collect()
}

/// Asserts a relative difference.
#[track_caller]
pub fn close(got: f64, expected: f64, relative: f64) {
    let error = (got - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(
        error <= relative,
        "got {got}, expected {expected}: off by {error:e}"
    );
}

/// Gradient and Hessian against central differences of value and gradient.
pub fn check_derivatives(likelihood: &impl Likelihood, theta: &[f64], relative: f64) {
    let dim = theta.len();
    let at = evaluate(likelihood, theta, Order::Hessian);
    for j in 0..dim {
        let step = 1e-5 * theta[j].abs();
        let shifted = |sign: f64| {
            let mut moved = theta.to_vec();
            moved[j] += sign * step;
            evaluate(likelihood, &moved, Order::Gradient)
        };
        let (up, down) = (shifted(1.0), shifted(-1.0));
        let slope = (up.value - down.value) / (2.0 * step);
        let size = 1.0 + at.gradient[j].abs();
        let slack = 1e-14 * at.value.abs() / step;
        assert!(
            (slope - at.gradient[j]).abs() <= relative * size + slack,
            "gradient {j} at {theta:?}: {} against {slope}",
            at.gradient[j]
        );
        for i in 0..dim {
            let second = (up.gradient[i] - down.gradient[i]) / (2.0 * step);
            let own = at.hessian[i * dim + j];
            let diagonal = (at.hessian[i * dim + i] * at.hessian[j * dim + j])
                .abs()
                .sqrt();
            assert!(
                (second - own).abs() <= relative * (1.0 + diagonal),
                "hessian {i},{j} at {theta:?}: {own} against {second}"
            );
        }
    }
}

/// Records of `N` little-endian doubles.
pub fn records<const N: usize>(bytes: &[u8]) -> Vec<[f64; N]> {
    assert!(
        !bytes.is_empty() && bytes.len().is_multiple_of(8 * N),
        "{}",
        bytes.len()
    );
    let double = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
    let record = |bytes: &[u8]| std::array::from_fn(|i| double(&bytes[8 * i..8 * i + 8]));
    bytes.chunks_exact(8 * N).map(record).collect()
}

/// Rows of a table of 64-bit floats, little-endian.
pub fn binary(bytes: &[u8], width: usize) -> Vec<Vec<f64>> {
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
    assert_eq!(bytes.len() % (8 * width), 0);
    let values: Vec<f64> = bytes.chunks_exact(8).map(number).collect();
    values.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

/// Asserts that every row of a table is met within `relative`, or within `absolute` where the
/// number itself is smaller than that is worth; expected NaN means not computed. Prints the worst.
pub fn check_table(
    name: &str,
    table: &[Vec<f64>],
    (relative, absolute): (f64, f64),
    pair: impl Fn(&[f64]) -> (f64, f64),
) {
    let (mut worst, mut place, mut compared) = (0.0f64, 0, 0);
    for (index, row) in table.iter().enumerate() {
        let (got, expected) = pair(row);
        if expected.is_nan() {
            continue;
        }
        compared += 1;
        let equal = got == expected;
        let allowed = (relative * expected.abs()).max(absolute);
        let error = if equal {
            0.0
        } else {
            (got - expected).abs() / allowed
        };
        assert!(!error.is_nan(), "{name}: {got} for {row:?}");
        if error > worst {
            (worst, place) = (error, index);
        }
    }
    println!("{name}: {compared} rows, worst {:e}", worst * relative);
    assert!(compared * 20 >= table.len(), "{name}: {compared} compared");
    assert!(
        worst <= 1.0,
        "{name}: {worst} times what is allowed, got {:?} for {:?}",
        pair(&table[place]),
        table[place]
    );
}

/// The CDNOW sample in exact days.
pub fn cdnow_exact() -> Vec<Rfm> {
    let weeks = |value: f64| (value * 7.0).round() / 7.0;
    let exact = |row: &Rfm| Rfm::new(row.frequency, weeks(row.recency), weeks(row.age)).unwrap();
    cdnow().0.iter().map(exact).collect()
}

//! The small churn table, and a plain Newton fit: this crate knows no estimator, not even in tests.

#![allow(dead_code)]

use cvm_churn::{LogisticDesign, LogisticFit, LogisticLikelihood, LogisticSpec, Prepared};
use cvm_core::{
    Batch, Derivatives, Frame, FrameColumn, Likelihood, Order, RowStatus, ScoreBlock, ScoreOptions,
    Scorer,
};
use ndarray::Array2;

const CSV: &str = include_str!("../data/churn_small.csv");

/// The table of `tests/data`: three numbers, three categories, the target.
pub fn table() -> Frame {
    let mut lines = CSV.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let mut frame = Frame::new(rows.len());
    for (place, name) in names.into_iter().enumerate() {
        let cells = rows.iter().map(|row| row[place]);
        let column = if place < 3 {
            FrameColumn::Numbers(cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect())
        } else {
            FrameColumn::from_strings(cells.map(|cell| Some(cell).filter(|c| !c.is_empty())))
        };
        frame.columns.push((name.to_owned(), column));
    }
    frame
}

pub fn churned(frame: &Frame) -> Vec<bool> {
    let batch = frame.batch().unwrap();
    let Some(cvm_core::Column::Text(text)) = batch.get("churn") else {
        panic!("no churn column");
    };
    (0..frame.row_count)
        .map(|row| text.get(row) == Some("Yes"))
        .collect()
}

pub fn numbers(values: &[f64]) -> FrameColumn {
    FrameColumn::Numbers(values.to_vec())
}

pub fn texts(values: &[&str]) -> FrameColumn {
    FrameColumn::from_strings(values.iter().map(|v| Some(*v).filter(|v| !v.is_empty())))
}

/// A frame of named columns.
pub fn frame(columns: Vec<(&str, FrameColumn)>) -> Frame {
    let mut frame = Frame::new(columns[0].1.len());
    for (name, column) in columns {
        frame.columns.push((name.to_owned(), column));
    }
    frame
}

pub fn prepare(frame: &Frame, spec: &LogisticSpec) -> Prepared {
    LogisticDesign::prepare(&frame.batch().unwrap(), spec).unwrap()
}

/// Total over all blocks.
pub fn total(likelihood: &LogisticLikelihood, theta: &[f64], order: Order) -> Derivatives {
    let mut sum = Derivatives::zero(likelihood.dim());
    for block in 0..likelihood.block_count() {
        likelihood.accumulate(theta, block, order, &mut sum);
    }
    sum
}

/// Newton's method to the rounding of the gradient; returns parameters and covariance.
pub fn newton(prepared: &Prepared) -> (Vec<f64>, Array2<f64>) {
    let mut theta = prepared.starts[0].clone();
    let dim = theta.len();
    for _ in 0..30 {
        let (information, slope) = information(prepared, &theta);
        let step = inverse(&information);
        for i in 0..dim {
            theta[i] += (0..dim).map(|j| step[[i, j]] * slope[j]).sum::<f64>();
        }
    }
    let covariance = inverse(&information(prepared, &theta).0);
    (theta, covariance)
}

fn information(prepared: &Prepared, theta: &[f64]) -> (Array2<f64>, Vec<f64>) {
    let dim = theta.len();
    let sum = total(&prepared.likelihood, theta, Order::Hessian);
    let slope = (0..dim).map(|i| sum.gradient[i] - prepared.penalty[i] * theta[i]);
    let information = Array2::from_shape_fn((dim, dim), |(i, j)| {
        let ridge = if i == j { prepared.penalty[i] } else { 0.0 };
        ridge - sum.hessian[i * dim + j]
    });
    (information, slope.collect())
}

/// Gauss–Jordan with pivoting.
fn inverse(matrix: &Array2<f64>) -> Array2<f64> {
    let dim = matrix.nrows();
    let mut left = matrix.clone();
    let mut right = Array2::eye(dim);
    for k in 0..dim {
        let size = |i: &usize| left[[*i, k]].abs();
        let pivot = (k..dim).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
        for j in 0..dim {
            left.swap([k, j], [pivot, j]);
            right.swap([k, j], [pivot, j]);
        }
        let head = left[[k, k]];
        assert!(head != 0.0, "singular");
        for j in 0..dim {
            left[[k, j]] /= head;
            right[[k, j]] /= head;
        }
        for i in (0..dim).filter(|i| *i != k) {
            let factor = left[[i, k]];
            for j in 0..dim {
                left[[i, j]] -= factor * left[[k, j]];
                right[[i, j]] -= factor * right[[k, j]];
            }
        }
    }
    right
}

pub fn fit(frame: &Frame, spec: &LogisticSpec) -> LogisticFit {
    let prepared = prepare(frame, spec);
    let (theta, covariance) = newton(&prepared);
    prepared.finish(&theta, covariance.view()).unwrap()
}

/// Probabilities, logits and statuses of all rows, scored in ranges of `chunk` rows.
pub fn score(
    model: &dyn Scorer,
    batch: &Batch<'_>,
    chunk: usize,
) -> (Vec<f64>, Vec<f64>, Vec<RowStatus>) {
    let bound = batch.bind(model.schema()).unwrap();
    let rows = bound.row_count;
    let (mut p, mut logit) = (vec![-1.0; rows], vec![-1.0; rows]);
    let mut status = vec![RowStatus::OK; rows];
    for start in (0..rows).step_by(chunk.max(1)) {
        let end = (start + chunk).min(rows);
        let mut block = ScoreBlock {
            outputs: vec![&mut logit[start..end], &mut p[start..end]],
            status: &mut status[start..end],
        };
        let options = ScoreOptions::default();
        model.score_rows(&bound, start, &[1, 0], &options, &mut block);
    }
    (p, logit, status)
}

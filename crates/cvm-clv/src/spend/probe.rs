//! Rows that reach every formula and refusal of a spend model.

use super::{SpendFormulas, Spending};
use cvm_core::{Frame, ParametricModel};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// `(frequency, value / scale)` of the rows a grid does not reach.
const EDGES: [(f64, f64); 14] = [
    (0.0, 0.0),
    (0.0, NAN),
    (0.0, -1.0),
    (1e6, 1.0),
    (9e15, 1e-3),
    (NAN, 1.0),
    (INF, 1.0),
    (-1.0, 1.0),
    (2.5, 1.0),
    (1.0, NAN),
    (1.0, 0.0),
    (1.0, -1.0),
    (1.0, INF),
    (3.0, 1e-9),
];

/// Probe rows of the model alone.
pub(super) fn rows<F: SpendFormulas>(model: &Spending<F>) -> Frame {
    let grid = [1.0, 2.0, 3.0, 7.0, 40.0, 1000.0];
    let values = [1e-3, 0.3, 1.0, 2.7, 1e4];
    let cross = grid.iter().flat_map(|x| values.map(|value| (*x, value)));
    let rows: Vec<(f64, f64)> = EDGES.into_iter().chain(cross).collect();
    let frequency = rows.iter().map(|row| row.0).collect();
    let mut frame = Frame::new(rows.len()).with_numbers("frequency", frequency);
    for column in F::COLUMNS {
        let values = rows.iter().map(|row| model.formulas.probe_value(row.1));
        frame = frame.with_numbers(column.name, values.collect());
    }
    for (name, values) in covariates(model, rows.len()) {
        frame = frame.with_numbers(name, values);
    }
    frame
}

/// The model's own columns beside the probe rows of a purchase model: a cycle that puts a missing,
/// a zero and a negative value on customers of every kind.
pub(super) fn columns<F: SpendFormulas>(
    model: &Spending<F>,
    row_count: usize,
) -> Vec<(String, Vec<f64>)> {
    let cycle = [1.0, 0.2, NAN, 4.0, 1.7, 0.0, 30.0, 1.1, -1.0, 0.8, 2.2];
    let column = |column: &super::SpendColumn| {
        let values = (0..row_count).map(|row| cycle[row % cycle.len()]);
        let values = values.map(|value| model.formulas.probe_value(value));
        (column.name.to_owned(), values.collect())
    };
    let own = F::COLUMNS.iter().map(column);
    own.chain(covariates(model, row_count)).collect()
}

/// Covariates on both sides of zero, with one that is missing.
fn covariates<F: SpendFormulas>(model: &Spending<F>, row_count: usize) -> Vec<(String, Vec<f64>)> {
    let cycle = [0.5, 0.0, -1.0, 1.5, NAN, 2.0, -0.25, 1.0, 0.75];
    let names = model.covariates().map(|covariates| &covariates.columns);
    let column = |(offset, name): (usize, &String)| {
        let values = (0..row_count).map(|row| cycle[(row * 2 + offset) % cycle.len()]);
        (name.clone(), values.collect())
    };
    names
        .into_iter()
        .flatten()
        .enumerate()
        .map(column)
        .collect()
}

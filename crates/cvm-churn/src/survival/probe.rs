//! Probe rows of a duration model: those of its inputs, at tenures on and beside every joint.

use super::model::{Law, Survival};
use super::spec::TENURE;
use cvm_core::{Frame, FrameColumn};

/// Joints probed, spread over all of them.
const MOST_JOINTS: usize = 64;
/// Rows at the head of the inputs' probes that are always legal.
const LEGAL: usize = 2;

/// The probe rows of `model`.
pub(crate) fn rows<L: Law>(model: &Survival<L>) -> Frame {
    let numbers = &model.numbers;
    let inputs = crate::probe::of_fields(&model.encoding, &numbers.means, &numbers.scales);
    let tenures = tenures(&model.law.joints());
    let (before, own) = (inputs.row_count, tenures.len());
    // The first rows of the inputs have every stratum once.
    let legal = model
        .law
        .strata()
        .map_or(LEGAL, |(_, count)| count.max(LEGAL));
    // The rows of the inputs first, then every tenure beside legal inputs.
    let source = |row: usize| {
        if row < before {
            row
        } else {
            row % legal.min(before.max(1))
        }
    };
    let mut frame = Frame::new(before + own);
    for (name, column) in inputs.columns {
        let column = match column {
            FrameColumn::Numbers(values) => {
                FrameColumn::Numbers((0..before + own).map(|row| values[source(row)]).collect())
            }
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary,
                codes: (0..before + own).map(|row| codes[source(row)]).collect(),
            },
        };
        frame.columns.push((name, column));
    }
    let legal = tenures.iter().filter(|t| t.is_finite() && **t >= 0.0);
    let cycle: Vec<f64> = legal.copied().collect();
    let tenure = |row: usize| match row.checked_sub(before) {
        Some(place) => tenures[place],
        None => cycle[row % cycle.len()],
    };
    let values: Vec<f64> = (0..before + own).map(tenure).collect();
    frame.with_numbers(TENURE, values)
}

fn tenures(joints: &[f64]) -> Vec<f64> {
    let mut tenures = vec![0.0, 0.5, 1.0, 2.5];
    let step = joints.len().div_ceil(MOST_JOINTS).max(1);
    for joint in joints.iter().step_by(step).chain(joints.last()) {
        tenures.extend([*joint, joint * 1.5]);
    }
    tenures.extend([1e9, f64::NAN, -1.0, f64::INFINITY, -0.0]);
    tenures
}

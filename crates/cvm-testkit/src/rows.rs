//! Rows made up from a model's schema: legal ones, edges, and every kind of bad one.

use cvm::{Batch, Column, Domain, FieldKind, Frame, FrameColumn, InputField, InputSchema};
use ndarray::{Array2, s};
use std::ops::Range;

/// SplitMix64 (Steele, Lea & Flood 2014): small, seeded, the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream of numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    #[allow(clippy::cast_precision_loss)]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.bits()) * (end as u128);
        usize::try_from(wide >> 64).unwrap_or_default()
    }
}

/// `row_count` rows for `schema`: mostly plausible, one in ten with a value of a bad kind.
#[must_use]
pub fn frame(schema: &InputSchema, row_count: usize, seed: u64) -> Frame {
    let mut random = Random::new(seed);
    let mut frame = Frame::new(row_count);
    for field in &schema.fields {
        let column = column(field, row_count, &mut random);
        frame.columns.push((field.name.clone(), column));
    }
    order_times(&mut frame);
    cover_time(&mut frame);
    frame
}

/// Paths of covariates mostly begin with the customer and reach far ahead.
fn cover_time(frame: &mut Frame) {
    for (name, column) in &mut frame.columns {
        let FrameColumn::Numbers(values) = column else {
            continue;
        };
        for value in values {
            match name.as_str() {
                "covariates_until" => *value = (*value + 5.0) * 1e3,
                "covariates_from_0" if *value > 2.0 => *value = -*value,
                _ => {}
            }
        }
    }
}

fn column(field: &InputField, row_count: usize, random: &mut Random) -> FrameColumn {
    match &field.kind {
        FieldKind::Number { domain } => {
            let values = (0..row_count).map(|_| number(*domain, random));
            FrameColumn::Numbers(values.collect())
        }
        FieldKind::Category { levels, .. } => {
            let cells: Vec<Option<String>> =
                (0..row_count).map(|_| level(levels, random)).collect();
            FrameColumn::from_strings(cells.iter().map(Option::as_deref))
        }
    }
}

fn number(domain: Domain, random: &mut Random) -> f64 {
    const BAD: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.5];
    if random.below(40) == 0 {
        return BAD[random.below(BAD.len())];
    }
    let unit = random.unit();
    match domain {
        Domain::Finite | Domain::Any => 20.0 * unit - 10.0,
        Domain::Positive | Domain::NonNegative => 60.0 * unit + f64::MIN_POSITIVE,
        Domain::Count => (8.0 * unit * unit).floor(),
        Domain::Probability => unit,
    }
}

fn level(levels: &[String], random: &mut Random) -> Option<String> {
    match random.below(20) {
        0 => None,
        1 => Some("a level nobody has seen".to_owned()),
        _ if levels.is_empty() => None,
        _ => Some(levels[random.below(levels.len())].clone()),
    }
}

/// Customers who bought again did so before the end: `recency` below `T`, and 0 without repeats.
fn order_times(frame: &mut Frame) {
    let numbers = |frame: &Frame, name: &str| match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => Some(values.clone()),
        _ => None,
    };
    let Some((frequency, age)) = numbers(frame, "frequency").zip(numbers(frame, "T")) else {
        return;
    };
    for (name, column) in &mut frame.columns {
        if let (true, FrameColumn::Numbers(recency)) = (name == "recency", column) {
            for ((recency, frequency), age) in recency.iter_mut().zip(&frequency).zip(&age) {
                if *frequency == 0.0 {
                    *recency = 0.0;
                } else if *recency > *age && age.is_finite() {
                    *recency = age.abs() * 0.75;
                }
            }
        }
    }
}

/// Rows `range` of a table.
#[must_use]
pub fn slice(frame: &Frame, range: Range<usize>) -> Frame {
    let mut part = Frame::new(range.len());
    for (name, column) in &frame.columns {
        let column = match column {
            FrameColumn::Numbers(values) => FrameColumn::Numbers(values[range.clone()].to_vec()),
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary: dictionary.clone(),
                codes: codes[range.clone()].to_vec(),
            },
        };
        part.columns.push((name.clone(), column));
    }
    part
}

/// The numbers of a table as the columns of one row-major matrix: what a notebook's 2-D array is.
#[must_use]
pub fn matrix(frame: &Frame) -> (Vec<String>, Array2<f64>) {
    let numeric = frame
        .columns
        .iter()
        .filter_map(|(name, column)| match column {
            FrameColumn::Numbers(values) => Some((name.clone(), values)),
            FrameColumn::Text { .. } => None,
        });
    let (names, columns): (Vec<String>, Vec<&Vec<f64>>) = numeric.unzip();
    let shape = (frame.row_count, columns.len());
    let matrix = Array2::from_shape_fn(shape, |(row, column)| columns[column][row]);
    (names, matrix)
}

/// The table with its numbers read through the strided columns of `matrix`.
///
/// # Panics
/// If the matrix is not one of the table.
#[must_use]
pub fn strided<'a>(frame: &'a Frame, names: &'a [String], matrix: &'a Array2<f64>) -> Batch<'a> {
    let mut batch = Batch::new(frame.row_count);
    for (index, name) in names.iter().enumerate() {
        let view = Column::Numbers(matrix.slice(s![.., index]));
        batch
            .push(name, view)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    for (name, column) in &frame.columns {
        if matches!(column, FrameColumn::Text { .. }) {
            batch
                .push(name, column.view())
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
    batch
}

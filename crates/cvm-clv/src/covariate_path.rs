//! Covariates over time: the steps of a path, and the stretches between them.

mod columns;

pub(crate) use columns::{PathColumns, path_fields, read_paths};

use cvm_core::{Domain, RowCode, RowStatus};

/// Covariates that are constant between known moments.
///
/// Time counts in periods from a moment that the use defines: a customer's first purchase, or the
/// end of observation for a forecast. Values hold from their start to the next; the first also
/// before its start, the last for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct CovariatePath {
    starts: Vec<f64>,
    /// Values of a step: those of the purchase rate, then those of the dropout rate.
    values: Vec<f64>,
    pub(crate) purchase_count: usize,
    dropout_count: usize,
}

/// A stretch of time with constant covariates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// Time since the moment asked from.
    pub(crate) start: f64,
    pub(crate) length: f64,
    pub(crate) purchase: &'a [f64],
    pub(crate) dropout: &'a [f64],
}

impl CovariatePath {
    /// The path with steps at `starts`, finite and ascending, and for each its `purchase_count`
    /// covariates of the purchase rate and `dropout_count` of the dropout rate, finite, step by step.
    /// Steps that change nothing are merged.
    ///
    /// # Errors
    /// `missing` without steps or with numbers of values that do not fit, `not_finite`, or
    /// `inconsistent` where starts do not ascend; the field is the step's index.
    pub fn new(
        starts: &[f64],
        purchase: &[f64],
        purchase_count: usize,
        dropout: &[f64],
        dropout_count: usize,
    ) -> Result<Self, RowStatus> {
        let steps = starts.len();
        let complete = purchase.len() == steps * purchase_count
            && dropout.len() == steps * dropout_count
            && steps > 0;
        if !complete {
            return Err(RowStatus::bad(RowCode::Missing, 0));
        }
        let mut path = CovariatePath {
            starts: Vec::new(),
            values: Vec::new(),
            purchase_count,
            dropout_count,
        };
        for (step, start) in starts.iter().enumerate() {
            let place = u16::try_from(step).unwrap_or(u16::MAX);
            let bought = &purchase[step * purchase_count..(step + 1) * purchase_count];
            let left = &dropout[step * dropout_count..(step + 1) * dropout_count];
            for value in bought.iter().chain(left).chain([start]) {
                RowStatus::check(*value, Domain::Finite, place)?;
            }
            if step > 0 && *start <= starts[step - 1] {
                return Err(RowStatus::bad(RowCode::Inconsistent, place));
            }
            path.push(*start, bought, left);
        }
        Ok(path)
    }

    /// The path of a model without covariates.
    pub(crate) fn flat() -> Self {
        CovariatePath {
            starts: vec![0.0],
            values: Vec::new(),
            purchase_count: 0,
            dropout_count: 0,
        }
    }

    /// Adds a step, unless it is as the one before.
    fn push(&mut self, start: f64, purchase: &[f64], dropout: &[f64]) {
        let width = self.purchase_count + self.dropout_count;
        let last = self
            .values
            .len()
            .checked_sub(width)
            .filter(|_| !self.starts.is_empty());
        let same = last.is_some_and(|last| {
            let (bought, left) = self.values[last..].split_at(self.purchase_count);
            bought == purchase && left == dropout
        });
        if !same {
            self.starts.push(start);
            self.values.extend(purchase);
            self.values.extend(dropout);
        }
    }

    /// Steps left after merging.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.starts.len()
    }

    /// Numbers of covariates of the purchase and of the dropout rate.
    pub(crate) fn widths(&self) -> [usize; 2] {
        [self.purchase_count, self.dropout_count]
    }

    pub(crate) fn values(&self, step: usize) -> (&[f64], &[f64]) {
        let width = self.purchase_count + self.dropout_count;
        self.values[step * width..(step + 1) * width].split_at(self.purchase_count)
    }

    /// The step in force at `time`.
    pub(crate) fn step_at(&self, time: f64) -> usize {
        self.starts.partition_point(|start| *start <= time).max(1) - 1
    }

    /// Stretches of the `span` after `from`, which may be infinite; a length is a difference of
    /// starts, or of the ends given, never of their sums.
    pub(crate) fn pieces(&self, from: f64, span: f64) -> impl Iterator<Item = Piece<'_>> {
        let (first, last) = (self.step_at(from), self.step_at(from + span));
        (first..=last).filter_map(move |step| {
            let begin = self.starts[step];
            let length = match (step == first, step == last) {
                (true, true) => span,
                (true, false) => self.starts[step + 1] - from,
                (false, true) => span - (begin - from),
                (false, false) => self.starts[step + 1] - begin,
            };
            let (purchase, dropout) = self.values(step);
            let piece = Piece {
                start: if step == first { 0.0 } else { begin - from },
                length,
                purchase,
                dropout,
            };
            (length > 0.0).then_some(piece)
        })
    }
}

/// Paths from a long table with one line per customer and period: a customer's number, the start of
/// the period on a common clock, and the covariates, line by line. Lines may be in any order; paths
/// come for customers `0..origins.len()`, with time counted from each one's origin (the first
/// purchase, or the end of observation) on the same clock.
///
/// # Errors
/// The customer, and what is wrong: `missing` for a customer without lines, or as
/// [`CovariatePath::new`]. A line of an unknown customer is blamed on that number.
pub fn paths_of_long_table(
    customers: &[usize],
    starts: &[f64],
    purchase: &[f64],
    purchase_count: usize,
    dropout: &[f64],
    dropout_count: usize,
    origins: &[f64],
) -> Result<Vec<CovariatePath>, (usize, RowStatus)> {
    let lines = customers.len();
    let complete = starts.len() == lines
        && purchase.len() == lines * purchase_count
        && dropout.len() == lines * dropout_count;
    let missing = RowStatus::bad(RowCode::Missing, 0);
    if !complete {
        return Err((0, missing));
    }
    if let Some(unknown) = customers
        .iter()
        .find(|customer| **customer >= origins.len())
    {
        return Err((*unknown, RowStatus::bad(RowCode::OutOfRange, 0)));
    }
    let mut order: Vec<usize> = (0..lines).collect();
    order.sort_by(|a, b| {
        let by_customer = customers[*a].cmp(&customers[*b]);
        by_customer.then(starts[*a].total_cmp(&starts[*b]))
    });
    let mut next = 0;
    let path = |(customer, origin): (usize, &f64)| {
        let first = next;
        while next < lines && customers[order[next]] == customer {
            next += 1;
        }
        let own = &order[first..next];
        let times: Vec<f64> = own.iter().map(|line| starts[*line] - origin).collect();
        let columns = |values: &[f64], count: usize| -> Vec<f64> {
            let line = |line: &usize| values[line * count..(line + 1) * count].to_vec();
            own.iter().flat_map(line).collect()
        };
        let (bought, left) = (
            columns(purchase, purchase_count),
            columns(dropout, dropout_count),
        );
        CovariatePath::new(&times, &bought, purchase_count, &left, dropout_count)
            .map_err(|status| (customer, status))
    };
    origins.iter().enumerate().map(path).collect()
}

//! Covariates over time: steps of a path, and a customer's purchases along it.

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
    purchase_count: usize,
    dropout_count: usize,
}

/// A stretch of time with constant covariates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) length: f64,
    pub(super) purchase: &'a [f64],
    pub(super) dropout: &'a [f64],
}

/// The field blamed for a bad row: `T`, `recency` or `frequency` of [`crate::Rfm`].
const AGE: u16 = 2;
const RECENCY: u16 = 1;

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
    pub(super) fn widths(&self) -> [usize; 2] {
        [self.purchase_count, self.dropout_count]
    }

    fn values(&self, step: usize) -> (&[f64], &[f64]) {
        let width = self.purchase_count + self.dropout_count;
        self.values[step * width..(step + 1) * width].split_at(self.purchase_count)
    }

    /// The step in force at `time`.
    fn step_at(&self, time: f64) -> usize {
        self.starts.partition_point(|start| *start <= time).max(1) - 1
    }

    /// Stretches between `from` and `until`.
    fn pieces(&self, from: f64, until: f64) -> impl Iterator<Item = Piece<'_>> {
        let (first, last) = (self.step_at(from), self.step_at(until));
        (first..=last).filter_map(move |step| {
            let start = if step == first {
                from
            } else {
                self.starts[step]
            };
            let end = if step == last {
                until
            } else {
                self.starts[step + 1]
            };
            let (purchase, dropout) = self.values(step);
            let piece = Piece {
                length: end - start,
                purchase,
                dropout,
            };
            (end > start).then_some(piece)
        })
    }

    /// Stretches from 0 to `until`.
    pub(super) fn pieces_until(&self, until: f64) -> impl Iterator<Item = Piece<'_>> {
        self.pieces(0.0, until)
    }
}

/// A customer's purchases along a path of covariates.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedRow {
    /// Repeat purchases in `(0, T]`.
    pub(super) frequency: f64,
    recency: f64,
    age: f64,
    path: CovariatePath,
    /// Sums of the purchase covariates over the repeat purchases.
    bought: Vec<f64>,
}

impl TimedRow {
    /// A customer with repeat purchases at `purchases`, ascending in `(0, age]`, in periods since the
    /// first purchase, along `path`, whose time counts from the first purchase too.
    ///
    /// # Errors
    /// `age` (field 2) or a purchase (field 1) that is not finite, negative, or out of order.
    pub fn new(purchases: &[f64], age: f64, path: CovariatePath) -> Result<Self, RowStatus> {
        let age = RowStatus::check(age, Domain::NonNegative, AGE)? + 0.0;
        let mut before = 0.0;
        let mut bought = vec![0.0; path.purchase_count];
        for (index, time) in purchases.iter().enumerate() {
            let time = RowStatus::check(*time, Domain::Positive, RECENCY)?;
            if time > age || (index > 0 && time < before) {
                return Err(RowStatus::bad(RowCode::Inconsistent, RECENCY));
            }
            let (values, _) = path.values(path.step_at(time));
            for (slot, value) in bought.iter_mut().zip(values) {
                *slot += value;
            }
            before = time;
        }
        Ok(TimedRow {
            frequency: purchases.len() as f64,
            recency: before,
            age,
            path,
            bought,
        })
    }

    /// Repeat purchases, time of the last (0 without one), and end of observation.
    #[must_use]
    pub fn summary(&self) -> [f64; 3] {
        [self.frequency, self.recency, self.age]
    }

    pub(super) fn path_widths(&self) -> [usize; 2] {
        self.path.widths()
    }

    pub(super) fn pieces_before(&self) -> impl Iterator<Item = Piece<'_>> {
        self.path.pieces(0.0, self.recency)
    }

    pub(super) fn pieces_after(&self) -> impl Iterator<Item = Piece<'_>> {
        self.path.pieces(self.recency, self.age)
    }

    pub(super) fn covariates_bought(&self) -> &[f64] {
        &self.bought
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

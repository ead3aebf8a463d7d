//! A customer's purchases along a path of covariates.

use crate::covariate_path::{CovariatePath, Piece};
use crate::rfm::{AGE, RECENCY, Rfm};
use cvm_core::{Domain, RowCode, RowStatus};

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

    /// A customer of whom the summary is known and the sums of the purchase covariates over the
    /// repeat purchases, as many as the path has.
    #[must_use]
    pub fn summarized(row: &Rfm, bought: Vec<f64>, path: CovariatePath) -> Self {
        TimedRow {
            frequency: row.frequency,
            recency: row.recency,
            age: row.age,
            path,
            bought,
        }
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
        self.path.pieces(self.recency, self.age - self.recency)
    }

    /// Stretches of the `t` periods after the end of observation, along the same path.
    pub(super) fn pieces_ahead(&self, t: f64) -> impl Iterator<Item = Piece<'_>> {
        self.path.pieces(self.age, t)
    }

    pub(super) fn covariates_bought(&self) -> &[f64] {
        &self.bought
    }
}

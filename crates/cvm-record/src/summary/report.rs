//! What became of every row of a log.

use super::NegativeAmounts;
use cvm_core::TimeUnit;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a row was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No customer identifier.
    MissingCustomerId,
    /// A number that is not whole, or beyond 2^53 as a float: it does not identify anybody.
    BadCustomerId,
    /// No date.
    MissingDate,
    /// Not a date in the form expected, or outside the years -9999 to 9999.
    UnparsableDate,
    /// After the end of observation.
    DateAfterEnd,
    /// No amount (blank, null, NaN).
    MissingAmount,
    /// Not a number.
    UnparsableAmount,
    /// Infinite, or too large to be summed (beyond 1e288).
    NotFiniteAmount,
    /// Below zero, and the policy is to reject.
    NegativeAmount,
}

impl Cause {
    /// Every cause, in the order rows are checked.
    pub const ALL: [Cause; 9] = [
        Cause::MissingCustomerId,
        Cause::BadCustomerId,
        Cause::MissingDate,
        Cause::UnparsableDate,
        Cause::DateAfterEnd,
        Cause::MissingAmount,
        Cause::UnparsableAmount,
        Cause::NotFiniteAmount,
        Cause::NegativeAmount,
    ];

    /// The cause in words, and what is allowed.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Cause::MissingCustomerId => "no customer id",
            Cause::BadCustomerId => "customer id is not text or an exact whole number",
            Cause::MissingDate => "no date",
            Cause::UnparsableDate => "date is not in the form expected",
            Cause::DateAfterEnd => "date is after the end of observation",
            Cause::MissingAmount => "no amount",
            Cause::UnparsableAmount => "amount is not a number",
            Cause::NotFiniteAmount => "amount is infinite or beyond 1e288",
            Cause::NegativeAmount => "amount is below zero",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// A refused row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Its number, counted as [`SummaryReport::row_numbering`] says.
    pub row: u64,
    /// The value refused.
    pub value: String,
}

/// Rows refused for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRows {
    /// Why.
    pub cause: Cause,
    /// How many.
    pub count: u64,
    /// The first of them, at most [`BadRows::MAX_EXAMPLES`].
    pub examples: Vec<Example>,
}

impl BadRows {
    /// Examples kept per cause.
    pub const MAX_EXAMPLES: usize = 5;
    /// Characters kept of a value.
    const MAX_VALUE_CHARS: usize = 80;
}

/// How rows are numbered in examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowNumbering {
    /// Rows of a table, from 0.
    #[default]
    RowFromZero,
    /// Lines of a text file, from 1, the header included.
    LineFromOne,
}

/// What became of every row: `rows_read = rows_used + bad_row_count + refund_rows_excluded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryReport {
    /// Rows of the log.
    pub rows_read: u64,
    /// Rows that entered the summary or the hold-out.
    pub rows_used: u64,
    /// Rows refused.
    pub bad_row_count: u64,
    /// Rows refused, by cause; only causes that occurred.
    pub bad_rows: Vec<BadRows>,
    /// How rows are numbered in `bad_rows`.
    pub row_numbering: RowNumbering,
    /// Policy for amounts below zero.
    pub negative_amounts: NegativeAmounts,
    /// Rows with an amount below zero that were not refused.
    pub refund_rows: u64,
    /// Of these, rows left out (policy exclude).
    pub refund_rows_excluded: u64,
    /// Grain buckets that refunds brought to zero or below: no purchase (policy net).
    pub purchases_cancelled: u64,
    /// Grain buckets of refunds alone, which change nothing (policy net).
    pub refunds_unmatched: u64,
    /// Rows with amount zero; they count as purchases.
    pub zero_amount_rows: u64,
    /// Rows merged into another row of the same customer and grain bucket.
    pub rows_merged: u64,
    /// Customers in the summary.
    pub customers: u64,
    /// Of these, customers with at least one repeat purchase.
    pub repeat_customers: u64,
    /// Of these, customers whose first purchase is at the very end of the period: `T` is 0, and
    /// nothing has been observed of them that a model of repeat buying could use.
    pub customers_of_age_zero: u64,
    /// Repeat purchases of all customers: the sum of `frequency`.
    pub repeat_purchases: u64,
    /// Customers left out because their first purchase is after the end of calibration.
    pub customers_only_in_holdout: u64,
    /// Customers left out because refunds leave them without any purchase.
    pub customers_without_purchase: u64,
    /// Purchases of amount zero, which have no logarithm: left out of `log_spend_mean` and
    /// `log_spend_sd`; absent where these were not asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub purchases_without_log_spend: u64,
    /// Purchases of the summary's customers in the hold-out: the sum of `holdout_frequency`.
    pub holdout_purchases: Option<u64>,
    /// First date used, ISO 8601.
    pub first_date: String,
    /// Last date used, ISO 8601.
    pub last_date: String,
    /// End of calibration, ISO 8601, included.
    pub calibration_end: Option<String>,
    /// End of observation, ISO 8601, included.
    pub observation_end: String,
    /// Unit of `recency`, `T` and `holdout_duration`.
    pub time_unit: TimeUnit,
    /// Purchases in one bucket of this length are one.
    pub grain: TimeUnit,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl fmt::Display for SummaryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_customers(f)?;
        self.fmt_rows(f)?;
        let numbering = match self.row_numbering {
            RowNumbering::RowFromZero => "row",
            RowNumbering::LineFromOne => "line",
        };
        for bad in &self.bad_rows {
            write!(f, "\n  {} bad: {}", bad.count, bad.cause.describe())?;
            for (i, example) in bad.examples.iter().enumerate() {
                let lead = if i == 0 { " (" } else { ", " };
                write!(f, "{lead}{numbering} {}: {}", example.row, example.value)?;
            }
            let more = if bad.count > bad.examples.len() as u64 {
                ", …)"
            } else {
                ")"
            };
            f.write_str(more)?;
        }
        Ok(())
    }
}

impl SummaryReport {
    fn fmt_customers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self
            .calibration_end
            .as_ref()
            .unwrap_or(&self.observation_end);
        write!(
            f,
            "{} customers, {} with repeat purchases ({} repeats), {} to {end}, unit {}, grain {}",
            self.customers,
            self.repeat_customers,
            self.repeat_purchases,
            self.first_date,
            self.time_unit,
            self.grain
        )?;
        if let (Some(purchases), Some(start)) = (self.holdout_purchases, &self.calibration_end) {
            let last = &self.observation_end;
            write!(
                f,
                "\n  hold-out after {start} to {last}: {purchases} purchases"
            )?;
        }
        note(
            f,
            self.customers_of_age_zero,
            "customers with T = 0: first purchase at the end of the period",
        )?;
        note(
            f,
            self.customers_only_in_holdout,
            "customers left out: first purchase in the hold-out",
        )?;
        note(
            f,
            self.customers_without_purchase,
            "customers left out: only refunds",
        )?;
        note(
            f,
            self.purchases_without_log_spend,
            "purchases of amount zero, left out of log_spend_mean and log_spend_sd",
        )
    }

    fn fmt_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\n  {} rows read, {} used",
            self.rows_read, self.rows_used
        )?;
        note(
            f,
            self.rows_merged,
            "rows merged with another of the same customer and bucket",
        )?;
        note(f, self.refund_rows, "rows with an amount below zero")?;
        note(f, self.refund_rows_excluded, "of them left out")?;
        note(
            f,
            self.purchases_cancelled,
            "purchases cancelled by refunds",
        )?;
        note(
            f,
            self.refunds_unmatched,
            "refunds in buckets without a purchase, ignored",
        )?;
        note(
            f,
            self.zero_amount_rows,
            "rows with amount zero, counted as purchases",
        )
    }
}

fn note(f: &mut fmt::Formatter<'_>, count: u64, what: &str) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    write!(f, "\n  {count} {what}")
}

/// Refused rows while they are counted.
#[derive(Debug, Default)]
pub(super) struct BadRowCounter {
    counts: [u64; Cause::ALL.len()],
    examples: [Vec<Example>; Cause::ALL.len()],
}

impl BadRowCounter {
    /// Counts a row; `show` is called only while examples are wanted.
    pub(super) fn add(&mut self, cause: Cause, row: u64, show: impl FnOnce() -> String) {
        let index = cause.index();
        self.counts[index] += 1;
        let examples = &mut self.examples[index];
        if examples.len() < BadRows::MAX_EXAMPLES {
            let value = show().chars().take(BadRows::MAX_VALUE_CHARS).collect();
            examples.push(Example { row, value });
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn finish(self) -> Vec<BadRows> {
        let counted = Cause::ALL.into_iter().zip(self.counts).zip(self.examples);
        counted
            .filter(|((_, count), _)| *count > 0)
            .map(|((cause, count), examples)| BadRows {
                cause,
                count,
                examples,
            })
            .collect()
    }

    /// Causes with counts and an example each, for the error that nothing is left.
    pub(super) fn in_words(&self) -> String {
        let words = Cause::ALL.into_iter().filter_map(|cause| {
            let example = self.examples[cause.index()].first()?;
            let count = self.counts[cause.index()];
            let Example { row, value } = example;
            Some(format!(
                "{count} rows: {} (such as {value}, row {row})",
                cause.describe()
            ))
        });
        words.collect::<Vec<_>>().join("; ")
    }
}

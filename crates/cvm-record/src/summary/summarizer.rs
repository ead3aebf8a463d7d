//! The engine: rows are checked and kept as they come, and folded at the end.

use super::customers::{CustomerId, Customers};
use super::dates::iso_date;
use super::fold::{Columns, Folder, Purchase, periods, start_of, unit_seconds};
use super::log_columns::{LogColumn, Role};
use super::options::{NegativeAmounts, Plan, SummaryOptions};
use super::partitions::Partitions;
use super::report::{BadRowCounter, Cause, RowNumbering, SummaryReport};
use crate::RecordError;
use crate::table::select_columns;
use arrow_array::RecordBatch;
use cvm_core::{Batch, Frame};

/// Customers, and what became of every row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// One row per customer, in order of first appearance in the log:
    ///
    /// - `customer_id`: text, or numbers if the log has whole numbers and all are at most 2^53;
    /// - `frequency`: repeat purchases; `recency`, `T`: in the time unit;
    /// - `log_gap_sum`: sum of the logarithms of the times between purchases (only on request);
    /// - `monetary_value`: mean of the repeat purchases, 0 without any (only with an amount column);
    /// - `log_spend_mean`, `log_spend_sd`: mean and standard deviation of the logarithms of the
    ///   purchases behind it, 0 without any, the mean missing where all were free (only on request);
    /// - with a calibration end: `holdout_frequency`: purchases after it; `holdout_duration`: its
    ///   length in the time unit; `holdout_monetary_value`: mean purchase in it, 0 without any.
    pub frame: Frame,
    /// What became of every row.
    pub report: SummaryReport,
}

/// Reduces a log, given in any number of pieces, to one row per customer.
///
/// Memory: 18 bytes per row kept (up to twice that while growing) and the distinct identifiers. The
/// numbers do not depend on the order of the rows, nor on how they are split into pieces.
#[derive(Debug)]
pub struct Summarizer {
    plan: Plan,
    customers: Customers,
    log: Partitions,
    bad: BadRowCounter,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    rows_read: u64,
    rows_used: u64,
    refund_rows: u64,
    refund_rows_excluded: u64,
    zero_amount_rows: u64,
    first_seconds: Option<i64>,
    last_seconds: Option<i64>,
    numbering: RowNumbering,
}

/// A row of the log, each part read or refused.
pub(super) struct LogRow<'a> {
    pub(super) customer_id: Result<CustomerId<'a>, Cause>,
    pub(super) seconds: Result<i64, Cause>,
    /// `Ok(None)` if the log has no amounts.
    pub(super) amount: Result<Option<f64>, Cause>,
}

impl Summarizer {
    /// An empty log.
    ///
    /// # Errors
    /// Options that are wrong or contradict each other.
    pub fn new(options: &SummaryOptions) -> Result<Self, RecordError> {
        Ok(Summarizer {
            plan: Plan::new(options)?,
            customers: Customers::None,
            log: Partitions::default(),
            bad: BadRowCounter::default(),
            tally: Tally::default(),
        })
    }

    /// Adds the rows of a frame.
    ///
    /// # Errors
    /// Columns missing or malformed; identifiers of another kind than before.
    pub fn push_frame(&mut self, frame: &Frame) -> Result<(), RecordError> {
        self.push(&frame.batch()?)
    }

    /// Adds the rows of a borrowed batch.
    ///
    /// # Errors
    /// As [`Summarizer::push_frame`].
    pub fn push(&mut self, batch: &Batch<'_>) -> Result<(), RecordError> {
        let options = self.plan.options.clone();
        let column = |name: &str| {
            let found = batch.get(name).map(LogColumn::of_column);
            found.ok_or_else(|| RecordError::missing_column("the log", name, batch.names()))
        };
        let customer_ids = column(&options.customer_id)?;
        let dates = column(&options.date)?;
        let amounts = options.amount.as_deref().map(column).transpose()?;
        self.push_columns(batch.row_count(), &customer_ids, &dates, amounts.as_ref())
    }

    /// Adds the rows of an Arrow record batch; other columns are not looked at.
    ///
    /// # Errors
    /// As [`Summarizer::push_frame`], and columns of a type that cannot be what they are used for.
    pub fn push_batch(&mut self, batch: &RecordBatch) -> Result<(), RecordError> {
        let options = self.plan.options.clone();
        let column = |name: &str, role| {
            LogColumn::of_array(name, select_columns("the log", batch, name)?, role)
        };
        let customer_ids = column(&options.customer_id, Role::CustomerId)?;
        let dates = column(&options.date, Role::Date)?;
        let amounts = options
            .amount
            .as_deref()
            .map(|name| column(name, Role::Amount))
            .transpose()?;
        self.push_columns(batch.num_rows(), &customer_ids, &dates, amounts.as_ref())
    }

    fn push_columns(
        &mut self,
        row_count: usize,
        customer_ids: &LogColumn<'_>,
        dates: &LogColumn<'_>,
        amounts: Option<&LogColumn<'_>>,
    ) -> Result<(), RecordError> {
        let first = self.tally.rows_read;
        for row in 0..row_count {
            let log_row = LogRow {
                customer_id: customer_ids.customer_id(row),
                seconds: dates.seconds(row, &self.plan.dates),
                amount: amounts.map(|amounts| amounts.amount(row)).transpose(),
            };
            if let Some(cause) = self.accept(&log_row)? {
                self.bad
                    .add(cause, first + row as u64, || match cause.role() {
                        Role::CustomerId => customer_ids.show(row),
                        Role::Date => dates.show(row),
                        Role::Amount => amounts.map_or_else(String::new, |a| a.show(row)),
                    });
            }
        }
        Ok(())
    }

    /// Adds one line of a text file; `show` gives the refused cell.
    pub(super) fn push_line(
        &mut self,
        line: u64,
        row: &LogRow<'_>,
        show: impl FnOnce(Role) -> String,
    ) -> Result<(), RecordError> {
        self.tally.numbering = RowNumbering::LineFromOne;
        if let Some(cause) = self.accept(row)? {
            self.bad.add(cause, line, || show(cause.role()));
        }
        Ok(())
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Rows read so far.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.tally.rows_read
    }

    /// Keeps a row, or says why not.
    fn accept(&mut self, row: &LogRow<'_>) -> Result<Option<Cause>, RecordError> {
        self.tally.rows_read += 1;
        let (id, purchase) = match self.check(row) {
            Ok(checked) => checked,
            Err(cause) => return Ok(Some(cause)),
        };
        self.tally.saw(purchase.seconds);
        if purchase.amount < 0.0 {
            self.tally.refund_rows += 1;
            if self.plan.options.negative_amounts == NegativeAmounts::Exclude {
                self.tally.refund_rows_excluded += 1;
                return Ok(None);
            }
        }
        let code = self.customers.code(id, &self.plan.options.customer_id)?;
        self.log.push(code, purchase);
        self.tally.rows_used += 1;
        self.tally.zero_amount_rows += u64::from(row.amount == Ok(Some(0.0)));
        Ok(None)
    }

    fn check<'r>(&self, row: &LogRow<'r>) -> Result<(CustomerId<'r>, Purchase), Cause> {
        let id = row.customer_id?;
        let seconds = self.plan.cut(row.seconds?);
        if self.plan.observation_end.is_some_and(|end| seconds > end) {
            return Err(Cause::DateAfterEnd);
        }
        let amount = row.amount?.unwrap_or(0.0);
        if amount < 0.0 && self.plan.options.negative_amounts == NegativeAmounts::Reject {
            return Err(Cause::NegativeAmount);
        }
        Ok((id, Purchase { seconds, amount }))
    }

    /// Folds the log.
    ///
    /// # Errors
    /// No rows; no usable row; no customer with a purchase; calibration that ends after observation.
    pub fn finish(self) -> Result<Summary, RecordError> {
        let (first, last) = self
            .tally
            .range()
            .ok_or_else(|| self.tally.nothing_used(&self.bad))?;
        let Summarizer {
            plan,
            customers,
            log,
            bad,
            tally,
        } = self;
        let observation_end = plan
            .observation_end
            .unwrap_or_else(|| plan.last_observed(last));
        plan.check_split(observation_end)?;
        let mut folder = Folder::new(&plan, observation_end);
        log.for_each_customer(|customer, purchases| folder.add(customer, purchases));
        let report = report(&plan, &tally, bad, &folder, (first, last, observation_end));
        if report.customers == 0 {
            return Err(RecordError::NoCustomers {
                end: report
                    .calibration_end
                    .clone()
                    .unwrap_or(report.observation_end.clone()),
                why: report.to_string(),
            });
        }
        let frame = frame(&plan, &customers, folder.columns, observation_end);
        Ok(Summary { frame, report })
    }
}

impl Cause {
    /// The column to blame.
    pub(super) fn role(self) -> Role {
        match self {
            Cause::MissingCustomerId | Cause::BadCustomerId => Role::CustomerId,
            Cause::MissingDate | Cause::UnparsableDate | Cause::DateAfterEnd => Role::Date,
            Cause::MissingAmount
            | Cause::UnparsableAmount
            | Cause::NotFiniteAmount
            | Cause::NegativeAmount => Role::Amount,
        }
    }
}

impl Tally {
    fn saw(&mut self, seconds: i64) {
        self.first_seconds = Some(
            self.first_seconds
                .map_or(seconds, |first| first.min(seconds)),
        );
        self.last_seconds = Some(self.last_seconds.map_or(seconds, |last| last.max(seconds)));
    }

    fn range(&self) -> Option<(i64, i64)> {
        self.first_seconds.zip(self.last_seconds)
    }

    fn nothing_used(&self, bad: &BadRowCounter) -> RecordError {
        if self.rows_read == 0 {
            let name = "the log".to_owned();
            return RecordError::NoRows { name };
        }
        RecordError::AllRowsBad {
            rows_read: self.rows_read,
            causes: bad.in_words(),
        }
    }
}

fn report(
    plan: &Plan,
    tally: &Tally,
    bad: BadRowCounter,
    folder: &Folder,
    (first, last, observation_end): (i64, i64, i64),
) -> SummaryReport {
    let counts = folder.counts;
    let options = &plan.options;
    SummaryReport {
        rows_read: tally.rows_read,
        rows_used: tally.rows_used,
        bad_row_count: bad.total(),
        bad_rows: bad.finish(),
        row_numbering: tally.numbering,
        negative_amounts: options.negative_amounts,
        refund_rows: tally.refund_rows,
        refund_rows_excluded: tally.refund_rows_excluded,
        purchases_cancelled: counts.purchases_cancelled,
        refunds_unmatched: counts.refunds_unmatched,
        zero_amount_rows: tally.zero_amount_rows,
        rows_merged: counts.rows_merged,
        customers: folder.columns.customers.len() as u64,
        repeat_customers: counts.repeat_customers,
        customers_of_age_zero: counts.customers_of_age_zero,
        repeat_purchases: counts.repeat_purchases,
        customers_only_in_holdout: counts.customers_only_in_holdout,
        customers_without_purchase: counts.customers_without_purchase,
        purchases_without_log_spend: counts.purchases_without_log_spend,
        holdout_purchases: plan.calibration_end.map(|_| counts.holdout_purchases),
        first_date: iso_date(first),
        last_date: iso_date(last),
        calibration_end: plan.calibration_end.map(iso_date),
        observation_end: iso_date(observation_end),
        time_unit: options.time_unit,
        grain: options.grain,
    }
}

/// Models of discrete opportunities call it otherwise.
fn age_name(plan: &Plan) -> &'static str {
    match plan.options.calendar {
        Some(_) => "n_periods",
        None => "T",
    }
}

fn frame(plan: &Plan, customers: &Customers, columns: Columns, observation_end: i64) -> Frame {
    let Columns {
        customers: codes,
        frequency,
        recency,
        age,
        log_gap_sum,
        monetary_value,
        holdout_frequency,
        holdout_monetary_value,
        log_spend_mean,
        log_spend_sd,
    } = columns;
    let has_amount = plan.options.amount.is_some();
    let row_count = codes.len();
    let mut frame = Frame::new(row_count);
    frame
        .columns
        .push(("customer_id".to_owned(), customers.column(&codes)));
    frame = frame
        .with_numbers("frequency", frequency)
        .with_numbers("recency", recency)
        .with_numbers(age_name(plan), age);
    if plan.options.regularity {
        frame = frame.with_numbers("log_gap_sum", log_gap_sum);
    }
    if has_amount {
        frame = frame.with_numbers("monetary_value", monetary_value);
    }
    if plan.options.log_spend {
        frame = frame
            .with_numbers("log_spend_mean", log_spend_mean)
            .with_numbers("log_spend_sd", log_spend_sd);
    }
    let Some(calibration_end) = plan.calibration_end else {
        return frame;
    };
    let span = start_of(plan, observation_end) - start_of(plan, calibration_end);
    let duration = periods(span, unit_seconds(plan));
    frame = frame
        .with_numbers("holdout_frequency", holdout_frequency)
        .with_numbers("holdout_duration", vec![duration; row_count]);
    if has_amount {
        frame = frame.with_numbers("holdout_monetary_value", holdout_monetary_value);
    }
    frame
}

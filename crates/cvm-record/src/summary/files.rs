//! Whole logs in one call: frames, record batches, CSV and Parquet files, read as a stream.

use super::log_columns::{Role, text_to_amount, text_to_id, text_to_seconds};
use super::summarizer::{LogRow, Summarizer, Summary};
use super::{Cause, SummaryOptions};
use crate::table::{CsvHeader, Records, open_batches, position};
use crate::{CsvOptions, CsvSource, RecordError};
use arrow_array::RecordBatch;
use csv::StringRecord;
use cvm_core::Frame;
use std::path::Path;

const BATCH_ROWS: usize = 64 << 10;

/// Summarizes a log in memory.
///
/// # Errors
/// As [`Summarizer`].
pub fn summarize_frame(frame: &Frame, options: &SummaryOptions) -> Result<Summary, RecordError> {
    let mut summarizer = Summarizer::new(options)?;
    summarizer.push_frame(frame)?;
    summarizer.finish()
}

/// Summarizes a log given as Arrow record batches.
///
/// # Errors
/// As [`Summarizer`].
pub fn summarize_batches<'a>(
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    options: &SummaryOptions,
) -> Result<Summary, RecordError> {
    let mut summarizer = Summarizer::new(options)?;
    for batch in batches {
        summarizer.push_batch(batch)?;
    }
    summarizer.finish()
}

/// Summarizes a Parquet file, reading only the columns it needs.
///
/// # Errors
/// As [`Summarizer`] and [`crate::read_parquet`].
pub fn summarize_parquet(
    path: impl AsRef<Path>,
    options: &SummaryOptions,
) -> Result<Summary, RecordError> {
    let mut summarizer = Summarizer::new(options)?;
    let mut wanted = vec![options.customer_id.clone(), options.date.clone()];
    wanted.extend(options.amount.clone());
    for batch in open_batches(path.as_ref(), &wanted, BATCH_ROWS)? {
        summarizer.push_batch(&batch?)?;
    }
    summarizer.finish()
}

/// Summarizes a text file in one pass. Identifiers are text, exactly as written: leading zeros stay.
///
/// # Errors
/// As [`Summarizer`] and [`crate::read_csv`]; a ragged record is an error of the file, not a bad row.
pub fn summarize_csv(
    source: &CsvSource,
    csv: &CsvOptions,
    options: &SummaryOptions,
) -> Result<Summary, RecordError> {
    let mut summarizer = Summarizer::new(options)?;
    let mut records = Records::open(source, csv.delimiter)?;
    let mut header = CsvHeader::read(&mut records, csv)?;
    let cells = Cells {
        csv,
        customer_id: position(source.name(), &header.names, &options.customer_id)?,
        date: position(source.name(), &header.names, &options.date)?,
        amount: match &options.amount {
            Some(amount) => Some(position(source.name(), &header.names, amount)?),
            None => None,
        },
    };
    let mut record = StringRecord::new();
    while let Some(line) = header.next_row(&mut records, &mut record)? {
        let row = cells.read(&record, &summarizer);
        summarizer.push_line(line, &row, |role| cells.show(&record, role))?;
    }
    if summarizer.rows_read() == 0 {
        let name = source.name().to_owned();
        return Err(RecordError::NoRows { name });
    }
    summarizer.finish()
}

/// Where the columns are in a record.
struct Cells<'a> {
    csv: &'a CsvOptions,
    customer_id: usize,
    date: usize,
    amount: Option<usize>,
}

impl Cells<'_> {
    fn read<'r>(&self, record: &'r StringRecord, summarizer: &Summarizer) -> LogRow<'r> {
        let date = record.get(self.date).unwrap_or("");
        LogRow {
            customer_id: self.customer_id(record),
            seconds: match text_to_seconds(date, &summarizer.plan().dates) {
                Err(_) if self.csv.is_missing(date) => Err(Cause::MissingDate),
                seconds => seconds,
            },
            amount: self.amount.map(|at| self.amount(record, at)).transpose(),
        }
    }

    fn customer_id<'r>(
        &self,
        record: &'r StringRecord,
    ) -> Result<super::customers::CustomerId<'r>, Cause> {
        let id = record.get(self.customer_id).unwrap_or("");
        if self.csv.is_missing(id) {
            return Err(Cause::MissingCustomerId);
        }
        text_to_id(id)
    }

    fn amount(&self, record: &StringRecord, at: usize) -> Result<f64, Cause> {
        let amount = record.get(at).unwrap_or("");
        match text_to_amount(amount) {
            Err(_) if self.csv.is_missing(amount) => Err(Cause::MissingAmount),
            amount => amount,
        }
    }

    fn show(&self, record: &StringRecord, role: Role) -> String {
        let at = match role {
            Role::CustomerId => Some(self.customer_id),
            Role::Date => Some(self.date),
            Role::Amount => self.amount,
        };
        let cell = at.and_then(|at| record.get(at)).unwrap_or("");
        format!("\"{cell}\"")
    }
}

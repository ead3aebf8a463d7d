//! Transaction logs to customer summaries.
//!
//! rows → checked and counted by cause ([`Summarizer`]) → partitions of customers → each customer's
//! purchases sorted and folded → one row per customer, in order of first appearance in the log.

mod calendar;
mod customers;
mod dates;
mod files;
mod fold;
mod log_columns;
mod log_spend;
mod options;
mod partitions;
mod report;
mod summarizer;

pub use calendar::CalendarPeriod;
pub(crate) use dates::parse_iso;
pub use files::{summarize_batches, summarize_csv, summarize_frame, summarize_parquet};
pub use options::{EpochUnit, NegativeAmounts, SummaryOptions};
pub use report::{BadRows, Cause, Example, RowNumbering, SummaryReport};
pub use summarizer::{Summarizer, Summary};

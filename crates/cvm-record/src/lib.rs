//! Tables in and out (CSV, Parquet, Arrow), and transaction logs reduced to one summary per customer.
//!
//! Readers turn files and Arrow arrays into [`cvm_core::Frame`]; [`Summarizer`] turns purchases into
//! `frequency`, `recency`, `T` and `monetary_value`, and tells in a [`SummaryReport`] what became of
//! every row. Nothing here reads a clock or the environment: the end of observation is an argument
//! or the last date of the log.

mod cell;
mod civil;
mod error;
mod paths;
mod pool;
mod summary;
mod table;

pub use cell::ColumnKind;
pub use error::RecordError;
pub use paths::{PathOptions, covariate_path_columns};
pub use summary::{
    BadRows, CalendarPeriod, Cause, EpochUnit, Example, NegativeAmounts, RowNumbering, Summarizer,
    Summary, SummaryOptions, SummaryReport, summarize_batches, summarize_csv, summarize_frame,
    summarize_parquet,
};
pub use table::{
    CsvChunks, CsvOptions, CsvSource, CsvWriter, Delimiter, ParquetChunks, ParquetOptions,
    ParquetWriter, from_arrow, from_record_batch, numbers_slice, read_csv, read_parquet,
    to_record_batch, write_csv, write_parquet,
};

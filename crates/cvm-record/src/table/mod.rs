//! Tables from and to CSV, Parquet and Arrow.

mod arrow_in;
mod arrow_out;
mod builder;
mod csv_options;
mod csv_read;
mod csv_records;
mod csv_write;
mod parquet_read;
mod parquet_write;

pub use arrow_in::{from_arrow, from_record_batch, numbers_slice};
pub use arrow_out::to_record_batch;
pub use csv_options::{CsvOptions, Delimiter};
pub use csv_read::{CsvChunks, read_csv};
pub use csv_records::CsvSource;
pub use csv_write::{CsvWriter, write_csv};
pub use parquet_read::{ParquetChunks, ParquetOptions, read_parquet};
pub use parquet_write::{ParquetWriter, write_parquet};

pub(crate) use arrow_in::{
    Instant, Texts, dictionary_parts, from_arrow_as, instants, numbers, type_kind, unsupported,
    whole_numbers,
};
pub(crate) use csv_records::{CsvHeader, Records};
pub(crate) use parquet_read::{open_batches, select_columns};

use crate::RecordError;

/// Most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 16_384;

/// Refuses a name that occurs twice, and more columns than [`MAX_COLUMNS`].
pub(crate) fn check_names<S: AsRef<str>>(table: &str, names: &[S]) -> Result<(), RecordError> {
    if names.len() > MAX_COLUMNS {
        return Err(RecordError::TooMany {
            name: table.to_owned(),
            what: "columns",
            limit: MAX_COLUMNS as u64,
        });
    }
    let mut sorted: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(RecordError::DuplicateColumn {
            name: table.to_owned(),
            column: pair[0].to_owned(),
        }),
    }
}

/// Positions of `wanted` in `names`; every position if nothing is named.
pub(crate) fn positions<S: AsRef<str>>(
    table: &str,
    names: &[S],
    wanted: Option<&[String]>,
) -> Result<Vec<usize>, RecordError> {
    let Some(wanted) = wanted else {
        return Ok((0..names.len()).collect());
    };
    wanted
        .iter()
        .map(|name| position(table, names, name))
        .collect()
}

/// Position of one column.
pub(crate) fn position<S: AsRef<str>>(
    table: &str,
    names: &[S],
    wanted: &str,
) -> Result<usize, RecordError> {
    names
        .iter()
        .position(|name| name.as_ref() == wanted)
        .ok_or_else(|| RecordError::missing_column(table, wanted, names.iter().map(AsRef::as_ref)))
}

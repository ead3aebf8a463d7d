//! Frames to Arrow record batches.

use crate::RecordError;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema};
use cvm_core::{Column, Frame, TextColumn};
use std::sync::Arc;

/// Copies a frame into a record batch: numbers as `Float64`, text as `Utf8`, missing as null.
///
/// # Errors
/// Ragged columns or a name used twice.
pub fn to_record_batch(frame: &Frame) -> Result<RecordBatch, RecordError> {
    let batch = frame.batch()?;
    let mut fields = Vec::with_capacity(frame.columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(frame.columns.len());
    for (name, column) in &frame.columns {
        let (data_type, array): (DataType, ArrayRef) = match column.view() {
            Column::Numbers(values) => {
                let present = |value: &f64| (!value.is_nan()).then_some(*value);
                let array: Float64Array = values.iter().map(present).collect();
                (DataType::Float64, Arc::new(array))
            }
            Column::Text(text) => (DataType::Utf8, Arc::new(text_array(name, text)?)),
        };
        fields.push(Field::new(name, data_type, true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.row_count()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| RecordError::malformed("the frame", "Arrow", error))
}

/// `Utf8` offsets are `i32`: more text than that in one batch is refused.
fn text_array(name: &str, text: TextColumn<'_>) -> Result<StringArray, RecordError> {
    const MAX_BYTES: usize = i32::MAX as usize;
    let rows = || (0..text.codes.len()).map(|row| text.get(row));
    let bytes: usize = rows().flatten().map(str::len).sum();
    if bytes > MAX_BYTES {
        return Err(RecordError::TooMany {
            name: format!("column `{name}`"),
            what: "bytes of text in one batch",
            limit: MAX_BYTES as u64,
        });
    }
    Ok(rows().collect())
}

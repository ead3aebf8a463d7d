//! Every type of the table at the head of the module, with nulls, and types that are refused.

use super::{from_arrow, from_record_batch, numbers_slice};
use crate::RecordError;
use arrow_array::types::Int8Type;
use arrow_array::{
    Array, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, LargeStringArray,
    NullArray, RecordBatch, StringArray, StringViewArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_array::{ArrayRef, BinaryArray, Time32SecondArray};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field, Schema};
use cvm_core::{Column, FrameColumn};
use std::sync::Arc;

fn column(array: &dyn Array) -> FrameColumn {
    from_arrow("x", array).unwrap()
}

/// Numbers as options: NaN is missing.
fn numbers(array: &dyn Array) -> Vec<Option<f64>> {
    match column(array) {
        FrameColumn::Numbers(values) => values
            .into_iter()
            .map(|value| (!value.is_nan()).then_some(value))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn texts(array: &dyn Array) -> Vec<Option<String>> {
    let column = column(array);
    match column.view() {
        Column::Text(text) => (0..column.len())
            .map(|row| text.get(row).map(str::to_owned))
            .collect(),
        Column::Numbers(values) => panic!("{values:?}"),
    }
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .collect()
}

#[test]
fn numbers_of_every_width_come_in_with_nulls_missing() {
    assert_eq!(
        numbers(&Int8Array::from(vec![Some(-1), None])),
        [Some(-1.0), None]
    );
    assert_eq!(
        numbers(&Int64Array::from(vec![None, Some(1 << 53)])),
        [None, Some(9_007_199_254_740_992.0)]
    );
    assert_eq!(
        numbers(&UInt64Array::from(vec![Some(7), None])),
        [Some(7.0), None]
    );
    assert_eq!(
        numbers(&Float32Array::from(vec![Some(0.1), None])),
        [Some(f64::from(0.1_f32)), None]
    );
    assert_eq!(
        numbers(&BooleanArray::from(vec![Some(true), None, Some(false)])),
        [Some(1.0), None, Some(0.0)]
    );
    assert_eq!(numbers(&NullArray::new(2)), [None, None]);
}

#[test]
fn decimals_are_the_nearest_float() {
    let cents = Decimal128Array::from(vec![Some(10), None, Some(-12_345_678_901_234_567)]);
    let cents = cents.with_precision_and_scale(30, 2).unwrap();
    assert_eq!(
        numbers(&cents),
        [Some(0.1), None, Some(-123_456_789_012_345.67)]
    );
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(25))]);
    assert_eq!(
        numbers(&wide.with_precision_and_scale(50, 3).unwrap()),
        [Some(0.025)]
    );
}

#[test]
fn whole_numbers_beyond_floats_become_text_unchanged() {
    let wide = Int64Array::from(vec![Some(9_007_199_254_740_993), None, Some(1)]);
    assert_eq!(
        texts(&wide),
        [
            Some("9007199254740993".to_owned()),
            None,
            Some("1".to_owned())
        ]
    );
    assert_eq!(
        texts(&UInt64Array::from(vec![u64::MAX])),
        some(&["18446744073709551615"])
    );
    let decimal = Decimal128Array::from(vec![12_345_678_901_234_567_890]);
    assert_eq!(
        texts(&decimal.with_precision_and_scale(38, 0).unwrap()),
        some(&["12345678901234567890"])
    );
}

#[test]
fn text_of_every_layout_comes_in() {
    let values = vec![Some("b"), None, Some(""), Some("b")];
    let want = [
        Some("b".to_owned()),
        None,
        Some(String::new()),
        Some("b".to_owned()),
    ];
    assert_eq!(texts(&StringArray::from(values.clone())), want);
    assert_eq!(texts(&LargeStringArray::from(values.clone())), want);
    assert_eq!(texts(&StringViewArray::from(values)), want);
}

#[test]
fn dictionaries_are_their_values() {
    let coded: DictionaryArray<Int8Type> = vec![Some("x"), None, Some("y"), Some("x")]
        .into_iter()
        .collect();
    assert_eq!(
        texts(&coded),
        [
            Some("x".to_owned()),
            None,
            Some("y".to_owned()),
            Some("x".to_owned())
        ]
    );
    // A null in the values, a null among the keys, a value twice.
    let keys = Int8Array::from(vec![Some(0), Some(1), None, Some(2)]);
    let values = Float64Array::from(vec![Some(2.5), None, Some(2.5)]);
    let coded = DictionaryArray::new(keys, Arc::new(values));
    assert_eq!(numbers(&coded), [Some(2.5), None, None, Some(2.5)]);
    let empty = DictionaryArray::new(
        Int8Array::from(vec![None, None]),
        Arc::new(StringArray::new_null(0)),
    );
    assert_eq!(texts(&empty), [None, None]);
}

#[test]
fn dates_and_timestamps_are_iso_text() {
    assert_eq!(
        texts(&Date32Array::from(vec![0, -1, 2_932_896])),
        some(&["1970-01-01", "1969-12-31", "9999-12-31"])
    );
    assert_eq!(
        texts(&Date64Array::from(vec![86_400_000])),
        some(&["1970-01-02"])
    );
    assert_eq!(
        texts(&TimestampSecondArray::from(vec![1_323_419_160])),
        some(&["2011-12-09T08:26:00"])
    );
    let zoned = TimestampMillisecondArray::from(vec![-1]).with_timezone("Europe/Paris");
    assert_eq!(texts(&zoned), some(&["1969-12-31T23:59:59.999Z"]));
    assert_eq!(
        texts(&TimestampNanosecondArray::from(vec![1])),
        some(&["1970-01-01T00:00:00.000000001"])
    );
    let error = from_arrow("when", &TimestampSecondArray::from(vec![i64::MAX])).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("column `when`, row 0: is 9223372036854775807"),
        "{error}"
    );
}

#[test]
fn other_types_are_refused_by_name() {
    let binary = BinaryArray::from(vec![b"x".as_slice()]);
    let time = Time32SecondArray::from(vec![1]);
    let arrays: [(&dyn Array, &str); 2] = [(&binary, "Binary"), (&time, "Time32(s)")];
    for (array, name) in arrays {
        match from_arrow("blob", array).unwrap_err() {
            RecordError::UnsupportedType { column, data_type } => {
                assert_eq!((column.as_str(), data_type.as_str()), ("blob", name));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn float_columns_without_nulls_are_borrowed() {
    let array = Float64Array::from(vec![1.0, 2.0, 3.0]);
    let slice = numbers_slice(&array).unwrap();
    assert_eq!(slice.as_ptr(), array.values().as_ptr());
    let sliced = array.slice(1, 2);
    assert_eq!(numbers_slice(&sliced), Some([2.0, 3.0].as_slice()));
    assert!(numbers_slice(&Float64Array::from(vec![Some(1.0), None])).is_none());
    assert!(numbers_slice(&Float32Array::from(vec![1.0])).is_none());
}

#[test]
fn doubled_names_are_refused() {
    let field = || Field::new("x", DataType::Int8, true);
    let array: ArrayRef = Arc::new(Int8Array::from(vec![1]));
    let schema = Arc::new(Schema::new(vec![field(), field()]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(&array), array]).unwrap();
    assert!(matches!(
        from_record_batch(&batch),
        Err(RecordError::DuplicateColumn { .. })
    ));
}

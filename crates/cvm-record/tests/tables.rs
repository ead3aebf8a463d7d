//! Text and Parquet files: typing, round trips, chunks, and every way a file can be wrong.

use cvm_core::{Column, ErrorKind, Frame, FrameColumn};
use cvm_record::{
    ColumnKind, CsvChunks, CsvOptions, CsvSource, CsvWriter, Delimiter, ParquetChunks,
    ParquetOptions, ParquetWriter, RecordError, read_csv, read_parquet, write_csv, write_parquet,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn source(text: impl AsRef<[u8]>) -> CsvSource {
    CsvSource::bytes("input", text.as_ref().to_vec())
}

fn read(text: impl AsRef<[u8]>) -> Result<Frame, RecordError> {
    read_csv(&source(text), &CsvOptions::default())
}

fn numbers<'a>(frame: &'a Frame, name: &str) -> &'a [f64] {
    match frame.get(name) {
        Some(FrameColumn::Numbers(values)) => values,
        other => panic!("{name} is {other:?}"),
    }
}

fn texts(frame: &Frame, name: &str) -> Vec<Option<String>> {
    match frame.get(name).map(FrameColumn::view) {
        Some(Column::Text(text)) => (0..frame.row_count)
            .map(|row| text.get(row).map(str::to_owned))
            .collect(),
        other => panic!("{name} is {other:?}"),
    }
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .collect()
}

#[test]
fn columns_are_typed_by_all_their_cells() {
    let frame = read(
        "\u{feff}\"a\",b,c,d,e\r\n1, 2.5,x,007,\r\nNA,1e3,\"y, \"\"z\"\"\",8,\r\n,null,NaN,12,\r\n",
    )
    .unwrap();
    assert_eq!(frame.row_count, 3);
    let a = numbers(&frame, "a");
    assert!(a[0] == 1.0 && a[1].is_nan() && a[2].is_nan());
    assert_eq!(numbers(&frame, "b")[..2], [2.5, 1e3]);
    assert_eq!(
        texts(&frame, "c"),
        [Some("x".into()), Some("y, \"z\"".into()), None]
    );
    assert_eq!(texts(&frame, "d"), some(&["007", "8", "12"]));
    assert!(numbers(&frame, "e").iter().all(|value| value.is_nan()));
}

#[test]
fn kinds_given_overrule_the_cells() {
    let kinds = BTreeMap::from([
        ("id".to_owned(), ColumnKind::Text),
        ("zip".to_owned(), ColumnKind::Number),
    ]);
    let options = CsvOptions {
        kinds,
        ..CsvOptions::default()
    };
    let frame = read_csv(&source("id,zip\n1,007\n2,\n"), &options).unwrap();
    assert_eq!(texts(&frame, "id"), some(&["1", "2"]));
    assert_eq!(numbers(&frame, "zip")[0], 7.0);
    let error = read_csv(&source("id,zip\n1,07\n2,x7\n"), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `zip`, line 3: is \"x7\": must be a number or missing"
    );
}

#[test]
fn names_columns_delimiters_and_blanks() {
    let options = |delimiter| CsvOptions {
        delimiter,
        has_header: false,
        ..CsvOptions::default()
    };
    let blanks = read_csv(
        &source("\n  1   a\t2 \r\n\n 3 b 4"),
        &options(Delimiter::Whitespace),
    )
    .unwrap();
    assert_eq!(numbers(&blanks, "column_1"), [1.0, 3.0]);
    assert_eq!(texts(&blanks, "column_2"), some(&["a", "b"]));
    let picked = CsvOptions {
        columns: Some(vec!["z".to_owned(), "x".to_owned()]),
        names: Some(vec!["x".to_owned(), "y".to_owned(), "z".to_owned()]),
        delimiter: Delimiter::parse("semicolon").unwrap(),
        ..CsvOptions::default()
    };
    let frame = read_csv(&source("h;h;h\n1;2;3\n"), &picked).unwrap();
    let names: Vec<&str> = frame
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["z", "x"]);
    assert_eq!(numbers(&frame, "z"), [3.0]);
}

#[test]
fn wrong_files_are_refused_with_place_and_reason() {
    for (text, words) in [
        (
            &b""[..],
            "input is empty: expected a table with at least one row",
        ),
        (b"\xef\xbb\xbf", "input has no rows: expected at least one"),
        (b"a,b\n", "input has no rows: expected at least one"),
        (
            b"a,b,a\n1,2,3\n",
            "input: column `a` occurs twice: names must be distinct",
        ),
        (b"a,b\n1,2\n\n3\n", "input, line 4: has 1 cells, expected 2"),
        (
            b"a,b\n1,2\n3,4,5\n",
            "input, line 3: has 3 cells, expected 2",
        ),
        (
            b"a,b\r\n1,2\r\n3\r\n",
            "input, line 3: has 1 cells, expected 2",
        ),
        (
            b"a,b\r\n1,2\r\n\r\n3",
            "input, line 4: has 1 cells, expected 2",
        ),
        (
            b"a,b\n\"1\n1\",\"\n2\"\n3",
            "input, line 5: has 1 cells, expected 2",
        ),
        (
            b"a,b\r\n1,2\r\n1,\xff\r\n",
            "input, line 3: is not UTF-8 text",
        ),
        (b"a,b\n1,\xff\n", "input, line 2: is not UTF-8 text"),
        (b"\xff\xfea\x00,\x00", "input, line 1: is not UTF-8 text"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.to_string(), words);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let options = CsvOptions {
        columns: Some(vec!["c".to_owned()]),
        ..CsvOptions::default()
    };
    let error = read_csv(&source("a,b\n1,2\n"), &options).unwrap_err();
    assert_eq!(error.to_string(), "input has no column `c`: it has [a, b]");
    let error = CsvSource::path("no/such/file.csv").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn an_open_quote_does_not_swallow_the_file() {
    let mut text = b"a,b\n1,\"2\n".to_vec();
    text.resize(40 << 20, b'x');
    let error = read(text).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("bytes in one record (is a quote left open?)"),
        "{error}"
    );
}

#[test]
fn options_come_from_json_and_refuse_unknown_fields() {
    let options: CsvOptions =
        serde_json::from_str(r#"{"delimiter": "tab", "kinds": {"id": "text"}}"#).unwrap();
    assert_eq!(options.delimiter, Delimiter::Character(b'\t'));
    assert!(serde_json::from_str::<CsvOptions>(r#"{"delimiter": "é"}"#).is_err());
    assert!(serde_json::from_str::<CsvOptions>(r#"{"delimeter": ","}"#).is_err());
}

/// A column may look like numbers for a whole chunk and be text later: the type is that of the file.
#[test]
fn chunks_have_one_type_and_join_to_the_whole() {
    let mut text = "id,x\n".to_owned();
    for i in 0..1_000 {
        text += &format!("{i},{}\n", f64::from(i) / 7.0);
    }
    text += "late,1\n";
    let whole = read(&text).unwrap();
    let chunks: Vec<Frame> = CsvChunks::open(&source(&text), &CsvOptions::default(), 300)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.row_count).collect();
    assert_eq!(sizes, [300, 300, 300, 101]);
    let ids: Vec<Option<String>> = chunks.iter().flat_map(|chunk| texts(chunk, "id")).collect();
    assert_eq!(ids, texts(&whole, "id"));
    let x: Vec<f64> = chunks
        .iter()
        .flat_map(|chunk| numbers(chunk, "x").to_vec())
        .collect();
    assert_eq!(x, numbers(&whole, "x"));
}

#[test]
fn a_bad_chunk_ends_the_stream() {
    let kinds = BTreeMap::from([("a".to_owned(), ColumnKind::Number)]);
    let options = CsvOptions {
        kinds,
        ..CsvOptions::default()
    };
    let mut chunks = CsvChunks::open(&source("a\n1\n2\nx\n4\n"), &options, 2).unwrap();
    assert_eq!(chunks.next().unwrap().unwrap().row_count, 2);
    assert!(chunks.next().unwrap().is_err());
    assert!(chunks.next().is_none());
}

fn mixed(values: &[f64], labels: &[&str]) -> Frame {
    let mut frame = Frame::new(values.len()).with_numbers("x", values.to_vec());
    let labels = FrameColumn::from_strings(labels.iter().map(|label| Some(*label)));
    frame.columns.push(("label, \"quoted\"".to_owned(), labels));
    frame
}

#[test]
fn parquet_chunks_keep_wide_integers_and_order() {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.parquet");
    let mut ids: Vec<i64> = (0..100).collect();
    ids.push(9_007_199_254_740_993);
    let small: Vec<i64> = (0..101).collect();
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("small", Arc::new(Int64Array::from(small)) as ArrayRef),
    ])
    .unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let options = ParquetOptions {
        columns: Some(vec!["small".to_owned(), "id".to_owned()]),
        ..ParquetOptions::default()
    };
    let chunks = ParquetChunks::open(&path, &options, 40).unwrap();
    assert_eq!(chunks.row_count(), 101);
    let kinds: Vec<_> = chunks
        .columns()
        .map(|(name, kind)| (name.to_owned(), kind))
        .collect();
    let want = [("small", ColumnKind::Number), ("id", ColumnKind::Text)];
    assert_eq!(kinds, want.map(|(name, kind)| (name.to_owned(), kind)));
    let frames: Vec<Frame> = chunks.collect::<Result<_, _>>().unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(texts(&frames[0], "id")[1].as_deref(), Some("1"));
    assert_eq!(
        texts(&frames[2], "id").last().unwrap().as_deref(),
        Some("9007199254740993")
    );
    let whole = read_parquet(&path, &options).unwrap();
    assert_eq!(numbers(&whole, "small").len(), 101);
}

#[test]
fn wrong_parquet_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let read = || read_parquet(&path, &ParquetOptions::default()).unwrap_err();
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(read(), RecordError::Empty { .. }));
    std::fs::write(&path, b"a,b\n1,2\n").unwrap();
    assert!(matches!(read(), RecordError::Malformed { .. }));
    write_parquet(&path, &mixed(&[1.0, 2.0], &["a", "b"])).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for cut in [1, 8, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(matches!(read(), RecordError::Malformed { .. }), "{cut}");
    }
    let missing = ParquetOptions {
        columns: Some(vec!["y".to_owned()]),
        ..ParquetOptions::default()
    };
    std::fs::write(&path, &bytes).unwrap();
    let error = read_parquet(&path, &missing).unwrap_err();
    assert!(
        matches!(error, RecordError::MissingColumn { .. }),
        "{error}"
    );
    let error = read_parquet(folder.path().join("none"), &missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Whatever a flipped bit does, the answer is a frame or a typed error, never a panic.
#[test]
fn damaged_parquet_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    write_parquet(&path, &mixed(&[1.0, 2.0, f64::NAN], &["a", "b", "a"])).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        std::fs::write(&path, &damaged).unwrap();
        let _ = read_parquet(&path, &ParquetOptions::default());
    }
}

#[test]
fn writers_refuse_other_columns_than_before() {
    let folder = tempfile::tempdir().unwrap();
    let first = Frame::new(1).with_numbers("a", vec![1.0]);
    let other = Frame::new(1).with_numbers("b", vec![1.0]);
    let mut csv = CsvWriter::new(Vec::new(), "out", b',');
    csv.write(&first).unwrap();
    assert!(csv.write(&other).unwrap_err().to_string().contains("[b]"));
    csv.write(&first).unwrap();
    assert_eq!(csv.finish().unwrap(), b"a\n1\n1\n");
    let mut parquet = ParquetWriter::create(folder.path().join("x")).unwrap();
    parquet.write(&first).unwrap();
    assert!(parquet.write(&other).is_err());
}

/// Any bits, NaN payloads aside: missing is missing.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<f64>(),
        (-1_000_000_i32..1_000_000).prop_map(|cents| f64::from(cents) / 100.0),
        Just(-0.0),
    ]
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

proptest! {
    #[test]
    fn numbers_and_text_survive_csv_and_parquet(
        values in prop::collection::vec(any_number(), 1..60),
        label in "[a-z,\"\n\r ;é]{0,6}[a-z]",
    ) {
        let labels = vec![label.as_str(); values.len()];
        let frame = mixed(&values, &labels);
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("x.csv");
        let parquet = folder.path().join("x.parquet");
        write_csv(&csv, &frame).unwrap();
        write_parquet(&parquet, &frame).unwrap();
        let by_csv = read_csv(&CsvSource::path(&csv).unwrap(), &CsvOptions::default()).unwrap();
        let by_parquet = read_parquet(&parquet, &ParquetOptions::default()).unwrap();
        for back in [&by_csv, &by_parquet] {
            prop_assert!(numbers(back, "x").iter().zip(&values).all(|(a, b)| same(*a, *b)));
        }
        prop_assert_eq!(texts(&by_parquet, "label, \"quoted\""), some(&labels));
        if !["na", "nan", "null"].contains(&label.trim()) {
            prop_assert_eq!(texts(&by_csv, "label, \"quoted\""), some(&labels));
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_a_typed_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let blanks = CsvOptions { delimiter: Delimiter::Whitespace, ..CsvOptions::default() };
        let _ = read_csv(&source(&bytes), &blanks);
    }
}

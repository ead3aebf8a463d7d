//! Bad input at the door: a typed error with the value and what is allowed, never a panic or a
//! silent number.

use cvm::table::{CsvOptions, CsvSource, read_csv, read_parquet};
use cvm::{ErrorKind, FitOptions, Frame, Model, ScoreOptions};
use std::fs;
use std::path::Path;

fn model() -> Model {
    let params = [("r", 0.243), ("alpha", 4.414), ("a", 0.793), ("b", 2.426)];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    cvm::from_params("clv.bg_nbd", &params, None).expect("published parameters")
}

fn refusal(bytes: &[u8]) -> cvm::Error {
    Model::open(bytes)
        .map(|_| "a model")
        .expect_err("damaged bytes must not open")
}

#[test]
fn damaged_models_are_refused_by_kind() {
    let sound = model().encode().expect("bytes of a model");
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 0x10;
    let corrupt = [&sound[..sound.len() - 1], &sound[..64], &flipped[..]];
    for bytes in corrupt {
        assert_eq!(
            refusal(bytes).kind,
            ErrorKind::Corrupt,
            "{}",
            refusal(bytes)
        );
    }
    let strange: [&[u8]; 6] = [
        b"",
        b"customer_id,date\n1,2020-01-01\n",
        b"\x80\x04\x95",
        b"PK\x03\x04",
        b"{}",
        &[0; 4096],
    ];
    for bytes in strange {
        let error = refusal(bytes);
        assert_eq!(error.kind, ErrorKind::Incompatible, "{error}");
        assert!(error.message.contains("not a cvm model file"), "{error}");
    }
}

/// Every length and offset in the file's table, one after the other, claims ten gigabytes.
#[test]
fn a_claim_of_ten_gigabytes_is_refused_before_memory_is_asked_for() {
    const TEN_GB: u64 = 10 << 30;
    let sound = model().encode().expect("bytes of a model");
    let mut claims = 0;
    for at in 0..256.min(sound.len() - 8) {
        let mut bytes = sound.clone();
        bytes[at..at + 8].copy_from_slice(&TEN_GB.to_le_bytes());
        if bytes == sound {
            continue;
        }
        claims += 1;
        let error = refusal(&bytes);
        let refused = matches!(error.kind, ErrorKind::Corrupt | ErrorKind::Incompatible);
        assert!(refused, "at byte {at}: {error}");
    }
    assert!(claims > 240, "only {claims} claims");
}

#[test]
fn files_that_are_no_models_are_refused_with_their_name() {
    let folder = tempfile::tempdir().expect("folder");
    let absent = Model::open_file(&folder.path().join("absent.cvm")).expect_err("absent");
    assert_eq!(absent.kind, ErrorKind::NotFound, "{absent}");
    assert!(absent.message.contains("absent.cvm"), "{absent}");
    let directory = Model::open_file(folder.path()).expect_err("a directory");
    assert_eq!(directory.kind, ErrorKind::InvalidInput, "{directory}");
    let huge = folder.path().join("huge.cvm");
    let file = fs::File::create(&huge).expect("file");
    file.set_len(10 << 30).expect("a sparse file of 10 GiB");
    let refused = Model::open_file(&huge).expect_err("10 GiB");
    assert_eq!(refused.kind, ErrorKind::Corrupt, "{refused}");
    assert!(
        refused.message.contains("268435456"),
        "the limit is named: {refused}"
    );
}

fn csv(text: &str) -> Result<Frame, cvm::Error> {
    let source = CsvSource::bytes("data.csv", text.as_bytes().to_vec());
    Ok(read_csv(&source, &CsvOptions::default())?)
}

#[test]
fn tables_that_are_none_are_refused() {
    let cases = [
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "`a`"),
        ("a,b\n1,2\n3\n", "line 3"),
    ];
    for (text, word) in cases {
        let error = csv(text).expect_err(text);
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
        assert!(error.message.contains(word), "`{word}` in {error}");
    }
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("garbage.parquet");
    for bytes in [&b""[..], b"PAR1", b"PAR1garbagePAR1", &[0xff; 999]] {
        fs::write(&path, bytes).expect("file");
        let error: cvm::Error = read_parquet(&path, &Default::default())
            .expect_err("garbage")
            .into();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
    }
    assert!(read_parquet(Path::new("absent.parquet"), &Default::default()).is_err());
}

#[test]
fn wrong_columns_are_all_named_at_once() {
    let frame = csv("frequency,recency,age\n1,two,3\n").expect("a table");
    let batch = frame.batch().expect("columns");
    let error = model()
        .score(&batch, &ScoreOptions::default())
        .expect_err("wrong columns");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["columns.recency", "columns.T"]);
}

#[test]
fn options_out_of_range_are_named() {
    let frame = csv("frequency,recency,T\n1,2,3\n").expect("a table");
    let batch = frame.batch().expect("columns");
    for horizon in [f64::NAN, 0.0, -1.0, f64::NEG_INFINITY] {
        let options = ScoreOptions {
            horizon_periods: Some(horizon),
            ..ScoreOptions::default()
        };
        let error = model().score(&batch, &options).expect_err("a bad horizon");
        assert_eq!(
            error.violations[0].field, "options.horizon_periods",
            "{error}"
        );
    }
    let options = ScoreOptions {
        outputs: vec!["p_alife".to_owned()],
        ..ScoreOptions::default()
    };
    let error = model()
        .score(&batch, &options)
        .expect_err("a misspelt output");
    assert!(
        error.message.contains("p_alive"),
        "the outputs there are: {error}"
    );
}

/// A fit on a thinned sample would be a wrong number nobody sees: it is refused instead.
#[test]
fn bad_training_rows_are_refused_with_examples() {
    let frame = csv("frequency,recency,T\n1,2,3\n,2,3\n1,9,3\n").expect("a table");
    let batch = frame.batch().expect("columns");
    let error = cvm::fit("clv.bg_nbd", &batch, &FitOptions::default()).expect_err("bad rows");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(
        error.message.contains("1 missing") && error.message.contains("1 inconsistent"),
        "{error}"
    );
    let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["columns.frequency[1]", "columns.recency[2]"]);
}

#[test]
fn unknown_kinds_and_parameters_are_told_what_there_is() {
    let empty = Frame::new(0);
    let batch = empty.batch().expect("no columns");
    let error = cvm::fit("clv.bgnbd", &batch, &FitOptions::default()).expect_err("no such kind");
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("clv.bg_nbd"), "{error}");
    let params = [("r".to_owned(), -1.0), ("beta".to_owned(), 2.0)];
    let error = cvm::from_params("clv.bg_nbd", &params, None).expect_err("wrong parameters");
    assert_eq!(
        error.violations.len(),
        4,
        "alpha, a, b missing, beta unknown: {error}"
    );
}

//! What a table costs on its way in and out: packed columns beside raw bytes.
//!
//! 1 000 rows of 20 columns come in, four columns go out, as the server decodes and encodes them. The
//! faster half of many rounds, in turns, so that what else the machine does falls out.

use bytes::Bytes;
use cvm::Frame;
use cvm_proto::{Encoding, ModelName, ModelStamp, ScoreAnswer, ScoreJob, ScoredColumn, v1 as pb};
use prost::Message;
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 1_000;
const COLUMNS: usize = 20;
const OUTPUTS: usize = 4;
const ROUNDS: usize = 400;
/// The goal: packed columns over raw bytes.
const GOAL: f64 = 2.0;

fn numbers(column: usize) -> Vec<f64> {
    (0..ROWS)
        .map(|row| (row * 31 + column) as f64 / 7.0)
        .collect()
}

fn request(raw: bool) -> Bytes {
    let frame = (0..COLUMNS).fold(Frame::new(ROWS), |frame, column| {
        frame.with_numbers(format!("x{column}"), numbers(column))
    });
    let job = ScoreJob {
        model: ModelName::Only,
        frame,
        options: cvm::ScoreOptions::default(),
        encoding: Encoding::Doubles,
        row_keys: Vec::new(),
        request_id: String::new(),
    };
    let mut message = pb::ScoreRequest::from(job);
    let columns = message
        .frame
        .iter_mut()
        .flat_map(|frame| &mut frame.columns);
    for (number, column) in columns.enumerate() {
        if raw {
            let bytes = numbers(number).into_iter().flat_map(f64::to_le_bytes);
            column.values = Some(pb::column::Values::DoublesLe(bytes.collect()));
        }
    }
    message.encode_to_vec().into()
}

fn answer() -> ScoreAnswer {
    let outputs = (0..OUTPUTS).map(|column| ScoredColumn {
        name: format!("y{column}"),
        unit: "1".to_owned(),
        values: numbers(column),
    });
    ScoreAnswer {
        model: ModelStamp {
            model_version: "models/m/versions/1".to_owned(),
            fingerprint: "ab".repeat(32),
            kind: "clv.bg_nbd".to_owned(),
        },
        row_count: ROWS,
        outputs: outputs.collect(),
        statuses: Vec::new(),
        issues: Vec::new(),
        row_keys: Vec::new(),
        request_id: String::new(),
        reasons: None,
        row_models: None,
    }
}

/// Microseconds of decoding a request and of encoding an answer.
fn once(request: &Bytes, encoding: Encoding) -> [f64; 2] {
    let (bytes, answer) = (request.clone(), answer());
    let begun = Instant::now();
    let message = pb::ScoreRequest::decode(bytes);
    let job = message.map(ScoreJob::try_from);
    let decoded = begun.elapsed();
    assert!(matches!(black_box(job), Ok(Ok(_))));
    let begun = Instant::now();
    let encoded = answer.encode(encoding).encode_to_vec();
    let spent = begun.elapsed();
    black_box(encoded);
    [decoded, spent].map(|time| time.as_secs_f64() * 1e6)
}

fn quartile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 4).copied().unwrap_or(f64::NAN)
}

fn main() {
    let (packed, raw) = (request(false), request(true));
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let [packed_in, packed_out] = once(&packed, Encoding::Doubles);
        let [raw_in, raw_out] = once(&raw, Encoding::DoublesLe);
        let row = [packed_in, packed_out, raw_in, raw_out];
        times
            .iter_mut()
            .zip(row)
            .for_each(|(all, time)| all.push(time));
    }
    let [packed_in, packed_out, raw_in, raw_out] = times.map(quartile);
    println!("{ROWS} rows, {COLUMNS} columns in, {OUTPUTS} out   decode us  encode us   together");
    println!(
        "packed doubles {packed_in:>34.1} {packed_out:>10.1} {:>10.1}",
        packed_in + packed_out
    );
    println!(
        "raw bytes      {raw_in:>34.1} {raw_out:>10.1} {:>10.1}",
        raw_in + raw_out
    );
    let ratio = (packed_in + packed_out) / (raw_in + raw_out);
    let verdict = if ratio <= GOAL { "met" } else { "missed" };
    println!("ratio {ratio:>63.2}   goal {GOAL}: {verdict}");
}

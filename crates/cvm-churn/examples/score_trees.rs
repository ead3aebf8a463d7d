//! Scores a matrix of doubles with another library's model file, and times it by batch size.
//!
//! `score_trees FORMAT MODEL ROWS.f64 OUT.f64 [OPTIONS-JSON [BATCHES]]`: rows are row-major, little-endian;
//! out is output after output. Prints microseconds of CPU a row (of wall clock where the system does
//! not tell).

use cvm_churn::trees::TreeEnsemble;
use cvm_churn::trees::import::{ImportOptions, read};
use cvm_core::{Batch, Column, Question, RowStatus, ScoreBlock, ScoreOptions, Scorer};
use ndarray::{Array2, s};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [format, model, rows, out, rest @ ..] = &args[..] else {
        return Err("score_trees FORMAT MODEL ROWS.f64 OUT.f64 [OPTIONS-JSON]".into());
    };
    let options: ImportOptions = match rest.first() {
        Some(text) => serde_json::from_str(text)?,
        None => ImportOptions::default(),
    };
    let started = Instant::now();
    let model = TreeEnsemble::new(read(format, &std::fs::read(model)?, &options)?.ensemble)?;
    eprintln!("{} walk, imported in {:?}", model.form(), started.elapsed());
    let bytes = std::fs::read(rows)?;
    let (words, _) = bytes.as_chunks::<8>();
    let numbers: Vec<f64> = words.iter().map(|word| f64::from_le_bytes(*word)).collect();
    let fields = model.schema().fields.len();
    let matrix = Array2::from_shape_vec((numbers.len() / fields, fields), numbers)?;
    let scores = score(&model, &matrix, matrix.nrows())?;
    let text: Vec<u8> = scores.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(out, text)?;
    let batches = rest.get(1).map_or("1,100,10000", String::as_str);
    for batch in batches.split(',') {
        let batch: usize = batch.parse()?;
        let batch = batch.min(matrix.nrows());
        let mut best = f64::INFINITY;
        for _ in 0..7 {
            let started = seconds();
            score(&model, &matrix, batch)?;
            best = best.min(seconds() - started);
        }
        let rows = matrix.nrows() as f64;
        println!("batch {batch}: {:.2} us a row", best / rows * 1e6);
    }
    explain(&model, &matrix)
}

/// Times attributions of the first rows and checks that they add up to the raw score.
fn explain(model: &TreeEnsemble, matrix: &Array2<f64>) -> Result<(), Box<dyn Error>> {
    let rows = matrix.nrows().min(200);
    let matrix = matrix.slice(s![..rows, ..]).to_owned();
    let schema = model.schema();
    let mut batch = Batch::new(rows);
    for (index, field) in schema.fields.iter().enumerate() {
        batch.push(&field.name, Column::Numbers(matrix.slice(s![.., index])))?;
    }
    let bound = batch.bind(schema)?;
    let started = seconds();
    let found = model.explain(&bound, 0..rows, &Question::default())?;
    let spent = (seconds() - started) / rows as f64;
    let scores = score(model, &matrix, rows)?;
    let (outputs, fields) = (found.outputs.len(), schema.fields.len());
    let mut worst: f64 = 0.0;
    for (row, values) in found.values.chunks_exact(outputs * fields).enumerate() {
        for (output, own) in values.chunks_exact(fields).enumerate() {
            let place = model
                .outputs()
                .iter()
                .position(|o| o.name == found.outputs[output]);
            let raw = scores[place.unwrap_or(0) * rows + row];
            let sum = found.base[output] + own.iter().sum::<f64>();
            worst = worst.max((raw - sum).abs());
        }
    }
    println!(
        "explain: {:.0} us a row, worst |base + sum - raw| {worst:.1e}",
        spent * 1e6
    );
    Ok(())
}

/// Time this thread has run, from Linux's scheduler; elsewhere the time of day.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: Option<f64> = text.split(' ').next().and_then(|word| word.parse().ok());
    nanoseconds.map_or_else(
        || {
            std::time::UNIX_EPOCH
                .elapsed()
                .map_or(0.0, |d| d.as_secs_f64())
        },
        |nanoseconds| nanoseconds / 1e9,
    )
}

/// All rows, `size` at a time, output after output.
fn score(
    model: &TreeEnsemble,
    matrix: &Array2<f64>,
    size: usize,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let schema = model.schema();
    let mut batch = Batch::new(matrix.nrows());
    for (index, field) in schema.fields.iter().enumerate() {
        batch.push(&field.name, Column::Numbers(matrix.slice(s![.., index])))?;
    }
    let bound = batch.bind(schema)?;
    let outputs = model.outputs().len();
    let wanted: Vec<usize> = (0..outputs).collect();
    let mut columns = vec![vec![0.0; matrix.nrows()]; outputs];
    for start in (0..matrix.nrows()).step_by(size) {
        let end = (start + size).min(matrix.nrows());
        let mut status = vec![RowStatus::OK; end - start];
        let mut block = ScoreBlock {
            outputs: columns.iter_mut().map(|c| &mut c[start..end]).collect(),
            status: &mut status,
        };
        model.score_rows(&bound, start, &wanted, &ScoreOptions::default(), &mut block);
    }
    Ok(columns.concat())
}

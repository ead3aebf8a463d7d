//! `cvm score`: a table in, the same rows with scores and statuses out, chunk by chunk.

use crate::args::ScoreArgs;
use crate::failure::{Failure, say};
use crate::models;
use crate::options::thread_count;
use crate::paths::{self, Paths};
use crate::progress::Progress;
use crate::render::count;
use crate::tables::{Chunks, Sink, Wanted};
use cvm::table::ColumnKind;
use cvm::{
    FieldKind, Frame, FrameColumn, Model, ReasonDirection, ReasonOptions, Reasons, RowCode,
    RowStatus, ScoreOptions, Scores,
};
use std::path::Path;

/// Rows scored at a time: enough to keep several threads busy, little enough to stay small.
const CHUNK_ROWS: usize = 131_072;
/// Bad rows told in words.
const EXAMPLES: usize = 5;
/// Column that says what became of a row.
const STATUS: &str = "status";

/// Runs `cvm score`.
pub fn run(args: &ScoreArgs) -> Result<(), Failure> {
    let model = models::open(&args.model)?;
    let options = ScoreOptions {
        horizon_periods: args.horizon,
        discount_rate_per_year: args.discount_rate,
        margin: args.margin,
        outputs: args.outputs.clone(),
        purchases: args.purchases,
        quantile: args.quantile,
        cost_per_period: args.cost_per_period,
        cost_per_order: args.cost_per_order,
        interval_level: args.interval,
        elapsed_periods: args.elapsed,
        reasons: reason_options(args)?,
    };
    let covariates = paths::covariates(model.schema());
    let age = model.age().unwrap_or("T");
    let unit = model.schema().time_unit;
    let wanted = wanted(&model, args, &covariates);
    let paths = Paths::read(&args.paths, &args.text, covariates, age, unit)?;
    let chunks = Chunks::open(&args.data, &args.text, &wanted, CHUNK_ROWS)?;
    let keep = if args.keep_all {
        chunks.names()
    } else {
        args.keep.clone()
    };
    check_keep(&model, &keep, args.reasons.is_some())?;
    let mut sink = Sink::create(&args.output)?;
    let row_count = chunks.row_count();
    let joined = chunks.map(|frame| match &paths {
        Some(paths) => paths.join(&frame?),
        None => frame,
    });
    let tally = score_all(
        &model,
        &options,
        (joined, row_count),
        &keep,
        &mut sink,
        args.threads,
    )?;
    sink.finish()?;
    say(&tally.render());
    Ok(())
}

fn reason_options(args: &ScoreArgs) -> Result<Option<ReasonOptions>, Failure> {
    let direction = match args.reason_direction.as_deref() {
        None => ReasonDirection::Any,
        Some(name) => ReasonDirection::parse(name).ok_or_else(|| {
            let known = ReasonDirection::ALL.map(|(_, own)| own).join(", ");
            let why = format!("is \"{name}\": must be one of {known}");
            Failure::argument("--reason-direction", why)
        })?,
    };
    Ok(args.reasons.map(|count| ReasonOptions {
        count,
        only_actionable: args.only_actionable,
        direction,
        approximate: args.approximate,
    }))
}

/// Columns to read. Numbers of the model are read as numbers, so that a stray word is an error with
/// its line; kept columns are read as text, so that they come back as they were.
fn wanted(model: &Model, args: &ScoreArgs, covariates: &[String]) -> Wanted {
    let mut wanted = inputs(model, &args.data, &args.keep);
    let texts = paths::columns(&args.paths);
    if args.paths.covariates.is_some()
        && let Some(columns) = &mut wanted.columns
    {
        columns.retain(|name| !paths::is_joined(name, covariates));
        let new = texts.iter().filter(|name| !columns.contains(name));
        let new: Vec<String> = new.cloned().collect();
        columns.extend(new);
        wanted.kinds.retain(|name, _| columns.contains(name));
    }
    let texts = texts.into_iter().map(|name| (name, ColumnKind::Text));
    wanted.kinds.extend(texts);
    if args.keep_all {
        wanted.columns = None;
    }
    wanted
}

/// Columns of the model and those kept.
pub fn inputs(model: &Model, data: &Path, keep: &[String]) -> Wanted {
    let mut wanted = Wanted::default();
    let mut columns: Vec<String> = Vec::new();
    for field in &model.schema().fields {
        if matches!(field.kind, FieldKind::Number { .. }) {
            wanted.kinds.insert(field.name.clone(), ColumnKind::Number);
        }
        columns.push(field.name.clone());
    }
    for name in keep {
        if !columns.contains(name) {
            if crate::tables::format(data).is_ok_and(is_text) {
                wanted.kinds.insert(name.clone(), ColumnKind::Text);
            }
            columns.push(name.clone());
        }
    }
    // How many columns a path of covariates has is the table's affair.
    wanted.columns = (!model.has_covariate_paths()).then_some(columns);
    wanted
}

fn is_text(format: crate::tables::Format) -> bool {
    matches!(format, crate::tables::Format::Text(_))
}

fn check_keep(model: &Model, keep: &[String], has_reasons: bool) -> Result<(), Failure> {
    let is_output = |name: &str| {
        name == STATUS
            || has_reasons && name.starts_with("reason_")
            || model.outputs().iter().any(|o| o.name == name)
    };
    for (position, name) in keep.iter().enumerate() {
        if is_output(name) {
            let why = format!("column `{name}` has the name of an output: rename it in the input");
            return Err(Failure::argument("--keep", why));
        }
        if keep.iter().take(position).any(|before| before == name) {
            return Err(Failure::argument("--keep", format!("names `{name}` twice")));
        }
    }
    Ok(())
}

fn score_all(
    model: &Model,
    options: &ScoreOptions,
    (chunks, row_count): (impl Iterator<Item = Result<Frame, Failure>>, Option<u64>),
    keep: &[String],
    sink: &mut Sink,
    threads: usize,
) -> Result<Tally, Failure> {
    let threads = thread_count(threads);
    let mut progress = Progress::new("scored", row_count);
    let mut tally = Tally::default();
    for frame in chunks {
        let frame = frame?;
        let batch = frame.batch().map_err(cvm::Error::from)?;
        let scores = model.score_on(&batch, options, threads)?;
        tally.add(&scores);
        let row_count = frame.row_count;
        let asked = options.reasons.map_or(0, |reasons| reasons.count as usize);
        sink.write(&render(frame, keep, asked, scores))?;
        progress.advance(row_count);
    }
    progress.finish();
    Ok(tally)
}

/// The columns of `frame` that are kept.
pub fn kept(frame: Frame, keep: &[String]) -> Frame {
    let mut out = Frame::new(frame.row_count);
    let mut columns = frame.columns;
    for name in keep {
        if let Some(at) = columns.iter().position(|(own, _)| own == name) {
            out.columns.push(columns.swap_remove(at));
        }
    }
    out
}

/// Kept columns, outputs, reasons, status.
fn render(frame: Frame, keep: &[String], asked: usize, scores: Scores) -> Frame {
    let mut out = kept(frame, keep);
    let status = status_column(&scores.status);
    for (name, values) in scores.outputs {
        out = out.with_numbers(name, values);
    }
    if let Some(reasons) = scores.reasons {
        add_reasons(&mut out, asked, &reasons);
    }
    out.columns.push((STATUS.to_owned(), status));
    out
}

/// Three columns a place: the reason in words, what it is of, and what it adds; empty and NaN where a
/// row has fewer.
fn add_reasons(out: &mut Frame, asked: usize, reasons: &Reasons) {
    for place in 0..asked {
        let own = || reasons.rows.iter().map(move |row| row.get(place));
        let start = format!("reason_{}", place + 1);
        let texts = own().map(|reason| reason.map(|reason| reason.text.as_str()));
        let names = own().map(|reason| reason.map(|reason| reason.name.as_str()));
        let adds = own().map(|reason| reason.map_or(f64::NAN, |reason| reason.contribution));
        let columns = [
            (start.clone(), FrameColumn::from_strings(texts)),
            (format!("{start}_name"), FrameColumn::from_strings(names)),
            (
                format!("{start}_contribution"),
                FrameColumn::Numbers(adds.collect()),
            ),
        ];
        out.columns.extend(columns);
    }
}

/// The name of each row's status.
pub fn status_column(status: &[RowStatus]) -> FrameColumn {
    let dictionary = RowCode::ALL.map(|code| code.name().to_owned()).to_vec();
    let code_of = |status: &RowStatus| {
        let position = RowCode::ALL.iter().position(|code| *code == status.code);
        position.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1)
    };
    FrameColumn::Text {
        dictionary,
        codes: status.iter().map(code_of).collect(),
    }
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Tally {
    row_count: u64,
    by_code: [u64; RowCode::ALL.len()],
    examples: Vec<String>,
}

impl Tally {
    fn add(&mut self, scores: &Scores) {
        for issue in &scores.issues {
            if self.examples.len() >= EXAMPLES {
                break;
            }
            // Issues count rows from the start of their chunk.
            let own = format!("row {}: ", issue.row);
            let words = issue.message.strip_prefix(&own).unwrap_or(&issue.message);
            let row = self.row_count + issue.row as u64;
            self.examples.push(format!("row {row}: {words}"));
        }
        for status in &scores.status {
            let slots = RowCode::ALL.iter().zip(&mut self.by_code);
            for (_, slot) in slots.filter(|(code, _)| **code == status.code) {
                *slot += 1;
            }
        }
        self.row_count += scores.status.len() as u64;
    }

    fn render(&self) -> String {
        let causes: Vec<String> = RowCode::ALL
            .iter()
            .zip(self.by_code)
            .filter(|(_, number)| *number > 0)
            .map(|(code, number)| format!("{number} {}", code.name()))
            .collect();
        let mut text = format!("{}: {}", count(self.row_count, "row"), causes.join(", "));
        for example in &self.examples {
            text.push_str("\n  ");
            text.push_str(example);
        }
        if !self.examples.is_empty() {
            text.push_str("\n  (rows count from 0)");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, status_column};
    use cvm::{FrameColumn, RowCode, RowIssue, RowStatus, Scores};

    fn scores(status: Vec<RowStatus>, issue_row: usize) -> Scores {
        let issue = RowIssue {
            row: issue_row,
            code: RowCode::Missing,
            field: "T".to_owned(),
            value: "NaN".to_owned(),
            message: format!("row {issue_row}: T is missing"),
        };
        Scores {
            outputs: Vec::new(),
            status,
            issues: vec![issue],
            reasons: None,
        }
    }

    #[test]
    fn rows_of_later_chunks_keep_their_place_in_the_file() {
        let bad = RowStatus::bad(RowCode::Missing, 2);
        let mut tally = Tally::default();
        tally.add(&scores(vec![RowStatus::OK, bad], 1));
        tally.add(&scores(vec![bad, RowStatus::OK], 0));
        let text = tally.render();
        assert!(text.starts_with("4 rows: 2 ok, 2 missing\n"), "{text}");
        assert!(text.contains("row 1: T is missing"), "{text}");
        assert!(text.contains("row 2: T is missing"), "{text}");
    }

    #[test]
    fn every_status_has_its_name() {
        let status: Vec<RowStatus> = RowCode::ALL
            .into_iter()
            .map(|code| RowStatus { code, field: 0 })
            .collect();
        let FrameColumn::Text { dictionary, codes } = status_column(&status) else {
            unreachable!("statuses are text");
        };
        for (code, index) in RowCode::ALL.iter().zip(codes) {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            assert_eq!(dictionary.get(at).map(String::as_str), Some(code.name()));
        }
    }
}

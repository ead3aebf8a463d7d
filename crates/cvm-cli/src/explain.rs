//! `cvm explain`: a table in, what each column adds to each row's raw score out.

use crate::args::ExplainArgs;
use crate::failure::{Failure, say};
use crate::models;
use crate::options::thread_count;
use crate::progress::Progress;
use crate::render::count;
use crate::score::{inputs, kept, status_column};
use crate::tables::{Chunks, Sink};
use cvm::{Attributions, Batch, ExplainMethod, ExplainOptions, Frame, Model};

/// Rows explained at a time.
const CHUNK_ROWS: usize = 16_384;
/// Rows of background read: one more than the most there may be.
const BACKGROUND_ROWS: usize = 257;

/// Runs `cvm explain`.
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let model = models::open(&args.model)?;
    check_keep(&args.keep)?;
    let background = background(&model, args)?;
    let background = background.as_ref().map(Frame::batch).transpose();
    let background = background.map_err(cvm::Error::from)?;
    let wanted = inputs(&model, &args.data, &args.keep);
    let chunks = Chunks::open(&args.data, &args.text, &wanted, CHUNK_ROWS)?;
    let mut sink = Sink::create(&args.output)?;
    let (rows, method) = explain_all(&model, args, background.as_ref(), chunks, &mut sink)?;
    sink.finish()?;
    say(&format!("{}: {method}", count(rows, "row")));
    Ok(())
}

fn check_keep(keep: &[String]) -> Result<(), Failure> {
    let own = |name: &&String| {
        ["expected", "status"].contains(&name.as_str()) || name.contains("contribution_")
    };
    match keep.iter().find(own) {
        None => Ok(()),
        Some(name) => {
            let why = format!("column `{name}` has the name of an answer: rename it in the input");
            Err(Failure::argument("--keep", why))
        }
    }
}

/// The rows to compare with.
fn background(model: &Model, args: &ExplainArgs) -> Result<Option<Frame>, Failure> {
    let Some(path) = &args.background else {
        return Ok(None);
    };
    let wanted = inputs(model, path, &[]);
    let mut chunks = Chunks::open(path, &args.text, &wanted, BACKGROUND_ROWS)?;
    match chunks.next() {
        Some(frame) => Ok(Some(frame?)),
        None => Err(Failure::argument("--background", "has no rows")),
    }
}

fn explain_all(
    model: &Model,
    args: &ExplainArgs,
    background: Option<&Batch<'_>>,
    chunks: Chunks,
    sink: &mut Sink,
) -> Result<(u64, &'static str), Failure> {
    let method = match (background, args.approximate) {
        (Some(_), _) => ExplainMethod::Interventional,
        (None, true) => ExplainMethod::Approximate,
        (None, false) => ExplainMethod::Exact,
    };
    let options = ExplainOptions {
        method,
        background,
        threads: thread_count(args.threads),
    };
    let mut progress = Progress::new("explained", chunks.row_count());
    let (mut rows, mut told) = (0, "no rows");
    for frame in chunks {
        let frame = frame?;
        let found = model.explain(&frame.batch().map_err(cvm::Error::from)?, &options)?;
        let row_count = frame.row_count;
        told = found.method;
        sink.write(&render(model, frame, &args.keep, &found))?;
        rows += row_count as u64;
        progress.advance(row_count);
    }
    progress.finish();
    Ok((rows, told))
}

/// Kept columns, and for each explained output what is expected and what each field adds.
fn render(model: &Model, frame: Frame, keep: &[String], found: &Attributions) -> Frame {
    let mut out = kept(frame, keep);
    let fields = &model.schema().fields;
    let width = found.outputs.len() * fields.len();
    for (place, (output, base)) in found.outputs.iter().zip(&found.base).enumerate() {
        let start = match found.outputs.len() {
            1 => String::new(),
            _ => format!("{output}_"),
        };
        let name = format!("{start}expected");
        out = out.with_numbers(name, vec![*base; found.status.len()]);
        for (index, field) in fields.iter().enumerate() {
            let first = place * fields.len() + index;
            let values = found.values.iter().skip(first).step_by(width.max(1));
            let name = format!("{start}contribution_{}", field.name);
            out = out.with_numbers(name, values.copied().collect());
        }
    }
    let status = status_column(&found.status);
    out.columns.push(("status".to_owned(), status));
    out
}

//! Attributions of a batch: bind, split into row ranges, explain, join.

use crate::Error;
use cvm_core::{Attributions, Batch, BoundBatch, ExplainMethod, Question, Scorer};
use std::ops::Range;

/// Fewest rows worth a thread of their own: a row takes about a millisecond.
const ROWS_PER_THREAD: usize = 64;
/// Most attributions of one call: 2 GiB of doubles.
const MAX_VALUES: usize = 1 << 28;

/// How to explain.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExplainOptions<'b, 'a> {
    /// How raw scores are split among fields.
    pub method: ExplainMethod,
    /// Rows to compare with, for [`ExplainMethod::Interventional`]: some 100 drawn at random from
    /// those of training. They are given with each call, because a model file carries no customers.
    pub background: Option<&'b Batch<'a>>,
    /// Most threads to use; 0 and 1 are the calling thread alone.
    pub threads: usize,
}

/// Attributions of every row on up to `options.threads` threads: the same bits for any number.
pub(crate) fn explain(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ExplainOptions<'_, '_>,
) -> Result<Attributions, Error> {
    let background = match options.background {
        None => None,
        Some(rows) => Some(rows.bind(scorer.schema()).map_err(in_background)?),
    };
    let question = Question {
        method: options.method,
        background: background.as_ref(),
    };
    let bound = batch.bind(scorer.schema())?;
    let width = scorer.schema().fields.len() * scorer.outputs().len().max(1);
    if bound.row_count.saturating_mul(width) > MAX_VALUES {
        let most = MAX_VALUES / width;
        let why = format!("are {}: explain at most {most} at once", bound.row_count);
        return Err(Error::invalid("rows", why));
    }
    explain_rows(
        scorer,
        &bound,
        0..bound.row_count,
        &question,
        options.threads,
    )
}

/// Attributions of a range of rows.
pub(crate) fn explain_rows(
    scorer: &dyn Scorer,
    bound: &BoundBatch<'_, '_>,
    rows: Range<usize>,
    question: &Question<'_, '_, '_>,
    threads: usize,
) -> Result<Attributions, Error> {
    let useful = (rows.len() / ROWS_PER_THREAD).clamp(1, threads.max(1));
    if useful == 1 {
        return Ok(scorer.explain(bound, rows, question)?);
    }
    let size = rows.len().div_ceil(useful);
    let starts = rows.clone().step_by(size);
    let explain = |range| scorer.explain(bound, range, question);
    let parts = std::thread::scope(|scope| {
        let spawn = |start: usize| {
            let range = start..(start + size).min(rows.end);
            scope.spawn(move || explain(range))
        };
        let running: Vec<_> = starts.map(spawn).collect();
        let parts = running.into_iter().map(|thread| thread.join());
        parts.collect::<Vec<_>>()
    });
    let mut joined: Option<Attributions> = None;
    for part in parts {
        let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        match &mut joined {
            None => joined = Some(part),
            Some(all) => {
                all.values.extend(part.values);
                all.status.extend(part.status);
            }
        }
    }
    match joined {
        Some(all) => Ok(all),
        None => Ok(scorer.explain(bound, rows, question)?),
    }
}

/// Violations of the background's columns under its own name.
fn in_background(mut error: cvm_core::InputError) -> Error {
    for violation in &mut error.violations {
        violation.field = format!("background.{}", violation.field);
    }
    error.into()
}

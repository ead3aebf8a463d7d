//! The one scoring path: bind, check options, split into row ranges, score.

use crate::Error;
use crate::elapsed::aged;
use cvm_core::{
    Batch, BoundBatch, Column, Domain, InputError, OutputSpec, RowStatus, ScoreBlock, ScoreOptions,
    Scorer, Scores, Violation,
};
use ndarray::{ArrayView2, Axis};
use std::fmt::Display;

/// Fewest rows worth a thread of their own.
const ROWS_PER_THREAD: usize = 16_384;

/// Rows after which others get their turn on the processor; one may take a quarter of a millisecond.
const ROWS_PER_TURN: usize = 1;

/// Who scores the rows; the answer does not depend on it.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// Up to so many threads, each a range of rows.
    Threads(usize),
    /// This thread, which gives way to others after each: a system may take as long as a tick
    /// of its clock, 4 ms on many a Linux, to take the processor from one that does not.
    Yielding,
}

/// Scores `batch` on this thread beside others that have less time.
pub(crate) fn score_aside(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
) -> Result<Scores, Error> {
    score_by(scorer, batch, options, Course::Yielding)
}

/// Scores `batch` on up to `threads` threads; the answer does not depend on their number.
pub(crate) fn score(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    threads: usize,
) -> Result<Scores, Error> {
    score_by(scorer, batch, options, Course::Threads(threads))
}

fn score_by(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    course: Course,
) -> Result<Scores, Error> {
    let wanted = checked(scorer, options)?;
    if let Some((age, values)) = aged(scorer, batch, options)? {
        let batch = batch.with_replaced(age, &values)?;
        return Ok(score_batch(scorer, &batch, options, &wanted, course)?);
    }
    Ok(score_batch(scorer, batch, options, &wanted, course)?)
}

fn score_batch(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    wanted: &[usize],
    course: Course,
) -> Result<Scores, InputError> {
    let wider = scorer.schema_for(&|name| batch.get(name).is_some());
    let bound = batch.bind(wider.as_ref().unwrap_or(scorer.schema()))?;
    Ok(score_bound(scorer, &bound, options, wanted, course))
}

/// Indices of the outputs to compute, of options that the model can use.
fn checked(scorer: &dyn Scorer, options: &ScoreOptions) -> Result<Vec<usize>, Error> {
    let wanted = wanted_outputs(scorer.outputs(), options)?;
    scorer.check_options(options)?;
    Ok(wanted)
}

/// A question checked once, to be asked of many matrices.
#[derive(Debug, Clone)]
pub struct PreparedScore {
    wanted: Vec<usize>,
    options: ScoreOptions,
}

/// Checks what does not change from call to call.
pub(crate) fn prepare(scorer: &dyn Scorer, options: ScoreOptions) -> Result<PreparedScore, Error> {
    let wanted = checked(scorer, &options)?;
    Ok(PreparedScore { wanted, options })
}

/// Scores the columns of a matrix, which are those of the schema by place; a number fits a field of
/// either kind.
pub(crate) fn score_matrix(
    scorer: &dyn Scorer,
    prepared: &PreparedScore,
    matrix: ArrayView2<'_, f64>,
    threads: usize,
) -> Result<Scores, Error> {
    let schema = scorer.schema();
    let (row_count, width) = matrix.dim();
    if width != schema.fields.len() {
        let want = schema.fields.len();
        let why = format!("has {width} columns, expected {want}");
        return Err(Error::invalid("data", why));
    }
    let column = |place: usize| Column::Numbers(matrix.index_axis_move(Axis(1), place));
    let bound = BoundBatch {
        row_count,
        columns: (0..width).map(column).collect(),
        schema,
    };
    let PreparedScore { wanted, options } = prepared;
    let course = Course::Threads(threads);
    Ok(score_bound(scorer, &bound, options, wanted, course))
}

fn score_bound(
    scorer: &dyn Scorer,
    bound: &BoundBatch<'_, '_>,
    options: &ScoreOptions,
    wanted: &[usize],
    course: Course,
) -> Scores {
    let row_count = bound.row_count;
    let mut columns: Vec<Vec<f64>> = wanted.iter().map(|_| vec![f64::NAN; row_count]).collect();
    let mut status = vec![RowStatus::OK; row_count];
    let blocks = split(&mut columns, &mut status, course.range_len(row_count));
    run(scorer, bound, wanted, options, (course, blocks));
    let issues = first_issues(bound, &status);
    let names = wanted
        .iter()
        .filter_map(|index| scorer.outputs().get(*index))
        .map(|o| o.name);
    Scores {
        outputs: names.zip(columns).collect(),
        status,
        issues,
        reasons: None,
    }
}

impl Course {
    /// Rows per range: everything at once for a small batch, so that one row never wakes a thread.
    fn range_len(self, row_count: usize) -> usize {
        let Course::Threads(threads) = self else {
            return ROWS_PER_TURN;
        };
        let useful = (row_count / ROWS_PER_THREAD).clamp(1, threads.max(1));
        row_count.div_ceil(useful).max(1)
    }
}

fn split<'a>(
    columns: &'a mut [Vec<f64>],
    status: &'a mut [RowStatus],
    rows_per_range: usize,
) -> Vec<ScoreBlock<'a>> {
    let mut blocks: Vec<ScoreBlock<'a>> = status
        .chunks_mut(rows_per_range)
        .map(|status| ScoreBlock {
            outputs: Vec::new(),
            status,
        })
        .collect();
    for column in columns {
        for (block, rows) in blocks.iter_mut().zip(column.chunks_mut(rows_per_range)) {
            block.outputs.push(rows);
        }
    }
    blocks
}

fn run(
    scorer: &dyn Scorer,
    bound: &BoundBatch<'_, '_>,
    wanted: &[usize],
    options: &ScoreOptions,
    (course, mut blocks): (Course, Vec<ScoreBlock<'_>>),
) {
    if let [only] = blocks.as_mut_slice() {
        scorer.score_rows(bound, 0, wanted, options, only);
        return;
    }
    let mut start = 0;
    let ranges = blocks.into_iter().map(|block| {
        let first = start;
        start += block.status.len();
        (first, block)
    });
    let score = |first, mut block: ScoreBlock<'_>| {
        scorer.score_rows(bound, first, wanted, options, &mut block);
    };
    match course {
        Course::Threads(_) => std::thread::scope(|scope| {
            ranges.for_each(|(first, block)| {
                scope.spawn(move || score(first, block));
            });
        }),
        Course::Yielding => ranges.for_each(|(first, block)| {
            score(first, block);
            std::thread::yield_now();
        }),
    }
}

fn first_issues(bound: &BoundBatch<'_, '_>, status: &[RowStatus]) -> Vec<cvm_core::RowIssue> {
    let bad = status
        .iter()
        .enumerate()
        .filter(|(_, status)| !status.is_ok());
    bad.take(Scores::MAX_ISSUES)
        .map(|(row, status)| bound.describe(row, *status))
        .collect()
}

/// Indices of the outputs to compute, in the caller's order, after the checks every model shares.
fn wanted_outputs(outputs: &[OutputSpec], options: &ScoreOptions) -> Result<Vec<usize>, Error> {
    let mut violations = check_numbers(options);
    let has_horizon = options.horizon_periods.is_some();
    if options.outputs.is_empty() {
        if violations.is_empty() {
            return default_outputs(outputs, has_horizon);
        }
        return Err(InputError { violations }.into());
    }
    let mut wanted = Vec::with_capacity(options.outputs.len());
    for (position, name) in options.outputs.iter().enumerate() {
        let field = || format!("options.outputs[{position}]");
        match outputs.iter().position(|output| output.name == name) {
            None => violations.push(unknown_output(field(), name, outputs)),
            Some(index) if wanted.contains(&index) => violations.push(Violation {
                field: field(),
                description: format!("`{name}` is given twice"),
            }),
            Some(index) => {
                if outputs.get(index).is_some_and(|o| o.needs_horizon) && !has_horizon {
                    violations.push(horizon_needed(name));
                }
                wanted.push(index);
            }
        }
    }
    if violations.is_empty() {
        Ok(wanted)
    } else {
        Err(InputError { violations }.into())
    }
}

fn default_outputs(outputs: &[OutputSpec], has_horizon: bool) -> Result<Vec<usize>, Error> {
    let usable = outputs
        .iter()
        .enumerate()
        .filter(|(_, o)| !o.on_request && (has_horizon || !o.needs_horizon));
    let wanted: Vec<usize> = usable.map(|(index, _)| index).collect();
    if wanted.is_empty() {
        let name = outputs.first().map_or("", |output| output.name);
        return Err(InputError {
            violations: vec![horizon_needed(name)],
        }
        .into());
    }
    Ok(wanted)
}

fn horizon_needed(name: &str) -> Violation {
    Violation {
        field: "options.horizon_periods".to_owned(),
        description: format!("is not set; output `{name}` needs a forecast horizon"),
    }
}

fn unknown_output(field: String, name: &str, outputs: &[OutputSpec]) -> Violation {
    let known: Vec<&str> = outputs.iter().map(|output| output.name).collect();
    Violation {
        field,
        description: format!("`{name}` is unknown; the model has [{}]", known.join(", ")),
    }
}

/// A violation if the option is set to what it may not be.
fn refused(
    name: &str,
    value: Option<f64>,
    allows: impl Fn(&f64) -> bool,
    allowed: impl Display,
) -> Option<Violation> {
    let value = value.filter(|value| !allows(value))?;
    Some(Violation {
        field: format!("options.{name}"),
        description: format!("is {value}: must be {allowed}"),
    })
}

fn check_numbers(options: &ScoreOptions) -> Vec<Violation> {
    let ScoreOptions {
        horizon_periods,
        discount_rate_per_year,
        margin,
        outputs: _,
        purchases,
        quantile,
        cost_per_period,
        cost_per_order,
        interval_level,
        elapsed_periods,
        reasons: _,
    } = options;
    const INSIDE: &str = "a number between 0 and 1, both excluded";
    let inside = |value: &f64| *value > 0.0 && *value < 1.0;
    let within = |domain: Domain| move |value: &f64| domain.contains(*value);
    let checks = [
        refused(
            "horizon_periods",
            *horizon_periods,
            |value| *value > 0.0,
            "a number > 0, or infinity for all the future",
        ),
        refused(
            "discount_rate_per_year",
            *discount_rate_per_year,
            within(Domain::NonNegative),
            Domain::NonNegative,
        ),
        refused("margin", *margin, within(Domain::Finite), Domain::Finite),
        refused(
            "purchases",
            *purchases,
            within(Domain::Count),
            Domain::Count,
        ),
        refused("quantile", *quantile, inside, INSIDE),
        refused(
            "cost_per_period",
            *cost_per_period,
            within(Domain::Finite),
            Domain::Finite,
        ),
        refused(
            "cost_per_order",
            *cost_per_order,
            within(Domain::Finite),
            Domain::Finite,
        ),
        refused("interval_level", *interval_level, inside, INSIDE),
        refused(
            "elapsed_periods",
            *elapsed_periods,
            within(Domain::NonNegative),
            Domain::NonNegative,
        ),
    ];
    checks.into_iter().flatten().collect()
}

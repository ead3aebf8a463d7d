//! Bootstrap of metrics: rows drawn anew, the metrics taken again; the same bits on any number of
//! threads.
//!
//! Replicate `r` draws `n` of the `n` rows with replacement by a generator of its own, seeded by
//! `(seed, r)`; with clusters it draws clusters, so that rows of one customer stay together. Two
//! models measured on the same rows with the same seed see the same draws: their differences are
//! paired. Source: Efron & Tibshirani (1993), *An Introduction to the Bootstrap*, ch. 6 and 13.

use crate::metrics::{Measure, MetricError, Ranked};
use crate::{Error, ErrorKind, ProgressFn};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most replicates.
const MAX_REPLICATES: usize = 100_000;
/// Replicates between two calls for progress.
const ROUND: usize = 64;

/// Rows to measure.
#[derive(Debug, Clone, Copy)]
pub struct MetricRows<'a> {
    /// Who churned.
    pub churned: &'a [bool],
    /// Score of each row; a probability where a measure needs one.
    pub scores: &'a [f64],
    /// Weight of each row; unset means one each.
    pub weights: Option<&'a [f64]>,
    /// Value of each customer, for profits; unset means the constant of the settings.
    pub values: Option<&'a [f64]>,
    /// Cluster of each row, numbered from 0; unset means each row is its own.
    pub clusters: Option<&'a [usize]>,
}

/// How often to draw, and by which seed.
#[derive(Debug, Clone, Copy)]
pub struct BootstrapSettings {
    /// Number of replicates.
    pub replicates: usize,
    /// Seed.
    pub seed: u64,
    /// Threads, 0 for all.
    pub threads: usize,
}

impl From<MetricError> for Error {
    fn from(error: MetricError) -> Self {
        Error::new(ErrorKind::InvalidInput, error.to_string())
    }
}

/// The measures of the rows as they are.
///
/// # Errors
/// `InvalidInput`: ragged rows, a NaN score, a score that is no probability where one is needed, a
/// bad weight or value, one outcome only.
pub fn measures(rows: &MetricRows<'_>, measures: &[Measure]) -> Result<Vec<f64>, Error> {
    let ranked = checked(rows, measures)?;
    let of = |measure: &Measure| measure.of(&ranked, rows.weights, rows.values);
    Ok(measures.iter().map(of).collect::<Result<_, _>>()?)
}

/// Every measure in every replicate: `[measure][replicate]`; NaN where a replicate drew one outcome
/// only.
///
/// # Errors
/// As [`measures`]; a number of replicates outside 1 to 100 000; stopped by `progress`.
pub fn bootstrap(
    rows: &MetricRows<'_>,
    measures: &[Measure],
    settings: &BootstrapSettings,
    progress: ProgressFn<'_>,
) -> Result<Vec<Vec<f64>>, Error> {
    let ranked = checked(rows, measures)?;
    let replicates = settings.replicates;
    if !(1..=MAX_REPLICATES).contains(&replicates) {
        let why = format!("is {replicates}: must be from 1 to {MAX_REPLICATES}");
        return Err(Error::invalid("replicates", why));
    }
    let threads = crate::fit::thread_count(settings.threads);
    let mut found = vec![Vec::with_capacity(replicates); measures.len()];
    for start in (0..replicates).step_by(ROUND) {
        if progress(start, replicates).is_break() {
            return Err(Error::new(ErrorKind::InvalidInput, "stopped"));
        }
        let end = (start + ROUND).min(replicates);
        let one = |replicate: usize| {
            let weights = drawn(rows, settings.seed, replicate as u64);
            let of = |measure: &Measure| measure.of(&ranked, Some(&weights), rows.values);
            measures
                .iter()
                .map(|measure| of(measure).unwrap_or(f64::NAN))
                .collect::<Vec<f64>>()
        };
        for values in in_order(start..end, threads, &one) {
            for (own, value) in found.iter_mut().zip(values) {
                own.push(value);
            }
        }
    }
    // The last call says that all is done; it is too late to stop.
    let _ = progress(replicates, replicates);
    Ok(found)
}

/// `one` of every number, in order, on up to `threads` threads.
fn in_order<T: Send>(
    numbers: std::ops::Range<usize>,
    threads: usize,
    one: &(impl Fn(usize) -> T + Sync),
) -> Vec<T> {
    let count = numbers.len();
    if threads <= 1 || count <= 1 {
        return numbers.map(one).collect();
    }
    let next = AtomicUsize::new(numbers.start);
    let end = numbers.end;
    let work = || {
        let mut own = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return own;
            }
            own.push((number, one(number)));
        }
    };
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(count)).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|own| own.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, value)| value).collect()
}

/// Weights of the rows in a replicate: how often each was drawn, times its own weight.
fn drawn(rows: &MetricRows<'_>, seed: u64, replicate: u64) -> Vec<f64> {
    let row_count = rows.churned.len();
    let units = rows.clusters.map_or(row_count, |clusters| {
        clusters.iter().max().map_or(0, |last| last + 1)
    });
    let mut draws = cvm_fit::Stream::new(seed, replicate);
    let mut times = vec![0.0; units];
    for _ in 0..units {
        times[draws.below(units)] += 1.0;
    }
    let own = |row: usize| {
        let unit = rows.clusters.map_or(row, |clusters| clusters[row]);
        times[unit] * rows.weights.map_or(1.0, |weights| weights[row])
    };
    (0..row_count).map(own).collect()
}

fn checked(rows: &MetricRows<'_>, measures: &[Measure]) -> Result<Ranked, Error> {
    let expected = rows.churned.len();
    let lengths = [
        ("weights", rows.weights.map(<[f64]>::len)),
        ("values", rows.values.map(<[f64]>::len)),
        ("clusters", rows.clusters.map(<[usize]>::len)),
    ];
    for (name, got) in lengths {
        if let Some(got) = got.filter(|got| *got != expected) {
            let why = format!("has {got} rows, expected {expected}");
            return Err(Error::invalid(name, why));
        }
    }
    if let Some(clusters) = rows.clusters
        && let Some(row) = clusters.iter().position(|cluster| *cluster >= expected)
    {
        let why = format!("is {}: must be below {expected}", clusters[row]);
        return Err(Error::invalid(format!("clusters[{row}]"), why));
    }
    let finite = |values: Option<&[f64]>, name: &str, least: f64| match values {
        Some(values) => match values.iter().position(|v| !(v.is_finite() && *v >= least)) {
            Some(row) => {
                let why = format!("is {}: must be a finite number >= {least}", values[row]);
                Err(Error::invalid(format!("{name}[{row}]"), why))
            }
            None => Ok(()),
        },
        None => Ok(()),
    };
    finite(rows.weights, "weights", 0.0)?;
    finite(rows.values, "values", f64::MIN)?;
    let needs = measures.iter().any(Measure::needs_probabilities);
    let outside = |p: &f64| !(0.0..=1.0).contains(p);
    match rows.scores.iter().position(outside).filter(|_| needs) {
        Some(row) => {
            let why = format!("is {}: must be a number from 0 to 1", rows.scores[row]);
            Err(Error::invalid(format!("scores[{row}]"), why))
        }
        None => Ok(Ranked::new(rows.churned, rows.scores)?),
    }
}

#[cfg(test)]
mod tests {
    use super::{BootstrapSettings, MetricRows, bootstrap, measures};
    use crate::metrics::Measure;
    use std::ops::ControlFlow;

    const MEASURES: [Measure; 3] = [Measure::Auc, Measure::Brier, Measure::Lift { share: 0.1 }];

    fn rows() -> (Vec<bool>, Vec<f64>) {
        let scores: Vec<f64> = (0..500)
            .map(|i| f64::from((i * 37) % 101) / 101.0)
            .collect();
        let churned = (0..500)
            .zip(&scores)
            .map(|(i, score)| f64::from((i * 61) % 97) / 97.0 < 0.8 * score)
            .collect();
        (churned, scores)
    }

    fn settings(threads: usize) -> BootstrapSettings {
        BootstrapSettings {
            replicates: 300,
            seed: 7,
            threads,
        }
    }

    #[test]
    fn replicates_do_not_depend_on_threads_and_spread_as_delong_says() {
        let (churned, scores) = rows();
        let rows = MetricRows {
            churned: &churned,
            scores: &scores,
            weights: None,
            values: None,
            clusters: None,
        };
        let go = |_: usize, _: usize| ControlFlow::Continue(());
        let one = bootstrap(&rows, &MEASURES, &settings(1), &go).expect("replicates");
        let five = bootstrap(&rows, &MEASURES, &settings(5), &go).expect("replicates");
        assert_eq!(one, five);
        let auc = measures(&rows, &MEASURES).expect("measures")[0];
        let mean = one[0].iter().sum::<f64>() / 300.0;
        let squares = one[0].iter().map(|a| (a - mean) * (a - mean)).sum::<f64>();
        let delong = crate::metrics::auc_estimate(&churned, &scores, None).expect("an AUC");
        assert!((mean - auc).abs() < 0.005, "{mean} {auc}");
        let ratio = (squares / 299.0).sqrt() / delong.standard_error;
        assert!((0.85..1.15).contains(&ratio), "{ratio}");
    }

    #[test]
    fn clusters_of_copies_widen_the_spread() {
        let (churned, scores) = rows();
        let (churned, scores) = (churned.repeat(2), scores.repeat(2));
        let clusters: Vec<usize> = (0..1000).map(|row| row % 500).collect();
        let go = |_: usize, _: usize| ControlFlow::Continue(());
        let spread = |clusters: Option<&[usize]>| {
            let rows = MetricRows {
                churned: &churned,
                scores: &scores,
                weights: None,
                values: None,
                clusters,
            };
            let found = bootstrap(&rows, &MEASURES[..1], &settings(2), &go).expect("replicates");
            let mean = found[0].iter().sum::<f64>() / 300.0;
            found[0]
                .iter()
                .map(|a| (a - mean) * (a - mean))
                .sum::<f64>()
        };
        let ratio = spread(Some(&clusters)) / spread(None);
        assert!((1.5..2.7).contains(&ratio), "twice the variance: {ratio}");
    }

    #[test]
    fn bad_rows_are_named_and_work_can_be_stopped() {
        let (churned, mut scores) = rows();
        let stop = |done: usize, _: usize| match done {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let of = |scores: &[f64], weights: Option<&[f64]>| {
            let rows = MetricRows {
                churned: &churned,
                scores,
                weights,
                values: None,
                clusters: None,
            };
            bootstrap(&rows, &MEASURES, &settings(1), &stop)
                .expect_err("no replicates")
                .message
        };
        assert_eq!(of(&scores, None), "stopped");
        assert!(of(&scores, Some(&[1.0])).contains("has 1 rows"));
        scores[3] = 1.5;
        assert!(of(&scores, None).contains("scores[3]: is 1.5"));
        scores[3] = f64::NAN;
        assert!(of(&scores, None).contains("scores[3]"));
    }
}

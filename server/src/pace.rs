//! How long a row of a model takes, measured when it is loaded: what it counts as where rows decide who
//! scores on a serving thread, and for how long before others get their turn.

use crate::rows::take;
use cvm::{Frame, Model, ScoreOptions};
use std::time::{Duration, Instant};

/// Time of a row that counts as one: a request that takes up to half a millisecond is scored where it
/// comes in. What waits on a serving thread is refused in milliseconds when there is too much of it, and in
/// the queue of large requests in seconds, so that is no place for more than have to be there.
const UNIT_NS: f64 = 1_000.0;
/// Most that a row counts as: one alone is a block.
const MOST: usize = 8_192;
/// Rows that are looked at one by one, for one that is typical, and the time that may take.
const FEW: usize = 5;
const BUDGET: Duration = Duration::from_millis(1);
/// Time in which further outputs are looked at; the others are taken to be as quick as the usual ones.
/// A swap is not to take longer for it than for verifying the model.
const MOST_TIME: Duration = Duration::from_millis(5);
/// A row that takes less is scored many times over, so that what a call costs beside its rows is little.
const SLOW: Duration = Duration::from_micros(20);
const ROWS: usize = 16;
/// Times that they are scored; the shortest counts, for the others were interrupted.
const TIMES: usize = 2;

/// Rows without reasons that one row with reasons counts as: attributions take about a millisecond.
const REASON_WEIGHT: usize = 256;

/// What a row of one model counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    /// With the outputs that are computed unless others are asked for.
    usual: usize,
    /// Further outputs that take their time, and what each adds.
    further: Vec<(&'static str, usize)>,
}

impl Pace {
    /// Scores some of the model's own probe rows again, on the clock.
    pub(crate) fn of(model: &Model) -> Pace {
        // A model that was made, not read, scores its probe rows when they are first asked for.
        let probe = model.probe();
        let begun = Instant::now();
        let of = |outputs: Vec<String>| {
            let horizon = probe.options.clone();
            let options = ScoreOptions { outputs, ..horizon };
            typical(model, &options).map_or(1, units)
        };
        let usual = of(Vec::new());
        let further = model.outputs().iter().filter(|output| output.on_request);
        let further = further.take_while(|_| begun.elapsed() < MOST_TIME);
        let further = further.map(|output| (output.name, of(vec![output.name.to_owned()])));
        let further = further.filter(|(_, count)| *count > 1).collect();
        Pace { usual, further }
    }

    /// What a row counts as under these options.
    pub(crate) fn weight(&self, model: &Model, options: &ScoreOptions) -> usize {
        let named = |name: &str| options.outputs.iter().any(|own| own == name);
        let further = self.further.iter().filter(|(name, _)| named(name));
        let row: usize = self.usual + further.map(|(_, count)| count).sum::<usize>();
        // An interval scores the model anew at two values of each parameter.
        let times = match options.interval_level {
            None => 1,
            Some(_) => 1 + 2 * model.params().len(),
        };
        let reasons = options.reasons.as_ref().map_or(1, |_| REASON_WEIGHT);
        row.saturating_mul(times).max(reasons)
    }
}

/// What a typical legal row takes: the median of a few, for some are there because they are hard.
fn typical(model: &Model, options: &ScoreOptions) -> Option<Duration> {
    let probe = model.probe();
    let once = |places: &[usize]| timed(model, &take(&probe.rows, places), options);
    let status = probe.status.iter().enumerate();
    let legal: Vec<usize> = status
        .filter(|(_, s)| s.is_ok())
        .map(|(row, _)| row)
        .collect();
    let begun = Instant::now();
    let picked = (0..FEW).filter_map(|place| legal.get(place * legal.len() / FEW));
    let mut each: Vec<(Duration, usize)> = picked
        .take_while(|_| begun.elapsed() < BUDGET)
        .filter_map(|row| Some((once(&[*row])?, *row)))
        .collect();
    each.sort_unstable();
    let (time, row) = *each.get(each.len() / 2)?;
    if time >= SLOW {
        return Some(time);
    }
    let times = (0..TIMES).filter_map(|_| once(&[row; ROWS]));
    Some(times.fold(time, Duration::min))
}

/// What a row that takes so long counts as.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
fn units(row: Duration) -> usize {
    let units = row.as_nanos() as f64 / UNIT_NS;
    (units.round() as usize).clamp(1, MOST)
}

/// What a row takes, on average; nothing if they cannot be scored.
fn timed(model: &Model, frame: &Frame, options: &ScoreOptions) -> Option<Duration> {
    let batch = frame.batch().ok()?;
    let begun = Instant::now();
    model.score(&batch, options).ok()?;
    let took = begun.elapsed();
    // A version is loaded beside others that serve.
    std::thread::yield_now();
    let count = u32::try_from(frame.row_count.max(1)).unwrap_or(u32::MAX);
    Some(took / count)
}

#[cfg(test)]
mod tests {
    use super::{MOST, Pace, units};
    use cvm::{ReasonOptions, ScoreOptions};
    use std::time::Duration;

    #[test]
    fn a_row_counts_as_long_as_it_takes() {
        let weight = |ns: u64| units(Duration::from_nanos(ns));
        assert_eq!([0, 300, 1_499, 1_500, 5_000].map(weight), [1, 1, 1, 2, 5]);
        assert_eq!(weight(10_000_000), MOST);
        assert_eq!(weight(u64::MAX), MOST);
    }

    #[test]
    fn what_is_slow_weighs_more() {
        let params = [("r", 0.24), ("alpha", 4.4), ("a", 0.8), ("b", 2.4)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
        let measured = Pace::of(&model);
        // Some of them take a millisecond, and the usual ones a thousandth.
        let slowest = measured.further.iter().max_by_key(|(_, count)| *count);
        assert!(slowest.unwrap().1 > 10 * measured.usual, "{measured:?}");
        let pace = Pace {
            usual: 3,
            further: vec![("slow", 50), ("slower", 100)],
        };
        let weight = |names: &[&str], interval_level| {
            let outputs = names.iter().map(|name| (*name).to_owned()).collect();
            let options = ScoreOptions {
                outputs,
                interval_level,
                ..ScoreOptions::default()
            };
            pace.weight(&model, &options)
        };
        assert_eq!(weight(&[], None), 3);
        assert_eq!(weight(&["p_alive"], None), 3);
        assert_eq!(weight(&["p_alive", "slow", "slower"], None), 153);
        // Four parameters, each a little lower and a little higher.
        assert_eq!(weight(&[], Some(0.9)), 27);
        let reasons = ScoreOptions {
            reasons: Some(ReasonOptions::default()),
            ..ScoreOptions::default()
        };
        assert_eq!(pace.weight(&model, &reasons), 256);
    }
}

//! What became of the requests: codes, latencies, wrong answers.

use hdrhistogram::Histogram;
use std::time::Duration;
use tonic::Code;

/// Latencies are kept in microseconds up to this, to three digits.
const MOST_US: u64 = 600_000_000;
/// Wrong answers and failures that are told in words.
const MOST_EXAMPLES: usize = 5;
pub(crate) const CODES: usize = 17;

/// What became of one request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Scored, and right in every bit.
    Right,
    /// Scored, and not what it must be.
    Wrong(String),
    /// Failed with a status.
    Failed {
        code: Code,
        never_sent: bool,
        message: String,
    },
    /// Too many were without an answer: it was not sent.
    Withheld,
}

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(pub(crate) Option<Histogram<u64>>);

impl Default for Latencies {
    fn default() -> Self {
        Latencies(Histogram::new_with_bounds(1, MOST_US, 3).ok())
    }
}

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        if let Some(histogram) = &mut self.0 {
            let us = u64::try_from(time.as_micros()).unwrap_or(MOST_US);
            histogram.saturating_record(us.max(1));
        }
    }

    pub(crate) fn merge(&mut self, other: &Latencies) {
        if let (Some(own), Some(other)) = (&mut self.0, &other.0) {
            // Histograms of the same bounds always add.
            let _ = own.add(other);
        }
    }

    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let found = self.0.as_ref().filter(|histogram| !histogram.is_empty());
        found.map_or(f64::NAN, |histogram| {
            histogram.value_at_quantile(share) as f64 / 1e3
        })
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }
}

/// Counts and latencies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) right: u64,
    pub(crate) right_rows: u64,
    /// Right answers that came before the run's last request was due.
    pub(crate) timely: u64,
    pub(crate) wrong: u64,
    pub(crate) withheld: u64,
    /// Failures before the server had anything of the request.
    pub(crate) never_sent: u64,
    pub(crate) codes: [u64; CODES],
    pub(crate) examples: Vec<String>,
    /// Of right answers, from when they were due.
    pub(crate) latency: Latencies,
    /// Of right answers, from when they were sent.
    pub(crate) service: Latencies,
    /// Of refusals, from when they were sent.
    pub(crate) refusal: Latencies,
}

impl Tally {
    pub(crate) fn add(
        &mut self,
        outcome: Outcome,
        rows: usize,
        from_due: Duration,
        from_sent: Duration,
        in_time: bool,
    ) {
        match outcome {
            Outcome::Right => {
                self.count(Code::Ok);
                self.right += 1;
                self.right_rows += rows as u64;
                self.timely += u64::from(in_time);
                self.latency.add(from_due);
                self.service.add(from_sent);
            }
            Outcome::Wrong(why) => {
                self.count(Code::Ok);
                self.wrong += 1;
                self.example(format!("wrong: {why}"));
            }
            Outcome::Failed {
                code,
                never_sent,
                message,
            } => {
                self.count(code);
                self.never_sent += u64::from(never_sent);
                self.refusal.add(from_sent);
                self.example(format!("{code:?}: {message}"));
            }
            Outcome::Withheld => self.withheld += 1,
        }
    }

    fn count(&mut self, code: Code) {
        if let Some(count) = self.codes.get_mut(code as usize) {
            *count += 1;
        }
    }

    /// Keeps one example of each kind.
    fn example(&mut self, text: String) {
        let head = |text: &str| text.split(':').next().map(str::to_owned);
        let known = self.examples.iter().any(|own| head(own) == head(&text));
        if !known && self.examples.len() < MOST_EXAMPLES {
            self.examples.push(text);
        }
    }

    /// Requests that were answered in some way.
    pub(crate) fn answered(&self) -> u64 {
        self.codes.iter().sum()
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.right += other.right;
        self.right_rows += other.right_rows;
        self.timely += other.timely;
        self.wrong += other.wrong;
        self.withheld += other.withheld;
        self.never_sent += other.never_sent;
        for (own, more) in self.codes.iter_mut().zip(other.codes) {
            *own += more;
        }
        for text in &other.examples {
            self.example(text.clone());
        }
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.refusal.merge(&other.refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Tally};
    use std::time::Duration;
    use tonic::Code;

    #[test]
    fn outcomes_count_where_they_belong_and_add_up() {
        let ms = Duration::from_millis;
        let failed = |code| Outcome::Failed {
            code,
            never_sent: code == Code::Unavailable,
            message: "m".to_owned(),
        };
        let mut tally = Tally::default();
        for latency in 1..=100 {
            tally.add(Outcome::Right, 3, ms(latency), ms(1), latency <= 90);
        }
        tally.add(
            Outcome::Wrong("x of row 1".to_owned()),
            3,
            ms(500),
            ms(500),
            true,
        );
        tally.add(failed(Code::ResourceExhausted), 3, ms(7), ms(2), true);
        tally.add(failed(Code::Unavailable), 3, ms(7), ms(2), true);
        tally.add(Outcome::Withheld, 3, ms(0), ms(0), true);
        assert!((tally.latency.quantile_ms(0.99) - 99.0).abs() < 0.1);
        assert!((tally.service.quantile_ms(1.0) - 1.0).abs() < 0.01);
        let one = tally.clone();
        tally.merge(&one);
        assert_eq!((tally.right, tally.right_rows, tally.wrong), (200, 600, 2));
        assert_eq!(tally.timely, 180);
        assert_eq!((tally.withheld, tally.never_sent), (2, 2));
        assert_eq!(tally.answered(), 2 * 103);
        assert_eq!(tally.codes[Code::ResourceExhausted as usize], 2);
        assert_eq!((tally.latency.count(), tally.refusal.count()), (200, 4));
        assert_eq!(tally.examples.len(), 3, "{:?}", tally.examples);
    }
}

//! What a run showed, for a person and for a program.

use crate::tally::{CODES, Latencies, Tally};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tonic::Code;

/// Quantiles in milliseconds; not a number when there is nothing to tell.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Quantiles {
    /// Half is faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// All but one of a hundred.
    pub p99: f64,
    /// All but one of a thousand.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl From<&Latencies> for Quantiles {
    fn from(latencies: &Latencies) -> Quantiles {
        let [p50, p90, p99, p999, max] =
            [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| latencies.quantile_ms(share));
        Quantiles {
            p50,
            p90,
            p99,
            p999,
            max,
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantiles {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}"
        )
    }
}

/// Answers to questions of health.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HealthReport {
    /// Times it was told that the server serves.
    pub answered: u64,
    /// Times it was not.
    pub failed: u64,
    /// Why, the last time.
    pub last_failure: Option<String>,
    /// Latency of the answers, from when they were due.
    pub latency_ms: Quantiles,
}

/// What became of the requests with one token.
#[derive(Debug, Clone, Serialize)]
pub struct TokenReport {
    /// Name of the token.
    pub name: String,
    /// Scored and right.
    pub right: u64,
    /// Failed with a status.
    pub failed: u64,
    /// Latency of right answers from when they were due.
    pub latency_ms: Quantiles,
}

/// A second of a run.
#[derive(Debug, Clone, Copy)]
pub struct Second {
    /// Time since the start.
    pub at: Duration,
    /// Scored and right.
    pub right: u64,
    /// Answered with something else.
    pub failed: u64,
    /// Scored and not what it must be.
    pub wrong: u64,
    /// Requests without an answer.
    pub in_flight: usize,
    /// Latency of right answers from when they were due.
    pub latency_ms: Quantiles,
}

impl Second {
    pub(crate) fn new(at: Duration, tally: &Tally, in_flight: usize) -> Second {
        Second {
            at,
            right: tally.right,
            failed: tally.answered() - tally.right - tally.wrong,
            wrong: tally.wrong,
            in_flight,
            latency_ms: (&tally.latency).into(),
        }
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Second {
            at,
            right,
            failed,
            wrong,
            in_flight,
            latency_ms,
        } = self;
        let seconds = at.as_secs_f64();
        let Quantiles { p50, p99, max, .. } = latency_ms;
        write!(
            f,
            "{seconds:6.1} s  right {right:>7}  failed {failed:>6}  wrong {wrong}  in flight {in_flight:>5}  \
             ms: p50 {p50:.2} p99 {p99:.2} max {max:.2}"
        )
    }
}

/// What a run showed; the warm-up is left out.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Seconds over which requests were due.
    pub seconds: f64,
    /// Requests that were due.
    pub offered: u64,
    /// Scored, and right in every bit.
    pub right: u64,
    /// Rows of these.
    pub right_rows: u64,
    /// Scored, and not what they must be.
    pub wrong: u64,
    /// Not sent: too many were without an answer.
    pub withheld: u64,
    /// Failed before the server had anything of them.
    pub never_sent: u64,
    /// Answers by the name of their code.
    pub codes: BTreeMap<String, u64>,
    /// An example of each failure.
    pub examples: Vec<String>,
    /// Right answers per second of those over which requests were due; what comes later does not count, as
    /// a server that is behind would seem the faster for it.
    pub goodput_per_second: f64,
    /// Latency of right answers from when they were due.
    pub latency_ms: Quantiles,
    /// The same from when they were sent.
    pub service_ms: Quantiles,
    /// Latency of failures from when they were sent.
    pub failure_ms: Quantiles,
    /// Health meanwhile, if it was asked for.
    pub health: Option<HealthReport>,
    /// Each token, if there are several.
    pub tokens: Vec<TokenReport>,
}

impl Report {
    pub(crate) fn new(
        seconds: f64,
        tallies: &[Tally],
        names: &[String],
        health: Option<HealthReport>,
    ) -> Report {
        let mut all = Tally::default();
        for tally in tallies {
            all.merge(tally);
        }
        let several = if names.len() > 1 { names } else { &[] };
        let tokens = several
            .iter()
            .zip(tallies)
            .map(|(name, tally)| TokenReport {
                name: name.clone(),
                right: tally.right,
                failed: tally.answered() - tally.right - tally.wrong,
                latency_ms: (&tally.latency).into(),
            });
        let goodput_per_second = all.timely as f64 / seconds;
        Report {
            seconds,
            offered: all.answered() + all.withheld,
            right: all.right,
            right_rows: all.right_rows,
            wrong: all.wrong,
            withheld: all.withheld,
            never_sent: all.never_sent,
            codes: codes(&all.codes),
            examples: all.examples,
            goodput_per_second,
            latency_ms: (&all.latency).into(),
            service_ms: (&all.service).into(),
            failure_ms: (&all.refusal).into(),
            health,
            tokens: tokens.collect(),
        }
    }

    /// Answers with this code.
    #[must_use]
    pub fn count(&self, code: Code) -> u64 {
        let name = format!("{code:?}");
        self.codes.get(&name).copied().unwrap_or(0)
    }
}

fn codes(counts: &[u64; CODES]) -> BTreeMap<String, u64> {
    let numbered = (0..).zip(counts).filter(|(_, count)| **count > 0);
    numbered
        .map(|(number, count)| (format!("{:?}", Code::from_i32(number)), *count))
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            seconds,
            offered,
            right,
            right_rows,
            wrong,
            withheld,
            never_sent,
            ..
        } = self;
        let rate = *offered as f64 / seconds;
        writeln!(f, "offered     {offered} in {seconds:.1} s, {rate:.0}/s")?;
        writeln!(
            f,
            "right       {right}, {:.0}/s, {right_rows} rows",
            self.goodput_per_second
        )?;
        writeln!(f, "wrong       {wrong}")?;
        writeln!(f, "withheld    {withheld}")?;
        writeln!(f, "never sent  {never_sent}")?;
        for (code, count) in &self.codes {
            writeln!(f, "  {code:<20} {count}")?;
        }
        writeln!(f, "ms from due   {}", self.latency_ms)?;
        writeln!(f, "ms from sent  {}", self.service_ms)?;
        if offered - withheld > right + wrong {
            writeln!(f, "ms failures   {}", self.failure_ms)?;
        }
        if let Some(HealthReport {
            answered,
            failed,
            last_failure,
            latency_ms,
        }) = &self.health
        {
            let why = last_failure
                .as_ref()
                .map_or(String::new(), |why| format!(" ({why})"));
            writeln!(
                f,
                "health      {answered} answered, {failed} not{why}; ms {latency_ms}"
            )?;
        }
        for TokenReport {
            name,
            right,
            failed,
            latency_ms,
        } in &self.tokens
        {
            writeln!(
                f,
                "token {name}: right {right}, failed {failed}; ms {latency_ms}"
            )?;
        }
        for example in &self.examples {
            writeln!(f, "example: {example}")?;
        }
        Ok(())
    }
}

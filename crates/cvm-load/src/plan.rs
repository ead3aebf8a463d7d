//! What a run does: whom it asks for what, how often, in which sizes.

use crate::oracle::Oracle;
use crate::schedule::{Chance, Schedule};
use crate::target::Target;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each in a call of its own.
    Unary,
    /// All of a connection in one stream.
    Stream,
}

/// Sizes of requests in rows, each with its weight.
#[derive(Debug, Clone)]
pub struct Mix(Vec<(usize, u32)>);

impl Mix {
    /// Requests of one size.
    #[must_use]
    pub fn of(rows: usize) -> Mix {
        Mix(vec![(rows, 1)])
    }

    /// Reads `1` or `1:90,100:10`: sizes with weights.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Mix, String> {
        let part = |part: &str| {
            let (rows, weight) = part.split_once(':').unwrap_or((part, "1"));
            let wrong = || format!("`{part}` is not ROWS or ROWS:WEIGHT, as in 1:90,100:10");
            let rows: usize = rows.trim().parse().map_err(|_| wrong())?;
            let weight: u32 = weight.trim().parse().map_err(|_| wrong())?;
            let legal = (1..=1_000_000).contains(&rows) && (1..=1_000_000).contains(&weight);
            legal.then_some((rows, weight)).ok_or_else(wrong)
        };
        text.split(',').map(part).collect::<Result<_, _>>().map(Mix)
    }

    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(rows, _)| *rows)
    }

    /// The place of a size among [`Mix::sizes`].
    pub(crate) fn pick(&self, chance: &mut Chance) -> usize {
        let total: u64 = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut point = chance.number() % total.max(1);
        for (place, (_, weight)) in self.0.iter().enumerate() {
            match point.checked_sub((*weight).into()) {
                None => return place,
                Some(rest) => point = rest,
            }
        }
        0
    }
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom to ask.
    pub target: Target,
    /// The requests and their right answers.
    pub oracle: Arc<Oracle>,
    /// When.
    pub schedule: Schedule,
    /// At first this long nothing counts.
    pub warm_up: Duration,
    /// How requests travel.
    pub mode: Mode,
    /// The sizes the oracle was made for.
    pub mix: Mix,
    /// Connections; requests go over them in turn.
    pub connections: usize,
    /// What a caller waits at most; the server is told.
    pub timeout: Duration,
    /// Most requests without an answer; beyond it requests are not sent, and counted.
    pub max_in_flight: usize,
    /// How often health is asked for meanwhile, on a connection and a thread of its own.
    pub health_every: Option<Duration>,
    /// Counts right answers as they come, for who looks on.
    pub seen: Arc<AtomicU64>,
}

impl Plan {
    /// A run at a constant rate in calls over one connection.
    #[must_use]
    pub fn new(target: Target, oracle: Arc<Oracle>, mix: Mix, schedule: Schedule) -> Plan {
        Plan {
            target,
            oracle,
            schedule,
            warm_up: Duration::ZERO,
            mode: Mode::Unary,
            mix,
            connections: 1,
            timeout: Duration::from_secs(5),
            max_in_flight: 20_000,
            health_every: None,
            seen: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mix;
    use crate::schedule::Chance;

    #[test]
    fn sizes_come_by_their_weights() {
        let mix = Mix::parse("1:90, 100:10").unwrap();
        assert_eq!(mix.sizes().collect::<Vec<_>>(), [1, 100]);
        let mut chance = Chance(7);
        let large = (0..10_000).filter(|_| mix.pick(&mut chance) == 1).count();
        assert!(large.abs_diff(1_000) < 150, "{large} of 10000");
        assert_eq!(Mix::parse("7").unwrap().sizes().collect::<Vec<_>>(), [7]);
        for wrong in ["", "0", "1:0", "x", "1:2:3", "1,,2", "-1"] {
            assert!(Mix::parse(wrong).unwrap_err().contains("ROWS"), "{wrong}");
        }
    }
}

//! When requests are due: a rate that rises and holds, in even steps or by chance.
//!
//! ```text
//! N(t) = f·t + (r − f)·t²/(2R)           t ≤ R, the ramp from rate f to rate r
//!      = (f + r)·R/2 + r·(t − R)         afterwards
//! ```
//!
//! The k-th request is due when `N(t) = k`, or, by chance, when `N(t)` is the sum of k exponential gaps
//! of mean 1: a Poisson process of that rate (Çinlar 1975, *Introduction to Stochastic Processes*,
//! chapter 4, non-stationary Poisson processes).

use std::time::Duration;

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// At even distances.
    Even,
    /// As from many callers that know nothing of each other.
    #[default]
    Poisson,
}

/// A rate over time.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Requests per second at the start.
    pub from_rate: f64,
    /// Requests per second from the end of the ramp on.
    pub rate: f64,
    /// Length of the ramp.
    pub ramp: Duration,
    /// Length of everything, the ramp included.
    pub length: Duration,
    /// How requests come.
    pub arrivals: Arrivals,
    /// Where chance begins.
    pub seed: u64,
}

impl Schedule {
    /// A constant rate.
    #[must_use]
    pub fn constant(rate: f64, length: Duration) -> Schedule {
        Schedule {
            from_rate: rate,
            rate,
            ramp: Duration::ZERO,
            length,
            arrivals: Arrivals::default(),
            seed: 1,
        }
    }

    /// # Errors
    /// A rate that is not between 0.001 and a million a second, or a ramp beyond the length.
    pub fn check(&self) -> Result<(), String> {
        let legal = 0.001..=1e6;
        if !legal.contains(&self.rate) || !(0.0..=1e6).contains(&self.from_rate) {
            return Err(format!(
                "a rate is between 0.001 and 1000000 requests per second, not {} or {}",
                self.rate, self.from_rate
            ));
        }
        if self.ramp > self.length {
            return Err("the ramp is longer than the whole".to_owned());
        }
        Ok(())
    }

    /// When each request is due, from the start.
    pub(crate) fn due(self) -> impl Iterator<Item = Duration> {
        let mut chance = Chance(self.seed);
        let mut count = 0.0;
        std::iter::from_fn(move || {
            count += match self.arrivals {
                Arrivals::Even => 1.0,
                Arrivals::Poisson => -cvm_math::ln(chance.share()),
            };
            let at = Duration::from_secs_f64(self.time_of(count));
            (at < self.length).then_some(at)
        })
    }

    /// Seconds after which `count` requests have come.
    fn time_of(self, count: f64) -> f64 {
        let ramp = self.ramp.as_secs_f64();
        let (from, rate) = (self.from_rate, self.rate);
        let in_ramp = (from + rate) * ramp / 2.0;
        if count >= in_ramp {
            return ramp + (count - in_ramp) / rate;
        }
        // The root of N(t) = count that does not cancel.
        let bend = (rate - from) / ramp;
        let root = (from * from + 2.0 * bend * count).max(0.0).sqrt();
        2.0 * count / (from + root)
    }
}

/// Numbers by chance from a seed: SplitMix64 (Steele, Lea & Flood 2014, OOPSLA, figure 17).
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `(0, 1]`.
    pub(crate) fn share(&mut self) -> f64 {
        ((self.number() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Schedule};
    use std::time::Duration;

    fn seconds(schedule: Schedule) -> Vec<f64> {
        schedule.due().map(|at| at.as_secs_f64()).collect()
    }

    #[test]
    fn even_requests_come_at_even_distances() {
        let schedule = Schedule {
            arrivals: Arrivals::Even,
            ..Schedule::constant(4.0, Duration::from_secs(1))
        };
        assert_eq!(seconds(schedule), [0.25, 0.5, 0.75]);
    }

    #[test]
    fn a_ramp_has_the_requests_under_its_slope() {
        let schedule = Schedule {
            from_rate: 10.0,
            rate: 90.0,
            ramp: Duration::from_secs(4),
            length: Duration::from_secs(6),
            arrivals: Arrivals::Even,
            seed: 1,
        };
        let due = seconds(schedule);
        let before = |t: f64| due.iter().filter(|at| **at <= t).count();
        // N(2) = 10·2 + 20·2²/2, N(4) = 200, N(6) = 200 + 180.
        for (time, count) in [(2.0, 60), (4.0, 200), (5.0, 290), (6.0, 380)] {
            assert!(
                before(time).abs_diff(count) <= 1,
                "{time} s: {}",
                before(time)
            );
        }
        assert!(due.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn by_chance_gaps_have_mean_and_deviation_of_the_exponential() {
        let due = seconds(Schedule::constant(1_000.0, Duration::from_secs(50)));
        // 50 000 ± 5 standard deviations of a Poisson count.
        assert!(due.len().abs_diff(50_000) < 1_118, "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let square = gaps
            .iter()
            .map(|gap| (gap - mean) * (gap - mean))
            .sum::<f64>();
        let deviation = (square / gaps.len() as f64).sqrt();
        assert!(
            (deviation / mean - 1.0).abs() < 0.03,
            "{deviation} of {mean}"
        );
        let other = Schedule {
            seed: 2,
            ..Schedule::constant(1_000.0, Duration::from_secs(50))
        };
        assert_ne!(seconds(other), due);
    }

    #[test]
    fn rates_without_sense_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e6] {
            assert!(
                Schedule::constant(rate, Duration::from_secs(1))
                    .check()
                    .is_err()
            );
        }
        let long = Schedule {
            ramp: Duration::from_secs(2),
            ..Schedule::constant(1.0, Duration::from_secs(1))
        };
        assert!(long.check().is_err());
    }
}

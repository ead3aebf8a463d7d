//! Time units as exact durations.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Length of one period. Every unit is an exact number of seconds: a month is a twelfth of the
/// Julian year (365.25 days), so conversions never depend on the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 3 600 s.
    Hour,
    /// 86 400 s.
    Day,
    /// 7 days.
    Week,
    /// 30.4375 days, a twelfth of a year.
    Month,
    /// 91.3125 days, a quarter of a year.
    Quarter,
    /// 365.25 days.
    Year,
}

impl TimeUnit {
    /// Every unit, shortest first.
    pub const ALL: [TimeUnit; 8] = [
        TimeUnit::Second,
        TimeUnit::Minute,
        TimeUnit::Hour,
        TimeUnit::Day,
        TimeUnit::Week,
        TimeUnit::Month,
        TimeUnit::Quarter,
        TimeUnit::Year,
    ];

    /// Exact length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            TimeUnit::Second => 1,
            TimeUnit::Minute => 60,
            TimeUnit::Hour => 3_600,
            TimeUnit::Day => 86_400,
            TimeUnit::Week => 604_800,
            TimeUnit::Month => 2_629_800,
            TimeUnit::Quarter => 7_889_400,
            TimeUnit::Year => 31_557_600,
        }
    }

    /// Periods of this unit in one year of 365.25 days.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn periods_per_year(self) -> f64 {
        TimeUnit::Year.seconds() as f64 / self.seconds() as f64
    }

    /// Lower-case singular name, the one used in files and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            TimeUnit::Second => "second",
            TimeUnit::Minute => "minute",
            TimeUnit::Hour => "hour",
            TimeUnit::Day => "day",
            TimeUnit::Week => "week",
            TimeUnit::Month => "month",
            TimeUnit::Quarter => "quarter",
            TimeUnit::Year => "year",
        }
    }

    /// The unit of that name (singular or plural, any case).
    #[must_use]
    pub fn parse(name: &str) -> Option<TimeUnit> {
        let lower = name.trim().to_ascii_lowercase();
        let singular = lower.strip_suffix('s').unwrap_or(&lower);
        TimeUnit::ALL
            .into_iter()
            .find(|unit| unit.name() == singular)
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::TimeUnit;

    #[test]
    fn twelve_months_and_four_quarters_are_a_year() {
        assert_eq!(TimeUnit::Month.seconds() * 12, TimeUnit::Year.seconds());
        assert_eq!(TimeUnit::Quarter.seconds() * 4, TimeUnit::Year.seconds());
    }

    #[test]
    fn names_parse_back() {
        for unit in TimeUnit::ALL {
            assert_eq!(TimeUnit::parse(unit.name()), Some(unit));
            assert_eq!(
                TimeUnit::parse(&format!(" {}S ", unit.name().to_uppercase())),
                Some(unit)
            );
        }
        assert_eq!(TimeUnit::parse("fortnight"), None);
    }
}

//! Periods of the UTC calendar, counted: what models of discrete opportunities take for time.

use crate::civil::{from_seconds, to_seconds};
use cvm_core::TimeUnit;
use jiff::civil::date;
use serde::{Deserialize, Serialize};

const DAY_SECONDS: i64 = 86_400;

/// A period of the UTC calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalendarPeriod {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// A quarter, from January, April, July and October.
    Quarter,
    /// A year.
    Year,
}

impl CalendarPeriod {
    /// The unit whose mean length it has.
    pub(super) fn time_unit(self) -> TimeUnit {
        match self {
            CalendarPeriod::Day => TimeUnit::Day,
            CalendarPeriod::Week => TimeUnit::Week,
            CalendarPeriod::Month => TimeUnit::Month,
            CalendarPeriod::Quarter => TimeUnit::Quarter,
            CalendarPeriod::Year => TimeUnit::Year,
        }
    }

    /// The number of the period that holds a moment; successive periods have successive numbers.
    pub(super) fn index(self, seconds: i64) -> i64 {
        let days = seconds.div_euclid(DAY_SECONDS);
        let months = || {
            // Times come from dates of the years -9999 to 9999.
            let civil = from_seconds(seconds, 0).unwrap_or_default();
            i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1
        };
        match self {
            CalendarPeriod::Day => days,
            // 1970-01-01 was a Thursday.
            CalendarPeriod::Week => (days + 3).div_euclid(7),
            CalendarPeriod::Month => months(),
            CalendarPeriod::Quarter => months().div_euclid(3),
            CalendarPeriod::Year => months().div_euclid(12),
        }
    }

    /// The last second of a period.
    pub(super) fn last_second(self, index: i64) -> i64 {
        let next = index + 1;
        let month = |months: i64| {
            let year = i16::try_from(months.div_euclid(12)).unwrap_or(i16::MAX);
            let month = i8::try_from(months.rem_euclid(12) + 1).unwrap_or(1);
            // Beyond the year 9999 the calendar ends.
            let start = jiff::civil::Date::new(year, month, 1);
            start.map_or_else(
                |_| to_seconds(date(9999, 12, 31).at(23, 59, 59, 0)) + 1,
                |day| to_seconds(day.at(0, 0, 0, 0)),
            )
        };
        let start = match self {
            CalendarPeriod::Day => next * DAY_SECONDS,
            CalendarPeriod::Week => (next * 7 - 3) * DAY_SECONDS,
            CalendarPeriod::Month => month(next),
            CalendarPeriod::Quarter => month(next * 3),
            CalendarPeriod::Year => month(next * 12),
        };
        start - 1
    }
}

#[cfg(test)]
mod tests {
    use super::{CalendarPeriod, DAY_SECONDS};

    const ALL: [CalendarPeriod; 5] = [
        CalendarPeriod::Day,
        CalendarPeriod::Week,
        CalendarPeriod::Month,
        CalendarPeriod::Quarter,
        CalendarPeriod::Year,
    ];

    #[test]
    fn periods_follow_each_other_without_gap() {
        for period in ALL {
            for day in (-200_000..200_000).step_by(97) {
                let seconds = day * DAY_SECONDS + 4_321;
                let index = period.index(seconds);
                let last = period.last_second(index);
                assert!(period.last_second(index - 1) < seconds && seconds <= last);
                assert_eq!(period.index(last), index);
                assert_eq!(period.index(last + 1), index + 1);
            }
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_the_calendar_has_an_end() {
        // 2026-11-23 was a Monday: day 20 780.
        let monday = 20_780 * DAY_SECONDS;
        let week = CalendarPeriod::Week;
        assert_eq!(week.index(monday - 1) + 1, week.index(monday));
        let last = 253_402_300_799;
        let year = CalendarPeriod::Year;
        assert_eq!(year.last_second(year.index(last)), last);
    }
}

//! Seconds since 1970-01-01 UTC to and from the calendar, over all years -9999 to 9999.
//!
//! `jiff::Timestamp` ends a day before the calendar does, and 9999-12-31 is what many tables hold
//! for "never".

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// Seconds of a moment in UTC, fractions rounded down.
pub(crate) fn to_seconds(civil: DateTime) -> i64 {
    let duration = civil.duration_since(EPOCH);
    duration.as_secs() - i64::from(duration.subsec_nanos() < 0)
}

/// The moment in UTC, if its year is in range.
pub(crate) fn from_seconds(seconds: i64, nanoseconds: i32) -> Option<DateTime> {
    EPOCH
        .checked_add(SignedDuration::new(seconds, nanoseconds))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{from_seconds, to_seconds};
    use jiff::civil::date;

    #[test]
    fn the_whole_calendar_goes_there_and_back() {
        for (year, seconds) in [(1970, 0), (9999, 253_370_764_800), (1, -62_135_596_800)] {
            let civil = date(year, 1, 1).at(0, 0, 0, 0);
            assert_eq!(to_seconds(civil), seconds);
            assert_eq!(from_seconds(seconds, 0), Some(civil));
        }
        let last = date(9999, 12, 31).at(23, 59, 59, 0);
        assert_eq!(to_seconds(last), 253_402_300_799);
        assert_eq!(from_seconds(253_402_300_800, 0), None);
        assert_eq!(from_seconds(i64::MIN, 0), None);
        assert_eq!(from_seconds(i64::MAX, 999_999_999), None);
    }

    #[test]
    fn fractions_are_rounded_down_before_1970_too() {
        assert_eq!(
            to_seconds(date(1969, 12, 31).at(23, 59, 59, 500_000_000)),
            -1
        );
        assert_eq!(to_seconds(date(1970, 1, 1).at(0, 0, 0, 500_000_000)), 0);
    }
}

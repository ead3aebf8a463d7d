//! Dates from text and numbers, as seconds since 1970-01-01 UTC.

use super::EpochUnit;
use crate::RecordError;
use crate::civil::{from_seconds, to_seconds};
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

const DAY_SECONDS: i64 = 86_400;
/// 9999-12-31T23:59:59, and its mirror: no date is outside.
const MAX_SECONDS: i64 = 253_402_300_799;
const MIN_SECONDS: i64 = -377_705_116_800;

/// A date, or a date with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(super) date_only: bool,
}

/// Reads dates under the options given.
#[derive(Debug, Clone)]
pub(super) struct DateReader {
    format: Option<String>,
    epoch_unit: Option<EpochUnit>,
}

impl DateReader {
    pub(super) fn new(
        format: Option<&str>,
        epoch_unit: Option<EpochUnit>,
    ) -> Result<Self, RecordError> {
        if let Some(format) = format {
            check_format(format)?;
        }
        Ok(DateReader {
            format: format.map(str::to_owned),
            epoch_unit,
        })
    }

    /// Seconds of a date in text.
    pub(super) fn text(&self, text: &str) -> Option<i64> {
        if self.epoch_unit.is_some() {
            let number = text.trim();
            return match number.parse::<i64>() {
                Ok(whole) => self.whole(whole),
                Err(_) => self.float(number.parse().ok()?),
            };
        }
        match &self.format {
            Some(format) => parse_format(format, text.trim()),
            None => parse_iso(text).map(|moment| moment.seconds),
        }
    }

    /// Seconds of a date given as a whole number: digits of the format, else `YYYYMMDD`, or since
    /// 1970 in the epoch unit.
    pub(super) fn whole(&self, number: i64) -> Option<i64> {
        if let Some(format) = &self.format {
            return parse_format(format, &number.to_string());
        }
        let seconds = match self.epoch_unit {
            None => return parse_compact(number).map(|moment| moment.seconds),
            Some(EpochUnit::Days) => number.checked_mul(DAY_SECONDS)?,
            Some(EpochUnit::Seconds) => number,
            Some(EpochUnit::Milliseconds) => number.div_euclid(1_000),
            Some(EpochUnit::Microseconds) => number.div_euclid(1_000_000),
            Some(EpochUnit::Nanoseconds) => number.div_euclid(1_000_000_000),
        };
        in_range(seconds)
    }

    /// Seconds of a date given as a float: a whole number, or a fraction of the epoch unit.
    pub(super) fn float(&self, number: f64) -> Option<i64> {
        const EXACT_BELOW: f64 = 9_223_372_036_854_775_808.0; // 2^63
        if !number.is_finite() || number.abs() >= EXACT_BELOW {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)] // below 2^63
        if number.fract() == 0.0 {
            return self.whole(number as i64);
        }
        let seconds = match self.epoch_unit? {
            EpochUnit::Days => number * 86_400.0,
            EpochUnit::Seconds => number,
            EpochUnit::Milliseconds => number / 1e3,
            EpochUnit::Microseconds => number / 1e6,
            EpochUnit::Nanoseconds => number / 1e9,
        };
        #[allow(clippy::cast_possible_truncation)] // saturates, and then is out of range
        in_range(seconds.floor() as i64)
    }
}

/// `seconds` if it is in the years -9999 to 9999.
pub(super) fn in_range(seconds: i64) -> Option<i64> {
    (MIN_SECONDS..=MAX_SECONDS)
        .contains(&seconds)
        .then_some(seconds)
}

/// ISO 8601: `YYYY-MM-DD`, `YYYYMMDD`, or with a time (after `T` or a blank) and an offset; without
/// an offset it is UTC. Bracketed time zone names are refused rather than ignored.
pub(crate) fn parse_iso(text: &str) -> Option<Moment> {
    let text = text.trim();
    let bytes = text.as_bytes();
    match bytes.len() {
        8 if bytes.iter().all(u8::is_ascii_digit) => parse_compact(text.parse().ok()?),
        10 => dashed_date(bytes).map(start_of),
        _ if text.contains('[') => None,
        19 => clock(bytes).or_else(|| parse_slowly(text)),
        _ => parse_slowly(text),
    }
}

fn parse_slowly(text: &str) -> Option<Moment> {
    let seconds = match text.parse::<Timestamp>() {
        Ok(timestamp) => floor_seconds(timestamp),
        Err(_) if names_a_time(text) => to_seconds(text.parse::<DateTime>().ok()?),
        Err(_) => return None,
    };
    Some(Moment {
        seconds,
        date_only: false,
    })
}

/// A date alone in one of the two forms has been read before; anything else must have a time.
fn names_a_time(text: &str) -> bool {
    text.contains([':', 'T', 't'])
}

fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i32::from(byte - b'0'))
    })
}

fn dashed_date(bytes: &[u8]) -> Option<Date> {
    match bytes {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => {
            date(digits(year)?, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?)
        }
        _ => None,
    }
}

/// `YYYY-MM-DDThh:mm:ss`, the form most logs have.
fn clock(bytes: &[u8]) -> Option<Moment> {
    let (day, time) = bytes.split_at_checked(10)?;
    let [b'T' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = time else {
        return None;
    };
    let part = |a: &u8, b: &u8| digits(&[*a, *b]).and_then(|n| i8::try_from(n).ok());
    let time = Time::new(part(h1, h2)?, part(m1, m2)?, part(s1, s2)?, 0).ok()?;
    let seconds = to_seconds(dashed_date(day)?.to_datetime(time));
    Some(Moment {
        seconds,
        date_only: false,
    })
}

fn parse_compact(number: i64) -> Option<Moment> {
    const EIGHT_DIGITS: std::ops::RangeInclusive<i64> = 10_000_101..=99_991_231;
    if !EIGHT_DIGITS.contains(&number) {
        return None;
    }
    let number = i32::try_from(number).ok()?;
    date(number / 10_000, number / 100 % 100, number % 100).map(start_of)
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    Date::new(i16::try_from(year).ok()?, month, day).ok()
}

fn start_of(date: Date) -> Moment {
    Moment {
        seconds: to_seconds(date.to_datetime(Time::midnight())),
        date_only: true,
    }
}

/// Whole seconds, rounded down: `Timestamp::as_second` rounds towards zero.
fn floor_seconds(timestamp: Timestamp) -> i64 {
    timestamp.as_second() - i64::from(timestamp.subsec_nanosecond() < 0)
}

fn parse_format(format: &str, text: &str) -> Option<i64> {
    let parsed = strtime::parse(format, text).ok()?;
    if parsed.offset().is_some() || parsed.timestamp().is_some() {
        return parsed.to_timestamp().ok().map(floor_seconds);
    }
    let civil = match parsed.to_datetime() {
        Ok(civil) => civil,
        Err(_) => parsed.to_date().ok()?.to_datetime(Time::midnight()),
    };
    Some(to_seconds(civil))
}

/// A format must read back what it prints.
fn check_format(format: &str) -> Result<(), RecordError> {
    let refuse = |why: String| RecordError::option("date_format", why);
    let sample: Zoned = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let printed = strtime::format(format, &sample).map_err(|error| {
        refuse(format!(
            "is \"{format}\": must be a strftime format of a date ({error})"
        ))
    })?;
    match parse_format(format, printed.trim()) {
        Some(0) => Ok(()),
        _ => Err(refuse(format!(
            "is \"{format}\": must name year, month and day"
        ))),
    }
}

/// A moment as text: the date alone at midnight, with the time otherwise.
pub(super) fn iso_date(seconds: i64) -> String {
    let Some(civil) = from_seconds(seconds, 0) else {
        return format!("{seconds} s after 1970-01-01");
    };
    if civil.time() == Time::midnight() {
        civil.date().to_string()
    } else {
        civil.to_string()
    }
}

#[cfg(test)]
#[path = "dates_tests.rs"]
mod tests;

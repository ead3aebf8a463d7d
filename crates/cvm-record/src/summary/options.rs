//! How a log is summarized: columns, units, periods and policies.

use super::calendar::CalendarPeriod;
use super::dates::{DateReader, Moment, iso_date, parse_iso};
use crate::RecordError;
use cvm_core::TimeUnit;
use serde::{Deserialize, Serialize};

/// What becomes of rows with an amount below zero (returns, refunds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativeAmounts {
    /// The row is left out and counted as a refund: models of spend describe what a purchase is
    /// worth, and a refund is not a purchase.
    #[default]
    Exclude,
    /// The amount is taken off the purchase of its grain bucket. A bucket with a refund whose total
    /// is not above zero (to rounding) is no purchase. A refund in a bucket without purchases changes
    /// nothing: it is counted as unmatched.
    Net,
    /// The row is bad, and counted under [`super::Cause::NegativeAmount`].
    Reject,
}

/// Unit of dates given as numbers since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochUnit {
    /// 86 400 s.
    Days,
    /// 1 s.
    Seconds,
    /// 10⁻³ s.
    Milliseconds,
    /// 10⁻⁶ s.
    Microseconds,
    /// 10⁻⁹ s.
    Nanoseconds,
}

/// How a log is summarized.
///
/// **Time** is cut to the day (UTC), or to the grain where that is shorter: with the default grain, a
/// purchase, the end of calibration and the end of observation are all dates. Both ends are included.
///
/// **Grain.** Purchases of one customer in one bucket of the grain are one purchase, at the start of
/// the bucket. Seconds, minutes, hours and days are those of the UTC calendar. Longer grains are
/// exact durations (a month is 30.4375 days) counted from the day of the customer's own first
/// purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SummaryOptions {
    /// Column of the customer's identifier: text, or whole numbers; default `customer_id`.
    pub customer_id: String,
    /// Column of the date; default `date`. Dates and timestamps; text in ISO 8601 (with an offset,
    /// or taken as UTC) or `YYYYMMDD`; whole numbers `YYYYMMDD`.
    pub date: String,
    /// Column of the amount; default none, and then there is no monetary value.
    pub amount: Option<String>,
    /// Unit of `recency` and `T`; default day.
    pub time_unit: TimeUnit,
    /// Purchases in the same bucket of this length are one; default day.
    pub grain: TimeUnit,
    /// Last date (or moment) observed, ISO 8601; default the last date in the log. Later rows are bad
    /// rows.
    pub observation_end: Option<String>,
    /// Last date (or moment) of calibration, ISO 8601; default none. The summary is that of the rows
    /// up to it, and the rows after it become the hold-out columns.
    pub calibration_end: Option<String>,
    /// Whether the first purchase counts in the monetary value; default false, as in the literature.
    pub include_first_purchase: bool,
    /// Whether to add the mean and standard deviation of the logarithms of the purchases behind the
    /// monetary value, as the log-normal model of spend reads them; default false.
    pub log_spend: bool,
    /// Whether to add the column `log_gap_sum`, which models of regular buying are fitted on: the sum
    /// of the natural logarithms of the times between successive purchases, in the time unit; 0
    /// without a repeat purchase. Default false.
    pub regularity: bool,
    /// Count periods of the calendar in place of time, for models of discrete opportunities; default
    /// none. `frequency` is then the number of later periods with a purchase, `recency` the last of
    /// them and `n_periods`, in place of `T`, the last period observed, all counted from the period
    /// of the first purchase. Both ends must be last days of a period; by default observation ends
    /// with the period of the last date in the log.
    pub calendar: Option<CalendarPeriod>,
    /// Policy for amounts below zero; default exclude.
    pub negative_amounts: NegativeAmounts,
    /// Format of dates given as text, in `strftime` notation; default ISO 8601 or `YYYYMMDD`.
    pub date_format: Option<String>,
    /// Unit of dates given as numbers; default none, and numbers must be `YYYYMMDD`.
    pub epoch_unit: Option<EpochUnit>,
}

impl Default for SummaryOptions {
    fn default() -> Self {
        SummaryOptions {
            customer_id: "customer_id".to_owned(),
            date: "date".to_owned(),
            amount: None,
            time_unit: TimeUnit::Day,
            grain: TimeUnit::Day,
            observation_end: None,
            calibration_end: None,
            include_first_purchase: false,
            log_spend: false,
            regularity: false,
            calendar: None,
            negative_amounts: NegativeAmounts::Exclude,
            date_format: None,
            epoch_unit: None,
        }
    }
}

/// Checked options, times in seconds since 1970-01-01 UTC.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) options: SummaryOptions,
    pub(super) dates: DateReader,
    /// Times are cut to multiples of this: the grain, a day at most.
    pub(super) resolution_seconds: i64,
    pub(super) observation_end: Option<i64>,
    pub(super) calibration_end: Option<i64>,
}

impl Plan {
    pub(super) fn new(options: &SummaryOptions) -> Result<Self, RecordError> {
        check_columns(options)?;
        let options = &counted(options)?;
        if options.date_format.is_some() && options.epoch_unit.is_some() {
            let both = "is set together with date_format: a date is either text or a number";
            return Err(RecordError::option("epoch_unit", both));
        }
        let dates = DateReader::new(options.date_format.as_deref(), options.epoch_unit)?;
        let resolution_seconds = options.grain.seconds().min(TimeUnit::Day.seconds());
        let end = |field, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| parse_end(field, text, resolution_seconds))
                .transpose()
        };
        let plan = Plan {
            observation_end: end("observation_end", &options.observation_end)?,
            calibration_end: end("calibration_end", &options.calibration_end)?,
            options: options.clone(),
            dates,
            resolution_seconds,
        };
        plan.check_whole("observation_end", plan.observation_end)?;
        plan.check_whole("calibration_end", plan.calibration_end)?;
        if let Some(observation_end) = plan.observation_end {
            plan.check_split(observation_end)?;
        }
        Ok(plan)
    }

    /// Calibration must end before observation does.
    pub(super) fn check_split(&self, observation_end: i64) -> Result<(), RecordError> {
        match self.calibration_end {
            Some(end) if end >= observation_end => {
                let (end, last) = (iso_date(end), iso_date(observation_end));
                let why = format!("is {end}: must be before the end of observation, {last}");
                Err(RecordError::option("calibration_end", why))
            }
            _ => Ok(()),
        }
    }

    /// An end in the middle of a period of the calendar would count half a period as a whole one.
    fn check_whole(&self, field: &str, end: Option<i64>) -> Result<(), RecordError> {
        let (Some(period), Some(end)) = (self.options.calendar, end) else {
            return Ok(());
        };
        let last = self.cut(period.last_second(period.index(end)));
        if end == last {
            return Ok(());
        }
        let unit = period.time_unit();
        let before = self.cut(period.last_second(period.index(end) - 1));
        let (end, before, last) = (iso_date(end), iso_date(before), iso_date(last));
        let why = format!("is {end}: must be the last day of a {unit}, such as {before} or {last}");
        Err(RecordError::option(field, why))
    }

    /// The end of observation if none is given: the last date, or the end of its period.
    pub(super) fn last_observed(&self, last: i64) -> i64 {
        let period = self.options.calendar;
        period.map_or(last, |period| {
            self.cut(period.last_second(period.index(last)))
        })
    }

    /// `seconds` cut to the resolution.
    pub(super) fn cut(&self, seconds: i64) -> i64 {
        cut(seconds, self.resolution_seconds)
    }
}

fn cut(seconds: i64, resolution_seconds: i64) -> i64 {
    seconds - seconds.rem_euclid(resolution_seconds)
}

/// Options of a count of periods: their unit, and nothing that needs exact times.
fn counted(options: &SummaryOptions) -> Result<SummaryOptions, RecordError> {
    let Some(period) = options.calendar else {
        return Ok(options.clone());
    };
    let unit = period.time_unit();
    if options.time_unit != TimeUnit::Day && options.time_unit != unit {
        let why = format!(
            "is {}: calendar periods are counted in {unit}s",
            options.time_unit
        );
        return Err(RecordError::option("time_unit", why));
    }
    if options.grain != TimeUnit::Day {
        let why = format!(
            "is {}: purchases of one {unit} are one purchase",
            options.grain
        );
        return Err(RecordError::option("grain", why));
    }
    if options.regularity {
        let why = "is true: counted periods have no times between purchases";
        return Err(RecordError::option("regularity", why));
    }
    Ok(SummaryOptions {
        time_unit: unit,
        ..options.clone()
    })
}

fn check_columns(options: &SummaryOptions) -> Result<(), RecordError> {
    let SummaryOptions {
        customer_id,
        date,
        amount,
        ..
    } = options;
    if customer_id == date {
        let why = format!("is `{date}`, the same column as customer_id");
        return Err(RecordError::option("date", why));
    }
    if options.log_spend && amount.is_none() {
        let why = "is true, but there is no column of amounts";
        return Err(RecordError::option("log_spend", why));
    }
    match amount {
        Some(amount) if amount == customer_id || amount == date => {
            let why = format!("is `{amount}`, a column already used");
            Err(RecordError::option("amount", why))
        }
        _ => Ok(()),
    }
}

/// An end as the last moment at the resolution that belongs to the period; a date stands for the
/// whole day.
fn parse_end(field: &str, text: &str, resolution_seconds: i64) -> Result<i64, RecordError> {
    let Some(Moment { seconds, date_only }) = parse_iso(text) else {
        let why = format!("is \"{text}\": must be a date or date and time in ISO 8601");
        return Err(RecordError::option(field, why));
    };
    let last = if date_only {
        seconds + TimeUnit::Day.seconds() - 1
    } else {
        seconds
    };
    Ok(cut(last, resolution_seconds))
}

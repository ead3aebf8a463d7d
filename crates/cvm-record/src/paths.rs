//! Covariates that change with time: a long table of periods becomes numbered columns of customers.
//!
//! | column               | meaning                                                              |
//! |----------------------|----------------------------------------------------------------------|
//! | `covariates_until`   | time up to which the path is known                                   |
//! | `<name>_at_purchases`| sum of the covariate over the repeat purchases; only read by a fit   |
//! | `covariates_from_<k>`| start of step `k`; missing past a path's last step                   |
//! | `<name>_<k>`         | value of a covariate in step `k`                                     |
//!
//! Times are periods since the customer's first purchase, or since the start of a contract.

mod lines;

use crate::RecordError;
use crate::summary::parse_iso;
use cvm_core::{Frame, FrameColumn, InputError, TimeUnit};
use lines::{Lines, Path};
use std::collections::HashMap;

/// Which columns hold what.
#[derive(Debug, Clone)]
pub struct PathOptions {
    /// Columns of covariates in the table of periods.
    pub covariates: Vec<String>,
    /// Column of the customer in all tables. A table of periods without it holds those of everybody.
    pub customer_id: String,
    /// Column of a period's start: dates, or numbers: periods since the customer's own start.
    pub start: String,
    /// Column of a period's end; without it a period lasts to the next, the last as long as the one
    /// before.
    pub end: String,
    /// Column of the customers with the date of each one's start, for periods that start at dates.
    pub origin: Option<String>,
    /// Without `origin`: column of the time from a customer's start to `observation_end`.
    pub age: String,
    /// End of observation of the summaries, for periods that start at dates.
    pub observation_end: Option<String>,
    /// Length of one period of the customers' times; needed with dates.
    pub unit: Option<TimeUnit>,
    /// Column of the time of a transaction, on the clock of `start`.
    pub date: String,
}

impl Default for PathOptions {
    fn default() -> Self {
        PathOptions {
            covariates: Vec::new(),
            customer_id: "customer_id".to_owned(),
            start: "start".to_owned(),
            end: "end".to_owned(),
            origin: None,
            age: "T".to_owned(),
            observation_end: None,
            unit: None,
            date: "date".to_owned(),
        }
    }
}

/// Customers with the numbered columns that hold each one's path of covariates. Steps that change
/// nothing are merged, those before a customer's start are dropped. With a `log` of transactions the
/// sums over purchases, which a fit of a purchase model reads, are added.
///
/// # Errors
/// A column that is missing or of the wrong type; a customer without periods, whose periods overlap
/// or leave a gap, or whose log does not fit the summary: the first one is named.
pub fn covariate_path_columns(
    customers: &Frame,
    paths: &Frame,
    log: Option<&Frame>,
    options: &PathOptions,
) -> Result<Frame, RecordError> {
    let ids = identities("customers", customers, &options.customer_id)?;
    let clock = Clock::new(customers, paths, options)?;
    let lines = Lines::new(paths, options, &clock)?;
    let found: Result<Vec<Path>, RecordError> = ids
        .iter()
        .zip(&clock.origins)
        .map(|(id, origin)| lines.path(id, *origin))
        .collect();
    let found = found?;
    let mut wide = customers.clone();
    let mut add = |name: String, values: Vec<f64>| {
        wide.columns.retain(|(own, _)| *own != name);
        wide.columns.push((name, FrameColumn::Numbers(values)));
    };
    let until = found.iter().map(|path| path.until).collect();
    add("covariates_until".to_owned(), until);
    if let Some(log) = log {
        let sums = sums(customers, log, (&ids, &found), &clock, options)?;
        for (place, name) in options.covariates.iter().enumerate() {
            let column = sums.iter().map(|own| own[place]).collect();
            add(format!("{name}_at_purchases"), column);
        }
    }
    let steps = found
        .iter()
        .map(|path| path.starts.len())
        .max()
        .unwrap_or(1);
    for step in 0..steps {
        let cell = |values: &[f64]| values.get(step).copied().unwrap_or(f64::NAN);
        let starts = found.iter().map(|path| cell(&path.starts)).collect();
        add(format!("covariates_from_{step}"), starts);
        for (place, name) in options.covariates.iter().enumerate() {
            let values = found.iter().map(|path| cell(&path.values[place])).collect();
            add(format!("{name}_{step}"), values);
        }
    }
    Ok(wide)
}

/// An error of a field of the request.
fn refused(field: &str, why: impl Into<String>) -> RecordError {
    RecordError::Options(InputError::new(field, why))
}

fn column<'a>(table: &str, frame: &'a Frame, name: &str) -> Result<&'a FrameColumn, RecordError> {
    let available = frame.columns.iter().map(|(own, _)| own.as_str());
    let missing = || RecordError::missing_column(table, name, available);
    frame.get(name).ok_or_else(missing)
}

/// A column of numbers.
fn numbers<'a>(table: &str, frame: &'a Frame, name: &str) -> Result<&'a [f64], RecordError> {
    match column(table, frame, name)? {
        FrameColumn::Numbers(values) => Ok(values),
        FrameColumn::Text { .. } => Err(refused(
            &format!("{table}.{name}"),
            "holds text: must be numbers",
        )),
    }
}

/// Who each row is of, as text; a number stands for its shortest decimal.
fn identities(table: &str, frame: &Frame, name: &str) -> Result<Vec<String>, RecordError> {
    let missing = |row: usize| {
        let why = format!("is missing in row {row}: every row is of a customer");
        refused(&format!("{table}.{name}"), why)
    };
    match column(table, frame, name)? {
        FrameColumn::Numbers(values) => {
            let text = |(row, value): (usize, &f64)| {
                let known = !value.is_nan();
                known.then(|| value.to_string()).ok_or_else(|| missing(row))
            };
            values.iter().enumerate().map(text).collect()
        }
        FrameColumn::Text { dictionary, codes } => {
            let text = |(row, code): (usize, &i32)| {
                let place = usize::try_from(*code).ok();
                let known = place.and_then(|place| dictionary.get(place));
                known.cloned().ok_or_else(|| missing(row))
            };
            codes.iter().enumerate().map(text).collect()
        }
    }
}

/// Turns times of the long tables into periods since a customer's start.
struct Clock {
    /// Start of each customer, in seconds; zeros where times are periods since it.
    origins: Vec<f64>,
    period: f64,
    dated: bool,
}

impl Clock {
    fn new(customers: &Frame, paths: &Frame, options: &PathOptions) -> Result<Self, RecordError> {
        let starts = column("covariates", paths, &options.start)?;
        if matches!(starts, FrameColumn::Numbers(_)) {
            return Ok(Clock {
                origins: vec![0.0; customers.row_count],
                period: 1.0,
                dated: false,
            });
        }
        let Some(unit) = options.unit else {
            let why = "is not set: must be the length of a period, as periods start at dates";
            return Err(refused("time_unit", why));
        };
        #[allow(clippy::cast_precision_loss)]
        let period = unit.seconds() as f64;
        let origins = match (&options.origin, &options.observation_end) {
            (Some(origin), _) => seconds("customers", customers, origin)?,
            (None, Some(end)) => {
                let last = second(end).ok_or_else(|| {
                    let why = format!("is \"{end}\": must be a date or time in ISO 8601");
                    refused("observation_end", why)
                })?;
                // Whole seconds: a period that starts with the first purchase starts at 0.
                let ages = numbers("customers", customers, &options.age)?;
                ages.iter()
                    .map(|age| (last - age * period).round())
                    .collect()
            }
            (None, None) => {
                let why = format!(
                    "is not set, nor is origin: column `{}` holds dates",
                    options.start
                );
                return Err(refused("observation_end", why));
            }
        };
        Ok(Clock {
            origins,
            period,
            dated: true,
        })
    }

    /// A column of times: seconds of dates, or periods as they are.
    fn times(&self, table: &str, frame: &Frame, name: &str) -> Result<Vec<f64>, RecordError> {
        if self.dated {
            seconds(table, frame, name)
        } else {
            let values = numbers(table, frame, name)?;
            match values.iter().position(|value| value.is_nan()) {
                None => Ok(values.to_vec()),
                Some(row) => {
                    let why = format!("is missing in row {row}: must be a time");
                    Err(refused(&format!("{table}.{name}"), why))
                }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn second(text: &str) -> Option<f64> {
    parse_iso(text).map(|moment| moment.seconds as f64)
}

/// A column of dates as seconds.
fn seconds(table: &str, frame: &Frame, name: &str) -> Result<Vec<f64>, RecordError> {
    let wrong = |row: usize, shown: &str| {
        let why = format!("holds {shown} in row {row}: must be dates or times in ISO 8601");
        refused(&format!("{table}.{name}"), why)
    };
    match column(table, frame, name)? {
        FrameColumn::Numbers(_) => Err(wrong(0, "a number")),
        FrameColumn::Text { dictionary, codes } => {
            let known: Vec<Option<f64>> = dictionary.iter().map(|text| second(text)).collect();
            let of = |(row, code): (usize, &i32)| {
                let place = usize::try_from(*code).map_err(|_| wrong(row, "nothing"))?;
                let time = known.get(place).copied().flatten();
                time.ok_or_else(|| wrong(row, &format!("\"{}\"", dictionary[place])))
            };
            codes.iter().enumerate().map(of).collect()
        }
    }
}

/// Sums of the covariates over each customer's repeat purchases.
fn sums(
    customers: &Frame,
    log: &Frame,
    (ids, found): (&[String], &[Path]),
    clock: &Clock,
    options: &PathOptions,
) -> Result<Vec<Vec<f64>>, RecordError> {
    /// Rounding of an age.
    const SLACK: f64 = 1e-12;
    let times = clock.times("transactions", log, &options.date)?;
    let names = identities("transactions", log, &options.customer_id)?;
    let mut own: HashMap<&str, Vec<f64>> = HashMap::new();
    for (name, time) in names.iter().zip(times) {
        own.entry(name.as_str()).or_default().push(time);
    }
    let frequency = numbers("customers", customers, "frequency")?;
    let age = numbers("customers", customers, "T")?;
    let mut sums = Vec::with_capacity(ids.len());
    for (row, (id, path)) in ids.iter().zip(found).enumerate() {
        let since = own.get(id.as_str()).map_or(&[][..], Vec::as_slice).iter();
        let since = since.map(|time| (time - clock.origins[row]) / clock.period);
        let repeat = |since: &f64| *since > 0.0 && *since <= age[row] * (1.0 + SLACK);
        let mut repeats: Vec<f64> = since.filter(repeat).collect();
        repeats.sort_by(f64::total_cmp);
        repeats.dedup();
        #[allow(clippy::cast_precision_loss)]
        if repeats.len() as f64 != frequency[row] {
            let why = format!(
                "has {} times of purchase of customer \"{id}\" after the first, the summary {}",
                repeats.len(),
                frequency[row]
            );
            return Err(refused("transactions", why));
        }
        sums.push(path.sums(&repeats));
    }
    Ok(sums)
}

#[cfg(test)]
mod tests;

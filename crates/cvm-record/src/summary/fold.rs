//! One customer's purchases to one row of the summary.
//!
//! | symbol | column | unit | meaning |
//! |---|---|---|---|
//! | `x` | `frequency` | purchases | buckets with a purchase, less the first |
//! | `t_x` | `recency` | time unit | first purchase → last purchase; 0 if `x = 0` |
//! | `T` | `T`, or `n_periods` | time unit | first purchase → end of calibration (or observation) |
//! | `G` | `log_gap_sum` | log time unit | sum of `ln` of the `x` times between purchases; on request |
//! | `z̄` | `monetary_value` | currency | mean of the `x` repeat purchases; 0 if `x = 0` |
//! | `ȳ`, `s` | `log_spend_mean`, `log_spend_sd` | log currency | of the same purchases, on request |
//!
//! Source: Fader, Hardie & Lee (2005), *Marketing Science* 24(2), for `(x, t_x, T)`; Fader & Hardie
//! (2013), note on the Gamma-Gamma model, for `z̄` (the first purchase left out).

use super::calendar::CalendarPeriod;
use super::log_spend::LogSpend;
use super::options::Plan;
use cvm_core::TimeUnit;
use std::cmp::Ordering;

/// An accepted row: time cut to the resolution, amount 0 where the log has none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Purchase {
    pub(super) seconds: i64,
    pub(super) amount: f64,
}

impl Purchase {
    pub(super) fn by_time_and_amount(&self, other: &Self) -> Ordering {
        let by_time = self.seconds.cmp(&other.seconds);
        by_time.then_with(|| self.amount.total_cmp(&other.amount))
    }
}

/// Columns of the summary, one entry per customer kept.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) customers: Vec<u32>,
    pub(super) frequency: Vec<f64>,
    pub(super) recency: Vec<f64>,
    pub(super) age: Vec<f64>,
    /// Empty unless asked for.
    pub(super) log_gap_sum: Vec<f64>,
    pub(super) monetary_value: Vec<f64>,
    pub(super) holdout_frequency: Vec<f64>,
    pub(super) holdout_monetary_value: Vec<f64>,
    /// Empty unless asked for.
    pub(super) log_spend_mean: Vec<f64>,
    pub(super) log_spend_sd: Vec<f64>,
}

/// What the fold adds to the report.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoldCounts {
    pub(super) rows_merged: u64,
    pub(super) purchases_cancelled: u64,
    pub(super) refunds_unmatched: u64,
    pub(super) repeat_customers: u64,
    pub(super) customers_of_age_zero: u64,
    pub(super) repeat_purchases: u64,
    pub(super) holdout_purchases: u64,
    pub(super) customers_only_in_holdout: u64,
    pub(super) customers_without_purchase: u64,
    pub(super) purchases_without_log_spend: u64,
}

/// Folds customers one after the other into [`Columns`].
#[derive(Debug)]
pub(super) struct Folder {
    grain_seconds: i64,
    /// Buckets of the UTC calendar, rather than counted from the customer's first purchase.
    on_calendar: bool,
    /// Periods are counted, and a start is the number of a period.
    calendar: Option<CalendarPeriod>,
    unit_seconds: i64,
    include_first_purchase: bool,
    log_spend: bool,
    regularity: bool,
    /// End of the period summarized: of calibration if there is one, else of observation.
    end: i64,
    /// The same as a start.
    end_start: i64,
    pub(super) columns: Columns,
    pub(super) counts: FoldCounts,
}

/// Purchases of one customer in one period.
#[derive(Debug, Default, Clone, Copy)]
struct Period {
    purchase_count: u64,
    first_start: i64,
    last_start: i64,
    /// Sum of the logarithms of the times between purchases, if asked for.
    log_gap_sum: f64,
    first_total: f64,
    /// Sum over all purchases but the first, in order of time.
    repeat_total: f64,
    log_spend: LogSpend,
}

impl Folder {
    pub(super) fn new(plan: &Plan, observation_end: i64) -> Self {
        let options = &plan.options;
        let end = plan.calibration_end.unwrap_or(observation_end);
        Folder {
            grain_seconds: options.grain.seconds(),
            on_calendar: options.grain.seconds() <= TimeUnit::Day.seconds(),
            calendar: options.calendar,
            unit_seconds: unit_seconds(plan),
            include_first_purchase: options.include_first_purchase,
            log_spend: options.log_spend,
            regularity: options.regularity,
            end,
            end_start: start_of(plan, end),
            columns: Columns::default(),
            counts: FoldCounts::default(),
        }
    }

    /// Adds a customer with all their purchases, sorted.
    pub(super) fn add(&mut self, customer: u32, purchases: &[Purchase]) {
        let split = purchases.partition_point(|purchase| purchase.seconds <= self.end);
        let (calibration, holdout) = purchases.split_at(split);
        let anchor = self.anchor(purchases);
        let past = self.period(calibration, anchor);
        let future = self.period(holdout, anchor);
        if past.purchase_count > 0 {
            self.keep(customer, &past, &future);
        } else if future.purchase_count > 0 {
            self.counts.customers_only_in_holdout += 1;
        } else {
            self.counts.customers_without_purchase += 1;
        }
    }

    fn keep(&mut self, customer: u32, past: &Period, future: &Period) {
        let repeats = past.purchase_count - 1;
        self.counts.repeat_purchases += repeats;
        self.counts.repeat_customers += u64::from(repeats > 0);
        self.counts.customers_of_age_zero += u64::from(self.end_start == past.first_start);
        self.counts.holdout_purchases += future.purchase_count;
        let columns = &mut self.columns;
        columns.customers.push(customer);
        columns.frequency.push(count_to_f64(repeats));
        columns.recency.push(periods(
            past.last_start - past.first_start,
            self.unit_seconds,
        ));
        columns.age.push(periods(
            self.end_start - past.first_start,
            self.unit_seconds,
        ));
        if self.regularity {
            columns.log_gap_sum.push(past.log_gap_sum);
        }
        columns.monetary_value.push(if self.include_first_purchase {
            past.mean_of_all()
        } else {
            past.mean_of_repeats()
        });
        columns
            .holdout_frequency
            .push(count_to_f64(future.purchase_count));
        columns.holdout_monetary_value.push(future.mean_of_all());
        if self.log_spend {
            columns.log_spend_mean.push(past.log_spend.mean());
            columns.log_spend_sd.push(past.log_spend.sd());
            self.counts.purchases_without_log_spend += past.log_spend.free;
        }
    }

    /// Where the buckets of a customer start: the calendar, or the day of their first purchase.
    fn anchor(&self, purchases: &[Purchase]) -> i64 {
        if self.on_calendar {
            return 0;
        }
        let first = purchases.iter().find(|purchase| purchase.amount >= 0.0);
        first.map_or(0, |purchase| purchase.seconds)
    }

    fn period(&mut self, rows: &[Purchase], anchor: i64) -> Period {
        let (grain_seconds, calendar) = (self.grain_seconds, self.calendar);
        let bucket_of = |row: &Purchase| match calendar {
            Some(period) => period.index(row.seconds),
            None => (row.seconds - anchor).div_euclid(grain_seconds),
        };
        let mut period = Period::default();
        for bucket in rows.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
            let start = match calendar {
                Some(_) => bucket_of(&bucket[0]),
                None => anchor + bucket_of(&bucket[0]) * grain_seconds,
            };
            if let Some(total) = self.total(bucket) {
                if self.log_spend && (period.purchase_count > 0 || self.include_first_purchase) {
                    period.log_spend.add(total);
                }
                if self.regularity && period.purchase_count > 0 {
                    let gap = periods(start - period.last_start, self.unit_seconds);
                    period.log_gap_sum += cvm_math::ln(gap);
                }
                period.add(start, total);
            }
        }
        period
    }

    /// Amount of a bucket, or `None` if refunds leave no purchase in it.
    fn total(&mut self, bucket: &[Purchase]) -> Option<f64> {
        self.counts.rows_merged += bucket.len() as u64 - 1;
        let total: f64 = bucket.iter().map(|purchase| purchase.amount).sum();
        let refund_count = bucket
            .iter()
            .filter(|purchase| purchase.amount < 0.0)
            .count();
        if refund_count == 0 {
            return Some(total);
        }
        if refund_count == bucket.len() {
            self.counts.refunds_unmatched += 1;
            return None;
        }
        // 0.1 + 0.2 − 0.3 is not 0 in binary: a remainder this small is rounding, not money.
        const ROUNDING: f64 = 1e-12;
        let gross: f64 = bucket.iter().map(|purchase| purchase.amount.abs()).sum();
        if total > ROUNDING * gross {
            return Some(total);
        }
        self.counts.purchases_cancelled += 1;
        None
    }
}

impl Period {
    fn add(&mut self, start: i64, total: f64) {
        if self.purchase_count == 0 {
            self.first_start = start;
            self.first_total = total;
        } else {
            self.repeat_total += total;
        }
        self.last_start = start;
        self.purchase_count += 1;
    }

    fn mean_of_repeats(&self) -> f64 {
        if self.purchase_count < 2 {
            return 0.0;
        }
        self.repeat_total / count_to_f64(self.purchase_count - 1)
    }

    fn mean_of_all(&self) -> f64 {
        if self.purchase_count == 0 {
            return 0.0;
        }
        (self.first_total + self.repeat_total) / count_to_f64(self.purchase_count)
    }
}

/// A moment as the start of a purchase: itself, or the number of its period.
pub(super) fn start_of(plan: &Plan, seconds: i64) -> i64 {
    let calendar = plan.options.calendar;
    calendar.map_or(seconds, |period| period.index(seconds))
}

/// Length of the unit between starts.
pub(super) fn unit_seconds(plan: &Plan) -> i64 {
    match plan.options.calendar {
        Some(_) => 1,
        None => plan.options.time_unit.seconds(),
    }
}

/// A duration in periods: one correctly rounded division of two exact whole numbers.
#[allow(clippy::cast_precision_loss)] // at most 20 000 years of seconds
pub(super) fn periods(seconds: i64, unit_seconds: i64) -> f64 {
    seconds as f64 / unit_seconds as f64
}

#[allow(clippy::cast_precision_loss)] // a count of rows in memory
fn count_to_f64(count: u64) -> f64 {
    count as f64
}

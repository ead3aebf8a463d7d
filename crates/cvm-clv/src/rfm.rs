//! Recency, frequency and age: what a purchase model knows of one customer.

use cvm_core::{BoundBatch, Domain, InputField, InputSchema, RowCode, RowStatus, TimeUnit};
use cvm_math::dispatch::widest;

/// Rows scored together: small enough for every buffer to stay in the first-level cache.
pub(crate) const CHUNK: usize = 256;

/// Index of `frequency` in the schema of a purchase model.
pub(crate) const FREQUENCY: u16 = 0;
/// Index of `recency`.
pub(crate) const RECENCY: u16 = 1;
/// Index of `T`.
pub(crate) const AGE: u16 = 2;
/// Index of `log_gap_sum` where it is read.
pub(crate) const LOG_GAP_SUM: u16 = 3;

/// One customer's purchase summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rfm {
    /// Repeat purchases in `(0, T]`, a whole number.
    pub frequency: f64,
    /// Periods from the first purchase to the last repeat purchase; 0 without one.
    pub recency: f64,
    /// Periods from the first purchase to the end of observation (`T`).
    pub age: f64,
    /// Sum of the logarithms of the times between successive purchases: what models of regular
    /// buying are fitted on besides; 0 elsewhere.
    pub log_gap_sum: f64,
}

impl Rfm {
    /// A checked summary.
    ///
    /// # Errors
    /// The first field that is missing, infinite or outside its domain; `recency` is blamed when it
    /// exceeds `age`, or is zero with repeat purchases, or positive without any.
    #[inline]
    pub fn new(frequency: f64, recency: f64, age: f64) -> Result<Self, RowStatus> {
        RowStatus::check(frequency, Domain::Count, FREQUENCY)?;
        RowStatus::check(recency, Domain::NonNegative, RECENCY)?;
        RowStatus::check(age, Domain::NonNegative, AGE)?;
        if recency > age || (frequency == 0.0) != (recency == 0.0) {
            return Err(RowStatus::bad(RowCode::Inconsistent, RECENCY));
        }
        Ok(Rfm::with_positive_zeros(frequency, recency, age))
    }

    /// `+ 0.0` turns -0.0 into 0.0: rows merge by their bits.
    fn with_positive_zeros(frequency: f64, recency: f64, age: f64) -> Self {
        Rfm {
            frequency: frequency + 0.0,
            recency: recency + 0.0,
            age: age + 0.0,
            log_gap_sum: 0.0,
        }
    }

    /// The same customer with the sum of the logarithms of the times between purchases; without a
    /// repeat purchase there is none.
    ///
    /// # Errors
    /// A sum that is missing or infinite.
    pub(crate) fn with_log_gap_sum(mut self, log_gap_sum: f64) -> Result<Self, RowStatus> {
        if self.frequency > 0.0 {
            self.log_gap_sum = RowStatus::check(log_gap_sum, Domain::Finite, LOG_GAP_SUM)? + 0.0;
        }
        Ok(self)
    }

    /// A legal row that stands in for a refused one inside a chunk.
    pub(crate) const PLACEHOLDER: Rfm = Rfm {
        frequency: 0.0,
        recency: 0.0,
        age: 1.0,
        log_gap_sum: 0.0,
    };

    /// A customer at the moment of the first purchase.
    pub(crate) const NEW: Rfm = Rfm {
        age: 0.0,
        ..Rfm::PLACEHOLDER
    };
}

/// Columns of every purchase model, in their order.
#[must_use]
pub fn rfm_schema(time_unit: Option<TimeUnit>) -> InputSchema {
    InputSchema {
        fields: vec![
            InputField::number("frequency", "purchases", Domain::Count),
            InputField::number("recency", "periods", Domain::NonNegative),
            InputField::number("T", "periods", Domain::NonNegative),
        ],
        time_unit,
    }
}

/// The column of the times between purchases.
pub(crate) fn log_gap_sum_field() -> InputField {
    InputField::number("log_gap_sum", "log periods", Domain::Finite)
}

/// Adds the fourth field to rows that are good so far.
pub(crate) fn read_log_gap_sums(
    batch: &BoundBatch<'_, '_>,
    start: usize,
    rows: &mut [Rfm],
    status: &mut [RowStatus],
) {
    let mut sums = [0.0; CHUNK];
    let count = rows.len().min(CHUNK);
    batch.read_numbers(usize::from(LOG_GAP_SUM), start, &mut sums[..count]);
    for ((row, status), sum) in rows.iter_mut().zip(status).zip(sums) {
        if !status.is_ok() {
            continue;
        }
        match row.with_log_gap_sum(sum) {
            Ok(good) => *row = good,
            Err(bad) => (*row, *status) = (Rfm::PLACEHOLDER, bad),
        }
    }
}

/// Whether [`Rfm::new`] surely takes every row, without a branch on the way; a count beyond 2^51 is
/// left to it.
fn all_ordinary(frequency: &[f64], recency: &[f64], age: &[f64]) -> bool {
    // Numbers from here to its double are whole: adding it rounds a smaller one to a whole number.
    const WHOLE_FROM: f64 = 4_503_599_627_370_496.0;
    let each = frequency.iter().zip(recency).zip(age);
    each.fold(true, |good, ((x, recency), age)| {
        let whole = (x + WHOLE_FROM) - WHOLE_FROM == *x;
        let counted = (*x >= 0.0) & (*x < 0.5 * WHOLE_FROM) & whole;
        let in_order = (*recency >= 0.0) & (recency <= age) & (*age < f64::INFINITY);
        good & counted & in_order & ((*x == 0.0) == (*recency == 0.0))
    })
}

/// Reads rows `start..` of the first three fields into `rows`; a refused row gets its status and
/// [`Rfm::PLACEHOLDER`].
pub(crate) fn read_rows(
    batch: &BoundBatch<'_, '_>,
    start: usize,
    rows: &mut [Rfm],
    status: &mut [RowStatus],
) {
    let mut buffers = [[0.0; CHUNK]; 3];
    let count = rows.len().min(CHUNK);
    let [frequency, recency, age] = &mut buffers;
    let column = |field: u16, buffer| batch.numbers(usize::from(field), start, buffer);
    let frequency = column(FREQUENCY, &mut frequency[..count]);
    let recency = column(RECENCY, &mut recency[..count]);
    let age = column(AGE, &mut age[..count]);
    let ordinary = widest(|| all_ordinary(frequency, recency, age));
    if ordinary {
        widest(|| {
            let columns = frequency.iter().zip(recency).zip(age);
            for (row, ((x, recency), age)) in rows.iter_mut().zip(columns) {
                *row = Rfm::with_positive_zeros(*x, *recency, *age);
            }
        });
        return status.fill(RowStatus::OK);
    }
    for (index, (row, status)) in rows.iter_mut().zip(status).enumerate() {
        match Rfm::new(frequency[index], recency[index], age[index]) {
            Ok(good) => (*row, *status) = (good, RowStatus::OK),
            Err(bad) => (*row, *status) = (Rfm::PLACEHOLDER, bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AGE, FREQUENCY, RECENCY, Rfm, all_ordinary};
    use cvm_core::{RowCode, RowStatus};

    #[test]
    fn legal_summaries_pass_and_negative_zero_is_zero() {
        assert!(Rfm::new(2.0, 3.0, 3.0).is_ok());
        let fresh = Rfm::new(-0.0, -0.0, -0.0).unwrap();
        assert_eq!(fresh.age.to_bits(), 0);
        assert_eq!(fresh.recency.to_bits(), 0);
        assert_eq!(fresh.frequency.to_bits(), 0);
    }

    #[test]
    fn what_is_ordinary_is_legal() {
        let edges = [
            -1.0, -0.0, 0.0, 5e-324, 0.5, 1.0, 1.5, 2.0, 3.0, 1e15, 2.3e15, 1e16, 1e300,
        ];
        let edges = || {
            edges
                .into_iter()
                .chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY])
        };
        let mut ordinary = 0;
        for (x, recency, age) in
            edges().flat_map(|x| edges().flat_map(move |r| edges().map(move |t| (x, r, t))))
        {
            let legal = Rfm::new(x, recency, age).is_ok();
            let sure = all_ordinary(&[x], &[recency], &[age]);
            assert!(legal || !sure, "{x} {recency} {age}");
            assert!(sure || !legal || x > 2e15, "{x} {recency} {age}");
            ordinary += usize::from(sure);
        }
        assert!(ordinary > 100, "{ordinary}");
    }

    #[test]
    fn each_fault_blames_its_field() {
        let cases = [
            ((f64::NAN, 0.0, 1.0), RowCode::Missing, FREQUENCY),
            ((1.5, 1.0, 2.0), RowCode::OutOfRange, FREQUENCY),
            ((-1.0, 1.0, 2.0), RowCode::OutOfRange, FREQUENCY),
            ((1.0, f64::INFINITY, 2.0), RowCode::NotFinite, RECENCY),
            ((1.0, -1.0, 2.0), RowCode::OutOfRange, RECENCY),
            ((0.0, 0.0, f64::NAN), RowCode::Missing, AGE),
            ((1.0, 3.0, 2.0), RowCode::Inconsistent, RECENCY),
            ((1.0, 0.0, 2.0), RowCode::Inconsistent, RECENCY),
            ((0.0, 1.0, 2.0), RowCode::Inconsistent, RECENCY),
        ];
        for ((frequency, recency, age), code, field) in cases {
            let got = Rfm::new(frequency, recency, age);
            assert_eq!(got, Err(RowStatus::bad(code, field)));
        }
    }
}

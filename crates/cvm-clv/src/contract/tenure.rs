//! Tenures: how many renewals a customer has made, and whether they then left.

use crate::rfm::CHUNK;
use cvm_core::{
    BoundBatch, Domain, InputError, InputField, InputSchema, RowCode, RowStatus, TimeUnit,
};

/// Index of `tenure` in every schema of a contract model.
pub(crate) const TENURE: u16 = 0;
/// Index of `churned` in the schema of a fit.
const CHURNED: u16 = 1;

/// One customer's history under contract.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tenure {
    /// Of a present customer: renewals made, that is full periods after which they stayed. Of one
    /// who left: the number of the renewal at which they did, that is periods paid for.
    pub tenure: f64,
    /// 1 if the customer left at that renewal, 0 if they are known to have stayed.
    pub churned: f64,
}

impl Tenure {
    /// A checked history.
    ///
    /// # Errors
    /// The first field that is missing, infinite or outside its domain; `tenure` is blamed where a
    /// customer left at renewal 0, which does not exist.
    pub fn new(tenure: f64, churned: f64) -> Result<Self, RowStatus> {
        let tenure = RowStatus::check(tenure, Domain::Count, TENURE)? + 0.0;
        let churned = RowStatus::check(churned, Domain::Count, CHURNED)? + 0.0;
        if churned > 1.0 {
            return Err(RowStatus::bad(RowCode::OutOfRange, CHURNED));
        }
        if churned == 1.0 && tenure == 0.0 {
            return Err(RowStatus::bad(RowCode::Inconsistent, TENURE));
        }
        Ok(Tenure { tenure, churned })
    }

    /// A present customer with this many renewals; also the stand-in for a refused row.
    pub(crate) const NEW: Tenure = Tenure {
        tenure: 0.0,
        churned: 0.0,
    };
}

/// Columns a contract model scores.
pub(crate) fn tenure_schema(time_unit: Option<TimeUnit>) -> InputSchema {
    InputSchema {
        fields: vec![InputField::number("tenure", "periods", Domain::Count)],
        time_unit,
    }
}

/// Columns a contract model is fitted on.
pub(crate) fn history_schema(time_unit: Option<TimeUnit>) -> InputSchema {
    let mut schema = tenure_schema(time_unit);
    let churned = InputField::number("churned", "1", Domain::Count);
    schema.fields.push(churned);
    schema
}

/// Reads tenures of present customers from rows `start..`; a refused row gets its status.
pub(crate) fn read_tenures(
    batch: &BoundBatch<'_, '_>,
    start: usize,
    rows: &mut [Tenure],
    status: &mut [RowStatus],
) {
    let mut column = [0.0; CHUNK];
    let count = rows.len().min(CHUNK);
    batch.read_numbers(0, start, &mut column[..count]);
    for ((row, status), tenure) in rows.iter_mut().zip(status).zip(column) {
        match Tenure::new(tenure, 0.0) {
            Ok(good) => (*row, *status) = (good, RowStatus::OK),
            Err(bad) => (*row, *status) = (Tenure::NEW, bad),
        }
    }
}

/// The histories, with weights, behind one cohort's table of customers remaining.
///
/// `remaining[k]` is the number (or share) of the cohort's customers after `k` renewals, starting
/// with all of them at `k = 0`. Those who went between two entries left at that renewal; those in the
/// last entry are still customers. Histories of several cohorts are simply put together.
///
/// # Errors
/// Fewer than two entries, an entry that is not finite and zero or greater, or one that is larger
/// than the entry before.
pub fn cohort_tenures(remaining: &[f64]) -> Result<(Vec<Tenure>, Vec<f64>), InputError> {
    let refuse = |index: usize, why: String| {
        let field = format!("remaining[{index}]");
        Err(InputError::new(field, why))
    };
    if remaining.len() < 2 {
        let why = format!(
            "the table has {} entries: must have at least 2",
            remaining.len()
        );
        return Err(InputError::new("remaining", why));
    }
    for (index, count) in remaining.iter().enumerate() {
        if !Domain::NonNegative.contains(*count) {
            return refuse(index, format!("is {count}: must be a finite number >= 0"));
        }
        let before = index.checked_sub(1).map_or(*count, |last| remaining[last]);
        if *count > before {
            return refuse(index, format!("is {count}, after {before}: must not rise"));
        }
    }
    let left = (1u32..)
        .zip(remaining.windows(2))
        .map(|(renewal, pair)| (f64::from(renewal), 1.0, pair[0] - pair[1]));
    let stayed = remaining.len() as f64 - 1.0;
    let last = remaining.last().map(|count| (stayed, 0.0, *count));
    Ok(left
        .chain(last)
        .filter(|(.., weight)| *weight > 0.0)
        .map(|(tenure, churned, weight)| (Tenure { tenure, churned }, weight))
        .unzip())
}

#[cfg(test)]
mod tests {
    use super::{Tenure, cohort_tenures};
    use cvm_core::{RowCode, RowStatus};

    #[test]
    fn each_fault_blames_its_field() {
        let cases = [
            ((f64::NAN, 0.0), RowCode::Missing, 0),
            ((1.5, 0.0), RowCode::OutOfRange, 0),
            ((-1.0, 0.0), RowCode::OutOfRange, 0),
            ((f64::INFINITY, 0.0), RowCode::NotFinite, 0),
            ((2.0, f64::NAN), RowCode::Missing, 1),
            ((2.0, 0.5), RowCode::OutOfRange, 1),
            ((2.0, 2.0), RowCode::OutOfRange, 1),
            ((0.0, 1.0), RowCode::Inconsistent, 0),
        ];
        for ((tenure, churned), code, field) in cases {
            let got = Tenure::new(tenure, churned);
            assert_eq!(got, Err(RowStatus::bad(code, field)));
        }
        assert_eq!(Tenure::new(-0.0, -0.0).unwrap().tenure.to_bits(), 0);
    }

    #[test]
    fn a_cohort_falls_apart_into_those_who_left_and_the_rest() {
        let (rows, weights) = cohort_tenures(&[100.0, 60.0, 60.0, 45.0]).unwrap();
        let tenures: Vec<_> = rows.iter().map(|row| (row.tenure, row.churned)).collect();
        assert_eq!(tenures, [(1.0, 1.0), (3.0, 1.0), (3.0, 0.0)]);
        assert_eq!(weights, [40.0, 15.0, 45.0]);
    }

    #[test]
    fn impossible_cohorts_are_refused() {
        for remaining in [
            &[][..],
            &[5.0],
            &[5.0, 6.0],
            &[5.0, f64::NAN],
            &[f64::INFINITY, 1.0],
            &[5.0, -1.0],
        ] {
            assert!(cohort_tenures(remaining).is_err(), "{remaining:?}");
        }
    }
}

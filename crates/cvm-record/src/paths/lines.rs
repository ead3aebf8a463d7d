//! The long table of periods in the order of customers and starts, and the path of one customer.

use super::{Clock, PathOptions, identities, numbers, refused};
use crate::RecordError;
use cvm_core::Frame;
use std::collections::HashMap;

/// Ends and starts this close, relatively, are one moment.
const SLACK: f64 = 1e-9;

/// A customer's steps: their starts, and one list of values per covariate.
pub(super) struct Path {
    pub(super) starts: Vec<f64>,
    pub(super) values: Vec<Vec<f64>>,
    pub(super) until: f64,
}

/// Rows of the long table.
pub(super) struct Lines<'a> {
    /// Rows of each customer by start; of everybody under no name.
    groups: HashMap<Option<String>, Vec<usize>>,
    is_shared: bool,
    starts: Vec<f64>,
    ends: Option<Vec<f64>>,
    values: Vec<&'a [f64]>,
    period: f64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        paths: &'a Frame,
        options: &PathOptions,
        clock: &Clock,
    ) -> Result<Self, RecordError> {
        let starts = clock.times("covariates", paths, &options.start)?;
        let has_end = paths.get(&options.end).is_some();
        let ends = has_end.then(|| clock.times("covariates", paths, &options.end));
        let values = options.covariates.iter();
        let values: Result<Vec<&[f64]>, RecordError> = values
            .map(|name| numbers("covariates", paths, name))
            .collect();
        let is_shared = paths.get(&options.customer_id).is_none();
        let mut groups: HashMap<Option<String>, Vec<usize>> = HashMap::new();
        if is_shared {
            groups.insert(None, (0..paths.row_count).collect());
        } else {
            let names = identities("covariates", paths, &options.customer_id)?;
            for (row, name) in names.into_iter().enumerate() {
                groups.entry(Some(name)).or_default().push(row);
            }
        }
        for rows in groups.values_mut() {
            rows.sort_by(|a, b| starts[*a].total_cmp(&starts[*b]));
        }
        Ok(Lines {
            groups,
            is_shared,
            starts,
            ends: ends.transpose()?,
            values: values?,
            period: clock.period,
        })
    }

    /// The path of one customer, from its own start.
    pub(super) fn path(&self, customer: &str, origin: f64) -> Result<Path, RecordError> {
        let name = (!self.is_shared).then(|| customer.to_owned());
        let rows = self.groups.get(&name).map_or(&[][..], Vec::as_slice);
        let Some(last) = rows.last() else {
            let why = format!("has no period of customer \"{customer}\"");
            return Err(refused("covariates", why));
        };
        let since = |time: f64| (time - origin) / self.period;
        let starts: Vec<f64> = rows.iter().map(|row| since(self.starts[*row])).collect();
        let until = match &self.ends {
            Some(ends) => {
                let own: Vec<f64> = rows.iter().map(|row| since(ends[*row])).collect();
                check_chain(customer, &starts, &own)?;
                since(ends[*last])
            }
            None => match starts[..] {
                [.., before, last] => 2.0 * last - before,
                _ => {
                    let why =
                        format!("is missing, and customer \"{customer}\" has one period only");
                    return Err(refused("covariates.end", why));
                }
            },
        };
        let begun = starts.partition_point(|start| *start <= 0.0).max(1) - 1;
        Ok(self.merged(&rows[begun..], &starts[begun..], until))
    }

    /// Steps without those that change nothing.
    fn merged(&self, rows: &[usize], starts: &[f64], until: f64) -> Path {
        let moves = |place: usize| {
            let differs = |values: &&[f64]| {
                let (before, after) = (values[rows[place - 1]], values[rows[place]]);
                before != after
            };
            place == 0 || self.values.iter().any(differs)
        };
        let kept: Vec<usize> = (0..rows.len()).filter(|place| moves(*place)).collect();
        let of = |values: &&[f64]| kept.iter().map(|place| values[rows[*place]]).collect();
        Path {
            starts: kept.iter().map(|place| starts[*place]).collect(),
            values: self.values.iter().map(of).collect(),
            until,
        }
    }
}

impl Path {
    /// Sum of each covariate over moments.
    pub(super) fn sums(&self, moments: &[f64]) -> Vec<f64> {
        let step = |moment: &f64| self.starts.partition_point(|start| start <= moment).max(1) - 1;
        let of = |values: &Vec<f64>| moments.iter().map(|moment| values[step(moment)]).sum();
        self.values.iter().map(of).collect()
    }
}

/// Refuses periods that overlap or leave time uncovered.
fn check_chain(customer: &str, starts: &[f64], ends: &[f64]) -> Result<(), RecordError> {
    let apart = |(end, next): (&f64, &f64)| {
        let gap = (end - next).abs();
        gap.is_nan() || gap > SLACK * (1.0 + next.abs())
    };
    match ends.iter().zip(starts.iter().skip(1)).position(apart) {
        None => Ok(()),
        Some(place) => {
            let why = format!(
                "of customer \"{customer}\": the period from {} ends at {}, the next starts at {}",
                starts[place],
                ends[place],
                starts[place + 1]
            );
            Err(refused("covariates", why))
        }
    }
}

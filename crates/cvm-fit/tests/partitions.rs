//! Fits over partitions: the sum agrees with the whole, failures are told, numbers travel.

mod common;

use common::{POSITIVE, Synthetic, check_gamma, close, gamma, gamma_rows};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_fit::{
    Fit, FitError, PartialObjective, PartitionError, Partitions, Progress, Settings, maximize,
    maximize_partitions, pack, partial_objective, unpack,
};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};

/// Gamma rows `from..to`, in blocks of at most 13.
fn part(from: usize, to: usize) -> Box<dyn Likelihood> {
    let rows = gamma_rows()[from..to].to_vec();
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    Box::new(Synthetic {
        dim: 2,
        blocks: rows.len().div_ceil(13).max(1),
        weight: count(rows.len()),
        block: move |theta: &[f64], block| {
            let (k, b) = (theta[0], theta[1]);
            let rows = &rows[block * 13..rows.len().min(block * 13 + 13)];
            let n = count(rows.len());
            let total: f64 = rows.iter().sum();
            let logs: f64 = rows.iter().map(|x| cvm_math::ln(*x)).sum();
            let log_b = cvm_math::ln(b);
            let value = n * (k * log_b - cvm_math::ln_gamma(k)) + (k - 1.0) * logs - b * total;
            let gradient = vec![n * (log_b - cvm_math::digamma(k)) + logs, n * k / b - total];
            let hessian = vec![-n * cvm_math::trigamma(k), n / b, n / b, -n * k / (b * b)];
            (value, gradient, hessian)
        },
    })
}

/// `count` partitions of unequal size; the last may be empty.
fn split(count: usize) -> Partitions<'static> {
    let end = |i: usize| 1000 * (i * i) / (count * count);
    Partitions::local((0..count).map(|i| part(end(i), end(i + 1))).collect()).unwrap()
}

fn go(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn fitted(partitions: &Partitions<'_>, threads: usize) -> Result<Fit, FitError> {
    let settings = Settings {
        threads,
        ..Settings::default()
    };
    maximize_partitions(partitions, &POSITIVE, &[vec![1.0, 1.0]], &settings, &go)
}

#[test]
fn any_partitioning_agrees_with_the_whole() {
    let start = [vec![1.0, 1.0]];
    let whole = maximize(&gamma(1.0), &POSITIVE, &start, &Settings::default()).unwrap();
    for count in [1, 2, 7] {
        let fit = fitted(&split(count), 2).unwrap();
        check_gamma(&fit, 1e-11);
        for i in 0..2 {
            close(fit.params[i], whole.params[i], 1e-12);
            close(fit.standard_errors[i], whole.standard_errors[i], 1e-12);
        }
        close(fit.log_likelihood, whole.log_likelihood, 1e-13);
    }
}

#[test]
fn a_partitioning_has_the_same_bits_for_any_threads() {
    let bits = |threads| {
        let fit = fitted(&split(7), threads).unwrap();
        let numbers = fit.params.iter().chain(fit.covariance.iter());
        numbers.map(|x| x.to_bits()).collect::<Vec<u64>>()
    };
    let one = bits(1);
    for threads in [2, 3, 16] {
        assert_eq!(bits(threads), one, "{threads} threads");
    }
}

/// Answers by numbers alone, as a worker would; fails at the call given.
struct Remote {
    part: Box<dyn Likelihood>,
    calls: AtomicU32,
    fails_at: u32,
}

impl PartialObjective for Remote {
    fn dim(&self) -> usize {
        2
    }
    fn weight(&self) -> f64 {
        self.part.weight()
    }
    fn evaluate(&self, theta: &[f64], order: Order) -> Result<Derivatives, PartitionError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call >= self.fails_at {
            return Err("the connection was lost".into());
        }
        let sent = pack(&partial_objective(self.part.as_ref(), theta, order, 3));
        Ok(unpack(2, &sent)?)
    }
}

fn remotes(fails_at: u32) -> Partitions<'static> {
    let remote = |from, to, fails_at| Remote {
        part: part(from, to),
        calls: AtomicU32::new(0),
        fails_at,
    };
    let parts: Vec<Box<dyn PartialObjective>> = vec![
        Box::new(remote(0, 400, u32::MAX)),
        Box::new(remote(400, 1000, fails_at)),
    ];
    Partitions::new(parts).unwrap()
}

#[test]
fn remote_answers_give_the_bits_of_local_ones() {
    let local = Partitions::local(vec![part(0, 400), part(400, 1000)]).unwrap();
    let (near, far) = (
        fitted(&local, 1).unwrap(),
        fitted(&remotes(u32::MAX), 2).unwrap(),
    );
    assert_eq!(near.params, far.params);
    assert_eq!(near.covariance, far.covariance);
}

#[test]
fn a_partition_that_cannot_answer_stops_the_fit() {
    for fails_at in [0, 3] {
        let partitions = remotes(fails_at);
        match fitted(&partitions, 2) {
            Err(error @ FitError::Partition { index: 1, .. }) => {
                assert_eq!(error.to_string(), "partition 1: the connection was lost");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn partitions_that_do_not_fit_together_are_named() {
    assert!(matches!(Partitions::local(vec![]), Err(FitError::NoData)));
    let narrow = common::single(1, |t| (-t[0] * t[0], vec![-2.0 * t[0]], vec![-2.0]));
    let Err(error) = Partitions::local(vec![part(0, 9), Box::new(narrow)]) else {
        panic!("dimensions differ");
    };
    assert!(
        error.to_string().starts_with("partitions[1].dim is 1"),
        "{error}"
    );
}

#[test]
fn derivatives_travel_as_numbers() {
    let sum = partial_objective(part(0, 77).as_ref(), &[1.5, 0.5], Order::Hessian, 1);
    let sent = pack(&sum);
    assert_eq!(sent.len(), 7);
    assert_eq!(unpack(2, &sent).unwrap(), sum);
    assert!(matches!(unpack(3, &sent), Err(FitError::Invalid { .. })));
    assert!(matches!(unpack(0, &[]), Err(FitError::Invalid { .. })));
}

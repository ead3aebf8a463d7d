//! ln 2F1 of many rows: the power series of eight rows at a time, with the bits of the scalar call.
//!
//! A row whose first form the scalar code would sum directly takes part; its lane is frozen at
//! the term where the scalar loop stops. Every other row, and every row whose sum turns out not
//! to be good enough, goes the scalar way.
#![allow(unsafe_code)]

use super::real::Real;
use super::series::{self, Sum};
use super::{
    ERROR_GOAL, Factored, Parameters, assemble, continuation, ln_distance, prefers_direct,
};
use crate::dd::Dd;
use crate::dispatch::{Level, by_level, detected};

/// Rows summed together: two AVX2 registers or one of AVX-512.
const LANES: usize = 8;
type Lane = [f64; LANES];

/// Terms after which a lane is left to the scalar code.
const MAX_TERMS: u32 = 2_000;

/// Columns of arguments, all of one length.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// First upper parameter.
    pub a: &'a [f64],
    /// Second upper parameter.
    pub b: &'a [f64],
    /// Lower parameter.
    pub c: &'a [f64],
    /// Argument.
    pub z: &'a [f64],
    /// One less the argument.
    pub one_minus_z: &'a [f64],
}

impl Rows<'_> {
    /// The parameters of a row, its argument and one less it.
    fn row(&self, i: usize) -> (Parameters<f64>, f64, f64) {
        let p = Parameters {
            a: self.a[i],
            b: self.b[i],
            c: self.c[i],
        };
        (p, self.z[i], self.one_minus_z[i])
    }

    /// The scalar answer for a row.
    fn scalar(&self, i: usize) -> (f64, f64) {
        let (p, z, one_minus_z) = self.row(i);
        super::ln_hyp2f1(p.a, p.b, p.c, z, one_minus_z)
    }
}

/// The form to be summed, by lane. A lane that takes no part has `a = b = 0`: one term.
#[derive(Default)]
struct Series {
    a: Lane,
    b: Lane,
    c: Lane,
    z: Lane,
}

/// Sums by lane, and the index of the last term; negative where the lane was given up.
#[derive(Default)]
struct Sums {
    value: Lane,
    size: Lane,
    last: Lane,
}

/// How a row's sum becomes the logarithm.
#[derive(Clone, Copy)]
struct Plan {
    form: Parameters<f64>,
    log_factor: Dd,
}

/// The first form that the scalar code would try, if it is one that the lanes can sum.
fn plan(p: &Parameters<f64>, z: f64, one_minus_z: f64) -> Option<Plan> {
    let inside = z > 0.0 && z < 1.0 && one_minus_z > 0.0 && p.are_defined();
    let summed = z <= series::LIMIT || one_minus_z >= continuation::start_distance(p.c);
    if !inside || !summed || p.a == 0.0 || p.b == 0.0 {
        return None;
    }
    let excess = p.exact_excess();
    let plan = if prefers_direct(excess, p.c) {
        Plan {
            form: *p,
            log_factor: Dd::ZERO,
        }
    } else {
        let log_factor = super::times_pair(excess, ln_distance(z, one_minus_z));
        Plan {
            form: p.euler(),
            log_factor,
        }
    };
    (plan.form.a != 0.0 && plan.form.b != 0.0).then_some(plan)
}

/// One term of all lanes: the arithmetic of [`series::sum`], lane by lane.
#[inline(always)]
fn advance(n: f64, p: &Series, term: &mut Lane, slope: &mut Lane, live: &mut Lane, s: &mut Sums) {
    let tolerance = 0.25 * <f64 as Real>::EPSILON;
    for i in 0..LANES {
        let top = (p.a[i] + n) * (p.b[i] + n) * p.z[i];
        let ratio = top / ((p.c[i] + n) * (n + 1.0));
        let next = term[i] * ratio;
        let size = next.abs();
        let value = s.value[i] + next;
        let new_slope = slope[i] + next * (n + 1.0);
        let ratio_size = ratio.abs();
        let bound = if ratio_size > p.z[i] {
            ratio_size
        } else {
            p.z[i]
        };
        let rest = size * bound;
        let within = tolerance * (1.0 - bound);
        let small = (rest <= within * value.abs()) & (n * rest <= within * new_slope.abs());
        let settled = (bound < 1.0) & (n > -p.c[i]) & small;
        let stop = (size == 0.0) | settled;
        let lost = (size >= series::LARGE) | size.is_nan();
        let alive = live[i] > 0.0;
        term[i] = next;
        slope[i] = new_slope;
        s.value[i] = if alive { value } else { s.value[i] };
        s.size[i] = if alive { s.size[i] + size } else { s.size[i] };
        let last = if stop { n } else { s.last[i] };
        s.last[i] = if alive { last } else { s.last[i] };
        live[i] = if alive & !(stop | lost) { 1.0 } else { 0.0 };
    }
}

/// Sums all lanes.
fn sum_lanes(level: Level, p: &Series, sums: &mut Sums) {
    by_level!(level, (p: &Series, sums: &mut Sums), {
        *sums = Sums { value: [1.0; LANES], size: [1.0; LANES], last: [-1.0; LANES] };
        let (mut term, mut slope, mut live) = ([1.0; LANES], [0.0; LANES], [1.0; LANES]);
        for count in 0..MAX_TERMS {
            advance(f64::from(count), p, &mut term, &mut slope, &mut live, sums);
            if count % 4 == 3 && live == [0.0; LANES] {
                break;
            }
        }
    });
}

/// ln|F| and the sign of a lane, if its sum is as good as the scalar code demands.
fn finish(plan: &Plan, sums: &Sums, i: usize) -> Option<(f64, f64)> {
    let (value, n) = (sums.value[i], sums.last[i]);
    let sum = Sum::of(value, 0.0, sums.size[i], 0.0, n);
    let factored = Factored {
        sum,
        log_factor: plan.log_factor,
    };
    (n >= 0.0 && sum.error <= ERROR_GOAL).then(|| assemble(&factored).rounded())
}

/// Up to eight rows from `start` on.
fn eight(level: Level, rows: &Rows<'_>, start: usize, ln: &mut [f64], sign: &mut [f64]) {
    let mut plans = [None; LANES];
    let mut series = Series {
        c: [1.0; LANES],
        z: [0.5; LANES],
        ..Series::default()
    };
    for (i, planned) in plans.iter_mut().enumerate().take(ln.len()) {
        let (p, z, one_minus_z) = rows.row(start + i);
        *planned = plan(&p, z, one_minus_z);
        if let Some(plan) = planned {
            (series.a[i], series.b[i], series.c[i]) = (plan.form.a, plan.form.b, plan.form.c);
            series.z[i] = z;
        }
    }
    let mut sums = Sums::default();
    sum_lanes(level, &series, &mut sums);
    for i in 0..ln.len() {
        let quick = plans[i].and_then(|plan| finish(&plan, &sums, i));
        (ln[i], sign[i]) = quick.unwrap_or_else(|| rows.scalar(start + i));
    }
}

/// `ln[i]`, `sign[i]` of every row; all slices of one length.
///
/// Two doubles at a time gain nothing over the scalar code, which stops at each row's own term.
pub(crate) fn ln_hyp2f1(level: Level, rows: &Rows<'_>, ln: &mut [f64], sign: &mut [f64]) {
    if level.min(detected()) == Level::Baseline {
        for (i, (ln, sign)) in ln.iter_mut().zip(sign).enumerate() {
            (*ln, *sign) = rows.scalar(i);
        }
        return;
    }
    for (chunk, (ln, sign)) in ln.chunks_mut(LANES).zip(sign.chunks_mut(LANES)).enumerate() {
        eight(level, rows, chunk * LANES, ln, sign);
    }
}

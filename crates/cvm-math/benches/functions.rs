//! Nanoseconds per call: ours scalar, ours on slices at every SIMD level, `std` and the `libm` crate.
//!
//! `cargo bench -p cvm-math` prints the table; `cargo bench -p cvm-math -- exp gamma` only the
//! rows whose name contains a word. The best of several rounds, all in one run: compare columns,
//! not runs.
#![allow(clippy::disallowed_methods)]

use cvm_math::dispatch::Level;
use cvm_math::slice::at;
use std::hint::black_box;
use std::time::Instant;

const LENGTH: usize = 2048;
const ROUNDS: usize = 40;
const REPEATS: usize = 8;

/// Deterministic numbers in [0, 1).
fn uniform(seed: u64) -> Vec<f64> {
    let mut state = seed;
    (0..LENGTH)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / 9_007_199_254_740_992.0
        })
        .collect()
}

/// Best nanoseconds per element over the rounds.
fn time(mut pass: impl FnMut(&mut [f64])) -> f64 {
    let mut out = vec![0.0; LENGTH];
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..REPEATS {
            pass(black_box(&mut out));
        }
        let elapsed_ns = start.elapsed().as_nanos() as f64;
        best = best.min(elapsed_ns / (LENGTH * REPEATS) as f64);
    }
    best
}

/// Time of a scalar function over the arguments.
fn time_scalar(f: impl Fn(usize) -> f64) -> f64 {
    time(|out| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = f(black_box(i));
        }
    })
}

fn cell(ns: Option<f64>) -> String {
    ns.map_or_else(|| format!("{:>10}", "-"), |ns| format!("{ns:>10.2}"))
}

/// A slice function over its arguments, into the output.
type SliceCall<'a> = &'a dyn Fn(Level, &mut [f64]);

/// One function to be measured.
struct Row<'a> {
    name: &'a str,
    scalar: &'a dyn Fn(usize) -> f64,
    slice: Option<SliceCall<'a>>,
    std: Option<&'a dyn Fn(usize) -> f64>,
    libm: Option<&'a dyn Fn(usize) -> f64>,
}

fn print_row(row: &Row<'_>, words: &[String]) {
    if !words.is_empty() && !words.iter().any(|w| row.name.contains(w.as_str())) {
        return;
    }
    let slices = Level::ALL.map(|level| {
        let slice = row.slice.filter(|_| level.is_available())?;
        Some(time(|out| slice(level, out)))
    });
    print!("{:<12}{}", row.name, cell(Some(time_scalar(row.scalar))));
    slices.into_iter().for_each(|ns| print!("{}", cell(ns)));
    println!(
        "{}{}",
        cell(row.std.map(time_scalar)),
        cell(row.libm.map(time_scalar))
    );
}

type Unary = fn(f64) -> f64;
type UnarySlice = fn(Level, &[f64], &mut [f64]);

fn unary(
    name: &str,
    x: &[f64],
    ours: (Unary, UnarySlice),
    rivals: (Option<Unary>, Option<Unary>),
    words: &[String],
) {
    let std = rivals.0.map(|f| move |i: usize| f(x[i]));
    let libm = rivals.1.map(|f| move |i: usize| f(x[i]));
    let row = Row {
        name,
        scalar: &|i| ours.0(x[i]),
        slice: Some(&|level, out| ours.1(level, x, out)),
        std: std.as_ref().map(|f| f as &dyn Fn(usize) -> f64),
        libm: libm.as_ref().map(|f| f as &dyn Fn(usize) -> f64),
    };
    print_row(&row, words);
}

fn binary_rows(x: &[f64], y: &[f64], words: &[String]) {
    print_row(
        &Row {
            name: "pow",
            scalar: &|i| cvm_math::pow(x[i], y[i]),
            slice: Some(&|level, out| at::pow(level, x, y, out)),
            std: Some(&|i| x[i].powf(y[i])),
            libm: Some(&|i| libm::pow(x[i], y[i])),
        },
        words,
    );
    print_row(
        &Row {
            name: "log_add_exp",
            scalar: &|i| cvm_math::log_add_exp(x[i], y[i]),
            slice: Some(&|level, out| at::log_add_exp(level, x, y, out)),
            std: Some(&|i| x[i].max(y[i]) + (-(x[i] - y[i]).abs()).exp().ln_1p()),
            libm: None,
        },
        words,
    );
    print_row(
        &Row {
            name: "ln_beta",
            scalar: &|i| cvm_math::ln_beta(x[i], y[i].abs()),
            slice: None,
            std: None,
            libm: Some(&|i| {
                let (a, b) = (x[i], y[i].abs());
                libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
            }),
        },
        words,
    );
}

/// BG/NBD-like arguments: r + x, b + x, a + b + x - 1 and z = t / (alpha + T + t).
fn hypergeometric_row(u: &[f64], v: &[f64], words: &[String]) {
    let x: Vec<f64> = u.iter().map(|u| (20.0 * u).floor()).collect();
    let shifted = |by: f64| x.iter().map(|x| by + x).collect::<Vec<f64>>();
    let (a, b, c) = (shifted(0.243), shifted(2.426), shifted(2.219));
    let z: Vec<f64> = v.iter().map(|v| 0.85 * v).collect();
    let y: Vec<f64> = z.iter().map(|z| 1.0 - z).collect();
    print_row(
        &Row {
            name: "ln_hyp2f1",
            scalar: &|i| cvm_math::ln_hyp2f1(a[i], b[i], c[i], z[i], y[i]).0,
            slice: Some(&|level, out| {
                let mut sign = [0.0; LENGTH];
                at::ln_hyp2f1(level, &a, &b, &c, &z, &y, out, &mut sign);
                black_box(sign);
            }),
            std: None,
            libm: None,
        },
        words,
    );
}

fn elementary_rows(positive: &[f64], wide: &[f64], words: &[String]) {
    unary(
        "ln",
        positive,
        (cvm_math::ln, at::ln),
        (Some(f64::ln), Some(libm::log)),
        words,
    );
    unary(
        "exp",
        wide,
        (cvm_math::exp, at::exp),
        (Some(f64::exp), Some(libm::exp)),
        words,
    );
    unary(
        "log1p",
        positive,
        (cvm_math::log1p, at::log1p),
        (Some(f64::ln_1p), Some(libm::log1p)),
        words,
    );
    unary(
        "expm1",
        wide,
        (cvm_math::expm1, at::expm1),
        (Some(f64::exp_m1), Some(libm::expm1)),
        words,
    );
    unary(
        "sigmoid",
        wide,
        (cvm_math::sigmoid, at::sigmoid),
        (Some(|x| 1.0 / (1.0 + (-x).exp())), None),
        words,
    );
    unary(
        "softplus",
        wide,
        (cvm_math::softplus, at::softplus),
        (Some(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()), None),
        words,
    );
}

fn gamma_rows(shape: &[f64], words: &[String]) {
    unary(
        "ln_gamma",
        shape,
        (cvm_math::ln_gamma, at::ln_gamma),
        (None, Some(libm::lgamma)),
        words,
    );
    unary(
        "digamma",
        shape,
        (cvm_math::digamma, at::digamma),
        (None, None),
        words,
    );
    unary(
        "trigamma",
        shape,
        (cvm_math::trigamma, at::trigamma),
        (None, None),
        words,
    );
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let (u, v) = (uniform(1), uniform(2));
    let map = |f: &dyn Fn(f64) -> f64| u.iter().map(|&u| f(u)).collect::<Vec<f64>>();
    let (wide, positive) = (map(&|u| 60.0 * u - 30.0), map(&|u| (20.0 * u - 6.0).exp()));
    let shape = map(&|u| 40.0 * u + 1e-3);
    let y: Vec<f64> = v.iter().map(|v| 20.0 * v - 10.0).collect();

    println!(
        "ns per element, {LENGTH} elements, best of {ROUNDS} rounds; widest level here: {:?}",
        cvm_math::dispatch::detected()
    );
    println!(
        "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "scalar", "baseline", "avx2", "avx512", "std", "libm"
    );
    elementary_rows(&positive, &wide, &words);
    binary_rows(&positive, &y, &words);
    gamma_rows(&shape, &words);
    hypergeometric_row(&u, &v, &words);
}

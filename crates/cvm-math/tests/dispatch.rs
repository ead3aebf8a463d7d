//! Same bits at every SIMD level and in the scalar call, for every length, start and special value.

use cvm_math::dispatch::Level;
use cvm_math::slice::{self, at};

type Scalar = fn(f64) -> f64;
type Slice = fn(Level, &[f64], &mut [f64]);

const UNARY: [(&str, Scalar, Slice); 9] = [
    ("ln", cvm_math::ln, at::ln),
    ("exp", cvm_math::exp, at::exp),
    ("log1p", cvm_math::log1p, at::log1p),
    ("expm1", cvm_math::expm1, at::expm1),
    ("sigmoid", cvm_math::sigmoid, at::sigmoid),
    ("softplus", cvm_math::softplus, at::softplus),
    ("ln_gamma", cvm_math::ln_gamma, at::ln_gamma),
    ("digamma", cvm_math::digamma, at::digamma),
    ("trigamma", cvm_math::trigamma, at::trigamma),
];

const SPECIAL: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    8.0,
    0.5,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    -f64::NAN,
    5e-324,
    -5e-324,
    2.2e-308,
    1e-310,
    f64::MAX,
    f64::MIN,
    709.9,
    -745.2,
    -2.5,
    -3.0,
    2.56e305,
    -0.9999999999999999,
    1e17,
];

/// Numbers of every size and sign, special values among them.
fn arguments(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    (0..count)
        .map(|i| {
            let (bits, unit) = (next(), (next() >> 11) as f64 / 9_007_199_254_740_992.0);
            match i % 5 {
                0 => SPECIAL[(bits >> 20) as usize % SPECIAL.len()],
                1 => f64::from_bits(bits),
                2 => 12.0 * unit,
                3 => 1600.0 * unit - 800.0,
                _ => 1.0 + (unit - 0.5) * 1e-3,
            }
        })
        .collect()
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_level_gives_the_scalar_bits() {
    let x = arguments(200_003, 1);
    let mut out = vec![0.0; x.len()];
    for (name, scalar, slice) in UNARY {
        let expected: Vec<f64> = x.iter().map(|&x| scalar(x)).collect();
        for level in levels() {
            out.fill(0.123);
            slice(level, &x, &mut out);
            for i in 0..x.len() {
                let (got, want) = (out[i], expected[i]);
                assert!(
                    got.to_bits() == want.to_bits(),
                    "{name}({:e}) at {level:?}: {got:e}, scalar {want:e}",
                    x[i]
                );
            }
        }
    }
}

#[test]
fn binary_functions_too() {
    let (x, y) = (arguments(100_003, 2), arguments(100_003, 3));
    let mut out = vec![0.0; x.len()];
    type Binary = (
        &'static str,
        fn(f64, f64) -> f64,
        fn(Level, &[f64], &[f64], &mut [f64]),
    );
    let functions: [Binary; 2] = [
        ("pow", cvm_math::pow, at::pow),
        ("log_add_exp", cvm_math::log_add_exp, at::log_add_exp),
    ];
    for (name, scalar, slice) in functions {
        for level in levels() {
            slice(level, &x, &y, &mut out);
            for i in 0..x.len() {
                let want = scalar(x[i], y[i]);
                assert!(
                    out[i].to_bits() == want.to_bits(),
                    "{name}({:e}, {:e}) at {level:?}",
                    x[i],
                    y[i]
                );
            }
        }
    }
}

#[test]
fn lengths_and_starts_do_not_matter() {
    let x = arguments(64, 4);
    for (name, scalar, slice) in UNARY {
        for start in 0..9 {
            for length in 0..=40 {
                let part = &x[start..start + length];
                let expected = bits(&part.iter().map(|&x| scalar(x)).collect::<Vec<_>>());
                for level in levels() {
                    let mut out = vec![f64::NAN; 64];
                    let shifted = (start * 5) % 8;
                    slice(level, part, &mut out[shifted..shifted + length]);
                    assert_eq!(
                        bits(&out[shifted..shifted + length]),
                        expected,
                        "{name} {start} {length} {level:?}"
                    );
                    assert!(
                        out[shifted + length..].iter().all(|v| v.is_nan()),
                        "{name} wrote past its end"
                    );
                }
            }
        }
    }
}

#[test]
fn in_place_gives_the_same_bits() {
    let x = arguments(1001, 5);
    type InPlace = (Scalar, fn(&mut [f64]));
    let functions: [InPlace; 6] = [
        (cvm_math::ln, slice::ln_in_place),
        (cvm_math::exp, slice::exp_in_place),
        (cvm_math::log1p, slice::log1p_in_place),
        (cvm_math::expm1, slice::expm1_in_place),
        (cvm_math::sigmoid, slice::sigmoid_in_place),
        (cvm_math::softplus, slice::softplus_in_place),
    ];
    for (scalar, in_place) in functions {
        let mut values = x.clone();
        in_place(&mut values);
        assert_eq!(
            bits(&values),
            bits(&x.iter().map(|&x| scalar(x)).collect::<Vec<_>>())
        );
    }
}

#[test]
#[should_panic(expected = "slices differ in length: 3 in, 2 out")]
fn different_lengths_are_refused() {
    slice::exp(&[0.0; 3], &mut [0.0; 2]);
}

#[test]
fn this_processor_runs_what_it_claims() {
    assert!(Level::Baseline.is_available());
    assert!(cvm_math::dispatch::detected().is_available());
}

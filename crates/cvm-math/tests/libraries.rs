//! The exponentials of other libraries: every bit of what the libraries themselves answered.
//!
//! `tests/data/{glibc_exp,glibc_expf,interpret_exp}.bin` hold pairs of argument and value, written
//! by glibc 2.36 (x86-64, with fused multiply-adds) through `ctypes`, and by `Native.safe_exp` of
//! interpret-core 0.7.8: uniform over the range and around 0, small arguments of both signs, the
//! ends where values are subnormal, 0 or infinite.
mod common;

use common::{raw, table};
use cvm_math::libraries::{fmath_exp, glibc_exp, glibc_expf, interpret_exp};

/// Pairs of argument and value.
fn pairs(name: &str) -> Vec<(f64, f64)> {
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let pair = |bytes: &[u8]| (number(&bytes[..8]), number(&bytes[8..]));
    raw(name, 16).chunks_exact(16).map(pair).collect()
}

fn assert_bits(name: &str, f: impl Fn(f64) -> f64) {
    let pairs = pairs(name);
    assert!(pairs.len() > 4_000, "{name}: {}", pairs.len());
    for (x, want) in pairs {
        let found = f(x);
        assert_eq!(
            found.to_bits(),
            want.to_bits(),
            "{name}({x:e}): {found:e}, not {want:e}"
        );
    }
}

#[test]
fn every_bit_is_the_librarys() {
    assert_bits("glibc_exp", glibc_exp);
    assert_bits("glibc_expf", |x| f64::from(glibc_expf(x as f32)));
    assert_bits("interpret_exp", interpret_exp);
}

#[test]
fn what_is_no_number_stays_none() {
    for f in [glibc_exp, fmath_exp, interpret_exp] {
        assert!(f(f64::NAN).is_nan());
        assert_eq!(
            (f(f64::INFINITY), f(f64::NEG_INFINITY)),
            (f64::INFINITY, 0.0)
        );
    }
    assert!(glibc_expf(f32::NAN).is_nan());
}

/// CatBoost's is known through quotients only (`tests/python/test_import.py`); here its promise.
#[test]
fn fmath_is_near_the_exponential() {
    let mut kept = 0;
    for record in table::<1>("exp") {
        let ([x], value) = (record.args, record.value);
        if x > -708.0 && x < 709.0 {
            kept += 1;
            let error = (fmath_exp(x) - value).abs() / value;
            assert!(error <= 9e-16 + 2e-16 * x.abs(), "{x}: {error:e}");
        }
    }
    assert!(kept > 1_000, "{kept}");
}

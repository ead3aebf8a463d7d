//! Equality of floating-point numbers: in every bit, in units in the last place, within a bound.

use cvm::Scores;

/// Whether two numbers are the same in every bit; one NaN is as good as another.
#[must_use]
pub fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Numbers apart in units in the last place; `None` if either is NaN.
#[must_use]
pub fn ulps(a: f64, b: f64) -> Option<u64> {
    if a.is_nan() || b.is_nan() {
        return None;
    }
    Some(rank(a).abs_diff(rank(b)))
}

/// Place of a number in the order of all numbers.
fn rank(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    if bits < 0 { i64::MIN - bits } else { bits }
}

/// Whether `got` is within `abs` or within `rel` times `want` of `want`.
#[must_use]
pub fn is_close(got: f64, want: f64, abs: f64, rel: f64) -> bool {
    if want.is_nan() || got.is_nan() {
        return want.is_nan() && got.is_nan();
    }
    got == want || (got - want).abs() <= abs.max(rel * want.abs())
}

/// The first cell in which two sets of scores differ in any bit, in words.
#[must_use]
pub fn first_difference(got: &Scores, want: &Scores) -> Option<String> {
    if got.status != want.status {
        let differs = |(a, b): (_, _)| a != b;
        let row = got.status.iter().zip(&want.status).position(differs);
        return Some(format!("statuses differ, first at row {row:?}"));
    }
    if got.outputs.len() != want.outputs.len() {
        return Some("other outputs".to_owned());
    }
    for ((name, a), (want_name, b)) in got.outputs.iter().zip(&want.outputs) {
        if name != want_name || a.len() != b.len() {
            return Some(format!(
                "`{name}` of {} rows against `{want_name}` of {}",
                a.len(),
                b.len()
            ));
        }
        if let Some(row) = a.iter().zip(b).position(|(a, b)| !same_bits(*a, *b)) {
            return Some(format!(
                "`{name}` row {row}: {:e} against {:e}",
                a[row], b[row]
            ));
        }
    }
    None
}

/// Bits as 16 hexadecimal digits, or `nan`.
#[must_use]
pub fn to_hex(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    format!("{:016x}", value.to_bits())
}

/// The number of [`to_hex`].
#[must_use]
pub fn from_hex(text: &str) -> Option<f64> {
    if text == "nan" {
        return Some(f64::NAN);
    }
    u64::from_str_radix(text, 16).ok().map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    use super::{from_hex, is_close, same_bits, to_hex, ulps};

    #[test]
    fn neighbours_are_one_ulp_apart_across_zero_too() {
        assert_eq!(ulps(1.0, 1.0 + f64::EPSILON), Some(1));
        assert_eq!(ulps(-f64::from_bits(1), f64::from_bits(1)), Some(2));
        assert_eq!(ulps(0.0, -0.0), Some(0));
        assert_eq!(ulps(f64::NAN, 1.0), None);
    }

    #[test]
    fn bits_tell_zeros_apart_and_nans_not() {
        assert!(!same_bits(0.0, -0.0));
        assert!(same_bits(f64::NAN, -f64::NAN));
    }

    #[test]
    fn hex_is_exact() {
        for value in [0.1, -0.0, f64::INFINITY, 5e-324] {
            assert!(same_bits(from_hex(&to_hex(value)).unwrap(), value));
        }
        assert!(from_hex("nan").unwrap().is_nan());
        assert_eq!(from_hex("zz"), None);
    }

    #[test]
    fn closeness_is_absolute_or_relative() {
        assert!(is_close(1.001, 1.0, 2e-3, 0.0));
        assert!(is_close(1001.0, 1000.0, 0.0, 2e-3));
        assert!(!is_close(1.01, 1.0, 2e-3, 2e-3));
        assert!(!is_close(f64::NAN, 1.0, 1e9, 1e9));
    }
}

//! Reading the reference tables and measuring errors in ulp.

use std::path::PathBuf;

/// One reference: arguments, the value rounded to a double, and the rest in ulp of it.
pub struct Record<const N: usize> {
    pub args: [f64; N],
    pub value: f64,
    pub rest_ulp: f64,
}

fn f64_at(bytes: &[u8], i: usize) -> f64 {
    f64::from_le_bytes(bytes[i..i + 8].try_into().expect("eight bytes"))
}

fn f32_at(bytes: &[u8], i: usize) -> f64 {
    f64::from(f32::from_le_bytes(
        bytes[i..i + 4].try_into().expect("four bytes"),
    ))
}

/// The raw bytes of a table; never empty.
pub fn raw(name: &str, record_bytes: usize) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.bin"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(
        !bytes.is_empty() && bytes.len() % record_bytes == 0,
        "{name}: {} bytes",
        bytes.len()
    );
    bytes
}

/// The records of a function of `N` arguments.
#[allow(dead_code)]
pub fn table<const N: usize>(name: &str) -> Vec<Record<N>> {
    let size = 8 * N + 12;
    raw(name, size)
        .chunks_exact(size)
        .map(|r| Record {
            args: std::array::from_fn(|i| f64_at(r, 8 * i)),
            value: f64_at(r, 8 * N),
            rest_ulp: f32_at(r, 8 * N + 8),
        })
        .collect()
}

/// A record of the 2F1 table: arguments a, b, c, z, 1-z, ln|F| and the sign of F.
#[allow(dead_code)]
pub fn hyp_table() -> Vec<(Record<5>, f64)> {
    raw("hyp2f1", 56)
        .chunks_exact(56)
        .map(|r| {
            let args = std::array::from_fn(|i| f64_at(r, 8 * i));
            let record = Record {
                args,
                value: f64_at(r, 40),
                rest_ulp: f32_at(r, 48),
            };
            (record, f32_at(r, 52))
        })
        .collect()
}

/// The spacing of doubles in the binade of `x`.
pub fn ulp(x: f64) -> f64 {
    let size = x.abs().max(f64::MIN_POSITIVE);
    let exponent = size.to_bits() >> 52;
    if exponent > 52 {
        f64::from_bits((exponent - 52) << 52)
    } else {
        f64::from_bits(1 << (exponent - 1))
    }
}

impl<const N: usize> Record<N> {
    /// The error of `got` in ulp of the reference; infinite when one is infinite and not the other.
    pub fn error_ulp(&self, got: f64) -> f64 {
        if got == self.value && self.value.is_infinite() {
            return 0.0;
        }
        let error = (got - self.value) / ulp(self.value) - self.rest_ulp;
        if error.is_nan() {
            f64::INFINITY
        } else {
            error.abs()
        }
    }

    /// The absolute error of `got`.
    #[allow(dead_code)]
    pub fn error_abs(&self, got: f64) -> f64 {
        self.error_ulp(got) * ulp(self.value)
    }
}

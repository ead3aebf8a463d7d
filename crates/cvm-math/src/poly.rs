//! Polynomials of fixed length by Estrin's scheme: short dependency chains, one fixed order of operations.

/// Four terms, given `x` and `x2 = x * x`, from coefficient `i` on.
#[inline(always)]
fn four<const N: usize>(x: f64, x2: f64, c: &[f64; N], i: usize) -> f64 {
    (c[i] + c[i + 1] * x) + (c[i + 2] + c[i + 3] * x) * x2
}

/// `sum c[i] x^i` with 8 terms.
#[inline(always)]
pub(crate) fn poly8(x: f64, c: &[f64; 8]) -> f64 {
    let x2 = x * x;
    four(x, x2, c, 0) + four(x, x2, c, 4) * (x2 * x2)
}

/// `sum c[i] x^i` with 9 terms.
#[inline(always)]
pub(crate) fn poly9(x: f64, c: &[f64; 9]) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    four(x, x2, c, 0) + (four(x, x2, c, 4) + c[8] * x4) * x4
}

/// `sum c[i] x^i` with 10 terms.
#[inline(always)]
pub(crate) fn poly10(x: f64, c: &[f64; 10]) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    four(x, x2, c, 0) + (four(x, x2, c, 4) + (c[8] + c[9] * x) * x4) * x4
}

/// `sum c[i] x^i` with 18 terms.
#[inline(always)]
pub(crate) fn poly18(x: f64, c: &[f64; 18]) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let high = four(x, x2, c, 12) + (c[16] + c[17] * x) * x4;
    (four(x, x2, c, 0) + four(x, x2, c, 4) * x4) + (four(x, x2, c, 8) + high * x4) * (x4 * x4)
}

/// `sum c[i] x^i` with 21 terms.
#[inline(always)]
pub(crate) fn poly21(x: f64, c: &[f64; 21]) -> f64 {
    let x2 = x * x;
    let x4 = x2 * x2;
    let x8 = x4 * x4;
    let high = four(x, x2, c, 16) + c[20] * x4;
    let middle = four(x, x2, c, 8) + four(x, x2, c, 12) * x4;
    (four(x, x2, c, 0) + four(x, x2, c, 4) * x4) + (middle + high * x8) * x8
}

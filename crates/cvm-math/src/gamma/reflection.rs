//! sin πx and cos πx for the reflection formulas, exact in the reduction of `x`.

use crate::coefficients::{COS_PI, SIN_PI};
use crate::poly::poly8;

/// Whether Γ has a pole at `x`: zero, a negative integer or -∞.
pub(super) fn is_pole(x: f64) -> bool {
    x <= 0.0 && x.floor() == x
}

/// `sin(πr)` for `|r| <= 1/4`.
fn sine(r: f64) -> f64 {
    r * poly8(r * r, &SIN_PI)
}

/// `cos(πr)` for `|r| <= 1/4`.
fn cosine(r: f64) -> f64 {
    let z = r * r;
    1.0 + z * poly8(z, &COS_PI)
}

/// `x` less its nearest integer, exactly, in [-1/2, 1/2], and whether that integer is odd.
fn fraction(x: f64) -> (f64, bool) {
    let nearest = (x + 0.5).floor();
    (x - nearest, (0.5 * nearest).floor() != 0.5 * nearest)
}

/// `sin πx`.
pub(super) fn sin_pi(x: f64) -> f64 {
    let (r, odd) = fraction(x);
    let value = match r.abs() {
        size if size <= 0.25 => sine(r),
        size => cosine(0.5 - size).copysign(r),
    };
    if odd { -value } else { value }
}

/// `cos πx`.
pub(super) fn cos_pi(x: f64) -> f64 {
    let (r, odd) = fraction(x);
    let size = r.abs();
    let value = if size <= 0.25 {
        cosine(size)
    } else {
        sine(0.5 - size)
    };
    if odd { -value } else { value }
}

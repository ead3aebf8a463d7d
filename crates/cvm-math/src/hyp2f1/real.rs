//! The arithmetic that the series need, for doubles and for double-doubles alike.

use crate::dd::Dd;

/// A real number type.
pub(super) trait Real: Copy {
    /// Relative error of one operation.
    const EPSILON: f64;
    /// Terms of a sum, or of all steps of a continuation, after which it is given up.
    const MAX_TERMS: u32;
    /// The number a double stands for.
    fn from_f64(x: f64) -> Self;
    /// The number rounded to a double.
    fn hi(self) -> f64;
    /// The number as a double-double.
    fn to_dd(self) -> Dd;
    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, other: Self) -> Self;
    /// `self / other`.
    fn div(self, other: Self) -> Self;
    /// `self + x`.
    fn plus(self, x: f64) -> Self;
    /// `self * x` where `x` is a power of two or the product is wanted to no more than a double.
    fn times(self, x: f64) -> Self;
}

impl Real for f64 {
    const EPSILON: f64 = 1.2e-16;
    const MAX_TERMS: u32 = 300_000;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn hi(self) -> f64 {
        self
    }
    #[inline(always)]
    fn to_dd(self) -> Dd {
        Dd { hi: self, lo: 0.0 }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self / other
    }
    #[inline(always)]
    fn plus(self, x: f64) -> Self {
        self + x
    }
    #[inline(always)]
    fn times(self, x: f64) -> Self {
        self * x
    }
}

impl Real for Dd {
    const EPSILON: f64 = 1.0e-31;
    const MAX_TERMS: u32 = 40_000;

    fn from_f64(x: f64) -> Self {
        Dd { hi: x, lo: 0.0 }
    }
    fn hi(self) -> f64 {
        self.hi
    }
    fn to_dd(self) -> Dd {
        self
    }
    fn add(self, other: Self) -> Self {
        Dd::add(self, other)
    }
    fn sub(self, other: Self) -> Self {
        Dd::add(self, other.neg())
    }
    fn mul(self, other: Self) -> Self {
        Dd::mul(self, other)
    }
    fn div(self, other: Self) -> Self {
        Dd::div(self, other)
    }
    fn plus(self, x: f64) -> Self {
        self.add_f64(x)
    }
    fn times(self, x: f64) -> Self {
        Dd::mul(self, Dd { hi: x, lo: 0.0 })
    }
}

//! Error-free transformations and double-double numbers (about 106 bits) without fused multiply-add.
//!
//! Sources: Dekker (1971), *Numerische Mathematik* 18, 224-242 (splitting, products);
//! Knuth, *The Art of Computer Programming* 2, 4.2.2 (the exact error of a sum);
//! Joldes, Muller & Popescu (2017), *ACM TOMS* 44(2) (error bounds of the pair arithmetic).

/// `a + b` and its rounding error, for any order of magnitudes.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a + b` and its rounding error, where `|a| >= |b|` or `a = 0`.
#[inline(always)]
pub(crate) fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

/// Halves of 26 bits whose sum is `a`; `|a|` below 2^995.
#[inline(always)]
fn split(a: f64) -> (f64, f64) {
    let t = 134_217_729.0 * a;
    let hi = t - (t - a);
    (hi, a - hi)
}

/// `a * b` and its rounding error; exact while nothing over- or underflows.
#[inline(always)]
pub(crate) fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    let (ah, al) = split(a);
    let (bh, bl) = split(b);
    (p, al * bl - (((p - ah * bh) - al * bh) - ah * bl))
}

/// An unevaluated sum `hi + lo` with `|lo|` at most half an ulp of `hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dd {
    /// Leading part: the value rounded to a double.
    pub hi: f64,
    /// What is left.
    pub lo: f64,
}

impl Dd {
    /// Zero.
    pub(crate) const ZERO: Dd = Dd { hi: 0.0, lo: 0.0 };
    /// One.
    pub(crate) const ONE: Dd = Dd { hi: 1.0, lo: 0.0 };

    /// The exact sum of two doubles.
    #[inline(always)]
    pub(crate) fn sum(a: f64, b: f64) -> Dd {
        let (hi, lo) = two_sum(a, b);
        Dd { hi, lo }
    }

    /// A pair already in normal form.
    #[inline(always)]
    pub(crate) fn new(pair: (f64, f64)) -> Dd {
        Dd {
            hi: pair.0,
            lo: pair.1,
        }
    }

    /// Sum; relative error below 2^-104.
    #[inline(always)]
    pub(crate) fn add(self, other: Dd) -> Dd {
        let (s, e) = two_sum(self.hi, other.hi);
        let (t, f) = two_sum(self.lo, other.lo);
        let (s, e) = fast_two_sum(s, e + t);
        Dd::new(fast_two_sum(s, e + f))
    }

    /// Sum with a double.
    #[inline(always)]
    pub(crate) fn add_f64(self, other: f64) -> Dd {
        let (s, e) = two_sum(self.hi, other);
        Dd::new(fast_two_sum(s, e + self.lo))
    }

    /// The number with the other sign.
    #[inline(always)]
    pub(crate) fn neg(self) -> Dd {
        Dd {
            hi: -self.hi,
            lo: -self.lo,
        }
    }

    /// Product; relative error below 2^-102.
    #[inline(always)]
    pub(crate) fn mul(self, other: Dd) -> Dd {
        let (p, e) = two_prod(self.hi, other.hi);
        Dd::new(fast_two_sum(
            p,
            e + (self.hi * other.lo + self.lo * other.hi),
        ))
    }

    /// Quotient; relative error below 2^-101.
    #[inline(always)]
    pub(crate) fn div(self, other: Dd) -> Dd {
        let q = self.hi / other.hi;
        let (p, e) = two_prod(q, other.hi);
        let rest = ((self.hi - p) - e) + (self.lo - q * other.lo);
        Dd::new(fast_two_sum(q, rest / other.hi))
    }

    /// The value rounded to a double.
    #[inline(always)]
    pub(crate) fn value(self) -> f64 {
        self.hi + self.lo
    }
}

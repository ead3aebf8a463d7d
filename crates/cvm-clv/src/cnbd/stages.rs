//! Counts of one who never leaves, for whole `k`: sums over the stages of a Poisson process.
//!
//! A purchase is every `k`-th stage. With `j < k` stages since the last purchase, which has a chance
//! in proportion to `(R)_j/j! u^j`, `u = s/A`, and `λ ~ Gamma(R+j, A)`, the stages up to `T + t` are
//! negative binomial. So with `z = t/(A+t)` a total of `M` stages since the last purchase has weight
//!
//! ```text
//! W_M = (R)_M/M! (1−z)^R Σ_{j<k} C(M, j) (u(1−z))^j z^{M−j} / Σ_{j<k} (R)_j/j! u^j
//! P(N = n) = Σ_{kn ≤ M < k(n+1)} W_M
//! ```
//!
//! Every term is positive, and Pascal's rule leads from `M` to `M + 1` in `k` steps. Source: the
//! counting process of Reutterer, Platzer & Schröder (2021), mixed over `λ` in closed form.

/// Largest whole `k`.
const MOST_STAGES: usize = 16;
/// Stages walked through at most: beyond, quadrature is cheaper.
const LONGEST: f64 = 12_000.0;
/// Largest `−R ln(1−z)`: beyond, the first term leaves the doubles.
const DEEPEST: f64 = 600.0;
/// Relative size of a rest that is dropped.
const NEGLIGIBLE: f64 = 1e-17;
/// A sum below this has lost digits to underflow.
const SMALLEST: f64 = 1e-270;

/// The counts `N` of one customer.
pub(super) struct Stages {
    k: usize,
    /// `R`.
    shape: f64,
    z: f64,
    /// `u(1−z)`.
    turn: f64,
    /// `W_0`.
    first: f64,
}

impl Stages {
    /// With `u` the silent share of `A`, `z = t/(A+t)` and `ln(1−z)`; `None` where the sums are too
    /// long, or `k` is no small whole number.
    pub(super) fn new(k: f64, shape: f64, u: f64, (z, log_rest): (f64, f64)) -> Option<Self> {
        let rest = cvm_math::exp(log_rest);
        let mean = shape * z / rest;
        let longest = mean + 12.0 * ((mean + 9.0) / rest).sqrt() + (60.0 + 2.0 * k) / rest;
        let whole = k.fract() == 0.0 && k <= MOST_STAGES as f64;
        if !whole || longest > LONGEST || -shape * log_rest > DEEPEST {
            return None;
        }
        let (mut term, mut total) = (1.0, 0.0);
        for stage in 0..k as u32 {
            let j = f64::from(stage);
            total += term;
            term *= (shape + j) * u / (j + 1.0);
        }
        Some(Stages {
            k: k as usize,
            shape,
            z,
            turn: u * rest,
            first: cvm_math::exp(shape * log_rest) / total,
        })
    }

    /// `Σ_{n ≥ first} P(N = n) · weight(n)` for weights that never grow faster than `n`; `None` where
    /// it is too small for its digits.
    pub(super) fn mean(&self, first: f64, mut weight: impl FnMut(f64) -> f64) -> Option<f64> {
        let mut walk = self.walk();
        let farthest = first + LONGEST;
        let slowest = cvm_math::exp(self.k as f64 * cvm_math::ln(self.z));
        let (mut n, mut before, mut sum) = (0.0, 0.0, 0.0);
        while n < farthest {
            let own = walk.next_count();
            if n >= first {
                let term = own * weight(n);
                sum += term;
                // The ratio of successive counts tends to z^k.
                let ratio = (own / before).max(slowest);
                let rest = term * ratio;
                if sum > 0.0 && ratio < 1.0 && rest <= NEGLIGIBLE * (1.0 - ratio) * sum {
                    break;
                }
            }
            before = own;
            n += 1.0;
        }
        (sum > SMALLEST).then_some(sum)
    }

    /// `P(N = n)` and `P(N ≥ n)`; `None` where they are too small for their digits.
    pub(super) fn at_and_above(&self, n: f64) -> Option<(f64, f64)> {
        if n * self.k as f64 > LONGEST {
            return None;
        }
        let mut at = 0.0;
        let mut walk = self.walk();
        let mut index = 0.0;
        while index <= n {
            at = walk.next_count();
            index += 1.0;
        }
        let above = self.mean(n, |_| 1.0)?;
        (at > SMALLEST).then_some((at, above))
    }

    fn walk(&self) -> Walk<'_> {
        let mut by_stage = [0.0; MOST_STAGES];
        by_stage[0] = self.first;
        Walk {
            stages: self,
            by_stage,
            m: 0.0,
        }
    }
}

/// `W_M` by the stages `j` done before `T`.
struct Walk<'a> {
    stages: &'a Stages,
    by_stage: [f64; MOST_STAGES],
    /// `M`.
    m: f64,
}

impl Walk<'_> {
    /// `P(N = n)` of the next `n`.
    fn next_count(&mut self) -> f64 {
        let Stages {
            k, shape, z, turn, ..
        } = *self.stages;
        let own = if turn == 0.0 { 1 } else { k };
        let by_stage = &mut self.by_stage[..own];
        let mut sum = 0.0;
        for _ in 0..k {
            let growth = (shape + self.m) / (self.m + 1.0);
            let (stay, shift) = (growth * z, growth * turn);
            let mut below = 0.0;
            for slot in by_stage.iter_mut() {
                let old = *slot;
                sum += old;
                *slot = stay * old + shift * below;
                below = old;
            }
            self.m += 1.0;
        }
        sum
    }
}

//! Sums whose bits depend on the order of the input alone: compensated, and pairwise over fixed blocks.
//!
//! Sources: Neumaier (1974), *ZAMM* 54, 39-51; Higham (1993), *SIAM J. Sci. Comput.* 14(4).

use crate::dd::two_sum;

/// A running sum with the rounding errors kept apart (Neumaier): about as good as twice the digits.
///
/// ```
/// let mut sum = cvm_math::sums::Sum::default();
/// for x in [1e100, 1.0, -1e100] {
///     sum.add(x);
/// }
/// assert_eq!(sum.value(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    sum: f64,
    rest: f64,
}

impl Sum {
    /// Adds a number.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let (sum, error) = two_sum(self.sum, x);
        self.sum = sum;
        self.rest += error;
    }

    /// Adds another sum: partial sums over fixed blocks, merged in order, give one result
    /// whatever ran in parallel.
    #[inline]
    pub fn merge(&mut self, other: &Sum) {
        self.add(other.sum);
        self.rest += other.rest;
    }

    /// The sum so far, rounded once. Infinities and NaN come out as in a plain sum.
    #[inline]
    pub fn value(&self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.rest
        } else {
            self.sum
        }
    }
}

impl Extend<f64> for Sum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|x| self.add(x));
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut sum = Sum::default();
        sum.extend(numbers);
        sum
    }
}

/// Numbers a leaf of [`pairwise`] adds up.
const BLOCK: usize = 256;
/// Accumulators of a leaf, whatever the width of the machine's registers.
const LANES: usize = 8;

/// The sum in one fixed tree: as fast as a plain loop, with an error that grows like log n.
///
/// ```
/// assert_eq!(cvm_math::sums::pairwise(&[0.1; 10]), 1.0);
/// ```
pub fn pairwise(x: &[f64]) -> f64 {
    if x.len() <= BLOCK {
        return block(x);
    }
    // The left part is the largest power of two of blocks that leaves something to the right.
    let blocks = x.len().div_ceil(BLOCK);
    let left = blocks.next_power_of_two() / 2 * BLOCK;
    let (left, right) = x.split_at(left);
    pairwise(left) + pairwise(right)
}

/// A leaf: eight interleaved sums, then those in pairs.
fn block(x: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of mixed sign and size; their exact sum is 1.
    fn hard(n: usize) -> Vec<f64> {
        let mut x: Vec<f64> = (0..n)
            .map(|i| ((i * 37 % 101) as f64 - 50.0) * 1e10 / 3.0)
            .collect();
        let negated: Vec<f64> = x.iter().rev().map(|x| -x).collect();
        x.push(1.0);
        x.extend(negated);
        x
    }

    #[test]
    fn compensated_sum_loses_nothing() {
        assert_eq!(hard(5000).into_iter().collect::<Sum>().value(), 1.0);
    }

    #[test]
    fn merged_blocks_equal_one_another_in_any_grouping_of_threads() {
        let x = hard(5000);
        let parts: Vec<Sum> = x.chunks(512).map(|c| c.iter().copied().collect()).collect();
        let merged = parts.iter().fold(Sum::default(), |mut sum, part| {
            sum.merge(part);
            sum
        });
        assert_eq!(merged.value(), 1.0);
    }

    #[test]
    fn infinities_stay() {
        assert_eq!(
            [1.0, f64::INFINITY, 2.0]
                .into_iter()
                .collect::<Sum>()
                .value(),
            f64::INFINITY
        );
        assert!(
            [f64::INFINITY, f64::NEG_INFINITY]
                .into_iter()
                .collect::<Sum>()
                .value()
                .is_nan()
        );
    }

    #[test]
    fn pairwise_is_near_the_exact_sum_at_every_length() {
        let x: Vec<f64> = (0..3000).map(|i| 1.0 / (1.0 + i as f64)).collect();
        for n in (0..600).chain([1023, 1024, 1025, 2048, 2999, 3000]) {
            let exact = x[..n].iter().copied().collect::<Sum>().value();
            assert!((pairwise(&x[..n]) - exact).abs() <= 2e-15, "{n}");
        }
    }

    #[test]
    fn pairwise_tree_is_fixed_by_full_blocks() {
        let x: Vec<f64> = (0..4 * BLOCK).map(|i| 1.0 / (1.0 + i as f64)).collect();
        let halves = pairwise(&x[..2 * BLOCK]) + pairwise(&x[2 * BLOCK..]);
        assert_eq!(pairwise(&x).to_bits(), halves.to_bits());
    }
}

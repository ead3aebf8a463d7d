//! A counter-based generator: draw `n` of stream `s` depends on nothing but the seed, `s` and `n`.
//!
//! A key is mixed from seed and stream; draw `n` is the finaliser of SplitMix64 over
//! `key + n · golden` (Steele, Lea & Flood 2014, *OOPSLA*, "Fast splittable pseudorandom number
//! generators"; finaliser: Stafford's variant 13). No state is shared between streams, so replicates
//! may run in any order on any number of threads.

use cvm_math::{exp, ln};

/// 2^64 over the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One stream of draws.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// Stream `index` of `seed`.
    #[must_use]
    pub fn new(seed: u64, index: u64) -> Self {
        let key = mix(mix(seed.wrapping_add(GOLDEN)) ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Stream { state: key }
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in the open interval (0, 1), on a grid of 2^-53.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform integer below `bound`: the high half of a 128-bit product, whose bias is below
    /// `bound / 2^64`.
    #[allow(clippy::cast_possible_truncation)]
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Exponential of mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -ln(self.uniform())
    }

    /// Poisson of mean 1, by inversion.
    pub(crate) fn poisson_one(&mut self) -> f64 {
        let mut rest = self.uniform();
        let (mut count, mut mass) = (0.0, exp(-1.0));
        while rest > mass && count < 30.0 {
            rest -= mass;
            count += 1.0;
            mass /= count;
        }
        count
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::Stream;

    fn moments(draw: impl Fn(&mut Stream) -> f64) -> (f64, f64) {
        let mut stream = Stream::new(7, 3);
        let draws: Vec<f64> = (0..200_000).map(|_| draw(&mut stream)).collect();
        let mean = draws.iter().sum::<f64>() / 2e5;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 2e5;
        (mean, variance)
    }

    /// Five standard errors of each moment over 200 000 draws.
    #[test]
    fn draws_have_their_moments() {
        let near = |got: f64, want: f64, error: f64| assert!((got - want).abs() < error, "{got}");
        let (mean, variance) = moments(Stream::uniform);
        near(mean, 0.5, 0.0033);
        near(variance, 1.0 / 12.0, 0.001);
        for draw in [Stream::exponential, Stream::poisson_one] {
            let (mean, variance) = moments(draw);
            near(mean, 1.0, 0.0112);
            near(variance, 1.0, 0.032);
        }
        #[allow(clippy::cast_precision_loss)]
        let (mean, _) = moments(|stream| stream.below(11) as f64);
        near(mean, 5.0, 0.036);
    }

    #[test]
    fn streams_and_seeds_differ_and_repeat() {
        let first = |seed, index| Stream::new(seed, index).bits();
        assert_eq!(first(1, 2), first(1, 2));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            for index in 0..100 {
                seen.insert(first(seed, index));
            }
        }
        assert_eq!(seen.len(), 10_000);
    }
}

//! Seeded random numbers for simulation: a generator and exact samplers built on `cvm_math` alone,
//! so that a seed gives the same customers on every machine.

use cvm_math::{exp, ln, log1p, sigmoid};

/// The xoshiro256++ generator (Blackman & Vigna 2021, *ACM TOMS* 47(4)), seeded through SplitMix64
/// (Steele, Lea & Flood 2014, *OOPSLA*).
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

/// Increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Output function of SplitMix64.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

impl Random {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let word = |index: u64| mix(seed.wrapping_add(GOLDEN.wrapping_mul(index)));
        Random {
            state: [word(1), word(2), word(3), word(4)],
        }
    }

    /// The generator of one row: rows can be drawn in any order and on any number of threads.
    #[must_use]
    pub fn for_row(seed: u64, row: u64) -> Self {
        Random::new(mix(seed.wrapping_add(GOLDEN)) ^ mix(row.wrapping_add(1)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.state;
        let out = s0.wrapping_add(*s3).rotate_left(23).wrapping_add(*s0);
        let carry = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= carry;
        *s3 = s3.rotate_left(45);
        out
    }

    /// Uniform on the open interval (0, 1): the midpoints of 2^52 cells.
    pub fn uniform(&mut self) -> f64 {
        const CELLS: f64 = 4_503_599_627_370_496.0;
        ((self.bits() >> 12) as f64 + 0.5) / CELLS
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -ln(self.uniform())
    }

    /// Standard normal, by Marsaglia's polar method (1964).
    pub fn normal(&mut self) -> f64 {
        loop {
            let u = 2.0 * self.uniform() - 1.0;
            let v = 2.0 * self.uniform() - 1.0;
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                return u * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// Logarithm of a Gamma(shape, 1) variate; the logarithm does not underflow however small the
    /// shape. Marsaglia & Tsang (2000), *ACM TOMS* 26(3), with their boost for shapes below 1.
    pub fn ln_gamma_variate(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.ln_gamma_variate(shape + 1.0) + ln(self.uniform()) / shape;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            let bound = 0.5 * normal * normal + d - d * cube + d * ln(cube);
            if ln(self.uniform()) < bound {
                return ln(d) + ln(cube);
            }
        }
    }

    /// Gamma(shape, 1).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        exp(self.ln_gamma_variate(shape))
    }

    /// Beta(a, b), as a ratio of gamma variates taken in logarithms.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let first = self.ln_gamma_variate(a);
        let second = self.ln_gamma_variate(b);
        sigmoid(first - second)
    }

    /// Trials up to and including the first success of probability `p`; at most 2^53.
    pub fn geometric(&mut self, p: f64) -> f64 {
        const LARGEST: f64 = 9_007_199_254_740_992.0;
        let trials = (ln(self.uniform()) / log1p(-p)).ceil();
        // p = 1 gives 0/-inf, p = 0 gives -x/-0 = inf.
        if trials < 1.0 {
            1.0
        } else {
            trials.min(LARGEST)
        }
    }

    /// Poisson with the given mean (finite, at most 2^53), by halving with a gamma order statistic
    /// until the mean is small (Ahrens & Dieter 1974, *Computing* 12): the number of steps grows
    /// with the logarithm of the mean.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        const SMALL: f64 = 16.0;
        let (mut count, mut mean) = (0.0, mean);
        while mean > SMALL {
            let events = (mean * 0.875).floor();
            let time = self.gamma(events);
            if time > mean {
                return count + self.binomial(events - 1.0, mean / time);
            }
            count += events;
            mean -= time;
        }
        let mut time = self.exponential();
        while time <= mean {
            count += 1.0;
            time += self.exponential();
        }
        count
    }

    /// Binomial, by splitting at a beta order statistic until few trials are left (Ahrens & Dieter
    /// 1974).
    fn binomial(&mut self, trials: f64, probability: f64) -> f64 {
        const FEW: f64 = 16.0;
        let (mut count, mut trials, mut probability) = (0.0, trials, probability);
        while trials > FEW {
            let rank = (trials * 0.5).floor() + 1.0;
            let split = self.beta(rank, trials + 1.0 - rank);
            if probability <= split {
                trials = rank - 1.0;
                probability /= split;
            } else {
                count += rank;
                trials -= rank;
                probability = (probability - split) / (1.0 - split);
            }
        }
        while trials > 0.0 {
            count += f64::from(u8::from(self.uniform() < probability));
            trials -= 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// Mean and variance of `draws` samples.
    fn moments(draws: u32, mut sample: impl FnMut() -> f64) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..draws {
            let value = sample();
            sum += value;
            squares += value * value;
        }
        let mean = sum / f64::from(draws);
        (mean, squares / f64::from(draws) - mean * mean)
    }

    /// Five standard errors of the mean, and a fifth of the variance.
    fn agrees(name: &str, got: (f64, f64), mean: f64, variance: f64, draws: u32) {
        let error = 5.0 * (variance / f64::from(draws)).sqrt();
        assert!((got.0 - mean).abs() < error, "{name}: mean {}", got.0);
        assert!(
            (got.1 / variance - 1.0).abs() < 0.2,
            "{name}: variance {}",
            got.1
        );
    }

    #[test]
    fn first_words_of_the_reference_generator() {
        // SplitMix64 from state 0 starts with this word (Vigna's splitmix64.c).
        let random = Random::new(0);
        assert_eq!(random.state[0], 0xE220_A839_7B1D_CDAF);
        // xoshiro256++ from state (1, 2, 3, 4), as in the reference implementation.
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        assert_eq!(random.bits(), 41_943_041);
        assert_eq!(random.bits(), 58_720_359);
    }

    #[test]
    fn samplers_have_their_moments() {
        const DRAWS: u32 = 100_000;
        let mut random = Random::new(11);
        let uniform = moments(DRAWS, || random.uniform());
        agrees("uniform", uniform, 0.5, 1.0 / 12.0, DRAWS);
        let normal = moments(DRAWS, || random.normal());
        agrees("normal", normal, 0.0, 1.0, DRAWS);
        for shape in [0.2, 1.0, 7.5] {
            let gamma = moments(DRAWS, || random.gamma(shape));
            agrees("gamma", gamma, shape, shape, DRAWS);
        }
        let beta = moments(DRAWS, || random.beta(0.8, 2.4));
        agrees("beta", beta, 0.25, 0.25 * 0.75 / 4.2, DRAWS);
        for mean in [0.3, 15.0, 17.0, 4000.0] {
            let poisson = moments(DRAWS, || random.poisson(mean));
            agrees("poisson", poisson, mean, mean, DRAWS);
        }
        let geometric = moments(DRAWS, || random.geometric(0.25));
        agrees("geometric", geometric, 4.0, 12.0, DRAWS);
    }

    #[test]
    fn extremes_stay_in_range() {
        let mut random = Random::new(5);
        assert_eq!(random.geometric(1.0), 1.0);
        assert!(random.geometric(0.0) >= 1.0);
        for _ in 0..1000 {
            assert!((0.0..=1.0).contains(&random.beta(1e-3, 1e-3)));
            assert!(random.gamma(1e-3).is_finite());
        }
        assert_eq!(random.poisson(0.0), 0.0);
    }
}

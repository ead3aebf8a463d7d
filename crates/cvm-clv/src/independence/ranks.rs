//! Ranks with ties, Kendall's τ-b by merge sort, and the tail of the normal distribution.

use cvm_math::exp;

/// Ranks from 1; equal values share the mean of theirs.
#[must_use]
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0usize;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = before as f64 + 0.5 * (tied.len() as f64 + 1.0);
        tied.iter().for_each(|index| ranks[*index] = rank);
        before += tied.len();
    }
    ranks
}

/// τ-b and its score in standard deviations under independence.
pub(super) struct Kendall {
    pub(super) tau: f64,
    pub(super) z: f64,
}

/// Sums over groups of `t` equal values: `Σt(t−1)`, `Σt(t−1)(t−2)`, `Σt(t−1)(2t+5)`.
#[derive(Default)]
struct Ties {
    pairs: f64,
    triples: f64,
    weighted: f64,
}

impl Ties {
    fn add(&mut self, tied: usize) {
        let t = tied as f64;
        let pairs = t * (t - 1.0);
        self.pairs += pairs;
        self.triples += pairs * (t - 2.0);
        self.weighted += pairs * (2.0 * t + 5.0);
    }
}

/// Knight's method (1966, *JASA* 61): sort by `x`, count the exchanges that sort `m`.
pub(super) fn kendall(x: &[f64], m: &[f64]) -> Kendall {
    let mut pairs: Vec<(f64, f64)> = x.iter().copied().zip(m.iter().copied()).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut ties_x, mut both) = (Ties::default(), Ties::default());
    for same in pairs.chunk_by(|a, b| a.0 == b.0) {
        ties_x.add(same.len());
        same.chunk_by(|a, b| a.1 == b.1)
            .for_each(|tied| both.add(tied.len()));
    }
    let mut values: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let exchanges = sort_counting(&mut values);
    let mut ties_m = Ties::default();
    values
        .chunk_by(|a, b| a == b)
        .for_each(|tied| ties_m.add(tied.len()));
    let n = x.len() as f64;
    let all = n * (n - 1.0);
    let score = 0.5 * (all - ties_x.pairs - ties_m.pairs + both.pairs) - 2.0 * exchanges;
    let tau = 2.0 * score / ((all - ties_x.pairs) * (all - ties_m.pairs)).sqrt();
    let first = (all * (2.0 * n + 5.0) - ties_x.weighted - ties_m.weighted) / 18.0;
    let second = ties_x.pairs * ties_m.pairs / (2.0 * all);
    let third = ties_x.triples * ties_m.triples / (9.0 * all * (n - 2.0));
    Kendall {
        tau,
        z: score / (first + second + third).sqrt(),
    }
}

/// Sorts and returns how many pairs were out of order.
fn sort_counting(values: &mut [f64]) -> f64 {
    let mut spare = values.to_vec();
    let (mut exchanges, mut width) = (0.0, 1);
    while width < values.len() {
        for (from, to) in values.chunks(2 * width).zip(spare.chunks_mut(2 * width)) {
            exchanges += merge_counting(from, width.min(from.len()), to);
        }
        values.copy_from_slice(&spare);
        width *= 2;
    }
    exchanges
}

fn merge_counting(from: &[f64], middle: usize, to: &mut [f64]) -> f64 {
    let (left, right) = from.split_at(middle);
    let (mut i, mut j, mut exchanges) = (0, 0, 0.0);
    for slot in to {
        let take_left = i < left.len() && (j == right.len() || left[i] <= right[j]);
        if take_left {
            *slot = left[i];
            i += 1;
        } else {
            *slot = right[j];
            j += 1;
            exchanges += (left.len() - i) as f64;
        }
    }
    exchanges
}

/// `P(|Z| ≥ |z|)`: the series of Abramowitz & Stegun (1964) 26.2.11 near zero, the continued
/// fraction 26.2.14 beyond.
pub(super) fn two_sided_normal(z: f64) -> f64 {
    const FAR: f64 = 2.5;
    /// `2/√(2π)`.
    const TWICE_DENSITY: f64 = 0.797_884_560_802_865_4;
    let z = z.abs();
    let density = TWICE_DENSITY * exp(-0.5 * z * z);
    if z.is_nan() {
        return f64::NAN;
    }
    if z < FAR {
        let (mut sum, mut term) = (z, z);
        for n in 1..200 {
            term *= z * z / (2.0 * f64::from(n) + 1.0);
            sum += term;
        }
        return 1.0 - density * sum;
    }
    let fraction = (1..=400).rev().fold(z, |below, n| z + f64::from(n) / below);
    density / fraction
}

#[cfg(test)]
mod tests {
    use super::{kendall, midranks, two_sided_normal};

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(midranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    /// R: `2*pnorm(-z)`.
    #[test]
    fn normal_tails() {
        let known = [
            (0.0, 1.0),
            (1.0, 0.317_310_507_862_914_1),
            (1.96, 0.049_995_790_296_440_86),
            (2.5, 0.012_419_330_651_552_27),
            (6.0, 1.973_175_290_075_396e-9),
            (30.0, 9.813_427_854_297_537e-198),
        ];
        for (z, want) in known {
            let got = two_sided_normal(-z);
            assert!((got / want - 1.0).abs() < 1e-12, "{z}: {got} {want}");
        }
    }

    /// Against all pairs, one by one.
    #[test]
    fn pairs_are_counted() {
        let x: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 11)).collect();
        let m: Vec<f64> = (0..60).map(|i| f64::from(i * 53 % 17)).collect();
        let (mut score, mut ties_x, mut ties_m) = (0.0, 0.0, 0.0);
        for i in 0..60 {
            for j in 0..i {
                let (dx, dm): (f64, f64) = (x[i] - x[j], m[i] - m[j]);
                ties_x += f64::from(u8::from(dx == 0.0));
                ties_m += f64::from(u8::from(dm == 0.0));
                score += if dx == 0.0 || dm == 0.0 {
                    0.0
                } else {
                    (dx * dm).signum()
                };
            }
        }
        let all = 60.0 * 59.0 / 2.0;
        let want = score / ((all - ties_x) * (all - ties_m)).sqrt();
        assert!((kendall(&x, &m).tau - want).abs() < 1e-14);
    }
}

//! How regular purchases are, from the last gaps of the customers who made enough.
//!
//! If gaps are Gamma(`k`) with a rate of the customer's own, the share `M` of two successive gaps
//! that the first takes is Beta(`k`, `k`) whatever the rate, so its variance tells `k`:
//!
//! ```text
//! Var(M) = 1/(4(2k+1))   →   k = (1 − 4V)/(8V),   V = mean of (M − 1/2)²
//! ```
//!
//! The mean of `M` is known to be 1/2, so the order of the two gaps does not matter.
//!
//! Source: Wheat & Morrison (1990), Estimating purchase regularity with two interpurchase times,
//! *Journal of Marketing Research* 27(1), 87–93.

/// The regularity `k` of Wheat & Morrison from two successive gaps of each customer: 1 for a Poisson
/// process, larger for regular, smaller for clumped buying. Pairs that are not positive and finite
/// are left out; `None` without any pair, infinite where all are equal.
#[must_use]
pub fn k_wheat(gap_pairs: &[(f64, f64)]) -> Option<f64> {
    let legal = |(first, second): &(f64, f64)| {
        *first > 0.0 && *second > 0.0 && (first + second).is_finite()
    };
    let share = |(first, second): &(f64, f64)| first / (first + second);
    let shares: Vec<f64> = gap_pairs.iter().filter(|p| legal(p)).map(share).collect();
    if shares.is_empty() {
        return None;
    }
    let squares: f64 = shares
        .iter()
        .map(|share| (share - 0.5) * (share - 0.5))
        .sum();
    let variance = squares / shares.len() as f64;
    Some((1.0 - 4.0 * variance) / (8.0 * variance))
}

#[cfg(test)]
mod tests {
    use super::k_wheat;
    use crate::Random;

    #[test]
    fn gamma_gaps_give_their_shape_back() {
        for k in [0.5, 1.0, 3.0] {
            let mut random = Random::new(1990);
            let pairs: Vec<(f64, f64)> = (0..40_000)
                .map(|_| {
                    let scale = random.gamma(0.7) + 1e-9;
                    (scale * random.gamma(k), scale * random.gamma(k))
                })
                .collect();
            let got = k_wheat(&pairs).unwrap();
            assert!((got / k - 1.0).abs() < 0.03, "{k}: {got}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(k_wheat(&[]), None);
        assert_eq!(k_wheat(&[(0.0, 1.0), (f64::NAN, 1.0)]), None);
        assert_eq!(k_wheat(&[(2.0, 2.0), (7.0, 7.0)]), Some(f64::INFINITY));
        // Shares 0.25 and 0.75: V = 1/16, k = (3/4)/(1/2).
        assert_eq!(k_wheat(&[(1.0, 3.0), (3.0, 1.0)]), Some(1.5));
    }
}

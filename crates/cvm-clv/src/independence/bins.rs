//! Quartiles of spend by frequency: what a box plot of independence draws.

/// Customers of neighbouring frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendBin {
    /// Smallest frequency in the bin.
    pub frequency_low: f64,
    /// Largest frequency in the bin.
    pub frequency_high: f64,
    /// Customers.
    pub customers: usize,
    /// Quarter of them spend less.
    pub lower_quartile: f64,
    /// Half of them spend less.
    pub median: f64,
    /// Three quarters of them spend less.
    pub upper_quartile: f64,
    /// Mean of their spend.
    pub mean: f64,
}

/// At most `bins` bins of about equal numbers; customers of one frequency stay together.
pub(super) fn bins(told: &[(f64, f64)], bins: usize) -> Vec<SpendBin> {
    let mut sorted = told.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut found = Vec::new();
    let (mut open, mut before) = (Vec::new(), 0usize);
    for same in sorted.chunk_by(|a, b| a.0 == b.0) {
        open.extend_from_slice(same);
        before += same.len();
        // The bin is full when its share of all customers is.
        if before * bins >= (found.len() + 1) * sorted.len() {
            found.push(bin(std::mem::take(&mut open)));
        }
    }
    if !open.is_empty() {
        found.push(bin(open));
    }
    found
}

fn bin(mut pairs: Vec<(f64, f64)>) -> SpendBin {
    let frequency_low = pairs.first().map_or(f64::NAN, |pair| pair.0);
    let frequency_high = pairs.last().map_or(f64::NAN, |pair| pair.0);
    pairs.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let count = pairs.len() as f64;
    SpendBin {
        frequency_low,
        frequency_high,
        customers: pairs.len(),
        lower_quartile: quantile(&pairs, 0.25),
        median: quantile(&pairs, 0.5),
        upper_quartile: quantile(&pairs, 0.75),
        mean: pairs.iter().map(|pair| pair.1 / count).sum(),
    }
}

/// Linear between order statistics, as numpy and R (type 7) have it by default.
fn quantile(sorted: &[(f64, f64)], share: f64) -> f64 {
    let place = share * (sorted.len() as f64 - 1.0);
    let below = place.floor();
    let at = |index: f64| sorted[(index as usize).min(sorted.len() - 1)].1;
    at(below) + (place - below) * (at(below + 1.0) - at(below))
}

#[cfg(test)]
mod tests {
    use super::bins;

    #[test]
    fn frequencies_stay_together_and_all_are_counted() {
        let told: Vec<(f64, f64)> = (0..100)
            .map(|i| (f64::from(1 + i % 7 * (i % 3)), f64::from(i)))
            .collect();
        for most in [1, 2, 5, 50] {
            let found = bins(&told, most);
            assert!(!found.is_empty() && found.len() <= most);
            assert_eq!(found.iter().map(|bin| bin.customers).sum::<usize>(), 100);
            for pair in found.windows(2) {
                assert!(pair[0].frequency_high < pair[1].frequency_low);
            }
        }
        let one = bins(&told, 1)[0];
        assert_eq!((one.lower_quartile, one.median), (24.75, 49.5));
    }
}

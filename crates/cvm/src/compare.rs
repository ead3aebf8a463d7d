//! Two versions' scores of the same rows side by side: differences, ranks, deciles, stability.
//!
//! | symbol   | meaning                                                                         |
//! |----------|---------------------------------------------------------------------------------|
//! | `d_i`    | candidate minus base, row `i`                                                   |
//! | `R, S`   | ranks of base and candidate from 1; ties share their mean rank                  |
//! | `ρ`      | `Σ (R − R̄)(S − S̄) / √(Σ (R − R̄)² Σ (S − S̄)²)`                                   |
//! | `M[j,k]` | rows in decile `j` of base and `k` of candidate; decile = `⌊10 (R − 1/2) / n⌋`  |
//! | PSI      | of the candidate against base, in bins with edges at the deciles of base        |
//!
//! Sources: Spearman (1904), *American Journal of Psychology* 15(1), for `ρ`; Kendall (1945),
//! *Biometrika* 33(3), for mean ranks of ties; the index as in [`crate::metrics::psi`].

use crate::metrics::psi;
use cvm_clv::midranks;

/// Groups of the migration matrix and bins of the stability index.
pub const DECILES: usize = 10;

/// How two versions score the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Rows with a finite score of both.
    pub row_count: usize,
    /// Rows with a finite score of only one of them.
    pub unlike_count: usize,
    /// Mean of candidate minus base; NaN without rows.
    pub delta_mean: f64,
    /// Mean of its absolute value; NaN without rows.
    pub delta_abs_mean: f64,
    /// Largest absolute value; NaN without rows.
    pub delta_abs_max: f64,
    /// Spearman's rank correlation; NaN where all scores of one version are the same.
    pub rank_correlation: f64,
    /// Rows by decile of base and decile of candidate, both from the lowest.
    pub migration: [[u64; DECILES]; DECILES],
    /// Population stability index of the candidate's scores against those of base; NaN without rows.
    pub psi: f64,
}

impl Comparison {
    /// Share of rows that the candidate puts into another decile than base; NaN without rows.
    #[must_use]
    pub fn moved_share(&self) -> f64 {
        let rows = self.migration.iter().enumerate();
        let stayed: u64 = rows.filter_map(|(own, row)| row.get(own)).sum();
        let all: u64 = self.migration.iter().flatten().sum();
        // Counts of a window: far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let share = (all - stayed) as f64 / all as f64;
        share
    }
}

/// Compares scores of the same rows, in the same order.
///
/// Rows that either version has no finite score for are counted and left out.
#[must_use]
pub fn compare(base: &[f64], candidate: &[f64]) -> Comparison {
    let pairs = base.iter().zip(candidate).map(|(b, c)| (*b, *c));
    let unlike = pairs
        .clone()
        .filter(|(b, c)| b.is_finite() != c.is_finite());
    let unlike_count = unlike.count();
    let both = pairs.filter(|(b, c)| b.is_finite() && c.is_finite());
    let (base, candidate): (Vec<f64>, Vec<f64>) = both.unzip();
    let deltas: Vec<f64> = base.iter().zip(&candidate).map(|(b, c)| c - b).collect();
    let absolute: Vec<f64> = deltas.iter().map(|delta| delta.abs()).collect();
    let (base_ranks, candidate_ranks) = (midranks(&base), midranks(&candidate));
    let largest = absolute.iter().copied().fold(f64::NAN, f64::max);
    Comparison {
        row_count: base.len(),
        unlike_count,
        delta_mean: mean(&deltas),
        delta_abs_mean: mean(&absolute),
        delta_abs_max: largest,
        rank_correlation: correlation(&base_ranks, &candidate_ranks),
        migration: migration(&base_ranks, &candidate_ranks),
        psi: stability(&base, &candidate),
    }
}

/// NaN without values.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Pearson's correlation; NaN if either side does not vary.
fn correlation(left: &[f64], right: &[f64]) -> f64 {
    let (left_mean, right_mean) = (mean(left), mean(right));
    let (mut both, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (l, r) in left.iter().zip(right) {
        let (l, r) = (l - left_mean, r - right_mean);
        both += l * r;
        left_square += l * l;
        right_square += r * r;
    }
    both / (left_square.sqrt() * right_square.sqrt())
}

fn migration(base: &[f64], candidate: &[f64]) -> [[u64; DECILES]; DECILES] {
    let count = base.len() as f64;
    let decile = |rank: f64| {
        let place = (DECILES as f64 * (rank - 0.5) / count) as usize;
        place.min(DECILES - 1)
    };
    let mut matrix = [[0; DECILES]; DECILES];
    for (b, c) in base.iter().zip(candidate) {
        matrix[decile(*b)][decile(*c)] += 1;
    }
    matrix
}

/// The index in bins with edges at the deciles of base; a value on an edge is below it.
fn stability(base: &[f64], candidate: &[f64]) -> f64 {
    let mut sorted = base.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return f64::NAN;
    }
    let edge = |k: usize| sorted[(k * sorted.len()).div_ceil(DECILES) - 1];
    let edges: Vec<f64> = (1..DECILES).map(edge).collect();
    let counts = |values: &[f64]| {
        let mut counts = [0.0; DECILES];
        for value in values {
            counts[edges.partition_point(|edge| edge < value)] += 1.0;
        }
        counts
    };
    psi(&counts(base), &counts(candidate)).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::compare;
    use cvm_clv::midranks;

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(midranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert_eq!(midranks(&[5.0; 4]), [2.5; 4]);
        assert_eq!(midranks(&[0.0, -0.0]), [1.5, 1.5]);
    }

    /// IQ and hours of television of ten people, an example in wide use: ρ = −29/165.
    #[test]
    fn the_rank_correlation_is_the_known_one() {
        let iq = [
            86.0, 97.0, 99.0, 100.0, 101.0, 103.0, 106.0, 110.0, 112.0, 113.0,
        ];
        let hours = [2.0, 20.0, 28.0, 27.0, 50.0, 29.0, 7.0, 17.0, 6.0, 12.0];
        let found = compare(&iq, &hours);
        assert!((found.rank_correlation - -29.0 / 165.0).abs() < 1e-15);
        assert_eq!(found.row_count, 10);
        // One row per decile of either side: R and S less one.
        assert_eq!(found.migration[0][0], 1);
        assert_eq!(found.migration[1][5], 1);
        assert_eq!(found.migration[9][3], 1);
        // Only the first keeps its rank.
        assert!((found.moved_share() - 0.9).abs() < 1e-15);
    }

    #[test]
    fn a_version_compared_with_itself_has_not_moved() {
        let scores: Vec<f64> = (0..1000).map(|i| f64::from(i * 7919 % 1000)).collect();
        let same = compare(&scores, &scores);
        assert_eq!((same.delta_abs_max, same.psi), (0.0, 0.0));
        assert_eq!(same.moved_share(), 0.0);
        assert!(compare(&[], &[]).moved_share().is_nan());
        assert!((same.rank_correlation - 1.0).abs() < 1e-12);
        for (row, counts) in same.migration.iter().enumerate() {
            for (column, count) in counts.iter().enumerate() {
                assert_eq!(*count, if row == column { 100 } else { 0 });
            }
        }
        let flipped: Vec<f64> = scores.iter().map(|score| -score).collect();
        assert!((compare(&scores, &flipped).rank_correlation + 1.0).abs() < 1e-12);
    }

    /// Base has 100 rows in each bin; a shift of one bin leaves the first empty and doubles the last:
    /// PSI with half a row added to each of 10 bins of 1000 rows, 1005 in all, by hand.
    #[test]
    fn a_shift_by_a_decile_has_the_index_of_its_bins() {
        let scores: Vec<f64> = (0..1000).map(f64::from).collect();
        let moved: Vec<f64> = scores.iter().map(|score| score + 100.0).collect();
        let found = compare(&scores, &moved);
        let (share, empty, double) = (100.5 / 1005.0, 0.5 / 1005.0, 200.5 / 1005.0);
        let term = |q: f64| (q - share) * (cvm_math::ln(q) - cvm_math::ln(share));
        assert!((found.psi - (term(empty) + term(double))).abs() < 1e-12);
        assert_eq!((found.delta_mean, found.delta_abs_max), (100.0, 100.0));
        assert!((found.rank_correlation - 1.0).abs() < 1e-12);
    }

    #[test]
    fn rows_without_a_score_are_counted_and_left_out() {
        let base = [1.0, f64::NAN, 3.0, f64::INFINITY, f64::NAN];
        let candidate = [2.0, 5.0, f64::NAN, f64::INFINITY, f64::NAN];
        let found = compare(&base, &candidate);
        assert_eq!((found.row_count, found.unlike_count), (1, 2));
        assert_eq!(found.delta_mean, 1.0);
        let none = compare(&[], &[]);
        assert_eq!(none.row_count, 0);
        assert!(none.delta_mean.is_nan() && none.psi.is_nan() && none.rank_correlation.is_nan());
    }
}

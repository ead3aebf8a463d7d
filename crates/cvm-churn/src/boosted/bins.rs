//! Bins of one input: at most 254 for values, one more for missing.
//!
//! Bin `j` of a number holds `edge_{j−1} < x <= edge_j`. Where there are more distinct values than
//! bins, edges cut a sample of the values into bins of equal count, and a value that fills a bin
//! alone has it alone. An edge lies halfway between the two values it parts.

use super::sampling::{draw, stream};

/// Most bins of values.
pub(crate) const MAX_BINS: usize = 254;
/// Values that edges are found from.
const SAMPLE: usize = 200_000;

/// A binned input.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Bins of values; bin `count` is missing.
    pub(crate) count: usize,
    /// Whether values were missing in training.
    pub(crate) has_missing: bool,
    /// Direction of the effect.
    pub(crate) monotone: i8,
}

/// What bins hold.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Numbers between edges.
    Number { edges: Vec<f64> },
    /// Levels; bin of each.
    Category {
        levels: Vec<String>,
        bin_of: Vec<u8>,
    },
}

impl Field {
    pub(crate) fn is_category(&self) -> bool {
        matches!(self.kind, Kind::Category { .. })
    }
}

/// Edges between bins of `values`; NaN is missing.
pub(crate) fn edges(values: &[f64], max_bins: usize) -> Vec<f64> {
    let mut sample = sample(values);
    sample.sort_unstable_by(f64::total_cmp);
    let mut distinct: Vec<(f64, usize)> = Vec::new();
    for value in sample {
        match distinct.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => distinct.push((value, 1)),
        }
    }
    if distinct.len() <= max_bins {
        return distinct.windows(2).map(between).collect();
    }
    cut(&distinct, max_bins)
}

/// Present values, at most [`SAMPLE`]: one from each stretch of rows.
fn sample(values: &[f64]) -> Vec<f64> {
    let present = |value: &&f64| !value.is_nan();
    if values.len() <= SAMPLE {
        return values.iter().filter(present).copied().collect();
    }
    let key = stream(0, 0);
    let stretch = values.len() / SAMPLE;
    let picked = values
        .chunks(stretch)
        .zip(0..)
        .map(|(chunk, index)| &chunk[(draw(key, index) % chunk.len() as u64) as usize]);
    picked.filter(present).copied().collect()
}

fn between(pair: &[(f64, usize)]) -> f64 {
    let (low, high) = (pair[0].0, pair[1].0);
    let middle = low / 2.0 + high / 2.0;
    if middle >= low && middle < high {
        middle
    } else {
        low
    }
}

/// Closes a bin once it holds its share of what is left, or before a value that has as much alone.
fn cut(distinct: &[(f64, usize)], max_bins: usize) -> Vec<f64> {
    let mut left: usize = distinct.iter().map(|(_, count)| count).sum();
    let mut bins_left = max_bins;
    let mut edges = Vec::with_capacity(max_bins);
    let mut filled = 0;
    for pair in distinct.windows(2) {
        filled += pair[0].1;
        let share = left as f64 / bins_left as f64;
        let is_full = filled as f64 >= share || pair[1].1 as f64 >= share;
        if is_full && bins_left > 1 {
            edges.push(between(pair));
            left -= filled;
            filled = 0;
            bins_left -= 1;
        }
    }
    edges
}

/// Bin of every value, NaN in bin `edges.len() + 1`.
pub(crate) fn assign(values: &[f64], edges: &[f64], out: &mut Vec<u8>) {
    out.clear();
    let missing = edges.len() + 1;
    out.extend(values.iter().map(|value| {
        let bin = if value.is_nan() {
            missing
        } else {
            edges.partition_point(|edge| edge < value)
        };
        bin as u8
    }));
}

/// Bin of every level: its own; beyond [`MAX_BINS`] the rarest share the last one.
pub(crate) fn level_bins(counts: &[usize]) -> (Vec<u8>, usize) {
    if counts.len() <= MAX_BINS {
        return (
            (0..counts.len()).map(|bin| bin as u8).collect(),
            counts.len(),
        );
    }
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|level| (std::cmp::Reverse(counts[*level]), *level));
    let mut bins = vec![(MAX_BINS - 1) as u8; counts.len()];
    for (bin, level) in order.iter().take(MAX_BINS - 1).enumerate() {
        bins[*level] = bin as u8;
    }
    (bins, MAX_BINS)
}

#[cfg(test)]
mod tests {
    use super::{assign, edges, level_bins};

    #[test]
    fn few_values_have_a_bin_each_and_edges_between() {
        let values = [3.0, 1.0, f64::NAN, 2.0, 1.0];
        let found = edges(&values, 254);
        assert_eq!(found, [1.5, 2.5]);
        let mut bins = Vec::new();
        assign(&values, &found, &mut bins);
        assert_eq!(bins, [2, 0, 3, 1, 0]);
    }

    #[test]
    fn an_edge_parts_neighbours_and_survives_the_largest_numbers() {
        let low = 1.0_f64;
        let high = low.next_up();
        assert_eq!(edges(&[low, high], 254), [low]);
        assert_eq!(edges(&[-1e308, 1e308], 254), [0.0]);
    }

    #[test]
    fn many_values_fill_bins_evenly_and_a_frequent_one_stands_alone() {
        let mut values: Vec<f64> = (0..10_000).map(f64::from).collect();
        values.extend([5000.0; 5000]);
        let found = edges(&values, 100);
        assert!(found.len() >= 60 && found.len() < 100, "{}", found.len());
        assert!(found.is_sorted());
        let alone = found
            .iter()
            .position(|edge| *edge >= 5000.0)
            .map(|at| found[at]);
        assert_eq!(alone, Some(5000.5));
        assert!(found.contains(&4999.5));
    }

    #[test]
    fn rare_levels_share_the_last_bin() {
        let counts: Vec<usize> = (1..=300).collect();
        let (bins, count) = level_bins(&counts);
        assert_eq!(
            (count, bins[299], bins[0], bins[46], bins[47]),
            (254, 0, 253, 253, 252)
        );
    }
}

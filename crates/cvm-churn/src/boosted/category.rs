//! The order in which the levels of a category are split.
//!
//! Levels are put in the order of `G/(H + s)`, gradient over curvature with smoothing `s`, summed
//! over the leaves a question is asked of; then they are cut like a number. For one leaf and `s = 0`
//! the best two groups are such a cut.
//!
//! Source: Fisher (1958), *JASA* 53(284), lemma; Breiman et al. (1984), theorem 4.5.

use super::gradient::Steps;

/// Up to this many levels, cuts cost no more than those of a number.
pub(crate) const FEW: usize = 4;

/// Up to this many levels, being put in order costs nothing: the months of a year.
pub(crate) const FREE: usize = 12;

/// Bins that hold rows, in their order; `sums` is bin, gradient, curvature.
pub(crate) fn order(sums: &[(usize, i64, i64)], steps: Steps, smoothing: f64) -> Vec<usize> {
    let present = sums.iter().filter(|(_, _, curvature)| *curvature > 0);
    let key = |gradient: i64, curvature: i64| {
        gradient as f64 * steps.gradient / (curvature as f64 * steps.curvature + smoothing)
    };
    let mut keyed: Vec<(f64, usize)> = present.map(|(bin, g, h)| (key(*g, *h), *bin)).collect();
    keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, bin)| bin).collect()
}

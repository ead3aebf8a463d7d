//! The plain walk: every comparison as its library makes it, on floats, for any forest.
//!
//! What the packed forms cannot hold is scored by it, and they are tested against it.

use super::forest::Forest;
use super::link::narrow;
use super::rules::{Rules, Width};

/// Sums of all rows: `base.len()` numbers a row; `values` gives `rows` rows, field after field.
pub(crate) fn sum(
    forest: &Forest,
    rules: &Rules,
    base: &[f64],
    values: &[f64],
    rows: usize,
    sums: &mut [f64],
) {
    for (row, sums) in sums.chunks_exact_mut(base.len()).enumerate() {
        let value = |field: usize| values[field * rows + row];
        for (sum, base) in sums.iter_mut().zip(base) {
            *sum = narrow(rules.sum, *base);
        }
        for (tree, root) in forest.roots().iter().enumerate() {
            let leaf = forest.leaf(*root as usize, rules, value);
            if forest.width == 1 {
                let output = usize::from(forest.tree_outputs[tree]);
                add(rules.sum, &mut sums[output], forest.leaf_value(leaf, value));
            } else {
                for (sum, value) in sums.iter_mut().zip(forest.leaf_vector(leaf)) {
                    add(rules.sum, sum, *value);
                }
            }
        }
    }
}

/// A sum of two doubles that hold floats, rounded to a float, is the float sum: a double has more
/// than twice its bits (Figueroa 1995).
fn add(width: Width, sum: &mut f64, value: f64) {
    *sum = narrow(width, *sum + narrow(width, value));
}

//! Exact interventional TreeSHAP: a field outside the coalition takes a background row's value.
//!
//! Against one background row `b`, a leaf of value `w` is reached in exactly those coalitions that
//! hold all `n` fields on its path that only the row `x` passes and none of the `m` that only `b`
//! passes. By Shapley's rule
//!
//! ```text
//! φ_j += w (n−1)! m! / (n+m)!    of each of the n
//! φ_j −= w n! (m−1)! / (n+m)!    of each of the m
//! ```
//!
//! and the attribution is the mean over background rows. A leaf with a field that neither passes is
//! never reached, so a walk only branches where the two rows part for the first time on a field.
//!
//! Source: Lundberg et al. (2020), *From local explanations to global understanding with explainable
//! AI for trees*, Nature Machine Intelligence 2, algorithm 3 and its supplement; Janzing, Minorics &
//! Blöbaum (2020), *Feature relevance quantification in explainable AI* (the game).

use super::attribution::{Game, raw};
use super::forest::LEAF;
use super::model::Ensemble;

/// Most background rows.
pub(crate) const MAX_ROWS: usize = 256;
/// Most fields a pair of rows may part on along one path: the walk is that deep.
const MAX_PARTINGS: usize = 512;

/// Background rows, prepared.
#[derive(Debug)]
pub(crate) struct Background {
    /// Field after field.
    values: Vec<f64>,
    rows: usize,
    /// `n! m! / (n+m+1)!` at `[n][m]`.
    weights: Vec<f64>,
    size: usize,
}

impl Background {
    /// Of prepared values, field after field.
    ///
    /// # Errors
    /// No rows or too many, or trees too deep, in words.
    pub(crate) fn new(
        game: &Game<'_>,
        values: Vec<f64>,
        rows: usize,
    ) -> Result<Background, String> {
        if rows == 0 || rows > MAX_ROWS {
            return Err(format!(
                "{rows} background rows, must be 1 to {MAX_ROWS}: draw that many at random"
            ));
        }
        let most = game.forest.depth().min(game.field_count);
        if most > MAX_PARTINGS {
            return Err(format!(
                "a path may ask {most} fields, at most {MAX_PARTINGS} are explained"
            ));
        }
        let size = most + 1;
        Ok(Background {
            values,
            rows,
            weights: weights(size),
            size,
        })
    }

    /// Mean raw scores of the background rows, by output.
    pub(crate) fn base(&self, ensemble: &Ensemble, game: &Game<'_>) -> Vec<f64> {
        let mut sums = vec![0.0; game.output_count];
        for (tree, nodes) in game.forest.trees().enumerate() {
            for row in 0..self.rows {
                let value = |field: usize| self.values[field * self.rows + row];
                let leaf = game.forest.leaf(nodes.start, game.rules, value);
                for output in game.outputs_of(tree) {
                    sums[output] += game.leaf_value(leaf, output);
                }
            }
        }
        let means = sums.iter().zip(&ensemble.finish.base);
        let means: Vec<f64> = means
            .map(|(sum, base)| base + sum / self.rows as f64)
            .collect();
        raw(ensemble, &means)
    }

    /// Adds every tree's attributions; shapes as in `PathDependent::add`.
    pub(crate) fn add(&self, game: &Game<'_>, values: &[f64], rows: usize, out: &mut [f64]) {
        let Game {
            forest,
            rules,
            field_count: fields,
            output_count: outputs,
        } = *game;
        let mut background: Vec<bool> = Vec::new();
        let mut own: Vec<bool> = Vec::new();
        let mut seen = vec![Side::Both; fields];
        for (tree, nodes) in forest.trees().enumerate() {
            let split = |node: usize| forest.features[node] != LEAF;
            let left = |node: usize, values: &[f64], rows: usize, row: usize| {
                split(node) && {
                    let value = values[forest.features[node] as usize * rows + row];
                    forest.goes_left(node, value, rules)
                }
            };
            background.clear();
            for row in 0..self.rows {
                background.extend(nodes.clone().map(|n| left(n, &self.values, self.rows, row)));
            }
            for (row, out) in out.chunks_exact_mut(fields * outputs).enumerate() {
                own.clear();
                own.extend(nodes.clone().map(|node| left(node, values, rows, row)));
                for output in game.outputs_of(tree) {
                    let phi = &mut out[output * fields..(output + 1) * fields];
                    for theirs in background.chunks_exact(nodes.len()) {
                        let mut walk = Walk {
                            game,
                            background: self,
                            start: nodes.start,
                            output,
                            own: &own,
                            theirs,
                            seen: &mut seen,
                            phi: &mut *phi,
                        };
                        walk.visit(nodes.start, 0, 0);
                    }
                }
            }
        }
        let count = self.rows as f64;
        out.iter_mut().for_each(|phi| *phi /= count);
    }

    #[inline]
    fn weight(&self, n: usize, m: usize) -> f64 {
        self.weights[n * self.size + m]
    }
}

/// `n! m! / (n+m+1)!` for `n + m < size`, from `w(n, m) = w(n, m−1) m/(n+m+1)`.
fn weights(size: usize) -> Vec<f64> {
    let mut weights = vec![0.0; size * size];
    for n in 0..size {
        let mut weight = 1.0 / (n as f64 + 1.0);
        for m in 0..size - n {
            if m > 0 {
                weight *= m as f64 / (n + m + 1) as f64;
            }
            weights[n * size + m] = weight;
        }
    }
    weights
}

/// Whose splits on a field are followed, once the two rows have parted on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// They have not parted.
    Both,
    Own,
    Theirs,
}

/// One row against one background row in one tree.
struct Walk<'w> {
    game: &'w Game<'w>,
    background: &'w Background,
    start: usize,
    output: usize,
    /// Whether each row goes left, by place in the tree.
    own: &'w [bool],
    theirs: &'w [bool],
    seen: &'w mut [Side],
    phi: &'w mut [f64],
}

impl Walk<'_> {
    /// What the leaves below give to each of the `n` fields and take from each of the `m`; the
    /// fields on which the rows part below are settled on the way.
    fn visit(&mut self, node: usize, n: usize, m: usize) -> (f64, f64) {
        let forest = self.game.forest;
        let mut node = node;
        loop {
            let feature = forest.features[node];
            if feature == LEAF {
                let value = self.game.leaf_value(node, self.output);
                let weight = |n: Option<usize>, m: Option<usize>| match (n, m) {
                    (Some(n), Some(m)) => self.background.weight(n, m),
                    _ => 0.0,
                };
                let given = value * weight(n.checked_sub(1), Some(m));
                return (given, value * weight(Some(n), m.checked_sub(1)));
            }
            let field = feature as usize;
            let (own, theirs) = (self.own[node - self.start], self.theirs[node - self.start]);
            let child = |left: bool| if left { node + 1 } else { forest.right(node) };
            node = match self.seen[field] {
                Side::Own => child(own),
                Side::Theirs => child(theirs),
                Side::Both if own == theirs => child(own),
                Side::Both => {
                    self.seen[field] = Side::Own;
                    let (given, taken) = self.visit(child(own), n + 1, m);
                    self.phi[field] += given;
                    self.seen[field] = Side::Theirs;
                    let (more_given, more_taken) = self.visit(child(theirs), n, m + 1);
                    self.phi[field] -= more_taken;
                    self.seen[field] = Side::Both;
                    return (given + more_given, taken + more_taken);
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::weights;

    #[test]
    fn weights_are_shares_of_orders() {
        let size = 30;
        let weights = weights(size);
        assert_eq!(weights[0], 1.0);
        // Of 3 fields in favour and 2 against, one of the first comes last of them all: 2! 2!/5!.
        assert!((weights[2 * size + 2] - 4.0 / 120.0).abs() < 1e-17);
        for n in 1..15 {
            for m in 1..15 {
                // Given to the n and taken from the m weigh 1 − 0 together when both have some.
                let total =
                    n as f64 * weights[(n - 1) * size + m] - m as f64 * weights[n * size + m - 1];
                assert!(total.abs() < 1e-14, "{n} {m}: {total}");
            }
        }
    }
}

//! Makes the leaf values of an oblivious tree rise or fall with a field, as asked.
//!
//! Leaves that differ only in their answers about one field form a chain in the order of that
//! field. Chains are made monotone by pooling neighbours (weighted by curvature), field after field;
//! what is left after some rounds is closed exactly: `(max of all below + min of all above) / 2` is
//! monotone in every field at once.
//!
//! Source: Ayer et al. (1955), *Annals of Mathematical Statistics* 26(4) (pooling).

use super::bins::Field;
use super::scan::{Cut, Split};

const SWEEPS: usize = 16;

/// Values and curvatures by leaf number; bit `i` is the answer to `splits[i]`.
pub(crate) fn impose(fields: &[Field], splits: &[Split], values: &mut [f64], weights: &[f64]) {
    let mut bound: Vec<usize> = splits.iter().map(|split| split.field).collect();
    bound.retain(|field| fields[*field].monotone != 0);
    bound.sort_unstable();
    bound.dedup();
    if bound.is_empty() {
        return;
    }
    let chains: Vec<Vec<Vec<usize>>> = bound.iter().map(|f| chains(*f, fields, splits)).collect();
    for _ in 0..SWEEPS {
        for chain in chains.iter().flatten() {
            pool(chain, values, weights);
        }
        if chains
            .iter()
            .flatten()
            .all(|chain| is_rising(chain, values))
        {
            return;
        }
    }
    let mut low = values.to_vec();
    let mut high = values.to_vec();
    // As many passes as leaves reach everything below and above.
    for _ in 0..values.len() {
        for chain in chains.iter().flatten() {
            for pair in chain.windows(2) {
                low[pair[1]] = low[pair[1]].max(low[pair[0]]);
            }
            for pair in chain.windows(2).rev() {
                high[pair[0]] = high[pair[0]].min(high[pair[1]]);
            }
        }
    }
    for (value, (low, high)) in values.iter_mut().zip(low.iter().zip(&high)) {
        *value = low / 2.0 + high / 2.0;
    }
}

/// Chains of leaves in the order in which their values must not fall. Only leaves that some row can
/// reach count: answers about one field's edges are consistent.
fn chains(field: usize, fields: &[Field], splits: &[Split]) -> Vec<Vec<usize>> {
    // Bits of the field's edges, lowest edge first; the question "missing?" is not ordered.
    let mut own: Vec<(usize, usize)> = Vec::new();
    for (bit, split) in splits.iter().enumerate() {
        if let (true, Cut::Edge(edge)) = (split.field == field, &split.cut)
            && *edge != usize::MAX
        {
            own.push((*edge, bit));
        }
    }
    own.sort_unstable();
    let mask: usize = own.iter().map(|(_, bit)| 1 << bit).sum();
    let rises = fields[field].monotone > 0;
    (0..1_usize << splits.len())
        .filter(|leaf| leaf & mask == 0)
        .map(|leaf| {
            let mut chain = vec![leaf];
            let mut number = leaf;
            for (_, bit) in &own {
                number |= 1 << bit;
                chain.push(number);
            }
            if !rises {
                chain.reverse();
            }
            chain
        })
        .collect()
}

fn is_rising(chain: &[usize], values: &[f64]) -> bool {
    chain
        .windows(2)
        .all(|pair| values[pair[0]] <= values[pair[1]])
}

fn pool(chain: &[usize], values: &mut [f64], weights: &[f64]) {
    if is_rising(chain, values) {
        return;
    }
    // Blocks of weighted sum, weight and length.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(chain.len());
    for leaf in chain {
        // An empty leaf takes what its neighbours have.
        let weight = weights[*leaf].max(1e-9);
        blocks.push((values[*leaf] * weight, weight, 1));
        while let [.., before, last] = blocks[..]
            && before.0 / before.1 > last.0 / last.1
        {
            blocks.pop();
            let end = blocks.len() - 1;
            blocks[end] = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
        }
    }
    let levels = blocks
        .iter()
        .flat_map(|(sum, weight, length)| std::iter::repeat_n(sum / weight, *length));
    for (leaf, level) in chain.iter().zip(levels) {
        values[*leaf] = level;
    }
}

#[cfg(test)]
mod tests {
    use super::impose;
    use crate::boosted::bins::{Field, Kind};
    use crate::boosted::scan::{Cut, Split};

    fn field(monotone: i8) -> Field {
        Field {
            name: String::new(),
            kind: Kind::Number {
                edges: vec![0.0, 1.0],
            },
            count: 3,
            has_missing: false,
            monotone,
        }
    }

    fn split(field: usize, edge: usize) -> Split {
        Split {
            field,
            gain: 1.0,
            cut: Cut::Edge(edge),
            right: [false; 256],
        }
    }

    #[test]
    fn two_fields_at_once_end_monotone_and_what_was_monotone_stays() {
        let fields = [field(1), field(-1)];
        let splits = [split(0, 0), split(1, 0), split(0, 1)];
        let mut values = [3.0, 1.0, -1.0, 5.0, 0.0, 2.0, 4.0, -3.0];
        impose(&fields, &splits, &mut values, &[1.0; 8]);
        for other in [0, 2] {
            // Field 0: no bit, bit 0, bits 0 and 2.
            let chain = [values[other], values[other | 1], values[other | 5]];
            assert!(chain.is_sorted(), "{values:?}");
        }
        for own in [0, 1, 5] {
            assert!(values[own] >= values[own | 2], "{values:?}");
        }
        let mut fine = [0.0, 1.0, -1.0, 0.5];
        impose(&fields, &splits[..2], &mut fine, &[1.0; 4]);
        assert_eq!(fine, [0.0, 1.0, -1.0, 0.5]);
    }
}

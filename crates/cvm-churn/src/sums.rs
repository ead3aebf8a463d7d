//! Sums of products in a fixed order that compilers may still vectorise.
//!
//! Eight running sums over every eighth term, added pairwise at the end: the order belongs to the
//! formula, not to the width of a register, so every machine gives the same bits.

const LANES: usize = 8;

fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `Σ a_i b_i`.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a_main, a_rest) = a.as_chunks::<LANES>();
    let (b_main, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_main.iter().zip(b_main) {
        for k in 0..LANES {
            lanes[k] += x[k] * y[k];
        }
    }
    for (k, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[k] += x * y;
    }
    total(lanes)
}

/// `Σ a_i`.
pub(crate) fn sum(a: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (main, rest) = a.as_chunks::<LANES>();
    for x in main {
        for k in 0..LANES {
            lanes[k] += x[k];
        }
    }
    for (k, x) in rest.iter().enumerate() {
        lanes[k] += x;
    }
    total(lanes)
}

/// `out_i += factor * a_i`.
pub(crate) fn add_scaled(out: &mut [f64], factor: f64, a: &[f64]) {
    for (slot, x) in out.iter_mut().zip(a) {
        *slot += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::{dot, sum};

    #[test]
    fn every_length_adds_every_term_once() {
        for n in 0..40_u32 {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i) + 1.0).collect();
            let b: Vec<f64> = (0..n).map(|i| f64::from(2 * i)).collect();
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert_eq!(dot(&a, &b), plain);
            assert_eq!(sum(&a), f64::from(n * (n + 1) / 2));
        }
    }
}

//! Gauss–Jacobi quadrature on (0, 1) with the weight `v^{p−1}`: nodes and weights of any number.
//!
//! The nodes are the eigenvalues of the symmetric tridiagonal matrix of the recurrence of the
//! orthogonal polynomials, the weights the squared first components of its eigenvectors, found by
//! rotations that chase one off-diagonal element after the other to zero. A rule of `n` nodes is
//! exact for polynomials of degree `2n − 1` times the weight.
//!
//! Source: Golub & Welsch (1969), *Math. Comp.* 23, 221–230; recurrence: DLMF 18.9.2 with table 18.9.1.

/// Rotations for one eigenvalue; in practice two or three sweeps are enough.
const MOST_SWEEPS: u32 = 60;

/// Nodes with their weights, ascending: `∫_0^1 v^{p−1} f(v) dv ≈ Σ weight · f(node)`, for `p > 0`,
/// however small.
///
/// Empty where `p` is not finite and positive.
///
/// ```
/// let rule = cvm_math::gauss_jacobi::rule(4, 1.5);
/// let cube: f64 = rule.iter().map(|(v, weight)| weight * v * v * v).sum();
/// assert!((cube - 1.0 / 4.5).abs() < 1e-15);
/// ```
pub fn rule(count: usize, p: f64) -> Vec<(f64, f64)> {
    if !p.is_finite() || p <= 0.0 {
        return Vec::new();
    }
    let (mut diagonal, mut beside) = recurrence(count, p);
    let mut first = vec![0.0; count];
    if let Some(slot) = first.first_mut() {
        *slot = 1.0;
    }
    diagonalise(&mut diagonal, &mut beside, &mut first);
    let total = 1.0 / p;
    let weights = first.iter().map(|component| total * component * component);
    let mut rule: Vec<(f64, f64)> = diagonal.iter().copied().zip(weights).collect();
    rule.sort_by(|a, b| a.0.total_cmp(&b.0));
    rule
}

/// The matrix: its diagonal, and the elements beside it (the last of them 0).
fn recurrence(count: usize, p: f64) -> (Vec<f64>, Vec<f64>) {
    let mut diagonal = Vec::with_capacity(count);
    let mut beside = Vec::with_capacity(count);
    for n in (0..count).map(|n| n as f64) {
        // The interval (−1, 1) of the source becomes (0, 1); there `β = p − 1`.
        diagonal.push(if n == 0.0 {
            p / (p + 1.0)
        } else {
            0.5 + 0.5 * ((p - 1.0) / (2.0 * n + p - 1.0)) * ((p - 1.0) / (2.0 * n + p + 1.0))
        });
        let half = (n + 1.0) * (n + p) / (2.0 * n + 1.0 + p);
        beside.push(half / ((2.0 * n + 2.0 + p) * (2.0 * n + p)).sqrt());
    }
    if let Some(last) = beside.last_mut() {
        *last = 0.0;
    }
    (diagonal, beside)
}

/// Eigenvalues into `diagonal`, the eigenvectors' first components into `first`.
fn diagonalise(diagonal: &mut [f64], beside: &mut [f64], first: &mut [f64]) {
    for low in 0..diagonal.len() {
        for _ in 0..MOST_SWEEPS {
            let high = block_end(diagonal, beside, low);
            if high == low {
                break;
            }
            sweep(diagonal, beside, first, low, high);
        }
    }
}

/// The end of the block that begins at `low`: the first index whose element beside is nothing.
fn block_end(diagonal: &[f64], beside: &[f64], low: usize) -> usize {
    let last = diagonal.len() - 1;
    let is_cut = |index: &usize| {
        let size = diagonal[*index].abs() + diagonal[*index + 1].abs();
        beside[*index].abs() <= 0.5 * f64::EPSILON * size
    };
    (low..last).find(is_cut).unwrap_or(last)
}

/// One implicit step with Wilkinson's shift, from the end of the block to its beginning.
fn sweep(diagonal: &mut [f64], beside: &mut [f64], first: &mut [f64], low: usize, high: usize) {
    let half_gap = (diagonal[low + 1] - diagonal[low]) / (2.0 * beside[low]);
    let root = (half_gap * half_gap + 1.0).sqrt().copysign(half_gap);
    let shift = diagonal[low] - beside[low] / (half_gap + root);
    let mut bulge = diagonal[high] - shift;
    let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
    for index in (low..high).rev() {
        let across = sine * beside[index];
        let along = cosine * beside[index];
        let length = (across * across + bulge * bulge).sqrt();
        beside[index + 1] = length;
        if length == 0.0 {
            diagonal[index + 1] -= moved;
            beside[high] = 0.0;
            return;
        }
        (sine, cosine) = (across / length, bulge / length);
        let rest = diagonal[index + 1] - moved;
        let turn = (diagonal[index] - rest) * sine + 2.0 * cosine * along;
        moved = sine * turn;
        diagonal[index + 1] = rest + moved;
        bulge = cosine * turn - along;
        let (here, next) = (first[index], first[index + 1]);
        first[index + 1] = sine * here + cosine * next;
        first[index] = cosine * here - sine * next;
    }
    diagonal[low] -= moved;
    beside[low] = bulge;
    beside[high] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::rule;
    use crate::coefficients::GAUSS_LEGENDRE_32;
    use crate::{exp, ln_beta};

    /// `∫ v^{p−1+n} dv = 1/(p + n)` up to degree `2·count − 1`.
    #[test]
    fn powers_are_exact_to_the_rule_s_degree() {
        for p in [1e-9, 0.5, 1.0, 1.7, 6.0] {
            for count in [1usize, 2, 16, 28] {
                let rule = rule(count, p);
                assert_eq!(rule.len(), count);
                for n in 0..2 * count {
                    let raised = |v: f64| (0..n).fold(1.0, |product, _| product * v);
                    let got: f64 = rule.iter().map(|(v, weight)| weight * raised(*v)).sum();
                    let want = 1.0 / (p + n as f64);
                    assert!((got / want - 1.0).abs() < 1e-12, "{p} {count} {n}: {got}");
                }
            }
        }
    }

    #[test]
    fn without_a_weight_it_is_gauss_legendre() {
        let rule = rule(32, 1.0);
        for (place, (node, weight)) in GAUSS_LEGENDRE_32.iter().rev().enumerate() {
            let (at, own) = rule[place];
            assert!((at - 0.5 * (1.0 - node)).abs() < 1e-15, "{at}");
            assert!((own - 0.5 * weight).abs() < 1e-15, "{own}");
        }
    }

    /// `∫ v^{p−1} (1−v)^8 dv = B(p, 9)`, and what is no power is no rule.
    #[test]
    fn beta_functions() {
        for p in [1e-3, 0.3, 2.5] {
            let power = |v: f64| (0..8).fold(1.0, |product, _| product * (1.0 - v));
            let got: f64 = rule(8, p).iter().map(|(v, w)| w * power(*v)).sum();
            let want = exp(ln_beta(p, 9.0));
            assert!((got / want - 1.0).abs() < 1e-13, "{p}: {got} {want}");
        }
        assert!(rule(4, 0.0).is_empty() && rule(4, f64::NAN).is_empty());
    }
}

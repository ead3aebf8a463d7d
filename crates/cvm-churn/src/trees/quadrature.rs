//! Gauss-Legendre rules on `[0, 1]`: `n` nodes are exact for polynomials of degree `2n − 1`.

/// A quadrature rule on `[0, 1]`.
#[derive(Debug)]
pub(crate) struct Rule<const N: usize> {
    pub(crate) nodes: [f64; N],
    pub(crate) weights: [f64; N],
}

/// The Gauss-Legendre rule: roots of the Legendre polynomial by Newton's method, from the
/// separation of roots of successive polynomials.
///
/// Source: Abramowitz & Stegun (1964), 25.4.29 and 22.7.10.
pub(crate) fn gauss_legendre<const N: usize>() -> Rule<N> {
    let mut roots: Vec<f64> = vec![0.0];
    for degree in 2..=N {
        let mut next = Vec::with_capacity(degree);
        for index in 0..degree {
            // Roots of one degree separate those of the next.
            let low = index.checked_sub(1).map_or(-1.0, |before| roots[before]);
            let high = roots.get(index).copied().unwrap_or(1.0);
            next.push(root(degree, low, high));
        }
        roots = next;
    }
    let mut rule = Rule {
        nodes: [0.0; N],
        weights: [0.0; N],
    };
    for (index, x) in roots.iter().enumerate() {
        let (_, slope) = legendre(N, *x);
        rule.nodes[index] = 0.5 + 0.5 * x;
        rule.weights[index] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    rule
}

/// The root of the Legendre polynomial between `low` and `high`.
fn root(degree: usize, mut low: f64, mut high: f64) -> f64 {
    let sign = legendre(degree, low).0 > 0.0;
    let mut x = 0.5 * (low + high);
    for _ in 0..100 {
        let (value, slope) = legendre(degree, x);
        if (value > 0.0) == sign {
            low = x;
        } else {
            high = x;
        }
        let newton = x - value / slope;
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        if next == x {
            break;
        }
        x = next;
    }
    x
}

/// Value and slope of the Legendre polynomial, by its recurrence.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for n in 2..=degree {
        let n = n as f64;
        let next = ((2.0 * n - 1.0) * x * value - (n - 1.0) * before) / n;
        (before, value) = (value, next);
    }
    let slope = degree as f64 * (x * value - before) / (x * x - 1.0);
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    fn check<const N: usize>() {
        let rule = gauss_legendre::<N>();
        for degree in 0..2 * N {
            let power = |x: f64| (0..degree).fold(1.0, |product, _| product * x);
            let nodes = rule.nodes.iter().zip(&rule.weights);
            let sum: f64 = nodes.map(|(x, w)| w * power(*x)).sum();
            let exact = 1.0 / (degree as f64 + 1.0);
            assert!(
                (sum - exact).abs() < 4e-15,
                "{N} nodes, degree {degree}: {sum}"
            );
        }
    }

    #[test]
    fn rules_are_exact_up_to_their_degree() {
        check::<2>();
        check::<4>();
        check::<6>();
        check::<8>();
        check::<12>();
        check::<16>();
        check::<32>();
        check::<64>();
    }
}

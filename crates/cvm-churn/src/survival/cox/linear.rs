//! Small symmetric systems, by Cholesky.

use ndarray::Array2;

/// Lower factor of a positive definite matrix; `None` if it is not.
pub(crate) fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let dot = (0..j).fold(a[[i, j]], |sum, k| sum - l[[i, k]] * l[[j, k]]);
            if i != j {
                l[[i, j]] = dot / l[[j, j]];
            } else if dot > 1e-12 * a[[i, i]] {
                l[[i, i]] = dot.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(l)
}

/// The solution of `a x = b` for every column of `b`.
pub(crate) fn solve(a: &Array2<f64>, b: &Array2<f64>) -> Option<Array2<f64>> {
    let l = cholesky(a)?;
    let n = a.nrows();
    let mut x = b.clone();
    for column in 0..b.ncols() {
        for i in 0..n {
            let dot = (0..i).fold(x[[i, column]], |sum, k| sum - l[[i, k]] * x[[k, column]]);
            x[[i, column]] = dot / l[[i, i]];
        }
        for i in (0..n).rev() {
            let dot = (i + 1..n).fold(x[[i, column]], |sum, k| sum - l[[k, i]] * x[[k, column]]);
            x[[i, column]] = dot / l[[i, i]];
        }
    }
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::solve;
    use ndarray::array;

    #[test]
    fn a_known_system_is_solved_and_a_singular_one_refused() {
        let a = array![[4.0, 2.0], [2.0, 3.0]];
        let x = solve(&a, &array![[2.0], [5.0]]).unwrap();
        assert!((x[[0, 0]] + 0.5).abs() < 1e-14 && (x[[1, 0]] - 2.0).abs() < 1e-14);
        assert!(solve(&array![[1.0, 1.0], [1.0, 1.0]], &array![[1.0], [1.0]]).is_none());
    }
}

//! The log-likelihood of the CNBD-k models over merged rows, with `k` free or fixed.
//!
//! The gaps enter as `(k−1)·G` only, so rows merge by `(x, t_x, T)` and their `G` add up. With `k`
//! fixed the parameters are `(r, α, a, b)`, and for whole `k` no quadrature is needed.

use super::{CnbdK, K};
use crate::bg_nbd::BetaGeometricNbd;
use crate::formulas::Formulas;
use crate::merged::MergedRows;
use crate::rfm::Rfm;
use cvm_core::{Derivatives, Likelihood, Order};

/// Distinct rows of one block.
const BLOCK: usize = 1024;

/// Merged rows of a fit.
#[derive(Debug)]
pub struct CnbdLikelihood<const AT_FIRST: bool> {
    rows: Vec<(Rfm, f64)>,
    /// Weighted sum of the rows' `log_gap_sum`.
    log_gaps: f64,
    weight: f64,
    fixed_k: Option<f64>,
    /// Starts of the same model with `k = 1`.
    poisson_starts: Vec<Vec<f64>>,
}

impl<const AT_FIRST: bool> CnbdLikelihood<AT_FIRST> {
    pub(super) fn new(rows: &[Rfm], weights: Option<&[f64]>, fixed_k: Option<f64>) -> Self {
        let weight_of = |index: usize| weights.map_or(1.0, |weights| weights[index]);
        let gaps = rows.iter().enumerate();
        let mut gaps: Vec<f64> = gaps
            .map(|(index, row)| weight_of(index) * row.log_gap_sum)
            .collect();
        // In ascending order, so that the order of the rows changes no bit.
        gaps.sort_unstable_by(f64::total_cmp);
        let log_gaps = cvm_math::sums::pairwise(&gaps);
        let without_gaps: Vec<Rfm> = rows
            .iter()
            .map(|row| Rfm {
                log_gap_sum: 0.0,
                ..*row
            })
            .collect();
        let merged = MergedRows::<CnbdK<AT_FIRST>>::new(&without_gaps, weights);
        let poisson = BetaGeometricNbd::<AT_FIRST>::likelihood(&without_gaps, weights);
        CnbdLikelihood {
            rows: merged.weighted().map(|(row, own)| (*row, own)).collect(),
            log_gaps,
            weight: merged.weight(),
            fixed_k,
            poisson_starts: BetaGeometricNbd::<AT_FIRST>::starts(&poisson),
        }
    }

    /// The same rows with `k` held: the parameters are `(r, α, a, b)`.
    #[must_use]
    pub fn with_fixed_k(&self, k: f64) -> Self {
        CnbdLikelihood {
            rows: self.rows.clone(),
            log_gaps: self.log_gaps,
            weight: self.weight,
            fixed_k: Some(k),
            poisson_starts: self.poisson_starts.clone(),
        }
    }

    /// Start vectors of the parameters it has: four with `k` held, else five.
    #[must_use]
    pub fn start_vectors(&self) -> Vec<Vec<f64>> {
        self.starts()
    }

    /// Number of distinct rows.
    #[must_use]
    pub fn merged_rows(&self) -> usize {
        self.rows.len()
    }

    /// Start vectors: those of `k = 1` with the stage rate `k` times as high.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        let at_k = |start: &Vec<f64>, k: f64| {
            let mut start = start.clone();
            start[1] /= k;
            if self.fixed_k.is_none() {
                start.push(k);
            }
            start
        };
        if let Some(k) = self.fixed_k {
            return self
                .poisson_starts
                .iter()
                .map(|start| at_k(start, k))
                .collect();
        }
        let regularities = [1.5, 1.0, 3.0, 0.7, 8.0];
        let pairs = self.poisson_starts.iter().zip(regularities);
        pairs.map(|(start, k)| at_k(start, k)).collect()
    }
}

impl<const AT_FIRST: bool> CnbdK<AT_FIRST> {
    /// The likelihood with `k` held, in the parameters `(r, α, a, b)`; `k` is positive.
    #[must_use]
    pub fn likelihood_at_k(
        rows: &[Rfm],
        weights: Option<&[f64]>,
        k: f64,
    ) -> CnbdLikelihood<AT_FIRST> {
        CnbdLikelihood::new(rows, weights, Some(k))
    }
}

/// The whole `k` of 1 to 12 with the highest log-likelihood; `fit` fits the other parameters with
/// `k` held and returns that log-likelihood with whatever else it found. A log-likelihood that is not
/// a number is never chosen, of equal ones the smallest `k` is; `None` where there is none.
///
/// # Errors
/// The first of `fit`.
pub fn choose_k<T, E>(
    mut fit: impl FnMut(f64) -> Result<(f64, T), E>,
) -> Result<Option<(f64, T)>, E> {
    /// The source's range.
    const MOST_REGULAR: u32 = 12;
    let mut best: Option<(f64, f64, T)> = None;
    for k in (1..=MOST_REGULAR).map(f64::from) {
        let (log_lik, found) = fit(k)?;
        let better = match &best {
            None => !log_lik.is_nan(),
            Some((highest, ..)) => log_lik > *highest,
        };
        if better {
            best = Some((log_lik, k, found));
        }
    }
    Ok(best.map(|(_, k, found)| (k, found)))
}

impl<const AT_FIRST: bool> Likelihood for CnbdLikelihood<AT_FIRST> {
    fn dim(&self) -> usize {
        if self.fixed_k.is_some() { 4 } else { 5 }
    }

    fn block_count(&self) -> usize {
        self.rows.len().div_ceil(BLOCK)
    }

    fn cost_hint_ns(&self) -> f64 {
        /// Rough cost of a row with its Hessian, by finite sum and by quadrature.
        const ROW_NS: [f64; 2] = [700.0, 12_000.0];
        let whole = self.fixed_k.is_some_and(|k| k.fract() == 0.0);
        ROW_NS[usize::from(!whole)] * self.rows.len() as f64
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let dim = self.dim();
        let mut params = [0.0; 5];
        params[..dim].copy_from_slice(theta);
        if let Some(k) = self.fixed_k {
            params[K] = k;
        }
        let model = CnbdK::<AT_FIRST>::at(&params);
        if block == 0 {
            sum.value += (model.k - 1.0) * self.log_gaps;
            if dim == 5 && order > Order::Value {
                sum.gradient[K] += self.log_gaps;
            }
        }
        let mut one = Derivatives::zero(5);
        let rows = block * BLOCK..((block + 1) * BLOCK).min(self.rows.len());
        for (row, weight) in &self.rows[rows] {
            model.derivatives_with(row, order, dim == 5, &mut one);
            sum.value += weight * one.value;
            if order == Order::Value {
                continue;
            }
            for i in 0..dim {
                sum.gradient[i] += weight * one.gradient[i];
                for j in 0..dim {
                    sum.hessian[i * dim + j] += weight * one.hessian[i * 5 + j];
                }
            }
        }
    }
}

//! The log-likelihood of any model over merged rows, with or without covariates.
//!
//! Identical rows are merged with their weights; distinct rows lie in blocks of fixed size. With
//! covariates each row has its own parameters,
//!
//! ```text
//! ln p_j(z) = ln θ_j + Σ_k sign_k γ_k z_k
//! ```
//!
//! (a parameter that is estimated as it is takes the place of its logarithm, and is shifted), so in
//! the coordinates `(ln θ, γ)` the derivatives of a row are those of the base model in
//! `ln p` times a matrix of signs and covariates; one division at the end of a block leads back to
//! `θ`.

use crate::covariates::scale_params;
use crate::formulas::Formulas;
use crate::merge::{Dictionary, merge};
use cvm_core::{Covariates, Derivatives, Likelihood, Order, Transform};

/// Distinct rows of one block, where a row costs [`CHEAP_NS`].
const BLOCK: usize = 2048;
/// What a row with its Hessian costs in most models.
pub(crate) const CHEAP_NS: f64 = 400.0;

/// Merged rows of a fit.
#[derive(Debug)]
pub struct MergedRows<F: Formulas> {
    rows: Vec<F::Row>,
    weights: Vec<f64>,
    /// Covariate values, row by row; empty without covariates.
    values: Vec<f64>,
    covariates: Covariates,
    weight: f64,
    cost_ns: f64,
}

impl<F: Formulas> MergedRows<F> {
    /// Merges `rows` (weight 1 each without `weights`; weights are finite and zero or greater).
    #[must_use]
    pub fn new(rows: &[F::Row], weights: Option<&[f64]>) -> Self {
        Self::with_covariates(rows, &[], weights, &Covariates::default())
    }

    /// Merges rows that agree in their covariate `values` (row by row) too.
    #[must_use]
    pub fn with_covariates(
        rows: &[F::Row],
        values: &[f64],
        weights: Option<&[f64]>,
        covariates: &Covariates,
    ) -> Self {
        let width = covariates.columns.len();
        let groups = merge(
            &dictionaries::<F>(rows, values, width)
                .iter()
                .collect::<Vec<_>>(),
            weights,
        );
        let own_values = |row: u32| {
            let start = row as usize * width;
            values[start..start + width].iter().map(|value| value + 0.0)
        };
        MergedRows {
            rows: groups
                .iter()
                .map(|group| rows[group.row as usize])
                .collect(),
            weights: groups.iter().map(|group| group.weight).collect(),
            values: groups
                .iter()
                .flat_map(|group| own_values(group.row))
                .collect(),
            weight: groups.iter().map(|group| group.weight).sum(),
            cost_ns: F::ROW_NS * groups.len() as f64,
            covariates: covariates.clone(),
        }
    }

    /// Distinct rows with their weights.
    pub fn weighted(&self) -> impl Iterator<Item = (&F::Row, f64)> {
        self.rows.iter().zip(self.weights.iter().copied())
    }

    /// Number of distinct rows.
    #[must_use]
    pub fn merged_rows(&self) -> usize {
        self.rows.len()
    }

    fn base_dim(&self) -> usize {
        F::PARAMS.len()
    }

    /// All rows of a block have the same parameters.
    fn add_plain(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let model = F::at(theta);
        let mut row_sum = Derivatives::zero(self.base_dim());
        for index in self.block_rows(block) {
            let weight = self.weights[index];
            if order == Order::Value {
                sum.value += weight * model.log_lik(&self.rows[index]);
                continue;
            }
            model.derivatives(&self.rows[index], order, &mut row_sum);
            add_weighted(&row_sum, weight, order, sum);
        }
    }

    fn add_scaled(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let base = self.base_dim();
        let (theta, coefficients) = theta.split_at(base);
        let mut params = vec![0.0; base];
        let mut row_sum = Derivatives::zero(base);
        let mut local = Derivatives::zero(self.dim());
        let width = self.covariates.columns.len();
        for index in self.block_rows(block) {
            let values = &self.values[index * width..(index + 1) * width];
            scale_params(
                F::PARAMS,
                &self.covariates,
                coefficients,
                theta,
                values,
                &mut params,
            );
            let model = F::at_row(&params);
            let weight = self.weights[index];
            if order == Order::Value {
                local.value += weight * model.log_lik(&self.rows[index]);
                continue;
            }
            model.derivatives(&self.rows[index], order, &mut row_sum);
            to_logs::<F>(&params, order, &mut row_sum);
            self.spread(&row_sum, values, weight, order, &mut local);
        }
        from_logs::<F>(theta, order, &mut local);
        sum.add(&local);
    }

    /// Adds one row's derivatives in `ln p` to those in `(ln θ, γ)`.
    fn spread(
        &self,
        row: &Derivatives,
        values: &[f64],
        weight: f64,
        order: Order,
        sum: &mut Derivatives,
    ) {
        let (base, dim) = (self.base_dim(), self.dim());
        sum.value += weight * row.value;
        // Every coordinate moves one `ln p`, at this rate.
        let place = |index: usize| match index.checked_sub(base) {
            None => (index, 1.0),
            Some(term) => {
                let term = &self.covariates.terms[term];
                (term.effect.param, term.effect.sign * values[term.column])
            }
        };
        for i in 0..dim {
            let (param_i, rate_i) = place(i);
            sum.gradient[i] += weight * rate_i * row.gradient[param_i];
            if order < Order::Hessian {
                continue;
            }
            for j in i..dim {
                let (param_j, rate_j) = place(j);
                let term = weight * rate_i * rate_j * row.hessian[param_i * base + param_j];
                sum.hessian[i * dim + j] += term;
                if i != j {
                    sum.hessian[j * dim + i] += term;
                }
            }
        }
    }

    /// Distinct rows of one block: fewer where each costs more, so that threads have their share of
    /// few expensive rows. Fixed by the model alone.
    const ROWS_PER_BLOCK: usize = {
        let rows = (BLOCK as f64 * CHEAP_NS / F::ROW_NS) as usize;
        if rows == 0 { 1 } else { rows }
    };

    fn block_rows(&self, block: usize) -> std::ops::Range<usize> {
        let start = block * Self::ROWS_PER_BLOCK;
        start..(start + Self::ROWS_PER_BLOCK).min(self.rows.len())
    }
}

fn dictionaries<F: Formulas>(rows: &[F::Row], values: &[f64], width: usize) -> Vec<Dictionary> {
    let key =
        |place: usize| Dictionary::of_values(rows.iter().map(move |row| F::key(row)[place] + 0.0));
    let covariate = |column: usize| {
        let column = (0..rows.len()).map(move |row| values[row * width + column] + 0.0);
        Dictionary::of_values(column)
    };
    (0..4).map(key).chain((0..width).map(covariate)).collect()
}

fn add_weighted(row: &Derivatives, weight: f64, order: Order, sum: &mut Derivatives) {
    sum.value += weight * row.value;
    for (slot, term) in sum.gradient.iter_mut().zip(&row.gradient) {
        *slot += weight * term;
    }
    if order == Order::Hessian {
        for (slot, term) in sum.hessian.iter_mut().zip(&row.hessian) {
            *slot += weight * term;
        }
    }
}

/// From natural parameters to their logarithms, where a parameter is estimated on its logarithm:
/// `∂/∂ln p = p ∂/∂p`, `∂²/∂ln p ∂ln q = p q ∂²/∂p∂q + [p = q] p ∂/∂p`.
fn to_logs<F: Formulas>(params: &[f64], order: Order, row: &mut Derivatives) {
    let base = params.len();
    let is_log = |index: usize| F::PARAMS[index].transform == Transform::Log;
    let rate = |index: usize| if is_log(index) { params[index] } else { 1.0 };
    if order == Order::Hessian {
        for (i, param) in params.iter().enumerate() {
            for j in 0..base {
                row.hessian[i * base + j] *= rate(i) * rate(j);
            }
            if is_log(i) {
                row.hessian[i * base + i] += param * row.gradient[i];
            }
        }
    }
    for (index, slope) in row.gradient.iter_mut().enumerate() {
        *slope *= rate(index);
    }
}

/// The inverse of [`to_logs`] for the first parameters of a longer vector.
fn from_logs<F: Formulas>(theta: &[f64], order: Order, sum: &mut Derivatives) {
    let dim = sum.gradient.len();
    let is_log = |index: usize| index < theta.len() && F::PARAMS[index].transform == Transform::Log;
    let rate = |index: usize| {
        if is_log(index) {
            1.0 / theta[index]
        } else {
            1.0
        }
    };
    if order == Order::Hessian {
        for i in 0..dim {
            if is_log(i) {
                sum.hessian[i * dim + i] -= sum.gradient[i];
            }
            for j in 0..dim {
                sum.hessian[i * dim + j] *= rate(i) * rate(j);
            }
        }
    }
    for (index, slope) in sum.gradient.iter_mut().enumerate() {
        *slope *= rate(index);
    }
}

impl<F: Formulas> Likelihood for MergedRows<F> {
    fn dim(&self) -> usize {
        self.base_dim() + self.covariates.terms.len()
    }

    fn block_count(&self) -> usize {
        self.rows.len().div_ceil(Self::ROWS_PER_BLOCK)
    }

    fn cost_hint_ns(&self) -> f64 {
        self.cost_ns
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        if self.covariates.is_empty() {
            self.add_plain(theta, block, order, sum);
        } else {
            self.add_scaled(theta, block, order, sum);
        }
    }
}

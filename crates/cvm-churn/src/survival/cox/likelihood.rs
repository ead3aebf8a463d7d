//! The partial log-likelihood with its exact derivatives, one block per stratum.
//!
//! With `r = e^η`, `x̄_jl = (Σ_{R_j} w r z − (l/d) Σ_{D_j} w r z)/φ_jl` and
//! `A_i = Σ_{j: i ∈ R_j} Σ_l (w̄/φ_jl)(1 − [i ∈ D_j] l/d)`:
//!
//! ```text
//! ∂ℓ/∂β    = Σ_i w_i (left_i − r_i A_i) z_i
//! −∂²ℓ/∂β² = Σ_i w_i r_i A_i z_i z_iᵀ − Σ_j w̄ Σ_l x̄_jl x̄_jlᵀ
//! ```
//! The usual sum over event times of weighted covariance matrices is written as two Gram matrices:
//! one over rows, one over events, and no matrix is kept per event time. Source: as the module, with
//! the sums exchanged.

use super::risk::{RiskSets, Ties};
use crate::sums::{add_scaled, dot};
use cvm_core::{Derivatives, Likelihood, Order};
use cvm_math::{exp, ln};
use ndarray::Array2;

/// The rows of one stratum with their standardised inputs, a run of rows per column.
#[derive(Debug, Clone)]
pub(crate) struct Stratum {
    pub(crate) risk: RiskSets,
    pub(crate) inputs: Vec<Vec<f64>>,
}

/// The partial likelihood; parameters are one coefficient per input.
#[derive(Debug, Clone)]
pub struct CoxLikelihood {
    pub(crate) ties: Ties,
    pub(crate) strata: Vec<Stratum>,
    dim: usize,
    event_weight: f64,
}

/// One term of the sum over tied events: `share` is `l/d`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    pub(crate) time: usize,
    pub(crate) share: f64,
    /// `w̄`.
    pub(crate) weight: f64,
    /// `φ_jl`, on the scale of the stratum's risks.
    pub(crate) phi: f64,
}

/// A stratum at some coefficients.
pub(crate) struct Evaluated<'a> {
    pub(crate) stratum: &'a Stratum,
    /// `w e^(η − top)`.
    pub(crate) risks: Vec<f64>,
    pub(crate) etas: Vec<f64>,
    /// Largest `η`.
    pub(crate) top: f64,
    pub(crate) terms: Vec<Term>,
}

impl Stratum {
    /// The stratum at `beta`.
    pub(crate) fn at(&self, beta: &[f64], ties: Ties) -> Evaluated<'_> {
        let mut etas = vec![0.0; self.risk.row_count()];
        for (factor, column) in beta.iter().zip(&self.inputs) {
            add_scaled(&mut etas, *factor, column);
        }
        let top = etas
            .iter()
            .fold(f64::NEG_INFINITY, |top, eta| top.max(*eta));
        let pairs = etas.iter().zip(&self.risk.weight);
        let risks: Vec<f64> = pairs.map(|(eta, w)| w * exp(eta - top)).collect();
        let at_risk = self.risk.at_risk(&risks);
        let leaving = self.risk.leaving(&risks);
        let mut terms = Vec::with_capacity(at_risk.len());
        for (time, count) in self.risk.count.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let d = *count as f64;
            for l in 0..*count {
                #[allow(clippy::cast_precision_loss)]
                let share = match ties {
                    Ties::Efron => l as f64 / d,
                    Ties::Breslow => 0.0,
                };
                terms.push(Term {
                    time,
                    share,
                    weight: self.risk.event_weight[time] / d,
                    phi: at_risk[time] - share * leaving[time],
                });
            }
        }
        Evaluated {
            stratum: self,
            risks,
            etas,
            top,
            terms,
        }
    }
}

impl Evaluated<'_> {
    pub(crate) fn value(&self) -> f64 {
        let risk = &self.stratum.risk;
        let rows = risk.left.iter().zip(&risk.weight).zip(&self.etas);
        let events = rows.fold(0.0, |sum, ((left, w), eta)| {
            if *left {
                sum + w * (eta - self.top)
            } else {
                sum
            }
        });
        // A risk set that underflows beside the largest risk is no likelihood to compare with.
        let ln_phi = |term: &Term| {
            if term.phi > 0.0 {
                ln(term.phi)
            } else {
                f64::NAN
            }
        };
        self.terms
            .iter()
            .fold(events, |sum, term| sum - term.weight * ln_phi(term))
    }

    /// `Σ_l (w̄/φ_jl) f(share)` at every time, times `by_time`.
    fn rates(&self, by_time: Option<&[f64]>, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut rates = vec![0.0; self.stratum.risk.times.len()];
        for term in &self.terms {
            let factor = by_time.map_or(1.0, |values| values[term.time]);
            rates[term.time] += factor * term.weight / term.phi * f(term.share);
        }
        rates
    }

    /// Increments of the baseline hazard at `η = 0`.
    pub(crate) fn hazard(&self) -> Vec<f64> {
        let scale = exp(-self.top);
        let rates = self.rates(None, |_| 1.0);
        rates.iter().map(|rate| rate * scale).collect()
    }

    /// `w_i r_i A_i` of every row: what the model expects of it; times weighted by `by_time`.
    pub(crate) fn expected(&self, by_time: Option<&[f64]>) -> Vec<f64> {
        let risk = &self.stratum.risk;
        let mut lives = risk.over_life(&self.rates(by_time, |_| 1.0));
        let own = self.rates(by_time, |share| share);
        for ((life, left), to) in lives.iter_mut().zip(&risk.left).zip(&risk.to) {
            if *left {
                *life -= own[to - 1];
            }
        }
        lives.iter().zip(&self.risks).map(|(a, r)| a * r).collect()
    }

    /// `w_i left_i − w_i r_i A_i`, times weighted by `by_time`.
    pub(crate) fn residuals(&self, by_time: Option<&[f64]>) -> Vec<f64> {
        let risk = &self.stratum.risk;
        let mut residuals = self.expected(by_time);
        for (i, slot) in residuals.iter_mut().enumerate() {
            let seen = match (risk.left[i], by_time) {
                (false, _) => 0.0,
                (true, None) => risk.weight[i],
                (true, Some(values)) => risk.weight[i] * values[risk.to[i] - 1],
            };
            *slot = seen - *slot;
        }
        residuals
    }

    /// `x̄_jl` of column `k`, one per term.
    pub(crate) fn means(&self, k: usize) -> Vec<f64> {
        let column = &self.stratum.inputs[k];
        let product: Vec<f64> = self.risks.iter().zip(column).map(|(r, z)| r * z).collect();
        let at_risk = self.stratum.risk.at_risk(&product);
        let leaving = self.stratum.risk.leaving(&product);
        let mean = |term: &Term| (at_risk[term.time] - term.share * leaving[term.time]) / term.phi;
        self.terms.iter().map(mean).collect()
    }

    pub(crate) fn add_gradient(&self, by_time: Option<&[f64]>, gradient: &mut [f64]) {
        let residuals = self.residuals(by_time);
        for (slot, column) in gradient.iter_mut().zip(&self.stratum.inputs) {
            *slot += dot(column, &residuals);
        }
    }

    /// Adds the information (minus the Hessian), times weighted by `by_time`.
    pub(crate) fn add_information(&self, by_time: Option<&[f64]>, sum: &mut Array2<f64>) {
        let expected = self.expected(by_time);
        let factor = |term: &Term| {
            let own = by_time.map_or(1.0, |values| values[term.time]);
            own * term.weight
        };
        let factors: Vec<f64> = self.terms.iter().map(factor).collect();
        let inputs = &self.stratum.inputs;
        let means: Vec<Vec<f64>> = (0..inputs.len()).map(|k| self.means(k)).collect();
        let scaled = |values: &[f64], by: &[f64]| -> Vec<f64> {
            values.iter().zip(by).map(|(v, w)| v * w).collect()
        };
        for i in 0..inputs.len() {
            let rows = scaled(&inputs[i], &expected);
            let events = scaled(&means[i], &factors);
            for j in 0..=i {
                let term = dot(&rows, &inputs[j]) - dot(&events, &means[j]);
                sum[[i, j]] += term;
                if i != j {
                    sum[[j, i]] += term;
                }
            }
        }
    }
}

impl CoxLikelihood {
    pub(crate) fn new(ties: Ties, strata: Vec<Stratum>) -> Self {
        let weight = |stratum: &Stratum| stratum.risk.event_weight.iter().fold(0.0, |s, w| s + w);
        CoxLikelihood {
            ties,
            dim: strata.first().map_or(0, |stratum| stratum.inputs.len()),
            event_weight: strata
                .iter()
                .fold(0.0, |sum, stratum| sum + weight(stratum)),
            strata,
        }
    }
}

impl Likelihood for CoxLikelihood {
    fn dim(&self) -> usize {
        self.dim
    }

    fn block_count(&self) -> usize {
        self.strata.len()
    }

    #[allow(clippy::cast_precision_loss)]
    fn cost_hint_ns(&self) -> f64 {
        let rows: usize = self.strata.iter().map(|s| s.risk.row_count()).sum();
        let dim = self.dim as f64;
        rows as f64 * (30.0 + 10.0 * dim + 0.3 * dim * dim)
    }

    /// Events, not rows: what a Cox model learns from.
    fn weight(&self) -> f64 {
        self.event_weight
    }

    fn accumulate(&self, theta: &[f64], block: usize, order: Order, sum: &mut Derivatives) {
        let Some(stratum) = self.strata.get(block) else {
            return;
        };
        let at = stratum.at(theta, self.ties);
        sum.value += at.value();
        if order == Order::Value {
            return;
        }
        at.add_gradient(None, &mut sum.gradient);
        if order == Order::Hessian {
            let mut information = Array2::zeros((self.dim, self.dim));
            at.add_information(None, &mut information);
            for (slot, term) in sum.hessian.iter_mut().zip(&information) {
                *slot -= term;
            }
        }
    }
}

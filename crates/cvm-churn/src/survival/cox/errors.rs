//! How well a Cox model's curve is known: its steps and its coefficients err together.
//!
//! | symbol | meaning                                                                      |
//! |--------|------------------------------------------------------------------------------|
//! | `ΔH`   | rise of the baseline between two times                                       |
//! | `ΔA`   | `Σ w̄ Σ_l 1/φ_jl²` over the event times between them: error of the steps alone |
//! | `Δq`   | `Σ w̄ Σ_l x̄_jl/φ_jl`: how the rise falls as coefficients grow                  |
//! | `z`    | inputs less their means; `V = L Lᵀ` is the coefficients' covariance          |
//!
//! ```text
//! Var ln(e^η ΔH) = [ ΔA + (z ΔH − Δq)ᵀ V (z ΔH − Δq) ] / ΔH²
//! ```
//! Kept are `A`, `Lᵀq` and `L`, so that the quadratic form is a sum of squares of `Lᵀz ΔH − LᵀΔq`, and
//! `Lᵀz` comes as linear predictors do.
//!
//! Source: Tsiatis (1981), *Annals of Statistics* 9(1), theorem 3.2; Link (1984), *Biometrics* 40(3);
//! Therneau & Grambsch (2000), *Modeling Survival Data*, section 10.2.

use super::likelihood::Evaluated;
use super::linear::cholesky;
use cvm_core::{Array, ModelState, StateError};
use cvm_math::exp;
use ndarray::Array2;

/// Most numbers kept.
const MOST: usize = 1 << 20;
/// Array of the factor of the coefficients' covariance.
pub(crate) const FACTOR: &str = "error.factor";
const NAMES: [&str; 3] = ["error.variance", "error.drift", FACTOR];

/// Sums up to and with each event time, and the factor of the covariance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Errors {
    /// `A`.
    variance: Vec<f64>,
    /// `Lᵀq`, one run of coefficients per event time.
    drift: Vec<f64>,
    /// `L` per unit of the columns, row after row; kept with the first of several strata.
    factor: Vec<f64>,
    size: usize,
}

/// Event times that count once, and those that a tail adds `share` of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) tail_from: usize,
    pub(crate) tail_to: usize,
    pub(crate) share: f64,
}

impl Window {
    /// What a running sum rises by in the window.
    pub(crate) fn rise(&self, sum: impl Fn(usize) -> f64) -> f64 {
        sum(self.to) - sum(self.from) + self.share * (sum(self.tail_to) - sum(self.tail_from))
    }

    /// The same of a variance, whose parts weigh by their squares.
    fn variance(&self, sum: impl Fn(usize) -> f64) -> f64 {
        let low = self.from.max(self.tail_from);
        let both = (sum(self.to.max(low)) - sum(low)).max(0.0);
        let tail = sum(self.tail_to) - sum(self.tail_from);
        sum(self.to) - sum(self.from) + self.share * (self.share * tail + 2.0 * both)
    }
}

/// Running sum after `count` event times.
fn after(sums: &[f64], count: usize, size: usize, k: usize) -> f64 {
    match count.checked_sub(1) {
        Some(j) => sums.get(j * size + k).copied().unwrap_or(f64::NAN),
        None => 0.0,
    }
}

impl Errors {
    /// Errors of a fit, `covariance` being that of standardised coefficients; nothing where it is
    /// not known or there is too much to keep.
    pub(crate) fn of(
        at: &Evaluated<'_>,
        covariance: &Array2<f64>,
        scale: &dyn Fn(usize) -> f64,
    ) -> Option<Errors> {
        let (size, times) = (covariance.nrows(), at.stratum.risk.times.len());
        if times.saturating_mul(size + 1) > MOST || covariance.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let lower = cholesky(covariance)?;
        let shrink = exp(-at.top);
        let mut variance = vec![0.0; times];
        for term in &at.terms {
            variance[term.time] += term.weight / term.phi * (shrink / term.phi * shrink);
        }
        let mut steps = Array2::<f64>::zeros((times, size));
        for k in 0..size {
            for (term, mean) in at.terms.iter().zip(at.means(k)) {
                steps[[term.time, k]] += term.weight / term.phi * mean * shrink;
            }
        }
        let mut drift = steps.dot(&lower).into_raw_vec_and_offset().0;
        for place in size..drift.len() {
            drift[place] += drift[place - size];
        }
        for j in 1..times {
            variance[j] += variance[j - 1];
        }
        let factor = Array2::from_shape_fn((size, size), |(i, k)| lower[[i, k]] / scale(i));
        let found = Errors {
            variance,
            drift,
            factor: factor.into_raw_vec_and_offset().0,
            size,
        };
        found.is_sound(times, size * size).then_some(found)
    }

    /// The errors of a later stratum: the factor is that of the first.
    pub(crate) fn without_factor(self) -> Errors {
        let factor = Vec::new();
        Errors { factor, ..self }
    }

    fn is_sound(&self, times: usize, factor: usize) -> bool {
        let mut all = self.variance.iter().chain(&self.drift).chain(&self.factor);
        self.variance.len() == times
            && self.drift.len() == times * self.size
            && self.factor.len() == factor
            && self.variance.first().is_none_or(|first| *first >= 0.0)
            && self.variance.windows(2).all(|pair| pair[0] <= pair[1])
            && all.all(|value| value.is_finite())
    }

    pub(crate) fn store(&self, arrays: &mut Vec<Array>) {
        let values = [&self.variance, &self.drift, &self.factor];
        let named = NAMES.iter().zip(values);
        arrays.extend(named.map(|(name, values)| Array::vector(*name, values.clone())));
    }

    /// The errors in a state, if it has them; of a later stratum without the factor.
    pub(crate) fn load(
        state: &ModelState,
        times: usize,
        size: usize,
        is_first: bool,
    ) -> Result<Option<Errors>, StateError> {
        if !state
            .arrays
            .iter()
            .any(|array| NAMES.contains(&array.name.as_str()))
        {
            return Ok(None);
        }
        let array = |name: &str| Ok::<_, StateError>(state.array(name)?.values.clone());
        let found = Errors {
            variance: array(NAMES[0])?,
            drift: array(NAMES[1])?,
            factor: if is_first { array(FACTOR)? } else { Vec::new() },
            size,
        };
        if found.is_sound(times, if is_first { size * size } else { 0 }) {
            return Ok(Some(found));
        }
        let what =
            "the errors must be finite, rise, and be as many as event times and coefficients";
        Err(StateError::malformed("churn.cox", what))
    }

    /// Columns of `L`.
    pub(crate) fn directions(&self) -> Vec<Vec<f64>> {
        let column = |k: usize| {
            (0..self.size)
                .map(|i| self.factor[i * self.size + k])
                .collect()
        };
        (0..self.size).map(column).collect()
    }

    /// Standard error of the logarithm of the cumulative hazard in a window, where the baseline
    /// rises by `rise`; `along` is `Lᵀz`.
    pub(crate) fn of_log(&self, window: &Window, rise: f64, along: &[f64]) -> f64 {
        let steps = window.variance(|count| after(&self.variance, count, 1, 0));
        let mut sum = steps / (rise * rise);
        for (k, own) in along.iter().enumerate() {
            let drift = window.rise(|count| after(&self.drift, count, self.size, k));
            let part = own - drift / rise;
            sum += part * part;
        }
        sum.max(0.0).sqrt()
    }
}

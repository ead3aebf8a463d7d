//! From fitted parameters to a model and a coefficient table on both scales.
//!
//! The estimator works on standardised columns `z = (v − m)/s`; people want effects per unit of `v`.
//! The two are one linear map apart, `b = M θ` with `b_j = θ_j/s_j` and
//! `b_0 = θ_0 − Σ θ_j m_j/s_j`, so the covariance is `M V Mᵀ` exactly.

use crate::design::Prepared;
use crate::encoding::column_names;
use crate::{ChurnError, Logistic};
use ndarray::{Array2, ArrayView2};

/// One line of the coefficient table; all on the logit scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficient {
    /// `intercept`, or the name of a design column.
    pub name: String,
    /// Change of the logit per unit of the column; for the intercept, the logit where every column
    /// is 0.
    pub per_unit: f64,
    /// Standard error of `per_unit`; NaN for a column left out.
    pub per_unit_error: f64,
    /// Change of the logit per standard deviation; for the intercept, the logit at the means.
    pub standardised: f64,
    /// Standard error of `standardised`; NaN for a column left out.
    pub standardised_error: f64,
}

/// A fitted model with its table.
#[derive(Debug, Clone)]
pub struct LogisticFit {
    /// The model.
    pub model: Logistic,
    /// Intercept first, then every design column in order, those left out included (0, NaN).
    pub coefficients: Vec<Coefficient>,
    /// Covariance of `per_unit` in the order of `coefficients`; NaN for columns left out.
    pub covariance: Array2<f64>,
    /// Columns left out, signs of separation.
    pub warnings: Vec<String>,
}

/// A logit this large is a probability of 0 or 1 to ten digits.
const CERTAIN_LOGIT: f64 = 23.0;

impl Prepared {
    /// The model at `params` (order of [`Prepared::names`]) with `covariance` of those parameters.
    ///
    /// # Errors
    /// [`ChurnError::Parameters`] if a shape is wrong or a parameter is not finite.
    pub fn finish(
        &self,
        params: &[f64],
        covariance: ArrayView2<'_, f64>,
    ) -> Result<LogisticFit, ChurnError> {
        self.check(params, covariance)?;
        let map = self.to_per_unit();
        let per_unit = apply(&map, params);
        let spread = sandwich(&map, covariance);
        let mut warnings = self.warnings.clone();
        let largest = self.likelihood.largest_logit(params);
        if largest > CERTAIN_LOGIT {
            warnings.push(format!(
                "some fitted probabilities are 0 or 1 (largest |logit| {largest:.0}): the columns \
                 separate the classes{}; use a penalty above 0",
                self.suspect(covariance)
            ));
        }
        Ok(LogisticFit {
            model: self.model(params[0], &per_unit)?,
            coefficients: self.table(params, covariance, &per_unit, &spread),
            covariance: self.widen(&spread),
            warnings,
        })
    }

    /// The column least determined, in words; a separating one has by far the largest variance.
    fn suspect(&self, covariance: ArrayView2<'_, f64>) -> String {
        let variance = |i: &usize| covariance[[*i, *i]];
        let columns = (1..self.names.len()).filter(|i| variance(i).is_finite());
        let widest = columns.max_by(|a, b| variance(a).total_cmp(&variance(b)));
        widest.map_or_else(String::new, |i| format!(", most likely {}", self.names[i]))
    }

    fn check(&self, params: &[f64], covariance: ArrayView2<'_, f64>) -> Result<(), ChurnError> {
        let dim = self.names.len();
        let refuse = |got: String, expected: String| Err(ChurnError::Parameters { got, expected });
        if params.len() != dim {
            return refuse(format!("{} values", params.len()), format!("{dim} values"));
        }
        if covariance.dim() != (dim, dim) {
            let got = format!("covariance of shape {:?}", covariance.dim());
            return refuse(got, format!("({dim}, {dim})"));
        }
        match params.iter().position(|value| !value.is_finite()) {
            Some(i) => {
                let got = format!("{} = {}", self.names[i], params[i]);
                refuse(got, "finite numbers".to_owned())
            }
            None => Ok(()),
        }
    }

    /// `M`: from the fitted parameters (standardised scale) to coefficients per unit, in the order
    /// of [`Prepared::names`].
    #[must_use]
    pub fn to_per_unit(&self) -> Array2<f64> {
        let dim = self.names.len();
        let mut map = Array2::zeros((dim, dim));
        map[[0, 0]] = 1.0;
        for (i, column) in self.active.iter().enumerate() {
            map[[i + 1, i + 1]] = 1.0 / self.scales[*column];
            map[[0, i + 1]] = -self.means[*column] / self.scales[*column];
        }
        map
    }

    fn model(&self, intercept: f64, per_unit: &[f64]) -> Result<Logistic, ChurnError> {
        let mut coefficients = vec![0.0; self.means.len()];
        for (column, value) in self.active.iter().zip(per_unit.iter().skip(1)) {
            coefficients[*column] = *value;
        }
        if let Some(column) = self.offset {
            coefficients[column] = 1.0;
        }
        // A column that never varied keeps scale 1: its coefficient is 0.
        let scales = self.scales.iter().map(|s| if *s > 0.0 { *s } else { 1.0 });
        let model = Logistic::assemble(
            self.target.clone(),
            self.positive.clone(),
            self.encoding.clone(),
            crate::logistic::Numbers {
                intercept,
                coefficients,
                means: self.means.clone(),
                scales: scales.collect(),
            },
        );
        model.map_err(|e| ChurnError::Parameters {
            got: e.to_string(),
            expected: "coefficients a model can be built from".to_owned(),
        })
    }

    /// Place of every line of the table among the parameters.
    fn places(&self) -> Vec<Option<usize>> {
        let mut places = vec![None; self.means.len() + 1];
        places[0] = Some(0);
        for (i, column) in self.active.iter().enumerate() {
            places[column + 1] = Some(i + 1);
        }
        places
    }

    fn table(
        &self,
        params: &[f64],
        covariance: ArrayView2<'_, f64>,
        per_unit: &[f64],
        spread: &Array2<f64>,
    ) -> Vec<Coefficient> {
        let own = column_names(&self.encoding);
        let offset = self.offset.map(|column| own[column].clone());
        let fixed = |name: &String| f64::from(u8::from(offset.as_ref() == Some(name)));
        let names = std::iter::once("intercept".to_owned()).chain(own);
        let line = |(name, place): (String, Option<usize>)| match place {
            Some(i) => Coefficient {
                name,
                per_unit: per_unit[i],
                per_unit_error: spread[[i, i]].sqrt(),
                standardised: params[i],
                standardised_error: covariance[[i, i]].sqrt(),
            },
            None => Coefficient {
                // Only an offset has a coefficient without being estimated.
                per_unit: fixed(&name),
                standardised: fixed(&name),
                name,
                per_unit_error: f64::NAN,
                standardised_error: f64::NAN,
            },
        };
        names.zip(self.places()).map(line).collect()
    }

    fn widen(&self, spread: &Array2<f64>) -> Array2<f64> {
        let places = self.places();
        let size = places.len();
        Array2::from_shape_fn((size, size), |(i, j)| match (places[i], places[j]) {
            (Some(a), Some(b)) => spread[[a, b]],
            _ => f64::NAN,
        })
    }
}

fn apply(map: &Array2<f64>, x: &[f64]) -> Vec<f64> {
    let row = |i: usize| (0..x.len()).fold(0.0, |sum, j| sum + map[[i, j]] * x[j]);
    (0..x.len()).map(row).collect()
}

/// `M V Mᵀ`, one triangle computed and mirrored. Only the first row of `M` is not diagonal.
fn sandwich(map: &Array2<f64>, v: ArrayView2<'_, f64>) -> Array2<f64> {
    let dim = map.nrows();
    // Row 0 of M V.
    let top = |j: usize| (0..dim).fold(0.0, |sum, k| sum + map[[0, k]] * v[[k, j]]);
    let first: Vec<f64> = (0..dim).map(top).collect();
    let mut result = Array2::zeros((dim, dim));
    for i in 0..dim {
        for j in 0..=i {
            let value = match (i, j) {
                (0, 0) => (0..dim).fold(0.0, |sum, k| sum + first[k] * map[[0, k]]),
                (_, 0) => first[i] * map[[i, i]],
                _ => v[[i, j]] * (map[[i, i]] * map[[j, j]]),
            };
            result[[i, j]] = value;
            result[[j, i]] = value;
        }
    }
    result
}

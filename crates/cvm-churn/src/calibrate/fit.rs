//! Learns a calibrator by a given method.

use super::calibrator::{Calibrator, Method, beta_columns};
use super::regression::Regression;
use super::sample::Sample;
use super::{isotonic, venn_abers};
use crate::ChurnError;
use cvm_core::InputError;

/// Fewest rows a calibrator is learnt on.
pub const MIN_ROWS: usize = 20;
/// Rows of the rarer outcome from which isotonic regression may be asked for by name, and
/// Venn–Abers too.
pub const MIN_CHURNERS_ISOTONIC: usize = 100;
/// Rows of the rarer outcome from which isotonic regression takes part in the choice. Below about a
/// thousand it overfits: Niculescu-Mizil & Caruana (2005), ICML, §5.
pub const MIN_CHURNERS_AUTO_ISOTONIC: usize = 1000;

/// The calibrator that `method` learns on `sample`.
///
/// # Errors
/// Too few rows for the method, scores that are all equal, or scores whose order has nothing to do
/// with who churns (the slope would not be above 0).
pub fn fit(method: Method, sample: &Sample) -> Result<Calibrator, ChurnError> {
    if sample.len() < MIN_ROWS && method != Method::None {
        let why = format!("are {}: calibration needs {MIN_ROWS} or more", sample.len());
        return Err(InputError::new("rows", why).into());
    }
    let calibrator = match method {
        Method::None => return Ok(Calibrator::Identity),
        Method::Temperature => temperature(sample),
        Method::Platt => platt(sample),
        Method::Beta => beta(sample),
        Method::Isotonic | Method::VennAbers => {
            enough_for_curves(method, sample)?;
            match method {
                Method::Isotonic => isotonic::fit(sample),
                _ => venn_abers::fit(sample),
            }
        }
    };
    calibrator.check().map_err(|problem| {
        let why = format!(
            "cannot be calibrated by `{}`: {problem}; the model's scores do not rise with churn on \
             these rows",
            method.name()
        );
        ChurnError::from(InputError::new("rows", why))
    })?;
    Ok(calibrator)
}

fn enough_for_curves(method: Method, sample: &Sample) -> Result<(), ChurnError> {
    let rarer = sample.rarer();
    if rarer >= MIN_CHURNERS_ISOTONIC {
        return Ok(());
    }
    let why = format!(
        "is `{}` with {rarer} rows of the rarer outcome: needs {MIN_CHURNERS_ISOTONIC} or more; use \
         `platt` or `beta`",
        method.name()
    );
    Err(InputError::new("method", why).into())
}

fn temperature(sample: &Sample) -> Calibrator {
    let regression = Regression::new(sample, 1, |eta| [eta, 0.0, 0.0]);
    let [slope, ..] = regression.solve([1.0, 0.0, 0.0], [false; 3]);
    Calibrator::Temperature { slope }
}

/// Regression on `(η − mean)/spread`, undone afterwards: scores may be of any size.
fn platt(sample: &Sample) -> Calibrator {
    let total = sample.weight.iter().sum::<f64>();
    let average = |of: &dyn Fn(f64) -> f64| {
        let rows = sample.eta.iter().zip(&sample.weight);
        rows.fold(0.0, |sum, (eta, weight)| sum + weight * of(*eta)) / total
    };
    let mean = average(&|eta| eta);
    let spread = average(&|eta| (eta - mean) * (eta - mean)).sqrt();
    if spread <= 0.0 {
        return Calibrator::Platt {
            slope: 0.0,
            intercept: 0.0,
        };
    }
    let regression = Regression::new(sample, 2, |eta| [(eta - mean) / spread, 1.0, 0.0]);
    let [slope, intercept, _] = regression.solve([spread, mean, 0.0], [false; 3]);
    Calibrator::Platt {
        slope: slope / spread,
        intercept: intercept - slope * mean / spread,
    }
}

/// A slope that comes out below 0 is held at 0, as its authors do, and the rest fitted again.
fn beta(sample: &Sample) -> Calibrator {
    let columns = |eta: f64| {
        let [ln_p, minus_ln_q] = beta_columns(eta);
        [ln_p, minus_ln_q, 1.0]
    };
    let regression = Regression::new(sample, 3, columns);
    let start = [1.0, 1.0, 0.0];
    let mut fixed = [false; 3];
    let mut found = regression.solve(start, fixed);
    for place in 0..2 {
        if found[place] < 0.0 {
            fixed[place] = true;
            found = regression.solve(start, fixed);
        }
    }
    let [low, high, intercept] = found;
    Calibrator::Beta {
        low,
        high,
        intercept,
    }
}

//! Intervals of scores and of portfolio totals, from the covariance of the parameters.
//!
//! With `w` the working coordinates of the parameters (`ln θ` or `θ`), `V` their covariance and `f`
//! an output of one row,
//!
//! ```text
//! se(g(f)) = |g'(f)| · √(∇f ᵀ V ∇f),     interval = g⁻¹( g(f) ± z · se )
//! ```
//!
//! with `g` the logarithm for positive outputs, the logit for probabilities, else the identity: ends
//! stay inside the output's range. `∇f` is taken by central differences over a hundredth of each
//! parameter's standard error. A total over rows has the summed gradient, hence the correlation
//! that shared parameters cause; summing the rows' own variances would miss it.
//!
//! Source: the delta method, for example van der Vaart (1998), *Asymptotic Statistics*, chapter 3.

use crate::catalog;
use crate::{Error, interval_cox, score};
use cvm_core::{
    Array, Batch, ModelState, OutputSpec, RowCode, ScoreOptions, Scorer, Scores, Transform,
};
use cvm_fit::{coordinate, normal_quantile};
use cvm_math::{exp, ln, log1p, sigmoid};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Share of a standard error that a parameter is moved by.
const STEP: f64 = 0.01;

/// The model at parameters moved up and down, one pair per coordinate, and how they covary.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pairs: Vec<[Box<dyn Scorer>; 2]>,
    /// Distance between the models of a pair.
    widths: Vec<f64>,
    /// Covariance of the coordinates, row-major.
    covariance: Vec<f64>,
}

/// One estimated number of a state.
struct Coordinate {
    array: String,
    index: usize,
    transform: Transform,
    value: f64,
}

/// A total over a portfolio with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct PortfolioTotal {
    /// Name of the output.
    pub output: &'static str,
    /// Sum over the rows that have a score.
    pub total: f64,
    /// Standard error of the sum, from the uncertainty of the parameters that all rows share.
    pub standard_error: f64,
    /// What the standard error would be if the rows' errors were independent: the number that
    /// ignoring the shared parameters gives.
    pub independent_standard_error: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Rows summed.
    pub row_count: usize,
}

impl Neighbours {
    /// Neighbours of the model stored as `state`, whose fit left a covariance.
    ///
    /// # Errors
    /// `InvalidInput` if the model has no covariance or it is not known everywhere.
    pub(crate) fn new(state: &ModelState) -> Result<Self, Error> {
        let (coordinates, natural) = coordinates(state)?;
        let size = coordinates.len();
        let rate = |coordinate: &Coordinate| {
            let w = coordinate::working(coordinate.transform, coordinate.value);
            1.0 / coordinate::slope(coordinate.transform, coordinate.value, w)
        };
        let covariance: Vec<f64> = (0..size * size)
            .map(|place| {
                let (row, column) = (place / size, place % size);
                natural[place] * rate(&coordinates[row]) * rate(&coordinates[column])
            })
            .collect();
        let mut pairs = Vec::with_capacity(size);
        let mut widths = Vec::with_capacity(size);
        for (index, coordinate) in coordinates.iter().enumerate() {
            let step = STEP * covariance[index * size + index].sqrt();
            pairs.push([
                moved(state, coordinate, step)?,
                moved(state, coordinate, -step)?,
            ]);
            widths.push(2.0 * step);
        }
        Ok(Neighbours {
            pairs,
            widths,
            covariance,
        })
    }

    /// Derivatives of every output of every row: `[coordinate][output][row]`.
    fn gradients(
        &self,
        batch: &Batch<'_>,
        options: &ScoreOptions,
        threads: usize,
    ) -> Result<Vec<Vec<Vec<f64>>>, Error> {
        let mut all = Vec::with_capacity(self.pairs.len());
        for ([above, below], width) in self.pairs.iter().zip(&self.widths) {
            let above = score::score(above.as_ref(), batch, options, threads)?;
            let below = score::score(below.as_ref(), batch, options, threads)?;
            let slopes = above.outputs.iter().zip(&below.outputs);
            let slopes = slopes.map(|((_, above), (_, below))| {
                let pairs = above.iter().zip(below);
                pairs
                    .map(|(above, below)| (above - below) / width)
                    .collect()
            });
            all.push(slopes.collect());
        }
        Ok(all)
    }

    /// `√(gᵀ V g)`.
    fn standard_error(&self, gradient: &[f64]) -> f64 {
        let size = gradient.len();
        let mut sum = 0.0;
        for (row, left) in gradient.iter().enumerate() {
            for (column, right) in gradient.iter().enumerate() {
                sum += left * self.covariance[row * size + column] * right;
            }
        }
        sum.max(0.0).sqrt()
    }
}

/// Scores with `<output>_lower` and `<output>_upper` after each output.
pub(crate) fn with_intervals(
    scorer: &dyn Scorer,
    neighbours: &Neighbours,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    threads: usize,
) -> Result<Scores, Error> {
    let level = checked_level(options)?;
    let scores = score::score(scorer, batch, options, threads)?;
    let gradients = neighbours.gradients(batch, options, threads)?;
    let z = normal_quantile(0.5 + 0.5 * level);
    let mut outputs = Vec::with_capacity(3 * scores.outputs.len());
    for (place, (name, values)) in scores.outputs.into_iter().enumerate() {
        let scale = Scale::of(name, scorer.outputs());
        let (mut lower, mut upper) = (values.clone(), values.clone());
        let mut gradient = vec![0.0; gradients.len()];
        for (row, value) in values.iter().enumerate() {
            for (slope, all) in gradient.iter_mut().zip(&gradients) {
                *slope = all[place][row];
            }
            let error = neighbours.standard_error(&gradient);
            (lower[row], upper[row]) = scale.ends(*value, z * error);
        }
        let (low_name, high_name) = bound_names(name);
        outputs.extend([(name, values), (low_name, lower), (high_name, upper)]);
    }
    Ok(Scores {
        outputs,
        status: scores.status,
        issues: scores.issues,
        reasons: scores.reasons,
    })
}

/// Totals of every output with intervals.
pub(crate) fn portfolio(
    scorer: &dyn Scorer,
    neighbours: &Neighbours,
    batch: &Batch<'_>,
    options: &ScoreOptions,
    threads: usize,
) -> Result<Vec<PortfolioTotal>, Error> {
    let level = checked_level(options)?;
    let z = normal_quantile(0.5 + 0.5 * level);
    let scores = score::score(scorer, batch, options, threads)?;
    let gradients = neighbours.gradients(batch, options, threads)?;
    let counted = |row: usize| {
        let code = scores.status.get(row).map(|status| status.code);
        matches!(code, Some(RowCode::Ok | RowCode::Infinite))
    };
    let totals = scores
        .outputs
        .iter()
        .enumerate()
        .map(|(place, (name, values))| {
            let rows: Vec<usize> = (0..values.len()).filter(|row| counted(*row)).collect();
            let total: f64 = rows.iter().map(|row| values[*row]).sum();
            let mut summed = vec![0.0; gradients.len()];
            let mut own_variance = 0.0;
            let mut gradient = vec![0.0; gradients.len()];
            for row in &rows {
                for ((slope, sum), all) in gradient.iter_mut().zip(&mut summed).zip(&gradients) {
                    *slope = all[place][*row];
                    *sum += *slope;
                }
                let own = neighbours.standard_error(&gradient);
                own_variance += own * own;
            }
            let standard_error = neighbours.standard_error(&summed);
            let (lower, upper) = match Scale::of(name, scorer.outputs()) {
                // A sum of probabilities is no probability.
                Scale::Probability => Scale::Positive.ends(total, z * standard_error),
                scale => scale.ends(total, z * standard_error),
            };
            PortfolioTotal {
                output: name,
                total,
                standard_error,
                independent_standard_error: own_variance.sqrt(),
                lower,
                upper,
                row_count: rows.len(),
            }
        });
    Ok(totals.collect())
}

pub(crate) fn checked_level(options: &ScoreOptions) -> Result<f64, Error> {
    let level = options.interval_level.unwrap_or(0.95);
    if level > 0.0 && level < 1.0 {
        return Ok(level);
    }
    let why = format!("is {level}: must be a number between 0 and 1, both excluded");
    Err(Error::invalid("options.interval_level", why))
}

/// The coordinate on which an output's interval is symmetric.
#[derive(Debug, Clone, Copy)]
enum Scale {
    Positive,
    Probability,
    Plain,
}

impl Scale {
    fn of(name: &str, specs: &[OutputSpec]) -> Scale {
        let unit = specs
            .iter()
            .find(|spec| spec.name == name)
            .map(|spec| spec.unit);
        match unit {
            Some("probability") => Scale::Probability,
            Some("purchases" | "periods") => Scale::Positive,
            _ => Scale::Plain,
        }
    }

    /// Ends of an interval of half-width `half` (in first order) around `value`.
    fn ends(self, value: f64, half: f64) -> (f64, f64) {
        if !value.is_finite() || half.is_nan() {
            return (value, value);
        }
        match self {
            Scale::Positive if value > 0.0 => {
                let factor = exp(half / value);
                (value / factor, value * factor)
            }
            Scale::Probability if value > 0.0 && value < 1.0 => {
                let logit = ln(value) - log1p(-value);
                let half = half / (value * (1.0 - value));
                (sigmoid(logit - half), sigmoid(logit + half))
            }
            Scale::Plain => (value - half, value + half),
            // At the end of its range there is nothing to tell.
            Scale::Positive | Scale::Probability => (value, value),
        }
    }
}

/// Names of the two columns beside an output; as many as there are names of outputs, so kept.
pub(crate) fn bound_names(name: &'static str) -> (&'static str, &'static str) {
    static NAMES: Mutex<BTreeMap<&'static str, (&'static str, &'static str)>> =
        Mutex::new(BTreeMap::new());
    let mut names = NAMES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    *names.entry(name).or_insert_with(|| {
        let keep = |end: &str| -> &'static str { Box::leak(format!("{name}_{end}").into()) };
        (keep("lower"), keep("upper"))
    })
}

/// Every estimated number of a state, and their covariance in natural coordinates.
fn coordinates(state: &ModelState) -> Result<(Vec<Coordinate>, Vec<f64>), Error> {
    // Its curve rests on a baseline that is no parameter: an interval of the coefficients alone
    // would be too short.
    if state.kind == interval_cox::KIND {
        let why = "cannot be served: a Cox model has intervals of customers' curves, not of totals";
        return Err(Error::invalid("options.interval_level", why));
    }
    let parts: Vec<(String, Vec<Coordinate>)> = match part_coordinates(state, "", &state.kind) {
        own if !own.is_empty() => vec![("fit.covariance".to_owned(), own)],
        _ => nested_parts(state),
    };
    let size: usize = parts.iter().map(|(_, own)| own.len()).sum();
    let mut all = Vec::with_capacity(size);
    let mut covariance = vec![0.0; size * size];
    for (name, own) in parts {
        let block = covariance_of(state, &name, own.len())?;
        let (start, len) = (all.len(), own.len());
        for row in 0..len {
            for column in 0..len {
                covariance[(start + row) * size + start + column] = block[row * len + column];
            }
        }
        all.extend(own);
    }
    Ok((all, covariance))
}

/// The parts of a composed model that were estimated, each with the name of its covariance.
fn nested_parts(state: &ModelState) -> Vec<(String, Vec<Coordinate>)> {
    let mut parts = Vec::new();
    for (name, setting) in &state.settings {
        let kind = setting.get("kind").and_then(|kind| kind.as_str());
        let Some(kind) = kind else { continue };
        let own = part_coordinates(state, &format!("{name}."), kind);
        if !own.is_empty() {
            parts.push((format!("fit.{name}.covariance"), own));
        }
    }
    parts
}

fn part_coordinates(state: &ModelState, prefix: &str, kind: &str) -> Vec<Coordinate> {
    let specs = catalog::entry(kind).map_or(&[][..], |entry| entry.params);
    let values = |name: &str| {
        let name = format!("{prefix}{name}");
        let array = state.arrays.iter().find(|array| array.name == name);
        array.map(|array| (name, array.values.clone()))
    };
    let mut own = Vec::new();
    for name in ["params", "covariates"] {
        let Some((array, values)) = values(name) else {
            continue;
        };
        for (index, value) in values.into_iter().enumerate() {
            let spec = specs.get(index).filter(|_| name == "params");
            own.push(Coordinate {
                array: array.clone(),
                index,
                transform: spec.map_or(Transform::Identity, |spec| spec.transform),
                value,
            });
        }
    }
    own
}

fn covariance_of(state: &ModelState, name: &str, size: usize) -> Result<Vec<f64>, Error> {
    let found = state.arrays.iter().find(|array| array.name == name);
    let refuse = |why: &str| Err(Error::invalid("options.interval_level", why));
    match found {
        None => refuse(
            "cannot be served: the model has no covariance of its parameters (it was not fitted, \
             or its kind has none)",
        ),
        Some(array) if array.values.len() != size * size => {
            refuse("cannot be served: the stored covariance has another size than the parameters")
        }
        Some(array) if array.values.iter().any(|value| !value.is_finite()) => refuse(
            "cannot be served: the covariance of the parameters is not known everywhere (a ridge \
             or a boundary; see the fit's warnings)",
        ),
        Some(array) => Ok(array.values.clone()),
    }
}

/// The model with one number of its state moved.
fn moved(state: &ModelState, coordinate: &Coordinate, step: f64) -> Result<Box<dyn Scorer>, Error> {
    let mut state = state.clone();
    state.arrays.retain(|array| !array.name.starts_with("fit."));
    let w = coordinate::working(coordinate.transform, coordinate.value);
    let value = coordinate::natural(coordinate.transform, w + step);
    let set = |array: &mut Array| {
        if let Some(slot) = array.values.get_mut(coordinate.index) {
            *slot = value;
        }
    };
    let target = state
        .arrays
        .iter_mut()
        .find(|array| array.name == coordinate.array);
    target.map(set);
    catalog::scorer(state)
}

//! Measures of churn models, for `cvm.metrics`.

use crate::door::enter;
use crate::errors::invalid;
use crate::intervals::Watch;
use cvm::metrics::{
    self, Binning, BootstrapSettings, Measure, MetricError, MetricRows, ProfitSettings,
};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

/// Truth, score and weight of each row, copied out of the caller's arrays.
struct Rows {
    churned: Vec<bool>,
    scores: Vec<f64>,
    weights: Option<Vec<f64>>,
}

/// Truth, scores and weights of a call.
type Arrays<'py> = (
    PyReadonlyArray1<'py, bool>,
    PyReadonlyArray1<'py, f64>,
    Option<PyReadonlyArray1<'py, f64>>,
);

/// Measures the rows without the interpreter lock.
fn measure<T: Send>(
    py: Python<'_>,
    arrays: &Arrays<'_>,
    metric: impl FnOnce(&[bool], &[f64], Option<&[f64]>) -> Result<T, MetricError> + Send,
) -> PyResult<T> {
    let (churned, scores, weights) = arrays;
    let rows = Rows {
        churned: churned.as_array().to_vec(),
        scores: scores.as_array().to_vec(),
        weights: weights.as_ref().map(|array| array.as_array().to_vec()),
    };
    enter(py, move || {
        Ok(metric(
            &rows.churned,
            &rows.scores,
            rows.weights.as_deref(),
        )?)
    })
}

/// Probability that a churner scores above one who stayed.
#[pyfunction]
pub(crate) fn auc(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::auc)
}

/// Mean squared error of the probability.
#[pyfunction]
pub(crate) fn brier(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::brier)
}

/// Mean of minus the log-likelihood.
#[pyfunction]
pub(crate) fn log_loss(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::log_loss)
}

/// Expected calibration error over bins of equal width.
#[pyfunction]
pub(crate) fn ece(py: Python<'_>, arrays: Arrays<'_>, bins: usize) -> PyResult<f64> {
    measure(py, &arrays, |y, s, w| metrics::ece(y, s, w, bins))
}

/// Share contacted, share of churners captured, and lift, at equal steps.
#[pyfunction]
pub(crate) fn lift_curve(
    py: Python<'_>,
    arrays: Arrays<'_>,
    points: usize,
) -> PyResult<Vec<(f64, f64, f64)>> {
    let curve = measure(py, &arrays, |y, s, w| metrics::lift_curve(y, s, w, points))?;
    let triple = |p: &metrics::LiftPoint| (p.contacted_share, p.captured_share, p.lift);
    Ok(curve.iter().map(triple).collect())
}

/// AUC, and the ends of its interval by DeLong's standard error.
#[pyfunction]
pub(crate) fn auc_interval(
    py: Python<'_>,
    arrays: Arrays<'_>,
    level: f64,
) -> PyResult<(f64, f64, f64)> {
    let found = measure(py, &arrays, metrics::auc_estimate)?;
    let half = metrics::normal_quantile(0.5 + 0.5 * level) * found.standard_error;
    let ends = ((found.auc - half).max(0.0), (found.auc + half).min(1.0));
    Ok((found.auc, ends.0, ends.1))
}

/// Average precision.
#[pyfunction]
pub(crate) fn average_precision(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<f64> {
    measure(py, &arrays, metrics::average_precision)
}

/// Kolmogorov–Smirnov distance and the score where it is reached.
#[pyfunction]
pub(crate) fn ks(py: Python<'_>, arrays: Arrays<'_>) -> PyResult<(f64, f64)> {
    let found = measure(py, &arrays, metrics::ks)?;
    Ok((found.distance, found.threshold))
}

/// Lift of the highest-scoring share.
#[pyfunction]
pub(crate) fn lift_at(py: Python<'_>, arrays: Arrays<'_>, share: f64) -> PyResult<f64> {
    measure(py, &arrays, |y, s, w| metrics::lift_at(y, s, w, share))
}

/// H-measure.
#[pyfunction]
pub(crate) fn h_measure(
    py: Python<'_>,
    arrays: Arrays<'_>,
    alpha: f64,
    beta: f64,
) -> PyResult<f64> {
    measure(py, &arrays, |y, s, w| {
        metrics::h_measure(y, s, w, alpha, beta)
    })
}

/// Brier score, reliability, resolution, uncertainty, remainder within bins.
#[pyfunction]
#[pyo3(signature = (arrays, bins))]
pub(crate) fn brier_parts(
    py: Python<'_>,
    arrays: Arrays<'_>,
    bins: Option<usize>,
) -> PyResult<(f64, f64, f64, f64, f64)> {
    let parts = measure(py, &arrays, |y, s, w| metrics::brier_parts(y, s, w, bins))?;
    let metrics::BrierParts {
        brier,
        reliability,
        resolution,
        uncertainty,
        within_bins,
    } = parts;
    Ok((brier, reliability, resolution, uncertainty, within_bins))
}

fn binning(name: &str) -> PyResult<Binning> {
    match name {
        "width" => Ok(Binning::Width),
        "mass" => Ok(Binning::Mass),
        other => {
            let why = format!("is \"{other}\": must be width or mass");
            Err(invalid("binning", &why))
        }
    }
}

/// Calibration error over bins.
#[pyfunction]
pub(crate) fn calibration_error(
    py: Python<'_>,
    arrays: Arrays<'_>,
    bins: usize,
    kind: &str,
    squared: bool,
    debiased: bool,
) -> PyResult<f64> {
    let kind = binning(kind)?;
    measure(py, &arrays, |y, s, w| {
        metrics::calibration_error(y, s, w, bins, kind, squared, debiased)
    })
}

/// Mean probability, observed rate, ends of its interval, weight, rows.
type BinRow = (f64, f64, f64, f64, f64, f64);

/// Bins of probability with intervals of the observed rates.
#[pyfunction]
pub(crate) fn calibration_bins(
    py: Python<'_>,
    arrays: Arrays<'_>,
    bins: usize,
    kind: &str,
    level: f64,
) -> PyResult<Vec<BinRow>> {
    let kind = binning(kind)?;
    let z = metrics::normal_quantile(0.5 + 0.5 * level);
    let found = measure(py, &arrays, |y, s, w| {
        metrics::calibration_bins(y, s, w, bins, kind, z)
    })?;
    let row = |b: metrics::CalibrationBin| {
        (
            b.mean_probability,
            b.observed_rate,
            b.lower,
            b.upper,
            b.weight,
            b.rows,
        )
    };
    Ok(found.into_iter().map(row).collect())
}

/// Value, cost of the offer, cost of a contact, shapes of the share who accept.
type Campaign = (f64, f64, f64, f64, f64);

fn profit_settings(campaign: Campaign) -> ProfitSettings {
    let (value, offer_cost, contact_cost, alpha, beta) = campaign;
    ProfitSettings {
        value,
        offer_cost,
        contact_cost,
        alpha,
        beta,
    }
}

/// Profit, share contacted, threshold: expected over the share who accept, or at its mean.
#[pyfunction]
#[pyo3(signature = (arrays, values, campaign, expected))]
pub(crate) fn best_profit(
    py: Python<'_>,
    arrays: Arrays<'_>,
    values: Option<PyReadonlyArray1<'_, f64>>,
    campaign: Campaign,
    expected: bool,
) -> PyResult<(f64, f64, f64)> {
    let values = values.map(|array| array.as_array().to_vec());
    let settings = profit_settings(campaign);
    let best = if expected {
        metrics::empc
    } else {
        metrics::mpc
    };
    let found = measure(py, &arrays, |y, s, w| {
        best(y, s, w, values.as_deref(), &settings)
    })?;
    Ok((found.profit, found.contacted_share, found.threshold))
}

/// Share contacted, profit and threshold of every score.
#[pyfunction]
#[pyo3(signature = (arrays, values, campaign))]
pub(crate) fn profit_curve(
    py: Python<'_>,
    arrays: Arrays<'_>,
    values: Option<PyReadonlyArray1<'_, f64>>,
    campaign: Campaign,
) -> PyResult<Vec<(f64, f64, f64)>> {
    let values = values.map(|array| array.as_array().to_vec());
    let settings = profit_settings(campaign);
    let found = measure(py, &arrays, |y, s, w| {
        metrics::profit_curve(y, s, w, values.as_deref(), &settings)
    })?;
    let triple = |p: metrics::ProfitPoint| (p.contacted_share, p.profit, p.threshold);
    Ok(found.into_iter().map(triple).collect())
}

/// Stability index of two lists of counts.
#[pyfunction]
pub(crate) fn psi(py: Python<'_>, before: Vec<f64>, now: Vec<f64>) -> PyResult<f64> {
    enter(py, || Ok(metrics::psi(&before, &now)?))
}

fn measure_of(name: &str, settings: ProfitSettings) -> PyResult<Measure> {
    Ok(match name {
        "auc" => Measure::Auc,
        "average_precision" => Measure::AveragePrecision,
        "log_loss" => Measure::LogLoss,
        "brier" => Measure::Brier,
        "ece" => Measure::Ece,
        "ks" => Measure::Ks,
        "top_decile_lift" => Measure::Lift { share: 0.1 },
        "h_measure" => Measure::HMeasure,
        "empc" => Measure::Empc(settings),
        "mpc" => Measure::Mpc(settings),
        other => {
            return Err(invalid(
                "metrics",
                &format!("name `{other}`, which is unknown"),
            ));
        }
    })
}

/// How to draw, as a dictionary.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct BootstrapArgs {
    campaign: Campaign,
    replicates: usize,
    seed: u64,
    threads: usize,
}

/// Every metric of the rows, and its value in every replicate of the bootstrap; no replicates if
/// their number is 0.
#[pyfunction]
#[pyo3(signature = (arrays, values, clusters, names, options, progress))]
pub(crate) fn bootstrap_metrics(
    py: Python<'_>,
    arrays: Arrays<'_>,
    values: Option<PyReadonlyArray1<'_, f64>>,
    clusters: Option<PyReadonlyArray1<'_, i64>>,
    names: Vec<String>,
    options: BootstrapArgs,
    progress: Py<PyAny>,
) -> PyResult<Vec<(f64, Vec<f64>)>> {
    let settings = profit_settings(options.campaign);
    let wanted = names.iter().map(|name| measure_of(name, settings));
    let wanted: Vec<Measure> = wanted.collect::<PyResult<_>>()?;
    let values = values.map(|array| array.as_array().to_vec());
    let place = |number: &i64| usize::try_from(*number).unwrap_or(usize::MAX);
    let clusters: Option<Vec<usize>> =
        clusters.map(|array| array.as_array().iter().map(place).collect());
    let (churned, scores, weights) = &arrays;
    let churned = churned.as_array().to_vec();
    let scores = scores.as_array().to_vec();
    let weights = weights.as_ref().map(|array| array.as_array().to_vec());
    let watch = Watch::new(progress);
    let found = enter(py, || {
        let rows = MetricRows {
            churned: &churned,
            scores: &scores,
            weights: weights.as_deref(),
            values: values.as_deref(),
            clusters: clusters.as_deref(),
        };
        let points = metrics::measures(&rows, &wanted)?;
        if options.replicates == 0 {
            return Ok(points
                .into_iter()
                .map(|point| (point, Vec::new()))
                .collect());
        }
        let draws = BootstrapSettings {
            replicates: options.replicates,
            seed: options.seed,
            threads: options.threads,
        };
        let drawn = metrics::bootstrap(&rows, &wanted, &draws, &|done, all| watch.tell(done, all))?;
        Ok(points.into_iter().zip(drawn).collect())
    });
    watch.finish(found)
}
